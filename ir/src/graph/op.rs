//! The vocabulary of a layer graph: primitives, and the composites that decompose into them.
//!
//! A primitive is what the optimizer's rules and the kernels' instructions speak of. A composite is what people write; the
//! `decompose` pass replaces it by primitives, so no rule needs to know it.

use super::exchange::Call;
use crate::dtype::{DType, Round};
use serde::{Deserialize, Serialize};

/// Element-wise functions of one operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unary {
    Abs,
    Exp,
    Log,
    Sqrt,
    Neg,
}

impl Unary {
    pub const ALL: [Unary; 5] = [Unary::Abs, Unary::Exp, Unary::Log, Unary::Sqrt, Unary::Neg];

    pub fn name(self) -> &'static str {
        match self {
            Unary::Abs => "abs",
            Unary::Exp => "exp",
            Unary::Log => "log",
            Unary::Sqrt => "sqrt",
            Unary::Neg => "neg",
        }
    }
}

/// Element-wise functions of two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Max,
    Min,
}

impl Binary {
    pub const ALL: [Binary; 6] = [
        Binary::Add,
        Binary::Sub,
        Binary::Mul,
        Binary::Div,
        Binary::Max,
        Binary::Min,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Binary::Add => "add",
            Binary::Sub => "sub",
            Binary::Mul => "mul",
            Binary::Div => "div",
            Binary::Max => "max",
            Binary::Min => "min",
        }
    }

    /// Whether `a op b` is `b op a`.
    pub fn commutes(self) -> bool {
        !matches!(self, Binary::Sub | Binary::Div)
    }
}

/// Reductions of a row to one element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reduce {
    Sum,
    Max,
    Min,
}

impl Reduce {
    pub const ALL: [Reduce; 3] = [Reduce::Sum, Reduce::Max, Reduce::Min];

    pub fn name(self) -> &'static str {
        match self {
            Reduce::Sum => "sum",
            Reduce::Max => "max",
            Reduce::Min => "min",
        }
    }

    /// The element-wise function that joins two partial results.
    pub fn combine(self) -> Binary {
        match self {
            Reduce::Sum => Binary::Add,
            Reduce::Max => Binary::Max,
            Reduce::Min => Binary::Min,
        }
    }
}

/// Primitives: shapes are `[R, C]` matrices, `[C]` vectors (one row), `[R, 1]` columns and rank-0 scalars.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prim {
    /// A type conversion, element-wise.
    Cast {
        to: DType,
        round: Round,
    },
    Unary(Unary),
    /// `x op c` with a constant `c`.
    Scalar {
        op: Binary,
        value: f32,
    },
    /// `c op x` with a constant `c`; only what does not commute needs it.
    ScalarLeft {
        op: Binary,
        value: f32,
    },
    /// Two operands of one shape.
    Binary(Binary),
    /// `[R, C] op [R, 1]`: the second operand is one element a row.
    RowBinary(Binary),
    /// `[R, C] op [C]`: the second operand is one element a column.
    ColBinary(Binary),
    /// `[R, C] -> [R, 1]`.
    RowReduce(Reduce),
    /// `ragged [G * R, C] op [G, C]`: the second operand is one row of elements a group of rows.
    GroupColBinary(Binary),
    /// `[M, K] x [N, K] -> [M, N]`: the product with the transposed second operand, f32 accumulation; i32 for i8.
    MatmulNt,
    /// `ragged [G * R, K] x [G * N, K] -> ragged [G * R, N]`: rows of group g times rows `g * N..` of the second operand.
    GroupedMatmulNt,
    /// `[R, C] -> [R, to - from]`, or of a vector: columns `from..to`.
    SliceCols {
        from: usize,
        to: usize,
    },
    /// `[R, A], [R, B] -> [R, A + B]`: the columns of the second operand after those of the first.
    ConcatCols,
    /// `[R, 1] -> [R, cols]`, or `[1] -> [cols]`: the one column, again and again.
    RepeatCols {
        cols: usize,
    },
    /// `[R, n * n] -> [R, n * n]`, each row an n x n matrix of logits: the softmax of each of its rows, plus `eps`; then
    /// its columns divided by their sums, and its rows and columns in turn, `iterations` times columns in all. Each sum
    /// has `eps` added before the division.
    Sinkhorn {
        n: usize,
        iterations: usize,
        eps: f32,
    },
    /// `[R, C] -> [R, cols]`: columns from C on hold `value`.
    PadCols {
        cols: usize,
        value: f32,
    },
    /// `[R, C] -> i32 [R, k]`: columns of the k largest of each row, descending, ties to the lower column.
    TopK {
        k: usize,
    },
    /// `[R, C], i32 [R, K] -> [R, K]`: element (r, k) is `x[r, idx[r, k]]`.
    GatherCols,
    /// `[V, K], i64 [R] -> [R, K]`: row r is `table[ids[r]]`.
    GatherRows,
    /// `[R, C], i32 [] -> [R, C]`: rows from the count on become zero.
    MaskRows,
}

