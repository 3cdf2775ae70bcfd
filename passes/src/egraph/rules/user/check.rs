//! From a tree with places to patterns: operators, operands, and what is bound.

use super::parse::{ParsedCondition, ParsedExpr, ParsedLine, ParsedRule, Tree, Word, span};
use super::{
    Comparison, Condition, Expr, MAX_NUMBER, MAX_PIPELINE, UserLine, UserRule, UserRuleError,
};
use crate::numerics::Numerics;
use crate::term::language::{Head, Term, TermError};
use egg::{ENodeOrVar, FromOp, Id, Pattern, PatternAst, Var};
use indexmap::IndexMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use tilewright_ir::dtype::DType;
use tilewright_ir::op::{Access, NumberKind, Part, Primitive};

type Result<T> = std::result::Result<T, UserRuleError>;

/// What a part of a pattern stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    /// A size, a count or a depth: what `where` binds.
    Number,
    Size,
    Depth,
    Const,
    Name,
    /// A whole value or a tile of one.
    Value,
    Tensor,
    Tile,
    Body,
}

impl Sort {
    fn describe(self) -> &'static str {
        match self {
            Sort::Number => "a number",
            Sort::Size => "a size",
            Sort::Depth => "the depth of a loop",
            Sort::Const => "a constant",
            Sort::Name => "a name",
            Sort::Value => "a value",
            Sort::Tensor => "a whole value",
            Sort::Tile => "a tile",
            Sort::Body => "what a block stores",
        }
    }

    /// As in `(cols depth size size tile)`.
    fn word(self) -> &'static str {
        match self {
            Sort::Number | Sort::Size => "size",
            Sort::Depth => "depth",
            Sort::Const => "constant",
            Sort::Name => "name",
            Sort::Value | Sort::Tensor => "value",
            Sort::Tile => "tile",
            Sort::Body => "body",
        }
    }

    /// The narrower of two that agree.
    fn meet(self, other: Sort) -> Option<Sort> {
        match (self, other) {
            (a, b) if a == b => Some(a),
            (Sort::Value, s @ (Sort::Tensor | Sort::Tile))
            | (s @ (Sort::Tensor | Sort::Tile), Sort::Value)
            | (Sort::Number, s @ (Sort::Size | Sort::Depth))
            | (s @ (Sort::Size | Sort::Depth), Sort::Number) => Some(s),
            _ => None,
        }
    }

    fn is_number(self) -> bool {
        matches!(self, Sort::Number | Sort::Size | Sort::Depth)
    }
}

/// The operands of an operator, where `like` is what its result stands for, and the sort of the result; none is `like`.
fn signature(head: Head, like: Sort) -> (Vec<Sort>, Option<Sort>) {
    use Sort::{Body, Const, Depth, Name, Size, Tensor, Tile};
    match head {
        Head::Input | Head::Exchanged => (vec![Name], Some(Tensor)),
        Head::Share => (vec![Size, Tensor], Some(Body)),
        Head::ByLine => (vec![Tensor], Some(Tensor)),
        Head::Buf => (vec![Name, Tensor], Some(Tensor)),
        Head::Op(operator) => operation(operator.primitive(), like),
        Head::Parts => (vec![Size, Tensor, Tensor], Some(Tensor)),
        Head::Overlay => (vec![Tensor, Tensor], Some(Tensor)),
        Head::Tile | Head::Load => (vec![Size, Size, Tensor], Some(Tile)),
        Head::Fold(_) => (vec![Depth, Size, Size, Tile], Some(Tile)),
        Head::Mm => (vec![Depth, Size, Size, Tile, Tile], Some(Tile)),
        Head::MmParts | Head::MmGrouped => (vec![Size, Depth, Size, Size, Tile, Tile], Some(Tile)),
        Head::AddParts | Head::Halve(_) => (vec![Size, Tile], Some(Tile)),
        Head::Pieces => (vec![Size, Size], Some(Size)),
        Head::Kept => (vec![Size, Size, Size], Some(Size)),
        Head::Cols => (vec![Depth, Size, Size, Tile], Some(Body)),
        Head::Rows => (vec![Size, Size, Body], Some(Body)),
        Head::WithPad => (vec![Size, Const, Body], Some(Body)),
        Head::Fill => (vec![Size, Size, Size, Const], Some(Body)),
        Head::Launch(_) => (vec![Size, Size, Body], Some(Tensor)),
    }
}

