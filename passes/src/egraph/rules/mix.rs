//! A product and its reader, or what makes its operand, in one launch: a choice between plans, as the terms of both stay what they are.

use super::{Role, Rule};
use crate::numerics::Numerics;

pub fn rules() -> Vec<Rule> {
    vec![Rule {
        name: "mix",
        role: Role::Plan,
        numerics: Numerics::Bitwise,
        does: "starts products and the vector kernel that reads them, or a product and the one that stores what it reads, once, as the two parts of a mixed kernel",
        why: "blocks match, each core loads only what its own block has stored, and cross-core flags put each load behind its store; \
              what is computed stays the same",
        lines: vec![],
    }]
}
