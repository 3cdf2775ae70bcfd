//! Files, generated inputs, input checks and comparisons, as a caller sees them.

use indexmap::IndexMap;
use miette::Diagnostic;
use std::path::Path;
use tilewright_backends::data::{
    self, DataError, Scalar, Tensor, Tensors, Tolerance, check_inputs, compare, compare_routing,
    files, generate,
};
use tilewright_ir::DType;
use tilewright_ir::graph::{Builder, Graph, InputSpec, Op, Prim};

fn floats(dtype: DType, values: &[f32]) -> Tensor {
    Tensor::from_f32(dtype, &[values.len()], values).unwrap()
}

fn ints(dtype: DType, shape: &[usize], values: &[i64]) -> Tensor {
    Tensor::from_i64(dtype, shape, values).unwrap()
}

fn code(error: &DataError) -> String {
    error.code().map(|c| c.to_string()).unwrap_or_default()
}

/// The message and the remedy.
fn text(error: &DataError) -> String {
    let help = error
        .help()
        .unwrap_or_else(|| panic!("{error} has no remedy"));
    format!("{error}; {help}")
}

mod tensors {
    use super::*;

    #[test]
    fn elements_are_read_and_set_in_every_type() {
        for dtype in DType::ALL {
            let mut t = Tensor::zeros(dtype, &[2, 3]);
            assert_eq!(t.bytes.len(), 6 * dtype.bytes());
            t.set(4, Scalar::Int(7)).unwrap();
            assert_eq!(t.get(4).unwrap().as_f64(), 7.0, "{dtype}");
            assert_eq!(t.to_i64(), [0, 0, 0, 0, 7, 0], "{dtype}");
            assert_eq!(t.to_f32()[4], 7.0);
            assert!(t.get(6).is_err() && t.set(6, Scalar::Int(1)).is_err());
        }
    }

    #[test]
    fn values_are_rounded_and_saturated_to_the_type() {
        assert_eq!(
            floats(DType::Bf16, &[1.0 + 1.0 / 256.0, f32::MIN]).to_f32(),
            [1.0, f32::NEG_INFINITY]
        );
        assert_eq!(
            floats(DType::I8, &[2.5, 300.0, f32::NAN]).to_i64(),
            [2, 127, 0]
        );
        assert_eq!(
            ints(DType::U32, &[2], &[-1, 1 << 40]).to_i64(),
            [0, (1 << 32) - 1]
        );
        assert_eq!(ints(DType::I64, &[1], &[i64::MIN]).to_i64(), [i64::MIN]);
    }

    #[test]
    fn a_vector_is_one_row() {
        let matrix = |shape: &[usize]| Tensor::zeros(DType::I8, shape).matrix();
        assert_eq!(matrix(&[]), (1, 1));
        assert_eq!(matrix(&[5]), (1, 5));
        assert_eq!(matrix(&[2, 5]), (2, 5));
        assert_eq!(matrix(&[2, 3, 5]), (6, 5));
    }

    #[test]
    fn bytes_must_fit_the_shape() {
        let error = Tensor::new(DType::F32, [2, 2], vec![0; 15]).unwrap_err();
        assert_eq!(code(&error), "tilewright::data::bytes");
        assert_eq!(
            error.to_string(),
            "15 bytes cannot be a tensor of type f32[2, 2]"
        );
        assert!(Tensor::new(DType::I64, [usize::MAX, 8], vec![]).is_err());
    }
}

mod safetensors_files {
    use super::*;

    fn example() -> Tensors {
        let mut tensors = Tensors::new();
        tensors.insert("out.y".into(), floats(DType::F16, &[1.5, -2.0]));
        tensors.insert("in.x".into(), floats(DType::Bf16, &[1.0, 2.0, 3.0]));
        tensors.insert("x".into(), floats(DType::F32, &[9.0]));
        tensors.insert("plain".into(), ints(DType::I64, &[], &[-4]));
        for dtype in [DType::I8, DType::I32, DType::U32] {
            tensors.insert(dtype.to_string(), ints(dtype, &[2, 1], &[1, 2]));
        }
        tensors
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("what_is_saved.safetensors");
        data::save(&path, &example()).unwrap();
        let loaded = data::load(&path).unwrap();
        assert_eq!(loaded, example());
        assert!(loaded.keys().is_sorted(), "sorted by name");
    }

    #[test]
    fn the_bytes_do_not_depend_on_the_order() {
        let mut reversed = example();
        reversed.reverse();
        assert_eq!(
            files::to_bytes(&example()).unwrap(),
            files::to_bytes(&reversed).unwrap()
        );
    }

    #[test]
    fn prefixes_tell_inputs_from_expected_outputs() {
        let inputs = data::inputs_of(&example());
        assert_eq!(
            inputs["x"].to_f32(),
            [1.0, 2.0, 3.0],
            "the prefixed name wins"
        );
        assert!(inputs.contains_key("plain") && !inputs.contains_key("out.y"));
        let expected = data::expected_of(&example());
        assert_eq!(expected.keys().collect::<Vec<_>>(), ["y"]);
    }

