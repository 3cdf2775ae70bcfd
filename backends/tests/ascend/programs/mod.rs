//! Kernel programs as the later passes leave them: allocated and synchronised, by hand.

use indexmap::IndexMap;
use tilewright_ir::graph::{Binary, LaunchKind, Reduce, Unary};
use tilewright_ir::kernel::{
    Cond, Event, Expr, GlobalRef, GlobalTensor, GridAxis, Instr, IntOp, Kernel, Launch, Layout,
    NotifyOp, Pipe, Program, Role, ScalarArray, Space, Stmt, Tile, TileId, TileRef, Unit, Var,
    VectorOp,
};
use tilewright_ir::{DType, Round};

/// All programs, by name.
pub fn all() -> Vec<Program> {
    vec![norm(), gate_mm(), quantize(), route(), mask(), exchange()]
}

fn program(
    name: &str,
    tensors: &[(&str, DType, &[usize], Role)],
    scalars: &[(&str, i64)],
    kernels: Vec<Kernel>,
) -> Program {
    let tensor = |(name, dtype, shape, role): &(&str, DType, &[usize], Role)| {
        let tensor = GlobalTensor {
            dtype: *dtype,
            shape: shape.to_vec(),
            role: *role,
            ragged: None,
        };
        (name.to_string(), tensor)
    };
    Program {
        name: name.into(),
        machine: "A3".into(),
        ranks: 1,
        tensors: tensors.iter().map(tensor).collect(),
        scalars: scalars.iter().map(|(n, v)| (n.to_string(), *v)).collect(),
        kernels,
    }
}

/// A kernel without tiles and statements.
fn kernel(
    name: &str,
    unit: Unit,
    grid: &[(&str, usize)],
    params: &[(&str, usize)],
    loops: &[&str],
) -> Kernel {
    Kernel {
        name: name.into(),
        covers: vec![name.into()],
        unit,
        launch: Launch {
            kind: LaunchKind::Spmd,
            grid: grid
                .iter()
                .map(|(name, count)| GridAxis {
                    name: name.to_string(),
                    count: *count,
                })
                .collect(),
        },
        params: params
            .iter()
            .map(|(n, v)| (n.to_string(), *v))
            .collect::<IndexMap<_, _>>(),
        pipeline: 1,
        loops: loops.iter().map(|l| l.to_string()).collect(),
        tiles: vec![],
        registers: 0,
        arrays: vec![],
        after: vec![],
        notes: vec![],
        body: vec![],
    }
}

/// Adds tiles one after the other.
struct Place<'k> {
    kernel: &'k mut Kernel,
    next: [usize; 5],
}

impl<'k> Place<'k> {
    fn new(kernel: &'k mut Kernel) -> Self {
        Place {
            kernel,
            next: [0; 5],
        }
    }

    fn tile(
        &mut self,
        name: &str,
        (space, layout): (Space, Layout),
        dtype: DType,
        (rows, cols): (usize, usize),
        (valid_rows, valid_cols): (usize, usize),
        slots: usize,
    ) -> TileId {
        let mut tile = Tile {
            name: name.into(),
            space,
            dtype,
            rows,
            cols,
            valid_rows,
            valid_cols,
            layout,
            slots,
            addrs: vec![],
        };
        let next = &mut self.next[space as usize];
        for _ in 0..slots {
            tile.addrs.push(*next);
            *next = (*next + tile.bytes()).next_multiple_of(512);
        }
        self.kernel.tiles.push(tile);
        self.kernel.tiles.len() - 1
    }

    fn ub(&mut self, name: &str, dtype: DType, rows: usize, cols: usize, slots: usize) -> TileId {
        let at = (Space::Ub, Layout::RowMajor);
        self.tile(name, at, dtype, (rows, cols), (rows, cols), slots)
    }

    /// One value a row.
    fn column(&mut self, name: &str, rows: usize) -> TileId {
        let at = (Space::Ub, Layout::ColMajor);
        let high = rows.next_multiple_of(8);
        self.tile(name, at, DType::F32, (high, 1), (rows, 1), 1)
    }
}

