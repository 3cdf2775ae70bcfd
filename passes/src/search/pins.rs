//! Pins: parameters of kernels that the user holds at a value; the search is free in all others.
//!
//! `KERNEL.PARAM=VALUE`, with KERNEL a kernel as written, or `*` for all that have the parameter. PARAM is a tile's name, or one of
//!
//! | parameter | values |
//! |---|---|
//! | `launch` | `parallel`, `spmd` |
//! | `pipeline` | depth of its loops, 1 to 4 |
//! | `blocks` | how many blocks the launch has |
//! | `pad` | `inline`, `hoisted`: where padding is initialised |
//! | `split_k` | parts of a product's inner axis that different blocks take; 1 is none |
//! | `reads` | names of values between kernels that it may read, separated by `+` |

use crate::problem::{KernelSpec, Problem, Store, nearest_divisor};
use crate::search::candidate::{Grid, Trips};
use egg::Symbol;
use indexmap::IndexMap;
use std::fmt;
use tilewright_ir::graph::{LaunchKind, MAX_PIPELINE_DEPTH};
use tilewright_ir::kernel::{Role, Unit};

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
        help("the kernels are {known}")
    )]
    UnknownKernel { kernel: String, known: String },
    #[error("kernel `{kernel}` has no parameter `{param}`")]
    #[diagnostic(
        code(tilewright::pins::unknown_parameter),
        help("its parameters are {known}")
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

const WORDS: [&str; 8] = [
    "launch", "pipeline", "blocks", "pad", "split_k", "mix", "feed", "reads",
];

impl Pins {
    /// Reads pins and checks them against the kernels of a problem.
    pub fn parse(texts: &[String], problem: &Problem) -> Result<Self, PinError> {
        let mut pins = Pins::default();
        for text in texts {
            let syntax = || PinError::Syntax(text.clone());
            let (target, value) = text.split_once('=').ok_or_else(syntax)?;
            let (kernel, param) = target.trim().split_once('.').ok_or_else(syntax)?;
            let (kernel, param, value) = (kernel.trim(), param.trim(), value.trim());
            let mut regions: Vec<&str> = vec![];
            for k in &problem.kernels {
                if (kernel == "*" || k.region == kernel) && !regions.contains(&k.region.as_str()) {
                    regions.push(&k.region);
                }
            }
            if regions.is_empty() {
                let mut known: Vec<&str> =
                    problem.kernels.iter().map(|k| k.region.as_str()).collect();
                known.dedup();
                return Err(PinError::UnknownKernel {
                    kernel: kernel.into(),
                    known: known.join(", "),
                });
            }
            let mut hit = false;
            for region in &regions {
                let parts: Vec<&KernelSpec> = problem
                    .kernels
                    .iter()
                    .filter(|k| &k.region == region)
                    .collect();
                match pins.set(region, param, value, &parts, problem) {
                    // `*` pins whoever has the parameter.
                    Err(PinError::UnknownParameter { .. }) if kernel == "*" => {}
                    result => {
                        result?;
                        hit = true;
                    }
                }
            }
            if !hit {
                return Err(PinError::UnknownParameter {
                    kernel: kernel.into(),
                    param: param.into(),
                    known: WORDS.join(", "),
                });
            }
        }
        Ok(pins)
    }

