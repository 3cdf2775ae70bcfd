//! The backends that there are.

use crate::backend::{Backend, Simulator};
use crate::host::{Host, Options};
use crate::npu::Npu;

/// The backends that there are, the default one first.
pub fn all(options: &Options) -> Vec<Box<dyn Backend>> {
    vec![
        Box::new(Simulator),
        Box::new(Host {
            options: options.clone(),
        }),
        Box::new(Npu {
            pto_include: options.pto_include.clone(),
        }),
    ]
}