fn all_of(tile: TileId) -> TileRef {
    TileRef::new(tile)
}

fn slot(tile: TileId, of: usize) -> TileRef {
    TileRef {
        slot: Some(of),
        ..TileRef::new(tile)
    }
}

fn rect(tensor: &str, row: Expr, col: Expr, rows: usize, cols: usize) -> GlobalRef {
    GlobalRef {
        tensor: tensor.into(),
        row,
        col,
        rows,
        cols,
        peer: None,
        step: 1,
    }
}

fn zero() -> Expr {
    Expr::default()
}

fn grid(axis: usize, step: i64) -> Expr {
    Expr::var(Var::Grid(axis), step)
}

fn trip(of: usize, step: i64) -> Expr {
    Expr::var(Var::Loop(of), step)
}

fn load(dst: TileRef, src: GlobalRef) -> Stmt {
    Stmt::Instr(Instr::Load { dst, src })
}

fn store(dst: GlobalRef, src: TileRef) -> Stmt {
    Stmt::Instr(Instr::Store { dst, src })
}

fn vector(op: VectorOp, dst: TileRef, srcs: &[TileRef], tmp: Option<TileId>) -> Stmt {
    Stmt::Instr(Instr::Vector {
        op,
        dst,
        srcs: srcs.to_vec(),
        tmp: tmp.map(TileRef::new),
    })
}

/// A vector instruction after which its result can be read.
fn v(op: VectorOp, dst: TileId, srcs: &[TileId]) -> Vec<Stmt> {
    vt(op, dst, srcs, None)
}

fn vt(op: VectorOp, dst: TileId, srcs: &[TileId], tmp: Option<TileId>) -> Vec<Stmt> {
    let srcs: Vec<TileRef> = srcs.iter().map(|t| all_of(*t)).collect();
    vec![vector(op, all_of(dst), &srcs, tmp), Stmt::Barrier(Pipe::V)]
}

fn fixed(base: usize) -> Event {
    Event { base, rotate: None }
}

fn turn(base: usize, of: usize) -> Event {
    Event {
        base,
        rotate: Some((of, 2)),
    }
}

fn set(src: Pipe, dst: Pipe, event: Event) -> Stmt {
    Stmt::Set { src, dst, event }
}

fn wait(src: Pipe, dst: Pipe, event: Event) -> Stmt {
    Stmt::Wait { src, dst, event }
}

/// `dst` goes on when `src` has done what is before.
fn sync(src: Pipe, dst: Pipe, event: Event) -> Vec<Stmt> {
    vec![set(src, dst, event), wait(src, dst, event)]
}

use Pipe::{Fix, M, Mte1, Mte2, Mte3, V};

