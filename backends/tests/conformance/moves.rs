//! Cases of what is no vector instruction: transfers, products, scalar reads.

use crate::build::{COUNT, Draft, rect};
use crate::cases::{Case, Want};
use crate::data::{edges, moderate};
use tilewright_backends::data::Tensor;
use tilewright_ir::DType;
use tilewright_ir::graph::Prim;
use tilewright_ir::kernel::{Expr, Instr, IntOp, Layout, Space, TileRef, Var};

fn case(draft: Draft, instruction: &str) -> Case {
    Case {
        draft,
        instruction: instruction.into(),
        ulps: 0,
        want: None,
    }
}

pub fn all() -> Vec<Case> {
    let mut all = vec![];
    for dtype in DType::ALL {
        transfers(dtype, &mut all);
        for (m, k, n) in [(1, 16, 16), (5, 32, 48), (16, 64, 16), (27, 16, 32)] {
            for (trips, rows) in [(1, false), (3, false), (2, true)] {
                all.push(product(dtype, (m, k, n), trips, rows && m > COUNT));
            }
            all.push(pieces(dtype, (m, k, n)));
        }
    }
    for dtype in [DType::I32, DType::U32, DType::I64] {
        all.push(read_scalar(dtype));
    }
    all.push(scalar_unit());
    all.push(arrays());
    all
}

/// Rows of a table through an array into memory.
fn arrays() -> Case {
    let mut d = Draft::new("arrays".into());
    let values: Vec<i64> = (0..60).map(|i| i * i - 700).collect();
    d.array = 40;
    let table = Tensor::from_i64(DType::I32, &[3, 20], &values).unwrap();
    d.inputs.insert("table_i32".into(), table);
    let mut src = rect("table_i32", 2, 20);
    src.row = Expr::constant(1);
    let dst = rect("arrays", 2, 20);
    d.instrs.extend([
        Instr::ReadArray { array: 0, src },
        Instr::WriteArray { dst, array: 0 },
    ]);
    case(d, "read_array and write_array")
}

/// Rectangles of a larger tensor, whole and in part, row-major and as columns.
fn transfers(dtype: DType, all: &mut Vec<Case>) {
    let ub = (Space::Ub, Layout::RowMajor);
    let large = edges(dtype, &[7, 100], 1);
    let source = format!("large_{dtype}");

    // A rectangle from the middle.
    let mut d = Draft::new(format!("rectangle_{dtype}"));
    let tile = d.tile(ub, dtype, (4, 64), (3, 51));
    d.load(tile, &source, large.clone());
    if let Some(Instr::Load { src, .. }) = d.instrs.last_mut() {
        *src = rect(&source, 3, 51);
        (src.row, src.col) = (Expr::constant(2), Expr::constant(33));
    }
    d.store(tile);
    all.push(case(d, "load, store of a rectangle"));

    // Every third row.
    let mut d = Draft::new(format!("rows_apart_{dtype}"));
    let tile = d.tile(ub, dtype, (3, 64), (3, 51));
    d.load(tile, &source, large.clone());
    if let Some(Instr::Load { src, .. }) = d.instrs.last_mut() {
        *src = rect(&source, 3, 51);
        (src.col, src.step) = (Expr::constant(33), 3);
    }
    d.store(tile);
    all.push(case(d, "load of rows apart"));

    // Less than the valid part, in two stores that meet.
    let mut d = Draft::new(format!("halves_{dtype}"));
    let tile = d.tile(ub, dtype, (4, 64), (4, 64));
    d.load(tile, &source, large.clone());
    if let Some(Instr::Load { src, .. }) = d.instrs.last_mut() {
        *src = rect(&source, 4, 60);
    }
    let part = |col: i64, cols: usize| {
        let mut dst = rect(&format!("halves_{dtype}"), 4, cols);
        dst.col = Expr::constant(col);
        let src = TileRef::new(tile);
        Instr::Store { dst, src }
    };
    // The output has the shape of the last store.
    d.instrs.extend([part(0, 60)]);
    all.push(case(d, "load, store of less than is valid"));

    // Some rows over others.
    let mut d = Draft::new(format!("some_rows_{dtype}"));
    let tile = d.tile(ub, dtype, (4, 64), (4, 64));
    d.load(tile, &format!("below_{dtype}"), edges(dtype, &[4, 64], 2));
    d.load(tile, &format!("above_{dtype}"), edges(dtype, &[4, 64], 3));
    if let Some(Instr::Load { dst, .. }) = d.instrs.last_mut() {
        dst.rows = Some(Expr::var(Var::Scalar(0), 1));
    }
    d.store(tile);
    all.push(case(d, "load of some rows"));

    // A column, from a tensor of one column and from a row.
    for (name, shape) in [("column", [29, 1]), ("row", [1, 29])] {
        let mut d = Draft::new(format!("{name}_{dtype}"));
        let tile = d.tile((Space::Ub, Layout::ColMajor), dtype, (32, 1), (29, 1));
        let tensor = edges(dtype, &shape, 4);
        d.load(tile, &format!("{name}_of_{dtype}"), tensor);
        d.store(tile);
        if let (Some(Instr::Store { dst, .. }), "column") = (d.instrs.last_mut(), name) {
            *dst = rect(&format!("{name}_{dtype}"), 29, 1);
        }
        all.push(case(d, "load, store of a column"));
    }
}

