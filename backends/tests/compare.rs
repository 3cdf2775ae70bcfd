//! When two tensors count as the same.

use miette::Diagnostic;
use tilewright_backends::data::{
    self, DataError, Scalar, Tensor, Tolerance, compare, compare_routing,
};
use tilewright_ir::DType;

fn floats(dtype: DType, values: &[f32]) -> Tensor {
    Tensor::from_f32(dtype, &[values.len()], values).unwrap()
}

fn ints(dtype: DType, shape: &[usize], values: &[i64]) -> Tensor {
    Tensor::from_i64(dtype, shape, values).unwrap()
}

fn code(error: &DataError) -> String {
    error.code().map(|c| c.to_string()).unwrap_or_default()
}

fn verdict(actual: &Tensor, expected: &Tensor) -> data::Comparison {
    let tolerance = Tolerance::of(actual.dtype);
    compare("y", "reference", actual, expected, &tolerance).unwrap()
}

#[test]
fn floats_use_a_share_of_their_scale_and_a_relative_part() {
    // The scale is 1: of so wide a range the large value does not count.
    let expected = floats(DType::F32, &[0.0, 10000.0, -1.0, 1.0]);
    let near = verdict(
        &floats(DType::F32, &[0.0009, 10000.1, -1.0019, 1.0]),
        &expected,
    );
    assert!(near.ok && near.mismatched == 0);
    assert_eq!(near.worst, Some(1));
    assert!((near.max_abs - 0.1).abs() < 1e-3);
    assert!((near.max_rel - 0.0019).abs() < 1e-6, "zeros are left out");
    let far = verdict(
        &floats(DType::F32, &[0.0011, 10000.0, -1.0, 1.0]),
        &expected,
    );
    assert!(!far.ok && far.mismatched == 1 && far.worst == Some(0));
}

/// Values of one row, and what is found when some of them change.
fn changed(
    shape: [usize; 2],
    tolerance: &Tolerance,
    value: impl Fn(usize) -> f32,
    change: impl Fn(usize, f32) -> f32,
) -> data::Comparison {
    let count = shape[0] * shape[1];
    let expected: Vec<f32> = (0..count).map(value).collect();
    let actual: Vec<f32> = expected
        .iter()
        .enumerate()
        .map(|(i, x)| change(i, *x))
        .collect();
    let tensor = |values: &[f32]| Tensor::from_f32(DType::F32, &shape, values).unwrap();
    compare(
        "y",
        "reference",
        &tensor(&actual),
        &tensor(&expected),
        tolerance,
    )
    .unwrap()
}

/// Not zero, of both signs, of a scale around 1.
fn wave(i: usize) -> f32 {
    ((i * 37 % 101) as f32 - 50.3) / 30.0
}

#[test]
fn small_values_are_compared_as_large_ones_are() {
    let tolerance = Tolerance::of(DType::F32);
    for scale in [1e-30_f32, 1e-12, 1e-4, 1.0, 1e20] {
        let of = |x: f32| x * scale;
        let found = changed([4, 64], &tolerance, |i| of(wave(i)), |_, x| x.abs());
        assert!(!found.ok && found.mismatched > 100, "{scale}: {found:?}");
        let near = changed([4, 64], &tolerance, |i| of(wave(i)), |_, x| x + of(5e-4));
        assert!(near.ok, "{scale}: {near:?}");
    }
    // A token may be small among large ones, and a mask in its row excuses nothing.
    let of = |i: usize| match i {
        3 | 70 => -1e30,
        i if i / 64 == 1 => wave(i) * 1e-6,
        i => wave(i),
    };
    let lost = changed([4, 64], &tolerance, of, |i, x| {
        if i / 64 == 1 && i != 70 { 0.0 } else { x }
    });
    assert_eq!((lost.ok, lost.mismatched), (false, 63), "{lost:?}");
    // Rows of a column or two tell no scale of their own: that of all of them counts.
    let sums = |i: usize| if i == 5 { 1e-7 } else { wave(i) };
    let cancelled = changed(
        [64, 1],
        &tolerance,
        sums,
        |i, x| if i == 5 { 0.0 } else { x },
    );
    assert!(cancelled.ok, "{cancelled:?}");
}

#[test]
fn outliers_are_few_near_and_never_a_whole_row() {
    let tolerance = Tolerance {
        rtol: 1e-3,
        allowed_fraction: 0.25,
        ..Tolerance::EXACT
    };
    let shape = [16, 64];
    let with = |change: &dyn Fn(usize, f32) -> f32| changed(shape, &tolerance, wave, change);
    // A step of a quantisation here and there.
    let few = with(&|i, x| if i % 7 == 0 { x + 0.1 } else { x });
    assert!(
        few.ok && few.mismatched > 100 && few.why.is_none(),
        "{few:?}"
    );
    // The same number of elements, as lost tokens: by whatever they are off.
    for by in [0.01, 0.1, 100.0, f32::NAN, f32::INFINITY] {
        let lost = with(&|i, x| if i / 64 == 9 { x + by } else { x });
        let why = lost.why.clone().unwrap_or_default();
        assert!(!lost.ok && why.contains("row 9"), "{by}: {lost:?}");
    }
    let zeros = with(&|i, x| if i / 64 == 9 { 0.0 } else { x });
    assert!(!zeros.ok, "{zeros:?}");
    // A single element, too far off.
    for value in [f32::NAN, f32::NEG_INFINITY, 1e30, 2.0] {
        let far = with(&|i, x| if i == 50 { value } else { x });
        let why = far.why.clone().unwrap_or_default();
        assert!(
            !far.ok && why.contains("row 0, column 50"),
            "{value}: {far:?}"
        );
    }
    // More than the share, evenly.
    let many = with(&|i, x| if i % 7 < 2 { x + 0.1 } else { x });
    assert!(!many.ok, "{many:?}");
    // A column has no row in which others are right.
    let column = changed(
        [64, 1],
        &tolerance,
        wave,
        |i, x| if i == 9 { x + 0.1 } else { x },
    );
    assert!(!column.ok, "{column:?}");
}

