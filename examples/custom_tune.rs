//! Tunes a kernel with a runner and a proposer of one's own: `cargo run --example custom_tune`.
//!
//! The runner here is a simulator of a machine on which a lone block has a hundred microseconds more to do and several share them, so
//! that the search, which does not know of that, takes too few. The proposer tries every point in order.

use tilewright::prelude::*;
use tilewright::tune::database::Memory;
use tilewright::tune::engine::Bench;
use tilewright::tune::proposer::{History, Proposer};
use tilewright::tune::random::Random;
use tilewright::tune::runner::{Failure, Runner, Simulated, Times, Trial};
use tilewright::tune::space::{Point, Space};
use tilewright::tune::{Tuned, tune_kernel};

/// Work that blocks share and that no model knows.
struct Shared(Simulated);

impl Runner for Shared {
    fn identity(&self) -> String {
        format!("shared-{}", self.0.identity())
    }

    fn is_noisy(&self) -> bool {
        false
    }

    fn computes(&self) -> bool {
        false
    }

    fn measure(&self, trial: &Trial, repeats: usize) -> Result<Times, Failure> {
        let kernels = trial.program.kernels.iter();
        let blocks: usize = kernels.map(|k| k.launch.blocks()).sum();
        let mut times = self.0.measure(trial, repeats)?;
        for us in &mut times.us {
            *us += 100.0 / blocks as f64;
        }
        Ok(times)
    }
}

/// One point after the other, from the first.
struct InOrder(usize);

impl Proposer for InOrder {
    fn propose(&mut self, _: &History, space: &dyn Space, n: usize, _: &mut Random) -> Vec<Point> {
        let next = space.all().into_iter().skip(self.0).take(n).collect();
        self.0 += n;
        next
    }
}

pub fn run() -> Result<Tuned> {
    let layer = Layer::parse("rms_norm.tw", include_bytes!("rms_norm.tw"))?;
    let options = Options::new(Machine::builtin(DEFAULT_MACHINE)?);
    let runner = Shared(Simulated::new(options.machine.clone()));
    let database = Memory::default();
    let bench = Bench::new(&runner, &database, &options.machine);
    let graph = layer.at([("D", 256)])?;
    tune_kernel(&graph, &options, "norm", &bench, &mut InOrder(0))
}

pub fn main() -> miette::Result<()> {
    let tuned = run()?;
    println!(
        "norm: {:.2} us with {}, {:.2} us as the search has it",
        tuned.us.unwrap_or_default(),
        tuned.schedule,
        tuned.pick_us.unwrap_or_default()
    );
    Ok(())
}
