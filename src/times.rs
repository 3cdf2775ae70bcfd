//! Where the time of a command goes: a subscriber that adds up the spans of `tracing`.
//!
//! Spans of one name under one parent are one [`Times`], so that the tree stays small however many there are. A span is named for
//! its step; where that is known at run time only, a field `step` has it. Work that somebody else timed is an event with
//! the fields `step`, `seconds` and `calls`. Parts never exceed their whole, and what they leave is
//! [`Times::unattributed`]; a part on another thread than its parent's runs beside others, and the parent says so.

use serde::Serialize;
use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// A step, with all that was done under its name in one place.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Times {
    pub step: String,
    pub seconds: f64,
    /// How often it was done.
    pub calls: usize,
    /// Whether the parts ran at the same time, so that their seconds may add up to more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub side_by_side: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Times>,
}

impl Times {
    /// Seconds that are no part's; 0 without parts.
    pub fn unattributed(&self) -> f64 {
        let parts = self.parts.iter().map(|p| p.seconds);
        match (self.parts.is_empty(), self.side_by_side) {
            (true, _) => 0.0,
            (false, false) => self.seconds - parts.sum::<f64>(),
            (false, true) => self.seconds - parts.fold(0.0, f64::max),
        }
    }

    /// The part of this name.
    pub fn part(&self, step: &str) -> Option<&Times> {
        self.parts.iter().find(|p| p.step == step)
    }
}

/// A step so far; its place among all of them is the number of its spans.
#[derive(Debug, Default)]
struct Node {
    step: String,
    seconds: f64,
    calls: usize,
    side_by_side: bool,
    parts: Vec<usize>,
}

/// The whole, which is no span.
const ROOT: usize = 0;

/// A span that this thread is in.
struct Open {
    node: usize,
    start: Instant,
}

thread_local! {
    static OPEN: RefCell<Vec<Open>> = const { RefCell::new(vec![]) };
}

/// Adds up spans; clones share what they hear.
#[derive(Debug, Clone)]
pub struct Recorder {
    start: Instant,
    nodes: Arc<Mutex<Vec<Node>>>,
}

impl Recorder {
    /// Of what is called `step` as a whole, which began at `start`.
    pub fn new(step: &str, start: Instant) -> Self {
        let root = Node {
            step: step.to_owned(),
            calls: 1,
            ..Node::default()
        };
        Recorder {
            start,
            nodes: Arc::new(Mutex::new(vec![root])),
        }
    }

    /// As [`Recorder::new`], and hears all spans of this process from now on, unless somebody else listens already.
    pub fn listen(step: &str, start: Instant) -> Self {
        let recorder = Recorder::new(step, start);
        // Whoever came first goes on to listen.
        let _ = tracing::subscriber::set_global_default(recorder.clone());
        recorder
    }

    /// The whole as it is so far, with the spans that this thread is in up to now.
    pub fn so_far(&self) -> Times {
        let now = Instant::now();
        let nodes = self.nodes();
        let mut seconds: Vec<f64> = nodes.iter().map(|n| n.seconds).collect();
        let mut add = |node: usize, since: Instant| {
            if let Some(seconds) = seconds.get_mut(node) {
                *seconds += now.duration_since(since).as_secs_f64();
            }
        };
        add(ROOT, self.start);
        OPEN.with_borrow(|open| open.iter().for_each(|o| add(o.node, o.start)));
        times(&nodes, &seconds, ROOT)
    }

    fn nodes(&self) -> MutexGuard<'_, Vec<Node>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn times(nodes: &[Node], seconds: &[f64], node: usize) -> Times {
    let of = &nodes[node];
    let parts = of.parts.iter().map(|p| times(nodes, seconds, *p));
    let mut parts: Vec<Times> = parts.collect();
    if of.side_by_side {
        // Who came first is chance.
        parts.sort_by(|a, b| (a.step.len(), &a.step).cmp(&(b.step.len(), &b.step)));
    }
    Times {
        step: of.step.clone(),
        seconds: seconds[node],
        calls: of.calls,
        side_by_side: of.side_by_side,
        parts,
    }
}

/// The part of a node that has this name, which may be new.
fn part(nodes: &mut Vec<Node>, parent: usize, step: &str) -> usize {
    let mut parts = nodes[parent].parts.iter();
    if let Some(part) = parts.find(|p| nodes[**p].step == step) {
        return *part;
    }
    nodes.push(Node {
        step: step.to_owned(),
        ..Node::default()
    });
    let new = nodes.len() - 1;
    nodes[parent].parts.push(new);
    new
}

/// The node that this thread is in.
fn current() -> Option<usize> {
    OPEN.with_borrow(|open| open.last().map(|o| o.node))
}

/// What spans and events say in fields.
#[derive(Default)]
struct Said {
    step: Option<String>,
    seconds: f64,
    calls: u64,
}

