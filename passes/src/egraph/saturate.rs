//! Fills the e-graph: the problem's terms, then the rules until nothing new comes or a limit is reached.

use super::rules::user::UserRule;
use super::rules::{self, Role, Rule, RuleError};
use super::{RuleReport, SaturateError, SearchOptions, SearchReport, Stop};
use crate::hash::HashMap;
use crate::numerics::Numerics;
use crate::problem::Problem;
use crate::term::analysis::{Facts, Graph, Kind, Limits, TermAnalysis};
use crate::term::changed::Changed;
use crate::term::language::{Head, Term};
use egg::{
    EGraph, ENodeOrVar, Id, Language, PatternAst, RecExpr, RewriteScheduler, Runner, SearchMatches,
    StopReason, Subst, Symbol,
};
use indexmap::IndexMap;
use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tilewright_ir::DType;
use tilewright_ir::graph::{EPOCH, RANK};
use tilewright_ir::kernel::Role as TensorRole;
use tilewright_ir::machine::Machine;
use tilewright_ir::op::Access;
use tracing::{debug, debug_span};

/// The filled e-graph.
pub struct Saturated {
    pub egraph: Graph,
    /// For each kernel, for each store, the e-class of the materialised value.
    pub buffers: Vec<Vec<Id>>,
    /// What the graph calls the values of classes.
    pub labels: Labels,
    pub report: SearchReport,
}

/// Saturates the problem's e-graph.
pub fn saturate(
    problem: &Problem,
    machine: &Machine,
    options: &SearchOptions,
) -> Result<Saturated, SaturateError> {
    let mut saturation = Saturation::new(problem, machine, options)?;
    while saturation.widen()?.is_some() {}
    Ok(saturation.finish())
}

/// An e-graph that fills in stages, one a numerics policy, the strictest first. What a stage adds cannot take away what an
/// earlier one found, so each stage's e-graph contains that of every stricter policy, with the same terms and proofs.
pub struct Saturation<'a> {
    pub egraph: Graph,
    pub buffers: Vec<Vec<Id>>,
    named: Vec<(String, Id, String)>,
    options: &'a SearchOptions,
    selected: Vec<Rule>,
    user: Vec<&'a UserRule>,
    /// Policies that are left.
    stages: VecDeque<Numerics>,
    iterations: usize,
    stop: Stop,
    start: Instant,
    seconds: f64,
    rules: IndexMap<String, RuleReport>,
}

impl<'a> Saturation<'a> {
    /// The e-graph of the form as written. It comes first and without limits, so that there is always a legal plan.
    pub fn new(
        problem: &Problem,
        machine: &Machine,
        options: &'a SearchOptions,
    ) -> Result<Self, SaturateError> {
        let start = Instant::now();
        check_names(options)?;
        let Initial {
            mut egraph,
            buffers,
            heads,
            named,
        } = initial(problem, machine, options);
        let selected = selected(&heads, options);
        let user: Vec<&UserRule> = options.rules.iter().filter(|r| runs(r, options)).collect();
        let policies = (selected.iter().filter(|r| r.role != Role::Structure))
            .map(|r| r.numerics)
            .chain(user.iter().map(|r| r.numerics));
        let stages: BTreeSet<Numerics> = policies.collect();
        let names_of_ours = selected.iter().map(|r| r.name);
        let names_of_user = user.iter().map(|r| r.name.as_str());
        let rules = names_of_ours
            .chain(names_of_user)
            .map(|name| (name.to_string(), RuleReport::default()))
            .collect();
        egraph.rebuild();
        let mut saturation = Saturation {
            egraph,
            buffers,
            named,
            options,
            selected,
            user,
            stages: stages.into_iter().collect(),
            iterations: 0,
            stop: Stop::Saturated,
            start,
            seconds: 0.0,
            rules,
        };
        let rules = saturation.rewrites(|r| r.role == Role::Structure)?;
        let runner = runner().with_node_limit(usize::MAX);
        let runner = runner.with_iter_limit(usize::MAX);
        saturation.run(runner.with_time_limit(Duration::MAX), &rules)?;
        saturation.egraph.analysis.limits.nodes = options.node_limit;
        Ok(saturation)
    }

