//! The rules, as tables.
//!
//! A [`Rule`] has a name, a numerics class, a reason why it is legal, and one or more lines `left => right`. Numbers that the
//! right side has and the left side lacks are bound by the line's [`Bind`], which may refuse (that is the condition). Both
//! sides are patterns and unions go through `union_instantiations`, so that egg's proofs stay true.
//!
//! A rule is added in one of the files beside this one, with one line in [`all`]. Users add theirs in files: [`user`].

mod algebra;
mod exchange;
mod launch;
mod loops;
mod memory;
mod mix;
mod page;
mod sizes;
mod split;
mod structure;
pub mod user;

pub use page::markdown;

use crate::hash::HashMap;
use crate::numerics::Numerics;
use crate::term::analysis::{Done, Facts, Graph, TermAnalysis};
use crate::term::changed::Fresh;
use crate::term::language::{Head, Term};
use egg::{Applier, ENodeOrVar, Id, Language, Pattern, PatternAst, Rewrite, Subst, Symbol, Var};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use tilewright_ir::graph::{Operator, Reduce};

/// What a rule is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Gives a value its form as written: without it there is no kernel, so it cannot be disabled.
    Structure,
    /// Adds a choice.
    Choice,
    /// Adds a choice when it is asked for by name.
    Optional,
    /// Adds a choice to the search over plans: no rewrite, so it has no lines.
    Plan,
}

impl Role {
    /// The name in tables: `structure`.
    pub fn name(self) -> &'static str {
        match self {
            Role::Structure => "structure",
            Role::Choice => "choice",
            Role::Optional => "optional",
            Role::Plan => "plan",
        }
    }
}

/// Values for the variables that a line's left side does not bind; an empty list refuses the match.
pub type Bind = fn(&Match) -> Vec<Binding>;

/// A [`Bind`] that may know more than the match.
pub type Bound = Arc<dyn Fn(&Match) -> Vec<Binding> + Send + Sync>;

/// Variables of a right side with what they stand for.
pub type Binding = Vec<(&'static str, Term)>;

/// A variable that stands for a number.
fn num(var: &'static str, value: usize) -> (&'static str, Term) {
    (var, Term::Num(value as i64))
}

/// One `left => right` of a rule.
pub struct Line {
    pub left: String,
    pub right: String,
    pub bind: Bound,
}

/// A named rule.
pub struct Rule {
    pub name: &'static str,
    pub role: Role,
    pub numerics: Numerics,
    /// What it does, in a sentence for people.
    pub does: &'static str,
    /// Why it is legal.
    pub why: &'static str,
    pub lines: Vec<Line>,
}

/// Every rule, for the operators that occur (`heads`), in the order in which they run.
pub fn all(heads: &[Head]) -> Vec<Rule> {
    let readers = [Operator::MatmulNt, Operator::MaskRows];
    let reductions = Reduce::ALL.map(Operator::Reduce);
    let readers = reductions.into_iter().chain(readers).map(Head::Op);
    let contexts: Vec<Head> = heads.iter().copied().chain(readers).collect();
    all_within(heads, &contexts)
}

/// The same, where rules that remove an operation have lines for these operators as readers of the result.
pub fn all_within(heads: &[Head], contexts: &[Head]) -> Vec<Rule> {
    let mut rules = structure::rules(heads);
    rules.extend(algebra::rules(heads, contexts));
    rules.extend(schedule(heads));
    rules
}

fn schedule(heads: &[Head]) -> Vec<Rule> {
    let mut rules = memory::rules(heads);
    rules.extend(split::rules());
    rules.extend(loops::rules());
    rules.extend(launch::rules());
    rules.extend(exchange::rules());
    rules.extend(mix::rules());
    rules
}

/// `heads`, and the operators that active rules make of them: these need structure rules too.
pub fn closure(heads: &[Head], active: impl Fn(&Rule) -> bool) -> Vec<Head> {
    let mut known: BTreeSet<Head> = heads.iter().copied().collect();
    loop {
        let heads: Vec<Head> = known.iter().copied().collect();
        let rules = algebra::rules(&heads, &[]);
        let lines = rules.iter().filter(|r| active(r)).flat_map(|r| &r.lines);
        known.extend(lines.flat_map(|l| algebra::arithmetic(&l.right)));
        if known.len() == heads.len() {
            return heads;
        }
    }
}

/// The table for people: every rule, with the lines of all operators' first representatives. What is removed where a value is
/// read is shown with a row sum as the reader.
pub fn table() -> &'static [Rule] {
    static TABLE: LazyLock<Vec<Rule>> = LazyLock::new(representatives);
    &TABLE
}

