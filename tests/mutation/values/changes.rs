//! One change of what a kernel computes.

use crate::mutants::{count, edit};
use std::fmt;
use tilewright_ir::dtype::Round;
use tilewright_ir::kernel::{
    Cond, Expr, GlobalRef, Instr, IntOp, Kernel, Stmt, Tile, TileRef, VectorOp,
};
use tilewright_ir::op::{Binary, Reduce, Unary};

/// What kind of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A row further or nearer, in global memory or of those that are valid.
    Row,
    /// Another sign of a constant, or the opposite function.
    Sign,
    /// Another slot of a tile, or another tile of the same form.
    Slot,
    Dropped,
    /// Another constant, a trip less, an accumulation more or less.
    Constant,
    /// A column further or nearer, a stride that is gone, another element of an array.
    Index,
    /// Another rounding mode.
    Rounding,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Class::Row => "wrong row",
            Class::Sign => "wrong sign or function",
            Class::Slot => "wrong slot or tile",
            Class::Dropped => "dropped instruction",
            Class::Constant => "changed constant",
            Class::Index => "changed index",
            Class::Rounding => "changed rounding",
        })
    }
}

/// A kernel with one change.
pub struct Change {
    pub class: Class,
    pub what: String,
    pub kernel: Kernel,
}

/// A statement in place of another one; `None` for none.
type Variant = (Class, String, Option<Stmt>);

/// All changes of a kernel, in its order.
pub fn changes(kernel: &Kernel) -> Vec<Change> {
    let any = |s: &Stmt| matches!(s, Stmt::Instr(_) | Stmt::If { .. } | Stmt::Loop { .. });
    let mut out = vec![];
    for n in 0..count(&kernel.body, &any) {
        let mut all = vec![];
        let mut body = kernel.body.clone();
        edit(&mut body, &mut 0, n, &any, &mut |list, i| {
            all = variants(kernel, &list[i]);
        });
        for (class, what, stmt) in all {
            let mut changed = kernel.clone();
            let mut stmt = stmt;
            edit(
                &mut changed.body,
                &mut 0,
                n,
                &any,
                &mut |list, i| match stmt.take() {
                    Some(stmt) => list[i] = stmt,
                    None => drop(list.remove(i)),
                },
            );
            out.push(Change {
                class,
                what: format!("statement {n}: {what}"),
                kernel: changed,
            });
        }
    }
    out
}

fn variants(kernel: &Kernel, stmt: &Stmt) -> Vec<Variant> {
    match stmt {
        Stmt::Instr(instr) => {
            let name = instr.kind().row().name;
            let mut out = vec![(Class::Dropped, format!("without {name}"), None)];
            let more = of_instr(kernel, instr).into_iter();
            out.extend(
                more.map(|(class, what, i)| {
                    (class, format!("{name}: {what}"), Some(Stmt::Instr(i)))
                }),
            );
            out
        }
        Stmt::Loop {
            id,
            trips,
            depth,
            body,
        } if *trips > 1 => vec![(
            Class::Constant,
            format!("{} with a trip less", kernel.loops[*id]),
            Some(Stmt::Loop {
                id: *id,
                trips: trips - 1,
                depth: *depth,
                body: body.clone(),
            }),
        )],
        Stmt::If {
            cond: Cond::Positive(e),
            then,
            otherwise,
        } => [-1, 1]
            .map(|by| {
                let changed = Stmt::If {
                    cond: Cond::Positive(plus(e, by)),
                    then: then.clone(),
                    otherwise: otherwise.clone(),
                };
                (Class::Constant, format!("condition {by:+}"), Some(changed))
            })
            .into(),
        _ => vec![],
    }
}

type Changed = (Class, String, Instr);

fn of_instr(kernel: &Kernel, instr: &Instr) -> Vec<Changed> {
    let mut out = vec![];
    rectangles(instr, &mut out);
    tiles(kernel, instr, &mut out);
    match instr {
        Instr::Vector { op, .. } => {
            for (class, what, other) in functions(op) {
                let mut changed = instr.clone();
                if let Instr::Vector { op, .. } = &mut changed {
                    *op = other;
                }
                out.push((class, what, changed));
            }
        }
        Instr::Matmul { .. } => {
            let mut changed = instr.clone();
            if let Instr::Matmul { accumulate, .. } = &mut changed {
                *accumulate = !*accumulate;
            }
            out.push((Class::Constant, "accumulation".into(), changed));
        }
        _ => integers(instr, &mut out),
    }
    out
}

