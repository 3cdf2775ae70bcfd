//! Replaces composite operations by primitives, so that the interesting equalities are ordinary rules.
//!
//! The numbers are those of the composites' documentation in [`tilewright_ir::graph::Composite`]; what rounds where does not
//! change. Values that existed before keep their names; parts get the name of the composite's first result with a suffix.

mod exchange;
mod hyper;

use crate::hash::{HashMap, HashSet};
use tilewright_ir::dtype::{DType, Round};
use tilewright_ir::graph::{
    Binary, Composite, Graph, GraphError, INT8_SCALE_MAX, Node, Op, Output, Prim, Reduce, Type,
    Unary, Use, Value, infer, name_counts,
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
                let parts = rewriter.composite(*c, &operands, node)?;
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
    /// Adds a primitive; `part` says what it is of the composite.
    fn prim(&mut self, part: &str, prim: Prim, operands: &[Value]) -> Result<Value, GraphError> {
        self.operation(part, Op::Prim(prim), operands)
    }

    /// Adds an operation of one result.
    fn operation(&mut self, part: &str, op: Op, operands: &[Value]) -> Result<Value, GraphError> {
        let types: Vec<Type> = operands.iter().map(|v| self.out.ty(*v).clone()).collect();
        let names: Vec<&str> = operands.iter().map(|v| self.out.name(*v)).collect();
        let ty = name_counts(infer(&op, &types)?, &[], &names)
            .into_iter()
            .next()
            .expect("the operation has one result");
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

    fn scalar(
        &mut self,
        part: &str,
        op: Binary,
        x: Value,
        value: f32,
    ) -> Result<Value, GraphError> {
        self.prim(part, Prim::Scalar { op, value }, &[x])
    }

    /// `value / x`.
    fn divide(&mut self, part: &str, value: f32, x: Value) -> Result<Value, GraphError> {
        let op = Binary::Div;
        self.prim(part, Prim::ScalarLeft { op, value }, &[x])
    }

    fn unary(&mut self, part: &str, op: Unary, x: Value) -> Result<Value, GraphError> {
        self.prim(part, Prim::Unary(op), &[x])
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

    /// `1 + exp(-x)`, which a sigmoid divides by.
    fn exp_neg_plus_one(&mut self, x: Value) -> Result<Value, GraphError> {
        let negative = self.unary("neg", Unary::Neg, x)?;
        let exp = self.unary("exp", Unary::Exp, negative)?;
        self.scalar("exp_plus_one", Binary::Add, exp, 1.0)
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
                let x = self.cast("x", x, DType::F32)?;
                let square = self.binary("square", Binary::Mul, x, x)?;
                let sum = self.prim("sum", Prim::RowReduce(Reduce::Sum), &[square])?;
                let mean = self.scalar("mean", Binary::Mul, sum, 1.0 / columns as f32)?;
                let shifted = self.scalar("mean_eps", Binary::Add, mean, eps)?;
                let rms = self.unary("rms", Unary::Sqrt, shifted)?;
                let scale = self.divide("inv_rms", 1.0, rms)?;
                let normed = self.prim("unit", Prim::RowBinary(Binary::Mul), &[x, scale])?;
                let weight = self.cast("weight", weight, DType::F32)?;
                let weighted =
                    self.prim("weighted", Prim::ColBinary(Binary::Mul), &[normed, weight])?;
                // The result is always a node of its own, which takes the composite's name.
                let round = Round::Rint;
                Ok(vec![self.prim(
                    "out",
                    Prim::Cast { to, round },
                    &[weighted],
                )?])
            }
            Composite::QuantizeRows { eps } => {
                let x = self.cast("x", operands[0], DType::F32)?;
                let magnitude = self.unary("abs", Unary::Abs, x)?;
                let row_max = self.prim("max", Prim::RowReduce(Reduce::Max), &[magnitude])?;
                let amax = self.scalar("amax", Binary::Max, row_max, eps)?;
                let scale = self.divide("quant_scale", INT8_SCALE_MAX, amax)?;
                let scaled = self.prim("scaled", Prim::RowBinary(Binary::Mul), &[x, scale])?;
                let rounded = self.cast("i32", scaled, DType::I32)?;
                let half = self.cast("f16", rounded, DType::F16)?;
                let quantized = self.cast("i8", half, DType::I8)?;
                Ok(vec![quantized, self.divide("dequant_scale", 1.0, scale)?])
            }
            Composite::SqrtSoftplus => {
                // softplus(x) = max(x, 0) + log1p(t), t = exp(-|x|). log(1 + t) alone loses every bit of a small t, so it is
                // clamped into [t - t^2/2, t], which holds log1p(t): relative error below 2e-4 for every t.
                let x = operands[0];
                let magnitude = self.unary("abs", Unary::Abs, x)?;
                let negative = self.unary("neg_abs", Unary::Neg, magnitude)?;
                let t = self.unary("exp", Unary::Exp, negative)?;
                let one_more = self.scalar("exp_plus_one", Binary::Add, t, 1.0)?;
                let log = self.unary("log", Unary::Log, one_more)?;
                let half = self.scalar("half", Binary::Mul, t, -0.5)?;
                let square = self.binary("half_square", Binary::Mul, half, t)?;
                let lower = self.binary("log1p_low", Binary::Add, square, t)?;
                let at_least = self.binary("log1p_at_least", Binary::Max, log, lower)?;
                let log1p = self.binary("log1p", Binary::Min, at_least, t)?;
                let positive = self.scalar("positive", Binary::Max, x, 0.0)?;
                let softplus = self.binary("softplus", Binary::Add, positive, log1p)?;
                Ok(vec![self.unary("sqrt", Unary::Sqrt, softplus)?])
            }
            Composite::Combine { topk } => self.combine(operands, topk),
            Composite::RouteWeights { scale } => {
                let picked = self.prim("picked", Prim::GatherCols, operands)?;
                let sum = self.prim("total", Prim::RowReduce(Reduce::Sum), &[picked])?;
                let share = self.prim("share", Prim::RowBinary(Binary::Div), &[picked, sum])?;
                Ok(vec![self.scalar("scaled", Binary::Mul, share, scale)?])
            }
            Composite::Dequantize => {
                let [acc, row, col] = [operands[0], operands[1], operands[2]];
                let x = self.cast("acc", acc, DType::F32)?;
                let x = self.prim("rows", Prim::RowBinary(Binary::Mul), &[x, row])?;
                let by_column = match self.out.ty(col).shape.len() {
                    1 => Prim::ColBinary(Binary::Mul),
                    _ => Prim::GroupColBinary(Binary::Mul),
                };
                Ok(vec![self.prim("out", by_column, &[x, col])?])
            }
            Composite::Swiglu { limit } => {
                let (mut gate, mut up) = (operands[0], operands[1]);
                if limit > 0.0 {
                    gate = self.scalar("gate", Binary::Min, gate, limit)?;
                    up = self.scalar("up_low", Binary::Min, up, limit)?;
                    up = self.scalar("up", Binary::Max, up, -limit)?;
                }
                let one_more = self.exp_neg_plus_one(gate)?;
                let silu = self.binary("silu", Binary::Div, gate, one_more)?;
                Ok(vec![self.binary("out", Binary::Mul, silu, up)?])
            }
            Composite::HcPre {
                norm_eps,
                eps,
                iterations,
            } => self.hc_pre(operands, [norm_eps, eps], iterations, node),
            Composite::HcPost => self.hc_post(operands),
        }
    }
}
