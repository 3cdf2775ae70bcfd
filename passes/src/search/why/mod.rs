//! Why a kernel is as it is: egg's proofs, in words.

mod chain;
mod proof;

pub use chain::{Applied, Change};
pub(in crate::search) use proof::{chain, derivation};
