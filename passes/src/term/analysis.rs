//! What is known of every e-class: its kind, extent and element type.
//!
//! A merge asserts that both sides agree. That finds wrong rules at once: two terms that are equal have one shape.

use super::changed::Changed;
use super::language::{Head, Term};
use crate::hash::{HashSet, WordHasher};
use egg::{Analysis, DidMerge, EGraph, Id, Language, Subst, Symbol};
use indexmap::IndexMap;
use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::{Binary, Operator};
use tilewright_ir::kernel::Space;
use tilewright_ir::machine::Machine;
use tilewright_ir::op::Core;
pub use tilewright_ir::op::Sign;

/// What sort of thing a term denotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A number, constant or name.
    Leaf,
    /// A whole value.
    Tensor,
    /// A family of r x c blocks of a value.
    Tile,
    /// What one block of a launch stores.
    Block,
    /// Terms that do not fit together; no rule may build one, and the checks after saturation look for it.
    Wrong,
}

/// Facts of an e-class.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    pub kind: Kind,
    pub rows: usize,
    pub cols: usize,
    /// Groups of rows, each of which has some or all of them; a block stays in one. 1 where all rows exist.
    pub groups: usize,
    /// A product, or blocks of one, which a cube core computes in whole fractals.
    pub product: bool,
    pub dtype: Option<DType>,
    /// The value of a number.
    pub num: Option<i64>,
    pub name: Option<Symbol>,
    /// The value of a constant.
    pub constant: Option<f32>,
    pub sign: Sign,
}

impl Facts {
    fn leaf() -> Self {
        Facts {
            kind: Kind::Leaf,
            rows: 0,
            cols: 0,
            groups: 1,
            product: false,
            dtype: None,
            num: None,
            name: None,
            constant: None,
            sign: Sign::Unknown,
        }
    }

    fn grouped(self, groups: usize) -> Self {
        Facts { groups, ..self }
    }

    /// With the groups of what it is blocks of, and a product if that is one.
    fn like(self, of: &Facts) -> Self {
        Facts {
            groups: of.groups,
            product: of.product,
            ..self
        }
    }

    fn of(kind: Kind, rows: usize, cols: usize, dtype: Option<DType>) -> Self {
        Facts {
            kind,
            rows,
            cols,
            groups: 1,
            product: false,
            dtype,
            num: None,
            name: None,
            constant: None,
            sign: Sign::Unknown,
        }
    }

    /// Bytes of one element; 4 where it is not known.
    pub fn element(&self) -> usize {
        self.dtype.map_or(4, DType::bytes)
    }
}

/// How the loop of a reduction or product runs as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed {
    pub chunk: usize,
    /// What of a chunk is added up at once: all of it, unless it is a product's and L0 takes less.
    pub piece: usize,
    pub depth: usize,
}

/// What bounds the tiles and launches that rules propose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Bytes of each memory.
    pub ub: usize,
    pub l1: usize,
    pub l0a: usize,
    pub l0b: usize,
    pub l0c: usize,
    /// Vector cores, the larger of the two kinds.
    pub cores: usize,
    /// Cores that products run on.
    pub cube_cores: usize,
    /// Bytes of a block, which rows in UB are whole multiples of.
    pub block: usize,
    /// Bytes that the vector unit works on at once.
    pub repeat: usize,
    /// Rows of a fractal, and bytes of each.
    pub fractal: (usize, usize),
    /// Elements that are sorted at once.
    pub sort_run: usize,
    /// Flags of a pair of pipes.
    pub event_ids: usize,
    /// e-nodes after which rules add nothing.
    pub nodes: usize,
}

impl Limits {
    /// The limits of a machine.
    pub fn of(machine: &Machine) -> Self {
        let capacity = |s: Space| machine.capacity_of(s);
        let geometry = &machine.geometry;
        Limits {
            ub: capacity(Space::Ub),
            l1: capacity(Space::L1),
            l0a: capacity(Space::L0a),
            l0b: capacity(Space::L0b),
            l0c: capacity(Space::L0c),
            cores: machine.vector_cores.value.max(machine.cube_cores.value) as usize,
            cube_cores: machine.cube_cores.value as usize,
            block: geometry.block.count(),
            repeat: geometry.repeat.count(),
            fractal: (
                geometry.fractal_rows.count(),
                geometry.fractal_width.count(),
            ),
            sort_run: geometry.sort_run.count(),
            event_ids: geometry.event_ids.count(),
            nodes: usize::MAX,
        }
    }

