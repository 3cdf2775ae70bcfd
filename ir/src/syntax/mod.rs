//! The syntax of `.tw`: text to a tree and back, without sizes or types.
//!
//! [`parse`] gives the syntax tree of a file, comments and blank lines included; [`print()`] writes it back in its canonical form.

use crate::dtype::DType;

pub mod ast;
mod elsewhere;
mod error;
mod exchange;
mod format;
mod lexer;
mod parser;
mod print;

pub(crate) use elsewhere::operation;
pub use error::ParseError;
pub use format::{FormatError, format};
pub use parser::{MAX_NESTING, MAX_SOURCE, parse, parse_bytes, parse_library};
pub use print::{
    print, print_action, print_declared, print_expr, print_signature, print_step, print_types,
};

/// The name nearest to a wrong one, when one is near enough to have been meant.
pub fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // The same name in other capitals is nearer than any other.
    let near = |name: &str| match name.eq_ignore_ascii_case(wrong) {
        true => 0,
        false => strsim::damerau_levenshtein(wrong, name),
    };
    // Distances cost the product of the lengths, so a name as long as a file has no neighbours.
    if wrong.len() > 100 {
        return None;
    }
    let names: Vec<&str> = names.into_iter().filter(|n| n.len() <= 100).collect();
    if let Some(name) = elsewhere::here(wrong, names.iter().copied()) {
        return Some(name);
    }
    names
        .into_iter()
        .map(|name| (near(name), name))
        .filter(|(distance, _)| *distance <= 1 + wrong.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// What goes before a list of names where a wrong one is near to one of them: a question with a blank after it, or nothing. The names
/// stand between commas, as the list is printed.
pub fn meant(wrong: &str, known: &str) -> String {
    if let Some(near) = nearest(wrong, known.split(", ")) {
        return format!("did you mean `{near}`? ");
    }
    match joined(wrong, known) {
        Some(parts) => format!(
            "`{wrong}` is {} in one; name one of them: ",
            parts.join(" and ")
        ),
        None => String::new(),
    }
}

/// The help for a word that is no element type.
pub(crate) fn element_types(wrong: &str) -> String {
    let all = DType::ALL.map(DType::name).join(", ");
    format!("{}the element types are {all}", meant(wrong, &all))
}

/// The names that a longer one is made of, with `_` between them, as that of a kernel which does the work of several.
fn joined(name: &str, known: &str) -> Option<Vec<String>> {
    // The longest first: a name may begin with another.
    let mut names: Vec<&str> = known.split(", ").filter(|n| !n.is_empty()).collect();
    names.sort_by_key(|n| std::cmp::Reverse(n.len()));
    let (mut rest, mut parts) = (name, vec![]);
    while !rest.is_empty() {
        let first = names.iter().find(|n| {
            let after = rest.strip_prefix(**n);
            after.is_some_and(|after| after.is_empty() || after.starts_with('_'))
        })?;
        parts.push(format!("`{first}`"));
        rest = rest[first.len()..].trim_start_matches('_');
    }
    (parts.len() > 1).then_some(parts)
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
