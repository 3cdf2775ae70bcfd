//! Terms: one language for algebra and schedules, what is known of a term, and the values that are made of terms.

pub mod analysis;
pub mod blocks;
pub mod changed;
pub mod exchange;
pub mod language;
pub mod plan;
