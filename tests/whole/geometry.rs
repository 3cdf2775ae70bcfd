//! A machine whose tiles are made of something else: smaller fractals, longer blocks, repeats and cache lines, fewer event ids.

use crate::common::{example, root};
use indexmap::IndexMap;
use std::path::Path;
use tilewright::compile::Options;
use tilewright::data::{Source, inputs};
use tilewright::form::Form;
use tilewright::layer::Layer;
use tilewright::run::{Compiled, compile_form, emit};
use tilewright_backends::data::compare::{Tolerance, compare};
use tilewright_backends::emitter::{self, Notes};
use tilewright_backends::{reference, sim};
use tilewright_ir::graph::Graph;
use tilewright_ir::kernel::{Space, Stmt, verify};
use tilewright_ir::machine::{DEFAULT_MACHINE, Machine};

const OTHER: &str = r#"
base = "A3"
name = "other"
gm_scalar_line = { value = 128, source = "made up" }

[geometry]
block = { value = 64, source = "made up" }
repeat = { value = 512, source = "made up" }
fractal_rows = { value = 8, source = "made up" }
fractal_width = { value = 64, source = "made up" }
event_ids = { value = 3, source = "made up" }

[alignment]
ub = { value = 64, source = "made up" }
"#;

fn other() -> Machine {
    Machine::from_toml(OTHER).unwrap()
}

fn graph(file: &Path) -> Graph {
    let layer = Layer::load(file).expect("the layer is a graph");
    layer
        .graph(&IndexMap::new())
        .expect("the layer has defaults")
}

fn layers() -> [Graph; 2] {
    [
        graph(&example("rms_norm")),
        graph(&root().join("tests/layers/matmul_act.tw")),
    ]
}

fn compiled(graph: &Graph, form: Form, machine: Machine) -> Compiled {
    let mut options = Options::new(machine);
    options.search.candidates = 1;
    compile_form(graph, form, &options).expect("the layer compiles")
}

/// The highest event id of some statements.
fn highest(body: &[Stmt]) -> usize {
    let of = |s: &Stmt| match s {
        Stmt::Set { event, .. } => event.base + event.rotate.map_or(1, |(_, depth)| depth) - 1,
        Stmt::Loop { body, .. } | Stmt::Part { body, .. } => highest(body),
        Stmt::If {
            then, otherwise, ..
        } => highest(then).max(highest(otherwise)),
        _ => 0,
    };
    body.iter().map(of).max().unwrap_or(0)
}

/// Tiles, flags and instructions follow the machine's figures, and compute what the layer says.
#[test]
fn another_geometry_computes_the_same() {
    let machine = other();
    for graph in layers() {
        let given = inputs(&graph, &Source::Seed(5), &IndexMap::new()).expect("inputs are made");
        let truth = reference::run(&graph, &given).expect("the layer is interpreted");
        for form in [Form::Written, Form::Optimized] {
            let program = compiled(&graph, form, machine.clone()).program;
            assert_eq!(verify(&program, &machine), Ok(()));
            for kernel in &program.kernels {
                assert!(highest(&kernel.body) < 3, "{}", kernel.name);
                for tile in kernel.tiles.iter().filter(|t| t.space == Space::Ub) {
                    let starts = tile.addrs.iter().all(|a| a % 64 == 0);
                    assert!(starts && tile.bytes() % 64 == 0, "{}", tile.name);
                }
            }
            let ran = sim::run(&program, &machine, &given, &sim::Options::default());
            let ran = ran.expect("it runs");
            for name in &graph.outputs {
                let name = graph.name(*name);
                let (found, want) = (&ran.outputs[name], &truth[name]);
                let close =
                    compare(name, "interpreter", found, want, &Tolerance::of(want.dtype)).unwrap();
                assert!(close.ok, "{name}: {close:?}");
            }
        }
    }
}

/// Kernels for the one machine are none for the other.
#[test]
fn a_program_is_for_one_geometry() {
    let a3 = Machine::builtin(DEFAULT_MACHINE).unwrap();
    for graph in layers() {
        let ours = compiled(&graph, Form::Optimized, a3.clone()).program;
        assert_eq!(verify(&ours, &a3), Ok(()));
        assert!(verify(&ours, &other()).is_err());
    }
}

/// What the printed languages do not know, they refuse, and name the figure.
#[test]
fn no_language_is_for_it() {
    let [norm, _] = layers();
    let machine = other();
    let kernels = compiled(&norm, Form::Written, machine.clone());
    let error = emit(&kernels, &machine).unwrap_err().to_string();
    assert!(
        error.contains("`geometry.block` of other is 64 bytes, but PTO-ISA for a2a3 knows 32"),
        "{error}"
    );
    for language in &emitter::ALL {
        let error = (language.emit)(&kernels.program, &machine, &Notes::new()).unwrap_err();
        assert!(error.to_string().contains("geometry.block"), "{error}");
    }
}

/// Fewer event ids are known to every language, more of them to none.
#[test]
fn fewer_event_ids_are_printed() {
    let with = |ids: usize| {
        let text = format!(
            "base = \"A3\"\n[geometry]\nevent_ids = {{ value = {ids}, source = \"made up\" }}\n"
        );
        Machine::from_toml(&text).unwrap()
    };
    let [norm, _] = layers();
    let few = with(2);
    let kernels = compiled(&norm, Form::Optimized, few.clone());
    let files = emit(&kernels, &few).expect("it is printed");
    assert!(files.iter().all(|f| !f.text.contains("EVENT_ID2")));
    let many = with(16);
    let error = emit(&kernels, &many).unwrap_err().to_string();
    assert!(
        error.contains("`geometry.event_ids` of A3 is 16 ids, but PTO-ISA for a2a3 knows 8"),
        "{error}"
    );
}
