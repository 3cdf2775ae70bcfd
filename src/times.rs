//! Where the time of a command goes: a subscriber that adds up the spans of `tracing`.
//!
//! Spans of one name under one parent are one [`Times`], so that the tree stays small however many there are. A span is named for
//! its step; where that is known at run time only, a field `step` has it. Work that somebody else timed is an event with
//! the fields `step`, `seconds` and `calls`; how far a step is is one with `progress`, `done` and, where they are known, `of` and
//! `best_us`, which is for who watches ([`Watch`]). Parts never exceed their whole, and what they leave is
//! [`Times::unattributed`]; a part on another thread than its parent's runs beside others, and the parent says so.

use crate::watch::{Progress, Watch};
use serde::Serialize;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// A step, with all that was done under its name in one place.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Times {
    /// The step's name.
    pub step: String,
    /// How long it took, its parts included.
    pub seconds: f64,
    /// How often it was done.
    pub calls: usize,
    /// Whether the parts ran at the same time, so that their seconds may add up to more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub side_by_side: bool,
    /// The steps within it.
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

/// Adds a part to others, of which one may have its name.
fn absorb(parts: &mut Vec<Times>, part: Times) {
    let Some(same) = parts.iter_mut().find(|p| p.step == part.step) else {
        parts.push(part);
        return;
    };
    same.seconds += part.seconds;
    same.calls += part.calls;
    same.side_by_side |= part.side_by_side;
    for inner in part.parts {
        absorb(&mut same.parts, inner);
    }
}

/// The number of a step: that of its tree, and its place there. Spans of one step share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Number {
    tree: u32,
    place: u32,
}

impl Number {
    /// Of the whole, which is no span.
    const WHOLE: Number = Number { tree: 0, place: 0 };

    fn of(id: &Id) -> Self {
        let id = id.into_u64();
        Number {
            tree: (id >> 32) as u32,
            place: id as u32,
        }
    }

    fn id(self) -> Id {
        // Trees of spans are counted from 1.
        Id::from_u64(u64::from(self.tree) << 32 | u64::from(self.place))
    }
}

/// A step of one tree so far.
#[derive(Debug, Clone)]
struct Node {
    step: String,
    seconds: f64,
    calls: usize,
    parts: Vec<u32>,
    /// What it is a part of, if that is not in this tree.
    within: Option<Number>,
}

/// The steps of one thread, from the moment when it enters a span to that when it is in none.
#[derive(Debug, Clone, Default)]
struct Tree {
    number: u32,
    /// Whose spans they are.
    recorder: usize,
    nodes: Vec<Node>,
    /// Spans that the thread is in: their nodes, and since when.
    open: Vec<(u32, Instant)>,
}

impl Tree {
    /// The node for a step within another one, which may be new.
    fn node(&mut self, within: Number, step: &str) -> u32 {
        let is = |n: &Node| n.step == step;
        let own = (within.tree == self.number).then_some(within.place as usize);
        let found = match own.and_then(|p| self.nodes.get(p)) {
            Some(parent) => parent
                .parts
                .iter()
                .copied()
                .find(|p| is(&self.nodes[*p as usize])),
            None => {
                let same = |n: &Node| n.within == Some(within) && is(n);
                self.nodes.iter().position(same).map(|p| p as u32)
            }
        };
        if let Some(found) = found {
            return found;
        }
        let new = self.nodes.len() as u32;
        self.nodes.push(Node {
            step: step.to_owned(),
            seconds: 0.0,
            calls: 0,
            parts: vec![],
            within: own.is_none().then_some(within),
        });
        if let Some(parent) = own.and_then(|p| self.nodes.get_mut(p)) {
            parent.parts.push(new);
        }
        new
    }

    /// The step that the thread is in.
    fn current(&self) -> Option<Number> {
        self.open.last().map(|(place, _)| Number {
            tree: self.number,
            place: *place,
        })
    }
}

thread_local! {
    static TREE: RefCell<Tree> = RefCell::new(Tree::default());
}

/// What threads share.
#[derive(Debug, Default)]
struct Shared {
    /// Trees that were begun.
    begun: AtomicU64,
    /// Trees whose threads have left them.
    done: Mutex<Vec<Tree>>,
}

/// Adds up spans; clones share what they hear. A thread takes notes by itself, and hands them over when it is in no span.
#[derive(Debug, Clone)]
pub struct Recorder {
    step: String,
    start: Instant,
    /// The finest spans that are heard.
    level: Level,
    watch: Option<Arc<dyn Watch>>,
    shared: Arc<Shared>,
}

