//! Instances of a rule's left side: a term for every variable of a pattern, of random shapes and values.
//!
//! Built from the root down: a parent says what its operand must be (extent, block, element type), literals and variables
//! that occur twice must agree with that, and choices that cannot be are given up.

use super::support::choices::{Choices, mix};
use super::support::classes::Inputs;
use super::support::value::{Arithmetic, Value};
use egg::{EGraph, ENodeOrVar, Id, Language, PatternAst, Var};
use std::collections::HashMap;
use std::sync::LazyLock;
use tilewright_ir::dtype::{DType, Round};
use tilewright_ir::graph::{Binary, Unary};
use tilewright_ir::machine::Machine;
use tilewright_passes::term::analysis::{Graph, Kind, Limits, Seed, TermAnalysis};
use tilewright_passes::term::language::{Bits, Head, Term};

const ROWS: [usize; 9] = [4, 1, 2, 3, 5, 6, 8, 12, 16];
const COLS: [usize; 12] = [32, 1, 8, 5, 16, 24, 48, 56, 64, 96, 112, 192];
/// Columns of a tile that is reduced by itself.
const WIDE: [usize; 5] = [128, 256, 192, 24, 320];
const TYPES: [DType; 6] = [
    DType::F32,
    DType::F32,
    DType::Bf16,
    DType::F16,
    DType::I8,
    DType::I32,
];
/// Where arithmetic has edges, and where casts saturate.
const EDGES: [f32; 16] = [
    0.0,
    -0.0,
    f32::NAN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    1e-40,
    -1e-45,
    f32::MIN_POSITIVE,
    3e38,
    f32::MIN,
    127.5,
    -128.5,
    300.0,
    65520.0,
    0.1,
    -1.0,
];

/// A left side in an e-graph of its own.
pub struct Instance {
    pub egraph: Graph,
    pub root: Id,
    pub inputs: Inputs,
    /// The longest sum in it.
    pub terms: usize,
}

static A3: LazyLock<Machine> = LazyLock::new(|| Machine::builtin("A3").unwrap());

/// An instance of a left side; `None` where the choices make none.
pub fn instance(left: &PatternAst<Term>, edges: bool, c: &mut Choices) -> Option<Instance> {
    // Some rules need operands that fill L0B, others need room in it.
    let product = |n: &ENodeOrVar<Term>| match n {
        ENodeOrVar::ENode(n) => {
            matches!(n.head(), Some(Head::Mm | Head::MmParts | Head::MmGrouped))
        }
        ENodeOrVar::Var(_) => false,
    };
    let l0b = match left.as_ref().iter().any(product) {
        true => [64 << 10, 512, 512, 512][c.below(4)],
        false => 64 << 10,
    };
    let analysis = TermAnalysis {
        limits: Limits {
            ub: 192 << 10,
            l1: 512 << 10,
            l0a: 64 << 10,
            l0b,
            cores: 48,
            nodes: 100_000,
            ..Limits::of(&A3)
        },
        ..Default::default()
    };
    let seed = c.below(1 << 30) as u64;
    let edges = edges && c.below(2) == 1;
    let mut b = Maker {
        left,
        vars: HashMap::new(),
        edges,
        seed,
        c,
        made: Instance {
            egraph: EGraph::new(analysis).with_explanations_enabled(),
            root: Id::from(0),
            inputs: Inputs::new(),
            terms: 1,
        },
    };
    let root = left.root();
    let ENodeOrVar::ENode(Term::App(head, _)) = &left[root] else {
        return None;
    };
    // The outermost cast comes last.
    let to = left.as_ref().iter().rev().find_map(|n| match n {
        ENodeOrVar::ENode(Term::App(Head::Cast(to, _), _)) => Some(*to),
        _ => None,
    });
    let (rows, cols, dtype) = (b.c.pick(&ROWS), b.c.pick(&COLS), b.c.pick(&TYPES));
    let dtype = match head {
        // Whatever the type of its operands.
        Head::MatmulNt => DType::F32,
        Head::TopK => DType::I32,
        _ => to.unwrap_or(dtype),
    };
    let whole = Want {
        rows,
        cols,
        block: (rows, cols),
        dtype,
        below: None,
    };
    b.made.root = match head {
        Head::Launch(_) | Head::Buf => b.tensor(root, whole)?,
        // Of tiles: one column for each block of columns.
        Head::Reduce(_) if b.reduces_tiles(root) => {
            let block = (b.c.divisor(rows), 1);
            b.tile(root, Want { block, ..whole })?
        }
        Head::Reduce(_) => b.tensor(root, Want { cols: 1, ..whole })?,
        head if is_algebra(*head) => b.tensor(root, whole)?,
        Head::Cols | Head::Rows | Head::WithPad => {
            let block = b.some_block(rows, cols);
            b.block(root, Want { block, ..whole })?
        }
        Head::Fold(_) => {
            let want = Want { cols: 1, ..whole };
            let block = (b.c.divisor(rows), 1);
            b.tile(root, Want { block, ..want })?
        }
        _ => {
            let block = b.some_block(rows, cols);
            b.tile(root, Want { block, ..whole })?
        }
    };
    let mut made = b.made;
    made.egraph.rebuild();
    Some(made)
}

