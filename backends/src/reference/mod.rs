//! A plain interpreter of the layer graph.
