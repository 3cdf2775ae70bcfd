//! One pin, read from its text.

use super::PinError;
use std::fmt;
use std::str::FromStr;
use tilewright_ir::graph::{LaunchKind, MAX_PIPELINE_DEPTH};

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
    SplitK(usize),
    Mix(bool),
    Feed(bool),
    Reads(Vec<String>),
    /// A tile under its name, in elements.
    Tile(String, usize),
}

/// The words that are no names of tiles.
pub(super) const WORDS: [&str; 8] = [
    "launch", "pipeline", "blocks", "pad", "split_k", "mix", "feed", "reads",
];

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
            "reads" => Param::Reads(value.split('+').map(|v| v.trim().to_string()).collect()),
            tile => Param::Tile(tile.into(), number("a number of elements")?),
        })
    }

    /// The name of the parameter.
    pub fn name(&self) -> &str {
        match self {
            Param::Launch(_) => "launch",
            Param::Pipeline(_) => "pipeline",
            Param::Blocks(_) => "blocks",
            Param::Hoisted(_) => "pad",
            Param::SplitK(_) => "split_k",
            Param::Mix(_) => "mix",
            Param::Feed(_) => "feed",
            Param::Reads(_) => "reads",
            Param::Tile(name, _) => name,
        }
    }
}

impl fmt::Display for Param {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=", self.name())?;
        match self {
            Param::Launch(kind) => write!(f, "{kind}"),
            Param::Pipeline(n) | Param::Blocks(n) | Param::SplitK(n) | Param::Tile(_, n) => {
                write!(f, "{n}")
            }
            Param::Hoisted(hoisted) => f.write_str(if *hoisted { "hoisted" } else { "inline" }),
            Param::Mix(yes) | Param::Feed(yes) => write!(f, "{yes}"),
            Param::Reads(names) => f.write_str(&names.join("+")),
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
        ] {
            let (target, value) = text.split_once('=').unwrap();
            assert_eq!(
                told(text),
                format!("`{value}` is not a value of `{target}`")
            );
        }
    }
}