fn representatives() -> Vec<Rule> {
    use tilewright_ir::dtype::{DType, Round};
    use tilewright_ir::graph::{Binary, Unary};
    let few = [
        Operator::Cast(DType::F32, Round::Rint),
        Operator::Unary(Unary::Exp),
        Operator::Scalar(Binary::Mul),
        Operator::ScalarLeft(Binary::Div),
        Operator::Binary(Binary::Add),
        Operator::RowBinary(Binary::Mul),
        Operator::ColBinary(Binary::Mul),
        Operator::GroupColBinary(Binary::Mul),
    ]
    .map(Head::Op);
    let binary = Binary::ALL.into_iter().flat_map(|b| {
        [
            Operator::Scalar(b),
            Operator::ScalarLeft(b),
            Operator::Binary(b),
            Operator::RowBinary(b),
            Operator::ColBinary(b),
        ]
    });
    let many: Vec<Head> = Unary::ALL
        .into_iter()
        .map(Operator::Unary)
        .chain(binary)
        .chain([DType::F32, DType::Bf16].map(|d| Operator::Cast(d, Round::Rint)))
        .map(Head::Op)
        .collect();
    let mut rules = structure::rules(&few);
    rules.extend(algebra::rules(
        &many,
        &[Head::Op(Operator::Reduce(Reduce::Sum))],
    ));
    rules.extend(schedule(&few));
    rules
}

/// A match of a line's left side.
pub struct Match<'a> {
    egraph: &'a Graph,
    subst: &'a Subst,
    vars: &'a Vars,
    /// Whether somebody asked for what later merges may change.
    open: Cell<bool>,
}

/// The variables of a line by name: to ask egg for one takes a lock.
#[derive(Default)]
struct Vars(Vec<(String, Var)>);

impl Vars {
    fn of(patterns: &[&PatternAst<Term>]) -> Self {
        let nodes = patterns.iter().flat_map(|p| p.as_ref());
        let vars: BTreeSet<(String, Var)> = nodes
            .filter_map(|n| match n {
                ENodeOrVar::Var(v) => Some((v.to_string(), *v)),
                ENodeOrVar::ENode(_) => None,
            })
            .collect();
        Vars(vars.into_iter().collect())
    }

    fn get(&self, name: &str) -> Option<Var> {
        let found = self.0.iter().find(|(n, _)| n == name);
        found.map(|(_, v)| *v)
    }
}

impl Match<'_> {
    fn class(&self, var: &str) -> Option<Id> {
        self.subst.get(self.vars.get(var)?).copied()
    }

    /// The number that `var` is bound to; 0 when it is none.
    pub fn num(&self, var: &str) -> usize {
        self.fixed(var).and_then(|f| f.num).unwrap_or(0).max(0) as usize
    }

    fn facts_of(&self, var: Var) -> Option<&Facts> {
        Some(&self.egraph[*self.subst.get(var)?].data)
    }

    /// What is known of the class of a variable.
    pub fn facts(&self, var: &str) -> Option<&Facts> {
        self.open.set(true);
        self.fixed(var)
    }

    /// Facts of which all but the sign is asked for: that stays as it is, whatever is merged.
    pub fn fixed(&self, var: &str) -> Option<&Facts> {
        Some(&self.egraph[self.class(var)?].data)
    }

    /// Columns of the value that `var` is bound to.
    pub fn cols(&self, var: &str) -> usize {
        self.fixed(var).map_or(0, |f| f.cols)
    }

    /// Bytes of one element of the value that `var` is bound to.
    pub fn element(&self, var: &str) -> usize {
        self.fixed(var).map_or(4, Facts::element)
    }

    /// Loops as written of the reduction or product that the match's root or `left` stands for.
    pub fn seeds(&self, term: &Term) -> Vec<crate::term::analysis::Seed> {
        self.open.set(true);
        let class = self.egraph.lookup(term.clone());
        let seeds = class.map(|id| TermAnalysis::seeds_of(self.egraph, id));
        match seeds {
            Some(seeds) if !seeds.is_empty() => seeds,
            // What a rule made runs as the first loop over as many columns does.
            _ => {
                let extent = term.children().first().map(|a| self.egraph[*a].data.cols);
                let seed = extent.and_then(|e| self.egraph.analysis.loops.get(&e));
                seed.copied().into_iter().collect()
            }
        }
    }

    /// The numbers of blocks that can share the exchange of the value that `var` names.
    pub fn shares(&self, var: &str) -> &[usize] {
        let name = self.fixed(var).and_then(|f| f.name);
        let found = name.and_then(|n| self.egraph.analysis.shares.get(&n));
        found.map_or(&[], Vec::as_slice)
    }

    /// What the machine allows.
    pub fn limits(&self) -> &crate::term::analysis::Limits {
        &self.egraph.analysis.limits
    }

    /// The class of a variable.
    pub fn id(&self, var: &str) -> Option<Id> {
        self.open.set(true);
        self.class(var)
    }
}

