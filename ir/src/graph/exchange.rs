//! Calls of exchanges: what they give, and what they say of their operands.

use super::{Block, Dim, Graph, GraphError, Ragged, Type};
use crate::exchange::tree::{Param, Tensor};
use crate::exchange::{
    Axis, Called, Counts, Definition, ExchangeError, Operand, Origin, instantiate,
};
use indexmap::IndexMap;
use petgraph::graph::NodeIndex;
use serde::{Deserialize, Serialize};

/// An exchange with its attributes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    pub definition: Definition,
    /// Sizes by name, each with the named size that it was given as.
    pub attributes: IndexMap<String, Dim>,
    /// How many ranks run it.
    pub ranks: usize,
}

impl Call {
    pub fn name(&self) -> &str {
        self.definition.name()
    }

    /// How many operands it reads.
    pub fn arity(&self) -> usize {
        self.operands().count()
    }

    fn operands(&self) -> impl Iterator<Item = &Tensor> {
        let params = self.definition.declaration().params.iter();
        params.filter_map(|p| match p {
            Param::Operand(t) => Some(t),
            Param::Size { .. } => None,
        })
    }

    /// How many results it gives.
    pub fn results(&self) -> usize {
        self.definition.declaration().results.len()
    }

    /// What ranks do, on operands of these types.
    ///
    /// # Errors
    ///
    /// Operands and attributes that it does not take, and whatever is wrong with its statements at these sizes.
    pub fn instantiate(&self, operands: &[Type]) -> Result<Called, Box<ExchangeError>> {
        let operands: Vec<Operand> = operands
            .iter()
            .map(|ty| Operand {
                dtype: ty.dtype,
                shape: ty.sizes(),
                groups: ty.ragged.as_ref().map(|r| r.groups),
            })
            .collect();
        let sizes = self.attributes.iter();
        let sizes = sizes.map(|(n, d)| (n.clone(), d.size)).collect();
        instantiate(&self.definition, &operands, &sizes, self.ranks).map_err(Box::new)
    }

    /// The types of its results. What counts ragged rows is `#k` for result k and `@k` for operand k.
    pub(super) fn infer(&self, operands: &[Type]) -> Result<Vec<Type>, GraphError> {
        let called = self.instantiate(operands);
        let called = called.map_err(GraphError::Exchange)?;
        let dim = |axis: &Axis| {
            let named = |origin: &Origin| match origin {
                Origin::Dimension { operand, dim } => operands[*operand].shape[*dim].clone(),
                Origin::Attribute(name) => match self.attributes.get(name) {
                    Some(d) => d.clone(),
                    None => Dim::new(axis.size),
                },
            };
            if let Some(origin) = &axis.of {
                return named(origin);
            }
            let block = axis.block.as_ref().and_then(|(size, origin)| {
                let axis = named(origin).axis?;
                Some(Block { size: *size, axis })
            });
            Dim {
                block,
                ..Dim::new(axis.size)
            }
        };
        let types = called.results.iter().map(|r| {
            let shape: Vec<Dim> = r.shape.iter().map(dim).collect();
            let ragged = r.ragged.map(|(groups, counts)| Ragged {
                groups,
                counts: match counts {
                    Counts::Result(k) => format!("#{k}"),
                    Counts::Operand(k) => format!("@{k}"),
                },
            });
            Type::new(r.dtype, shape).with_ragged(ragged)
        });
        Ok(types.collect())
    }

    /// Checks that operands whose rows may not exist are counted by the operand that the definition says.
    pub(super) fn check_counts(&self, operands: &[(&str, &Type)]) -> Result<(), GraphError> {
        let names: Vec<&str> = self.operands().map(|t| t.name.name.as_str()).collect();
        for (t, (name, ty)) in self.operands().zip(operands) {
            let (Some(counts), Some(ragged)) = (&t.ragged, &ty.ragged) else {
                continue;
            };
            let place = names.iter().position(|n| *n == counts.name);
            let expected = place.and_then(|i| operands.get(i)).map(|(n, _)| *n);
            if expected != Some(ragged.counts.as_str()) {
                return Err(GraphError::Ragged {
                    value: (*name).into(),
                    ty: (*ty).clone(),
                    problem: format!(
                        "exchange `{}` takes rows that its operand `{counts}` counts, which is `{}`; give it `{}`",
                        self.name(),
                        expected.unwrap_or("missing"),
                        ragged.counts
                    ),
                });
            }
        }
        Ok(())
    }
}

impl Graph {
    /// What ranks do in a call, for a verified graph; nothing for a node that is no call.
    pub fn called(&self, id: NodeIndex) -> Option<Called> {
        let super::Op::Exchange(call) = &self.node(id).op else {
            return None;
        };
        let operands = self.operands(id).into_iter();
        let types: Vec<Type> = operands.map(|v| self.ty(v).clone()).collect();
        call.instantiate(&types).ok()
    }
}
