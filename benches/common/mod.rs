//! What the benchmarks share: the gate front at some sizes, times, and tables in markdown.

use indexmap::IndexMap;
use std::time::{Duration, Instant};
use tilewright::layer::Layer;
use tilewright_ir::graph::Graph;
use tilewright_ir::machine::{DEFAULT_MACHINE, Machine};

/// The result of a benchmark.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// How often a case is measured; the tables show the least time, which other work on the machine disturbs least.
const RUNS: usize = 5;

/// A run is at least so long.
const SHORTEST: Duration = Duration::from_millis(200);

/// `examples/dsv4_flash_gate.tw` with these params.
pub fn gate(settings: &[(&str, i64)]) -> Result<Graph> {
    let source = include_bytes!("../../examples/dsv4_flash_gate.tw");
    let layer = Layer::parse("dsv4_flash_gate.tw", source)?;
    let settings: IndexMap<String, i64> =
        settings.iter().map(|(n, v)| (n.to_string(), *v)).collect();
    Ok(layer.graph(&settings)?)
}

/// The machine that everything is measured for.
pub fn machine() -> Result<Machine> {
    Ok(Machine::builtin(DEFAULT_MACHINE)?)
}

/// The result of `work`, and the least of the seconds that it takes in several runs.
pub fn timed<T>(mut work: impl FnMut() -> Result<T>) -> Result<(T, f64)> {
    let mut least = f64::INFINITY;
    let mut last = None;
    for _ in 0..RUNS {
        let wall = Instant::now();
        let cpu = cpu_seconds();
        let mut turns = 0.0;
        // The system counts in ticks, so short work is done many times.
        while turns == 0.0 || wall.elapsed() < SHORTEST {
            last = Some(work()?);
            turns += 1.0;
        }
        let seconds = match (cpu, cpu_seconds()) {
            (Some(before), Some(after)) => after - before,
            _ => wall.elapsed().as_secs_f64(),
        };
        least = least.min(seconds / turns);
    }
    Ok((last.ok_or("nothing was measured")?, least))
}

/// Seconds that this thread has run on a core, where the system tells (Linux): what is measured uses one thread, and waits for
/// nobody but other programs.
fn cpu_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds: f64 = text.split_whitespace().next()?.parse().ok()?;
    Some(nanoseconds / 1e9)
}

/// A row of a markdown table.
pub fn row(cells: &[String]) -> String {
    format!("| {} |", cells.join(" | "))
}

/// The head of a markdown table; numbers stand right.
pub fn head(columns: &[&str]) -> String {
    let names: Vec<String> = columns.iter().map(|c| c.to_string()).collect();
    let rules: Vec<&str> = (0..columns.len())
        .map(|i| if i == 0 { "---" } else { "---:" })
        .collect();
    format!("{}\n|{}|", row(&names), rules.join("|"))
}
