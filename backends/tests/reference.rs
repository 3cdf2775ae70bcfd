//! The interpreter, one operation at a time, on cases small enough to compute by hand.

use tilewright_backends::data::{Tensor, Tensors};
use tilewright_backends::reference::{self, ReferenceError, eval_composite, eval_prim};
use tilewright_ir::graph::{Binary, Builder, Graph, INT8_AMAX_EPS, Op, Prim, Reduce, Unary};
use tilewright_ir::op::{AttrValue, Call};
use tilewright_ir::{DType, Round};

fn f32s(shape: &[usize], values: &[f32]) -> Tensor {
    Tensor::from_f32(DType::F32, shape, values).unwrap()
}

fn ints(dtype: DType, shape: &[usize], values: &[i64]) -> Tensor {
    Tensor::from_i64(dtype, shape, values).unwrap()
}

fn prim(prim: Prim, operands: &[Tensor]) -> Tensor {
    eval_prim(&prim, operands).unwrap()
}

fn call(name: &str, attributes: &[(&str, AttrValue)]) -> Call {
    match Op::composite(name, attributes) {
        Ok(Op::Composite(composite)) => composite,
        other => panic!("{other:?}"),
    }
}

fn composite(name: &str, attributes: &[(&str, AttrValue)], operands: &[Tensor]) -> Vec<Tensor> {
    eval_composite(&call(name, attributes), operands).expect("the operands fit")
}

mod elementwise {
    use super::*;

    #[test]
    fn each_function_of_one_operand() {
        let x = f32s(&[2, 2], &[0.25, 1.0, 4.0, 16.0]);
        let apply = |op| prim(Prim::Unary(op), std::slice::from_ref(&x)).to_f32();
        assert_eq!(apply(Unary::Sqrt), [0.5, 1.0, 2.0, 4.0]);
        assert_eq!(apply(Unary::Neg), [-0.25, -1.0, -4.0, -16.0]);
        assert_eq!(apply(Unary::Exp)[1], std::f32::consts::E);
        assert_eq!(apply(Unary::Log)[1..3], [0.0, 2.0 * std::f32::consts::LN_2]);
        let abs = prim(
            Prim::Unary(Unary::Abs),
            &[ints(DType::I8, &[3], &[-128, -1, 5])],
        );
        assert_eq!(abs.to_i64(), [127, 1, 5], "integers saturate");
    }

    #[test]
    fn each_function_of_two_operands() {
        let (a, b) = (f32s(&[2], &[6.0, -1.0]), f32s(&[2], &[4.0, 2.0]));
        let apply = |op| prim(Prim::Binary(op), &[a.clone(), b.clone()]).to_f32();
        assert_eq!(apply(Binary::Add), [10.0, 1.0]);
        assert_eq!(apply(Binary::Sub), [2.0, -3.0]);
        assert_eq!(apply(Binary::Mul), [24.0, -2.0]);
        assert_eq!(apply(Binary::Div), [1.5, -0.5]);
        assert_eq!(apply(Binary::Max), [6.0, 2.0]);
        assert_eq!(apply(Binary::Min), [4.0, -1.0]);
    }

    #[test]
    fn constants_stand_on_their_side() {
        let x = f32s(&[], &[4.0]);
        let right = Prim::Scalar {
            op: Binary::Sub,
            value: 1.0,
        };
        let left = Prim::ScalarLeft {
            op: Binary::Sub,
            value: 1.0,
        };
        assert_eq!(prim(right, std::slice::from_ref(&x)).to_f32(), [3.0]);
        assert_eq!(prim(left, std::slice::from_ref(&x)).to_f32(), [-3.0]);
        let divide = Prim::ScalarLeft {
            op: Binary::Div,
            value: 127.0,
        };
        assert_eq!(prim(divide, &[x]).to_f32(), [31.75]);
    }

