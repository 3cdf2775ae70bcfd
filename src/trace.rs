//! Runs as traces for Perfetto: [`trace`] makes one of details, in the trace event format of Chrome.
//!
//! A process is a form on a rank. Its tracks are the launches of kernels, the critical path, the cores with their blocks, and the
//! pipes of cores whose blocks are recorded, with a slice an instruction. Flags are flow arrows from the instruction after which they
//! are set to the first one that waited for them; a flag before the first instruction of its pipe, or after the last, has none. A
//! counter has what kernels move from and to global memory.
//!
//! Times are whole nanoseconds, so that neighbours meet and text is the same everywhere. Instructions are those of the slowest
//! block of each kernel as it would be alone on the machine: where it shares bandwidth, or waits for another rank, its slice on the
//! core is longer.

use crate::detail::{Details, FormDetails, KernelDetails, ends, rows};
use crate::form::Form;
use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tilewright_backends::sim::{BlockSpan, KernelSpan, Lane, Record};
use tilewright_ir::kernel::{Pipe, Unit};

/// A trace: what Perfetto reads is this value in JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trace {
    /// All events, in the order of time.
    pub trace_events: Vec<Event>,
    /// The unit that Perfetto shows: `ns`.
    pub display_time_unit: &'static str,
    /// What the trace is of.
    pub other_data: Map<String, Value>,
}

/// An event of a trace.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// What is shown on the slice.
    pub name: String,
    /// What can be filtered by.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub cat: &'static str,
    /// What kind of event it is.
    pub ph: Phase,
    /// Microseconds.
    pub ts: f64,
    /// How long it takes, in us.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dur: Option<f64>,
    /// The process: a rank in one form.
    pub pid: usize,
    /// The thread: a core or a pipe.
    pub tid: usize,
    /// Of both ends of an arrow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<usize>,
    /// `e`: an arrow comes to the slice that lies around its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bp: Option<&'static str>,
    /// What is shown beside it.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub args: Map<String, Value>,
}

/// What an event is, in the order in which events of one time are written: a slice is there before an arrow that comes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Phase {
    /// Names a process or thread.
    #[serde(rename = "M")]
    Name,
    /// Something that takes time.
    #[serde(rename = "X")]
    Slice,
    /// Where an arrow begins.
    #[serde(rename = "s")]
    ArrowStart,
    /// Where an arrow ends.
    #[serde(rename = "f")]
    ArrowEnd,
    /// A number over time.
    #[serde(rename = "C")]
    Counter,
}

/// Both forms of a layer; `name` is the layer's.
pub fn trace(name: &str, details: &Details) -> Trace {
    let mut events = vec![];
    let mut arrows = 0;
    for form in [Form::Optimized, Form::Written] {
        let f = details.forms.get(form);
        for rank in 0..f.ranks {
            let first = match form {
                Form::Optimized => 1,
                Form::Written => 1 + details.forms.optimized.ranks,
            };
            let mut process = Process {
                pid: first + rank,
                rank,
                clock: details.clock_mhz,
                vectors: details.vectors_a_cube,
                arrows: &mut arrows,
                tracks: IndexMap::new(),
                events: vec![],
            };
            process.all(f);
            events.extend(process.finish(form, f));
        }
    }
    let form = |f: &FormDetails| json!({ "us": f.us, "with_data": f.with_data, "ranks": f.ranks });
    let other = [
        ("layer", json!(name)),
        ("clock_mhz", json!(details.clock_mhz)),
        ("optimized", form(&details.forms.optimized)),
        ("written", form(&details.forms.written)),
    ];
    Trace {
        trace_events: events,
        display_time_unit: "ns",
        other_data: args(other),
    }
}

fn args<const N: usize>(of: [(&str, Value); N]) -> Map<String, Value> {
    of.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
}

/// A track, in the order in which tracks are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Track {
    /// Kernels, and more of them where kernels run side by side.
    Kernels(usize),
    Critical,
    /// A cube core, and after it each of its pipes.
    Cube(usize, Option<Pipe>),
    Vector(usize, Option<Pipe>),
}

impl Track {
    fn name(self) -> String {
        match self {
            Track::Kernels(0) => "kernels".into(),
            Track::Kernels(n) => format!("kernels, {}", n + 1),
            Track::Critical => "critical path".into(),
            Track::Cube(core, None) => format!("cube {core}"),
            Track::Cube(core, Some(pipe)) => format!("cube {core} {}", pipe.name()),
            Track::Vector(core, None) => format!("vector {core}"),
            Track::Vector(core, Some(pipe)) => format!("vector {core} {}", pipe.name()),
        }
    }
}