/// `y = x * rsqrt(mean(x^2) + 1e-6) * w` on rows of bf16: two sweeps over the columns, two loads in flight.
pub fn norm() -> Program {
    let (rows, cols, chunk) = (8, 1024, 256);
    let mut k = kernel(
        "ffn_norm",
        Unit::Vector,
        &[("t", 2)],
        &[("T_TILE", rows), ("D_CHUNK", chunk)],
        &["sum", "out"],
    );
    k.pipeline = 2;
    let mut p = Place::new(&mut k);
    let x = p.ub("x", DType::Bf16, rows, chunk, 2);
    let w = p.ub("w", DType::F32, 1, chunk, 2);
    let y = p.ub("y", DType::Bf16, rows, chunk, 2);
    let f = p.ub("x_f32", DType::F32, rows, chunk, 1);
    let square = p.ub("square", DType::F32, rows, chunk, 1);
    let tmp = p.ub("tmp", DType::F32, rows, chunk, 1);
    let part = p.column("part", rows);
    let total = p.column("total", rows);
    let root = p.column("root", rows);
    let one = p.column("one", rows);
    let scale = p.column("scale", rows);
    let blocks = p.ub("scale_blocks", DType::F32, rows, 8, 1);
    let at = |name: &str, row: Expr, of, rows| rect(name, row, trip(of, chunk as i64), rows, chunk);
    let row = || grid(0, rows as i64);
    let cvt = VectorOp::Cvt(Round::Rint);
    let free = |pipe, other| (0..2).map(move |i| set(pipe, other, fixed(i)));
    let drain = |pipe, other| (0..2).map(move |i| wait(pipe, other, fixed(i)));

    let mut first = vec![
        wait(V, Mte2, turn(0, 0)),
        load(slot(x, 0), at("x", row(), 0, rows)),
        set(Mte2, V, turn(0, 0)),
        wait(Mte2, V, turn(0, 0)),
        vector(cvt, all_of(f), &[slot(x, 0)], None),
        set(V, Mte2, turn(0, 0)),
        Stmt::Barrier(V),
    ];
    first.extend(v(VectorOp::Binary(Binary::Mul), square, &[f, f]));
    first.extend(vt(
        VectorOp::RowReduce(Reduce::Sum),
        part,
        &[square],
        Some(tmp),
    ));
    first.extend(v(VectorOp::Binary(Binary::Add), total, &[total, part]));

    let mut second = vec![
        wait(V, Mte2, turn(0, 1)),
        load(slot(x, 1), at("x", row(), 1, rows)),
        load(slot(w, 1), at("w", zero(), 1, 1)),
        set(Mte2, V, turn(0, 1)),
        wait(Mte2, V, turn(0, 1)),
        vector(cvt, all_of(f), &[slot(x, 1)], None),
        Stmt::Barrier(V),
    ];
    second.extend(vt(
        VectorOp::RowExpand(Binary::Mul),
        f,
        &[f, scale],
        Some(blocks),
    ));
    second.push(vector(
        VectorOp::ColExpand(Binary::Mul),
        all_of(f),
        &[all_of(f), slot(w, 1)],
        None,
    ));
    second.extend([
        set(V, Mte2, turn(0, 1)),
        Stmt::Barrier(V),
        wait(Mte3, V, turn(2, 1)),
        vector(cvt, slot(y, 1), &[all_of(f)], None),
        set(V, Mte3, turn(0, 1)),
        wait(V, Mte3, turn(0, 1)),
        store(at("y", row(), 1, rows), slot(y, 1)),
        set(Mte3, V, turn(2, 1)),
        Stmt::Barrier(V),
    ]);

    let mut body = v(VectorOp::Fill(0.0), total, &[]);
    body.extend(free(V, Mte2));
    body.push(Stmt::Loop {
        id: 0,
        trips: cols / chunk,
        depth: 2,
        body: first,
    });
    body.extend(v(
        VectorOp::Scalar(Binary::Mul, 1.0 / cols as f32),
        total,
        &[total],
    ));
    body.extend(v(VectorOp::Scalar(Binary::Add, 1e-6), total, &[total]));
    body.extend(v(VectorOp::Unary(Unary::Sqrt), root, &[total]));
    body.extend(v(VectorOp::Fill(1.0), one, &[]));
    body.extend(v(VectorOp::Binary(Binary::Div), scale, &[one, root]));
    body.extend((2..4).map(|i| set(Mte3, V, fixed(i))));
    body.push(Stmt::Loop {
        id: 1,
        trips: cols / chunk,
        depth: 2,
        body: second,
    });
    body.extend(drain(V, Mte2));
    body.extend((2..4).map(|i| wait(Mte3, V, fixed(i))));
    k.body = body;
    program(
        "norm",
        &[
            ("x", DType::Bf16, &[16, cols], Role::Input),
            ("w", DType::F32, &[cols], Role::Input),
            ("y", DType::Bf16, &[16, cols], Role::Output),
        ],
        &[],
        vec![k],
    )
}

/// `logits = x * w^T` in f32: a loop over the inner axis with two slots in L1 and L0.
pub fn gate_mm() -> Program {
    gate_mm_of(64)
}

