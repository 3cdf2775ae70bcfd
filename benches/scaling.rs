//! How the search grows with the layer: the gate front's kernels one after another, and independent copies of it in one graph.
//!
//! `cargo bench --bench scaling` prints a markdown table; `docs/benchmarks.md` holds one and says what the columns mean. Every
//! case runs in a process of its own, since the memory that a process has used at its peak never falls.

// Not every benchmark uses all that they share.
#[allow(dead_code)]
mod common;

use common::{Result, head, machine, row};
use indexmap::IndexMap;
use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tilewright::layer::Layer;
use tilewright_ir::graph::Graph;
use tilewright_passes::decompose::decompose;
use tilewright_passes::egraph::SearchOptions;
use tilewright_passes::problem;
use tilewright_passes::prune::prune;
use tilewright_passes::search::optimize;
use tilewright_passes::search::pins::Pins;

/// Names the case that a child process measures.
const CASE: &str = "TILEWRIGHT_BENCH_CASE";

/// A case that takes longer is ended.
const LIMIT: Duration = Duration::from_secs(40);

/// Name, copies of the gate front, outputs, and whether copies differ in tiles as written; no outputs stands for all.
const CASES: &[(&str, usize, &[&str], bool)] = &[
    ("ffn_norm", 1, &["x_norm_1"], false),
    (
        "ffn_norm, x_norm_quant",
        1,
        &["x_norm_1", "x_norm_i8_1", "x_norm_scale_1"],
        false,
    ),
    ("ffn_norm, gate", 1, &["x_norm_1", "biased_pad_1"], false),
    ("gate front", 1, &[], false),
    ("2 gate fronts", 2, &[], false),
    ("4 gate fronts", 4, &[], false),
    ("8 gate fronts", 8, &[], false),
    ("16 gate fronts", 16, &[], false),
    ("32 gate fronts", 32, &[], false),
    ("43 gate fronts", 43, &[], false),
    ("2 distinct gate fronts", 2, &[], true),
    ("4 distinct gate fronts", 4, &[], true),
    ("8 distinct gate fronts", 8, &[], true),
];

const COLUMNS: [&str; 8] = [
    "layer",
    "kernels",
    "e-nodes",
    "classes",
    "saturate s",
    "extract s",
    "proofs s",
    "peak MB",
];

fn main() -> Result<()> {
    if let Ok(case) = std::env::var(CASE) {
        println!("{}", measure(case.parse()?)?);
        return Ok(());
    }
    println!("{}", head(&COLUMNS));
    for (index, (name, ..)) in CASES.iter().enumerate() {
        let start = Instant::now();
        let mut child = Command::new(std::env::current_exe()?)
            .env(CASE, index.to_string())
            .stdout(Stdio::inherit())
            .spawn()?;
        loop {
            match child.try_wait()? {
                Some(status) if status.success() => break,
                Some(status) => return Err(format!("{name}: {status}").into()),
                None if start.elapsed() > LIMIT => {
                    child.kill()?;
                    child.wait()?;
                    let mut cells = vec![format!("{name} (ended after {} s)", LIMIT.as_secs())];
                    cells.resize(COLUMNS.len(), String::new());
                    println!("{}", row(&cells));
                    break;
                }
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
    Ok(())
}

/// Searches a layer once; a row of the table.
fn measure(index: usize) -> Result<String> {
    let (name, copies, outputs, distinct) = CASES[index];
    let mut graph = copied(copies, distinct)?;
    if !outputs.is_empty() {
        let found = outputs
            .iter()
            .map(|n| graph.find(n).ok_or_else(|| format!("there is no `{n}`")));
        graph.outputs = found.collect::<std::result::Result<_, _>>()?;
    }
    let problem = problem::build(&prune(&decompose(&graph)?), &machine()?)?;
    let pins = Pins::default();
    let found = optimize(&problem, &machine()?, &SearchOptions::default(), &pins)?;
    let peak = peak_megabytes().map_or("-".into(), |mb| format!("{mb:.0}"));
    Ok(row(&[
        name.into(),
        problem.kernels.len().to_string(),
        found.search.nodes.to_string(),
        found.search.classes.to_string(),
        format!("{:.2}", found.search.seconds),
        format!("{:.2}", found.extract_seconds),
        format!("{:.2}", found.explain_seconds),
        peak,
    ]))
}

/// The gate front so many times in one graph: inputs, kernels and values of copy `i` end in `_i`, parameters are shared. Distinct
/// copies have tiles of their own as written.
fn copied(copies: usize, distinct: bool) -> Result<Graph> {
    let source = include_str!("../examples/dsv4_flash_gate.tw");
    let lines: Vec<&str> = source
        .lines()
        .map(|l| l.split("//").next().unwrap_or(l))
        .collect();
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for line in lines.iter().map(|l| l.trim()) {
        if let Some(rest) = line.strip_prefix("input ") {
            names.extend(rest.split(':').next().map(str::trim));
        } else if let Some(rest) = line.strip_prefix("kernel ") {
            names.extend(rest.split(' ').next());
        } else if let Some((left, right)) = line.split_once(" = ")
            && right.contains('(')
            && !line.starts_with("param ")
            && !line.starts_with("tile ")
        {
            names.extend(left.split(',').map(str::trim));
        }
    }
    let body = lines.iter().position(|l| l.trim().starts_with("input "));
    let body = body.ok_or("the layer has no inputs")?;
    let (mut text, mut outputs) = (lines[..body].join("\n"), vec![]);
    for copy in 1..=copies {
        for line in &lines[body..lines.len()] {
            let mut renamed = renamed(line, &names, copy);
            let tile = |first: usize, step: usize| (first << step).to_string();
            if distinct && renamed.contains("tile D_TILE = 128") {
                renamed = renamed.replace("128", &tile(16, copy % 6));
            } else if distinct && renamed.contains("tile QUANT_TILE = 32") {
                renamed = renamed.replace("32", &tile(32, copy / 6));
            }
            match renamed.trim().strip_prefix("output ") {
                Some(rest) => outputs.push(rest.to_string()),
                None if *line == "}" => {}
                None => text = format!("{text}\n{renamed}"),
            }
        }
    }
    let text = format!("{text}\n  output {}\n}}\n", outputs.join(", "));
    Ok(Layer::parse("copies.tw", text.as_bytes())?.graph(&IndexMap::new())?)
}

/// A line with the names of one copy. A word before `=` in parentheses is an argument's name and stays.
fn renamed(line: &str, names: &BTreeSet<&str>, copy: usize) -> String {
    let (mut out, mut depth, mut rest) = (String::new(), 0, line);
    while let Some(first) = rest.chars().next() {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let end = match word(first) {
            true => rest.find(|c| !word(c)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        let (token, after) = rest.split_at(end);
        out.push_str(token);
        let argument = depth > 0 && after.trim_start().starts_with('=');
        if names.contains(token) && !argument {
            out.push_str(&format!("_{copy}"));
        }
        match first {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        rest = after;
    }
    out
}

/// The most memory that this process has held, where the system tells (Linux).
fn peak_megabytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024.0 / 1e6)
}
