//! Sizes of tiles: what divides, and what a kernel may have at most.

use std::fmt;
use tilewright_ir::dtype::DType;
use tilewright_ir::machine::Geometry;

/// The largest tiles of a kernel, and the fewest rows of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cap {
    /// More than one where fewer rows would be more blocks than a launch has.
    pub least_rows: usize,
    pub rows: usize,
    pub cols: usize,
    /// Of what is reduced, or added up by a product.
    pub chunk: usize,
    /// Whether tiles are those of a kernel without a schedule, whatever is written.
    pub anew: bool,
}

impl Default for Cap {
    fn default() -> Self {
        Cap {
            least_rows: 1,
            rows: usize::MAX,
            cols: usize::MAX,
            chunk: usize::MAX,
            anew: false,
        }
    }
}

/// A tile as written that a kernel cannot have, and the one that it has instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shrunk {
    pub kernel: String,
    pub tile: String,
    pub written: usize,
    pub used: usize,
    pub why: Misfit,
}

/// Why a tile as written cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfit {
    /// It is no multiple of so many elements.
    Multiple(usize),
    /// It does not divide an axis of so many elements, all tiles of which are equal.
    Divides(usize),
    /// It leaves one element of so many for the last tile.
    Leaves(usize),
    /// One column is no tile.
    Single,
    /// The kernel does not hold it.
    Large,
    /// The kernel is far slower with it than without a schedule.
    Slow,
}

impl Misfit {
    /// Whether it is a matter of an axis' size: the same tile may do for another one.
    pub fn is_of_extent(self) -> bool {
        matches!(self, Misfit::Divides(_) | Misfit::Leaves(_))
    }
}

impl fmt::Display for Shrunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shrunk {
            kernel,
            tile,
            written,
            used,
            why,
        } = self;
        write!(f, "kernel `{kernel}` takes {tile} = {used}: ")?;
        match why {
            Misfit::Single => write!(f, "one column is no tile"),
            Misfit::Multiple(unit) => {
                write!(f, "{tile} = {written} as written is no multiple of {unit}")
            }
            Misfit::Divides(extent) => {
                write!(f, "{tile} = {written} as written does not divide {extent}")
            }
            Misfit::Leaves(extent) => {
                write!(
                    f,
                    "{tile} = {written} as written leaves one over of {extent}"
                )
            }
            Misfit::Slow => write!(
                f,
                "with {tile} = {written} as written it takes far longer, so the search starts from this"
            ),
            Misfit::Large => write!(f, "{tile} = {written} as written does not fit"),
        }
    }
}

/// What the hardware's tiles are multiples of: a tile that is not may lie across blocks of memory.
pub const EVEN: usize = 16;

/// How many times a naive tile all of a value may be that has no divisor to cut it by.
const WHOLE: usize = 8;

/// How many times a tile that divides may be smaller than one that does not.
const SMALL: usize = 4;

/// How an axis may be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// All tiles are equal.
    Whole,
    /// The last tile may have fewer elements, but so many at least.
    From(usize),
}

impl Last {
    /// Of the columns or the inner axis of a product, which are whole fractals in a core; or of something else, of which one column of
    /// several is not contiguous.
    pub fn of(product: bool) -> Self {
        Last::From(if product { 1 } else { 2 })
    }

    /// Whether tiles of a size may cut an axis.
    pub fn allows(self, extent: usize, size: usize) -> bool {
        let rest = if size > 0 { extent % size } else { 1 };
        match self {
            _ if size == 0 => false,
            _ if rest == 0 => true,
            Last::Whole => false,
            Last::From(least) => size < extent && rest >= least,
        }
    }
}

/// What the inner axis of a product has a multiple of.
pub fn inner_unit(geometry: &Geometry, dtype: DType) -> usize {
    let fractal = geometry.fractal_elements(dtype);
    fractal.max(geometry.fractal_rows.count())
}

/// A tile of at `most` so many elements, about `limit`, in multiples of `unit`: one that divides `extent`, unless all of them are
/// small and the last tile may have fewer elements.
pub fn tile_of(extent: usize, limit: usize, most: usize, unit: usize, last: Last) -> usize {
    let whole = divisor(extent, limit, most, unit);
    let limit = limit.min(most);
    let large = whole.saturating_mul(SMALL) >= limit.min(extent);
    if last == Last::Whole || (whole <= most && large) {
        return whole;
    }
    // As many tiles as there have to be, about equal; or a few more, where the last one would be none.
    let tiles = extent.div_ceil(limit.max(1));
    let even = extent.div_ceil(tiles);
    let fits = |size: &usize| size.is_multiple_of(unit) && last.allows(extent, *size);
    let smaller = || (limit / SMALL + 1..even).rev().find(fits);
    (even..=limit).find(fits).or_else(smaller).unwrap_or(whole)
}

/// The largest divisor of `extent` up to `limit` in multiples of `unit`, unless there is none or it is tiny. Then all of it where
/// that is not too much, at `most` so many, and the largest divisor where it is; a single element is no tile.
fn divisor(extent: usize, limit: usize, most: usize, unit: usize) -> usize {
    let limit = limit.min(most);
    let largest = |unit: usize| {
        let sizes = divisors(extent).filter(|d| *d <= limit && d.is_multiple_of(unit));
        sizes.max()
    };
    let few = extent <= most.min(limit.saturating_mul(WHOLE));
    match largest(unit) {
        Some(tile) if !few || tile.saturating_mul(WHOLE) >= limit.min(extent) => tile,
        _ if few => extent,
        _ => largest(1).filter(|d| *d > 1).unwrap_or(extent),
    }
}

