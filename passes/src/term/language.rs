//! The terms of the e-graph: tensors, tiles, loops and launches in one language.
//!
//! | term | denotes |
//! |---|---|
//! | `(input x)`, `(buf x v)` | a tensor in global memory; `buf` is the value `v`, materialised under a name |
//! | `(mul a b)`, `(row.mul a s)`, `(cast.bf16.rint a)`, ... | primitives on tensors, and on tiles alike |
//! | `(gcol.mul g a s)`, `(grouped_matmul_nt g a b)` | primitives on g groups of rows, each with its own row of `s`, its own rows of `b` |
//! | `(slice_cols a f t)` | columns f..t; of a tile, the tile of `a` that many columns further |
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
use tilewright_ir::dtype::{DType, Round};
use tilewright_ir::graph::{Binary, LaunchKind, Reduce, Unary};

/// The operator of a term.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Head {
    Input,
    Buf,
    Cast(DType, Round),
    Unary(Unary),
    /// `x op constant`.
    Scalar(Binary),
    /// `constant op x`; children are `x`, then the constant.
    ScalarLeft(Binary),
    Binary(Binary),
    RowBinary(Binary),
    ColBinary(Binary),
    /// `(gcol.op groups x rows)`.
    GroupColBinary(Binary),
    Reduce(Reduce),
    MatmulNt,
    /// `(grouped_matmul_nt groups a b)`.
    GroupedMatmulNt,
    /// `(slice_cols x from to)`.
    SliceCols,
    ConcatCols,
    /// `(repeat_cols x cols total)`: all columns of a tensor, some of them of a tile.
    RepeatCols,
    /// `(sinkhorn x n iterations eps)`.
    Sinkhorn,
    Parts,
    /// `(pad_cols x cols value)`.
    PadCols,
    /// `(top_k x k)`.
    TopK,
    GatherCols,
    GatherRows,
    MaskRows,
    Tile,
    Load,
    Fold(Reduce),
    /// `(halve.op times tile)`.
    Halve(Reduce),
    Mm,
    MmParts,
    /// `(mm_grouped groups depth extent chunk a b)`.
    MmGrouped,
    /// `(pieces chunk piece)`: the chunk of a product's loop, multiplied piece by piece.
    Pieces,
    AddParts,
    Cols,
    Rows,
    WithPad,
    Fill,
    Launch(LaunchKind),
    Overlay,
    Exchanged,
    Share,
    /// `(by_line x)`: the value of an exchange whose integers move by whole lines of the scalar unit's cache.
    ByLine,
}

impl Head {
    /// All operators with their names.
    fn table() -> Vec<(String, Head)> {
        let mut out: Vec<(String, Head)> = [
            ("input", Head::Input),
            ("buf", Head::Buf),
            ("matmul_nt", Head::MatmulNt),
            ("grouped_matmul_nt", Head::GroupedMatmulNt),
            ("mm_grouped", Head::MmGrouped),
            ("pieces", Head::Pieces),
            ("slice_cols", Head::SliceCols),
            ("concat_cols", Head::ConcatCols),
            ("repeat_cols", Head::RepeatCols),
            ("sinkhorn", Head::Sinkhorn),
            ("parts", Head::Parts),
            ("mm_parts", Head::MmParts),
            ("add_parts", Head::AddParts),
            ("pad_cols", Head::PadCols),
            ("top_k", Head::TopK),
            ("gather_cols", Head::GatherCols),
            ("gather_rows", Head::GatherRows),
            ("mask_rows", Head::MaskRows),
            ("tile", Head::Tile),
            ("load", Head::Load),
            ("mm", Head::Mm),
            ("cols", Head::Cols),
            ("rows", Head::Rows),
            ("with_pad", Head::WithPad),
            ("fill", Head::Fill),
            ("overlay", Head::Overlay),
            ("exchanged", Head::Exchanged),
            ("share", Head::Share),
            ("by_line", Head::ByLine),
        ]
        .map(|(n, h)| (n.to_string(), h))
        .into();
        for to in DType::ALL {
            for round in Round::ALL {
                let name = format!("cast.{}.{}", to.name(), round.name());
                out.push((name, Head::Cast(to, round)));
            }
        }
        for u in Unary::ALL {
            out.push((u.name().into(), Head::Unary(u)));
        }
        for b in Binary::ALL {
            let n = b.name();
            out.push((n.into(), Head::Binary(b)));
            out.push((format!("s.{n}"), Head::Scalar(b)));
            out.push((format!("sl.{n}"), Head::ScalarLeft(b)));
            out.push((format!("row.{n}"), Head::RowBinary(b)));
            out.push((format!("col.{n}"), Head::ColBinary(b)));
            out.push((format!("gcol.{n}"), Head::GroupColBinary(b)));
        }
        for r in Reduce::ALL {
            let n = r.name();
            out.push((format!("row_{n}"), Head::Reduce(r)));
            out.push((format!("fold.{n}"), Head::Fold(r)));
            out.push((format!("halve.{n}"), Head::Halve(r)));
        }
        for k in LaunchKind::ALL {
            out.push((format!("launch.{}", k.name()), Head::Launch(k)));
        }
        out
    }

