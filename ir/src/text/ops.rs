//! The operations of the text form, in one table: parsing, printing, messages and documentation all read it.
//!
//! A new operation is a line here, next to its variant and its rule in [`crate::graph`].

use crate::dtype::{DType, Round};
use crate::graph::{Binary, Composite, Op, Prim, Reduce, Unary};

/// What an attribute holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttrKind {
    /// A size expression.
    Size,
    /// A constant.
    Float,
    /// An element type.
    DType,
    /// A rounding mode.
    Round,
}

/// An attribute's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AttrValue {
    Size(usize),
    Float(f32),
    DType(DType),
    Round(Round),
}

/// An attribute of an operation.
#[derive(Debug, Clone, Copy)]
pub struct AttrSpec {
    pub name: &'static str,
    pub kind: AttrKind,
    /// The value when it is left out; `None` when it must be given.
    pub default: Option<AttrValue>,
}

/// How a call becomes an operation.
#[derive(Debug, Clone, Copy)]
pub enum Form {
    /// From its attributes alone. `None` for attributes of the wrong number or kind, which the table's reader never passes.
    Fixed(fn(&[AttrValue]) -> Option<Op>),
    /// The element-wise form that the operands ask for: a constant on either side, one shape, a row or a column.
    Arithmetic(Binary),
}

/// One operation as people write it.
#[derive(Debug, Clone, Copy)]
pub struct OpSpec {
    pub name: &'static str,
    /// What each operand is, for messages.
    pub operands: &'static [&'static str],
    pub results: usize,
    pub attrs: &'static [AttrSpec],
    /// One line: shapes and meaning.
    pub doc: &'static str,
    pub form: Form,
}

impl OpSpec {
    /// How it is written, with its meaning: `top_k(x, k = SIZE): ...`.
    pub fn usage(&self) -> String {
        let mut parts: Vec<String> = self.operands.iter().map(|o| (*o).to_string()).collect();
        for attr in self.attrs {
            let kind = match attr.kind {
                AttrKind::Size => "SIZE",
                AttrKind::Float => "NUMBER",
                AttrKind::DType => "TYPE",
                AttrKind::Round => "MODE",
            };
            parts.push(match attr.default {
                None => format!("{} = {kind}", attr.name),
                Some(_) => format!("[{} = {kind}]", attr.name),
            });
        }
        format!("{}({}): {}", self.name, parts.join(", "), self.doc)
    }
}

/// The operation of a name.
pub fn find(name: &str) -> Option<&'static OpSpec> {
    OPS.iter().find(|s| s.name == name)
}

/// The attributes of an operation with their values, in the table's order.
pub fn attributes(op: &Op) -> Vec<(&'static str, AttrValue)> {
    match *op {
        Op::Prim(Prim::Cast { to, round }) => vec![
            ("to", AttrValue::DType(to)),
            ("round", AttrValue::Round(round)),
        ],
        Op::Prim(Prim::PadCols { cols, value }) => vec![
            ("to", AttrValue::Size(cols)),
            ("value", AttrValue::Float(value)),
        ],
        Op::Prim(Prim::TopK { k }) => vec![("k", AttrValue::Size(k))],
        Op::Prim(Prim::SliceCols { from, to }) => {
            vec![("from", AttrValue::Size(from)), ("to", AttrValue::Size(to))]
        }
        Op::Prim(Prim::RepeatCols { cols }) => vec![("to", AttrValue::Size(cols))],
        Op::Prim(Prim::Sinkhorn { n, iterations, eps }) => vec![
            ("n", AttrValue::Size(n)),
            ("iterations", AttrValue::Size(iterations)),
            ("eps", AttrValue::Float(eps)),
        ],
        Op::Composite(Composite::Swiglu { limit }) => vec![("limit", AttrValue::Float(limit))],
        Op::Composite(Composite::HcPre {
            norm_eps,
            eps,
            iterations,
        }) => vec![
            ("norm_eps", AttrValue::Float(norm_eps)),
            ("hc_eps", AttrValue::Float(eps)),
            ("iterations", AttrValue::Size(iterations)),
        ],
        Op::Composite(Composite::RmsNorm { eps } | Composite::QuantizeRows { eps }) => {
            vec![("eps", AttrValue::Float(eps))]
        }
        Op::Composite(Composite::RouteWeights { scale }) => {
            vec![("scale", AttrValue::Float(scale))]
        }
        Op::Composite(Composite::Combine { topk }) => vec![("topk", AttrValue::Size(topk))],
        _ => vec![],
    }
}

