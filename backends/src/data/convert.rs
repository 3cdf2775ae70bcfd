//! Type conversions of one element and of whole tensors: the only place that knows how a cast rounds.
//!
//! The reference interpreter and the simulator both cast with [`cast_scalar`], so that they cannot differ by a rounding.
//! What it does where formats leave a choice:
//!
//! * Float to narrower float follows IEEE 754 in all five modes, subnormals included. Too large a value becomes infinity,
//!   or the largest finite value where the mode rounds towards zero or away from that infinity.
//! * Float to integer rounds in the mode, then saturates; infinities saturate; NaN becomes 0.
//! * Integer to float rounds once, in the mode.
//! * Integer to integer saturates.
//! * NaN stays NaN and keeps its sign and the upper bits of its payload, and becomes quiet when it is narrowed.
//! * A cast to the type that a value already has keeps its bits.
//!
//! A [`Scalar`] carries `f32`, which holds every bf16 and f16 exactly, or `i64`, which holds every integer type.

use super::Tensor;
use half::{bf16, f16};
use tilewright_ir::{DType, Round};

/// The value of one element of any [`DType`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scalar {
    Float(f32),
    Int(i64),
}

impl Scalar {
    /// The value as f64: exact for floats and for integers up to 2^53 in magnitude.
    pub fn as_f64(self) -> f64 {
        match self {
            Scalar::Float(x) => f64::from(x),
            Scalar::Int(x) => x as f64,
        }
    }
}

/// A binary float format narrower than, or equal to, f32.
struct Format {
    /// Significand bits, the implicit one counted.
    precision: i32,
    /// Exponent of the last bit of a subnormal.
    least: i32,
    /// Exponent of the leading bit of the largest finite value.
    top: i32,
}

const F32: Format = Format {
    precision: 24,
    least: -149,
    top: 127,
};
const BF16: Format = Format {
    precision: 8,
    least: -133,
    top: 127,
};
const F16: Format = Format {
    precision: 11,
    least: -24,
    top: 15,
};

impl Format {
    fn of(dtype: DType) -> Option<Format> {
        match dtype {
            DType::F32 => Some(F32),
            DType::Bf16 => Some(BF16),
            DType::F16 => Some(F16),
            DType::I8 | DType::I32 | DType::U32 | DType::I64 => None,
        }
    }

    fn largest(&self) -> f32 {
        let significand = ((1u64 << self.precision) - 1) as f64;
        (significand * pow2(self.top - self.precision + 1)) as f32
    }
}

/// `2^e` for e in -1022..=1023.
fn pow2(e: i32) -> f64 {
    f64::from_bits(((e + 1023) as u64) << 52)
}

/// Whether a magnitude whose integer part is `quotient` goes up by one, when `remainder` of a unit of `1 << shift` is left.
fn goes_up(round: Round, negative: bool, quotient: u64, remainder: u64, shift: i32) -> bool {
    // For a shift above 64 the remainder is below half a unit.
    let half = (1..=64).contains(&shift).then(|| 1u64 << (shift - 1));
    let against = match half {
        Some(half) => remainder.cmp(&half),
        None => std::cmp::Ordering::Less,
    };
    match round {
        Round::Rint => against.is_gt() || (against.is_eq() && quotient & 1 == 1),
        Round::Round => against.is_ge(),
        Round::Trunc => false,
        Round::Floor => negative && remainder != 0,
        Round::Ceil => !negative && remainder != 0,
    }
}

/// `±magnitude * 2^exponent`, rounded once to a format; the result as f32, which is exact.
fn round_to(format: &Format, negative: bool, magnitude: u64, exponent: i32, round: Round) -> f32 {
    let sign = if negative { -1.0f32 } else { 1.0 };
    if magnitude == 0 {
        return 0.0 * sign;
    }
    let leading = 63 - magnitude.leading_zeros() as i32 + exponent;
    let last = (leading - format.precision + 1).max(format.least);
    let shift = last - exponent;
    let (quotient, last) = if shift <= 0 {
        (magnitude, exponent)
    } else {
        let (quotient, remainder) = match shift {
            1..=63 => (magnitude >> shift, magnitude & ((1u64 << shift) - 1)),
            _ => (0, magnitude),
        };
        let up = goes_up(round, negative, quotient, remainder, shift);
        (quotient + u64::from(up), last)
    };
    let value = quotient as f64 * pow2(last);
    if value < pow2(format.top + 1) {
        return value as f32 * sign;
    }
    let to_largest = match round {
        Round::Rint | Round::Round => false,
        Round::Trunc => true,
        Round::Floor => !negative,
        Round::Ceil => negative,
    };
    sign * if to_largest {
        format.largest()
    } else {
        f32::INFINITY
    }
}