    /// How much of a chunk of a product's inner axis is multiplied at once, for so many rows and columns of elements of so many
    /// bytes: all of it, where L0 takes that, or the largest part that divides it and has room twice, so that the next one comes
    /// while one is multiplied. Where none has, the largest that has room once. None where L0 takes no such part.
    pub fn piece(&self, rows: usize, cols: usize, chunk: usize, element: usize) -> Option<usize> {
        let most = (self.l0a / (rows * element).max(1)).min(self.l0b / (cols * element).max(1));
        if most == 0 {
            return None;
        }
        let whole = |p: &usize| *p == chunk || (p * element).is_multiple_of(self.fractal.1);
        let parts = chunk.div_ceil(most).max(1)..=chunk;
        let pieces = || {
            let parts = parts.clone().filter(|n| chunk.is_multiple_of(*n));
            parts.map(|n| chunk / n).filter(whole)
        };
        match pieces().next()? {
            largest if largest == chunk => Some(chunk),
            largest => pieces().find(|p| 2 * p <= most).or(Some(largest)),
        }
    }

    /// Whether operands of so many rows, and as many elements of the inner axis, fit into L0.
    pub fn l0_holds(&self, rows: usize, cols: usize, inner: usize, element: usize) -> bool {
        rows * inner * element <= self.l0a && cols * inner * element <= self.l0b
    }
}

/// The analysis: types of the tensors in global memory, and the loops as written.
#[derive(Debug, Clone, Default)]
pub struct TermAnalysis {
    /// Rows, columns and type of `input` tensors.
    pub tensors: IndexMap<Symbol, (usize, usize, DType)>,
    /// Groups of rows of the ragged ones among them.
    pub groups: IndexMap<Symbol, usize>,
    /// For e-classes of reductions and products, the loop that rules start from.
    pub seeds: Vec<(Id, Seed)>,
    /// By columns, the loop that a reduction or product starts from which a rule made.
    pub loops: IndexMap<usize, Seed>,
    pub limits: Limits,
    /// Sizes that tiles may have beside those that rules try by themselves.
    pub sizes: BTreeSet<usize>,
    /// By value that a kernel between ranks receives: how many blocks can share its work.
    pub shares: IndexMap<Symbol, Vec<usize>>,
    /// The first disagreement of a merge, if any.
    pub conflict: Option<String>,
    /// What rules have done, so that they do not do it again: egg finds old matches in every iteration.
    pub done: Done,
    /// What rules have not looked at yet.
    pub changed: Changed,
}

/// Hashes of rewrites with what their variables stood for.
#[derive(Debug, Clone, Default)]
pub struct Done {
    /// Before the right side's numbers were bound: where what a rule asked for may have changed since.
    matched: HashSet<u64>,
    /// Where it cannot: shapes and numbers.
    settled: HashSet<u64>,
    /// Rewrites that have some of the former.
    open: HashSet<Symbol>,
    /// Whether only these have anything to look at anew.
    again: bool,
    /// With the right side's numbers.
    pub applied: HashSet<u64>,
}

impl Done {
    /// Whether a match was looked at.
    pub fn knows(&self, key: u64) -> bool {
        self.settled.contains(&key) || self.matched.contains(&key)
    }

    /// Notes that a match was looked at; `open`: and has to be again before a fixpoint is believed.
    pub fn note(&mut self, rewrite: Symbol, key: u64, open: bool) {
        match open {
            true => {
                self.matched.insert(key);
                self.open.insert(rewrite);
            }
            false => {
                self.settled.insert(key);
            }
        }
    }

    /// Forgets the matches that have to be looked at again. Before the first iteration after that, other rewrites have none.
    pub fn reopen(&mut self) {
        self.matched.clear();
        self.again = true;
    }