    #[test]
    fn every_truncation_is_an_error() {
        let bytes = files::to_bytes(&example()).unwrap();
        for length in 0..bytes.len() {
            let error = files::parse(&bytes[..length], "cut.safetensors").unwrap_err();
            assert_eq!(code(&error), "tilewright::data::format", "{length} bytes");
            assert!(text(&error).contains("cut.safetensors"));
        }
    }

    #[test]
    fn hostile_headers_are_errors() {
        for header in [
            // More elements than a usize counts.
            r#"{"x":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}"#,
            r#"{"x":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#,
            r#"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,18446744073709551615]}}"#,
            r#"{"x":{"dtype":"F32","shape":[-1],"data_offsets":[0,8]}}"#,
            r#"{"x":{"dtype":"Q7","shape":[2],"data_offsets":[0,8]}}"#,
            "[1, 2]",
            "{",
        ] {
            let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
            bytes.extend(header.as_bytes());
            bytes.extend([0; 8]);
            let error = files::parse(&bytes, "hostile.safetensors").unwrap_err();
            assert_eq!(code(&error), "tilewright::data::format", "{header}");
        }
        let mut endless = u64::MAX.to_le_bytes().to_vec();
        endless.extend(b"{}");
        assert!(files::parse(&endless, "endless").is_err());
    }

    #[test]
    fn an_unsupported_type_is_named_with_its_tensor() {
        let header = r#"{"w":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}"#;
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend([0; 8]);
        let error = files::parse(&bytes, "wide.safetensors").unwrap_err();
        assert_eq!(code(&error), "tilewright::data::dtype");
        assert_eq!(
            text(&error),
            "tensor `w` of wide.safetensors has element type F64, which is not supported; \
             convert it to one of F32, BF16, F16, I8, I32, U32 or I64"
        );
    }

    #[test]
    fn what_is_no_file_is_an_error() {
        for path in ["no/such/file.safetensors", env!("CARGO_TARGET_TMPDIR")] {
            assert_eq!(
                code(&data::load(path).unwrap_err()),
                "tilewright::data::read"
            );
        }
        let error = data::save("no/such/folder/x.safetensors", &example()).unwrap_err();
        assert_eq!(code(&error), "tilewright::data::write");
    }
}

/// A graph whose inputs are one of each kind; `extra` adds one more float input.
fn graph(extra: bool) -> Graph {
    let bound = |n| InputSpec {
        low: None,
        bound: Some(n),
        normal: None,
    };
    let mut b = Builder::new("inputs");
    b.param("T", 64).unwrap();
    if extra {
        b.input("a_first", DType::F32, ["T"]).unwrap();
    }
    let x = b.input("x", DType::Bf16, ["T", "T"]).unwrap();
    let spec = InputSpec {
        low: None,
        bound: None,
        normal: Some((1.0, 0.1)),
    };
    b.input_with("w", DType::F32, ["T", "T"], spec).unwrap();
    b.input_with("ids", DType::I64, ["T"], bound(5)).unwrap();
    b.input("q", DType::I8, ["T", "T"]).unwrap();
    let count = b
        .input_with::<&str>("num_tokens", DType::I32, [], bound(65))
        .unwrap();
    b.kernel("mask", None).unwrap();
    let y = b.op(Op::Prim(Prim::MaskRows), &[x, count]).unwrap();
    b.output(y[0]);
    b.finish().unwrap()
}

fn given(pairs: &[(&str, i64)]) -> IndexMap<String, i64> {
    pairs.iter().map(|(n, v)| ((*n).to_owned(), *v)).collect()
}

mod generated_inputs {
    use super::*;

    #[test]
    fn follow_the_declared_ranges() {
        let tensors = generate(&graph(false), 7, &given(&[])).unwrap();
        let stats = |name: &str| {
            let values = tensors[name].to_f64();
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
            (mean, variance.sqrt())
        };
        let (mean, deviation) = stats("x");
        assert!(mean.abs() < 0.05 && (deviation - 1.0).abs() < 0.05);
        let (mean, deviation) = stats("w");
        assert!((mean - 1.0).abs() < 0.005 && (deviation - 0.1).abs() < 0.005);
        let mut ids = tensors["ids"].to_i64();
        ids.sort();
        ids.dedup();
        assert_eq!(ids, [0, 1, 2, 3, 4]);
        let q = tensors["q"].to_i64();
        assert_eq!((q.iter().min(), q.iter().max()), (Some(&-127), Some(&127)));
        assert_eq!(tensors["num_tokens"].to_i64(), [64], "the largest allowed");
        check_inputs(&graph(false), &tensors).unwrap();
    }

    #[test]
    fn are_the_same_everywhere() {
        let tensors = generate(&graph(false), 1, &given(&[])).unwrap();
        let bits: Vec<u32> = tensors["w"].to_f32()[..3]
            .iter()
            .map(|x| x.to_bits())
            .collect();
        assert_eq!(bits, [1065495158, 1064502432, 1064578750]);
        assert_eq!(tensors["ids"].to_i64()[..6], [4, 1, 1, 3, 3, 2]);
    }

