//! Algebra: other ways to compute a value, whatever the schedule.
//!
//! These rules speak of whole values; tiles follow by the structure rules. A rule that removes an operation is written in the
//! contexts that read its result, `f(neg(neg x)) = f(x)`: as `neg(neg x) = x` it would put a term into one class with its
//! own operand.

mod casts;
mod constants;
mod quantize;
mod reductions;
mod scales;
mod shape;
mod strength;

use super::{Bind, Binding, Line, Match, Role, Rule, line_if, when};
use crate::numerics::Numerics;
use crate::term::analysis::{Kind, Sign};
use crate::term::language::{Bits, Head, Term};
use std::collections::BTreeSet;
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::Operator;

/// All algebra rules: lines about operators of `heads`, and what is removed in the contexts of `contexts`.
pub(super) fn rules(heads: &[Head], contexts: &[Head]) -> Vec<Rule> {
    let contexts = Contexts::new(contexts);
    let mut rules = casts::rules(heads, &contexts);
    rules.extend(constants::rules(&contexts));
    rules.extend(strength::rules(&contexts));
    rules.extend(shape::rules(heads));
    rules.extend(reductions::rules());
    rules.extend(scales::rules());
    rules.extend(quantize::rules());
    let known: BTreeSet<Head> = heads.iter().copied().collect();
    for rule in &mut rules {
        rule.lines
            .retain(|l| arithmetic(&l.left).all(|h| known.contains(&h)));
    }
    rules.retain(|r| !r.lines.is_empty());
    rules
}

/// The operators of a pattern that a layer has or has not.
pub(super) fn arithmetic(pattern: &str) -> impl Iterator<Item = Head> + use<> {
    let heads = super::pattern(pattern).into_iter().flat_map(|read| {
        let nodes = read.ast.as_ref().iter().filter_map(|n| match n {
            egg::ENodeOrVar::ENode(t) => t.head(),
            egg::ENodeOrVar::Var(_) => None,
        });
        nodes.collect::<Vec<_>>()
    });
    heads.filter(|h| matches!(h, Head::Op(operator) if is_function(*operator) && !operator.primitive().grouped()))
}

/// Functions of elements, whose lines are written for those that a layer has.
pub(super) fn is_function(operator: Operator) -> bool {
    matches!(
        operator,
        Operator::Cast(..)
            | Operator::Unary(_)
            | Operator::Scalar(_)
            | Operator::ScalarLeft(_)
            | Operator::Binary(_)
            | Operator::RowBinary(_)
            | Operator::ColBinary(_)
            | Operator::GroupColBinary(_)
    )
}

/// Terms with a hole, `{}`: what reads a value.
struct Contexts(Vec<String>);

impl Contexts {
    fn new(heads: &[Head]) -> Self {
        // No tile: a class of tiles would hold its own operand.
        let mut out = vec![];
        for h in heads {
            match h {
                Head::Op(Operator::Cast(..) | Operator::Unary(_) | Operator::Reduce(_)) => {
                    out.push(format!("({h} {{}})"))
                }
                Head::Op(Operator::Scalar(_) | Operator::ScalarLeft(_) | Operator::MaskRows) => {
                    out.push(format!("({h} {{}} ?i)"));
                }
                Head::Op(
                    Operator::Binary(_)
                    | Operator::RowBinary(_)
                    | Operator::ColBinary(_)
                    | Operator::MatmulNt,
                ) => {
                    out.push(format!("({h} {{}} ?i)"));
                    out.push(format!("({h} ?i {{}})"));
                }
                _ => {}
            }
        }
        Contexts(out)
    }

    /// `left => right` where it is read.
    fn lines(&self, left: &str, right: &str, bind: Bind) -> Vec<Line> {
        let fill = |context: &String| {
            let [left, right] = [left, right].map(|side| context.replace("{}", side));
            line_if(left, right, bind)
        };
        self.0.iter().map(fill).collect()
    }
}

fn rule(
    name: &'static str,
    numerics: Numerics,
    does: &'static str,
    why: &'static str,
    lines: Vec<Line>,
) -> Rule {
    Rule {
        name,
        role: Role::Choice,
        numerics,
        does,
        why,
        lines,
    }
}

/// A line about whole values: `?a` is one.
fn of_values(left: impl Into<String>, right: impl Into<String>) -> Line {
    line_if(left, right, |m| when(m.is_whole("?a")))
}

fn constant(var: &'static str, value: f32) -> (&'static str, Term) {
    (var, Term::Const(Bits::new(value)))
}

/// The constant, where one that is finite and not subnormal is defined.
fn bound(var: &'static str, value: f32) -> Vec<Binding> {
    match value.is_normal() {
        true => vec![vec![constant(var, value)]],
        false => vec![],
    }
}

impl Match<'_> {
    fn is_whole(&self, var: &str) -> bool {
        self.fixed(var).is_some_and(|f| f.kind == Kind::Tensor)
    }

    fn dtype(&self, var: &str) -> Option<DType> {
        self.fixed(var)?.dtype
    }

    fn is_f32(&self, var: &str) -> bool {
        self.dtype(var) == Some(DType::F32)
    }

    fn constant(&self, var: &str) -> Option<f32> {
        self.fixed(var)?.constant
    }

    fn sign(&self, var: &str) -> Sign {
        self.facts(var).map_or(Sign::Unknown, |f| f.sign)
    }
}
