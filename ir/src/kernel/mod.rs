//! The kernel program: loops, tiles, instructions and flags.
//!
//! Start with [`Program`]. One value serves all later stages: the schedule pass fills in tiles and instructions, the allocate
//! pass gives every tile its addresses, the synchronise pass inserts flags. Emission prints it one to one and the
//! simulator runs it. [`verify`] checks what every stage after it relies on.
//!
//! An index is an affine [`Expr`] of the block's grid coordinates, loop counters and scalar registers, in elements.
//!
//! A program may run on several *ranks* at once, each with global memory of its own. A tensor of [`Role::Window`] has one
//! instance a rank; a [`GlobalRef`] with a peer is a rectangle of another rank's instance, into which [`Instr::Store`] and
//! [`Instr::WriteScalar`] write. [`Instr::Notify`] and [`Instr::WaitCounter`] order ranks; nothing else does.

mod comm;
mod mixed;
mod order;
mod print;
mod scratch;
mod verify;

pub use comm::{ArrayId, IntOp, NotifyOp, ScalarArray, exprs_of, is_communication};
pub use mixed::{CROSS_FLAGS, CROSS_LIMIT, SUB_BLOCKS};
pub use order::{Dependence, Footprint, check_order, dependence, footprints, waits};
pub use scratch::{Scratch, scratch_needed};
pub use verify::{
    KernelError, MAX_ARRAYS, Place, Spot, check_capacity, has_cast, verify, verify_kernel,
    verify_tensors,
};

use crate::dtype::{DType, Round};
use crate::graph::{Binary, LaunchKind, Ragged, Reduce, Unary};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// A layer as kernels, in launch order, over tensors in global memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Program {
    pub name: String,
    /// The machine that tiles and flags were chosen for.
    pub machine: String,
    /// Ranks that run the program together, each on its own inputs; 1 is a program without communication.
    #[serde(default = "comm::one_rank")]
    pub ranks: usize,
    pub tensors: IndexMap<String, GlobalTensor>,
    /// Run-time i32 arguments (`num_tokens`), each with the largest value that it may take.
    pub scalars: IndexMap<String, i64>,
    pub kernels: Vec<Kernel>,
}

/// A dense row-major matrix in global memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GlobalTensor {
    pub dtype: DType,
    /// As in the graph: `[R, C]`, `[C]`, or `[]`.
    pub shape: Vec<usize>,
    pub role: Role,
    /// Groups of rows of which only the first few exist; kernels read and write no others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ragged: Option<Ragged>,
}

impl GlobalTensor {
    /// Rows and columns; a vector is one row.
    pub fn matrix(&self) -> (usize, usize) {
        match self.shape.as_slice() {
            [] => (1, 1),
            [c] => (1, *c),
            [r, c] => (*r, *c),
            more => (
                more[..more.len() - 1].iter().product(),
                more[more.len() - 1],
            ),
        }
    }

    pub fn bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.bytes()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Input,
    Output,
    /// Written by one kernel and read by a later one.
    Workspace,
    /// Symmetric memory that peers write into: one instance a rank, zero before the first layer run, alive over all of them.
    Window,
}

/// The core type that runs a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// AIC.
    Cube,
    /// AIV.
    Vector,
    /// Both: a block is a cube core and its vector cores, each of which runs a [`Stmt::Part`] of the body.
    Mixed,
}

/// One kernel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kernel {
    pub name: String,
    /// The regions of the graph as written whose work this kernel contains.
    pub covers: Vec<String>,
    pub unit: Unit,
    pub launch: Launch,
    /// Tile parameters under their engineers' names.
    pub params: IndexMap<String, usize>,
    /// Loaded tiles in flight in the deepest loop: 1 is `range`.
    pub pipeline: usize,
    /// Names of loops, in the order of [`LoopId`].
    pub loops: Vec<String>,
    pub tiles: Vec<Tile>,
    /// How many scalar registers the body uses.
    pub registers: usize,
    /// Arrays of the scalar unit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arrays: Vec<ScalarArray>,
    /// Earlier kernels that must be over before this one starts; those before them need no mention.
    #[serde(default)]
    pub after: Vec<String>,
    /// Where passes had to settle for less than the best, for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    pub body: Vec<Stmt>,
}

/// How many blocks, and how they are started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    pub kind: LaunchKind,
    /// Grid axes, slowest first. Block `b` has the coordinates of `b` in this mixed radix.
    pub grid: Vec<GridAxis>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GridAxis {
    pub name: String,
    pub count: usize,
}

