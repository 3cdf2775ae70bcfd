//! The canonical text of a kernel program.
