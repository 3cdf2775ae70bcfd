//! How near an output must come to what is expected of it.

use super::{Graph, GraphError, Op, Value};
use crate::dtype::DType;
use crate::op::Access;
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

impl Graph {
    /// The element type that tells how near a value must come: its own, or bf16 where an element is a function of one element of a
    /// computed bf16 value. Such a value can be rounded to either of two neighbours where what was rounded differs in its last
    /// place, and so differs by a last place of bf16.
    pub fn rounded_to(&self, value: Value) -> DType {
        let (own, shape) = (self.ty(value).dtype, self.ty(value).matrix());
        if !own.is_float() {
            return own;
        }
        let mut pending = vec![value];
        let mut seen = vec![];
        while let Some(v) = pending.pop() {
            let op = &self.node(v.node).op;
            if matches!(op, Op::Input) || self.ty(v).matrix() != shape || seen.contains(&v) {
                continue;
            }
            if self.ty(v).dtype == DType::Bf16 {
                return DType::Bf16;
            }
            seen.push(v);
            let element = match op {
                Op::Prim(prim) => {
                    matches!(prim.operator().0.primitive().access, Access::Element(_))
                }
                Op::Composite(_) => true,
                Op::Input | Op::Exchange(_) => false,
            };
            if element {
                pending.extend(self.operands(v.node));
            }
        }
        own
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
