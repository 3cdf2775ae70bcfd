//! Passes on kernel programs: addresses, flags, and what waits for what.

pub mod allocate;
pub mod cross;
mod lives;
pub mod order;
pub mod synchronise;
