//! The file of one kernel: head comment, constants, types, tiles at their addresses, statements.

use super::error::{EmitError, Fault};
use super::idents::Idents;
use super::index::{Axis, Constants, Sum, count_vars};
use super::manifest::{scalar_arguments, tensor_arguments};
use super::types::{TileType, element};
use indexmap::{IndexMap, IndexSet};
use std::fmt::Write as _;
use tilewright_ir::kernel::{
    Cond, Event, Expr, Instr, Kernel, Pipe, Program, RegId, Space, Stmt, TileId, TileRef, Unit, Var,
};
use tilewright_ir::machine::Machine;

/// Columns of the text.
const WIDTH: usize = 120;
const INDENT: &str = "    ";

/// The text of a kernel's file.
pub(super) fn file(
    program: &Program,
    kernel: &Kernel,
    machine: &Machine,
    notes: &[String],
) -> Result<String, EmitError> {
    for t in &kernel.tiles {
        if t.addrs.len() != t.slots {
            return Err(EmitError::NotAllocated {
                kernel: kernel.name.clone(),
                tile: t.name.clone(),
                addrs: t.addrs.len(),
                slots: t.slots,
            });
        }
    }
    let mut w = Writer::new(program, kernel);
    w.body(&kernel.body)?;
    Ok(w.assemble(machine, notes))
}

/// An object at a tile's address.
struct View {
    tile: TileId,
    ty: TileType,
    /// Bytes after the tile's own address.
    offset: usize,
    name: String,
}

/// What has been declared between two braces.
#[derive(Default)]
struct Scope {
    /// Names of run-time extents.
    counts: Vec<(Expr, usize, String)>,
    /// Objects whose run-time extent has been set.
    set: Vec<String>,
    /// What the surrounding conditions say is positive.
    positive: Option<Expr>,
}

pub(super) struct Writer<'a> {
    pub program: &'a Program,
    pub kernel: &'a Kernel,
    pub constants: Constants,
    ids: Idents,
    tensors: IndexMap<String, String>,
    scalars: IndexMap<usize, String>,
    grid: Vec<String>,
    loops: Vec<String>,
    /// Constants for the loops' trips.
    trips: Vec<String>,
    registers: Vec<String>,
    /// Registers that need a variable at the top of the function.
    wide_registers: Vec<bool>,
    tiles: Vec<String>,
    extents: IndexMap<String, String>,
    views: Vec<View>,
    /// Extents that are known from the start of the function on.
    early: Vec<(Expr, usize, String)>,
    /// Alias templates, by name, with their definitions.
    templates: IndexMap<&'static str, &'static str>,
    merges: Option<String>,
    clamps: bool,
    scopes: Vec<Scope>,
    lines: Vec<String>,
}

impl<'a> Writer<'a> {
    fn new(program: &'a Program, kernel: &'a Kernel) -> Self {
        let mut ids = Idents::default();
        ids.claim(&kernel.name, "");
        let constants = Constants::new(kernel, |name| ids.claim(name, ""));
        let mut tensors = IndexMap::new();
        let mut extents = IndexMap::new();
        for name in tensor_arguments(kernel) {
            let id = ids.claim(&name, "gm");
            let extent = format!("{}_COLS", id.to_ascii_uppercase());
            extents.insert(name.clone(), ids.claim(&extent, ""));
            tensors.insert(name, id);
        }
        let scalars = scalar_arguments(program, kernel)
            .into_iter()
            .filter_map(|i| {
                let (name, _) = program.scalars.get_index(i)?;
                Some((i, ids.claim(name, "arg")))
            })
            .collect();
        let grid = kernel
            .launch
            .grid
            .iter()
            .map(|a| ids.claim(&format!("{}_block", singular(&a.name)), ""))
            .collect();
        let loops: Vec<String> = kernel.loops.iter().map(|n| ids.claim(n, "loop")).collect();
        let trips = loops
            .iter()
            .map(|n| ids.claim(&format!("{}_TRIPS", n.to_ascii_uppercase()), ""))
            .collect();
        let mut registers = vec![String::new(); kernel.registers];
        kernel.visit(&mut |i| {
            if let Instr::ReadScalar { dst, src } = i
                && let Some(name) = registers.get_mut(*dst)
                && name.is_empty()
            {
                *name = ids.claim(singular(&src.tensor), "value");
            }
        });
        let tiles = kernel.tiles.iter().map(|t| ids.claim(&t.name, "tile")).collect();
        Writer {
            program,
            kernel,
            constants,
            ids,
            tensors,
            scalars,
            grid,
            loops,
            trips,
            wide_registers: (0..kernel.registers).map(|r| !is_local(kernel, r)).collect(),
            registers,
            tiles,
            extents,
            views: vec![],
            early: vec![],
            templates: IndexMap::new(),
            merges: None,
            clamps: false,
            scopes: vec![Scope::default()],
            lines: vec![],
        }
    }

