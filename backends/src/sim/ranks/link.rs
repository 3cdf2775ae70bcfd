//! What a block sees of other ranks: windows, counters, and how long its turn is.

use super::super::error::Fault;
use super::super::memory::Access;
use super::Delivery;
use super::fabric::{Fabric, Target, Wait, Who};
use super::random::Random;
use super::timeline::TimeOp;
use tilewright_ir::DType;
use tilewright_ir::kernel::NotifyOp;

/// What a block sees of other ranks and blocks.
pub(in super::super) trait Link {
    fn dtype(&self, tensor: &str) -> Option<DType>;
    fn read(
        &mut self,
        access: &Access,
        tensor: &str,
        at: (i64, i64),
        extent: (usize, usize),
    ) -> Result<Vec<u8>, Fault>;
    fn write(
        &mut self,
        access: &Access,
        to: Target,
        extent: (usize, usize),
        bytes: Vec<u8>,
    ) -> Result<(), Fault>;
    fn notify(
        &mut self,
        access: &Access,
        to: Target,
        op: NotifyOp,
        value: i64,
    ) -> Result<TimeOp, Fault>;
    fn waits_for(
        &self,
        tensor: &str,
        at: (i64, i64),
        at_least: i64,
        step: usize,
    ) -> Result<Wait, Fault>;
    /// What the wait costs, if it is over.
    fn pass(&mut self, wait: &Wait) -> Option<TimeOp>;
    fn turn_is_over(&self) -> bool;
}

/// A block's turn.
pub(super) struct Turn<'t, 'r, 'a> {
    pub fabric: &'t mut Fabric<'r, 'a>,
    pub random: &'t mut Random,
    pub delivery: Delivery,
    pub who: Who,
    /// Accesses of windows that are left.
    pub left: usize,
}

impl Turn<'_, '_, '_> {
    fn spend(&mut self) {
        self.left = self.left.saturating_sub(1);
        if self.delivery == Delivery::Random && self.random.below(2) == 0 {
            self.fabric.deliver(self.random);
        }
    }
}

impl Link for Turn<'_, '_, '_> {
    fn dtype(&self, tensor: &str) -> Option<DType> {
        self.fabric.dtype(tensor)
    }

    fn read(
        &mut self,
        access: &Access,
        tensor: &str,
        at: (i64, i64),
        extent: (usize, usize),
    ) -> Result<Vec<u8>, Fault> {
        self.spend();
        self.fabric.read(self.who, access, tensor, at, extent)
    }

    fn write(
        &mut self,
        access: &Access,
        to: Target,
        extent: (usize, usize),
        bytes: Vec<u8>,
    ) -> Result<(), Fault> {
        self.spend();
        self.fabric.write(self.who, access, to, extent, bytes)?;
        if self.delivery == Delivery::Early {
            self.fabric.deliver(self.random);
        }
        Ok(())
    }

    fn notify(
        &mut self,
        access: &Access,
        to: Target,
        op: NotifyOp,
        value: i64,
    ) -> Result<TimeOp, Fault> {
        self.spend();
        self.fabric.notify(self.who, access, to, op, value)
    }

    fn waits_for(
        &self,
        tensor: &str,
        at: (i64, i64),
        at_least: i64,
        step: usize,
    ) -> Result<Wait, Fault> {
        self.fabric.waits_for(tensor, at, at_least, step)
    }

    fn pass(&mut self, wait: &Wait) -> Option<TimeOp> {
        self.fabric.pass(self.who, wait)
    }

    fn turn_is_over(&self) -> bool {
        self.left == 0
    }
}
