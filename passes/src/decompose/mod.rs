//! Replaces composite operations by primitives and exchanges, so that the interesting equalities are ordinary rules.
//!
//! What a composite stands for is written in its definition ([`tilewright_ir::op::Definition`]). Values that existed before keep
//! their names; parts get the name of the composite's first result with a suffix.

use crate::hash::{HashMap, HashSet};
use tilewright_ir::graph::{
    Graph, GraphError, Node, Op, Output, Type, Use, Value, infer, name_counts,
};
use tilewright_ir::op::Call;

/// Returns the same layer without composite operations.
pub fn decompose(graph: &Graph) -> Result<Graph, GraphError> {
    let mut rewriter = Rewriter {
        out: Graph {
            name: graph.name.clone(),
            params: graph.params.clone(),
            nodes: Default::default(),
            regions: graph.regions.clone(),
            outputs: vec![],
            ranks: graph.ranks.clone(),
            capacity: graph.capacity.clone(),
            feeds: graph.feeds.clone(),
            within: graph.within.clone(),
        },
        region: None,
        prefix: String::new(),
        taken: graph
            .values()
            .map(|v| graph.name(v).to_string())
            .chain(graph.params.keys().cloned())
            .collect(),
    };
    let mut map: HashMap<Value, Value> = HashMap::default();
    // Index order is kept where it can be, so that dumps before and after compare well.
    let order = graph.topological().unwrap_or_default();
    for id in order {
        let node = graph.node(id);
        let operands: Vec<Value> = graph.operands(id).iter().map(|v| map[v]).collect();
        rewriter.region = node.region;
        rewriter.prefix = node
            .outputs
            .first()
            .map(|o| o.name.clone())
            .unwrap_or_default();
        let results = match &node.op {
            Op::Composite(c) => {
                let parts = rewriter.composite(c, &operands)?;
                for (value, old) in parts.iter().zip(&node.outputs) {
                    // Types too: they name what says how many rows exist, which may have got its name just now.
                    rewriter.out.nodes[value.node].outputs[value.result] = old.clone();
                }
                parts
            }
            Op::Prim(_) | Op::Exchange(_) | Op::Input => {
                let new = rewriter.out.nodes.add_node(node.clone());
                for (operand, v) in operands.iter().enumerate() {
                    let edge = Use {
                        result: v.result,
                        operand,
                    };
                    rewriter.out.nodes.add_edge(v.node, new, edge);
                }
                (0..node.outputs.len())
                    .map(|result| Value { node: new, result })
                    .collect()
            }
        };
        for (result, new) in results.into_iter().enumerate() {
            map.insert(Value { node: id, result }, new);
        }
    }
    rewriter.out.outputs = graph.outputs.iter().map(|v| map[v]).collect();
    Ok(rewriter.out)
}

struct Rewriter {
    out: Graph,
    region: Option<usize>,
    prefix: String,
    taken: HashSet<String>,
}

impl Rewriter {
    /// Adds an operation; the parts say what its results are of the composite.
    fn operation(
        &mut self,
        parts: &[String],
        op: Op,
        operands: &[Value],
    ) -> Result<Vec<Value>, GraphError> {
        let types: Vec<Type> = operands.iter().map(|v| self.out.ty(*v).clone()).collect();
        let types = infer(&op, &types, self.out.ranks())?;
        let results: Vec<String> = parts.iter().map(|part| self.fresh(part)).collect();
        let names: Vec<&str> = results.iter().map(String::as_str).collect();
        let read: Vec<&str> = operands.iter().map(|v| self.out.name(*v)).collect();
        let types = name_counts(types, &names, &read);
        let outputs = results.into_iter().zip(types);
        let outputs: Vec<Output> = outputs.map(|(name, ty)| Output { name, ty }).collect();
        let results = 0..outputs.len();
        let node = self.out.nodes.add_node(Node {
            op,
            outputs,
            region: self.region,
            input: Default::default(),
        });
        for (operand, v) in operands.iter().enumerate() {
            let edge = Use {
                result: v.result,
                operand,
            };
            self.out.nodes.add_edge(v.node, node, edge);
        }
        Ok(results.map(|result| Value { node, result }).collect())
    }

    /// A free name for a part.
    fn fresh(&mut self, part: &str) -> String {
        let base = format!("{}_{part}", self.prefix);
        let mut name = base.clone();
        let mut i = 2;
        while !self.taken.insert(name.clone()) {
            name = format!("{base}{i}");
            i += 1;
        }
        name
    }

    fn composite(&mut self, call: &Call, operands: &[Value]) -> Result<Vec<Value>, GraphError> {
        let types: Vec<Type> = operands.iter().map(|v| self.out.ty(*v).clone()).collect();
        let body = call.expand(&types, self.out.ranks())?;
        let mut values = operands.to_vec();
        for step in body.steps {
            let operands: Vec<Value> = step.operands.iter().map(|v| values[*v]).collect();
            values.extend(self.operation(&step.parts, step.op, &operands)?);
        }
        Ok(body.results.iter().map(|v| values[*v]).collect())
    }
}
