//! What is being done, how far it is, and the best so far: a line on the standard error, if that is a terminal.
//!
//! The line is made of the spans and events that the library gives in any case ([`tilewright::times`]); no step shows anything itself.
//! A thread of its own draws it, so that a step which says nothing for a while is seen to go on.

use indexmap::IndexMap;
use indicatif::{ProgressBar, ProgressStyle};
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};
use tilewright::form::Form;
use tilewright::watch::{Progress, Watch};

/// What is over sooner shows nothing.
const PATIENCE: Duration = Duration::from_millis(400);
const TICK: Duration = Duration::from_millis(100);

/// What people call steps that have other names in the code.
const PHRASES: [(&str, &str); 22] = [
    ("read", "reading the layer"),
    ("inputs", "making inputs"),
    ("optimize", "searching"),
    ("fill", "searching: applying rules"),
    ("extract", "searching: choosing schedules"),
    ("refine", "searching: refining schedules"),
    ("prove", "searching: finding what led there"),
    ("search", "searching"),
    ("candidates", "simulating candidates"),
    ("simulate", "simulating a candidate"),
    ("interpret", "interpreting the layer"),
    ("sim", "simulating"),
    ("host", "running on this machine"),
    ("npu", "running on the NPU"),
    ("compare", "comparing outputs"),
    ("verify outputs", "comparing outputs with the interpreter's"),
    ("hazards", "looking for hazards"),
    ("alternatives", "searching without each rule"),
    ("sweep", "sweeping"),
    ("records", "reading records"),
    ("fit", "fitting figures"),
    ("write", "writing kernels"),
];

static SHOWN: OnceLock<Arc<Shown>> = OnceLock::new();

/// The line, and what it is made of.
#[derive(Debug)]
pub struct Shown {
    /// The thread whose steps are those of the command; others do parts of them.
    main: ThreadId,
    start: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    bar: Option<ProgressBar>,
    over: bool,
    now: Now,
}

/// What is being done.
#[derive(Debug, Default)]
struct Now {
    /// Steps that each thread is in, outer ones first.
    steps: IndexMap<Option<ThreadId>, Vec<String>>,
    /// The latest counts: by the form that they are of, and by what is counted.
    counts: IndexMap<(&'static str, String), Progress>,
}

/// Shows from now on what is done, if somebody can see it.
pub fn start() -> Option<Arc<Shown>> {
    let dumb = std::env::var("TERM").is_ok_and(|t| t == "dumb");
    if dumb || !std::io::stderr().is_terminal() {
        return None;
    }
    let shown = SHOWN.get_or_init(|| {
        Arc::new(Shown {
            main: thread::current().id(),
            start: Instant::now(),
            state: Mutex::default(),
        })
    });
    let drawn = shown.clone();
    // It ends with the process.
    thread::spawn(move || {
        loop {
            thread::sleep(TICK);
            if !drawn.draw() {
                return;
            }
        }
    });
    Some(shown.clone())
}

/// Writes something else to the terminal, where the line would be in the way.
pub fn aside<T>(write: impl FnOnce() -> T) -> T {
    let state = SHOWN.get().map(|shown| {
        let mut state = shown.state();
        state.clear();
        state
    });
    let written = write();
    drop(state);
    written
}

/// Shows nothing any more.
pub fn end() {
    if let Some(shown) = SHOWN.get() {
        let mut state = shown.state();
        state.clear();
        state.over = true;
    }
}

impl Shown {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This thread, as steps are kept by it.
    fn thread(&self) -> Option<ThreadId> {
        let this = thread::current().id();
        (this != self.main).then_some(this)
    }

    /// Brings the line up to date; whether there is more to come.
    fn draw(&self) -> bool {
        let mut state = self.state();
        if state.over {
            return false;
        }
        let elapsed = self.start.elapsed();
        match state.now.line().filter(|_| elapsed >= PATIENCE) {
            Some(line) => {
                let bar = state.bar.get_or_insert_with(|| bar(elapsed));
                bar.set_message(line);
                bar.tick();
            }
            None => state.clear(),
        }
        true
    }
}

fn bar(elapsed: Duration) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_elapsed(elapsed);
    match ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

impl State {
    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Watch for Shown {
    fn begun(&self, step: &str) {
        self.state().now.begun(self.thread(), step);
    }

    fn ended(&self) {
        self.state().now.ended(self.thread());
    }

    fn moved(&self, progress: Progress) {
        self.state().now.moved(self.thread(), progress);
    }
}

impl Now {
    /// Steps of the command's own thread are under `None`.
    fn begun(&mut self, thread: Option<ThreadId>, step: &str) {
        self.steps.entry(thread).or_default().push(step.into());
        if thread.is_none() {
            self.counts.clear();
        }
    }

