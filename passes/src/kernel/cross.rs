//! Cross-core flags: what orders one part of a mixed kernel after the other.
//!
//! A tensor that one part stores and the other one loads is a [`Handover`]; all handovers of a kernel go the same way. The store is in
//! some loops; the part that loads must go through loops with the same trips around its loads, so that what the n-th trip
//! stores is what the n-th trip loads. What vector cores store counts as stored when both of them have. Two flags follow:
//! `ready` is set after each store and waited for before the loads; `free` is set after the loads and waited for before a
//! store that comes `window` trips later. The window is the number of trips after which a store meets bytes of an earlier
//! one, a ring's slots, and at most what a flag can count to. Free flags are primed by the part that loads and drained by
//! the one that stores, so that every wait of a loop has its set.
//!
//! Flags stand at the level of the loops, around conditionals: both parts meet them in every trip, whatever a condition
//! says of their rows.

use crate::hash::HashMap;
use thiserror::Error;
use tilewright_ir::kernel::{
    Access, Expr, GlobalRef, Instr, Kernel, LoopId, Pipe, Stmt, Unit, Var,
};
use tilewright_ir::machine::Geometry;

/// Why the parts of a mixed kernel cannot be ordered.
#[derive(Debug, Clone, PartialEq, Eq, Error, miette::Diagnostic)]
pub enum CrossError {
    #[error("kernel `{kernel}`: `{tensor}` goes from one part to the other, but {what}")]
    #[diagnostic(
        code(tilewright::synchronise::cross),
        help(
            "store one tile a trip, and load it in loops with the same trips; or make two kernels"
        )
    )]
    Handover {
        kernel: String,
        tensor: String,
        what: &'static str,
    },
    #[error(
        "kernel `{kernel}`: `{tensor}` is written by both parts, or written by one and used by both"
    )]
    #[diagnostic(
        code(tilewright::synchronise::cross_shared),
        help("make two kernels: what one part hands to the other is not used by itself")
    )]
    Shared { kernel: String, tensor: String },
    #[error(
        "kernel `{kernel}` hands `{tensor}` from one part to the other, and another tensor back"
    )]
    #[diagnostic(
        code(tilewright::synchronise::cross_back),
        help("make two kernels: only one part hands data to the other")
    )]
    Back { kernel: String, tensor: String },
    #[error(
        "kernel `{kernel}` hands {count} tensors from one part to the other, of at most {limit}"
    )]
    #[diagnostic(
        code(tilewright::synchronise::cross_flags),
        help(
            "make two kernels: a mixed one hands over at most {limit} tensors, with two cross-core flags each"
        )
    )]
    Flags {
        kernel: String,
        count: usize,
        limit: usize,
    },
}

/// Statements of a part: loops around them, outermost first, and the first and last one of the innermost loop's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    pub loops: Vec<(LoopId, usize)>,
    pub first: usize,
    pub last: usize,
}

/// A tensor that goes from one part of a mixed kernel to the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handover {
    pub tensor: String,
    /// Whose part stores it, cube or vector.
    pub maker: Unit,
    pub store: Spot,
    pub loads: Spot,
    pub trips: usize,
    /// Trips that the part that stores may be ahead, where it has to be held back.
    pub window: Option<usize>,
}

/// The parts of a mixed kernel: cube, vector.
pub fn parts(kernel: &Kernel) -> Option<(&[Stmt], &[Stmt])> {
    match kernel.body.as_slice() {
        [
            Stmt::Part {
                unit: Unit::Cube,
                body: cube,
            },
            Stmt::Part {
                unit: Unit::Vector,
                body: vector,
            },
        ] => Some((cube, vector)),
        _ => None,
    }
}

