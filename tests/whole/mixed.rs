//! Mixed kernels: a product and its reader, or what makes its operand, in one launch, from the search to the emitted files, and
//! what goes wrong without one of their flags.

use crate::common::statements::{count, drop_all, lists, part};
use crate::common::{HOST_CACHE, example, options, root, tilewright};
use indexmap::IndexMap;
use tilewright::compile::Options;
use tilewright::data::{Data, Source, inputs};
use tilewright::form::Form;
use tilewright::layer::Layer;
use tilewright::run::{Compiled, compile_form, emit, run};
use tilewright_backends::backend::{Backend, Job, Simulator};
use tilewright_backends::data::Tensors;
use tilewright_backends::host::{self, Host};
use tilewright_backends::sim::{self, Fault, SimError};
use tilewright_ir::graph::Graph;
use tilewright_ir::kernel::{
    Instr, Kernel, KernelError, Pipe, Program, Stmt, Unit, Var, check_order, verify,
};
use tilewright_passes::kernel::cross::{CrossError, handovers};

fn a3() -> tilewright_ir::machine::Machine {
    options().machine
}

const LAYER: &str = "tests/layers/matmul_act.tw";
const FED: &str = "tests/layers/norm_matmul.tw";

fn layer(sizes: &[(&str, i64)]) -> Graph {
    load(LAYER, sizes)
}

fn load(file: &str, sizes: &[(&str, i64)]) -> Graph {
    let layer = Layer::load(&root().join(file)).expect("the layer is a graph");
    let sizes: IndexMap<String, i64> = sizes.iter().map(|(n, v)| (n.to_string(), *v)).collect();
    layer.graph(&sizes).expect("the layer has these sizes")
}

fn pinned(pins: &[&str]) -> Options {
    let mut options = options();
    options.pins = pins.iter().map(|p| p.parse().unwrap()).collect();
    options.search.candidates = 1;
    options
}

fn data(graph: &Graph) -> Tensors {
    inputs(graph, &Source::Seed(5), &IndexMap::new()).expect("inputs are made")
}

/// Both kernels of the layer mixed, with more tiles a block than a ring has.
const RINGS: [&str; 6] = [
    "dense.mix=true",
    "dense.blocks=2",
    "dense.DENSE_N_TILE=16",
    "quantised.mix=true",
    "quantised.blocks=2",
    "quantised.QUANT_N_TILE=16",
];
/// A tile a block.
const SINGLE: [&str; 4] = [
    "dense.mix=true",
    "dense.blocks=8",
    "quantised.mix=true",
    "quantised.blocks=8",
];

/// Fed products: the inner axis split over blocks, a tile a block; the same in two trips of both parts; and blocks of rows, whose
/// vector part stores a whole operand before the product's loop.
const FEEDS: [&[&str]; 3] = [
    &[
        "dense.feed=true",
        "dense.split_k=4",
        "dense.DENSE_K_TILE=256",
    ],
    &[
        "dense.feed=true",
        "dense.split_k=4",
        "dense.DENSE_K_TILE=128",
        "norm.D_TILE=128",
    ],
    &[
        "dense.feed=true",
        "dense.split_k=1",
        "dense.DENSE_K_TILE=128",
    ],
];

fn compiled(graph: &Graph, pins: &[&str]) -> Compiled {
    compile_form(graph, Form::Optimized, &pinned(pins)).expect("the layer compiles")
}

/// One kernel with a ring, alone in its program.
fn ring() -> (Program, Tensors) {
    let graph = layer(&[]);
    let mut program = compiled(&graph, &RINGS).program;
    program.kernels.retain(|k| k.name == "dense");
    let (reads, writes) = program.kernels[0].accesses();
    (program.tensors).retain(|n, _| reads.contains(n) || writes.contains(n));
    (program, data(&graph))
}