/// As [`signature`], of an operation.
fn operation(primitive: &Primitive, like: Sort) -> (Vec<Sort>, Option<Sort>) {
    // Tiles of a product are products of tiles in a loop.
    // A view is of a whole value, too.
    let product = matches!(primitive.access, Access::Product { .. } | Access::Recut);
    let value = if product { Sort::Tensor } else { like };
    let groups = primitive.grouped().then_some(Sort::Size);
    let operands = (0..primitive.operands()).map(|i| match carries(primitive, i) {
        true => value,
        false => Sort::Value,
    });
    let numbers = primitive.numbers.iter().map(|number| match number {
        NumberKind::Place => Sort::Number,
        NumberKind::Size => Sort::Size,
        NumberKind::Constant => Sort::Const,
    });
    let sorts = groups.into_iter().chain(operands).chain(numbers);
    (sorts.collect(), product.then_some(Sort::Tensor))
}

/// Whether an operand is what the result is: a whole value, or a tile of one.
fn carries(primitive: &Primitive, operand: usize) -> bool {
    match primitive.access {
        Access::Element(parts) | Access::Row { parts, .. } => {
            parts.get(operand) != Some(&Part::Whole)
        }
        _ => true,
    }
}

/// The rule, if it is right and its name is free.
pub(super) fn rule(parsed: ParsedRule, earlier: &[Arc<UserRule>]) -> Result<UserRule> {
    let name = parsed.name.text;
    let ours = super::super::table();
    let taken = name == "as-written"
        || ours.iter().any(|r| r.name == name)
        || earlier.iter().any(|r| r.name == name);
    if taken {
        return Err(UserRuleError::NameTaken {
            name,
            span: span(&parsed.name.span),
        });
    }
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Err(UserRuleError::Syntax {
            expected: "a name that starts with a letter".into(),
            found: format!("`{name}`"),
            span: span(&parsed.name.span),
        });
    }
    let numerics: std::result::Result<Numerics, _> = parsed.class.text.parse();
    let Ok(numerics) = numerics else {
        return Err(UserRuleError::Numerics {
            found: parsed.class.text,
            span: span(&parsed.class.span),
        });
    };
    let lines = parsed.lines.iter().map(line).collect::<Result<_>>()?;
    Ok(UserRule {
        name,
        numerics,
        why: parsed.why,
        lines,
    })
}

fn line(parsed: &ParsedLine) -> Result<UserLine> {
    let (left, right) = (&parsed.left, &parsed.right);
    if is_var(left) {
        return Err(UserRuleError::MatchesAll {
            span: span(&left.span),
        });
    }
    let mut checker = Checker::default();
    let (left_pattern, left_sort) = checker.side(left)?;
    checker.right = true;
    let conditions = parsed.conditions.iter();
    let mut conditions: Vec<Condition> = conditions
        .map(|c| checker.condition(c))
        .collect::<Result<_>>()?;
    let (right_pattern, right_sort) = checker.side(right)?;
    let whole = shown(left);
    if shown(right) == whole {
        return Err(UserRuleError::NoChange {
            span: span(&right.span),
        });
    }
    if let Some(part) = part(right, &whole) {
        return Err(UserRuleError::Grows {
            span: span(&part.span),
        });
    }
    if left_sort.meet(right_sort).is_none() {
        return Err(UserRuleError::Kinds {
            left: left_sort.describe(),
            right: right_sort.describe(),
            span: span(&right.span),
        });
    }
    for (v, _) in checker.vars.iter().filter(|(_, s)| **s == Sort::Depth) {
        let (v, limit) = (Expr::Var(*v), Expr::Number(MAX_PIPELINE));
        conditions.push(Condition::Compare(Comparison::AtMost, v, limit));
    }
    Ok(UserLine {
        left: left_pattern,
        right: right_pattern,
        conditions,
    })
}

fn is_var(tree: &Tree) -> bool {
    tree.operands.is_none() && tree.op.text.starts_with('?')
}

/// The tree without its spaces.
fn shown(tree: &Tree) -> String {
    match &tree.operands {
        None => tree.op.text.clone(),
        Some(operands) => {
            let operands: Vec<String> = operands.iter().map(shown).collect();
            format!("({} {})", tree.op.text, operands.join(" "))
        }
    }
}

/// The first part of the tree that is `whole`.
fn part<'a>(tree: &'a Tree, whole: &str) -> Option<&'a Tree> {
    if shown(tree) == whole {
        return Some(tree);
    }
    let operands = tree.operands.iter().flatten();
    operands.filter_map(|t| part(t, whole)).next()
}

/// What is known while the parts of a line are checked, in their order.
#[derive(Default)]
struct Checker {
    vars: IndexMap<Var, Sort>,
    names: BTreeSet<String>,
    /// Whether the left side is done.
    right: bool,
}

impl Checker {
    fn side(&mut self, tree: &Tree) -> Result<(Pattern<Term>, Sort)> {
        let mut ast = PatternAst::default();
        let (_, sort) = self.tree(tree, None, &mut ast)?;
        Ok((Pattern::new(ast), sort))
    }

