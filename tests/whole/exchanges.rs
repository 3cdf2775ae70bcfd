//! Exchanges that are written in files: on ranks against the interpreter, in any order and over several runs, and what is refused of
//! wrong ones.

use crate::common;
use indexmap::IndexMap;
use tilewright::compile::Options;
use tilewright::data::{self, Data, Source};
use tilewright::error::Error;
use tilewright::layer::Layer;
use tilewright::ranks::How;
use tilewright::run;
use tilewright_backends::data::{Tensor, Tensors, check_inputs};
use tilewright_backends::reference::Layers;
use tilewright_backends::sim::{self, Interleaving, RankOptions, SimError};
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::Graph;
use tilewright_ir::op::exchange::RANKS;
use tilewright_passes::decompose::decompose;

const EXAMPLES: [&str; 3] = ["all_gather", "all_reduce", "ring_all_gather"];

fn source(name: &str) -> String {
    std::fs::read_to_string(common::example(name)).expect("the example is there")
}

/// A graph at sizes that a test can afford.
fn graph(source: &str, ranks: usize) -> Graph {
    let layer = Layer::parse("test.tw", source.as_bytes()).unwrap_or_else(|e| panic!("{e:?}"));
    let rows = ranks.max(8) as i64;
    let sizes = [("N", ranks as i64), ("R", rows), ("C", 48)];
    let sizes: IndexMap<String, i64> = sizes.map(|(n, v)| (n.to_string(), v)).into();
    layer.graph(&sizes).unwrap_or_else(|e| panic!("{e:?}"))
}

fn options(layers: usize, seed: Option<u64>) -> Options {
    let mut options = common::options();
    options.search.iter_limit = 4;
    options.search.candidates = 1;
    options.ranks = How { layers, seed };
    options
}

fn generated(graph: &Graph) -> Vec<Tensors> {
    let of = |rank| {
        let inputs = data::inputs(graph, &Source::Seed(3 + rank), &IndexMap::new());
        inputs.unwrap_or_else(|e| panic!("{e:?}"))
    };
    (0..graph.ranks() as u64).map(of).collect()
}

fn data(graph: &Graph) -> Data {
    Data::new(generated(graph))
}

#[test]
fn every_rank_gets_what_the_interpreter_says() {
    for name in EXAMPLES {
        for ranks in RANKS {
            let graph = graph(&source(name), ranks);
            let outcome = run::run(&graph, &options(3, Some(ranks as u64)), &data(&graph));
            let report = outcome
                .unwrap_or_else(|e| panic!("{name} on {ranks}: {e:?}"))
                .report;
            assert!(report.ok, "{name} on {ranks}: {:?}", report.checks);
            // Each output of both forms on each rank.
            assert_eq!(
                report.checks.len(),
                2 * graph.outputs.len() * ranks,
                "{name}"
            );
        }
    }
}

/// Who tells others waits until all that it stored is there, and so does who is told.
#[test]
fn exchanges_take_what_is_predicted() {
    for name in EXAMPLES {
        let graph = graph(&source(name), 4);
        let outcome = run::run(&graph, &options(1, None), &data(&graph));
        let report = outcome.unwrap_or_else(|e| panic!("{name}: {e:?}")).report;
        for form in [&report.written, &report.optimized] {
            for k in &form.kernels {
                let (predicted, simulated) = (k.predicted.us, k.us());
                let off = (predicted / simulated - 1.0).abs();
                assert!(off < 0.1, "{name}, {}: {predicted} for {simulated}", k.name);
            }
        }
    }
}