    // Statements.

    fn body(&mut self, body: &'a [Stmt]) -> Result<(), EmitError> {
        let statements = body.len();
        for (i, stmt) in body.iter().enumerate() {
            match stmt {
                Stmt::Loop {
                    id, trips, body, ..
                } => {
                    let k = self.loop_name(*id);
                    let name = self.trips.get(*id).cloned().unwrap_or_default();
                    let trips = self.constants.named(&name, *trips as i64);
                    if i > 0 {
                        self.blank();
                    }
                    self.open(&format!("for (int {k} = 0; {k} < {trips}; ++{k}) {{"), None);
                    self.body(body)?;
                    self.close();
                    if i + 1 < statements {
                        self.blank();
                    }
                }
                Stmt::If {
                    cond,
                    then,
                    otherwise,
                } => {
                    let (text, positive) = match cond {
                        Cond::First(id) => (format!("{} == 0", self.loop_name(*id)), None),
                        Cond::Positive(e) => {
                            (self.sum(e, Axis::Rows).positive(), Some(e.clone()))
                        }
                    };
                    self.open(&format!("if ({text}) {{"), positive);
                    self.body(then)?;
                    if !otherwise.is_empty() {
                        self.scopes.pop();
                        self.line("} else {");
                        self.scopes.push(Scope::default());
                        self.body(otherwise)?;
                    }
                    self.close();
                }
                Stmt::Instr(instr) => {
                    self.instr(instr).map_err(|fault| EmitError::Instr {
                        kernel: self.kernel.name.clone(),
                        instr: self.kernel.text_of(instr),
                        fault,
                    })?;
                }
                Stmt::Set { src, dst, event } => self.flag("set_flag", *src, *dst, event),
                Stmt::Wait { src, dst, event } => self.flag("wait_flag", *src, *dst, event),
                Stmt::Barrier(pipe) => self.line(&format!("pipe_barrier(PIPE_{});", pipe.name())),
            }
        }
        Ok(())
    }

    fn flag(&mut self, call: &str, src: Pipe, dst: Pipe, event: &Event) {
        let id = match event.rotate {
            // The names of the others do not exist on a host.
            None if event.base < 4 => format!("EVENT_ID{}", event.base),
            None => format!("(event_t){}", event.base),
            Some((id, depth)) => {
                let turn = format!("{} % {depth}", self.loop_name(id));
                match event.base {
                    0 => format!("(event_t)({turn})"),
                    base => format!("(event_t)({base} + {turn})"),
                }
            }
        };
        self.line(&format!("{call}(PIPE_{}, PIPE_{}, {id});", src.name(), dst.name()));
    }

    // Lines.

    /// A line of the body; long ones are folded.
    pub fn line(&mut self, text: &str) {
        let indent = INDENT.repeat(self.scopes.len());
        fold(&mut self.lines, &indent, text);
    }

    fn blank(&mut self) {
        let opened = self.lines.last().is_none_or(|l| l.ends_with('{') || l.is_empty());
        if !opened {
            self.lines.push(String::new());
        }
    }

    pub fn open(&mut self, text: &str, positive: Option<Expr>) {
        self.line(text);
        self.scopes.push(Scope {
            positive,
            ..Scope::default()
        });
    }

    pub fn close(&mut self) {
        self.scopes.pop();
        self.line("}");
    }

    /// A new name for a variable of the body.
    pub fn fresh(&mut self, name: &str) -> String {
        self.ids.claim(name, "")
    }

