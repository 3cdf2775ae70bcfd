//! From a definition to a program at a call's sizes.
//!
//! Everything that can be known before a run is checked here: names and what they stand for, extents on both sides of a copy,
//! indices that the counters of loops and the rank decide, and what the language does not allow. What depends on data (a target
//! that was read from memory) is checked by who runs the program.

mod integer;
mod movement;
mod place;
mod protocol;
mod rules;
mod signature;
mod statement;

use super::program::*;
use super::{At, Called, EPOCH, ExchangeCall, ExchangeError, RANK, RANKS_NAME};
use crate::dtype::DType;
use crate::op::{OpError, Type};
use crate::syntax::ast::{self, ElementExpr, Ident, ShapeExpr, Span, TypeExpr};
use crate::syntax::suggest;
use indexmap::IndexMap;

type Checked<T> = Result<T, ExchangeError>;

/// Extents of windows, tiles and arrays.
const MAX_EXTENT: i64 = 1 << 31;

/// The program of a call, and the types of its results.
pub(super) fn instantiate(
    call: &ExchangeCall,
    operands: &[Type],
    ranks: usize,
) -> Result<Called, OpError> {
    let tree = &call.exchange.tree;
    if !super::RANKS.contains(&ranks) {
        let exchange = call.exchange.name().into();
        let error = ExchangeError::Ranks { exchange, ranks };
        return Err(OpError::Exchange(Box::new(error)));
    }
    let mut check = Check {
        tree,
        given: operands,
        program: Program {
            name: call.exchange.name().into(),
            ranks,
            operands: vec![],
            results: vec![],
            windows: vec![],
            counters: vec![],
            arrays: vec![],
            views: vec![],
            tiles: vec![],
            variables: vec![],
            failures: vec![],
            body: vec![],
            lines: vec![],
        },
        scopes: vec![IndexMap::new()],
        loops: vec![],
        line: String::new(),
        waits: vec![],
    };
    check.give(RANKS_NAME, Named::Const(ranks as i64));
    check.give(RANK, Named::Int(Int::Rank, Some((0, ranks as i64 - 1))));
    check.give(
        EPOCH,
        Named::Int(Int::Epoch, Some((1, i64::from(i32::MAX)))),
    );
    let results = check.signature(call)?;
    check.body().map_err(|e| OpError::Exchange(Box::new(e)))?;
    Ok(Called {
        program: check.program,
        results,
    })
}

/// The least and the greatest value of an integer, where they do not depend on data.
type Range = Option<(i64, i64)>;

/// What a name stands for.
#[derive(Debug, Clone, PartialEq)]
enum Named {
    Const(i64),
    /// An integer that stays.
    Int(Int, Range),
    /// An integer that changes.
    Variable(Id),
    Memory(Place),
    View(Id),
    Array(Id),
    Tile(Id),
    Counter(Id),
}

impl Named {
    fn what(&self) -> &'static str {
        match self {
            Named::Const(_) | Named::Int(..) | Named::Variable(_) => "an integer",
            Named::Memory(Place::Operand(_)) => "an operand",
            Named::Memory(Place::Result(_)) => "a result",
            Named::Memory(Place::Window(_)) => "a window",
            Named::View(_) => "what `read` names",
            Named::Array(_) => "an array",
            Named::Tile(_) => "a tile",
            Named::Counter(_) => "a counter",
        }
    }
}

/// A loop around the statement.
struct Around {
    variable: Id,
    shared: bool,
    /// Scopes and arrays that were there before it.
    scopes: usize,
}

struct Check<'a> {
    tree: &'a ast::Exchange,
    /// The types of the operands.
    given: &'a [Type],
    program: Program,
    /// Names, the innermost last.
    scopes: Vec<IndexMap<String, Named>>,
    loops: Vec<Around>,
    /// The statement, for messages.
    line: String,
    /// Counters that are waited for, with the place and the line of the wait.
    waits: Vec<(Id, Span, usize)>,
}

