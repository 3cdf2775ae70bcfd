//! Brings operations into the forms that kernels have: the same values from operands of other sizes.
//!
//! - The sorting network takes a power of two of columns: others are padded with what is below everything, and since ties go to
//!   the lower index, padding is chosen by nobody. It sorts f32, which numbers of other types become without losing their order.
//! - Rows that a core does not hold are cut into parts (`wide.rs`).
//! - A product adds up whole fractals of the inner axis: both operands are padded with zeros, which add nothing.
//! - What cores do not compute on is computed in a type that they do (`types.rs`).
//! - The reduction of one column is that column.
//! - A reshape that the layer returns, or that an exchange takes, is a copy: other kernels read what it is of. So is what changes
//!   nothing; elsewhere that is no operation at all.

mod apart;
mod types;
mod wide;

pub use types::wider;

use crate::problem::{Held, inner_unit};
use crate::prune::{exchanged, identity};
use crate::rebuild::Rebuild;
use tilewright_ir::dtype::Round;
use tilewright_ir::graph::{Graph, GraphError, Node, Op, Prim, Value};
use tilewright_ir::machine::{Geometry, Machine};
use wide::Wide;

/// Returns the same layer, of operations whose sizes kernels can have.
pub fn legalise(graph: &Graph, machine: &Machine) -> Result<Graph, GraphError> {
    let mut rebuild = Rebuild::new(graph);
    rebuild.nodes(|rebuild, node, operands| {
        let Op::Prim(prim) = node.op else {
            return Ok(None);
        };
        if let Some(copy) = copied(graph, rebuild, node, operands)? {
            return Ok(Some(copy));
        }
        if let Some(cut) = whole_rows((graph, machine), rebuild, node, operands)? {
            return Ok(Some(vec![cut]));
        }
        if let Some(wide) = types::widened(rebuild, node, &prim, operands)? {
            return Ok(Some(wide));
        }
        primitive(rebuild, &machine.geometry, prim, node, operands)
    })?;
    Ok(rebuild.finish())
}

/// What is computed of whole rows, where a core does not hold such a row.
fn whole_rows(
    (graph, machine): (&Graph, &Machine),
    rebuild: &mut Rebuild,
    node: &Node,
    operands: &[Value],
) -> Result<Option<Value>, GraphError> {
    let (Op::Prim(prim), Some(x)) = (&node.op, operands.first()) else {
        return Ok(None);
    };
    if !matches!(
        prim,
        Prim::TopK { .. } | Prim::Cumsum | Prim::RowProd | Prim::GatherCols
    ) {
        return Ok(None);
    }
    let (_, cols) = rebuild.out.ty(*x).matrix();
    let mut wide = Wide {
        held: Held::of(machine),
        beside: Wide::beside(graph, node, cols),
        rebuild,
    };
    match *prim {
        Prim::TopK { k } => wide.top_k(*x, k),
        Prim::Cumsum => wide.cumsum(*x),
        Prim::RowProd => wide.row_prod(*x),
        _ => wide.gather_cols(*x, operands[1]),
    }
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

/// A copy of what is a view of another value, or the same as it, and is needed by its own name.
fn copied(
    graph: &Graph,
    rebuild: &mut Rebuild,
    node: &Node,
    operands: &[Value],
) -> Result<Option<Vec<Value>>, GraphError> {
    let Some(v) = node.outputs.first().and_then(|o| graph.find(&o.name)) else {
        return Ok(None);
    };
    let view = matches!(node.op, Op::Prim(Prim::Reshape { .. }));
    let same = identity(graph, v);
    let needed = graph.outputs.contains(&v) || exchanged(graph, v) && view;
    if !needed || !view && same.is_none() {
        return Ok(None);
    }
    let of = match same {
        Some(of) => vec![rebuild.now(of)],
        None => rebuild.operation(&["view".to_string()], node.op.clone(), operands)?,
    };
    // A scalar or a vector is read as it is.
    let ty = graph.ty(v);
    if ty.shape.len() < 2 {
        return Ok(None);
    }
    let (_, to) = ty.matrix();
    let all = Op::Prim(Prim::SliceCols { from: 0, to });
    Ok(Some(rebuild.operation(&["copy".to_string()], all, &of)?))
}
