//! Costs of instructions, against published figures of the same hardware.

use indexmap::IndexMap;
use tilewright_ir::dtype::{DType, Round};
use tilewright_ir::graph::{Binary, LaunchKind, Reduce, Unary};
use tilewright_ir::kernel::{
    Expr, GlobalRef, Instr, Kernel, Launch, Layout, Pipe, Repeats, Space, Tile, TileRef, Unit,
    VectorOp,
};
use tilewright_ir::machine::Machine;
use tilewright_ir::timing::{Cost, cost};

fn tile(space: Space, dtype: DType, layout: Layout, rows: usize, cols: usize) -> Tile {
    Tile {
        name: "t".into(),
        space,
        dtype,
        rows,
        cols,
        valid_rows: rows,
        valid_cols: cols,
        layout,
        slots: 1,
        addrs: vec![],
    }
}

fn ub(dtype: DType, rows: usize, cols: usize) -> Tile {
    tile(Space::Ub, dtype, Layout::RowMajor, rows, cols)
}

fn kernel(tiles: Vec<Tile>) -> Kernel {
    Kernel {
        name: "k".into(),
        covers: vec![],
        unit: Unit::Vector,
        launch: Launch {
            kind: LaunchKind::Spmd,
            grid: vec![],
        },
        params: IndexMap::new(),
        pipeline: 1,
        loops: vec![],
        tiles,
        registers: 0,
        arrays: vec![],
        after: vec![],
        expected: IndexMap::new(),
        notes: vec![],
        body: vec![],
    }
}

fn rect(rows: usize, cols: usize) -> GlobalRef {
    GlobalRef {
        tensor: "g".into(),
        row: Expr::default(),
        col: Expr::default(),
        rows,
        cols,
        peer: None,
        step: 1,
        view: None,
    }
}

/// The formulas are checked with the figures of the sources; what is fitted to times is for `calibrate` to judge.
fn a3() -> Machine {
    Machine::as_sourced("A3").unwrap()
}

fn load(t: Tile) -> Cost {
    let src = rect(t.valid_rows, t.valid_cols);
    let dst = TileRef::new(0);
    cost(&a3(), &kernel(vec![t]), &Instr::Load { dst, src })
}

fn store(t: Tile) -> Cost {
    let dst = rect(t.valid_rows, t.valid_cols);
    let src = TileRef::new(0);
    cost(&a3(), &kernel(vec![t]), &Instr::Store { dst, src })
}

fn vector(op: VectorOp, tiles: Vec<Tile>) -> f64 {
    let srcs = (1..tiles.len()).map(TileRef::new).collect();
    let instr = Instr::Vector {
        op,
        dst: TileRef::new(0),
        srcs,
        tmp: None,
    };
    cost(&a3(), &kernel(tiles), &instr).cycles
}

#[track_caller]
fn close(found: f64, expected: f64, percent: f64) {
    let off = 100.0 * (found - expected).abs() / expected;
    assert!(
        off <= percent,
        "{found} is {off:.1} % off {expected}, {percent} % are allowed"
    );
}

/// Busy cycles of the pipes of hand-tuned kernels in the vendor's Perf-Sim with the fitted bandwidth. Its fit knows
/// no row length, so ours, which charges for rows below 512 bytes, is a little above it; and its reads into UB run at 247
/// GiB/s once started, ours at the 101 GiB/s of the default mode.
#[test]
fn transfers_of_hand_tuned_kernels_take_what_the_vendor_simulator_says() {
    use DType::*;
    // ffn_norm: T = 8, D = 4096, 16 chunks of 256 columns, x twice, the weights once.
    let mte2 = 32.0 * load(ub(Bf16, 8, 256)).cycles + 16.0 * load(ub(Bf16, 1, 256)).cycles;
    close(mte2, 11216.0, 13.0);
    let mte3 = 16.0 * (store(ub(Bf16, 8, 256)).cycles + store(ub(F32, 8, 256)).cycles);
    close(mte3, 15424.0, 1.0);
    // x_norm_quant: x twice; rows of 256 bytes as i8, and the scales of the rows.
    close(32.0 * load(ub(Bf16, 8, 256)).cycles, 7744.0, 18.0);
    let scales = tile(Space::Ub, F32, Layout::ColMajor, 8, 1);
    let mte3 = 16.0 * store(ub(I8, 8, 256)).cycles + store(scales).cycles;
    close(mte3, 3821.0, 5.0);
    // gate: a block of 16 of 64 experts, f32, 16 chunks of 256 columns of both operands.
    let operand = |layout| load(tile(Space::L1, F32, layout, 16, 256)).cycles;
    // It says 33696; its 28.61 GiB/s are a fit of at most 4 cores, and chips bring 72 to 78 GB/s into L1.
    let ours = 16.0 * (operand(Layout::Nz) + operand(Layout::Zn));
    assert!((33696.0 / 2.2..33696.0).contains(&ours), "{ours}");
}

