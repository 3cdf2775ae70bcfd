//! How near an output must come to what is expected of it.

use super::{Graph, GraphError};
use serde::{Deserialize, Serialize};

/// What an author asks of an output, where the default of its element type is not right: sums of roundings, say, or what lies
/// behind an int8 quantisation, in which a last place turns into a whole step.
///
/// An element is off when it is further than `atol + rtol * |expected|` from what is expected; a share `outliers` of the
/// elements may be off.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Accuracy {
    /// In the values' own unit.
    #[serde(default)]
    pub atol: f64,
    /// A share of the expected magnitude.
    #[serde(default)]
    pub rtol: f64,
    /// A share of the elements, below 1.
    #[serde(default)]
    pub outliers: f64,
}

impl Accuracy {
    /// The names of its parts in the text form.
    pub const PARTS: [&str; 3] = ["atol", "rtol", "outliers"];

    /// The part of that name.
    pub fn part(&mut self, name: &str) -> Option<&mut f64> {
        match name {
            "atol" => Some(&mut self.atol),
            "rtol" => Some(&mut self.rtol),
            "outliers" => Some(&mut self.outliers),
            _ => None,
        }
    }

    /// What is wrong with it.
    pub fn problem(&self) -> Option<String> {
        for (name, value) in [("atol", self.atol), ("rtol", self.rtol)] {
            if !(value.is_finite() && value >= 0.0) {
                return Some(format!("{name} is {value}, and must be a number from 0"));
            }
        }
        // With all elements allowed to be off, nothing would be compared.
        let share = self.outliers;
        (!(0.0..1.0).contains(&share))
            .then(|| format!("outliers is {share}, and must be a share from 0 to below 1"))
    }
}

/// Accuracies belong to outputs, and are accuracies.
pub(super) fn verify(graph: &Graph) -> Result<(), GraphError> {
    for (name, accuracy) in &graph.within {
        if !graph.outputs.iter().any(|v| graph.name(*v) == name) {
            return Err(GraphError::WithinUnknown { name: name.clone() });
        }
        if let Some(problem) = accuracy.problem() {
            return Err(GraphError::Within {
                name: name.clone(),
                problem,
            });
        }
    }
    Ok(())
}
