//! `tilewright tune --for`: one layer at many sizes.

use super::database::warn;
use super::emit::emitter;
use super::layout::{Table, paragraph};
use super::options::Prepared;
use super::tune::{Args, go_on};
use super::{Ended, print, print_report, search, tables};
use indexmap::IndexMap;
use serde::Serialize;
use std::path::PathBuf;
use tilewright::compile::Options;
use tilewright::data::{Data, check_scalars};
use tilewright::error::Result;
use tilewright::folder::{self, Foreign, Kind};
use tilewright::form::Form;
use tilewright::project::{Material, spec};
use tilewright::run::{self, Compiled, compile_form};
use tilewright::saved::{self, For};
use tilewright::tune::TuneError;
use tilewright::tune::engine::Bench;
use tilewright::tune::layer::{Subject, tune};
use tilewright::tune::sizes::{
    Bucket, Measured, Sharing, Sizes, SizesReport, apart, buckets, is_independent, named,
};
use tilewright::tune::stop;
use tilewright::verify::{is_quick, smaller};
use tilewright_backends::ascend::File;
use tilewright_backends::npu;
use tilewright_ir::graph::Graph;
use tilewright_ir::kernel::Unit;

/// For which sizes.
#[derive(Debug, clap::Args)]
pub struct ForArgs {
    /// Tunes a layer for many sizes of a param, ranges with both ends: T=1..64,128. Sizes share kernels where the loss is small
    #[arg(long = "for", id = "for", value_name = "NAME=SIZES", conflicts_with_all = ["inputs", "expect", "write", "write_pins", "svg"], help_heading = "Many sizes")]
    sizes: Option<String>,
    /// What a size may lose by kernels of a larger one, in percent of its own best time
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0, value_parser = percent, requires = "for", help_heading = "Many sizes")]
    loss: f64,
    /// Writes the kernels of all sizes to a folder; `kernels.json` says which run a size
    #[arg(
        short = 'o',
        long,
        value_name = "DIR",
        requires = "for",
        conflicts_with = "project",
        help_heading = "Many sizes"
    )]
    out: Option<PathBuf>,
    /// Writes them as a project, whose launcher takes a size
    #[arg(
        long,
        value_name = "DIR",
        requires = "for",
        help_heading = "Many sizes"
    )]
    project: Option<PathBuf>,
}

fn percent(text: &str) -> std::result::Result<f64, String> {
    match text.parse::<f64>() {
        Ok(p) if (0.0..=1000.0).contains(&p) => Ok(p),
        _ => Err("write a number of percent from 0 to 1000".into()),
    }
}

impl ForArgs {
    /// The sizes that are asked for.
    pub fn sizes(&self) -> Result<Option<Sizes>> {
        let sizes = self.sizes.as_deref().map(str::parse);
        Ok(sizes.transpose().map_err(|e: TuneError| e)?)
    }

    /// Which kernels may be made, of those that the runner starts.
    pub fn units(&self, of: Vec<Unit>) -> Vec<Unit> {
        let fits = |u: &Unit| self.project.is_none() || npu::UNITS.contains(u);
        of.into_iter().filter(fits).collect()
    }
}

/// A layer at sizes of a param, all else being as the options say.
struct Family<'a> {
    args: &'a Args,
    prepared: &'a Prepared,
    param: &'a str,
    set: IndexMap<String, i64>,
}

impl<'a> Family<'a> {
    fn new(args: &'a Args, prepared: &'a Prepared, param: &'a str) -> Result<Self> {
        let set = args.common.sizes.settings(&prepared.layer)?;
        if set.contains_key(param) {
            return Err(TuneError::Sizes {
                text: args.sizes.sizes.clone().unwrap_or_default(),
                reason: format!("`{param}` is set by another option, too"),
            }
            .into());
        }
        Ok(Family {
            args,
            prepared,
            param,
            set,
        })
    }

    /// The layer at a size, with other params as these say.
    fn graph(&self, size: i64, others: &IndexMap<String, i64>) -> Result<Graph> {
        let mut set = self.set.clone();
        set.extend(others.iter().map(|(n, v)| (n.clone(), *v)));
        set.insert(self.param.to_owned(), size);
        let graph = self.args.common.sizes.graph(&self.prepared.layer, &set)?;
        check_scalars(&graph, &self.prepared.scalars)?;
        Ok(graph)
    }

    /// How it is compiled at a size, with these pins.
    fn options(&self, size: i64, pins: &[String]) -> Result<Options> {
        let common = &self.args.common;
        let options = &self.prepared.options;
        let pins = [options.pins.clone(), search::pins(pins)?].concat();
        let mut set = self.set.clone();
        set.insert(self.param.to_owned(), size);
        Ok(Options {
            command: Some(common.emit_command(common.search.words(&set, &pins))),
            pins,
            ..options.clone()
        })
    }