impl Recorder {
    /// Of what is called `step` as a whole, which began at `start`.
    pub fn new(step: &str, start: Instant) -> Self {
        Recorder {
            step: step.to_owned(),
            start,
            level: Level::TRACE,
            watch: None,
            shared: Arc::default(),
        }
    }

    /// The same, but for spans and events that are finer than this: not to hear them costs next to nothing.
    pub fn up_to(self, level: Level) -> Self {
        Recorder { level, ..self }
    }

    /// The same, and tells somebody of steps as they begin and end.
    pub fn watched(self, watch: Arc<dyn Watch>) -> Self {
        Recorder {
            watch: Some(watch),
            ..self
        }
    }

    /// Hears all spans of this process from now on, unless somebody else listens already.
    pub fn listen(self) -> Self {
        // Whoever came first goes on to listen.
        let _ = tracing::subscriber::set_global_default(self.clone());
        self
    }

    /// The whole as it is so far: what threads have handed over, and the spans that this one is in, up to now.
    pub fn so_far(&self) -> Times {
        let now = Instant::now();
        let mut trees = self.done().clone();
        TREE.with_borrow(|tree| {
            let mut tree = tree.clone();
            for (place, since) in &tree.open {
                let took = now.duration_since(*since).as_secs_f64();
                tree.nodes[*place as usize].seconds += took;
            }
            if tree.recorder == self.recorder() {
                trees.push(tree);
            }
        });
        Times {
            step: self.step.clone(),
            seconds: now.duration_since(self.start).as_secs_f64(),
            calls: 1,
            side_by_side: false,
            parts: Forest::new(&trees).parts(Number::WHOLE, &[]),
        }
    }

    fn recorder(&self) -> usize {
        Arc::as_ptr(&self.shared) as usize
    }

    fn done(&self) -> MutexGuard<'_, Vec<Tree>> {
        let done = self.shared.done.lock();
        done.unwrap_or_else(PoisonError::into_inner)
    }

    /// The tree of this thread, begun if it is in no span.
    fn begin(&self, tree: &mut Tree) {
        if tree.open.is_empty() || tree.recorder != self.recorder() {
            let begun = self.shared.begun.fetch_add(1, Ordering::Relaxed);
            *tree = Tree {
                number: begun as u32 + 1,
                recorder: self.recorder(),
                ..Tree::default()
            };
        }
    }
}

/// Trees, and which of their nodes are parts of nodes of others.
struct Forest<'a> {
    trees: HashMap<u32, &'a Tree>,
    attached: HashMap<Number, Vec<Number>>,
}

impl<'a> Forest<'a> {
    fn new(trees: &'a [Tree]) -> Self {
        let mut attached: HashMap<Number, Vec<Number>> = HashMap::new();
        for tree in trees {
            for (place, node) in (0..).zip(&tree.nodes) {
                let number = Number {
                    tree: tree.number,
                    place,
                };
                if let Some(within) = node.within {
                    attached.entry(within).or_default().push(number);
                }
            }
        }
        Forest {
            trees: trees.iter().map(|t| (t.number, t)).collect(),
            attached,
        }
    }

    fn times(&self, number: Number) -> Option<Times> {
        let tree = self.trees.get(&number.tree)?;
        let node = tree.nodes.get(number.place as usize)?;
        let side_by_side = self.attached.contains_key(&number);
        let mut parts = self.parts(number, &node.parts);
        if side_by_side {
            // Who came first is chance.
            parts.sort_by(|a, b| (a.step.len(), &a.step).cmp(&(b.step.len(), &b.step)));
        }
        Some(Times {
            step: node.step.clone(),
            seconds: node.seconds,
            calls: node.calls,
            side_by_side,
            parts,
        })
    }

    /// The parts of a step: its own, at these places of its tree, and those of other trees.
    fn parts(&self, of: Number, own: &[u32]) -> Vec<Times> {
        let own = own.iter().map(|place| Number {
            tree: of.tree,
            place: *place,
        });
        let attached = self.attached.get(&of).into_iter().flatten().copied();
        let mut parts = vec![];
        for part in own.chain(attached).filter_map(|p| self.times(p)) {
            absorb(&mut parts, part);
        }
        parts
    }
}

