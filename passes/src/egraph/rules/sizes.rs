//! Sizes that tiles and blocks can have along an axis, from the smallest to the largest. Rules go from one to the next, so what they
//! reach does not depend on what is written.

use super::Match;

/// What the hardware's tiles are multiples of.
const EVEN: usize = 16;

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

/// Divisors; and powers of two where no divisor is less than twice as large, or none that tiles can have: a last tile may be smaller
/// than the others. Of one column it is none, so where a power of two leaves one, the next size that does not takes its place.
fn sizes(of: usize) -> Vec<usize> {
    let divides = |d: &usize| of.is_multiple_of(*d);
    let small = (1..).take_while(|d| d * d <= of).filter(divides);
    let mut sizes: Vec<usize> = small.flat_map(|d| [d, of / d]).collect();
    let powers = (0..).map(|k| 1usize << k).take_while(|p| *p < of);
    let lacking: Vec<usize> = powers
        .filter(|p| {
            let unit = if *p < EVEN { 1 } else { EVEN };
            let near = |d: &usize| d.is_multiple_of(unit) && (*p..2 * p).contains(d);
            !sizes.iter().any(near)
        })
        .collect();
    let lasts = |p: usize| {
        let unit = if p < EVEN { 1 } else { EVEN };
        let mut near = (p..2 * p).step_by(unit);
        near.find(|z| of % z != 1).unwrap_or(p)
    };
    sizes.extend(lacking.into_iter().map(lasts));
    sizes.sort_unstable();
    sizes.dedup();
    sizes
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
        assert!(sizes.contains(&544) && sizes.contains(&1056), "{sizes:?}");
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