    /// All rewrites may have something to look at: new ones came.
    pub fn go_on(&mut self) {
        self.again = false;
    }

    /// Whether all matches of a rewrite are looked at, and will be no other way.
    pub fn is_through(&self, rewrite: Symbol) -> bool {
        self.again && !self.open.contains(&rewrite)
    }

    /// A hash of a rewrite and what its variables stand for.
    pub fn key(rewrite: Symbol, variables: &Subst) -> u64 {
        let mut hasher = WordHasher::default();
        (rewrite, variables).hash(&mut hasher);
        hasher.finish()
    }
}

/// The e-graph of terms.
pub type Graph = EGraph<Term, TermAnalysis>;

impl TermAnalysis {
    /// The seeds of an e-class.
    pub fn seeds_of(egraph: &Graph, class: Id) -> Vec<Seed> {
        let class = egraph.find(class);
        let mut out: Vec<Seed> = vec![];
        for (id, seed) in &egraph.analysis.seeds {
            if egraph.find(*id) == class && !out.contains(seed) {
                out.push(*seed);
            }
        }
        out
    }
}

/// `[M, K] x [N, K]`, `stack` times over each other.
fn product(kind: Kind, a: &Facts, b: &Facts, stack: usize) -> Facts {
    let dtype = match a.dtype {
        Some(DType::I8) => DType::I32,
        _ => DType::F32,
    };
    Facts {
        product: true,
        ..Facts::of(kind, stack * a.rows, b.rows, Some(dtype)).grouped(a.groups)
    }
}

impl Analysis<Term> for TermAnalysis {
    type Data = Facts;

    fn make(egraph: &mut Graph, node: &Term, _: Id) -> Facts {
        Facts {
            sign: sign(egraph, node),
            ..shape(egraph, node)
        }
    }

    fn merge(&mut self, a: &mut Facts, b: Facts) -> DidMerge {
        let agree = a.kind == b.kind
            && a.rows == b.rows
            && a.cols == b.cols
            && a.groups == b.groups
            && a.dtype == b.dtype
            && a.num == b.num;
        if !agree && self.conflict.is_none() {
            self.conflict = Some(format!("{a:?} merged with {b:?}"));
        }
        // What one side knows of the signs holds for the other: they are equal.
        let sign = a.sign.max(b.sign);
        let changed = DidMerge(a.sign != sign, b.sign != sign);
        a.sign = sign;
        changed
    }
}

/// Kind, extent and type of a node.
fn shape(egraph: &Graph, node: &Term) -> Facts {
    let facts = |i: usize| &egraph[node.children()[i]].data;
    let num = |i: usize| facts(i).num.unwrap_or(0).max(0) as usize;
    match node {
        Term::Num(n) => Facts {
            num: Some(*n),
            ..Facts::leaf()
        },
        Term::Const(c) => Facts {
            constant: Some(c.value()),
            ..Facts::leaf()
        },
        Term::Name(s) => Facts {
            name: Some(*s),
            ..Facts::leaf()
        },
        Term::App(head, _) => match head {
            Head::Input | Head::Exchanged => {
                match facts(0).name.and_then(|n| egraph.analysis.tensors.get(&n)) {
                    Some((r, c, d)) => {
                        let name = facts(0).name;
                        let groups = name.and_then(|n| egraph.analysis.groups.get(&n));
                        Facts::of(Kind::Tensor, *r, *c, Some(*d))
                            .grouped(groups.copied().unwrap_or(1))
                    }
                    None => Facts::of(Kind::Wrong, 0, 0, None),
                }
            }
            // What is read from global memory is nobody's product any more.
            Head::Buf => Facts {
                product: false,
                ..facts(1).clone()
            },
            Head::Op(operator) => operation(*operator, facts, num),
            Head::Pieces | Head::Kept => Facts {
                num: facts(0).num,
                ..Facts::leaf()
            },
            Head::MmGrouped => product(Kind::Tile, facts(4), facts(5), 1),
            Head::Parts => product(Kind::Tensor, facts(1), facts(2), num(0)),
            Head::AddParts => facts(1).clone(),
            Head::Tile | Head::Load => {
                Facts::of(Kind::Tile, num(0), num(1), facts(2).dtype).like(facts(2))
            }
            Head::Halve(_) => Facts {
                cols: facts(1).cols.checked_shr(num(0) as u32).unwrap_or(0),
                ..facts(1).clone()
            },
            Head::Fold(_) => Facts {
                cols: 1,
                ..facts(3).clone()
            },
            Head::Mm => product(Kind::Tile, facts(3), facts(4), 1),
            Head::MmParts => product(Kind::Tile, facts(4), facts(5), 1),
            Head::Cols => {
                Facts::of(Kind::Block, facts(3).rows, num(1), facts(3).dtype).like(facts(3))
            }
            Head::Rows => {
                Facts::of(Kind::Block, num(0), facts(2).cols, facts(2).dtype).like(facts(2))
            }
            Head::WithPad => Facts {
                cols: num(0),
                ..facts(2).clone()
            },
            // Padding has the type of what it is beside.
            Head::Fill => Facts::of(Kind::Block, num(0), num(2), None),
            Head::ByLine => facts(0).clone(),
            // A block of an exchange has its share of all rows.
            Head::Share => Facts {
                kind: Kind::Block,
                ..facts(1).clone()
            },
            Head::Launch(_) => {
                Facts::of(Kind::Tensor, num(0), num(1), facts(2).dtype).grouped(facts(2).groups)
            }
            // The filling is as wide as the whole, and knows nothing of the data.
            Head::Overlay => Facts {
                cols: facts(0).cols,
                ..facts(1).clone()
            },
        },
    }
}

