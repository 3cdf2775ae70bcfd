//! The optimizer's e-graph: the rules, and filling it with them.

mod options;
pub mod rules;
pub mod saturate;

pub use options::{RuleReport, SaturateError, SearchOptions, SearchReport, Stop};