/// The right side of a line as an applier: binds numbers, then instantiates the pattern.
struct Instantiate {
    vars: Vars,
    right: Arc<Pattern<Term>>,
    bind: Binder,
}

/// Where the values of an applier's variables come from.
enum Binder {
    /// A function of the tables.
    Table(Bound),
    /// The conditions of a line of a file.
    User(Arc<user::UserLine>),
}

impl Binder {
    fn bindings(&self, m: &Match) -> Vec<Vec<(Var, Term)>> {
        match self {
            Binder::Table(bind) => bind(m)
                .into_iter()
                .map(|binding| {
                    let vars = binding.into_iter();
                    vars.filter_map(|(name, value)| Some((m.vars.get(name)?, value)))
                        .collect()
                })
                .collect(),
            Binder::User(line) => line.bindings(m).into_iter().collect(),
        }
    }
}

impl Applier<Term, TermAnalysis> for Instantiate {
    fn apply_one(
        &self,
        egraph: &mut Graph,
        class: Id,
        subst: &Subst,
        left: Option<&PatternAst<Term>>,
        rule: Symbol,
    ) -> Vec<Id> {
        // egg looks at its node limit between iterations only, which is too late.
        if egraph.total_size() > egraph.analysis.limits.nodes || egraph.analysis.conflict.is_some()
        {
            return vec![];
        }
        let key = Done::key(rule, subst);
        if left.is_some() && egraph.analysis.done.knows(key) {
            return vec![];
        }
        let m = Match {
            egraph,
            subst,
            vars: &self.vars,
            // What the conditions of a file ask for is not told.
            open: Cell::new(matches!(self.bind, Binder::User(_))),
        };
        let bindings = self.bind.bindings(&m);
        let open = m.open.get();
        if left.is_some() {
            egraph.analysis.done.note(rule, key, open);
        }
        let mut changed = vec![];
        for binding in bindings {
            let mut subst = subst.clone();
            for (var, value) in binding {
                let id = egraph.add(value);
                subst.insert(var, id);
            }
            if let Binder::User(line) = &self.bind {
                match line.check(egraph, class, &subst) {
                    Ok(true) => {}
                    Ok(false) => continue,
                    Err(why) => {
                        let why = format!("rule `{}`: {why}", rule_of(rule.as_str()));
                        egraph.analysis.conflict.get_or_insert(why);
                        return changed;
                    }
                }
            }
            if left.is_some_and(|left| own_operand(egraph, left, &self.right.ast, &subst)) {
                continue;
            }
            let key = Done::key(rule, &subst);
            if left.is_some() && !egraph.analysis.done.applied.insert(key) {
                continue;
            }
            let (id, new) = match left {
                Some(left) => egraph.union_instantiations(left, &self.right.ast, &subst, rule),
                None => {
                    let right = self.right.apply_one(egraph, class, &subst, None, rule);
                    match right.first() {
                        Some(id) => (*id, true),
                        None => (class, false),
                    }
                }
            };
            if new {
                changed.push(id);
            }
        }
        changed
    }
}

/// Whether the right side is an operand of the left one, as in `abs(abs(abs x)) = abs(abs x)`: their class would hold a term
/// around itself. What reads it loses the operation instead.
fn own_operand(
    egraph: &Graph,
    left: &PatternAst<Term>,
    right: &PatternAst<Term>,
    subst: &Subst,
) -> bool {
    let ENodeOrVar::ENode(root) = &left[left.root()] else {
        return false;
    };
    match find(egraph, right, right.root(), subst) {
        Some(id) => {
            let mut operands = root.children().iter();
            operands.any(|c| find(egraph, left, *c, subst) == Some(id))
        }
        None => false,
    }
}

