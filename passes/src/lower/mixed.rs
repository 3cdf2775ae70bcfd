//! Mixed kernels: products and a vector kernel become the two parts of one launch. The vector kernel reads the products, or it
//! stores what a product reads.
//!
//! The blocks are those of the products. The vector kernel has twice as many, two for each block of the products, which the
//! block's two vector cores do. One part loads of what the other one stores only what its own block has stored, trip by trip,
//! so no block waits for another one. Where a product is split over its inner axis, each part of that axis is a block, and the
//! blocks over columns of a vector kernel that feeds it are these parts.
//!
//! Between the parts a product lies in a ring of [`RING`] tiles a block, if its blocks store more tiles than that; else in the
//! tensor itself. Flags are not made here ([`crate::kernel::cross`]).

use super::vector::tile_refs;
use super::{COLS, LowerError, PARTS, Rings};
use crate::hash::HashSet;
use crate::kernel::cross::handovers;
use indexmap::IndexMap;
use tilewright_ir::kernel::{
    Cond, Expr, GlobalRef, GlobalTensor, GridAxis, Instr, Kernel, LoopId, Role, Stmt, Unit, Var,
};
use tilewright_ir::machine::Geometry;

/// Tiles of a ring: one that is stored, one that is loaded, and one for each side to be late with.
const RING: usize = 4;

/// The mixed kernel, under the vector kernel's name, and the rings that it needs.
pub(super) fn mix(
    products: Vec<Kernel>,
    mut vector: Kernel,
    tensors: &IndexMap<String, GlobalTensor>,
    geometry: &Geometry,
) -> Result<(Kernel, Rings), LowerError> {
    let name = vector.name.clone();
    let wrong = |product: &str, what| LowerError::Mix {
        kernel: name.clone(),
        product: product.to_owned(),
        what,
    };
    let mut cubes = products.into_iter();
    let Some(mut cube) = cubes.next() else {
        return Ok((vector, Rings::new()));
    };
    let names: Vec<String> = (std::iter::once(cube.name.clone()))
        .chain(cubes.as_slice().iter().map(|k| k.name.clone()))
        .collect();
    let mut made = cube.accesses().1;
    let operands: Vec<String> = {
        let (reads, stored) = (cube.accesses().0, vector.accesses().1);
        reads.into_iter().filter(|r| stored.contains(r)).collect()
    };
    let feeds = !operands.is_empty();
    if feeds && !cubes.as_slice().is_empty() {
        return Err(wrong(
            &names[0],
            "it is one of several, and has an operand of its own",
        ));
    }
    for other in cubes {
        if other.launch != cube.launch {
            return Err(wrong(
                &other.name,
                "it has other blocks than the product before it",
            ));
        }
        made.extend(other.accesses().1);
        join(&mut cube, other);
    }
    let grid = parts(&cube, &vector, feeds, geometry.sub_blocks.count()).ok_or_else(|| {
        wrong(
            &names[0],
            "the vector kernel's blocks are not equal parts of each of the product's blocks, one a vector core",
        )
    })?;
    if cube.launch.kind != vector.launch.kind {
        return Err(wrong(&names[0], "they are launched in different ways"));
    }
    exprs_mut(&mut vector.body, &mut |e| *e = on_grid(e, &grid));
    let mut kernel = two_parts(cube, vector, if feeds { &operands } else { &made }, feeds);
    let rings = match feeds {
        true => Rings::new(),
        false => rings(&mut kernel, tensors, geometry).map_err(|what| wrong(&names[0], what))?,
    };
    let linked = handovers(&kernel, geometry).map_err(|_| {
        wrong(
            &names[0],
            match feeds {
                true => "its blocks need more of its operand than the same blocks of the vector kernel make",
                false => {
                    "a trip of the vector kernel needs more of the product than the same trip of it makes"
                }
            },
        )
    })?;
    match linked.len() == if feeds { operands.len() } else { made.len() } {
        true => Ok((kernel, rings)),
        false => Err(wrong(&names[0], "the vector kernel does not read it")),
    }
}

