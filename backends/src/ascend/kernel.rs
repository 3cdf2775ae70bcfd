//! The statements of a kernel, and the names, objects and constants that they use.

use super::Lines;
use super::error::{EmitError, Fault};
use super::reserved::RESERVED;
use super::text::{INDENT, fold};
use super::types::TileType;
use crate::emitter::idents::Idents;
use crate::emitter::index::{Axis, Constants, Sum, count_vars};
use crate::emitter::manifest::{scalar_arguments, tensor_arguments};
use crate::emitter::singular;
use indexmap::IndexMap;
use tilewright_ir::kernel::{
    Cond, Event, Expr, Instr, Kernel, Pipe, Program, RegId, Stmt, Tile, TileId, TileRef, Var,
};
use tilewright_ir::machine::Machine;

/// The text of a kernel's file.
pub(super) fn file(
    program: &Program,
    kernel: &Kernel,
    machine: &Machine,
    notes: &[String],
) -> Result<(String, Lines), EmitError> {
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
    w.body(&kernel.body, "")?;
    Ok(w.assemble(machine, notes))
}

/// An object at a tile's address.
pub(super) struct View {
    pub tile: TileId,
    pub ty: TileType,
    /// Bytes after the tile's own address.
    pub offset: usize,
    pub name: String,
}

impl View {
    /// A comment for objects that are not the tile as it is declared.
    pub fn note(&self, tile: &Tile, name: &str, all: &[&View]) -> String {
        let known = all.iter().any(|v| v.name == name);
        let mut parts = self.ty.words(tile);
        if self.offset > 0 {
            parts.push(format!("from byte {} on", self.offset));
        }
        match (known, parts.is_empty()) {
            _ if name == self.name => String::new(),
            (_, true) => String::new(),
            (true, false) => format!("  // {name}, {}", parts.join(", ")),
            (false, false) => format!("  // {}", parts.join(", ")),
        }
    }
}

/// Names of the arguments that tell a kernel of which rank and layer run it is.
pub(super) struct RankArguments {
    pub rank: String,
    pub epoch: String,
    /// Where the window memory of every rank begins, as this rank sees it.
    pub bases: String,
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
    pub(super) program: &'a Program,
    pub(super) kernel: &'a Kernel,
    pub(super) constants: Constants,
    pub(super) ids: Idents,
    pub(super) tensors: IndexMap<String, String>,
    pub(super) scalars: IndexMap<usize, String>,
    pub(super) grid: Vec<String>,
    /// Constants for the axes of the grid.
    pub(super) blocks: Vec<String>,
    pub(super) loops: Vec<String>,
    /// Constants for the loops' trips.
    pub(super) trips: Vec<String>,
    /// The loops' trips.
    counts: Vec<usize>,
    pub(super) registers: Vec<String>,
    /// Registers that need a variable at the top of the function.
    pub(super) wide_registers: Vec<bool>,
    pub(super) arrays: Vec<String>,
    /// The arguments that every kernel of several ranks may use.
    pub(super) ranks: RankArguments,
    pub(super) tiles: Vec<String>,
    pub(super) extents: IndexMap<String, String>,
    pub(super) views: Vec<View>,
    /// Extents that are known from the start of the function on.
    pub(super) early: Vec<(Expr, usize, String)>,
    /// Alias templates, by name, with their definitions.
    pub(super) templates: IndexMap<&'static str, &'static str>,
    pub(super) merges: Option<String>,
    pub(super) clamps: bool,
    /// Whether counters are used.
    pub(super) signals: bool,
    scopes: Vec<Scope>,
    pub(super) lines: Vec<String>,
    /// Index in `lines` at which the last call, `for` or `if` begins.
    call: usize,
    /// The same for each statement, by its path.
    pub(super) statements: IndexMap<String, usize>,
}

