//! Mutants that compute the same: a proof of it, from the two kernels alone and independent of the simulator.
//!
//! Both kernels run on symbols, rank by rank, block by block and trip by trip. A tile's slot holds a hash of how its value came to
//! be; what is stored where, under which conditions on data, is compared at the end. So what nobody reads makes no difference, nor
//! does a slot that is another one in no trip. A few laws make hashes equal that are of equal values: see `laws`.
//!
//! What a kernel stores and loads again, or ranks hand to each other, is not followed: there all loads and stores must be the
//! same ones in the same order, and then what they meet is the same by induction. That values are read before other tiles
//! overwrite their bytes is what the simulator has seen.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use tilewright_ir::DType;
use tilewright_ir::kernel::{
    Cond, Expr, GlobalRef, Instr, Kernel, Program, Role, Stmt, TileRef, Var, VectorOp,
    is_communication,
};

/// Why a mutant computes what the kernel computes; `None` if that is not known.
pub fn why(program: &Program, kernel: &Kernel, mutant: &Kernel) -> Option<&'static str> {
    let before = stored(program, kernel)?;
    let after = stored(program, mutant)?;
    (before == after).then_some("the same on symbols")
}

/// What each block of each rank stores: by its place and its conditions, a hash of the value. Where order counts, the place has a number.
type Stored = BTreeMap<((usize, usize), String, Vec<Guard>), u64>;

/// A condition on data: whether a value is positive or zero, and whether that holds.
type Guard = (bool, Value, bool);

fn stored(program: &Program, kernel: &Kernel) -> Option<Stored> {
    let (reads, writes) = kernel.accesses();
    let talks = is_communication(program, kernel);
    let again = |name: &String| {
        let shared = talks && program.tensors[name].role == Role::Window;
        shared || reads.contains(name) && writes.contains(name)
    };
    // What no other kernel writes lies within what was stored before.
    let others = program.kernels.iter().filter(|k| k.name != kernel.name);
    let others: BTreeSet<String> = others.flat_map(|k| k.accesses().1).collect();
    let own =
        |name: &String| !others.contains(name) && program.tensors[name].role == Role::Workspace;
    let ordered = reads.iter().chain(&writes).filter(|n| again(n));
    let ordered: BTreeSet<String> = ordered.cloned().collect();
    let mut facts = BTreeMap::new();
    walk((kernel, program.ranks), &ordered, &mut facts)?;
    facts.retain(|name, _| own(name));
    walk((kernel, program.ranks), &ordered, &mut facts)
}

/// Whether all values of a tensor are whole, and between which they are.
type Facts = BTreeMap<String, (bool, f64, f64)>;

fn walk(
    (kernel, ranks): (&Kernel, usize),
    ordered: &BTreeSet<String>,
    facts: &mut Facts,
) -> Option<Stored> {
    let known = std::mem::take(facts);
    let mut out = Stored::new();
    let mut steps = 0;
    let blocks = kernel.launch.blocks();
    for (rank, block) in (0..ranks).flat_map(|r| (0..blocks).map(move |b| (r, b))) {
        let mut walk = Walk {
            kernel,
            rank,
            ordered,
            known: &known,
            facts,
            turn: 0,
            block,
            grid: kernel.launch.coordinates(block),
            counters: vec![0; kernel.loops.len()],
            registers: vec![0; kernel.registers],
            arrays: vec![0; kernel.arrays.len()],
            tiles: BTreeMap::new(),
            guards: vec![],
            out: &mut out,
            steps: &mut steps,
        };
        walk.body(&kernel.body)?;
    }
    Some(out)
}

/// Steps after which no proof is looked for.
const STEPS: usize = 2_000_000;

/// What is known of a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sym {
    pub(super) hash: u64,
    /// Its hash, but for how it was rounded on the way to 16 bits: whole numbers of 32 bits that are, where that matters, beyond
    /// what 8 bits hold.
    pub(super) rough: Option<u64>,
    pub(super) integral: bool,
    pub(super) low: f64,
    pub(super) high: f64,
    /// Of a value that was written to the first rows of a tile.
    pub(super) part: Option<Part>,
}

/// The first rows of a tile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Part {
    /// What all of the tile held before.
    base: u64,
    /// What was written.
    own: u64,
    /// How many rows: a number, and a hash of what is added to it.
    rows: (i64, u64),
}

/// A number of rows as in [`Part`].
fn rows_of(rows: &Value) -> (i64, u64) {
    (rows.0, hash(&rows.1))
}

impl Sym {
    pub(super) fn of(hash: u64) -> Self {
        Sym {
            hash,
            rough: None,
            integral: false,
            low: f64::NEG_INFINITY,
            high: f64::INFINITY,
            part: None,
        }
    }