#[test]
fn short_rows_cost_more() {
    let wide = load(tile(Space::L1, DType::F32, Layout::Nz, 64, 128));
    let narrow = load(tile(Space::L1, DType::F32, Layout::Nz, 256, 32));
    assert_eq!(wide.gm_bytes, narrow.gm_bytes);
    // Published: rows of 128 bytes are 16 to 25 % slower than rows of 512 bytes.
    let ratio = narrow.cycles / wide.cycles;
    assert!((1.16..=1.25).contains(&ratio), "{ratio}");
}

#[test]
fn transfers_name_their_pipe_and_bytes() {
    let c = load(ub(DType::F32, 8, 256));
    assert_eq!((c.pipe, c.gm_bytes), (Pipe::Mte2, 8192));
    assert_eq!(store(ub(DType::F32, 8, 256)).pipe, Pipe::Mte3);
    let acc = store(tile(Space::L0c, DType::F32, Layout::Acc, 16, 64));
    assert_eq!((acc.pipe, acc.gm_bytes), (Pipe::Fix, 4096));
    let read = Instr::ReadScalar {
        dst: 0,
        src: rect(1, 1),
    };
    let c = cost(&a3(), &kernel(vec![]), &read);
    assert_eq!((c.pipe, c.gm_bytes), (Pipe::S, 64));
}

#[test]
fn a_gathered_row_takes_what_was_measured() {
    // 0.44 us for the scalar read and 1 KiB.
    let m = a3();
    let read = m.gm_scalar_read.value;
    let row = load(ub(DType::F32, 1, 256)).cycles;
    close(m.micros(read + row), 0.44, 1.0);
}

#[test]
fn products() {
    let product = |dtype, m, k, n| {
        let tiles = vec![
            tile(Space::L0c, DType::F32, Layout::Acc, m, n),
            tile(Space::L0a, dtype, Layout::Zz, m, k),
            tile(Space::L0b, dtype, Layout::Right, k, n),
        ];
        let instr = Instr::Matmul {
            dst: TileRef::new(0),
            lhs: TileRef::new(1),
            rhs: TileRef::new(2),
            accumulate: false,
        };
        cost(&a3(), &kernel(tiles), &instr)
    };
    let c = product(DType::F16, 128, 64, 128);
    assert_eq!(c.pipe, Pipe::M);
    // The vendor's example has a head of 6 instead of the 21 measured on a device.
    close(c.cycles, 262.0, 6.0);
    assert_eq!(c.cycles, 21.0 + 256.0);
    assert_eq!(product(DType::F32, 16, 256, 16).cycles, 21.0 + 2.0 * 32.0);
    assert_eq!(product(DType::I8, 16, 256, 16).cycles, 21.0 + 8.0);
    assert_eq!(product(DType::F16, 8, 64, 16).cycles, 21.0 + 4.0);
}