    #[test]
    fn broadcasts_take_one_element_a_row_or_a_column() {
        let x = f32s(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let rows = prim(
            Prim::RowBinary(Binary::Mul),
            &[x.clone(), f32s(&[2, 1], &[10.0, 100.0])],
        );
        assert_eq!(rows.to_f32(), [10.0, 20.0, 30.0, 400.0, 500.0, 600.0]);
        let columns = prim(
            Prim::ColBinary(Binary::Sub),
            &[x, f32s(&[3], &[1.0, 2.0, 3.0])],
        );
        assert_eq!(columns.to_f32(), [0.0, 0.0, 0.0, 3.0, 3.0, 3.0]);
    }

    #[test]
    fn narrow_floats_round_each_result() {
        // 1 + 2^-8 is a tie in bf16 and goes to even.
        let x = Tensor::from_f32(DType::Bf16, &[1], &[1.0]).unwrap();
        let y = Tensor::from_f32(DType::Bf16, &[1], &[1.0 / 256.0]).unwrap();
        let sum = prim(Prim::Binary(Binary::Add), &[x, y]);
        assert_eq!((sum.dtype, sum.to_f32()[0]), (DType::Bf16, 1.0));
    }

    #[test]
    fn casts_round_in_their_mode() {
        let x = f32s(&[2], &[2.5, -2.5]);
        let cast = |round| {
            let to = DType::I32;
            prim(Prim::Cast { to, round }, std::slice::from_ref(&x)).to_i64()
        };
        assert_eq!(cast(Round::Rint), [2, -2]);
        assert_eq!(cast(Round::Floor), [2, -3]);
    }

    #[test]
    fn operands_that_do_not_fit_are_errors() {
        let (a, b) = (f32s(&[2], &[1.0; 2]), f32s(&[3], &[1.0; 3]));
        for (op, operands) in [
            (Prim::Binary(Binary::Add), vec![a.clone(), b.clone()]),
            (Prim::Binary(Binary::Add), vec![a.clone()]),
            (Prim::MatmulNt, vec![a.clone(), b]),
            (Prim::Unary(Unary::Exp), vec![]),
        ] {
            let error = eval_prim(&op, &operands).unwrap_err();
            assert!(matches!(error, ReferenceError::Graph(_)), "{error}");
        }
        let broken = Tensor {
            bytes: vec![1],
            ..a
        };
        let error = eval_prim(&Prim::Unary(Unary::Exp), &[broken]).unwrap_err();
        assert!(matches!(error, ReferenceError::Data(_)), "{error}");
    }

    #[test]
    fn a_result_beyond_memory_is_an_error() {
        let pad = Prim::PadCols {
            cols: usize::MAX / 2,
            value: 0.0,
        };
        let error = eval_prim(&pad, &[f32s(&[2, 1], &[0.0; 2])]).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("more than the 17179869184 bytes"),
            "{error}"
        );
    }
}

mod rows_and_matrices {
    use super::*;

    #[test]
    fn reductions_give_one_element_a_row() {
        let x = f32s(&[2, 3], &[1.0, -5.0, 3.0, 0.5, 0.25, f32::NAN]);
        let reduce = |op| prim(Prim::RowReduce(op), std::slice::from_ref(&x));
        assert_eq!(reduce(Reduce::Sum).shape, [2, 1]);
        assert_eq!(reduce(Reduce::Sum).to_f32()[0], -1.0);
        assert_eq!(reduce(Reduce::Max).to_f32()[0], 3.0);
        assert_eq!(reduce(Reduce::Min).to_f32()[0], -5.0);
        for op in Reduce::ALL {
            assert!(reduce(op).to_f32()[1].is_nan(), "{op:?} hides a NaN");
        }
        let bytes = ints(DType::I8, &[1, 3], &[100, 100, -3]);
        let sum = prim(Prim::RowReduce(Reduce::Sum), &[bytes]);
        assert_eq!(sum.to_i64(), [127], "integers saturate");
    }

    #[test]
    fn sums_are_rounded_once() {
        // Added one after the other in f32, each 1 would be lost.
        let x = f32s(&[1, 4], &[16_777_216.0, 1.0, 1.0, 0.0]);
        let sum = prim(Prim::RowReduce(Reduce::Sum), std::slice::from_ref(&x));
        assert_eq!(sum.to_f32(), [16_777_218.0]);
        let product = prim(Prim::MatmulNt, &[x, f32s(&[1, 4], &[1.0; 4])]);
        assert_eq!(product.to_f32(), [16_777_218.0]);
    }

