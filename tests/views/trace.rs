//! The trace, and what it is made from: what the simulator kept.

use crate::common::{GATE, SMALL, graph, options};
use crate::{Shown, shown};
use std::collections::BTreeMap;
use tilewright::compile::{compile, program};
use tilewright::detail::cycles;
use tilewright::form::Form;
use tilewright::trace::{Event, Phase, Trace, trace};
use tilewright_backends::sim;

/// Nanoseconds, which times of traces are whole numbers of.
fn ns(us: f64) -> i64 {
    (us * 1e3).round() as i64
}

fn slices(trace: &Trace) -> BTreeMap<(usize, usize), Vec<&Event>> {
    let mut tracks: BTreeMap<(usize, usize), Vec<&Event>> = BTreeMap::new();
    for event in trace.trace_events.iter().filter(|e| e.ph == Phase::Slice) {
        tracks
            .entry((event.pid, event.tid))
            .or_default()
            .push(event);
    }
    tracks
}

fn times(slice: &Event) -> (i64, i64) {
    let end = slice.ts + slice.dur.expect("a slice has a length");
    (ns(slice.ts), ns(end))
}

fn track_names(trace: &Trace) -> BTreeMap<(usize, usize), String> {
    let named = trace
        .trace_events
        .iter()
        .filter(|e| e.name == "thread_name");
    named
        .map(|e| {
            (
                (e.pid, e.tid),
                e.args["name"].as_str().expect("a name is text").to_owned(),
            )
        })
        .collect()
}

/// Slices of one track come one after the other, but for the launch within a kernel; arrows have two ends, in slices.
fn is_sound(trace: &Trace) {
    let names = track_names(trace);
    for (track, slices) in slices(trace) {
        assert!(names.contains_key(&track), "{track:?} has a name");
        let mut end = i64::MIN;
        for slice in slices.iter().filter(|s| s.cat != "launch") {
            let (start, stop) = times(slice);
            assert!(
                end <= start && start <= stop,
                "{}: {slice:?}",
                names[&track]
            );
            end = stop;
        }
    }
    let mut arrows: BTreeMap<usize, Vec<&Event>> = BTreeMap::new();
    for event in &trace.trace_events {
        match event.ph {
            Phase::ArrowStart | Phase::ArrowEnd => {
                let id = event.id.expect("an end of an arrow has its number");
                arrows.entry(id).or_default().push(event);
            }
            _ => assert_eq!(event.id, None),
        }
    }
    let all = slices(trace);
    for ends in arrows.values() {
        let [from, to] = ends.as_slice() else {
            panic!("two ends: {ends:?}")
        };
        assert_eq!((from.ph, to.ph), (Phase::ArrowStart, Phase::ArrowEnd));
        assert_eq!((&from.name, from.cat, from.pid), (&to.name, to.cat, to.pid));
        assert!(from.ts <= to.ts, "{ends:?}");
        for end in [from, to] {
            let inside = |s: &&&Event| (times(s).0..=times(s).1).contains(&ns(end.ts));
            assert!(
                all[&(end.pid, end.tid)].iter().any(|s| inside(&s)),
                "{end:?}"
            );
        }
    }
}

fn of(shown: &Shown) -> Trace {
    trace(&shown.outcome.report.graph, &shown.details)
}