#[test]
fn moves_take_the_measured_bandwidth() {
    let to = |space, layout| {
        let tiles = vec![
            tile(space, DType::Bf16, layout, 64, 64),
            tile(Space::L1, DType::Bf16, Layout::Nz, 64, 64),
        ];
        let instr = Instr::Move {
            dst: TileRef::new(0),
            src: TileRef::new(1),
            from: (0, 0),
        };
        cost(&a3(), &kernel(tiles), &instr)
    };
    close(to(Space::L0a, Layout::Zz).cycles, 8192.0 / 129.7, 0.1);
    close(to(Space::L0b, Layout::Right).cycles, 8192.0 / 85.4, 0.1);
    assert_eq!(to(Space::L0a, Layout::Zz).pipe, Pipe::Mte1);
}

/// The vendor's table of fitted cycles (`formula_params.csv`): slope * rows * cols + bias.
#[test]
fn element_wise_instructions_take_what_was_fitted() {
    use DType::*;
    let fitted =
        |slope: f64, bias: f64, rows: usize, cols: usize| slope * (rows * cols) as f64 + bias;
    let one = |op, t: DType, r, c| vector(op, vec![ub(t, r, c), ub(t, r, c)]);
    let two = |op, t: DType, r, c| {
        vector(
            VectorOp::Binary(op),
            vec![ub(t, r, c), ub(t, r, c), ub(t, r, c)],
        )
    };
    let scalar = |op| VectorOp::Scalar(op, 2.0);
    let exp = VectorOp::Unary(Unary::Exp);
    close(one(exp, F32, 64, 64), fitted(0.0314, 30.1, 64, 64), 2.0);
    close(
        one(VectorOp::Unary(Unary::Sqrt), F32, 64, 64),
        fitted(0.0314, 31.1, 64, 64),
        7.0,
    );
    // TADDS, TMULS, TMINS, TDIVS: one run of elements, a mask for long rows that end within a repeat.
    close(
        one(scalar(Binary::Add), F32, 64, 32),
        fitted(0.0156, 25.0, 64, 32),
        12.0,
    );
    close(
        one(scalar(Binary::Mul), F32, 32, 80),
        fitted(0.0156, 43.0, 32, 80),
        2.0,
    );
    close(
        one(scalar(Binary::Min), F16, 32, 160),
        fitted(0.0078, 40.0, 32, 160),
        10.0,
    );
    close(
        one(scalar(Binary::Div), F32, 64, 64),
        fitted(0.0781, 45.0, 64, 64),
        1.0,
    );
    // TMUL, TSUB: rows shorter than a repeat go one a repeat.
    close(
        two(Binary::Mul, F32, 64, 32),
        fitted(0.0625, 43.0, 64, 32),
        2.0,
    );
    close(
        two(Binary::Mul, F32, 64, 64),
        fitted(0.0313, 26.0, 64, 64),
        2.0,
    );
    close(
        two(Binary::Sub, F16, 64, 64),
        fitted(0.0312, 41.0, 64, 64),
        2.0,
    );
    close(
        two(Binary::Sub, F32, 32, 80),
        fitted(0.0312, 42.0, 32, 80),
        2.0,
    );
    // An older example of the vendor, before its fit: TEXP f32 16 x 16 in 53 cycles.
    close(one(exp, F32, 16, 16), 53.0, 30.0);
    // TCVT to f16 of 16 x 64 f32: 0.90 a repeat and 27.
    let cast = vector(
        VectorOp::Cvt(Round::Rint),
        vec![ub(F16, 16, 64), ub(F32, 16, 64)],
    );
    close(cast, 0.9 * 16.0 + 27.0, 5.0);
    // TCVT from i32 to f16 sets a register for each row: 264 cycles in Perf-Sim for 8 x 256.
    let cast = vector(
        VectorOp::Cvt(Round::Rint),
        vec![ub(F16, 8, 256), ub(I32, 8, 256)],
    );
    close(cast, 264.0, 7.0);
}

