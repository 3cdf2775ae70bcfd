//! Kernels and pipes in time as text, a row each, over the columns of a terminal.

use crate::axis::{tick, ticks};
use crate::detail::{FormDetails, KernelDetails, cycles};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use tilewright_backends::sim::{KernelSpan, Lane, Record};
use tilewright_ir::kernel::Unit;

/// The fewest columns of a drawing.
const LEAST: usize = 16;
/// Characters of names at most.
const NAME: usize = 28;

/// How full a column is.
const SHADES: [char; 5] = [' ', '░', '▒', '▓', '█'];
const LAUNCH: char = '·';

/// All kernels, or one of them: when it runs, and what the pipes of its slowest block do.
pub fn text(f: &FormDetails, clock_mhz: f64, kernel: Option<&str>, width: usize) -> String {
    let mut s = String::new();
    let wanted = |name: &str| kernel.is_none_or(|k| k == name);
    if kernel.is_none() {
        let data = match f.with_data {
            true => "",
            false => ", simulated without data",
        };
        let head = format!("{}: {:.2} us{data}", f.form.phrase(), f.us);
        let _ = writeln!(s, "{}\n", cut(&head, width));
        timeline(&mut s, f, width);
    }
    for k in f.kernels.iter().filter(|k| wanted(&k.name)) {
        let unit = f
            .timeline
            .iter()
            .find(|t| t.kernel == k.name)
            .map(|t| t.unit);
        if let (Some((rank, record)), Some(unit)) = (k.slowest(), unit) {
            block(&mut s, (f, k), (rank, unit, record), clock_mhz, width);
        }
    }
    s
}

/// Columns of names and of the drawing, which has at least half of them.
fn columns(names: usize, width: usize) -> (usize, usize) {
    let name = names.clamp(4, NAME).min(width / 2);
    (name, width.saturating_sub(name + 2).max(LEAST))
}