/// Both forms, and one in which as many blocks share the work as can.
fn kernels(graph: &Graph, options: &Options) -> Vec<tilewright_ir::kernel::Program> {
    let outcome = run::optimize(graph, options).unwrap_or_else(|e| panic!("{e:?}"));
    let mut programs = vec![
        outcome.compiled.written.program,
        outcome.compiled.optimized.program,
    ];
    let exchange = graph.nodes.node_indices().find_map(|id| {
        let called = graph.called(id)?;
        Some((called.program, graph.node(id).region?))
    });
    let (program, region) = exchange.expect("the graph has an exchange");
    let room = tilewright_passes::term::exchange::Room {
        line: 16,
        arrays: 16 << 10,
        blocks: 48,
    };
    let exchange =
        tilewright_passes::term::exchange::Exchange::new(program, vec![], vec![], room, |_| false);
    let most = exchange.shares(16).into_iter().max().unwrap_or(1);
    if most > 1 {
        let mut pinned = options.clone();
        let pin = format!("{}.BLOCKS={most}", graph.regions[region].name);
        pinned.pins = vec![pin.parse().expect("it is a pin")];
        let outcome = run::optimize(graph, &pinned).unwrap_or_else(|e| panic!("{e:?}"));
        let kernels = &outcome.compiled.optimized.program.kernels;
        assert!(
            kernels
                .iter()
                .any(|k| k.params.get("BLOCKS") == Some(&most))
        );
        programs.push(outcome.compiled.optimized.program);
    }
    programs
}

fn simulate(
    graph: &Graph,
    program: &tilewright_ir::kernel::Program,
    layers: usize,
    seed: u64,
) -> Result<Vec<Tensors>, SimError> {
    let inputs = generated(graph);
    let how = RankOptions {
        layers,
        carried: graph.carried.clone().into_iter().collect(),
        interleaving: Interleaving::seeded(seed, inputs.len()),
        ..Default::default()
    };
    let ran = sim::run_ranks(program, &common::options().machine, &inputs, &how)?;
    Ok(ran.ranks.into_iter().map(|r| r.outputs).collect())
}

#[test]
fn the_order_in_which_ranks_move_changes_nothing() {
    for name in EXAMPLES {
        let graph = graph(&source(name), 4);
        let options = options(1, None);
        let mut first = None;
        for program in kernels(&graph, &options) {
            for seed in 0..24 {
                let outputs = simulate(&graph, &program, 3, seed);
                let outputs = outputs.unwrap_or_else(|e| panic!("{name}, seed {seed}: {e}"));
                // What is norm'd or scaled behind the exchange is another matter.
                let exchanged = |mut o: Tensors| {
                    o.swap_remove(if name == "all_reduce" { "x_sum" } else { "y" })
                };
                let outputs: Vec<_> = outputs.into_iter().map(exchanged).collect();
                let first = first.get_or_insert_with(|| outputs.clone());
                assert!(*first == outputs, "{name}, seed {seed}: other bits");
            }
        }
    }
}

/// A change of an example, and the words of the simulator's refusal.
struct Mutant {
    example: &'static str,
    from: &'static str,
    to: &'static str,
    codes: &'static [&'static str],
}

const MUTANTS: [Mutant; 9] = [
    // A missing wait.
    Mutant {
        example: "all_gather",
        from: "  wait done >= ranks * epoch\n",
        to: "",
        codes: &["window_race", "not_arrived"],
    },
    Mutant {
        example: "ring_all_gather",
        from: "    wait arrived[step] >= epoch\n",
        to: "",
        codes: &["window_race", "not_arrived"],
    },
    // A missing notification.
    Mutant {
        example: "all_gather",
        from: "  for peer in 0..ranks {\n    notify done on peer\n  }\n",
        to: "  notify done on rank\n",
        codes: &["rank_deadlock"],
    },
    // A wrong row.
    Mutant {
        example: "all_gather",
        from: "all[rank * R + row]",
        to: "all[row]",
        codes: &["window_race", "not_arrived"],
    },
    Mutant {
        example: "ring_all_gather",
        from: "(rank - step + ranks)",
        to: "(rank + step)",
        codes: &["window_race", "not_arrived"],
    },
    // A missing epoch.
    Mutant {
        example: "all_gather",
        from: "ranks * epoch",
        to: "ranks",
        codes: &["window_race", "not_arrived"],
    },
    Mutant {
        example: "ring_all_gather",
        from: ">= epoch",
        to: ">= 1",
        codes: &["window_race", "not_arrived"],
    },
    // A window that is written again too early.
    Mutant {
        example: "all_gather",
        from: " alternating",
        to: "",
        codes: &["window_race"],
    },
    Mutant {
        example: "all_reduce",
        from: "  wait added >= ranks * epoch\n",
        to: "  wait added >= ranks * (epoch - 1)\n",
        codes: &["window_race", "not_arrived"],
    },
];