/// One kernel of two parts: what is handed from one to the other is stored first and loaded last.
fn two_parts(mut cube: Kernel, mut vector: Kernel, handed: &[String], feeds: bool) -> Kernel {
    let mut body = std::mem::take(&mut cube.body);
    let theirs = append(&mut cube, &mut vector);
    match feeds {
        true => {
            made_last(&mut body, handed);
            made_first(&mut vector.body, handed);
        }
        false => made_last(&mut vector.body, handed),
    }
    cube.body = vec![
        Stmt::Part {
            unit: Unit::Cube,
            body,
        },
        Stmt::Part {
            unit: Unit::Vector,
            body: vector.body,
        },
    ];
    let mut kernel = Kernel {
        name: vector.name,
        unit: Unit::Mixed,
        covers: union(&cube.covers, &vector.covers),
        pipeline: cube.pipeline.max(vector.pipeline),
        arrays: theirs,
        ..cube
    };
    for (name, value) in vector.params {
        let differs = kernel.params.get(&name).is_some_and(|v| *v != value);
        let name = match differs {
            true => format!("{name}_VECTOR"),
            false => name,
        };
        kernel.params.entry(name).or_insert(value);
    }
    kernel
}

fn union(a: &[String], b: &[String]) -> Vec<String> {
    let mut out = a.to_vec();
    out.extend(b.iter().filter(|x| !a.contains(x)).cloned());
    out
}

/// Of each grid axis of the vector kernel, what it is in a block of the product and a vector core.
fn parts(cube: &Kernel, vector: &Kernel, feeds: bool, sub_blocks: usize) -> Option<Vec<Expr>> {
    let (ours, theirs) = (&cube.launch.grid, &vector.launch.grid);
    // Columns of an operand are parts of the inner axis.
    let same = |ours: &GridAxis, theirs: &GridAxis| match feeds {
        true if theirs.name == COLS => ours.name == PARTS,
        _ => ours.name == theirs.name,
    };
    if ours.iter().any(|a| !theirs.iter().any(|b| same(a, b))) {
        return None;
    }
    let mut cut = 0;
    let mut out = vec![];
    for axis in theirs {
        let at = ours.iter().position(|a| same(a, axis));
        let count = at.map_or(1, |i| ours[i].count);
        let coordinate = |n| at.map_or_else(Expr::default, |i| Expr::var(Var::Grid(i), n));
        if axis.count == count {
            out.push(coordinate(1));
        } else if axis.count == sub_blocks * count {
            cut += 1;
            out.push(coordinate(sub_blocks as i64).plus(Var::Sub, 1));
        } else {
            return None;
        }
    }
    (cut == 1).then_some(out)
}

fn on_grid(e: &Expr, grid: &[Expr]) -> Expr {
    let mut out = Expr::constant(e.base);
    for (v, c) in &e.terms {
        match *v {
            Var::Grid(i) => {
                for (v, k) in &grid[i].terms {
                    out = out.plus(*v, k * c);
                }
            }
            v => out = out.plus(v, *c),
        }
    }
    out
}

/// Puts another product behind each tile of a product: their loops over tiles are one.
fn join(kernel: &mut Kernel, mut other: Kernel) {
    let body = std::mem::take(&mut kernel.body);
    append(kernel, &mut other);
    kernel.body = merged(body, std::mem::take(&mut other.body));
    kernel.pipeline = kernel.pipeline.max(other.pipeline);
    kernel.covers = union(&kernel.covers, &other.covers);
    for (name, value) in other.params {
        kernel.params.entry(name).or_insert(value);
    }
}

/// Two bodies, one after the other in each trip of loops that both have around all they do.
fn merged(mut a: Vec<Stmt>, mut b: Vec<Stmt>) -> Vec<Stmt> {
    let holds = |s: &Stmt| matches!(s, Stmt::Loop { .. }) && stores(s);
    let at = |list: &[Stmt]| list.iter().position(holds);
    if let (Some(i), Some(j)) = (at(&a), at(&b))
        && let (
            Stmt::Loop { id, trips, .. },
            Stmt::Loop {
                id: other,
                trips: same,
                depth: ahead,
                ..
            },
        ) = (&a[i], &b[j])
        && trips == same
    {
        let (id, other, ahead) = (*id, *other, *ahead);
        let mut inner = match b.remove(j) {
            Stmt::Loop { body, .. } => body,
            _ => vec![],
        };
        exprs_mut(&mut inner, &mut |e| {
            *e = rename(e, &|v| match v {
                Var::Loop(l) if l == other => Var::Loop(id),
                v => v,
            });
        });
        same_loop(&mut inner, other, id);
        // What the second reads before its loop is read before the loop of both.
        let before: Vec<Stmt> = b.drain(..j).collect();
        if let Stmt::Loop { depth, body, .. } = &mut a[i] {
            *depth = ahead.max(*depth);
            *body = merged(std::mem::take(body), inner);
        }
        a.splice(i..i, before);
    }
    a.extend(b);
    a
}

