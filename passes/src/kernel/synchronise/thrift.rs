//! How sparing flags are with event ids, where a pair of pipes has too few of them.

use tilewright_ir::kernel::Pipe;

/// How sparing with ids the flags of a pair of pipes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Thrift {
    /// Neighbouring flags are merged; otherwise there is one for each dependence.
    pub merged: bool,
    /// Ids that a flag rotates through at most; the loop runs ahead by as many iterations.
    pub width: usize,
    /// Flags of one region that are in flight at once: the set of a later one waits for the wait of an earlier one.
    pub ring: usize,
}

impl Thrift {
    /// As many as a region has.
    pub const ALL: usize = usize::MAX;

    /// From free to as sparing as can be. A ring of 3 leaves room for tokens where flags have two ids; with one id, 6 do.
    pub const LADDER: [Thrift; 9] = {
        const fn step(merged: bool, width: usize, ring: usize) -> Thrift {
            Thrift {
                merged,
                width,
                ring,
            }
        }
        [
            step(false, Self::ALL, Self::ALL),
            step(true, Self::ALL, Self::ALL),
            step(true, Self::ALL, 6),
            step(true, Self::ALL, 3),
            step(true, 4, 3),
            step(true, 2, 3),
            step(true, 1, 6),
            step(true, 1, 3),
            step(true, 1, 1),
        ]
    };

    /// What it does to flags, in words.
    pub fn words(self) -> String {
        let mut parts = vec![];
        if self.merged {
            parts.push("neighbouring flags are merged".to_owned());
        }
        match self.ring {
            Self::ALL => {}
            1 => parts.push("one is in flight at a time".into()),
            n => parts.push(format!("{n} are in flight at most")),
        }
        match self.width {
            Self::ALL => {}
            1 => parts.push("they do not rotate".into()),
            n => parts.push(format!("they rotate through {n} ids at most")),
        }
        parts.join(", ")
    }
}

/// By source and destination pipe, the step of the ladder.
pub(super) type Thrifts = [[usize; Pipe::ALL.len()]; Pipe::ALL.len()];