    fn set(
        &mut self,
        region: &str,
        param: &str,
        value: &str,
        parts: &[&KernelSpec],
        problem: &Problem,
    ) -> Result<(), PinError> {
        let bad = |expected: &str| PinError::Value {
            kernel: region.into(),
            param: param.into(),
            value: value.into(),
            expected: expected.into(),
        };
        let number = |expected: &str| {
            value
                .parse::<usize>()
                .ok()
                .filter(|n| *n > 0)
                .ok_or_else(|| bad(expected))
        };
        let pins = self.kernels.entry(region.into()).or_default();
        match param {
            "launch" => pins.launch = Some(value.parse().map_err(|()| bad("parallel or spmd"))?),
            "pipeline" => {
                let depth = number("a depth from 1 to 4")?;
                if depth > MAX_PIPELINE_DEPTH {
                    return Err(bad("a depth from 1 to 4"));
                }
                pins.pipeline = Some(depth);
            }
            "blocks" => pins.blocks = Some(number("a number of blocks")?),
            "split_k" if parts.iter().all(|k| k.unit != Unit::Cube) => {
                return Err(PinError::UnknownParameter {
                    kernel: region.into(),
                    param: param.into(),
                    known: "those of kernels without a product: launch, pipeline, blocks, and its tiles".into(),
                });
            }
            "mix" => {
                let vector = |k: &&&KernelSpec| k.unit == Unit::Vector && k.exchange.is_none();
                let reads_product = parts.iter().filter(vector).any(|k| {
                    k.reads.iter().any(|r| {
                        let cube = problem.kernels.iter().filter(|c| c.unit == Unit::Cube);
                        cube.flat_map(|c| &c.stores).any(|s| &s.name == r)
                    })
                });
                if !reads_product {
                    return Err(PinError::UnknownParameter {
                        kernel: region.into(),
                        param: param.into(),
                        known: "those of kernels that read no product: launch, pipeline, blocks, and its tiles".into(),
                    });
                }
                pins.mix = Some(value.parse().map_err(|_| bad("true or false"))?);
            }
            "feed" => {
                let cube = |k: &&&KernelSpec| k.unit == Unit::Cube;
                let fed = parts.iter().filter(cube).any(|k| {
                    let makers = problem.kernels.iter().filter(|m| m.unit == Unit::Vector);
                    let mut stores = makers.flat_map(|m| &m.stores);
                    stores.any(|s| k.reads.contains(&s.name))
                });
                if !fed {
                    return Err(PinError::UnknownParameter {
                        kernel: region.into(),
                        param: param.into(),
                        known: "those of kernels whose products read nothing that a vector kernel stores: launch, pipeline, blocks, and its tiles".into(),
                    });
                }
                pins.feed = Some(value.parse().map_err(|_| bad("true or false"))?);
            }
            "split_k" => pins.split_k = Some(number("a number of parts")?),
            "pad" => {
                pins.hoisted = Some(match value {
                    "hoisted" => true,
                    "inline" => false,
                    _ => return Err(bad("inline or hoisted")),
                });
            }
            "reads" => {
                pins.reads = Some(value.split('+').map(|v| v.trim().to_string()).collect());
            }
            tile => {
                let value = number("a number of elements")?;
                let mut known: Vec<String> = WORDS.map(String::from).into();
                let mut found = false;
                for spec in parts {
                    let names = &spec.names;
                    let of = [
                        Some(&names.rows),
                        names.cols.as_ref(),
                        names.reduce.as_ref(),
                    ];
                    for name in of.into_iter().flatten() {
                        if !known.contains(name) {
                            known.push(name.clone());
                        }
                    }
                    found |= of.into_iter().flatten().any(|n| n == tile);
                    for extent in extents(spec, tile) {
                        if value < extent && !extent.is_multiple_of(value) {
                            return Err(PinError::DoesNotDivide {
                                kernel: region.into(),
                                param: tile.into(),
                                value,
                                extent,
                                nearest: nearest_divisor(extent, value),
                            });
                        }
                    }
                }
                if !found {
                    return Err(PinError::UnknownParameter {
                        kernel: region.into(),
                        param: tile.into(),
                        known: known.join(", "),
                    });
                }
                pins.tiles.insert(tile.into(), value);
            }
        }
        Ok(())
    }

    pub fn of(&self, region: &str) -> KernelPins {
        KernelPins {
            hold: self.hold,
            ..self.kernels.get(region).cloned().unwrap_or_default()
        }
    }
}

/// What a tile of this name cuts, in elements.
fn extents(spec: &KernelSpec, tile: &str) -> Vec<usize> {
    let mut out = vec![];
    if spec.names.rows == tile {
        out.push(spec.stores.iter().map(|s| s.rows).max().unwrap_or(1));
    }
    if spec.names.cols.as_deref() == Some(tile) {
        out.extend(spec.stores.iter().map(|s| s.data_cols).filter(|c| *c > 1));
    }
    if spec.names.reduce.as_deref() == Some(tile) {
        out.extend(spec.reduces.iter().map(|r| r.extent));
    }
    out
}

impl KernelPins {
    pub fn is_empty(&self) -> bool {
        *self == KernelPins::default()
    }