#[test]
fn reductions_of_rows_take_what_was_fitted() {
    let column = |rows| tile(Space::Ub, DType::F32, Layout::ColMajor, rows, 1);
    let reduce = |op, rows, cols| {
        vector(
            VectorOp::RowReduce(op),
            vec![column(rows), ub(DType::F32, rows, cols)],
        )
    };
    // Entries of the table.
    close(reduce(Reduce::Sum, 64, 64), 0.1094 * 4096.0 + 44.0, 0.1);
    close(
        reduce(Reduce::Max, 8, 336),
        0.0418 * 8.0 * 336.0 + 131.0,
        0.1,
    );
    assert_eq!(reduce(Reduce::Max, 8, 96), reduce(Reduce::Min, 8, 96));
    // Between two entries, and beyond the last one.
    let (a, b, c) = (
        reduce(Reduce::Sum, 8, 240),
        reduce(Reduce::Sum, 8, 256),
        reduce(Reduce::Sum, 8, 272),
    );
    close(b, (a + c) / 2.0, 0.1);
    assert!(reduce(Reduce::Sum, 8, 4096) > 3.0 * reduce(Reduce::Sum, 8, 336));
    // A shape with a path of its own.
    assert_eq!(reduce(Reduce::Sum, 8, 1024), 285.0);
    let row = vector(
        VectorOp::RowReduce(Reduce::Sum),
        vec![ub(DType::F32, 8, 8), ub(DType::F32, 8, 1024)],
    );
    assert!(row > 285.0);
}

#[test]
fn expansions_cost_the_expanded_operand() {
    let x = || ub(DType::F32, 8, 256);
    let column = tile(Space::Ub, DType::F32, Layout::ColMajor, 8, 1);
    let same = vector(VectorOp::Binary(Binary::Mul), vec![x(), x(), x()]);
    let row = vector(
        VectorOp::RowExpand(Binary::Mul),
        vec![x(), x(), column.clone()],
    );
    let col = vector(
        VectorOp::ColExpand(Binary::Mul),
        vec![x(), x(), ub(DType::F32, 1, 256)],
    );
    assert_eq!(row, same + 18.0);
    assert_eq!(col, same);
    // More repeats in a row than rows: a mask for each row.
    let wide = || ub(DType::F32, 8, 1024);
    let row = vector(
        VectorOp::RowExpand(Binary::Mul),
        vec![wide(), wide(), column],
    );
    let same = vector(VectorOp::Binary(Binary::Mul), vec![wide(), wide(), wide()]);
    assert_eq!(row, same + 18.0 + 8.0 * 16.0);
}

#[test]
fn padded_rows_go_row_by_row() {
    let mut padded = ub(DType::F32, 8, 64);
    padded.valid_cols = 16;
    let dense = vector(
        VectorOp::Unary(Unary::Exp),
        vec![ub(DType::F32, 8, 16), ub(DType::F32, 8, 16)],
    );
    let sparse = vector(VectorOp::Unary(Unary::Exp), vec![padded.clone(), padded]);
    assert_eq!(dense, 31.0 + 2.0 * 2.0);
    assert_eq!(sparse, 31.0 + 2.0 * 8.0 + 16.0);
}

#[test]
fn per_row_columns_lie_as_rows() {
    let column = || tile(Space::Ub, DType::F32, Layout::ColMajor, 128, 1);
    let cycles = vector(VectorOp::Scalar(Binary::Mul, 0.5), vec![column(), column()]);
    assert_eq!(cycles, 26.0 + 2.0);
}

#[test]
fn sorting_and_gathering() {
    use DType::*;
    let row = |t, c| ub(t, 1, c);
    let sort = vector(
        VectorOp::Sort32,
        vec![row(F32, 512), row(F32, 256), row(U32, 256)],
    );
    // Measured: 20 + 16 a repeat of 32.
    assert_eq!(sort, 20.0 + 16.0 * 8.0);
    // Fitted: 20 + 78 for each merge of 4 runs of 32 pairs.
    let merge = vector(
        VectorOp::MergeSort { run: 32 },
        vec![row(F32, 512), row(F32, 512)],
    );
    assert_eq!(merge, 20.0 + 2.0 * 78.0);
    let indices = vector(VectorOp::PairIndices, vec![row(I32, 8), row(F32, 512)]);
    assert_eq!(indices, 34.0 + 14.0);
    // Published: 46.6 cycles a row of at most a repeat, of which 20 are a barrier.
    let gather = vector(
        VectorOp::Gather,
        vec![row(F32, 8), row(F32, 256), row(I32, 8)],
    );
    close(gather, 46.6, 20.0);
    let fill = vector(VectorOp::Fill(0.0), vec![ub(F32, 8, 256)]);
    assert_eq!(fill, 24.0 + 32.0);
    assert!(vector(VectorOp::Copy, vec![ub(F32, 8, 256), ub(F32, 8, 256)]) > 0.0);
}

