//! Exchanges, as their programs say.
//!
//! Ranks take turns: a rank runs until a wait of its is not over yet, and then the next one goes on. So the order is one of those in
//! which the ranks may run, and always the same. Whether another order would do something else is for the simulator of ranks to
//! find out; here, a wait that nobody ends and a read of what nobody has written are refused.
//!
//! Windows and counters outlive a run of the layer, as they do on a machine: see [`Memory`].

mod memory;
mod rank;

pub(super) use memory::Memory;

use super::ReferenceError;
use crate::data::Tensor;
use memory::Shared;
use rank::{Rank, State};
use tilewright_ir::op::exchange::Program;

/// Statements of all ranks after which a program is taken for endless.
const MAX_STEPS: u64 = 1 << 30;

/// Why a rank cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub what: String,
    pub help: &'static str,
}

/// The results of an exchange, by rank.
pub(super) fn run(
    program: &Program,
    operands: &[Vec<&Tensor>],
    memory: &mut Memory,
    epoch: i64,
) -> Result<Vec<Vec<Tensor>>, ReferenceError> {
    let shared = memory.of(program, epoch);
    let mut ranks: Vec<Rank> = operands
        .iter()
        .enumerate()
        .map(|(number, operands)| Rank::new(program, number, epoch, operands))
        .collect();
    let mut steps = 0;
    loop {
        let mut moved = false;
        for rank in &mut ranks {
            moved |= turn(program, rank, shared, &mut steps)?;
        }
        if ranks.iter().all(Rank::is_over) {
            break;
        }
        if !moved {
            let waits = ranks.iter().filter_map(|r| r.waiting(shared));
            return Err(ReferenceError::Deadlock {
                exchange: program.name.clone(),
                waits: waits.collect::<Vec<_>>().join("; "),
            });
        }
    }
    let results = ranks.into_iter().map(|r| {
        let number = r.number;
        r.results()
            .map_err(|fault| refused(program, number, "", fault))
    });
    results.collect()
}

/// Runs a rank as far as it comes; whether it did anything.
fn turn(
    program: &Program,
    rank: &mut Rank,
    shared: &mut Shared,
    steps: &mut u64,
) -> Result<bool, ReferenceError> {
    let mut moved = false;
    loop {
        let line = rank.line();
        *steps += 1;
        if *steps > MAX_STEPS {
            let fault = Fault {
                what: format!("it is not over after {MAX_STEPS} statements"),
                help: "give its loops fewer trips",
            };
            return Err(refused(program, rank.number, line, fault));
        }
        match rank.step(shared) {
            Ok(State::Moved) => moved = true,
            Ok(State::Waits | State::Over) => return Ok(moved),
            Err(fault) => return Err(refused(program, rank.number, line, fault)),
        }
    }
}

fn refused(program: &Program, rank: usize, line: &str, fault: Fault) -> ReferenceError {
    let statement = match line {
        "" => String::new(),
        line => format!(", `{line}`"),
    };
    ReferenceError::Exchange {
        exchange: program.name.clone(),
        rank,
        statement,
        what: fault.what,
        help: fault.help,
    }
}