    fn tuned(&self, size: i64, bench: &Bench) -> Result<Measured> {
        let graph = self.graph(size, &IndexMap::new())?;
        let scalars = &self.prepared.scalars;
        let inputs = match bench.runner.computes() {
            true => self.args.common.generated(&graph, scalars)?,
            false => vec![],
        };
        let subject = Subject {
            layer: &self.prepared.layer,
            graph: &graph,
            options: &self.prepared.options,
            scalars,
            inputs: &inputs.into_iter().next().unwrap_or_default(),
        };
        let report = tune(&subject, bench, self.args.effort)?;
        Ok(Measured::new(size, report))
    }

    /// Whether rows beyond a size change its own: by the two smallest sizes, at smaller other sizes where the layer is large.
    fn sharing(&self, sizes: &Sizes) -> Result<Sharing> {
        let [first, second, ..] = sizes.values[..] else {
            return Ok(Sharing::Padded);
        };
        let mut others = IndexMap::new();
        let mut large = self.graph(second, &others)?;
        if !is_quick(&large) {
            let Some(small) = smaller(&self.prepared.layer, &large, &self.prepared.options) else {
                return Ok(Sharing::Unknown);
            };
            others = small.params;
            others.shift_remove(self.param);
            large = self.graph(second, &others)?;
        }
        if !is_quick(&large) {
            return Ok(Sharing::Unknown);
        }
        match is_independent(&self.graph(first, &others)?, &large)? {
            true => Ok(Sharing::Padded),
            false => Ok(Sharing::Dependent),
        }
    }
}

/// Tunes a layer for many sizes.
pub(super) fn tuned(
    args: &Args,
    prepared: &Prepared,
    bench: &Bench,
    sizes: &Sizes,
) -> Result<SizesReport> {
    let family = Family::new(args, prepared, &sizes.param)?;
    // All of them are graphs, before time goes into the first.
    let ends = [sizes.values.first(), sizes.values.last()];
    for size in ends.into_iter().flatten() {
        family.graph(*size, &IndexMap::new())?;
    }
    let sharing = family.sharing(sizes)?;
    let mut measured: IndexMap<i64, Measured> = IndexMap::new();
    let mut us = |size: i64| {
        if let Some(known) = measured.get(&size) {
            return Ok(known.us);
        }
        let found = family.tuned(size, bench)?;
        let us = found.us;
        measured.insert(size, found);
        Ok(us)
    };
    let loss = args.sizes.loss / 100.0;
    let buckets = match sharing {
        Sharing::Padded => buckets(&sizes.values, loss, &mut us)?,
        Sharing::Dependent | Sharing::Unknown => apart(&sizes.values, &mut us)?,
    };
    measured.sort_keys();
    Ok(SizesReport {
        graph: prepared.graph.name.clone(),
        machine: prepared.options.machine.name.clone(),
        runner: bench.runner.identity(),
        param: sizes.param.clone(),
        sizes: sizes.values.len(),
        loss,
        sharing,
        buckets,
        measured: measured.into_values().collect(),
    })
}

/// The kernels of a bucket.
struct Made {
    sizes: For,
    graph: Graph,
    compiled: Compiled,
    files: Vec<File>,
    /// What `kernels.json` of these kernels alone says.
    manifest: String,
}

/// What was tuned, and where its kernels are.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    report: &'a SizesReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    folder: Option<String>,
}

/// Writes what is wanted, and says what was found.
pub(super) fn end(
    args: &Args,
    prepared: &Prepared,
    report: &SizesReport,
    kept: bool,
) -> Result<Ended> {
    let folder = args.sizes.out.as_ref().or(args.sizes.project.as_ref());
    let interrupted = report
        .measured
        .iter()
        .any(|m| m.ended == stop::Ended::Interrupted);
    let folder = match folder {
        Some(_) if interrupted => {
            warn("no kernels are written: it was interrupted");
            None
        }
        folder => folder,
    };
    if let Some(folder) = folder {
        let made = made(args, prepared, report)?;
        match &args.sizes.project {
            Some(_) => write_project(args, prepared, &made, report, folder)?,
            None => {
                let mut files: Vec<File> = made.iter().flat_map(|m| m.files.clone()).collect();
                files.extend(tables_of(&made)?);
                folder::write(folder, &files, Foreign::Refuse)?;
            }
        }
    }
    let folder = folder.map(|f| f.display().to_string());
    match args.common.json {
        true => print_report(&Told { report, folder })?,
        false => print(&text(report, folder.as_deref(), kept))?,
    }
    Ok(Ended::Well)
}