fn float_to_float(x: f32, from: DType, to: DType, format: &Format, round: Round) -> f32 {
    if from == to || to == DType::F32 {
        return x;
    }
    let bits = x.to_bits();
    if x.is_nan() {
        let kept = !((1u32 << (24 - format.precision)) - 1);
        return f32::from_bits((bits & kept) | 0x0040_0000);
    }
    if x.is_infinite() {
        return x;
    }
    let biased = ((bits >> 23) & 0xff) as i32;
    let fraction = u64::from(bits & 0x007f_ffff);
    let (magnitude, exponent) = if biased == 0 {
        (fraction, -149)
    } else {
        (fraction | 0x0080_0000, biased - 150)
    };
    round_to(format, x.is_sign_negative(), magnitude, exponent, round)
}

/// A float rounded to an integral value, in a mode. NaN and infinities stay.
pub fn round_integral(x: f64, round: Round) -> f64 {
    match round {
        Round::Rint => x.round_ties_even(),
        Round::Round => x.round(),
        Round::Trunc => x.trunc(),
        Round::Floor => x.floor(),
        Round::Ceil => x.ceil(),
    }
}

/// The least and the largest value of an integer type; `None` for a float type.
pub fn integer_range(dtype: DType) -> Option<(i64, i64)> {
    match dtype {
        DType::I8 => Some((i64::from(i8::MIN), i64::from(i8::MAX))),
        DType::I32 => Some((i64::from(i32::MIN), i64::from(i32::MAX))),
        DType::U32 => Some((0, i64::from(u32::MAX))),
        DType::I64 => Some((i64::MIN, i64::MAX)),
        DType::F32 | DType::Bf16 | DType::F16 => None,
    }
}

/// One element of type `from`, converted to type `to` (the module page has the semantics).
///
/// The result is the value as it reads back from `to`; a `value` that is not of type `from` is first taken as the f32 or
/// i64 that it is.
pub fn cast_scalar(value: Scalar, from: DType, to: DType, round: Round) -> Scalar {
    match (value, Format::of(to), integer_range(to)) {
        (Scalar::Float(x), Some(format), _) => {
            Scalar::Float(float_to_float(x, from, to, &format, round))
        }
        (Scalar::Int(x), Some(format), _) => {
            Scalar::Float(round_to(&format, x < 0, x.unsigned_abs(), 0, round))
        }
        (Scalar::Float(x), None, range) => {
            let (low, high) = range.unwrap_or((i64::MIN, i64::MAX));
            // `as` saturates, and makes NaN 0.
            let integral = round_integral(f64::from(x), round) as i64;
            Scalar::Int(integral.clamp(low, high))
        }
        (Scalar::Int(x), None, range) => {
            let (low, high) = range.unwrap_or((i64::MIN, i64::MAX));
            Scalar::Int(x.clamp(low, high))
        }
    }
}

/// An f32 rounded to a float type and back (to nearest, ties to even); integer types are rounded and saturated likewise.
pub fn round_f32(x: f32, to: DType) -> f32 {
    match cast_scalar(Scalar::Float(x), DType::F32, to, Round::Rint) {
        Scalar::Float(y) => y,
        Scalar::Int(y) => y as f32,
    }
}

