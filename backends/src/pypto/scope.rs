//! Where variables have to be made.
//!
//! A tile of a kernel exists from its start on and is written in place. In the language a value exists from the assignment
//! that makes it on, and one that is first assigned in a loop or a branch does not exist after it. So a variable whose first
//! assignment is inside, and that is used outside or carried from one trip to the next, is made before: a tile by
//! `pl.create_tile`, a register as zero.
//!
//! Statements between pipes have no form and are left out here; instructions on rows that are counted at run time, which
//! do nothing where there are none, get the condition that says so.

use indexmap::{IndexMap, IndexSet};
use tilewright_ir::kernel::{
    Cond, Expr, Instr, Kernel, LoopId, RegId, Stmt, TileId, TileRef, Var, VectorOp,
};

/// What is assigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Variable {
    Tile(TileId),
    Register(RegId),
}

/// The statements that have a form, with conditions around what needs one.
pub(super) fn statements(body: &[Stmt], positive: &mut Vec<Expr>) -> Vec<Stmt> {
    let mut out = vec![];
    for stmt in body {
        match stmt {
            Stmt::Set { .. } | Stmt::Wait { .. } | Stmt::Barrier(_) => {}
            Stmt::Loop {
                id,
                trips,
                depth,
                body,
            } => out.push(Stmt::Loop {
                id: *id,
                trips: *trips,
                depth: *depth,
                body: statements(body, positive),
            }),
            Stmt::If {
                cond,
                then,
                otherwise,
            } => {
                let known = positive.len();
                if let Cond::Positive(e) = cond {
                    positive.push(e.clone());
                }
                let then = statements(then, positive);
                positive.truncate(known);
                out.push(Stmt::If {
                    cond: cond.clone(),
                    then,
                    otherwise: statements(otherwise, positive),
                });
            }
            Stmt::Instr(instr) => {
                let (reads, writes) = instr.tiles();
                let counted = reads.into_iter().chain(writes);
                let counted = counted.filter_map(|r| r.rows.as_ref()).next();
                match counted {
                    Some(e) if !positive.contains(e) => out.push(Stmt::If {
                        cond: Cond::Positive(e.clone()),
                        then: vec![stmt.clone()],
                        otherwise: vec![],
                    }),
                    _ => out.push(stmt.clone()),
                }
            }
        }
    }
    out
}

/// Variables to be made before statements, by the statements' index paths (`2.0.then.1`).
pub(super) fn declarations(kernel: &Kernel, body: &[Stmt]) -> IndexMap<String, Vec<Variable>> {
    let mut out = IndexMap::new();
    let total = counts(kernel, body);
    walk(kernel, body, "", &IndexSet::new(), &total, &mut out);
    out
}

/// What an instruction reads and writes.
fn uses(kernel: &Kernel, instr: &Instr) -> (Vec<Variable>, Vec<Variable>) {
    let (tiles_read, tiles_written) = instr.tiles();
    let scratch = match instr {
        Instr::Vector { tmp, .. } => tmp.as_ref(),
        _ => None,
    };
    let tile = |r: &TileRef| Variable::Tile(r.tile);
    let mut reads: Vec<Variable> = tiles_read.into_iter().map(tile).collect();
    let writes = tiles_written
        .into_iter()
        .filter(|r| !scratch.is_some_and(|s| std::ptr::eq(*r, s)));
    let mut writes: Vec<Variable> = writes.map(tile).collect();
    if let Instr::Vector {
        op: VectorOp::Copy,
        dst,
        srcs,
        ..
    } = instr
        && let Some(src) = srcs.first()
        && is_part(kernel, dst, src)
    {
        reads.push(Variable::Tile(dst.tile));
    }
    instr.exprs(&mut |e| reads.extend(registers(e)));
    writes.extend(instr.register().map(Variable::Register));
    (reads, writes)
}

/// Whether a copy leaves some of the tile as it was.
pub(super) fn is_part(kernel: &Kernel, dst: &TileRef, src: &TileRef) -> bool {
    let (Some(to), Some(from)) = (kernel.tiles.get(dst.tile), kernel.tiles.get(src.tile)) else {
        return false;
    };
    (to.valid_rows, to.valid_cols) != (from.valid_rows, from.valid_cols)
}

fn registers(e: &Expr) -> impl Iterator<Item = Variable> + '_ {
    e.terms.iter().filter_map(|(v, _)| match v {
        Var::Reg(r) => Some(Variable::Register(*r)),
        _ => None,
    })
}