/// Other functions in place of one, and other constants.
fn functions(op: &VectorOp) -> Vec<(Class, String, VectorOp)> {
    let mut out = vec![];
    let mut is = |class: Class, other: VectorOp| {
        out.push((class, format!("{op:?} is {other:?}"), other));
    };
    let more = |v: f32| match v == 0.0 {
        true => 1.0,
        false => v * 2.0,
    };
    match *op {
        VectorOp::Cvt(round) => {
            let others = Round::ALL.into_iter().filter(|r| *r != round);
            others.for_each(|r| is(Class::Rounding, VectorOp::Cvt(r)));
        }
        VectorOp::Unary(f) => {
            let other = match f {
                Unary::Abs | Unary::Relu => Unary::Neg,
                _ => Unary::Abs,
            };
            is(Class::Sign, VectorOp::Unary(other));
        }
        VectorOp::Scalar(f, v) => {
            if v != 0.0 {
                is(Class::Sign, VectorOp::Scalar(f, -v));
            }
            is(Class::Sign, VectorOp::Scalar(opposite(f), v));
            // Infinity and what is beside it stay what they are.
            if more(v).is_finite() {
                is(Class::Constant, VectorOp::Scalar(f, more(v)));
            }
        }
        VectorOp::Fill(v) => {
            if v != 0.0 {
                is(Class::Sign, VectorOp::Fill(-v));
            }
            let other = match more(v).is_finite() {
                true => more(v),
                false => 0.0,
            };
            is(Class::Constant, VectorOp::Fill(other));
        }
        VectorOp::Binary(f) => is(Class::Sign, VectorOp::Binary(opposite(f))),
        VectorOp::RowExpand(f) => is(Class::Sign, VectorOp::RowExpand(opposite(f))),
        VectorOp::ColExpand(f) => is(Class::Sign, VectorOp::ColExpand(opposite(f))),
        VectorOp::Halves(f) => is(Class::Sign, VectorOp::Halves(opposite(f))),
        VectorOp::RowReduce(f) => {
            let other = match f {
                Reduce::Max => Reduce::Min,
                _ => Reduce::Max,
            };
            is(Class::Sign, VectorOp::RowReduce(other));
        }
        _ => {}
    }
    out
}

fn opposite(f: Binary) -> Binary {
    match f {
        Binary::Add => Binary::Sub,
        Binary::Sub => Binary::Add,
        Binary::Mul => Binary::Div,
        Binary::Div => Binary::Mul,
        Binary::Max => Binary::Min,
        Binary::Min => Binary::Max,
    }
}

fn plus(e: &Expr, by: i64) -> Expr {
    e.clone().plus_constant(by)
}

fn rectangle(instr: &mut Instr) -> Option<&mut GlobalRef> {
    match instr {
        Instr::Load { src: g, .. }
        | Instr::Store { dst: g, .. }
        | Instr::ReadScalar { src: g, .. }
        | Instr::WriteScalar { dst: g, .. }
        | Instr::ReadArray { src: g, .. }
        | Instr::WriteArray { dst: g, .. } => Some(g),
        _ => None,
    }
}

fn rectangles(instr: &Instr, out: &mut Vec<Changed>) {
    let mut with = |class: Class, what: String, change: &dyn Fn(&mut GlobalRef)| {
        let mut changed = instr.clone();
        if let Some(g) = rectangle(&mut changed) {
            change(g);
            out.push((class, format!("{} {what}", g.tensor), changed));
        }
    };
    let Some(g) = rectangle(&mut instr.clone()).cloned() else {
        return;
    };
    for by in [-1, 1] {
        with(Class::Row, format!("row {by:+}"), &|g| {
            g.row = plus(&g.row, by);
        });
        with(Class::Index, format!("column {by:+}"), &|g| {
            g.col = plus(&g.col, by);
        });
    }
    for i in 0..g.row.terms.len() {
        with(Class::Row, format!("row without term {i}"), &|g| {
            g.row.terms.remove(i);
        });
    }
    for i in 0..g.col.terms.len() {
        with(Class::Index, format!("column without term {i}"), &|g| {
            g.col.terms.remove(i);
        });
    }
    if g.step > 1 {
        with(Class::Row, "rows that are neighbours".into(), &|g| {
            g.step = 1;
        });
    }
}

