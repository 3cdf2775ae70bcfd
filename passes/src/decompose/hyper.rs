//! Hyper-connections as primitives.

use super::Rewriter;
use tilewright_ir::dtype::{DType, Round};
use tilewright_ir::graph::{Binary, GraphError, Node, Prim, Reduce, Unary, Value};

impl Rewriter {
    pub(super) fn hc_pre(
        &mut self,
        operands: &[Value],
        [norm_eps, eps]: [f32; 2],
        iterations: usize,
        node: &Node,
    ) -> Result<Vec<Value>, GraphError> {
        let [x, weights, scale, base] = [operands[0], operands[1], operands[2], operands[3]];
        let n = node.outputs[1].ty.matrix().1;
        let (columns, width) = self.out.ty(weights).matrix();
        let x = self.cast("x", x, DType::F32)?;
        let square = self.binary("square", Binary::Mul, x, x)?;
        let sum = self.prim("sum", Prim::RowReduce(Reduce::Sum), &[square])?;
        let mean = self.scalar("mean", Binary::Mul, sum, 1.0 / width as f32)?;
        let shifted = self.scalar("mean_eps", Binary::Add, mean, norm_eps)?;
        let rms = self.unary("rms", Unary::Sqrt, shifted)?;
        let factor = self.divide("inv_rms", 1.0, rms)?;
        let products = self.prim("products", Prim::MatmulNt, &[x, weights])?;
        let mixes = self.prim("mixes", Prim::RowBinary(Binary::Mul), &[products, factor])?;
        // Columns from..to, times the part's scale, plus the base.
        let logits = |s: &mut Self, part: usize, from: usize, to: usize| {
            let x = s.slice("part", mixes, from, to)?;
            let scale = s.slice("scale", scale, part, part + 1)?;
            let scale = s.prim("scales", Prim::RepeatCols { cols: to - from }, &[scale])?;
            let x = s.prim("scaled", Prim::ColBinary(Binary::Mul), &[x, scale])?;
            let base = s.slice("base", base, from, to)?;
            s.prim("logits", Prim::ColBinary(Binary::Add), &[x, base])
        };
        let pre = logits(self, 0, 0, n)?;
        let post = logits(self, 1, n, 2 * n)?;
        let comb = logits(self, 2, 2 * n, columns)?;
        let pre = self.exp_neg_plus_one(pre)?;
        let pre = self.divide("sigmoid", 1.0, pre)?;
        let pre = self.scalar("pre", Binary::Add, pre, eps)?;
        let post = self.exp_neg_plus_one(post)?;
        let post = self.divide("post", 2.0, post)?;
        let comb = self.prim("comb", Prim::Sinkhorn { n, iterations, eps }, &[comb])?;
        let d = width / n;
        let mut sum = None;
        for h in 0..n {
            let stream = self.slice("stream", x, h * d, (h + 1) * d)?;
            let share = self.slice("share", pre, h, h + 1)?;
            let term = self.prim("term", Prim::RowBinary(Binary::Mul), &[stream, share])?;
            sum = Some(match sum {
                None => term,
                Some(sum) => self.binary("mixed", Binary::Add, sum, term)?,
            });
        }
        let round = Round::Round;
        let to = DType::Bf16;
        let mixed = self.prim("out", Prim::Cast { to, round }, sum.as_slice())?;
        Ok(vec![mixed, post, comb])
    }

    pub(super) fn hc_post(&mut self, operands: &[Value]) -> Result<Vec<Value>, GraphError> {
        let [y, x, post, comb] = [operands[0], operands[1], operands[2], operands[3]];
        let d = self.out.ty(y).matrix().1;
        let n = self.out.ty(post).matrix().1;
        let y = self.cast("y", y, DType::F32)?;
        let x = self.cast("x", x, DType::F32)?;
        let mut all = None;
        for o in 0..n {
            let share = self.slice("own_share", post, o, o + 1)?;
            let mut sum = self.prim("own", Prim::RowBinary(Binary::Mul), &[y, share])?;
            for i in 0..n {
                let stream = self.slice("stream", x, i * d, (i + 1) * d)?;
                let at = i * n + o;
                let share = self.slice("share", comb, at, at + 1)?;
                let term = self.prim("term", Prim::RowBinary(Binary::Mul), &[stream, share])?;
                sum = self.binary("sum", Binary::Add, sum, term)?;
            }
            let (to, round) = (DType::Bf16, Round::Rint);
            let stream = self.prim("new", Prim::Cast { to, round }, &[sum])?;
            all = Some(match all {
                None => stream,
                Some(all) => self.prim("streams", Prim::ConcatCols, &[all, stream])?,
            });
        }
        Ok(all.into_iter().collect())
    }

    fn slice(&mut self, part: &str, x: Value, from: usize, to: usize) -> Result<Value, GraphError> {
        self.prim(part, Prim::SliceCols { from, to }, &[x])
    }
}
