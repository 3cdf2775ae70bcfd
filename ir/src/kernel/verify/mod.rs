//! What a kernel program promises to the stages after it.
//!
//! [`verify`] checks a program against the instruction set of a machine: indices, tiles, loops, types, shapes, and that every rectangle
//! is inside its tensor. [`check_capacity`] checks one kernel against a machine. What passes both is emitted and
//! simulated without further questions; only what depends on data (a register as an index) is left to the simulator.
//! Hazards and flags are not looked at here: they are properties of a run, and the simulator checks them there.

mod capacity;
mod checks;
mod comm;
mod cube;
mod error;
mod instr;
mod mixed;
mod tile;
mod transfer;
mod vector;

pub use capacity::check_capacity;
pub use error::{KernelError, Place, Spot};
pub use vector::has_cast;

use super::{
    Cond, Event, Expr, GlobalRef, Instr, Kernel, Pipe, Program, Ranges, Role, Stmt, TileRef, Unit,
    Var,
};
use crate::machine::Machine;
use indexmap::IndexSet;

/// Checks a program against the instruction set of a machine.
///
/// # Errors
/// The first [`KernelError`] in program order.
pub fn verify(program: &Program, machine: &Machine) -> Result<(), KernelError> {
    verify_tensors(program)?;
    let wrong = |what: String, help: &str| KernelError::Program {
        program: program.name.clone(),
        what,
        help: help.to_owned(),
    };
    let mut names = IndexSet::new();
    let mut written = IndexSet::new();
    for kernel in &program.kernels {
        if !is_identifier(&kernel.name) {
            return Err(wrong(
                format!(
                    "kernel `{}` cannot be the name of a file and a function",
                    kernel.name
                ),
                "use letters, digits and `_`, and no digit first",
            ));
        }
        if !names.insert(&kernel.name) {
            return Err(wrong(
                format!("two kernels are called `{}`", kernel.name),
                "rename one of them",
            ));
        }
        verify_kernel(program, kernel, machine)?;
        data(program, kernel, &mut written)?;
    }
    for (name, t) in &program.tensors {
        if t.role == Role::Output && !written.contains(name) {
            return Err(wrong(
                format!("no kernel writes the output `{name}`"),
                "store it, or make it an input",
            ));
        }
    }
    Ok(())
}

/// Checks the tensors and scalars of a program, and not its kernels.
///
/// # Errors
/// The first [`KernelError::Program`].
pub fn verify_tensors(program: &Program) -> Result<(), KernelError> {
    let wrong = |what: String, help: &str| KernelError::Program {
        program: program.name.clone(),
        what,
        help: help.to_owned(),
    };
    for (name, t) in &program.tensors {
        let bytes = t
            .shape
            .iter()
            .try_fold(t.dtype.bytes(), |a, d| a.checked_mul(*d));
        if t.shape.len() > 2 || bytes.is_none_or(|b| b == 0 || b > MAX_TENSOR) {
            return Err(wrong(
                format!("tensor `{name}` has the shape {:?}", t.shape),
                "give it at most two axes, none of them empty, and at most 1 TiB",
            ));
        }
    }
    if !(1..=MAX_RANKS).contains(&program.ranks) {
        return Err(wrong(
            format!("it runs on {} ranks", program.ranks),
            "give it from 1 to 1024 ranks",
        ));
    }
    for (name, most) in &program.scalars {
        if ["rank", "epoch"].contains(&name.as_str()) {
            return Err(wrong(
                format!("a scalar is called `{name}`"),
                "rename it: every program has `rank` and `epoch`",
            ));
        }
        if !(0..=i64::from(i32::MAX)).contains(most) {
            return Err(wrong(
                format!("scalar `{name}` is at most {most}"),
                "give it a largest value from 0 to 2147483647",
            ));
        }
    }
    Ok(())
}

/// Bytes that a tensor may have: a slip, not a machine, is what this refuses.
const MAX_TENSOR: usize = 1 << 40;

fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A kernel writes no input.
fn inputs_stay(program: &Program, kernel: &Kernel) -> Result<(), KernelError> {
    let is_input = |name: &String| {
        let tensor = program.tensors.get(name);
        tensor.is_some_and(|t| t.role == Role::Input)
    };
    match kernel.accesses().1.into_iter().find(is_input) {
        Some(tensor) => Err(KernelError::Data {
            kernel: kernel.name.clone(),
            tensor,
            what: "is an input, but is written",
            help: "write a workspace or an output".to_owned(),
        }),
        None => Ok(()),
    }
}

