//! What can be wrong with a graph.

use super::verify::MAX_BYTES;
use super::{MAX_DIM, MAX_PIPELINE_DEPTH, OpError, Type};
use crate::op::exchange::ExchangeError;

/// Why a graph is not one. Each message names the node, the sizes, and what to do.
#[derive(Debug, Clone, PartialEq, thiserror::Error, miette::Diagnostic)]
pub enum GraphError {
    /// An operation does not take these operands or attributes.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Op(#[from] OpError),
    #[error("`{value}` is {ty}: {problem}")]
    #[diagnostic(code(tilewright::graph::ragged))]
    Ragged {
        value: String,
        ty: Type,
        problem: String,
    },
    #[error("`{name}` {what}")]
    #[diagnostic(code(tilewright::graph::expected), help("{help}"))]
    Expected {
        name: String,
        what: String,
        help: String,
    },
    #[error("in `{node}`: {error}")]
    #[diagnostic(code(tilewright::graph::node))]
    AtNode {
        node: String,
        error: Box<GraphError>,
    },
    #[error("`{name} = {value}` ranks are not supported; a layer runs on 2, 4, 8, 16 or 32")]
    #[diagnostic(
        code(tilewright::graph::ranks),
        help("without expert parallelism nothing is dispatched: take a graph without `ranks`")
    )]
    Ranks { name: String, value: i64 },
    #[error(
        "`{name}` is what every rank of a graph with ranks is given, an i32 scalar; rename this one"
    )]
    #[diagnostic(code(tilewright::graph::reserved))]
    Reserved { name: String },
    #[error("`{first}` and `{second}` both say how many ranks there are; keep one")]
    #[diagnostic(code(tilewright::graph::ranks_twice))]
    RanksTwice { first: String, second: String },
    #[error("`{first}` and `{second}` both bound what a rank may receive; declare one of them")]
    #[diagnostic(code(tilewright::graph::capacity_twice))]
    CapacityTwice { first: String, second: String },
    #[error("two declarations are called `{name}`, and differ; rename one of the two")]
    #[diagnostic(code(tilewright::graph::duplicate_declaration))]
    DuplicateDeclaration { name: String },
    #[error("output `{output}` is carried to `{input}`: {problem}")]
    #[diagnostic(
        code(tilewright::graph::carry),
        help(
            "write `output NAME -> INPUT`, with an input of the output's type that no other output is carried to"
        )
    )]
    Carry {
        output: String,
        input: String,
        problem: String,
    },
    #[error("`{name}` is not a name; use letters, digits and `_`, not starting with a digit")]
    #[diagnostic(code(tilewright::graph::name))]
    Name { name: String },
    #[error("a param cannot be called `{name}`, which stands for minus infinity; rename it")]
    #[diagnostic(code(tilewright::graph::reserved_param))]
    ReservedParam { name: String },
    #[error("the name `{name}` is used twice; rename one of the two")]
    #[diagnostic(code(tilewright::graph::duplicate_name))]
    DuplicateName { name: String },
    #[error("two kernels are called `{name}`; rename one of the two")]
    #[diagnostic(code(tilewright::graph::duplicate_kernel))]
    DuplicateRegion { name: String },
    #[error("there is no size called `{name}`; declare it with its value before it is used")]
    #[diagnostic(code(tilewright::graph::unknown_size))]
    UnknownSize { name: String },
    #[error("`{value}` has a dimension of size {size}; give 1 to {MAX_DIM}")]
    #[diagnostic(code(tilewright::graph::size))]
    Size { value: String, size: String },
    #[error("`{value}` has rank {rank}; values have rank 0, 1 or 2, so flatten leading dimensions")]
    #[diagnostic(code(tilewright::graph::value_rank))]
    ValueRank { value: String, rank: usize },
    #[error("`{value}`, {ty}, is over {MAX_BYTES} bytes; make it smaller")]
    #[diagnostic(code(tilewright::graph::too_large))]
    TooLarge { value: String, ty: Type },
    #[error(
        "`{value}` has a dimension of size {size} on axis `{axis}`, which the graph's sizes do not hold with that value; declare `{axis}` = {size}, or drop the axis"
    )]
    #[diagnostic(code(tilewright::graph::axis))]
    Axis {
        value: String,
        axis: String,
        size: usize,
    },
    #[error("`{node}` has {found} results and {op} gives {expected}; name {expected}")]
    #[diagnostic(code(tilewright::graph::result_count))]
    ResultCount {
        node: String,
        op: String,
        expected: usize,
        found: usize,
    },
    #[error("`{value}` is declared {declared}, but {op} gives {inferred}; declare that")]
    #[diagnostic(code(tilewright::graph::result_type))]
    ResultType {
        value: String,
        op: String,
        declared: Type,
        inferred: Type,
    },
    #[error(
        "`{node}` reads result {result} of `{source_node}`, which has {results}; read one of 0..{results}"
    )]
    #[diagnostic(code(tilewright::graph::result_index))]
    ResultIndex {
        node: String,
        source_node: String,
        result: usize,
        results: usize,
    },
    #[error("the operands of `{node}` are numbered {found:?}; number them from 0, each once")]
    #[diagnostic(code(tilewright::graph::operand_slots))]
    OperandSlots { node: String, found: Vec<usize> },
    #[error("the graph has a cycle: {}; remove one of these reads", .path.join(" -> "))]
    #[diagnostic(code(tilewright::graph::cycle))]
    Cycle { path: Vec<String> },
    #[error("`{node}` is in no kernel; put every operation into one")]
    #[diagnostic(code(tilewright::graph::no_region))]
    NoRegion { node: String },
    #[error("input `{node}` is in a kernel; inputs belong to none")]
    #[diagnostic(code(tilewright::graph::input_region))]
    InputRegion { node: String },
    #[error("`{node}` is in kernel number {region} of {regions}; use one of 0..{regions}")]
    #[diagnostic(code(tilewright::graph::region_index))]
    RegionIndex {
        node: String,
        region: usize,
        regions: usize,
    },
    #[error(
        "kernel `{region}` holds `{param}` at `{value}`; hold it at numbers or names, at least one"
    )]
    #[diagnostic(code(tilewright::graph::held))]
    Held {
        region: String,
        param: String,
        value: String,
    },
    #[error("kernel `{region}` computes nothing; remove it")]
    #[diagnostic(code(tilewright::graph::empty_region))]
    EmptyRegion { region: String },
    #[error(
        "kernels wait for each other: {}; split one of them, or move the shared operation",
        .path.join(" -> ")
    )]
    #[diagnostic(code(tilewright::graph::region_cycle))]
    RegionCycle { path: Vec<String> },
    #[error("the graph has no outputs; name at least one result")]
    #[diagnostic(code(tilewright::graph::no_outputs))]
    NoOutputs,
    #[error("`within` is for `{name}`, which is no output; name an output")]
    #[diagnostic(code(tilewright::graph::within))]
    WithinUnknown { name: String },
    #[error("output `{name}`: {problem}")]
    #[diagnostic(code(tilewright::graph::within))]
    Within { name: String, problem: String },
    #[error(
        "output {index} is result {result} of node {node}, which does not exist; name a result"
    )]
    #[diagnostic(code(tilewright::graph::output_index))]
    OutputIndex {
        index: usize,
        node: usize,
        result: usize,
    },
    #[error("`{name}` is an output twice; name it once")]
    #[diagnostic(code(tilewright::graph::duplicate_output))]
    DuplicateOutput { name: String },
    #[error(
        "output `{name}` is an input, which the caller has already; remove it from the outputs"
    )]
    #[diagnostic(code(tilewright::graph::output_is_input))]
    OutputIsInput { name: String },
    #[error(
        "tile `{tile}` of kernel `{region}` cuts axis `{axis}`, which no value there has; cut one of: {}",
        .axes.join(", ")
    )]
    #[diagnostic(code(tilewright::graph::tile_axis))]
    TileAxis {
        region: String,
        tile: String,
        axis: String,
        axes: Vec<String>,
    },
    #[error("tile `{tile}` of kernel `{region}` has size {size}; give 1 to {MAX_DIM}")]
    #[diagnostic(code(tilewright::graph::tile_size))]
    TileSize {
        region: String,
        tile: String,
        size: usize,
    },
    #[error(
        "tiles `{first}` and `{second}` of kernel `{region}` both cut axis `{axis}`; keep one of them"
    )]
    #[diagnostic(code(tilewright::graph::tile_twice))]
    TileTwice {
        region: String,
        first: String,
        second: String,
        axis: String,
    },
    #[error(
        "kernel `{region}` asks for a pipeline of depth {depth}; give 1 to {MAX_PIPELINE_DEPTH}"
    )]
    #[diagnostic(code(tilewright::graph::pipeline))]
    Pipeline { region: String, depth: usize },
    #[error("the range given for `{input}` does not fit its type {ty}: {problem}")]
    #[diagnostic(code(tilewright::graph::input_range))]
    InputRange {
        input: String,
        ty: Type,
        problem: String,
    },
}

impl GraphError {
    /// What is wrong with an exchange, if that is it.
    pub(crate) fn exchange(&self) -> Option<&ExchangeError> {
        match self {
            GraphError::Op(OpError::Exchange(error)) => Some(error),
            _ => None,
        }
    }
}