/// A tensor converted element by element.
pub fn convert(tensor: &Tensor, to: DType, round: Round) -> Tensor {
    if tensor.dtype == to {
        return tensor.clone();
    }
    let mut out = Tensor::zeros(to, &tensor.shape);
    let (source, target) = (tensor.dtype.bytes(), to.bytes());
    for (from_bytes, to_bytes) in tensor
        .bytes
        .chunks_exact(source)
        .zip(out.bytes.chunks_exact_mut(target))
    {
        let value = cast_scalar(read(from_bytes, tensor.dtype), tensor.dtype, to, round);
        write(to_bytes, to, value);
    }
    out
}

/// The element in `bytes`, which holds exactly one of type `dtype`, little-endian.
pub(super) fn read(bytes: &[u8], dtype: DType) -> Scalar {
    let mut le = [0u8; 8];
    le[..bytes.len()].copy_from_slice(bytes);
    let bits = u64::from_le_bytes(le);
    match dtype {
        DType::F32 => Scalar::Float(f32::from_bits(bits as u32)),
        DType::Bf16 => Scalar::Float(f32::from_bits((bits as u32) << 16)),
        DType::F16 => Scalar::Float(f16::from_bits(bits as u16).to_f32()),
        DType::I8 => Scalar::Int(i64::from(bits as u8 as i8)),
        DType::I32 => Scalar::Int(i64::from(bits as u32 as i32)),
        DType::U32 => Scalar::Int(i64::from(bits as u32)),
        DType::I64 => Scalar::Int(bits as i64),
    }
}

