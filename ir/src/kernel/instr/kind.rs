//! Which instruction it is, with its name and its pipe.

use super::super::Pipe;
use super::Instr;
use crate::op::table;

/// What is to be said of an instruction whatever its operands are.
#[derive(Debug)]
pub struct KindRow {
    pub name: &'static str,
    /// Its name in PTO-ISA and in texts.
    pub isa: &'static str,
    /// Its pipe; of a store from UB, and of most vector instructions: see [`crate::kernel::Kernel::pipe`].
    pub pipe: Pipe,
    /// Whether it orders ranks.
    pub between_ranks: bool,
}

const fn on(name: &'static str, isa: &'static str, pipe: Pipe) -> KindRow {
    KindRow {
        name,
        isa,
        pipe,
        between_ranks: false,
    }
}

table! {
    /// An instruction without its operands.
    Kind: KindRow {
        Load => on("load", "TLOAD", Pipe::Mte2),
        Store => on("store", "TSTORE", Pipe::Mte3),
        Move => on("move", "TMOV", Pipe::Mte1),
        Matmul => on("matmul", "TMATMUL", Pipe::M),
        MatmulAcc => on("matmul_acc", "TMATMUL_ACC", Pipe::M),
        Vector => on("vector", "", Pipe::V),
        ReadScalar => on("read_scalar", "READ", Pipe::S),
        WriteScalar => on("write_scalar", "WRITE", Pipe::S),
        ReadArray => on("read_array", "READ", Pipe::S),
        WriteArray => on("write_array", "WRITE", Pipe::S),
        SetReg => on("set_reg", "", Pipe::S),
        Compute => on("compute", "", Pipe::S),
        ArrayGet => on("array_get", "", Pipe::S),
        ArraySet => on("array_set", "", Pipe::S),
        Notify => KindRow {
            between_ranks: true,
            ..on("notify", "TNOTIFY", Pipe::S)
        },
        WaitCounter => KindRow {
            between_ranks: true,
            ..on("wait_counter", "TWAIT", Pipe::S)
        },
    }
}

impl Instr {
    /// Which instruction it is.
    pub fn kind(&self) -> Kind {
        match self {
            Instr::Load { .. } => Kind::Load,
            Instr::Store { .. } => Kind::Store,
            Instr::Move { .. } => Kind::Move,
            Instr::Matmul {
                accumulate: false, ..
            } => Kind::Matmul,
            Instr::Matmul { .. } => Kind::MatmulAcc,
            Instr::Vector { .. } => Kind::Vector,
            Instr::ReadScalar { .. } => Kind::ReadScalar,
            Instr::WriteScalar { .. } => Kind::WriteScalar,
            Instr::ReadArray { .. } => Kind::ReadArray,
            Instr::WriteArray { .. } => Kind::WriteArray,
            Instr::SetReg { .. } => Kind::SetReg,
            Instr::Compute { .. } => Kind::Compute,
            Instr::ArrayGet { .. } => Kind::ArrayGet,
            Instr::ArraySet { .. } => Kind::ArraySet,
            Instr::Notify { .. } => Kind::Notify,
            Instr::WaitCounter { .. } => Kind::WaitCounter,
        }
    }
}
