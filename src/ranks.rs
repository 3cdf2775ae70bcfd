//! What is asked of a layer that several ranks run: how often, what one run hands to the next, and whether all that was sent had
//! room. The pipeline itself is the same for one rank and for many: see [`crate::run`].

use crate::error::{Error, Result};
use tilewright_backends::data::{Tensor, Tensors};
use tilewright_ir::graph::{Composite, Exchange, Graph, Op, Value};

/// How ranks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct How {
    /// Runs of the layer, one after the other on the same windows; outputs that have the type of one input become it.
    pub layers: usize,
    /// Of the order in which ranks move and stores arrive; `None` for all in turn and stores as late as can be.
    pub seed: Option<u64>,
}

impl Default for How {
    fn default() -> Self {
        How {
            layers: 1,
            seed: None,
        }
    }
}

/// Outputs that become inputs of the next run of the layer: those whose type one input has.
pub(crate) fn feed(graph: &Graph) -> Vec<(String, String)> {
    let same = |v: &Value| {
        let of_type = |i: &Value| !graph.ty(*i).shape.is_empty() && graph.ty(*i) == graph.ty(*v);
        let mut inputs = graph.inputs().into_iter().filter(of_type);
        let first = inputs.next()?;
        let pair = (graph.name(*v).to_string(), graph.name(first).to_string());
        inputs.next().is_none().then_some(pair)
    };
    graph.outputs.iter().filter_map(same).collect()
}

/// Refuses what a dispatch says of a lane that was sent more rows than it holds.
pub(crate) fn overflow(graph: &Graph, outputs: &Tensors) -> Result<()> {
    for id in graph.nodes.node_indices() {
        let node = graph.node(id);
        let Op::Composite(Composite::Exchange(Exchange::Dispatch { .. })) = node.op else {
            continue;
        };
        let status = node.outputs.last().and_then(|o| outputs.get(&o.name));
        let Some(status) = status.map(Tensor::to_i64) else {
            continue;
        };
        if let [code, rank, expert, rows, capacity, ..] = status[..]
            && code != 0
        {
            return Err(Error::LaneOverflow {
                rank,
                expert,
                rows,
                capacity,
            }
            .into());
        }
    }
    Ok(())
}