/// Composites: what people write.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Composite {
    /// `x [R, C], weight [C] -> [R, C]` of x's type: `x * rsqrt(mean(x^2) + eps) * weight` in f32, rounded to x's type.
    RmsNorm { eps: f32 },
    /// `x [R, C] -> i8 [R, C], f32 [R, 1]`: symmetric int8 a row. `amax = max(|row|, eps)`, `s = 127 / amax`, the values
    /// are `x * s` rounded to even through i32 and f16, and the second result is `1 / s`.
    QuantizeRows { eps: f32 },
    /// `x -> x`: `sqrt(log(1 + exp(x)))`, exact in the tail of very negative x.
    SqrtSoftplus,
    /// `scores [R, C], i32 [R, K] -> [R, K]`: the scores at the indices, divided by their sum, times `scale`.
    RouteWeights { scale: f32 },
    /// `y [L * C, D], i32 route [L * C, 1], i32 count [L, 1], shared [T, D], count` to `[T, D]` of shared's type: every row of y
    /// that exists goes back to where it came from; `out[t] = shared[t] + sum over k of y(t, k)`, in f32 from left to right;
    /// rows from `count` on are shared's. A route is `rank * T * topk + t * topk + k`.
    Combine { topk: usize },
    /// `i32 [R, N], f32 [R, 1], f32 [N] or [G, N] -> f32 [R, N]`: an int8 product times its row's and its column's scale.
    Dequantize,
    /// `gate [R, C], up [R, C] -> [R, C]`: `silu(min(gate, limit)) * clamp(up, -limit, limit)`, f32; no clamps when `limit`
    /// is 0.
    Swiglu { limit: f32 },
    /// `x bf16 [T, n * D], fn f32 [(2 + n) * n, n * D], scale f32 [3], base f32 [(2 + n) * n] -> mixed bf16 [T, D],
    /// post f32 [T, n], comb f32 [T, n * n]`: how n residual streams become one, and how the result goes back to them.
    ///
    /// `m = (x . fn^T) * rsqrt(mean(x^2) + norm_eps)`; `pre = sigmoid(m[:, ..n] * scale[0] + base[..n]) + eps`;
    /// `post = 2 * sigmoid(m[:, n..2n] * scale[1] + base[n..2n])`; comb is the [`Prim::Sinkhorn`] of
    /// `m[:, 2n..] * scale[2] + base[2n..]`; mixed is the sum over h of stream h times `pre[:, h]`, rounded half away.
    HcPre {
        norm_eps: f32,
        eps: f32,
        iterations: usize,
    },
    /// `y bf16 [T, D], x bf16 [T, n * D], post f32 [T, n], comb f32 [T, n * n] -> bf16 [T, n * D]`: stream o becomes
    /// `y * post[:, o]` plus the sum over i of stream i times `comb[:, i * n + o]`, in f32, rounded to even.
    HcPost,
}

/// What a node computes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// A tensor or scalar that the caller gives.
    Input,
    Prim(Prim),
    Composite(Composite),
    /// Data between ranks.
    Exchange(Box<Call>),
}

