//! The optimizer: from a problem to the best plan that the e-graph holds, with the rules that led there.

use crate::cost::Estimate;
use crate::egraph::analysis::Graph;
use crate::egraph::extract::{Candidate, ExtractError, Extraction, reads};
use crate::egraph::language::{Head, Term};
use crate::egraph::rules::{self, Role};
use crate::egraph::saturate::{SaturateError, Saturated, SearchOptions, SearchReport, saturate};
use crate::pins::Pins;
use crate::plan::{KernelPlan, Plan};
use crate::problem::{KernelSpec, Problem, Store, TileNames};
use egg::{Id, Language, RecExpr, Symbol, TreeExplanation};
use indexmap::IndexSet;
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;
use std::time::Instant;
use tilewright_ir::graph::LaunchKind;
use tilewright_ir::kernel::{GlobalTensor, Role as TensorRole, Unit};
use tilewright_ir::machine::Machine;

/// A plan and how it was found.
#[derive(Debug, Clone)]
pub struct Optimized {
    pub plan: Plan,
    /// Of the plan's kernels, in order.
    pub estimates: Vec<Estimate>,
    pub search: SearchReport,
    /// Seconds of extraction and of proofs.
    pub extract_seconds: f64,
    pub explain_seconds: f64,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, thiserror::Error, miette::Diagnostic)]
