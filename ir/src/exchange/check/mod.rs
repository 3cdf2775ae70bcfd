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
mod sizes;
mod statement;

pub use sizes::{Axis, Operand, Origin, ResultType};

use super::program::*;
use super::{At, Definition, EPOCH, ExchangeError, RANK, RANKS_NAME};
use crate::dtype::DType;
use crate::syntax::{Ident, Span, suggest};
use indexmap::IndexMap;

type Checked<T> = Result<T, ExchangeError>;

/// An exchange at a call's sizes.
#[derive(Debug, Clone, PartialEq)]
pub struct Called {
    pub program: Program,
    pub results: Vec<ResultType>,
}

/// The program of a call, and the types of its results.
///
/// # Errors
///
/// Operands and attributes that the definition does not take, and whatever is wrong with its statements at these sizes.
pub fn instantiate(
    definition: &Definition,
    operands: &[Operand],
    attributes: &IndexMap<String, usize>,
    ranks: usize,
) -> Checked<Called> {
    let d = definition.declaration();
    if !super::RANKS.contains(&ranks) {
        return Err(ExchangeError::Ranks {
            exchange: d.name.name.clone(),
            ranks,
        });
    }
    let mut check = Check {
        definition,
        program: Program {
            name: d.name.name.clone(),
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
        types: IndexMap::new(),
        origins: IndexMap::new(),
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
    check.signature(operands, attributes)?;
    let results = check.results()?;
    let body = check.block(&d.body)?;
    check.program.body = body;
    check.rules()?;
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
    definition: &'a Definition,
    program: Program,
    /// Names, the innermost last.
    scopes: Vec<IndexMap<String, Named>>,
    /// Types that names in capitals stand for.
    types: IndexMap<String, DType>,
    /// Where sizes come from.
    origins: IndexMap<String, Origin>,
    loops: Vec<Around>,
    /// The statement, for messages.
    line: String,
    /// Counters that are waited for, with the place and the line of the wait.
    waits: Vec<(Id, Span, usize)>,
}

impl Check<'_> {
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

    /// The element type of a name, or the one that it stands for.
    fn dtype(&self, name: &Ident) -> Checked<DType> {
        if let Ok(dtype) = name.name.parse() {
            return Ok(dtype);
        }
        self.types.get(&name.name).copied().ok_or_else(|| {
            let known = self.types.keys().map(String::as_str);
            ExchangeError::UnknownName {
                at: self.at(name.span),
                name: name.name.clone(),
                help: suggest(
                    &name.name,
                    known,
                    "a name in capitals stands for the element type of an operand that is declared with it",
                ),
            }
        })
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
