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

/// The tokens, but for commas before a closing bracket.
fn words(tokens: &[Token]) -> Vec<&Kind> {
    let closes = |t: &Token| matches!(t.kind, Kind::Sign(")" | "]" | "}"));
    let kept = tokens.iter().enumerate().filter(|(i, token)| {
        let closing = tokens.get(i + 1).is_some_and(closes);
        !(token.kind == Kind::Sign(",") && closing)
    });
    kept.map(|(_, token)| &token.kind).collect()
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
            "// a layer\ngraph g {\n  param T = 8  //tokens\n\n  param D = (4096)\n  input x: bf16[T, D]\n  \
             kernel k {  // what it does\n    // of ones\n    y = rms_norm(x, x, eps = 1.0e-06)\n  }\n  // the end\n  output y\n}\n"
        );
        assert_eq!(format(&text).as_deref(), Ok(text.as_str()));
    }

    #[test]
    fn a_text_that_says_something_else_is_seen() {
        let of = |text: &str| tokens(text).expect("they are tokens");
        assert_eq!(words(&of("f( a,1.50, )")), words(&of("f(a, 1.50)")));
        assert_ne!(words(&of("a - b")), words(&of("b - a")));
        assert_ne!(words(&of("a / (b / c)")), words(&of("a / b / c")));
        assert_ne!(words(&of("1e-6")), words(&of("1e-5")));
        assert_ne!(comments(&of("a // b")), comments(&of("a")));
    }
}