/// Blocks tell each other that they are done, and then each of them a rank: once a rank, however many blocks there are. Who does not wait
/// for the other blocks tells too early.
#[test]
fn blocks_share_whom_they_tell() {
    let text = source("all_gather");
    let (counter, loops) = (
        "counter done\n",
        "  for peer in 0..ranks {\n    notify done",
    );
    assert!(text.contains(counter) && text.contains(loops));
    let told = "  notify given on rank\n  wait given >= epoch\n  for peer in 0..ranks shared unevenly {\n    notify done";
    let text = text.replace(counter, "counter done\n  counter given\n");
    let text = text.replace(loops, told);
    let early = text.replace("  wait given >= epoch\n", "");
    assert_ne!(text, early);
    let options = options(1, None);
    let [right, early] = [&text, &early].map(|t| graph(t, 4));
    let programs = kernels(&right, &options);
    let most = |p: &tilewright_ir::kernel::Program| {
        let blocks = p.kernels.iter().map(|k| k.launch.blocks());
        blocks.max().unwrap_or(0)
    };
    assert!(programs.iter().any(|p| most(p) > 4));
    for program in programs {
        for seed in 0..12 {
            simulate(&right, &program, 3, seed).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        }
    }
    for program in kernels(&early, &options).iter().filter(|p| most(p) > 4) {
        let refused = (0..12).find_map(|seed| simulate(&early, program, 3, seed).err());
        let error = refused.expect("a block that is not done is found");
        let code = miette::Diagnostic::code(&error).map(|c| c.to_string());
        let code = code.unwrap_or_default();
        let known = ["window_race", "not_arrived"];
        assert!(known.iter().any(|c| code.ends_with(c)), "{code}: {error}");
    }
}

#[test]
fn the_simulator_refuses_wrong_ones_in_some_order() {
    for m in MUTANTS {
        let source = source(m.example);
        assert!(source.contains(m.from), "{} has no {:?}", m.example, m.from);
        let graph = graph(&source.replace(m.from, m.to), 4);
        for program in kernels(&graph, &options(1, None)) {
            let refused = (0..12).find_map(|seed| simulate(&graph, &program, 3, seed).err());
            let Some(error) = refused else {
                panic!("{} with {:?} passes", m.example, m.to);
            };
            let code = miette::Diagnostic::code(&error).map(|c| c.to_string());
            let code = code.expect("every refusal has a code");
            let known = m.codes.iter().any(|c| code.ends_with(c));
            assert!(known, "{} with {:?}: {code}: {error}", m.example, m.to);
        }
    }
}

#[test]
fn a_wrong_one_is_refused_before_kernels_run_where_that_can_be_seen() {
    for m in MUTANTS
        .into_iter()
        .filter(|m| m.from.contains("wait ") || m.from.contains("epoch"))
    {
        let graph = graph(&source(m.example).replace(m.from, m.to), 2);
        let refused = run::run(&graph, &options(3, None), &data(&graph));
        let refused = refused.expect_err("it is wrong in the second run, or the first");
        assert!(
            matches!(*refused.error, Error::Reference(_)),
            "{:?}",
            refused.error
        );
    }
}

/// A product reads what an exchange brings, and so does another exchange.
#[test]
fn any_kernel_reads_what_an_exchange_brings() {
    let source = "\
exchange gather(x: any[R, C]) -> y: dtype(x)[ranks * R, C] {
  window all: dtype(x)[ranks * R, C] alternating
  counter done
  for peer in 0..ranks {
    put x -> all[rank * R] on peer
  }
  for peer in 0..ranks {
    notify done on peer
  }
  wait done >= ranks * epoch
  copy all -> y
}
graph layers {
  ranks N = 2
  param R = 8
  param C = 48
  input x: f32[R, C]
  input w: f32[16, C]
  kernel front {
    a = gather(x)
    b = matmul_nt(a, w)
    c = exp(b)
    d = gather(c)
    e = row_max(d)
  }
  kernel back {
    f = row_sub(d, e)
  }
  output f
}
";
    let graph = graph(source, 2);
    let outcome = run::run(&graph, &options(2, Some(4)), &data(&graph));
    let report = outcome.unwrap_or_else(|e| panic!("{e:?}")).report;
    assert!(report.ok, "{:?}", report.checks);
}

