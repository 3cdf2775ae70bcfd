//! The statements of a kernel, and the names of what they use.

use super::error::{Fault, Refused};
use super::format::{INDENT, statement};
use super::reserved::RESERVED;
use super::scope::{Variable, declarations, statements};
use super::value::{Rows, Value};
use crate::emitter::idents::Idents;
use crate::emitter::index::{Axis, Constants, Sum};
use crate::emitter::manifest::{scalar_arguments, tensor_arguments};
use crate::emitter::singular;
use indexmap::IndexMap;
use tilewright_ir::kernel::{
    Cond, Expr, Instr, Kernel, Program, RegId, Role, Space, Stmt, Tile, TileId, TileRef, Var,
};

/// What has been assigned between here and the end of the block.
#[derive(Default)]
struct Scope {
    /// Names of rows that are counted at run time.
    counts: Vec<(Expr, usize, String)>,
    /// What the condition of the block says is positive.
    positive: Option<Expr>,
}

pub(super) struct Writer<'a> {
    pub(super) program: &'a Program,
    pub(super) kernel: &'a Kernel,
    /// The function's name.
    pub(super) function: String,
    pub(super) constants: Constants,
    pub(super) tensors: IndexMap<String, String>,
    pub(super) scalars: IndexMap<usize, String>,
    pub(super) grid: Vec<String>,
    /// Constants for the axes of the grid.
    pub(super) blocks: Vec<String>,
    /// The index of a block, of a launch that counts blocks over several axes.
    pub(super) block: String,
    loops: Vec<String>,
    /// Constants for the loops' trips.
    trips: Vec<String>,
    counts: Vec<usize>,
    registers: Vec<String>,
    pub(super) arrays: Vec<String>,
    tiles: Vec<String>,
    ids: Idents,
    /// What the variables of tiles hold here.
    pub(super) values: IndexMap<TileId, Value>,
    scopes: Vec<Scope>,
    pub(super) depth: usize,
    pub(super) lines: Vec<String>,
}