    /// Adds the tree to the pattern.
    fn tree(
        &mut self,
        tree: &Tree,
        wanted: Option<Sort>,
        ast: &mut PatternAst<Term>,
    ) -> Result<(Id, Sort)> {
        let Some(operands) = &tree.operands else {
            return self.atom(&tree.op, wanted, ast);
        };
        let name = &tree.op.text;
        // Operators without operands are numbers and names: brackets make none of those.
        let trial = vec![Id::from(0); operands.len()];
        let head = match Term::from_op(name, trial) {
            Ok(Term::App(head, _)) => head,
            Err(TermError::Arity {
                expected, found, ..
            }) => {
                return Err(UserRuleError::Arity {
                    name: name.clone(),
                    expected,
                    found,
                    form: form(name, expected),
                    span: span(&tree.span),
                });
            }
            Ok(_) | Err(TermError::UnknownOperator(_)) => {
                let known: Vec<String> = Head::all().iter().map(Head::to_string).collect();
                let nearest = crate::nearest(name, known.iter().map(String::as_str));
                return Err(UserRuleError::Operator {
                    name: name.clone(),
                    nearest: nearest.unwrap_or_default().into(),
                    span: span(&tree.op.span),
                });
            }
        };
        let like = match wanted {
            Some(s @ (Sort::Tensor | Sort::Tile)) => s,
            _ => Sort::Value,
        };
        let (sorts, result) = signature(head, like);
        let mut ids = vec![];
        let mut sort = result.unwrap_or(like);
        for (operand, wanted) in operands.iter().zip(&sorts) {
            let (id, found) = self.tree(operand, Some(*wanted), ast)?;
            ids.push(id);
            let carried = result.is_none()
                && match head {
                    Head::Op(operator) => carries(operator.primitive(), ids.len() - 1),
                    _ => true,
                };
            if carried && matches!(wanted, Sort::Value | Sort::Tensor | Sort::Tile) {
                sort = self.meet(&shown(operand), found, sort, &operand.span)?;
            }
        }
        if let Some(wanted) = wanted {
            self.meet(&shown(tree), sort, wanted, &tree.span)?;
        }
        let id = ast.add(ENodeOrVar::ENode(Term::app(head, ids)));
        Ok((id, sort))
    }

    fn meet(&self, name: &str, is: Sort, wanted: Sort, at: &super::parse::Span) -> Result<Sort> {
        is.meet(wanted).ok_or_else(|| UserRuleError::Operand {
            name: name.into(),
            is: is.describe(),
            wanted: wanted.describe(),
            help: match (is, wanted) {
                (Sort::Tensor, Sort::Tile) => format!("cut it: `(tile ?r ?c {name})`"),
                (_, Sort::Const) => "write constants with a point, as in `1.0`".into(),
                (Sort::Name, _) if !name.starts_with('?') => {
                    format!("a variable is written `?{name}`")
                }
                _ => "a variable stands for the same thing wherever it is written".into(),
            },
            span: span(at),
        })
    }

    fn atom(
        &mut self,
        word: &Word,
        wanted: Option<Sort>,
        ast: &mut PatternAst<Term>,
    ) -> Result<(Id, Sort)> {
        if word.text.starts_with('?') {
            let var = variable(word)?;
            let sort = match (self.vars.get(&var), wanted) {
                (Some(known), Some(wanted)) => self.meet(&word.text, *known, wanted, &word.span)?,
                (Some(known), None) => *known,
                (None, Some(wanted)) if !self.right => wanted,
                (None, _) => return Err(unbound(word)),
            };
            self.vars.insert(var, sort);
            return Ok((ast.add(ENodeOrVar::Var(var)), sort));
        }
        let expected = |expected: &str| UserRuleError::Syntax {
            expected: expected.into(),
            found: format!("`{}`", word.text),
            span: span(&word.span),
        };
        let Some(wanted) = wanted else {
            return Err(expected("a term: `(operator operands)`"));
        };
        let Ok(term) = Term::from_op(&word.text, vec![]) else {
            return Err(expected("brackets around an operator and its operands"));
        };
        match &term {
            Term::Num(n) => {
                self.meet(&word.text, Sort::Number, wanted, &word.span)?;
                if self.right {
                    in_range(*n, wanted, word)?;
                }
            }
            Term::Const(_) => {
                self.meet(&word.text, Sort::Const, wanted, &word.span)?;
            }
            Term::Name(_) | Term::App(..) => {
                self.meet(&word.text, Sort::Name, wanted, &word.span)?;
                if !self.right {
                    self.names.insert(word.text.clone());
                } else if !self.names.contains(&word.text) {
                    return Err(UserRuleError::Name {
                        name: word.text.clone(),
                        span: span(&word.span),
                    });
                }
            }
        }
        Ok((ast.add(ENodeOrVar::ENode(term)), wanted))
    }

