//! The kernels that the tests run, and break.

use crate::build::*;
use tilewright_backends::data::Tensors;
use tilewright_ir::DType::*;
use tilewright_ir::graph::Binary;
use tilewright_ir::kernel::*;

pub const ROWS: usize = 8;
pub const WIDTH: usize = 256;
pub const TRIPS: usize = 16;

/// `y = x + 1` in chunks of columns, `depth` tiles in flight.
///
/// Statements: the priming sets (2 a slot), the loop, the draining waits (2 a slot). In the loop: 0 wait V->MTE2, 1 load,
/// 2 set and 3 wait MTE2->V, 4 wait MTE3->V, 5 adds, 6 set V->MTE2, 7 set and 8 wait V->MTE3, 9 store, 10 set MTE3->V.
pub fn add_one(depth: usize) -> Program {
    use Pipe::*;
    let bytes = ROWS * WIDTH * 4;
    let slots = |start: usize| -> Vec<usize> { (0..depth).map(|s| start + s * bytes).collect() };
    let tiles = vec![
        ub("x", F32, (ROWS, WIDTH), &slots(0)),
        ub("y", F32, (ROWS, WIDTH), &slots(depth * bytes)),
    ];
    let event = Event {
        base: 0,
        rotate: Some((0, depth)),
    };
    let set_k = |src, dst| Stmt::Set { src, dst, event };
    let wait_k = |src, dst| Stmt::Wait { src, dst, event };
    let chunk = |name| {
        rect(
            name,
            zero(),
            Expr::var(Var::Loop(0), WIDTH as i64),
            (ROWS, WIDTH),
        )
    };
    let mut body = vec![];
    for s in 0..depth {
        body.extend([set(V, Mte2, s), set(Mte3, V, s)]);
    }
    body.push(Stmt::Loop {
        id: 0,
        trips: TRIPS,
        depth,
        body: vec![
            wait_k(V, Mte2),
            load(at(0, 0), chunk("x")),
            set_k(Mte2, V),
            wait_k(Mte2, V),
            wait_k(Mte3, V),
            vector(VectorOp::Scalar(Binary::Add, 1.0), at(1, 0), &[at(0, 0)]),
            set_k(V, Mte2),
            set_k(V, Mte3),
            wait_k(V, Mte3),
            store(chunk("y"), at(1, 0)),
            set_k(Mte3, V),
        ],
    });
    for s in 0..depth {
        body.extend([wait(V, Mte2, s), wait(Mte3, V, s)]);
    }
    let shape = [ROWS, WIDTH * TRIPS];
    program(
        &[
            ("x", tensor(F32, &shape, Role::Input)),
            ("y", tensor(F32, &shape, Role::Output)),
        ],
        vec![kernel("add_one", Unit::Vector, 1, tiles, body)],
    )
}

pub fn add_one_inputs() -> Tensors {
    inputs(&[("x", f32s(&[ROWS, WIDTH * TRIPS], |i| i as f32))])
}

/// The body of the only loop of [`add_one`].
pub fn loop_of(program: &mut Program) -> &mut Vec<Stmt> {
    program.kernels[0]
        .body
        .iter_mut()
        .find_map(|s| match s {
            Stmt::Loop { body, .. } => Some(body),
            _ => None,
        })
        .expect("add_one has a loop")
}

/// `y [16, 32] = a [16, K] x b [32, K]^T`, K in chunks of 32, two in flight in L1, one in L0.
pub fn product(chunks: usize) -> Program {
    use Pipe::*;
    let k = |rows| move |name| rect(name, zero(), Expr::var(Var::Loop(0), 32), (rows, 32));
    let zn = Tile {
        layout: Layout::Zn,
        ..tile("b_l1", Space::L1, F32, (32, 32), &[16384, 32768])
    };
    let tiles = vec![
        tile("a_l1", Space::L1, F32, (16, 32), &[0, 8192]),
        zn,
        tile("a_l0", Space::L0a, F32, (16, 32), &[0]),
        tile("b_l0", Space::L0b, F32, (32, 32), &[0]),
        tile("acc", Space::L0c, F32, (16, 32), &[0]),
    ];
    let event = Event {
        base: 0,
        rotate: Some((0, 2)),
    };
    let set_k = |src, dst| Stmt::Set { src, dst, event };
    let wait_k = |src, dst| Stmt::Wait { src, dst, event };
    let matmul = |accumulate| {
        Stmt::Instr(Instr::Matmul {
            dst: t(4),
            lhs: t(2),
            rhs: t(3),
            accumulate,
        })
    };
    let mut body = vec![set(Mte1, Mte2, 0), set(Mte1, Mte2, 1), set(M, Mte1, 0)];
    body.push(Stmt::Loop {
        id: 0,
        trips: chunks,
        depth: 2,
        body: vec![
            wait_k(Mte1, Mte2),
            load(at(0, 0), k(16)("a")),
            load(at(1, 0), k(32)("b")),
            set_k(Mte2, Mte1),
            wait_k(Mte2, Mte1),
            wait(M, Mte1, 0),
            Stmt::Instr(Instr::Move {
                dst: t(2),
                src: at(0, 0),
                from: (0, 0),
            }),
            Stmt::Instr(Instr::Move {
                dst: t(3),
                src: at(1, 0),
                from: (0, 0),
            }),
            set_k(Mte1, Mte2),
            set(Mte1, M, 0),
            wait(Mte1, M, 0),
            Stmt::Barrier(M),
            Stmt::If {
                cond: Cond::First(0),
                then: vec![matmul(false)],
                otherwise: vec![matmul(true)],
            },
            set(M, Mte1, 0),
        ],
    });
    body.extend([wait(Mte1, Mte2, 0), wait(Mte1, Mte2, 1), wait(M, Mte1, 0)]);
    body.extend(sync(M, Fix));
    body.push(store(rect("y", zero(), zero(), (16, 32)), t(4)));
    program(
        &[
            ("a", tensor(F32, &[16, 32 * chunks], Role::Input)),
            ("b", tensor(F32, &[32, 32 * chunks], Role::Input)),
            ("y", tensor(F32, &[16, 32], Role::Output)),
        ],
        vec![kernel("product", Unit::Cube, 1, tiles, body)],
    )
}