/// How often each variable is mentioned.
fn counts(kernel: &Kernel, body: &[Stmt]) -> IndexMap<Variable, usize> {
    fn add(kernel: &Kernel, body: &[Stmt], out: &mut IndexMap<Variable, usize>) {
        for stmt in body {
            match stmt {
                Stmt::Loop { body, .. } => add(kernel, body, out),
                Stmt::If {
                    cond,
                    then,
                    otherwise,
                } => {
                    for v in cond.expr().into_iter().flat_map(registers) {
                        *out.entry(v).or_default() += 1;
                    }
                    add(kernel, then, out);
                    add(kernel, otherwise, out);
                }
                Stmt::Instr(instr) => {
                    let (reads, writes) = uses(kernel, instr);
                    for v in reads.into_iter().chain(writes) {
                        *out.entry(v).or_default() += 1;
                    }
                }
                Stmt::Set { .. } | Stmt::Wait { .. } | Stmt::Barrier(_) => {}
            }
        }
    }
    let mut out = IndexMap::new();
    add(kernel, body, &mut out);
    out
}

/// Variables that some statements may read before they write them. `written` grows by what they write on every way. Of the
/// loops in `first`, the statements are part of the first trip.
fn exposed(
    kernel: &Kernel,
    body: &[Stmt],
    written: &mut IndexSet<Variable>,
    first: &mut Vec<LoopId>,
) -> IndexSet<Variable> {
    let mut out = IndexSet::new();
    for stmt in body {
        match stmt {
            Stmt::Loop { id, body, .. } => {
                first.push(*id);
                out.extend(exposed(kernel, body, written, first));
                first.pop();
                out.extend(exposed(kernel, body, &mut written.clone(), first));
            }
            Stmt::If {
                cond: Cond::First(id),
                then,
                ..
            } if first.contains(id) => out.extend(exposed(kernel, then, written, first)),
            Stmt::If {
                cond,
                then,
                otherwise,
            } => {
                let read = cond.expr().into_iter().flat_map(registers);
                out.extend(read.filter(|v| !written.contains(v)));
                let (mut left, mut right) = (written.clone(), written.clone());
                out.extend(exposed(kernel, then, &mut left, first));
                out.extend(exposed(kernel, otherwise, &mut right, first));
                written.extend(left.intersection(&right).copied());
            }
            Stmt::Instr(instr) => {
                let (reads, writes) = uses(kernel, instr);
                out.extend(reads.into_iter().filter(|v| !written.contains(v)));
                written.extend(writes);
            }
            Stmt::Set { .. } | Stmt::Wait { .. } | Stmt::Barrier(_) => {}
        }
    }
    out
}

fn walk(
    kernel: &Kernel,
    body: &[Stmt],
    prefix: &str,
    outer: &IndexSet<Variable>,
    total: &IndexMap<Variable, usize>,
    out: &mut IndexMap<String, Vec<Variable>>,
) {
    let mut made = outer.clone();
    for (i, stmt) in body.iter().enumerate() {
        let path = format!("{prefix}{i}");
        let alone = std::slice::from_ref(stmt);
        // What a trip leaves for the next one, and what is read though nothing wrote it.
        let early = match stmt {
            Stmt::Loop { body, .. } => exposed(kernel, body, &mut made.clone(), &mut vec![]),
            Stmt::Instr(_) => exposed(kernel, alone, &mut made.clone(), &mut vec![]),
            _ => IndexSet::new(),
        };
        let is_compound = !matches!(stmt, Stmt::Instr(_));
        for (v, n) in counts(kernel, alone) {
            let leaves = is_compound && total.get(&v).copied().unwrap_or(0) > n;
            if !made.contains(&v) && (early.contains(&v) || leaves) {
                out.entry(path.clone()).or_default().push(v);
                made.insert(v);
            }
        }
        match stmt {
            Stmt::Loop { body, .. } => {
                walk(kernel, body, &format!("{path}."), &made, total, out);
            }
            Stmt::If {
                then, otherwise, ..
            } => {
                walk(kernel, then, &format!("{path}.then."), &made, total, out);
                walk(
                    kernel,
                    otherwise,
                    &format!("{path}.else."),
                    &made,
                    total,
                    out,
                );
            }
            Stmt::Instr(instr) => made.extend(uses(kernel, instr).1),
            Stmt::Set { .. } | Stmt::Wait { .. } | Stmt::Barrier(_) => {}
        }
    }
}