impl<'a> Writer<'a> {
    pub fn new(program: &'a Program, kernel: &'a Kernel, function: &str) -> Self {
        let mut ids = Idents::new(RESERVED);
        ids.claim(function, "");
        let constants = Constants::new(kernel, |name| ids.claim(name, ""));
        let tensors = tensor_arguments(kernel)
            .into_iter()
            .map(|name| {
                let id = ids.claim(&name, "gm");
                (name, id)
            })
            .collect();
        let scalars = scalar_arguments(program, kernel)
            .into_iter()
            .filter_map(|i| {
                let (name, _) = program.scalars.get_index(i)?;
                Some((i, ids.claim(name, "arg")))
            })
            .collect();
        let axes = &kernel.launch.grid;
        let grid = axes
            .iter()
            .map(|a| ids.claim(&format!("{}_block", singular(&a.name)), ""))
            .collect();
        let blocks = axes
            .iter()
            .map(|a| format!("{}_BLOCKS", singular(&a.name).to_ascii_uppercase()))
            .map(|name| ids.claim(&name, ""))
            .collect();
        let block = ids.claim("block", "");
        let loops: Vec<String> = kernel.loops.iter().map(|n| ids.claim(n, "loop")).collect();
        let trips = loops
            .iter()
            .map(|n| ids.claim(&format!("{}_TRIPS", n.to_ascii_uppercase()), ""))
            .collect();
        let arrays: Vec<String> = kernel
            .arrays
            .iter()
            .map(|a| ids.claim(&a.name, "array"))
            .collect();
        let mut registers = vec![String::new(); kernel.registers];
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
            function: function.to_owned(),
            constants,
            tensors,
            scalars,
            grid,
            blocks,
            block,
            loops,
            trips,
            counts: kernel.trips(),
            registers,
            arrays,
            tiles,
            ids,
            values: IndexMap::new(),
            scopes: vec![Scope::default()],
            depth: 0,
            lines: vec![],
        }
    }

    // Statements.

    /// The kernel's statements, `depth` blocks deep.
    pub fn statements(&mut self, depth: usize) -> Result<(), Refused> {
        self.depth = depth;
        for (array, name) in self.kernel.arrays.iter().zip(self.arrays.clone()) {
            self.line(&format!(
                "{name} = pl.array.create({}, pl.INT32)",
                array.len
            ));
        }
        let body = statements(&self.kernel.body, &mut vec![]);
        let early = declarations(self.kernel, &body);
        self.body(&body, "", &early)
    }

    fn body(
        &mut self,
        body: &[Stmt],
        prefix: &str,
        early: &IndexMap<String, Vec<Variable>>,
    ) -> Result<(), Refused> {
        if body.is_empty() {
            self.line("pass");
        }
        for (i, stmt) in body.iter().enumerate() {
            let path = format!("{prefix}{i}");
            for v in early.get(&path).into_iter().flatten() {
                self.declare(*v);
            }
            match stmt {
                Stmt::Loop {
                    id,
                    trips,
                    depth,
                    body,
                } => {
                    let k = self.loops.get(*id).cloned().unwrap_or_default();
                    let name = self.trips.get(*id).cloned().unwrap_or_default();
                    let trips = self.constants.named(&name, *trips as i64);
                    let range = match depth {
                        0 | 1 => format!("pl.range({trips})"),
                        stages => format!("pl.pipeline({trips}, stage={stages})"),
                    };
                    let before = self.enter_loop(body);
                    self.open(&format!("for {k} in {range}:"));
                    self.body(body, &format!("{path}."), early)?;
                    self.close();
                    self.join(&before);
                }
                Stmt::If {
                    cond,
                    then,
                    otherwise,
                } => {
                    let text = match cond {
                        Cond::First(id) => {
                            format!("{} == 0", self.loops.get(*id).cloned().unwrap_or_default())
                        }
                        Cond::Positive(e) => {
                            self.allowed(e)
                                .map_err(|f| self.refused("a condition", f))?;
                            self.sum(e, Axis::Rows).positive()
                        }
                        Cond::Zero(e) => {
                            self.allowed(e)
                                .map_err(|f| self.refused("a condition", f))?;
                            self.sum(e, Axis::Rows).zero()
                        }
                    };
                    let before = self.values.clone();
                    self.open(&format!("if {text}:"));
                    if let (Cond::Positive(e), Some(scope)) = (cond, self.scopes.last_mut()) {
                        scope.positive = Some(e.clone());
                    }
                    self.body(then, &format!("{path}.then."), early)?;
                    self.close();
                    let left = std::mem::replace(&mut self.values, before);
                    if !otherwise.is_empty() {
                        self.open("else:");
                        self.body(otherwise, &format!("{path}.else."), early)?;
                        self.close();
                    }
                    self.join(&left);
                }
                Stmt::Instr(instr) => {
                    let text = |w: &Self| w.kernel.text_of(instr);
                    self.instr(instr)
                        .map_err(|f| self.refused(&text(self), f))?;
                }
                Stmt::Set { .. } | Stmt::Wait { .. } | Stmt::Barrier(_) => {}
            }
        }
        Ok(())
    }

    fn refused(&self, instr: &str, fault: Fault) -> Refused {
        Refused {
            kernel: self.kernel.name.clone(),
            instr: instr.to_owned(),
            fault,
        }
    }

    /// What is known of tiles at the end of two ways.
    fn join(&mut self, other: &IndexMap<TileId, Value>) {
        self.values.retain(|tile, value| {
            let Some(b) = other.get(tile) else {
                return false;
            };
            if value.filled != b.filled {
                value.filled = None;
            }
            value.is_like(b)
        });
    }

    /// What a later trip assigns anew is not known before the loop. Returns what is known at its start.
    fn enter_loop(&mut self, body: &[Stmt]) -> IndexMap<TileId, Value> {
        let mut stack: Vec<&Stmt> = body.iter().collect();
        while let Some(stmt) = stack.pop() {
            match stmt {
                Stmt::Loop { body, .. } => stack.extend(body),
                Stmt::If {
                    then, otherwise, ..
                } => stack.extend(then.iter().chain(otherwise)),
                Stmt::Instr(i) => {
                    if let Some(register) = i.register() {
                        self.forget(register);
                    }
                    for r in i.tiles().1 {
                        if let Some(value) = self.values.get_mut(&r.tile) {
                            value.filled = None;
                        }
                    }
                }
                Stmt::Set { .. } | Stmt::Wait { .. } | Stmt::Barrier(_) => {}
            }
        }
        self.values.clone()
    }

    /// Makes a variable that is assigned in a block below.
    fn declare(&mut self, v: Variable) {
        match v {
            Variable::Register(r) => {
                let name = self.register(r);
                self.line(&format!("{name} = pl.const(0, pl.INDEX)"));
            }
            Variable::Tile(id) => {
                let Some(tile) = self.kernel.tiles.get(id) else {
                    return;
                };
                // What it is assigned below has one extent, if that is known here.
                let rows = self.rows_of(id);
                let wanted = Value::of(tile, rows.as_ref());
                let text = self.create(tile, &wanted);
                let name = self.tiles[id].clone();
                let value = Value::whole(wanted.rows, wanted.cols);
                let text = self.narrowed(tile, text, &value, &wanted);
                self.line(&format!("{name} = {text}"));
                self.values.insert(id, wanted);
            }
        }
    }

    /// The count of rows with which a tile is always written, where it is known.
    fn rows_of(&self, id: TileId) -> Option<Expr> {
        let mut counts = vec![];
        self.kernel.visit(&mut |i| {
            let writes = i.tiles().1;
            counts.extend(writes.into_iter().filter(|r| r.tile == id).map(|r| &r.rows));
        });
        let first = (*counts.first()?).clone()?;
        let known = self.is_positive(&first) || is_early(&first);
        (known && counts.iter().all(|c| c.as_ref() == Some(&first))).then_some(first)
    }

    /// Whether a condition around here says that an expression is positive.
    fn is_positive(&self, e: &Expr) -> bool {
        self.scopes.iter().any(|s| s.positive.as_ref() == Some(e))
    }

    // Lines.

    pub fn line(&mut self, text: &str) {
        let indent = INDENT.repeat(self.depth);
        statement(&mut self.lines, &indent, text);
    }

    pub fn open(&mut self, text: &str) {
        self.line(text);
        self.depth += 1;
        self.scopes.push(Scope::default());
    }

    pub fn close(&mut self) {
        self.depth -= 1;
        self.scopes.pop();
    }

    pub fn fresh(&mut self, name: &str) -> String {
        self.ids.claim(name, "")
    }

    // Names.

    /// Whether an expression is of what a kernel of one rank knows.
    pub fn allowed(&self, e: &Expr) -> Result<(), Fault> {
        let of_rank = |v: &Var| matches!(v, Var::Rank | Var::Epoch);
        match e.terms.iter().any(|(v, _)| of_rank(v)) {
            true => Err(Fault::Rank),
            false => Ok(()),
        }
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
            constants,
            ..
        } = self;
        let name = |v| {
            let name = match v {
                Var::Grid(i) => grid.get(i),
                Var::Loop(i) => loops.get(i),
                Var::Scalar(i) => scalars.get(&i),
                Var::Reg(i) => registers.get(i),
                Var::Rank | Var::Epoch => None,
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

    pub fn value_text(&mut self, e: &Expr) -> Result<String, Fault> {
        self.allowed(e)?;
        Ok(self.sum(e, Axis::Rows).text())
    }

    pub fn register(&self, id: RegId) -> String {
        self.registers.get(id).cloned().unwrap_or_default()
    }

    /// A register's new value.
    pub fn fill(&mut self, dst: RegId, value: &str) {
        self.forget(dst);
        let name = self.register(dst);
        self.line(&format!("{name} = {value}"));
    }

    /// A register has a new value: what was computed from it is not known any more.
    fn forget(&mut self, register: RegId) {
        let of = |e: &Expr| e.terms.iter().any(|(v, _)| *v == Var::Reg(register));
        for scope in &mut self.scopes {
            scope.counts.retain(|(e, ..)| !of(e));
        }
        self.values.retain(|_, value| match &value.valid_rows {
            Rows::Counted(e, _) => !of(e),
            Rows::Fixed(_) => true,
        });
    }

    /// The parameter of a tensor, which must not be a window.
    pub fn tensor(&self, name: &str) -> Result<String, Fault> {
        let tensor = self.program.tensors.get(name);
        if tensor.is_some_and(|t| t.role == Role::Window) {
            return Err(Fault::Window {
                tensor: name.to_owned(),
            });
        }
        self.tensors
            .get(name)
            .cloned()
            .ok_or_else(|| Fault::Missing {
                what: format!("tensor `{name}`"),
            })
    }

    // Tiles.

    pub fn tile(&self, r: &TileRef) -> Result<&'a Tile, Fault> {
        self.kernel.tiles.get(r.tile).ok_or_else(|| Fault::Missing {
            what: format!("tile {}", r.tile),
        })
    }

    pub fn name(&self, r: &TileRef) -> String {
        self.tiles.get(r.tile).cloned().unwrap_or_default()
    }

    /// The constants of a tile's rows and columns.
    pub fn axes(tile: &Tile) -> [Axis; 2] {
        use tilewright_ir::kernel::Layout;
        match tile.layout {
            // [K, N], where K is what the left operand's columns are.
            Layout::Zn | Layout::Right => [Axis::Cols, Axis::Product],
            Layout::Acc => [Axis::Rows, Axis::Product],
            _ => [Axis::Rows, Axis::Cols],
        }
    }

    /// `[rows, cols]`.
    pub fn extents(&mut self, axes: [Axis; 2], rows: usize, cols: usize) -> String {
        let r = self.constants.of(axes[0], rows as i64);
        let c = self.constants.of(axes[1], cols as i64);
        format!("[{r}, {c}]")
    }

    /// Rows that are valid: a constant, or the variable that counts them.
    pub fn rows(&mut self, axis: Axis, rows: &Rows) -> String {
        match rows {
            Rows::Fixed(n) => self.constants.of(axis, *n as i64),
            Rows::Counted(e, limit) => self.count(e, *limit),
        }
    }

    /// The variable that holds `expr`, at least 0 and at most `limit`; assigned here if there is none yet.
    fn count(&mut self, expr: &Expr, limit: usize) -> String {
        let known = self
            .scopes
            .iter()
            .flat_map(|s| &s.counts)
            .find(|(e, l, _)| e == expr && *l == limit);
        if let Some((.., name)) = known {
            return name.clone();
        }
        let name = self.ids.claim("valid_rows", "");
        let n = self.sum(expr, Axis::Rows).text();
        let most = self.constants.of(Axis::Rows, limit as i64);
        self.line(&match self.is_positive(expr) {
            true => format!("{name} = pl.min({n}, {most})"),
            false => format!("{name} = pl.max(pl.min({n}, {most}), 0)"),
        });
        if let Some(scope) = self.scopes.last_mut() {
            scope.counts.push((expr.clone(), limit, name.clone()));
        }
        name
    }

    /// A new tile, all of it valid.
    pub fn create(&mut self, tile: &Tile, value: &Value) -> String {
        let shape = self.extents(Self::axes(tile), value.rows, value.cols);
        let dtype = super::types::dtype(tile.dtype);
        let memory = match tile.space {
            Space::Ub => String::new(),
            space => format!(", target_memory={}", super::types::memory(space)),
        };
        format!("pl.create_tile({shape}, dtype={dtype}{memory})")
    }

    /// A new value of which only a part is to be valid.
    pub fn narrowed(&mut self, tile: &Tile, text: String, is: &Value, wanted: &Value) -> String {
        if (&is.valid_rows, is.valid_cols) == (&wanted.valid_rows, wanted.valid_cols) {
            return text;
        }
        let axes = Self::axes(tile);
        let r = self.rows(axes[0], &wanted.valid_rows);
        let c = self.constants.of(axes[1], wanted.valid_cols as i64);
        format!("pl.set_validshape({text}, {r}, {c})")
    }

    /// An operand, and what it is in the instruction: as many of its rows as the instruction takes.
    pub fn operand(&mut self, r: &TileRef) -> Result<(String, Value), Fault> {
        let tile = self.tile(r)?;
        let name = self.name(r);
        let wanted = Value::of(tile, r.rows.as_ref());
        let missing = |found: String| Fault::Extent {
            tile: tile.name.clone(),
            found,
            need: wanted.words(),
        };
        let Some(is) = self.values.get(&r.tile).cloned() else {
            return Err(missing("no one extent".into()));
        };
        if is.is_like(&wanted) {
            return Ok((name, is));
        }
        let fits = is.shape() == wanted.shape()
            && matches!(is.valid_rows, Rows::Fixed(n) if n >= wanted.valid_rows.limit())
            && is.valid_cols >= wanted.valid_cols;
        if !fits {
            return Err(missing(is.words()));
        }
        let text = self.part(tile, &name, &is, &wanted);
        Ok((
            text,
            Value {
                filled: None,
                ..wanted
            },
        ))
    }

    /// A view of a tile with fewer valid rows or columns.
    pub fn part(&mut self, tile: &Tile, name: &str, is: &Value, wanted: &Value) -> String {
        let axes = Self::axes(tile);
        let shape = self.extents(axes, is.rows, is.cols);
        let r = self.rows(axes[0], &wanted.valid_rows);
        let c = self.constants.of(axes[1], wanted.valid_cols as i64);
        format!("pl.slice({name}, {shape}, [0, 0], valid_shape=[{r}, {c}])")
    }

    /// Assigns a tile what an operation gives, whose extent is `is`.
    pub fn assign(&mut self, dst: &TileRef, text: String, is: Value) -> Result<(), Fault> {
        let tile = self.tile(dst)?;
        let wanted = Value::of(tile, dst.rows.as_ref());
        let fits = is.shape() == wanted.shape()
            && is.valid_rows.limit() >= wanted.valid_rows.limit()
            && is.valid_cols >= wanted.valid_cols;
        if !fits {
            return Err(Fault::Extent {
                tile: tile.name.clone(),
                found: is.words(),
                need: wanted.words(),
            });
        }
        let text = self.narrowed(tile, text, &is, &wanted);
        let name = self.name(dst);
        self.line(&format!("{name} = {text}"));
        let filled = is.filled.filter(|_| dst.rows.is_none());
        self.values.insert(dst.tile, Value { filled, ..wanted });
        Ok(())
    }
}

/// Known from the start of the block on.
fn is_early(expr: &Expr) -> bool {
    expr.terms
        .iter()
        .all(|(v, _)| matches!(v, Var::Grid(_) | Var::Scalar(_)))
}
