//! Tuning against the truth: spaces that are enumerated, and a model of the machine that is wrong.
//!
//! `cargo bench --bench tune` prints markdown tables; `docs/benchmarks.md` holds them and says what the columns mean. Arguments are
//! names of spaces, to look at a few.

// Not every benchmark uses all that they share.
#[allow(dead_code)]
mod common;

use common::{Result, head, machine, row};
use indexmap::IndexMap;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::Instant;
use tilewright::compile::Options;
use tilewright::form::Form;
use tilewright::layer::Layer;
use tilewright::run::compile_form;
use tilewright::tune::database::Memory;
use tilewright::tune::effort::Effort;
use tilewright::tune::engine::Bench;
use tilewright::tune::kernel::KernelSpace;
use tilewright::tune::layer::{Subject, tune};
use tilewright::tune::proposer::{Anywhere, Evolution, Guided, History, Proposer, Tried};
use tilewright::tune::random::Random;
use tilewright::tune::runner::Simulated;
use tilewright::tune::space::{Built, Point, Space};
use tilewright::tune::statistic::median;
use tilewright::tune::stop::Budget;
use tilewright::tune::{lowered, problem};
use tilewright_backends::data::Tensors;
use tilewright_backends::sim;
use tilewright_ir::graph::Graph;
use tilewright_ir::machine::Machine;
use tilewright_passes::search::trials::{Filled, Range, regions};

const SEEDS: u64 = 20;
/// A schedule this near to the best one is as good.
const NEAR: f64 = 1.02;
/// Trials at a time, and the most of a run with a model that is wrong.
const BATCH: usize = 8;
const RECOVERY: usize = 200;
/// Seeds of such runs.
const RECOVERIES: u64 = 3;
/// The most trials of a run: learning takes longer than trying.
const MOST: usize = 400;
const MOST_LEARNED: usize = 96;

/// Name, layer, kernel, and the parameters that the space has; none stands for all.
const SPACES: &[(&str, &str, &str, &[&str])] = &[
    ("ffn_norm", GATE, "ffn_norm", &[]),
    ("x_norm_quant", GATE, "x_norm_quant", &[]),
    (
        "gate",
        GATE,
        "gate",
        &[
            "GATE_M_TILE",
            "GATE_N_TILE",
            "GATE_D_TILE",
            "pipeline",
            "split_k",
        ],
    ),
    (
        "exp_gate_mm",
        EXPERTS,
        "exp_gate_mm",
        &["RECV_TILE", "MM_INTER_TILE", "K_TILE", "pipeline", "launch"],
    ),
    (
        "1024^3 product",
        PRODUCT,
        "product",
        &["M_TILE", "N_TILE", "K_TILE", "pipeline", "launch"],
    ),
    ("softmax", SOFTMAX, "norm", &[]),
];

const GATE: &str = include_str!("../examples/dsv4_flash_gate.tw");
/// The first product of the routed experts of `dsv4_flash_moe.tw`, fewer of them.
const EXPERTS: &str = "graph experts {
  param E = 8
  param R = 64
  param D = 4096
  param F = 512
  input counts: i32[E, 1] <= R
  input x: i8[E * R, D] ragged counts
  input w: i8[E * F, D]
  kernel exp_gate_mm {
    tile RECV_TILE = 16 over R
    tile MM_INTER_TILE = 256 over F per block
    tile K_TILE = 512 over D
    acc = grouped_matmul_nt(x, w)
  }
  output acc
}
";
const PRODUCT: &str = "graph product {
  param M = 1024
  param N = 1024
  param K = 1024
  input a: bf16[M, K]
  input b: bf16[N, K]
  kernel product {
    c = matmul_nt(a, b)
  }
  output c
}
";
const SOFTMAX: &str = "graph softmax {
  param T = 64
  param D = 2048
  input x: f32[T, D]
  kernel norm {
    y = softmax(x)
  }
  output y
}
";

/// Who proposes.
const WHO: [&str; 4] = ["random", "evolution", "surrogate", "both"];

fn proposer(who: &str, seed: u64) -> Box<dyn Proposer> {
    match who {
        "random" => Box::new(Anywhere),
        "evolution" => Box::new(Evolution::default()),
        "surrogate" => {
            // No parents: all that it looks at is drawn from anywhere.
            let mut guided = Guided::new(seed);
            guided.evolution.parents = 0;
            Box::new(guided)
        }
        _ => Box::new(Guided::new(seed)),
    }
}

