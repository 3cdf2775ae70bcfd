//! The syntax tree of an exchange.

use super::ast::{Block, Condition, Expr, Ident, Signature, Span, TypeExpr};

/// `exchange NAME(OPERANDS, ATTRIBUTES) -> RESULTS { ... }`
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    pub signature: Signature,
    pub body: Block<Action>,
}

impl Exchange {
    /// Where a tile of this name is declared.
    pub fn tile(&self, tile: &str) -> Option<&Ident> {
        fn within<'a>(body: &'a Block<Action>, tile: &str) -> Option<&'a Ident> {
            body.lines.iter().find_map(|l| match &l.kind {
                Action::Tile { name, .. } if name.name == tile => Some(name),
                Action::For { body, .. } => within(body, tile),
                Action::If {
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

/// How blocks share the trips of a loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// As many trips for each block.
    Evenly,
    /// The last blocks may have fewer trips, or none.
    Unevenly,
}

/// A statement of an exchange.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// `let NAME = EXPR`: an integer that stays.
    Let { name: Ident, value: Expr },
    /// `var NAME = EXPR`: an integer that changes.
    Var { name: Ident, value: Expr },
    /// `NAME = EXPR`, or `ARRAY[EXPR] = EXPR`
    Assign { target: Expr, value: Expr },
    /// `window NAME: TYPE[ROWS, COLS] alternating`
    Window {
        name: Ident,
        ty: TypeExpr,
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
        body: Block<Action>,
    },
    /// `if CONDITION { ... } else { ... }`
    If {
        condition: Condition,
        then: Block<Action>,
        otherwise: Option<Block<Action>>,
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
    Empty(TypeExpr),
}

/// What stands between quotes; `{NAME}` in it is the value of an integer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    pub text: String,
    pub span: Span,
}