    #[test]
    fn what_runs_along_a_row_is_rounded_once_an_element() {
        let x = f32s(&[2, 3], &[16_777_216.0, 1.0, 1.0, -0.5, 4.0, 3.0]);
        let sums = prim(Prim::Cumsum, std::slice::from_ref(&x));
        let each = [16_777_216.0, 16_777_216.0, 16_777_218.0, -0.5, 3.5, 6.5];
        assert_eq!(sums.to_f32(), each);
        let product = prim(Prim::RowProd, &[x]);
        assert_eq!(
            (product.shape.clone(), product.to_f32()),
            (vec![2, 1], vec![16_777_216.0, -6.0])
        );
        let large = ints(DType::I32, &[1, 3], &[i32::MAX.into(), 1, -1]);
        let sums = prim(Prim::Cumsum, &[large]).to_i64();
        let most = i64::from(i32::MAX);
        assert_eq!(sums, [most; 3], "integers saturate, each sum by itself");
    }

    #[test]
    fn products_multiply_by_the_transposed_operand() {
        let a = f32s(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let b = f32s(&[2, 3], &[1.0, 0.0, 1.0, 0.0, 2.0, 0.0]);
        let c = prim(Prim::MatmulNt, &[a, b]);
        assert_eq!(
            (c.shape.as_slice(), c.to_f32()),
            (&[2, 2][..], vec![4.0, 4.0, 10.0, 10.0])
        );
    }

    #[test]
    fn long_products_use_every_element() {
        for k in [1, 7, 8, 9, 20] {
            let a: Vec<f32> = (1..=k).map(|x| x as f32).collect();
            let c = prim(
                Prim::MatmulNt,
                &[f32s(&[1, k], &a), f32s(&[1, k], &vec![1.0; k])],
            );
            assert_eq!(c.to_f32(), [(k * (k + 1) / 2) as f32], "K = {k}");
        }
    }

    #[test]
    fn int8_products_are_exact_in_i32() {
        let a = ints(DType::I8, &[1, 2000], &[-127; 2000]);
        let c = prim(Prim::MatmulNt, &[a.clone(), a]);
        assert_eq!((c.dtype, c.to_i64()), (DType::I32, vec![127 * 127 * 2000]));
    }
}

mod indices {
    use super::*;

    #[test]
    fn padding_adds_columns_on_the_right() {
        let x = f32s(&[2, 1], &[1.0, 2.0]);
        let padded = prim(
            Prim::PadCols {
                cols: 3,
                value: f32::MIN,
            },
            &[x],
        );
        let m = f32::MIN;
        assert_eq!(padded.to_f32(), [1.0, m, m, 2.0, m, m]);
        let x = ints(DType::I8, &[1, 1], &[5]);
        let padded = prim(
            Prim::PadCols {
                cols: 2,
                value: -3.0,
            },
            &[x],
        );
        assert_eq!(padded.to_i64(), [5, -3]);
    }

    #[test]
    fn top_k_is_stable_and_puts_nan_first() {
        let top = |values: &[f32]| {
            let x = f32s(&[1, values.len()], values);
            prim(Prim::TopK { k: 4 }, &[x]).to_i64()
        };
        assert_eq!(top(&[1.0, 3.0, 2.0, 3.0, 1.0]), [1, 3, 2, 0]);
        assert_eq!(top(&[-0.0, 0.0, -0.0, 0.0, -1.0]), [0, 1, 2, 3]);
        assert_eq!(
            top(&[f32::NAN, f32::NEG_INFINITY, 1.0, -f32::NAN, f32::INFINITY]),
            [0, 3, 4, 2]
        );
    }

    #[test]
    fn columns_are_picked_row_by_row() {
        let x = f32s(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let picked = prim(
            Prim::GatherCols,
            &[x.clone(), ints(DType::I32, &[2, 2], &[2, 0, 1, 1])],
        );
        assert_eq!(picked.to_f32(), [3.0, 1.0, 5.0, 5.0]);
        for wrong in [3, -1] {
            let indices = ints(DType::I32, &[2, 2], &[0, 0, 0, wrong]);
            let error = eval_prim(&Prim::GatherCols, &[x.clone(), indices]).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "`gather_cols`: index {wrong} at row 1, column 1 is out of range; there are 3 columns"
                )
            );
        }
    }

    #[test]
    fn rows_are_picked_by_id() {
        let table = ints(DType::I32, &[3, 2], &[1, 2, 3, 4, 5, 6]);
        let ids = ints(DType::I64, &[4], &[2, 0, 2, 1]);
        let rows = prim(Prim::GatherRows, &[table.clone(), ids]);
        assert_eq!(rows.shape, [4, 2]);
        assert_eq!(rows.to_i64(), [5, 6, 1, 2, 5, 6, 3, 4]);
        for wrong in [3, -1, i64::MIN] {
            let ids = ints(DType::I64, &[2], &[0, wrong]);
            let error = eval_prim(&Prim::GatherRows, &[table.clone(), ids]).unwrap_err();
            assert!(
                error
                    .to_string()
                    .contains(&format!("index {wrong} at row 1")),
                "{error}"
            );
        }
    }

