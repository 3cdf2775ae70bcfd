//! Passes on kernel programs: addresses and flags.

pub mod allocate;
pub mod synchronise;
