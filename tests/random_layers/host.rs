//! The third oracle: the C++ text of random layers, compiled by this system's compiler, gives on the host what the simulator
//! gives, bit for bit.

use crate::{common, generate, number, quick};
use indexmap::IndexMap;
use rayon::prelude::*;
use tilewright::data::{self, Source};
use tilewright::form::Form;
use tilewright::layer::Layer;
use tilewright::run::{Compiled, compile_form, emit};
use tilewright_backends::backend::{Backend, Job, RanRank, Simulator};
use tilewright_backends::data::{Scalar, Tensor, Tensors, clear_missing, row_counts};
use tilewright_backends::host::{self, Compiler, Host};
use tilewright_ir::graph::Graph;

/// Layers that a usual test run looks at.
const LAYERS: u64 = 12;

/// Libraries are kept, so that a test run after the first compiles what changed. Optimisation takes longer than all else here.
fn host() -> Host {
    Host {
        options: host::Options {
            cache: Some(common::HOST_CACHE.into()),
            cxxflags: vec!["-O0".into()],
            ..Default::default()
        },
    }
}

/// Kernels that ran, or in what a form differs.
fn judge(seed: u64) -> Result<usize, String> {
    let text = generate::layer(seed).text();
    let graph = Layer::parse("layer.tw", text.as_bytes())
        .and_then(|l| l.graph(&IndexMap::new()))
        .map_err(|e| format!("seed {seed}: {e}"))?;
    let inputs = data::inputs(&graph, &Source::Seed(7), &crate::half(&graph));
    let inputs = inputs.map_err(|e| format!("seed {seed}: {e}"))?;
    let mut kernels = 0;
    for form in Form::ALL {
        // Refusals are counted elsewhere.
        let Ok(compiled) = compile_form(&graph, form, &quick()) else {
            continue;
        };
        let place = |what: String| format!("seed {seed} {}: {what}\n{text}", form.name());
        let sim = run(&Simulator, &compiled, &inputs).map_err(&place)?;
        let ran = run(&host(), &compiled, &inputs).map_err(&place)?;
        for (name, expected) in &sim.outputs {
            let (found, expected) = match (ran.outputs.get(name), &sim.outputs) {
                (Some(found), all) => (existing(&graph, name, found, all, &inputs), expected),
                (None, _) => return Err(place(format!("no `{name}`"))),
            };
            let expected = existing(&graph, name, expected, &sim.outputs, &inputs);
            if let Some(at) = differ(&found, &expected) {
                return Err(place(format!("element {at} of `{name}`")));
            }
        }
        kernels += compiled.program.kernels.len();
    }
    Ok(kernels)
}

fn run(backend: &dyn Backend, compiled: &Compiled, inputs: &Tensors) -> Result<RanRank, String> {
    let machine = common::options().machine;
    let files = emit(compiled, &machine).map_err(|e| e.to_string())?;
    let inputs = std::slice::from_ref(inputs);
    let job = Job::once(&compiled.program, &files, &machine, inputs);
    let ran = backend.run(&job).map_err(|e| e.to_string())?;
    ran.ranks.into_iter().next().ok_or_else(|| "no rank".into())
}

/// A tensor without rows that do not exist.
fn existing(graph: &Graph, name: &str, of: &Tensor, made: &Tensors, inputs: &Tensors) -> Tensor {
    let mut tensor = of.clone();
    let mut counts = inputs.clone();
    counts.extend(made.clone());
    let ty = graph.find(name).map(|v| graph.ty(v));
    if let Some(Ok(Some(rows))) = ty.map(|ty| row_counts(name, ty, &counts)) {
        clear_missing(&mut tensor, &rows);
    }
    tensor
}

/// The first element that is another one. Of what is not a number, the sign and the payload are nobody's promise.
fn differ(a: &Tensor, b: &Tensor) -> Option<usize> {
    let nan = |x: &Scalar| matches!(x, Scalar::Float(x) if x.is_nan());
    let same = |(a, b): (Scalar, Scalar)| match (a, b) {
        (a, b) if nan(&a) || nan(&b) => nan(&a) && nan(&b),
        (Scalar::Float(a), Scalar::Float(b)) => a.to_bits() == b.to_bits(),
        (a, b) => a == b,
    };
    if a.shape != b.shape || a.dtype != b.dtype {
        return Some(0);
    }
    a.scalars().zip(b.scalars()).position(|pair| !same(pair))
}

#[test]
fn random_layers_are_the_same_on_the_host() {
    if Compiler::find().is_err() {
        println!("there is no C++ compiler");
        return;
    }
    let count = number("TILEWRIGHT_RANDOM_HOST", LAYERS);
    let first = crate::first_seed();
    let judged: Vec<Result<usize, String>> =
        (first..first + count).into_par_iter().map(judge).collect();
    let wrong: Vec<&String> = judged.iter().filter_map(|j| j.as_ref().err()).collect();
    let kernels: usize = judged.iter().filter_map(|j| j.as_ref().ok()).sum();
    println!(
        "{count:>7}  on the host, {kernels} kernels, {} differ",
        wrong.len()
    );
    assert!(wrong.is_empty(), "{}", wrong[0]);
    assert!(
        kernels as u64 >= count,
        "{kernels} kernels of {count} layers"
    );
}
