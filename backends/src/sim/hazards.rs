//! What is ordered before what: clocks of the pipes and the flags between them, independent of any timing.
//!
//! Each pipe numbers what it issues: instructions and waits. A clock holds, for each pipe, up to which number that pipe is
//! known to have *finished*. The rules:
//!
//! * Instructions of one pipe start in order, but nothing is known of when they finish. So two instructions of one pipe that
//!   touch the same bytes, at least one of them writing, need a barrier of that pipe (or a way round over other pipes)
//!   between them: read after write, write after write and write after read alike, on every pipe. The public
//!   compiler puts a barrier before each accumulating product, too.
//! * `set_flag(a, b)` runs when all that `a` issued before has finished; it carries the clock of `a`.
//! * `wait_flag(a, b)` holds back what `b` issues later; the clock of `b` joins the flag's.
//! * A wait on the scalar unit holds back all pipes, since it is the scalar unit that dispatches.
//! * The scalar unit sees its own effects in program order, and its reads end before anything is dispatched after them. Its
//!   writes to UB are only seen by another pipe after a flag.
//! * A flag holds one set: a second set needs to be ordered after the wait for the first one.
//!
//! The cores of a block of a mixed kernel have one clock over the pipes of all of them, and cross-core flags carry it from one
//! to the other (`mixed.rs`).

use super::error::{Fault, Flag};
use super::prepared::Prepared;
use serde::Serialize;
use tilewright_ir::kernel::Pipe;

const PIPES: usize = Pipe::ALL.len();

/// Of each pipe of each core of a block.
pub(super) type Clock = Vec<u32>;

/// A pipe of one of a block's cores: a kernel of one core type has the first, a mixed one its cube core and then its vector
/// cores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Lane {
    pub core: u8,
    pub pipe: Pipe,
}

impl Lane {
    fn index(self) -> usize {
        self.core as usize * PIPES + self.pipe as usize
    }
}

/// What each pipe has issued, and what it knows to have finished.
#[derive(Clone, Default)]
pub(super) struct Clocks {
    issued: Clock,
    /// A clock a pipe, one after the other.
    known: Vec<u32>,
}

impl Clocks {
    /// Nothing has been issued on any core of a block.
    pub fn new(cores: usize) -> Self {
        let lanes = cores * PIPES;
        Clocks {
            issued: vec![0; lanes],
            known: vec![0; lanes * lanes],
        }
    }

    /// Where a pipe's clock says what it knows of another one.
    #[inline]
    fn place(&self, of: usize, about: usize) -> usize {
        of * self.issued.len() + about
    }

    /// Numbers the next thing that a pipe does; numbers start at 1.
    pub fn issue(&mut self, lane: Lane) -> u32 {
        let p = lane.index();
        self.issued[p] += 1;
        if lane.pipe == Pipe::S {
            // In order with itself: the numbers before this one have finished.
            let own = self.place(p, p);
            self.known[own] = self.issued[p] - 1;
        }
        self.issued[p]
    }

    /// Whether what `first` did as number `seq` has finished before what `second` issues next or has just issued.
    #[inline]
    pub fn ordered(&self, first: Lane, seq: u32, second: Lane) -> bool {
        self.known[self.place(second.index(), first.index())] >= seq
    }

    /// Later instructions of the pipe start after its earlier ones have finished.
    pub fn barrier(&mut self, lane: Lane) {
        let p = lane.index();
        let own = self.place(p, p);
        self.known[own] = self.issued[p];
    }

    /// Takes for granted that what `first` did as number `seq` is over before anything more on `second`.
    pub fn assume(&mut self, first: Lane, seq: u32, second: Lane) {
        let place = self.place(second.index(), first.index());
        let known = &mut self.known[place];
        *known = (*known).max(seq);
    }

    /// What is over when all that a pipe has been given is over.
    pub fn token(&self, src: Lane) -> Clock {
        let first = self.place(src.index(), 0);
        let mut clock = self.known[first..first + self.issued.len()].to_vec();
        clock[src.index()] = self.issued[src.index()];
        clock
    }

