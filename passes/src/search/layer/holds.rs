//! What was decided, as pins; and the state that such pins make the search start from.
//!
//! A plan is its state, and of each kernel a grid, how its loops run, and what it reads. With all of these pinned, the search has
//! nothing to decide, and comes to the same kernels: the e-graph does not depend on these pins, and neither do segments.

use super::groups::{Group, join};
use super::moves::State;
use super::plans::{Chosen, Evaluated, PlanSearch};
use crate::numerics::Numerics;
use crate::problem::{KernelSpec, Problem};
use crate::search::candidate::Candidate;
use crate::search::kernel::ExtractError;
use crate::search::pins::{Holds, Param, Pin};
use egg::Symbol;
use indexmap::IndexSet;
use std::collections::BTreeSet;
use std::rc::Rc;
use tilewright_ir::kernel::Unit;

impl PlanSearch<'_> {
    /// The kernels as written, but for what pins say of the state.
    ///
    /// # Errors
    ///
    /// Kernels that pins want to be one, and that another one between them keeps apart.
    pub(super) fn start(&self) -> Result<State, ExtractError> {
        let kernels = 0..self.problem.kernels.len();
        let unread: BTreeSet<(usize, &str)> = kernels
            .clone()
            .flat_map(|k| {
                let said = self.pins.of(&self.problem.kernels[k]).unread;
                let names = said.into_iter().flatten();
                names.map(move |n| (k, Symbol::from(n).as_str()))
            })
            .collect();
        let mut groups = kernels.clone().map(|k| self.group(vec![k])).collect();
        for (said, one) in self.pins.fused(self.problem) {
            for other in one {
                groups = self.joined(groups, (said, other), &unread)?;
            }
        }
        Ok(State {
            groups,
            forms: vec![0; self.products.len()],
            unread,
            mixed: kernels
                .filter(|k| self.mix && self.mix_pin(*k) == Some(true) && self.mixes(*k))
                .collect(),
        })
    }

    /// The groups with those of two kernels as written made one.
    fn joined(
        &self,
        groups: Vec<Rc<Group>>,
        (a, b): (usize, usize),
        unread: &BTreeSet<(usize, &str)>,
    ) -> Result<Vec<Rc<Group>>, ExtractError> {
        let place = |k: usize| groups.iter().position(|g| g.members.contains(&k));
        let (Some(first), Some(second)) = (place(a), place(b)) else {
            return Ok(groups);
        };
        if first == second {
            return Ok(groups);
        }
        let reads_of = |g: &Group| -> IndexSet<String> {
            let reads = g.spec.reads.iter();
            let is_read =
                |r: &&String| !g.members.iter().all(|m| unread.contains(&(*m, r.as_str())));
            reads.filter(is_read).cloned().collect()
        };
        let pair = (first.min(second), first.max(second));
        join(&groups, pair, &reads_of, |members| self.group(members)).ok_or_else(|| {
            let name = |k: usize| self.problem.kernels[k].name.clone();
            ExtractError::NoSchedule {
                kernel: name(a),
                pin: format!("fuse={}", name(b)),
                remedy: "a kernel between the two reads of the first and stores what the second reads: leave one of the two out, \
                         or pin what that kernel does not read with `unread`"
                    .into(),
            }
        })
    }

    /// Whether pins say what a kernel as written does not read.
    pub(super) fn says_unread(&self, kernel: usize) -> bool {
        self.pins.of(&self.problem.kernels[kernel]).unread.is_some()
    }

    /// All that a plan decides, as pins, with the policy of its stage: of the kernel of this number another candidate than the
    /// first.
    pub(super) fn holds(
        &self,
        plan: &Evaluated,
        other: Option<(usize, usize)>,
        policy: Option<Numerics>,
    ) -> Holds {
        let mut out = Holds::new();
        let name = |k: usize| self.problem.kernels[k].name.clone();
        let mut say = |kernel: usize, param: Param| {
            let region = self.problem.kernels[kernel].region.clone();
            let kernel = name(kernel);
            out.entry(region).or_default().push(Pin { kernel, param });
        };
        for group in &plan.state.groups {
            let (head, spec) = (group.members[0], &group.spec);
            say(head, Param::Numerics(policy));
            if spec.exchange.is_none() && spec.unit == Unit::Vector {
                say(
                    head,
                    Param::Fuse(group.members[1..].iter().map(|m| name(*m)).collect()),
                );
            }
            for member in &group.members {
                self.of_state(plan, *member, &mut |param| say(*member, param));
                self.pinned(*member, &mut |param| say(*member, param));
            }
            let Some((candidate, spec)) = chosen(plan, group, other) else {
                continue;
            };
            of_candidate(spec, candidate, &mut |param| say(head, param));
        }
        out
    }

    /// What pins say that nothing else of a plan does: they bring sizes that the search does not try by itself.
    fn pinned(&self, kernel: usize, say: &mut dyn FnMut(Param)) {
        let spec = &self.problem.kernels[kernel];
        let names = &spec.names;
        let tiles = [
            Some(&names.rows),
            names.cols.as_ref(),
            names.reduce.as_ref(),
        ];
        for param in self.pins.of(spec).params() {
            match &param {
                Param::Tile(name, _) if spec.exchange.is_none() && tiles.contains(&Some(name)) => {
                    say(param)
                }
                Param::Blocks(_) | Param::Pipeline(_) | Param::Reads(_) => say(param),
                _ => {}
            }
        }
    }

    /// What a state says of a kernel as written.
    fn of_state(&self, plan: &Evaluated, kernel: usize, say: &mut dyn FnMut(Param)) {
        let spec = &self.problem.kernels[kernel];
        if spec.exchange.is_some() {
            return;
        }
        let state = &plan.state;
        let unread = state.unread.iter().filter(|(k, _)| *k == kernel);
        say(Param::Unread(
            unread.map(|(_, n)| (*n).to_owned()).collect(),
        ));
        for (product, form) in self.products.iter().zip(&state.forms) {
            if product.kernel == kernel {
                say(Param::SplitK(product.parts[*form]));
            }
        }
        if self.mix && self.mixes(kernel) {
            let has = |g: &Group| g.members.contains(&kernel);
            let within = |c: &Chosen| has(&c.group) || c.products.iter().any(|w| has(&w.group));
            let mut launches = plan.chosen.iter().filter(|c| !c.products.is_empty());
            let mixed = state.mixed.contains(&kernel) && launches.any(within);
            say(match spec.unit {
                Unit::Cube => Param::Feed(mixed),
                _ => Param::Mix(mixed),
            });
        }
    }
}