/// What every rank knows by itself counts rows as any other integer does.
#[test]
fn kernels_read_the_rank_and_the_run() {
    let source = "\
graph given {
  ranks N = 2
  param R = 8
  param C = 48
  input rank: i32
  input epoch: i32
  input x: f32[R, C]
  kernel a {
    y = mask_rows(x, rank)
  }
  kernel b {
    z = mask_rows(x, epoch)
  }
  output y, z
}
";
    let graph = graph(source, 4);
    let outcome = run::run(&graph, &options(3, None), &data(&graph));
    let report = outcome.unwrap_or_else(|e| panic!("{e:?}")).report;
    assert!(report.ok, "{:?}", report.checks);
}

/// Results that nobody reads are not brought.
#[test]
fn what_nobody_reads_costs_nothing() {
    let source = "\
exchange both(x: any[R, C]) -> y: dtype(x)[R, C], z: dtype(x)[R, C], told: i32[1, 2] {
  window in: dtype(x)[R, C] alternating
  counter done
  put x -> in on 1 - rank
  notify done on 1 - rank
  wait done >= epoch
  copy in -> y
  for row in 0..R {
    copy x[row] -> z[row]
  }
  if rank > 1 {
    fail told \"never\"
  }
}
graph two {
  ranks N = 2
  param R = 8
  param C = 48
  input x: f32[R, C]
  kernel k {
    y, z, told = both(x)
  }
  output y
}
";
    let graph = graph(source, 2);
    let outcome = run::run(&graph, &options(2, None), &data(&graph));
    let outcome = outcome.unwrap_or_else(|e| panic!("{e:?}"));
    assert!(outcome.report.ok);
    let text = outcome.compiled.optimized.program.to_string();
    assert!(!text.contains(" z:") && !text.contains("told"), "{text}");
}

/// Rows to experts and back. A choice of -1 is of no expert.
const MOE: &str = "\
graph moe {
  ranks EP = 2
  param T = 5
  param D = 32
  param K = 3
  param E = 8
  capacity ROOM = 15
  input x: i8[T, D]
  input scale: f32[T, 1]
  input indices: i32[T, K] >= -1 < E
  input weights: f32[T, K]
  input own: f32[T, D]
  input tokens: i32 <= T
  kernel dispatch {
    rows, scales, weight, route, count, status = dispatch(x, scale, indices, weights, tokens, experts = E, capacity = ROOM)
  }
  kernel experts {
    half = cast(rows, to = f16)
    wide = cast(half, to = f32)
    scaled = row_mul(wide, scales)
    y = row_mul(scaled, weight)
  }
  kernel combine {
    z = combine(y, route, count, own, tokens, topk = K)
  }
  output z, status, rows, route, count
}
";

/// The library's exchanges do what their definitions say, row by row; so does `combine`, which is one and a sum.
#[test]
fn the_library_is_what_it_is_defined_to_be() {
    let layer = Layer::parse("moe.tw", MOE.as_bytes()).expect("it parses");
    let mut failed = 0;
    for (ranks, room, tokens) in [(2, 15, 5), (4, 20, 3), (8, 40, 5), (4, 2, 5), (2, 15, 0)] {
        let sizes = [("EP", ranks), ("ROOM", room)];
        let sizes: IndexMap<String, i64> = sizes.map(|(n, v)| (n.to_string(), v)).into();
        let graph = layer.graph(&sizes).expect("a graph");
        let scalars = IndexMap::from([("tokens".to_string(), tokens)]);
        let inputs: Vec<Tensors> = (0..ranks as u64)
            .map(|r| data::inputs(&graph, &Source::Seed(r), &scalars).expect("drawn"))
            .collect();
        let defined = Layers::new(&graph).run(&inputs).expect("it runs");
        let parts = decompose(&graph).expect("it decomposes");
        let written = Layers::new(&parts)
            .by_program()
            .run(&inputs)
            .expect("it runs");
        for (a, b) in defined.iter().zip(&written) {
            assert_eq!(
                a.outputs, b.outputs,
                "{ranks} ranks, room for {room}, {tokens} tokens"
            );
            assert_eq!(a.failure, b.failure);
            failed += usize::from(a.failure.is_some());
        }
    }
    assert_eq!(
        failed, 4,
        "one case is too much for its lanes, on all ranks"
    );
}

