//! `tilewright diff`: what of two schedules differs, and what that costs.

use super::database::warn;
use super::layout::{Table, paragraph};
use super::search::{SearchArgs, machine};
use super::sizes::SizeArgs;
use super::tables::{count, times, us};
use super::{Ended, print, print_report};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use tilewright::comparison::{About, Comparison, Side, Timed, compare};
use tilewright::compile::Options;
use tilewright::config::Config;
use tilewright::error::{Error, Result};
use tilewright::form::Form;
use tilewright::layer::Layer;
use tilewright::saved::{self, Saved};
use tilewright_ir::graph::Graph;

/// A folder whose kernels are not those of its program any more.
const UNLIKE: &str = "tilewright::diff::unlike";

const EXAMPLES: &str = "\
Examples:
  tilewright diff old.tw new.tw                       two layers
  tilewright diff tilewright-out/gate gate.tw         what was saved, and what is found now
  tilewright diff gate.tw --to-machine 910B4          one layer on two machines
  tilewright diff gate.tw --to-pins tuned.pins        one layer, searched freely and as tuned
  tilewright diff tilewright-out/gate/written tilewright-out/gate/optimized";

/// Tells what of two schedules differs, kernel by kernel, and then their times
///
/// A side is a layer, which is searched; a folder that `run` or `emit` wrote kernels to; a program in JSON; or the folder of a
/// snapshot. Where B is left out, it is A with what the options --to-... say. Times are the simulator's, or the model's where
/// several ranks run the layer.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The first side: a layer, a folder of kernels, a program or a snapshot
    #[arg(value_name = "A")]
    a: PathBuf,
    /// The second side [default: A]
    #[arg(value_name = "B")]
    b: Option<PathBuf>,
    /// The machine of the second side
    #[arg(long, value_name = "NAME", help_heading = "Second side")]
    to_machine: Option<String>,
    /// A pin of the second side, besides those of both (repeatable)
    #[arg(long, value_name = "KERNEL.PARAM=VALUE", help_heading = "Second side")]
    to_pin: Vec<String>,
    /// A file of pins of the second side, besides those of both (repeatable)
    #[arg(long, value_name = "FILE", help_heading = "Second side")]
    to_pins: Vec<PathBuf>,
    /// A param of the second side, instead of what --set says (repeatable)
    #[arg(long, value_name = "NAME=VALUE", value_parser = super::sizes::setting, allow_hyphen_values = true, help_heading = "Second side")]
    to_set: Vec<(String, i64)>,
    /// The form as written instead of the optimized one, of what has both
    #[arg(long)]
    written: bool,
    #[command(flatten)]
    search: SearchArgs,
    #[command(flatten)]
    sizes: SizeArgs,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

pub fn main(args: &Args) -> Result<Ended> {
    let option = args.second();
    let b = match (&args.b, option) {
        (Some(b), _) => b,
        (None, Some(_)) => &args.a,
        (None, None) => {
            let path = args.a.clone();
            return Err(Error::OneSide { path }.into());
        }
    };
    // Both are read before one is searched.
    let first = args.source(&args.a, &args.search, &args.sizes, None)?;
    let search = args.search_of_second();
    let mut sizes = args.sizes.clone();
    sizes
        .set
        .retain(|(name, _)| !args.to_set.iter().any(|(n, _)| n == name));
    sizes.set.extend(args.to_set.iter().cloned());
    let second = args.source(b, &search, &sizes, option)?;
    let form = args.form();
    let comparison = compare(&first.side(form)?, &second.side(form)?);
    match args.json {
        true => print_report(&comparison)?,
        false => print(&text(&comparison))?,
    }
    Ok(Ended::Well)
}

/// What a path names.
enum Source {
    Kept(Box<Side>),
    Layer(Box<Wanted>),
}

/// A layer that is to be compiled.
struct Wanted {
    name: String,
    layer: Layer,
    graph: Graph,
    options: Options,
}

impl Source {
    fn side(self, form: Form) -> Result<Side> {
        match self {
            Source::Kept(side) => Ok(*side),
            Source::Layer(wanted) => {
                let Wanted { name, graph, .. } = &*wanted;
                let side = Side::of_layer(name, graph, form, &wanted.options);
                side.map_err(|e| wanted.layer.locate(e))
            }
        }
    }
}

