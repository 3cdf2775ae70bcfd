//! Rules that users write, in text files: `docs/writing-rules.md` is their manual.
//!
//! A file is parsed and checked here, once. What is left for the search is a pair of patterns and a list of conditions, which
//! may add nothing that does not fit together: a right side whose loops, tiles or operands disagree is skipped, and one that
//! differs in shape or type from its left side ends the search with the rule's name.

mod check;
mod parse;

use super::{Match, RuleError};
use crate::numerics::Numerics;
use crate::term::analysis::{Facts, Graph, Kind, Sign, TermAnalysis};
use crate::term::language::{Head, Term};
use egg::{ENodeOrVar, Id, Language, Pattern, PatternAst, Rewrite, Subst, Var};
use miette::SourceSpan;
use std::sync::Arc;
use tilewright_ir::dtype::DType;
use tilewright_ir::op::{Access, Cols, Part, Primitive};

/// Bytes of a file of rules.
const MAX_FILE: usize = 1 << 20;
/// Operators within operators, and brackets within brackets.
const MAX_DEPTH: usize = 64;
/// Numbers that rules may write and compute.
const MAX_NUMBER: i64 = 1 << 20;
/// Trips in flight that a loop may have.
const MAX_PIPELINE: i64 = 4;

/// The rules of some files, in their order.
#[derive(Debug, Clone, Default)]
pub struct UserRules(Vec<Arc<UserRule>>);

impl UserRules {
    /// The rules of one file.
    ///
    /// # Errors
    ///
    /// The first thing in it that is not right.
    pub fn parse(text: &str) -> Result<UserRules, UserRuleError> {
        let mut rules = UserRules::default();
        rules.add(text)?;
        Ok(rules)
    }

    /// Adds the rules of a further file.
    ///
    /// # Errors
    ///
    /// As [`UserRules::parse`], and rules with names that earlier ones have.
    pub fn add(&mut self, text: &str) -> Result<(), UserRuleError> {
        if text.len() > MAX_FILE {
            return Err(UserRuleError::TooLarge { size: text.len() });
        }
        let mut rules = self.0.clone();
        for parsed in parse::file(text)? {
            let rule = check::rule(parsed, &rules)?;
            rules.push(Arc::new(rule));
        }
        self.0 = rules;
        Ok(())
    }

