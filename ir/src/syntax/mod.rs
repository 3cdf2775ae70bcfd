//! What the languages of tilewright share: tokens, expressions, lines with their comments, blocks, and how they print.
//!
//! [`crate::text`] is the language of graph files and [`crate::exchange`] that of exchanges. Nothing here knows what a statement
//! is: who parses one uses [`Parser`], and who prints one uses [`Printer`].

mod error;
pub(crate) mod lexer;
mod parser;
mod print;
mod tree;

pub use error::ParseError;
pub use parser::{MAX_NESTING, MAX_SOURCE};
pub(crate) use parser::{Parsed, Parser, without_first_blank, without_last_blank};
pub(crate) use print::Printer;
pub use print::print_expr;
pub use tree::*;

/// The name nearest to a wrong one, when one is near enough to have been meant.
pub(crate) fn nearest<'a>(
    wrong: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let near = |name: &str| strsim::damerau_levenshtein(wrong, name);
    // Distances cost the product of the lengths, so a name as long as a file has no neighbours.
    if wrong.len() > 100 {
        return None;
    }
    names
        .into_iter()
        .filter(|name| name.len() <= 100)
        .map(|name| (near(name), name))
        .filter(|(distance, _)| *distance <= 1 + wrong.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// The help for a wrong name: the nearest one, or a rule.
pub(crate) fn suggest<'a>(
    wrong: &str,
    names: impl IntoIterator<Item = &'a str>,
    rule: &str,
) -> String {
    match nearest(wrong, names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => rule.into(),
    }
}
