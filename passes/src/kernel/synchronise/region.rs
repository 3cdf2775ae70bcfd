//! The program as a tree of regions: the kernel's body, loop bodies and branches.

use super::SynchroniseError;
use super::access::Work;
use super::graph::Sealed;
use std::ops::Range;
use tilewright_ir::kernel::{Cond, Kernel, LoopId, Pipe, Stmt};

/// A list of statements, to which flags will be added.
pub(super) struct Region<'a> {
    pub items: Vec<Item<'a>>,
    /// Its instructions, as indices in program order.
    pub works: Range<usize>,
    /// The loop and its trips, if the region is a loop's body, or a branch of a conditional in one.
    pub own: Option<(LoopId, usize)>,
    /// A branch: some iterations of the loop leave it out.
    pub branch: bool,
    /// Loops around the region, without its own.
    pub outer: Vec<LoopId>,
    /// Some loop around the region, without its own, runs it again.
    pub repeated: bool,
    /// The loop, and its depth, whose counter ids of this region may rotate with.
    pub rotate: Option<(LoopId, usize)>,
    pub flags: Vec<Flag>,
    /// A barrier stands before the item of that index.
    pub barriers: Vec<(usize, Pipe)>,
    /// A number for each flag, which it shares with flags of the same token that are over before it is set.
    pub colors: Vec<usize>,
}

/// A statement of a region.
pub(super) struct Item<'a> {
    pub works: Range<usize>,
    pub kind: Kind<'a>,
}

pub(super) enum Kind<'a> {
    Instr(&'a Stmt),
    Loop {
        region: Region<'a>,
        depth: usize,
        sealed: Option<Sealed>,
    },
    If {
        stmt: &'a Stmt,
        then: Region<'a>,
        otherwise: Region<'a>,
    },
    /// A loop without trips, or a cross-core flag.
    Idle(&'a Stmt),
}

/// A place between items: before item `gap`, and the order among what stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Point {
    pub gap: usize,
    pub rank: Rank,
}

/// The order of flags and barriers between two items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// A wait that the sets here depend on.
    Answer,
    Set,
    Wait,
    Barrier,
    /// A set that tells that the waits here have passed.
    Passed,
}

/// A set and its wait.
#[derive(Debug, Clone)]
pub(super) struct Flag {
    pub src: Pipe,
    pub dst: Pipe,
    pub set: Point,
    pub wait: Point,
    /// `Some(width)`: the set of an iteration is for the wait `width` iterations later; the wait comes first in program
    /// order and is primed.
    pub token: Option<usize>,
    pub pace: Pace,
}

/// What keeps the next set of an id behind the wait for the last one, in a region that runs again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pace {
    None,
    /// The source pipe: all that it sets after the region comes after the wait.
    Source,
    /// The destination pipe: the set comes after all that this pipe waited for before the region.
    Destination,
    /// The token, as an index, that waits before the flag's set and is set after its wait.
    Token(usize),
}

impl Region<'_> {
    /// Whether any of its statements may run again.
    pub fn recurs(&self) -> bool {
        self.repeated || self.own.is_some_and(|own| own.1 > 1)
    }
}

/// Trips of every loop by id, or 0.
fn trips(kernel: &Kernel) -> Vec<usize> {
    fn walk(body: &[Stmt], out: &mut Vec<usize>) {
        for stmt in body {
            match stmt {
                Stmt::Loop {
                    id, trips, body, ..
                } => {
                    if let Some(t) = out.get_mut(*id) {
                        *t = *trips;
                    }
                    walk(body, out);
                }
                Stmt::If {
                    then, otherwise, ..
                } => {
                    walk(then, out);
                    walk(otherwise, out);
                }
                _ => {}
            }
        }
    }
    let mut out = vec![0; kernel.loops.len()];
    walk(&kernel.body, &mut out);
    out
}