/// A space with fewer parameters, and the true times of its programs.
struct Part<'f> {
    of: KernelSpace<'f>,
    ranges: Vec<Range>,
    places: Vec<usize>,
    truth: &'f Machine,
    times: std::cell::RefCell<HashMap<String, f64>>,
}

impl<'f> Part<'f> {
    fn new(of: KernelSpace<'f>, names: &[&str], truth: &'f Machine) -> Self {
        let kept = |(_, r): &(usize, &Range)| names.is_empty() || names.contains(&r.name.as_str());
        let places: Vec<usize> = of
            .ranges()
            .iter()
            .enumerate()
            .filter(kept)
            .map(|k| k.0)
            .collect();
        Part {
            ranges: places.iter().map(|p| of.ranges()[*p].clone()).collect(),
            places,
            of,
            truth,
            times: std::cell::RefCell::default(),
        }
    }

    /// The true time of a program, which is what the simulator says.
    fn time(&self, built: &Built) -> f64 {
        if let Some(us) = self.times.borrow().get(&built.hash) {
            return *us;
        }
        let us = sim::time(&built.program, self.truth).map_or(f64::INFINITY, |r| r.us);
        self.times.borrow_mut().insert(built.hash.clone(), us);
        us
    }
}

impl Space for Part<'_> {
    fn name(&self) -> &str {
        self.of.name()
    }

    fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    fn build(&self, point: &Point) -> std::result::Result<Rc<Built>, String> {
        let mut whole = self.of.free();
        for (place, value) in self.places.iter().zip(&point.0) {
            whole.0[*place] = *value;
        }
        self.of.build(&whole)
    }

    fn seeds(&self, _: usize) -> Vec<Point> {
        vec![self.free()]
    }
}

/// What a trial says: the truth, or the truth with noise of 5 % and one outlier in twenty.
fn measured(us: f64, noise: bool, random: &mut Random) -> f64 {
    if !noise {
        return us;
    }
    let repeats: Vec<f64> = (0..3).map(|_| once(us, random)).collect();
    median(&repeats).unwrap_or(us)
}

/// One noisy measurement.
fn once(us: f64, random: &mut Random) -> f64 {
    // A sum of twelve is as good as normal.
    let normal = (0..12).map(|_| random.unit()).sum::<f64>() - 6.0;
    let tail = if random.unit() < 0.05 {
        1.5 + 2.0 * random.unit()
    } else {
        1.0
    };
    us * (1.0 + 0.05 * normal).max(0.5) * tail
}

/// The true times of the incumbent after each trial.
fn run(space: &Part, who: &str, seed: u64, (noise, seeded): (bool, bool), most: usize) -> Vec<f64> {
    let mut random = Random::new(seed);
    let mut proposer = proposer(who, seed);
    let mut history = History::default();
    let (mut best, mut out) = ((f64::INFINITY, f64::INFINITY), vec![]);
    let mut next = match seeded {
        true => space.seeds(1),
        false => Anywhere.propose(&history, space, BATCH, &mut random),
    };
    while out.len() < most && !next.is_empty() {
        for point in next {
            let Ok(built) = space.build(&point) else {
                continue;
            };
            if history.programs.contains(&built.hash) {
                continue;
            }
            let truth = space.time(&built);
            let us = measured(truth, noise, &mut random);
            if us < best.0 {
                best = (us, truth);
            }
            out.push(best.1);
            let (hash, features) = (built.hash.clone(), built.features.clone());
            history.add(Tried {
                point,
                hash,
                features,
                us: Some(us),
            });
        }
        next = proposer.propose(&history, space, BATCH, &mut random);
    }
    out
}

/// Everything in a space: programs, and the best time.
fn enumerate(space: &Part) -> (usize, f64) {
    let mut best = f64::INFINITY;
    for point in space.all() {
        if let Ok(built) = space.build(&point) {
            best = best.min(space.time(&built));
        }
    }
    (space.times.borrow().len(), best)
}

fn wrong(right: &Machine) -> Machine {
    let mut wrong = right.clone();
    wrong.gm_to_l1.peak.value /= 2.0;
    let runtime = wrong.runtime_mut();
    runtime.task.value = 0.0;
    runtime.block.value = 0.0;
    runtime.parallel.value = runtime.spmd.value;
    wrong
}