/// A kernel reads inputs and what was written before it.
fn data(
    program: &Program,
    kernel: &Kernel,
    written: &mut IndexSet<String>,
) -> Result<(), KernelError> {
    let wrong = |tensor: &str, what, help: &str| {
        Err(KernelError::Data {
            kernel: kernel.name.clone(),
            tensor: tensor.to_owned(),
            what,
            help: help.to_owned(),
        })
    };
    let has_role = |name: &str, role| program.tensors.get(name).is_some_and(|t| t.role == role);
    let is_input = |name: &str| has_role(name, Role::Input);
    let (reads, writes) = kernel.accesses();
    for name in reads {
        // Peers write windows, and they are zero at first. Whether a kernel reads what it has written itself shows in a run.
        let there = is_input(&name) || has_role(&name, Role::Window) || writes.contains(&name);
        if !there && !written.contains(&name) {
            return wrong(
                &name,
                "is read, but no earlier kernel writes it",
                "launch the kernel that writes it first, or make it an input",
            );
        }
    }
    written.extend(writes);
    Ok(())
}

/// Checks one kernel against the instruction set, with the tensors and scalars of `program`, of which it need not be part.
///
/// # Errors
/// The first [`KernelError`] in program order.
pub fn verify_kernel(
    program: &Program,
    kernel: &Kernel,
    machine: &Machine,
) -> Result<(), KernelError> {
    Verifier::new(program, kernel, machine).kernel()?;
    inputs_stay(program, kernel)
}

/// What is known at one statement of a kernel.
struct Verifier<'a> {
    program: &'a Program,
    kernel: &'a Kernel,
    machine: &'a Machine,
    ranges: Ranges<'a>,
    /// Loops around the statement.
    scope: IndexSet<usize>,
    /// Loops met so far.
    loops: IndexSet<usize>,
    /// What the conditions around the statement say: each of these is not negative.
    facts: Vec<Expr>,
    /// The core type of the part around the statement.
    part: Option<Unit>,
    /// Number of the statement in program order.
    number: usize,
    instr: Option<&'a Instr>,
}

type Check = Result<(), KernelError>;

impl<'a> Verifier<'a> {
    fn new(program: &'a Program, kernel: &'a Kernel, machine: &'a Machine) -> Self {
        Verifier {
            program,
            kernel,
            machine,
            ranges: Ranges::new(program, kernel, &machine.geometry),
            scope: IndexSet::new(),
            loops: IndexSet::new(),
            facts: vec![],
            part: None,
            number: 0,
            instr: None,
        }
    }

    /// The statement in words.
    fn at(&self) -> String {
        match self.instr {
            Some(i) => format!("statement {} `{}`", self.number, self.kernel.text_of(i)),
            None => format!("statement {}", self.number),
        }
    }

    fn place(&self) -> Box<Place> {
        Box::new(Place {
            kernel: self.name(),
            at: self.at(),
            spot: Spot::Statement(self.number),
        })
    }

    fn name(&self) -> String {
        self.kernel.name.clone()
    }

    fn index(&self, what: &'static str, index: usize, limit: usize) -> Check {
        if index < limit {
            return Ok(());
        }
        Err(KernelError::Index {
            place: self.place(),
            what,
            index,
            limit,
        })
    }

    fn kernel(&mut self) -> Check {
        let k = self.kernel;
        let blocks = k
            .launch
            .grid
            .iter()
            .try_fold(1usize, |n, a| n.checked_mul(a.count));
        let most = self.machine.limits.blocks.count();
        if blocks.is_none_or(|n| !(1..=most).contains(&n)) {
            return Err(KernelError::Count {
                place: Box::new(Place {
                    kernel: self.name(),
                    at: "launch".to_owned(),
                    spot: Spot::Launch,
                }),
                what: "the number of blocks".to_owned(),
                found: blocks,
                need: format!("from 1 to {most}"),
            });
        }
        if k.pipeline == 0 {
            return Err(KernelError::Count {
                place: Box::new(Place {
                    kernel: self.name(),
                    at: "launch".to_owned(),
                    spot: Spot::Launch,
                }),
                what: "the pipeline's depth".to_owned(),
                found: Some(0),
                need: "at least 1".to_owned(),
            });
        }
        if k.registers > MAX_REGISTERS {
            return Err(KernelError::Count {
                place: Box::new(Place {
                    kernel: self.name(),
                    at: "head".to_owned(),
                    spot: Spot::Launch,
                }),
                what: "the number of registers".to_owned(),
                found: Some(k.registers),
                need: format!("at most {MAX_REGISTERS}"),
            });
        }
        for t in &k.tiles {
            tile::check(k, t, &self.machine.geometry)?;
        }
        comm::arrays(k, self.machine.limits.scalar_arrays.count())?;
        self.parts()?;
        self.body(&k.body)
    }

