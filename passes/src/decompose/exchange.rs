//! What goes back to the ranks that it came from is an exchange, and added up by ordinary operations.

use super::Rewriter;
use tilewright_ir::dtype::{DType, Round};
use tilewright_ir::exchange;
use tilewright_ir::graph::{Binary, Call, Dim, GraphError, Op, Prim, Value};

impl Rewriter {
    pub(super) fn combine(
        &mut self,
        operands: &[Value],
        topk: usize,
    ) -> Result<Vec<Value>, GraphError> {
        let &[y, route, received, shared, count] = operands else {
            unreachable!("inference has checked the number of operands");
        };
        let (tokens, cols) = self.out.ty(shared).matrix();
        let Some(definition) = exchange::find("give_back") else {
            unreachable!("the library has it, as its test says");
        };
        let sizes = [("rows", tokens), ("topk", topk)];
        let call = Call {
            definition,
            attributes: sizes.map(|(n, s)| (n.into(), Dim::new(s))).into(),
            ranks: self.out.ranks(),
        };
        let op = Op::Exchange(Box::new(call));
        // The K answers of a token lie one after the other: a row of K * D columns.
        let answers = self.operation("answers", op, &[y, route, received, count])?;
        let mut sum = self.cast("shared_f32", shared, DType::F32)?;
        for k in 0..topk {
            let slice = Prim::SliceCols {
                from: k * cols,
                to: (k + 1) * cols,
            };
            let answer = self.prim(&format!("answer{k}"), slice, &[answers])?;
            let answer = self.cast(&format!("answer{k}_f32"), answer, DType::F32)?;
            sum = self.binary(&format!("sum{k}"), Binary::Add, sum, answer)?;
        }
        let to = self.out.ty(shared).dtype;
        let round = Round::Rint;
        Ok(vec![self.prim("out", Prim::Cast { to, round }, &[sum])?])
    }
}