/// What spans and events say in fields.
#[derive(Default)]
struct Said {
    step: Option<String>,
    seconds: f64,
    calls: u64,
    progress: Progress,
}

impl Visit for Said {
    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "step" => self.step = Some(value.to_owned()),
            "progress" => self.progress.counted = value.to_owned(),
            _ => {}
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        match field.name() {
            "seconds" => self.seconds = value,
            "best_us" => self.progress.best_us = Some(value),
            _ => {}
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "calls" => self.calls = value,
            "done" => self.progress.done = value,
            "of" => self.progress.of = Some(value),
            _ => {}
        }
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("tilewright") && *metadata.level() <= self.level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level.into())
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut said = Said::default();
        if !span.metadata().fields().is_empty() {
            span.record(&mut said);
        }
        let step = said.step.as_deref().unwrap_or(span.metadata().name());
        TREE.with_borrow_mut(|tree| {
            self.begin(tree);
            let given = span.parent().map(Number::of);
            let context = || tree.current().filter(|_| span.is_contextual());
            let within = given.or_else(context).unwrap_or(Number::WHOLE);
            let place = tree.node(within, step);
            tree.nodes[place as usize].calls += 1;
            let tree = tree.number;
            Number { tree, place }.id()
        })
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    /// Outside of spans no times are noted.
    fn event(&self, event: &Event<'_>) {
        let mut said = Said::default();
        event.record(&mut said);
        if let Some(watch) = self
            .watch
            .as_ref()
            .filter(|_| !said.progress.counted.is_empty())
        {
            watch.moved(said.progress);
        }
        let Some(step) = said.step else { return };
        TREE.with_borrow_mut(|tree| {
            let Some(within) = tree.current().filter(|_| tree.recorder == self.recorder()) else {
                return;
            };
            let place = tree.node(within, &step);
            let node = &mut tree.nodes[place as usize];
            node.calls += said.calls as usize;
            node.seconds += said.seconds;
        });
    }

    fn enter(&self, span: &Id) {
        let Number {
            tree: number,
            place,
        } = Number::of(span);
        TREE.with_borrow_mut(|tree| {
            // A span is entered on the thread that made it.
            if tree.number == number && tree.recorder == self.recorder() {
                tree.open.push((place, Instant::now()));
                if let Some(watch) = &self.watch {
                    watch.begun(&tree.nodes[place as usize].step);
                }
            }
        });
    }

    fn exit(&self, span: &Id) {
        let now = Instant::now();
        let Number {
            tree: number,
            place,
        } = Number::of(span);
        TREE.with_borrow_mut(|tree| {
            if tree.number != number || tree.recorder != self.recorder() {
                return;
            }
            let Some(at) = tree.open.iter().rposition(|(p, _)| *p == place) else {
                return;
            };
            let (_, since) = tree.open.remove(at);
            if let Some(watch) = &self.watch {
                watch.ended();
            }
            tree.nodes[place as usize].seconds += now.duration_since(since).as_secs_f64();
            if tree.open.is_empty() {
                self.done().push(std::mem::take(tree));
            }
        });
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

    #[derive(Debug, Default)]
    struct Heard(Mutex<Vec<String>>);

    impl Watch for Heard {
        fn begun(&self, step: &str) {
            self.0.lock().unwrap().push(format!("begun {step}"));
        }
        fn ended(&self) {
            self.0.lock().unwrap().push("ended".into());
        }
        fn moved(&self, p: Progress) {
            let line = format!(
                "{} {} of {:?}, best {:?}",
                p.counted, p.done, p.of, p.best_us
            );
            self.0.lock().unwrap().push(line);
        }
    }

    #[test]
    fn who_watches_hears_of_steps_as_fine_as_asked_for() {
        let heard = Arc::new(Heard::default());
        let recorder = Recorder::new("all", Instant::now()).up_to(Level::DEBUG);
        tracing::subscriber::with_default(recorder.watched(heard.clone()), || {
            let _outer = info_span!("outer").entered();
            let _fine = tracing::trace_span!("fine").entered();
            info!(
                progress = "parts",
                done = 1usize,
                of = 2usize,
                best_us = 1.5
            );
            info!(progress = "nodes", done = 7usize);
        });
        assert_eq!(
            *heard.0.lock().unwrap(),
            [
                "begun outer",
                "parts 1 of Some(2), best Some(1.5)",
                "nodes 7 of None, best None",
                "ended"
            ]
        );
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
