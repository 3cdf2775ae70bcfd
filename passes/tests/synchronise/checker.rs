//! What happens before what, for one run of a kernel: every loop unrolled, one vector clock a pipe.
//!
//! Independent of the pass: it knows addresses, pipes and flags, nothing of regions or distances.

use std::collections::BTreeMap;
use tilewright_ir::kernel::{
    Cond, Event, GlobalRef, Instr, Kernel, Pipe, Space, Stmt, TileRef, Var,
};

const PIPES: usize = Pipe::ALL.len();

/// How many entries of each pipe's queue are known to be over.
type Clock = [usize; PIPES];

/// Checks a run in which `positive` answers each run-time condition.
pub fn check(kernel: &Kernel, positive: &mut dyn FnMut() -> bool) -> Result<(), String> {
    let mut run = Run {
        kernel,
        positive,
        counters: vec![0; kernel.loops.len()],
        issued: [0; PIPES],
        known: [[0; PIPES]; PIPES],
        flags: BTreeMap::new(),
        done: vec![],
    };
    run.body(&kernel.body)?;
    match run.flags.iter().find(|f| f.1.pending.is_some()) {
        Some((flag, _)) => Err(format!("{flag:?} is set and never waited for")),
        None => Ok(()),
    }
}

#[derive(Default)]
struct Flag {
    pending: Option<Clock>,
    /// Queue entry of the last wait.
    waited: Option<usize>,
}

#[derive(Debug, Clone, PartialEq)]
enum Place {
    Bytes(Space, usize, usize),
    Cells(String, (i64, i64), (i64, i64)),
}

struct Done {
    pipe: Pipe,
    entry: usize,
    accesses: Vec<(bool, Place)>,
    what: String,
}

struct Run<'a> {
    kernel: &'a Kernel,
    positive: &'a mut dyn FnMut() -> bool,
    counters: Vec<usize>,
    issued: Clock,
    known: [Clock; PIPES],
    flags: BTreeMap<(Pipe, Pipe, usize), Flag>,
    done: Vec<Done>,
}

