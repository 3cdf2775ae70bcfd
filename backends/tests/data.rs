//! Files, generated inputs and input checks, as a caller sees them.

use indexmap::IndexMap;
use miette::Diagnostic;
use std::path::Path;
use tilewright_backends::data::{
    self, DataError, Scalar, Tensor, Tensors, check_inputs, files, generate,
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
        spread: None,
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
        spread: None,
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
