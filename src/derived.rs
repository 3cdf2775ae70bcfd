//! Names that reports print of a kernel's tiles and that are no parameters: what says them instead.

use crate::error::Error;
use tilewright_passes::search::pins::PinError;

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

/// The refusal that says how to pin such a value, where a pin names one.
pub fn derived(error: &PinError) -> Option<Error> {
    let PinError::UnknownParameter {
        kernel,
        param,
        known,
    } = error
    else {
        return None;
    };
    let of = |ending: &str| {
        let base = param.strip_suffix(ending)?;
        known.split(", ").any(|k| k == base).then_some(base)
    };
    let (base, how) = ENDINGS
        .iter()
        .find_map(|(ending, how)| Some((of(ending)?, how)))?;
    Some(Error::Derived {
        kernel: kernel.clone(),
        tile: param.clone(),
        base: base.into(),
        how: format!("{kernel}.reduces=TRIPS{how}"),
    })
}