/// At most so many characters.
fn cut(text: &str, most: usize) -> String {
    match text.chars().count() > most {
        true => text.chars().take(most - 1).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

fn row(s: &mut String, name: &str, names: usize, drawn: &str) {
    let line = format!("{:names$}  {drawn}", cut(name, names));
    let _ = writeln!(s, "{}", line.trim_end());
}

/// Kernels of all ranks, from launch to end; cores that are busy show as shades.
fn timeline(s: &mut String, f: &FormDetails, width: usize) {
    let ranks = f.timeline.iter().map(|k| k.rank + 1).max().unwrap_or(0);
    let name = |k: &KernelSpan| match ranks {
        0 | 1 => k.kernel.clone(),
        _ => format!("{} {}", k.rank, k.kernel),
    };
    let longest = f.timeline.iter().map(|k| name(k).chars().count()).max();
    let (names, columns) = columns(longest.unwrap_or(0), width);
    row(s, "us", names, &axis(f.us, columns));
    for k in &f.timeline {
        let mut line: Vec<char> = spans(&[(k.start_us, k.begin_us)], f.us, columns)
            .iter()
            .map(|share| if *share > 0.0 { LAUNCH } else { ' ' })
            .collect();
        let cores = cores(f, k.unit).max(1) as f64;
        let blocks: Vec<(f64, f64)> = k.blocks.iter().map(|b| (b.start_us, b.end_us)).collect();
        // Whatever runs at all is seen.
        for (c, share) in line.iter_mut().zip(spans(&blocks, f.us, columns)) {
            if share > 0.0 {
                *c = shade(share / cores);
            }
        }
        row(s, &name(k), names, &line.into_iter().collect::<String>());
    }
}

/// Cores of a type that any kernel uses.
fn cores(f: &FormDetails, unit: Unit) -> usize {
    let of = f.timeline.iter().filter(|k| k.unit == unit);
    of.flat_map(|k| &k.blocks)
        .map(|b| b.core + 1)
        .max()
        .unwrap_or(0)
}

/// What the pipes of a kernel's slowest block do.
fn block(
    s: &mut String,
    (f, k): (&FormDetails, &KernelDetails),
    (rank, unit, record): (usize, Unit, &Record),
    clock_mhz: f64,
    width: usize,
) {
    let end = cycles(record);
    let of_rank = match f.ranks {
        1 => String::new(),
        _ => format!(" of rank {rank}"),
    };
    let head = format!(
        "{}, block {}{of_rank}: {end:.0} cycles, {:.2} us",
        k.name,
        record.block,
        end / clock_mhz
    );
    let _ = writeln!(s, "\n{}", cut(&head, width.max(LEAST)));
    let mut lanes: BTreeMap<Lane, Vec<(f64, f64)>> = BTreeMap::new();
    for run in &record.runs {
        lanes
            .entry(run.lane)
            .or_default()
            .push((run.start, run.end()));
    }
    let name = |lane: &Lane| match (unit, lane.core) {
        (Unit::Mixed, 0) => format!("  cube {}", lane.pipe.name()),
        (Unit::Mixed, n) => format!("  vector {} {}", n - 1, lane.pipe.name()),
        _ => format!("  {}", lane.pipe.name()),
    };
    let longest = lanes.keys().map(|l| name(l).chars().count()).max();
    let (names, columns) = columns(longest.unwrap_or(0) + 5, width);
    row(s, "  cycles", names, &axis(end, columns));
    for (lane, runs) in &lanes {
        let busy: f64 = runs.iter().map(|r| r.1 - r.0).sum();
        let label = format!("{} {:.0}%", name(lane), 100.0 * busy / end.max(1e-9));
        let line: String = spans(runs, end, columns).into_iter().map(shade).collect();
        row(s, &label, names, &line);
    }
}

/// Of each column, how much of it is covered; more than 1 where several spans are at a time.
fn spans(of: &[(f64, f64)], end: f64, columns: usize) -> Vec<f64> {
    let mut covered = vec![0.0; columns];
    if end <= 0.0 {
        return covered;
    }
    let scale = columns as f64 / end;
    for (start, stop) in of {
        let (start, stop) = ((start * scale).max(0.0), (stop * scale).min(columns as f64));
        let mut at = start as usize;
        while at < columns && (at as f64) < stop {
            let (left, right) = (at as f64, (at + 1) as f64);
            covered[at] += stop.min(right) - start.max(left);
            at += 1;
        }
    }
    covered
}

/// Whatever is more than nothing shows.
fn shade(share: f64) -> char {
    match share {
        s if s <= 1e-9 => SHADES[0],
        s => SHADES[((s * 4.0).round() as usize).clamp(1, 4)],
    }
}

/// Round numbers above the columns where they are.
fn axis(end: f64, columns: usize) -> String {
    let mut line: Vec<char> = vec![' '; columns];
    let mut free = 0;
    for t in ticks(end, columns.div_ceil(12)) {
        let text = tick(t);
        let at = match end > 0.0 {
            true => (t / end * columns as f64) as usize,
            false => 0,
        };
        if at >= free && at + text.len() <= columns {
            line.splice(at..at + text.len(), text.chars());
            free = at + text.len() + 1;
        }
    }
    line.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_full_as_what_runs_in_them() {
        assert_eq!(
            spans(&[(0.0, 1.0), (1.5, 2.0)], 4.0, 4),
            [1.0, 0.5, 0.0, 0.0]
        );
        assert_eq!(spans(&[(0.0, 4.0), (2.0, 4.0)], 4.0, 2), [1.0, 2.0]);
        assert_eq!(spans(&[(0.0, 4.0)], 0.0, 3), [0.0; 3]);
        let shades: String = [0.0, 0.01, 0.5, 0.8, 1.0, 9.0].map(shade).iter().collect();
        assert_eq!(shades, " ░▒▓██");
    }

    #[test]
    fn the_axis_has_its_columns() {
        let line = axis(10.0, 40);
        assert_eq!(line.chars().count(), 40);
        assert_eq!(line.trim_end(), "0                   5");
        assert_eq!(axis(0.0, 16).trim_end(), "0");
    }
}
