//! Runs a kernel program on data and in time.