    /// Lets a pipe know what a flag carries; the scalar unit, all pipes of its core.
    pub fn join(&mut self, dst: Lane, token: &[u32]) {
        let first = dst.core as usize * PIPES;
        let targets = if dst.pipe == Pipe::S {
            first..first + PIPES
        } else {
            dst.index()..dst.index() + 1
        };
        for t in targets {
            let first = self.place(t, 0);
            for (k, v) in self.known[first..].iter_mut().zip(token) {
                *k = (*k).max(*v);
            }
        }
    }
}

#[derive(Clone, Default)]
struct Channel {
    pending: Option<Pending>,
    /// Number that the last wait has on the destination pipe, and its step.
    waited: Option<(u32, usize)>,
    sets: u64,
}

#[derive(Clone)]
struct Pending {
    clock: Clock,
    step: usize,
    /// Cycle at which the set runs.
    time: f64,
}

/// The event flags of a core.
#[derive(Clone, Default)]
pub(super) struct Flags {
    core: u8,
    /// Event ids of each pair of pipes.
    ids: usize,
    channels: Vec<Channel>,
}

impl Flags {
    /// Those of a core of a machine with so many event ids.
    pub fn new(core: u8, ids: usize) -> Self {
        Flags {
            core,
            ids,
            channels: vec![Channel::default(); PIPES * PIPES * ids],
        }
    }

    /// A number for each flag of a core.
    pub fn index(&self, flag: Flag) -> usize {
        (flag.src as usize * PIPES + flag.dst as usize) * self.ids + flag.id
    }

    pub fn set(
        &mut self,
        prepared: &Prepared,
        clocks: &Clocks,
        flag: Flag,
        step: usize,
        time: f64,
    ) -> Result<(), Fault> {
        let core = self.core;
        let lane = |pipe| Lane { core, pipe };
        let index = self.index(flag);
        let channel = &mut self.channels[index];
        let fault = match (&channel.pending, channel.waited) {
            (Some(pending), _) => Some(Fault::DoubleSet {
                flag,
                first: prepared.describe(pending.step),
            }),
            // What is handed out after a wait of the scalar unit comes after it.
            (None, Some((seq, wait)))
                if flag.dst != Pipe::S && !clocks.ordered(lane(flag.dst), seq, lane(flag.src)) =>
            {
                Some(Fault::UnorderedSet {
                    flag,
                    wait: prepared.describe(wait),
                })
            }
            _ => None,
        };
        // Also after a fault: whoever goes on finds the later set.
        channel.sets += 1;
        channel.pending = Some(Pending {
            clock: clocks.token(lane(flag.src)),
            step,
            time,
        });
        fault.map_or(Ok(()), Err)
    }

    /// Consumes a set and returns the cycle at which it ran; `None` if there is none.
    pub fn wait(&mut self, clocks: &mut Clocks, flag: Flag, step: usize) -> Option<f64> {
        let dst = Lane {
            core: self.core,
            pipe: flag.dst,
        };
        let index = self.index(flag);
        let channel = &mut self.channels[index];
        let pending = channel.pending.take()?;
        channel.waited = Some((clocks.issue(dst), step));
        clocks.join(dst, &pending.clock);
        Some(pending.time)
    }

    /// How often a flag has been set so far.
    pub fn sets(&self, flag: Flag) -> u64 {
        self.channels[self.index(flag)].sets
    }

    /// The sets that no wait has consumed, with their steps.
    pub fn unconsumed(&self, prepared: &Prepared) -> Vec<(usize, Fault)> {
        let mut all = vec![];
        for src in Pipe::ALL {
            for dst in Pipe::ALL {
                for id in 0..self.ids {
                    let flag = Flag { src, dst, id };
                    if let Some(pending) = &self.channels[self.index(flag)].pending {
                        let set = prepared.describe(pending.step);
                        all.push((pending.step, Fault::UnconsumedFlag { flag, set }));
                    }
                }
            }
        }
        all
    }
}
