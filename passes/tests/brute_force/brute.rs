//! Every program that an e-graph holds for the kernels of a layer, priced.

use egg::{Id, Language, RecExpr, Symbol};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tilewright_ir::kernel::{Program, Role as TensorRole, Unit, verify_kernel};
use tilewright_ir::machine::Machine;
use tilewright_passes::cost::estimate;
use tilewright_passes::kernel::allocate::allocate;
use tilewright_passes::lower::lower_kernel;
use tilewright_passes::problem::{KernelSpec, Problem};
use tilewright_passes::term::analysis::{Graph, Kind};
use tilewright_passes::term::language::{Head, Term};
use tilewright_passes::term::plan::{KernelPlan, Root};

/// Candidates of one kernel; layers with more are left out and counted.
const BOUND: usize = 3000;

/// Before a plan's kernel that does the work of several.
pub const FUSED_MARK: &str = "fused ";

/// A way to store one value: its launch, from the outside in.
#[derive(Clone)]
struct Form {
    launch: Term,
    pad: Option<Term>,
    rows: Term,
    cols: Term,
    /// Launch of the part of an overlay that fills padding.
    fill: Option<(Term, Term)>,
}

/// Which node a class is; of a load also the name that it reads.
type Choice = BTreeMap<Id, (Term, Option<Symbol>)>;

/// Costs of a kernel's best candidates by the buffers that they read; `None` where there are too many candidates.
type Costs = Option<BTreeMap<BTreeSet<String>, (f64, String)>>;

/// Kernels as written that are one, what it stores by kernel and place, and what ran before.
type Kernel = (Vec<usize>, Vec<(usize, usize)>, Vec<usize>);

pub struct Brute<'a> {
    egraph: &'a Graph,
    problem: &'a Problem,
    machine: &'a Machine,
    buffers: &'a [Vec<Id>],
    shell: Program,
    memo: HashMap<Kernel, Costs>,
    /// How many were priced.
    pub candidates: usize,
}

impl<'a> Brute<'a> {
    pub fn new(
        problem: &'a Problem,
        machine: &'a Machine,
        egraph: &'a Graph,
        buffers: &'a [Vec<Id>],
    ) -> Self {
        let shell = Program {
            name: problem.name.clone(),
            machine: machine.name.clone(),
            ranks: 1,
            tensors: problem.tensors.clone(),
            scalars: problem.scalars.clone(),
            kernels: vec![],
        };
        Brute {
            egraph,
            problem,
            machine,
            buffers,
            shell,
            memo: HashMap::new(),
            candidates: 0,
        }
    }

    fn num(&self, id: Id) -> usize {
        self.egraph[id].data.num.unwrap() as usize
    }