/// The smallest divisor of `extent` from `least` on.
pub fn tile_from(extent: usize, least: usize) -> usize {
    let large = divisors(extent).filter(|d| *d >= least);
    large.min().unwrap_or(extent)
}

/// The size nearest to `size` that cuts an axis, the smaller one of two; in multiples of `unit` if there is one.
pub fn nearest_cut(extent: usize, size: usize, unit: usize, last: Last) -> usize {
    let divides = nearest_divisor(extent, size, unit);
    let reach = divides.abs_diff(size);
    let near = |unit: usize| {
        let sizes =
            (size.saturating_sub(reach).max(2)..=size + reach).filter(|z| z.is_multiple_of(unit));
        let sizes = sizes.filter(|z| last.allows(extent, *z));
        sizes.min_by_key(|z| (z.abs_diff(size), *z))
    };
    match last {
        Last::Whole => divides,
        Last::From(_) => near(unit).unwrap_or(divides),
    }
}

/// The divisor of `extent` that is nearest to `size`, the smaller one of two; in multiples of `unit` if there is one.
pub fn nearest_divisor(extent: usize, size: usize, unit: usize) -> usize {
    let nearest = |unit: usize| {
        divisors(extent)
            .filter(|d| d.is_multiple_of(unit))
            .min_by_key(|d| (d.abs_diff(size), *d))
    };
    nearest(unit).or_else(|| nearest(1)).unwrap_or(1)
}

/// The tile in whole fractals of `unit` that stands for one of `written` elements: the largest up to it that cuts the axis.
pub fn whole_fractals(extent: usize, written: usize, unit: usize, last: Last) -> usize {
    if last != Last::Whole {
        return (written / unit * unit).max(unit).min(extent);
    }
    let most = written.max(unit);
    let sizes = divisors(extent).filter(|d| *d <= most && d.is_multiple_of(unit));
    // Of an axis that is no multiple itself, others say so.
    sizes
        .max()
        .unwrap_or_else(|| nearest_divisor(extent, written, unit))
}

fn divisors(extent: usize) -> impl Iterator<Item = usize> {
    (1..)
        .take_while(move |d| d * d <= extent)
        .filter(move |d| extent.is_multiple_of(*d))
        .flat_map(move |d| [d, extent / d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_divide_and_are_whole_units_where_that_can_be() {
        // (extent, limit, unit) and the tile.
        let free = usize::MAX;
        let cases = [
            ((704, 256, 32), 64),
            ((1408, 1024, 16), 704),
            ((2880, 256, 16), 240),
            ((100, 1024, 16), 100),
            ((2047, 1024, 16), 2047),
            ((151_643, 1024, 16), 151_643),
            ((16 * 1009, 512, 16), 16),
            ((16 * 101, 1024, 16), 1616),
            ((7 * 9973, 512, 16), 7),
        ];
        for ((extent, limit, unit), tile) in cases {
            assert_eq!(
                tile_of(extent, limit, free, unit, Last::Whole),
                tile,
                "{extent} {limit} {unit}"
            );
        }
    }

    #[test]
    fn a_cap_holds_where_nothing_divides() {
        assert_eq!(tile_of(496, 256, usize::MAX, 16, Last::Whole), 496);
        assert_eq!(tile_of(496, 256, 248, 16, Last::Whole), 16);
        assert_eq!(tile_of(4096, 1024, 100, 16, Last::Whole), 64);
    }

    #[test]
    fn a_last_tile_may_have_fewer_where_divisors_are_small() {
        let partial =
            |extent, limit, unit, least| tile_of(extent, limit, limit, unit, Last::From(least));
        assert_eq!(partial(151_643, 1024, 16, 2), 1024);
        assert_eq!(partial(4099, 256, 16, 1), 256);
        // Divisors that are large enough stay.
        assert_eq!(partial(2880, 256, 16, 1), 240);
        assert_eq!(partial(257, 256, 16, 2), 144);
        assert_eq!(partial(4099, 8, 1, 1), 8);
        // One column is no tile, so all tiles are a little smaller.
        assert_eq!(partial(32_001, 256, 8, 2), 248);
        assert_eq!(partial(65_537, 1024, 8, 2), 1016);
    }

    #[test]
    fn every_tile_cuts_its_axis() {
        for extent in 1..130 {
            for (limit, unit) in (1..=extent).flat_map(|l| [(l, 1), (l, 8), (l, 16)]) {
                for last in [Last::Whole, Last::From(1), Last::From(2)] {
                    let tile = tile_of(extent, limit, limit, unit, last);
                    assert!(
                        last.allows(extent, tile),
                        "{tile} of {extent}: {limit} {unit} {last:?}"
                    );
                    let tile = whole_fractals(extent, limit, unit, Last::Whole);
                    assert!(
                        extent.is_multiple_of(tile),
                        "{tile} of {extent}: {limit} {unit}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_nearest_divisor_is_one_that_the_unit_divides() {
        assert_eq!(nearest_divisor(1408, 256, 32), 352);
        assert_eq!(nearest_divisor(1408, 256, 1), 176);
        assert_eq!(nearest_divisor(7, 3, 16), 1);
        // Another size leaves more than one column.
        assert_eq!(nearest_cut(65_537, 512, 8, Last::From(2)), 504);
        assert_eq!(nearest_cut(1408, 256, 32, Last::Whole), 352);
    }
}
