//! What of an exchange each of several blocks does.

use std::collections::{BTreeMap, BTreeSet};
use tilewright_ir::op::exchange::{
    Content, Id, Int, Place, Program, Source, Step, StepKind, Target, visit,
};

/// What of a program each of several blocks does.
///
/// Integers every block computes for itself, and of a shared loop each takes its trips. What is copied outside of shared loops the
/// first block copies. A notification says that what was done before is over: once other blocks have touched memory, all of them
/// have to say so, and a wait counts them all. In a shared loop, the block of a trip says so of what it did itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocks {
    /// Counters that every block notifies.
    notified_by_all: BTreeSet<Id>,
    /// Counters that the block of a trip notifies.
    notified_by_trips: BTreeSet<Id>,
    /// Counters by which blocks of one rank tell each other once.
    within_rank: BTreeSet<Id>,
    /// Tiles that every block fills for itself.
    tiles_of_all: BTreeSet<Id>,
    /// Whether more than one block can do it.
    pub may_share: bool,
}

/// Who does a statement that is in no shared loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Every block, though nothing but its own integers changes.
    Nobody,
    First,
    All,
}

impl Blocks {
    /// What a program's blocks share.
    pub fn of(program: &Program) -> Self {
        let mut blocks = Blocks {
            notified_by_all: BTreeSet::new(),
            notified_by_trips: BTreeSet::new(),
            within_rank: within_rank(program),
            tiles_of_all: tiles_of_all(program),
            may_share: true,
        };
        blocks.notifications(program, &program.body, false, &mut false);
        blocks.may_share = blocks.is_safe(program);
        blocks
    }

    /// Whether every block notifies a counter.
    pub fn all_notify(&self, counter: Id) -> bool {
        self.notified_by_all.contains(&counter)
    }

    /// Whether blocks of one rank tell each other by a counter: a block by itself knows.
    pub fn within_rank(&self, counter: Id) -> bool {
        self.within_rank.contains(&counter)
    }

    /// Finds the counters that all blocks notify; `touched` says whether one that is not the first has touched memory.
    fn notifications(
        &mut self,
        program: &Program,
        body: &[Step],
        shared: bool,
        touched: &mut bool,
    ) {
        for step in body {
            match &step.kind {
                StepKind::Loop { share, body, .. } => {
                    let shared = shared || share.is_some();
                    // What a trip finds of the trips before it.
                    *touched |= self.touches(program, body, shared);
                    self.notifications(program, body, shared, touched);
                }
                StepKind::If {
                    then, otherwise, ..
                } => {
                    *touched |= computes_with_window(program, step);
                    self.notifications(program, then, shared, touched);
                    self.notifications(program, otherwise, shared, touched);
                }
                StepKind::Notify { counter, .. } if shared => {
                    self.notified_by_trips.insert(*counter);
                }
                StepKind::Notify { counter, .. } if *touched => {
                    self.notified_by_all.insert(*counter);
                }
                _ => *touched |= self.touches(program, std::slice::from_ref(step), shared),
            }
        }
    }

    /// Whether blocks other than the first touch windows, or memory that they copy.
    fn touches(&self, program: &Program, body: &[Step], shared: bool) -> bool {
        body.iter().any(|step| {
            computes_with_window(program, step)
                || match &step.kind {
                    StepKind::Loop { share, body, .. } => {
                        self.touches(program, body, shared || share.is_some())
                    }
                    StepKind::If {
                        then, otherwise, ..
                    } => {
                        self.touches(program, then, shared)
                            || self.touches(program, otherwise, shared)
                    }
                    StepKind::Read { view } => {
                        matches!(program.views[*view].of.place, Place::Window(_))
                    }
                    StepKind::Copy { from, to, .. } => {
                        let memory =
                            matches!(from, Content::Rect(_)) || matches!(to, Target::Rect(..));
                        let all = match to {
                            Target::Tile(t) => self.tiles_of_all.contains(t),
                            Target::Rect(..) => false,
                        };
                        memory && (shared || all)
                    }
                    _ => false,
                }
        })
    }

