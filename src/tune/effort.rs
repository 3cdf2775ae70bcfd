//! How much is tried: all figures of tuning in one place.

use clap::ValueEnum;

/// A profile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effort {
    /// A look around.
    Quick,
    /// Some minutes.
    #[default]
    Default,
    /// Until nothing gains.
    Full,
}

/// The figures of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// Trials of a distinct kernel.
    pub trials: usize,
    /// Trials at a time: what is learned counts from the next ones on.
    pub batch: usize,
    /// The same of a runner that computes nothing, where a trial costs less than thinking about it.
    pub wide: usize,
    /// Candidates of the search to start from.
    pub seeds: usize,
    /// Trials without a gain after which it is enough.
    pub patience: usize,
    /// Points that are looked at for one that is tried.
    pub pool: usize,
    /// Repeats of a noisy trial: of all, of the better half, of the best quarter.
    pub repeats: [usize; 3],
    /// The best trials that are measured again at the end, and how often.
    pub finalists: usize,
    /// How many of the best are measured once more at the end.
    pub finals: usize,
    /// Layers that are compiled with combinations of the best kernels.
    pub combinations: usize,
    /// Trials of a kernel that the machine's figures are fitted to, before the layer is searched with these.
    pub fitted: usize,
}

impl Effort {
    /// The figures of an effort.
    pub fn profile(self) -> Profile {
        match self {
            Effort::Quick => Profile {
                trials: 64,
                batch: 8,
                wide: 16,
                seeds: 4,
                patience: 32,
                pool: 8,
                repeats: [1, 1, 2],
                finalists: 3,
                finals: 4,
                combinations: 4,
                fitted: 16,
            },
            Effort::Default => Profile {
                trials: 256,
                batch: 8,
                wide: 32,
                seeds: 8,
                patience: 96,
                pool: 8,
                repeats: [1, 2, 4],
                finalists: 5,
                finals: 8,
                combinations: 12,
                fitted: 24,
            },
            Effort::Full => Profile {
                trials: 2048,
                batch: 16,
                wide: 64,
                seeds: 16,
                patience: 512,
                pool: 16,
                repeats: [2, 4, 8],
                finalists: 8,
                finals: 16,
                combinations: 48,
                fitted: 48,
            },
        }
    }
}