/// Writes a value that is already one of type `dtype`; any other is rounded to nearest and saturated first.
pub(super) fn write(bytes: &mut [u8], dtype: DType, value: Scalar) {
    let natural = match value {
        Scalar::Float(_) => DType::F32,
        Scalar::Int(_) => DType::I64,
    };
    let bits = match cast_scalar(value, natural, dtype, Round::Rint) {
        Scalar::Float(x) => match dtype {
            DType::Bf16 => u64::from(bf16::from_f32(x).to_bits()),
            DType::F16 => u64::from(f16::from_f32(x).to_bits()),
            _ => u64::from(x.to_bits()),
        },
        Scalar::Int(x) => x as u64,
    };
    let n = bytes.len();
    bytes.copy_from_slice(&bits.to_le_bytes()[..n]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn float(x: f32, to: DType, round: Round) -> f32 {
        match cast_scalar(Scalar::Float(x), DType::F32, to, round) {
            Scalar::Float(y) => y,
            Scalar::Int(y) => panic!("{y} is an integer"),
        }
    }

    fn int(x: f32, to: DType, round: Round) -> i64 {
        match cast_scalar(Scalar::Float(x), DType::F32, to, round) {
            Scalar::Int(y) => y,
            Scalar::Float(y) => panic!("{y} is a float"),
        }
    }

    #[test]
    fn every_bf16_survives_f32() {
        for bits in 0..=u16::MAX {
            let wide = Tensor::new(DType::Bf16, [1], bits.to_le_bytes().to_vec()).unwrap();
            let back = convert(
                &convert(&wide, DType::F32, Round::Rint),
                DType::Bf16,
                Round::Rint,
            );
            let got = u16::from_le_bytes([back.bytes[0], back.bytes[1]]);
            // A signalling NaN becomes quiet.
            let expected = if bf16::from_bits(bits).is_nan() {
                bits | 0x40
            } else {
                bits
            };
            assert_eq!(got, expected, "{bits:#06x}");
        }
    }

    #[test]
    fn every_f16_survives_f32_in_every_mode() {
        for round in Round::ALL {
            for bits in (0..=u16::MAX).filter(|b| !f16::from_bits(*b).is_nan()) {
                let x = f16::from_bits(bits).to_f32();
                let y = float(x, DType::F16, round);
                assert_eq!(f16::from_f32(y).to_bits(), bits, "{round:?} {bits:#06x}");
            }
        }
    }

    /// Against arithmetic on the exact value, written without the mode's library functions.
    #[test]
    fn every_f16_to_i8_in_every_mode() {
        for round in Round::ALL {
            for bits in 0..=u16::MAX {
                let x = f64::from(f16::from_bits(bits).to_f32());
                let expected = if x.is_nan() {
                    0
                } else if x >= 1000.0 {
                    127
                } else if x <= -1000.0 {
                    -128
                } else {
                    // Exact: an f16 is a multiple of 2^-24.
                    let fixed = (x * 16_777_216.0) as i64;
                    let (below, rest) =
                        (fixed.div_euclid(1 << 24), fixed.rem_euclid(1 << 24) as u64);
                    let half = 1 << 23;
                    let up = match round {
                        Round::Rint => rest > half || (rest == half && below % 2 != 0),
                        Round::Round => rest > half || (rest == half && fixed > 0),
                        Round::Trunc => fixed < 0 && rest != 0,
                        Round::Floor => false,
                        Round::Ceil => rest != 0,
                    };
                    (below + i64::from(up)).clamp(-128, 127)
                };
                let got = cast_scalar(Scalar::Float(x as f32), DType::F16, DType::I8, round);
                assert_eq!(got, Scalar::Int(expected), "{round:?} {x}");
            }
        }
    }

    #[test]
    fn nearest_even_agrees_with_the_half_crate() {
        let mut bits = 0u32;
        loop {
            let x = f32::from_bits(bits);
            if !x.is_nan() {
                assert_eq!(
                    float(x, DType::Bf16, Round::Rint).to_bits(),
                    bf16::from_f32(x).to_f32().to_bits(),
                    "bf16 {bits:#010x}"
                );
                assert_eq!(
                    float(x, DType::F16, Round::Rint).to_bits(),
                    f16::from_f32(x).to_f32().to_bits(),
                    "f16 {bits:#010x}"
                );
            }
            // A prime step visits every exponent and both signs.
            match bits.checked_add(9973) {
                Some(next) => bits = next,
                None => break,
            }
        }
    }

    #[test]
    fn bf16_ties_in_every_mode() {
        // 1 + 2^-8 lies half way between 1 and 1 + 2^-7, whose last bit is odd.
        let tie = 1.0 + 1.0 / 256.0;
        let (low, high) = (1.0, 1.0 + 1.0 / 128.0);
        let expected = [
            (Round::Rint, low, -low),
            (Round::Round, high, -high),
            (Round::Trunc, low, -low),
            (Round::Floor, low, -high),
            (Round::Ceil, high, -low),
        ];
        for (round, up, down) in expected {
            assert_eq!(float(tie, DType::Bf16, round), up, "{round:?}");
            assert_eq!(float(-tie, DType::Bf16, round), down, "{round:?}");
        }
        // The next tie up goes to the even value above it.
        assert_eq!(
            float(1.0 + 3.0 / 256.0, DType::Bf16, Round::Rint),
            1.0 + 4.0 / 256.0
        );
    }

    #[test]
    fn round_half_away_is_adding_half_and_truncating() {
        for bits in (0..0x7f00_0000u32).step_by(65_521) {
            let by_hand = f32::from_bits((bits + 0x8000) & 0xffff_0000);
            assert_eq!(
                float(f32::from_bits(bits), DType::Bf16, Round::Round),
                by_hand
            );
        }
    }

    #[test]
    fn overflow_follows_the_mode() {
        let cases = [
            (Round::Rint, f32::INFINITY, f32::NEG_INFINITY),
            (Round::Round, f32::INFINITY, f32::NEG_INFINITY),
            (Round::Trunc, 65504.0, -65504.0),
            (Round::Floor, 65504.0, f32::NEG_INFINITY),
            (Round::Ceil, f32::INFINITY, -65504.0),
        ];
        for (round, up, down) in cases {
            assert_eq!(float(1e6, DType::F16, round), up, "{round:?}");
            assert_eq!(float(-1e6, DType::F16, round), down, "{round:?}");
        }
        // 65520 is the tie between the largest f16 and what would come after it.
        assert_eq!(float(65519.0, DType::F16, Round::Rint), 65504.0);
        assert_eq!(float(65520.0, DType::F16, Round::Rint), f32::INFINITY);
        assert_eq!(float(f32::MAX, DType::Bf16, Round::Rint), f32::INFINITY);
        assert_eq!(
            float(f32::INFINITY, DType::F16, Round::Trunc),
            f32::INFINITY
        );
    }

    #[test]
    fn subnormals_and_zeros() {
        let least = 2f32.powi(-24);
        assert_eq!(float(least / 2.0, DType::F16, Round::Rint), 0.0);
        assert_eq!(float(least / 2.0, DType::F16, Round::Round), least);
        assert_eq!(float(least * 1.5, DType::F16, Round::Rint), least * 2.0);
        assert_eq!(float(1e-45, DType::F16, Round::Ceil), least);
        assert_eq!(float(-1e-45, DType::F16, Round::Floor), -least);
        assert_eq!(float(1e-45, DType::Bf16, Round::Ceil), 2f32.powi(-133));
        let negative = float(-1e-45, DType::F16, Round::Rint);
        assert!(negative == 0.0 && negative.is_sign_negative());
        assert!(float(-0.0, DType::Bf16, Round::Ceil).is_sign_negative());
    }

    #[test]
    fn floats_to_integers() {
        for (round, expected) in [
            (Round::Rint, [2, -2, 2, -1]),
            (Round::Round, [3, -3, 2, -1]),
            (Round::Trunc, [2, -2, 1, 0]),
            (Round::Floor, [2, -3, 1, -1]),
            (Round::Ceil, [3, -2, 2, 0]),
        ] {
            let got = [2.5, -2.5, 1.75, -0.75].map(|x| int(x, DType::I32, round));
            assert_eq!(got, expected, "{round:?}");
        }
        assert_eq!(int(f32::NAN, DType::I32, Round::Rint), 0);
        assert_eq!(
            int(f32::INFINITY, DType::I32, Round::Rint),
            i64::from(i32::MAX)
        );
        assert_eq!(int(-3e9, DType::I32, Round::Trunc), i64::from(i32::MIN));
        assert_eq!(int(-1.0, DType::U32, Round::Rint), 0);
        assert_eq!(int(1e30, DType::I64, Round::Rint), i64::MAX);
        assert_eq!(int(f32::MIN, DType::I64, Round::Rint), i64::MIN);
    }

    #[test]
    fn integers_to_floats_round_once() {
        let f16 = |x| cast_scalar(Scalar::Int(x), DType::I32, DType::F16, Round::Rint);
        assert_eq!(f16(127), Scalar::Float(127.0));
        assert_eq!(f16(2049), Scalar::Float(2048.0));
        assert_eq!(f16(2051), Scalar::Float(2052.0));
        assert_eq!(f16(65519), Scalar::Float(65504.0));
        assert_eq!(f16(65520), Scalar::Float(f32::INFINITY));
        assert_eq!(f16(-70000), Scalar::Float(f32::NEG_INFINITY));
        // Rounding to f32 first, and then to bf16, would give 2^25 + 2^18.
        let twice = (1 << 25) + (1 << 17) + 1;
        let bf16 = |x, round| cast_scalar(Scalar::Int(x), DType::I32, DType::Bf16, round);
        assert_eq!(
            bf16(twice, Round::Rint),
            Scalar::Float((1 << 25) as f32 + (1 << 18) as f32)
        );
        assert_eq!(
            bf16(twice - 1, Round::Rint),
            Scalar::Float((1 << 25) as f32)
        );
        assert_eq!(
            cast_scalar(Scalar::Int(i64::MIN), DType::I64, DType::F32, Round::Rint),
            Scalar::Float(-(2f32.powi(63)))
        );
        assert_eq!(
            cast_scalar(Scalar::Int(-5), DType::I64, DType::I8, Round::Rint),
            Scalar::Int(-5)
        );
        assert_eq!(
            cast_scalar(Scalar::Int(1 << 40), DType::I64, DType::I32, Round::Rint),
            Scalar::Int(i64::from(i32::MAX))
        );
    }

    #[test]
    fn nan_stays_nan_and_quiet() {
        for to in [DType::Bf16, DType::F16] {
            for bits in [0x7f80_0001u32, 0xffc0_1234, 0x7fff_ffff] {
                let y = float(f32::from_bits(bits), to, Round::Rint);
                assert!(y.is_nan(), "{to} {bits:#x}");
                assert_eq!(y.is_sign_negative(), bits >> 31 == 1);
            }
        }
    }
}
