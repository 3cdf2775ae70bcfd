//! What products can read: values that are transposed, and rows of some length.

use super::{ProblemError, access, inner_unit};
use petgraph::graph::NodeIndex;
use tilewright_ir::graph::{Graph, Op, Prim};
use tilewright_ir::machine::Machine;
use tilewright_ir::op::Access;

/// Checks that what is transposed is read by products, on the side and in the sizes that the cube's loads can turn.
pub(super) fn turned(graph: &Graph, machine: &Machine) -> Result<(), ProblemError> {
    for v in graph.values() {
        let node = graph.node(v.node);
        if access(&node.op) != Some(Access::Turned) {
            continue;
        }
        let refused = |problem: String, help| {
            let region = node.region.map(|r| graph.regions[r].name.clone());
            Err(ProblemError::Transposed {
                region: region.unwrap_or_default(),
                value: graph.name(graph.operands(v.node)[0]).into(),
                problem,
                help,
            })
        };
        let right = |u: &NodeIndex| {
            let product = matches!(graph.node(*u).op, Op::Prim(Prim::MatmulNt));
            product && graph.operands(*u)[0] != v
        };
        if graph.outputs.contains(&v) || !graph.users(v).iter().all(right) {
            return refused(
                "no kernel stores or computes with the transpose".into(),
                "read it as the right operand of `matmul_nt`, or give the layer the transposed tensor",
            );
        }
        let ty = graph.ty(v);
        let (unit, inner) = (inner_unit(&machine.geometry, ty.dtype), ty.matrix().1);
        if !inner.is_multiple_of(unit) {
            let problem = format!("a product needs a multiple of {unit} rows, not the {inner}");
            return refused(
                problem,
                "give the right operand as [N, K], whose columns are padded",
            );
        }
    }
    Ok(())
}

/// Checks that rows of what products read are no longer than the loads into L1 take.
pub(super) fn wide(graph: &Graph, machine: &Machine) -> Result<(), ProblemError> {
    let limit = machine.limits.l1_stride.count();
    for v in graph.values() {
        let node = graph.node(v.node);
        if !matches!(node.op, Op::Prim(Prim::MatmulNt | Prim::GroupedMatmulNt)) {
            continue;
        }
        for operand in graph.operands(v.node) {
            let turned = access(&graph.node(operand.node).op) == Some(Access::Turned);
            let lies = match turned {
                true => graph.operands(operand.node)[0],
                false => operand,
            };
            let ty = graph.ty(lies);
            let cols = ty.matrix().1;
            if cols <= limit {
                continue;
            }
            let unit = inner_unit(&machine.geometry, ty.dtype);
            let piece = limit / unit * unit;
            let region = node.region.map(|r| graph.regions[r].name.clone());
            return Err(ProblemError::Wide {
                region: region.unwrap_or_default(),
                value: graph.name(lies).into(),
                cols,
                limit,
                help: match turned {
                    true => "give the right operand as [N, K], whose rows are shorter".into(),
                    false => format!(
                        "add up products of at most {piece} columns of both operands: the first is of \
                         slice_cols(x, from = 0, to = {piece})"
                    ),
                },
            });
        }
    }
    Ok(())
}