/// The operands of an instruction.
fn operands(instr: &mut Instr) -> Vec<&mut TileRef> {
    match instr {
        Instr::Load { dst, .. } => vec![dst],
        Instr::Store { src, .. } => vec![src],
        Instr::Move { dst, src, .. } => vec![dst, src],
        Instr::Matmul { dst, lhs, rhs, .. } => vec![dst, lhs, rhs],
        Instr::Vector { dst, srcs, .. } => {
            let mut all = vec![dst];
            all.extend(srcs);
            all
        }
        _ => vec![],
    }
}

fn tiles(kernel: &Kernel, instr: &Instr, out: &mut Vec<Changed>) {
    let all: Vec<TileRef> = operands(&mut instr.clone())
        .into_iter()
        .map(|t| t.clone())
        .collect();
    for (n, t) in all.iter().enumerate() {
        let tile = &kernel.tiles[t.tile];
        let mut with = |class: Class, what: String, change: &dyn Fn(&mut TileRef)| {
            let mut changed = instr.clone();
            change(operands(&mut changed).swap_remove(n));
            out.push((class, format!("{} {what}", tile.name), changed));
        };
        if t.slot.is_some() && tile.slots > 1 {
            with(Class::Slot, "always in slot 0".into(), &|t| t.slot = None);
        }
        let form = |o: &Tile| {
            (
                o.space,
                o.dtype,
                o.layout,
                o.rows,
                o.cols,
                o.valid_rows,
                o.valid_cols,
            )
        };
        let next = (1..kernel.tiles.len()).map(|by| (t.tile + by) % kernel.tiles.len());
        if let Some(other) = next
            .into_iter()
            .find(|o| form(&kernel.tiles[*o]) == form(tile))
        {
            let name = &kernel.tiles[other].name;
            with(Class::Slot, format!("is {name}"), &|t| t.tile = other);
        }
        if let Some(rows) = &t.rows {
            for by in [-1, 1] {
                with(Class::Row, format!("with {by:+} rows"), &|t| {
                    t.rows = Some(plus(rows, by));
                });
            }
        }
    }
}

fn integers(instr: &Instr, out: &mut Vec<Changed>) {
    let mut is = |class: Class, what: &str, changed: Instr| out.push((class, what.into(), changed));
    match instr.clone() {
        Instr::WriteScalar { dst, value } => {
            let value = plus(&value, 1);
            is(
                Class::Constant,
                "value +1",
                Instr::WriteScalar { dst, value },
            );
        }
        Instr::SetReg { dst, value } => {
            let value = plus(&value, 1);
            is(Class::Constant, "value +1", Instr::SetReg { dst, value });
        }
        Instr::Compute { dst, op, lhs, rhs } => {
            let other = match op {
                IntOp::Mul => IntOp::Div,
                IntOp::Div => IntOp::Rem,
                IntOp::Rem => IntOp::Div,
                IntOp::Min => IntOp::Max,
                IntOp::Max => IntOp::Min,
            };
            let more = plus(&rhs, 1);
            let (l, r) = (lhs.clone(), rhs);
            is(
                Class::Sign,
                "another function",
                Instr::Compute {
                    dst,
                    op: other,
                    lhs,
                    rhs: r,
                },
            );
            is(
                Class::Constant,
                "operand +1",
                Instr::Compute {
                    dst,
                    op,
                    lhs: l,
                    rhs: more,
                },
            );
        }
        Instr::ArrayGet { dst, array, index } => {
            let index = plus(&index, 1);
            is(
                Class::Index,
                "index +1",
                Instr::ArrayGet { dst, array, index },
            );
        }
        Instr::ArraySet {
            array,
            index,
            value,
        } => {
            let (next, more) = (plus(&index, 1), plus(&value, 1));
            let v = value;
            is(
                Class::Index,
                "index +1",
                Instr::ArraySet {
                    array,
                    index: next,
                    value: v,
                },
            );
            is(
                Class::Constant,
                "value +1",
                Instr::ArraySet {
                    array,
                    index,
                    value: more,
                },
            );
        }
        _ => {}
    }
}