/// With as many columns a block.
pub fn gate_mm_of(tile_cols: usize) -> Program {
    let (rows, inner, cols, chunk) = (8, 1024, 128, 128);
    let mut k = kernel(
        "gate_mm",
        Unit::Cube,
        &[("n", cols / tile_cols)],
        &[("M_TILE", 16), ("N_TILE", tile_cols), ("K_CHUNK", chunk)],
        &["k"],
    );
    k.pipeline = 2;
    let mut p = Place::new(&mut k);
    let f = DType::F32;
    let a1 = p.tile(
        "a_l1",
        (Space::L1, Layout::Nz),
        f,
        (16, chunk),
        (rows, chunk),
        2,
    );
    let b1 = p.tile(
        "b_l1",
        (Space::L1, Layout::Zn),
        f,
        (chunk, tile_cols),
        (chunk, tile_cols),
        2,
    );
    let a0 = p.tile(
        "a_l0",
        (Space::L0a, Layout::Zz),
        f,
        (16, chunk),
        (rows, chunk),
        2,
    );
    let b0 = p.tile(
        "b_l0",
        (Space::L0b, Layout::Right),
        f,
        (chunk, tile_cols),
        (chunk, tile_cols),
        2,
    );
    let acc = p.tile(
        "acc",
        (Space::L0c, Layout::Acc),
        f,
        (16, tile_cols),
        (rows, tile_cols),
        1,
    );
    let col = || trip(0, chunk as i64);
    let product = |accumulate| {
        Stmt::Instr(Instr::Matmul {
            dst: all_of(acc),
            lhs: slot(a0, 0),
            rhs: slot(b0, 0),
            accumulate,
        })
    };
    let moved = |dst, src| {
        Stmt::Instr(Instr::Move {
            dst: slot(dst, 0),
            src: slot(src, 0),
            from: (0, 0),
        })
    };
    let body = vec![
        wait(Mte1, Mte2, turn(0, 0)),
        load(slot(a1, 0), rect("x", zero(), col(), rows, chunk)),
        load(
            slot(b1, 0),
            rect("w", grid(0, tile_cols as i64), col(), tile_cols, chunk),
        ),
        set(Mte2, Mte1, turn(0, 0)),
        wait(Mte2, Mte1, turn(0, 0)),
        wait(M, Mte1, turn(2, 0)),
        moved(a0, a1),
        moved(b0, b1),
        set(Mte1, Mte2, turn(0, 0)),
        set(Mte1, M, turn(0, 0)),
        wait(Mte1, M, turn(0, 0)),
        Stmt::If {
            cond: Cond::First(0),
            then: vec![product(false)],
            otherwise: vec![product(true)],
        },
        set(M, Mte1, turn(2, 0)),
    ];
    let ends = |f: fn(Pipe, Pipe, Event) -> Stmt| {
        [
            f(Mte1, Mte2, fixed(0)),
            f(Mte1, Mte2, fixed(1)),
            f(M, Mte1, fixed(2)),
            f(M, Mte1, fixed(3)),
        ]
    };
    k.body.extend(ends(set));
    k.body.push(Stmt::Loop {
        id: 0,
        trips: inner / chunk,
        depth: 2,
        body,
    });
    k.body.extend(sync(M, Fix, fixed(0)));
    let out = rect("logits", zero(), grid(0, tile_cols as i64), rows, tile_cols);
    k.body.push(store(out, all_of(acc)));
    k.body.extend(ends(wait));
    program(
        "gate",
        &[
            ("x", f, &[rows, inner], Role::Input),
            ("w", f, &[cols, inner], Role::Input),
            ("logits", f, &[rows, cols], Role::Output),
        ],
        &[],
        vec![k],
    )
}