fn main() -> Result<()> {
    let asked: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    let right = machine()?;
    let off = wrong(&right);
    let heads = [
        "space",
        "points",
        "programs",
        "seconds",
        "noise",
        "random",
        "evolution",
        "surrogate",
        "both",
        "as `tune` starts",
    ];
    let mut found = vec![];
    let mut recovered = vec![];
    let mut layers = HashSet::new();
    for (name, text, kernel, names) in SPACES {
        if !asked.is_empty() && !asked.iter().any(|a| a == name) {
            continue;
        }
        let layer = Layer::parse(name, text.as_bytes())?;
        let graph = layer.graph(&IndexMap::new())?;
        let fill = |machine: &Machine| -> Result<Filled> {
            let problem = problem(&lowered(&graph, &Options::new(machine.clone()))?, machine)?;
            let region = regions(&problem).into_iter().find(|r| r.name == *kernel);
            let region = region.ok_or("there is no such kernel")?;
            Ok(Filled::new(
                region.problem,
                machine,
                &Options::new(machine.clone()).search,
            )?)
        };
        let filled = fill(&right)?;
        let options = Options::new(right.clone());
        let space = Part::new(
            KernelSpace::new(kernel, &filled, &right, &options.search),
            names,
            &right,
        );
        let start = Instant::now();
        let (programs, best) = enumerate(&space);
        let seconds = start.elapsed().as_secs_f64();
        for noise in [false, true] {
            let mut cells = vec![
                (*name).to_owned(),
                space.size().to_string(),
                programs.to_string(),
                format!("{seconds:.1}"),
                if noise { "5 %, outliers" } else { "none" }.into(),
            ];
            let count = |who: &str, seeded: bool| {
                let most = programs.min(match who {
                    "random" | "evolution" => MOST,
                    _ => MOST_LEARNED,
                });
                let one = |seed: u64| {
                    let curve = run(&space, who, seed, (noise, seeded), most);
                    // The first trial from which the incumbent stays near.
                    let far = curve.iter().rposition(|us| *us > best * NEAR);
                    far.map_or(0, |p| p + 1) as f64 + 1.0
                };
                let all: Vec<f64> = (0..SEEDS).map(one).collect();
                let n = median(&all).unwrap_or(0.0);
                match n > most as f64 {
                    true => format!("over {most}"),
                    false => format!("{n:.0} ({:.1} %)", 100.0 * n / programs as f64),
                }
            };
            cells.extend(WHO.iter().map(|who| count(who, false)));
            cells.push(count("both", true));
            eprintln!("{}", row(&cells));
            found.push(cells);
        }
        if layers.insert(*text) {
            recovered.push(recovery(&layer, &graph, (&off, &right))?);
        }
        eprintln!("{name} done after {:.0} s", start.elapsed().as_secs_f64());
    }
    println!("{}", head(&heads));
    found.iter().for_each(|r| println!("{}", row(r)));
    let heads = [
        "layer",
        "pick of the right model us",
        "of the wrong one us",
        "after 200 trials a kernel us",
        "recovered",
    ];
    println!("\n{}", head(&heads));
    recovered.iter().for_each(|r| println!("{}", row(r)));
    Ok(())
}

/// Tuning of a layer with a wrong model against a runner that is right: as the search has it by the right one, by the wrong one, and
/// as it is tuned.
fn recovery(
    layer: &Layer,
    graph: &Graph,
    (off, right): (&Machine, &Machine),
) -> Result<Vec<String>> {
    let known = compile_form(graph, Form::Optimized, &Options::new(right.clone()))?;
    let best = sim::time(&known.program, right)?.us;
    let options = Options::new(off.clone());
    let runner = Simulated::new(right.clone());
    let subject = Subject {
        layer,
        graph,
        options: &options,
        scalars: &IndexMap::new(),
        inputs: &Tensors::new(),
    };
    let tuned = |seed: u64| -> Result<(f64, f64)> {
        let database = Memory::default();
        let mut bench = Bench::new(&runner, &database, off);
        bench.profile = Effort::Default.profile();
        bench.budget = Budget::new(RECOVERY, None);
        bench.seed = seed;
        let report = tune(&subject, &bench, Effort::Default)?;
        Ok((report.pick_us, report.us))
    };
    let ends: Result<Vec<(f64, f64)>> = (0..RECOVERIES).map(tuned).collect();
    let ends = ends?;
    let pick = ends[0].0;
    let end = median(&ends.iter().map(|e| e.1).collect::<Vec<_>>()).unwrap_or(pick);
    let lost = pick - best;
    Ok(vec![
        graph.name.clone(),
        format!("{best:.3}"),
        format!("{pick:.3}"),
        format!("{end:.3}"),
        match lost > best * 1e-3 {
            true => format!("{:.0} %", 100.0 * (pick - end) / lost),
            false => "nothing was lost".into(),
        },
    ])
}
