//! What a refusal says to do works: layers of awkward sizes, whose tiles do not divide or do not fit, are changed as the help says
//! and compiled again, until they compile.

use crate::common;
use miette::Diagnostic;
use rayon::prelude::*;
use std::collections::BTreeMap;
use tilewright::compile::Options;
use tilewright::form::Form;
use tilewright::layer::Layer;
use tilewright::run::compile_form;

/// Refusals on the way to a layer that compiles.
const STEPS: usize = 2;

/// Kinds of refusals that there are at least, by kinds of layers.
const REFUSED: usize = 2;

const SIZES: [usize; 14] = [
    1, 2, 7, 72, 100, 127, 131, 704, 1031, 1408, 1856, 2688, 2880, 151_643,
];

/// A kind of layer: its lines, for columns `D` and a second size `N`.
struct Kind {
    name: &'static str,
    inputs: &'static str,
    line: &'static str,
    /// What tiles cut.
    axes: &'static [&'static str],
}

const KINDS: [Kind; 7] = [
    Kind {
        name: "product",
        inputs: "input x: bf16[T, D]\n  input w: bf16[N, D]",
        line: "y = matmul_nt(x, w)",
        axes: &["T", "D", "N"],
    },
    Kind {
        name: "grouped product",
        inputs: "input c: i32[2, 1] <= T\n  input x: bf16[2 * T, D] ragged c\n  input w: bf16[2 * N, D]",
        line: "y = grouped_matmul_nt(x, w)",
        axes: &["T", "D", "N"],
    },
    Kind {
        name: "softmax",
        inputs: "input x: f32[T, D]",
        line: "y = softmax(x)",
        axes: &["T", "D"],
    },
    Kind {
        name: "quantise",
        inputs: "input x: bf16[T, D]",
        line: "y, s = quantize_rows(x, eps = 1e-6)",
        axes: &["T", "D"],
    },
    Kind {
        name: "top_k",
        inputs: "input x: f32[T, D]",
        line: "y = top_k(x, k = 1)",
        axes: &["T", "D"],
    },
    Kind {
        name: "sums",
        inputs: "input x: f32[T, D]",
        line: "y = cumsum(x)",
        axes: &["T", "D"],
    },
    Kind {
        name: "norm",
        inputs: "input x: bf16[T, D]\n  input w: bf16[D] ~ normal(1, 0.1)",
        line: "y = rms_norm(x, w, eps = 1e-6)",
        axes: &["T", "D"],
    },
];

/// A layer of a kind, with a tile over an axis.
fn text(kind: &Kind, rows: usize, cols: usize, (axis, tile, lines): (&str, usize, &str)) -> String {
    let outputs = match kind.line.starts_with("y, s") {
        true => "y, s",
        false => "y",
    };
    let n = match kind.inputs.contains('N') {
        true => "\n  param N = 96",
        false => "",
    };
    format!(
        "graph awkward {{\n  param T = {rows}\n  param D = {cols}{n}\n  {}\n  kernel k {{\n    {lines}\n    \
         tile {axis}_TILE = {tile} over {axis}\n    {}\n  }}\n  output {outputs}\n}}\n",
        kind.inputs, kind.line
    )
}

/// Compiles a form; why not, as code, message and help.
fn refused(text: &str, options: &Options, form: Form) -> Option<[String; 3]> {
    let layer = Layer::parse("layer.tw", text.as_bytes()).expect("it is a layer");
    let graph = match layer.graph(&Default::default()) {
        Ok(graph) => graph,
        Err(e) => panic!("{e}\n{text}"),
    };
    let error = compile_form(&graph, form, options).err()?;
    let said =
        |x: Option<Box<dyn std::fmt::Display + '_>>| x.map(|x| x.to_string()).unwrap_or_default();
    Some([said(error.code()), error.to_string(), said(error.help())])
}

/// The layer with what a help says.
fn mended(text: &str, [_, message, help]: &[String; 3]) -> Option<String> {
    if let Some(nearest) = help.strip_prefix("the nearest tile that cuts it is ") {
        let tile = message.split(": ").nth(1)?.split(" does not").next()?;
        let (name, _) = tile.split_once(" = ")?;
        let changed = text.replace(
            &format!("tile {tile} over"),
            &format!("tile {name} = {nearest} over"),
        );
        return (changed != text).then_some(changed);
    }
    if help.starts_with("add up products of at most ") {
        let piece: usize = help
            .split(" to = ")
            .nth(1)?
            .trim_end_matches(')')
            .parse()
            .ok()?;
        let cols: usize = text
            .split("param D = ")
            .nth(1)?
            .lines()
            .next()?
            .parse()
            .ok()?;
        let call = ["grouped_matmul_nt", "matmul_nt"]
            .into_iter()
            .find(|c| text.contains(c))?;
        let products = (0..cols).step_by(piece).map(|from| {
            let part = format!("from = {from}, to = {}", (from + piece).min(cols));
            format!("{call}(slice_cols(x, {part}), slice_cols(w, {part}))")
        });
        let sum: Vec<String> = products.collect();
        return Some(text.replace(&format!("{call}(x, w)"), &sum.join(" + ")));
    }
    None
}