    /// What a tile is held at: its pin, or as written when the rest is held too.
    fn tile(&self, name: Option<&String>, written: usize) -> Option<usize> {
        let pinned = name.and_then(|n| self.tiles.get(n).copied());
        pinned.or(self.hold.then_some(written))
    }

    pub fn allows_launch(&self, spec: &KernelSpec, kind: LaunchKind) -> bool {
        let held = self.launch.or(self.hold.then_some(spec.launch));
        held.is_none_or(|k| k == kind)
    }

    pub fn allows_grid(&self, spec: &KernelSpec, grid: &Grid) -> bool {
        let rows = spec.stores.iter().map(|s| s.rows).max().unwrap_or(1);
        let cols = spec.stores.iter().map(|s| s.data_cols).max().unwrap_or(1);
        // A tile larger than the axis is one block; a cube tile is whole fractals of 16 rows.
        let rows_ok = self
            .tile(Some(&spec.names.rows), spec.block_rows)
            .is_none_or(|t| {
                grid.block_rows == t.min(rows)
                    || (spec.unit == Unit::Cube && grid.block_rows.next_multiple_of(16) == t)
            });
        let tile = self.tile(spec.names.cols.as_ref(), spec.cols_tile);
        let written_fan = match spec.per_block {
            true => cols / tile.unwrap_or(cols).clamp(1, cols),
            false => 1,
        };
        let blocks = rows / grid.block_rows.max(1) * grid.fan;
        rows_ok
            && self.allows_launch(spec, grid.kind)
            && match self.blocks {
                Some(b) => b == blocks,
                None => !self.hold || grid.fan == written_fan,
            }
            && self.allows_pad(spec, grid)
    }

    /// Whether padding may be filled as this grid does.
    pub fn allows_pad(&self, spec: &KernelSpec, grid: &Grid) -> bool {
        let padded = spec.stores.iter().any(|s| s.is_padded());
        // Blocks that share a row cannot fill its padding.
        let hoisted = self
            .hoisted
            .or((self.hold && grid.fan == 1).then_some(false));
        !padded || hoisted.is_none_or(|h| h == grid.hoisted)
    }

    pub fn allows_store(&self, spec: &KernelSpec, store: &Store, chunk: usize, t: Trips) -> bool {
        let tile = self.tile(spec.names.cols.as_ref(), spec.cols_tile);
        let tile_ok = tile.is_none_or(|v| store.data_cols == 1 || chunk == v.min(store.data_cols));
        tile_ok && self.allows_depth(spec, t)
    }

    pub fn allows_reduce(&self, spec: &KernelSpec, chunk: usize, t: Trips) -> bool {
        let written = spec.reduction(chunk * t.trips).map_or(chunk, |r| r.chunk);
        let tile = self.tile(spec.names.reduce.as_ref(), written);
        tile.is_none_or(|v| chunk == v.min(chunk * t.trips)) && self.allows_depth(spec, t)
    }

    fn allows_depth(&self, spec: &KernelSpec, t: Trips) -> bool {
        let held = self.pipeline.or(self.hold.then_some(spec.depth));
        t.trips == 1 || held.is_none_or(|d| d == t.depth)
    }

    /// Whether so many blocks may share an exchange.
    pub fn allows_share(&self, spec: &KernelSpec, blocks: usize) -> bool {
        self.tile(Some(&spec.names.rows), 1)
            .is_none_or(|t| t == blocks)
    }

    pub fn allows_split(&self, parts: usize) -> bool {
        let held = self.split_k.or(self.hold.then_some(1));
        held.is_none_or(|s| s == parts)
    }

    pub fn allows_read(&self, problem: &Problem, spec: &KernelSpec, name: Symbol) -> bool {
        let Some(reads) = self.reads.as_ref().or(self.hold.then_some(&spec.reads)) else {
            return true;
        };
        let tensor = problem.tensors.get(name.as_str());
        let input = tensor.is_none_or(|t| t.role == Role::Input);
        // Which form of a split product is read is decided with its producer.
        let split = problem
            .kernels
            .iter()
            .flat_map(|k| &k.stores)
            .any(|s| s.split_of.is_some() && s.name == name.as_str());
        input || split || reads.iter().any(|r| r == name.as_str())
    }
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