/// The kernels of all buckets, with names of their own.
fn made(args: &Args, prepared: &Prepared, report: &SizesReport) -> Result<Vec<Made>> {
    let family = Family::new(args, prepared, &report.param)?;
    let one = |bucket: &Bucket| {
        let pins = report.at(bucket.to).map_or(&[][..], |m| &m.pins);
        let options = family.options(bucket.to, pins)?;
        let graph = family.graph(bucket.to, &IndexMap::new())?;
        let compiled = compile_form(&graph, Form::Optimized, &options);
        let compiled = compiled.map_err(|e| prepared.layer.locate(e))?;
        let compiled = named(&compiled, &format!("_{}{}", report.param, bucket.to));
        let mut files = run::emit_as(&compiled, &options.machine, emitter("cpp")?)?;
        // Each has one of its own, which becomes a part of the table.
        let place = files.iter().position(|f| f.path == saved::MANIFEST);
        let manifest = place.map(|p| files.remove(p).text).unwrap_or_default();
        Ok(Made {
            manifest,
            sizes: For {
                param: report.param.clone(),
                from: bucket.from,
                to: bucket.to,
                pins: pins.to_vec(),
            },
            graph,
            compiled,
            files,
        })
    };
    report.buckets.iter().map(one).collect()
}

/// What lies beside the kernels of all buckets: `kernels.json`, the table by which they are chosen, and the programs.
fn tables_of(made: &[Made]) -> Result<[File; 2]> {
    let all: Vec<_> = made
        .iter()
        .map(|m| (m.sizes.clone(), &m.compiled.program))
        .collect();
    let manifests: Vec<_> = made
        .iter()
        .map(|m| (m.sizes.clone(), m.manifest.as_str()))
        .collect();
    Ok([
        saved::table_of_sizes(&manifests)?,
        saved::beside_sizes(&all)?,
    ])
}

fn write_project(
    args: &Args,
    prepared: &Prepared,
    made: &[Made],
    report: &SizesReport,
    folder: &std::path::Path,
) -> Result<()> {
    let material = |m: &Made| {
        npu::supported(&m.compiled.program, true)?;
        let inputs = args.common.generated(&m.graph, &prepared.scalars)?;
        let data = Data {
            inputs,
            expected: None,
        };
        Material::new(&m.graph, &data)
    };
    let materials: Vec<Material> = made.iter().map(material).collect::<Result<_>>()?;
    let mut buckets = vec![];
    for (m, material) in made.iter().zip(&materials) {
        buckets.push(npu::Bucket {
            sizes: (m.sizes.from, m.sizes.to),
            spec: spec(&m.graph, &m.compiled, &m.files, None, material)?,
        });
    }
    let beside = tables_of(made)?;
    let files = npu::project_of_sizes(&npu::Sized {
        name: &report.graph,
        param: &report.param,
        buckets,
        beside: &beside,
    })?;
    folder::write_tree(folder, &files, Kind::Project, Foreign::Refuse)
}

fn text(r: &SizesReport, folder: Option<&str>, kept: bool) -> String {
    let head = format!(
        "{} on {}, measured on {}: {} sizes of {}",
        r.graph, r.machine, r.runner, r.sizes, r.param
    );
    let mut s = paragraph(&head, 0, 2) + "\n";
    let row = |b: &Bucket| {
        let of = r.at(b.to);
        let range = match b.from == b.to {
            true => b.to.to_string(),
            false => format!("{} to {}", b.from, b.to),
        };
        [
            range,
            tables::us(b.us),
            of.map_or("-".into(), |m| tables::us(m.pick_us)),
            format!("{:.1} %", b.loss * 100.0),
            match of.map_or(&[][..], |m| &m.pins) {
                [] => "(the search's own)".into(),
                pins => pins.join(" "),
            },
        ]
    };
    let header = [
        r.param.as_str(),
        "us",
        "pick us",
        "smallest loses",
        "schedule",
    ];
    let mut table = Table::new(&header).right(&[1, 2, 3]);
    r.buckets.iter().for_each(|b| table.row(row(b)));
    s.push_str(&(table.text() + "\n"));
    let mut say = |line: String| s.push_str(&paragraph(&line, 0, 2));
    say(match r.sharing {
        Sharing::Padded => format!(
            "kernels of the largest size of a row run all of it: what lies beyond a size changes nothing of it, as the interpreter \
             says; no size loses more than {} %",
            r.loss * 100.0
        ),
        Sharing::Dependent => {
            "each size has kernels of its own: what lies beyond a size changes its outputs, as the interpreter says".into()
        }
        Sharing::Unknown => {
            "each size has kernels of its own: whether what lies beyond a size changes its outputs would take too long to find out".into()
        }
    });
    let new: usize = r.measured.iter().map(|m| m.new).sum();
    let new = tables::count(new, "new trial");
    let tuned = tables::count(r.measured.len(), "size");
    say(format!("{tuned} tuned, {new}"));
    let early = r.measured.iter().find(|m| !m.ended.is_over());
    if let Some(m) = early {
        say(format!("ended early ({}): {}", m.ended, go_on(kept)));
    }
    if let Some(folder) = folder {
        let buckets = tables::count(r.buckets.len(), "bucket");
        say(format!("kernels of {buckets} in {folder}"));
    }
    s
}
