//! What instructions touch, and at which iteration distance two of them conflict.

use super::SynchroniseError;
use tilewright_ir::kernel::{
    Access, Expr, GlobalRef, Instr, Kernel, LoopId, Pipe, Space, TileId, TileRef, Var,
};

/// An instruction with what it reads and writes.
pub(super) struct Work<'a> {
    pub pipe: Pipe,
    tiles: Vec<TileAccess>,
    global: Option<(bool, &'a GlobalRef)>,
    /// A notification: all that was read and written in global memory before it is over.
    fence: bool,
    /// Loops of which it runs in the first trip only.
    firsts: Vec<LoopId>,
}

/// The slots of a tile that an operand may name.
struct TileAccess {
    write: bool,
    tile: TileId,
    space: Space,
    bytes: usize,
    addrs: Vec<usize>,
    /// The loop that picks the slot; `None` is slot 0.
    slot: Option<LoopId>,
}

/// The loops around a region, outermost first, with their trips; the last one may be the region's own.
pub(super) struct Around<'a> {
    pub outer: &'a [LoopId],
    pub own: Option<(LoopId, usize)>,
    /// Trips of every loop of the kernel, by id.
    pub trips: &'a [usize],
    /// Blocks on each grid axis.
    pub grid: &'a [usize],
    /// Whether the whole region runs more than once.
    pub repeated: bool,
    /// Distances above this are treated as this one: no flag reaches further.
    pub far: usize,
}

/// Two instructions that must not overlap: the second, `distance` iterations later, starts after the first has finished.
#[derive(Debug, Clone, Copy)]
pub(super) struct Conflict {
    pub distance: usize,
    /// The number of slots, if only equal slots of one tile that the region's loop rotates collide.
    pub slotwise: Option<usize>,
}

impl<'a> Work<'a> {
    pub fn new(
        kernel: &'a Kernel,
        instr: &'a Instr,
        (enclosing, firsts): (&[LoopId], &[LoopId]),
        linked: &[String],
    ) -> Result<Self, SynchroniseError> {
        let (reads, writes) = instr.tiles();
        let mut tiles = vec![];
        for (write, list) in [(false, reads), (true, writes)] {
            for at in list {
                tiles.push(TileAccess::new(kernel, at, write, enclosing)?);
            }
        }
        let global = instr
            .global()
            .map(|(access, rect)| (access == Access::Write, rect))
            // Cross-core flags order it, within a core too.
            .filter(|(_, rect)| !linked.contains(&rect.tensor));
        Ok(Work {
            pipe: kernel.pipe(instr),
            tiles,
            global,
            fence: matches!(instr, Instr::Notify { .. }),
            firsts: firsts.to_vec(),
        })
    }

    /// The conflict of `self` with `other` in the same iteration of the region.
    pub fn same_iteration(&self, other: &Work, around: &Around) -> bool {
        self.meets(other, around, 0).is_some()
    }

    /// The nearest conflict of `self` with `other` in a later iteration of the region's own loop.
    pub fn later_iteration(&self, other: &Work, around: &Around) -> Option<Conflict> {
        let (own, trips) = around.own?;
        // What the first trip alone does is in no later one.
        if trips < 2 || other.firsts.contains(&own) || !self.may_meet(other) {
            return None;
        }
        let period = self
            .tiles
            .iter()
            .chain(&other.tiles)
            .fold(around.far, |most, a| most.max(a.addrs.len()));
        // Beyond the loop's last trip it is a later one of a loop around it.
        let once = around.outer.iter().any(|l| other.firsts.contains(l));
        let bound = match around.repeated && !once {
            true => usize::MAX,
            false => trips,
        };
        for distance in (1..=period).take_while(|&d| d < bound) {
            if let Some(slotwise) = self.meets(other, around, distance) {
                // Beyond the loop's last trip only slots that the loop around it meets again count.
                if distance < trips || slotwise.is_some() {
                    return Some(Conflict {
                        distance: distance.min(around.far),
                        slotwise,
                    });
                }
            }
        }
        let far = self.global_meets(other, around, period + 1, trips.saturating_sub(1));
        far.then_some(Conflict {
            distance: around.far,
            slotwise: None,
        })
    }

    /// A quick look before the exact one.
    fn may_meet(&self, other: &Work) -> bool {
        let globals = matches!((self.global, other.global), (Some((a, x)), Some((b, y))) if (a || b) && x.tensor == y.tensor);
        globals
            || self.released_by(other)
            || self.tiles.iter().any(|a| {
                other
                    .tiles
                    .iter()
                    .any(|b| (a.write || b.write) && a.space == b.space)
            })
    }

    /// `Some` on a conflict; the inner value is that of [`Conflict::slotwise`].
    fn meets(&self, other: &Work, around: &Around, distance: usize) -> Option<Option<usize>> {
        let mut found = None;
        for a in &self.tiles {
            for b in &other.tiles {
                if (a.write || b.write) && a.meets(b, around, distance) {
                    let slotwise = a.slotwise(b, around);
                    found = match found {
                        None => Some(slotwise),
                        Some(before) if before == slotwise => found,
                        Some(_) => Some(None),
                    };
                }
            }
        }
        if self.released_by(other) || self.global_meets(other, around, distance, distance) {
            return Some(None);
        }
        found
    }

    /// What follows a notification, or a wait for one, is handed out after it: only what precedes it needs a flag.
    fn released_by(&self, other: &Work) -> bool {
        other.fence && self.global.is_some()
    }