#[test]
fn a_trace_of_one_rank_adds_up_to_what_was_simulated() {
    let shown = shown(GATE, &SMALL);
    let report = &shown.outcome.report;
    let trace = of(&shown);
    is_sound(&trace);
    let names = track_names(&trace);
    for (pid, form) in [(1, &report.optimized), (2, &report.written)] {
        let tracks = slices(&trace);
        let track = |name: &str| {
            names
                .iter()
                .find(|(t, n)| t.0 == pid && *n == name)
                .map(|(t, _)| *t)
        };
        let kernels = &tracks[&track("kernels").expect("kernels have a track")];
        let kernels: Vec<_> = kernels.iter().filter(|e| e.cat == "kernel").collect();
        let sum: i64 = kernels.iter().map(|k| times(k).1 - times(k).0).sum();
        assert!((sum - ns(form.us)).abs() <= 1, "{sum} {}", form.us);
        let told: Vec<_> = kernels.iter().map(|k| k.name.as_str()).collect();
        assert_eq!(
            told,
            form.kernels.iter().map(|k| &k.name).collect::<Vec<_>>()
        );
        let instructions = trace
            .trace_events
            .iter()
            .filter(|e| e.pid == pid && e.cat == "instruction");
        assert!(instructions.count() > 10);
        let last = trace
            .trace_events
            .iter()
            .rfind(|e| e.pid == pid && e.ph == Phase::Counter);
        assert_eq!(last.map(|e| &e.args["GB/s"]), Some(&serde_json::json!(0.0)));
    }
    let arrows = trace
        .trace_events
        .iter()
        .filter(|e| e.ph == Phase::ArrowEnd)
        .count();
    assert!(arrows > 10, "{arrows} flags");
}

/// What is kept of the slowest block is what the report says of it, pipe by pipe.
#[test]
fn records_are_of_the_times_that_are_told() {
    for (name, sizes) in [
        (GATE, &SMALL[..]),
        ("dsv4_shared_expert", &[("D", 512), ("MOE_INTER", 256)]),
    ] {
        let graph = graph(name, sizes);
        for form in Form::ALL {
            let compiled = compile(&graph, form, &options()).expect("it compiles");
            let program = program(&compiled).expect("it is a program");
            let machine = options().machine;
            let how = sim::Options {
                record: true,
                ..sim::Options::default()
            };
            let mut watched = sim::time_with(program, &machine, &how).expect("it is timed");
            for kernel in &mut watched.kernels {
                let record = kernel.record.take().expect("it was asked for");
                assert_eq!(record.block, kernel.slowest_block);
                assert_eq!(record.blocks.len(), kernel.blocks);
                assert!((cycles(&record) - kernel.block_cycles).abs() < 1e-6 * kernel.block_cycles);
                let mut busy: BTreeMap<_, f64> = BTreeMap::new();
                for run in &record.runs {
                    *busy.entry(run.lane).or_default() += run.cycles;
                }
                for (pipe, cycles) in &kernel.pipes {
                    let lanes = busy.iter().filter(|(lane, _)| lane.pipe == *pipe);
                    let most = lanes.map(|(_, c)| *c).fold(0.0, f64::max);
                    assert!(
                        (most - cycles).abs() <= 1e-6 * cycles,
                        "{} {pipe:?}",
                        kernel.name
                    );
                }
                let last = record.blocks.iter().map(|b| b.end_us).fold(0.0, f64::max);
                assert!(last <= kernel.us + 1e-9);
            }
            let plain = sim::time(program, &machine).expect("it is timed");
            assert_eq!(
                plain, watched,
                "keeping changes nothing, and is off unless asked for"
            );
        }
    }
}

#[test]
fn ranks_are_processes() {
    let shown = shown("dsv4_flash_moe", &[]);
    let trace = of(&shown);
    is_sound(&trace);
    let ranks = shown.details.forms.optimized.ranks;
    let processes: Vec<&str> = trace
        .trace_events
        .iter()
        .filter(|e| e.name == "process_name")
        .filter_map(|e| e.args["name"].as_str())
        .collect();
    assert_eq!(processes.len(), 2 * ranks);
    assert_eq!(processes[0], "as optimized, rank 0");
    let form = &shown.details.forms.optimized;
    let told = shown.outcome.report.ranks.as_ref().map(|r| r.optimized.us);
    assert_eq!(told, Some(form.us));
    let critical = trace
        .trace_events
        .iter()
        .filter(|e| e.cat == "critical" && e.pid <= ranks);
    let sum: i64 = critical.map(|e| times(e).1 - times(e).0).sum();
    assert!(
        (sum - ns(form.us)).abs() <= form.critical.len() as i64,
        "{sum} {}",
        form.us
    );
    let mixed = form
        .timeline
        .iter()
        .any(|k| k.unit == tilewright_ir::kernel::Unit::Mixed);
    assert!(
        mixed,
        "a block on a cube core and its vector cores is among them"
    );
}
