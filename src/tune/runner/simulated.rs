//! The simulator's times, without data: a fraction of a millisecond a trial.

use super::{Failure, Runner, Times, Trial, this_host};
use crate::tune::kernel::hash;
use tilewright_backends::sim;
use tilewright_ir::machine::Machine;

/// Times programs on a machine, which may be another than the one that they were chosen for.
#[derive(Debug, Clone)]
pub struct Simulated {
    machine: Machine,
    identity: String,
    host: String,
}

impl Simulated {
    /// The simulator of a machine.
    pub fn new(machine: Machine) -> Self {
        let text = serde_json::to_string(&machine).unwrap_or_default();
        let identity = format!("sim:{}", &hash(&text)[..8]);
        Simulated {
            machine,
            identity,
            host: this_host(),
        }
    }
}

impl Runner for Simulated {
    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn is_noisy(&self) -> bool {
        false
    }

    fn computes(&self) -> bool {
        false
    }

    fn measure(&self, trial: &Trial, repeats: usize) -> Result<Times, Failure> {
        let report = sim::time(trial.program, &self.machine);
        let us = report.map_err(|e| Failure::Refused(e.to_string()))?.us;
        Ok(Times {
            us: vec![us; repeats.max(1)],
            host: self.host.clone(),
        })
    }
}