/// `[m, trips * k] x [n, trips * k]`, in chunks of k.
fn product(dtype: DType, (m, k, n): (usize, usize, usize), trips: usize, rows: bool) -> Case {
    let counted = if rows { "_rows" } else { "" };
    let mut d = Draft::new(format!("product_{dtype}_{m}_{k}_{n}_{trips}{counted}"));
    let high = m.next_multiple_of(16);
    let a_l1 = d.tile((Space::L1, Layout::Nz), dtype, (high, k), (m, k));
    let b_l1 = d.tile((Space::L1, Layout::Zn), dtype, (k, n), (k, n));
    let a = d.tile((Space::L0a, Layout::Zz), dtype, (high, k), (m, k));
    let b = d.tile((Space::L0b, Layout::Right), dtype, (k, n), (k, n));
    let sum = match dtype {
        DType::I8 => DType::I32,
        _ => DType::F32,
    };
    let acc = d.tile((Space::L0c, Layout::Acc), sum, (high, n), (m, n));
    let left = moderate(dtype, &[m, trips * k], 5);
    let right = moderate(dtype, &[n, trips * k], 6);
    let names = [
        format!("left_{dtype}_{m}_{}", trips * k),
        format!("right_{dtype}_{n}_{}", trips * k),
    ];
    d.inputs.insert(names[0].clone(), left.clone());
    d.inputs.insert(names[1].clone(), right.clone());
    let t = TileRef::new;
    let some = |tile| TileRef {
        rows: rows.then(|| Expr::var(Var::Scalar(0), 1)),
        ..TileRef::new(tile)
    };
    for trip in 0..trips {
        for (tile, name, height) in [(a_l1, &names[0], m), (b_l1, &names[1], n)] {
            let mut src = rect(name, height, k);
            src.col = Expr::constant((trip * k) as i64);
            let dst = t(tile);
            d.instrs.push(Instr::Load { dst, src });
        }
        let moved = [(a, a_l1), (b, b_l1)];
        d.instrs.extend(moved.map(|(dst, src)| Instr::Move {
            dst: t(dst),
            src: t(src),
            from: (0, 0),
        }));
        d.instrs.push(Instr::Matmul {
            // The first product writes all rows, so that there is something in each.
            dst: if trip > 0 { some(acc) } else { t(acc) },
            lhs: if trip > 0 { some(a) } else { t(a) },
            rhs: t(b),
            accumulate: trip > 0,
        });
    }
    d.store(acc);
    let want = (!rows).then_some(Want {
        prim: Prim::MatmulNt,
        operands: vec![left, right],
        tolerance: if dtype == DType::I8 { 0.0 } else { 1e-5 },
        before: None,
    });
    Case {
        want,
        ..case(d, if trips > 1 { "matmul_acc" } else { "matmul" })
    }
}