    /// Adds what the next policy allows, if one is left; returns it.
    pub fn widen(&mut self) -> Result<Option<Numerics>, SaturateError> {
        let Some(policy) = self.stages.pop_front() else {
            return Ok(None);
        };
        let mut rules = self.rewrites(|r| r.numerics <= policy)?;
        for rule in self.user.iter().filter(|r| r.numerics <= policy) {
            rules.extend(rule.rewrites()?);
        }
        let mut left = self.options.iter_limit;
        self.egraph.analysis.done.go_on();
        loop {
            let until = |limit: Duration| limit.saturating_sub(self.start.elapsed());
            let runner = runner()
                .with_node_limit(self.options.node_limit)
                .with_iter_limit(left)
                .with_time_limit(self.options.time_limit.map_or(Duration::MAX, until));
            let before = self.iterations;
            let size = self.egraph.total_size();
            let new = self.run(runner, &rules)?;
            left = left.saturating_sub(self.iterations - before);
            // A fixpoint is one when it still is with every old match looked at anew.
            let stable = !new && size == self.egraph.total_size();
            if self.stop != Stop::Saturated || stable {
                return Ok(Some(policy));
            }
            self.egraph.analysis.done.reopen();
        }
    }

    fn rewrites(&self, of: impl Fn(&Rule) -> bool) -> Result<Vec<Rewrite>, RuleError> {
        let rules = self.selected.iter().filter(|r| of(r));
        let rewrites = rules.map(Rule::rewrites).collect::<Result<Vec<_>, _>>();
        Ok(rewrites?.concat())
    }

    /// Whether the rules added anything.
    fn run(
        &mut self,
        runner: Runner<Term, TermAnalysis>,
        rules: &[Rewrite],
    ) -> Result<bool, SaturateError> {
        let start = Instant::now();
        let _span = debug_span!("fill").entered();
        let watched = Watched::default();
        let told = watched.0.clone();
        let mut egraph = std::mem::take(&mut self.egraph);
        egraph.analysis.changed = Changed::default();
        let runner = runner.with_egraph(egraph).with_hook(|runner| {
            let mut changed = std::mem::take(&mut runner.egraph.analysis.changed);
            changed.update(&runner.egraph);
            runner.egraph.analysis.changed = changed;
            debug!(progress = "e-nodes", done = runner.egraph.total_size());
            Ok(())
        });
        let runner = runner.with_scheduler(watched).run(rules);
        let calls = runner.iterations.len();
        let sum = |part: fn(&egg::Iteration<()>) -> f64| -> f64 {
            runner.iterations.iter().map(part).sum()
        };
        debug!(step = "match", seconds = sum(|i| i.search_time), calls);
        debug!(step = "apply", seconds = sum(|i| i.apply_time), calls);
        debug!(step = "rebuild", seconds = sum(|i| i.rebuild_time), calls);
        self.egraph = runner.egraph;
        if let Some(conflict) = &self.egraph.analysis.conflict {
            return Err(SaturateError::Unsound(conflict.clone()));
        }
        let mut new = false;
        for (line, more) in told.borrow().iter() {
            new |= more.applied > 0;
            let rule = rules::rule_of(line.as_str()).to_string();
            self.rules.entry(rule).or_default().add(*more);
        }
        self.iterations += runner.iterations.len();
        self.stop = match runner.stop_reason {
            Some(StopReason::NodeLimit(_)) => Stop::NodeLimit,
            Some(StopReason::IterationLimit(_)) => Stop::IterLimit,
            Some(StopReason::TimeLimit(_)) => Stop::TimeLimit,
            // Appliers that are over budget add nothing, which looks like a fixpoint.
            _ if self.egraph.total_size() > self.egraph.analysis.limits.nodes => Stop::NodeLimit,
            _ => Stop::Saturated,
        };
        self.seconds += start.elapsed().as_secs_f64();
        Ok(new)
    }

    /// What the graph calls the values of classes.
    pub fn labels(&self) -> Labels {
        Labels::new(&self.egraph, self.named.clone())
    }

    /// How filling went.
    pub fn report(&self) -> SearchReport {
        SearchReport {
            nodes: self.egraph.total_number_of_nodes(),
            classes: self.egraph.number_of_classes(),
            iterations: self.iterations,
            stop: self.stop,
            seconds: self.seconds,
            rules: self.rules.clone(),
        }
    }

    fn finish(self) -> Saturated {
        Saturated {
            labels: self.labels(),
            report: self.report(),
            egraph: self.egraph,
            buffers: self.buffers,
        }
    }
}

type Rewrite = egg::Rewrite<Term, TermAnalysis>;

fn runner() -> Runner<Term, TermAnalysis> {
    Runner::new(TermAnalysis::default())
}

/// Every line of every rule in each iteration, as [`egg::SimpleScheduler`] does; keeps what each did and how long it took.
#[derive(Default)]
struct Watched(Rc<RefCell<IndexMap<Symbol, RuleReport>>>);

