//! Pins: parameters of kernels that the user holds at a value; the search is free in all others.
//!
//! A pin is text first, `KERNEL.PARAM=VALUE`, with KERNEL a kernel as written, or `*` for all that have the parameter. [`Pin`] is that,
//! read. [`Pins::check`] looks once whether a problem's kernels can have them; the search asks [`KernelPins`] and nothing else.
//! PARAM is a tile's name, or one of
//!
//! | parameter | values |
//! |---|---|
//! | `launch` | `parallel`, `spmd` |
//! | `pipeline` | depth of its loops, 1 to 4 |
//! | `blocks` | how many blocks the launch has |
//! | `pad` | `inline`, `hoisted`: where padding is initialised |
//! | `split_k` | parts of a product's inner axis that different blocks take; 1 is none |
//! | `mix` | `true`, `false`: whether its vector part is one launch with the products that it reads |
//! | `feed` | `true`, `false`: whether its product is one launch with the vector kernel that stores what it reads |
//! | `reads` | names of values between kernels that it may read, separated by `+` |

mod allow;
mod check;
mod parse;

pub use parse::{Param, Pin};

use indexmap::IndexMap;
use std::fmt;
use tilewright_ir::graph::LaunchKind;
use tilewright_ir::syntax::meant;

/// All pins, by kernel as written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pins {
    pub kernels: IndexMap<String, KernelPins>,
    /// Whether everything that is not pinned stays as written, in all kernels.
    pub hold: bool,
}

/// Pins of one kernel.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KernelPins {
    pub launch: Option<LaunchKind>,
    pub pipeline: Option<usize>,
    pub blocks: Option<usize>,
    pub hoisted: Option<bool>,
    pub reads: Option<Vec<String>>,
    /// Parts of a product's inner axis.
    pub split_k: Option<usize>,
    /// Whether its vector part is one launch with the products that it reads.
    pub mix: Option<bool>,
    /// Whether its product is one launch with the vector kernel that stores what it reads.
    pub feed: Option<bool>,
    /// By tile name.
    pub tiles: IndexMap<String, usize>,
    /// Whether everything that is not pinned stays as written.
    pub hold: bool,
}

/// Why a pin cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum PinError {
    #[error("`{0}` is not a pin")]
    #[diagnostic(
        code(tilewright::pins::syntax),
        help("write KERNEL.PARAM=VALUE, for example gate.GATE_N_TILE=16")
    )]
    Syntax(String),
    #[error("there is no kernel `{kernel}` to pin")]
    #[diagnostic(
        code(tilewright::pins::unknown_kernel),
        help("{}the kernels are {known}", meant(kernel, known))
    )]
    UnknownKernel { kernel: String, known: String },
    #[error("kernel `{kernel}` has no parameter `{param}`")]
    #[diagnostic(
        code(tilewright::pins::unknown_parameter),
        help("{}its parameters are {known}", meant(param, known))
    )]
    UnknownParameter {
        kernel: String,
        param: String,
        known: String,
    },
    #[error("`{value}` is not a value of `{kernel}.{param}`")]
    #[diagnostic(code(tilewright::pins::value), help("{param} takes {expected}"))]
    Value {
        kernel: String,
        param: String,
        value: String,
        expected: String,
    },
    #[error("pin {kernel}.{param}={value} does not divide {extent}")]
    #[diagnostic(
        code(tilewright::pins::does_not_divide),
        help("the nearest tile that divides it is {nearest}")
    )]
    DoesNotDivide {
        kernel: String,
        param: String,
        value: usize,
        extent: usize,
        nearest: usize,
    },
}

impl fmt::Display for KernelPins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = vec![];
        parts.extend(self.launch.map(|k| format!("launch={k}")));
        parts.extend(self.pipeline.map(|d| format!("pipeline={d}")));
        parts.extend(self.blocks.map(|b| format!("blocks={b}")));
        let pad = |h: bool| if h { "pad=hoisted" } else { "pad=inline" };
        parts.extend(self.hoisted.map(|h| pad(h).to_string()));
        parts.extend(self.split_k.map(|s| format!("split_k={s}")));
        parts.extend(self.mix.map(|m| format!("mix={m}")));
        parts.extend(self.feed.map(|f| format!("feed={f}")));
        parts.extend(
            self.reads
                .as_ref()
                .map(|r| format!("reads={}", r.join("+"))),
        );
        parts.extend(self.tiles.iter().map(|(n, v)| format!("{n}={v}")));
        match parts.is_empty() {
            true => f.write_str("these rules"),
            false => f.write_str(&parts.join(", ")),
        }
    }
}
