//! What is asked of a layer that several ranks run: how often, what one run hands to the next, and what
//! exchanges tell of failures. The pipeline itself is the same for one rank and for many: see [`crate::run`].

use crate::error::{Error, Result};
use tilewright_ir::graph::Graph;

/// How ranks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct How {
    /// Runs of the layer, one after the other on the same windows; outputs become the inputs that the graph carries them to.
    pub layers: usize,
    /// Of the order in which ranks move and stores arrive; `None` for all in turn and stores as late as can be.
    pub seed: Option<u64>,
}

impl Default for How {
    fn default() -> Self {
        How {
            layers: 1,
            seed: None,
        }
    }
}

/// Outputs that become inputs of the next run of the layer, with these inputs.
pub(crate) fn carried(graph: &Graph) -> Vec<(String, String)> {
    graph.carried.clone().into_iter().collect()
}

/// Refuses what an exchange tells of a failure, in words and with a remedy.
pub(crate) fn refuse_failure(failure: Option<(String, String)>) -> Result<()> {
    match failure {
        None => Ok(()),
        Some((message, help)) => Err(Error::ExchangeFailed { message, help }.into()),
    }
}
