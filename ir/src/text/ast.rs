//! The syntax tree of a `.tw` file: everything that was written, comments and blank lines too, with the spans of the parts
//! that messages point at. It knows no sizes and no types; [`super::elaborate`] does.

pub use crate::exchange::tree::Declaration;
pub use crate::syntax::{
    Block, Compare, Condition, Expr, ExprKind, Ident, Infix, Line, Span, Trivia,
};

/// A file: one graph.
#[derive(Debug, Clone, PartialEq)]
pub struct File {
    pub graph: Line<GraphDecl>,
    /// What stands after the graph.
    pub closing: Vec<Trivia>,
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

    /// The `param` declarations in order.
    pub fn params(&self) -> impl Iterator<Item = &Param> {
        self.items().filter_map(|i| match i {
            Item::Param(p) => Some(p),
            _ => None,
        })
    }

    /// The `exchange` declarations in order.
    pub fn exchanges(&self) -> impl Iterator<Item = &Declaration> {
        self.items().filter_map(|i| match i {
            Item::Exchange(d) => Some(d),
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
    /// `exchange NAME(...) -> (...) { ... }`
    Exchange(Declaration),
    /// `output A, B within(...)`
    Output(Vec<Wanted>),
}

/// A result that the caller wants: `NAME -> INPUT within(PART = EXPR, ...)`
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    pub name: Ident,
    /// The input that it becomes in the next run of the layer.
    pub feeds: Option<Ident>,
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
    pub range: Option<Range>,
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
    /// `a, b = EXPR`
    Let { targets: Vec<Ident>, value: Expr },
}
