//! Exchanges: what ranks do to bring data from one to another, as a small language.
//!
//! ```
//! use tilewright_ir::op::{Callee, Operations};
//! use tilewright_ir::syntax::parse_library;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let text = "\
//! exchange all_gather(x: any[R, C]) -> y: dtype(x)[ranks * R, C] {
//!   window all: dtype(x)[ranks * R, C] alternating
//!   counter done
//!   for peer in 0..ranks {
//!     put x -> all[rank * R] on peer
//!   }
//!   for peer in 0..ranks {
//!     notify done on peer
//!   }
//!   wait done >= ranks * epoch
//!   copy all -> y
//! }
//! ";
//! let mut operations = Operations::default();
//! operations.declare(&parse_library(text)?[0])?;
//! let found = operations.find("all_gather").ok_or("it is declared")?;
//! assert!(matches!(&found, Callee::Exchange(_)));
//! assert_eq!(found.text(), Some(text));
//! # Ok(())
//! # }
//! ```
//!
//! An [`Exchange`] is what was written, of any sizes. [`ExchangeCall::instantiate`] checks it at a call's sizes and gives a [`Program`],
//! which the interpreter runs and from which the kernel is lowered a statement after the other. `library.tw` holds the exchanges that
//! every graph has.
//!
//! | file | holds |
//! |---|---|
//! | `check` | from an exchange to a program: names, extents, ranges |
//! | `program` | an exchange at known sizes |
//! | `library.tw` | exchanges that are there without being declared |

mod check;
mod error;
mod program;

pub use crate::syntax::ast::{Compare, Share};
pub use error::{At, ExchangeError};
pub use program::*;

use super::attr::{AttrSpec, AttrValue};
use super::{OpError, Type, signature};
use crate::syntax::ast::{self, Declared, Line, Signature};
use crate::syntax::{parse_library, print_declared};
use std::sync::{Arc, LazyLock};

/// How many ranks a layer can run on.
pub const RANKS: [usize; 5] = [2, 4, 8, 16, 32];
/// Integers that every exchange has: which rank it is, from 0; how many there are; the number of the layer run, from 1.
pub const RANK: &str = "rank";
const RANKS_NAME: &str = "ranks";
/// The input that tells a rank the number of the layer run, from 1.
pub const EPOCH: &str = "epoch";

/// An exchange as it was written.
#[derive(Debug)]
pub struct Exchange {
    line: Line<Declared>,
    tree: ast::Exchange,
    /// Its canonical text.
    text: String,
    library: bool,
}

impl PartialEq for Exchange {
    /// Exchanges are equal when they say the same; comments count.
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other) || self.text == other.text
    }
}

impl Exchange {
    /// The exchange of a syntax tree. What is wrong with its statements shows where it is called, at the sizes of a call.
    pub(super) fn new(line: &Line<Declared>, tree: &ast::Exchange) -> Exchange {
        Exchange::written(line, tree, false)
    }

    fn written(line: &Line<Declared>, tree: &ast::Exchange, library: bool) -> Exchange {
        Exchange {
            text: print_declared(line),
            line: line.clone(),
            tree: tree.clone(),
            library,
        }
    }

    /// The name that calls have.
    pub fn name(&self) -> &str {
        &self.head().name.name
    }

    pub(super) fn head(&self) -> &Signature {
        &self.tree.signature
    }

    /// Whether it is one that every file has.
    pub fn is_library(&self) -> bool {
        self.library
    }

    /// The declaration with the comments before it.
    pub fn line(&self) -> &Line<Declared> {
        &self.line
    }

    /// Its canonical text, with the comments before it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What its author says of it.
    pub fn doc(&self) -> String {
        signature::doc(&self.line)
    }

    /// Inputs, one a line, and then the lines of a kernel that uses it.
    pub fn example(&self) -> String {
        signature::example(&self.line)
    }

    /// What each operand is called.
    pub fn operands(&self) -> Vec<&str> {
        let operands = self.head().operands.iter();
        operands.map(|o| o.name.name.as_str()).collect()
    }