/// `[m, 2 * k] x [n, 2 * k]`, which is in L1 as a whole and multiplied in two pieces.
fn pieces(dtype: DType, (m, k, n): (usize, usize, usize)) -> Case {
    let mut d = Draft::new(format!("pieces_{dtype}_{m}_{k}_{n}"));
    let (high, whole) = (m.next_multiple_of(16), 2 * k);
    let a_l1 = d.tile((Space::L1, Layout::Nz), dtype, (high, whole), (m, whole));
    let b_l1 = d.tile((Space::L1, Layout::Zn), dtype, (whole, n), (whole, n));
    let a = d.tile((Space::L0a, Layout::Zz), dtype, (high, k), (m, k));
    let b = d.tile((Space::L0b, Layout::Right), dtype, (k, n), (k, n));
    let sum = match dtype {
        DType::I8 => DType::I32,
        _ => DType::F32,
    };
    let acc = d.tile((Space::L0c, Layout::Acc), sum, (high, n), (m, n));
    let left = moderate(dtype, &[m, whole], 5);
    let right = moderate(dtype, &[n, whole], 6);
    let t = TileRef::new;
    for (side, tile, rows, tensor) in [("left", a_l1, m, &left), ("right", b_l1, n, &right)] {
        let name = format!("{side}_{dtype}_{rows}_{whole}");
        d.inputs.insert(name.clone(), tensor.clone());
        let src = rect(&name, rows, whole);
        d.instrs.push(Instr::Load { dst: t(tile), src });
    }
    for piece in 0..2 {
        let first = piece * k;
        let moved = [(a, a_l1, (0, first)), (b, b_l1, (first, 0))];
        d.instrs.extend(moved.map(|(dst, src, from)| Instr::Move {
            dst: t(dst),
            src: t(src),
            from,
        }));
        d.instrs.push(Instr::Matmul {
            dst: t(acc),
            lhs: t(a),
            rhs: t(b),
            accumulate: piece > 0,
        });
    }
    d.store(acc);
    Case {
        want: Some(Want {
            prim: Prim::MatmulNt,
            operands: vec![left, right],
            tolerance: if dtype == DType::I8 { 0.0 } else { 1e-5 },
            before: None,
        }),
        ..case(d, "moves of pieces")
    }
}

/// The row of a table that an element names.
fn read_scalar(dtype: DType) -> Case {
    let mut d = Draft::new(format!("look_up_{dtype}"));
    let ids = Tensor::from_i64(dtype, &[1, 5], &[0, 3, 6, 2, 1]).unwrap();
    let name = format!("ids_{dtype}");
    d.inputs.insert(name.clone(), ids);
    let mut id = rect(&name, 1, 1);
    id.col = Expr::constant(2);
    d.instrs.push(Instr::ReadScalar { dst: 0, src: id });
    let tile = d.tile(
        (Space::Ub, Layout::RowMajor),
        DType::F32,
        (1, 104),
        (1, 100),
    );
    d.load(tile, "large_f32", edges(DType::F32, &[7, 100], 1));
    if let Some(Instr::Load { src, .. }) = d.instrs.last_mut() {
        src.rows = 1;
        src.row = Expr::var(Var::Reg(0), 1);
    }
    d.store(tile);
    case(d, "read_scalar")
}

/// Every operation of the scalar unit on a register, through an array into memory.
fn scalar_unit() -> Case {
    const OPS: [IntOp; 5] = [IntOp::Mul, IntOp::Div, IntOp::Rem, IntOp::Min, IntOp::Max];
    let mut d = Draft::new("scalar_unit".into());
    d.array = OPS.len();
    let ids = Tensor::from_i64(DType::I32, &[1, 5], &[0, 3, 6, 2, 1]).unwrap();
    d.inputs.insert("ids_i32".into(), ids);
    let mut id = rect("ids_i32", 1, 1);
    id.col = Expr::constant(2);
    let register = |r| Expr::var(Var::Reg(r), 1);
    let mut larger = Expr::var(Var::Reg(0), 3);
    larger.base = -1;
    d.instrs.extend([
        Instr::ReadScalar { dst: 0, src: id },
        Instr::SetReg {
            dst: 1,
            value: larger,
        },
    ]);
    for (i, op) in OPS.into_iter().enumerate() {
        let index = Expr::constant(i as i64);
        let mut to = rect("scalar_unit", 1, 1);
        to.col = index.clone();
        d.instrs.extend([
            Instr::Compute {
                dst: 2,
                op,
                lhs: register(1),
                rhs: register(0),
            },
            Instr::ArraySet {
                array: 0,
                index: index.clone(),
                value: register(2),
            },
            Instr::ArrayGet {
                dst: 3,
                array: 0,
                index,
            },
            Instr::WriteScalar {
                dst: to,
                value: register(3),
            },
        ]);
    }
    case(d, "arithmetic, arrays and stores of the scalar unit")
}