impl Visit for Said {
    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "step" {
            self.step = Some(value.to_owned());
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if field.name() == "seconds" {
            self.seconds = value;
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "calls" {
            self.calls = value;
        }
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("tilewright")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut said = Said::default();
        if !span.metadata().fields().is_empty() {
            span.record(&mut said);
        }
        let mut nodes = self.nodes();
        let given = span.parent().map(|id| id.into_u64() as usize - 1);
        let parent = given.or_else(|| span.is_contextual().then(current).flatten());
        let parent = parent.filter(|p| *p < nodes.len()).unwrap_or(ROOT);
        let beside = given.is_some() && current() != given;
        nodes[parent].side_by_side |= beside;
        let step = said.step.as_deref().unwrap_or(span.metadata().name());
        let node = part(&mut nodes, parent, step);
        nodes[node].calls += 1;
        Id::from_u64(node as u64 + 1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut said = Said::default();
        event.record(&mut said);
        let Some(step) = said.step else { return };
        let mut nodes = self.nodes();
        let parent = current().filter(|p| *p < nodes.len()).unwrap_or(ROOT);
        let node = part(&mut nodes, parent, &step);
        nodes[node].calls += said.calls as usize;
        nodes[node].seconds += said.seconds;
    }

    fn enter(&self, span: &Id) {
        let open = Open {
            node: span.into_u64() as usize - 1,
            start: Instant::now(),
        };
        OPEN.with_borrow_mut(|all| all.push(open));
    }

    fn exit(&self, span: &Id) {
        let node = span.into_u64() as usize - 1;
        let closed = OPEN.with_borrow_mut(|open| {
            let place = open.iter().rposition(|o| o.node == node)?;
            Some(open.remove(place).start.elapsed())
        });
        if let (Some(took), Some(node)) = (closed, self.nodes().get_mut(node)) {
            node.seconds += took.as_secs_f64();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::{info, info_span};

    fn recorded(work: impl FnOnce()) -> Times {
        let recorder = Recorder::new("all", Instant::now());
        tracing::subscriber::with_default(recorder.clone(), work);
        recorder.so_far()
    }

    #[test]
    fn parts_lie_within_their_whole_and_equal_names_add_up() {
        let whole = recorded(|| {
            for _ in 0..3 {
                let _outer = info_span!("outer").entered();
                let _inner = info_span!("named", step = "inner").entered();
                std::hint::black_box(vec![0; 1000]);
            }
            let _other = info_span!("other").entered();
            info!(step = "told", seconds = 0.25, calls = 7usize);
        });
        let steps: Vec<&str> = whole.parts.iter().map(|p| p.step.as_str()).collect();
        assert_eq!(steps, ["outer", "other"]);
        let outer = whole.part("outer").expect("it was entered");
        let inner = outer.part("inner").expect("it was entered");
        assert_eq!((outer.calls, inner.calls), (3, 3));
        assert!(inner.seconds > 0.0 && inner.seconds <= outer.seconds);
        assert!(outer.seconds <= whole.seconds && whole.unattributed() >= 0.0);
        assert_eq!((inner.unattributed(), outer.side_by_side), (0.0, false));
        let told = whole.part("other").and_then(|o| o.part("told"));
        assert_eq!(told.map(|t| (t.seconds, t.calls)), Some((0.25, 7)));
    }

    #[test]
    fn open_spans_count_up_to_now_and_parts_on_other_threads_run_side_by_side() {
        let recorder = Recorder::new("all", Instant::now());
        let dispatch = tracing::Dispatch::new(recorder.clone());
        tracing::dispatcher::with_default(&dispatch, || {
            let outer = info_span!("outer").entered();
            let here = outer.id();
            std::thread::scope(|scope| {
                for n in [10, 9] {
                    let (here, dispatch) = (&here, &dispatch);
                    scope.spawn(move || {
                        tracing::dispatcher::with_default(dispatch, || {
                            let step = format!("thread {n}");
                            let _thread =
                                info_span!(parent: here.clone(), "thread", step).entered();
                            let _inner = info_span!("inner").entered();
                        });
                    });
                }
            });
            let now = recorder.so_far();
            let outer = now.part("outer").expect("it is open");
            assert!(outer.side_by_side && outer.unattributed() >= 0.0);
            assert!(outer.seconds > 0.0 && outer.seconds <= now.seconds);
            let steps: Vec<&str> = outer.parts.iter().map(|p| p.step.as_str()).collect();
            assert_eq!(steps, ["thread 9", "thread 10"]);
            assert!(outer.parts.iter().all(|p| p.part("inner").is_some()));
        });
    }

    #[test]
    fn what_is_not_ours_is_not_heard() {
        let whole = recorded(|| {
            let _foreign = info_span!(target: "elsewhere", "foreign").entered();
            info!(target: "elsewhere", step = "told", seconds = 1.0, calls = 1);
        });
        assert_eq!(whole.parts, []);
    }
}