/// Kind, extent and type of an operation's result.
fn operation<'a>(
    operator: Operator,
    facts: impl Fn(usize) -> &'a Facts,
    num: impl Fn(usize) -> usize,
) -> Facts {
    let primitive = operator.primitive();
    let first = usize::from(primitive.grouped());
    let numbers = first + primitive.operands();
    let of = facts(first);
    let groups = if first > 0 { num(0) } else { of.groups };
    let extent = |i: usize| (facts(first + i).rows, facts(first + i).cols);
    let number = |i: usize| num(numbers + i);
    let blocks = of.kind == Kind::Tile;
    let (rows, cols) = primitive.shape.extent(blocks, groups, extent, number);
    Facts {
        rows,
        cols,
        dtype: of.dtype.map(|d| primitive.shape.dtype(operator, d)),
        product: primitive.core == Core::Cube || of.product,
        ..of.clone()
    }
}

/// What a node says of the signs of its elements.
fn sign(egraph: &Graph, node: &Term) -> Sign {
    let Term::App(head, c) = node else {
        return Sign::Unknown;
    };
    let facts = |i: usize| &egraph[c[i]].data;
    match head {
        Head::Op(operator) => match operator {
            Operator::Binary(Binary::Mul) if egraph.find(c[0]) == egraph.find(c[1]) => {
                let float = facts(0).dtype.is_some_and(DType::is_float);
                let least = if float {
                    Sign::NonNegative
                } else {
                    Sign::Unknown
                };
                facts(0).sign.max(least)
            }
            _ => operation_sign(*operator, facts),
        },
        Head::Buf | Head::Halve(_) => facts(1).sign,
        Head::Tile | Head::Load => facts(2).sign,
        Head::Fold(_) => facts(3).sign,
        _ => Sign::Unknown,
    }
}

/// The sign of an operation's result, from those of its first operand and of the one behind it.
fn operation_sign<'a>(operator: Operator, facts: impl Fn(usize) -> &'a Facts) -> Sign {
    let primitive = operator.primitive();
    let first = usize::from(primitive.grouped());
    let float = |d: Option<DType>| d.is_some_and(DType::is_float);
    let of = facts(first);
    let own = match operator {
        // Integers have other ends.
        Operator::Cast(to, _) => float(of.dtype) && to.is_float(),
        Operator::Unary(_) => float(of.dtype),
        _ => true,
    };
    if !own {
        return Sign::Unknown;
    }
    let last = primitive.children() - 1;
    let next = facts((first + 1).min(last));
    let next = next.constant.map_or(next.sign, Sign::of);
    (primitive.sign)(&[of.sign, next])
}
