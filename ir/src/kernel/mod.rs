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
mod foreseen;
mod index;
mod instr;
mod mixed;
mod order;
mod print;
mod program;
mod range;
mod stmt;
mod tile;
mod verify;

pub use crate::space::Space;
pub use comm::{ArrayId, IntOp, NotifyOp, ScalarArray, exprs_of, is_communication};
pub use foreseen::Foreseen;
pub use index::{Expr, GlobalRef, Var};
pub use instr::{
    Access, Apart, Arg, Cpp, Dim, Effect, Instr, Kind, KindRow, Limit, Operand, Placement, Pypto,
    Repeats, Row, Scratch, ScratchTile, Time, Types, VectorOp, scratch_needed,
};
pub use order::{Dependence, Footprint, check_order, dependence, footprints, waits};
pub use program::{GlobalTensor, GridAxis, Kernel, Launch, Program, Role, Unit};
pub use range::Ranges;
pub use stmt::{Cond, Event, Pipe, Stmt};
pub use tile::{Layout, Tile, TileRef};
pub use verify::{
    KernelError, Place, Spot, check_capacity, has_cast, verify, verify_kernel, verify_tensors,
};

/// The place of a tile in [`Kernel::tiles`].
pub type TileId = usize;
/// The number of a loop of a kernel.
pub type LoopId = usize;
/// The number of a register of the scalar unit.
pub type RegId = usize;