/// Symmetric int8 a row: `q = round(x * 127 / amax)` through i32 and f16, and the scale `amax / 127`.
pub fn quantize() -> Program {
    let (rows, cols) = (8, 256);
    let mut k = kernel(
        "quantize",
        Unit::Vector,
        &[("rows", 2)],
        &[("T_TILE", rows)],
        &[],
    );
    k.launch.kind = LaunchKind::Parallel;
    let mut p = Place::new(&mut k);
    let x = p.ub("x", DType::F32, rows, cols, 1);
    let abs = p.ub("abs", DType::F32, rows, cols, 1);
    let tmp = p.ub("tmp", DType::F32, rows, cols, 1);
    let int = p.ub("i32", DType::I32, rows, cols, 1);
    let half = p.ub("half", DType::F16, rows, cols, 1);
    let q = p.ub("q", DType::I8, rows, cols, 1);
    let amax = p.column("amax", rows);
    let top = p.column("top", rows);
    let inverse = p.column("inverse", rows);
    let scale = p.column("scale", rows);
    let blocks = p.ub("blocks", DType::F32, rows, 8, 1);
    let row = || grid(0, rows as i64);
    let mut body = vec![load(all_of(x), rect("x", row(), zero(), rows, cols))];
    body.extend(sync(Mte2, V, fixed(0)));
    body.extend(v(VectorOp::Unary(Unary::Abs), abs, &[x]));
    body.extend(vt(
        VectorOp::RowReduce(Reduce::Max),
        amax,
        &[abs],
        Some(tmp),
    ));
    body.extend(v(VectorOp::Scalar(Binary::Max, 1e-4), amax, &[amax]));
    body.extend(v(VectorOp::Fill(127.0), top, &[]));
    body.extend(v(VectorOp::Binary(Binary::Div), inverse, &[top, amax]));
    body.extend(v(VectorOp::Scalar(Binary::Div, 127.0), scale, &[amax]));
    body.extend(vt(
        VectorOp::RowExpand(Binary::Mul),
        x,
        &[x, inverse],
        Some(blocks),
    ));
    body.extend(v(VectorOp::Cvt(Round::Rint), int, &[x]));
    body.extend(v(VectorOp::Cvt(Round::Rint), half, &[int]));
    body.extend(v(VectorOp::Cvt(Round::Trunc), q, &[half]));
    body.extend(sync(V, Mte3, fixed(0)));
    body.push(store(rect("q", row(), zero(), rows, cols), all_of(q)));
    body.push(store(rect("scale", row(), zero(), rows, 1), all_of(scale)));
    k.body = body;
    program(
        "quantize",
        &[
            ("x", DType::F32, &[2 * rows, cols], Role::Input),
            ("q", DType::I8, &[2 * rows, cols], Role::Output),
            ("scale", DType::F32, &[2 * rows, 1], Role::Output),
        ],
        &[],
        vec![k],
    )
}

