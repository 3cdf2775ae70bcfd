//! Sizes that tiles and blocks can have along an axis, from the smallest to the largest. Rules go from one to the next, so what they
//! reach does not depend on what is written.

use super::Match;
use crate::problem::EVEN;

impl Match<'_> {
    /// Sizes below `x` of an axis of `of`, the nearest first.
    pub(super) fn below(&self, x: usize, of: usize) -> impl Iterator<Item = usize> + use<> {
        self.sizes(of).into_iter().rev().filter(move |z| *z < x)
    }

    /// Sizes above `x` of an axis of `of`, the nearest first.
    pub(super) fn above(&self, x: usize, of: usize) -> impl Iterator<Item = usize> + use<> {
        self.sizes(of).into_iter().filter(move |z| *z > x)
    }

    fn sizes(&self, of: usize) -> Vec<usize> {
        let asked = &self.egraph.analysis.sizes;
        let mut all = sizes(of);
        if !asked.is_empty() {
            all.extend(asked.range(1..of));
            all.sort_unstable();
            all.dedup();
        }
        all
    }
}

/// How many sizes an octave has whose tiles can be even ones: loops of a kernel have such sizes each, and forms of it are combinations of
/// them.
const OCTAVE: usize = 2;

/// From where on a tile is a row that is reduced in halves, and how many parts halving is to leave of it at most.
const LONG: usize = 4096;
const HALVED: usize = 16;

/// Divisors; and powers of two where no divisor is less than twice as large, or none that tiles can have: a last tile may be smaller
/// than the others. Of one column it is none, so where a power of two leaves one, the next size that does not takes its place. Of many
/// even divisors in an octave, the smallest and the one nearest to the octave's middle stay. Of long tiles there is one that can be
/// halved often.
fn sizes(of: usize) -> Vec<usize> {
    let divides = |d: &usize| of.is_multiple_of(*d);
    let small = (1..).take_while(|d| d * d <= of).filter(divides);
    let divisors: Vec<usize> = small.flat_map(|d| [d, of / d]).collect();
    let mut sizes = vec![of];
    for power in (0..).map(|k| 1usize << k).take_while(|p| *p < of) {
        let octave = |d: &&usize| (power..2 * power).contains(*d);
        let here: Vec<usize> = divisors.iter().filter(octave).copied().collect();
        if power < EVEN {
            sizes.extend(here.iter());
            if here.is_empty() {
                sizes.extend(whole_last(of, power, 1));
            }
            continue;
        }
        let mut even: Vec<usize> = here
            .iter()
            .copied()
            .filter(|d| d.is_multiple_of(EVEN))
            .collect();
        match even.is_empty() {
            true => {
                sizes.extend(here.iter());
                sizes.extend(whole_last(of, power, EVEN));
            }
            false => {
                even.sort_unstable();
                let least = even.remove(0);
                even.sort_by_key(|d| (d.abs_diff(power * 3 / 2), *d));
                even.truncate(OCTAVE - 1);
                let halved = |d: usize| d.is_multiple_of(power / HALVED);
                if power >= LONG && !halved(least) && !even.iter().any(|d| halved(*d)) {
                    sizes.extend(whole_last(of, power, EVEN));
                }
                sizes.push(least);
                sizes.extend(even);
            }
        }
    }
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

/// The first size from a power of two on, in multiples of a unit, that does not leave one column over; of rows, one may be left.
fn whole_last(of: usize, power: usize, unit: usize) -> Option<usize> {
    let mut near = (power..of.min(2 * power)).step_by(unit);
    let whole = near.find(|z| of % z != 1);
    whole.or((2 * power <= of).then_some(power))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_divisors_where_there_are_enough() {
        assert_eq!(sizes(1), [1]);
        assert_eq!(sizes(24), [1, 2, 3, 4, 6, 8, 12, 16, 24]);
        assert_eq!(sizes(64), [1, 2, 4, 8, 16, 32, 64]);
        let prime = [
            1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8191,
        ];
        assert_eq!(sizes(8191), prime);
        // Each power of two leaves one column over.
        let sizes = sizes(65537);
        assert!(
            sizes.iter().all(|z| *z <= 16 || 65537 % z != 1),
            "{sizes:?}"
        );
        assert!(sizes.contains(&528) && sizes.contains(&1040), "{sizes:?}");
    }

    /// 128256 is 2^8 * 501: its divisors of some thousands are halved a few times only.
    #[test]
    fn a_long_tile_can_be_halved() {
        let sizes = sizes(128_256);
        assert!(sizes.contains(&4096) && sizes.contains(&8192), "{sizes:?}");
    }

    /// Forms of a kernel are combinations of sizes, so that there must not be many of an axis with many divisors.
    #[test]
    fn an_octave_has_few_even_sizes() {
        assert_eq!(
            sizes(2880),
            [
                1, 2, 3, 4, 5, 6, 8, 9, 10, 12, 15, 16, 32, 48, 64, 96, 144, 192, 288, 320, 576,
                720, 1440, 2880
            ]
        );
    }

    /// Nothing between two even sizes is lost: from anywhere, all are reached within steps of less than four.
    #[test]
    fn there_is_an_even_size_in_every_octave() {
        for of in 32..3000 {
            let even = sizes(of).into_iter().filter(|z| z.is_multiple_of(EVEN));
            let even: Vec<usize> = even.chain([of]).collect();
            assert_eq!(even[0], EVEN, "{of}");
            assert!(even.windows(2).all(|w| w[1] < 4 * w[0]), "{of}: {even:?}");
        }
    }
}