    fn typed(hash: u64, dtype: DType) -> Self {
        let (low, high) = match dtype {
            DType::I8 => (-128.0, 127.0),
            _ => (f64::NEG_INFINITY, f64::INFINITY),
        };
        Sym {
            integral: !dtype.is_float(),
            low,
            high,
            ..Sym::of(hash)
        }
    }
}

pub(super) fn hash(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

#[derive(Clone)]
struct State {
    registers: Vec<u64>,
    arrays: Vec<u64>,
    tiles: BTreeMap<(usize, usize), Sym>,
}

pub(super) struct Walk<'a> {
    pub(super) kernel: &'a Kernel,
    rank: usize,
    /// Tensors that are written and read again, or by other ranks.
    ordered: &'a BTreeSet<String>,
    /// What is known of what was stored before, and what is found of it.
    known: &'a Facts,
    facts: &'a mut Facts,
    /// Accesses to such tensors so far.
    turn: usize,
    block: usize,
    grid: Vec<usize>,
    counters: Vec<usize>,
    registers: Vec<u64>,
    arrays: Vec<u64>,
    tiles: BTreeMap<(usize, usize), Sym>,
    /// Conditions on data that hold here.
    guards: Vec<Guard>,
    out: &'a mut Stored,
    steps: &'a mut usize,
}

/// A number, and what is added to it, by hash.
type Value = (i64, BTreeMap<u64, i64>);

