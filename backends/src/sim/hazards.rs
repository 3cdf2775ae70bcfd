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

use super::error::{Fault, Flag};
use super::plan::Plan;
use tilewright_ir::kernel::{EVENT_IDS, Pipe};

const PIPES: usize = Pipe::ALL.len();

type Clock = [u32; PIPES];

/// What each pipe has issued, and what it knows to have finished.
#[derive(Clone, Default)]
pub(super) struct Clocks {
    issued: Clock,
    known: [Clock; PIPES],
}

impl Clocks {
    /// Numbers the next thing that `pipe` does; numbers start at 1.
    pub fn issue(&mut self, pipe: Pipe) -> u32 {
        let p = pipe as usize;
        self.issued[p] += 1;
        if pipe == Pipe::S {
            // In order with itself: the numbers before this one have finished.
            self.known[p][p] = self.issued[p] - 1;
        }
        self.issued[p]
    }

    /// Whether what `first` did as number `seq` has finished before what `second` issues next or has just issued.
    #[inline]
    pub fn ordered(&self, first: Pipe, seq: u32, second: Pipe) -> bool {
        self.known[second as usize][first as usize] >= seq
    }

    /// Later instructions of the pipe start after its earlier ones have finished.
    pub fn barrier(&mut self, pipe: Pipe) {
        let p = pipe as usize;
        self.known[p][p] = self.issued[p];
    }

    /// Takes for granted that what `first` did as number `seq` is over before anything more on `second`.
    pub fn assume(&mut self, first: Pipe, seq: u32, second: Pipe) {
        let known = &mut self.known[second as usize][first as usize];
        *known = (*known).max(seq);
    }

    fn token(&self, src: Pipe) -> Clock {
        let mut clock = self.known[src as usize];
        clock[src as usize] = self.issued[src as usize];
        clock
    }

    fn join(&mut self, dst: Pipe, token: &Clock) {
        let targets = if dst == Pipe::S {
            0..PIPES
        } else {
            dst as usize..dst as usize + 1
        };
        for t in targets {
            for (k, v) in self.known[t].iter_mut().zip(token) {
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
    channels: Vec<Channel>,
}

/// A number for each flag of a core.
pub(super) fn flag_index(flag: Flag) -> usize {
    (flag.src as usize * PIPES + flag.dst as usize) * EVENT_IDS + flag.id
}

impl Flags {
    pub fn new() -> Self {
        Flags {
            channels: vec![Channel::default(); PIPES * PIPES * EVENT_IDS],
        }
    }

    pub fn set(
        &mut self,
        plan: &Plan,
        clocks: &Clocks,
        flag: Flag,
        step: usize,
        time: f64,
    ) -> Result<(), Fault> {
        let channel = &mut self.channels[flag_index(flag)];
        let fault = match (&channel.pending, channel.waited) {
            (Some(pending), _) => Some(Fault::DoubleSet {
                flag,
                first: plan.describe(pending.step),
            }),
            // What is handed out after a wait of the scalar unit comes after it.
            (None, Some((seq, wait)))
                if flag.dst != Pipe::S && !clocks.ordered(flag.dst, seq, flag.src) =>
            {
                Some(Fault::UnorderedSet {
                    flag,
                    wait: plan.describe(wait),
                })
            }
            _ => None,
        };
        // Also after a fault: whoever goes on finds the later set.
        channel.sets += 1;
        channel.pending = Some(Pending {
            clock: clocks.token(flag.src),
            step,
            time,
        });
        fault.map_or(Ok(()), Err)
    }

    /// Consumes a set and returns the cycle at which it ran; `None` if there is none.
    pub fn wait(&mut self, clocks: &mut Clocks, flag: Flag, step: usize) -> Option<f64> {
        let channel = &mut self.channels[flag_index(flag)];
        let pending = channel.pending.take()?;
        channel.waited = Some((clocks.issue(flag.dst), step));
        clocks.join(flag.dst, &pending.clock);
        Some(pending.time)
    }

    /// How often a flag has been set so far.
    pub fn sets(&self, flag: Flag) -> u64 {
        self.channels[flag_index(flag)].sets
    }

    /// The sets that no wait has consumed, with their steps.
    pub fn unconsumed(&self, plan: &Plan) -> Vec<(usize, Fault)> {
        let mut all = vec![];
        for src in Pipe::ALL {
            for dst in Pipe::ALL {
                for id in 0..EVENT_IDS {
                    let flag = Flag { src, dst, id };
                    if let Some(pending) = &self.channels[flag_index(flag)].pending {
                        let set = plan.describe(pending.step);
                        all.push((pending.step, Fault::UnconsumedFlag { flag, set }));
                    }
                }
            }
        }
        all
    }
}
