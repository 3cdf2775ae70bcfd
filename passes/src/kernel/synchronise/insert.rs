//! Writes the chosen flags into the program.

use super::events::{Ids, width_of};
use super::region::{Kind, Point, Rank, Region};
use tilewright_ir::kernel::{Event, Stmt};

/// The whole body: primed tokens, the program with its flags, drained tokens.
pub(super) fn body(root: &Region, ids: &Ids) -> Vec<Stmt> {
    let event = |base: usize| Event { base, rotate: None };
    let mut out: Vec<Stmt> = ids
        .primed
        .iter()
        .map(|&((src, dst), id)| Stmt::Set {
            src,
            dst,
            event: event(id),
        })
        .collect();
    let mut writer = Writer { ids, next: 0 };
    out.extend(writer.region(root));
    out.extend(ids.primed.iter().map(|&((src, dst), id)| Stmt::Wait {
        src,
        dst,
        event: event(id),
    }));
    out
}

struct Writer<'a> {
    ids: &'a Ids,
    /// The next region, in the order in which ids were given.
    next: usize,
}

impl Writer<'_> {
    fn region(&mut self, region: &Region) -> Vec<Stmt> {
        let bases = self.ids.bases[self.next].as_slice();
        self.next += 1;
        let mut out = vec![];
        for gap in 0..=region.items.len() {
            flags(region, bases, gap, &mut out);
            let Some(item) = region.items.get(gap) else {
                break;
            };
            match &item.kind {
                Kind::Instr(stmt) | Kind::Idle(stmt) => out.push((*stmt).clone()),
                Kind::Loop { region, depth, .. } => {
                    if let Some((id, trips)) = region.own {
                        out.push(Stmt::Loop {
                            id,
                            trips,
                            depth: *depth,
                            body: self.region(region),
                        });
                    }
                }
                Kind::If {
                    stmt,
                    then,
                    otherwise,
                } => {
                    if let Stmt::If { cond, .. } = stmt {
                        out.push(Stmt::If {
                            cond: cond.clone(),
                            then: self.region(then),
                            otherwise: self.region(otherwise),
                        });
                    }
                }
            }
        }
        out
    }
}

/// What stands before item `gap`.
fn flags(region: &Region, bases: &[usize], gap: usize, out: &mut Vec<Stmt>) {
    for rank in [
        Rank::Answer,
        Rank::Set,
        Rank::Wait,
        Rank::Barrier,
        Rank::Passed,
    ] {
        if rank == Rank::Barrier {
            let here = region.barriers.iter().filter(|b| b.0 == gap);
            out.extend(here.map(|b| Stmt::Barrier(b.1)));
        }
        let here = Point { gap, rank };
        for (i, flag) in region.flags.iter().enumerate() {
            let width = width_of(region, i);
            let rotate = region.rotate.map(|r| (r.0, width)).filter(|_| width > 1);
            let (src, dst) = (flag.src, flag.dst);
            let event = Event {
                base: bases[i],
                rotate,
            };
            if flag.set == here {
                out.push(Stmt::Set { src, dst, event });
            }
            if flag.wait == here {
                out.push(Stmt::Wait { src, dst, event });
            }
        }
    }
}