pub enum OptimizeError {
    #[error(transparent)]
    #[diagnostic(transparent)]
    Saturate(#[from] SaturateError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Extract(#[from] ExtractError),
}

/// The best plan.
pub fn optimize(
    problem: &Problem,
    machine: &Machine,
    options: &SearchOptions,
    pins: &Pins,
) -> Result<Optimized, OptimizeError> {
    let Saturated {
        mut egraph,
        mut buffers,
        names,
        report,
    } = saturate(problem, machine, options)?;
    let start = Instant::now();
    let mut problem = problem.clone();
    let families = alternatives(&mut problem, &egraph, &mut buffers, pins)?;
    let search = PlanSearch {
        egraph: &egraph,
        names: &names,
        problem: &problem,
        machine,
        buffers: &buffers,
        pins,
        families: &families,
        fuse: options.enabled.contains("fuse") && !options.disabled.contains("fuse"),
        memo: Default::default(),
    };
    let (hidden, mut chosen) = search.best()?;
    let bufs: HashMap<Symbol, &RecExpr<Term>> = problem
        .kernels
        .iter()
        .flat_map(|k| &k.stores)
        .map(|s| (Symbol::from(&s.name), &s.buffer))
        .collect();
    let order: Vec<Rc<Group>> = chosen.iter().map(|(g, ..)| g.clone()).collect();
    for (i, (group, needed, candidate)) in chosen.iter_mut().enumerate() {
        let readable = search.readable(&order[..i], &hidden);
        candidate.terms = search
            .extraction(group, needed.clone(), readable)
            .full_terms(candidate, &bufs);
    }
    drop(search);
    let extract_seconds = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let mut plan = Plan {
        name: problem.name.clone(),
        tensors: problem.tensors.clone(),
        scalars: problem.scalars.clone(),
        kernels: vec![],
    };
    let mut estimates = vec![];
    for (group, _, candidate) in chosen {
        let derivation = derivation(&mut egraph, &group.spec, &candidate);
        if let Some(init) = candidate.init.clone() {
            // The launch of the filling is part of the same proof.
            let kept = |r: &String| r == "hoist-init" || r == "parallel-to-spmd";
            plan.kernels.push(KernelPlan {
                derivation: derivation.iter().filter(|r| kept(r)).cloned().collect(),
                ..init
            });
            let init = plan.kernels.last();
            estimates.extend(init.and_then(|k| price(k, &problem, machine)));
        }
        plan.kernels.push(KernelPlan {
            derivation,
            ..candidate.plan
        });
        let main = plan.kernels.last();
        estimates.extend(main.and_then(|k| price(k, &problem, machine)));
    }
    Ok(Optimized {
        plan,
        estimates,
        search: report,
        extract_seconds,
        explain_seconds: start.elapsed().as_secs_f64(),
    })
}

/// Adds to the problem the split forms of products that the e-graph holds. Returns the plans to compare: for each, the names of
/// split buffers and of unsplit ones that are not to be read. The first plan splits nothing.
fn alternatives(
    problem: &mut Problem,
    egraph: &Graph,
    buffers: &mut [Vec<Id>],
    pins: &Pins,
) -> Result<Vec<BTreeSet<Symbol>>, ExtractError> {
    let mut plans: Vec<BTreeSet<Symbol>> = vec![BTreeSet::new()];
    for (i, classes) in buffers.iter_mut().enumerate() {
        let spec = &problem.kernels[i];
        let region = pins.of(&spec.region);
        let mut forms: Vec<(Store, Id)> = vec![];
        for store in &spec.stores {
            let value = store.value.root();
            let Term::App(Head::MatmulNt, operands) = &store.value[value] else {
                continue;
            };
            for class in egraph.classes() {
                for node in &class.nodes {
                    if let Some(form) = split_form(egraph, class.id, node, store, operands) {
                        forms.push(form);
                    }
                }
            }
        }
        forms.sort_by_key(|(s, _)| s.split_of.as_ref().map(|(_, parts)| *parts));
        let names: Vec<Symbol> = forms.iter().map(|(s, _)| Symbol::from(&s.name)).collect();
        let unsplit: Vec<Symbol> = forms
            .iter()
            .filter_map(|(s, _)| s.split_of.as_ref())
            .map(|(of, _)| Symbol::from(of))
            .collect();
        let allowed: Vec<usize> = (0..forms.len())
            .filter(|f| {
                let parts = forms[*f].0.split_of.as_ref().map_or(1, |(_, p)| *p);
                region.allows_split(parts)
            })
            .collect();
        let product = !unsplit.is_empty() || spec.unit == Unit::Cube;
        if let (Some(parts), true, true) = (region.split_k, product, allowed.is_empty())
            && parts != 1
        {
            let counts = forms.iter().filter_map(|(s, _)| s.split_of.as_ref());
            let counts: Vec<String> = counts.map(|(_, parts)| parts.to_string()).collect();
            return Err(ExtractError::NoSchedule {
                kernel: spec.region.clone(),
                pin: format!("split_k={parts}"),
                remedy: format!(
                    "with these rules and this numerics policy, split_k can be one of {}",
                    [&["1".to_string()], &counts[..]].concat().join(", ")
                ),
            });
        }
        if forms.is_empty() {
            continue;
        }
        // Every plan so far, with this product whole or in one of its split forms.
        let mut extended = vec![];
        for plan in &plans {
            if region.allows_split(1) {
                extended.push(plan.iter().chain(&names).copied().collect());
            }
            for f in &allowed {
                let hidden = names.iter().enumerate().filter(|(n, _)| n != f);
                let hidden = hidden.map(|(_, n)| n).chain(&unsplit);
                extended.push(plan.iter().chain(hidden).copied().collect());
            }
        }
        plans = extended;
        for (store, class) in forms {
            let Some((of, _)) = &store.split_of else {
                continue;
            };
            let partial = GlobalTensor {
                dtype: problem.tensors[of].dtype,
                shape: vec![store.rows, store.cols],
                role: TensorRole::Workspace,
            };
            problem.tensors.insert(store.name.clone(), partial);
            classes.push(class);
            problem.kernels[i].stores.push(store);
        }
    }
    Ok(plans)
}

/// The store of `(buf p (parts s a b))`, if that is a split form of the product that `of` stores.
fn split_form(
    egraph: &Graph,
    class: Id,
    node: &Term,
    of: &Store,
    operands: &[Id],
) -> Option<(Store, Id)> {
    let Term::App(Head::Buf, c) = node else {
        return None;
    };
    let name = egraph[c[0]].data.name?;
    let operand = |id: Id| {
        let mut expr: RecExpr<Term> = RecExpr::default();
        copy(&of.value, id, &mut expr);
        egraph.lookup_expr(&expr)
    };
    let (a, b) = (operand(operands[0])?, operand(operands[1])?);
    let parts = egraph[c[1]].nodes.iter().find_map(|n| match n {
        Term::App(Head::Parts, p) if egraph.find(p[1]) == a && egraph.find(p[2]) == b => {
            egraph[p[0]].data.num
        }
        _ => None,
    })? as usize;
    // The terms: the stacked value, its buffer, and the launch that the rule starts from.
    let mut value: RecExpr<Term> = RecExpr::default();
    let a = copy(&of.value, operands[0], &mut value);
    let b = copy(&of.value, operands[1], &mut value);
    let s = value.add(Term::Num(parts as i64));
    let stacked = value.add(Term::app(Head::Parts, [s, a, b]));
    let mut buffer = value.clone();
    let n = buffer.add(Term::Name(name));
    buffer.add(Term::app(Head::Buf, [n, stacked]));
    let mut launch = value.clone();
    let [t, w, m, one] =
        [of.rows * parts, of.cols, of.rows, 1].map(|x| launch.add(Term::Num(x as i64)));
    let tile = launch.add(Term::app(Head::Tile, [m, w, stacked]));
    let cols = launch.add(Term::app(Head::Cols, [one, w, w, tile]));
    let rows = launch.add(Term::app(Head::Rows, [m, m, cols]));
    launch.add(Term::app(Head::Launch(LaunchKind::Parallel), [t, w, rows]));
    let store = Store {
        name: name.to_string(),
        names: vec![],
        value,
        buffer,
        launch,
        rows: of.rows * parts,
        cols: of.cols,
        data_cols: of.cols,
        result: false,
        split_of: Some((of.name.clone(), parts)),
    };
    Some((store, class))
}

/// Copies the part of `from` below `id`.
fn copy(from: &RecExpr<Term>, id: Id, to: &mut RecExpr<Term>) -> Id {
    let mut node = from[id].clone();
    for c in node.children_mut() {
        *c = copy(from, *c, to);
    }
    to.add(node)
}

/// A kernel's group, the stores that are needed of it, and how it runs.
type Chosen = (Rc<Group>, Vec<usize>, Candidate);

/// Kernels as written that become one.
#[derive(Debug)]
struct Group {
    members: Vec<usize>,
    spec: KernelSpec,
    buffers: Vec<Id>,
}

/// The search over plans: which values lie in global memory, then the kernels within that.
struct PlanSearch<'a> {
    egraph: &'a Graph,
    names: &'a HashMap<Id, String>,
    problem: &'a Problem,
    machine: &'a Machine,
    buffers: &'a [Vec<Id>],
    pins: &'a Pins,
    /// For each plan, what is not read.
    families: &'a [BTreeSet<Symbol>],
    /// Whether kernels may become one.
    fuse: bool,
    /// Best candidates by kernels, needed stores, and what of the hidden values concerns them.
    memo: RefCell<HashMap<MemoKey, Result<Candidate, ExtractError>>>,
}

