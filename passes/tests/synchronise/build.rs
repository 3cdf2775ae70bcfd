//! Short ways to write kernels, and their text.

use indexmap::IndexMap;
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::{Binary, LaunchKind, Unary};
use tilewright_ir::kernel::{
    Cond, Event, Expr, GlobalRef, Instr, Kernel, Launch, Layout, LoopId, Space, Stmt, Tile, TileId,
    TileRef, Unit, Var, VectorOp,
};

/// A kernel without statements.
pub fn kernel(loops: &[&str]) -> Kernel {
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
        loops: loops.iter().map(|s| s.to_string()).collect(),
        tiles: vec![],
        registers: 0,
        arrays: vec![],
        after: vec![],
        expected: IndexMap::new(),
        notes: vec![],
        body: vec![],
    }
}

/// Adds a tile of 1024 bytes a slot at the given addresses.
pub fn tile(kernel: &mut Kernel, name: &str, space: Space, addrs: &[usize]) -> TileId {
    kernel.tiles.push(Tile {
        name: name.into(),
        space,
        dtype: DType::F32,
        rows: 1,
        cols: 256,
        valid_rows: 1,
        valid_cols: 256,
        layout: Layout::RowMajor,
        slots: addrs.len(),
        addrs: addrs.to_vec(),
    });
    kernel.tiles.len() - 1
}

pub fn at(tile: TileId, slot: Option<LoopId>) -> TileRef {
    TileRef {
        tile,
        slot,
        rows: None,
    }
}

/// Row `row` of a tensor, 256 columns.
pub fn row(tensor: &str, row: Expr) -> GlobalRef {
    GlobalRef {
        tensor: tensor.into(),
        row,
        col: Expr::constant(0),
        rows: 1,
        cols: 256,
        peer: None,
        step: 1,
        view: None,
    }
}

pub fn each(id: LoopId) -> Expr {
    Expr::var(Var::Loop(id), 1)
}

pub fn load(dst: TileRef, src: GlobalRef) -> Stmt {
    Stmt::Instr(Instr::Load { dst, src })
}

pub fn store(dst: GlobalRef, src: TileRef) -> Stmt {
    Stmt::Instr(Instr::Store { dst, src })
}

pub fn unary(dst: TileRef, src: TileRef) -> Stmt {
    vector(VectorOp::Unary(Unary::Exp), dst, vec![src])
}

pub fn binary(dst: TileRef, a: TileRef, b: TileRef) -> Stmt {
    vector(VectorOp::Binary(Binary::Add), dst, vec![a, b])
}

pub fn vector(op: VectorOp, dst: TileRef, srcs: Vec<TileRef>) -> Stmt {
    Stmt::Instr(Instr::Vector {
        op,
        dst,
        srcs,
        tmp: None,
    })
}

pub fn copy(dst: TileRef, src: TileRef) -> Stmt {
    Stmt::Instr(Instr::Move {
        dst,
        src,
        from: (0, 0),
    })
}

pub fn matmul(dst: TileRef, lhs: TileRef, rhs: TileRef, accumulate: bool) -> Stmt {
    Stmt::Instr(Instr::Matmul {
        dst,
        lhs,
        rhs,
        accumulate,
    })
}

pub fn each_of(id: LoopId, trips: usize, depth: usize, body: Vec<Stmt>) -> Stmt {
    Stmt::Loop {
        id,
        trips,
        depth,
        body,
    }
}

pub fn when(cond: Cond, then: Vec<Stmt>, otherwise: Vec<Stmt>) -> Stmt {
    Stmt::If {
        cond,
        then,
        otherwise,
    }
}

/// One line a statement: the instruction's pipe and its tiles.
pub fn text(kernel: &Kernel) -> String {
    let mut out = String::new();
    print(kernel, &kernel.body, 0, &mut out);
    out
}

fn print(kernel: &Kernel, body: &[Stmt], depth: usize, out: &mut String) {
    let event = |e: &Event| match e.rotate {
        Some((id, width)) => format!("{}+{}%{width}", e.base, kernel.loops[id]),
        None => e.base.to_string(),
    };
    for stmt in body {
        let line = match stmt {
            Stmt::Loop { id, trips, .. } => format!("for {} in 0..{trips}", kernel.loops[*id]),
            Stmt::If { .. } => "if".to_string(),
            Stmt::Instr(i) => {
                let (reads, writes) = i.tiles();
                let names = |list: Vec<&TileRef>| {
                    let names: Vec<_> = list
                        .iter()
                        .map(|t| kernel.tiles[t.tile].name.as_str())
                        .collect();
                    names.join(" ")
                };
                format!(
                    "{}: {} <- {}",
                    kernel.pipe(i).name(),
                    names(writes),
                    names(reads)
                )
            }
            Stmt::Set { src, dst, event: e } => {
                format!("set {}->{} {}", src.name(), dst.name(), event(e))
            }
            Stmt::Wait { src, dst, event: e } => {
                format!("wait {}->{} {}", src.name(), dst.name(), event(e))
            }
            Stmt::Barrier(p) => format!("barrier {}", p.name()),
            Stmt::Part { unit, .. } => format!("on {}", unit.name()),
            Stmt::SetCross { pipe, flag } => format!("set cross {} {flag}", pipe.name()),
            Stmt::WaitCross { flag } => format!("wait cross {flag}"),
        };
        *out += &"  ".repeat(depth);
        *out += line.trim_end();
        *out += "\n";
        match stmt {
            Stmt::Loop { body, .. } | Stmt::Part { body, .. } => {
                print(kernel, body, depth + 1, out);
            }
            Stmt::If {
                then, otherwise, ..
            } => {
                print(kernel, then, depth + 1, out);
                *out += &"  ".repeat(depth);
                *out += "else\n";
                print(kernel, otherwise, depth + 1, out);
            }
            _ => {}
        }
    }
}