impl<'a> Writer<'a> {
    fn new(program: &'a Program, kernel: &'a Kernel) -> Self {
        let mut ids = Idents::new(RESERVED);
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
        let blocks = kernel
            .launch
            .grid
            .iter()
            .map(|a| format!("{}_BLOCKS", singular(&a.name).to_ascii_uppercase()))
            .map(|name| ids.claim(&name, ""))
            .collect();
        let loops: Vec<String> = kernel.loops.iter().map(|n| ids.claim(n, "loop")).collect();
        let trips = loops
            .iter()
            .map(|n| ids.claim(&format!("{}_TRIPS", n.to_ascii_uppercase()), ""))
            .collect();
        let mut registers = vec![String::new(); kernel.registers];
        let arrays: Vec<String> = kernel
            .arrays
            .iter()
            .map(|a| ids.claim(&a.name, "array"))
            .collect();
        let ranks = RankArguments {
            rank: ids.claim("rank", "arg"),
            epoch: ids.claim("epoch", "arg"),
            bases: ids.claim("peer_bases", "arg"),
        };
        kernel.visit(&mut |i| {
            if let Some(dst) = i.register()
                && let Some(name) = registers.get_mut(dst)
                && name.is_empty()
            {
                let word = match i {
                    Instr::ReadScalar { src, .. } => singular(&src.tensor).to_owned(),
                    Instr::ArrayGet { array, .. } => {
                        let array = kernel.arrays.get(*array);
                        array.map_or("value", |a| singular(&a.name)).to_owned()
                    }
                    _ => format!("r{dst}"),
                };
                *name = ids.claim(&word, "value");
            }
        });
        let tiles = kernel
            .tiles
            .iter()
            .map(|t| ids.claim(&t.name, "tile"))
            .collect();
        Writer {
            program,
            kernel,
            constants,
            ids,
            tensors,
            scalars,
            grid,
            blocks,
            loops,
            trips,
            counts: kernel.trips(),
            wide_registers: (0..kernel.registers)
                .map(|r| !is_local(kernel, r))
                .collect(),
            registers,
            arrays,
            ranks,
            tiles,
            extents,
            views: vec![],
            early: vec![],
            templates: IndexMap::new(),
            merges: None,
            clamps: false,
            signals: false,
            scopes: vec![Scope::default()],
            lines: vec![],
            call: 0,
            statements: IndexMap::new(),
        }
    }

    // Statements.