/// The class of a part of a pattern, if it is there.
fn find(egraph: &Graph, pattern: &PatternAst<Term>, at: Id, subst: &Subst) -> Option<Id> {
    let node = match &pattern[at] {
        ENodeOrVar::Var(v) => return subst.get(*v).map(|id| egraph.find(*id)),
        ENodeOrVar::ENode(node) => node,
    };
    let mut node = node.clone();
    for c in node.children_mut() {
        *c = find(egraph, pattern, *c, subst)?;
    }
    egraph.lookup(node)
}

/// Why a rule cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    #[error("rule `{rule}`: `{side}` is not a pattern: {why}")]
    Pattern {
        rule: String,
        side: String,
        why: String,
    },
    #[error("rule `{rule}`: {why}")]
    Rewrite { rule: String, why: String },
}

impl Rule {
    /// The rule as egg rewrites, one a line, named so that [`rule_of`] finds the rule.
    pub fn rewrites(&self) -> Result<Vec<Rewrite<Term, TermAnalysis>>, RuleError> {
        let parse = |side: &str| {
            pattern(side).map_err(|why| RuleError::Pattern {
                rule: self.name.into(),
                side: side.into(),
                why,
            })
        };
        self.lines
            .iter()
            .enumerate()
            .map(|(i, line)| {
                let name = format!("{}#{i}", self.name);
                let (left, right) = (parse(&line.left)?, parse(&line.right)?);
                let applier = Instantiate {
                    vars: Vars::of(&[&left.ast, &right.ast]),
                    right,
                    bind: Binder::Table(line.bind.clone()),
                };
                let left = Fresh::new(&name, left);
                Rewrite::new(name, left, applier).map_err(|why| RuleError::Rewrite {
                    rule: self.name.into(),
                    why,
                })
            })
            .collect()
    }
}

/// A side of a line, read. Layers share most of their lines, and of a small layer reading them took an eighth of the search.
fn pattern(side: &str) -> Result<Arc<Pattern<Term>>, String> {
    static READ: LazyLock<Mutex<HashMap<String, Arc<Pattern<Term>>>>> =
        LazyLock::new(Mutex::default);
    // A map that only grows is whole even if somebody panicked.
    let lock = || READ.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = lock().get(side) {
        return Ok(known.clone());
    }
    let read: Pattern<Term> = side
        .parse()
        .map_err(|e: egg::RecExprParseError<_>| e.to_string())?;
    let read = Arc::new(read);
    lock().insert(side.into(), read.clone());
    Ok(read)
}

/// The rule that a rewrite of [`Rule::rewrites`] belongs to.
pub fn rule_of(rewrite: &str) -> &str {
    rewrite.split_once('#').map_or(rewrite, |(rule, _)| rule)
}

/// Nothing to bind, if it may be.
fn when(holds: bool) -> Vec<Binding> {
    match holds {
        true => vec![vec![]],
        false => vec![],
    }
}

/// A line without numbers to bind.
fn line(left: impl Into<String>, right: impl Into<String>) -> Line {
    line_if(left, right, |_| vec![vec![]])
}

fn line_if(
    left: impl Into<String>,
    right: impl Into<String>,
    bind: impl Fn(&Match) -> Vec<Binding> + Send + Sync + 'static,
) -> Line {
    Line {
        left: left.into(),
        right: right.into(),
        bind: Arc::new(bind),
    }
}

impl Match<'_> {
    /// Whether chunks of `c` of `extent` columns may be cut: rows of a tile are whole blocks, unless there is one chunk.
    fn aligned(&self, c: usize, extent: usize, element: usize) -> bool {
        c == extent || (c * element).is_multiple_of(self.limits().block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_well_formed() {
        let rules = table();
        for rule in rules {
            assert_eq!(
                rule.lines.is_empty(),
                rule.role == Role::Plan,
                "{}",
                rule.name
            );
            rule.rewrites().unwrap_or_else(|e| panic!("{e}"));
        }
        let names: std::collections::BTreeSet<_> = rules.iter().map(|r| r.name).collect();
        assert_eq!(names.len(), rules.len(), "two rules share a name");
        let heads: Vec<Head> = rules
            .iter()
            .flat_map(|r| &r.lines)
            .flat_map(|l| algebra::arithmetic(&l.left))
            .collect();
        for rule in all(&heads) {
            assert!(names.contains(rule.name), "the table lacks {}", rule.name);
        }
    }
}