    pub fn template(&mut self, name: &'static str, text: &'static str) -> &'static str {
        self.templates.insert(name, text);
        name
    }

    /// The variable that counts what a merge has taken.
    pub fn merge_counts(&mut self) -> String {
        match &self.merges {
            Some(name) => name.clone(),
            None => {
                let name = self.ids.claim("merged_counts", "");
                self.merges = Some(name.clone());
                name
            }
        }
    }

    // Names.

    fn loop_name(&self, id: usize) -> String {
        self.loops.get(id).cloned().unwrap_or_else(|| format!("loop{id}"))
    }

    pub fn sum(&mut self, expr: &Expr, axis: Axis) -> Sum {
        let Writer {
            grid,
            loops,
            scalars,
            registers,
            constants,
            ..
        } = self;
        Sum::new(expr, axis, constants, |v| {
            let name = match v {
                Var::Grid(i) => grid.get(i),
                Var::Loop(i) => loops.get(i),
                Var::Scalar(i) => scalars.get(&i),
                Var::Reg(i) => registers.get(i),
            };
            name.cloned().unwrap_or_default()
        })
    }

    pub fn tensor(&self, name: &str) -> Result<String, Fault> {
        self.tensors.get(name).cloned().ok_or_else(|| Fault::Missing {
            what: format!("tensor `{name}`"),
        })
    }

    /// The constant that is a tensor's number of columns.
    pub fn extent(&mut self, tensor: &str, cols: usize) -> String {
        let name = self.extents.get(tensor).cloned().unwrap_or_default();
        self.constants.named(&name, cols as i64)
    }

    /// Name of a register, and whether it has been declared.
    pub fn register(&self, id: RegId) -> (String, bool) {
        let name = self.registers.get(id).cloned().unwrap_or_default();
        (name, self.wide_registers.get(id).copied().unwrap_or(true))
    }

    // Tiles.

    /// The object that shows a tile as `ty`, in the slot that the operand names.
    pub fn view(&mut self, r: &TileRef, ty: TileType) -> String {
        self.view_at(r, ty, 0, "")
    }

    /// As [`Writer::view`], some bytes after the tile's start.
    pub fn view_at(&mut self, r: &TileRef, ty: TileType, offset: usize, suffix: &str) -> String {
        let slot = self.slot(r);
        let known = self
            .views
            .iter()
            .find(|v| v.tile == r.tile && v.offset == offset && v.ty == ty);
        let name = match known {
            Some(v) => v.name.clone(),
            None => {
                let own = &self.tiles[r.tile];
                let tail = match suffix {
                    "" => ty.suffix(&self.kernel.tiles[r.tile]),
                    s => s.to_owned(),
                };
                let name = match tail.as_str() {
                    "" => own.clone(),
                    tail => self.ids.claim(&format!("{own}_{tail}"), ""),
                };
                let (template, text) = ty.template();
                if let Some(text) = text {
                    self.templates.insert(template, text);
                }
                self.views.push(View {
                    tile: r.tile,
                    ty: ty.clone(),
                    offset,
                    name: name.clone(),
                });
                name
            }
        };
        let object = format!("{name}{slot}");
        self.set_extent(&object, &ty);
        object
    }

    fn slot(&self, r: &TileRef) -> String {
        match (self.kernel.tiles[r.tile].slots, r.slot) {
            (0 | 1, _) => String::new(),
            (_, None) => "[0]".into(),
            (slots, Some(id)) => format!("[{} % {slots}]", self.loop_name(id)),
        }
    }

    /// Sets a run-time extent that depends on where the instruction is.
    fn set_extent(&mut self, object: &str, ty: &TileType) {
        let Some((expr, limit)) = ty.run_time() else {
            return;
        };
        let name = self.count(expr, limit);
        if is_early(expr) || self.scopes.iter().any(|s| s.set.iter().any(|o| o == object)) {
            return;
        }
        let call = extent_call(ty);
        self.line(&format!("{object}.{call}({name});"));
        if let Some(scope) = self.scopes.last_mut() {
            scope.set.push(object.to_owned());
        }
    }

    /// The variable that holds `expr`, at least 0 and at most `limit`; declared here if it is not known yet.
    pub fn count(&mut self, expr: &Expr, limit: usize) -> String {
        let known = self
            .scopes
            .iter()
            .flat_map(|s| &s.counts)
            .chain(&self.early)
            .find(|(e, l, _)| e == expr && *l == limit);
        if let Some((.., name)) = known {
            return name.clone();
        }
        self.clamps = true;
        let name = self.ids.claim("valid_rows", "");
        let entry = (expr.clone(), limit, name.clone());
        if is_early(expr) {
            self.early.push(entry);
        } else {
            let text = self.clamped(expr, limit, &name);
            self.line(&text);
            if let Some(scope) = self.scopes.last_mut() {
                scope.counts.push(entry);
            }
        }
        name
    }

    fn clamped(&mut self, expr: &Expr, limit: usize, name: &str) -> String {
        let n = self.sum(expr, Axis::Rows).text();
        let limit = self.constants.rows(limit as i64);
        format!("const int {name} = Clamp({n}, {limit});")
    }

    /// Whether a surrounding condition says that an extent is not zero.
    pub fn is_positive(&self, expr: &Expr) -> bool {
        self.scopes.iter().any(|s| s.positive.as_ref() == Some(expr))
    }

    // The file.

    fn assemble(mut self, machine: &Machine, notes: &[String]) -> String {
        let preamble = self.preamble(machine);
        let kernel = self.kernel;
        let mut out = self.head(machine, notes);
        out.push_str("\n#include <pto/pto-inst.hpp>\n\nusing namespace pto;\n\n");
        self.constants.used.sort_keys();
        let place = |name: &str| kernel.params.keys().position(|p| p.to_ascii_uppercase() == name);
        self.constants
            .used
            .sort_by_key(|name, _| place(name).unwrap_or(usize::MAX));
        for (name, value) in &self.constants.used {
            let _ = writeln!(out, "constexpr int {name} = {value};");
        }
        if !self.constants.used.is_empty() {
            out.push('\n');
        }
        self.templates.sort_keys();
        for text in self.templates.values() {
            let _ = writeln!(out, "{text}\n");
        }
        if self.clamps {
            out.push_str(
                "// How many of `limit` rows there are if `n` are left.\n\
                 AICORE inline int Clamp(int n, int limit)\n{\n    \
                 return n < 0 ? 0 : (n < limit ? n : limit);\n}\n\n",
            );
        }
        let mut lines = vec![];
        fold(&mut lines, "", &self.signature());
        lines.push("{".into());
        let core = match kernel.unit {
            Unit::Cube => "__DAV_CUBE__",
            Unit::Vector => "__DAV_VEC__",
        };
        lines.push(format!("#if defined({core}) || defined(__CPU_SIM) || defined(__COSTMODEL)"));
        lines.extend(preamble);
        lines.extend(std::mem::take(&mut self.lines));
        lines.push("#endif".into());
        lines.push("}".into());
        for line in lines {
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }

    fn head(&self, machine: &Machine, notes: &[String]) -> String {
        let k = self.kernel;
        let (unit, spaces): (_, &[Space]) = match k.unit {
            Unit::Cube => ("cube", &[Space::L1, Space::L0a, Space::L0b, Space::L0c]),
            Unit::Vector => ("vector", &[Space::Ub]),
        };
        let mut rows: Vec<(&str, String)> = vec![];
        if !k.covers.is_empty() {
            rows.push(("covers", k.covers.join(", ")));
        }
        let blocks = match k.launch.blocks() {
            1 => "1 block".to_owned(),
            n => format!("{n} blocks"),
        };
        let grid: Vec<String> = k
            .launch
            .grid
            .iter()
            .map(|a| format!("{} of {}", a.count, a.name))
            .collect();
        let grid = match grid.as_slice() {
            [] => String::new(),
            axes => format!(": {}", axes.join(" x ")),
        };
        rows.push(("launch", format!("{}, {blocks}{grid}", k.launch.kind.name())));
        let params: Vec<String> = k.params.iter().map(|(n, v)| format!("{n} = {v}")).collect();
        if !params.is_empty() {
            rows.push(("tiles", params.join(", ")));
        }
        let pipeline = match k.pipeline {
            0 | 1 => "none".to_owned(),
            n => format!("{n} loads in flight"),
        };
        rows.push(("pipeline", pipeline));
        let memory: Vec<String> = spaces
            .iter()
            .filter(|s| k.used(**s) > 0)
            .map(|s| {
                let capacity = machine.capacity_of(*s);
                format!("{} {} of {} KiB", s.name().to_uppercase(), kib(k.used(*s)), kib(capacity))
            })
            .collect();
        if !memory.is_empty() {
            rows.push(("memory", memory.join(", ")));
        }
        let mut lines = vec![];
        let title = format!(
            "{}: a {unit} kernel of {}, for {}. Made by tilewright.",
            k.name, self.program.name, self.program.machine
        );
        fold(&mut lines, "// ", &printable(&title));
        lines.push("//".into());
        for (key, text) in rows {
            // Folded lines stand under the text.
            let text = printable(&text);
            let mut folded = vec![];
            fold(&mut folded, "//            ", &text);
            for (i, line) in folded.iter().enumerate() {
                match i {
                    0 => lines.push(format!("//   {key:<9}{}", line.trim_start_matches("//").trim_start())),
                    _ => lines.push(line.clone()),
                }
            }
        }
        if !notes.is_empty() {
            lines.push("//".into());
        }
        for note in notes {
            fold(&mut lines, "// ", &printable(note));
        }
        let mut out = String::new();
        for line in lines {
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }

    fn signature(&self) -> String {
        let tensors = self.tensors.iter().map(|(name, id)| {
            let dtype = self.program.tensors.get(name).map_or("uint8_t", |t| element(t.dtype));
            format!("__gm__ {dtype} *{id}")
        });
        let scalars = self.scalars.values().map(|id| format!("int32_t {id}"));
        let arguments: Vec<String> = tensors.chain(scalars).collect();
        format!("__global__ AICORE void {}({})", self.kernel.name, arguments.join(", "))
    }

    /// Coordinates, tiles and their addresses, extents.
    fn preamble(&mut self, machine: &Machine) -> Vec<String> {
        let body = std::mem::take(&mut self.lines);
        debug_assert_eq!(self.scopes.len(), 1);
        self.coordinates();
        let mut views = std::mem::take(&mut self.views);
        let kernel = self.kernel;
        // A tile as it is declared, then its other views.
        views.sort_by_key(|v| (v.tile, v.ty != TileType::of(&kernel.tiles[v.tile])));
        for space in Space::ALL {
            let views: Vec<&View> = views.iter().filter(|v| kernel.tiles[v.tile].space == space).collect();
            if views.is_empty() {
                continue;
            }
            self.blank();
            self.line(&format!(
                "// {}: {} of {} KiB.",
                space_name(space),
                kib(kernel.used(space)),
                kib(machine.capacity_of(space))
            ));
            for v in &views {
                let ty = v.ty.text(&mut self.constants);
                let slots = match kernel.tiles[v.tile].slots {
                    0 | 1 => String::new(),
                    n => format!("[{n}]"),
                };
                self.line(&format!("{ty} {}{slots};", v.name));
            }
            let top = kernel.used(space);
            let digits = format!("{top:x}").len();
            for v in &views {
                let tile = &kernel.tiles[v.tile];
                for (i, addr) in tile.addrs.iter().enumerate() {
                    let slot = if tile.slots > 1 { format!("[{i}]") } else { String::new() };
                    let addr = addr + v.offset;
                    self.line(&format!("TASSIGN({}{slot}, 0x{addr:0digits$x});", v.name));
                }
            }
            for v in &views {
                // The flag is not initialised; a product of f32 reads it.
                let tile = &kernel.tiles[v.tile];
                let operand = matches!(space, Space::L0a | Space::L0b);
                if operand && tile.dtype == tilewright_ir::DType::F32 {
                    for i in 0..tile.slots {
                        let slot = if tile.slots > 1 { format!("[{i}]") } else { String::new() };
                        self.line(&format!("{}{slot}.SetKAligned(false);", v.name));
                    }
                }
            }
        }
        self.early_extents(&views);
        if let Some(name) = self.merges.clone() {
            self.line(&format!("MrgSortExecutedNumList {name};"));
        }
        for r in 0..self.registers.len() {
            if self.wide_registers[r] && !self.registers[r].is_empty() {
                let name = self.registers[r].clone();
                self.line(&format!("int64_t {name} = 0;"));
            }
        }
        self.blank();
        std::mem::replace(&mut self.lines, body)
    }

    /// Grid coordinates that are used.
    fn coordinates(&mut self) {
        let mut used = IndexSet::new();
        count_vars(&self.kernel.body, &mut |v| {
            if let Var::Grid(i) = v {
                used.insert(i);
            }
        });
        let grid = &self.kernel.launch.grid;
        let one_axis = grid.iter().filter(|a| a.count > 1).count() <= 1;
        for (i, axis) in grid.iter().enumerate() {
            if !used.contains(&i) {
                continue;
            }
            let inner: usize = grid[i + 1..].iter().map(|a| a.count).product();
            let mut text = "get_block_idx()".to_owned();
            if !one_axis {
                if inner > 1 {
                    text = format!("{text} / {inner}");
                }
                if grid[..i].iter().any(|a| a.count > 1) {
                    text = format!("{text} % {}", axis.count);
                }
            }
            let name = self.grid[i].clone();
            self.line(&format!("const int {name} = {text};"));
        }
    }

    /// Extents that depend on arguments and the block only.
    fn early_extents(&mut self, views: &[View]) {
        let early = std::mem::take(&mut self.early);
        for (expr, limit, name) in &early {
            self.blank();
            let text = self.clamped(expr, *limit, name);
            self.line(&text);
            for v in views {
                if v.ty.run_time() != Some((expr, *limit)) {
                    continue;
                }
                let call = extent_call(&v.ty);
                let tile = &self.kernel.tiles[v.tile];
                for i in 0..tile.slots {
                    let slot = if tile.slots > 1 { format!("[{i}]") } else { String::new() };
                    self.line(&format!("{}{slot}.{call}({name});", v.name));
                }
            }
        }
    }
}

/// How a type's run-time extent is set.
fn extent_call(ty: &TileType) -> &'static str {
    match ty.valid_rows {
        super::types::Count::RunTime(..) => "SetValidRow",
        super::types::Count::Fixed(_) => "SetValidCol",
    }
}

