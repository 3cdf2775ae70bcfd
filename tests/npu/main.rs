//! Projects for an NPU, built and run with a stand-in for CANN (`cann/`): its compiler is this system's, its runtime runs
//! kernels on this processor, in the order of streams that is worst for a launcher that forgets to wait.

#[path = "../common/mod.rs"]
mod common;
mod folders;
mod refusals;
mod runs;
mod stand_in;