impl Run<'_> {
    fn body(&mut self, body: &[Stmt]) -> Result<(), String> {
        for stmt in body {
            match stmt {
                Stmt::Loop {
                    id, trips, body, ..
                } => {
                    for n in 0..*trips {
                        self.counters[*id] = n;
                        self.body(body)?;
                    }
                }
                Stmt::If {
                    cond,
                    then,
                    otherwise,
                } => {
                    let yes = match cond {
                        Cond::First(id) => self.counters[*id] == 0,
                        Cond::Positive(_) | Cond::Zero(_) => (self.positive)(),
                    };
                    self.body(if yes { then } else { otherwise })?;
                }
                Stmt::Instr(instr) => self.instr(instr)?,
                Stmt::Set { src, dst, event } => {
                    let id = self.id(event)?;
                    let p = *src as usize;
                    let mut clock = self.known[p];
                    clock[p] = self.issued[p];
                    self.issued[p] += 1;
                    let flag = self.flags.entry((*src, *dst, id)).or_default();
                    if flag.pending.is_some() {
                        return Err(format!("{src:?}->{dst:?} {id} is set twice"));
                    }
                    if flag.waited.is_some_and(|w| clock[*dst as usize] <= w) {
                        return Err(format!(
                            "{src:?}->{dst:?} {id} may be set before its wait has passed"
                        ));
                    }
                    flag.pending = Some(clock);
                }
                Stmt::Wait { src, dst, event } => {
                    let id = self.id(event)?;
                    let q = *dst as usize;
                    let flag = self.flags.entry((*src, *dst, id)).or_default();
                    let Some(clock) = flag.pending.take() else {
                        return Err(format!("{src:?}->{dst:?} {id} is never set"));
                    };
                    flag.waited = Some(self.issued[q]);
                    self.issued[q] += 1;
                    for (mine, theirs) in self.known[q].iter_mut().zip(clock) {
                        *mine = (*mine).max(theirs);
                    }
                }
                Stmt::Barrier(p) => self.known[*p as usize][*p as usize] = self.issued[*p as usize],
                Stmt::Part { .. } | Stmt::SetCross { .. } | Stmt::WaitCross { .. } => {
                    return Err("a mixed kernel is not looked at here".into());
                }
            }
        }
        Ok(())
    }

    fn id(&self, event: &Event) -> Result<usize, String> {
        let id = event.base
            + event
                .rotate
                .map_or(0, |(l, width)| self.counters[l] % width);
        if id < crate::A3.geometry.event_ids.count() {
            Ok(id)
        } else {
            Err(format!("there is no event id {id}"))
        }
    }

    fn tile(&self, at: &TileRef) -> Place {
        let tile = &self.kernel.tiles[at.tile];
        let slot = at.slot.map_or(0, |l| self.counters[l] % tile.slots);
        Place::Bytes(
            tile.space,
            tile.addrs[slot],
            tile.addrs[slot] + tile.bytes(),
        )
    }

    fn global(&self, at: &GlobalRef) -> Place {
        let eval = |v: Var| match v {
            Var::Loop(id) => self.counters[id] as i64,
            _ => 0,
        };
        let (row, col) = (at.row.eval(eval), at.col.eval(eval));
        // Every rank has a window of its own; this one is rank 0.
        let rank = at.peer.as_ref().map_or(0, |p| p.eval(eval));
        Place::Cells(
            format!("{} on {rank}", at.tensor),
            (row, row + at.rows as i64),
            (col, col + at.cols as i64),
        )
    }

    fn instr(&mut self, instr: &Instr) -> Result<(), String> {
        let pipe = self.kernel.pipe(instr);
        let p = pipe as usize;
        let (reads, writes) = instr.tiles();
        let mut accesses: Vec<_> = reads.iter().map(|t| (false, self.tile(t))).collect();
        accesses.extend(writes.iter().map(|t| (true, self.tile(t))));
        match instr {
            Instr::Load { src, .. }
            | Instr::ReadScalar { src, .. }
            | Instr::ReadArray { src, .. } => {
                accesses.push((false, self.global(src)));
            }
            Instr::Store { dst, .. }
            | Instr::WriteScalar { dst, .. }
            | Instr::WriteArray { dst, .. } => {
                accesses.push((true, self.global(dst)));
            }
            // Whatever moved data before has to be over.
            Instr::Notify { .. } => {
                let open = self.done.iter().find(|d| {
                    let moves = |a: &(bool, Place)| matches!(a.1, Place::Cells(..));
                    d.pipe != Pipe::S
                        && d.accesses.iter().any(moves)
                        && self.known[p][d.pipe as usize] <= d.entry
                });
                if let Some(d) = open {
                    return Err(format!("a notification before the end of `{}`", d.what));
                }
            }
            _ => {}
        }
        if pipe == Pipe::S {
            self.known[p][p] = self.issued[p];
        }
        let what = format!("{pipe:?} {accesses:?} at {:?}", self.counters);
        for done in &self.done {
            let conflict = done
                .accesses
                .iter()
                .any(|(w, a)| accesses.iter().any(|(v, b)| (*w || *v) && meet(a, b)));
            if conflict && self.known[p][done.pipe as usize] <= done.entry {
                return Err(format!(
                    "`{what}` may start before the end of `{}`",
                    done.what
                ));
            }
        }
        self.done.push(Done {
            pipe,
            entry: self.issued[p],
            accesses,
            what,
        });
        self.issued[p] += 1;
        Ok(())
    }
}

fn meet(a: &Place, b: &Place) -> bool {
    match (a, b) {
        (Place::Bytes(s, from, to), Place::Bytes(t, start, end)) => {
            s == t && from < end && start < to
        }
        (Place::Cells(s, rows, cols), Place::Cells(t, lines, columns)) => {
            s == t
                && rows.0 < lines.1
                && lines.0 < rows.1
                && cols.0 < columns.1
                && columns.0 < cols.1
        }
        _ => false,
    }
}
