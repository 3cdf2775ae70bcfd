//! The JSON form: serde's, verified after reading.

use super::{Graph, GraphError, verify};

/// Why JSON is not a graph.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum JsonError {
    /// It is not JSON, or not of a graph's form.
    #[error("this is not a graph in JSON: {0}")]
    #[diagnostic(
        code(tilewright::json::form),
        help("write one with `Graph::to_json`, or use the text form")
    )]
    Form(#[from] serde_json::Error),
    /// It has the form, but breaks a rule.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Graph(#[from] GraphError),
}

impl Graph {
    /// Reads a graph from JSON and verifies it; the text may come from anywhere.
    ///
    /// # Errors
    ///
    /// [`JsonError::Form`] for text that is no graph, [`JsonError::Graph`] for a graph that [`verify`] refuses.
    pub fn from_json(text: &str) -> Result<Graph, JsonError> {
        let graph: Graph = serde_json::from_str(text)?;
        verify(&graph)?;
        Ok(graph)
    }

    /// The graph as JSON, indented.
    ///
    /// # Errors
    ///
    /// None for a verified graph: every part of it has a JSON form.
    pub fn to_json(&self) -> Result<String, JsonError> {
        Ok(serde_json::to_string_pretty(self)?)
    }
}
