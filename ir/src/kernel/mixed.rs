//! What mixed kernels have: a cube part and a vector part in one launch.
//!
//! A block of a mixed kernel is a cube core (AIC) and its vector cores (AIV). They share nothing on chip: what one hands to the
//! other goes through global memory, mostly through a ring of a few slots a block ([`super::Var::Turn`]), and is ordered by
//! cross-core flags. The vector cores run the same statements, each with its own [`super::Var::Sub`].
//!
//! A cross-core flag is a small counter on the core that waits for it. `ffts_cross_core_sync` in mode 2 of the a2a3
//! generation raises it: from the cube core on every vector core, from the vector cores on the cube core as soon as each of
//! them has. `wait_flag_dev` holds back the scalar unit, and with it all pipes, until the counter is positive, and takes one
//! off. How many cores and flags there are, and how far a flag counts, is in the machine's description. (PTO-ISA,
//! `docs/isa/scalar/ops/pipeline-sync/{set-cross-core,wait-flag-dev}.md` and `docs/reference/pto-cvid-cluster-id-mapping.md`.)

use super::Unit;

impl Unit {
    /// All kinds of cores that a kernel can run on.
    pub const ALL: [Unit; 3] = [Unit::Cube, Unit::Vector, Unit::Mixed];

    /// The name in texts.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Cube => "cube",
            Unit::Vector => "vector",
            Unit::Mixed => "mixed",
        }
    }
}
