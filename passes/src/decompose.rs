//! Replaces composite operations by primitives and exchanges, so that the interesting equalities are ordinary rules.
//!
//! What a composite stands for is written in its definition ([`tilewright_ir::op::Definition`]). Values that existed before keep
//! their names; parts get the name of the composite's first result with a suffix.

use crate::rebuild::Rebuild;
use tilewright_ir::graph::{Graph, GraphError, Op, Value};
use tilewright_ir::op::Call;

/// Returns the same layer without composite operations.
pub fn decompose(graph: &Graph) -> Result<Graph, GraphError> {
    let mut rebuild = Rebuild::new(graph);
    rebuild.nodes(|rebuild, node, operands| match &node.op {
        Op::Composite(call) => Ok(Some(composite(rebuild, call, operands)?)),
        Op::Prim(_) | Op::Exchange(_) | Op::Input => Ok(None),
    })?;
    Ok(rebuild.finish())
}

fn composite(
    rebuild: &mut Rebuild,
    call: &Call,
    operands: &[Value],
) -> Result<Vec<Value>, GraphError> {
    let types = rebuild.types(operands);
    let body = call.expand(&types, rebuild.out.ranks())?;
    let mut values = operands.to_vec();
    for step in body.steps {
        let operands: Vec<Value> = step.operands.iter().map(|v| values[*v]).collect();
        values.extend(rebuild.operation(&step.parts, step.op, &operands)?);
    }
    Ok(body.results.iter().map(|v| values[*v]).collect())
}