    /// How many children a term of this operator has.
    pub fn arity(self) -> usize {
        match self {
            Head::Input
            | Head::Exchanged
            | Head::ByLine
            | Head::Cast(..)
            | Head::Unary(_)
            | Head::Reduce(_) => 1,
            Head::Buf
            | Head::Scalar(_)
            | Head::ScalarLeft(_)
            | Head::Binary(_)
            | Head::RowBinary(_)
            | Head::ColBinary(_)
            | Head::MatmulNt
            | Head::TopK
            | Head::GatherCols
            | Head::GatherRows
            | Head::MaskRows
            | Head::AddParts
            | Head::Halve(_)
            | Head::ConcatCols
            | Head::Share
            | Head::Pieces
            | Head::Overlay => 2,
            Head::GroupColBinary(_)
            | Head::GroupedMatmulNt
            | Head::SliceCols
            | Head::RepeatCols => 3,
            Head::PadCols | Head::Tile | Head::Load | Head::Rows | Head::WithPad | Head::Parts => 3,
            Head::Launch(_) => 3,
            Head::Fold(_) | Head::Cols | Head::Fill | Head::Sinkhorn => 4,
            Head::Mm => 5,
            Head::MmParts | Head::MmGrouped => 6,
        }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Head::Cast(to, round) => write!(f, "cast.{}.{}", to.name(), round.name()),
            Head::Unary(u) => f.write_str(u.name()),
            Head::Binary(b) => f.write_str(b.name()),
            Head::Scalar(b) => write!(f, "s.{}", b.name()),
            Head::ScalarLeft(b) => write!(f, "sl.{}", b.name()),
            Head::RowBinary(b) => write!(f, "row.{}", b.name()),
            Head::ColBinary(b) => write!(f, "col.{}", b.name()),
            Head::GroupColBinary(b) => write!(f, "gcol.{}", b.name()),
            Head::Reduce(r) => write!(f, "row_{}", r.name()),
            Head::Fold(r) => write!(f, "fold.{}", r.name()),
            Head::Halve(r) => write!(f, "halve.{}", r.name()),
            Head::Launch(k) => write!(f, "launch.{}", k.name()),
            Head::Input => f.write_str("input"),
            Head::Buf => f.write_str("buf"),
            Head::MatmulNt => f.write_str("matmul_nt"),
            Head::GroupedMatmulNt => f.write_str("grouped_matmul_nt"),
            Head::MmGrouped => f.write_str("mm_grouped"),
            Head::Pieces => f.write_str("pieces"),
            Head::SliceCols => f.write_str("slice_cols"),
            Head::ConcatCols => f.write_str("concat_cols"),
            Head::RepeatCols => f.write_str("repeat_cols"),
            Head::Sinkhorn => f.write_str("sinkhorn"),
            Head::Parts => f.write_str("parts"),
            Head::MmParts => f.write_str("mm_parts"),
            Head::AddParts => f.write_str("add_parts"),
            Head::PadCols => f.write_str("pad_cols"),
            Head::TopK => f.write_str("top_k"),
            Head::GatherCols => f.write_str("gather_cols"),
            Head::GatherRows => f.write_str("gather_rows"),
            Head::MaskRows => f.write_str("mask_rows"),
            Head::Tile => f.write_str("tile"),
            Head::Load => f.write_str("load"),
            Head::Mm => f.write_str("mm"),
            Head::Cols => f.write_str("cols"),
            Head::Rows => f.write_str("rows"),
            Head::WithPad => f.write_str("with_pad"),
            Head::Fill => f.write_str("fill"),
            Head::Overlay => f.write_str("overlay"),
            Head::Exchanged => f.write_str("exchanged"),
            Head::Share => f.write_str("share"),
            Head::ByLine => f.write_str("by_line"),
        }
    }
}

/// A constant, compared by its bits so that terms hash and `-0.0` is not `0.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bits(pub u32);

impl Bits {
    pub fn new(value: f32) -> Self {
        Bits(value.to_bits())
    }

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
    pub fn app(head: Head, children: impl Into<Vec<Id>>) -> Self {
        let children = children.into();
        debug_assert_eq!(head.arity(), children.len(), "{head}");
        Term::App(head, children.into_boxed_slice())
    }

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
            static TABLE: crate::hash::HashMap<String, Head> = Head::table().into_iter().collect();
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
        let table = Head::table();
        for (name, head) in &table {
            assert_eq!(&head.to_string(), name);
            let children = vec![Id::from(0); head.arity()];
            assert_eq!(
                Term::from_op(name, children.clone()),
                Ok(Term::app(*head, children))
            );
        }
        let names: std::collections::BTreeSet<_> = table.iter().map(|(n, _)| n).collect();
        assert_eq!(names.len(), table.len(), "two operators share a name");
    }

    #[test]
    fn wrong_arity_is_refused() {
        let e = Term::from_op("tile", vec![Id::from(0)]).unwrap_err();
        assert_eq!(e.to_string(), "`tile` takes 3 operands, not 1");
    }
}
