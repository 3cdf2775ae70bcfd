//! The rules, as tables.
//!
//! A [`Rule`] has a name, a numerics class, a reason why it is legal, and one or more lines `left => right`. Numbers that the
//! right side has and the left side lacks are bound by the line's [`Bind`], which may refuse (that is the condition). Both
//! sides are patterns and unions go through `union_instantiations`, so that egg's proofs stay true.
//!
//! A rule is added in one of the files beside this one, with one line in [`all`]. Users add theirs in files: [`user`].

mod exchange;
mod launch;
mod loops;
mod memory;
mod page;
mod split;
mod structure;
pub mod user;

pub use page::markdown;

use super::analysis::{Done, Facts, Graph, TermAnalysis};
use super::language::{Head, Term};
use crate::numerics::Numerics;
use egg::{Applier, Id, Pattern, PatternAst, Rewrite, Subst, Symbol, Var};
use std::sync::Arc;

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
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Role::Structure => "structure",
            Role::Choice => "choice",
            Role::Optional => "optional",
        }
    }
}

/// Values for the variables that a line's left side does not bind; an empty list refuses the match.
pub type Bind = fn(&Match) -> Vec<Binding>;

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
    pub bind: Bind,
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
    let mut rules = structure::rules(heads);
    rules.extend(memory::rules(heads));
    rules.extend(split::rules());
    rules.extend(loops::rules());
    rules.extend(launch::rules());
    rules.extend(exchange::rules());
    rules
}

/// The table for people: every rule with the lines of all operators' first representatives.
pub fn table() -> Vec<Rule> {
    use tilewright_ir::dtype::{DType, Round};
    use tilewright_ir::graph::{Binary, Unary};
    all(&[
        Head::Cast(DType::F32, Round::Rint),
        Head::Unary(Unary::Exp),
        Head::Scalar(Binary::Mul),
        Head::ScalarLeft(Binary::Div),
        Head::Binary(Binary::Add),
        Head::RowBinary(Binary::Mul),
        Head::ColBinary(Binary::Mul),
        Head::GroupColBinary(Binary::Mul),
    ])
}

/// A match of a line's left side.
pub struct Match<'a> {
    egraph: &'a Graph,
    subst: &'a Subst,
}

impl Match<'_> {
    fn class(&self, var: &str) -> Option<Id> {
        let var: Var = var.parse().ok()?;
        self.subst.get(var).copied()
    }

    /// The number that `var` is bound to; 0 when it is none.
    pub fn num(&self, var: &str) -> usize {
        self.facts(var).and_then(|f| f.num).unwrap_or(0).max(0) as usize
    }

    fn facts_of(&self, var: Var) -> Option<&Facts> {
        Some(&self.egraph[*self.subst.get(var)?].data)
    }

    pub fn facts(&self, var: &str) -> Option<&Facts> {
        Some(&self.egraph[self.class(var)?].data)
    }

    /// Columns of the value that `var` is bound to.
    pub fn cols(&self, var: &str) -> usize {
        self.facts(var).map_or(0, |f| f.cols)
    }

    /// Bytes of one element of the value that `var` is bound to.
    pub fn element(&self, var: &str) -> usize {
        self.facts(var).map_or(4, Facts::element)
    }

    /// Loops as written of the reduction or product that the match's root or `left` stands for.
    pub fn seeds(&self, term: &Term) -> Vec<super::analysis::Seed> {
        match self.egraph.lookup(term.clone()) {
            Some(id) => TermAnalysis::seeds_of(self.egraph, id),
            None => vec![],
        }
    }

    /// The numbers of blocks that can share the exchange of the value that `var` names.
    pub fn shares(&self, var: &str) -> &[usize] {
        let name = self.facts(var).and_then(|f| f.name);
        let found = name.and_then(|n| self.egraph.analysis.shares.get(&n));
        found.map_or(&[], Vec::as_slice)
    }

    pub fn limits(&self) -> &super::analysis::Limits {
        &self.egraph.analysis.limits
    }

    pub fn id(&self, var: &str) -> Option<Id> {
        self.class(var)
    }
}

/// The right side of a line as an applier: binds numbers, then instantiates the pattern.
struct Instantiate {
    right: Pattern<Term>,
    bind: Binder,
}

/// Where the values of an applier's variables come from.
enum Binder {
    /// A function of the tables.
    Table(Bind),
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
                    vars.filter_map(|(name, value)| Some((name.parse().ok()?, value)))
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
        if left.is_some() && !egraph.analysis.done.matched.insert(key) {
            return vec![];
        }
        let bindings = self.bind.bindings(&Match { egraph, subst });
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
        let parse = |side: &str| -> Result<Pattern<Term>, RuleError> {
            side.parse()
                .map_err(|e: egg::RecExprParseError<_>| RuleError::Pattern {
                    rule: self.name.into(),
                    side: side.into(),
                    why: e.to_string(),
                })
        };
        self.lines
            .iter()
            .enumerate()
            .map(|(i, line)| {
                let applier = Instantiate {
                    right: parse(&line.right)?,
                    bind: Binder::Table(line.bind),
                };
                Rewrite::new(format!("{}#{i}", self.name), parse(&line.left)?, applier).map_err(
                    |why| RuleError::Rewrite {
                        rule: self.name.into(),
                        why,
                    },
                )
            })
            .collect()
    }
}

/// The rule that a rewrite of [`Rule::rewrites`] belongs to.
pub fn rule_of(rewrite: &str) -> &str {
    rewrite.split_once('#').map_or(rewrite, |(rule, _)| rule)
}

/// A line without numbers to bind.
fn line(left: impl Into<String>, right: impl Into<String>) -> Line {
    line_if(left, right, |_| vec![vec![]])
}

fn line_if(left: impl Into<String>, right: impl Into<String>, bind: Bind) -> Line {
    Line {
        left: left.into(),
        right: right.into(),
        bind,
    }
}

/// Factors by which tiles grow and shrink. With 2, 3, 5 and 7 every divisor of a layer's usual sizes is reached.
const FACTORS: [usize; 4] = [2, 3, 5, 7];

/// `x * f` for each factor after which it still divides `of`.
fn grown(x: usize, of: usize) -> Vec<usize> {
    if x == 0 {
        return vec![];
    }
    FACTORS
        .into_iter()
        .map(|f| x * f)
        .filter(|y| *y <= of && of.is_multiple_of(*y))
        .collect()
}

/// `x / f` for each factor that divides it.
fn shrunk(x: usize) -> Vec<usize> {
    FACTORS
        .into_iter()
        .filter(|f| x > 1 && x.is_multiple_of(*f))
        .map(|f| x / f)
        .collect()
}

/// Whether chunks of `c` of `extent` columns may be cut: rows of a tile are whole 32-byte blocks, unless there is one chunk.
fn aligned(c: usize, extent: usize, element: usize) -> bool {
    c == extent || (c * element).is_multiple_of(32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_well_formed() {
        let rules = table();
        for rule in &rules {
            assert!(!rule.lines.is_empty(), "{}", rule.name);
            rule.rewrites().unwrap_or_else(|e| panic!("{e}"));
        }
        let names: std::collections::BTreeSet<_> = rules.iter().map(|r| r.name).collect();
        assert_eq!(names.len(), rules.len(), "two rules share a name");
    }

    #[test]
    fn tiles_grow_and_shrink_within_divisors() {
        assert_eq!(grown(128, 4096), [256]);
        assert_eq!(grown(1024, 7168), [7168]);
        assert_eq!(shrunk(14), [7, 2]);
        assert!(shrunk(1).is_empty());
    }
}
