//! The optimizer's e-graph: the rules, and filling it with them.

pub mod rules;
pub mod saturate;
