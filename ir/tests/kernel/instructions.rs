//! What the instruction set allows: memories, types, shapes and aliases.

use crate::build::{column, program, rect, tile, ub, vector, verify, with_tmp, wrong};
use miette::Diagnostic;
use tilewright_ir::dtype::{DType, Round};
use tilewright_ir::graph::{Binary, Reduce, Unary};
use tilewright_ir::kernel::{Expr, GlobalRef, Instr, Layout, Space, Stmt, Tile, TileRef, VectorOp};

/// The first error of a vector kernel with these tiles and this statement.
fn refusal(tiles: Vec<Tile>, stmt: Stmt) -> String {
    let mut p = program();
    p.kernels[0].tiles = tiles;
    p.kernels[0].body = vec![stmt];
    match verify(&p) {
        Ok(()) => "fine".to_owned(),
        Err(e) => {
            let text = e.to_string();
            let code = e.code().unwrap().to_string();
            let code = code.rsplit(':').next().unwrap().to_owned();
            assert!(!e.help().unwrap().to_string().is_empty());
            // Without the kernel and the statement.
            let what = text
                .split_once("`: ")
                .map_or(text.clone(), |s| s.1.to_owned());
            format!("{code}: {what}")
        }
    }
}

#[test]
fn tiles_fit_their_memories() {
    let fill = || vector(VectorOp::Fill(0.0), 0, &[]);
    let one = |t: Tile| refusal(vec![t], fill());
    let padded = |mut t: Tile| {
        t.valid_cols = 300;
        t
    };
    let slots = |addrs: &[usize]| {
        let mut t = ub("t", DType::F32, 8, 8);
        t.slots = 2;
        t.addrs = addrs.to_vec();
        one(t)
    };
    assert_eq!(one(ub("t", DType::F32, 3, 8)), "fine");
    assert_eq!(
        one(ub("t", DType::F32, 8, 12)),
        "count: the number of columns is 12, but has to be a multiple of 8 (rows of whole 32-byte blocks), so at least 16"
    );
    assert_eq!(
        one(column("t", 6)),
        "count: the number of rows is 6, but has to be a multiple of 8 (a column of whole 32-byte blocks), so at least 8"
    );
    assert_eq!(
        one(padded(ub("t", DType::F32, 8, 256))),
        "count: the number of valid columns is 300, but has to be from 1 to the extent, 256"
    );
    assert_eq!(
        slots(&[0]),
        "count: the number of addresses is 1, but has to be 2, one a slot, or 0"
    );
    assert_eq!(
        slots(&[0, 100]),
        "count: the address is 100, but has to be a multiple of 32 and at most 1073741824"
    );
    assert_eq!(
        one(tile("t", Space::L1, DType::F32, Layout::Nz, 16, 16)),
        "space: a vector core has no l1"
    );
    assert_eq!(
        one(tile("t", Space::Ub, DType::F32, Layout::Nz, 16, 16)),
        "space: ub holds no tile of layout nz"
    );
    // Sizes that overflow are refused, not computed.
    assert_eq!(
        one(ub("t", DType::F32, usize::MAX, 8)),
        "count: the size in bytes is too large to count, but has to be at most 1073741824"
    );
}

#[test]
fn cube_tiles_have_whole_fractals() {
    let with = |index: usize, change: fn(&mut Tile)| {
        let p = wrong(|p| change(&mut p.kernels[1].tiles[index]));
        verify(&p).map_err(|e| e.to_string()).unwrap_err()
    };
    assert_eq!(
        with(0, |t| (t.rows, t.valid_rows) = (8, 8)),
        "kernel `product`, tile `a`: the number of rows is 8, but has to be a multiple of 16 (fractals of 16 rows of 32 bytes), so at least 16"
    );
    assert_eq!(
        with(3, |t| (t.cols, t.valid_cols) = (8, 8)),
        "kernel `product`, tile `lb`: the number of columns is 8, but has to be a multiple of 16 (fractals of 16 columns of 32 bytes), so at least 16"
    );
    assert_eq!(
        with(4, |t| t.dtype = DType::Bf16),
        "kernel `product`, tile `acc`: l0c holds no bf16"
    );
    assert_eq!(
        with(4, |t| t.dtype = DType::I32),
        "kernel `product`, statement 5 `TMATMUL(acc, la, lb)`: products of bf16 are summed in f32, but `acc` is i32"
    );
    assert_eq!(
        with(2, |t| t.valid_rows = 8),
        "kernel `product`, statement 3 `TMOV(la, a)`: `a` has 16 x 16 valid elements, but needs 8 x 16"
    );
}