impl Watched {
    fn tell(&self, rewrite: &Rewrite, more: RuleReport) {
        let mut told = self.0.borrow_mut();
        told.entry(rewrite.name).or_default().add(more);
    }
}

impl RewriteScheduler<Term, TermAnalysis> for Watched {
    fn search_rewrite<'a>(
        &mut self,
        _: usize,
        egraph: &Graph,
        rewrite: &'a Rewrite,
    ) -> Vec<SearchMatches<'a, Term>> {
        let start = Instant::now();
        let found = rewrite.search(egraph);
        let more = RuleReport {
            matches: found.iter().map(|m| m.substs.len()).sum(),
            applied: 0,
            seconds: start.elapsed().as_secs_f64(),
        };
        self.tell(rewrite, more);
        found
    }

    fn apply_rewrite(
        &mut self,
        _: usize,
        egraph: &mut Graph,
        rewrite: &Rewrite,
        matches: Vec<SearchMatches<Term>>,
    ) -> usize {
        let start = Instant::now();
        let applied = rewrite.apply(egraph, &matches).len();
        let more = RuleReport {
            matches: 0,
            applied,
            seconds: start.elapsed().as_secs_f64(),
        };
        self.tell(rewrite, more);
        applied
    }
}

/// What the graph calls the values of classes.
#[derive(Debug, Clone, Default)]
pub struct Labels {
    /// By the kernel that computes the value.
    own: HashMap<String, HashMap<Id, String>>,
    /// Of several names, the first.
    any: HashMap<Id, String>,
}

impl Labels {
    /// `named` is kernel, class and name of each value.
    fn new(egraph: &Graph, named: Vec<(String, Id, String)>) -> Self {
        let mut out = Labels::default();
        for (kernel, id, name) in named {
            let class = egraph.find(id);
            out.any.entry(class).or_insert_with(|| name.clone());
            let own = out.own.entry(kernel).or_default();
            own.entry(class).or_insert(name);
        }
        out
    }

    /// The name of a canonical class in a kernel: what others call the same value counts only where the kernel has no word for it.
    pub fn of(&self, kernel: &str, class: Id) -> Option<&String> {
        let own = self.own.get(kernel).and_then(|own| own.get(&class));
        own.or_else(|| self.any.get(&class))
    }
}

fn check_names(options: &SearchOptions) -> Result<(), SaturateError> {
    let table = rules::table();
    for name in options.disabled.iter().chain(&options.enabled) {
        match table.iter().find(|r| r.name == name) {
            Some(r) if r.role != Role::Structure => {}
            Some(_) => return Err(SaturateError::Structure { name: name.clone() }),
            None if options.rules.get(name).is_some() => {}
            None => {
                let user = options.rules.iter().map(|r| r.name.as_str());
                let names = table.iter().map(|r| r.name).chain(user);
                return Err(SaturateError::UnknownRule {
                    name: name.clone(),
                    nearest: crate::nearest(name, names).unwrap_or_default().into(),
                });
            }
        }
    }
    Ok(())
}

fn selected(heads: &[Head], options: &SearchOptions) -> Vec<Rule> {
    let active = |r: &Rule| match r.role {
        Role::Structure => true,
        Role::Choice | Role::Optional | Role::Plan => {
            let wanted = r.role != Role::Optional || options.enabled.contains(r.name);
            wanted
                && !options.as_written
                && r.numerics <= options.numerics
                && !options.disabled.contains(r.name)
        }
    };
    let mut rules = rules::all(&rules::closure(heads, active));
    rules.retain(active);
    rules
}

/// Whether a rule of a file takes part.
fn runs(rule: &UserRule, options: &SearchOptions) -> bool {
    !options.as_written
        && rule.numerics <= options.numerics
        && !options.disabled.contains(&rule.name)
}

/// The e-graph before any rule.
struct Initial {
    egraph: Graph,
    /// The class of every stored value, by kernel.
    buffers: Vec<Vec<Id>>,
    /// Operators that occur.
    heads: Vec<Head>,
    /// What the layer calls the values of classes.
    /// Kernel, class and name of each value.
    named: Vec<(String, Id, String)>,
}

