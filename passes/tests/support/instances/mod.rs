//! Instances of a rule's left side: a term for every variable of a pattern, of random shapes and values.
//!
//! Built from the root down: a parent says what its operand must be (extent, block, element type), literals and variables
//! that occur twice must agree with that, and choices that cannot be are given up.

mod tensor;
mod tile;

use super::support::choices::{Choices, mix};
use super::support::classes::Inputs;
use super::support::value::{Arithmetic, Value};
use egg::{EGraph, ENodeOrVar, Id, Language, PatternAst, Var};
use std::collections::HashMap;
use std::sync::LazyLock;
use tilewright_ir::dtype::{DType, Round};
use tilewright_ir::graph::{Binary, Operator, Unary};
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
    let launch = |n: &ENodeOrVar<Term>| matches!(n, ENodeOrVar::ENode(n) if matches!(n.head(), Some(Head::Launch(_))));
    let launches = left.as_ref().iter().any(launch);
    let l0b = match left.as_ref().iter().any(product) {
        true => [64 << 10, 512, 512, 512][c.below(4)],
        false => 64 << 10,
    };
    // Of few cores small values have more blocks than cores; of little memory small rows are long.
    let (cores, ub) = match launches {
        true => ([48, 2][c.below(2)], [192 << 10, 2 << 10][c.below(2)]),
        false => (48, 192 << 10),
    };
    let analysis = TermAnalysis {
        limits: Limits {
            ub,
            l1: 512 << 10,
            l0a: 64 << 10,
            l0b,
            cores,
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
        ENodeOrVar::ENode(Term::App(Head::Op(Operator::Cast(to, _)), _)) => Some(*to),
        _ => None,
    });
    let (rows, cols, dtype) = (b.c.pick(&ROWS), b.c.pick(&COLS), b.c.pick(&TYPES));
    let dtype = match head {
        // Whatever the type of its operands.
        Head::Op(Operator::MatmulNt) => DType::F32,
        Head::Op(Operator::TopK) => DType::I32,
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
        Head::Op(Operator::Reduce(_)) if b.reduces_tiles(root) => {
            let block = (b.c.divisor(rows), 1);
            b.tile(root, Want { block, ..whole })?
        }
        Head::Op(Operator::Reduce(_)) => b.tensor(root, Want { cols: 1, ..whole })?,
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
    let tight = left.as_ref().iter().any(product) && b.c.below(3) > 0;
    Some(finished(b.made, tight))
}

/// With L1 as large as it is, or where some operands that are kept have room beside other things.
fn finished(mut made: Instance, tight: bool) -> Instance {
    made.egraph.rebuild();
    if let Some(l1) = tight.then(|| half_kept(&made.egraph)).flatten() {
        made.egraph.analysis.limits.l1 = l1;
    }
    made
}

/// Bytes of L1 with which half of a trip of a product's left operand can stay there.
fn half_kept(egraph: &Graph) -> Option<usize> {
    let product = |n: &Term| match n {
        Term::App(Head::Mm, c) => Some(c.to_vec()),
        Term::App(Head::MmParts | Head::MmGrouped, c) => Some(c[1..].to_vec()),
        _ => None,
    };
    let mut nodes = egraph.classes().flat_map(|c| &c.nodes);
    let c = nodes.find_map(product)?;
    let num = |i: usize| egraph[c[i]].data.num.map(|n| n as usize);
    let (d, n, k) = (num(0)?, num(1)?, num(2)?);
    let (a, b) = (&egraph[c[3]].data, &egraph[c[4]].data);
    let r = a.rows.next_multiple_of(16);
    let elements = n / k * r * k / 2 + d * (r * k / 2 + b.rows * k);
    Some(elements * a.element())
}

/// Operators on whole values, with which the left side of an algebra rule starts.
fn is_algebra(head: Head) -> bool {
    matches!(
        head,
        Head::Op(Operator::Cast(..))
            | Head::Op(Operator::Unary(_))
            | Head::Op(Operator::Scalar(_))
            | Head::Op(Operator::ScalarLeft(_))
            | Head::Op(Operator::Binary(_))
            | Head::Op(Operator::RowBinary(_))
            | Head::Op(Operator::ColBinary(_))
            | Head::Op(Operator::MatmulNt)
            | Head::Op(Operator::TopK)
            | Head::Op(Operator::MaskRows)
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
            2 => self.app(Head::Op(Operator::Unary(Unary::Abs)), [x]),
            _ => {
                let k = self.add(Term::Const(Bits::new(0.25)));
                self.app(Head::Op(Operator::Scalar(Binary::Max)), [x, k])
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
}
