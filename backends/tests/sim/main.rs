//! The simulator on small programs that are written by hand: exact results, times, and every refusal.

mod build;
mod collect;
mod exchange;
mod faults;
mod kernels;
mod races;
mod ranks;
mod results;
mod times;