    fn ended(&mut self, thread: Option<ThreadId>) {
        if let Some(steps) = self.steps.get_mut(&thread) {
            steps.pop();
        }
        if thread.is_none() {
            self.counts.clear();
        }
    }

    fn moved(&mut self, thread: Option<ThreadId>, progress: Progress) {
        let steps = self.steps.get(&thread).map_or(&[][..], Vec::as_slice);
        // The command's own steps say the form themselves.
        let form = form_of(steps)
            .filter(|_| thread.is_some())
            .unwrap_or_default();
        self.counts
            .insert((form, progress.counted.clone()), progress);
    }

    /// What is done, and how far that is; nothing between steps.
    fn line(&self) -> Option<String> {
        let steps = self.steps.get(&None)?;
        let step = steps.last()?;
        let phrase = PHRASES.iter().find(|(name, _)| name == step);
        let mut line = match (form_of(steps), phrase) {
            (Some(form), _) if form == step => format!("{form}: compiling"),
            (Some(form), Some((_, phrase))) => format!("{form}: {phrase}"),
            (Some(form), None) => format!("{form}: {step}"),
            (None, Some((_, phrase))) => (*phrase).to_owned(),
            (None, None) => step.clone(),
        };
        // Threads of a part do not know its form: where others tell of the forms, those are meant.
        let is_told = |counted: &String| {
            let mut told = self.counts.keys();
            told.any(|(form, other)| !form.is_empty() && other == counted)
        };
        let shown = self.counts.iter();
        let shown = shown.filter(|((form, counted), _)| !form.is_empty() || !is_told(counted));
        // How far the whole is comes before what only grows.
        let (bounded, open): (Vec<_>, Vec<_>) = shown.partition(|(_, p)| p.of.is_some());
        for ((form, counted), progress) in bounded.into_iter().chain(open) {
            let blank = if form.is_empty() { "" } else { " " };
            let _ = write!(line, ", {form}{blank}{counted} {}", progress.done);
            if let Some(of) = progress.of {
                let _ = write!(line, " of {of}");
            }
            if let Some(us) = progress.best_us {
                let _ = write!(line, ", best so far {us:.2} us");
            }
        }
        Some(line)
    }
}

/// The form that steps are of.
fn form_of(steps: &[String]) -> Option<&'static str> {
    let names = Form::ALL.map(Form::name);
    names
        .into_iter()
        .find(|name| steps.iter().any(|s| s == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(counted: &str, done: u64, of: Option<u64>, best_us: Option<f64>) -> Progress {
        Progress {
            counted: counted.into(),
            done,
            of,
            best_us,
        }
    }

    #[test]
    fn the_line_says_what_is_done_how_far_and_the_best_so_far() {
        let mut now = Now::default();
        assert_eq!(now.line(), None);
        now.begun(None, "optimized");
        assert_eq!(now.line().as_deref(), Some("optimized: compiling"));
        now.begun(None, "optimize");
        now.begun(None, "search");
        let worker = Some(thread::spawn(|| thread::current().id()).join().unwrap());
        now.begun(worker, "thread 1");
        now.moved(worker, counted("plans", 31, None, Some(12.345)));
        now.moved(worker, counted("parts", 2, Some(7), None));
        let line = "optimized: searching, parts 2 of 7, plans 31, best so far 12.35 us";
        assert_eq!(now.line().as_deref(), Some(line));
        // Another step has other counts.
        now.ended(None);
        now.begun(None, "tidy");
        assert_eq!(now.line().as_deref(), Some("optimized: tidy"));
    }

    #[test]
    fn forms_that_run_side_by_side_are_told_apart() {
        let mut now = Now::default();
        now.begun(None, "sim");
        let nobody = Some(thread::spawn(|| thread::current().id()).join().unwrap());
        now.moved(nobody, counted("kernels", 3, Some(5), None));
        assert_eq!(now.line().as_deref(), Some("simulating, kernels 3 of 5"));
        for form in Form::ALL.map(Form::name) {
            let worker = Some(thread::spawn(|| thread::current().id()).join().unwrap());
            now.begun(worker, form);
            now.moved(worker, counted("kernels", 1, Some(5), None));
        }
        let line = "simulating, written kernels 1 of 5, optimized kernels 1 of 5";
        assert_eq!(now.line().as_deref(), Some(line));
        now.ended(None);
        assert_eq!(now.line(), None);
    }
}