type MemoKey = (Vec<usize>, Vec<usize>, Vec<Symbol>);

/// What a plan costs in sequence, and its kernels.
type Plans = (f64, Vec<Chosen>);

impl<'a> PlanSearch<'a> {
    /// The best plan, and what is not read in it.
    fn best(&self) -> Result<(BTreeSet<Symbol>, Vec<Chosen>), ExtractError> {
        let mut best: Option<(f64, &BTreeSet<Symbol>, Vec<Chosen>)> = None;
        let mut failure = None;
        for hidden in self.families {
            match self.fused(hidden) {
                Ok((us, plan)) => {
                    if best.as_ref().is_none_or(|(b, ..)| us < *b) {
                        best = Some((us, hidden, plan));
                    }
                }
                Err(e) => failure = failure.or(Some(e)),
            }
        }
        match (best, failure) {
            (Some((_, hidden, plan)), _) => Ok((hidden.clone(), plan)),
            (None, Some(e)) => Err(e),
            (None, None) => Ok(Default::default()),
        }
    }

    /// The best plan when `hidden` values are not read: from the kernels as written, fuses two at a time for as long as that
    /// gains.
    fn fused(&self, hidden: &BTreeSet<Symbol>) -> Result<Plans, ExtractError> {
        let mut groups: Vec<Rc<Group>> = (0..self.problem.kernels.len())
            .map(|i| self.group(vec![i]))
            .collect();
        let mut best = self.plan(&groups, hidden)?;
        if !self.fuse {
            return Ok(best);
        }
        loop {
            let mut next: Option<(Plans, Vec<Rc<Group>>)> = None;
            for a in 0..groups.len() {
                for b in a + 1..groups.len() {
                    let Some(candidate) = self.merged(&groups, a, b, &best.1) else {
                        continue;
                    };
                    // A fusion without a kernel (it does not fit, say) is no fusion.
                    let Ok(plan) = self.plan(&candidate, hidden) else {
                        continue;
                    };
                    let target = next.as_ref().map_or(best.0, |(p, _)| p.0);
                    if plan.0 < target {
                        next = Some((plan, candidate));
                    }
                }
            }
            match next {
                Some((plan, merged)) => (best, groups) = (plan, merged),
                None => return Ok(best),
            }
        }
    }

