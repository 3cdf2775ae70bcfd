//! One pin, read from its text.

use super::PinError;
use crate::numerics::Numerics;
use crate::search::candidate::{Blocks, Reads, Trips};
use std::fmt;
use std::str::FromStr;
use tilewright_ir::graph::{Graph, Hold, LaunchKind, MAX_PIPELINE_DEPTH};

/// A parameter of a kernel as written, or of all kernels that have it, held at a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// `*` is all.
    pub kernel: String,
    pub param: Param,
}

/// A parameter with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Param {
    Launch(LaunchKind),
    Pipeline(usize),
    Blocks(usize),
    /// Whether padding is filled by a launch of its own.
    Hoisted(bool),
    /// How the kernel is launched that fills its padding.
    Fill(LaunchKind),
    SplitK(usize),
    Mix(bool),
    Feed(bool),
    Reads(Vec<String>),
    /// Vector kernels that are one with it; none: it is one by itself.
    Fuse(Vec<String>),
    /// Values between kernels that it does not read, though it could.
    Unread(Vec<String>),
    Grid(Blocks),
    /// How its loops that store run.
    Stores(Trips),
    /// How its reductions and products run.
    Reduces(Trips),
    Prefer(Reads),
    /// Whether single loops and terms do otherwise than the rest, where that gains.
    Refine(bool),
    /// Whether an exchange's integers move by whole lines of the scalar unit's cache.
    ByLine(bool),
    /// The policy whose rules its terms come from; `None`: those as written.
    Numerics(Option<Numerics>),
    /// A tile under its name, in elements.
    Tile(String, usize),
}

/// The words that are no names of tiles.
pub(super) const WORDS: [&str; 18] = [
    "launch", "pipeline", "blocks", "pad", "split_k", "mix", "feed", "reads", "fuse", "unread",
    "grid", "stores", "reduces", "prefer", "refine", "by_line", "numerics", "fill",
];

/// The value of a list in which nothing is.
const NONE: &str = "none";
/// The value of `numerics` of a kernel whose terms are those as written.
const WRITTEN: &str = "written";

/// Names, separated by `+`; `none` is no name.
fn names(value: &str) -> Vec<String> {
    match value {
        NONE => vec![],
        value => value.split('+').map(|v| v.trim().to_string()).collect(),
    }
}

/// So many numbers above zero, separated by `x`; one that is left out at the end is 1.
fn numbers<const N: usize>(value: &str, least: usize) -> Option<[usize; N]> {
    let read = |n: &str| n.trim().parse::<usize>().ok().filter(|n| *n > 0);
    let said: Vec<usize> = value.split('x').map(read).collect::<Option<_>>()?;
    let mut out = [1; N];
    let fits = (least..=N).contains(&said.len());
    fits.then(|| {
        std::iter::zip(&mut out, said).for_each(|(o, n)| *o = n);
        out
    })
}

