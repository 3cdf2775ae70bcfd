//! Padded results: every column is written, whether a body fills the padding or a launch of its own does.

use indexmap::IndexMap;
use tilewright_backends::{data, reference, sim};
use tilewright_ir::machine::Machine;
use tilewright_ir::text;
use tilewright_passes::pass::{Artifact, Context, Manager, OPTIMIZED};

const LAYER: &str = "graph padded {
  param T = 8
  param D = 48
  input x: f32[T, D]
  input y: bf16[T, D]
  kernel pads {
    a = pad_cols(exp(x), to = 64, value = lowest)
    b = pad_cols(cast(cast(y, to = f32) * 2.0, to = bf16), to = 64, value = 0)
  }
  output a, b
}
";

#[test]
fn each_padded_result_of_a_kernel_is_filled() {
    let file = text::parse(LAYER).expect("it parses");
    let layer = text::elaborate(&file, &IndexMap::new()).expect("it is a layer");
    let inputs = data::generate(&layer, 3, &IndexMap::new()).expect("it has inputs");
    let expected = reference::run(&layer, &inputs).expect("it runs");
    let machine = Machine::builtin("A3").expect("it is built in");
    for pad in ["inline", "hoisted"] {
        let mut context = Context::new(machine.clone());
        context.pins = vec![format!("pads.pad={pad}").parse().unwrap()];
        let run = Manager::new()
            .run(Artifact::Graph(layer.clone()), &OPTIMIZED, &context)
            .unwrap_or_else(|e| panic!("{pad}: {e}"));
        let Artifact::Program(program) = run.artifact else {
            panic!("the last pass gives a program");
        };
        let init = program.kernels.iter().any(|k| k.name == "pads_pad_init");
        assert_eq!(init, pad == "hoisted");
        let report = sim::run(&program, &machine, &inputs, &sim::Options::default())
            .unwrap_or_else(|e| panic!("{pad}: {e}"));
        for (name, tensor) in &expected {
            let tolerance = data::Tolerance::of(tensor.dtype);
            let found = &report.outputs[name];
            let compared = data::compare(name, "reference", found, tensor, &tolerance);
            assert!(compared.expect("shapes agree").ok, "{pad}: {name}");
        }
    }
}