#[test]
fn instructions_have_their_types() {
    use DType::*;
    let cast = |from, to| {
        refusal(
            vec![ub("d", to, 8, 32), ub("s", from, 8, 32)],
            vector(VectorOp::Cvt(Round::Rint), 0, &[1]),
        )
    };
    let allowed: Vec<_> = DType::ALL
        .into_iter()
        .map(|from| {
            let to: Vec<_> = DType::ALL
                .into_iter()
                .filter(|to| cast(from, *to) == "fine")
                .map(|d| d.name())
                .collect();
            format!("{from}: {}", to.join(" "))
        })
        .collect();
    assert_eq!(
        allowed,
        [
            "f32: f32 bf16 f16 i32 i64",
            "bf16: f32 i32",
            "f16: f32 i8 i32",
            "i8: f16",
            "i32: f32 f16 i64",
            "u32: ",
            "i64: f32 i32"
        ]
    );
    assert_eq!(cast(F32, I8), "types: there is no cast from f32 to i8");

    let two = |op, d| {
        let tiles = vec![ub("d", d, 8, 32), ub("s", d, 8, 32)];
        refusal(tiles, vector(op, 0, &[1, 1]))
    };
    assert_eq!(two(VectorOp::Binary(Binary::Add), I32), "fine");
    assert_eq!(
        two(VectorOp::Binary(Binary::Div), I32),
        "types: tile `d` is i32, which the instruction does not take"
    );
    assert_eq!(
        two(VectorOp::Binary(Binary::Add), Bf16),
        "types: tile `d` is bf16, which the instruction does not take"
    );
    let mixed = vec![ub("d", F32, 8, 32), ub("s", F16, 8, 32)];
    assert_eq!(
        refusal(mixed, vector(VectorOp::Unary(Unary::Exp), 0, &[1])),
        "types: `d` is f32, but `s` is f16"
    );
}

#[test]
fn instructions_have_their_shapes() {
    use DType::*;
    let x = || ub("x", F32, 8, 32);
    let add = VectorOp::Binary(Binary::Add);
    assert_eq!(
        refusal(vec![x(), ub("y", F32, 8, 64)], vector(add, 0, &[0, 1])),
        "shape: `y` has 8 x 64 valid elements, but needs 8 x 32"
    );
    let mut padded = ub("y", F32, 8, 64);
    padded.valid_cols = 32;
    assert_eq!(
        refusal(vec![x(), padded], vector(VectorOp::Copy, 0, &[1])),
        "shape: `x` is 8 x 32, but `y` is 8 x 64"
    );
    assert_eq!(
        refusal(vec![x()], vector(add, 0, &[0])),
        "count: the number of operands is 1, but has to be 2"
    );
    let rows = VectorOp::RowExpand(Binary::Mul);
    assert_eq!(
        refusal(vec![x(), column("c", 8)], vector(rows, 0, &[0, 1])),
        "fine"
    );
    assert_eq!(
        refusal(vec![x(), column("c", 16)], vector(rows, 0, &[0, 1])),
        "shape: `c` has 16 x 1 valid elements, but needs 8 x 1"
    );
    assert_eq!(
        refusal(
            vec![x(), column("c", 8), ub("w", F32, 1, 8)],
            with_tmp(rows, 0, &[0, 1], Some(2))
        ),
        "count: the size in bytes of the scratch tile `w` is 32, but has to be at least 256"
    );
    let cols = VectorOp::ColExpand(Binary::Mul);
    assert_eq!(
        refusal(vec![x(), ub("w", F32, 1, 32)], vector(cols, 0, &[0, 1])),
        "fine"
    );
    assert_eq!(
        refusal(
            vec![ub("x", F32, 8, 2048), ub("w", F32, 1, 2048)],
            vector(cols, 0, &[0, 1])
        ),
        "count: the number of 32-byte blocks of a row is 256, but has to be at most 255"
    );
    let sum = VectorOp::RowReduce(Reduce::Sum);
    assert_eq!(
        refusal(vec![x(), column("c", 8)], vector(sum, 1, &[0])),
        "form: the instruction has no scratch tile"
    );
    assert_eq!(
        refusal(vec![x(), x(), x()], with_tmp(sum, 1, &[0], Some(2))),
        "shape: `x` has 8 x 32 valid elements, but needs 8 x 1"
    );
}

#[test]
fn results_do_not_overwrite_what_is_still_read() {
    let x = || ub("x", DType::F32, 8, 32);
    let halve = VectorOp::Scalar(Binary::Div, 2.0);
    assert_eq!(refusal(vec![x(), x()], vector(halve, 0, &[1])), "fine");
    assert_eq!(
        refusal(vec![x()], vector(halve, 0, &[0])),
        "form: the result overwrites an operand that is still read"
    );
    let double = VectorOp::Scalar(Binary::Mul, 2.0);
    assert_eq!(refusal(vec![x()], vector(double, 0, &[0])), "fine");
}