impl Param {
    /// Reads a value; what is expected instead, where it is none.
    fn read(param: &str, value: &str) -> Result<Param, &'static str> {
        let number = |expected| match value.parse::<usize>() {
            Ok(n) if n > 0 => Ok(n),
            _ => Err(expected),
        };
        let yes = || value.parse::<bool>().map_err(|_| "true or false");
        Ok(match param {
            "launch" => Param::Launch(value.parse().map_err(|()| "parallel or spmd")?),
            "fill" => Param::Fill(value.parse().map_err(|()| "parallel or spmd")?),
            "pipeline" => {
                let expected = "a depth from 1 to 4";
                match number(expected)? {
                    depth if depth > MAX_PIPELINE_DEPTH => return Err(expected),
                    depth => Param::Pipeline(depth),
                }
            }
            "blocks" => Param::Blocks(number("a number of blocks")?),
            "split_k" => Param::SplitK(number("a number of parts")?),
            "mix" => Param::Mix(yes()?),
            "feed" => Param::Feed(yes()?),
            "pad" => match value {
                "hoisted" => Param::Hoisted(true),
                "inline" => Param::Hoisted(false),
                _ => return Err("inline or hoisted"),
            },
            "reads" => Param::Reads(names(value)),
            "fuse" => Param::Fuse(names(value)),
            "unread" => Param::Unread(names(value)),
            "grid" => {
                let expected = "rows a block x rows a trip x blocks over columns, as in 16x8x4";
                let [rows, trip, fan] = numbers(value, 3).ok_or(expected)?;
                Param::Grid(Blocks { rows, trip, fan })
            }
            "stores" => {
                let expected = "trips x trips in flight, as in 4x2";
                let [trips, depth] = numbers(value, 1).ok_or(expected)?;
                Param::Stores(trips_of(trips, depth, (1, 0)).ok_or(expected)?)
            }
            "reduces" => {
                let expected = "trips x trips in flight x pieces of a trip x pieces that stay on chip, as in 4x2x1";
                let [trips, depth, pieces, kept] = numbers(value, 1).ok_or(expected)?;
                // What is left out is none here.
                let kept = if value.split('x').count() == 4 {
                    kept
                } else {
                    0
                };
                let kept = (kept <= pieces).then_some(kept).ok_or(expected)?;
                Param::Reduces(trips_of(trips, depth, (pieces, kept)).ok_or(expected)?)
            }
            "prefer" => Param::Prefer(value.parse().map_err(|()| "cheapest or stored")?),
            "refine" => Param::Refine(yes()?),
            "by_line" => Param::ByLine(yes()?),
            "numerics" => Param::Numerics(match value {
                WRITTEN => None,
                value => {
                    let expected = "written, bitwise, reassociate or relaxed";
                    Some(value.parse().map_err(|_| expected)?)
                }
            }),
            tile => Param::Tile(tile.into(), number("a number of elements")?),
        })
    }

    /// Whether it can be said of a kernel that does the work of several, where one of them is pinned.
    pub fn is_of_any_kernel(&self) -> bool {
        matches!(
            self,
            Param::Launch(_)
                | Param::Pipeline(_)
                | Param::Blocks(_)
                | Param::SplitK(_)
                | Param::Mix(_)
                | Param::Feed(_)
                | Param::Numerics(_)
                | Param::Tile(..)
        )
    }

    /// The name of the parameter.
    pub fn name(&self) -> &str {
        match self {
            Param::Launch(_) => "launch",
            Param::Fill(_) => "fill",
            Param::Pipeline(_) => "pipeline",
            Param::Blocks(_) => "blocks",
            Param::Hoisted(_) => "pad",
            Param::SplitK(_) => "split_k",
            Param::Mix(_) => "mix",
            Param::Feed(_) => "feed",
            Param::Reads(_) => "reads",
            Param::Fuse(_) => "fuse",
            Param::Unread(_) => "unread",
            Param::Grid(_) => "grid",
            Param::Stores(_) => "stores",
            Param::Reduces(_) => "reduces",
            Param::Prefer(_) => "prefer",
            Param::Refine(_) => "refine",
            Param::ByLine(_) => "by_line",
            Param::Numerics(_) => "numerics",
            Param::Tile(name, _) => name,
        }
    }
}

/// How loops run, where that many trips may be in flight.
fn trips_of(trips: usize, depth: usize, (pieces, kept): (usize, usize)) -> Option<Trips> {
    (depth <= MAX_PIPELINE_DEPTH).then_some(Trips {
        depth,
        trips,
        pieces,
        kept,
    })
}

