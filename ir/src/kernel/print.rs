//! The canonical text of a kernel program.
//!
//! One line a tile and a statement, in program order, so that `diff` of two programs shows what changed. Instructions
//! have their PTO-ISA names; a rectangle is `tensor[row, column : rows x columns]`; `t[k % 2]` is the slot of a
//! double-buffered tile that trip `k` uses. The text is for people: programs are stored as JSON.

use super::{
    Cond, Effect, Event, Expr, GlobalRef, GlobalTensor, Instr, Kernel, Layout, NotifyOp, Pipe,
    Program, Role, Stmt, Tile, TileRef, Var, VectorOp,
};
use crate::graph::LaunchKind;
use indexmap::IndexMap;
use std::fmt::{self, Display, Formatter, Write};

impl Display for Program {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "program {} for {}", self.name, self.machine)?;
        match self.ranks {
            1 => writeln!(f)?,
            n => writeln!(f, " on {n} ranks")?,
        }
        for (name, t) in &self.tensors {
            writeln!(f, "  {} {name}: {}", t.role.name(), Shape(t))?;
        }
        for (name, most) in &self.scalars {
            writeln!(f, "  scalar {name}: 0..={most}")?;
        }
        for kernel in &self.kernels {
            writeln!(f)?;
            Printed {
                kernel,
                scalars: Some(&self.scalars),
            }
            .kernel(f)?;
        }
        Ok(())
    }
}

/// As in the program, with scalars by their numbers.
impl Display for Kernel {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Printed {
            kernel: self,
            scalars: None,
        }
        .kernel(f)
    }
}

impl Kernel {
    /// The line of one instruction of this kernel.
    pub fn text_of(&self, instr: &Instr) -> String {
        let names = Printed {
            kernel: self,
            scalars: None,
        };
        Line(&names, instr).to_string()
    }
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Role::Input => "input",
            Role::Output => "output",
            Role::Workspace => "workspace",
            Role::Window => "window",
        }
    }
}

impl Layout {
    /// The name in texts.
    pub fn name(self) -> &'static str {
        match self {
            Layout::RowMajor => "row_major",
            Layout::ColMajor => "col_major",
            Layout::Nz => "nz",
            Layout::Zn => "zn",
            Layout::Zz => "zz",
            Layout::Right => "right",
            Layout::Acc => "acc",
        }
    }
}

struct Shape<'a>(&'a GlobalTensor);

impl Display for Shape<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.0.dtype, self.0.shape)
    }
}

/// An instruction as a value to print.
struct Line<'a>(&'a Printed<'a>, &'a Instr);

impl Display for Line<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.instr(f, self.1)
    }
}

/// What the numbers of a kernel are called. A number without a name is printed as one.
struct Printed<'a> {
    kernel: &'a Kernel,
    scalars: Option<&'a IndexMap<String, i64>>,
}