/// A form on a rank.
struct Process<'t> {
    pid: usize,
    rank: usize,
    clock: f64,
    /// Vector cores of a cube core.
    vectors: usize,
    /// Arrows of the whole trace so far.
    arrows: &'t mut usize,
    /// Numbers of tracks, in the order of their first event.
    tracks: IndexMap<Track, ()>,
    events: Vec<(Track, i64, Event)>,
}

/// A time in nanoseconds.
fn ns(us: f64) -> i64 {
    (us * 1e3).round() as i64
}

fn us(ns: i64) -> f64 {
    ns as f64 / 1e3
}

impl Process<'_> {
    fn all(&mut self, f: &FormDetails) {
        let spans: Vec<&KernelSpan> = f.timeline.iter().filter(|k| k.rank == self.rank).collect();
        self.kernels(f, &spans);
        let rank = self.rank;
        for step in f.critical.iter().filter(|s| s.rank == rank) {
            let block = args([
                ("block", json!(step.block)),
                ("because", json!(step.because)),
            ]);
            self.slice(
                Track::Critical,
                (&step.kernel, "critical"),
                (ns(step.start_us), ns(step.end_us)),
                block,
            );
        }
        // Instructions are of the last run of the layer.
        let last = spans.iter().map(|k| k.epoch).max().unwrap_or(1);
        for (i, span) in spans.iter().enumerate() {
            for (b, block) in span.blocks.iter().enumerate() {
                self.block(span, b, block);
            }
            let kernel = f.kernels.get(i % f.kernels.len().max(1));
            let record = kernel.and_then(|k| k.records.get(self.rank));
            if let Some(record) = record.filter(|_| span.epoch == last)
                && let Some(block) = span.blocks.get(record.block)
            {
                self.record(span, block, record);
            }
        }
        self.bandwidth(f, &spans);
    }

    /// Kernels from their launch to their end.
    fn kernels(&mut self, f: &FormDetails, spans: &[&KernelSpan]) {
        for (i, (span, row)) in spans.iter().zip(rows(spans)).enumerate() {
            let (start, begin, end) = (ns(span.start_us), ns(span.begin_us), ns(span.end_us));
            let kernel = f.kernels.get(i % f.kernels.len().max(1));
            let bytes = kernel.and_then(|k| k.gm_bytes.get(self.rank));
            let about = args([
                ("unit", json!(span.unit)),
                ("blocks", json!(span.blocks.len())),
                ("run of the layer", json!(span.epoch)),
                ("global memory bytes", json!(bytes)),
                ("longest wait us", json!(us(ns(span.waited_us)))),
            ]);
            let track = Track::Kernels(row);
            self.slice(track, (&span.kernel, "kernel"), (start, end), about);
            self.slice(
                track,
                ("launch", "launch"),
                (start, begin.min(end)),
                Map::new(),
            );
        }
    }

    fn block(&mut self, span: &KernelSpan, number: usize, block: &BlockSpan) {
        let tracks = match span.unit {
            Unit::Cube => vec![Track::Cube(block.core, None)],
            Unit::Vector => vec![Track::Vector(block.core, None)],
            Unit::Mixed => {
                let vectors = block.core * self.vectors..(block.core + 1) * self.vectors;
                [Track::Cube(block.core, None)]
                    .into_iter()
                    .chain(vectors.map(|core| Track::Vector(core, None)))
                    .collect()
            }
        };
        for track in tracks {
            let about = args([
                ("block", json!(number)),
                ("waited us", json!(us(ns(block.waited_us)))),
            ]);
            let time = (ns(block.start_us), ns(block.end_us));
            self.slice(track, (&span.kernel, "block"), time, about);
        }
    }

    fn record(&mut self, span: &KernelSpan, block: &BlockSpan, record: &Record) {
        let (clock, vectors) = (self.clock, self.vectors);
        let time = |cycles: f64| ns(block.start_us + cycles / clock);
        let tracks = |lane: Lane| pipe_track(span.unit, block.core, lane, vectors);
        let mut slices = vec![];
        for run in &record.runs {
            let statement = &record.statements[run.step];
            let about = args([
                ("kernel", json!(span.kernel)),
                ("block", json!(record.block)),
                ("statement", json!(statement.path)),
                ("cycles", json!(us(ns(run.cycles)))),
                ("global memory bytes", json!(run.gm_bytes)),
            ]);
            let times = (time(run.start), time(run.end()));
            slices.push((tracks(run.lane), statement.text.clone(), times, about));
        }
        for (track, name, times, about) in slices {
            self.slice(track, (&name, "instruction"), times, about);
        }
        for flag in &record.flags {
            let Some((before, after)) = ends(record, flag) else {
                continue;
            };
            *self.arrows += 1;
            let name = &record.statements[flag.step].text;
            // Both ends lie within their slices.
            let start = (time(before.end()) - 1).max(time(before.start));
            self.arrow(name, Phase::ArrowStart, (tracks(before.lane), start));
            self.arrow(
                name,
                Phase::ArrowEnd,
                (tracks(after.lane), time(after.start)),
            );
        }
    }

    /// What kernels move, spread evenly from the start of their blocks to their end.
    fn bandwidth(&mut self, f: &FormDetails, spans: &[&KernelSpan]) {
        let bytes = |i: usize| -> f64 {
            let kernel: Option<&KernelDetails> = f.kernels.get(i % f.kernels.len().max(1));
            let bytes = kernel.and_then(|k| k.gm_bytes.get(self.rank));
            bytes.map_or(0.0, |b| *b as f64)
        };
        let time = |k: &KernelSpan| (ns(k.begin_us), ns(k.end_us));
        let moved: Vec<((i64, i64), f64)> = spans
            .iter()
            .enumerate()
            .map(|(i, k)| (time(k), bytes(i)))
            .filter(|((begin, end), bytes)| begin < end && *bytes > 0.0)
            .collect();
        let mut times: Vec<i64> = moved.iter().flat_map(|((b, e), _)| [*b, *e]).collect();
        times.sort_unstable();
        times.dedup();
        for at in times {
            let now = moved.iter().filter(|((b, e), _)| (*b..*e).contains(&at));
            // Bytes a nanosecond are gigabytes a second.
            let rate: f64 = now.map(|((b, e), bytes)| bytes / (e - b) as f64).sum();
            let event = Event {
                args: args([("GB/s", json!((rate * 1e3).round() / 1e3))]),
                ..self.event("global memory", Phase::Counter, at)
            };
            self.events.push((Track::Kernels(0), at, event));
        }
    }

    fn event(&self, name: &str, ph: Phase, at: i64) -> Event {
        Event {
            name: name.to_owned(),
            cat: "",
            ph,
            ts: us(at),
            dur: None,
            pid: self.pid,
            tid: 0,
            id: None,
            bp: None,
            args: Map::new(),
        }
    }

    fn slice(
        &mut self,
        track: Track,
        (name, cat): (&str, &'static str),
        (start, end): (i64, i64),
        args: Map<String, Value>,
    ) {
        let event = Event {
            cat,
            dur: Some(us(end - start)),
            args,
            ..self.event(name, Phase::Slice, start)
        };
        self.tracks.entry(track).or_default();
        self.events.push((track, start, event));
    }

    fn arrow(&mut self, name: &str, ph: Phase, (track, at): (Track, i64)) {
        let event = Event {
            cat: "flag",
            id: Some(*self.arrows),
            bp: (ph == Phase::ArrowEnd).then_some("e"),
            ..self.event(name, ph, at)
        };
        self.tracks.entry(track).or_default();
        self.events.push((track, at, event));
    }

    /// Names of the process and its tracks, and all events in the order of time.
    fn finish(mut self, form: Form, f: &FormDetails) -> Vec<Event> {
        self.tracks.sort_keys();
        let process = match f.ranks {
            1 => form.phrase().to_owned(),
            _ => format!("{}, rank {}", form.phrase(), self.rank),
        };
        let name = |event: &str, tid: usize, key: &str, value: Value| Event {
            tid,
            args: args([(key, value)]),
            ..self.event(event, Phase::Name, 0)
        };
        let mut all = vec![
            name("process_name", 0, "name", json!(process)),
            name("process_sort_index", 0, "sort_index", json!(self.pid)),
        ];
        for (i, track) in self.tracks.keys().enumerate() {
            all.push(name("thread_name", i + 1, "name", json!(track.name())));
            all.push(name("thread_sort_index", i + 1, "sort_index", json!(i)));
        }
        // A slice comes before those within it, which are pushed after it.
        self.events.sort_by_key(|(_, at, event)| (*at, event.ph));
        let numbered = self.events.into_iter().map(|(track, _, event)| Event {
            tid: self.tracks.get_index_of(&track).map_or(0, |i| i + 1),
            ..event
        });
        all.extend(numbered);
        all
    }
}

/// The track of a pipe of a block on a core.
fn pipe_track(unit: Unit, core: usize, lane: Lane, vectors: usize) -> Track {
    match (unit, lane.core) {
        (Unit::Cube, _) | (Unit::Mixed, 0) => Track::Cube(core, Some(lane.pipe)),
        (Unit::Vector, _) => Track::Vector(core, Some(lane.pipe)),
        (Unit::Mixed, n) => Track::Vector(core * vectors + usize::from(n) - 1, Some(lane.pipe)),
    }
}