/// Every choice of some tokens is of no expert, and of others some are; over several runs, in each of which the same memory is used.
#[test]
fn a_choice_of_no_expert_goes_nowhere_and_adds_nothing() {
    let declared = MOE.replace("i32[T, K] >= -1 < E", "i32[T, K] < E");
    let choices = |rank: usize| -> Vec<i64> {
        let of = |i: usize| match (i / 3 + rank) % 3 {
            0 => -1,
            1 if i.is_multiple_of(2) => -1,
            _ => (i as i64 * 5 + rank as i64) % 8,
        };
        (0..15).map(of).collect()
    };
    // What only the choice of experts reads may be -1 whatever range it has.
    for source in [MOE, &declared] {
        let layer = Layer::parse("moe.tw", source.as_bytes()).expect("it parses");
        let graph = layer.graph(&IndexMap::new()).expect("a graph");
        let mut inputs = generated(&graph);
        for (rank, tensors) in inputs.iter_mut().enumerate() {
            let chosen = Tensor::from_i64(DType::I32, &[5, 3], &choices(rank)).expect("it fits");
            tensors.insert("indices".into(), chosen);
            *tensors = check_inputs(&graph, tensors).expect("-1 is a choice");
            let far = Tensor::from_i64(DType::I32, &[5, 3], &[-2; 15]).expect("it fits");
            let wrong = Tensors::from([("indices".to_string(), far)]);
            let wrong: Tensors = tensors.clone().into_iter().chain(wrong).collect();
            let refused = check_inputs(&graph, &wrong).expect_err("-2 is no choice");
            assert!(refused.to_string().contains("at least -1"), "{refused}");
        }
        let outcome = run::run(&graph, &options(3, Some(1)), &Data::new(inputs.clone()));
        let report = outcome.unwrap_or_else(|e| panic!("{e:?}")).report;
        assert!(report.ok, "{:?}", report.checks);
        // A token without experts keeps its own row.
        let defined = Layers::new(&graph).run(&inputs).expect("it runs");
        let z = defined[0].outputs["z"].to_f32();
        let own = inputs[0]["own"].to_f32();
        assert_eq!(z[..32], own[..32], "token 0 of rank 0 has no expert");
        assert_ne!(z[64..96], own[64..96], "token 2 has some");
    }
}

/// What a block's own trips read of thousands of integers has room beside the scalar unit, where all of it has not: neither is an array
/// in memory, nor is an operand read element by element.
#[test]
fn integers_of_many_tokens_stay_beside_the_scalar_unit() {
    use tilewright_ir::kernel::{Instr, Kernel};
    let layer = Layer::parse("moe.tw", MOE.as_bytes()).expect("it parses");
    for tokens in [1024, 1500] {
        let sizes = [("T", tokens), ("ROOM", 2 * 3 * tokens)];
        let sizes: IndexMap<String, i64> = sizes.map(|(n, v)| (n.to_string(), v)).into();
        let graph = layer.graph(&sizes).expect("a graph");
        let mut options = options(1, None);
        options.pins = vec!["dispatch.BLOCKS=32".parse().expect("it is a pin")];
        let outcome = run::run(&graph, &options, &data(&graph));
        let outcome = outcome.unwrap_or_else(|e| panic!("{e:?}"));
        assert!(outcome.report.ok, "{:?}", outcome.report.checks);
        let kernels = &outcome.compiled.optimized.program.kernels;
        let kernel = |name| kernels.iter().find(|k: &&Kernel| k.name == name);
        let dispatch = kernel("dispatch").expect("it is there");
        let (mut alone, mut by_line) = (vec![], 0);
        dispatch.visit(&mut |i| match i {
            Instr::ReadScalar { src, .. } => alone.push(src.tensor.clone()),
            Instr::WriteScalar { dst, .. } => alone.push(dst.tensor.clone()),
            Instr::ReadArray { src, .. } if src.tensor == "indices" => by_line += 1,
            _ => {}
        });
        alone.retain(|tensor| tensor == "indices" || tensor.ends_with("_choices"));
        assert!(alone.is_empty(), "{tokens} tokens: {alone:?}");
        assert!(by_line > 0, "{tokens} tokens");
    }
}