    /// Whether several blocks do what one does.
    fn is_safe(&self, program: &Program) -> bool {
        // A counter to which one rank adds several times says, of several blocks, not which ones have.
        let mut sites: Vec<Id> = vec![];
        let mut once = true;
        notify_sites(&program.body, &mut vec![], &mut |counter, distinct| {
            if self.notified_by_all.contains(&counter) {
                once &= distinct && !sites.contains(&counter);
                sites.push(counter);
            }
        });
        // Memory of the rank itself that one block writes and another reads or writes.
        let mut writers: Vec<(Place, Option<Id>)> = vec![];
        let mut readers: Vec<(Place, Option<Id>)> = vec![];
        own_accesses(program, &program.body, None, &mut writers, &mut readers);
        let clash = |w: &(Place, Option<Id>)| {
            let other = |o: &(Place, Option<Id>)| o.0 == w.0 && o.1 != w.1;
            writers.iter().any(other) || readers.iter().any(other)
        };
        // Scratch memory that every block would write.
        let mut scratch = false;
        visit(&program.body, &mut |s| {
            if let StepKind::Copy {
                from: Content::Array(_) | Content::Int(_),
                to: Target::Tile(t),
                ..
            } = &s.kind
            {
                scratch |= self.tiles_of_all.contains(t);
            }
        });
        // A wait counts the blocks of one manner of notification.
        let both = self.notified_by_trips.intersection(&self.notified_by_all);
        once && both.count() == 0 && !writers.iter().any(clash) && !scratch
    }

    /// Who does a statement that is in no shared loop.
    pub fn who(&self, step: &Step) -> Who {
        self.effect(step, &mut BTreeSet::new())
    }

    /// Who does it, where these variables are declared within what is asked about.
    fn effect(&self, step: &Step, own: &mut BTreeSet<Id>) -> Who {
        let tile = |t: &Id| match self.tiles_of_all.contains(t) {
            true => Who::All,
            false => Who::First,
        };
        match &step.kind {
            StepKind::Set {
                variable,
                declares: true,
                ..
            } => {
                own.insert(*variable);
                Who::Nobody
            }
            StepKind::Set { variable, .. } if own.contains(variable) => Who::Nobody,
            StepKind::Tile { .. } => Who::Nobody,
            StepKind::Loop {
                share: None, body, ..
            } => self.all_effects(body, own),
            StepKind::If {
                then, otherwise, ..
            } => self
                .all_effects(then, own)
                .and(self.all_effects(otherwise, own)),
            StepKind::Copy {
                to: Target::Tile(t),
                ..
            }
            | StepKind::Fill { tile: t, .. }
            | StepKind::Add { to: t, .. } => tile(t),
            StepKind::Copy { .. } => Who::First,
            StepKind::Notify { counter, .. } => match self.all_notify(*counter) {
                true => Who::All,
                false => Who::First,
            },
            StepKind::Set { .. }
            | StepKind::SetElement { .. }
            | StepKind::Read { .. }
            | StepKind::Loop { .. }
            | StepKind::Wait { .. }
            | StepKind::Fail { .. } => Who::All,
        }
    }

    fn all_effects(&self, body: &[Step], own: &mut BTreeSet<Id>) -> Who {
        let effects = body.iter().map(|s| self.effect(s, own));
        effects.fold(Who::Nobody, Who::and)
    }
}

impl Who {
    fn and(self, other: Who) -> Who {
        match (self, other) {
            (Who::All, _) | (_, Who::All) => Who::All,
            (Who::First, _) | (_, Who::First) => Who::First,
            _ => Who::Nobody,
        }
    }
}

/// Tiles from outside of a shared loop that are used in it.
fn tiles_of_all(program: &Program) -> BTreeSet<Id> {
    fn walk(body: &[Step], shared: &mut Vec<Id>, program: &Program, out: &mut BTreeSet<Id>) {
        for step in body {
            match &step.kind {
                StepKind::Loop {
                    variable,
                    share,
                    body,
                    ..
                } => {
                    let within = !shared.is_empty() || share.is_some();
                    if within {
                        shared.push(*variable);
                    }
                    walk(body, shared, program, out);
                    if within {
                        shared.pop();
                    }
                }
                StepKind::If {
                    then, otherwise, ..
                } => {
                    walk(then, shared, program, out);
                    walk(otherwise, shared, program, out);
                }
                kind if !shared.is_empty() => {
                    let mut used = |t: &Id| {
                        let home = program.tiles[*t].home;
                        if !home.is_some_and(|h| shared.contains(&h)) {
                            out.insert(*t);
                        }
                    };
                    match kind {
                        StepKind::Copy { from, to, .. } => {
                            if let Content::Tile(t) = from {
                                used(t);
                            }
                            if let Target::Tile(t) = to {
                                used(t);
                            }
                        }
                        StepKind::Fill { tile, .. } => used(tile),
                        StepKind::Add { from, to } => {
                            used(from);
                            used(to);
                        }
                        _ => {}
                    }
                }
                _ => {}
            }
        }
    }
    let mut out = BTreeSet::new();
    walk(&program.body, &mut vec![], program, &mut out);
    out
}

