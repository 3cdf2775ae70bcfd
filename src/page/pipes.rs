//! What each pipe of a representative block does when.

use super::View;
use super::kernels::Kernel;
use super::parts::{at, figure, percent};
use crate::axis::{tick, ticks};
use crate::detail::{cycles, ends};
use maud::{Markup, html};
use std::collections::BTreeMap;
use tilewright_backends::sim::{Lane, PipeSpan, Record};
use tilewright_ir::kernel::Unit;

const LEFT: f64 = 78.0;
const WIDTH: f64 = 436.0;
const LANE: f64 = 20.0;
const BAR: f64 = 14.0;
/// Instructions nearer to each other than this, in the drawing, are one bar where a pipe runs many.
const NEAR: f64 = 0.6;
/// Flags are drawn where there are no more than these.
const FLAGS: usize = 160;

/// Consecutive instructions of a pipe that are drawn as one.
struct Bar<'a> {
    start: f64,
    end: f64,
    busy: f64,
    runs: Vec<&'a PipeSpan>,
}

pub fn view(v: &View, k: &Kernel) -> Markup {
    let Some((rank, record)) = k.details.slowest() else {
        return html! { p.hint { "Not simulated, so nothing is known of its pipes." } };
    };
    let details = v.details.forms.get(k.form);
    let whose = match (details.ranks, record.grid.is_empty()) {
        (..=1, true) => format!("Block {}", record.block),
        (..=1, false) => format!("Block {} ({})", record.block, record.grid.join(", ")),
        _ => format!("Block {} of rank {rank}", record.block),
    };
    let data = match details.with_data {
        true => "",
        false => ", without data",
    };
    let end = cycles(record);
    let us = end / v.details.clock_mhz;
    let note =
        format!("{whose}, the slowest: {end:.0} cycles, {us:.2} µs alone on the machine{data}");
    let label = format!("Pipes of {}", k.report.name);
    html! {
        (figure(&label, &draw(&label, k.report.unit, record, end), &note))
        (busy(k.report.unit, record, end))
    }
}

fn lanes(record: &Record) -> BTreeMap<Lane, Vec<&PipeSpan>> {
    let mut lanes: BTreeMap<Lane, Vec<&PipeSpan>> = BTreeMap::new();
    for run in &record.runs {
        lanes.entry(run.lane).or_default().push(run);
    }
    lanes
}

/// A lane's name; of a mixed kernel with the core.
fn lane_name(unit: Unit, lane: Lane) -> String {
    let pipe = lane.pipe.name();
    match (unit, lane.core) {
        (Unit::Mixed, 0) => format!("cube {pipe}"),
        (Unit::Mixed, n) => format!("vec {} {pipe}", n - 1),
        _ => pipe.to_owned(),
    }
}

/// Instructions as bars: one each, unless they are too near to each other to be told apart.
fn bars<'a>(runs: &[&'a PipeSpan], scale: f64) -> Vec<Bar<'a>> {
    let mut bars: Vec<Bar> = vec![];
    for run in runs {
        match bars.last_mut() {
            Some(bar)
                if (run.start - bar.end) * scale < NEAR
                    && (run.end() - bar.start) * scale < 3.0 =>
            {
                bar.end = run.end();
                bar.busy += run.cycles;
                bar.runs.push(run);
            }
            _ => bars.push(Bar {
                start: run.start,
                end: run.end(),
                busy: run.cycles,
                runs: vec![run],
            }),
        }
    }
    bars
}

fn draw(label: &str, unit: Unit, record: &Record, end: f64) -> Markup {
    let lanes = lanes(record);
    let scale = WIDTH / end.max(1e-9);
    let x = |cycles: f64| LEFT + cycles * scale;
    let row = |lane: Lane| lanes.keys().position(|l| *l == lane).unwrap_or(0) as f64;
    let height = LANE * lanes.len() as f64;
    html! {
        svg.chart viewBox={ "0 0 " (at(LEFT + WIDTH + 18.0)) " " (at(height + 20.0)) } role="img" aria-label=(label) {
            @for tick_at in ticks(end, 5) {
                line.grid x1=(at(x(tick_at))) x2=(at(x(tick_at))) y1="0" y2=(at(height)) {}
                text.tick x=(at(x(tick_at))) y=(at(height + 14.0)) { (tick(tick_at)) }
            }
            @for (i, (lane, runs)) in lanes.iter().enumerate() {
                text.lane x=(at(LEFT - 6.0)) y=(at(LANE * i as f64 + 14.0)) { (lane_name(unit, *lane)) }
                @for bar in bars(runs, scale) {
                    rect.{ "p" (lane.pipe.name()) } data-say="" x=(at(x(bar.start))) y=(at(LANE * i as f64 + 3.0))
                        width=(at(((bar.end - bar.start) * scale).max(0.4))) height=(BAR) { title { (title(record, &bar)) } }
                }
            }
            @if record.flags.len() <= FLAGS {
                @for (from, to) in record.flags.iter().filter_map(|f| ends(record, f)).filter(|(a, b)| a.lane != b.lane) {
                    path.flag d={ "M" (at(x(from.end()))) " " (at(LANE * row(from.lane) + LANE / 2.0))
                        "L" (at(x(to.start))) " " (at(LANE * row(to.lane) + LANE / 2.0)) } {}
                }
            }
        }
    }
}

fn title(record: &Record, bar: &Bar) -> String {
    let span = format!("cycles {:.0} to {:.0}", bar.start, bar.end);
    match bar.runs.as_slice() {
        [run] => {
            let what = record.statements.get(run.step).map_or("", |s| &s.text);
            format!("{what}: {span}, {:.0} cycles", run.cycles)
        }
        runs => format!(
            "{} instructions: {span}, busy for {:.0}",
            runs.len(),
            bar.busy
        ),
    }
}

/// Shares of the block's time in which pipes are busy.
fn busy(unit: Unit, record: &Record, end: f64) -> Markup {
    html! {
        p.legend {
            @for (lane, runs) in lanes(record) {
                span { i.{ "p" (lane.pipe.name()) } {} (lane_name(unit, lane)) " "
                    (percent(runs.iter().map(|r| r.cycles).sum::<f64>() / end.max(1e-9))) } " "
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tilewright_ir::kernel::Pipe;

    #[test]
    fn what_is_too_small_to_see_is_one_bar_and_nothing_is_lost() {
        let run = |start: f64, cycles: f64| PipeSpan {
            lane: Lane {
                core: 0,
                pipe: Pipe::V,
            },
            step: 0,
            start,
            cycles,
            gm_bytes: 0,
        };
        let runs = [run(0.0, 1.0), run(1.0, 1.0), run(2.0, 50.0), run(60.0, 1.0)];
        let all: Vec<&PipeSpan> = runs.iter().collect();
        let counts =
            |scale: f64| -> Vec<usize> { bars(&all, scale).iter().map(|b| b.runs.len()).collect() };
        assert_eq!(counts(1.0), [2, 1, 1]);
        assert_eq!(counts(10.0), [1, 1, 1, 1]);
        assert_eq!(counts(0.01), [4]);
        let busy: f64 = bars(&all, 1.0).iter().map(|b| b.busy).sum();
        assert_eq!(busy, 53.0);
    }
}