/// Builds the tree and the list of works.
pub(super) struct Reader<'a> {
    pub kernel: &'a Kernel,
    pub works: Vec<Work<'a>>,
    /// Of every loop, by id.
    pub trips: Vec<usize>,
    around: Vec<LoopId>,
    /// Those of which the statements are in the first trip only.
    firsts: Vec<LoopId>,
    /// Tensors between the parts of a mixed kernel.
    linked: &'a [String],
}

impl<'a> Reader<'a> {
    pub fn new(kernel: &'a Kernel, linked: &'a [String]) -> Self {
        Reader {
            kernel,
            works: vec![],
            trips: trips(kernel),
            around: vec![],
            firsts: vec![],
            linked,
        }
    }

    pub fn root(&mut self) -> Result<Region<'a>, SynchroniseError> {
        self.region(&self.kernel.body, None, false, None)
    }

    /// A branch of a conditional in a region of the given loop.
    fn branch(
        &mut self,
        body: &'a [Stmt],
        own: Option<(LoopId, usize)>,
        repeated: bool,
        rotate: Option<(LoopId, usize)>,
    ) -> Result<Region<'a>, SynchroniseError> {
        let mut region = self.region(body, None, repeated, rotate)?;
        region.branch = true;
        region.own = own;
        region.outer.retain(|&id| own.is_none_or(|o| o.0 != id));
        Ok(region)
    }

    /// `repeated` and `rotate` are those of [`Region`]; a branch gets its loop afterwards.
    fn region(
        &mut self,
        body: &'a [Stmt],
        own: Option<(LoopId, usize)>,
        repeated: bool,
        rotate: Option<(LoopId, usize)>,
    ) -> Result<Region<'a>, SynchroniseError> {
        let outer = self.around.clone();
        let begin = self.works.len();
        self.around.extend(own.map(|o| o.0));
        let again = repeated || own.is_some_and(|o| o.1 > 1);
        // What a branch in here belongs to: the loop that also rotates its ids.
        let inherited = rotate.and_then(|(id, _)| Some((id, self.trips.get(id).copied()?)));
        let mut items = vec![];
        for stmt in body {
            let from = self.works.len();
            let kind = match stmt {
                Stmt::Instr(instr) => {
                    let loops = (&self.around[..], &self.firsts[..]);
                    self.works
                        .push(Work::new(self.kernel, instr, loops, self.linked)?);
                    Kind::Instr(stmt)
                }
                Stmt::Loop { trips: 0, .. }
                | Stmt::SetCross { .. }
                | Stmt::WaitCross { .. }
                // Parts are regions of their own.
                | Stmt::Part { .. } => Kind::Idle(stmt),
                Stmt::Loop {
                    id,
                    trips,
                    depth,
                    body,
                } => {
                    if self.around.contains(id) || *id >= self.kernel.loops.len() {
                        return Err(SynchroniseError::Loop {
                            kernel: self.kernel.name.clone(),
                            id: *id,
                        });
                    }
                    let rotate = (*trips > 1).then_some((*id, (*depth).max(1)));
                    Kind::Loop {
                        region: self.region(body, Some((*id, *trips)), again, rotate)?,
                        depth: *depth,
                        sealed: None,
                    }
                }
                Stmt::If {
                    cond,
                    then,
                    otherwise,
                } => {
                    let known = self.firsts.len();
                    if let Cond::First(id) = cond {
                        self.firsts.push(*id);
                    }
                    let then = self.branch(then, inherited, again, rotate)?;
                    self.firsts.truncate(known);
                    Kind::If {
                        stmt,
                        then,
                        otherwise: self.branch(otherwise, inherited, again, rotate)?,
                    }
                }
                // Flags are derived anew.
                Stmt::Set { .. } | Stmt::Wait { .. } | Stmt::Barrier(_) => continue,
            };
            items.push(Item {
                works: from..self.works.len(),
                kind,
            });
        }
        if own.is_some() {
            self.around.pop();
        }
        Ok(Region {
            items,
            works: begin..self.works.len(),
            own,
            branch: false,
            outer,
            repeated,
            rotate,
            flags: vec![],
            barriers: vec![],
            colors: vec![],
        })
    }
}