/// What goes from part to part; nothing in a kernel of one core type.
///
/// # Errors
///
/// See [`CrossError`].
pub fn handovers(kernel: &Kernel, geometry: &Geometry) -> Result<Vec<Handover>, CrossError> {
    let Some((cube, vector)) = parts(kernel) else {
        return Ok(vec![]);
    };
    let (ours, theirs) = (rects(vector), rects(cube));
    let mut out: Vec<Handover> = vec![];
    let mut seen: Vec<&str> = vec![];
    for (_, rect) in &ours {
        let tensor = rect.tensor.as_str();
        if seen.contains(&tensor) {
            continue;
        }
        seen.push(tensor);
        let has = |of: &[(Access, &GlobalRef)], access: Access| {
            let mut all = of.iter();
            all.any(|(a, r)| *a == access && r.tensor == tensor)
        };
        let (read, write) = (Access::Read, Access::Write);
        let maker = match (has(&theirs, write), has(&ours, write)) {
            (false, false) => continue,
            (true, false) if !has(&theirs, read) => Unit::Cube,
            (false, true) if !has(&theirs, read) => continue,
            (false, true) if !has(&ours, read) => Unit::Vector,
            _ => {
                return Err(CrossError::Shared {
                    kernel: kernel.name.clone(),
                    tensor: tensor.to_owned(),
                });
            }
        };
        if out.iter().any(|l| l.maker != maker) {
            return Err(CrossError::Back {
                kernel: kernel.name.clone(),
                tensor: tensor.to_owned(),
            });
        }
        out.push(handover(kernel, tensor, maker, (cube, vector), geometry)?);
    }
    let limit = geometry.cross_flags.count() / 2;
    match out.len() > limit {
        true => Err(CrossError::Flags {
            kernel: kernel.name.clone(),
            count: out.len(),
            limit,
        }),
        false => Ok(out),
    }
}

/// The kernel with the cross-core flags of its handovers; those that it had are derived anew.
///
/// # Errors
///
/// See [`CrossError`].
pub fn flagged(
    kernel: &Kernel,
    geometry: &Geometry,
) -> Result<(Kernel, Vec<Handover>), CrossError> {
    let mut kernel = kernel.clone();
    strip(&mut kernel.body);
    let handovers = handovers(&kernel, geometry)?;
    if let [
        Stmt::Part { body: cube, .. },
        Stmt::Part { body: vector, .. },
    ] = kernel.body.as_mut_slice()
    {
        for (i, handover) in handovers.iter().enumerate() {
            let (ready, free) = (2 * i, 2 * i + 1);
            let back = handover.window.is_some();
            let wait = |flag| Stmt::WaitCross { flag };
            let set = |pipe, flag| Stmt::SetCross { pipe, flag };
            let (from, to) = (
                back.then(|| wait(free)),
                back.then(|| set(Pipe::Mte2, free)),
            );
            let (maker, user, stores): (&mut Vec<Stmt>, &mut Vec<Stmt>, Pipe) = match handover.maker
            {
                Unit::Cube => (cube, vector, Pipe::Fix),
                _ => (vector, cube, Pipe::Mte3),
            };
            around(
                maker,
                &handover.store,
                handover,
                from,
                Some(set(stores, ready)),
            );
            around(user, &handover.loads, handover, Some(wait(ready)), to);
            let window = handover.window.unwrap_or(0);
            user.splice(0..0, (0..window).map(|_| set(Pipe::Mte2, free)));
            maker.extend((0..window).map(|_| wait(free)));
        }
    }
    Ok((kernel, handovers))
}

/// Puts statements before and after those of a spot. Flags that other handovers have put there shift it, so it is looked for again.
fn around(
    part: &mut Vec<Stmt>,
    spot: &Spot,
    handover: &Handover,
    before: Option<Stmt>,
    after: Option<Stmt>,
) {
    let mut body = part;
    for (id, _) in &spot.loops {
        let inner = body.iter_mut().find_map(|s| match s {
            Stmt::Loop { id: i, body, .. } if i == id => Some(body),
            _ => None,
        });
        match inner {
            Some(inner) => body = inner,
            None => return,
        }
    }
    let touches: Vec<usize> = (0..body.len())
        .filter(|i| contains(&body[*i], &handover.tensor))
        .collect();
    if let (Some(first), Some(last)) = (touches.first(), touches.last()) {
        let (first, last) = (*first, *last);
        body.splice(last + 1..last + 1, after);
        body.splice(first..first, before);
    }
}

