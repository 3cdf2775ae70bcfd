//! What of arrays and views a block needs: where each trip of a shared loop reads its own part, what its own trips read.

use std::collections::BTreeMap;
use tilewright_ir::op::exchange::{Arith, Id, Int, Program, Source, Step, StepKind};

/// An array whose elements belong to the trips of shared loops: trip `v` reads from `v * stride` on, below `(v + 1) * stride`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts {
    pub trips: usize,
    pub stride: usize,
}

impl Parts {
    /// Elements of a block's trips, where so many blocks share them.
    pub fn of_block(self, blocks: usize) -> usize {
        self.trips.div_ceil(blocks) * self.stride
    }
}

/// The parts of an array, if all that reads it reads so.
pub(super) fn parts(program: &Program, array: Id) -> Option<Parts> {
    if program.copied_arrays().contains(&array) {
        return None;
    }
    all_alike(&program.body, Source::Array(array), &|_, col, loops| {
        loops.part(col)
    })
}

/// The trips of the shared loops that alone read a view, each trip its own row of it.
pub(super) fn rows_of_trips(body: &[Step], view: Id) -> Option<usize> {
    all_alike(body, Source::View(view), &|row, _, loops| {
        let (variable, trips) = loops.shared()?;
        (*row == Int::Variable(variable)).then_some(trips)
    })
}

/// Whether a view is read in a body, each time in the row of this variable.
pub(super) fn reads_own_row(body: &[Step], view: Id, variable: Id) -> bool {
    let own = |row: &Int, _: &Int, _: &Loops| (*row == Int::Variable(variable)).then_some(());
    all_alike(body, Source::View(view), &own).is_some()
}

/// What is said of the row and the column of every element of a source that is read, if it is always the same; nothing where there is no
/// such element.
fn all_alike<T: PartialEq>(
    body: &[Step],
    source: Source,
    say: &impl Fn(&Int, &Int, &Loops) -> Option<T>,
) -> Option<T> {
    let mut said: Vec<Option<T>> = vec![];
    reads(body, &mut Loops::default(), &mut |of, row, col, loops| {
        if of == source {
            said.push(say(row, col, loops));
        }
    });
    let alike = said.windows(2).all(|w| w[0] == w[1]);
    said.pop().flatten().filter(|_| alike)
}

/// Calls `f` with every element that statements read, and the loops around it.
fn reads(body: &[Step], loops: &mut Loops, f: &mut impl FnMut(Source, &Int, &Int, &Loops)) {
    for step in body {
        step.kind.integers(&mut |i| {
            i.visit(&mut |i| {
                if let Int::Element { of, row, col } = i {
                    f(*of, row, col, loops);
                }
            });
        });
        match &step.kind {
            StepKind::Loop {
                variable,
                first,
                trips,
                share,
                body,
            } => {
                let around = loops.shared;
                loops.all.insert(*variable, (*first, *trips));
                loops.shared = around.or(share.map(|_| *variable));
                reads(body, loops, f);
                loops.shared = around;
                loops.all.remove(variable);
            }
            StepKind::If {
                then, otherwise, ..
            } => {
                reads(then, loops, f);
                reads(otherwise, loops, f);
            }
            _ => {}
        }
    }
}

/// The loops around a statement.
#[derive(Default)]
struct Loops {
    /// First value and trips, by variable.
    all: BTreeMap<Id, (i64, usize)>,
    /// The shared one among them.
    shared: Option<Id>,
}

impl Loops {
    /// Variable and trips of the shared loop, if it counts from 0.
    fn shared(&self) -> Option<(Id, usize)> {
        let variable = self.shared?;
        let (first, trips) = *self.all.get(&variable)?;
        (first == 0).then_some((variable, trips))
    }

    /// The parts that an index is in one of.
    fn part(&self, index: &Int) -> Option<Parts> {
        let (shared, trips) = self.shared()?;
        let mut sum = Sum::of(index)?;
        let stride = sum.factors.remove(&shared).filter(|s| *s > 0)?;
        let (mut least, mut most) = (sum.constant, sum.constant);
        for (variable, factor) in sum.factors {
            let (first, trips) = *self.all.get(&variable)?;
            let ends = [first, first + trips as i64 - 1].map(|v| v * factor);
            least += ends[0].min(ends[1]);
            most += ends[0].max(ends[1]);
        }
        (least >= 0 && most < stride).then_some(Parts {
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