#[test]
fn the_index_row_is_work_of_the_scalar_unit() {
    let iota = Instr::Vector {
        op: VectorOp::Iota,
        dst: TileRef::new(0),
        srcs: vec![],
        tmp: None,
    };
    let c = cost(&a3(), &kernel(vec![ub(DType::U32, 1, 256)]), &iota);
    assert_eq!((c.pipe, c.cycles), (Pipe::S, 6.0 + 2.0 * 256.0));
}

#[test]
fn a_slower_clock_takes_fewer_cycles_for_the_same_transfer() {
    let slow = Machine::as_sourced("910B4").unwrap();
    let fast = a3();
    let k = kernel(vec![ub(DType::F32, 8, 256)]);
    let load = Instr::Load {
        dst: TileRef::new(0),
        src: rect(8, 256),
    };
    let (s, f) = (cost(&slow, &k, &load).cycles, cost(&fast, &k, &load).cycles);
    close(slow.micros(s), fast.micros(f), 0.001);
}

#[test]
fn a_tile_that_is_not_there_costs_nothing() {
    let load = Instr::Load {
        dst: TileRef::new(7),
        src: rect(8, 256),
    };
    assert_eq!(cost(&a3(), &kernel(vec![]), &load).cycles, 0.0);
}

#[test]
fn what_goes_to_other_ranks_takes_the_link() {
    let m = a3();
    let own = store(ub(DType::I8, 1, 4096));
    let dst = GlobalRef {
        peer: Some(Expr::constant(1)),
        ..rect(1, 4096)
    };
    let k = kernel(vec![ub(DType::I8, 1, 4096)]);
    let src = TileRef::new(0);
    let far = cost(&m, &k, &Instr::Store { dst, src });
    assert_eq!((own.gm_bytes, own.link_bytes), (4096, 0));
    assert_eq!((far.gm_bytes, far.link_bytes), (0, 4096));
    // 24 cores write 146 GB/s to peers (sgl-kernel-npu).
    close(m.micros(far.cycles), 4096.0 / (146.0 / 24.0) * 1e-3, 1.0);
    assert!(far.cycles > 3.0 * own.cycles);
    let notify = |peer| {
        let counter = GlobalRef { peer, ..rect(1, 1) };
        let instr = Instr::Notify {
            counter,
            op: tilewright_ir::kernel::NotifyOp::Set,
            value: Expr::constant(1),
        };
        cost(&m, &k, &instr).cycles
    };
    let way = 2.0 * m.link_cycles();
    close(notify(Some(Expr::constant(1))) - notify(None), way, 0.1);
}

/// A figure that an instruction's row names and no machine has would make it free.
#[test]
fn every_instruction_names_figures_that_there_are() {
    let costs = a3().vector;
    for op in VectorOp::all(1.0, 32) {
        let time = op.row().time;
        let others = match time.repeats {
            Repeats::Curve { narrow } => {
                for name in [time.figure, narrow] {
                    assert!(costs.reduction(name).is_some(), "{op:?}: {name}");
                }
                continue;
            }
            Repeats::RowExpand { spread } => Some(spread),
            Repeats::Gather { offsets } => Some(offsets),
            _ => None,
        };
        for name in others.into_iter().chain([time.figure]) {
            assert!(costs.instruction(name).is_some(), "{op:?}: {name}");
        }
    }
}