    /// The attributes that a call may give.
    pub fn attributes(&self) -> Vec<AttrSpec<'_>> {
        signature::specs(self.head())
    }

    /// What each result is called.
    pub fn result_names(&self) -> Vec<&str> {
        let results = self.head().results.iter();
        results.map(|r| r.name.name.as_str()).collect()
    }

    /// How many results a call has.
    pub fn results(&self) -> usize {
        self.head().results.len()
    }
}

/// An exchange with the values of its attributes.
#[derive(Debug, Clone, PartialEq)]
pub struct ExchangeCall {
    exchange: Arc<Exchange>,
    attributes: Vec<AttrValue>,
}

/// An exchange at a call's sizes.
#[derive(Debug, Clone, PartialEq)]
pub struct Called {
    pub program: Program,
    /// The types of its results. What counts ragged rows is `#k` for result k and `@k` for operand k.
    pub results: Vec<Type>,
}

impl ExchangeCall {
    /// The call; `None` for attributes of the wrong number or kind.
    pub fn new(exchange: Arc<Exchange>, attributes: &[AttrValue]) -> Option<ExchangeCall> {
        let specs = exchange.attributes();
        let kinds = specs.iter().map(|s| s.kind);
        let fits = kinds.eq(attributes.iter().map(AttrValue::kind));
        fits.then(|| ExchangeCall {
            exchange: Arc::clone(&exchange),
            attributes: attributes.into(),
        })
    }

    /// The exchange that is called.
    pub fn exchange(&self) -> &Arc<Exchange> {
        &self.exchange
    }

    /// The values of the attributes, in the exchange's order.
    pub fn attributes(&self) -> &[AttrValue] {
        &self.attributes
    }

    /// A size by its name.
    pub fn size(&self, attribute: &str) -> Option<usize> {
        let specs = self.exchange.attributes();
        let place = specs.iter().position(|a| a.name == attribute)?;
        match self.attributes.get(place)? {
            AttrValue::Size(n) => Some(*n),
            _ => None,
        }
    }

    /// What ranks do, on operands of these types.
    ///
    /// # Errors
    ///
    /// Operands and attributes that it does not take, and whatever is wrong with its statements at these sizes.
    pub fn instantiate(&self, operands: &[Type], ranks: usize) -> Result<Called, OpError> {
        check::instantiate(self, operands, ranks)
    }

    /// The types of its results.
    ///
    /// # Errors
    ///
    /// As [`ExchangeCall::instantiate`].
    pub fn infer(&self, operands: &[Type], ranks: usize) -> Result<Vec<Type>, OpError> {
        Ok(self.instantiate(operands, ranks)?.results)
    }

    /// Checks that operands whose rows may not exist are counted by the operand that the exchange says.
    ///
    /// # Errors
    ///
    /// The operand that another value counts.
    pub(super) fn check_counts(&self, operands: &[(&str, &Type)]) -> Result<(), OpError> {
        let head = self.exchange.head();
        for (declared, (name, ty)) in head.operands.iter().zip(operands) {
            let (Some(counts), Some(ragged)) = (&declared.ragged, &ty.ragged) else {
                continue;
            };
            let place = head
                .operands
                .iter()
                .position(|o| o.name.name == counts.name);
            let expected = place.and_then(|i| operands.get(i)).map(|(n, _)| *n);
            if expected != Some(ragged.counts.as_str()) {
                return Err(OpError::Counts {
                    op: self.exchange.name().into(),
                    operand: (*name).into(),
                    found: ragged.counts.clone(),
                    counts: counts.name.clone(),
                    expected: expected.unwrap_or("nothing").into(),
                });
            }
        }
        Ok(())
    }
}

static LIBRARY: LazyLock<Vec<Arc<Exchange>>> = LazyLock::new(|| {
    let lines = parse_library(include_str!("library.tw"));
    let lines = lines.unwrap_or_else(|e| panic!("the library does not parse: {e}"));
    let exchanges = lines.iter().filter_map(|line| match &line.kind {
        Declared::Exchange(tree) => Some(Arc::new(Exchange::written(line, tree, true))),
        Declared::Definition(_) => None,
    });
    exchanges.collect()
});

/// The exchanges that every graph has.
pub fn library() -> &'static [Arc<Exchange>] {
    &LIBRARY
}

/// The library's exchange of a name.
pub fn find(name: &str) -> Option<Arc<Exchange>> {
    library().iter().find(|e| e.name() == name).cloned()
}
