//! Whole numbers.

/// The greatest common divisor.
pub fn gcd(a: usize, b: usize) -> usize {
    match b {
        0 => a,
        b => gcd(b, a % b),
    }
}