fn strip(body: &mut Vec<Stmt>) {
    body.retain(|s| !matches!(s, Stmt::SetCross { .. } | Stmt::WaitCross { .. }));
    for s in body {
        match s {
            Stmt::Loop { body, .. } | Stmt::Part { body, .. } => strip(body),
            Stmt::If {
                then, otherwise, ..
            } => {
                strip(then);
                strip(otherwise);
            }
            _ => {}
        }
    }
}

fn instrs<'a>(body: &'a [Stmt], f: &mut impl FnMut(&'a Instr)) {
    for s in body {
        match s {
            Stmt::Loop { body, .. } | Stmt::Part { body, .. } => instrs(body, f),
            Stmt::If {
                then, otherwise, ..
            } => {
                instrs(then, f);
                instrs(otherwise, f);
            }
            Stmt::Instr(i) => f(i),
            _ => {}
        }
    }
}

fn rects(body: &[Stmt]) -> Vec<(Access, &GlobalRef)> {
    let mut out = vec![];
    instrs(body, &mut |i| out.extend(i.global()));
    out
}

fn contains(stmt: &Stmt, tensor: &str) -> bool {
    rects(std::slice::from_ref(stmt))
        .iter()
        .any(|(_, r)| r.tensor == tensor)
}

/// Where a part touches a tensor: in the loops that hold all of it, as long as `enter` lets it into them.
fn spot(
    mut body: &[Stmt],
    tensor: &str,
    mut enter: impl FnMut(usize, usize) -> bool,
) -> Option<Spot> {
    let mut loops = vec![];
    loop {
        let touches: Vec<usize> = (0..body.len())
            .filter(|i| contains(&body[*i], tensor))
            .collect();
        let (first, last) = (*touches.first()?, *touches.last()?);
        match &body[first] {
            Stmt::Loop {
                id,
                trips,
                body: inner,
                ..
            } if first == last && enter(loops.len(), *trips) => {
                loops.push((*id, *trips));
                body = inner;
            }
            _ => return Some(Spot { loops, first, last }),
        }
    }
}

fn handover(
    kernel: &Kernel,
    tensor: &str,
    maker: Unit,
    (cube, vector): (&[Stmt], &[Stmt]),
    geometry: &Geometry,
) -> Result<Handover, CrossError> {
    let sub_blocks = geometry.sub_blocks.count();
    let wrong = |what| CrossError::Handover {
        kernel: kernel.name.clone(),
        tensor: tensor.to_owned(),
        what,
    };
    let of = |body| -> Vec<&GlobalRef> {
        let all = rects(body).into_iter().map(|(_, r)| r);
        all.filter(|r| r.tensor == tensor).collect()
    };
    let (from, to) = match maker {
        Unit::Cube => (cube, vector),
        _ => (vector, cube),
    };
    let (stores, loads) = (of(from), of(to));
    let [stored] = stores.as_slice() else {
        return Err(wrong("it is stored in more than one place"));
    };
    let whole = match maker {
        Unit::Cube => Some((*stored).clone()),
        _ => of_all(stored, sub_blocks),
    };
    let stored = &whole.ok_or_else(|| wrong("the vector cores do not store equal parts of it"))?;
    let store = spot(from, tensor, |_, _| true).ok_or_else(|| wrong("nothing stores it"))?;
    let same = |depth: usize, trips: usize| {
        let theirs = store.loops.get(depth);
        theirs.is_some_and(|(_, t)| *t == trips)
    };
    let at = spot(to, tensor, same).ok_or_else(|| wrong("nothing loads it"))?;
    if at.loops.len() != store.loops.len() {
        return Err(wrong("it is loaded in other loops than it is stored in"));
    }
    let names: HashMap<LoopId, LoopId> = std::iter::zip(&store.loops, &at.loops)
        .map(|(s, l)| (s.0, l.0))
        .collect();
    let trips = kernel.trips();
    for load in loads {
        if load.view.is_some() {
            return Err(wrong("it is loaded in other rows than it is stored in"));
        }
        for (s, l, size, part) in [
            (&stored.row, &load.row, stored.rows, load.rows),
            (&stored.col, &load.col, stored.cols, load.cols),
        ] {
            let within = renamed(s, &names)
                .and_then(|s| range(&l.clone().minus(&s), &trips, sub_blocks))
                .is_some_and(|(low, high)| low >= 0 && high + part as i64 <= size as i64);
            if !within {
                return Err(wrong("a trip loads more of it than the same trip stores"));
            }
        }
    }
    let count = store.loops.iter().map(|l| l.1).product();
    let reuse = reuse(stored, &store.loops)
        .map_err(|()| wrong("tiles of different trips overlap in part"))?;
    let window = reuse.unwrap_or(count).min(geometry.cross_limit.count());
    Ok(Handover {
        tensor: tensor.to_owned(),
        maker,
        store,
        loads: at,
        trips: count,
        window: (window < count).then_some(window),
    })
}