#[test]
fn bf16_allows_one_part_in_128() {
    let expected = floats(DType::Bf16, &[128.0]);
    assert!(verdict(&floats(DType::Bf16, &[129.0]), &expected).ok);
    assert!(!verdict(&floats(DType::Bf16, &[130.0]), &expected).ok);
}

#[test]
fn int8_allows_one_in_a_thousand_to_be_off_by_one() {
    let expected = Tensor::zeros(DType::I8, &[2000]);
    let off = |count: usize, by: i64| {
        let mut actual = expected.clone();
        for i in 0..count {
            actual.set(i, Scalar::Int(by)).unwrap();
        }
        verdict(&actual, &expected)
    };
    assert!(off(2, 1).ok);
    assert!(!off(3, 1).ok, "too many");
    assert!(!off(1, 2).ok, "too far");
    assert_eq!(off(3, 2).mismatched, 3);
}

#[test]
fn other_integers_are_exact_however_large() {
    let expected = ints(DType::I64, &[2], &[1 << 60, 3]);
    assert!(verdict(&expected, &expected).ok);
    let found = verdict(&ints(DType::I64, &[2], &[(1 << 60) + 1, 3]), &expected);
    assert_eq!((found.ok, found.mismatched, found.max_abs), (false, 1, 1.0));
}

#[test]
fn nan_and_infinity_equal_only_themselves() {
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    let expected = floats(DType::F32, &[nan, 1.0, nan, inf, inf, 1.0]);
    assert!(verdict(&expected, &expected).ok);
    let found = verdict(
        &floats(DType::F32, &[1.0, nan, nan, -inf, 1.0, inf]),
        &expected,
    );
    assert_eq!((found.ok, found.mismatched), (false, 5));
    assert_eq!(found.max_abs, f64::INFINITY);
}

#[test]
fn other_types_and_shapes_are_incomparable() {
    let a = Tensor::zeros(DType::F32, &[2, 3]);
    for b in [
        Tensor::zeros(DType::F32, &[3, 2]),
        Tensor::zeros(DType::I32, &[2, 3]),
    ] {
        let error = compare("y", "file", &a, &b, &Tolerance::EXACT).unwrap_err();
        assert_eq!(code(&error), "tilewright::data::compare");
    }
}

fn routed(indices: &[i64], weights: &[f32]) -> (bool, bool, usize) {
    let shape = [2, indices.len() / 2];
    let weights = Tensor::from_f32(DType::F32, &shape, weights).unwrap();
    let expected = Tensor::from_f32(DType::F32, &shape, &[0.5, 0.5, 0.2, 0.0, 0.0, 0.0]).unwrap();
    let [of_indices, of_weights] = compare_routing(
        ("indices", &ints(DType::I32, &shape, indices)),
        ("weights", &weights),
        "reference",
        &ints(DType::I32, &shape, &[4, 7, 1, 0, 0, 0]),
        &expected,
        &Tolerance::of(DType::F32),
    )
    .unwrap();
    (of_indices.ok, of_weights.ok, of_indices.mismatched)
}

#[test]
fn routing_pairs_may_swap_but_not_change() {
    let weights = [0.5, 0.5, 0.2, 0.0, 0.0, 0.0];
    assert_eq!(routed(&[4, 7, 1, 0, 0, 0], &weights), (true, true, 0));
    assert_eq!(routed(&[7, 4, 1, 0, 0, 0], &weights), (true, true, 0));
    // The weights stay while their indices swap: no longer the same pairs.
    assert_eq!(routed(&[4, 1, 7, 0, 0, 0], &weights), (true, false, 0));
    assert_eq!(routed(&[4, 7, 2, 0, 0, 0], &weights), (false, false, 1));
    // A repeated index needs as many partners.
    assert_eq!(routed(&[4, 4, 1, 0, 0, 0], &weights), (false, false, 1));
    // An index of another row is not one of this row.
    assert_eq!(routed(&[4, 7, 0, 1, 0, 0], &weights), (false, false, 2));
}

/// A value that is rounded twice may be a step off, which of the smallest values is as large as they are.
#[test]
fn the_smallest_values_of_f16_are_equal_within_a_step() {
    let tensor = |bits: u16| {
        let bytes = [bits; 32].iter().flat_map(|b| b.to_le_bytes()).collect();
        Tensor::new(DType::F16, [1, 32], bytes).expect("it is one")
    };
    let same = |found: u16| verdict(&tensor(found), &tensor(2)).ok;
    assert!(same(1) && same(2) && same(3));
    assert!(!same(5));
}
