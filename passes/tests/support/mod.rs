//! What terms denote, evaluated through their blocks, as an oracle for rules.
//!
//! * [`value`]: matrices cut into blocks, and arithmetic on their elements.
//! * [`evaluate`](mod@evaluate): the value of one term for the values of its children.
//! * [`classes`]: every e-node of every e-class of an e-graph, compared within its class.
//! * [`choices`]: decisions of a generator as data, so that proptest shrinks them.

// Tests of two crates share these, and neither uses all.
#[allow(dead_code)]
pub mod choices;
#[allow(dead_code)]
pub mod classes;
pub mod evaluate;
pub mod value;

/// The default machine where blocks cost nothing, so that more of them pay.
#[allow(dead_code)]
pub fn with_free_blocks() -> tilewright_ir::machine::Machine {
    let mut machine = tilewright_ir::machine::Machine::builtin("A3").expect("it is built in");
    machine.block_head.value = 0.0;
    machine.runtime_mut().block.value = 0.0;
    machine
}
