//! Replaces composite operations by primitives, so that the interesting equalities are ordinary rules.
//!
//! What a composite stands for is written in its definition ([`tilewright_ir::op::Definition`]). Values that existed before keep
//! their names; parts get the name of the composite's first result with a suffix.

mod exchange;

use crate::hash::{HashMap, HashSet};
use tilewright_ir::dtype::{DType, Round};
use tilewright_ir::graph::{
    Binary, Composite, Graph, GraphError, Node, Op, Output, Prim, Type, Use, Value, infer,
    name_counts,
};

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
            Op::Prim(_) | Op::Input => {
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
    /// Adds a primitive; `part` says what it is of the composite.
    fn prim(&mut self, part: &str, prim: Prim, operands: &[Value]) -> Result<Value, GraphError> {
        let op = Op::Prim(prim);
        let types: Vec<Type> = operands.iter().map(|v| self.out.ty(*v).clone()).collect();
        let names: Vec<&str> = operands.iter().map(|v| self.out.name(*v)).collect();
        let ty = name_counts(infer(&op, &types)?, &[], &names)
            .into_iter()
            .next()
            .expect("a primitive has one result");
        let name = self.fresh(part);
        let node = self.out.nodes.add_node(Node {
            op,
            outputs: vec![Output { name, ty }],
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
        Ok(Value { node, result: 0 })
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

    fn binary(&mut self, part: &str, op: Binary, a: Value, b: Value) -> Result<Value, GraphError> {
        self.prim(part, Prim::Binary(op), &[a, b])
    }

    /// `x` itself when it has the type already.
    fn cast(&mut self, part: &str, x: Value, to: DType) -> Result<Value, GraphError> {
        if self.out.ty(x).dtype == to {
            return Ok(x);
        }
        let round = Round::Rint;
        self.prim(part, Prim::Cast { to, round }, &[x])
    }

    fn composite(
        &mut self,
        composite: &Composite,
        operands: &[Value],
    ) -> Result<Vec<Value>, GraphError> {
        let call = match composite {
            Composite::Exchange(exchange) => {
                return exchange::decompose(self, *exchange, operands);
            }
            Composite::Defined(call) => call,
        };
        let types: Vec<Type> = operands.iter().map(|v| self.out.ty(*v).clone()).collect();
        let body = call.expand(&types)?;
        let mut values = operands.to_vec();
        for step in &body.steps {
            let operands: Vec<Value> = step.operands.iter().map(|v| values[*v]).collect();
            values.push(self.prim(&step.part, step.prim, &operands)?);
        }
        Ok(body.results.iter().map(|v| values[*v]).collect())
    }
}
