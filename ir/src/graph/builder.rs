//! Builds a graph in Rust.

/// Builds a [`super::Graph`] node by node.
pub struct Builder;
