//! Pins: parameters of kernels that the user holds at a value; the search is free in all others.
//!
//! A pin is text first, `KERNEL.PARAM=VALUE`, with KERNEL a kernel as written, a part of one (`gate_mm`), or `*` for all that have the
//! parameter. What a part's pin says goes before what its kernel's says. [`Pin`] is that, read. [`Pins::check`] looks once whether a
//! problem's kernels can have them; the search asks [`KernelPins`] and nothing else.
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
//! | `fuse` | kernels that are one with it, separated by `+`; `none`: it stays by itself |
//! | `unread` | names of values that it does not read, though it could, separated by `+`; `none` |
//! | `fill` | `parallel`, `spmd`: how the kernel is launched that fills its padding |
//! | `grid` | rows a block x rows a trip x blocks over columns |
//! | `stores` | trips x trips in flight of its loops that store |
//! | `reduces` | trips x trips in flight x pieces of a trip x pieces whose left operand stays on chip, of its reductions and products |
//! | `prefer` | `cheapest`, `stored`: what becomes of a value that it could read or compute |
//! | `refine` | `true`, `false`: whether single loops and terms may do otherwise than the rest |
//! | `by_line` | `true`, `false`: whether an exchange's integers move by whole lines |
//! | `numerics` | the policy whose rules its terms come from; `written`: its terms as written |
//!
//! The pins from `fuse` on are what a search decides by. Those of all its kernels, with `launch`, `pad`, `split_k`, `mix` and `feed`, are
//! all that it decided: see [`crate::search::Optimized::holds`].

mod allow;
mod check;
mod fuse;
mod parse;

pub use parse::{Param, Pin, held};

use crate::numerics::Numerics;
use crate::problem::KernelSpec;
use crate::search::candidate::{Blocks, Reads, Trips};
use indexmap::IndexMap;
use std::fmt;
use tilewright_ir::graph::LaunchKind;
use tilewright_ir::syntax::meant;

/// What a search decided, by kernel as written: pins of its parts.
pub type Holds = IndexMap<String, Vec<Pin>>;

/// All pins, by kernel as written or by its part.
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
    /// How the kernel is launched that fills its padding; without it, as its own is pinned.
    pub fill: Option<LaunchKind>,
    pub reads: Option<Vec<String>>,
    /// Parts of a product's inner axis.
    pub split_k: Option<usize>,
    /// Whether its vector part is one launch with the products that it reads.
    pub mix: Option<bool>,
    /// Whether its product is one launch with the vector kernel that stores what it reads.
    pub feed: Option<bool>,
    /// Vector kernels as written, by the names of their parts, that are one with it.
    pub fuse: Option<Vec<String>>,
    /// Values that it does not read.
    pub unread: Option<Vec<String>>,
    pub grid: Option<Blocks>,
    /// How its loops that store run.
    pub stores: Option<Trips>,
    /// How its reductions and products run.
    pub reduces: Option<Trips>,
    pub prefer: Option<Reads>,
    /// Whether single loops and terms may do otherwise than the rest.
    pub refine: Option<bool>,
    pub by_line: Option<bool>,
    /// The policy whose rules its terms come from; `Some(None)`: those as written.
    pub numerics: Option<Option<Numerics>>,
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
    #[error("pin {kernel}.{param}={value} does not divide {extent}: {} left over", if *value > 0 { extent % value } else { *extent })]
    #[diagnostic(
        code(tilewright::pins::does_not_divide),
        help("the nearest tile that cuts it is {nearest}")
    )]
    DoesNotDivide {
        kernel: String,
        param: String,
        value: usize,
        extent: usize,
        nearest: usize,
    },
    #[error("pin {kernel}.{param}={value} cannot be: tiles of products are multiples of {unit}")]
    #[diagnostic(
        code(tilewright::pins::not_a_multiple),
        help("the nearest tile that can be is {nearest}")
    )]
    NotAMultiple {
        kernel: String,
        param: String,
        value: usize,
        unit: usize,
        nearest: usize,
    },
    #[error("pins want `{kernel}` to be one with `{first}`, and with `{second}`")]
    #[diagnostic(
        code(tilewright::pins::fused_twice),
        help(
            "say it once, at the first of them: `{first}.fuse=` with all that are to be one with it"
        )
    )]
    FusedTwice {
        kernel: String,
        first: String,
        second: String,
    },
    #[error("kernels that are to be one have pins of their own: {pin}")]
    #[diagnostic(
        code(tilewright::pins::fused_away),
        help("say it of `{first}`, which is the first of them and has the pins of the whole")
    )]
    FusedAway { pin: String, first: String },
}

