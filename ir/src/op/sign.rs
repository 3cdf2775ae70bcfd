//! What is known of the signs of a value's elements.

/// What is known of the signs of a value's elements, NaN aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Sign {
    #[default]
    Unknown,
    /// No sign bit is set: +0 may occur, -0 does not.
    NonNegative,
    /// Above zero as a real number; rounding may underflow to +0.
    Positive,
}

impl Sign {
    /// Of a constant; infinities are left alone, since 0 * inf is NaN.
    pub fn of(constant: f32) -> Sign {
        match constant {
            k if k > 0.0 && k.is_finite() => Sign::Positive,
            k if k.to_bits() == 0 => Sign::NonNegative,
            _ => Sign::Unknown,
        }
    }
}