/// The e-graph before any rule.
fn initial(problem: &Problem, machine: &Machine, options: &SearchOptions) -> Initial {
    let mut analysis = TermAnalysis {
        limits: Limits::of(machine),
        sizes: options.sizes.clone(),
        ..Default::default()
    };
    for (name, t) in &problem.tensors {
        if t.role == TensorRole::Input {
            let (r, c) = t.matrix();
            analysis.tensors.insert(name.into(), (r, c, t.dtype));
            if let Some(ragged) = &t.ragged {
                analysis.groups.insert(name.into(), ragged.groups);
            }
        }
    }
    for kernel in &problem.kernels {
        let Some(exchange) = &kernel.exchange else {
            continue;
        };
        let shares = exchange.shares(machine.vector_cores.value as usize);
        for store in &kernel.stores {
            let (r, c, dtype) = (store.rows, store.cols, problem.tensors[&store.name].dtype);
            analysis.tensors.insert((&store.name).into(), (r, c, dtype));
            if let Some(ragged) = &problem.tensors[&store.name].ragged {
                analysis.groups.insert((&store.name).into(), ragged.groups);
            }
            analysis.shares.insert((&store.name).into(), shares.clone());
        }
    }
    let given = [RANK, EPOCH].map(String::from);
    for name in problem.scalars.keys().chain(&given) {
        analysis.tensors.insert(name.into(), (1, 1, DType::I32));
    }
    let mut egraph = EGraph::new(analysis)
        .with_explanations_enabled()
        .without_explanation_length_optimization();
    let mut heads = BTreeSet::new();
    let mut buffers = vec![];
    let mut named = vec![];
    for kernel in &problem.kernels {
        let mut classes = vec![];
        for store in &kernel.stores {
            let ids = add(&mut egraph, &store.value);
            named.extend(
                store
                    .names
                    .iter()
                    .map(|(i, n)| (kernel.name.clone(), ids[usize::from(*i)], n.clone())),
            );
            for i in own_loops(&store.value) {
                let node = &store.value[Id::from(i)];
                let access = node.head().and_then(Head::access);
                let grouped = access == Some(Access::Product { grouped: true });
                let operand = node.children()[usize::from(grouped)];
                let operand = &egraph[ids[usize::from(operand)]].data;
                let (extent, element) = (operand.cols, operand.element());
                let seed = match access {
                    Some(Access::Reduction) => kernel.reduction(extent),
                    _ => kernel.product(extent, element, &egraph.analysis.limits),
                };
                if let Some(seed) = seed {
                    egraph.analysis.seeds.push((ids[i], seed));
                    egraph.analysis.loops.entry(extent).or_insert(seed);
                }
            }
            for expr in [&store.value, &store.buffer] {
                heads.extend(expr.as_ref().iter().filter_map(Term::head));
            }
            // No pattern to search for: compiling one counts its nodes as those of a tree, and a term is none.
            let pattern = |e: &RecExpr<Term>| -> PatternAst<Term> {
                let nodes = e.as_ref().iter().cloned();
                nodes.map(ENodeOrVar::ENode).collect()
            };
            let (id, _) = egraph.union_instantiations(
                &pattern(&store.buffer),
                &pattern(&store.launch),
                &Subst::default(),
                Symbol::from("as-written"),
            );
            classes.push(id);
        }
        buffers.push(classes);
    }
    Initial {
        egraph,
        buffers,
        heads: heads.into_iter().collect(),
        named,
    }
}

/// Reductions and products that a kernel computes itself, rather than reads the results of.
fn own_loops(value: &RecExpr<Term>) -> impl Iterator<Item = usize> {
    let mut own = vec![false; value.len()];
    own[value.len() - 1] = true;
    for i in (0..value.len()).rev() {
        let node = &value[Id::from(i)];
        if own[i] && node.head() != Some(Head::Buf) {
            for c in node.children() {
                own[usize::from(*c)] = true;
            }
        }
    }
    let loops: Vec<usize> = (0..value.len())
        .filter(|i| own[*i])
        .filter(|i| {
            let access = value[Id::from(*i)].head().and_then(Head::access);
            matches!(access, Some(Access::Reduction | Access::Product { .. }))
        })
        .collect();
    loops.into_iter()
}

fn add(egraph: &mut Graph, expr: &RecExpr<Term>) -> Vec<Id> {
    let mut ids: Vec<Id> = Vec::with_capacity(expr.len());
    for node in expr.as_ref() {
        let node = node.clone().map_children(|c| ids[usize::from(c)]);
        ids.push(egraph.add(node));
    }
    ids
}

/// The first e-class whose terms do not fit together, if any: what the checks after saturation look for.
pub fn first_wrong(egraph: &Graph) -> Option<(Id, &Facts)> {
    egraph
        .classes()
        .find(|c| c.data.kind == Kind::Wrong)
        .map(|c| (c.id, &c.data))
}
