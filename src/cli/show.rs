//! `tilewright show`: a layer as text, JSON or a picture, as it is or after a pass.

use super::options::{Common, Prepared};
use super::written::told;
use super::{Ended, database, print, print_report};
use clap::ValueEnum;
use serde::Serialize;
use tilewright::compile::{Options, compile};
use tilewright::error::{Error, Result};
use tilewright::form::Form;
use tilewright::run::compile_form;
use tilewright::saved;
use tilewright::written;
use tilewright_ir::graph::{self, Graph};
use tilewright_ir::text::print_graph;
use tilewright_passes::pass::{Artifact, Manager, Stage};
use tilewright_passes::search::Optimized;

/// Prints a layer, as it is or after a pass
#[derive(Debug, clap::Args)]
#[command(after_help = super::examples::SHOW)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// The form of what is printed; `--json` is short for `json`
    #[arg(long = "as", value_enum, value_name = "FORM", default_value_t = Shape::Text, help_heading = "Output")]
    shape: Shape,
    /// Prints what this pass returned instead of the graph
    #[arg(
        long,
        value_name = "PASS",
        conflicts_with = "stop_after",
        help_heading = "Output"
    )]
    after: Option<String>,
    /// With `--after`: the passes of the form as written instead of the optimized one
    #[arg(long, help_heading = "Output")]
    written: bool,
    /// Prints the layer with the schedule that the search finds in its kernels, as `optimize --write` writes it
    #[arg(long, conflicts_with_all = ["after", "stop_after", "shape", "json"], help_heading = "Output")]
    schedule: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shape {
    Text,
    Json,
    /// Graphviz; graphs only
    Dot,
}

/// A plan in JSON: terms are text.
#[derive(Debug, Serialize)]
struct PlanReport {
    name: String,
    kernels: Vec<KernelPlanReport>,
}

#[derive(Debug, Serialize)]
struct KernelPlanReport {
    name: String,
    covers: Vec<String>,
    predicted_us: Option<f64>,
    derivation: Vec<String>,
    text: String,
}

pub fn main(args: &Args) -> Result<Ended> {
    let common = &args.common;
    let prepared = common.prepare()?;
    common.start_dumps()?;
    let shape = match common.json {
        true => Shape::Json,
        false => args.shape,
    };
    if args.schedule {
        return schedule(&prepared);
    }
    let stop = args.after.as_ref().or(common.stop_after.as_ref());
    if stop.is_none() {
        show_graph(&prepared.graph, shape)?;
        return Ok(Ended::Well);
    }
    let options = Options {
        stop_after: stop.cloned(),
        ..prepared.options.clone()
    };
    let form = match args.written {
        true => Form::Written,
        false => Form::Optimized,
    };
    let run = compile(&prepared.graph, form, &options).map_err(|e| prepared.layer.locate(e))?;
    common.print_dumps(form, &run)?;
    match (&run.artifact, shape) {
        (Artifact::Graph(g), _) => show_graph(g, shape)?,
        (other, Shape::Text) => print(&other.to_string())?,
        (Artifact::Plan(o), Shape::Json) => print_report(&plan(o))?,
        (Artifact::Program(p), Shape::Json) => {
            let last = run.steps.iter().rfind(|s| s.pass != "candidates");
            print(&saved::text(p, None, last.map_or("", |s| &s.pass))?)?;
        }
        (other, Shape::Dot) => {
            let manager = Manager::new();
            let drawn = manager
                .passes()
                .iter()
                .filter(|p| p.gives() == Stage::Graph);
            return Err(Error::NoPicture {
                found: other.stage(),
                passes: drawn.map(|p| p.name()).collect::<Vec<_>>().join(", "),
            }
            .into());
        }
    }
    Ok(Ended::Well)
}

/// Prints the layer with its schedule.
fn schedule(prepared: &Prepared) -> Result<Ended> {
    let compile = |options: &Options| {
        let compiled = compile_form(&prepared.graph, Form::Optimized, options);
        compiled.map_err(|e| prepared.layer.locate(e))
    };
    let (compiled, _) = database::best(prepared, "sim", compile, |_| true)?;
    let (layer, graph) = (&prepared.layer, &prepared.graph);
    let (text, differ) = written::layer(layer, graph, &compiled, &prepared.options)?;
    print(&text)?;
    Ok(match told("what is printed", &differ) {
        true => Ended::Well,
        false => Ended::CheckFailed,
    })
}

fn show_graph(g: &Graph, shape: Shape) -> Result<()> {
    match shape {
        Shape::Text => print(&print_graph(g)),
        Shape::Json => print(&(g.to_json()? + "\n")),
        Shape::Dot => print(&graph::dot(g)),
    }
}

fn plan(o: &Optimized) -> PlanReport {
    let kernels = o
        .plan
        .kernels
        .iter()
        .enumerate()
        .map(|(i, k)| KernelPlanReport {
            name: k.name.clone(),
            covers: k.covers.clone(),
            predicted_us: o.estimates.get(i).map(|e| e.us),
            derivation: k.derivation.clone(),
            text: k.to_string(),
        });
    PlanReport {
        name: o.plan.name.clone(),
        kernels: kernels.collect(),
    }
}
