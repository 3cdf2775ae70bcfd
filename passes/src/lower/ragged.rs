//! Rows that may not exist: a block knows or reads how many its group has, and touches no others.

use tilewright_ir::kernel::{
    Cond, Expr, GlobalRef, GlobalTensor, Instr, Kernel, Stmt, TileId, TileRef, Var,
};

/// The rows of a block in its group.
pub(super) struct Rows {
    /// How many rows the group has.
    count: Expr,
    /// Reads it, where it is data.
    read: Option<Stmt>,
}

impl Rows {
    /// Of a kernel that stores a tensor, in blocks of so many of the rows of this group; none where all rows of all blocks exist.
    pub fn of(
        kernel: &mut Kernel,
        tensor: &GlobalTensor,
        (rows, block_rows): (usize, usize),
        group: &Expr,
    ) -> Option<Rows> {
        let Some(ragged) = &tensor.ragged else {
            let whole = rows.is_multiple_of(block_rows);
            return (!whole).then(|| Rows {
                count: Expr::constant(rows as i64),
                read: None,
            });
        };
        let register = kernel.registers;
        kernel.registers += 1;
        let src = GlobalRef {
            tensor: ragged.counts.clone(),
            row: group.clone(),
            col: Expr::default(),
            rows: 1,
            cols: 1,
            peer: None,
            step: 1,
            view: None,
        };
        let read = Stmt::Instr(Instr::ReadScalar { dst: register, src });
        Some(Rows {
            count: Expr::var(Var::Reg(register), 1),
            read: Some(read),
        })
    }

    /// The reading, which stands once before all that depends on it.
    pub fn read(&self) -> Option<Stmt> {
        self.read.clone()
    }

    /// The body for rows from `first` of the group on, up to `most`, left out where there are none. Tiles for which `by_rows` says
    /// so have as many rows as there are.
    pub fn guard(
        &self,
        first: &Expr,
        most: usize,
        mut body: Vec<Stmt>,
        by_rows: &dyn Fn(TileId) -> bool,
    ) -> Stmt {
        let left = self.count.clone().minus(first);
        // Of one row there is all or nothing.
        if most > 1 {
            limit(&mut body, &left, by_rows);
        }
        Stmt::If {
            cond: Cond::Positive(left),
            then: body,
            otherwise: vec![],
        }
    }
}

fn limit(body: &mut [Stmt], left: &Expr, by_rows: &dyn Fn(TileId) -> bool) {
    for stmt in body {
        match stmt {
            Stmt::Loop { body, .. } => limit(body, left, by_rows),
            Stmt::If {
                then, otherwise, ..
            } => {
                limit(then, left, by_rows);
                limit(otherwise, left, by_rows);
            }
            Stmt::Instr(instr) => {
                for operand in operands(instr) {
                    // What counts rows already counts none that do not exist.
                    if by_rows(operand.tile) && operand.rows.is_none() {
                        operand.rows = Some(left.clone());
                    }
                }
            }
            _ => {}
        }
    }
}

/// Operands that hold data; scratch has no rows.
fn operands(instr: &mut Instr) -> Vec<&mut TileRef> {
    match instr {
        Instr::Vector { dst, srcs, .. } => std::iter::once(dst).chain(srcs).collect(),
        other => super::vector::tile_refs(other),
    }
}