/// Operators on whole values, with which the left side of an algebra rule starts.
fn is_algebra(head: Head) -> bool {
    matches!(
        head,
        Head::Cast(..)
            | Head::Unary(_)
            | Head::Scalar(_)
            | Head::ScalarLeft(_)
            | Head::Binary(_)
            | Head::RowBinary(_)
            | Head::ColBinary(_)
            | Head::MatmulNt
            | Head::TopK
            | Head::MaskRows
    )
}

/// What an operand must be.
#[derive(Clone, Copy)]
struct Want {
    rows: usize,
    cols: usize,
    block: (usize, usize),
    dtype: DType,
    /// Whole numbers below this, rather than any.
    below: Option<usize>,
}

struct Maker<'a> {
    left: &'a PatternAst<Term>,
    vars: HashMap<Var, Id>,
    edges: bool,
    seed: u64,
    c: &'a mut Choices,
    made: Instance,
}

impl Maker<'_> {
    fn add(&mut self, term: Term) -> Id {
        self.made.egraph.add(term)
    }

    fn app(&mut self, head: Head, children: impl Into<Vec<Id>>) -> Id {
        self.add(Term::app(head, children))
    }

    fn num(&mut self, n: usize) -> Id {
        self.add(Term::Num(n as i64))
    }

    /// Whether a reduction's operand is a tile term.
    fn reduces_tiles(&self, at: Id) -> bool {
        let operand = |at: Id| self.left[at].children().first().map(|x| &self.left[*x]);
        matches!(
            operand(at),
            Some(ENodeOrVar::ENode(Term::App(Head::Tile, _)))
        )
    }

    fn some_block(&mut self, rows: usize, cols: usize) -> (usize, usize) {
        (self.c.divisor(rows), self.c.divisor(cols))
    }

    /// A number of the pattern, which must be one of `from`.
    fn number(&mut self, at: Id, from: &[usize]) -> Option<usize> {
        match &self.left[at] {
            ENodeOrVar::ENode(Term::Num(n)) => {
                let n = usize::try_from(*n).ok()?;
                from.contains(&n).then_some(n)
            }
            ENodeOrVar::Var(v) => match self.vars.get(v) {
                Some(id) => {
                    let n = self.made.egraph[*id].data.num? as usize;
                    from.contains(&n).then_some(n)
                }
                None => {
                    let n = self.c.pick(from);
                    let id = self.num(n);
                    self.vars.insert(*v, id);
                    Some(n)
                }
            },
            _ => None,
        }
    }

    fn divisor(&mut self, at: Id, of: usize) -> Option<usize> {
        let divisors: Vec<usize> = (1..=of).rev().filter(|d| of.is_multiple_of(*d)).collect();
        self.number(at, &divisors)
    }

    /// The number's term.
    fn leaf(&mut self, at: Id, n: usize) -> Option<Id> {
        self.number(at, &[n])?;
        Some(self.num(n))
    }

    fn constant(&mut self, at: Id, dtype: DType) -> Option<Id> {
        let v = match &self.left[at] {
            ENodeOrVar::Var(v) => v,
            ENodeOrVar::ENode(Term::Const(k)) => return Some(self.add(Term::Const(*k))),
            ENodeOrVar::ENode(_) => return None,
        };
        let value = match dtype.is_float() {
            true => self.c.pick(&[2.0, -0.5, 0.0, -0.0, 1e-6, f32::MIN, 0.3]),
            false => self.c.pick(&[2.0, -1.0, 0.0, 100.0]),
        };
        if let Some(id) = self.vars.get(v) {
            return Some(*id);
        }
        let id = self.add(Term::Const(Bits::new(value)));
        self.vars.insert(*v, id);
        Some(id)
    }

    /// Values of an input, as its element type holds them.
    fn data(&mut self, want: Want) -> Vec<f64> {
        let n = want.rows * want.cols;
        self.seed += 1;
        let seed = self.seed;
        (0..n)
            .map(|i| {
                let z = mix(seed, i);
                if let Some(below) = want.below {
                    return (z % below as u64) as f64;
                }
                let x = match self.edges && z >> 60 < 4 {
                    true => EDGES[(z >> 32) as usize % EDGES.len()],
                    // -64..64, with all bits of the fraction.
                    false => (z as u32 as f32 / 4_294_967_296.0 - 0.5) * 128.0,
                };
                Arithmetic::Native.cast(f64::from(x), DType::F32, want.dtype, Round::Rint)
            })
            .collect()
    }

    fn fresh(&mut self, want: Want) -> (Id, Id) {
        let symbol = egg::Symbol::from(format!("t{}", self.made.inputs.len()));
        let data = self.data(want);
        let value = Value::tensor(want.dtype, want.rows, want.cols, &data);
        self.made.inputs.insert(symbol, value);
        let known = (want.rows, want.cols, want.dtype);
        self.made.egraph.analysis.tensors.insert(symbol, known);
        let name = self.add(Term::Name(symbol));
        (name, self.app(Head::Input, [name]))
    }

    /// An input, or something of which the sign is known.
    fn some_value(&mut self, want: Want) -> Id {
        let x = self.fresh(want).1;
        if !want.dtype.is_float() || want.below.is_some() {
            return x;
        }
        match self.c.below(4) {
            0 | 1 => x,
            2 => self.app(Head::Unary(Unary::Abs), [x]),
            _ => {
                let k = self.add(Term::Const(Bits::new(0.25)));
                self.app(Head::Scalar(Binary::Max), [x, k])
            }
        }
    }

    fn name(&mut self, at: Id) -> Option<Id> {
        let ENodeOrVar::Var(v) = &self.left[at] else {
            return None;
        };
        let id = self.add(Term::Name("value".into()));
        self.vars.insert(*v, id);
        Some(id)
    }

    /// A variable's term, if it fits; `make` makes it at its first occurrence.
    fn var(&mut self, v: Var, want: Want, make: impl FnOnce(&mut Self) -> Id) -> Option<Id> {
        if let Some(id) = self.vars.get(&v) {
            let facts = &self.made.egraph[*id].data;
            let shape = match facts.kind {
                Kind::Tensor => (want.rows, want.cols),
                _ => want.block,
            };
            let fits = (facts.rows, facts.cols) == shape && facts.dtype == Some(want.dtype);
            return fits.then_some(*id);
        }
        let id = make(self);
        self.vars.insert(v, id);
        Some(id)
    }

    /// A loop of a reduction, or of a product, whose chunks may be cut.
    fn seed_loop(&mut self, id: Id, extent: usize, product: bool) {
        let chunk = self.c.divisor(extent);
        let piece = match product && self.c.below(2) == 0 {
            true => self.c.divisor(chunk),
            false => chunk,
        };
        let depth = if extent / chunk >= 2 { 2 } else { 1 };
        self.made.terms = self.made.terms.max(extent);
        let seeds = &mut self.made.egraph.analysis.seeds;
        seeds.push((
            id,
            Seed {
                chunk,
                piece,
                depth,
            },
        ));
    }

    fn tensor(&mut self, at: Id, want: Want) -> Option<Id> {
        let (head, c) = match &self.left[at] {
            ENodeOrVar::Var(v) => return self.var(*v, want, |m| m.some_value(want)),
            ENodeOrVar::ENode(Term::App(head, c)) => (*head, c.clone()),
            ENodeOrVar::ENode(_) => return None,
        };
        let Want {
            rows, cols, dtype, ..
        } = want;
        match head {
            Head::Input => {
                let (name, id) = self.fresh(want);
                let ENodeOrVar::Var(v) = &self.left[c[0]] else {
                    return None;
                };
                self.vars.insert(*v, name);
                Some(id)
            }
            Head::Buf => {
                let name = self.name(c[0])?;
                let value = self.tensor(c[1], want)?;
                Some(self.app(head, [name, value]))
            }
            Head::Cast(to, _) => {
                let dtype = self.c.pick(&TYPES);
                let x = self.tensor(c[0], Want { dtype, ..want })?;
                (to == want.dtype).then(|| self.app(head, [x]))
            }
            Head::Unary(op) => {
                let whole = matches!(op, Unary::Abs | Unary::Neg);
                let x = (whole || dtype.is_float()).then(|| self.tensor(c[0], want))??;
                Some(self.app(head, [x]))
            }
            Head::Scalar(op) | Head::ScalarLeft(op) => {
                divides(op, dtype)?;
                let x = self.tensor(c[0], want)?;
                let k = self.constant(c[1], dtype)?;
                Some(self.app(head, [x, k]))
            }
            Head::Binary(op) | Head::RowBinary(op) | Head::ColBinary(op) => {
                divides(op, dtype)?;
                let x = self.tensor(c[0], want)?;
                let other = match head {
                    Head::RowBinary(_) => Want { cols: 1, ..want },
                    Head::ColBinary(_) => Want { rows: 1, ..want },
                    _ => want,
                };
                let y = self.tensor(c[1], other)?;
                Some(self.app(head, [x, y]))
            }
            Head::MaskRows => {
                let x = self.tensor(c[0], want)?;
                let count = Want {
                    rows: 1,
                    cols: 1,
                    dtype: DType::I32,
                    below: Some(rows + 1),
                    ..want
                };
                let n = self.tensor(c[1], count)?;
                Some(self.app(head, [x, n]))
            }
            Head::Reduce(_) => {
                let extent = self.c.pick(&COLS);
                let over = Want {
                    cols: extent,
                    ..want
                };
                let x = (cols == 1).then(|| self.tensor(c[0], over))??;
                let id = self.app(head, [x]);
                self.seed_loop(id, extent, false);
                Some(id)
            }
            Head::MatmulNt => {
                let extent = self.c.pick(&COLS);
                let (a, b) = self.factors(want, (c[0], c[1]), extent)?;
                let id = self.app(head, [a, b]);
                self.seed_loop(id, extent, true);
                Some(id)
            }
            Head::GroupColBinary(op) => {
                divides(op, dtype)?;
                let g = self.divisor(c[0], rows)?;
                let x = self.tensor(c[1], want)?;
                let s = self.tensor(c[2], Want { rows: g, ..want })?;
                let g = self.num(g);
                Some(self.app(head, [g, x, s]))
            }
            Head::GroupedMatmulNt => {
                let g = self.divisor(c[0], rows)?;
                let extent = self.c.pick(&COLS);
                let all = Want {
                    cols: g * cols,
                    ..want
                };
                let (a, b) = self.factors(all, (c[1], c[2]), extent)?;
                let g = self.num(g);
                let id = self.app(head, [g, a, b]);
                self.seed_loop(id, extent, true);
                Some(id)
            }
            Head::SliceCols => {
                let parts = 1 + self.c.below(3);
                let whole = Want {
                    cols: parts * cols,
                    ..want
                };
                let x = self.tensor(c[0], whole)?;
                let from = self.c.below(parts) * cols;
                let from = self.number(c[1], &[from])?;
                let to = self.number(c[2], &[from + cols])?;
                let [from, to] = [from, to].map(|n| self.num(n));
                Some(self.app(head, [x, from, to]))
            }
            Head::RepeatCols => {
                let x = self.tensor(c[0], Want { cols: 1, ..want })?;
                let n = self.leaf(c[1], cols)?;
                Some(self.app(head, [x, n, n]))
            }
            Head::Sinkhorn => {
                let n = (1..=cols).find(|n| n * n >= cols)?;
                let fits = dtype == DType::F32 && n * n == cols;
                let x = fits.then(|| self.tensor(c[0], want))??;
                let n = self.leaf(c[1], n)?;
                let i = self.number(c[2], &[1, 2, 5])?;
                let i = self.num(i);
                let e = self.constant(c[3], dtype)?;
                Some(self.app(head, [x, n, i, e]))
            }
            Head::Parts => {
                let s = self.divisor(c[0], rows)?;
                let extent = s * self.c.pick(&COLS);
                let stacked = Want {
                    rows: rows / s,
                    ..want
                };
                let (a, b) = self.factors(stacked, (c[1], c[2]), extent)?;
                let product = self.app(Head::MatmulNt, [a, b]);
                self.seed_loop(product, extent, true);
                let s = self.num(s);
                Some(self.app(head, [s, a, b]))
            }
            Head::PadCols => {
                // Any width, or one that is sorted without padding.
                let narrower = match self.c.below(2) {
                    0 => 1 + self.c.below(cols),
                    _ => 1 << cols.saturating_sub(1).max(1).ilog2(),
                };
                let data = Want {
                    cols: narrower,
                    ..want
                };
                let x = self.tensor(c[0], data)?;
                let width = self.leaf(c[1], cols)?;
                let value = self.constant(c[2], dtype)?;
                Some(self.app(head, [x, width, value]))
            }
            Head::TopK => {
                let over = Want {
                    cols: self.c.pick(&COLS),
                    dtype: DType::F32,
                    ..want
                };
                let fits = cols <= over.cols && dtype == DType::I32;
                let x = fits.then(|| self.tensor(c[0], over))??;
                let k = self.leaf(c[1], cols)?;
                Some(self.app(head, [x, k]))
            }
            Head::GatherCols => {
                let over = Want {
                    cols: self.c.pick(&COLS),
                    ..want
                };
                let index = Want {
                    dtype: DType::I32,
                    below: Some(over.cols),
                    ..want
                };
                let x = self.tensor(c[0], over)?;
                let i = self.tensor(c[1], index)?;
                Some(self.app(head, [x, i]))
            }
            Head::GatherRows => {
                let table = Want {
                    rows: self.c.pick(&ROWS),
                    ..want
                };
                let index = Want {
                    rows: 1,
                    cols: rows,
                    dtype: DType::I64,
                    below: Some(table.rows),
                    ..want
                };
                let t = self.tensor(c[0], table)?;
                let i = self.tensor(c[1], index)?;
                Some(self.app(head, [t, i]))
            }
            Head::Launch(_) => {
                let (t, w) = (self.leaf(c[0], rows)?, self.leaf(c[1], cols)?);
                let block = self.some_block(rows, cols);
                let body = self.block(c[2], Want { block, ..want })?;
                Some(self.app(head, [t, w, body]))
            }
            _ => None,
        }
    }

    /// Operands of a product over `extent`.
    fn factors(&mut self, want: Want, (a, b): (Id, Id), extent: usize) -> Option<(Id, Id)> {
        let dtype = match want.dtype {
            DType::I32 => DType::I8,
            DType::F32 => self.c.pick(&[DType::F32, DType::Bf16, DType::F16]),
            _ => return None,
        };
        let of = |rows| Want {
            rows,
            cols: extent,
            block: (rows, extent),
            dtype,
            below: None,
        };
        Some((
            self.tensor(a, of(want.rows))?,
            self.tensor(b, of(want.cols))?,
        ))
    }

    fn tile(&mut self, at: Id, want: Want) -> Option<Id> {
        let (head, c) = match &self.left[at] {
            ENodeOrVar::Var(v) => return self.var(*v, want, |m| m.tile_of_input(want)),
            ENodeOrVar::ENode(Term::App(head, c)) => (*head, c.clone()),
            ENodeOrVar::ENode(_) => return None,
        };
        match head {
            Head::Tile | Head::Load => {
                let r = self.leaf(c[0], want.block.0)?;
                // One column, where the pattern has one.
                let (cols, width) = match &self.left[c[1]] {
                    ENodeOrVar::ENode(Term::Num(1)) => (1, 1),
                    _ => (want.cols, want.block.1),
                };
                let n = self.leaf(c[1], width)?;
                let block = (want.block.0, width);
                let v = self.tensor(
                    c[2],
                    Want {
                        cols,
                        block,
                        ..want
                    },
                )?;
                Some(self.app(head, [r, n, v]))
            }
            Head::Fold(op) => {
                let (extent, chunk) = self.extent(c[1], c[2])?;
                let d = self.depth(c[0])?;
                let over = Want {
                    cols: extent,
                    block: (want.block.0, chunk),
                    ..want
                };
                let body = match self.left[c[3]].clone() {
                    ENodeOrVar::Var(v) => {
                        let column = Want {
                            block: (want.block.0, 1),
                            ..want
                        };
                        self.var(v, column, |m| {
                            let tile = m.tile_of_input(over);
                            m.app(Head::Reduce(op), [tile])
                        })?
                    }
                    ENodeOrVar::ENode(Term::App(reduce @ Head::Reduce(_), x)) => {
                        let tile = self.tile(x[0], over)?;
                        self.app(reduce, [tile])
                    }
                    ENodeOrVar::ENode(_) => return None,
                };
                let (n, k) = (self.num(extent), self.num(chunk));
                Some(self.app(head, [d, n, k, body]))
            }
            Head::Reduce(_) if want.block.1 == 1 => {
                let chunk = self.c.pick(&WIDE);
                self.made.terms = self.made.terms.max(chunk);
                let over = Want {
                    cols: want.cols * chunk,
                    block: (want.block.0, chunk),
                    ..want
                };
                let x = self.tile(c[0], over)?;
                Some(self.app(head, [x]))
            }
            Head::Mm => {
                let (extent, chunk) = self.extent(c[1], c[2])?;
                let d = self.depth(c[0])?;
                let (a, b) = self.factor_tiles(want, (c[3], c[4]), extent, chunk)?;
                let (n, k) = (self.num(extent), self.num(chunk));
                Some(self.app(head, [d, n, k, a, b]))
            }
            Head::MmGrouped => {
                let g = self.divisor(c[0], want.rows / want.block.0)?;
                let (extent, chunk) = self.extent(c[2], c[3])?;
                let d = self.depth(c[1])?;
                let all = Want {
                    cols: g * want.cols,
                    ..want
                };
                let (a, b) = self.factor_tiles(all, (c[4], c[5]), extent, chunk)?;
                let [g, n, k] = [g, extent, chunk].map(|n| self.num(n));
                Some(self.app(head, [g, d, n, k, a, b]))
            }
            Head::MmParts => {
                let s = self.divisor(c[0], want.rows / want.block.0)?;
                let (extent, chunk) = self.extent(c[2], c[3])?;
                let d = self.depth(c[1])?;
                let part = Want {
                    rows: want.rows / s,
                    ..want
                };
                let (a, b) = self.factor_tiles(part, (c[4], c[5]), s * extent, chunk)?;
                let [s, n, k] = [s, extent, chunk].map(|n| self.num(n));
                Some(self.app(head, [s, d, n, k, a, b]))
            }
            _ => None,
        }
    }

    /// Extent and chunk of a loop.
    fn extent(&mut self, extent: Id, chunk: Id) -> Option<(usize, usize)> {
        let extent = self.number(extent, &COLS)?;
        self.made.terms = self.made.terms.max(extent);
        Some((extent, self.divisor(chunk, extent)?))
    }

    fn depth(&mut self, at: Id) -> Option<Id> {
        let d = self.number(at, &[1, 2, 3])?;
        Some(self.num(d))
    }

    fn tile_of_input(&mut self, want: Want) -> Id {
        let (_, x) = self.fresh(want);
        let (r, c) = (self.num(want.block.0), self.num(want.block.1));
        self.app(Head::Tile, [r, c, x])
    }

    fn factor_tiles(
        &mut self,
        want: Want,
        (a, b): (Id, Id),
        extent: usize,
        chunk: usize,
    ) -> Option<(Id, Id)> {
        let dtype = match want.dtype {
            DType::I32 => DType::I8,
            DType::F32 => self.c.pick(&[DType::F32, DType::Bf16, DType::F16]),
            _ => return None,
        };
        let of = |rows, block| Want {
            rows,
            cols: extent,
            block: (block, chunk),
            dtype,
            below: None,
        };
        let a = self.tile(a, of(want.rows, want.block.0))?;
        Some((a, self.tile(b, of(want.cols, want.block.1))?))
    }

    fn block(&mut self, at: Id, want: Want) -> Option<Id> {
        let (b, n) = want.block;
        let (head, c) = match &self.left[at] {
            ENodeOrVar::Var(v) => {
                return self.var(*v, want, |m| {
                    let chunk = m.c.divisor(n);
                    let tile = m.tile_of_input(Want {
                        block: (b, chunk),
                        ..want
                    });
                    let [one, n, chunk] = [1, n, chunk].map(|x| m.num(x));
                    m.app(Head::Cols, [one, n, chunk, tile])
                });
            }
            ENodeOrVar::ENode(Term::App(head, c)) => (*head, c.clone()),
            ENodeOrVar::ENode(_) => return None,
        };
        match head {
            Head::Cols => {
                let d = self.depth(c[0])?;
                let width = self.leaf(c[1], n)?;
                let chunk = self.divisor(c[2], n)?;
                let block = (b, chunk);
                let tile = self.tile(c[3], Want { block, ..want })?;
                let chunk = self.num(chunk);
                Some(self.app(head, [d, width, chunk, tile]))
            }
            Head::Rows => {
                let height = self.leaf(c[0], b)?;
                let r = self.divisor(c[1], b)?;
                let block = (r, n);
                let body = self.block(c[2], Want { block, ..want })?;
                let r = self.num(r);
                Some(self.app(head, [height, r, body]))
            }
            Head::WithPad => {
                let fits = n == want.cols;
                let width = fits.then(|| self.leaf(c[0], n))??;
                let value = self.constant(c[1], want.dtype)?;
                let data = 1 + self.c.below(n);
                let body = Want {
                    cols: data,
                    block: (b, data),
                    ..want
                };
                let body = self.block(c[2], body)?;
                Some(self.app(head, [width, value, body]))
            }
            Head::Fill => {
                let height = self.leaf(c[0], b)?;
                let from: Vec<usize> = (0..n).collect();
                let from = self.number(c[1], &from)?;
                let to = (n == want.cols).then(|| self.leaf(c[2], n))??;
                let value = self.constant(c[3], DType::F32)?;
                let from = self.num(from);
                Some(self.app(head, [height, from, to, value]))
            }
            _ => None,
        }
    }
}

/// Integers have no division.
fn divides(op: Binary, dtype: DType) -> Option<()> {
    (op != Binary::Div || dtype.is_float()).then_some(())
}
