//! Kernels are compared with the interpreter before they leave.

mod common;

use indexmap::IndexMap;
use miette::Diagnostic;
use tilewright::form::Form;
use tilewright::layer::Layer;
use tilewright::run::compile_form;
use tilewright::verify::{Verified, verify};
use tilewright_passes::egraph::rules::user::UserRules;

const SMALL: &str = "\
graph small {
  param T = 8
  param D = 64
  input x: f32[T, D]
  kernel k {
    y = abs(x) * 2.0
  }
  output y
}
";

fn verified(text: &str, rules: Option<&str>) -> Result<Verified, String> {
    let layer = Layer::parse("layer.tw", text.as_bytes()).expect("it is a layer");
    let graph = layer.graph(&IndexMap::new()).expect("its sizes are right");
    let mut options = common::options();
    if let Some(rules) = rules {
        options.search.rules = UserRules::parse(rules).expect("they are rules");
    }
    let compiled = compile_form(&graph, Form::Optimized, &options).expect("it compiles");
    let found = verify(&layer, &graph, &compiled, &options, &IndexMap::new());
    found.map_err(|e| e.code().map_or_else(String::new, |c| c.to_string()))
}

#[test]
fn kernels_that_are_right_pass() {
    assert_eq!(verified(SMALL, None), Ok(Verified::Whole));
}

/// A rule that is false, and that the search takes since it saves an instruction.
#[test]
fn kernels_that_are_wrong_do_not_leave() {
    let wrong = "rule wrong bitwise \"drops the magnitude\" {\n  (abs ?x) => (s.mul ?x 1.0)\n}\n";
    let found = verified(SMALL, Some(wrong));
    assert_eq!(found, Err("tilewright::verify::differs".into()));
}

#[test]
fn large_layers_are_checked_at_smaller_sizes() {
    let large = "\
graph large {
  param M = 4096
  param N = 4096
  param K = 4096
  input a: bf16[M, K]
  input b: bf16[N, K]
  kernel k {
    y = matmul_nt(a, b)
  }
  output y
}
";
    let Ok(Verified::Smaller { params, .. }) = verified(large, None) else {
        panic!("it is checked at smaller sizes");
    };
    assert!(params.values().all(|v| (1..4096).contains(v)), "{params:?}");
}