    fn body(&mut self, body: &'a [Stmt]) -> Check {
        for s in body {
            self.number += 1;
            self.instr = None;
            match s {
                Stmt::Loop {
                    id,
                    trips,
                    depth,
                    body,
                } => {
                    self.index("loop", *id, self.kernel.loops.len())?;
                    for (what, found) in [("trips", *trips), ("depth", *depth)] {
                        if found == 0 || found > i32::MAX as usize {
                            return Err(self.count(
                                format!("the loop's {what}"),
                                found,
                                "from 1 to 2147483647".to_owned(),
                            ));
                        }
                    }
                    if !self.loops.insert(*id) {
                        return Err(KernelError::Form {
                            place: self.place(),
                            what: format!("loop {id} is there twice"),
                            help: "number every loop of a kernel once".to_owned(),
                        });
                    }
                    self.scope.insert(*id);
                    self.body(body)?;
                    self.scope.shift_remove(id);
                }
                Stmt::If {
                    cond,
                    then,
                    otherwise,
                } => {
                    match cond {
                        Cond::First(l) => self.counter(*l)?,
                        Cond::Positive(e) | Cond::Zero(e) => self.expr(e)?,
                    }
                    let known = self.facts.len();
                    self.fact(cond, |e| e.clone().plus_constant(-1));
                    self.body(then)?;
                    self.facts.truncate(known);
                    self.fact(cond, |e| Expr::default().minus(e));
                    self.body(otherwise)?;
                    self.facts.truncate(known);
                }
                Stmt::Instr(i) => {
                    self.instr = Some(i);
                    self.instruction(i)?;
                    self.in_part(i)?;
                }
                Stmt::Set { src, dst, event } | Stmt::Wait { src, dst, event } => {
                    self.flag(*src, *dst, event)?;
                }
                Stmt::Barrier(_) => {}
                Stmt::Part { unit, body } => {
                    self.part = Some(*unit);
                    self.body(body)?;
                    self.part = None;
                }
                Stmt::SetCross { pipe, flag } => self.cross(*flag, Some(*pipe))?,
                Stmt::WaitCross { flag } => self.cross(*flag, None)?,
            }
        }
        Ok(())
    }

    /// Takes down what a condition says, unless it is of what may change within it.
    fn fact(&mut self, cond: &Cond, says: impl FnOnce(&Expr) -> Expr) {
        if let Cond::Positive(e) = cond
            && self.ranges.of(e).is_some()
        {
            self.facts.push(says(e));
        }
    }

    fn count(&self, what: String, found: usize, need: String) -> KernelError {
        KernelError::Count {
            place: self.place(),
            what,
            found: Some(found),
            need,
        }
    }

    fn flag(&self, src: Pipe, dst: Pipe, event: &Event) -> Check {
        if src == dst {
            return Err(KernelError::Form {
                place: self.place(),
                what: format!("a flag from {} to itself", src.name()),
                help: format!(
                    "order instructions of one pipe by pipe_barrier({})",
                    src.name()
                ),
            });
        }
        let depth = match event.rotate {
            Some((l, depth)) => {
                self.counter(l)?;
                depth
            }
            None => 1,
        };
        let ids = self.machine.geometry.event_ids.count();
        if depth == 0 || event.base.saturating_add(depth) > ids {
            return Err(self.count(
                "the number of event ids up to the flag's last".to_owned(),
                event.base.saturating_add(depth),
                format!("at most {ids}, with a rotation of at least 1"),
            ));
        }
        Ok(())
    }

    /// A loop whose counter is used here.
    fn counter(&self, l: usize) -> Check {
        self.index("loop", l, self.kernel.loops.len())?;
        if self.scope.contains(&l) {
            return Ok(());
        }
        Err(KernelError::Scope {
            place: self.place(),
            name: self.kernel.loops[l].clone(),
        })
    }

