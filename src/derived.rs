//! Names in pins that are no parameters though they look like some: those that reports print of a kernel's tiles, and parameters with
//! letters that changed places.

use crate::error::Error;
use tilewright_ir::syntax::nearest;
use tilewright_passes::search::pins::PinError;

/// Parameters whose values are no numbers of elements.
const WORDS: [&str; 18] = [
    "launch", "pipeline", "blocks", "pad", "split_k", "mix", "feed", "reads", "fuse", "unread",
    "grid", "stores", "reduces", "prefer", "refine", "by_line", "numerics", "fill",
];
/// What a tile takes, as the reader of pins says it.
const OF_TILES: &str = "a number of elements";

/// Endings of such names, after that of the tile that they are about, and how their value is pinned.
const ENDINGS: [(&str, &str); 7] = [
    (
        "_L0",
        "x1xPIECES: a trip's chunk over the number of pieces is what L0 takes at once",
    ),
    (
        "_KEPT",
        "x1xPIECESxKEPT: so many pieces of the left operand stay in L1",
    ),
    ("_SUM", OF_ROWS),
    ("_MAX", OF_ROWS),
    ("_MIN", OF_ROWS),
    ("_PROD", OF_ROWS),
    ("_ARGMAX", OF_ROWS),
];
const OF_ROWS: &str = ": so many trips of a reduction over a row";

/// The refusal that says what is meant, where a pin names something of this kind.
pub fn derived(error: &PinError) -> Option<Error> {
    match error {
        PinError::UnknownParameter {
            kernel,
            param,
            known,
        } => follows(kernel, param, known),
        // Every word that is no parameter could be the name of a tile, but its value is not a tile's.
        PinError::Value {
            kernel,
            param,
            value,
            expected,
        } if expected == OF_TILES => Some(Error::NoParameter {
            near: nearest(param, WORDS)?,
            kernel: kernel.clone(),
            param: param.clone(),
            value: value.clone(),
        }),
        _ => None,
    }
}

/// The refusal that says how to pin what follows from a tile.
fn follows(kernel: &str, param: &str, known: &str) -> Option<Error> {
    let of = |ending: &str| {
        let base = param.strip_suffix(ending)?;
        known.split(", ").any(|k| k == base).then_some(base)
    };
    let (base, how) = ENDINGS
        .iter()
        .find_map(|(ending, how)| Some((of(ending)?, how)))?;
    Some(Error::Derived {
        kernel: kernel.into(),
        tile: param.into(),
        base: base.into(),
        how: format!("{kernel}.reduces=TRIPS{how}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tilewright_passes::search::pins::Pin;

    /// The list here has no word that is a tile's to whoever reads pins.
    #[test]
    fn words_are_those_of_pins() {
        for word in WORDS {
            match format!("k.{word}=?").parse::<Pin>() {
                Err(PinError::Value { expected, .. }) => assert_ne!(expected, OF_TILES, "{word}"),
                other => assert!(["reads", "fuse", "unread"].contains(&word), "{other:?}"),
            }
        }
        let tile = "k.TILE=?".parse::<Pin>();
        assert!(matches!(tile, Err(PinError::Value { expected, .. }) if expected == OF_TILES));
    }
}
