//! Replaces composite operations by primitives, so that the interesting equalities are ordinary rules.
//!
//! The numbers are those of the composites' documentation in [`tilewright_ir::graph::Composite`]; what rounds where does not
//! change. Values that existed before keep their names; parts get the name of the composite's first result with a suffix.

use std::collections::{HashMap, HashSet};
use tilewright_ir::dtype::{DType, Round};
use tilewright_ir::graph::{
    Binary, Composite, Graph, GraphError, INT8_SCALE_MAX, Node, Op, Output, Prim, Reduce, Type,
    Unary, Use, Value, infer,
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
        },
        region: None,
        prefix: String::new(),
        parts: 0,
        taken: graph
            .values()
            .map(|v| graph.name(v).to_string())
            .chain(graph.params.keys().cloned())
            .collect(),
    };
    let mut map: HashMap<Value, Value> = HashMap::new();
    // Index order is kept where it can be, so that dumps before and after compare well.
    let order = graph.topological().unwrap_or_default();
    for id in order {
        let node = graph.node(id);
        let operands: Vec<Value> = graph.operands(id).iter().map(|v| map[v]).collect();
        rewriter.region = node.region;
        rewriter.parts = 0;
        rewriter.prefix = node
            .outputs
            .first()
            .map(|o| o.name.clone())
            .unwrap_or_default();
        let results = match node.op {
            Op::Composite(c) => {
                let parts = rewriter.composite(c, &operands, node)?;
                for (value, old) in parts.iter().zip(&node.outputs) {
                    rewriter.out.nodes[value.node].outputs[value.result].name = old.name.clone();
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
    parts: usize,
    taken: HashSet<String>,
}

impl Rewriter {
    fn prim(&mut self, prim: Prim, operands: &[Value]) -> Result<Value, GraphError> {
        let op = Op::Prim(prim);
        let types: Vec<Type> = operands.iter().map(|v| self.out.ty(*v).clone()).collect();
        let ty = infer(&op, &types)?
            .into_iter()
            .next()
            .expect("a primitive has one result");
        let name = self.fresh();
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

    /// The next free name of a part.
    fn fresh(&mut self) -> String {
        loop {
            self.parts += 1;
            let name = format!("{}_{}", self.prefix, self.parts);
            if self.taken.insert(name.clone()) {
                return name;
            }
        }
    }

    fn scalar(&mut self, op: Binary, x: Value, value: f32) -> Result<Value, GraphError> {
        self.prim(Prim::Scalar { op, value }, &[x])
    }

    fn unary(&mut self, op: Unary, x: Value) -> Result<Value, GraphError> {
        self.prim(Prim::Unary(op), &[x])
    }

    /// `x` itself when it has the type already.
    fn cast(&mut self, x: Value, to: DType) -> Result<Value, GraphError> {
        if self.out.ty(x).dtype == to {
            return Ok(x);
        }
        let round = Round::Rint;
        self.prim(Prim::Cast { to, round }, &[x])
    }

    fn composite(
        &mut self,
        composite: Composite,
        operands: &[Value],
        node: &Node,
    ) -> Result<Vec<Value>, GraphError> {
        match composite {
            Composite::RmsNorm { eps } => {
                let (x, weight) = (operands[0], operands[1]);
                let to = node.outputs[0].ty.dtype;
                let columns = self.out.ty(x).matrix().1;
                let x = self.cast(x, DType::F32)?;
                let squares = self.prim(Prim::Binary(Binary::Mul), &[x, x])?;
                let sum = self.prim(Prim::RowReduce(Reduce::Sum), &[squares])?;
                let mean = self.scalar(Binary::Mul, sum, 1.0 / columns as f32)?;
                let shifted = self.scalar(Binary::Add, mean, eps)?;
                let root = self.unary(Unary::Sqrt, shifted)?;
                let scale = self.prim(
                    Prim::ScalarLeft {
                        op: Binary::Div,
                        value: 1.0,
                    },
                    &[root],
                )?;
                let normed = self.prim(Prim::RowBinary(Binary::Mul), &[x, scale])?;
                let weight = self.cast(weight, DType::F32)?;
                let weighted = self.prim(Prim::ColBinary(Binary::Mul), &[normed, weight])?;
                // The result is always a node of its own, which takes the composite's name.
                let round = Round::Rint;
                Ok(vec![self.prim(Prim::Cast { to, round }, &[weighted])?])
            }
            Composite::QuantizeRows { eps } => {
                let x = self.cast(operands[0], DType::F32)?;
                let magnitude = self.unary(Unary::Abs, x)?;
                let amax = self.prim(Prim::RowReduce(Reduce::Max), &[magnitude])?;
                let amax = self.scalar(Binary::Max, amax, eps)?;
                let scale = self.prim(
                    Prim::ScalarLeft {
                        op: Binary::Div,
                        value: INT8_SCALE_MAX,
                    },
                    &[amax],
                )?;
                let scaled = self.prim(Prim::RowBinary(Binary::Mul), &[x, scale])?;
                let mut q = scaled;
                for to in [DType::I32, DType::F16, DType::I8] {
                    q = self.cast(q, to)?;
                }
                let dequant = self.prim(
                    Prim::ScalarLeft {
                        op: Binary::Div,
                        value: 1.0,
                    },
                    &[scale],
                )?;
                Ok(vec![q, dequant])
            }
            Composite::SqrtSoftplus => {
                // softplus(x) = max(x, 0) + log1p(t), t = exp(-|x|). log(1 + t) alone loses every bit of a small t, so it is
                // clamped into [t - t^2/2, t], which holds log1p(t): relative error below 2e-4 for every t.
                let x = operands[0];
                let magnitude = self.unary(Unary::Abs, x)?;
                let negative = self.unary(Unary::Neg, magnitude)?;
                let t = self.unary(Unary::Exp, negative)?;
                let one_more = self.scalar(Binary::Add, t, 1.0)?;
                let log = self.unary(Unary::Log, one_more)?;
                let half = self.scalar(Binary::Mul, t, -0.5)?;
                let half_square = self.prim(Prim::Binary(Binary::Mul), &[half, t])?;
                let lower = self.prim(Prim::Binary(Binary::Add), &[half_square, t])?;
                let at_least = self.prim(Prim::Binary(Binary::Max), &[log, lower])?;
                let log1p = self.prim(Prim::Binary(Binary::Min), &[at_least, t])?;
                let positive = self.scalar(Binary::Max, x, 0.0)?;
                let softplus = self.prim(Prim::Binary(Binary::Add), &[positive, log1p])?;
                Ok(vec![self.unary(Unary::Sqrt, softplus)?])
            }
            Composite::RouteWeights { scale } => {
                let picked = self.prim(Prim::GatherCols, operands)?;
                let sum = self.prim(Prim::RowReduce(Reduce::Sum), &[picked])?;
                let share = self.prim(Prim::RowBinary(Binary::Div), &[picked, sum])?;
                Ok(vec![self.scalar(Binary::Mul, share, scale)?])
            }
        }
    }
}