impl Launch {
    pub fn blocks(&self) -> usize {
        self.grid.iter().map(|a| a.count).product()
    }

    /// The grid coordinates of a block.
    pub fn coordinates(&self, block: usize) -> Vec<usize> {
        let mut rest = block;
        let mut out = vec![0; self.grid.len()];
        for (i, axis) in self.grid.iter().enumerate().rev() {
            out[i] = rest % axis.count;
            rest /= axis.count;
        }
        out
    }
}

/// On-chip memories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Space {
    /// Unified buffer of a vector core.
    Ub,
    L1,
    L0a,
    L0b,
    L0c,
}

impl Space {
    pub const ALL: [Space; 5] = [Space::Ub, Space::L1, Space::L0a, Space::L0b, Space::L0c];

    pub fn name(self) -> &'static str {
        match self {
            Space::Ub => "ub",
            Space::L1 => "l1",
            Space::L0a => "l0a",
            Space::L0b => "l0b",
            Space::L0c => "l0c",
        }
    }
}

/// How a tile's elements lie in its memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// ND: rows one after the other.
    RowMajor,
    /// DN: one column of per-row values; `[R, 1]` lies as `[1, R]` would.
    ColMajor,
    /// L1 operand A: column blocks of row-major fractals (NZ).
    Nz,
    /// L1 operand B (ZN), `[K, N]`: its load transposes the `[N, K]` rectangle that global memory holds.
    Zn,
    /// L0A: row-major fractals in row-major order (ZZ).
    Zz,
    /// L0B, `[K, N]`: column-major fractals in row-major order (ZN).
    Right,
    /// L0C accumulator (NZ, 16 x 16 fractals).
    Acc,
}

pub type TileId = usize;
pub type LoopId = usize;
pub type RegId = usize;

/// A buffer in on-chip memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tile {
    pub name: String,
    pub space: Space,
    pub dtype: DType,
    /// Physical extent, padded to what the memory and the instructions need.
    pub rows: usize,
    pub cols: usize,
    /// The part that holds data, from (0, 0).
    pub valid_rows: usize,
    pub valid_cols: usize,
    pub layout: Layout,
    /// Copies for double buffering.
    pub slots: usize,
    /// One byte address a slot; empty until allocated.
    pub addrs: Vec<usize>,
}

impl Tile {
    /// Bytes of one slot.
    pub fn bytes(&self) -> usize {
        self.rows * self.cols * self.dtype.bytes()
    }
}

/// A variable of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Var {
    /// Coordinate on a grid axis.
    Grid(usize),
    /// Counter of a loop, from 0.
    Loop(LoopId),
    /// Index into [`Program::scalars`].
    Scalar(usize),
    /// A register that an instruction of the scalar unit filled.
    Reg(RegId),
    /// The number of the rank that runs the kernel, from 0.
    Rank,
    /// The number of the layer run, from 1.
    Epoch,
    /// In the vector part of a mixed kernel: which of the block's vector cores it is, from 0.
    Sub,
    /// The counter of a loop modulo a number: which slot of a ring in global memory a trip uses.
    Turn(LoopId, usize),
}

/// `base + sum of coefficient * variable`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Expr {
    pub base: i64,
    /// Sorted by variable, no zero coefficients.
    pub terms: Vec<(Var, i64)>,
}

impl Expr {
    pub fn constant(base: i64) -> Self {
        Expr {
            base,
            terms: vec![],
        }
    }

    pub fn var(v: Var, coefficient: i64) -> Self {
        Expr::default().plus(v, coefficient)
    }

    /// `self + coefficient * v`.
    pub fn plus(mut self, v: Var, coefficient: i64) -> Self {
        match self.terms.binary_search_by_key(&v, |t| t.0) {
            Ok(i) => {
                self.terms[i].1 += coefficient;
                if self.terms[i].1 == 0 {
                    self.terms.remove(i);
                }
            }
            Err(i) if coefficient != 0 => self.terms.insert(i, (v, coefficient)),
            Err(_) => {}
        }
        self
    }

    /// `self + constant`.
    pub fn plus_constant(mut self, constant: i64) -> Self {
        self.base += constant;
        self
    }

    /// `self - other`.
    pub fn minus(mut self, other: &Expr) -> Self {
        self.base -= other.base;
        for (v, c) in &other.terms {
            self = self.plus(*v, -c);
        }
        self
    }

    pub fn eval(&self, lookup: impl Fn(Var) -> i64) -> i64 {
        self.base + self.terms.iter().map(|(v, c)| c * lookup(*v)).sum::<i64>()
    }
}