impl Args {
    /// The first option given that is about the second side alone.
    fn second(&self) -> Option<&'static str> {
        let given = [
            ("--to-machine", self.to_machine.is_some()),
            ("--to-pin", !self.to_pin.is_empty()),
            ("--to-pins", !self.to_pins.is_empty()),
            ("--to-set", !self.to_set.is_empty()),
        ];
        given.into_iter().find(|g| g.1).map(|g| g.0)
    }

    fn search_of_second(&self) -> SearchArgs {
        let mut search = self.search.clone();
        if self.to_machine.is_some() {
            search.machine.clone_from(&self.to_machine);
        }
        let param = |pin: &str| pin.split('=').next().unwrap_or_default().trim().to_owned();
        let other = |pin: &String| self.to_pin.iter().all(|p| param(p) != param(pin));
        search.pin.retain(other);
        search.pin.extend(self.to_pin.iter().cloned());
        search.pins.extend(self.to_pins.iter().cloned());
        search
    }

    fn form(&self) -> Form {
        match self.written {
            true => Form::Written,
            false => Form::Optimized,
        }
    }

    /// What a path names. `option` is one that only a layer takes.
    fn source(
        &self,
        path: &Path,
        search: &SearchArgs,
        sizes: &SizeArgs,
        option: Option<&'static str>,
    ) -> Result<Source> {
        let name = path.display().to_string();
        let kept = match Side::of_snapshot(&name, path)? {
            Some(side) => Some(side),
            None => match saved::read(path)? {
                Some(programs) => Some(self.of_saved(path, &programs, search)?),
                None => None,
            },
        };
        if let Some(side) = kept {
            return match option {
                Some(option) => Err(Error::SavedSide {
                    option,
                    path: path.into(),
                }
                .into()),
                None => Ok(Source::Kept(Box::new(side))),
            };
        }
        if path.is_dir() {
            return Err(self.no_kernels(path).into());
        }
        let layer = Layer::load(path)?;
        let config = Config::of_file(path)?;
        let options = search.over(config.as_ref(), None)?.options()?;
        let graph = layer.graph(&sizes.settings(&layer)?)?;
        Ok(Source::Layer(Box::new(Wanted {
            name,
            layer,
            graph,
            options,
        })))
    }

    /// The program of the form that is asked for, or the only one.
    fn of_saved(&self, path: &Path, programs: &[Saved], search: &SearchArgs) -> Result<Side> {
        let of_form = programs.iter().find(|s| s.form == Some(self.form()));
        let chosen = match programs {
            [only] if !self.written || only.form.is_none() => Some(only),
            _ => of_form,
        };
        let saved = chosen.ok_or_else(|| self.no_kernels(path))?;
        if let Some((folder, unlike)) = saved.unlike() {
            warn(&format!(
                "{UNLIKE}: {}: {}; what is compared is the program that the kernels were emitted from",
                folder.display(),
                unlike.join(", ")
            ));
        }
        // One of a file is not known by its name.
        let built_in = machine(&saved.program.machine).and_then(|m| search.on(m));
        let machine = built_in.or_else(|_| search.machine())?;
        Side::of_saved(&path.display().to_string(), saved, &machine)
    }

    fn no_kernels(&self, path: &Path) -> Error {
        Error::NoKernels {
            path: path.into(),
            form: self.form().name(),
            other: match self.written {
                true => "or leave `--written` out",
                false => "`--written` compares the forms as written",
            },
        }
    }
}

/// What differs, then times.
fn text(c: &Comparison) -> String {
    let mut s = String::new();
    for (which, about) in [("A", &c.a), ("B", &c.b)] {
        let form = match about.form.as_str() {
            "" => String::new(),
            form => format!(" {form}"),
        };
        let line = format!(
            "{which}: {}: {}{form}, {} for {}",
            about.name,
            about.layer,
            count(about.kernels, "kernel"),
            about.machine
        );
        s.push_str(&paragraph(&line, 0, 3));
    }
    s.push('\n');
    if c.same {
        s.push_str("the schedules are the same\n");
    }
    if c.unrelated {
        let line = "A and B share nothing: no kernel of one does work of a kernel as written of the other, and all of both is listed";
        s.push_str(&paragraph(line, 0, 2));
    }
    for difference in &c.schedule {
        for line in difference.to_string().lines() {
            let indent = line.len() - line.trim_start().len();
            s.push_str(&paragraph(line.trim_start(), indent, indent + 2));
        }
    }
    let _ = writeln!(s, "\n{}", table(c));
    s
}

/// Times of kernels that do the same work.
fn table(c: &Comparison) -> String {
    let by = |about: &About| match about.timed_by {
        Timed::Simulator => "simulated",
        Timed::Model => "predicted",
        Timed::Kept => "kept",
    };
    let header = [
        "kernels as written",
        &format!("A {} us", by(&c.a)),
        &format!("B {} us", by(&c.b)),
        "speedup",
    ];
    let mut table = Table::new(&header).right(&[1, 2, 3]);
    let cells = |name: String, a: Option<f64>, b: Option<f64>| {
        let speedup = a.zip(b).filter(|(_, b)| *b > 0.0 && !c.unrelated);
        let speedup = speedup.map_or(String::new(), |(a, b)| times(a / b));
        let us = |t: Option<f64>| t.map_or("-".into(), us);
        [name, us(a), us(b), speedup]
    };
    for work in &c.work {
        table.row(cells(work.covers.join(" + "), work.a_us, work.b_us));
    }
    table.row(cells("all".into(), c.a.us, c.b.us));
    table.text()
}
