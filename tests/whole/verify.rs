//! Kernels are compared with the interpreter before they leave.

use crate::common;
use indexmap::IndexMap;
use miette::Diagnostic;
use tilewright::form::Form;
use tilewright::layer::Layer;
use tilewright::run::compile_form;
use tilewright::verify::{Verified, is_quick, smaller, verify};
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

/// No example ends unchecked, whatever its tiles divide.
#[test]
fn every_example_has_sizes_at_which_it_is_checked() {
    let options = common::options();
    for name in common::examples() {
        let layer = Layer::load(&common::example(&name)).expect("it is a layer");
        let graph = layer.graph(&IndexMap::new()).expect("it has sizes");
        if is_quick(&graph) {
            continue;
        }
        let small = smaller(&layer, &graph, &options).expect(&name);
        assert!(is_quick(&small.graph) && !small.params.is_empty(), "{name}");
        assert_eq!(small.graph.ranks(), graph.ranks(), "{name}");
        let written = compile_form(&small.graph, Form::Written, &options);
        assert!(written.is_ok(), "{name} at {:?}", small.params);
    }
}

/// What a tile has to divide is not halved beyond it; another factor is taken where two will not do.
#[test]
fn sizes_stay_multiples_of_tiles() {
    let text = "\
graph large {
  param E = 8
  param R = 448
  param N = 4096
  param K = 4096
  input counts: i32[E, 1] <= R
  input a: bf16[E * R, K] ragged counts
  input b: bf16[E * N, K]
  kernel k {
    launch parallel
    tile R_TILE = 64 over R
    tile N_TILE = 64 over N per block
    tile K_TILE = 512 over K
    loop range
    y = grouped_matmul_nt(a, b)
  }
  output y
}
";
    let layer = Layer::parse("layer.tw", text.as_bytes()).expect("it is a layer");
    let graph = layer.graph(&IndexMap::new()).expect("its sizes are right");
    let small = smaller(&layer, &graph, &common::options()).expect("there are smaller sizes");
    let params = small.params;
    assert!(params.get("R").is_none_or(|r| r % 64 == 0), "{params:?}");
}
