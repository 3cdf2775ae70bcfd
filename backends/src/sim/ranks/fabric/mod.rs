//! Windows of all ranks, what is on its way to them, and what is ordered before what between blocks.
//!
//! Every block that touches windows is an *agent* with a vector clock: how much it knows to have happened at every other
//! agent. A notification carries its agent's clock; a wait takes over the clock of the notification that brought its
//! counter to the value, and of those that were added up to it, but of none after that: a block knows what its wait proves, and
//! not what happened to have happened. Two accesses to the same bytes by different agents, at least one of them writing,
//! need an order by these clocks.
//!
//! Stores to a peer are marked when they are issued and arrive some time later, in any order among those of one block
//! between two of its notifications; before a notification changes its counter, all of them have arrived.

mod counters;

pub(in super::super) use counters::Wait;

use super::super::error::{Conflict, Fault};
use super::super::globals::Rect;
use super::super::memory::Access;
use super::super::prepared::Prepared;
use super::error::{Actor, Element, RankFault};
use super::marks::{Mark, Row};
use super::random::Random;
use super::timeline::Arrival;
use counters::Counter;
use indexmap::IndexMap;
use std::collections::BTreeMap;
use tilewright_ir::DType;
use tilewright_ir::kernel::{Pipe, Program, Role};

type Clock = Vec<u32>;

/// A window of one rank.
struct Window {
    bytes: Vec<u8>,
    marks: Vec<Row>,
    counters: BTreeMap<usize, Counter>,
    /// Who last wrote a line by a scalar store.
    lines: BTreeMap<usize, Mark>,
}

/// What all instances of a window have in common.
struct Shape {
    name: String,
    dtype: DType,
    rows: usize,
    cols: usize,
}

/// A store on its way.
struct Pending {
    window: usize,
    rank: usize,
    rect: Rect,
    bytes: Vec<u8>,
}

/// The memory that ranks share.
pub(super) struct Fabric<'r, 'a> {
    all_prepared: &'r [Prepared<'a>],
    ranks: usize,
    /// Agents a rank.
    width: usize,
    shapes: IndexMap<String, Shape>,
    /// By window, then rank.
    windows: Vec<Vec<Window>>,
    /// By agent.
    clocks: Vec<Clock>,
    outboxes: Vec<Vec<Pending>>,
    /// What the kernels of a rank know that are over.
    over: Vec<Clock>,
    /// Accesses of each agent since its last notification, which the next one must find finished.
    open: Vec<Vec<(Pipe, u32, usize)>>,
    /// Notifications so far.
    arrivals: Arrival,
    remote_stores: u64,
}

/// A place in a window, on a peer if one is named.
#[derive(Clone, Copy)]
pub(in super::super) struct Target<'t> {
    pub tensor: &'t str,
    pub peer: Option<i64>,
    pub at: (i64, i64),
}

/// The block whose turn it is.
#[derive(Clone, Copy)]
pub(super) struct Who {
    pub rank: usize,
    pub block: usize,
    pub kernel: usize,
    pub epoch: usize,
}