impl Op {
    /// The operation's name in the text form and in messages. The element-wise forms with one operand or a constant share
    /// the name of their function; the broadcasting ones have `row_` and `col_` before it. Exchanges share a name; see
    /// [`Op::spelling`].
    pub fn name(&self) -> &'static str {
        match self {
            Op::Input => "input",
            Op::Exchange(_) => "exchange",
            Op::Prim(p) => match p {
                Prim::Cast { .. } => "cast",
                Prim::Unary(u) => u.name(),
                Prim::Scalar { op, .. } | Prim::ScalarLeft { op, .. } | Prim::Binary(op) => {
                    op.name()
                }
                Prim::RowBinary(op) => match op {
                    Binary::Add => "row_add",
                    Binary::Sub => "row_sub",
                    Binary::Mul => "row_mul",
                    Binary::Div => "row_div",
                    Binary::Max => "row_maximum",
                    Binary::Min => "row_minimum",
                },
                Prim::ColBinary(op) => match op {
                    Binary::Add => "col_add",
                    Binary::Sub => "col_sub",
                    Binary::Mul => "col_mul",
                    Binary::Div => "col_div",
                    Binary::Max => "col_maximum",
                    Binary::Min => "col_minimum",
                },
                Prim::RowReduce(r) => match r {
                    Reduce::Sum => "row_sum",
                    Reduce::Max => "row_max",
                    Reduce::Min => "row_min",
                },
                Prim::GroupColBinary(op) => match op {
                    Binary::Add => "group_col_add",
                    Binary::Sub => "group_col_sub",
                    Binary::Mul => "group_col_mul",
                    Binary::Div => "group_col_div",
                    Binary::Max => "group_col_maximum",
                    Binary::Min => "group_col_minimum",
                },
                Prim::MatmulNt => "matmul_nt",
                Prim::GroupedMatmulNt => "grouped_matmul_nt",
                Prim::SliceCols { .. } => "slice_cols",
                Prim::ConcatCols => "concat_cols",
                Prim::RepeatCols { .. } => "repeat_cols",
                Prim::Sinkhorn { .. } => "sinkhorn",
                Prim::PadCols { .. } => "pad_cols",
                Prim::TopK { .. } => "top_k",
                Prim::GatherCols => "gather_cols",
                Prim::GatherRows => "gather_rows",
                Prim::MaskRows => "mask_rows",
            },
            Op::Composite(c) => match c {
                Composite::RmsNorm { .. } => "rms_norm",
                Composite::QuantizeRows { .. } => "quantize_rows",
                Composite::SqrtSoftplus => "sqrt_softplus",
                Composite::RouteWeights { .. } => "route_weights",
                Composite::Combine { .. } => "combine",
                Composite::Dequantize => "dequantize",
                Composite::Swiglu { .. } => "swiglu",
                Composite::HcPre { .. } => "hc_pre",
                Composite::HcPost => "hc_post",
            },
        }
    }

    /// The name of what is called: the operation's, or the exchange's.
    pub fn spelling(&self) -> &str {
        match self {
            Op::Exchange(call) => call.name(),
            op => op.name(),
        }
    }

    /// How many operands the operation reads.
    pub fn arity(&self) -> usize {
        match self {
            Op::Input => 0,
            Op::Exchange(call) => call.arity(),
            Op::Prim(p) => match p {
                Prim::Cast { .. }
                | Prim::Unary(_)
                | Prim::Scalar { .. }
                | Prim::ScalarLeft { .. }
                | Prim::RowReduce(_)
                | Prim::PadCols { .. }
                | Prim::SliceCols { .. }
                | Prim::RepeatCols { .. }
                | Prim::Sinkhorn { .. }
                | Prim::TopK { .. } => 1,
                Prim::Binary(_)
                | Prim::RowBinary(_)
                | Prim::ColBinary(_)
                | Prim::GroupColBinary(_)
                | Prim::MatmulNt
                | Prim::GroupedMatmulNt
                | Prim::ConcatCols
                | Prim::GatherCols
                | Prim::GatherRows
                | Prim::MaskRows => 2,
            },
            Op::Composite(c) => match c {
                Composite::QuantizeRows { .. } | Composite::SqrtSoftplus => 1,
                Composite::RmsNorm { .. }
                | Composite::RouteWeights { .. }
                | Composite::Swiglu { .. } => 2,
                Composite::Dequantize => 3,
                Composite::HcPre { .. } | Composite::HcPost => 4,
                Composite::Combine { .. } => 5,
            },
        }
    }
}

/// The smallest amax that symmetric quantisation divides by (`INT8_AMAX_EPS` of the public reference).
pub const INT8_AMAX_EPS: f32 = 1e-4;
/// The largest magnitude of a symmetric int8 (`INT8_SCALE_MAX`).
pub const INT8_SCALE_MAX: f32 = 127.0;
/// The most negative finite f32, which pads what is sorted in descending order.
pub const NEG_MAX: f32 = f32::MIN;
