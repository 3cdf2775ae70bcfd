//! The syntax tree of a `.tw` file: everything that was written, comments and blank lines too, with the spans of the parts
//! that messages point at. It knows no sizes and no types.

pub use super::exchange::*;
use crate::dtype::DType;
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

/// A file: what it declares for itself, and one graph.
#[derive(Debug, Clone, PartialEq)]
pub struct File {
    pub declared: Vec<Line<Declared>>,
    pub graph: Line<GraphDecl>,
    /// What stands after the graph.
    pub closing: Vec<Trivia>,
}

/// An operation that is written in the text form.
#[derive(Debug, Clone, PartialEq)]
pub enum Declared {
    Definition(Definition),
    Exchange(Exchange),
}

impl Declared {
    /// The head of the definition or exchange.
    pub fn signature(&self) -> &Signature {
        match self {
            Declared::Definition(d) => &d.signature,
            Declared::Exchange(e) => &e.signature,
        }
    }
}

/// `graph NAME { ... }`
#[derive(Debug, Clone, PartialEq)]
pub struct GraphDecl {
    pub name: Ident,
    pub body: Block<Item>,
}

impl File {
    /// The declarations in order.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.graph.kind.body.lines.iter().map(|l| &l.kind)
    }

    /// The exchanges in order.
    pub fn exchanges(&self) -> impl Iterator<Item = &Exchange> {
        self.declared.iter().filter_map(|l| match &l.kind {
            Declared::Exchange(e) => Some(e),
            Declared::Definition(_) => None,
        })
    }

    /// The `param` declarations in order.
    pub fn params(&self) -> impl Iterator<Item = &Param> {
        self.items().filter_map(|i| match i {
            Item::Param(p) => Some(p),
            _ => None,
        })
    }

    /// The `input` declarations in order.
    pub fn inputs(&self) -> impl Iterator<Item = &Input> {
        self.items().filter_map(|i| match i {
            Item::Input(p) => Some(p),
            _ => None,
        })
    }

    /// The kernels in order, also those that a condition leaves out.
    pub fn kernels(&self) -> impl Iterator<Item = &Kernel> {
        self.items().filter_map(|i| match i {
            Item::Kernel(k) => Some(k),
            _ => None,
        })
    }
}

/// A declaration of a graph.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    Param(Param),
    Input(Input),
    Kernel(Kernel),
    /// `output A, B within(...)`
    Output(Vec<Wanted>),
}

/// A result that the caller wants: `NAME -> INPUT within(PART = EXPR, ...)`
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    pub name: Ident,
    /// The input that it becomes in the next run of the layer.
    pub carried: Option<Ident>,
    /// How near it must come to what is expected.
    pub within: Vec<(Ident, Expr)>,
}

/// `param NAME = EXPR`, `ranks NAME = EXPR`, or `capacity NAME = EXPR`
#[derive(Debug, Clone, PartialEq)]
pub struct Param {
    pub name: Ident,
    pub value: Expr,
    pub role: ParamRole,
}

/// What a param is beside a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamRole {
    Plain,
    /// How many ranks run the graph together.
    Ranks,
    /// What bounds how much a rank may receive.
    Capacity,
}

impl ParamRole {
    /// All roles.
    pub const ALL: [ParamRole; 3] = [ParamRole::Plain, ParamRole::Ranks, ParamRole::Capacity];

    /// The word that declares it.
    pub fn word(self) -> &'static str {
        match self {
            ParamRole::Plain => "param",
            ParamRole::Ranks => "ranks",
            ParamRole::Capacity => "capacity",
        }
    }
}

/// `input NAME: DTYPE[DIMS] RANGE`
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    pub name: Ident,
    pub dtype: Ident,
    pub shape: Vec<Expr>,
    /// `ragged NAME`: the value that says how many rows each group has.
    pub ragged: Option<Ident>,
    /// `>= EXPR`: the least integer, before the range.
    pub low: Option<Expr>,
    pub range: Option<Range>,
    /// `~ binomial(TRIALS, HITS, OF)`, behind a bound.
    pub spread: Option<Box<Binomial>>,
}

/// `~ binomial(TRIALS, HITS, OF)`: how many of so many trials hit, each with the probability `HITS / OF`.
#[derive(Debug, Clone, PartialEq)]
pub struct Binomial {
    pub trials: Expr,
    pub hits: Expr,
    pub of: Expr,
    pub span: Span,
}