impl Pins {
    /// What of a kernel as written, or of a part of one, is pinned; nothing, where nothing is.
    pub fn of(&self, spec: &KernelSpec) -> KernelPins {
        let mut pins = self.kernels.get(&spec.region).cloned().unwrap_or_default();
        if let Some(own) = self
            .kernels
            .get(&spec.name)
            .filter(|_| spec.name != spec.region)
        {
            own.params().iter().for_each(|p| pins.hold_at(p));
        }
        KernelPins {
            hold: self.hold,
            ..pins
        }
    }
}

impl KernelPins {
    /// All that is pinned, in one order.
    pub fn params(&self) -> Vec<Param> {
        let mut all = vec![];
        all.extend(self.launch.map(Param::Launch));
        all.extend(self.pipeline.map(Param::Pipeline));
        all.extend(self.blocks.map(Param::Blocks));
        all.extend(self.hoisted.map(Param::Hoisted));
        all.extend(self.fill.map(Param::Fill));
        all.extend(self.split_k.map(Param::SplitK));
        all.extend(self.mix.map(Param::Mix));
        all.extend(self.feed.map(Param::Feed));
        all.extend(self.reads.clone().map(Param::Reads));
        all.extend(self.fuse.clone().map(Param::Fuse));
        all.extend(self.unread.clone().map(Param::Unread));
        all.extend(self.grid.map(Param::Grid));
        all.extend(self.stores.map(Param::Stores));
        all.extend(self.reduces.map(Param::Reduces));
        all.extend(self.prefer.map(Param::Prefer));
        all.extend(self.refine.map(Param::Refine));
        all.extend(self.by_line.map(Param::ByLine));
        all.extend(self.numerics.map(Param::Numerics));
        let tiles = self.tiles.iter();
        all.extend(tiles.map(|(name, size)| Param::Tile(name.clone(), *size)));
        all
    }

    /// Pins one parameter more, or at another value.
    pub fn hold_at(&mut self, param: &Param) {
        match param {
            Param::Launch(kind) => self.launch = Some(*kind),
            Param::Pipeline(depth) => self.pipeline = Some(*depth),
            Param::Blocks(count) => self.blocks = Some(*count),
            Param::Hoisted(hoisted) => self.hoisted = Some(*hoisted),
            Param::Fill(kind) => self.fill = Some(*kind),
            Param::SplitK(parts) => self.split_k = Some(*parts),
            Param::Mix(mix) => self.mix = Some(*mix),
            Param::Feed(feed) => self.feed = Some(*feed),
            Param::Reads(names) => self.reads = Some(names.clone()),
            Param::Fuse(names) => self.fuse = Some(names.clone()),
            Param::Unread(names) => self.unread = Some(names.clone()),
            Param::Grid(blocks) => self.grid = Some(*blocks),
            Param::Stores(trips) => self.stores = Some(*trips),
            Param::Reduces(trips) => self.reduces = Some(*trips),
            Param::Prefer(reads) => self.prefer = Some(*reads),
            Param::Refine(refine) => self.refine = Some(*refine),
            Param::ByLine(by_line) => self.by_line = Some(*by_line),
            Param::Numerics(policy) => self.numerics = Some(*policy),
            Param::Tile(name, size) => {
                self.tiles.insert(name.clone(), *size);
            }
        }
    }
}

impl fmt::Display for KernelPins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.params().iter().map(Param::to_string).collect();
        match parts.is_empty() {
            true => f.write_str("these rules"),
            false => f.write_str(&parts.join(", ")),
        }
    }
}
