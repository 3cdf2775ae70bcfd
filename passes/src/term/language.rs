//! The terms of the e-graph: tensors, tiles, loops and launches in one language.
//!
//! | term | denotes |
//! |---|---|
//! | `(input x)`, `(buf x v)` | a tensor in global memory; `buf` is the value `v`, materialised under a name |
//! | `(mul a b)`, `(row.mul a s)`, `(cast.bf16.rint a)`, ... | primitives on tensors, and on tiles alike |
//! | `(gcol.mul g a s)`, `(grouped_matmul_nt g a b)` | primitives on g groups of rows, each with its own row of `s`, its own rows of `b` |
//! | `(slice_cols a f t)` | columns f..t; of a tile, the tile of `a` that many columns further |
//! | `(cumsum a)`, `(row_prod a)` | of whole rows: the sums up to each element, and the product |
//! | `(repeat_cols a c n)`, `(concat_cols a b)`, `(sinkhorn a n i eps)` | the primitives of these names; sinkhorn of a tile takes the tiles of n columns |
//! | `(tile r c v)` | the family of all r x c blocks of `v`, by the block coordinates (i, j) of `v` itself |
//! | `(load r c v)` | the same family, read from global memory |
//! | `(fold.sum d n c (sum t))` | a loop over n columns in chunks of c that combines the chunks' row reductions |
//! | `(halve.sum h t)` | the sums of the two halves of one-row tiles, h times over |
//! | `(mm d k c a b)` | a loop over k in chunks of c that accumulates products of tiles |
//! | `(mm_grouped g d k c a b)` | `mm` with those rows of `b` that the row block's group has |
//! | `(parts s a b)` | the products over each of s parts of the inner axis, stacked |
//! | `(mm_parts s d k c a b)` | `mm` over the part of the inner axis that the row block belongs to |
//! | `(add_parts s t)` | the sum of the s stacked tiles |
//! | `(cols d n c t)` | a loop that stores an r x n block in chunks of c columns |
//! | `(rows b r body)` | a loop over the b rows of a block, r at a time |
//! | `(with_pad w value body)` | the block, and columns up to w filled |
//! | `(fill b from to value)` | a block of columns `from..to` filled |
//! | `(launch.spmd R C body)` | the R x C value, materialised by one block a grid point |
//! | `(exchanged x)`, `(share b v)` | a value that a kernel between ranks receives, and that kernel's work shared by b blocks |
//! | `(overlay a b)` | the value whose columns come from `b` where it has them, else from `a` |
//!
//! `d` is the depth of a loop's pipeline; 1 is a plain `range` loop. The extent is part of every loop term: without it, loops
//! over 512 and over 4096 columns with equal bodies would merge. No term names an enclosing loop, so equal tiles of
//! different kernels share an e-class; consumers map the block coordinates: element-wise (i, j), a per-row operand (i, 0), a
//! per-column one (0, j).

use egg::{FromOp, Id, Language, Symbol};
use std::fmt;
use tilewright_ir::graph::{LaunchKind, Operator, Reduce};
use tilewright_ir::op::Access;

/// The operators of a kind with a parameter.
trait Parameter: Sized + Copy {
    fn all() -> Vec<Self>;
    fn name(self) -> &'static str;
}

impl Parameter for Reduce {
    fn all() -> Vec<Self> {
        Reduce::ALL.into()
    }
    fn name(self) -> &'static str {
        Reduce::name(self)
    }
}

impl Parameter for LaunchKind {
    fn all() -> Vec<Self> {
        LaunchKind::ALL.into()
    }
    fn name(self) -> &'static str {
        LaunchKind::name(self)
    }
}

/// What stands around operations: a line is an operator, its name, and how many children its terms have. One with a parameter
/// has that after its name and a point.
macro_rules! heads {
    (
        { $($first:ident $first_name:literal $first_arity:literal,)* }
        $($head:ident $(($p:ident: $parameter:ty))? $name:literal $arity:literal,)*
    ) => {
        /// The operator of a term. Nodes of a class are in the order of their operators.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Head {
            $($first,)*
            /// An operation of the layer; its children are groups of rows where it has some, operands, and numbers.
            Op(Operator),
            $($head $(($parameter))?,)*
        }

        impl Head {
            /// All operators.
            pub fn all() -> Vec<Head> {
                let mut all = vec![$(Head::$first),*];
                all.extend(Operator::all().map(Head::Op));
                $(all.extend(heads!(@all $head $($parameter)?));)*
                all
            }

            /// How many children a term of this operator has.
            pub fn arity(self) -> usize {
                match self {
                    $(Head::$first => $first_arity,)*
                    Head::Op(operator) => operator.primitive().children(),
                    $(Head::$head $((heads!(@ignore $p)))? => $arity,)*
                }
            }
        }

        impl fmt::Display for Head {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Head::$first => f.write_str($first_name),)*
                    Head::Op(operator) => write!(f, "{operator}"),
                    $(Head::$head $(($p))? => {
                        f.write_str($name)?;
                        $(write!(f, ".{}", Parameter::name(*$p))?;)?
                        Ok(())
                    })*
                }
            }
        }
    };
    (@all $head:ident) => { [Head::$head] };
    (@all $head:ident $parameter:ty) => { <$parameter>::all().into_iter().map(Head::$head) };
    (@ignore $p:ident) => { _ };
}

