//! What an operation of a vector core costs, before there is a kernel: the instructions that it becomes, on tiles of its own.
//!
//! The search compares forms of a value by it. What a whole kernel takes is for the cost model to say.

use super::ub_tile;
use super::vector::operand::instruction;
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::{Binary, Operator, Reduce, Unary};
use tilewright_ir::kernel::{Tile, VectorOp};
use tilewright_ir::machine::Machine;
use tilewright_ir::timing;

/// Rows, columns and type of a tile.
pub(crate) type Extent = (usize, usize, DType);

/// Cycles of an operation with a result of some extent, of tiles of other extents. Operands that are no tiles are left out.
pub(crate) fn cycles(
    machine: &Machine,
    operator: Operator,
    result: Extent,
    operands: &[Extent],
) -> f64 {
    let work = Work { machine };
    let (rows, cols, dtype) = result;
    let of_one = |op: VectorOp| work.cycles(op, result, &[result]);
    let filled = |value: f32| work.cycles(VectorOp::Fill(value), result, &[]);
    let copied = || {
        operands
            .first()
            .map_or(0.0, |x| work.cycles(VectorOp::Copy, result, &[*x]))
    };
    match operator {
        // A cast to the own type changes nothing.
        Operator::Cast(..) if operands == [result] => 0.0,
        Operator::Cast(..)
        | Operator::Unary(_)
        | Operator::Scalar(_)
        | Operator::Binary(_)
        | Operator::RowBinary(_)
        | Operator::ColBinary(_)
        | Operator::GroupColBinary(_) => {
            let op = instruction(operator, result, 0.0);
            op.map_or(0.0, |op| work.cycles(op, result, operands))
        }
        Operator::ScalarLeft(f) => {
            filled(0.0) + work.cycles(VectorOp::Binary(f), result, &[result; 2])
        }
        Operator::Reduce(f) => work.cycles(VectorOp::RowReduce(f), result, operands),
        Operator::RepeatCols if cols == 1 => 0.0,
        Operator::RepeatCols => {
            let column = (rows, 1, dtype);
            let times = VectorOp::RowExpand(Binary::Mul);
            filled(1.0) + work.cycles(times, result, &[result, column])
        }
        Operator::PadCols => filled(0.0) + copied(),
        Operator::MaskRows => filled(0.0) + of_one(VectorOp::Copy),
        Operator::TopK => operands.first().map_or(0.0, |x| work.sorted(result, *x)),
        Operator::Cumsum => work.by_steps(Binary::Add, result, cols.next_power_of_two().ilog2()),
        Operator::RowProd => operands.first().map_or(0.0, |row| {
            work.by_steps(Binary::Mul, *row, row.1.next_power_of_two().ilog2())
        }),
        Operator::GatherCols => work.cycles(VectorOp::Gather, result, operands),
        Operator::Sinkhorn => operands.first().map_or(0.0, |row| work.normalised(*row)),
        // A slice is of what its operand computes in its columns only, and a row is loaded. The others are no work of this core.
        Operator::SliceCols
        | Operator::GatherRows
        | Operator::MatmulNt
        | Operator::GroupedMatmulNt
        | Operator::ConcatCols
        | Operator::Transpose
        | Operator::Reshape => 0.0,
    }
}

struct Work<'a> {
    machine: &'a Machine,
}