    fn group(&self, members: Vec<usize>) -> Rc<Group> {
        let specs = || members.iter().map(|m| &self.problem.kernels[*m]);
        let mut spec = self.problem.kernels[members[0]].clone();
        if members.len() > 1 {
            let names: Vec<&str> = specs().map(|s| s.name.as_str()).collect();
            spec.name = names.join("_");
            spec.covers = vec![];
            for region in specs().flat_map(|s| &s.covers) {
                if !spec.covers.contains(region) {
                    spec.covers.push(region.clone());
                }
            }
            spec.stores = specs().flat_map(|s| s.stores.clone()).collect();
            spec.reads = specs().flat_map(|s| s.reads.clone()).collect();
            let names =
                |f: fn(&TileNames) -> Option<&String>| specs().find_map(|s| f(&s.names)).cloned();
            spec.names.cols = names(|n| n.cols.as_ref());
            spec.names.reduce = names(|n| n.reduce.as_ref());
        }
        Rc::new(Group {
            buffers: members
                .iter()
                .flat_map(|m| self.buffers[*m].clone())
                .collect(),
            spec,
            members,
        })
    }

    /// The groups with `a` and `b` made one, in an order in which values are stored before they are read.
    fn merged(
        &self,
        groups: &[Rc<Group>],
        a: usize,
        b: usize,
        plan: &[Chosen],
    ) -> Option<Vec<Rc<Group>>> {
        let (first, second) = (&groups[a], &groups[b]);
        let stores = |g: &Group, name: &str| g.spec.stores.iter().any(|s| s.name == name);
        let reads_of = |g: &Rc<Group>| {
            let of = plan.iter().find(|(p, ..)| p.members == g.members);
            of.map(|(.., c)| reads(&c.plan)).unwrap_or_default()
        };
        let (read_a, read_b) = (reads_of(first), reads_of(second));
        let held = |g: &Group| {
            let pins = self.pins.of(&g.spec.region);
            pins.hold || !pins.is_empty() || g.spec.unit != Unit::Vector
        };
        // Nothing is gained by fusing kernels that share no value, and a pinned kernel stays what it is.
        let related =
            read_b.iter().any(|r| stores(first, r)) || read_a.iter().any(|r| read_b.contains(r));
        if held(first) || held(second) || !related {
            return None;
        }
        let mut members = [first.members.clone(), second.members.clone()].concat();
        members.sort();
        let merged = self.group(members);
        // Groups between the two go before or after; one that needs the first and feeds the second forbids it.
        let needs = |g: &Rc<Group>, of: &Group| reads_of(g).iter().any(|r| stores(of, r));
        let mut before: Vec<Rc<Group>> = groups[..a].to_vec();
        let mut after: Vec<Rc<Group>> = vec![];
        for g in &groups[a + 1..b] {
            if needs(g, first) || after.iter().any(|x| needs(g, x)) {
                after.push(g.clone());
            } else {
                before.push(g.clone());
            }
        }
        if after.iter().any(|g| needs(second, g)) {
            return None;
        }
        before.push(merged);
        before.extend(after);
        before.extend(groups[b + 1..].iter().cloned());
        Some(before)
    }

    /// The best kernels for these groups when `hidden` values are not read, from the last kernel to the first.
    fn plan(&self, groups: &[Rc<Group>], hidden: &BTreeSet<Symbol>) -> Result<Plans, ExtractError> {
        let mut chosen: Vec<Chosen> = vec![];
        let mut read: BTreeSet<String> = BTreeSet::new();
        for (i, group) in groups.iter().enumerate().rev() {
            let stores = &group.spec.stores;
            let needed: Vec<usize> = (0..stores.len())
                .filter(|s| stores[*s].result || read.contains(&stores[*s].name))
                .collect();
            if needed.is_empty() {
                continue;
            }
            let candidate = self.kernel(groups, i, &needed, hidden)?;
            read.extend(reads(&candidate.plan));
            chosen.push((group.clone(), needed, candidate));
        }
        chosen.reverse();
        Ok((chosen.iter().map(|(.., c)| c.estimate.us).sum(), chosen))
    }

    fn kernel(
        &self,
        groups: &[Rc<Group>],
        i: usize,
        needed: &[usize],
        hidden: &BTreeSet<Symbol>,
    ) -> Result<Candidate, ExtractError> {
        let concerns = |name: &&Symbol| {
            let reads = &groups[i].spec.reads;
            let family = |of: &str| reads.iter().any(|r| r == of);
            let split = self
                .problem
                .kernels
                .iter()
                .flat_map(|k| &k.stores)
                .find(|s| s.name == name.as_str())
                .and_then(|s| s.split_of.as_ref());
            family(name.as_str()) || split.is_some_and(|(of, _)| family(of))
        };
        let key = (
            groups[i].members.clone(),
            needed.to_vec(),
            hidden.iter().filter(concerns).copied().collect::<Vec<_>>(),
        );
        if let Some(done) = self.memo.borrow().get(&key) {
            return done.clone();
        }
        let readable = self.readable(&groups[..i], hidden);
        let extraction = self.extraction(&groups[i], needed.to_vec(), readable);
        let result = best(extraction.run(1), &extraction);
        self.memo.borrow_mut().insert(key, result.clone());
        result
    }