/// A tile as an operand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TileRef {
    pub tile: TileId,
    /// The loop whose counter, modulo the tile's slots, names the slot; `None` is slot 0.
    pub slot: Option<LoopId>,
    /// A run-time count of valid rows, clamped to `0..=valid_rows`; `None` is all of them.
    pub rows: Option<Expr>,
}

impl TileRef {
    pub fn new(tile: TileId) -> Self {
        TileRef {
            tile,
            slot: None,
            rows: None,
        }
    }
}

/// A rectangle of a global tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GlobalRef {
    /// Name in [`Program::tensors`].
    pub tensor: String,
    pub row: Expr,
    pub col: Expr,
    pub rows: usize,
    pub cols: usize,
    /// The rank whose instance of a window it is; `None` is the rank's own, as for all other tensors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<Expr>,
    /// Rows of the tensor from one row of the rectangle to the next; only a load has more than 1.
    #[serde(default = "adjacent", skip_serializing_if = "is_adjacent")]
    pub step: usize,
}

fn adjacent() -> usize {
    1
}

fn is_adjacent(step: &usize) -> bool {
    *step == 1
}

impl GlobalRef {
    /// Rows of the tensor from the first to the last of the rectangle.
    pub fn height(&self) -> usize {
        self.rows.saturating_sub(1).saturating_mul(self.step) + self.rows.min(1)
    }
}

/// Vector instructions. Operands are named as in [`Instr::Vector`]: `dst`, then `srcs`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VectorOp {
    /// Type conversion.
    Cvt(Round),
    Unary(Unary),
    /// `srcs[0] op value`.
    Scalar(Binary, f32),
    Binary(Binary),
    /// `srcs[0] [R, C] op srcs[1] [R, 1]`.
    RowExpand(Binary),
    /// `srcs[0] [R, C] op srcs[1] [1, C]`.
    ColExpand(Binary),
    /// `dst [R, C]`: upper op lower half of `srcs[0] [2 R, C]`, or left op right half of `srcs[0] [R, 2 C]`.
    Halves(Binary),
    /// `[R, C] -> [R, 1]`, with a scratch tile as big as the source.
    RowReduce(Reduce),
    /// All of `dst` becomes the value.
    Fill(f32),
    /// Copies the source's valid part into the first rows and columns.
    Copy,
    /// `dst [1, C] = 0, 1, 2, ...` (i32 or u32), by the scalar unit.
    Iota,
    /// Sorts each 32 elements of `srcs[0] [1, C] f32` in descending order, stable; `srcs[1] [1, C] u32` are their indices;
    /// `dst [1, 2 C]` receives (value, index) pairs, 8 bytes each.
    Sort32,
    /// Merges sorted runs of `run` pairs in `srcs[0]`, four (or the last two) at a time, into `dst`.
    MergeSort {
        run: usize,
    },
    /// The indices of the first `dst` columns' pairs of `srcs[0]`, as i32.
    PairIndices,
    /// `dst[0, k] = srcs[0][0, srcs[1][0, k]]`, one row.
    Gather,
}

/// Instructions, each on one pipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Instr {
    /// Global memory to UB or L1 (MTE2). Columns and rows beyond the rectangle keep what they held.
    Load { dst: TileRef, src: GlobalRef },
    /// UB (MTE3) or L0C (FIX) to global memory. Converts nothing. From UB also into a peer's window.
    Store { dst: GlobalRef, src: TileRef },
    /// L1 to L0A or L0B (MTE1): all of `src`, or what of it begins at a row and column and has the extent of `dst`.
    Move {
        dst: TileRef,
        src: TileRef,
        #[serde(default, skip_serializing_if = "is_start")]
        from: (usize, usize),
    },
    /// `dst = lhs x rhs`, or `dst += lhs x rhs` (M).
    Matmul {
        dst: TileRef,
        lhs: TileRef,
        rhs: TileRef,
        accumulate: bool,
    },
    /// Vector arithmetic (V).
    Vector {
        op: VectorOp,
        dst: TileRef,
        srcs: Vec<TileRef>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tmp: Option<TileRef>,
    },
    /// One integer of global memory into a register (S).
    ReadScalar { dst: RegId, src: GlobalRef },
    /// One integer into global memory, also into a peer's window (S).
    WriteScalar { dst: GlobalRef, value: Expr },
    /// Whole rows of integers of global memory, one after the other, into the first elements of an array (S).
    ReadArray { array: ArrayId, src: GlobalRef },
    /// The first elements of an array into whole rows of the rank's own global memory, one after the other (S).
    WriteArray { dst: GlobalRef, array: ArrayId },
    /// A register's new value (S).
    SetReg { dst: RegId, value: Expr },
    /// `dst = lhs op rhs` on integers (S).
    Compute {
        dst: RegId,
        op: IntOp,
        lhs: Expr,
        rhs: Expr,
    },
    /// `dst = array[index]` (S).
    ArrayGet {
        dst: RegId,
        array: ArrayId,
        index: Expr,
    },
    /// `array[index] = value` (S).
    ArraySet {
        array: ArrayId,
        index: Expr,
        value: Expr,
    },
    /// Sets a counter of a window to a value, or adds to it in one step (S). What the block has read and written in global
    /// memory before it, also on other ranks, is over before the counter changes.
    Notify {
        counter: GlobalRef,
        op: NotifyOp,
        value: Expr,
    },
    /// Spins until a counter of the rank's own window is at least a value (S). The block does nothing of what follows,
    /// on any pipe, before that.
    WaitCounter { counter: GlobalRef, at_least: Expr },
}

