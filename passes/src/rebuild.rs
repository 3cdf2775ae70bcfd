//! Builds a graph again from another one, with other operations in place of some.

use crate::hash::{HashMap, HashSet};
use tilewright_ir::graph::{
    Graph, GraphError, Node, Op, Output, Type, Use, Value, infer, name_counts,
};

/// A graph that is built from the nodes of another one.
pub(crate) struct Rebuild<'g> {
    from: &'g Graph,
    pub out: Graph,
    /// Values of the one graph by those of the other.
    map: HashMap<Value, Value>,
    region: Option<usize>,
    /// What new values are called after.
    prefix: String,
    taken: HashSet<String>,
}

impl<'g> Rebuild<'g> {
    pub fn new(graph: &'g Graph) -> Self {
        Rebuild {
            from: graph,
            out: Graph {
                name: graph.name.clone(),
                params: graph.params.clone(),
                nodes: Default::default(),
                regions: graph.regions.clone(),
                outputs: vec![],
                ranks: graph.ranks.clone(),
                capacity: graph.capacity.clone(),
                carried: graph.carried.clone(),
                within: graph.within.clone(),
                expected: graph.expected.clone(),
            },
            map: HashMap::default(),
            region: None,
            prefix: String::new(),
            taken: graph
                .values()
                .map(|v| graph.name(v).to_string())
                .chain(graph.params.keys().cloned())
                .collect(),
        }
    }

    /// Copies all nodes. `other` may give other values in place of a node's results: it gets the node, and its operands as they
    /// are in the new graph.
    pub fn nodes(
        &mut self,
        mut other: impl FnMut(&mut Self, &Node, &[Value]) -> Result<Option<Vec<Value>>, GraphError>,
    ) -> Result<(), GraphError> {
        // Index order is kept where it can be, so that dumps before and after compare well.
        for id in self.from.topological().unwrap_or_default() {
            let node = self.from.node(id);
            let operands = self.from.operands(id);
            let operands: Vec<Value> = operands.iter().map(|v| self.map[v]).collect();
            self.region = node.region;
            let first = node.outputs.first();
            self.prefix = first.map(|o| o.name.clone()).unwrap_or_default();
            let results = match other(self, node, &operands)? {
                Some(results) => {
                    for (value, old) in results.iter().zip(&node.outputs) {
                        // Types too: they name what says how many rows exist, which may have got its name just now.
                        self.out.nodes[value.node].outputs[value.result] = old.clone();
                    }
                    results
                }
                None => self.node(node.clone(), &operands),
            };
            for (result, new) in results.into_iter().enumerate() {
                self.map.insert(Value { node: id, result }, new);
            }
        }
        Ok(())
    }

    pub fn finish(mut self) -> Graph {
        self.out.outputs = self.from.outputs.iter().map(|v| self.map[v]).collect();
        self.out
    }

    /// What stands for a value of the graph that this one is built from; it was copied before.
    pub fn now(&self, v: Value) -> Value {
        self.map[&v]
    }

    pub fn types(&self, values: &[Value]) -> Vec<Type> {
        values.iter().map(|v| self.out.ty(*v).clone()).collect()
    }

    /// Adds an operation; the parts say what its results are of the node that it is made for.
    pub fn operation(
        &mut self,
        parts: &[String],
        op: Op,
        operands: &[Value],
    ) -> Result<Vec<Value>, GraphError> {
        let types = infer(&op, &self.types(operands), self.out.ranks())?;
        let results: Vec<String> = parts.iter().map(|part| self.fresh(part)).collect();
        let names: Vec<&str> = results.iter().map(String::as_str).collect();
        let read: Vec<&str> = operands.iter().map(|v| self.out.name(*v)).collect();
        let types = name_counts(types, &names, &read);
        let outputs = results.into_iter().zip(types);
        let node = Node {
            op,
            outputs: outputs.map(|(name, ty)| Output { name, ty }).collect(),
            region: self.region,
            input: Default::default(),
        };
        Ok(self.node(node, operands))
    }

    fn node(&mut self, node: Node, operands: &[Value]) -> Vec<Value> {
        let results = 0..node.outputs.len();
        let node = self.out.nodes.add_node(node);
        for (operand, v) in operands.iter().enumerate() {
            let edge = Use {
                result: v.result,
                operand,
            };
            self.out.nodes.add_edge(v.node, node, edge);
        }
        results.map(|result| Value { node, result }).collect()
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
}