    fn condition(&mut self, parsed: &ParsedCondition) -> Result<Condition> {
        Ok(match parsed {
            ParsedCondition::Bind(word, e) => {
                let e = self.expr(e)?;
                let var = variable(word)?;
                if self.vars.insert(var, Sort::Number).is_some() {
                    return Err(UserRuleError::Bound {
                        name: word.text.clone(),
                        span: span(&word.span),
                    });
                }
                Condition::Bind(var, e)
            }
            ParsedCondition::Divides(a, b) => Condition::Divides(self.expr(a)?, self.expr(b)?),
            ParsedCondition::Compare(by, a, b) => {
                Condition::Compare(*by, self.expr(a)?, self.expr(b)?)
            }
            ParsedCondition::Aligned(c, n, v) => {
                Condition::Aligned(self.expr(c)?, self.expr(n)?, self.value(v)?)
            }
            ParsedCondition::Fits(r, c, v) => {
                Condition::Fits(self.expr(r)?, self.expr(c)?, self.value(v)?)
            }
            ParsedCondition::Sign(v, sign) => Condition::Sign(self.value(v)?, *sign),
            ParsedCondition::Type(v, dtype) => {
                let Ok(found) = dtype.text.parse::<DType>() else {
                    let known = DType::ALL.map(DType::name).join(", ");
                    return Err(UserRuleError::Syntax {
                        expected: format!("an element type ({known})"),
                        found: format!("`{}`", dtype.text),
                        span: span(&dtype.span),
                    });
                };
                Condition::Type(self.value(v)?, found)
            }
        })
    }

    fn expr(&self, parsed: &ParsedExpr) -> Result<Expr> {
        Ok(match parsed {
            ParsedExpr::Number(word) => {
                let n = word.text.parse().ok();
                let n = n.filter(|n| (0..=MAX_NUMBER).contains(n));
                Expr::Number(n.ok_or_else(|| out_of_range(word, MAX_NUMBER))?)
            }
            ParsedExpr::Var(word) => {
                let (var, sort) = self.known(word)?;
                if !sort.is_number() {
                    self.meet(&word.text, sort, Sort::Number, &word.span)?;
                }
                Expr::Var(var)
            }
            ParsedExpr::Measure(measure, word) => Expr::Measure(*measure, self.value(word)?),
            ParsedExpr::Operation(op, a, b) => {
                Expr::Operation(*op, Box::new(self.expr(a)?), Box::new(self.expr(b)?))
            }
        })
    }

    fn known(&self, word: &Word) -> Result<(Var, Sort)> {
        let var = variable(word)?;
        let sort = self.vars.get(&var).ok_or_else(|| unbound(word))?;
        Ok((var, *sort))
    }

    /// A variable that has an extent and a type.
    fn value(&self, word: &Word) -> Result<Var> {
        let (var, sort) = self.known(word)?;
        if sort != Sort::Body {
            self.meet(&word.text, sort, Sort::Value, &word.span)?;
        }
        Ok(var)
    }
}

/// How an operator is written.
fn form(name: &str, arity: usize) -> String {
    let operands = match Term::from_op(name, vec![Id::from(0); arity]) {
        Ok(Term::App(head, _)) => signature(head, Sort::Value).0,
        _ => vec![],
    };
    let words: Vec<&str> = operands.into_iter().map(Sort::word).collect();
    format!("({name} {})", words.join(" "))
}

fn variable(word: &Word) -> Result<Var> {
    let named = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let name = word.text.strip_prefix('?').unwrap_or_default();
    let var = word.text.parse();
    match var {
        Ok(var) if !name.is_empty() && name.chars().all(named) => Ok(var),
        _ => Err(UserRuleError::Syntax {
            expected: "a variable of letters, digits and `_`, as `?x`".into(),
            found: format!("`{}`", word.text),
            span: span(&word.span),
        }),
    }
}

fn unbound(word: &Word) -> UserRuleError {
    UserRuleError::Unbound {
        name: word.text.clone(),
        span: span(&word.span),
    }
}

fn in_range(n: i64, sort: Sort, word: &Word) -> Result<()> {
    let limit = match sort {
        Sort::Depth => MAX_PIPELINE,
        _ => MAX_NUMBER,
    };
    match (1..=limit).contains(&n) {
        true => Ok(()),
        false => Err(out_of_range(word, limit)),
    }
}

fn out_of_range(word: &Word, limit: i64) -> UserRuleError {
    UserRuleError::Number {
        number: word.text.clone(),
        limit,
        span: span(&word.span),
    }
}
