//! Brings operations into the forms that kernels have: the same values from operands of other sizes.
//!
//! - The sorting network takes a power of two of columns: others are padded with what is below everything, and since ties go to
//!   the lower index, padding is chosen by nobody.
//! - A product adds up whole fractals of the inner axis: both operands are padded with zeros, which add nothing.
//! - The reduction of one column is that column.
//! - A reshape that the layer returns, or that an exchange takes, is a copy: other kernels read what it is of.

use crate::problem::inner_unit;
use crate::rebuild::Rebuild;
use tilewright_ir::dtype::Round;
use tilewright_ir::graph::{Graph, GraphError, Node, Op, Prim, Value};
use tilewright_ir::machine::{Geometry, Machine};

/// Returns the same layer, of operations whose sizes kernels can have.
pub fn legalise(graph: &Graph, machine: &Machine) -> Result<Graph, GraphError> {
    let geometry = &machine.geometry;
    let mut rebuild = Rebuild::new(graph);
    rebuild.nodes(|rebuild, node, operands| match &node.op {
        Op::Prim(Prim::Reshape { cols, .. }) => match is_needed_in_memory(graph, node) {
            true => copied(rebuild, node, *cols, operands),
            false => Ok(None),
        },
        Op::Prim(prim) => primitive(rebuild, geometry, *prim, node, operands),
        Op::Composite(_) | Op::Exchange(_) | Op::Input => Ok(None),
    })?;
    Ok(rebuild.finish())
}

/// Another form of a primitive; `None` where it can stay.
fn primitive(
    rebuild: &mut Rebuild,
    geometry: &Geometry,
    prim: Prim,
    node: &Node,
    operands: &[Value],
) -> Result<Option<Vec<Value>>, GraphError> {
    let types = rebuild.types(operands);
    let columns = |i: usize| types[i].matrix().1;
    let (padding, width) = match prim {
        Prim::TopK { .. } => {
            let least = geometry.sort_run.count();
            let sorted = columns(0).max(least).next_power_of_two();
            (f32::NEG_INFINITY, sorted)
        }
        Prim::MatmulNt | Prim::GroupedMatmulNt => {
            let unit = inner_unit(geometry, types[0].dtype);
            (0.0, columns(0).next_multiple_of(unit))
        }
        Prim::RowReduce(_) if columns(0) == 1 => {
            let op = Op::Prim(Prim::Cast {
                to: types[0].dtype,
                round: Round::Rint,
            });
            let name = ["of_one".to_string()];
            return Ok(Some(rebuild.operation(&name, op, operands)?));
        }
        _ => return Ok(None),
    };
    let view = |v: &Value| matches!(rebuild.out.node(v.node).op, Op::Prim(Prim::Transpose));
    if width == columns(0) || operands.iter().any(view) {
        return Ok(None);
    }
    let pad = Op::Prim(Prim::PadCols {
        cols: width,
        value: padding,
    });
    let mut padded = vec![];
    for operand in operands {
        let name = format!("{}_padded", rebuild.out.name(*operand));
        padded.extend(rebuild.operation(&[name], pad.clone(), &[*operand])?);
    }
    let results = vec!["result".to_string(); node.outputs.len()];
    Ok(Some(rebuild.operation(
        &results,
        node.op.clone(),
        &padded,
    )?))
}

/// Whether something takes a reshape by its name, rather than through the view that it is.
fn is_needed_in_memory(graph: &Graph, node: &Node) -> bool {
    let value = node.outputs.first().and_then(|o| graph.find(&o.name));
    value.is_some_and(|v| {
        let mut users = graph.users(v).into_iter();
        graph.outputs.contains(&v) || users.any(|u| matches!(graph.node(u).op, Op::Exchange(_)))
    })
}

/// All columns of a reshape, as a value of its own.
fn copied(
    rebuild: &mut Rebuild,
    node: &Node,
    cols: usize,
    operands: &[Value],
) -> Result<Option<Vec<Value>>, GraphError> {
    let view = rebuild.operation(&["view".to_string()], node.op.clone(), operands)?;
    let all = Op::Prim(Prim::SliceCols { from: 0, to: cols });
    Ok(Some(rebuild.operation(
        &["copy".to_string()],
        all,
        &view,
    )?))
}