/// Slots and conditions of one loop become those of another one.
fn same_loop(body: &mut [Stmt], from: LoopId, to: LoopId) {
    let of = |id: &mut LoopId| *id = if *id == from { to } else { *id };
    for stmt in body {
        match stmt {
            Stmt::Loop { body, .. } | Stmt::Part { body, .. } => same_loop(body, from, to),
            Stmt::If {
                cond,
                then,
                otherwise,
            } => {
                if let Cond::First(id) = cond {
                    of(id);
                }
                same_loop(then, from, to);
                same_loop(otherwise, from, to);
            }
            Stmt::Instr(instr) => {
                let slots = tile_refs(instr).into_iter().filter_map(|r| r.slot.as_mut());
                slots.for_each(of);
            }
            _ => {}
        }
    }
}

fn stores(stmt: &Stmt) -> bool {
    match stmt {
        Stmt::Loop { body, .. } | Stmt::Part { body, .. } => body.iter().any(stores),
        Stmt::If {
            then, otherwise, ..
        } => then.iter().chain(otherwise).any(stores),
        Stmt::Instr(i) => matches!(i, Instr::Store { .. }),
        _ => false,
    }
}

/// Adds what another kernel's statements name to a kernel, and renumbers them. Its arrays are handed out.
fn append(kernel: &mut Kernel, other: &mut Kernel) -> Vec<tilewright_ir::kernel::ScalarArray> {
    let (loops, tiles, registers) = (kernel.loops.len(), kernel.tiles.len(), kernel.registers);
    let arrays = kernel.arrays.len();
    let unique = |name: &str, taken: &dyn Fn(&str) -> bool| {
        let mut unique = name.to_owned();
        let mut i = 2;
        while taken(&unique) {
            unique = format!("{name}_{i}");
            i += 1;
        }
        unique
    };
    for name in std::mem::take(&mut other.loops) {
        let name = unique(&name, &|n| kernel.loops.iter().any(|l| l == n));
        kernel.loops.push(name);
    }
    for mut tile in std::mem::take(&mut other.tiles) {
        tile.name = unique(&tile.name, &|n| kernel.tiles.iter().any(|t| t.name == n));
        kernel.tiles.push(tile);
    }
    kernel.registers += other.registers;
    let mut all = std::mem::take(&mut kernel.arrays);
    all.append(&mut other.arrays);
    exprs_mut(&mut other.body, &mut |e| {
        *e = rename(e, &|v| match v {
            Var::Loop(l) => Var::Loop(l + loops),
            Var::Reg(r) => Var::Reg(r + registers),
            Var::Turn(l, of) => Var::Turn(l + loops, of),
            v => v,
        });
    });
    renumber(&mut other.body, loops, tiles, registers, arrays);
    kernel.arrays = all.clone();
    all
}

fn rename(e: &Expr, f: &dyn Fn(Var) -> Var) -> Expr {
    let terms = e.terms.iter();
    terms.fold(Expr::constant(e.base), |out, (v, c)| out.plus(f(*v), *c))
}