/// Every operation that can be written.
pub const OPS: &[OpSpec] = &[
    // Arithmetic, in the form that the operands ask for.
    arithmetic("add", Binary::Add, "a + b"),
    arithmetic("sub", Binary::Sub, "a - b"),
    arithmetic("mul", Binary::Mul, "a * b"),
    arithmetic("div", Binary::Div, "a / b"),
    arithmetic("max", Binary::Max, "the larger of a and b"),
    arithmetic("min", Binary::Min, "the smaller of a and b"),
    // The broadcasting forms by name, for operands that fit more than one.
    row("row_add", |_| Some(Op::Prim(Prim::RowBinary(Binary::Add)))),
    row("row_sub", |_| Some(Op::Prim(Prim::RowBinary(Binary::Sub)))),
    row("row_mul", |_| Some(Op::Prim(Prim::RowBinary(Binary::Mul)))),
    row("row_div", |_| Some(Op::Prim(Prim::RowBinary(Binary::Div)))),
    row("row_maximum", |_| {
        Some(Op::Prim(Prim::RowBinary(Binary::Max)))
    }),
    row("row_minimum", |_| {
        Some(Op::Prim(Prim::RowBinary(Binary::Min)))
    }),
    col("col_add", |_| Some(Op::Prim(Prim::ColBinary(Binary::Add)))),
    col("col_sub", |_| Some(Op::Prim(Prim::ColBinary(Binary::Sub)))),
    col("col_mul", |_| Some(Op::Prim(Prim::ColBinary(Binary::Mul)))),
    col("col_div", |_| Some(Op::Prim(Prim::ColBinary(Binary::Div)))),
    col("col_maximum", |_| {
        Some(Op::Prim(Prim::ColBinary(Binary::Max)))
    }),
    col("col_minimum", |_| {
        Some(Op::Prim(Prim::ColBinary(Binary::Min)))
    }),
    group_col("group_col_add", |_| {
        Some(Op::Prim(Prim::GroupColBinary(Binary::Add)))
    }),
    group_col("group_col_sub", |_| {
        Some(Op::Prim(Prim::GroupColBinary(Binary::Sub)))
    }),
    group_col("group_col_mul", |_| {
        Some(Op::Prim(Prim::GroupColBinary(Binary::Mul)))
    }),
    group_col("group_col_div", |_| {
        Some(Op::Prim(Prim::GroupColBinary(Binary::Div)))
    }),
    group_col("group_col_maximum", |_| {
        Some(Op::Prim(Prim::GroupColBinary(Binary::Max)))
    }),
    group_col("group_col_minimum", |_| {
        Some(Op::Prim(Prim::GroupColBinary(Binary::Min)))
    }),
    // Functions of one operand.
    plain("abs", &["x"], "the magnitude of each element", |_| {
        Some(Op::Prim(Prim::Unary(Unary::Abs)))
    }),
    plain("exp", &["x"], "e to the power of each element", |_| {
        Some(Op::Prim(Prim::Unary(Unary::Exp)))
    }),
    plain(
        "log",
        &["x"],
        "the natural logarithm of each element",
        |_| Some(Op::Prim(Prim::Unary(Unary::Log))),
    ),
    plain("sqrt", &["x"], "the square root of each element", |_| {
        Some(Op::Prim(Prim::Unary(Unary::Sqrt)))
    }),
    plain("neg", &["x"], "minus each element", |_| {
        Some(Op::Prim(Prim::Unary(Unary::Neg)))
    }),
    with_attrs(
        "cast",
        &["x"],
        &[required("to", AttrKind::DType), ROUND],
        "each element as another type; round = rint, round, trunc, floor or ceil",
        |a| match *a {
            [AttrValue::DType(to), AttrValue::Round(round)] => {
                Some(Op::Prim(Prim::Cast { to, round }))
            }
            _ => None,
        },
    ),
    // Rows.
    plain(
        "row_sum",
        &["x"],
        "[R, C] -> [R, 1], the sum of each row",
        |_| Some(Op::Prim(Prim::RowReduce(Reduce::Sum))),
    ),
    plain(
        "row_max",
        &["x"],
        "[R, C] -> [R, 1], the largest of each row",
        |_| Some(Op::Prim(Prim::RowReduce(Reduce::Max))),
    ),
    plain(
        "row_min",
        &["x"],
        "[R, C] -> [R, 1], the smallest of each row",
        |_| Some(Op::Prim(Prim::RowReduce(Reduce::Min))),
    ),
    plain(
        "mask_rows",
        &["x", "count"],
        "[R, C], i32 scalar -> [R, C], rows from the count on become zero",
        |_| Some(Op::Prim(Prim::MaskRows)),
    ),
    with_attrs(
        "pad_cols",
        &["x"],
        &[
            required("to", AttrKind::Size),
            required("value", AttrKind::Float),
        ],
        "[R, C] -> [R, to], the new columns hold the value (`lowest` is the most negative f32)",
        |a| match *a {
            [AttrValue::Size(cols), AttrValue::Float(value)] => {
                Some(Op::Prim(Prim::PadCols { cols, value }))
            }
            _ => None,
        },
    ),
    with_attrs(
        "top_k",
        &["x"],
        &[required("k", AttrKind::Size)],
        "[R, C] -> i32 [R, k], columns of the k largest, descending, ties to the lower column",
        |a| match *a {
            [AttrValue::Size(k)] => Some(Op::Prim(Prim::TopK { k })),
            _ => None,
        },
    ),
    plain(
        "gather_cols",
        &["x", "idx"],
        "[R, C], i32 [R, K] -> [R, K], x at the columns of idx",
        |_| Some(Op::Prim(Prim::GatherCols)),
    ),
    plain(
        "gather_rows",
        &["table", "ids"],
        "[V, K], i64 [R] -> [R, K], the table's rows at ids",
        |_| Some(Op::Prim(Prim::GatherRows)),
    ),
    with_attrs(
        "slice_cols",
        &["x"],
        &[
            required("from", AttrKind::Size),
            required("to", AttrKind::Size),
        ],
        "[R, C] -> [R, to - from], or of a vector, columns from..to",
        |a| match *a {
            [AttrValue::Size(from), AttrValue::Size(to)] => {
                Some(Op::Prim(Prim::SliceCols { from, to }))
            }
            _ => None,
        },
    ),
    plain(
        "concat_cols",
        &["a", "b"],
        "[R, A], [R, B] -> [R, A + B], the columns of b after those of a",
        |_| Some(Op::Prim(Prim::ConcatCols)),
    ),
    with_attrs(
        "repeat_cols",
        &["x"],
        &[required("to", AttrKind::Size)],
        "[R, 1] -> [R, to], or [1] -> [to], the one column again and again",
        |a| match *a {
            [AttrValue::Size(cols)] => Some(Op::Prim(Prim::RepeatCols { cols })),
            _ => None,
        },
    ),
    with_attrs(
        "sinkhorn",
        &["x"],
        &[
            required("n", AttrKind::Size),
            required("iterations", AttrKind::Size),
            required("eps", AttrKind::Float),
        ],
        "f32 [R, n * n] -> [R, n * n], each row an n x n matrix of logits, made doubly stochastic: softmax of its rows, then columns and rows divided by their sums in turn",
        |a| match *a {
            [
                AttrValue::Size(n),
                AttrValue::Size(iterations),
                AttrValue::Float(eps),
            ] => Some(Op::Prim(Prim::Sinkhorn { n, iterations, eps })),
            _ => None,
        },
    ),
    // Products.
    plain(
        "matmul_nt",
        &["a", "b"],
        "[M, K], [N, K] -> [M, N], a times b transposed; f32, or i32 for i8",
        |_| Some(Op::Prim(Prim::MatmulNt)),
    ),
    plain(
        "grouped_matmul_nt",
        &["a", "b"],
        "ragged [G * R, K], [G * N, K] -> ragged [G * R, N], rows of group g times rows g * N.. of b, transposed",
        |_| Some(Op::Prim(Prim::GroupedMatmulNt)),
    ),
    // Composites.
    with_attrs(
        "rms_norm",
        &["x", "weight"],
        &[required("eps", AttrKind::Float)],
        "[R, C], [C] -> [R, C], each row over its root mean square, times the weight",
        |a| match *a {
            [AttrValue::Float(eps)] => Some(Op::Composite(Composite::RmsNorm { eps })),
            _ => None,
        },
    ),
    OpSpec {
        results: 2,
        ..with_attrs(
            "quantize_rows",
            &["x"],
            &[required("eps", AttrKind::Float)],
            "[R, C] -> i8 [R, C], f32 [R, 1], symmetric int8 a row, and its scale",
            |a| match *a {
                [AttrValue::Float(eps)] => Some(Op::Composite(Composite::QuantizeRows { eps })),
                _ => None,
            },
        )
    },
    plain(
        "sqrt_softplus",
        &["x"],
        "sqrt(log(1 + exp(x))), exact for very negative x",
        |_| Some(Op::Composite(Composite::SqrtSoftplus)),
    ),
    with_attrs(
        "route_weights",
        &["scores", "idx"],
        &[required("scale", AttrKind::Float)],
        "[R, C], i32 [R, K] -> [R, K], the scores at idx over their sum, times scale",
        |a| match *a {
            [AttrValue::Float(scale)] => Some(Op::Composite(Composite::RouteWeights { scale })),
            _ => None,
        },
    ),
    plain(
        "dequantize",
        &["acc", "row_scale", "col_scale"],
        "i32 [R, N], f32 [R, 1], f32 [N] or [G, N] -> f32 [R, N], an int8 product times its scales",
        |_| Some(Op::Composite(Composite::Dequantize)),
    ),
    with_attrs(
        "swiglu",
        &["gate", "up"],
        &[required("limit", AttrKind::Float)],
        "[R, C], [R, C] -> [R, C], silu(min(gate, limit)) times up clamped to -limit..limit; limit 0 for no clamps",
        |a| match *a {
            [AttrValue::Float(limit)] => Some(Op::Composite(Composite::Swiglu { limit })),
            _ => None,
        },
    ),
    OpSpec {
        results: 3,
        ..with_attrs(
            "hc_pre",
            &["x", "fn", "scale", "base"],
            &[
                required("norm_eps", AttrKind::Float),
                required("hc_eps", AttrKind::Float),
                required("iterations", AttrKind::Size),
            ],
            "bf16 [T, n * D], f32 [(2 + n) * n, n * D], f32 [3], f32 [(2 + n) * n] -> bf16 [T, D], f32 [T, n], f32 [T, n * n], n residual streams mixed into one, and the weights to go back",
            |a| match *a {
                [
                    AttrValue::Float(norm_eps),
                    AttrValue::Float(eps),
                    AttrValue::Size(iterations),
                ] => Some(Op::Composite(Composite::HcPre {
                    norm_eps,
                    eps,
                    iterations,
                })),
                _ => None,
            },
        )
    },
    plain(
        "hc_post",
        &["y", "x", "post", "comb"],
        "bf16 [T, D], bf16 [T, n * D], f32 [T, n], f32 [T, n * n] -> bf16 [T, n * D], the layer's result and the old streams, mixed into new streams",
        |_| Some(Op::Composite(Composite::HcPost)),
    ),
    // Expert parallelism; `dispatch` is an exchange.
    with_attrs(
        "combine",
        &["y", "route", "received", "shared", "count"],
        &[required("topk", AttrKind::Size)],
        "the experts' rows back to where they came from, added to shared [T, D]",
        |a| match *a {
            [AttrValue::Size(topk)] => Some(Op::Composite(Composite::Combine { topk })),
            _ => None,
        },
    ),
];