/// The queues of a core. Instructions of one pipe start in program order; different pipes are only ordered by flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Pipe {
    /// Scalar unit.
    S,
    /// Vector unit.
    V,
    /// Cube unit.
    M,
    /// L1 to L0A and L0B.
    Mte1,
    /// Global memory to UB and L1.
    Mte2,
    /// UB to global memory.
    Mte3,
    /// L0C to global memory.
    Fix,
}

impl Pipe {
    pub const ALL: [Pipe; 7] = [
        Pipe::S,
        Pipe::V,
        Pipe::M,
        Pipe::Mte1,
        Pipe::Mte2,
        Pipe::Mte3,
        Pipe::Fix,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Pipe::S => "S",
            Pipe::V => "V",
            Pipe::M => "M",
            Pipe::Mte1 => "MTE1",
            Pipe::Mte2 => "MTE2",
            Pipe::Mte3 => "MTE3",
            Pipe::Fix => "FIX",
        }
    }
}

/// Event ids that each ordered pair of pipes has.
pub const EVENT_IDS: usize = 8;

/// One of a pipe pair's event ids: `base`, or `base + counter % depth` in a loop that rotates them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub base: usize,
    /// The rotating loop and its depth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate: Option<(LoopId, usize)>,
}

/// A condition that the scalar unit decides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cond {
    /// The first trip of a loop.
    First(LoopId),
    /// The expression is greater than zero.
    Positive(Expr),
    /// The expression is zero.
    Zero(Expr),
}

/// A statement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stmt {
    Loop {
        id: LoopId,
        trips: usize,
        /// Loaded tiles in flight: 1 is `range`.
        depth: usize,
        body: Vec<Stmt>,
    },
    If {
        cond: Cond,
        then: Vec<Stmt>,
        otherwise: Vec<Stmt>,
    },
    Instr(Instr),
    Set {
        src: Pipe,
        dst: Pipe,
        event: Event,
    },
    Wait {
        src: Pipe,
        dst: Pipe,
        event: Event,
    },
    /// Later instructions of the pipe start after the earlier ones have finished.
    Barrier(Pipe),
    /// What one type of core does in a mixed kernel; the kernel's body is one of the cube, then one of the vector cores.
    Part {
        unit: Unit,
        body: Vec<Stmt>,
    },
    /// Raises a flag of the block's other cores when all that the pipe was given before has finished: from the cube core
    /// on each vector core, and from the vector cores on the cube core once all of them have set it. A flag counts.
    SetCross {
        pipe: Pipe,
        flag: usize,
    },
    /// The core does nothing of what follows, on any pipe, before the flag is raised; lowers it by one.
    WaitCross {
        flag: usize,
    },
}

impl Kernel {
    /// The pipe that runs an instruction.
    pub fn pipe(&self, instr: &Instr) -> Pipe {
        match instr {
            Instr::Load { .. } => Pipe::Mte2,
            Instr::Store { src, .. } => match self.tiles[src.tile].space {
                Space::L0c => Pipe::Fix,
                _ => Pipe::Mte3,
            },
            Instr::Move { .. } => Pipe::Mte1,
            Instr::Matmul { .. } => Pipe::M,
            // The index row is written by the scalar unit.
            Instr::Vector {
                op: VectorOp::Iota, ..
            } => Pipe::S,
            Instr::Vector { .. } => Pipe::V,
            Instr::ReadScalar { .. }
            | Instr::WriteScalar { .. }
            | Instr::ReadArray { .. }
            | Instr::WriteArray { .. }
            | Instr::SetReg { .. }
            | Instr::Compute { .. }
            | Instr::ArrayGet { .. }
            | Instr::ArraySet { .. }
            | Instr::Notify { .. }
            | Instr::WaitCounter { .. } => Pipe::S,
        }
    }