    #[test]
    fn rows_from_the_count_on_become_zero() {
        let x = f32s(&[3, 2], &[1.0, 2.0, f32::NAN, 4.0, f32::NAN, 6.0]);
        let mask = |count| {
            eval_prim(
                &Prim::MaskRows,
                &[x.clone(), ints(DType::I32, &[], &[count])],
            )
        };
        assert_eq!(mask(1).unwrap().to_f32(), [1.0, 2.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(mask(0).unwrap().to_f32(), [0.0; 6]);
        assert_eq!(mask(3).unwrap().bytes, x.bytes);
        for wrong in [4, -1] {
            let error = mask(wrong).unwrap_err();
            assert!(
                matches!(error, ReferenceError::Count { limit: 3, .. }),
                "{error}"
            );
        }
    }
}

mod composites {
    use super::*;

    #[test]
    fn rms_norm_divides_by_the_root_mean_square() {
        // Mean square 12.5 + 12.5 is 25: the factor is a fifth.
        let x = Tensor::from_f32(DType::Bf16, &[1, 2], &[3.0, 4.0]).unwrap();
        let w = Tensor::from_f32(DType::Bf16, &[2], &[2.0, -1.0]).unwrap();
        let y = &composite("rms_norm", &[("eps", 12.5.into())], &[x, w])[0];
        let expected = Tensor::from_f32(DType::Bf16, &[1, 2], &[1.2, -0.8]).unwrap();
        assert_eq!(y, &expected);
    }

    #[test]
    fn quantisation_is_symmetric_a_row() {
        let x = f32s(
            &[4, 3],
            &[
                127.0,
                -0.5,
                1.5, // s = 1: ties go to even
                -254.0,
                254.0,
                3.0, // s = 1/2
                0.0,
                0.0,
                1e-5, // amax is the smallest allowed
                f32::NAN,
                1.0,
                2.0,
            ],
        );
        let results = composite("quantize_rows", &[("eps", INT8_AMAX_EPS.into())], &[x]);
        let (values, scales) = (&results[0], results[1].to_f32());
        assert_eq!(values.dtype, DType::I8);
        assert_eq!(
            values.to_i64(),
            [127, 0, 2, -127, 127, 2, 0, 0, 13, 0, 0, 0]
        );
        assert_eq!(results[1].shape, [4, 1]);
        assert_eq!(scales[..2], [1.0, 2.0]);
        assert_eq!(scales[2], 1.0 / (127.0 / INT8_AMAX_EPS));
        assert!(scales[3].is_nan());
    }

    #[test]
    fn softplus_keeps_its_tails() {
        let x = f32s(&[5], &[0.0, -40.0, 100.0, f32::NEG_INFINITY, f32::NAN]);
        let y = composite("sqrt_softplus", &[], &[x])[0].to_f32();
        assert_eq!(y[0], std::f64::consts::LN_2.sqrt() as f32);
        // exp(-40) vanishes beside 1; its root is exp(-20).
        assert_eq!(y[1], (-20f64).exp() as f32);
        assert_eq!(y[2..4], [10.0, 0.0]);
        assert!(y[4].is_nan());
    }

    #[test]
    fn routing_weights_sum_to_the_scale() {
        let scores = f32s(&[2, 3], &[1.0, 3.0, 9.0, 2.0, 0.0, 6.0]);
        let indices = ints(DType::I32, &[2, 2], &[1, 0, 2, 0]);
        let scale = [("scale", 2.0.into())];
        let weights = &composite("route_weights", &scale, &[scores.clone(), indices])[0];
        assert_eq!(weights.to_f32(), [1.5, 0.5, 1.5, 0.5]);
        let wrong = ints(DType::I32, &[2, 2], &[0, 0, 0, 9]);
        let error = eval_composite(&call("route_weights", &scale), &[scores, wrong]).unwrap_err();
        assert!(error.to_string().contains("index 9 at row 1"), "{error}");
    }
}

mod graphs {
    use super::*;

    /// `y = x + x`, `picked = table[ids]`.
    fn graph() -> Graph {
        let mut b = Builder::new("small");
        let x = b.input("x", DType::F32, [2, 2]).unwrap();
        let ids = b.input("ids", DType::I64, [2]).unwrap();
        b.kernel("all", None).unwrap();
        let add = Op::Prim(Prim::Binary(Binary::Add));
        let y = b.op_named(&["y"], add, &[x, x]).unwrap()[0];
        let gather = Op::Prim(Prim::GatherRows);
        let picked = b.op_named(&["picked"], gather, &[y, ids]).unwrap()[0];
        b.output(picked);
        b.output(y);
        b.finish().unwrap()
    }

    fn inputs(id: i64) -> Tensors {
        let mut inputs = Tensors::new();
        inputs.insert("x".into(), f32s(&[2, 2], &[1.0, 2.0, 3.0, 4.0]));
        inputs.insert("ids".into(), ints(DType::I64, &[2], &[1, id]));
        inputs
    }

    #[test]
    fn outputs_come_in_the_graphs_order() {
        let outputs = reference::run(&graph(), &inputs(1)).unwrap();
        assert_eq!(outputs.keys().collect::<Vec<_>>(), ["picked", "y"]);
        assert_eq!(outputs["picked"].to_f32(), [6.0, 8.0, 6.0, 8.0]);
        assert_eq!(outputs["y"].to_f32(), [2.0, 4.0, 6.0, 8.0]);
    }

    #[test]
    fn every_value_can_be_seen() {
        let all = reference::run_all(&graph(), &inputs(0)).unwrap();
        assert_eq!(all.keys().collect::<Vec<_>>(), ["x", "ids", "y", "picked"]);
    }

    #[test]
    fn errors_name_the_value_being_computed() {
        let error = reference::run(&graph(), &inputs(2)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`picked`: index 2 at row 1, column 0 is out of range; there are 2 rows"
        );
    }

    #[test]
    fn missing_inputs_and_broken_graphs_are_errors() {
        let error = reference::run(&graph(), &Tensors::new()).unwrap_err();
        assert!(matches!(error, ReferenceError::Data(_)), "{error}");
        let mut broken = graph();
        broken.outputs[0].result = 7;
        let error = reference::run(&broken, &inputs(0)).unwrap_err();
        assert!(matches!(error, ReferenceError::Graph(_)), "{error}");
    }
}

mod experts {
    use super::*;

    #[test]
    fn an_int8_product_is_scaled_by_row_and_column() {
        let acc = ints(DType::I32, &[2, 2], &[10, -20, 30, 40]);
        let (row, col) = (f32s(&[2, 1], &[0.5, 2.0]), f32s(&[2], &[1.0, 0.25]));
        let x = composite("dequantize", &[], &[acc, row, col]);
        assert_eq!(x[0].to_f32(), [5.0, -2.5, 60.0, 20.0]);
    }

    #[test]
    fn swiglu_clamps_the_gate_above_and_up_on_both_sides() {
        let gate = f32s(&[1, 4], &[0.0, 50.0, -50.0, 1.0]);
        let up = f32s(&[1, 4], &[3.0, 20.0, 1.0, -20.0]);
        let with = |limit: f32| {
            let limit = [("limit", limit.into())];
            composite("swiglu", &limit, &[gate.clone(), up.clone()])[0].to_f32()
        };
        let silu = |x: f32| x / (1.0 + (-x).exp());
        let close = |a: Vec<f32>, b: [f32; 4]| {
            for (a, b) in a.into_iter().zip(b) {
                assert!((a - b).abs() <= 1e-5 * b.abs(), "{a} {b}");
            }
        };
        close(
            with(10.0),
            [0.0, silu(10.0) * 10.0, silu(-50.0), silu(1.0) * -10.0],
        );
        close(
            with(0.0),
            [0.0, silu(50.0) * 20.0, silu(-50.0), silu(1.0) * -20.0],
        );
    }

    #[test]
    fn groups_of_rows_meet_their_own_weights_and_missing_rows_are_cleared() {
        let mut b = Builder::new("grouped");
        let counts = b.input("counts", DType::I32, [2usize, 1]).unwrap();
        let ragged = tilewright_ir::graph::Ragged {
            groups: b.ty(counts).matrix().0,
            counts: "counts".into(),
        };
        let dims = |r, c| [r, c].map(tilewright_ir::graph::Dim::new);
        let ty = tilewright_ir::graph::Type::new(DType::I8, dims(4, 2));
        let x = b
            .input_typed("x", ty.with_ragged(Some(ragged)), Default::default())
            .unwrap();
        let w = b.input("w", DType::I8, [6usize, 2]).unwrap();
        let s = b.input("s", DType::F32, [2usize, 3]).unwrap();
        b.kernel("product", None).unwrap();
        let acc = b.prim(Prim::GroupedMatmulNt, &[x, w]).unwrap();
        let acc = b.cast(acc, DType::F32).unwrap();
        let y = b.binary(Binary::Mul, acc, s).unwrap();
        b.output(y);
        let graph = b.finish().unwrap();
        let inputs = Tensors::from([
            ("counts".to_string(), ints(DType::I32, &[2, 1], &[1, 2])),
            (
                "x".to_string(),
                ints(DType::I8, &[4, 2], &[1, 2, 99, 99, 3, 4, 5, 6]),
            ),
            (
                "w".to_string(),
                ints(DType::I8, &[6, 2], &[1, 0, 0, 1, 1, 1, 2, 0, 0, 2, 2, 2]),
            ),
            (
                "s".to_string(),
                f32s(&[2, 3], &[1.0, 1.0, 1.0, 0.5, 0.5, 0.5]),
            ),
        ]);
        let out = reference::run(&graph, &inputs).unwrap();
        let (_, y) = out.first().unwrap();
        assert_eq!(
            y.to_f32(),
            [1.0, 2.0, 3.0, 0.0, 0.0, 0.0, 3.0, 4.0, 7.0, 5.0, 6.0, 11.0]
        );
        let mut wrong = inputs;
        wrong.insert("counts".into(), ints(DType::I32, &[2, 1], &[3, 0]));
        let error = reference::run(&graph, &wrong).unwrap_err().to_string();
        assert!(error.contains("group 0 of `x` has 3 rows"), "{error}");
    }
}

mod hyper {
    use super::*;

    #[test]
    fn sinkhorn_makes_rows_and_columns_sum_to_one() {
        let logits: Vec<f32> = (0..16).map(|i| ((i * 7) % 5) as f32 - 2.0).collect();
        let op = Prim::Sinkhorn {
            n: 4,
            iterations: 20,
            eps: 1e-6,
        };
        let m = prim(op, &[f32s(&[1, 16], &logits)]).to_f32();
        for i in 0..4 {
            let row: f32 = m[i * 4..i * 4 + 4].iter().sum();
            let column: f32 = (0..4).map(|r| m[r * 4 + i]).sum();
            assert!(
                (row - 1.0).abs() < 1e-3 && (column - 1.0).abs() < 1e-5,
                "{row} {column}"
            );
        }
        // One iteration only divides columns: those of the softmax of equal logits are equal already.
        let op = Prim::Sinkhorn {
            n: 2,
            iterations: 1,
            eps: 0.0,
        };
        assert_eq!(prim(op, &[f32s(&[1, 4], &[3.0; 4])]).to_f32(), [0.5; 4]);
    }

    #[test]
    fn streams_are_mixed_by_post_and_comb() {
        let bf16 = |shape: &[usize], v: &[f32]| Tensor::from_f32(DType::Bf16, shape, v).unwrap();
        let y = bf16(&[1, 2], &[1.0, 2.0]);
        let x = bf16(&[1, 4], &[10.0, 20.0, 30.0, 40.0]);
        let post = f32s(&[1, 2], &[1.0, 0.5]);
        let comb = f32s(&[1, 4], &[1.0, 0.0, 0.0, 2.0]);
        let out = composite("hc_post", &[], &[y, x, post, comb]);
        assert_eq!(out[0].to_f32(), [11.0, 22.0, 60.5, 81.0]);
    }

    #[test]
    fn slices_and_repeats() {
        let x = f32s(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let slice = prim(Prim::SliceCols { from: 1, to: 3 }, std::slice::from_ref(&x));
        assert_eq!(slice.to_f32(), [2.0, 3.0, 5.0, 6.0]);
        let both = prim(Prim::ConcatCols, &[slice, x]);
        assert_eq!(both.to_f32()[..5], [2.0, 3.0, 1.0, 2.0, 3.0]);
        let column = f32s(&[2, 1], &[7.0, 8.0]);
        let wide = prim(Prim::RepeatCols { cols: 2 }, &[column]);
        assert_eq!(wide.to_f32(), [7.0, 7.0, 8.0, 8.0]);
    }
}