const ROUND: AttrSpec = AttrSpec {
    name: "round",
    kind: AttrKind::Round,
    default: Some(AttrValue::Round(Round::Rint)),
};

const fn required(name: &'static str, kind: AttrKind) -> AttrSpec {
    AttrSpec {
        name,
        kind,
        default: None,
    }
}

type Build = fn(&[AttrValue]) -> Option<Op>;

const fn with_attrs(
    name: &'static str,
    operands: &'static [&'static str],
    attrs: &'static [AttrSpec],
    doc: &'static str,
    build: Build,
) -> OpSpec {
    OpSpec {
        name,
        operands,
        results: 1,
        attrs,
        doc,
        form: Form::Fixed(build),
    }
}

const fn plain(
    name: &'static str,
    operands: &'static [&'static str],
    doc: &'static str,
    build: Build,
) -> OpSpec {
    with_attrs(name, operands, &[], doc, build)
}

const fn row(name: &'static str, build: Build) -> OpSpec {
    plain(
        name,
        &["x", "column"],
        "[R, C], [R, 1] -> [R, C], with one element a row",
        build,
    )
}

const fn col(name: &'static str, build: Build) -> OpSpec {
    plain(
        name,
        &["x", "row"],
        "[R, C], [C] -> [R, C], with one element a column",
        build,
    )
}

const fn group_col(name: &'static str, build: Build) -> OpSpec {
    plain(
        name,
        &["x", "rows"],
        "ragged [G * R, C], [G, C] -> ragged [G * R, C], with one row of elements a group",
        build,
    )
}

const fn arithmetic(name: &'static str, op: Binary, doc: &'static str) -> OpSpec {
    OpSpec {
        name,
        operands: &["a", "b"],
        results: 1,
        attrs: &[],
        doc,
        form: Form::Arithmetic(op),
    }
}