impl Walk<'_> {
    fn body(&mut self, body: &[Stmt]) -> Option<()> {
        for stmt in body {
            *self.steps += 1;
            if *self.steps > STEPS {
                return None;
            }
            match stmt {
                Stmt::Loop {
                    id, trips, body, ..
                } => {
                    for trip in 0..*trips {
                        self.counters[*id] = trip;
                        self.body(body)?;
                    }
                }
                Stmt::If {
                    cond,
                    then,
                    otherwise,
                } => self.branch(cond, then, otherwise)?,
                Stmt::Part { body, .. } => self.body(body)?,
                Stmt::Instr(instr) => self.instr(instr)?,
                _ => {}
            }
        }
        Some(())
    }

    fn branch(&mut self, cond: &Cond, then: &[Stmt], otherwise: &[Stmt]) -> Option<()> {
        let (positive, value) = match cond {
            Cond::First(id) => (false, (self.counters[*id] as i64, BTreeMap::new())),
            Cond::Positive(e) => (true, self.value(e)),
            Cond::Zero(e) => (false, self.value(e)),
        };
        if value.1.is_empty() {
            let holds = match positive {
                true => value.0 > 0,
                false => value.0 == 0,
            };
            return self.body(if holds { then } else { otherwise });
        }
        let guard = hash((positive, &value));
        let before = State {
            registers: self.registers.clone(),
            arrays: self.arrays.clone(),
            tiles: self.tiles.clone(),
        };
        self.guards.push((positive, value.clone(), true));
        self.body(then)?;
        let registers = std::mem::replace(&mut self.registers, before.registers);
        let arrays = std::mem::replace(&mut self.arrays, before.arrays);
        let tiles = std::mem::replace(&mut self.tiles, before.tiles);
        self.guards.pop();
        let value_rows = Some(rows_of(&value));
        self.guards.push((positive, value, false));
        self.body(otherwise)?;
        self.guards.pop();
        let numbers = registers.into_iter().zip(&mut self.registers);
        for (a, b) in numbers.chain(arrays.into_iter().zip(&mut self.arrays)) {
            if a != *b {
                *b = hash(("either", guard, a, *b));
            }
        }
        let slots: BTreeSet<_> = tiles.keys().chain(self.tiles.keys()).copied().collect();
        for slot in slots {
            let none = Sym::of(0);
            let (a, b) = (
                tiles.get(&slot).unwrap_or(&none),
                self.tiles.get(&slot).unwrap_or(&none),
            );
            // Where there is no row, the first rows were not written either.
            let more = value_rows.filter(|_| positive);
            let immaterial = a.part.zip(more).is_some_and(|(part, at)| {
                part.base == b.hash && part.rows.1 == at.1 && at.0 >= part.rows.0
            });
            if immaterial {
                self.tiles.insert(slot, *a);
            } else if a != b {
                let either = Sym {
                    integral: a.integral && b.integral,
                    low: a.low.min(b.low),
                    high: a.high.max(b.high),
                    ..Sym::of(hash(("either", guard, a.hash, b.hash)))
                };
                self.tiles.insert(slot, either);
            }
        }
        Some(())
    }

    fn value(&self, e: &Expr) -> Value {
        let mut out = (e.base, BTreeMap::new());
        for (v, c) in &e.terms {
            let known = match v {
                Var::Grid(i) => Ok(self.grid[*i]),
                Var::Loop(l) => Ok(self.counters[*l]),
                Var::Rank => Ok(self.rank),
                Var::Turn(l, of) => Ok(self.counters[*l] % of),
                Var::Reg(r) => Err(self.registers[*r]),
                other => Err(hash(("variable", other))),
            };
            match known {
                Ok(n) => out.0 += c * n as i64,
                Err(symbol) => *out.1.entry(symbol).or_default() += c,
            }
        }
        out
    }

    /// A slot, and how many rows of it count.
    fn slot(&self, t: &TileRef) -> ((usize, usize), Option<Value>) {
        let turn = t.slot.map_or(0, |id| self.counters[id]);
        let slots = self.kernel.tiles[t.tile].slots.max(1);
        let rows = t.rows.as_ref().map(|e| self.value(e));
        ((t.tile, turn % slots), rows)
    }

    pub(super) fn read(&self, t: &TileRef) -> Sym {
        let (slot, rows) = self.slot(t);
        let sym = self.tiles.get(&slot).copied().unwrap_or(Sym::of(0));
        match rows {
            None => sym,
            Some(rows) => {
                // Of rows that were written together, those before them make no difference.
                let (count, more) = rows_of(&rows);
                let own = sym.part.filter(|p| p.rows.1 == more && p.rows.0 >= count);
                Sym {
                    hash: hash((own.map_or(sym.hash, |p| p.own), &rows)),
                    rough: sym.rough.map(|r| hash((r, &rows))),
                    part: None,
                    ..sym
                }
            }
        }
    }

    /// Writes a tile; a part of it keeps what it held.
    fn write(&mut self, t: &TileRef, whole: bool, sym: Sym) {
        let (slot, rows) = self.slot(t);
        let sym = match whole && rows.is_none() {
            true => Sym { part: None, ..sym },
            false => {
                let old = self.tiles.get(&slot).copied();
                let was = old.unwrap_or(Sym::of(0));
                let known = old.unwrap_or(sym);
                let rough = (sym.rough.is_some() || was.rough.is_some()).then(|| {
                    let of = |s: Sym| s.rough.unwrap_or(s.hash);
                    hash((of(sym), of(was), &rows))
                });
                Sym {
                    hash: hash((sym.hash, was.hash, &rows)),
                    rough,
                    integral: sym.integral && known.integral,
                    low: sym.low.min(known.low),
                    high: sym.high.max(known.high),
                    part: rows.filter(|_| whole).map(|rows| {
                        let rows = rows_of(&rows);
                        let again = was.part.filter(|p| p.rows == rows);
                        Part {
                            base: again.map_or(was.hash, |p| p.base),
                            own: sym.hash,
                            rows,
                        }
                    }),
                }
            }
        };
        self.tiles.insert(slot, sym);
    }

    /// The number of an access where order counts.
    fn turn(&mut self, tensor: &str) -> usize {
        let counts = self.ordered.contains(tensor);
        self.turn += usize::from(counts);
        if counts { self.turn } else { 0 }
    }

    /// Stores a value, of which so many rows count: without those conditions that hold if there is a row at all.
    fn store(&mut self, g: &GlobalRef, rows: Option<Value>, value: u64) {
        let turn = self.turn(&g.tensor);
        let implied = |guard: &Guard| match (guard, &rows) {
            ((true, at, true), Some(rows)) => at.1 == rows.1 && at.0 >= rows.0,
            _ => false,
        };
        let guards = self.guards.iter().filter(|g| !implied(g));
        let guards: Vec<Guard> = guards.cloned().collect();
        let place = format!("{turn} {}", self.place(g));
        if rows.is_none() {
            // What was stored there under the same conditions, and more, is gone.
            let block = (self.rank, self.block);
            let from = (block, place.clone(), vec![]);
            let there = self.out.range(from..).map(|(at, _)| at.clone());
            let there = there.take_while(|at| (at.0, &at.1) == (block, &place));
            let gone = there.filter(|at| guards.iter().all(|g| at.2.contains(g)));
            for at in gone.collect::<Vec<_>>() {
                self.out.remove(&at);
            }
        }
        self.out.insert(
            ((self.rank, self.block), place, guards),
            hash((value, rows)),
        );
    }

    fn place(&self, g: &GlobalRef) -> String {
        let peer = g.peer.as_ref().map(|p| self.value(p));
        let (row, col) = (self.value(&g.row), self.value(&g.col));
        format!(
            "{} {row:?} {col:?} {} {} {peer:?} {} {:?}",
            g.tensor, g.rows, g.cols, g.step, g.view
        )
    }

    fn instr(&mut self, instr: &Instr) -> Option<()> {
        let valid = |t: &TileRef| {
            let tile = &self.kernel.tiles[t.tile];
            (tile.valid_rows, tile.valid_cols, tile.dtype)
        };
        match instr {
            Instr::Load { dst, src } => {
                let (rows, cols, dtype) = valid(dst);
                let whole = src.rows * src.cols >= rows * cols;
                let turn = self.turn(&src.tensor);
                let loaded = hash(("load", turn, self.place(src), rows, cols));
                let mut sym = Sym::typed(loaded, dtype);
                if let Some(&(integral, low, high)) = self.known.get(&src.tensor) {
                    sym = Sym {
                        integral,
                        low,
                        high,
                        ..sym
                    };
                }
                self.write(dst, whole, sym);
            }
            Instr::Store { dst, src } => {
                let rows = self.slot(src).1;
                let value = self.read(src);
                let first = (value.integral, value.low, value.high);
                let all = self.facts.entry(dst.tensor.clone()).or_insert(first);
                *all = (all.0 && first.0, all.1.min(first.1), all.2.max(first.2));
                self.store(dst, rows, value.hash);
            }
            Instr::Move { dst, src, from } => {
                let read = self.read(src);
                let moved = hash(("move", from, read.hash, valid(dst).0, valid(dst).1));
                let sym = Sym {
                    hash: moved,
                    rough: None,
                    ..read
                };
                self.write(dst, true, sym);
            }
            Instr::Matmul {
                dst,
                lhs,
                rhs,
                accumulate,
            } => {
                let old = accumulate.then(|| self.read(dst).hash);
                let (rows, cols, dtype) = valid(dst);
                let (a, b) = (self.read(lhs), self.read(rhs));
                let made = hash(("product", a.hash, b.hash, old, rows, cols));
                let size = |s: &Sym| s.low.abs().max(s.high.abs());
                let before = match accumulate {
                    true => size(&self.read(dst)),
                    false => 0.0,
                };
                let most = size(&a) * size(&b) * valid(lhs).1 as f64 + before;
                let sym = Sym {
                    low: -most,
                    high: most,
                    ..Sym::typed(made, dtype)
                };
                self.write(dst, true, sym);
            }
            Instr::Vector { op, dst, srcs, tmp } => {
                let whole = match op {
                    VectorOp::Copy => srcs.first().is_some_and(|s| {
                        let (s, d) = (valid(s), valid(dst));
                        s.0 >= d.0 && s.1 >= d.1
                    }),
                    _ => true,
                };
                let sym = self.vector(op, dst, srcs);
                self.write(dst, whole, sym);
                if let Some(tmp) = tmp {
                    let (slot, _) = self.slot(tmp);
                    self.tiles
                        .insert(slot, Sym::of(hash(("scratch", sym.hash))));
                }
            }
            other => self.number(other),
        }
        Some(())
    }

    /// An instruction of the scalar unit.
    fn number(&mut self, instr: &Instr) {
        match instr {
            Instr::ReadScalar { dst, src } => {
                let turn = self.turn(&src.tensor);
                self.registers[*dst] = hash(("scalar", turn, self.place(src)));
            }
            Instr::SetReg { dst, value } => {
                self.registers[*dst] = hash(("register", self.value(value)));
            }
            Instr::Compute { dst, op, lhs, rhs } => {
                let made = (
                    "compute",
                    format!("{op:?}"),
                    self.value(lhs),
                    self.value(rhs),
                );
                self.registers[*dst] = hash(made);
            }
            Instr::WriteScalar { dst, value } => {
                let value = hash(self.value(value));
                self.store(dst, None, value);
            }
            Instr::ReadArray { array, src } => {
                let turn = self.turn(&src.tensor);
                self.arrays[*array] = hash(("array", turn, self.place(src), self.arrays[*array]));
            }
            Instr::WriteArray { dst, array } => {
                let value = self.arrays[*array];
                self.store(dst, None, value);
            }
            Instr::ArrayGet { dst, array, index } => {
                self.registers[*dst] = hash(("element", self.arrays[*array], self.value(index)));
            }
            Instr::ArraySet {
                array,
                index,
                value,
            } => {
                let made = (
                    "set",
                    self.arrays[*array],
                    self.value(index),
                    self.value(value),
                );
                self.arrays[*array] = hash(made);
            }
            Instr::Notify { counter, op, value } => {
                let value = hash((format!("{op:?}"), self.value(value)));
                self.store(counter, None, value);
            }
            Instr::WaitCounter { counter, at_least } => {
                let value = hash(("wait", self.value(at_least)));
                self.store(counter, None, value);
            }
            Instr::Load { .. }
            | Instr::Store { .. }
            | Instr::Move { .. }
            | Instr::Matmul { .. }
            | Instr::Vector { .. } => {}
        }
    }
}