    /// The launches of a class, with what is in them.
    fn forms(&self, class: Id, fill: Option<(Term, Term)>, out: &mut Vec<Form>) {
        for launch in &self.egraph[class].nodes {
            match launch {
                Term::App(Head::Launch(_), c) => {
                    for body in &self.egraph[c[2]].nodes {
                        let (pad, inner) = match body {
                            Term::App(Head::WithPad, p) => (Some(body), p[2]),
                            _ => (None, c[2]),
                        };
                        for rows in &self.egraph[inner].nodes {
                            let Term::App(Head::Rows, r) = rows else {
                                continue;
                            };
                            for cols in &self.egraph[r[2]].nodes {
                                if cols.head() == Some(Head::Cols) {
                                    out.push(Form {
                                        launch: launch.clone(),
                                        pad: pad.cloned(),
                                        rows: rows.clone(),
                                        cols: cols.clone(),
                                        fill: fill.clone(),
                                    });
                                }
                            }
                        }
                    }
                }
                Term::App(Head::Overlay, c) => {
                    for fill in &self.egraph[c[0]].nodes {
                        let Term::App(Head::Launch(_), f) = fill else {
                            continue;
                        };
                        for body in &self.egraph[f[2]].nodes {
                            self.forms(c[1], Some((fill.clone(), body.clone())), out);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// What all stores of a kernel have in common: kind, blocks over rows and columns, rows a block and a trip.
    fn grid(&self, form: &Form) -> (Head, usize, usize, usize, usize) {
        let (launch, rows, cols) = (
            form.launch.children(),
            form.rows.children(),
            form.cols.children(),
        );
        let width = match &form.pad {
            Some(_) => 1,
            None => self.num(launch[1]) / self.num(cols[1]),
        };
        let blocks = self.num(launch[0]) / self.num(rows[0]);
        let head = form.launch.head().unwrap();
        (head, blocks, width, self.num(rows[0]), self.num(rows[1]))
    }

    /// Every executable node of a tile class, with the names that loads may read.
    fn nodes(&self, class: Id, readable: &BTreeSet<Symbol>) -> Vec<(Term, Option<Symbol>)> {
        let mut out = vec![];
        for node in &self.egraph[class].nodes {
            match node {
                Term::App(Head::Tile, _) => {}
                Term::App(Head::Load, c) => {
                    for value in &self.egraph[c[2]].nodes {
                        if let Term::App(Head::Input | Head::Buf, v) = value {
                            let name = self.egraph[v[0]].data.name.unwrap();
                            if readable.contains(&name) {
                                out.push((node.clone(), Some(name)));
                            }
                        }
                    }
                }
                _ => out.push((node.clone(), None)),
            }
        }
        out
    }

    /// All choices for what `pending` reaches; false when there are more than the bound.
    fn choices(
        &self,
        mut pending: Vec<Id>,
        readable: &BTreeSet<Symbol>,
        chosen: &mut Choice,
        out: &mut Vec<Choice>,
    ) -> bool {
        let class = loop {
            let Some(next) = pending.pop() else {
                out.push(chosen.clone());
                return out.len() <= BOUND;
            };
            let next = self.egraph.find(next);
            if self.egraph[next].data.kind == Kind::Tile && !chosen.contains_key(&next) {
                break next;
            }
        };
        for (node, name) in self.nodes(class, readable) {
            let mut pending = pending.clone();
            if name.is_none() {
                pending.extend(node.children());
            }
            chosen.insert(class, (node, name));
            if !self.choices(pending, readable, chosen, out) {
                return false;
            }
            chosen.remove(&class);
        }
        true
    }

    /// The chosen term of a class; `None` when the choice holds itself.
    fn term(
        &self,
        class: Id,
        choice: &Choice,
        expr: &mut RecExpr<Term>,
        memo: &mut HashMap<Id, Option<Id>>,
    ) -> Option<Id> {
        let class = self.egraph.find(class);
        if let Some(done) = memo.get(&class) {
            return *done;
        }
        memo.insert(class, None);
        let id = match choice.get(&class) {
            Some((Term::App(Head::Load, c), Some(name))) => {
                let rows = self.term(c[0], choice, expr, memo)?;
                let cols = self.term(c[1], choice, expr, memo)?;
                let name = expr.add(Term::Name(*name));
                let value = expr.add(Term::app(Head::Input, [name]));
                expr.add(Term::app(Head::Load, [rows, cols, value]))
            }
            other => {
                let mut node = other
                    .map_or(&self.egraph[class].nodes[0], |(n, _)| n)
                    .clone();
                for c in node.children_mut() {
                    *c = self.term(*c, choice, expr, memo)?;
                }
                expr.add(node)
            }
        };
        memo.insert(class, Some(id));
        Some(id)
    }

    /// A term whose operands are leaves, but for the last, which is given.
    fn around(&self, node: &Term, inner: Option<Id>, expr: &mut RecExpr<Term>) -> Id {
        let mut node = node.clone();
        let last = node.children().len() - 1;
        for (i, c) in node.children_mut().iter_mut().enumerate() {
            *c = match inner {
                Some(inner) if i == last => inner,
                _ => expr.add(self.egraph[*c].nodes[0].clone()),
            };
        }
        expr.add(node)
    }

    fn plan(&self, spec: &KernelSpec, expr: RecExpr<Term>, roots: Vec<Root>) -> KernelPlan {
        KernelPlan {
            name: spec.name.clone(),
            covers: spec.covers.clone(),
            unit: spec.unit,
            names: spec.names.clone(),
            exchange: spec.exchange.clone(),
            expr,
            labels: Default::default(),
            roots,
            products: vec![],
            derivation: vec![],
        }
    }

    fn price(&self, plan: &KernelPlan) -> Option<f64> {
        let (tensors, scalars) = (&self.problem.tensors, &self.problem.scalars);
        let mut kernel = lower_kernel(plan, tensors, scalars, self.machine).ok()?;
        verify_kernel(&self.shell, &kernel, self.machine).ok()?;
        allocate(&mut kernel, self.machine).ok()?;
        Some(estimate(&kernel, self.machine).us)
    }

    /// The cost of one candidate, with its fills.
    fn candidate(
        &self,
        spec: &KernelSpec,
        needed: &[(usize, usize)],
        forms: &[Form],
        choice: &Choice,
    ) -> Option<(f64, KernelPlan)> {
        let mut expr = RecExpr::default();
        let mut memo = HashMap::new();
        let mut roots = vec![];
        let mut us = 0.0;
        for ((kernel, store), form) in needed.iter().zip(forms) {
            let tensor = self.problem.kernels[*kernel].stores[*store].name.clone();
            let tile = self.term(*form.cols.children().last()?, choice, &mut expr, &mut memo)?;
            let mut body = self.around(&form.cols, Some(tile), &mut expr);
            body = self.around(&form.rows, Some(body), &mut expr);
            if let Some(pad) = &form.pad {
                body = self.around(pad, Some(body), &mut expr);
            }
            let id = self.around(&form.launch, Some(body), &mut expr);
            roots.push(Root {
                tensor: tensor.clone(),
                column: 0,
                id,
            });
            if let Some((launch, fill)) = &form.fill {
                let mut expr = RecExpr::default();
                let body = self.around(fill, None, &mut expr);
                let id = self.around(launch, Some(body), &mut expr);
                us += self.price(&self.plan(
                    spec,
                    expr,
                    vec![Root {
                        tensor,
                        column: 0,
                        id,
                    }],
                ))?;
            }
        }
        let plan = self.plan(spec, expr, roots);
        Some((us + self.price(&plan)?, plan))
    }

    /// The costs of kernels as written, run as one, that store what is needed and may read what `earlier` ones store.
    fn kernel(&mut self, members: &[usize], needed: &[(usize, usize)], earlier: &[usize]) -> Costs {
        let key = (members.to_vec(), needed.to_vec(), earlier.to_vec());
        if let Some(done) = self.memo.get(&key) {
            return done.clone();
        }
        let costs = self.all_of(members, needed, earlier);
        self.memo.insert(key, costs.clone());
        costs
    }

    fn all_of(&mut self, members: &[usize], needed: &[(usize, usize)], earlier: &[usize]) -> Costs {
        let stored = earlier
            .iter()
            .flat_map(|k| &self.problem.kernels[*k].stores);
        let tensors = self.problem.tensors.iter();
        let readable: BTreeSet<Symbol> = tensors
            .filter(|(_, t)| t.role == TensorRole::Input)
            .map(|(n, _)| n)
            .chain(stored.map(|s| &s.name))
            .map(Symbol::from)
            .collect();
        let mut joint: Vec<Vec<Form>> = vec![vec![]];
        for (k, store) in needed {
            let mut forms = vec![];
            let class = self.egraph.find(self.buffers[*k][*store]);
            self.forms(class, None, &mut forms);
            let mut longer = vec![];
            for start in &joint {
                for form in &forms {
                    if start.iter().all(|s| self.grid(s) == self.grid(form)) {
                        longer.push([&start[..], std::slice::from_ref(form)].concat());
                    }
                }
            }
            joint = longer;
            if joint.len() > BOUND {
                return None;
            }
        }
        let mut candidates = vec![];
        for forms in joint {
            let tiles = forms.iter().map(|f| *f.cols.children().last().unwrap());
            let mut choices = vec![];
            if !self.choices(tiles.collect(), &readable, &mut Choice::new(), &mut choices) {
                return None;
            }
            candidates.extend(choices.into_iter().map(|c| (forms.clone(), c)));
            if candidates.len() > BOUND {
                return None;
            }
        }
        self.candidates += candidates.len();
        let mut costs: BTreeMap<BTreeSet<String>, (f64, String)> = BTreeMap::new();
        for (forms, choice) in &candidates {
            let Some((us, plan)) =
                self.candidate(&self.problem.kernels[members[0]], needed, forms, choice)
            else {
                continue;
            };
            let names = choice.values().filter_map(|(_, name)| *name);
            let reads = names.map(|n| n.to_string()).collect();
            let best = costs.entry(reads).or_insert((f64::INFINITY, String::new()));
            if us < best.0 {
                *best = (us, plan.to_string());
            }
        }
        Some(costs)
    }

    /// The best plan of these kernels, in this order, when later ones read `read`: its cost and its kernels.
    pub fn layer(
        &mut self,
        order: &[Vec<usize>],
        read: &BTreeSet<String>,
    ) -> Option<(f64, String)> {
        let Some((members, before)) = order.split_last() else {
            return Some((0.0, String::new()));
        };
        let mut needed = vec![];
        for k in members {
            for (s, store) in self.problem.kernels[*k].stores.iter().enumerate() {
                if store.result || read.contains(&store.name) {
                    needed.push((*k, s));
                }
            }
        }
        if needed.is_empty() {
            return self.layer(before, read);
        }
        let mut best = (f64::INFINITY, String::new());
        let earlier: Vec<usize> = before.concat();
        for (reads, (us, plan)) in self.kernel(members, &needed, &earlier)? {
            let read = read.union(&reads).cloned().collect();
            let (others, plans) = self.layer(before, &read)?;
            if us + others < best.0 {
                let how = if members.len() > 1 { FUSED_MARK } else { "" };
                best = (us + others, format!("{plans}{us:.6} us, {how}{plan}"));
            }
        }
        Some(best)
    }

    /// Every order of the kernels, as they are or with vector kernels made one.
    pub fn orders(&self, fused: bool) -> Vec<Vec<Vec<usize>>> {
        let count = self.problem.kernels.len();
        if !fused {
            return vec![(0..count).map(|k| vec![k]).collect()];
        }
        let vector = |k: &usize| self.problem.kernels[*k].unit == Unit::Vector;
        let mut all: Vec<Vec<Vec<usize>>> = vec![vec![]];
        for k in 0..count {
            let mut longer = vec![];
            for order in &all {
                for at in 0..=order.len() {
                    let mut alone = order.clone();
                    alone.insert(at, vec![k]);
                    longer.push(alone);
                    if at < order.len() && vector(&k) && order[at].iter().all(vector) {
                        let mut joined = order.clone();
                        joined[at].push(k);
                        longer.push(joined);
                    }
                }
            }
            all = longer;
        }
        all
    }
}