fn renumber(body: &mut [Stmt], loops: usize, tiles: usize, registers: usize, arrays: usize) {
    for stmt in body {
        match stmt {
            Stmt::Loop { id, body, .. } => {
                *id += loops;
                renumber(body, loops, tiles, registers, arrays);
            }
            Stmt::If {
                cond,
                then,
                otherwise,
            } => {
                if let Cond::First(id) = cond {
                    *id += loops;
                }
                renumber(then, loops, tiles, registers, arrays);
                renumber(otherwise, loops, tiles, registers, arrays);
            }
            Stmt::Instr(instr) => {
                for r in tile_refs(instr) {
                    r.tile += tiles;
                    if let Some(slot) = &mut r.slot {
                        *slot += loops;
                    }
                }
                match instr {
                    Instr::ReadScalar { dst, .. }
                    | Instr::SetReg { dst, .. }
                    | Instr::Compute { dst, .. } => *dst += registers,
                    Instr::ArrayGet { dst, array, .. } => {
                        *dst += registers;
                        *array += arrays;
                    }
                    Instr::ArraySet { array, .. } => *array += arrays,
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

/// Calls `f` on every expression of some statements.
fn exprs_mut(body: &mut [Stmt], f: &mut dyn FnMut(&mut Expr)) {
    for stmt in body {
        match stmt {
            Stmt::Loop { body, .. } | Stmt::Part { body, .. } => exprs_mut(body, f),
            Stmt::If {
                cond,
                then,
                otherwise,
            } => {
                if let Cond::Positive(e) | Cond::Zero(e) = cond {
                    f(e);
                }
                exprs_mut(then, f);
                exprs_mut(otherwise, f);
            }
            Stmt::Instr(instr) => {
                for r in tile_refs(instr) {
                    r.rows.iter_mut().for_each(&mut *f);
                }
                if let Some(rect) = rect_mut(instr) {
                    f(&mut rect.row);
                    f(&mut rect.col);
                    rect.peer.iter_mut().for_each(&mut *f);
                }
                match instr {
                    Instr::WriteScalar { value, .. }
                    | Instr::SetReg { value, .. }
                    | Instr::Notify { value, .. }
                    | Instr::WaitCounter {
                        at_least: value, ..
                    } => f(value),
                    Instr::Compute { lhs, rhs, .. } => {
                        f(lhs);
                        f(rhs);
                    }
                    Instr::ArrayGet { index, .. } => f(index),
                    Instr::ArraySet { index, value, .. } => {
                        f(index);
                        f(value);
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

fn rect_mut(instr: &mut Instr) -> Option<&mut GlobalRef> {
    match instr {
        Instr::Load { src, .. } | Instr::ReadScalar { src, .. } => Some(src),
        Instr::WaitCounter { counter, .. } | Instr::Notify { counter, .. } => Some(counter),
        Instr::Store { dst, .. } | Instr::WriteScalar { dst, .. } => Some(dst),
        _ => None,
    }
}

/// Of loads that follow each other, those of what the other part makes last: the others need not wait for it.
fn made_last(body: &mut [Stmt], made: &[String]) {
    let is_load = |s: &Stmt| matches!(s, Stmt::Instr(Instr::Load { .. }));
    let waits =
        |s: &Stmt| matches!(s, Stmt::Instr(Instr::Load { src, .. }) if made.contains(&src.tensor));
    let mut i = 0;
    while i < body.len() {
        let run = body[i..].iter().take_while(|s| is_load(s)).count();
        body[i..i + run].sort_by_key(|s| waits(s));
        i += run.max(1);
    }
    for stmt in body {
        match stmt {
            Stmt::Loop { body, .. } => made_last(body, made),
            Stmt::If {
                then, otherwise, ..
            } => {
                made_last(then, made);
                made_last(otherwise, made);
            }
            _ => {}
        }
    }
}

/// Of the stores of a body, those of what the other part waits for first.
fn made_first(body: &mut Vec<Stmt>, made: &[String]) {
    let store = |s: &Stmt| match s {
        Stmt::Instr(Instr::Store { dst, .. }) => Some(made.contains(&dst.tensor)),
        _ => None,
    };
    if let Some(last) = body.iter().rposition(|s| store(s) == Some(true)) {
        let (mut first, mut others) = (vec![], vec![]);
        for s in body.drain(..=last) {
            match store(&s) {
                Some(false) => others.push(s),
                _ => first.push(s),
            }
        }
        body.splice(0..0, first.into_iter().chain(others));
    }
    for s in body {
        if let Stmt::Loop { body, .. } = s {
            made_first(body, made);
        }
    }
}

/// Moves what goes from part to part into rings, where a block has more tiles than a ring.
fn rings(
    kernel: &mut Kernel,
    tensors: &IndexMap<String, GlobalTensor>,
    geometry: &Geometry,
) -> Result<Rings, &'static str> {
    let mut out = Rings::new();
    let found = handovers(kernel, geometry).map_err(
        |_| "a trip of the vector kernel needs more of the product than the same trip of it makes",
    )?;
    let blocks = kernel.launch.grid.clone();
    let mut used: HashSet<String> = tensors.keys().cloned().collect();
    for link in found {
        let Some(innermost) = link.store.loops.iter().rposition(|l| l.1 > 1) else {
            continue;
        };
        let Some(tensor) = tensors.get(&link.tensor) else {
            continue;
        };
        if link.trips <= RING {
            continue;
        }
        // A ring that the innermost loop goes round evenly is never met again too early.
        let trips = link.store.loops[innermost].1;
        let slots = (2..=RING)
            .rev()
            .find(|n| trips.is_multiple_of(*n))
            .unwrap_or(2);
        let mut ring = link.tensor.clone() + "_ring";
        while used.contains(&ring) {
            ring.push('_');
        }
        used.insert(ring.clone());
        let Some(stored) = rect_of(kernel, &link.tensor) else {
            continue;
        };
        let base = |id: LoopId| {
            let mut row = Expr::var(Var::Turn(id, slots), stored.rows as i64);
            let mut stride = (slots * stored.rows) as i64;
            for (i, axis) in blocks.iter().enumerate().rev() {
                row = row.plus(Var::Grid(i), stride);
                stride *= axis.count as i64;
            }
            row
        };
        let names: Vec<(LoopId, LoopId)> = std::iter::zip(&link.store.loops, &link.loads.loops)
            .map(|(s, l)| (s.0, l.0))
            .collect();
        let theirs = |v: Var| match v {
            Var::Loop(l) => Var::Loop(names.iter().find(|n| n.0 == l).map_or(l, |n| n.1)),
            v => v,
        };
        let (row, col) = (rename(&stored.row, &theirs), rename(&stored.col, &theirs));
        let [
            Stmt::Part { body: cube, .. },
            Stmt::Part { body: vector, .. },
        ] = kernel.body.as_mut_slice()
        else {
            continue;
        };
        let store_row = base(link.store.loops[innermost].0);
        let load_row = base(link.loads.loops[innermost].0);
        rects_mut(cube, &link.tensor, &mut |rect| {
            rect.tensor = ring.clone();
            rect.row = store_row.clone();
            rect.col = Expr::default();
        });
        rects_mut(vector, &link.tensor, &mut |rect| {
            rect.tensor = ring.clone();
            let within = rect.row.clone().minus(&row);
            rect.row = add(within, &load_row);
            rect.col = rect.col.clone().minus(&col);
        });
        let count: usize = blocks.iter().map(|a| a.count).product();
        out.insert(
            ring,
            GlobalTensor {
                dtype: tensor.dtype,
                shape: vec![count * slots * stored.rows, stored.cols],
                role: Role::Workspace,
                ragged: None,
                expected: vec![],
            },
        );
    }
    Ok(out)
}

fn add(a: Expr, b: &Expr) -> Expr {
    let mut out = a.plus_constant(b.base);
    for (v, c) in &b.terms {
        out = out.plus(*v, *c);
    }
    out
}

/// What the cube part stores of a tensor.
fn rect_of(kernel: &Kernel, tensor: &str) -> Option<GlobalRef> {
    let mut out = None;
    kernel.visit(&mut |i| {
        if let Instr::Store { dst, .. } = i
            && dst.tensor == tensor
        {
            out = Some(dst.clone());
        }
    });
    out
}

fn rects_mut(body: &mut [Stmt], tensor: &str, f: &mut dyn FnMut(&mut GlobalRef)) {
    for stmt in body {
        match stmt {
            Stmt::Loop { body, .. } | Stmt::Part { body, .. } => rects_mut(body, tensor, f),
            Stmt::If {
                then, otherwise, ..
            } => {
                rects_mut(then, tensor, f);
                rects_mut(otherwise, tensor, f);
            }
            Stmt::Instr(instr) => {
                if let Some(rect) = rect_mut(instr)
                    && rect.tensor == tensor
                {
                    f(rect);
                }
            }
            _ => {}
        }
    }
}