/// Known before the first statement.
fn is_early(expr: &Expr) -> bool {
    expr.terms
        .iter()
        .all(|(v, _)| matches!(v, Var::Grid(_) | Var::Scalar(_)))
}

/// Whether every use of a register stands after its only read in the same list of statements, or inside of what stands there.
fn is_local(kernel: &Kernel, register: RegId) -> bool {
    fn uses(body: &[Stmt], register: RegId) -> usize {
        let mut n = 0;
        count_vars(body, &mut |v| n += usize::from(v == Var::Reg(register)));
        n
    }
    fn list<'b>(body: &'b [Stmt], register: RegId, reads: &mut Vec<&'b [Stmt]>) {
        for (i, stmt) in body.iter().enumerate() {
            match stmt {
                Stmt::Instr(Instr::ReadScalar { dst, .. }) if *dst == register => {
                    reads.push(&body[i + 1..]);
                }
                Stmt::Loop { body, .. } => list(body, register, reads),
                Stmt::If {
                    then, otherwise, ..
                } => {
                    list(then, register, reads);
                    list(otherwise, register, reads);
                }
                _ => {}
            }
        }
    }
    let mut reads = vec![];
    list(&kernel.body, register, &mut reads);
    match reads.as_slice() {
        [after] => uses(after, register) == uses(&kernel.body, register),
        _ => false,
    }
}