    /// Statements of one list; `prefix` is the index path up to it.
    fn body(&mut self, body: &'a [Stmt], prefix: &str) -> Result<(), EmitError> {
        let statements = body.len();
        let outermost = self.scopes.len() == 1;
        let is_wait = |s: &Stmt| matches!(s, Stmt::Wait { .. });
        let drain = body.iter().rposition(|s| !is_wait(s)).map_or(0, |i| i + 1);
        for (i, stmt) in body.iter().enumerate() {
            if outermost && i == 0 && matches!(stmt, Stmt::Set { .. }) {
                self.line("// Every buffer is free to be written.");
            }
            if outermost && i == drain && drain > 0 {
                self.blank();
                self.line("// No flag stays set.");
            }
            let path = format!("{prefix}{i}");
            match stmt {
                Stmt::Loop {
                    id,
                    trips,
                    depth,
                    body,
                } => {
                    let k = self.loop_name(*id);
                    let name = self.trips.get(*id).cloned().unwrap_or_default();
                    let trips = self.constants.named(&name, *trips as i64);
                    if i > 0 {
                        self.blank();
                    }
                    if *depth > 1 {
                        self.line(&format!(
                            "// Trips overlap: what is moved has {depth} buffers."
                        ));
                    }
                    // What a later trip computes anew is not known before.
                    for register in registers_of(body) {
                        self.forget(register);
                    }
                    self.open(&format!("for (int {k} = 0; {k} < {trips}; ++{k}) {{"), None);
                    self.statements.insert(path.clone(), self.call);
                    self.body(body, &format!("{path}."))?;
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
                        Cond::Positive(e) => (self.sum(e, Axis::Rows).positive(), Some(e.clone())),
                        Cond::Zero(e) => (self.sum(e, Axis::Rows).zero(), None),
                    };
                    self.open(&format!("if ({text}) {{"), positive);
                    self.statements.insert(path.clone(), self.call);
                    self.body(then, &format!("{path}.then."))?;
                    if !otherwise.is_empty() {
                        self.scopes.pop();
                        self.line("} else {");
                        self.scopes.push(Scope::default());
                        self.body(otherwise, &format!("{path}.else."))?;
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
            // Loops and conditions have theirs from before their bodies.
            self.statements.entry(path).or_insert(self.call);
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
        self.line(&format!(
            "{call}(PIPE_{}, PIPE_{}, {id});",
            src.name(),
            dst.name()
        ));
    }

    // Lines.

    /// A line of the body; long ones are folded.
    pub fn line(&mut self, text: &str) {
        let indent = INDENT.repeat(self.scopes.len());
        if !text.starts_with(['}', '/']) {
            self.call = self.lines.len();
        }
        fold(&mut self.lines, &indent, text);
    }

    pub(super) fn blank(&mut self) {
        let opened = self
            .lines
            .last()
            .is_none_or(|l| l.ends_with('{') || l.is_empty());
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
        self.loops
            .get(id)
            .cloned()
            .unwrap_or_else(|| format!("loop{id}"))
    }

    pub fn sum(&mut self, expr: &Expr, axis: Axis) -> Sum {
        let Writer {
            kernel,
            grid,
            blocks,
            loops,
            trips,
            counts,
            scalars,
            registers,
            ranks,
            constants,
            ..
        } = self;
        let name = |v| {
            let name = match v {
                Var::Grid(i) => grid.get(i),
                Var::Loop(i) => loops.get(i),
                Var::Scalar(i) => scalars.get(&i),
                Var::Reg(i) => registers.get(i),
                Var::Rank => Some(&ranks.rank),
                Var::Epoch => Some(&ranks.epoch),
            };
            name.cloned().unwrap_or_default()
        };
        let extent = |v| match v {
            Var::Grid(i) => Some((
                kernel.launch.grid.get(i)?.count as i64,
                blocks.get(i)?.clone(),
            )),
            Var::Loop(i) => Some((*counts.get(i)? as i64, trips.get(i)?.clone())),
            Var::Scalar(_) | Var::Reg(_) | Var::Rank | Var::Epoch => None,
        };
        Sum::new(expr, axis, constants, name, extent)
    }

    pub fn tensor(&self, name: &str) -> Result<String, Fault> {
        self.tensors
            .get(name)
            .cloned()
            .ok_or_else(|| Fault::Missing {
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

    /// A register has a new value: what was computed from it is not known any more.
    pub(super) fn forget(&mut self, register: RegId) {
        let of = |e: &Expr| e.terms.iter().any(|(v, _)| *v == Var::Reg(register));
        for scope in &mut self.scopes {
            let gone = scope.counts.len();
            scope.counts.retain(|(e, ..)| !of(e));
            if scope.counts.len() < gone {
                scope.set.clear();
            }
            if scope.positive.as_ref().is_some_and(of) {
                scope.positive = None;
            }
        }
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
        if is_early(expr)
            || self
                .scopes
                .iter()
                .any(|s| s.set.iter().any(|o| o == object))
        {
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

    pub(super) fn clamped(&mut self, expr: &Expr, limit: usize, name: &str) -> String {
        let n = self.sum(expr, Axis::Rows).text();
        let limit = self.constants.of(Axis::Rows, limit as i64);
        format!("const int {name} = Clamp({n}, {limit});")
    }

    /// Whether a surrounding condition says that an extent is not zero.
    pub fn is_positive(&self, expr: &Expr) -> bool {
        self.scopes
            .iter()
            .any(|s| s.positive.as_ref() == Some(expr))
    }
}

/// How a type's run-time extent is set.
pub(super) fn extent_call(ty: &TileType) -> &'static str {
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

/// Whether every use of a register stands after what fills it in the same list of statements, or inside of what stands
/// there.
fn is_local(kernel: &Kernel, register: RegId) -> bool {
    fn uses(body: &[Stmt], register: RegId) -> usize {
        let mut n = 0;
        count_vars(body, &mut |v| n += usize::from(v == Var::Reg(register)));
        n
    }
    fn list<'b>(body: &'b [Stmt], register: RegId, reads: &mut Vec<&'b [Stmt]>) {
        for (i, stmt) in body.iter().enumerate() {
            match stmt {
                Stmt::Instr(instr) if instr.register() == Some(register) => {
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

/// Registers that some statements fill.
fn registers_of(body: &[Stmt]) -> Vec<RegId> {
    let mut out = vec![];
    let mut stack: Vec<&Stmt> = body.iter().collect();
    while let Some(stmt) = stack.pop() {
        match stmt {
            Stmt::Loop { body, .. } => stack.extend(body),
            Stmt::If {
                then, otherwise, ..
            } => stack.extend(then.iter().chain(otherwise)),
            Stmt::Instr(i) => out.extend(i.register()),
            Stmt::Set { .. } | Stmt::Wait { .. } | Stmt::Barrier(_) => {}
        }
    }
    out
}
