//! The syntax tree of an exchange, as it was written.

use crate::syntax::{Block, Condition, Expr, Ident, Span};

/// `exchange NAME(PARAMS) -> (RESULTS) { ... }`
#[derive(Debug, Clone, PartialEq)]
pub struct Declaration {
    pub name: Ident,
    pub params: Vec<Param>,
    pub results: Vec<Tensor>,
    pub body: Block<Stmt>,
}

impl Declaration {
    /// Where a tile of this name is declared.
    pub fn tile(&self, tile: &str) -> Option<&Ident> {
        fn within<'a>(body: &'a Block<Stmt>, tile: &str) -> Option<&'a Ident> {
            body.lines.iter().find_map(|l| match &l.kind {
                Stmt::Tile { name, .. } if name.name == tile => Some(name),
                Stmt::For { body, .. } => within(body, tile),
                Stmt::If {
                    then, otherwise, ..
                } => {
                    within(then, tile).or_else(|| otherwise.as_ref().and_then(|b| within(b, tile)))
                }
                _ => None,
            })
        }
        within(&self.body, tile)
    }
}

/// What a call gives.
#[derive(Debug, Clone, PartialEq)]
pub enum Param {
    /// An operand: a tensor, or an integer where it has no shape.
    Operand(Tensor),
    /// An attribute: `NAME: size`, or `NAME: size = EXPR`.
    Size { name: Ident, default: Option<Expr> },
}

impl Param {
    pub fn name(&self) -> &Ident {
        match self {
            Param::Operand(t) => &t.name,
            Param::Size { name, .. } => name,
        }
    }
}

/// `NAME: TYPE[DIMS] ragged COUNTS`
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    pub name: Ident,
    /// An element type, or a name in capitals for whatever type the operand has.
    pub dtype: Ident,
    pub shape: Vec<Expr>,
    pub ragged: Option<Ident>,
}

/// How blocks share the trips of a loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// As many trips for each block.
    Evenly,
    /// The last blocks may have fewer trips, or none.
    Unevenly,
}

/// A statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Stmt {
    /// `let NAME = EXPR`: an integer that stays.
    Let { name: Ident, value: Expr },
    /// `var NAME = EXPR`: an integer that changes.
    Var { name: Ident, value: Expr },
    /// `NAME = EXPR`, or `ARRAY[EXPR] = EXPR`
    Assign { target: Expr, value: Expr },
    /// `window NAME: TYPE[ROWS, COLS] alternating`
    Window {
        name: Ident,
        dtype: Ident,
        shape: [Expr; 2],
        alternating: bool,
    },
    /// `counter NAME`, or `counter NAME[COUNT]`
    Counter { name: Ident, count: Option<Expr> },
    /// `array NAME[LENGTH]`
    Array { name: Ident, length: Expr },
    /// `read NAME = PLACE`
    Read { name: Ident, from: Expr },
    /// `tile NAME = SOURCE`, or `tile NAME: TYPE[ROWS, COLS]`
    Tile { name: Ident, form: TileForm },
    /// `for NAME in FROM..TO { ... }`
    For {
        name: Ident,
        from: Expr,
        to: Expr,
        share: Option<Share>,
        body: Block<Stmt>,
    },
    /// `if CONDITION { ... } else { ... }`
    If {
        condition: Condition,
        then: Block<Stmt>,
        otherwise: Option<Block<Stmt>>,
    },
    /// `copy SOURCE -> PLACE first COUNT`, or `put SOURCE -> PLACE on RANK first COUNT`
    Copy {
        from: Expr,
        to: Expr,
        on: Option<Expr>,
        first: Option<Expr>,
    },
    /// `fill TILE with NUMBER`
    Fill { tile: Ident, value: Expr },
    /// `add TILE -> TILE`
    Add { from: Ident, to: Ident },
    /// `notify COUNTER on RANK`
    Notify { counter: Expr, on: Expr },
    /// `wait COUNTER >= EXPR`
    Wait { counter: Expr, at_least: Expr },
    /// `fail RESULT "MESSAGE" help "REMEDY"`
    Fail {
        status: Ident,
        message: Text,
        help: Option<Text>,
    },
    /// `require CONDITION else "MESSAGE"`
    Require { condition: Condition, message: Text },
}

/// What a tile holds at first.
#[derive(Debug, Clone, PartialEq)]
pub enum TileForm {
    Loaded(Expr),
    Empty { dtype: Ident, shape: [Expr; 2] },
}

/// What stands between quotes; `{NAME}` in it is the value of an integer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    pub text: String,
    pub span: Span,
}
