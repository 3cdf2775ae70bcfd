//! Counters: notifications change them, waits read them, and both carry what a block knows.

use super::{Clock, Fabric, Target, Who, join};
use crate::sim::error::Fault;
use crate::sim::hazards::Lane;
use crate::sim::memory::Access;
use crate::sim::ranks::error::{Actor, RankFault, Waiting};
use crate::sim::ranks::marks::Mark;
use crate::sim::ranks::timeline::{Arrival, TimeOp};
use crate::sim::scalar::integer;
use std::rc::Rc;
use tilewright_ir::kernel::{NotifyOp, Pipe};

/// One i32 that notifications change.
#[derive(Default)]
pub(super) struct Counter {
    changes: Vec<Change>,
    /// The last change of each agent.
    marks: Vec<(Mark, NotifyOp)>,
}

struct Change {
    value: i64,
    clock: Rc<Clock>,
    by: Mark,
    /// The first change whose time counts: the last set, or the first addition.
    since: usize,
    arrival: Arrival,
}

/// What a block waits for.
#[derive(Clone, Copy)]
pub(in crate::sim) struct Wait {
    window: usize,
    element: usize,
    at_least: i64,
    step: usize,
}

impl Fabric<'_, '_> {
    /// Changes a counter. What the block did before is over, and has arrived.
    pub fn notify(
        &mut self,
        who: Who,
        access: &Access,
        to: Target,
        op: NotifyOp,
        value: i64,
    ) -> Result<TimeOp, Fault> {
        let (window, rect) = self.rect(to.tensor, to.at, (1, 1))?;
        let rank = self.peer(who, to.peer)?;
        let cols = self.shapes[window].cols;
        let element = rect.row * cols + rect.col;
        let mark = self.mark(who, access, true);
        let agent = mark.agent;
        for (pipe, seq, step) in std::mem::take(&mut self.open[agent]) {
            let lane = |pipe| Lane {
                core: access.core,
                pipe,
            };
            if !access.clocks.ordered(lane(pipe), seq, lane(Pipe::S)) {
                return Err(RankFault::Undrained {
                    counter: self.element(window, rank, element),
                    pending: access.prepared.describe(step).to_string(),
                    pipe: pipe.name(),
                }
                .into());
            }
        }
        self.drain(agent);
        self.write_marks(access, mark, (window, rank), rect.row, rect)?;
        if op == NotifyOp::Set {
            self.write_line(access, mark, (window, rank), element)?;
        }
        let counter = self.windows[window][rank].counters.get(&element);
        let clash = counter.into_iter().flat_map(|c| &c.marks).find(|(m, o)| {
            let sets = op == NotifyOp::Set || *o == NotifyOp::Set;
            sets && m.agent != agent && !self.ordered(m, &mark, access)
        });
        if let Some((other, _)) = clash {
            return Err(RankFault::LostNotification {
                counter: self.element(window, rank, element),
                other: self.actor(other),
            }
            .into());
        }
        let mut clock = self.clocks[agent].clone();
        self.clocks[agent][agent] += 1;
        let arrival = self.arrivals;
        self.arrivals += 1;
        let counter = self.windows[window][rank]
            .counters
            .entry(element)
            .or_default();
        let index = counter.changes.len();
        let (before, since) = match (op, counter.changes.last()) {
            (NotifyOp::Add, Some(last)) => {
                join(&mut clock, &last.clock);
                (last.value, last.since)
            }
            _ => (0, index),
        };
        let after = before.saturating_add(value);
        let stored = integer(after)?;
        counter.changes.push(Change {
            value: after,
            clock: Rc::new(clock),
            by: mark,
            since,
            arrival,
        });
        counter.marks.retain(|(m, _)| m.agent != agent);
        counter.marks.push((mark, op));
        let bytes = &mut self.windows[window][rank].bytes;
        bytes[element * 4..element * 4 + 4].copy_from_slice(&stored.to_le_bytes());
        Ok(TimeOp::Notify {
            arrival,
            far: to.peer.is_some(),
        })
    }

    /// What a block waits for.
    pub fn waits_for(
        &self,
        tensor: &str,
        at: (i64, i64),
        at_least: i64,
        step: usize,
    ) -> Result<Wait, Fault> {
        let (window, rect) = self.rect(tensor, at, (1, 1))?;
        Ok(Wait {
            window,
            element: rect.row * self.shapes[window].cols + rect.col,
            at_least,
            step,
        })
    }

    /// The change that brought the counter to the value and from which on it stayed there.
    fn satisfied(&self, rank: usize, wait: &Wait) -> Option<Option<usize>> {
        let counter = self.windows[wait.window][rank].counters.get(&wait.element);
        let changes = counter.map_or(&[][..], |c| &c.changes);
        let below = changes.iter().rposition(|c| c.value < wait.at_least);
        let first = below.map_or(0, |i| i + 1);
        match (first < changes.len(), below, wait.at_least <= 0) {
            // A counter is zero at first.
            (_, None, true) => Some(None),
            (true, ..) => Some(Some(first)),
            (false, ..) => None,
        }
    }

    pub fn ready(&self, rank: usize, wait: &Wait) -> bool {
        self.satisfied(rank, wait).is_some()
    }

    /// Ends a wait, if its counter is high enough: the block knows what brought it there.
    pub fn pass(&mut self, who: Who, wait: &Wait) -> Option<TimeOp> {
        let Some(change) = self.satisfied(who.rank, wait)? else {
            return Some(TimeOp::Await { needs: vec![] });
        };
        let changes = &self.windows[wait.window][who.rank].counters[&wait.element].changes;
        let needs = changes[changes[change].since..=change]
            .iter()
            .map(|c| c.arrival)
            .collect();
        let clock = changes[change].clock.clone();
        let agent = self.agent(who);
        join(&mut self.clocks[agent], &clock);
        Some(TimeOp::Await { needs })
    }

    /// A wait in words.
    pub fn waiting(&self, who: Who, wait: &Wait) -> Waiting {
        let prepared = &self.all_prepared[who.kernel];
        let counter = self.windows[wait.window][who.rank]
            .counters
            .get(&wait.element);
        let last = counter.and_then(|c| c.changes.last());
        Waiting {
            actor: Actor {
                rank: who.rank,
                epoch: who.epoch,
                kernel: prepared.kernel.name.clone(),
                block: who.block,
                instruction: prepared.describe(wait.step).to_string(),
            },
            counter: self.element(wait.window, who.rank, wait.element),
            at_least: wait.at_least,
            value: last.map_or(0, |c| c.value),
            last: last.map(|c| *self.actor(&c.by)),
        }
    }
}
