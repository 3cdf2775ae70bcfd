//! What an element-wise operation does to one value.
//!
//! This is the reference interpreter's own definition, which the simulator and the emitted C++ are checked against; they have
//! theirs from the table of operations and from the host's header. Choices:
//!
//! * `exp` and `log` are computed in f64 and rounded once, so they are the correctly rounded result but for rare cases.
//! * `max` and `min` are IEEE 754-2019 `maximum` and `minimum`: NaN goes through, and -0 is below +0.
//! * Everything else on floats is the IEEE operation in f32, subnormals kept.
//! * Integers saturate.

use std::cmp::Ordering;
use tilewright_ir::graph::{Binary, Unary};

/// A function of one element.
pub fn unary(op: Unary, x: f32) -> f32 {
    match op {
        Unary::Abs => x.abs(),
        Unary::Exp => f64::from(x).exp() as f32,
        Unary::Log => f64::from(x).ln() as f32,
        Unary::Sqrt => x.sqrt(),
        Unary::Relu => maximum(x, 0.0),
        Unary::Neg => -x,
    }
}

/// A function of two elements.
pub fn binary(op: Binary, a: f32, b: f32) -> f32 {
    match op {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        Binary::Max => maximum(a, b),
        Binary::Min => -maximum(-a, -b),
    }
}

/// A function of one integer, saturated; `None` for what integers do not have.
pub fn unary_int(op: Unary, x: i64) -> Option<i64> {
    match op {
        Unary::Abs => Some(x.saturating_abs()),
        Unary::Relu => Some(x.max(0)),
        Unary::Neg => Some(x.saturating_neg()),
        Unary::Exp | Unary::Log | Unary::Sqrt => None,
    }
}

/// A function of two integers, saturated; `None` for a division, which integers do not have.
pub fn binary_int(op: Binary, a: i64, b: i64) -> Option<i64> {
    match op {
        Binary::Add => Some(a.saturating_add(b)),
        Binary::Sub => Some(a.saturating_sub(b)),
        Binary::Mul => Some(a.saturating_mul(b)),
        Binary::Div => None,
        Binary::Max => Some(a.max(b)),
        Binary::Min => Some(a.min(b)),
    }
}

fn maximum(a: f32, b: f32) -> f32 {
    if a.is_nan() {
        a
    } else if b.is_nan() || a.total_cmp(&b) == Ordering::Less {
        b
    } else {
        a
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn max_and_min_see_nan_and_signed_zero() {
        for op in [Binary::Max, Binary::Min] {
            assert!(binary(op, f32::NAN, 1.0).is_nan());
            assert!(binary(op, 1.0, f32::NAN).is_nan());
            assert!(binary(op, -f32::NAN, f32::NEG_INFINITY).is_nan());
        }
        assert!(binary(Binary::Max, -0.0, 0.0).is_sign_positive());
        assert!(binary(Binary::Min, 0.0, -0.0).is_sign_negative());
        assert_eq!(binary(Binary::Max, -3.0, 2.0), 2.0);
        assert_eq!(binary(Binary::Min, -3.0, 2.0), -3.0);
    }

    #[test]
    fn exp_and_log_are_rounded_once() {
        assert_eq!(unary(Unary::Exp, 1.0), std::f32::consts::E);
        assert_eq!(unary(Unary::Log, 2.0), std::f32::consts::LN_2);
        assert_eq!(unary(Unary::Exp, -104.0), 0.0);
        assert_eq!(unary(Unary::Log, 0.0), f32::NEG_INFINITY);
        assert!(unary(Unary::Sqrt, -1.0).is_nan());
    }

    #[test]
    fn integers_have_no_division() {
        assert_eq!(binary_int(Binary::Div, 6, 3), None);
        assert_eq!(binary_int(Binary::Add, i64::MAX, 1), Some(i64::MAX));
    }
}