/// The six largest of each row, and their weights: one row a block, padded from 192 to 256 columns.
pub fn route() -> Program {
    let (rows, used, cols, top) = (4, 192, 256, 6);
    let mut k = kernel("route", Unit::Vector, &[("t", rows)], &[("TOPK", top)], &[]);
    let mut p = Place::new(&mut k);
    let f = DType::F32;
    let scores = p.ub("scores", f, 1, used, 1);
    let padded = p.ub("padded", f, 1, cols, 1);
    let index = p.ub("index", DType::U32, 1, cols, 1);
    let pairs = p.ub("pairs", f, 1, 2 * cols, 1);
    let runs = p.ub("runs", f, 1, 2 * cols, 1);
    let sorted = p.ub("sorted", f, 1, 2 * cols, 1);
    let tmp = p.ub("tmp", f, 1, 2 * cols, 1);
    let ub = (Space::Ub, Layout::RowMajor);
    let chosen = p.tile("chosen", ub, DType::I32, (1, 8), (1, top), 1);
    let weights = p.tile("weights", ub, f, (1, 8), (1, top), 1);
    let tmp8 = p.tile("tmp8", ub, f, (1, 8), (1, top), 1);
    let sum = p.column("sum", 1);
    let blocks = p.ub("blocks", f, 8, 8, 1);
    let row = || grid(0, 1);
    let mut body = vec![
        vector(VectorOp::Iota, all_of(index), &[], None),
        set(Pipe::S, V, fixed(1)),
        load(all_of(scores), rect("scores", row(), zero(), 1, used)),
        // Two rectangles of one tile.
        vector(VectorOp::Fill(f32::MIN), all_of(padded), &[], None),
        set(V, Mte2, fixed(0)),
        wait(V, Mte2, fixed(0)),
        load(all_of(padded), rect("scores", row(), zero(), 1, used)),
    ];
    body.extend(sync(Mte2, V, fixed(0)));
    body.push(wait(Pipe::S, V, fixed(1)));
    body.extend(v(VectorOp::Sort32, pairs, &[padded, index]));
    body.extend(v(VectorOp::MergeSort { run: 32 }, runs, &[pairs]));
    body.extend(vt(
        VectorOp::MergeSort { run: 128 },
        sorted,
        &[runs],
        Some(tmp),
    ));
    body.extend(v(VectorOp::PairIndices, chosen, &[sorted]));
    body.extend(v(VectorOp::Gather, weights, &[scores, chosen]));
    body.extend(vt(
        VectorOp::RowReduce(Reduce::Sum),
        sum,
        &[weights],
        Some(tmp8),
    ));
    body.extend(vt(
        VectorOp::RowExpand(Binary::Div),
        weights,
        &[weights, sum],
        Some(blocks),
    ));
    body.extend(v(VectorOp::Scalar(Binary::Mul, 2.5), weights, &[weights]));
    body.extend(sync(V, Mte3, fixed(0)));
    body.push(store(rect("chosen", row(), zero(), 1, top), all_of(chosen)));
    body.push(store(
        rect("weights", row(), zero(), 1, top),
        all_of(weights),
    ));
    k.body = body;
    program(
        "route",
        &[
            ("scores", f, &[rows, used], Role::Input),
            ("chosen", DType::I32, &[rows, top], Role::Output),
            ("weights", f, &[rows, top], Role::Output),
        ],
        &[],
        vec![k],
    )
}