impl fmt::Display for Param {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=", self.name())?;
        match self {
            Param::Launch(kind) | Param::Fill(kind) => write!(f, "{kind}"),
            Param::Pipeline(n) | Param::Blocks(n) | Param::SplitK(n) | Param::Tile(_, n) => {
                write!(f, "{n}")
            }
            Param::Hoisted(hoisted) => f.write_str(if *hoisted { "hoisted" } else { "inline" }),
            Param::Mix(yes) | Param::Feed(yes) | Param::Refine(yes) | Param::ByLine(yes) => {
                write!(f, "{yes}")
            }
            Param::Reads(names) | Param::Fuse(names) | Param::Unread(names) => {
                f.write_str(if names.is_empty() { NONE } else { "" })?;
                f.write_str(&names.join("+"))
            }
            Param::Grid(Blocks { rows, trip, fan }) => write!(f, "{rows}x{trip}x{fan}"),
            Param::Stores(t) => write!(f, "{}x{}", t.trips, t.depth),
            Param::Reduces(t) => {
                write!(f, "{}x{}x{}", t.trips, t.depth, t.pieces)?;
                match t.kept {
                    0 => Ok(()),
                    kept => write!(f, "x{kept}"),
                }
            }
            Param::Prefer(reads) => f.write_str(reads.name()),
            Param::Numerics(policy) => f.write_str(policy.map_or(WRITTEN, Numerics::name)),
        }
    }
}

/// What the kernels of a graph hold, as pins.
///
/// # Errors
///
/// A parameter that does not take what it is held at.
pub fn held(graph: &Graph) -> Result<Vec<Pin>, PinError> {
    let holds = graph.regions.iter().flat_map(|r| &r.holds);
    let pin = |h: &Hold| format!("{}.{}={}", h.part, h.param, h.value()).parse();
    holds.map(pin).collect()
}

impl Pin {
    /// As a line of the kernel holds it.
    pub fn hold(&self) -> Hold {
        let text = self.param.to_string();
        let value = text.split_once('=').map_or("", |(_, value)| value);
        let between = match self.param {
            Param::Grid(_) | Param::Stores(_) | Param::Reduces(_) => 'x',
            _ => '+',
        };
        Hold {
            part: self.kernel.clone(),
            param: self.param.name().to_owned(),
            values: value.split(between).map(str::to_owned).collect(),
        }
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.kernel, self.param)
    }
}

impl FromStr for Pin {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Pin, PinError> {
        let syntax = || PinError::Syntax(text.into());
        let (target, value) = text.split_once('=').ok_or_else(syntax)?;
        let (kernel, param) = target.trim().split_once('.').ok_or_else(syntax)?;
        let (kernel, param, value) = (kernel.trim(), param.trim(), value.trim());
        match Param::read(param, value) {
            Ok(param) => Ok(Pin {
                kernel: kernel.into(),
                param,
            }),
            Err(expected) => Err(PinError::Value {
                kernel: kernel.into(),
                param: param.into(),
                value: value.into(),
                expected: expected.into(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_prints_as_it_is_read() {
        for text in [
            "gate.launch=spmd",
            "gate.pipeline=4",
            "*.blocks=24",
            "gate.pad=hoisted",
            "gate.split_k=16",
            "gate.mix=true",
            "gate.feed=false",
            "x_norm_quant.reads=x_norm+scale",
            "gate.GATE_N_TILE=16",
            "gate_act.fuse=route_sort+norm",
            "norm.fuse=none",
            "norm.unread=x_norm",
            "gate_mm.grid=16x8x4",
            "gate_act.fill=parallel",
            "norm.stores=4x2",
            "gate_mm.reduces=8x2x4",
            "gate_mm.reduces=8x2x4x3",
            "norm.prefer=stored",
            "norm.refine=true",
            "dispatch.by_line=false",
            "norm.numerics=reassociate",
            "norm.numerics=written",
        ] {
            assert_eq!(text.parse::<Pin>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_value_says_what_would_be() {
        let told = |text: &str| text.parse::<Pin>().unwrap_err().to_string();
        assert_eq!(told("gate"), "`gate` is not a pin");
        assert_eq!(told("gate=1"), "`gate=1` is not a pin");
        for text in [
            "gate.launch=fast",
            "gate.pipeline=5",
            "gate.blocks=0",
            "gate.T=x",
            "gate.grid=16x8",
            "gate.grid=16x0x1",
            "gate.stores=4x9",
            "gate.reduces=1x1x1x2",
            "gate.prefer=fast",
            "gate.numerics=loose",
        ] {
            let (target, value) = text.split_once('=').unwrap();
            assert_eq!(
                told(text),
                format!("`{value}` is not a value of `{target}`")
            );
        }
    }
}