impl Work<'_> {
    /// Of one instruction; nothing where the machine has no figure for it.
    fn cycles(&self, op: VectorOp, result: Extent, operands: &[Extent]) -> f64 {
        let [a, b] = [0, 1].map(|i| operands.get(i).map(|x| self.tile(*x)));
        let source = |i: usize| [a.as_ref(), b.as_ref()].get(i).copied().flatten();
        timing::on_tiles(self.machine, &op, &self.tile(result), source).unwrap_or(0.0)
    }

    fn tile(&self, (rows, cols, dtype): Extent) -> Tile {
        ub_tile(&self.machine.geometry, String::new(), dtype, rows, cols)
    }

    /// Of a row sorted as runs, which are merged, and whose first indices are taken.
    fn sorted(&self, indices: Extent, row: Extent) -> f64 {
        let pairs = (1, 2 * row.1, DType::F32);
        let mut run = self.machine.geometry.sort_run.count();
        let mut cycles = self.cycles(VectorOp::Sort32, pairs, &[row, (1, row.1, DType::U32)]);
        while run > 0 && run < row.1 {
            cycles += self.cycles(VectorOp::MergeSort { run }, pairs, &[pairs]);
            run *= (row.1 / run).clamp(2, 4);
        }
        cycles + self.cycles(VectorOp::PairIndices, indices, &[pairs])
    }

    /// Of elements of a row that are looked up further and further away, and joined.
    fn by_steps(&self, join: Binary, row: Extent, steps: u32) -> f64 {
        let index = (1, row.1, DType::I32);
        let moved = [Binary::Add, Binary::Min]
            .map(|f| self.cycles(VectorOp::Scalar(f, 0.0), index, &[index]));
        let found = self.cycles(VectorOp::Gather, row, &[row, index]);
        let joined = self.cycles(VectorOp::Binary(join), row, &[row; 2]);
        f64::from(steps) * (moved.iter().sum::<f64>() + found + joined)
    }

    /// Of one row of matrices that is made a distribution: the other rows, and further iterations, are the same in all forms.
    fn normalised(&self, row: Extent) -> f64 {
        let total = (row.0, 1, row.2);
        let reduced =
            [Reduce::Max, Reduce::Sum].map(|f| self.cycles(VectorOp::RowReduce(f), total, &[row]));
        let spread = [Binary::Sub, Binary::Div]
            .map(|f| self.cycles(VectorOp::RowExpand(f), row, &[row, total]));
        let exp = self.cycles(VectorOp::Unary(Unary::Exp), row, &[row]);
        reduced.iter().chain(&spread).sum::<f64>() + exp
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TILE: Extent = (8, 256, DType::F32);

    fn of(operator: Operator, result: Extent, operands: &[Extent]) -> f64 {
        let machine = Machine::builtin("A3").expect("it is built in");
        cycles(&machine, operator, result, operands)
    }

    #[test]
    fn what_computes_nothing_costs_nothing() {
        let same = Operator::Cast(DType::F32, tilewright_ir::dtype::Round::Rint);
        assert_eq!(of(same, TILE, &[TILE]), 0.0);
        assert!(of(same, TILE, &[(8, 256, DType::Bf16)]) > 0.0);
        assert_eq!(of(Operator::SliceCols, TILE, &[TILE]), 0.0);
    }

    #[test]
    fn figures_of_the_machine_tell_operations_apart() {
        let unary = |f| of(Operator::Unary(f), TILE, &[TILE]);
        assert!(unary(Unary::Exp) > unary(Unary::Abs));
        let times = of(Operator::Scalar(Binary::Mul), TILE, &[TILE]);
        let over = of(Operator::ScalarLeft(Binary::Div), TILE, &[TILE]);
        assert!(over > times, "a constant on the left fills a tile");
        let column = (8, 1, DType::F32);
        let spread = of(Operator::RowBinary(Binary::Mul), TILE, &[TILE, column]);
        assert!(spread > of(Operator::Binary(Binary::Mul), TILE, &[TILE; 2]));
    }

    #[test]
    fn longer_rows_take_longer() {
        let wide = (1, 512, DType::F32);
        let narrow = (1, 64, DType::F32);
        for operator in [Operator::Cumsum, Operator::PadCols, Operator::GatherCols] {
            let index = |(r, c, _): Extent| (r, c, DType::I32);
            let cost = |x: Extent| of(operator, x, &[x, index(x)]);
            assert!(cost(wide) > cost(narrow), "{operator}");
        }
        let one = (1, 1, DType::F32);
        let all = [Operator::RowProd, Operator::Reduce(Reduce::Sum)];
        for operator in all {
            assert!(of(operator, one, &[wide]) > of(operator, one, &[narrow]));
        }
        let best = (1, 8, DType::I32);
        assert!(of(Operator::TopK, best, &[wide]) > of(Operator::TopK, best, &[narrow]));
    }
}
