//! Where the time of a command goes: named spans of one thread, one within the other.
//!
//! A span's parts lie within it, one after the other, and spans of one name under one parent are added up. So parts never
//! exceed the whole, and what they leave is [`Span::unattributed`]. Work of another thread is recorded there and handed
//! over with [`attach`]; such parts run side by side, and the parent says so.

use serde::Serialize;
use std::cell::RefCell;
use std::time::Instant;

/// A step, with all that was done under its name in one place.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Span {
    pub step: String,
    pub seconds: f64,
    /// How often it was done.
    pub calls: usize,
    /// Whether the parts ran at the same time, so that their seconds may add up to more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub side_by_side: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Span>,
}

impl Span {
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
    pub fn part(&self, step: &str) -> Option<&Span> {
        self.parts.iter().find(|p| p.step == step)
    }

    fn absorb(&mut self, part: Span) {
        match self.parts.iter_mut().find(|p| p.step == part.step) {
            Some(same) => {
                same.seconds += part.seconds;
                same.calls += part.calls;
                same.side_by_side |= part.side_by_side;
                for inner in part.parts {
                    same.absorb(inner);
                }
            }
            None => self.parts.push(part),
        }
    }
}

struct Open {
    span: Span,
    start: Instant,
}

impl Open {
    fn closed(self, now: Instant) -> Span {
        Span {
            seconds: now.duration_since(self.start).as_secs_f64(),
            ..self.span
        }
    }
}

thread_local! {
    static OPEN: RefCell<Vec<Open>> = const { RefCell::new(vec![]) };
}

/// Ends a span where it goes out of scope.
#[must_use = "the span ends at once"]
pub struct Guard {
    /// Spans that were open before; absent where nobody records.
    depth: Option<usize>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(depth) = self.depth else { return };
        OPEN.with_borrow_mut(|open| {
            let now = Instant::now();
            fold(open, depth, now);
        });
    }
}

/// Closes all spans above `depth`, each into its parent.
fn fold(open: &mut Vec<Open>, depth: usize, now: Instant) {
    while open.len() > depth.max(1) {
        let last = open.pop().map(|o| o.closed(now));
        if let (Some(span), Some(parent)) = (last, open.last_mut()) {
            parent.span.absorb(span);
        }
    }
}

fn push(step: &str) {
    OPEN.with_borrow_mut(|open| {
        open.push(Open {
            span: Span {
                step: step.into(),
                calls: 1,
                ..Span::default()
            },
            start: Instant::now(),
        });
    });
}

/// Begins a span that ends with the guard. Where nobody records, nothing is kept.
pub fn enter(step: &str) -> Guard {
    let depth = OPEN.with_borrow(Vec::len);
    if depth == 0 {
        return Guard { depth: None };
    }
    push(step);
    Guard { depth: Some(depth) }
}

/// Adds a span to the one that is open: work whose time somebody else took, or that another thread did.
pub fn attach(span: Span) {
    OPEN.with_borrow_mut(|open| {
        if let Some(last) = open.last_mut() {
            last.span.absorb(span);
        }
    });
}

/// Says that the parts of the open span run at the same time.
pub fn side_by_side() {
    OPEN.with_borrow_mut(|open| {
        if let Some(last) = open.last_mut() {
            last.span.side_by_side = true;
        }
    });
}

/// Begins to record on this thread, from `start` on; a recording that was open is dropped.
pub fn record_from(step: &str, start: Instant) {
    OPEN.with_borrow_mut(Vec::clear);
    push(step);
    OPEN.with_borrow_mut(|open| open[0].start = start);
}

/// The outermost span as it is so far, all open ones up to now; nothing where nobody records.
pub fn so_far() -> Option<Span> {
    OPEN.with_borrow(|open| {
        let now = Instant::now();
        let mut inner: Option<Span> = None;
        for o in open.iter().rev() {
            let mut span = o.span.clone();
            span.seconds = now.duration_since(o.start).as_secs_f64();
            if let Some(inner) = inner {
                span.absorb(inner);
            }
            inner = Some(span);
        }
        inner
    })
}

/// Does `work` on a thread that records nothing else; what it took is for [`attach`].
pub fn recorded<T>(step: &str, work: impl FnOnce() -> T) -> (T, Span) {
    record_from(step, Instant::now());
    let out = work();
    let span = so_far().unwrap_or_default();
    OPEN.with_borrow_mut(Vec::clear);
    (out, span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_lie_within_their_whole_and_equal_names_add_up() {
        let ((), whole) = recorded("all", || {
            for _ in 0..3 {
                let _outer = enter("outer");
                let _inner = enter("inner");
                std::hint::black_box(vec![0; 1000]);
            }
            let _other = enter("other");
        });
        assert_eq!(whole.parts.len(), 2);
        let outer = whole.part("outer").expect("it was entered");
        let inner = outer.part("inner").expect("it was entered");
        assert_eq!((outer.calls, inner.calls), (3, 3));
        assert!(inner.seconds > 0.0 && inner.seconds <= outer.seconds);
        assert!(outer.seconds <= whole.seconds && whole.unattributed() >= 0.0);
        assert_eq!(inner.unattributed(), 0.0);
    }

    #[test]
    fn open_spans_count_up_to_now_and_other_threads_are_attached() {
        let ((), whole) = recorded("all", || {
            let _outer = enter("outer");
            side_by_side();
            let (_, one) = std::thread::spawn(|| recorded("one", || ()))
                .join()
                .expect("it ends");
            attach(one);
            let now = so_far().expect("this thread records");
            assert!(now.part("outer").and_then(|o| o.part("one")).is_some());
        });
        let outer = whole.part("outer").expect("it was entered");
        assert!(outer.side_by_side && outer.unattributed() >= 0.0);
    }

    #[test]
    fn nothing_is_kept_where_nobody_records() {
        drop(enter("alone"));
        attach(Span::default());
        assert_eq!(so_far(), None);
    }
}
