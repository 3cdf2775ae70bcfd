//! Formatting: the canonical text of a file, which is handed out only if it says the same.

use super::lexer::{Kind, Piece, Token, tokens};
use super::{ParseError, parse, print};
use miette::Diagnostic;

/// Why a text is not formatted.
#[derive(Debug, Clone, PartialEq, thiserror::Error, Diagnostic)]
pub enum FormatError {
    #[error(transparent)]
    #[diagnostic(transparent)]
    Parse(#[from] ParseError),
    #[error("the formatted text would have other {what}")]
    #[diagnostic(
        code(tilewright::text::format),
        help(
            "this is an error of the formatter; nothing was written. Put each declaration and each comment on a line of its own"
        )
    )]
    Changed {
        /// `words`, `comments`, or `lines the second time`.
        what: &'static str,
    },
}

/// A file in its canonical form, with its comments.
///
/// # Errors
///
/// What [`parse`] refuses. A text whose words, comments or meaning formatting would change: the formatter has no such case, and this
/// looks whether that is true.
pub fn format(source: &str) -> Result<String, FormatError> {
    let text = print(&parse(source)?);
    let again = parse(&text).map_err(|_| FormatError::Changed { what: "syntax" })?;
    let (old, new) = (tokens(source)?, tokens(&text)?);
    let changed = |what| Err(FormatError::Changed { what });
    if words(&old) != words(&new) {
        return changed("words");
    }
    if comments(&old) != comments(&new) {
        return changed("comments");
    }
    if print(&again) != text {
        return changed("lines the second time");
    }
    Ok(text)
}

/// The tokens, but for what may differ: parentheses that change nothing, commas before a closing bracket, and digits that a
/// number need not have. That the parentheses which are left out change nothing is for whoever knows what the file means.
fn words(tokens: &[Token]) -> Vec<Kind> {
    let bracket = |t: &Token| matches!(t.kind, Kind::Sign(")" | "]" | "}"));
    let mut words = vec![];
    for (i, token) in tokens.iter().enumerate() {
        match &token.kind {
            Kind::Sign("(" | ")") => {}
            Kind::Sign(",") if tokens.get(i + 1).is_some_and(bracket) => {}
            Kind::Number(text) => words.push(Kind::Number(number(text))),
            kind => words.push(kind.clone()),
        }
    }
    words
}

/// One text a number.
fn number(text: &str) -> String {
    match (text.parse::<i64>(), text.parse::<f64>()) {
        (Ok(whole), _) => whole.to_string(),
        (_, Ok(number)) => format!("{number:e}"),
        _ => text.into(),
    }
}

fn comments(tokens: &[Token]) -> Vec<&str> {
    let pieces = tokens.iter().flat_map(|t| &t.before);
    let texts = pieces.filter_map(|p| match p {
        Piece::Comment(text) => Some(text.as_str()),
        Piece::LineBreak => None,
    });
    texts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_formatted_keeps_its_words_and_comments() {
        let source = "// a layer\ngraph  g{\nparam T=8//tokens\n\n\n\nparam D = (4096)\ninput x : bf16 [ T,D ]\n\
                      kernel k { // what it does\n  y = rms_norm( x ,\n  // of ones\n  x, eps=1.0e-06 ) }\n// the end\noutput y\n}\n";
        let text = format(source).expect("it is a graph");
        assert_eq!(
            text,
            "// a layer\ngraph g {\n  param T = 8  //tokens\n\n  param D = 4096\n  input x: bf16[T, D]\n  \
             kernel k {  // what it does\n    // of ones\n    y = rms_norm(x, x, eps = 1e-6)\n  }\n  // the end\n  output y\n}\n"
        );
        assert_eq!(format(&text).as_deref(), Ok(text.as_str()));
    }

    #[test]
    fn a_text_that_says_something_else_is_seen() {
        let of = |text: &str| tokens(text).expect("they are tokens");
        assert_eq!(words(&of("f(a, 1.50,)")), words(&of("f(a, 1.5)")));
        assert_ne!(words(&of("a - b")), words(&of("b - a")));
        assert_ne!(words(&of("a = 1e-6")), words(&of("a = 1e-5")));
        assert_ne!(comments(&of("a // b")), comments(&of("a")));
    }
}
