//! Primitives: what the optimizer's rules and the kernels' instructions speak of.

use super::row::{Number, Primitive, Row};
use super::{Binary, Reduce, Unary, columns, elementwise, product, rows, sort};
use crate::dtype::{DType, Round};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Primitives and their operators. A line is an operator, with the numbers that a primitive has beside it, and its row.
macro_rules! operators {
    ($($operator:ident $({ $($(#[$meta:meta])* $number:ident: $ty:ty),* })? => $row:path,)*) => {
        /// Primitives: shapes are `[R, C]` matrices, `[C]` vectors (one row), `[R, 1]` columns and rank-0 scalars. What each
        /// of them does stands in its row of the table.
        #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Prim {
            Cast { to: DType, round: Round },
            Unary(Unary),
            /// `x op c` with a constant `c`.
            Scalar {
                op: Binary,
                #[serde(with = "crate::float")]
                value: f32,
            },
            /// `c op x` with a constant `c`; only what does not commute needs it.
            ScalarLeft {
                op: Binary,
                #[serde(with = "crate::float")]
                value: f32,
            },
            /// Two operands of one shape.
            Binary(Binary),
            /// The second operand is one element a row.
            RowBinary(Binary),
            /// The second operand is one element a column.
            ColBinary(Binary),
            /// The second operand is one row of elements a group of rows.
            GroupColBinary(Binary),
            RowReduce(Reduce),
            $($operator $({ $($(#[$meta])* $number: $ty),* })?,)*
        }

        /// A primitive without its numbers: what a term has at its head.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Operator {
            Cast(DType, Round),
            Unary(Unary),
            /// `x op constant`.
            Scalar(Binary),
            /// `constant op x`; the term's children are `x`, then the constant.
            ScalarLeft(Binary),
            Binary(Binary),
            RowBinary(Binary),
            ColBinary(Binary),
            GroupColBinary(Binary),
            Reduce(Reduce),
            $($operator,)*
        }

        impl Operator {
            const PLAIN: &'static [Operator] = &[$(Operator::$operator),*];

            /// What the table says of it.
            pub fn primitive(self) -> &'static Primitive {
                match self {
                    Operator::Cast(..) => &elementwise::CAST,
                    Operator::Unary(f) => &f.row().primitive,
                    Operator::Scalar(f) => &f.row().forms.constant,
                    Operator::ScalarLeft(f) => &f.row().forms.constant_left,
                    Operator::Binary(f) => &f.row().forms.pair,
                    Operator::RowBinary(f) => &f.row().forms.by_row,
                    Operator::ColBinary(f) => &f.row().forms.by_column,
                    Operator::GroupColBinary(f) => &f.row().forms.by_group,
                    Operator::Reduce(f) => &f.row().primitive,
                    $(Operator::$operator => &$row,)*
                }
            }

            /// The primitive with these numbers; `None` where they are not its.
            pub fn prim(self, numbers: &[Number]) -> Option<Prim> {
                Some(match (self, numbers) {
                    (Operator::Cast(to, round), []) => Prim::Cast { to, round },
                    (Operator::Unary(f), []) => Prim::Unary(f),
                    (Operator::Scalar(op), [Number::Constant(value)]) => {
                        Prim::Scalar { op, value: *value }
                    }
                    (Operator::ScalarLeft(op), [Number::Constant(value)]) => {
                        Prim::ScalarLeft { op, value: *value }
                    }
                    (Operator::Binary(f), []) => Prim::Binary(f),
                    (Operator::RowBinary(f), []) => Prim::RowBinary(f),
                    (Operator::ColBinary(f), []) => Prim::ColBinary(f),
                    (Operator::GroupColBinary(f), []) => Prim::GroupColBinary(f),
                    (Operator::Reduce(f), []) => Prim::RowReduce(f),
                    $((Operator::$operator, [$($($number),*)?]) => {
                        Prim::$operator $({ $($number: <$ty>::try_from(*$number).ok()?),* })?
                    })*
                    _ => return None,
                })
            }
        }

        impl Prim {
            /// The operator and its numbers.
            pub fn operator(&self) -> (Operator, Vec<Number>) {
                match *self {
                    Prim::Cast { to, round } => (Operator::Cast(to, round), vec![]),
                    Prim::Unary(f) => (Operator::Unary(f), vec![]),
                    Prim::Scalar { op, value } => (Operator::Scalar(op), vec![value.into()]),
                    Prim::ScalarLeft { op, value } => (Operator::ScalarLeft(op), vec![value.into()]),
                    Prim::Binary(f) => (Operator::Binary(f), vec![]),
                    Prim::RowBinary(f) => (Operator::RowBinary(f), vec![]),
                    Prim::ColBinary(f) => (Operator::ColBinary(f), vec![]),
                    Prim::GroupColBinary(f) => (Operator::GroupColBinary(f), vec![]),
                    Prim::RowReduce(f) => (Operator::Reduce(f), vec![]),
                    $(Prim::$operator $({ $($number),* })? => {
                        (Operator::$operator, vec![$($($number.into()),*)?])
                    })*
                }
            }
        }
    };
}

operators! {
    MatmulNt => product::MATMUL_NT,
    GroupedMatmulNt => product::GROUPED_MATMUL_NT,
    SliceCols { from: usize, to: usize } => columns::SLICE_COLS,
    ConcatCols => columns::CONCAT_COLS,
    Transpose => columns::TRANSPOSE,
    Reshape { rows: usize, cols: usize } => rows::RESHAPE,
    RepeatCols { cols: usize } => columns::REPEAT_COLS,
    Sinkhorn { n: usize, iterations: usize, eps: f32 } => rows::SINKHORN,
    PadCols { cols: usize, #[serde(with = "crate::float")] value: f32 } => columns::PAD_COLS,
    TopK { k: usize } => sort::TOP_K,
    Cumsum => rows::CUMSUM,
    RowProd => rows::ROW_PROD,
    GatherCols => columns::GATHER_COLS,
    GatherRows => rows::GATHER_ROWS,
    MaskRows => rows::MASK_ROWS,
}

impl Operator {
    /// Every operator.
    pub fn all() -> impl Iterator<Item = Operator> {
        let casts = DType::ALL
            .into_iter()
            .flat_map(|to| Round::ALL.map(|round| Operator::Cast(to, round)));
        let unary = Unary::ALL.map(Operator::Unary);
        let binary = Binary::ALL.into_iter().flat_map(|f| {
            [
                Operator::Scalar(f),
                Operator::ScalarLeft(f),
                Operator::Binary(f),
                Operator::RowBinary(f),
                Operator::ColBinary(f),
                Operator::GroupColBinary(f),
            ]
        });
        let reductions = Reduce::ALL.map(Operator::Reduce);
        let plain = Operator::PLAIN.iter().copied();
        casts
            .chain(unary)
            .chain(binary)
            .chain(reductions)
            .chain(plain)
    }

    /// What the text form says of it.
    pub fn row(self) -> &'static Row {
        self.primitive().row
    }
}

impl fmt::Display for Operator {
    /// As in terms.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operator::Cast(to, round) => write!(f, "cast.{}.{}", to.name(), round.name()),
            Operator::Scalar(b) => write!(f, "s.{}", b.name()),
            Operator::ScalarLeft(b) => write!(f, "sl.{}", b.name()),
            Operator::Binary(b) => f.write_str(b.name()),
            Operator::RowBinary(b) => write!(f, "row.{}", b.name()),
            Operator::ColBinary(b) => write!(f, "col.{}", b.name()),
            Operator::GroupColBinary(b) => write!(f, "gcol.{}", b.name()),
            _ => f.write_str(self.row().name),
        }
    }
}