/// Rows from `num_tokens` on become zero; and each of the first rows' entry of a table, by an index from memory. Two kernels: the
/// second looks at what the first has written.
pub fn mask() -> Program {
    let (rows, tile, cols) = (16, 8, 64);
    let mut k = kernel(
        "mask_rows",
        Unit::Vector,
        &[("t", 2)],
        &[("T_TILE", tile)],
        &[],
    );
    let mut p = Place::new(&mut k);
    let x = p.ub("x", DType::F32, tile, cols, 1);
    let out = p.ub("out", DType::F32, tile, cols, 1);
    let amax = p.column("amax", tile);
    let kept = p.column("kept", tile);
    let tmp = p.ub("tmp", DType::F32, tile, cols, 1);
    let valid = Expr::var(Var::Scalar(0), 1).plus(Var::Grid(0), -(tile as i64));
    let some = |t: TileId| TileRef {
        rows: Some(valid.clone()),
        ..TileRef::new(t)
    };
    let row = || grid(0, tile as i64);
    let mut body = vec![load(some(x), rect("x", row(), zero(), tile, cols))];
    body.extend(v(VectorOp::Fill(0.0), out, &[]));
    body.extend(v(VectorOp::Fill(0.0), kept, &[]));
    body.extend(sync(Mte2, V, fixed(0)));
    body.push(Stmt::If {
        cond: Cond::Positive(valid.clone()),
        then: vec![
            vector(VectorOp::Copy, some(out), &[some(x)], None),
            Stmt::Barrier(V),
            vector(
                VectorOp::RowReduce(Reduce::Max),
                some(amax),
                &[some(x)],
                Some(tmp),
            ),
            Stmt::Barrier(V),
            vector(
                VectorOp::Scalar(Binary::Add, 1.0),
                some(amax),
                &[some(amax)],
                None,
            ),
            Stmt::Barrier(V),
            vector(VectorOp::Copy, some(kept), &[some(amax)], None),
        ],
        otherwise: vec![],
    });
    body.extend(sync(V, Mte3, fixed(0)));
    body.push(store(
        rect("masked", row(), zero(), tile, cols),
        all_of(out),
    ));
    body.push(store(rect("amax", row(), zero(), tile, 1), some(amax)));
    body.push(store(rect("kept", row(), zero(), tile, 1), all_of(kept)));
    k.body = body;

    let mut g = kernel("look_up", Unit::Vector, &[], &[], &["t"]);
    g.registers = 1;
    let mut p = Place::new(&mut g);
    let at = (Space::Ub, Layout::RowMajor);
    let entry = p.tile("entry", at, DType::I32, (1, 8), (1, 6), 2);
    let turn = Event {
        base: 0,
        rotate: Some((0, 2)),
    };
    let back = Event { base: 2, ..turn };
    let table = rect("table", Expr::var(Var::Reg(0), 1), zero(), 1, 6);
    g.body
        .extend([set(Mte3, Mte2, fixed(2)), set(Mte3, Mte2, fixed(3))]);
    g.body.push(Stmt::Loop {
        id: 0,
        trips: rows,
        depth: 2,
        body: vec![
            Stmt::Instr(Instr::ReadScalar {
                dst: 0,
                src: rect("ids", zero(), trip(0, 1), 1, 1),
            }),
            wait(Mte3, Mte2, back),
            load(slot(entry, 0), table),
            set(Mte2, Mte3, turn),
            wait(Mte2, Mte3, turn),
            store(rect("chosen", trip(0, 1), zero(), 1, 6), slot(entry, 0)),
            set(Mte3, Mte2, back),
        ],
    });
    g.body
        .extend([wait(Mte3, Mte2, fixed(2)), wait(Mte3, Mte2, fixed(3))]);
    program(
        "mask",
        &[
            ("x", DType::F32, &[rows, cols], Role::Input),
            ("ids", DType::I64, &[rows], Role::Input),
            ("table", DType::I32, &[1000, 6], Role::Input),
            ("masked", DType::F32, &[rows, cols], Role::Output),
            ("amax", DType::F32, &[rows, 1], Role::Output),
            ("kept", DType::F32, &[rows, 1], Role::Output),
            ("chosen", DType::I32, &[rows, 6], Role::Output),
        ],
        &[("num_tokens", rows as i64)],
        vec![k, g],
    )
}

