//! The `.tw` text form of a graph.
//!
//! ```
//! use indexmap::IndexMap;
//! use tilewright_ir::text;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let source = "\
//! graph rms_norm {
//!   param T = 8     // tokens of this step
//!   param D = 4096  // hidden size
//!
//!   input x: bf16[T, D]
//!   input weight: bf16[D] ~ normal(1, 0.1)
//!
//!   kernel norm {
//!     launch parallel
//!     tile T_TILE = 8 over T
//!     loop range
//!     y = rms_norm(x, weight, eps = 1e-6)
//!   }
//!
//!   output y
//! }
//! ";
//! let file = text::parse(source)?;
//! assert_eq!(text::print(&file), source);
//!
//! let settings = IndexMap::from([("T".to_string(), 128)]);
//! let graph = text::elaborate(&file, &settings)?;
//! assert_eq!(graph.ty(graph.outputs[0]).to_string(), "bf16[128, 4096]");
//! # Ok(())
//! # }
//! ```
//!
//! [`parse`] gives the syntax tree of a file, comments and blank lines included; [`print()`] writes it back in its canonical form,
//! and [`format`](format()) does both and looks whether the text still says the same.
//! [`elaborate`] gives the verified [`Graph`] that a file stands for at some sizes, and [`from_graph`] goes back.
//! [`crate::op`] is the table of operations.
//!
//! A size expression is made of whole numbers, params declared above it, `+ - * /` (division drops the remainder), `max` and
//! `min`. An operand is a value, an expression over values, or a constant; `lowest` is minus infinity, which only `pad_cols` takes.

mod error;
mod from_graph;
mod held;
mod lower;
mod schedule;
mod settings;

pub use crate::syntax::{
    FormatError, MAX_NESTING, MAX_SOURCE, ParseError, ast, format, parse, parse_bytes, print,
    print_expr,
};
pub use error::LowerError;
pub use from_graph::from_graph;
pub use held::with_holds;
pub use lower::elaborate;
pub use settings::infer_settings;

use crate::graph::Graph;

/// A graph in its canonical text.
pub fn print_graph(graph: &Graph) -> String {
    print(&from_graph(graph))
}