/// The indices of the 8 largest of 256 scores: iota, sort32, two merges, and the scores gathered by them.
pub fn top_eight() -> Program {
    use Pipe::*;
    let tiles = vec![
        ub("score", F32, (1, 256), &[0]),
        ub("index", U32, (1, 256), &[1024]),
        ub("pairs", F32, (1, 512), &[2048]),
        ub("merged", F32, (1, 512), &[4096]),
        ub("sorted", F32, (1, 512), &[6144]),
        ub("top", I32, (1, 8), &[8192]),
        ub("value", F32, (1, 8), &[8224]),
        ub("scratch", F32, (1, 512), &[8256]),
    ];
    let all = |name, cols| rect(name, zero(), zero(), (1, cols));
    let mut body = vec![load(t(0), all("x", 256)), vector(VectorOp::Iota, t(1), &[])];
    body.extend(sync(Mte2, V));
    body.extend(sync(S, V));
    body.extend([
        vector(VectorOp::Sort32, t(2), &[t(0), t(1)]),
        Stmt::Barrier(V),
        vector(VectorOp::MergeSort { run: 32 }, t(3), &[t(2)]),
        Stmt::Barrier(V),
        vector_tmp(VectorOp::MergeSort { run: 128 }, t(4), &[t(3)], t(7)),
        Stmt::Barrier(V),
        vector(VectorOp::PairIndices, t(5), &[t(4)]),
        Stmt::Barrier(V),
        vector(VectorOp::Gather, t(6), &[t(0), t(5)]),
    ]);
    body.extend(sync(V, Mte3));
    body.extend([store(all("top", 8), t(5)), store(all("value", 8), t(6))]);
    program(
        &[
            ("x", tensor(F32, &[1, 256], Role::Input)),
            ("top", tensor(I32, &[1, 8], Role::Output)),
            ("value", tensor(F32, &[1, 8], Role::Output)),
        ],
        vec![kernel("top_eight", Unit::Vector, 1, tiles, body)],
    )
}

/// Row sums of the first `count` of 8 rows; the rest of the output is zero. `count` is a run-time scalar.
pub fn sum_rows() -> Program {
    use Pipe::*;
    let rows = |tile| TileRef {
        rows: Some(Expr::var(Var::Scalar(0), 1)),
        ..t(tile)
    };
    let tiles = vec![
        ub("x", F32, (8, 256), &[0]),
        ub("scratch", F32, (8, 256), &[8192]),
        column("sum", F32, 8, 16384),
        column("zeros", F32, 8, 16416),
    ];
    let mut body = vec![load(rows(0), rect("x", zero(), zero(), (8, 256)))];
    body.extend(sync(Mte2, V));
    body.extend([
        vector(VectorOp::Fill(0.0), t(3), &[]),
        vector(VectorOp::Fill(0.0), t(2), &[]),
        Stmt::Barrier(V),
        vector_tmp(
            VectorOp::RowReduce(tilewright_ir::graph::Reduce::Sum),
            rows(2),
            &[rows(0)],
            t(1),
        ),
    ]);
    body.extend(sync(V, Mte3));
    body.push(store(rect("y", zero(), zero(), (8, 1)), t(2)));
    let mut p = program(
        &[
            ("x", tensor(F32, &[8, 256], Role::Input)),
            ("y", tensor(F32, &[8, 1], Role::Output)),
        ],
        vec![kernel("sum_rows", Unit::Vector, 1, tiles, body)],
    );
    p.scalars.insert("count".into(), 8);
    p
}

/// `y[n] = x[row]` with the row read from `table[n]`, a block a row.
pub fn gather_rows() -> Program {
    use Pipe::*;
    let n = || Expr::var(Var::Grid(0), 1);
    let mut body = vec![
        Stmt::Instr(Instr::ReadScalar {
            dst: 0,
            src: rect("table", zero(), n(), (1, 1)),
        }),
        load(t(0), rect("x", Expr::var(Var::Reg(0), 1), zero(), (1, 64))),
    ];
    body.extend(sync(Mte2, Mte3));
    body.push(store(rect("y", n(), zero(), (1, 64)), t(0)));
    program(
        &[
            ("x", tensor(F32, &[4, 64], Role::Input)),
            ("table", tensor(I32, &[3], Role::Input)),
            ("y", tensor(F32, &[3, 64], Role::Output)),
        ],
        vec![kernel(
            "gather_rows",
            Unit::Vector,
            3,
            vec![ub("row", F32, (1, 64), &[0])],
            body,
        )],
    )
}

pub fn gather_rows_inputs(rows: &[i64; 3]) -> Tensors {
    inputs(&[
        ("x", f32s(&[4, 64], |i| i as f32)),
        ("table", i32s(&[3], rows)),
    ])
}
