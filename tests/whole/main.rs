//! The whole way from a layer to checked kernels. One program, so that the tool is linked once and all cores have work to the end.

#[path = "../common/mod.rs"]
mod common;

mod accounting;
mod calibration;
mod determinism;
mod exchanges;
mod experts;
mod explain;
mod geometry;
mod golden;
mod host;
mod hostile;
mod layers;
mod mixed;
mod moves;
mod numerics;
mod products;
mod pypto;
mod ranks;
mod remedies;
mod reshape;
mod sizes;
mod snapshots;
mod starts;
mod verify;
