//! A backend that runs kernels here: the host's processor, or an NPU.

use super::{Failure, Runner, Times, Trial, right, this_host};
use tilewright_backends::ascend::{Notes, emit_with_notes};
use tilewright_backends::backend::{Backend, Job};

/// Measures on a backend. The first run of a program is a warm-up: it is checked and not counted.
pub struct OnBackend {
    backend: Box<dyn Backend>,
    host: String,
}

impl OnBackend {
    /// A runner that measures with a backend.
    pub fn new(backend: Box<dyn Backend>) -> Self {
        OnBackend {
            backend,
            host: this_host(),
        }
    }
}

impl Runner for OnBackend {
    fn identity(&self) -> String {
        match self.backend.timing().is_measured() {
            true => format!("{}:{}", self.backend.name(), self.host),
            false => self.backend.name().into(),
        }
    }

    fn is_noisy(&self) -> bool {
        self.backend.timing().is_measured()
    }

    fn computes(&self) -> bool {
        true
    }

    fn measure(&self, trial: &Trial, repeats: usize) -> Result<Times, Failure> {
        let refused = |e: &dyn std::fmt::Display| Failure::Refused(e.to_string());
        let Some(data) = trial.data else {
            return Err(Failure::Refused("there is no data to run on".into()));
        };
        self.backend
            .accepts(trial.program)
            .map_err(|e| refused(&e))?;
        let files = emit_with_notes(trial.program, trial.machine, &Notes::new());
        let files = files.map_err(|e| refused(&e))?;
        let inputs = std::slice::from_ref(&data.inputs);
        let job = Job::once(trial.program, &files, trial.machine, inputs);
        let mut us = vec![];
        for run in 0..=repeats.max(1) {
            let ran = self.backend.run(&job);
            let ran = ran.map_err(|e| Failure::Broken(e.to_string()))?;
            let Some(rank) = ran.ranks.first() else {
                return Err(Failure::Broken("the backend ran no rank".into()));
            };
            match run {
                0 => right(trial.program, &data.expected, &rank.outputs)?,
                _ => us.push(rank.kernels.iter().map(|k| k.us()).sum()),
            }
        }
        Ok(Times {
            us,
            host: self.host.clone(),
        })
    }
}
