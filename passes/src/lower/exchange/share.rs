//! What of an array a block needs: where shared loops alone read it, each trip its own part, what the block's own trips read.

use std::collections::BTreeMap;
use tilewright_ir::op::exchange::{Arith, Id, Int, Program, Source, Step, StepKind};

/// An array whose elements belong to the trips of shared loops: trip `v` reads from `v * stride` on, below `(v + 1) * stride`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts {
    pub trips: usize,
    pub stride: usize,
}

impl Parts {
    /// Trips of each of so many blocks.
    pub fn of_block(self, blocks: usize) -> usize {
        self.trips.div_ceil(blocks)
    }
}

/// The parts of an array, if all that reads it reads so.
pub(super) fn parts(program: &Program, array: Id) -> Option<Parts> {
    if program.copied_arrays().contains(&array) {
        return None;
    }
    let mut walk = Walk {
        array,
        loops: BTreeMap::new(),
        shared: None,
        found: None,
        other: false,
    };
    walk.steps(&program.body);
    walk.found.filter(|_| !walk.other)
}

struct Walk {
    array: Id,
    /// First value and trips of the loops around.
    loops: BTreeMap<Id, (i64, usize)>,
    /// The shared one among them.
    shared: Option<Id>,
    found: Option<Parts>,
    other: bool,
}

impl Walk {
    fn steps(&mut self, body: &[Step]) {
        for step in body {
            let mut columns = vec![];
            step.kind.integers(&mut |i| {
                i.visit(&mut |i| {
                    if let Int::Element { of, col, .. } = i
                        && *of == Source::Array(self.array)
                    {
                        columns.push((**col).clone());
                    }
                });
            });
            for col in columns {
                let parts = self.part(&col);
                self.other |= parts.is_none() || self.found.is_some_and(|f| Some(f) != parts);
                self.found = parts;
            }
            match &step.kind {
                StepKind::Loop {
                    variable,
                    first,
                    trips,
                    share,
                    body,
                } => {
                    let around = self.shared;
                    self.loops.insert(*variable, (*first, *trips));
                    self.shared = around.or(share.map(|_| *variable));
                    self.steps(body);
                    self.shared = around;
                    self.loops.remove(variable);
                }
                StepKind::If {
                    then, otherwise, ..
                } => {
                    self.steps(then);
                    self.steps(otherwise);
                }
                _ => {}
            }
        }
    }

    /// The parts that a read of this element takes one of.
    fn part(&self, col: &Int) -> Option<Parts> {
        let shared = self.shared?;
        let (first, trips) = *self.loops.get(&shared)?;
        let mut sum = Sum::of(col)?;
        let stride = sum.factors.remove(&shared).filter(|s| *s > 0)?;
        let mut least = sum.constant;
        let mut most = sum.constant;
        for (variable, factor) in sum.factors {
            let (first, trips) = *self.loops.get(&variable)?;
            let ends = [first, first + trips as i64 - 1].map(|v| v * factor);
            least += ends[0].min(ends[1]);
            most += ends[0].max(ends[1]);
        }
        (first == 0 && least >= 0 && most < stride).then_some(Parts {
            trips,
            stride: stride as usize,
        })
    }
}

/// A sum of variables with factors.
#[derive(Default)]
struct Sum {
    factors: BTreeMap<Id, i64>,
    constant: i64,
}

impl Sum {
    fn of(int: &Int) -> Option<Self> {
        match int {
            Int::Const(n) => Some(Sum {
                constant: *n,
                ..Sum::default()
            }),
            Int::Variable(v) => Some(Sum {
                factors: BTreeMap::from([(*v, 1)]),
                ..Sum::default()
            }),
            Int::Arith(Arith::Add, a, b) => Some(Sum::of(a)?.plus(Sum::of(b)?, 1)),
            Int::Arith(Arith::Sub, a, b) => Some(Sum::of(a)?.plus(Sum::of(b)?, -1)),
            Int::Arith(Arith::Mul, a, b) => {
                let (a, b) = (Sum::of(a)?, Sum::of(b)?);
                let (of, by) = if a.factors.is_empty() { (b, a) } else { (a, b) };
                let by = by.factors.is_empty().then_some(by.constant)?;
                Some(Sum::default().plus(of, by))
            }
            _ => None,
        }
    }

    fn plus(mut self, other: Sum, times: i64) -> Self {
        for (variable, factor) in other.factors {
            *self.factors.entry(variable).or_default() += factor * times;
        }
        self.constant += other.constant * times;
        self
    }
}
