//! Values that show what an instruction does at its edges.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use tilewright_backends::data::Tensor;
use tilewright_ir::DType;

/// Edges of f32 and of what it is converted to: ties, limits, subnormals of f16, bf16 and f32.
const FLOATS: [f32; 48] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
    f32::MAX,
    f32::MIN,
    f32::MIN_POSITIVE,
    -f32::MIN_POSITIVE,
    1e-45,
    -1e-45,
    1e-40,
    0.5,
    -0.5,
    1.5,
    -1.5,
    2.5,
    -2.5,
    0.499_999_97,
    126.5,
    127.49,
    127.5,
    -128.5,
    -129.0,
    255.5,
    32767.5,
    65504.0,
    65519.996,
    65520.0,
    -65536.0,
    1.000_488_3,
    1.001_464_8,
    1.003_906_2,
    1.011_718_8,
    5.960_464_5e-8,
    2.980_232_2e-8,
    8.940_697e-8,
    6.103_515_6e-5,
    6.100e-5,
    2_147_483_648.0,
    -2_147_483_648.0,
    2_147_483_520.0,
    9.223_372e18,
    -9.3e18,
    3.389_531_4e38,
    16_777_217.0,
];

const INTS: [i64; 20] = [
    0,
    1,
    -1,
    2,
    7,
    127,
    -128,
    128,
    2049,
    65519,
    65520,
    -65521,
    16_777_217,
    -16_777_219,
    2_147_483_647,
    -2_147_483_648,
    2_147_483_646,
    4_294_967_295,
    9_007_199_254_740_993,
    i64::MIN,
];

/// Edges, `turn` of them later than in the tensor of turn 0, and random values between them.
pub fn edges(dtype: DType, shape: &[usize], turn: usize) -> Tensor {
    let count = shape.iter().product::<usize>();
    let mut rng = ChaCha8Rng::seed_from_u64(turn as u64);
    let random = |rng: &mut ChaCha8Rng| (rng.next_u64() >> 40) as f32 / 65536.0 - 128.0;
    if dtype.is_float() {
        let values: Vec<f32> = (0..count)
            .map(|i| match i % 5 {
                4 => random(&mut rng),
                _ => FLOATS[(i / (1 + turn) + turn * 7) % FLOATS.len()],
            })
            .collect();
        return Tensor::from_f32(dtype, shape, &values).unwrap();
    }
    let values: Vec<i64> = (0..count)
        .map(|i| match i % 5 {
            4 => rng.next_u64() as i64 >> 33,
            _ => INTS[(i / (1 + turn) + turn * 7) % INTS.len()],
        })
        .collect();
    Tensor::from_i64(dtype, shape, &values).unwrap()
}

/// Moderate values that no sum of a few hundred overflows.
pub fn moderate(dtype: DType, shape: &[usize], turn: usize) -> Tensor {
    let count = shape.iter().product::<usize>();
    let mut rng = ChaCha8Rng::seed_from_u64(!(turn as u64));
    match dtype.is_float() {
        true => {
            let values: Vec<f32> = (0..count)
                .map(|_| (rng.next_u64() >> 40) as f32 / 8_388_608.0 - 1.0)
                .collect();
            Tensor::from_f32(dtype, shape, &values).unwrap()
        }
        false => {
            let values: Vec<i64> = (0..count).map(|_| rng.next_u64() as i64 >> 56).collect();
            Tensor::from_i64(dtype, shape, &values).unwrap()
        }
    }
}

/// Where two tensors differ, NaN being NaN, with values within `ulps` taken for equal; the first place, and how many.
pub fn difference(a: &Tensor, b: &Tensor, ulps: u32) -> Option<String> {
    if (a.dtype, &a.shape) != (b.dtype, &b.shape) {
        return Some(format!(
            "{} {:?} and {} {:?}",
            a.dtype, a.shape, b.dtype, b.shape
        ));
    }
    let size = a.dtype.bytes();
    let pairs = a.bytes.chunks_exact(size).zip(b.bytes.chunks_exact(size));
    let places: Vec<usize> = pairs
        .enumerate()
        .filter(|(_, (x, y))| !equal(a.dtype, x, y, ulps))
        .map(|(i, _)| i)
        .collect();
    let first = *places.first()?;
    let (x, y) = (a.get(first).unwrap(), b.get(first).unwrap());
    Some(format!(
        "element {first} is {x:?} and {y:?}; {} of {} differ",
        places.len(),
        a.len()
    ))
}

fn equal(dtype: DType, x: &[u8], y: &[u8], ulps: u32) -> bool {
    if x == y {
        return true;
    }
    if !dtype.is_float() {
        return false;
    }
    let one = |b: &[u8]| Tensor::new(dtype, [1], b.to_vec()).unwrap().to_f32()[0];
    let (x, y) = (one(x), one(y));
    if x.is_nan() || y.is_nan() {
        return x.is_nan() && y.is_nan();
    }
    // Neighbouring floats of one sign are neighbouring integers.
    let near = dtype == DType::F32 && x.signum() == y.signum();
    near && x.to_bits().abs_diff(y.to_bits()) <= ulps
}