/// The candidate that a group runs in a plan, by itself or as a product of a mixed kernel; none where nobody needs it.
fn chosen<'p>(
    plan: &'p Evaluated,
    group: &'p Group,
    other: Option<(usize, usize)>,
) -> Option<(&'p Candidate, &'p KernelSpec)> {
    let is = |g: &Group| g.members == group.members;
    plan.chosen
        .iter()
        .enumerate()
        .find_map(|(i, c): (usize, &Chosen)| {
            let number = other.filter(|(k, _)| *k == i).map_or(0, |(_, n)| n);
            let candidate = &c.candidates[number];
            let place = c.products.iter().position(|w| is(&w.group));
            match place {
                _ if is(&c.group) => Some((candidate, &group.spec)),
                Some(place) => Some((&candidate.products.get(place)?.candidate, &group.spec)),
                None => None,
            }
        })
}

/// What a candidate says of its kernel.
fn of_candidate(spec: &KernelSpec, candidate: &Candidate, say: &mut dyn FnMut(Param)) {
    let Candidate { grid, choice, .. } = candidate;
    say(Param::Launch(grid.kind));
    if spec.exchange.is_some() {
        say(Param::Tile(spec.names.rows.clone(), grid.fan));
        say(Param::ByLine(candidate.by_line));
        return;
    }
    say(Param::Grid(grid.blocks()));
    if spec.stores.iter().any(|s| s.is_padded()) {
        say(Param::Hoisted(grid.hoisted));
    }
    let fill = candidate.init.as_ref().map(|i| Param::Fill(i.launch()));
    fill.into_iter().for_each(&mut *say);
    say(Param::Stores(choice.stores));
    say(Param::Reduces(choice.folds));
    say(Param::Prefer(choice.reads));
    say(Param::Refine(!candidate.exceptions.is_empty()));
}

/// That no plan of this policy is looked at, or of several at once.
pub(super) fn other_policy(problem: &Problem, wanted: Option<Numerics>) -> ExtractError {
    let kernel = problem.kernels.first();
    ExtractError::NoSchedule {
        kernel: kernel.map_or_else(String::new, |k| k.region.clone()),
        pin: Param::Numerics(wanted).to_string(),
        remedy: "kernels that are searched together have one policy, which `--numerics` must allow; without rules of its own a policy \
                 has no plans: leave the pins on `numerics` out"
            .into(),
    }
}