impl Printed<'_> {
    fn kernel(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let k = self.kernel;
        writeln!(f, "kernel {}: {}", k.name, k.unit.name())?;
        if !k.covers.is_empty() {
            writeln!(f, "  covers {}", k.covers.join(", "))?;
        }
        let kind = match k.launch.kind {
            LaunchKind::Parallel => "parallel",
            LaunchKind::Spmd => "spmd",
        };
        write!(f, "  launch {kind}")?;
        for axis in &k.launch.grid {
            write!(f, " {}={}", axis.name, axis.count)?;
        }
        writeln!(f)?;
        if !k.after.is_empty() {
            writeln!(f, "  after {}", k.after.join(", "))?;
        }
        if !k.params.is_empty() {
            write!(f, "  params")?;
            for (name, value) in &k.params {
                write!(f, " {name}={value}")?;
            }
            writeln!(f)?;
        }
        writeln!(f, "  pipeline {}", k.pipeline)?;
        for note in &k.notes {
            writeln!(f, "  note {note}")?;
        }
        for t in &k.tiles {
            tile(f, t)?;
        }
        for a in &k.arrays {
            writeln!(f, "  array {}: i32 [{}]", a.name, a.len)?;
        }
        writeln!(f, "  body")?;
        self.body(f, &k.body, 2)
    }

    fn body(&self, f: &mut Formatter<'_>, body: &[Stmt], depth: usize) -> fmt::Result {
        let indent = |f: &mut Formatter<'_>| write!(f, "{:1$}", "", 2 * depth);
        for s in body {
            indent(f)?;
            match s {
                Stmt::Loop {
                    id,
                    trips,
                    depth: stages,
                    body,
                } => {
                    f.write_str("for ")?;
                    self.counter(f, *id)?;
                    match stages {
                        1 => writeln!(f, " in range({trips})")?,
                        d => writeln!(f, " in pipeline({trips}, stage={d})")?,
                    }
                    self.body(f, body, depth + 1)?;
                }
                Stmt::If {
                    cond,
                    then,
                    otherwise,
                } => {
                    f.write_str("if ")?;
                    match cond {
                        Cond::First(l) => {
                            self.counter(f, *l)?;
                            writeln!(f, " == 0")?;
                        }
                        Cond::Positive(e) => {
                            self.expr(f, e)?;
                            writeln!(f, " > 0")?;
                        }
                        Cond::Zero(e) => {
                            self.expr(f, e)?;
                            writeln!(f, " == 0")?;
                        }
                    }
                    self.body(f, then, depth + 1)?;
                    if !otherwise.is_empty() {
                        indent(f)?;
                        writeln!(f, "else")?;
                        self.body(f, otherwise, depth + 1)?;
                    }
                }
                Stmt::Instr(i) => {
                    self.instr(f, i)?;
                    writeln!(f)?;
                }
                Stmt::Set { src, dst, event } => self.flag(f, "set_flag", *src, *dst, event)?,
                Stmt::Wait { src, dst, event } => self.flag(f, "wait_flag", *src, *dst, event)?,
                Stmt::Barrier(p) => writeln!(f, "pipe_barrier({})", p.name())?,
                Stmt::Part { unit, body } => {
                    writeln!(f, "on {}", unit.name())?;
                    self.body(f, body, depth + 1)?;
                }
                Stmt::SetCross { pipe, flag } => {
                    writeln!(f, "set_cross({}, {flag})", pipe.name())?;
                }
                Stmt::WaitCross { flag } => writeln!(f, "wait_cross({flag})")?,
            }
        }
        Ok(())
    }

    fn flag(
        &self,
        f: &mut Formatter<'_>,
        what: &str,
        src: Pipe,
        dst: Pipe,
        event: &Event,
    ) -> fmt::Result {
        write!(f, "{what}({}, {}, {}", src.name(), dst.name(), event.base)?;
        if let Some((l, depth)) = event.rotate {
            f.write_str(" + ")?;
            self.counter(f, l)?;
            write!(f, " % {depth}")?;
        }
        writeln!(f, ")")
    }

    fn instr(&self, f: &mut Formatter<'_>, i: &Instr) -> fmt::Result {
        let isa = i.kind().row().isa;
        match i {
            Instr::Load { dst, src } => {
                write!(f, "{isa}(")?;
                self.tile(f, dst)?;
                f.write_str(", ")?;
                self.global(f, src)?;
            }
            Instr::Store { dst, src } => {
                write!(f, "{isa}(")?;
                self.global(f, dst)?;
                f.write_str(", ")?;
                self.tile(f, src)?;
            }
            Instr::Move { dst, src, from } => {
                write!(f, "{isa}(")?;
                self.tiles(f, [dst, src])?;
                if *from != (0, 0) {
                    write!(f, ", from [{}, {}]", from.0, from.1)?;
                }
            }
            Instr::Matmul {
                dst,
                lhs,
                rhs,
                accumulate,
            } => {
                write!(f, "{isa}(")?;
                let sum = accumulate.then_some(dst);
                self.tiles(f, [dst].into_iter().chain(sum).chain([lhs, rhs]))?;
            }
            Instr::Vector { op, dst, srcs, tmp } => self.vector(f, op, dst, srcs, tmp.as_ref())?,
            Instr::ReadScalar { dst, src } => {
                write!(f, "r{dst} = {isa}(")?;
                self.global(f, src)?;
            }
            Instr::WriteScalar { dst, value } => {
                write!(f, "{isa}(")?;
                self.global(f, dst)?;
                f.write_str(", ")?;
                self.expr(f, value)?;
            }
            Instr::ReadArray { array, src } => {
                self.array(f, *array)?;
                write!(f, " = {isa}(")?;
                self.global(f, src)?;
            }
            Instr::WriteArray { dst, array } => {
                write!(f, "{isa}(")?;
                self.global(f, dst)?;
                f.write_str(", ")?;
                self.array(f, *array)?;
            }
            Instr::SetReg { dst, value } => {
                write!(f, "r{dst} = ")?;
                return self.expr(f, value);
            }
            Instr::Compute { dst, op, lhs, rhs } => {
                write!(f, "r{dst} = {}(", op.name())?;
                self.expr(f, lhs)?;
                f.write_str(", ")?;
                self.expr(f, rhs)?;
            }
            Instr::ArrayGet { dst, array, index } => {
                write!(f, "r{dst} = ")?;
                return self.element(f, *array, index);
            }
            Instr::ArraySet {
                array,
                index,
                value,
            } => {
                self.element(f, *array, index)?;
                f.write_str(" = ")?;
                return self.expr(f, value);
            }
            Instr::Notify { counter, op, value } => {
                write!(f, "{isa}(")?;
                self.global(f, counter)?;
                f.write_str(match op {
                    NotifyOp::Set => ", = ",
                    NotifyOp::Add => ", += ",
                })?;
                self.expr(f, value)?;
            }
            Instr::WaitCounter { counter, at_least } => {
                write!(f, "{isa}(")?;
                self.global(f, counter)?;
                f.write_str(" >= ")?;
                self.expr(f, at_least)?;
            }
        }
        f.write_char(')')
    }

    /// A vector instruction, up to the bracket at its end.
    fn vector(
        &self,
        f: &mut Formatter<'_>,
        op: &VectorOp,
        dst: &TileRef,
        srcs: &[TileRef],
        tmp: Option<&TileRef>,
    ) -> fmt::Result {
        write!(f, "{}(", op.name())?;
        self.tiles(f, std::iter::once(dst).chain(srcs))?;
        match op.row().effect {
            Effect::Convert(round) => write!(f, ", {}", round.name())?,
            Effect::Constant(_, value) | Effect::Fill(value) => write!(f, ", {value:?}")?,
            Effect::Merge(run) => write!(f, ", run={run}")?,
            Effect::Halves(_) => f.write_str(", halves")?,
            Effect::One(_)
            | Effect::Two(_)
            | Effect::Reduce(..)
            | Effect::Copy
            | Effect::Iota
            | Effect::Sort
            | Effect::Pairs
            | Effect::Gather => {}
        }
        match tmp {
            None => Ok(()),
            Some(t) => {
                f.write_str(", tmp=")?;
                self.tile(f, t)
            }
        }
    }

    fn array(&self, f: &mut Formatter<'_>, array: usize) -> fmt::Result {
        match self.kernel.arrays.get(array) {
            Some(a) => f.write_str(&a.name),
            None => write!(f, "array{array}"),
        }
    }

    fn element(&self, f: &mut Formatter<'_>, array: usize, index: &Expr) -> fmt::Result {
        self.array(f, array)?;
        f.write_char('[')?;
        self.expr(f, index)?;
        f.write_char(']')
    }

    fn tiles<'t>(
        &self,
        f: &mut Formatter<'_>,
        tiles: impl IntoIterator<Item = &'t TileRef>,
    ) -> fmt::Result {
        for (i, t) in tiles.into_iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            self.tile(f, t)?;
        }
        Ok(())
    }

    fn tile(&self, f: &mut Formatter<'_>, t: &TileRef) -> fmt::Result {
        let tile = self.kernel.tiles.get(t.tile);
        match tile {
            Some(tile) => f.write_str(&tile.name)?,
            None => write!(f, "tile{}", t.tile)?,
        }
        if let Some(l) = t.slot {
            f.write_char('[')?;
            self.counter(f, l)?;
            write!(f, " % {}]", tile.map_or(1, |t| t.slots))?;
        }
        if let Some(rows) = &t.rows {
            f.write_str(".rows(")?;
            self.expr(f, rows)?;
            f.write_char(')')?;
        }
        Ok(())
    }

    fn global(&self, f: &mut Formatter<'_>, g: &GlobalRef) -> fmt::Result {
        f.write_str(&g.tensor)?;
        if let Some((rows, cols)) = g.view {
            write!(f, " as {rows} x {cols} ")?;
        }
        f.write_char('[')?;
        self.expr(f, &g.row)?;
        f.write_str(", ")?;
        self.expr(f, &g.col)?;
        write!(f, " : {} x {}", g.rows, g.cols)?;
        if g.step != 1 {
            write!(f, " step {}", g.step)?;
        }
        f.write_char(']')?;
        match &g.peer {
            None => Ok(()),
            Some(peer) => {
                f.write_str(" on ")?;
                self.expr(f, peer)
            }
        }
    }

    fn expr(&self, f: &mut Formatter<'_>, e: &Expr) -> fmt::Result {
        if e.terms.is_empty() {
            return write!(f, "{}", e.base);
        }
        for (i, (v, c)) in e.terms.iter().enumerate() {
            match (i, *c < 0) {
                (0, false) => {}
                (0, true) => f.write_char('-')?,
                (_, false) => f.write_str(" + ")?,
                (_, true) => f.write_str(" - ")?,
            }
            if c.unsigned_abs() != 1 {
                write!(f, "{} * ", c.unsigned_abs())?;
            }
            self.var(f, *v)?;
        }
        match e.base {
            0 => Ok(()),
            b if b < 0 => write!(f, " - {}", b.unsigned_abs()),
            b => write!(f, " + {b}"),
        }
    }

    fn var(&self, f: &mut Formatter<'_>, v: Var) -> fmt::Result {
        match v {
            Var::Grid(i) => match self.kernel.launch.grid.get(i) {
                Some(axis) => f.write_str(&axis.name),
                None => write!(f, "grid{i}"),
            },
            Var::Loop(l) => self.counter(f, l),
            Var::Scalar(i) => match self.scalars.and_then(|s| s.get_index(i)) {
                Some((name, _)) => f.write_str(name),
                None => write!(f, "scalar{i}"),
            },
            Var::Reg(r) => write!(f, "r{r}"),
            Var::Rank => f.write_str("rank"),
            Var::Epoch => f.write_str("epoch"),
            Var::Sub => f.write_str("sub"),
            Var::Turn(l, of) => {
                f.write_char('(')?;
                self.counter(f, l)?;
                write!(f, " % {of})")
            }
        }
    }

    fn counter(&self, f: &mut Formatter<'_>, l: usize) -> fmt::Result {
        match self.kernel.loops.get(l) {
            Some(name) => f.write_str(name),
            None => write!(f, "loop{l}"),
        }
    }
}

fn tile(f: &mut Formatter<'_>, t: &Tile) -> fmt::Result {
    write!(
        f,
        "  tile {}: {} {} {} x {} {}",
        t.name,
        t.space.name(),
        t.dtype,
        t.rows,
        t.cols,
        t.layout.name()
    )?;
    if (t.valid_rows, t.valid_cols) != (t.rows, t.cols) {
        write!(f, " valid {} x {}", t.valid_rows, t.valid_cols)?;
    }
    if t.slots != 1 {
        write!(f, " slots {}", t.slots)?;
    }
    for (i, a) in t.addrs.iter().enumerate() {
        f.write_str(if i == 0 { " at " } else { ", " })?;
        write!(f, "{a:#x}")?;
    }
    writeln!(f)
}