/// What all vector cores of a block store together, if they store equal parts of rows or of columns.
fn of_all(rect: &GlobalRef, sub_blocks: usize) -> Option<GlobalRef> {
    let by_core = |e: &Expr| e.terms.iter().find(|t| t.0 == Var::Sub).map_or(0, |t| t.1);
    let (down, across) = (by_core(&rect.row), by_core(&rect.col));
    let mut out = rect.clone();
    if (down, across) == (rect.rows as i64, 0) {
        out.row = out.row.plus(Var::Sub, -down);
        out.rows *= sub_blocks;
    } else if (down, across) == (0, rect.cols as i64) {
        out.col = out.col.plus(Var::Sub, -across);
        out.cols *= sub_blocks;
    } else {
        return None;
    }
    Some(out)
}

/// An index of the part that stores with the loops of the part that loads.
fn renamed(e: &Expr, names: &HashMap<LoopId, LoopId>) -> Option<Expr> {
    let mut out = Expr::constant(e.base);
    for (v, c) in &e.terms {
        let v = match *v {
            Var::Loop(l) => Var::Loop(*names.get(&l)?),
            Var::Turn(l, of) => Var::Turn(*names.get(&l)?, of),
            v => v,
        };
        out = out.plus(v, *c);
    }
    Some(out)
}

/// The least and greatest value of an index that only depends on loops and the vector core.
fn range(e: &Expr, trips: &[usize], sub_blocks: usize) -> Option<(i64, i64)> {
    let mut range = (e.base, e.base);
    for (v, c) in &e.terms {
        let most = match *v {
            Var::Loop(l) => *trips.get(l)? as i64 - 1,
            Var::Turn(l, of) => of.min(*trips.get(l)?) as i64 - 1,
            Var::Sub => sub_blocks as i64 - 1,
            _ => return None,
        };
        let end = c * most;
        range = (range.0 + end.min(0), range.1 + end.max(0));
    }
    Some(range)
}

/// After how many trips a rectangle comes again; `Err` where two of them overlap in part.
fn reuse(rect: &GlobalRef, loops: &[(LoopId, usize)]) -> Result<Option<usize>, ()> {
    let count: usize = loops.iter().map(|l| l.1).product();
    let mut last: HashMap<(i64, i64), usize> = HashMap::default();
    let mut nearest: Option<usize> = None;
    let mut first = None;
    for n in 0..count {
        let mut counters = HashMap::default();
        let mut rest = n;
        for (id, trips) in loops.iter().rev() {
            counters.insert(*id, rest % trips);
            rest /= trips;
        }
        let value = |e: &Expr| {
            e.eval(|v| match v {
                Var::Loop(l) => counters.get(&l).map_or(0, |c| *c as i64),
                Var::Turn(l, of) => counters.get(&l).map_or(0, |c| (*c % of.max(1)) as i64),
                // The same in every trip.
                _ => 0,
            })
        };
        let at = (value(&rect.row), value(&rect.col));
        let origin = *first.get_or_insert(at);
        let whole = (at.0 - origin.0) % rect.rows.max(1) as i64 == 0
            && (at.1 - origin.1) % rect.cols.max(1) as i64 == 0;
        if !whole {
            return Err(());
        }
        if let Some(before) = last.insert(at, n) {
            let distance = n - before;
            nearest = Some(nearest.map_or(distance, |d| d.min(distance)));
        }
    }
    Ok(nearest)
}