#[test]
fn halves_are_whole_blocks_of_rows_or_columns() {
    let halves = |to: (usize, usize), from: (usize, usize)| {
        let tile = |(rows, cols)| {
            let mut t = ub("t", DType::F32, rows, cols);
            t.cols = t.cols.next_multiple_of(8);
            t
        };
        let add = VectorOp::Halves(Binary::Add);
        refusal(vec![tile(to), tile(from)], vector(add, 0, &[1]))
    };
    assert_eq!(halves((1, 64), (1, 128)), "fine");
    assert_eq!(halves((3, 40), (6, 40)), "fine");
    assert_eq!(halves((1, 40), (2, 40)), "fine");
    assert_eq!(
        halves((1, 12), (1, 24)),
        "count: the bytes of a half is 48, but has to be a multiple of 32"
    );
    assert_eq!(halves((2, 64), (2, 128)), "fine");
    assert_eq!(
        halves((2, 64), (3, 128)),
        "shape: `t` has 3 x 128 valid elements, but needs 2 x 128"
    );
    assert_eq!(
        halves((1, 64), (1, 256)),
        "shape: `t` has 1 x 256 valid elements, but needs 1 x 128"
    );
}

#[test]
fn only_loads_leave_rows_out() {
    let apart = |rows, step| GlobalRef {
        step,
        ..rect("x", Expr::default(), Expr::default(), rows, 32)
    };
    let load = |rows, step| {
        let load = Instr::Load {
            dst: TileRef::new(0),
            src: apart(rows, step),
        };
        refusal(vec![ub("t", DType::Bf16, rows, 32)], Stmt::Instr(load))
    };
    assert_eq!(load(4, 5), "fine");
    assert_eq!(
        load(4, 6),
        "count: the number of rows of `x` is 19, but has to be from 1 to 16"
    );
    assert_eq!(
        load(4, 0),
        "count: the step of `x` is 0, but has to be at least 1"
    );
    let store = Instr::Store {
        dst: apart(4, 2),
        src: TileRef::new(0),
    };
    assert_eq!(
        refusal(vec![ub("t", DType::Bf16, 4, 32)], Stmt::Instr(store)),
        "count: the step of a store is 2, but has to be 1"
    );
}

#[test]
fn sorting_has_its_shapes() {
    use DType::*;
    let row = |d, c| ub("t", d, 1, c);
    let sort = |n: usize, out: usize| {
        let tiles = vec![row(F32, out), row(F32, n), row(U32, n)];
        refusal(tiles, vector(VectorOp::Sort32, 0, &[1, 2]))
    };
    assert_eq!(sort(256, 512), "fine");
    assert_eq!(
        sort(256, 256),
        "shape: `t` has 1 x 256 valid elements, but needs 1 x 512"
    );
    assert_eq!(
        sort(48, 96),
        "count: the number of values is 48, but has to be a multiple of 32, so 64"
    );
    let merge = |run, cols, tmp| {
        let tiles = vec![row(F32, cols), row(F32, cols), row(F32, cols)];
        refusal(tiles, with_tmp(VectorOp::MergeSort { run }, 0, &[1], tmp))
    };
    assert_eq!(merge(32, 512, None), "fine");
    assert_eq!(merge(128, 512, Some(2)), "fine");
    assert_eq!(
        merge(128, 512, None),
        "form: the instruction has no scratch tile"
    );
    assert_eq!(merge(32, 192, None), "shape: 96 pairs are 3 runs of 32");
    assert_eq!(
        merge(16, 512, None),
        "count: the length of a run is 16, but has to be a multiple of 32 pairs, and not 0"
    );
    let gather = |data, index, n| {
        let tiles = vec![row(data, 8), row(data, 256), row(index, n)];
        refusal(tiles, vector(VectorOp::Gather, 0, &[1, 2]))
    };
    assert_eq!(gather(F32, I32, 8), "fine");
    assert_eq!(
        gather(F32, F32, 8),
        "types: tile `t` is f32, which the instruction does not take"
    );
    assert_eq!(
        gather(F32, I32, 16),
        "shape: `t` has 1 x 8 valid elements, but needs 1 x 16"
    );
    let indices = |n| {
        let tiles = vec![row(I32, n), row(F32, 512)];
        refusal(tiles, vector(VectorOp::PairIndices, 0, &[1]))
    };
    assert_eq!(indices(8), "fine");
    assert_eq!(
        indices(264),
        "count: the number of indices is 264, but has to be at most 256"
    );
}

#[test]
fn transfers_convert_nothing_and_fit() {
    let load = |t: Tile, rows, cols| {
        let src = rect("x", Expr::default(), Expr::default(), rows, cols);
        let load = Instr::Load {
            dst: TileRef::new(0),
            src,
        };
        refusal(vec![t], Stmt::Instr(load))
    };
    assert_eq!(
        load(ub("t", DType::F32, 8, 256), 8, 256),
        "types: `x` is bf16, but tile `t` is f32"
    );
    assert_eq!(
        load(ub("t", DType::Bf16, 8, 256), 8, 512),
        "shape: 8 x 512 elements do not fit in tile `t` of 8 x 256"
    );
    assert_eq!(
        load(ub("t", DType::Bf16, 8, 256), 17, 256),
        "count: the number of rows of `x` is 17, but has to be from 1 to 16"
    );
    assert_eq!(
        load(
            tile("t", Space::Ub, DType::Bf16, Layout::ColMajor, 16, 1),
            16,
            1
        ),
        "shape: a column of `x`, which has 4096 columns, is not contiguous"
    );
}