fn singular(name: &str) -> &str {
    match name.strip_suffix('s') {
        Some(one) if !one.is_empty() && !one.ends_with('s') => one,
        _ => name,
    }
}

fn space_name(space: Space) -> &'static str {
    match space {
        Space::Ub => "Unified buffer",
        Space::L1 => "L1",
        Space::L0a => "L0A",
        Space::L0b => "L0B",
        Space::L0c => "L0C",
    }
}

/// Bytes in KiB, with one decimal where it is not whole.
fn kib(bytes: usize) -> String {
    match bytes % 1024 {
        0 => (bytes / 1024).to_string(),
        _ => format!("{:.1}", bytes as f64 / 1024.0),
    }
}

/// One line without what would end a comment.
fn printable(text: &str) -> String {
    let clean: String = text
        .chars()
        .map(|c| if c.is_control() || c == '\\' { ' ' } else { c })
        .collect();
    clean.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Adds `text` in lines of at most [`WIDTH`] columns, broken after a comma or before an operator where there is one. The rest
/// of a statement stands deeper.
fn fold(lines: &mut Vec<String>, indent: &str, text: &str) {
    let deeper = match indent.starts_with("//") {
        true => indent.to_owned(),
        false => format!("{indent}{INDENT}"),
    };
    let mut indent = indent;
    let mut rest = text;
    loop {
        let room = WIDTH.saturating_sub(indent.len()).max(40);
        let at = (rest.chars().count() > room)
            .then(|| break_at(rest, room))
            .flatten();
        let Some(at) = at else {
            lines.push(format!("{indent}{rest}"));
            return;
        };
        lines.push(format!("{indent}{}", rest[..at].trim_end()));
        rest = rest[at..].trim_start();
        indent = &deeper;
    }
}

/// Where to break a line that has no more than `room` columns.
fn break_at(text: &str, room: usize) -> Option<usize> {
    let end = text.char_indices().nth(room).map_or(text.len(), |(i, _)| i);
    let head = &text[..end];
    // Not within a list of template arguments, where it can be helped.
    let call = head.rfind(">(").map(|i| i + 2);
    let comma = head.rfind(", ").map(|i| i + 1);
    [call.filter(|_| head.starts_with("TMRGSORT<")), comma]
        .into_iter()
        .flatten()
        .find(|i| *i > end / 3)
        .or_else(|| head.rfind(" + "))
        .or_else(|| head.rfind(' '))
        .filter(|i| *i > 0)
}