    fn global_meets(&self, other: &Work, around: &Around, from: usize, to: usize) -> bool {
        let (Some((w, a)), Some((v, b))) = (self.global, other.global) else {
            return false;
        };
        if !(w || v) || a.tensor != b.tensor || from > to {
            return false;
        }
        if a.view != b.view {
            // Rows of one are not rows of the other.
            return true;
        }
        let distances = (from as i64, to as i64);
        let apart = |x: &Expr, y: &Expr, size_x: usize, size_y: usize| match difference(
            x, y, around, distances,
        ) {
            // `y - x` must lie in `(-size_y, size_x)`.
            Some((low, high)) => low >= size_x as i64 || high <= -(size_y as i64),
            None => false,
        };
        let own = Expr::var(Var::Rank, 1);
        let rank = |g: &GlobalRef| g.peer.clone().unwrap_or_else(|| own.clone());
        !apart(&a.row, &b.row, a.rows, b.rows)
            && !apart(&a.col, &b.col, a.cols, b.cols)
            && !apart(&rank(a), &rank(b), 1, 1)
    }
}

impl TileAccess {
    fn new(
        kernel: &Kernel,
        at: &TileRef,
        write: bool,
        enclosing: &[LoopId],
    ) -> Result<Self, SynchroniseError> {
        let unallocated = |name: &str| SynchroniseError::Unallocated {
            kernel: kernel.name.clone(),
            tile: name.to_string(),
        };
        let tile = kernel
            .tiles
            .get(at.tile)
            .ok_or_else(|| unallocated(&format!("#{}", at.tile)))?;
        if tile.addrs.is_empty() || tile.addrs.len() < tile.slots {
            return Err(unallocated(&tile.name));
        }
        let slot = at.slot.filter(|_| tile.slots > 1);
        if let Some(id) = slot
            && !enclosing.contains(&id)
        {
            return Err(SynchroniseError::SlotLoop {
                kernel: kernel.name.clone(),
                tile: tile.name.clone(),
                id,
            });
        }
        Ok(TileAccess {
            write,
            tile: at.tile,
            space: tile.space,
            bytes: tile.bytes(),
            addrs: match slot {
                Some(_) => tile.addrs[..tile.slots].to_vec(),
                None => tile.addrs[..1].to_vec(),
            },
            slot,
        })
    }

    fn overlap(&self, slot: usize, other: &TileAccess, other_slot: usize) -> bool {
        let a = self.addrs[slot % self.addrs.len()];
        let b = other.addrs[other_slot % other.addrs.len()];
        a < b + other.bytes && b < a + self.bytes
    }

    fn meets(&self, other: &TileAccess, around: &Around, distance: usize) -> bool {
        if self.space != other.space {
            return false;
        }
        let (n, m) = (self.addrs.len(), other.addrs.len());
        // Slots repeat after the product of both counts.
        match (self.slot, other.slot) {
            (Some(a), Some(b)) if a == b && around.own.is_some_and(|own| own.0 == a) => {
                (0..n * m).any(|i| self.overlap(i, other, i + distance))
            }
            (Some(a), Some(b)) if a == b && around.outer.contains(&a) => {
                (0..n * m).any(|i| self.overlap(i, other, i))
            }
            _ => (0..n).any(|i| (0..m).any(|j| self.overlap(i, other, j))),
        }
    }

    fn slotwise(&self, other: &TileAccess, around: &Around) -> Option<usize> {
        let own = around.own?.0;
        let same = self.tile == other.tile && self.slot == Some(own) && other.slot == Some(own);
        same.then_some(self.addrs.len())
    }
}

/// The least and greatest value of `y - x`, where `y` belongs to an iteration of the region's loop that is one of
/// `distances` later; `None` if unbounded.
fn difference(x: &Expr, y: &Expr, around: &Around, distances: (i64, i64)) -> Option<(i64, i64)> {
    let coefficient = |e: &Expr, v: Var| e.terms.iter().find(|t| t.0 == v).map_or(0, |t| t.1);
    let mut range = (y.base.checked_sub(x.base)?, y.base.checked_sub(x.base)?);
    let mut add = |low: i64, high: i64, factor: i64| -> Option<()> {
        let (p, q) = (low.checked_mul(factor)?, high.checked_mul(factor)?);
        range = (
            range.0.checked_add(p.min(q))?,
            range.1.checked_add(p.max(q))?,
        );
        Some(())
    };
    let mut variables: Vec<Var> = x.terms.iter().chain(&y.terms).map(|t| t.0).collect();
    variables.sort();
    variables.dedup();
    for v in variables {
        let (cx, cy) = (coefficient(x, v), coefficient(y, v));
        let common = cy.checked_sub(cx)?;
        match v {
            Var::Grid(axis) => add(
                0,
                around.grid.get(axis).map_or(0, |&c| c.max(1) as i64 - 1),
                common,
            )?,
            // The same for a whole kernel.
            Var::Scalar(_) | Var::Rank | Var::Epoch | Var::Sub if common == 0 => {}
            // A register may have been filled anew.
            Var::Scalar(_) | Var::Rank | Var::Epoch | Var::Sub | Var::Reg(_) => return None,
            Var::Turn(..) => return None,
            Var::Loop(id) => {
                let last = around.trips.get(id).map_or(0, |&t| t.max(1) as i64 - 1);
                if around.own.is_some_and(|own| own.0 == id) {
                    add(0, last, common)?;
                    add(distances.0, distances.1, cy)?;
                } else if around.outer.contains(&id) {
                    add(0, last, common)?;
                } else {
                    add(0, last, cy)?;
                    add(0, last, cx.checked_neg()?)?;
                }
            }
        }
    }
    Some(range)
}
