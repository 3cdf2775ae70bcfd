//! What syntax trees are made of: places, lines with their comments, names, expressions, comparisons.

use std::fmt;

/// A range of bytes of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

impl Span {
    /// From the start of one span to the end of another.
    pub fn to(self, other: Span) -> Span {
        Span {
            start: self.start,
            end: other.end.max(self.start),
        }
    }
}

impl From<Span> for miette::SourceSpan {
    fn from(s: Span) -> Self {
        (s.start, s.end.saturating_sub(s.start)).into()
    }
}

/// What stands on lines of its own before something: a comment (the text after `//`), or blank lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trivia {
    Blank,
    Comment(String),
}

/// A declaration or statement on its line, with what was written around it.
#[derive(Debug, Clone, PartialEq)]
pub struct Line<T> {
    pub leading: Vec<Trivia>,
    pub kind: T,
    /// The comment at the end of its line.
    pub trailing: Option<String>,
}

impl<T> From<T> for Line<T> {
    fn from(kind: T) -> Self {
        Line {
            leading: vec![],
            kind,
            trailing: None,
        }
    }
}

/// Lines between braces.
#[derive(Debug, Clone, PartialEq)]
pub struct Block<T> {
    /// The comment on the line of the opening brace.
    pub opening: Option<String>,
    pub lines: Vec<Line<T>>,
    /// What stands before the closing brace.
    pub closing: Vec<Trivia>,
}

impl<T> Default for Block<T> {
    fn default() -> Self {
        Block {
            opening: None,
            lines: vec![],
            closing: vec![],
        }
    }
}

/// A name and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ident {
    pub name: String,
    pub span: Span,
}

impl fmt::Display for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// An expression; sizes and tensors share the form.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    pub kind: ExprKind,
    pub span: Span,
}

impl Expr {
    /// Whether it is a call of this name, or has one among its operands.
    pub fn calls(&self, called: &str) -> bool {
        match &self.kind {
            ExprKind::Call { name, args, .. } => {
                name.name == called || args.iter().any(|a| a.calls(called))
            }
            ExprKind::Infix { left, right, .. } => left.calls(called) || right.calls(called),
            ExprKind::Negate(inner) | ExprKind::Paren(inner) => inner.calls(called),
            ExprKind::Number(_) | ExprKind::Name(_) | ExprKind::Index { .. } => false,
        }
    }
}

/// The forms of an expression.
#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    /// A number, as written.
    Number(String),
    Name(String),
    /// `f(a, b, key = c)`
    Call {
        name: Ident,
        args: Vec<Expr>,
        attrs: Vec<(Ident, Expr)>,
    },
    /// `x[r]`, `x[r, c]`, `x[r : n, c : m]`
    Index {
        name: Ident,
        at: Vec<Slice>,
    },
    Infix {
        op: Infix,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    Negate(Box<Expr>),
    Paren(Box<Expr>),
}

/// Where along one dimension: at `start`, or so many from there on.
#[derive(Debug, Clone, PartialEq)]
pub struct Slice {
    pub start: Expr,
    pub count: Option<Expr>,
}

/// The infix operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Infix {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
}

impl Infix {
    pub fn name(self) -> &'static str {
        match self {
            Infix::Add => "+",
            Infix::Sub => "-",
            Infix::Mul => "*",
            Infix::Div => "/",
            Infix::Rem => "%",
        }
    }
}

/// A comparison of two size expressions.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    pub left: Expr,
    pub op: Compare,
    pub right: Expr,
}

/// The comparisons of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Equal,
    NotEqual,
}

impl Compare {
    pub const ALL: [Compare; 6] = [
        Compare::Less,
        Compare::LessEqual,
        Compare::Greater,
        Compare::GreaterEqual,
        Compare::Equal,
        Compare::NotEqual,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Compare::Less => "<",
            Compare::LessEqual => "<=",
            Compare::Greater => ">",
            Compare::GreaterEqual => ">=",
            Compare::Equal => "==",
            Compare::NotEqual => "!=",
        }
    }

    /// Whether the comparison holds.
    pub fn holds(self, left: i64, right: i64) -> bool {
        match self {
            Compare::Less => left < right,
            Compare::LessEqual => left <= right,
            Compare::Greater => left > right,
            Compare::GreaterEqual => left >= right,
            Compare::Equal => left == right,
            Compare::NotEqual => left != right,
        }
    }
}
