//! Exchanges: what ranks do to bring data from one to another, as a small language.
//!
//! ```
//! use tilewright_ir::exchange::Definition;
//!
//! # fn main() -> Result<(), tilewright_ir::syntax::ParseError> {
//! let text = "\
//! exchange all_gather(x: E[R, C]) -> (y: E[ranks * R, C]) {
//!   window all: E[ranks * R, C] alternating
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
//! let definition = Definition::parse(text)?;
//! assert_eq!(definition.name(), "all_gather");
//! assert_eq!(definition.text(), text);
//! # Ok(())
//! # }
//! ```
//!
//! A [`Definition`] is what was written, of any sizes. [`instantiate`] checks it at a call's sizes and gives a [`Program`], which
//! the interpreter runs and from which the kernel is lowered one to one. `library.tw` holds the exchanges that every graph has.
//!
//! | file | holds |
//! |---|---|
//! | `tree`, `parse`, `print` | the language |
//! | `check` | from a definition to a program: sizes, names, extents, ranges |
//! | `program` | an exchange at known sizes |
//! | `library` | exchanges that are there without being declared |

mod check;
mod error;
mod library;
mod parse;
mod print;
mod program;
pub mod tree;

pub use crate::syntax::Compare;
pub use check::{Axis, Called, Operand, Origin, ResultType, instantiate};
pub use error::{At, ExchangeError};
pub use library::{find, library};
pub use program::*;
pub use tree::Share;

use crate::syntax::{ParseError, Parser, Printer};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How many ranks a layer can run on.
pub const RANKS: [usize; 3] = [2, 4, 8];
/// Integers that every exchange has: which rank it is, from 0; how many there are; the number of the layer run, from 1.
pub const RANK: &str = "rank";
pub const RANKS_NAME: &str = "ranks";
pub const EPOCH: &str = "epoch";

/// An exchange as it was written. A clone is the same one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Definition(Arc<Written>);

#[derive(Debug)]
struct Written {
    declaration: tree::Declaration,
    /// Its canonical form.
    text: String,
}

impl Definition {
    pub fn new(declaration: tree::Declaration) -> Self {
        let mut printer = Printer::default();
        printer.exchange(0, &declaration, None);
        Definition(Arc::new(Written {
            text: printer.finish(),
            declaration,
        }))
    }

    /// Reads a declaration, and nothing after it.
    ///
    /// # Errors
    ///
    /// The first problem, with its place.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut parser = Parser::new(text)?;
        let line = parser.line(Parser::exchange)?;
        parser.end()?;
        Ok(Definition::new(line.kind))
    }

    pub fn name(&self) -> &str {
        &self.0.declaration.name.name
    }

    pub fn declaration(&self) -> &tree::Declaration {
        &self.0.declaration
    }

    /// The canonical form, comments included.
    pub fn text(&self) -> &str {
        &self.0.text
    }
}

impl PartialEq for Definition {
    /// What was written counts, not where.
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl From<Definition> for String {
    fn from(d: Definition) -> String {
        d.text().into()
    }
}

impl TryFrom<String> for Definition {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        Definition::parse(&text)
    }
}