heads! {
    {
        Input "input" 1,
        Buf "buf" 2,
    }
    Parts "parts" 3,
    Tile "tile" 3,
    Load "load" 3,
    Fold(r: Reduce) "fold" 4,
    // `(halve.op times tile)`.
    Halve(r: Reduce) "halve" 2,
    Mm "mm" 5,
    MmParts "mm_parts" 6,
    // `(mm_grouped groups depth extent chunk a b)`.
    MmGrouped "mm_grouped" 6,
    // `(pieces chunk piece)`: the chunk of a product's loop, multiplied piece by piece.
    Pieces "pieces" 2,
    // `(kept chunk piece n)`: as pieces, and of the first `n` of them the left operand stays on chip for all column tiles.
    Kept "kept" 3,
    AddParts "add_parts" 2,
    Cols "cols" 4,
    Rows "rows" 3,
    WithPad "with_pad" 3,
    Fill "fill" 4,
    Launch(k: LaunchKind) "launch" 3,
    Overlay "overlay" 2,
    Exchanged "exchanged" 1,
    Share "share" 2,
    // `(by_line x)`: the value of an exchange whose integers move by whole lines of the scalar unit's cache.
    ByLine "by_line" 1,
}

impl Head {
    /// What of its operands a block of an operation needs; other terms are none.
    pub fn access(self) -> Option<Access> {
        match self {
            Head::Op(operator) => Some(operator.primitive().access),
            _ => None,
        }
    }
}

/// A constant, compared by its bits so that terms hash and `-0.0` is not `0.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bits(pub u32);

impl Bits {
    /// A constant of a term.
    pub fn new(value: f32) -> Self {
        Bits(value.to_bits())
    }

    /// The number.
    pub fn value(self) -> f32 {
        f32::from_bits(self.0)
    }
}

/// A node of a term.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Term {
    /// A size, count or depth.
    Num(i64),
    Const(Bits),
    Name(Symbol),
    App(Head, Box<[Id]>),
}

impl Term {
    /// An operator with its operands.
    pub fn app(head: Head, children: impl Into<Vec<Id>>) -> Self {
        let children = children.into();
        debug_assert_eq!(head.arity(), children.len(), "{head}");
        Term::App(head, children.into_boxed_slice())
    }

    /// The operator, if the term has one.
    pub fn head(&self) -> Option<Head> {
        match self {
            Term::App(h, _) => Some(*h),
            _ => None,
        }
    }
}

impl Language for Term {
    type Discriminant = (u8, Option<Head>);

    fn discriminant(&self) -> Self::Discriminant {
        match self {
            Term::Num(_) => (0, None),
            Term::Const(_) => (1, None),
            Term::Name(_) => (2, None),
            Term::App(h, _) => (3, Some(*h)),
        }
    }

    fn matches(&self, other: &Self) -> bool {
        match (self, other) {
            (Term::Num(a), Term::Num(b)) => a == b,
            (Term::Const(a), Term::Const(b)) => a == b,
            (Term::Name(a), Term::Name(b)) => a == b,
            (Term::App(a, _), Term::App(b, _)) => a == b,
            _ => false,
        }
    }

    fn children(&self) -> &[Id] {
        match self {
            Term::App(_, c) => c,
            _ => &[],
        }
    }

    fn children_mut(&mut self) -> &mut [Id] {
        match self {
            Term::App(_, c) => c,
            _ => &mut [],
        }
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Term::Num(n) => write!(f, "{n}"),
            // Always with a point or an exponent, so that it reads back as a constant.
            Term::Const(b) => write!(f, "{:?}", b.value()),
            Term::Name(s) => write!(f, "{s}"),
            Term::App(h, _) => write!(f, "{h}"),
        }
    }
}

/// Why an operator of a pattern is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TermError {
    #[error("`{head}` takes {expected} operands, not {found}")]
    Arity {
        head: String,
        expected: usize,
        found: usize,
    },
    #[error("there is no operator `{0}` with operands")]
    UnknownOperator(String),
}

impl FromOp for Term {
    type Error = TermError;

    fn from_op(op: &str, children: Vec<Id>) -> Result<Self, TermError> {
        thread_local! {
            static TABLE: crate::hash::HashMap<String, Head> =
                Head::all().into_iter().map(|h| (h.to_string(), h)).collect();
        }
        if let Some(head) = TABLE.with(|t| t.get(op).copied()) {
            if head.arity() != children.len() {
                return Err(TermError::Arity {
                    head: op.into(),
                    expected: head.arity(),
                    found: children.len(),
                });
            }
            return Ok(Term::app(head, children));
        }
        if !children.is_empty() {
            return Err(TermError::UnknownOperator(op.into()));
        }
        if let Ok(n) = op.parse::<i64>() {
            Ok(Term::Num(n))
        } else if let Ok(x) = op.parse::<f32>() {
            Ok(Term::Const(Bits::new(x)))
        } else {
            Ok(Term::Name(op.into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operator_prints_and_parses_to_itself() {
        let all = Head::all();
        for head in &all {
            let children = vec![Id::from(0); head.arity()];
            assert_eq!(
                Term::from_op(&head.to_string(), children.clone()),
                Ok(Term::app(*head, children))
            );
        }
        let names: std::collections::BTreeSet<_> = all.iter().map(Head::to_string).collect();
        assert_eq!(names.len(), all.len(), "two operators share a name");
    }

    #[test]
    fn wrong_arity_is_refused() {
        let e = Term::from_op("tile", vec![Id::from(0)]).unwrap_err();
        assert_eq!(e.to_string(), "`tile` takes 3 operands, not 1");
    }
}
