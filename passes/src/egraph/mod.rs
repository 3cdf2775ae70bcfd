//! The optimizer's e-graph: one language for algebra and schedules, its rules, and extraction.

pub mod analysis;
pub mod changed;
pub mod extract;
pub mod language;
pub mod rules;
pub mod saturate;