    /// Highest address used in a memory, in bytes.
    pub fn used(&self, space: Space) -> usize {
        self.tiles
            .iter()
            .filter(|t| t.space == space)
            .flat_map(|t| t.addrs.iter().map(|a| a + t.bytes()))
            .max()
            .unwrap_or(0)
    }

    /// Global tensors read and written, by name, each once, in program order.
    pub fn accesses(&self) -> (Vec<String>, Vec<String>) {
        let (mut reads, mut writes) = (vec![], vec![]);
        self.visit(&mut |instr| {
            let Some((access, rect)) = instr.global() else {
                return;
            };
            let list = match access {
                Access::Read => &mut reads,
                Access::Write => &mut writes,
            };
            if !list.contains(&rect.tensor) {
                list.push(rect.tensor.clone());
            }
        });
        (reads, writes)
    }

    /// The trips of every loop, by [`LoopId`]; 1 of a loop that the body does not have.
    pub fn trips(&self) -> Vec<usize> {
        fn walk(body: &[Stmt], out: &mut [usize]) {
            for s in body {
                match s {
                    Stmt::Loop {
                        id, trips, body, ..
                    } => {
                        if let Some(t) = out.get_mut(*id) {
                            *t = *trips;
                        }
                        walk(body, out);
                    }
                    Stmt::Part { body, .. } => walk(body, out),
                    Stmt::If {
                        then, otherwise, ..
                    } => {
                        walk(then, out);
                        walk(otherwise, out);
                    }
                    _ => {}
                }
            }
        }
        let mut out = vec![1; self.loops.len()];
        walk(&self.body, &mut out);
        out
    }

    /// Calls `f` on every instruction in program order, each once.
    pub fn visit<'a>(&'a self, f: &mut impl FnMut(&'a Instr)) {
        fn walk<'a>(body: &'a [Stmt], f: &mut impl FnMut(&'a Instr)) {
            for s in body {
                match s {
                    Stmt::Loop { body, .. } | Stmt::Part { body, .. } => walk(body, f),
                    Stmt::If {
                        then, otherwise, ..
                    } => {
                        walk(then, f);
                        walk(otherwise, f);
                    }
                    Stmt::Instr(i) => f(i),
                    _ => {}
                }
            }
        }
        walk(&self.body, f);
    }
}

impl Instr {
    /// Tiles read, then tiles written. An accumulating product and a partial write also read their target.
    pub fn tiles(&self) -> (Vec<&TileRef>, Vec<&TileRef>) {
        match self {
            Instr::Load { dst, .. } => (vec![], vec![dst]),
            Instr::Store { src, .. } => (vec![src], vec![]),
            Instr::Move { dst, src, .. } => (vec![src], vec![dst]),
            Instr::Matmul {
                dst,
                lhs,
                rhs,
                accumulate,
            } => {
                let mut reads = vec![lhs, rhs];
                if *accumulate {
                    reads.push(dst);
                }
                (reads, vec![dst])
            }
            Instr::Vector { dst, srcs, tmp, .. } => (
                srcs.iter().collect(),
                std::iter::once(dst).chain(tmp.as_ref()).collect(),
            ),
            _ => (vec![], vec![]),
        }
    }

    /// The rectangle of global memory that it reads or writes. A counter is read by its wait and written by a notify.
    pub fn global(&self) -> Option<(Access, &GlobalRef)> {
        match self {
            Instr::Load { src, .. }
            | Instr::ReadScalar { src, .. }
            | Instr::ReadArray { src, .. } => Some((Access::Read, src)),
            Instr::WaitCounter { counter, .. } => Some((Access::Read, counter)),
            Instr::Store { dst, .. }
            | Instr::WriteScalar { dst, .. }
            | Instr::WriteArray { dst, .. } => Some((Access::Write, dst)),
            Instr::Notify { counter, .. } => Some((Access::Write, counter)),
            _ => None,
        }
    }
}

fn is_start(from: &(usize, usize)) -> bool {
    *from == (0, 0)
}

/// What an instruction does to a rectangle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
}