    #[test]
    fn depend_on_the_seed_and_their_own_name_only() {
        let one = generate(&graph(false), 1, &given(&[])).unwrap();
        let more = generate(&graph(true), 1, &given(&[])).unwrap();
        let two = generate(&graph(false), 2, &given(&[])).unwrap();
        for name in ["x", "w", "ids", "q"] {
            assert_eq!(one[name], more[name], "{name}");
            assert_ne!(one[name], two[name], "{name}");
        }
    }

    #[test]
    fn scalars_come_from_the_caller_within_their_bound() {
        let tensors = generate(&graph(false), 0, &given(&[("num_tokens", 5)])).unwrap();
        assert_eq!(tensors["num_tokens"].to_i64(), [5]);
        for value in [-1, 65] {
            let error = generate(&graph(false), 0, &given(&[("num_tokens", value)])).unwrap_err();
            assert_eq!(
                text(&error),
                format!(
                    "scalar `num_tokens` = {value} is out of range: it must be at least 0 and at most 64; \
                     give `num_tokens` a value from 0 to 64"
                )
            );
        }
        let error = generate(&graph(false), 0, &given(&[("tokens", 5)])).unwrap_err();
        assert!(text(&error).contains("`tokens`") && text(&error).contains("num_tokens"));
    }

    #[test]
    fn an_integer_without_a_bound_is_refused() {
        let mut b = Builder::new("unbounded");
        let ids = b.input("ids", DType::I32, [4]).unwrap();
        b.kernel("copy", None).unwrap();
        let y = b.cast(ids, DType::F32).unwrap();
        b.output(y);
        let error = generate(&b.finish().unwrap(), 0, &given(&[])).unwrap_err();
        assert_eq!(code(&error), "tilewright::data::no_bound");
        assert!(text(&error).contains("`ids` is i32[4]"));
    }
}

mod checked_inputs {
    use super::*;

    fn with(name: &str, tensor: Option<Tensor>) -> Result<Tensors, DataError> {
        let mut tensors = generate(&graph(false), 3, &given(&[])).unwrap();
        match tensor {
            Some(tensor) => tensors.insert(name.to_owned(), tensor),
            None => tensors.shift_remove(name),
        };
        check_inputs(&graph(false), &tensors)
    }

    #[test]
    fn come_back_in_the_graphs_order_without_others() {
        let checked = with("unread", Some(floats(DType::F32, &[1.0]))).unwrap();
        let names: Vec<_> = checked.keys().collect();
        assert_eq!(names, ["x", "w", "ids", "q", "num_tokens"]);
    }

    #[test]
    fn a_missing_one_is_named() {
        let error = with("w", None).unwrap_err();
        assert_eq!(code(&error), "tilewright::data::missing");
        assert_eq!(
            text(&error),
            "input `w` is missing; the graph needs it as f32[64, 64]; \
             add a tensor `w` (or `in.w`) of that type; there are: x, ids, q, num_tokens"
        );
    }

    #[test]
    fn another_shape_or_type_is_an_error() {
        for tensor in [
            Tensor::zeros(DType::Bf16, &[64, 63]),
            Tensor::zeros(DType::F32, &[64, 64]),
            Tensor::zeros(DType::Bf16, &[4096]),
        ] {
            let found = tensor.ty().to_string();
            let error = with("x", Some(tensor)).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("input `x` is {found}; the graph needs bf16[64, 64]")
            );
        }
        let short = Tensor {
            bytes: vec![0; 3],
            ..Tensor::zeros(DType::Bf16, &[64, 64])
        };
        let error = with("x", Some(short)).unwrap_err();
        assert!(error.to_string().contains("bf16[64, 64] with 3 bytes"));
    }

    #[test]
    fn an_integer_out_of_bound_is_named_with_its_place() {
        for value in [5, -1] {
            let mut values = [0; 64];
            values[9] = value;
            let error = with("ids", Some(ints(DType::I64, &[64], &values))).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "input `ids` holds {value} at element 9; it must be at least 0 and below 5"
                )
            );
        }
    }

    #[test]
    fn a_scalar_of_another_integer_type_is_converted() {
        let checked = with("num_tokens", Some(ints(DType::I64, &[], &[8]))).unwrap();
        assert_eq!(checked["num_tokens"], ints(DType::I32, &[], &[8]));
        // What does not fit keeps its own type, and is refused.
        let error = with("num_tokens", Some(ints(DType::I64, &[], &[1 << 33]))).unwrap_err();
        assert_eq!(code(&error), "tilewright::data::type_mismatch");
        assert!(with("ids", Some(ints(DType::I32, &[64], &[0; 64]))).is_err());
    }
}

mod comparisons {
    use super::*;

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
        let expected =
            Tensor::from_f32(DType::F32, &shape, &[0.5, 0.5, 0.2, 0.0, 0.0, 0.0]).unwrap();
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
}