/// Counts the rows for each of two ranks, sends rows to them, and waits for theirs.
pub fn exchange() -> Program {
    use Pipe::*;
    let rank = || Expr::var(Var::Rank, 1);
    let epoch = || Expr::var(Var::Epoch, 1);
    let reg = |r| Expr::var(Var::Reg(r), 1);
    let zero = Expr::default;
    let flag = |src, dst| {
        let event = Event {
            base: 0,
            rotate: None,
        };
        [
            Stmt::Set { src, dst, event },
            Stmt::Wait { src, dst, event },
        ]
    };
    let on = |peer: Expr, rect: GlobalRef| GlobalRef {
        peer: Some(peer),
        ..rect
    };
    let mut k = kernel(
        "exchange",
        Unit::Vector,
        &[],
        &[("ROW", 64)],
        &["t", "peer", "source"],
    );
    k.tiles = vec![Tile {
        name: "row".into(),
        space: Space::Ub,
        dtype: DType::F32,
        rows: 1,
        cols: 64,
        valid_rows: 1,
        valid_cols: 64,
        layout: Layout::RowMajor,
        slots: 1,
        addrs: vec![0],
    }];
    k.registers = 4;
    k.arrays = vec![ScalarArray {
        name: "counts".into(),
        len: 2,
    }];
    let get = |dst| Instr::ArrayGet {
        dst,
        array: 0,
        index: reg(1),
    };
    let mut send = vec![
        Stmt::Instr(Instr::ReadScalar {
            dst: 0,
            src: rect("target", zero(), Expr::var(Var::Loop(0), 1), 1, 1),
        }),
        Stmt::Instr(Instr::Compute {
            dst: 1,
            op: IntOp::Rem,
            lhs: reg(0),
            rhs: Expr::constant(2),
        }),
        Stmt::Instr(get(2)),
        Stmt::Instr(Instr::Load {
            dst: TileRef::new(0),
            src: rect("x", Expr::var(Var::Loop(0), 1), zero(), 1, 64),
        }),
    ];
    send.extend(flag(Mte2, Mte3));
    send.push(Stmt::Instr(Instr::Store {
        dst: on(
            reg(1),
            rect(
                "rows",
                Expr::var(Var::Rank, 8).plus(Var::Reg(2), 1),
                zero(),
                1,
                64,
            ),
        ),
        src: TileRef::new(0),
    }));
    send.extend(flag(Mte3, Mte2));
    send.push(Stmt::Instr(Instr::ArraySet {
        array: 0,
        index: reg(1),
        value: Expr { base: 1, ..reg(2) },
    }));
    let of_peer = Expr::var(Var::Loop(1), 1);
    let mut tell = vec![
        Stmt::Instr(Instr::SetReg {
            dst: 1,
            value: of_peer.clone(),
        }),
        Stmt::Instr(get(3)),
        Stmt::Instr(Instr::WriteScalar {
            dst: on(of_peer.clone(), rect("count", rank(), zero(), 1, 1)),
            value: reg(3),
        }),
    ];
    tell.extend(flag(Mte3, S));
    tell.push(Stmt::Instr(Instr::Notify {
        counter: on(of_peer, rect("ready", zero(), zero(), 1, 1)),
        op: NotifyOp::Add,
        value: Expr::constant(1),
    }));
    let arrived = Stmt::Instr(Instr::WaitCounter {
        counter: rect("ready", zero(), zero(), 1, 1),
        at_least: Expr::var(Var::Epoch, 2),
    });
    let mut take = vec![Stmt::Instr(Instr::ReadScalar {
        dst: 3,
        src: rect("count", Expr::var(Var::Loop(2), 1), zero(), 1, 1),
    })];
    let mut stored = vec![Stmt::Instr(Instr::Load {
        dst: TileRef::new(0),
        src: rect("rows", Expr::var(Var::Loop(2), 8), zero(), 1, 64),
    })];
    stored.extend(flag(Mte2, Mte3));
    stored.push(Stmt::Instr(Instr::Store {
        dst: rect("y", Expr::var(Var::Loop(2), 1), zero(), 1, 64),
        src: TileRef::new(0),
    }));
    stored.extend(flag(Mte3, Mte2));
    take.push(Stmt::If {
        cond: Cond::Zero(reg(3)),
        then: vec![],
        otherwise: stored,
    });
    // When the peer may overwrite what this rank has read.
    take.push(Stmt::Instr(Instr::Notify {
        counter: on(
            Expr::var(Var::Loop(2), 1),
            rect("done", rank(), zero(), 1, 1),
        ),
        op: NotifyOp::Set,
        value: epoch(),
    }));
    let each = |id, trips, body| Stmt::Loop {
        id,
        trips,
        depth: 1,
        body,
    };
    k.body = vec![
        each(0, 8, send),
        each(1, 2, tell),
        arrived,
        each(2, 2, take),
    ];
    let f32s = |rows| [rows, 64];
    let mut p = program(
        "exchange",
        &[
            ("x", DType::F32, &f32s(8), Role::Input),
            ("target", DType::I32, &[8], Role::Input),
            ("rows", DType::F32, &f32s(16), Role::Window),
            ("count", DType::I32, &[2, 16], Role::Window),
            ("ready", DType::I32, &[1, 16], Role::Window),
            ("done", DType::I32, &[2, 16], Role::Window),
            ("y", DType::F32, &f32s(2), Role::Output),
        ],
        &[],
        vec![k],
    );
    p.ranks = 2;
    p
}