    /// The rules, in the order of their files.
    pub fn iter(&self) -> impl Iterator<Item = &UserRule> {
        self.0.iter().map(Arc::as_ref)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The rule of this name.
    pub fn get(&self, name: &str) -> Option<&UserRule> {
        self.iter().find(|r| r.name == name)
    }
}

/// A rule of a file.
#[derive(Debug, Clone)]
pub struct UserRule {
    pub name: String,
    pub numerics: Numerics,
    /// Why it is legal, as its author says.
    pub why: String,
    pub lines: Vec<UserLine>,
}

/// One `left => right` of a rule of a file, with its conditions.
#[derive(Debug, Clone)]
pub struct UserLine {
    pub left: Pattern<Term>,
    pub right: Pattern<Term>,
    conditions: Vec<Condition>,
}

impl UserRule {
    /// The rule as egg rewrites, one a line, named as those of [`super::Rule::rewrites`].
    ///
    /// # Errors
    ///
    /// None for a rule that [`UserRules::parse`] returned.
    pub fn rewrites(&self) -> Result<Vec<Rewrite<Term, TermAnalysis>>, RuleError> {
        let lines = self.lines.iter().enumerate();
        lines
            .map(|(i, line)| {
                let applier = super::Instantiate {
                    vars: super::Vars::of(&[&line.left.ast, &line.right.ast]),
                    right: Arc::new(line.right.clone()),
                    bind: super::Binder::User(Arc::new(line.clone())),
                };
                let name = format!("{}#{i}", self.name);
                Rewrite::new(name, line.left.clone(), applier).map_err(|why| RuleError::Rewrite {
                    rule: self.name.clone(),
                    why,
                })
            })
            .collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Add,
    Sub,
    Mul,
    Div,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Less,
    AtMost,
    Equal,
}

/// What `rows(?x)`, `cols(?x)` and `bytes(?x)` ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measure {
    Rows,
    Cols,
    Bytes,
}

#[derive(Debug, Clone)]
enum Expr {
    Number(i64),
    Var(Var),
    Measure(Measure, Var),
    Operation(Operation, Box<Expr>, Box<Expr>),
}

#[derive(Debug, Clone)]
enum Condition {
    Bind(Var, Expr),
    Divides(Expr, Expr),
    Compare(Comparison, Expr, Expr),
    Aligned(Expr, Expr, Var),
    Fits(Expr, Expr, Var),
    Type(Var, DType),
    Sign(Var, Sign),
}

impl Expr {
    /// The value; none where there is no whole number: an inexact division, an overflow, a type that is not known.
    fn value(&self, m: &Match, bound: &[(Var, Term)]) -> Option<i64> {
        match self {
            Expr::Number(n) => Some(*n),
            Expr::Var(v) => match bound.iter().find(|(b, _)| b == v) {
                Some((_, Term::Num(n))) => Some(*n),
                Some(_) => None,
                None => m.facts_of(*v)?.num,
            },
            Expr::Measure(measure, v) => {
                let facts = m.facts_of(*v)?;
                let n = match measure {
                    Measure::Rows => facts.rows,
                    Measure::Cols => facts.cols,
                    Measure::Bytes => facts.dtype?.bytes(),
                };
                i64::try_from(n).ok()
            }
            Expr::Operation(op, a, b) => {
                let (a, b) = (a.value(m, bound)?, b.value(m, bound)?);
                match op {
                    Operation::Add => a.checked_add(b),
                    Operation::Sub => a.checked_sub(b),
                    Operation::Mul => a.checked_mul(b),
                    Operation::Div => (a.checked_rem(b)? == 0).then(|| a / b),
                }
            }
        }
    }
}

impl UserLine {
    /// Numbers for the variables that conditions bind; none refuses the match.
    pub(super) fn bindings(&self, m: &Match) -> Option<Vec<(Var, Term)>> {
        let mut bound = vec![];
        for condition in &self.conditions {
            let value = |e: &Expr| e.value(m, &bound);
            let size = |e: &Expr| value(e).and_then(|n| usize::try_from(n).ok());
            let holds = match condition {
                Condition::Bind(v, e) => {
                    let n = value(e).filter(|n| (1..=MAX_NUMBER).contains(n))?;
                    bound.push((*v, Term::Num(n)));
                    true
                }
                Condition::Divides(a, b) => value(b)?.checked_rem(value(a)?)? == 0,
                Condition::Compare(by, a, b) => {
                    let (a, b) = (value(a)?, value(b)?);
                    match by {
                        Comparison::Less => a < b,
                        Comparison::AtMost => a <= b,
                        Comparison::Equal => a == b,
                    }
                }
                Condition::Aligned(c, n, v) => {
                    let (c, n) = (size(c)?, size(n)?);
                    let element = m.facts_of(*v)?.element();
                    c.checked_mul(element).is_some() && m.aligned(c, n, element)
                }
                Condition::Fits(r, c, v) => {
                    let bytes = size(r)?.checked_mul(size(c)?)?;
                    let bytes = bytes.checked_mul(m.facts_of(*v)?.element())?;
                    bytes <= m.limits().ub
                }
                Condition::Sign(v, sign) => m.facts_of(*v)?.sign >= *sign,
                Condition::Type(v, dtype) => m.facts_of(*v)?.dtype == Some(*dtype),
            };
            if !holds {
                return None;
            }
        }
        Some(bound)
    }