/// All layers of awkward sizes, each with its kind.
fn layers() -> Vec<(&'static str, String)> {
    let mut layers = vec![];
    for kind in &KINDS {
        for size in SIZES {
            let tall = size.min(2880);
            for (rows, cols) in [(8, size), (tall, 64), (1, size), (tall, 1)] {
                for axis in kind.axes {
                    let extent = match *axis {
                        "T" => rows,
                        "D" => cols,
                        _ => 96,
                    };
                    for tile in [1, 3, 62, 175, extent / 2 + 1, extent] {
                        let lines = ["launch spmd", "loop pipeline(4)"][layers.len() % 2];
                        layers.push((kind.name, text(kind, rows, cols, (axis, tile, lines))));
                    }
                }
            }
        }
    }
    layers.sort();
    layers.dedup();
    layers
}

/// How many refusals a layer had before it compiled, with their codes.
fn steps(text: &str, options: &Options) -> Result<Vec<String>, String> {
    let mut text = text.to_string();
    let mut codes = vec![];
    for step in 0..=STEPS {
        let Some(why) = refused(&text, options, Form::Written) else {
            return Ok(codes);
        };
        match mended(&text, &why) {
            Some(next) if step < STEPS => text = next,
            _ => return Err(format!("{codes:?}, then {why:?}\n{text}")),
        }
        codes.push(why[0].clone());
    }
    Err(text)
}

/// A usual test run looks at some of the layers; `TILEWRIGHT_ALL_REMEDIES=1` at all 4885.
#[test]
fn what_a_help_says_works() {
    let options = common::options();
    let share = match std::env::var_os("TILEWRIGHT_ALL_REMEDIES") {
        Some(_) => 1,
        None => 7,
    };
    let layers: Vec<_> = layers().into_iter().step_by(share).collect();
    let judged: Vec<_> = layers
        .par_iter()
        .map(|(kind, text)| (*kind, steps(text, &options)))
        .collect();
    let mut tally: BTreeMap<(&str, Vec<String>), usize> = BTreeMap::new();
    for (kind, found) in judged {
        let codes = found.unwrap_or_else(|led_nowhere| panic!("{kind}: {led_nowhere}"));
        *tally.entry((kind, codes)).or_default() += 1;
    }
    for ((kind, codes), n) in &tally {
        println!("{n:>5} {kind}, after {codes:?}");
    }
    let refused = tally.keys().filter(|(_, codes)| !codes.is_empty()).count();
    assert!(refused >= REFUSED, "{refused} kinds of refusals");
}

/// A tile that is too large becomes one of whole fractals, which need not divide the axis.
#[test]
fn a_tile_that_does_not_fit_is_made_smaller() {
    let text = "graph chain {
  param T = 1
  param D = 193
  param N = 72
  input x: f32[T, D]
  input w: f32[N, D] ~ normal(0, 0.06)
  kernel k {
    tile N_TILE = 62 over N
    v = cumsum(x) * 0.004
    y = matmul_nt(v, w)
  }
  output y
}
";
    for form in Form::ALL {
        assert_eq!(refused(text, &common::options(), form), None);
    }
}

/// Of a row that a core does not hold, some of the best can be found.
#[test]
fn a_sort_of_too_many_says_how_many_there_may_be() {
    let text = |k: &str| {
        format!(
            "graph sorts {{\n  input x: f32[2, 20000]\n  kernel k {{\n    y = top_k(x, k = {k})\n  }}\n  output y\n}}\n"
        )
    };
    let options = common::options();
    let why = refused(&text("5000"), &options, Form::Optimized).expect("it is too many");
    assert_eq!(why[0], "tilewright::schedule::sorted");
    let most = why[2]
        .strip_prefix("give k = ")
        .and_then(|rest| rest.split(' ').next());
    let most = most.expect("the help says how many");
    for form in Form::ALL {
        assert_eq!(refused(&text(most), &options, form), None);
    }
}

/// Weights that lie as [K, N] have whole fractals of rows, or lie the other way.
#[test]
fn a_product_of_odd_rows_takes_them_as_columns() {
    let text = |operand: &str, call: &str| {
        format!(
            "graph product {{\n  input a: f32[8, 50]\n  input b: f32{operand}\n  kernel k {{\n    y = {call}(a, b)\n  }}\n  \
             output y\n}}\n"
        )
    };
    let options = common::options();
    let why = refused(&text("[50, 24]", "matmul_nn"), &options, Form::Written);
    let why = why.expect("50 are no whole fractals");
    assert_eq!(why[0], "tilewright::schedule::transposed");
    assert!(
        why[2].starts_with("give the right operand as [N, K]"),
        "{why:?}"
    );
    assert_eq!(
        refused(&text("[24, 50]", "matmul_nt"), &options, Form::Written),
        None
    );
}