impl Check<'_> {
    fn body(&mut self) -> Checked<()> {
        let tree = self.tree;
        self.program.body = self.block(&tree.body)?;
        self.rules()
    }

    fn at(&self, span: Span) -> Box<At> {
        Box::new(At {
            exchange: self.program.name.clone(),
            text: self.line.clone(),
            span,
        })
    }

    fn give(&mut self, name: &str, named: Named) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name.into(), named);
        }
    }

    /// A new name, which nothing may have already.
    fn define(&mut self, name: &Ident, named: Named) -> Checked<()> {
        if self.find(&name.name).is_some() {
            return Err(ExchangeError::DuplicateName {
                at: self.at(name.span),
                name: name.name.clone(),
            });
        }
        self.give(&name.name, named);
        Ok(())
    }

    fn find(&self, name: &str) -> Option<&Named> {
        self.scopes.iter().rev().find_map(|s| s.get(name))
    }

    fn named(&self, name: &str, span: Span) -> Checked<Named> {
        self.find(name)
            .cloned()
            .ok_or_else(|| self.unknown(name, span))
    }

    fn unknown(&self, name: &str, span: Span) -> ExchangeError {
        let names = self.scopes.iter().flat_map(IndexMap::keys);
        ExchangeError::UnknownName {
            at: self.at(span),
            name: name.into(),
            help: suggest(
                name,
                names.map(String::as_str),
                "declare it above: an operand, or `let`, `var`, `window`, `counter`, `array`, `read` or `tile`",
            ),
        }
    }

    fn kind(
        &self,
        name: &Ident,
        found: &Named,
        (expected, help): (&'static str, &str),
    ) -> ExchangeError {
        ExchangeError::Kind {
            at: self.at(name.span),
            name: name.name.clone(),
            found: found.what(),
            expected,
            help: help.into(),
        }
    }

    fn rule(&self, span: Span, what: impl Into<String>, help: &str) -> ExchangeError {
        ExchangeError::Rule {
            at: self.at(span),
            what: what.into(),
            help: help.into(),
        }
    }

    fn shape_error(&self, span: Span, what: String, help: &str) -> ExchangeError {
        ExchangeError::Shape {
            at: self.at(span),
            what,
            help: help.into(),
        }
    }

    /// Whether a name was there before the innermost loop whose trips blocks share.
    fn outside_of_shared(&self, name: &str) -> bool {
        let depth = self.scopes.iter().rposition(|s| s.contains_key(name));
        let shared = self.loops.iter().find(|l| l.shared);
        shared.is_some_and(|l| depth.is_some_and(|d| d < l.scopes))
    }

    /// The element type and the extent of a window or a tile.
    fn rectangle(&mut self, ty: &TypeExpr, name: &Ident) -> Checked<(DType, usize, usize)> {
        let signature = &self.tree.signature;
        let dtype = crate::op::signature::element(signature, self.given, &ty.element);
        let Some(dtype) = dtype else {
            let (what, span) = match &ty.element {
                ElementExpr::Of(of) => (format!("`{of}` is no operand"), of.span),
                _ => (format!("the type of `{name}` is not one"), name.span),
            };
            return Err(ExchangeError::ElementType {
                at: self.at(span),
                what,
                help: "write a type, as f32, or that of an operand, as dtype(x)".into(),
            });
        };
        let dims = match &ty.shape {
            ShapeExpr::Dims(dims) => &dims[..],
            ShapeExpr::Any => &[],
        };
        let [rows, cols] = dims else {
            return Err(self.shape_error(
                name.span,
                format!("`{name}` has {} dimensions", dims.len()),
                "give it rows and columns, `[R, C]`",
            ));
        };
        let rows = self.size(rows, "the rows", MAX_EXTENT)?;
        let cols = self.size(cols, "the columns", MAX_EXTENT)?;
        Ok((dtype, rows, cols))
    }

    fn extent(&self, place: Place) -> (DType, usize, usize) {
        let p = &self.program;
        match place {
            Place::Operand(i) => (p.operands[i].dtype, p.operands[i].rows, p.operands[i].cols),
            Place::Result(i) => (p.results[i].dtype, p.results[i].rows, p.results[i].cols),
            Place::Window(i) => (p.windows[i].dtype, p.windows[i].rows, p.windows[i].cols),
        }
    }

    fn is_vector(&self, place: Place) -> bool {
        matches!(place, Place::Operand(i) if self.program.operands[i].vector)
    }

    fn memory_name(&self, place: Place) -> String {
        let p = &self.program;
        match place {
            Place::Operand(i) => p.operands[i].name.clone(),
            Place::Result(i) => p.results[i].name.clone(),
            Place::Window(i) => p.windows[i].name.clone(),
        }
    }
}