    /// Whether the right side fits together and has the shape and type of `class`. What does not fit is skipped; a difference is
    /// an error that says so.
    pub(super) fn check(
        &self,
        egraph: &mut Graph,
        class: Id,
        subst: &Subst,
    ) -> Result<bool, String> {
        let right: &PatternAst<Term> = &self.right.ast;
        let mut ids: Vec<Id> = Vec::with_capacity(right.len());
        for node in right.as_ref() {
            let id = match node {
                ENodeOrVar::Var(v) => match subst.get(*v) {
                    Some(id) => *id,
                    None => return Ok(false),
                },
                ENodeOrVar::ENode(term) => {
                    let term = term.clone().map_children(|c| ids[usize::from(c)]);
                    let operands: Vec<&Facts> =
                        term.children().iter().map(|c| &egraph[*c].data).collect();
                    if let Some(head) = term.head()
                        && !fits(head, &operands)
                    {
                        return Ok(false);
                    }
                    egraph.add(term)
                }
            };
            if egraph[id].data.kind == Kind::Wrong {
                return Ok(false);
            }
            ids.push(id);
        }
        let Some(root) = ids.last() else {
            return Ok(false);
        };
        let (left, right) = (&egraph[class].data, &egraph[*root].data);
        let same = left.kind == right.kind
            && (left.rows, left.cols) == (right.rows, right.cols)
            && left.dtype == right.dtype;
        match same {
            true => Ok(true),
            false => Err(format!(
                "`{}` is {}, and `{}` is {}",
                self.left,
                shape(left),
                self.right,
                shape(right)
            )),
        }
    }
}

/// Kind, extent and type, for people.
fn shape(facts: &Facts) -> String {
    let kind = match facts.kind {
        Kind::Leaf => "a number",
        Kind::Tensor => "a value of",
        Kind::Tile => "a tile of",
        Kind::Block => "a block of",
        Kind::Wrong => "nothing",
    };
    let dtype = facts.dtype.map_or("no type", DType::name);
    format!("{kind} {} x {} {dtype}", facts.rows, facts.cols)
}

/// Whether a term of these operands stands for something: pieces divide wholes, and blocks have the extents that loops say.
fn fits(head: Head, operands: &[&Facts]) -> bool {
    let num = |i: usize| operands[i].num.unwrap_or(0).max(0) as usize;
    let whole = |n: usize, piece: usize| piece > 0 && n > 0 && n.is_multiple_of(piece);
    match head {
        Head::Op(operator) => operation_fits(operator.primitive(), operands),
        Head::Parts => {
            let (a, b) = (operands[1], operands[2]);
            same(a, b) && a.cols == b.cols && whole(a.cols, num(0))
        }
        Head::Tile | Head::Load => {
            let v = operands[2];
            v.kind == Kind::Tensor && whole(v.rows, num(0)) && whole(v.cols, num(1))
        }
        Head::Fold(_) => {
            whole(num(1), num(2)) && operands[3].kind == Kind::Tile && operands[3].cols == 1
        }
        Head::Mm | Head::MmParts => {
            let at = usize::from(head == Head::MmParts);
            let (a, b) = (operands[at + 3], operands[at + 4]);
            let c = num(at + 2);
            whole(num(at + 1), c)
                && same(a, b)
                && a.kind == Kind::Tile
                && a.cols == c
                && b.cols == c
        }
        Head::Cols => {
            let t = operands[3];
            whole(num(1), num(2)) && t.kind == Kind::Tile && t.cols == num(2)
        }
        Head::Rows => {
            let body = operands[2];
            body.kind == Kind::Block && whole(num(0), num(1)) && body.rows == num(1)
        }
        Head::WithPad => operands[2].kind == Kind::Block && operands[2].cols <= num(0),
        Head::Fill => num(1) < num(2),
        Head::Launch(_) => {
            let body = operands[2];
            body.kind == Kind::Block && whole(num(0), body.rows) && whole(num(1), body.cols)
        }
        _ => true,
    }
}

fn same(a: &Facts, b: &Facts) -> bool {
    a.kind == b.kind && a.dtype == b.dtype
}

/// As [`fits`], of an operation.
fn operation_fits(primitive: &Primitive, children: &[&Facts]) -> bool {
    let operands = &children[usize::from(primitive.grouped())..];
    let first = operands[0];
    let number = |i: usize| operands[primitive.operands() + i].num.unwrap_or(0).max(0) as usize;
    let part_fits = |(part, of): (&Part, &&Facts)| match part {
        Part::Block => same(first, of) && (of.rows, of.cols) == (first.rows, first.cols),
        Part::Column => same(first, of) && (of.rows, of.cols) == (first.rows, 1),
        Part::Row => same(first, of) && (of.rows, of.cols) == (1, first.cols),
        Part::GroupRow | Part::Rows | Part::Whole => true,
    };
    match (primitive.access, primitive.shape.cols) {
        (Access::Element(parts), _) => parts.iter().zip(operands).all(part_fits),
        (Access::Product { grouped: false }, _) => {
            same(first, operands[1]) && first.cols == operands[1].cols
        }
        (Access::Pad, _) => first.cols <= number(0),
        // Some of a row's columns.
        (Access::Row { .. }, Cols::Number(n)) => number(n) <= first.cols,
        _ => true,
    }
}

/// Why a file of rules is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
#[non_exhaustive]
pub enum UserRuleError {
    #[error("the file has {size} bytes, and {MAX_FILE} is the limit")]
    #[diagnostic(
        code(tilewright::rules::too_large),
        help("a file of rules is a few kilobytes: is this the right file?")
    )]
    TooLarge { size: usize },
    #[error("there is no rule in the file")]
    #[diagnostic(
        code(tilewright::rules::empty),
        help("write `rule NAME bitwise \"why it is legal\" {{ (left) => (right) }}`")
    )]
    Empty,
    #[error("expected {expected}, found {found}")]
    #[diagnostic(
        code(tilewright::rules::syntax),
        help("a rule is `rule NAME CLASS \"why\" {{ (left) => (right) where conditions }}`")
    )]
    Syntax {
        expected: String,
        found: String,
        #[label("expected {expected}")]
        span: SourceSpan,
    },
    #[error("more than {MAX_DEPTH} brackets are open")]
    #[diagnostic(
        code(tilewright::rules::too_deep),
        help("match less of the term: a rule also applies inside larger ones")
    )]
    TooDeep {
        #[label("too deep here")]
        span: SourceSpan,
    },
    #[error("`{found}` is not a class of numerics")]
    #[diagnostic(
        code(tilewright::rules::numerics),
        help("write bitwise, reassociate or relaxed: what the rule may do to the numbers")
    )]
    Numerics {
        found: String,
        #[label("not a class")]
        span: SourceSpan,
    },
    #[error("the name `{name}` is taken")]
    #[diagnostic(
        code(tilewright::rules::name_taken),
        help(
            "choose another; `tilewright rules` lists the names of the rules that come with tilewright"
        )
    )]
    NameTaken {
        name: String,
        #[label("another rule has this name")]
        span: SourceSpan,
    },
    #[error("there is no operator `{name}` with operands")]
    #[diagnostic(
        code(tilewright::rules::operator),
        help("the nearest is `{nearest}`; `docs/rules.md` shows terms of most of them")
    )]
    Operator {
        name: String,
        nearest: String,
        #[label("no such operator")]
        span: SourceSpan,
    },
    #[error("`{name}` takes {expected} operands, not {found}")]
    #[diagnostic(code(tilewright::rules::arity), help("it is written `{form}`"))]
    Arity {
        name: String,
        expected: usize,
        found: usize,
        form: String,
        #[label("{found} operands here")]
        span: SourceSpan,
    },
    #[error("`{name}` is {is}, and {wanted} belongs here")]
    #[diagnostic(code(tilewright::rules::operand), help("{help}"))]
    Operand {
        name: String,
        is: &'static str,
        wanted: &'static str,
        help: String,
        #[label("{wanted} belongs here")]
        span: SourceSpan,
    },
    #[error("`{name}` is not bound")]
    #[diagnostic(
        code(tilewright::rules::unbound),
        help(
            "the left side must have it, or an earlier `where` condition must give it a number: `where {name} = ...`"
        )
    )]
    Unbound {
        name: String,
        #[label("nothing says what this is")]
        span: SourceSpan,
    },
    #[error("`{name}` is bound already")]
    #[diagnostic(
        code(tilewright::rules::bound),
        help("compare with `==`, or take another name")
    )]
    Bound {
        name: String,
        #[label("bound again")]
        span: SourceSpan,
    },
    #[error("the left side is a variable, which matches everything")]
    #[diagnostic(
        code(tilewright::rules::matches_all),
        help("write the operator of the terms that the rule is about")
    )]
    MatchesAll {
        #[label("matches every term")]
        span: SourceSpan,
    },
    #[error("the right side is the left side")]
    #[diagnostic(
        code(tilewright::rules::no_change),
        help("a rule says that another term is equal")
    )]
    NoChange {
        #[label("the same term")]
        span: SourceSpan,
    },
    #[error("the right side contains the whole left side")]
    #[diagnostic(
        code(tilewright::rules::grows),
        help(
            "it would match again in what it added, without end; a term must not become a part of itself"
        )
    )]
    Grows {
        #[label("contains what is on the left")]
        span: SourceSpan,
    },
    #[error("the left side is {left}, and the right side is {right}")]
    #[diagnostic(
        code(tilewright::rules::kinds),
        help(
            "both sides must stand for the same thing: a whole value, a tile of one, or what a block stores"
        )
    )]
    Kinds {
        left: &'static str,
        right: &'static str,
        #[label("this is {right}")]
        span: SourceSpan,
    },
    #[error("`{name}` is a name that the left side does not have")]
    #[diagnostic(
        code(tilewright::rules::name),
        help(
            "a rule cannot add inputs or buffers: match the name with a variable on the left side"
        )
    )]
    Name {
        name: String,
        #[label("not on the left side")]
        span: SourceSpan,
    },
    #[error("{number} is not between 1 and {limit}")]
    #[diagnostic(
        code(tilewright::rules::number),
        help(
            "sizes and counts are whole numbers from 1; loops have at most {MAX_PIPELINE} trips in flight; constants are written with a point"
        )
    )]
    Number {
        number: String,
        limit: i64,
        #[label("out of range")]
        span: SourceSpan,
    },
}