/// Counters of the own rank that are notified once a run, in no loop and under no condition, and waited for after that: one block goes
/// through. Of several counters of a name, the same one.
fn within_rank(program: &Program) -> BTreeSet<Id> {
    let mut told: BTreeMap<Id, &Int> = BTreeMap::new();
    let mut others = BTreeSet::new();
    for step in &program.body {
        match &step.kind {
            StepKind::Notify { counter, index, on }
                if *on == Int::Rank && !told.contains_key(counter) =>
            {
                told.insert(*counter, index);
            }
            StepKind::Wait {
                counter,
                index,
                at_least: Int::Epoch,
            } if told.get(counter) == Some(&index) => {}
            _ => visit(std::slice::from_ref(step), &mut |s| {
                if let StepKind::Notify { counter, .. } | StepKind::Wait { counter, .. } = &s.kind {
                    others.insert(*counter);
                }
            }),
        }
    }
    told.into_keys().filter(|c| !others.contains(c)).collect()
}

/// Calls `f` on every counter that is notified, and whether each trip of the loops around it notifies another one.
fn notify_sites(body: &[Step], loops: &mut Vec<Id>, f: &mut impl FnMut(Id, bool)) {
    for step in body {
        match &step.kind {
            StepKind::Loop { variable, body, .. } => {
                loops.push(*variable);
                notify_sites(body, loops, f);
                loops.pop();
            }
            StepKind::If {
                then, otherwise, ..
            } => {
                notify_sites(then, loops, f);
                notify_sites(otherwise, loops, f);
            }
            StepKind::Notify { counter, index, on } => {
                let names = |v: &Id| index.uses(*v) || on.uses(*v);
                f(*counter, loops.iter().all(names));
            }
            _ => {}
        }
    }
}

/// Where a rank writes and reads memory of its own, each with the shared loop that it is in.
fn own_accesses(
    program: &Program,
    body: &[Step],
    shared: Option<Id>,
    writers: &mut Vec<(Place, Option<Id>)>,
    readers: &mut Vec<(Place, Option<Id>)>,
) {
    for step in body {
        match &step.kind {
            StepKind::Loop {
                variable,
                share,
                body,
                ..
            } => {
                let within = shared.or(share.map(|_| *variable));
                own_accesses(program, body, within, writers, readers);
            }
            StepKind::If {
                then, otherwise, ..
            } => {
                own_accesses(program, then, shared, writers, readers);
                own_accesses(program, otherwise, shared, writers, readers);
            }
            StepKind::Read { view } => readers.push((program.views[*view].of.place, None)),
            StepKind::Copy { from, to, .. } => {
                if let Content::Rect(r) = from {
                    readers.push((r.place, shared));
                }
                if let Target::Rect(r, None) = to {
                    writers.push((r.place, shared));
                }
            }
            _ => {}
        }
        step.kind.integers(&mut |i| {
            i.visit(&mut |i| {
                if let Int::Element {
                    of: Source::Memory(place),
                    ..
                } = i
                {
                    readers.push((*place, shared));
                }
            });
        });
    }
}

/// Whether one of the integers of a statement is read from a window.
fn computes_with_window(program: &Program, step: &Step) -> bool {
    let mut found = false;
    step.kind.integers(&mut |i| {
        i.visit(&mut |i| found |= reads_window(program, i));
    });
    found
}

/// Whether an integer is read from a window.
fn reads_window(program: &Program, int: &Int) -> bool {
    match int {
        Int::Element { of, .. } => match of {
            Source::Memory(place) => matches!(place, Place::Window(_)),
            Source::View(v) => matches!(program.views[*v].of.place, Place::Window(_)),
            Source::Array(_) => false,
        },
        _ => false,
    }
}
