//! Tunes a kernel with a runner and a proposer of one's own: `cargo run --example custom_tune`.
//!
//! The runner here is a simulator of a machine on which a lone block has a hundred microseconds more to do and several share them, so
//! that the search, which does not know of that, takes too few. The proposer tries every point in order.

use std::error::Error;
use tilewright::compile::Options;
use tilewright::layer::Layer;
use tilewright::tune::database::Memory;
use tilewright::tune::effort::Effort;
use tilewright::tune::engine::{Bench, Deaf, Tuning};
use tilewright::tune::kernel::KernelSpace;
use tilewright::tune::proposer::{History, Proposer};
use tilewright::tune::random::Random;
use tilewright::tune::runner::{Failure, Runner, Simulated, Times, Trial};
use tilewright::tune::space::{Point, Space};
use tilewright::tune::stop::Budget;
use tilewright::tune::{key, lowered, problem};
use tilewright_ir::machine::{DEFAULT_MACHINE, Machine};
use tilewright_passes::search::trials::{Filled, regions};

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
        let blocks: usize = trial
            .program
            .kernels
            .iter()
            .map(|k| k.launch.blocks())
            .sum();
        let mut times = self.0.measure(trial, repeats)?;
        times
            .us
            .iter_mut()
            .for_each(|us| *us += 100.0 / blocks as f64);
        Ok(times)
    }
}

/// One point after the other.
struct InOrder(Vec<Point>);

impl Proposer for InOrder {
    fn propose(&mut self, _: &History, _: &dyn Space, count: usize, _: &mut Random) -> Vec<Point> {
        let left = self.0.split_off(count.min(self.0.len()));
        std::mem::replace(&mut self.0, left)
    }
}

pub fn main() -> Result<(), Box<dyn Error>> {
    let machine = Machine::builtin(DEFAULT_MACHINE)?;
    let options = Options::new(machine.clone());
    let layer = Layer::parse("rms_norm.tw", include_bytes!("rms_norm.tw"))?;
    let graph = layer.graph(&[("D".to_string(), 256)].into_iter().collect())?;
    let problem = problem(&lowered(&graph, &machine)?, &machine)?;
    let region = regions(&problem)
        .into_iter()
        .next()
        .ok_or("there is a kernel")?;
    let filled = Filled::new(region.problem.clone(), &machine, &options.search)?;
    let space = KernelSpace::new(&region.name, &filled, &machine, &options.search);
    let runner = Shared(Simulated::new(machine.clone()));
    let key = key(&region.text, false, &options, &runner.identity());
    let database = Memory::default();
    let bench = Bench {
        runner: &runner,
        database: &database,
        machine: &machine,
        profile: Effort::Quick.profile(),
        budget: Budget::new(100, None),
        seed: 0,
        watch: &Deaf,
    };
    let tuned = Tuning::new(bench, &space, &key, None)?.run(&mut InOrder(space.all()))?;
    println!(
        "{}: {:.2} us with {}, {:.2} us as the search has it",
        region.name,
        tuned.us.unwrap_or_default(),
        tuned.schedule,
        tuned.pick_us.unwrap_or_default()
    );
    assert!(tuned.us < tuned.pick_us);
    Ok(())
}