fn fault(program: &Program, inputs: &Tensors) -> Option<Fault> {
    let machine = options().machine;
    let ran = sim::run(program, &machine, inputs, &sim::Options::default());
    ran.err().map(|e: SimError| *e.fault)
}

/// With a ring and without, float and dequantised int8, and fed: what the interpreter computes.
#[test]
fn mixed_kernels_compute_the_layer() {
    for (file, pins) in cases() {
        let graph = load(file, &[]);
        let (options, data) = (pinned(pins), data(&graph));
        let outcome = run(&graph, &options, &Data::new(vec![data])).expect("it runs");
        assert!(outcome.report.ok, "{pins:?}");
        let kernels = &outcome.report.optimized.kernels;
        let mut mixed = kernels.iter().filter(|k| k.unit == Unit::Mixed).peekable();
        assert!(mixed.peek().is_some(), "{pins:?}");
        for k in mixed {
            let simulated = k.simulated.as_ref().map_or(0.0, |s| s.us);
            let off = (k.predicted.us / simulated - 1.0).abs();
            assert!(off < 0.03, "{}: {} {simulated}", k.name, k.predicted.us);
        }
    }
}

fn cases() -> Vec<(&'static str, &'static [&'static str])> {
    let mut all: Vec<(&str, &[&str])> = vec![(LAYER, &RINGS), (LAYER, &SINGLE)];
    all.extend(FEEDS.map(|pins| (FED, pins)));
    all
}

#[test]
fn the_host_gives_what_the_simulator_gives() {
    let machine = options().machine;
    let host = Host {
        options: host::Options {
            cache: Some(HOST_CACHE.into()),
            ..Default::default()
        },
    };
    for (file, pins) in cases() {
        let graph = load(file, &[]);
        let compiled = compiled(&graph, pins);
        let files = emit(&compiled, &machine).expect("it is emitted");
        let data = [data(&graph)];
        let job = Job::once(&compiled.program, &files, &machine, &data);
        let sim = Simulator.run(&job).expect("it simulates");
        let host = host.run(&job).expect("it runs");
        for (name, tensor) in &sim.ranks[0].outputs {
            let bytes = &host.ranks[0].outputs[name].bytes;
            assert_eq!(*bytes, tensor.bytes, "{pins:?} {name}");
        }
    }
}

/// The flags that the pass derives: one each way for a ring, none back where a block has one tile.
#[test]
fn flags_follow_from_the_ring() {
    let sets = |s: &Stmt| matches!(s, Stmt::SetCross { .. });
    let waits = |s: &Stmt| matches!(s, Stmt::WaitCross { .. });
    let (program, _) = ring();
    let kernel = &program.kernels[0];
    assert_eq!(kernel.unit, Unit::Mixed);
    let ring = program.tensors.keys().find(|n| n.ends_with("_ring"));
    let ring = &program.tensors[ring.expect("the product lies in a ring")];
    let slots = 4;
    assert_eq!(ring.shape, [2 * slots * 16, 16]);
    // A set and a wait in the loops, and as many free slots before and after them.
    assert_eq!(
        (count(kernel, &sets), count(kernel, &waits)),
        (2 + slots, 2 + slots)
    );
    let single = compiled(&layer(&[]), &SINGLE).program;
    for kernel in &single.kernels {
        assert_eq!((count(kernel, &sets), count(kernel, &waits)), (1, 1));
    }
}

#[test]
fn a_missing_flag_is_a_hazard_between_cores() {
    let (program, inputs) = ring();
    assert_eq!(fault(&program, &inputs), None);
    // Nothing tells the vector cores that a tile is there.
    let mut changed = program.clone();
    let ready = |s: &Stmt| {
        matches!(
            s,
            Stmt::SetCross { flag: 0, .. } | Stmt::WaitCross { flag: 0 }
        )
    };
    drop_all(&mut changed.kernels[0], Unit::Cube, &ready);
    drop_all(&mut changed.kernels[0], Unit::Vector, &ready);
    let found = fault(&changed, &inputs);
    assert!(
        matches!(found, Some(Fault::UninitialisedGlobal { .. })),
        "{found:?}"
    );
    // Nor where the cube core is done before a vector core begins, which is luck.
    let mut changed = compiled(&layer(&[]), &SINGLE).program;
    for kernel in &mut changed.kernels {
        drop_all(kernel, Unit::Cube, &ready);
        drop_all(kernel, Unit::Vector, &ready);
    }
    let found = fault(&changed, &inputs);
    assert!(
        matches!(found, Some(Fault::Hazard { cores: (0, 1), .. })),
        "{found:?}"
    );
    // Nothing holds the cube core back: the ring is overrun.
    let mut changed = program.clone();
    let free = |s: &Stmt| {
        matches!(
            s,
            Stmt::SetCross { flag: 1, .. } | Stmt::WaitCross { flag: 1 }
        )
    };
    drop_all(&mut changed.kernels[0], Unit::Cube, &free);
    drop_all(&mut changed.kernels[0], Unit::Vector, &free);
    let found = fault(&changed, &inputs);
    assert!(matches!(found, Some(Fault::Hazard { .. })), "{found:?}");
}

/// Both vector cores have to have stored their half before the cube core loads it.
#[test]
fn a_fed_product_waits_for_both_vector_cores() {
    let graph = load(FED, &[]);
    for (pins, trips) in std::iter::zip(FEEDS, [1, 2, 1]) {
        let mut program = compiled(&graph, pins).program;
        let fed = program.kernels.iter().position(|k| k.unit == Unit::Mixed);
        let kernel = &mut program.kernels[fed.expect("it is fed")];
        let ready = |s: &Stmt| {
            matches!(
                s,
                Stmt::SetCross {
                    pipe: Pipe::Mte3,
                    ..
                } | Stmt::WaitCross { .. }
            )
        };
        // One of each, in a loop or not: nothing comes back, since no bytes are stored twice.
        assert_eq!(count(kernel, &ready), 2, "{pins:?}");
        let mut loops = 0;
        lists(part(kernel, Unit::Vector), &mut |list| {
            let of_two = |s: &&Stmt| matches!(s, Stmt::Loop { trips: 2, body, .. } if body.iter().any(ready));
            loops += list.iter().filter(of_two).count();
        });
        assert_eq!(loops + 1, trips, "{pins:?}");
        drop_all(kernel, Unit::Cube, &ready);
        drop_all(kernel, Unit::Vector, &ready);
        let found = fault(&program, &data(&graph));
        assert!(
            matches!(
                found,
                Some(Fault::UninitialisedGlobal { .. } | Fault::Hazard { .. })
            ),
            "{pins:?}: {found:?}"
        );
    }
}

/// What the passes refuse to order: data that goes both ways, and data that the part which stores it uses, too.
#[test]
fn data_goes_one_way_between_parts() {
    let touches = |s: &Stmt| matches!(s, Stmt::Instr(i) if i.global().is_some());
    let copy = |kernel: &mut Kernel, store: bool, tensor: &str| {
        let mut found = vec![];
        lists(part(kernel, Unit::Vector), &mut |list| {
            found.extend(list.iter().filter(|s| touches(s)).cloned());
        });
        let mut found = found.into_iter().filter_map(|s| match s {
            Stmt::Instr(Instr::Store { mut dst, src }) if store => {
                dst.tensor = tensor.to_owned();
                Some(Instr::Store { dst, src })
            }
            Stmt::Instr(Instr::Load { dst, mut src }) if !store => {
                src.tensor = tensor.to_owned();
                Some(Instr::Load { dst, src })
            }
            _ => None,
        });
        let instr = found.next().expect("the vector part loads and stores");
        part(kernel, Unit::Vector).push(Stmt::Instr(instr));
    };
    let mut kernel = ring().0.kernels[0].clone();
    assert!(handovers(&kernel, &a3().geometry).is_ok());
    copy(&mut kernel, true, "x");
    let found = handovers(&kernel, &a3().geometry);
    assert!(
        matches!(&found, Err(CrossError::Back { tensor, .. }) if tensor == "x"),
        "{found:?}"
    );
    let program = compiled(&load(FED, &[]), FEEDS[0]).program;
    let fed = program.kernels.into_iter().find(|k| k.unit == Unit::Mixed);
    let mut kernel = fed.expect("it is fed");
    let makers: Vec<Unit> = (handovers(&kernel, &a3().geometry).into_iter().flatten())
        .map(|l| l.maker)
        .collect();
    assert_eq!(makers, [Unit::Vector]);
    copy(&mut kernel, false, "y_f32");
    let found = handovers(&kernel, &a3().geometry);
    assert!(
        matches!(&found, Err(CrossError::Shared { tensor, .. }) if tensor == "y_f32"),
        "{found:?}"
    );
}

/// A norm is computed where its product needs it when that is faster than a launch of its own, and not without the rule.
#[test]
fn the_search_feeds_where_that_is_faster() {
    let graph = load(FED, &[]);
    let found = |pins: &[&str], disabled: bool| {
        let mut options = pinned(pins);
        if disabled {
            options.search.disabled.insert("mix".into());
        }
        compile_form(&graph, Form::Optimized, &options).expect("it compiles")
    };
    let us = |c: &Compiled| c.kernels.iter().map(|k| k.predicted.us).sum::<f64>();
    let names =
        |c: &Compiled| -> Vec<String> { c.kernels.iter().map(|k| k.name.clone()).collect() };
    // The product is not one launch with what reads it.
    let alone = "dense.mix=false";
    let free = found(&[alone], false);
    let apart = found(&[alone, "dense.feed=false"], false);
    assert!(
        names(&free).contains(&"norm_dense_mm".into()),
        "{:?}",
        names(&free)
    );
    let fed = free.kernels.iter().find(|k| k.name == "norm_dense_mm");
    assert!(fed.is_some_and(|k| k.derivation.contains(&"mix".into())));
    assert!(apart.kernels.iter().all(|k| k.unit != Unit::Mixed));
    assert!(us(&free) < us(&apart), "{} {}", us(&free), us(&apart));
    assert_eq!(us(&found(&[alone], true)), us(&apart));
}

/// One free slot too many, and the cube core overwrites what a vector core still loads.
#[test]
fn a_ring_with_a_slot_too_many_is_overrun() {
    let (mut program, inputs) = ring();
    let kernel = &mut program.kernels[0];
    let set = Stmt::SetCross {
        pipe: Pipe::Mte2,
        flag: 1,
    };
    part(kernel, Unit::Vector).insert(0, set);
    part(kernel, Unit::Cube).push(Stmt::WaitCross { flag: 1 });
    let found = fault(&program, &inputs);
    assert!(matches!(found, Some(Fault::Hazard { .. })), "{found:?}");
}

#[test]
fn unbalanced_flags_are_found() {
    let (program, inputs) = ring();
    // Without what primes them, each side waits for the other one.
    let mut changed = program.clone();
    let primed = |s: &Stmt| matches!(s, Stmt::SetCross { flag: 1, .. });
    let top = part(&mut changed.kernels[0], Unit::Vector);
    top.retain(|s| !primed(s));
    let found = fault(&changed, &inputs);
    match &found {
        Some(Fault::CrossDeadlock { waits }) => {
            assert_eq!(waits.len(), 3, "{waits:?}");
            assert!(waits[0].contains("cube core waits for flag 1"), "{waits:?}");
        }
        other => panic!("{other:?}"),
    }
    // Without the drain, flags stay raised.
    let mut changed = program.clone();
    let top = part(&mut changed.kernels[0], Unit::Cube);
    top.retain(|s| !matches!(s, Stmt::WaitCross { .. }));
    let found = fault(&changed, &inputs);
    assert!(
        matches!(found, Some(Fault::UnconsumedCross { flag: 1, .. })),
        "{found:?}"
    );
    // More than a flag can count.
    let mut changed = program.clone();
    let more = Stmt::SetCross {
        pipe: Pipe::Mte2,
        flag: 1,
    };
    part(&mut changed.kernels[0], Unit::Vector).splice(0..0, vec![more; 12]);
    let found = fault(&changed, &inputs);
    assert!(
        matches!(found, Some(Fault::CrossOverflow { flag: 1, limit: 15 })),
        "{found:?}"
    );
}

#[test]
fn the_verifier_knows_parts() {
    let (program, _) = ring();
    verify(&program, &a3()).expect("it verifies");
    check_order(&program, &a3()).expect("it is one kernel");
    let refused = |change: &dyn Fn(&mut Kernel)| {
        let mut changed = program.clone();
        change(&mut changed.kernels[0]);
        match verify(&changed, &a3()) {
            Err(
                e @ (KernelError::Form { .. }
                | KernelError::Space { .. }
                | KernelError::Index { .. }),
            ) => e.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let text = refused(&|k| k.body.swap(0, 1));
    assert!(text.contains("not a part of the cube and a part"), "{text}");
    let text = refused(&|k| k.unit = Unit::Cube);
    assert!(!text.is_empty());
    // What is in no loop.
    let alone = |i: &Instr| {
        let (reads, writes) = i.tiles();
        reads.iter().chain(&writes).all(|t| t.slot.is_none())
    };
    let text = refused(&|k| {
        let mut vector = vec![];
        lists(part(k, Unit::Vector), &mut |list| {
            vector.extend(
                list.iter()
                    .filter(|s| matches!(s, Stmt::Instr(i) if i.global().is_none() && alone(i)))
                    .cloned(),
            );
        });
        part(k, Unit::Cube).push(vector.pop().expect("it computes"));
    });
    assert!(text.contains("which a cube core does not have"), "{text}");
    let text = refused(&|k| part(k, Unit::Cube).push(Stmt::WaitCross { flag: 0 }));
    assert!(text.contains("in both directions"), "{text}");
    let text = refused(&|k| part(k, Unit::Cube).push(Stmt::WaitCross { flag: 11 }));
    assert!(text.contains("does not exist"), "{text}");
    let text = refused(&|k| {
        let set = Stmt::SetCross {
            pipe: Pipe::V,
            flag: 4,
        };
        part(k, Unit::Cube).push(set);
    });
    assert!(text.contains("V of a cube core"), "{text}");
}

#[test]
fn programs_with_parts_print_and_come_back() {
    let (program, _) = ring();
    let text = program.to_string();
    for line in [
        "kernel dense: mixed",
        "on cube",
        "on vector",
        "set_cross(FIX, 0)",
        "wait_cross(0)",
        " % 4)",
        "sub",
    ] {
        assert!(text.contains(line), "{line}:\n{text}");
    }
    let json = serde_json::to_string(&program).expect("it is written");
    let back: Program = serde_json::from_str(&json).expect("it is read");
    assert_eq!(back, program);
    let mut subs = 0;
    tilewright_ir::kernel::exprs_of(&program.kernels[0].body, &mut |e| {
        subs += usize::from(e.terms.iter().any(|(v, _)| *v == Var::Sub));
    });
    assert!(subs > 0, "both vector cores work");
}

/// The cube core is a tile ahead: the kernel takes less time than its parts one after the other.
#[test]
fn the_parts_overlap() {
    let graph = layer(&[("N", 2048), ("D", 512)]);
    let machine = options().machine;
    let time = |pins: &[&str]| {
        let program = compiled(&graph, pins).program;
        let times = sim::time(&program, &machine).expect("it is timed");
        let of = times.kernels.into_iter();
        of.filter(|k| k.name.starts_with("dense"))
            .map(|k| k.us - k.launch_us)
            .sum::<f64>()
    };
    let apart = time(&["dense.mix=false", "dense.blocks=2", "dense.split_k=1"]);
    let mixed = time(&["dense.mix=true", "dense.blocks=2"]);
    assert!(mixed < 0.95 * apart, "{mixed} {apart}");
}

/// Where it is faster the search mixes without being told, `mix` is the rule that explains it, and without the rule it is not.
#[test]
fn the_search_mixes_where_that_is_faster() {
    let graph = layer(&[]);
    let dense = |disabled: bool| {
        let mut options = pinned(&[]);
        if disabled {
            options.search.disabled.insert("mix".into());
        }
        compile_form(&graph, Form::Optimized, &options).expect("it compiles")
    };
    let us = |c: &Compiled| c.kernels.iter().map(|k| k.predicted.us).sum::<f64>();
    let (with, without) = (dense(false), dense(true));
    let mixed = |c: &Compiled| {
        c.kernels
            .iter()
            .filter(|k| k.unit == Unit::Mixed)
            .map(|k| k.derivation.clone())
            .collect::<Vec<_>>()
    };
    assert!(!mixed(&with).is_empty());
    assert!(mixed(&with).iter().all(|d| d.contains(&"mix".into())));
    assert!(mixed(&without).is_empty());
    assert!(us(&with) < us(&without));
}

#[test]
fn pins_mix_or_are_refused() {
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    let file = root().join(LAYER);
    let file = file.to_str().expect("the path is text");
    let ran = tilewright(
        folder.path(),
        &["optimize", file, "-v", "--pin", "*.mix=false"],
    );
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("dense_mm") && ran.stdout.contains("dense_act"));
    // What has no product to be one launch with is no silent choice of something else.
    let file = example("dsv4_routed_experts");
    let file = file.to_str().expect("the path is text");
    let ran = tilewright(
        folder.path(),
        &["optimize", file, "--pin", "exp_h_q.mix=true"],
    );
    assert_eq!(ran.code, Some(3), "{}", ran.stdout);
    assert!(ran.stderr.contains("no parameter `mix`"), "{}", ran.stderr);
    let ran = tilewright(
        folder.path(),
        &["optimize", file, "--pin", "exp_h_q.feed=true"],
    );
    assert_eq!(ran.code, Some(3), "{}", ran.stdout);
    assert!(ran.stderr.contains("no parameter `feed`"), "{}", ran.stderr);
    // Blocks over columns all need the whole operand.
    let file = root().join(FED);
    let file = file.to_str().expect("the path is text");
    let pins = [
        "optimize",
        file,
        "--set",
        "T=1",
        "--pin",
        "dense.feed=true",
        "--pin",
        "dense.DENSE_N_TILE=16",
        "--pin",
        "dense.blocks=4",
        "--pin",
        "dense.split_k=1",
    ];
    let ran = tilewright(folder.path(), &pins);
    assert_eq!(ran.code, Some(3), "{}", ran.stdout);
    assert!(ran.stderr.contains("feed=true"), "{}", ran.stderr);
}

/// The explanation names what one part hands to the other, whichever makes it.
#[test]
fn what_is_handed_over_is_named() {
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    for (file, handed) in [(LAYER, "acc"), (FED, "y_f32")] {
        let file = root().join(file);
        let file = file.to_str().expect("text");
        let ran = match handed {
            "acc" => tilewright(folder.path(), &["explain", file]),
            _ => tilewright(
                folder.path(),
                &["explain", file, "--pin", "dense.mix=false"],
            ),
        };
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let text = ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        let wanted = format!("mix {handed} in global memory between two launches");
        assert!(text.contains(&wanted), "{}", ran.stdout);
    }
}