    fn extraction<'s>(
        &'s self,
        group: &'s Group,
        needed: Vec<usize>,
        readable: BTreeSet<Symbol>,
    ) -> Extraction<'s> {
        Extraction {
            egraph: self.egraph,
            names: self.names,
            problem: self.problem,
            machine: self.machine,
            spec: &group.spec,
            buffers: &group.buffers,
            needed,
            readable,
            pins: self.pins.of(&group.spec.region),
        }
    }

    /// What may be read after `earlier` groups: inputs, and what these store.
    fn readable(&self, earlier: &[Rc<Group>], hidden: &BTreeSet<Symbol>) -> BTreeSet<Symbol> {
        let inputs = self
            .problem
            .tensors
            .iter()
            .filter(|(_, t)| t.role == TensorRole::Input)
            .map(|(n, _)| n);
        let stored = earlier.iter().flat_map(|g| &g.spec.stores).map(|s| &s.name);
        inputs
            .chain(stored)
            .map(Symbol::from)
            .filter(|n| !hidden.contains(n))
            .collect()
    }
}

fn price(plan: &KernelPlan, problem: &Problem, machine: &Machine) -> Option<Estimate> {
    let mut kernel = crate::lower::lower_kernel(plan, &problem.tensors, &problem.scalars).ok()?;
    crate::kernel::allocate::allocate(&mut kernel, machine).ok()?;
    Some(crate::cost::estimate(&kernel, machine))
}

/// The best candidate; when a pinned tile overflows a memory, the error names the nearest tile that fits.
fn best(
    found: Result<Vec<Candidate>, ExtractError>,
    e: &Extraction,
) -> Result<Candidate, ExtractError> {
    let error = match found {
        Ok(mut candidates) => return Ok(candidates.swap_remove(0)),
        Err(error) => error,
    };
    let ExtractError::Overflow { error, .. } = error else {
        return Err(error);
    };
    for (name, value) in e.pins.tiles.iter().rev() {
        let mut pins = e.pins.clone();
        pins.tiles.shift_remove(name);
        let free = Extraction {
            pins,
            readable: e.readable.clone(),
            needed: e.needed.clone(),
            ..*e
        };
        let fitting = free.run(usize::MAX).unwrap_or_default();
        let nearest = fitting
            .iter()
            .filter_map(|c| c.kernel.params.get(name))
            .min_by_key(|v| (v.abs_diff(*value), **v));
        if let Some(nearest) = nearest {
            return Err(ExtractError::Overflow {
                error,
                remedy: format!(
                    "{}.{name}={nearest} is the nearest tile that fits",
                    e.spec.region
                ),
            });
        }
    }
    Err(ExtractError::Overflow {
        error,
        remedy: "choose smaller tiles".into(),
    })
}

/// Rules of the proof from the launch as written to the chosen one, each once, in the order in which the proof uses them.
fn derivation(egraph: &mut Graph, spec: &KernelSpec, candidate: &Candidate) -> Vec<String> {
    let choices: HashSet<&str> = rules::table()
        .iter()
        .filter(|r| r.role != Role::Structure)
        .map(|r| r.name)
        .collect();
    let mut names = IndexSet::new();
    for (store, term) in &candidate.terms {
        let explanation = egraph.explain_equivalence(&spec.stores[*store].launch, term);
        let mut seen = HashSet::new();
        collect(&explanation.explanation_trees, &mut seen, &mut names);
    }
    names
        .into_iter()
        .map(|s: Symbol| rules::rule_of(s.as_str()).to_string())
        .filter(|n| choices.contains(n.as_str()))
        .collect::<IndexSet<String>>()
        .into_iter()
        .collect()
}

fn collect(
    trees: &TreeExplanation<Term>,
    seen: &mut HashSet<*const egg::TreeTerm<Term>>,
    names: &mut IndexSet<Symbol>,
) {
    for tree in trees {
        if !seen.insert(Rc::as_ptr(tree)) {
            continue;
        }
        names.extend(tree.forward_rule);
        names.extend(tree.backward_rule);
        for child in &tree.child_proofs {
            collect(child, seen, names);
        }
    }
}