impl<'r, 'a> Fabric<'r, 'a> {
    /// Windows of zeros; `width` blocks of a rank may touch them at once.
    pub fn new(program: &Program, all_prepared: &'r [Prepared<'a>], width: usize) -> Self {
        let shapes: IndexMap<String, Shape> = program
            .tensors
            .iter()
            .filter(|(_, t)| t.role == Role::Window)
            .map(|(name, t)| {
                let (rows, cols) = t.matrix();
                let shape = Shape {
                    name: name.clone(),
                    dtype: t.dtype,
                    rows,
                    cols,
                };
                (name.clone(), shape)
            })
            .collect();
        let agents = program.ranks * width;
        let instance = |s: &Shape| Window {
            bytes: vec![0; s.rows * s.cols * s.dtype.bytes()],
            marks: vec![Row::new(s.cols); s.rows],
            counters: BTreeMap::new(),
            lines: BTreeMap::new(),
        };
        Fabric {
            all_prepared,
            ranks: program.ranks,
            width,
            windows: shapes
                .values()
                .map(|s| (0..program.ranks).map(|_| instance(s)).collect())
                .collect(),
            shapes,
            clocks: vec![vec![0; agents]; agents],
            outboxes: (0..agents).map(|_| vec![]).collect(),
            over: vec![vec![0; agents]; program.ranks],
            open: vec![vec![]; agents],
            arrivals: 0,
            remote_stores: 0,
        }
    }

    /// Notifications, and stores into windows of other ranks.
    pub fn counts(&self) -> (u64, u64) {
        (self.arrivals as u64, self.remote_stores)
    }

    pub fn dtype(&self, tensor: &str) -> Option<DType> {
        self.shapes.get(tensor).map(|s| s.dtype)
    }

    fn agent(&self, who: Who) -> usize {
        who.rank * self.width + who.block
    }

    /// A block begins: it knows what the rank's earlier kernels knew.
    pub fn begin(&mut self, who: Who) {
        let agent = self.agent(who);
        self.clocks[agent].clone_from(&self.over[who.rank]);
        self.clocks[agent][agent] += 1;
        self.open[agent].clear();
    }

    /// A block ends, and all that it has stored arrives.
    pub fn end(&mut self, who: Who) {
        let agent = self.agent(who);
        self.drain(agent);
        let (over, clock) = (&mut self.over[who.rank], &self.clocks[agent]);
        join(over, clock);
    }

    fn mark(&self, who: Who, access: &Access, atomic: bool) -> Mark {
        let agent = self.agent(who);
        Mark {
            agent,
            time: self.clocks[agent][agent],
            epoch: who.epoch as u32,
            kernel: who.kernel as u32,
            touch: access.touch(),
            atomic,
        }
    }

    fn actor(&self, mark: &Mark) -> Box<Actor> {
        let prepared = &self.all_prepared[mark.kernel as usize];
        Box::new(Actor {
            rank: mark.agent / self.width,
            epoch: mark.epoch as usize,
            kernel: prepared.kernel.name.clone(),
            block: mark.agent % self.width,
            instruction: prepared.describe(mark.touch.step as usize).to_string(),
        })
    }

    fn element(&self, window: usize, rank: usize, element: usize) -> Element {
        let shape = &self.shapes[window];
        Element {
            window: shape.name.clone(),
            rank,
            row: element / shape.cols.max(1),
            col: element % shape.cols.max(1),
        }
    }

    /// The number of a window and a rectangle of it that is in range.
    fn rect(
        &self,
        tensor: &str,
        (row, col): (i64, i64),
        (rows, cols): (usize, usize),
    ) -> Result<(usize, Rect), Fault> {
        let (index, _, shape) = self.shapes.get_full(tensor).ok_or_else(|| Fault::Program {
            what: format!("`{tensor}` is no window"),
        })?;
        let fits = |start: i64, count: usize, limit: usize| {
            usize::try_from(start)
                .ok()
                .filter(|s| s.checked_add(count).is_some_and(|end| end <= limit))
        };
        match (fits(row, rows, shape.rows), fits(col, cols, shape.cols)) {
            (Some(row), Some(col)) => Ok((
                index,
                Rect {
                    row,
                    col,
                    rows,
                    cols,
                },
            )),
            _ => Err(Fault::GlobalBounds {
                tensor: shape.name.clone(),
                row,
                col,
                rows,
                cols,
                shape: (shape.rows, shape.cols),
            }),
        }
    }

    fn peer(&self, who: Who, peer: Option<i64>) -> Result<usize, Fault> {
        let Some(peer) = peer else {
            return Ok(who.rank);
        };
        let rank = usize::try_from(peer).ok().filter(|p| *p < self.ranks);
        rank.ok_or_else(|| {
            RankFault::Peer {
                peer,
                ranks: self.ranks,
            }
            .into()
        })
    }

    /// Reads a rectangle of the rank's own window: its elements in row-major order, as bytes.
    pub fn read(
        &mut self,
        who: Who,
        access: &Access,
        tensor: &str,
        at: (i64, i64),
        extent: (usize, usize),
    ) -> Result<Vec<u8>, Fault> {
        let (window, rect) = self.rect(tensor, at, extent)?;
        let mark = self.mark(who, access, false);
        self.note(&mark);
        let Shape { cols, dtype, .. } = self.shapes[window];
        let mut out = Vec::with_capacity(rect.rows * rect.cols * dtype.bytes());
        for r in rect.row..rect.row + rect.rows {
            let mut row =
                std::mem::replace(&mut self.windows[window][who.rank].marks[r], Row::new(0));
            let checked = row.touch(rect.col, rect.col + rect.cols, |col, span| {
                let element = || self.element(window, who.rank, r * cols + col);
                if let Some(write) = span.write
                    && !self.ordered(&write, &mark, access)
                {
                    let conflict = Conflict::ReadAfterWrite;
                    return Err(self.race(conflict, access, &write, &mark, element()));
                }
                let own = |m: &Mark| m.agent / self.width == who.rank;
                let fresh = |m: &Mark| m.epoch as usize == who.epoch || own(m);
                if !span.write.as_ref().is_some_and(fresh) {
                    return Err(RankFault::NotArrived {
                        element: element(),
                        epoch: who.epoch,
                        written: span.write.map(|m| self.actor(&m)),
                    }
                    .into());
                }
                span.read(mark);
                Ok(())
            });
            self.windows[window][who.rank].marks[r] = row;
            checked?;
            let start = (r * cols + rect.col) * dtype.bytes();
            let end = start + rect.cols * dtype.bytes();
            out.extend_from_slice(&self.windows[window][who.rank].bytes[start..end]);
        }
        Ok(out)
    }

    /// Writes a rectangle of a rank's window from bytes in row-major order; on another rank, they arrive later.
    pub fn write(
        &mut self,
        who: Who,
        access: &Access,
        to: Target,
        extent: (usize, usize),
        bytes: Vec<u8>,
    ) -> Result<(), Fault> {
        let (window, rect) = self.rect(to.tensor, to.at, extent)?;
        let rank = self.peer(who, to.peer)?;
        let mark = self.mark(who, access, false);
        self.note(&mark);
        let cols = self.shapes[window].cols;
        for r in rect.row..rect.row + rect.rows {
            let counters = &self.windows[window][rank].counters;
            let range = r * cols + rect.col..r * cols + rect.col + rect.cols;
            if let Some((element, _)) = counters.range(range).next() {
                let element = self.element(window, rank, *element);
                return Err(RankFault::CounterStore { element }.into());
            }
            self.write_marks(access, mark, (window, rank), r, rect)?;
        }
        if access.pipe == Pipe::S {
            self.write_line(access, mark, (window, rank), rect.row * cols + rect.col)?;
        }
        let pending = Pending {
            window,
            rank,
            rect,
            bytes,
        };
        if rank == who.rank {
            self.arrive(pending);
        } else {
            self.remote_stores += 1;
            self.outboxes[mark.agent].push(pending);
        }
        Ok(())
    }

    fn write_marks(
        &mut self,
        access: &Access,
        mark: Mark,
        (window, rank): (usize, usize),
        r: usize,
        rect: Rect,
    ) -> Result<(), Fault> {
        let cols = self.shapes[window].cols;
        let mut row = std::mem::replace(&mut self.windows[window][rank].marks[r], Row::new(0));
        let checked = row.touch(rect.col, rect.col + rect.cols, |col, span| {
            let reads = span.reads.iter().map(|m| (m, Conflict::WriteAfterRead));
            let write = span.write.iter().map(|m| (m, Conflict::WriteAfterWrite));
            for (first, conflict) in reads.chain(write) {
                // Notifications of one counter have an order of their own.
                let both = first.atomic && mark.atomic;
                if !both && !self.ordered(first, &mark, access) {
                    let element = self.element(window, rank, r * cols + col);
                    return Err(self.race(conflict, access, first, &mark, element));
                }
            }
            span.reads.clear();
            span.write = Some(mark);
            Ok(())
        });
        self.windows[window][rank].marks[r] = row;
        checked
    }

    /// A scalar store writes a whole line back.
    fn write_line(
        &mut self,
        access: &Access,
        mark: Mark,
        (window, rank): (usize, usize),
        element: usize,
    ) -> Result<(), Fault> {
        // Windows start at a line of the scalar unit's data cache.
        let bytes = access.prepared.machine.gm_scalar_line.count().max(1);
        let line = element * self.shapes[window].dtype.bytes() / bytes;
        let before = self.windows[window][rank].lines.insert(line, mark);
        match before {
            Some(other) if other.agent != mark.agent && !self.ordered(&other, &mark, access) => {
                Err(RankFault::SharedLine {
                    element: self.element(window, rank, element),
                    line: bytes,
                    other: self.actor(&other),
                }
                .into())
            }
            _ => Ok(()),
        }
    }

    /// Remembers an access for the next notification.
    fn note(&mut self, mark: &Mark) {
        if mark.touch.pipe != Pipe::S {
            let open = &mut self.open[mark.agent];
            let entry = (mark.touch.pipe, mark.touch.seq, mark.touch.step as usize);
            // A pipe that has finished a later access has finished the earlier ones.
            match open.iter_mut().find(|e| e.0 == entry.0) {
                Some(last) => *last = entry,
                None => open.push(entry),
            }
        }
    }

    /// Whether `first` is over before `second`, which its block does now.
    fn ordered(&self, first: &Mark, second: &Mark, access: &Access) -> bool {
        if first.agent != second.agent {
            return self.clocks[second.agent][first.agent] >= first.time;
        }
        let same_block = (first.kernel, first.epoch) == (second.kernel, second.epoch);
        !same_block || !access.conflict(first.touch)
    }

    #[cold]
    fn race(
        &self,
        conflict: Conflict,
        access: &Access,
        first: &Mark,
        second: &Mark,
        element: Element,
    ) -> Fault {
        if first.agent == second.agent {
            return access.hazard(conflict, element.to_string(), first.touch);
        }
        RankFault::Race {
            conflict,
            element,
            first: self.actor(first),
        }
        .into()
    }

    fn arrive(&mut self, p: Pending) {
        let Shape { cols, dtype, .. } = self.shapes[p.window];
        let width = p.rect.cols * dtype.bytes();
        let bytes = &mut self.windows[p.window][p.rank].bytes;
        for (i, r) in (p.rect.row..p.rect.row + p.rect.rows).enumerate() {
            let start = (r * cols + p.rect.col) * dtype.bytes();
            bytes[start..start + width].copy_from_slice(&p.bytes[i * width..(i + 1) * width]);
        }
    }

    fn drain(&mut self, agent: usize) {
        for p in std::mem::take(&mut self.outboxes[agent]) {
            self.arrive(p);
        }
    }

    /// Lets one store that is on its way arrive, if there is one; of two to the same bytes, the earlier.
    pub fn deliver(&mut self, random: &mut Random) {
        let busy: Vec<usize> = (0..self.outboxes.len())
            .filter(|a| !self.outboxes[*a].is_empty())
            .collect();
        let Some(&agent) = random.pick(&busy) else {
            return;
        };
        let outbox = &self.outboxes[agent];
        let mut at = random.below(outbox.len());
        while let Some(earlier) = outbox[..at].iter().position(|p| meet(p, &outbox[at])) {
            at = earlier;
        }
        let p = self.outboxes[agent].remove(at);
        self.arrive(p);
    }
}

fn join(clock: &mut Clock, other: &Clock) {
    for (mine, theirs) in clock.iter_mut().zip(other) {
        *mine = (*mine).max(*theirs);
    }
}

fn meet(a: &Pending, b: &Pending) -> bool {
    let apart = |p: usize, n: usize, q: usize, m: usize| p + n <= q || q + m <= p;
    (a.window, a.rank) == (b.window, b.rank)
        && !apart(a.rect.row, a.rect.rows, b.rect.row, b.rect.rows)
        && !apart(a.rect.col, a.rect.cols, b.rect.col, b.rect.cols)
}
