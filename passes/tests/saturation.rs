//! A search over terms that says it is through has found all that its rules can find. It does not look at everything in each
//! iteration, only at what changed: so here a search is done again that does.

mod support;

#[path = "support/graphs.rs"]
#[allow(dead_code)]
mod graphs;

use egg::{Runner, SimpleScheduler};
use indexmap::IndexMap;
use std::time::Duration;
use support::choices::{Choices, mix};
use tilewright_ir::graph::Graph as Layer;
use tilewright_ir::machine::Machine;
use tilewright_ir::text::{elaborate, parse};
use tilewright_passes::decompose::decompose;
use tilewright_passes::egraph::rules::{self, Role, Rule};
use tilewright_passes::egraph::saturate::{Saturated, saturate};
use tilewright_passes::egraph::{SearchOptions, Stop};
use tilewright_passes::numerics::Numerics;
use tilewright_passes::problem::{Problem, build};
use tilewright_passes::prune::prune;
use tilewright_passes::term::analysis::{Done, TermAnalysis};
use tilewright_passes::term::changed::Changed;
use tilewright_passes::term::language::{Head, Term};

const LAYERS: usize = 24;

fn layer(source: &str, sizes: &[(&str, i64)]) -> Layer {
    let sizes: IndexMap<String, i64> = sizes.iter().map(|(n, v)| (n.to_string(), *v)).collect();
    elaborate(&parse(source).unwrap(), &sizes).unwrap()
}

fn problem(layer: &Layer) -> Problem {
    build(
        &prune(&decompose(layer).unwrap()),
        &Machine::builtin("A3").unwrap(),
    )
    .unwrap()
}

fn saturated(problem: &Problem, numerics: Numerics) -> Saturated {
    let options = SearchOptions {
        numerics,
        ..SearchOptions::default()
    };
    let found = saturate(problem, &Machine::builtin("A3").unwrap(), &options).unwrap();
    assert_eq!(found.report.stop, Stop::Saturated);
    found
}

/// The rules of a search over this problem.
fn selected(problem: &Problem, numerics: Numerics) -> Vec<Rule> {
    let stores = problem.kernels.iter().flat_map(|k| &k.stores);
    let exprs = stores.flat_map(|s| [&s.value, &s.buffer]);
    let heads: Vec<Head> = exprs
        .flat_map(|e| e.as_ref().iter().filter_map(|t| t.head()))
        .collect();
    let active = |r: &Rule| {
        r.role == Role::Structure || (r.role != Role::Optional && r.numerics <= numerics)
    };
    let mut rules = rules::all(&rules::closure(&heads, active));
    rules.retain(active);
    rules
}

/// Rewrites that still add something when every match is looked at as if for the first time.
fn left_over(problem: &Problem, found: Saturated, numerics: Numerics) -> Vec<String> {
    let mut egraph = found.egraph;
    egraph.analysis.done = Done::default();
    egraph.analysis.changed = Changed::default();
    let rules = selected(problem, numerics);
    let rewrites: Vec<_> = rules.iter().flat_map(|r| r.rewrites().unwrap()).collect();
    let runner: Runner<Term, TermAnalysis> = Runner::new(TermAnalysis::default())
        .with_egraph(egraph)
        .with_scheduler(SimpleScheduler)
        .with_node_limit(usize::MAX)
        .with_time_limit(Duration::MAX)
        .with_iter_limit(1)
        .run(&rewrites);
    let applied = runner.iterations.iter().flat_map(|i| i.applied.keys());
    applied.map(|name| name.to_string()).collect()
}

fn is_through(layer: &Layer, what: &str) {
    let problem = problem(layer);
    for numerics in [Numerics::Bitwise, Numerics::Relaxed] {
        let found = saturated(&problem, numerics);
        let left = left_over(&problem, found, numerics);
        assert!(left.is_empty(), "{what}, {numerics}: {left:?}");
    }
}

#[test]
fn examples_are_searched_to_their_fixpoint() {
    let gate = include_str!("../../examples/dsv4_flash_gate.tw");
    let expert = include_str!("../../examples/dsv4_shared_expert.tw");
    is_through(&layer(gate, &[("D", 256), ("VOCAB", 512)]), "gate");
    let sizes = [("D", 256), ("MOE_INTER", 128)];
    is_through(&layer(expert, &sizes), "shared expert");
}

#[test]
fn random_layers_are_searched_to_their_fixpoint() {
    // Few lists of choices make a layer.
    let layers = (0..4000).filter_map(|seed| {
        let list = (0..64).map(|i| mix(seed, i) as u32).collect();
        Some((seed, graphs::graph(&mut Choices::new(list))?))
    });
    let mut made = 0;
    for (seed, layer) in layers.take(LAYERS) {
        is_through(&layer, &format!("seed {seed}"));
        made += 1;
    }
    assert_eq!(made, LAYERS);
}

/// The sign of a value is known only after its operand is found equal to another one. Until then a bound of zero is kept,
/// and nothing near that match changes later.
#[test]
fn what_was_refused_is_looked_at_again() {
    let late = layer(
        "graph g {
           param T = 4
           param D = 64
           input x: f32[T, D]
           kernel k {
             a = neg(neg(abs(x)))
             b = mul(exp(mul(a, 2.0)), mul(a, 2.0))
             c = row_max(max(mul(a, 2.0), 0.0))
           }
           output b, c
         }",
        &[],
    );
    let problem = problem(&late);
    let found = saturated(&problem, Numerics::Bitwise);
    let class = |term: &str| {
        let found = found.egraph.lookup_expr(&term.parse().unwrap());
        found.unwrap_or_else(|| panic!("there is no {term}"))
    };
    assert_eq!(
        class("(row_max (s.max (s.mul (neg (neg (abs (input x)))) 2.0) 0.0))"),
        class("(row_max (s.mul (neg (neg (abs (input x)))) 2.0))"),
    );
}

/// Two values become one because their operands do. Their class has as many terms as before, and is news all the same to
/// what reads it twice now.
#[test]
fn what_became_one_is_looked_at() {
    let two = layer(
        "graph g {
           param T = 4
           param D = 64
           input x: f32[T, D]
           kernel k {
             a = exp(neg(neg(x)) * 2.0)
             b = exp(x * 2.0)
             c = row_sum(max(a, b))
           }
           output c
         }",
        &[],
    );
    is_through(&two, "two values that are one");
    let found = saturated(&problem(&two), Numerics::Bitwise);
    let term = "(row_sum (exp (s.mul (input x) 2.0)))".parse().unwrap();
    assert!(found.egraph.lookup_expr(&term).is_some());
}