    /// The variables of an index exist, and it is in its canonical form.
    fn expr(&self, e: &Expr) -> Check {
        for (v, _) in &e.terms {
            match *v {
                Var::Grid(i) => self.index("grid axis", i, self.kernel.launch.grid.len())?,
                Var::Loop(l) => self.counter(l)?,
                Var::Scalar(i) => self.index("scalar", i, self.program.scalars.len())?,
                Var::Reg(r) => self.index("register", r, self.kernel.registers)?,
                Var::Rank | Var::Epoch => {}
                Var::Sub => self.sub()?,
                Var::Turn(l, of) => {
                    self.counter(l)?;
                    if of == 0 {
                        return Err(self.count(
                            "a ring's slots".to_owned(),
                            of,
                            "at least 1".to_owned(),
                        ));
                    }
                }
            }
        }
        let sorted = e.terms.windows(2).all(|w| w[0].0 < w[1].0);
        let small = |x: i64| x.unsigned_abs() <= MAX_TENSOR as u64;
        if sorted && small(e.base) && e.terms.iter().all(|(_, c)| *c != 0 && small(*c)) {
            return Ok(());
        }
        Err(KernelError::Form {
            place: self.place(),
            what: "an index is not in its canonical form".to_owned(),
            help: "sort its terms by variable, name each once, with coefficients that are not 0 and below 2^40"
                .to_owned(),
        })
    }

    /// Whether an index is at most `limit` wherever the statement runs: for all blocks and trips that the conditions leave.
    fn at_most_here(&self, index: &Expr, limit: usize) -> bool {
        let left = Expr::constant(limit as i64).minus(index);
        let least = |e: &Expr| self.ranges.of(e).is_some_and(|(least, _)| least >= 0);
        // What is at least as large as something that is not negative is not negative. A fact counts as often as makes one of its
        // variables vanish.
        let often = |fact: &Expr| {
            let ratio = |(v, c): &(Var, i64)| {
                let (_, of) = left.terms.iter().find(|(of, _)| of == v)?;
                (of % c == 0 && of / c > 1).then(|| of / c)
            };
            fact.terms.iter().find_map(ratio).unwrap_or(1)
        };
        let without = |fact: &Expr| {
            let (base, times) = (fact.base, often(fact));
            let terms = fact.terms.iter();
            let less = terms.fold(left.clone(), |e, (v, c)| e.plus(*v, -c * times));
            less.plus_constant(-base * times)
        };
        least(&left) || self.facts.iter().any(|fact| least(&without(fact)))
    }

    /// A rectangle lies in its tensor for all blocks and trips; `counted` are the rows that are valid at run time, if they are counted.
    fn global(
        &self,
        g: &'a GlobalRef,
        counted: Option<&Expr>,
    ) -> Result<&'a super::GlobalTensor, KernelError> {
        let Some(tensor) = self.program.tensors.get(&g.tensor) else {
            return Err(KernelError::Form {
                place: self.place(),
                what: format!("the program has no tensor `{}`", g.tensor),
                help: format!("add `{}` to the program's tensors", g.tensor),
            });
        };
        self.expr(&g.row)?;
        self.expr(&g.col)?;
        self.peer(g, tensor)?;
        if g.step == 0 {
            return Err(self.count(
                format!("the step of `{}`", g.tensor),
                0,
                "at least 1".into(),
            ));
        }
        self.view(g, tensor)?;
        let (rows, cols) = g.matrix(tensor);
        for (axis, start, extent, limit) in [
            ("rows", &g.row, g.height(), rows),
            ("columns", &g.col, g.cols, cols),
        ] {
            if extent == 0 || extent > limit {
                return Err(self.count(
                    format!("the number of {axis} of `{}`", g.tensor),
                    extent,
                    format!("from 1 to {limit}"),
                ));
            }
            let Some((low, high)) = self.ranges.of(start) else {
                continue;
            };
            let high = high + extent as i128;
            let ends = std::iter::once(start.clone().plus_constant(extent as i64));
            let counted = counted.filter(|_| axis == "rows" && g.step == 1);
            let ends = ends.chain(counted.map(|rows| start.clone().added(rows)));
            let inside = ends.into_iter().any(|end| self.at_most_here(&end, limit));
            if low < 0 || !inside {
                return Err(KernelError::Bounds {
                    place: self.place(),
                    tensor: g.tensor.clone(),
                    axis,
                    low,
                    high,
                    limit,
                });
            }
        }
        Ok(tensor)
    }

    /// The tile of an operand.
    fn tile(&self, t: &TileRef) -> Result<&'a super::Tile, KernelError> {
        self.index("tile", t.tile, self.kernel.tiles.len())?;
        if let Some(l) = t.slot {
            self.counter(l)?;
        }
        if let Some(rows) = &t.rows {
            self.expr(rows)?;
        }
        Ok(&self.kernel.tiles[t.tile])
    }
}

/// Scalar registers of a kernel: a slip, not a machine, is what this refuses.
const MAX_REGISTERS: usize = 1 << 16;

/// Ranks that a program may have: a slip, not a machine, is what this refuses.
const MAX_RANKS: usize = 1024;