/// What an input may hold.
#[derive(Debug, Clone, PartialEq)]
pub enum Range {
    /// `< EXPR`
    Below(Expr),
    /// `<= EXPR`
    UpTo(Expr),
    /// `~ normal(MEAN, DEVIATION)`
    Normal(Expr, Expr),
}

/// `kernel NAME when CONDITION { ... }`
#[derive(Debug, Clone, PartialEq)]
pub struct Kernel {
    pub name: Ident,
    pub when: Option<Condition>,
    pub body: Block<Stmt>,
}

/// `def NAME(OPERANDS, ATTRIBUTES) -> RESULTS { ... }`
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    pub signature: Signature,
    pub body: Block<Step>,
}

/// `NAME(OPERANDS, ATTRIBUTES) -> RESULTS`: what an operation takes and gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Signature {
    pub name: Ident,
    pub operands: Vec<Typed>,
    pub attributes: Vec<Attribute>,
    pub results: Vec<Typed>,
}

/// `NAME: TYPE or TYPE ragged COUNTS`
#[derive(Debug, Clone, PartialEq)]
pub struct Typed {
    pub name: Ident,
    /// One of these.
    pub types: Vec<TypeExpr>,
    /// What says how many rows of each group exist.
    pub ragged: Option<Ident>,
    /// `~ binomial(TRIALS, HITS, OF)`, of integers of a result.
    pub spread: Option<Box<Binomial>>,
}

/// `ELEMENT[DIMS]`
#[derive(Debug, Clone, PartialEq)]
pub struct TypeExpr {
    pub element: ElementExpr,
    pub shape: ShapeExpr,
}

/// An element type of an operand or result.
#[derive(Debug, Clone, PartialEq)]
pub enum ElementExpr {
    /// `f32`
    Is(DType, Span),
    /// `float`: any floating-point type.
    Float(Span),
    /// `any`: any type.
    Any(Span),
    /// `dtype(NAME)`: that of the operand.
    Of(Ident),
}

/// The sizes of an operand or result.
#[derive(Debug, Clone, PartialEq)]
pub enum ShapeExpr {
    /// `[...]`: any, but the same wherever it is written.
    Any,
    Dims(Vec<Expr>),
}

/// `NAME: KIND >= EXPR`
#[derive(Debug, Clone, PartialEq)]
pub struct Attribute {
    pub name: Ident,
    pub kind: Quantity,
    pub bounds: Vec<(Compare, Expr)>,
}

/// What an attribute of a definition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    Size,
    Number,
}

impl Quantity {
    /// All quantities.
    pub const ALL: [Quantity; 2] = [Quantity::Size, Quantity::Number];

    /// The name in the text form: `size`.
    pub fn name(self) -> &'static str {
        match self {
            Quantity::Size => "size",
            Quantity::Number => "number",
        }
    }
}

/// A line of a definition.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// `a, b = EXPR`
    Let { targets: Vec<Ident>, value: Expr },
    /// `for NAME in EXPR..EXPR { ... }`
    For {
        name: Ident,
        from: Expr,
        to: Expr,
        body: Block<Step>,
    },
    /// `if CONDITION { ... } else { ... }`
    If {
        condition: Condition,
        then: Block<Step>,
        otherwise: Option<Block<Step>>,
    },
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
    /// All comparisons.
    pub const ALL: [Compare; 6] = [
        Compare::Less,
        Compare::LessEqual,
        Compare::Greater,
        Compare::GreaterEqual,
        Compare::Equal,
        Compare::NotEqual,
    ];

    /// The name in the text form: `<=`.
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
    pub fn holds<T: PartialOrd>(self, left: T, right: T) -> bool {
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

/// A line of a kernel.
#[derive(Debug, Clone, PartialEq)]
pub enum Stmt {
    /// `launch KIND`
    Launch(Ident),
    /// `tile NAME = EXPR over AXIS`, or `tile NAME = EXPR over AXIS per block`
    Tile {
        name: Ident,
        size: Expr,
        axis: Ident,
        per_block: bool,
    },
    /// `loop range`, or `loop pipeline(EXPR)`
    Loop { span: Span, depth: Option<Expr> },
    /// `hold PARAM(VALUES) ...`, or `hold PART PARAM(VALUES) ...`
    Hold {
        part: Option<Ident>,
        params: Vec<Held>,
    },
    /// `a, b = EXPR`
    Let { targets: Vec<Ident>, value: Expr },
}

/// `PARAM(VALUES)`: a parameter of a kernel at a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    pub param: Ident,
    /// Sizes, or names.
    pub values: Vec<Expr>,
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
    /// The name in the text form.
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
