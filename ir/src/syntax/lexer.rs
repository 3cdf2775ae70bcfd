//! Characters to tokens. A token keeps the comments and line breaks that stand before it, so that nothing written is lost.

use super::ParseError;
use super::ast::Span;

/// What a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Ident(String),
    Number(String),
    /// What stands between quotes.
    Text(String),
    /// An operator or a bracket.
    Sign(&'static str),
    End,
}

/// What stands before a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    LineBreak,
    Comment(String),
}

#[derive(Debug, Clone)]
pub(super) struct Token {
    pub kind: Kind,
    pub span: Span,
    pub before: Vec<Piece>,
}

/// Longer signs first, so that `<=` is not `<` and `=`.
const SIGNS: [&str; 24] = [
    "...", "..", "->", "<=", ">=", "==", "!=", "<", ">", "=", "{", "}", "(", ")", "[", "]", ",",
    ":", "~", "+", "-", "*", "/", "%",
];

/// The tokens of a text; the last one is [`Kind::End`].
pub(super) fn tokens(source: &str) -> Result<Vec<Token>, ParseError> {
    let bytes = source.as_bytes();
    let mut tokens = vec![];
    let mut before = vec![];
    // Some editors start a file with a byte-order mark.
    let mut at = if source.starts_with('\u{feff}') {
        '\u{feff}'.len_utf8()
    } else {
        0
    };
    // `at` only ever stops on a character boundary: everything else skipped bytewise is ASCII.
    while let Some(&byte) = bytes.get(at) {
        let rest = &source[at..];
        if byte == b'\n' {
            before.push(Piece::LineBreak);
            at += 1;
            continue;
        }
        if matches!(byte, b' ' | b'\t' | b'\r') {
            at += 1;
            continue;
        }
        if let Some(comment) = rest.strip_prefix("//") {
            let text = comment.split('\n').next().unwrap_or_default();
            before.push(Piece::Comment(text.trim_end().to_string()));
            at += 2 + text.len();
            continue;
        }
        let (kind, length) = if byte.is_ascii_alphabetic() || byte == b'_' {
            let length = prefix(rest, |b| b.is_ascii_alphanumeric() || b == b'_');
            (Kind::Ident(rest[..length].into()), length)
        } else if byte.is_ascii_digit() {
            let length = number(rest);
            (Kind::Number(rest[..length].into()), length)
        } else if byte == b'"' {
            let text = quoted(rest, at)?;
            (Kind::Text(text.into()), text.len() + 2)
        } else if let Some(sign) = SIGNS.iter().find(|s| rest.starts_with(**s)) {
            (Kind::Sign(sign), sign.len())
        } else {
            let found = rest.chars().next().unwrap_or_default();
            let end = at + found.len_utf8();
            return Err(ParseError::Character {
                found,
                span: Span { start: at, end }.into(),
            });
        };
        let span = Span {
            start: at,
            end: at + length,
        };
        if let Kind::Number(text) = &kind {
            check_number(text, span)?;
        }
        tokens.push(Token {
            kind,
            span,
            before: std::mem::take(&mut before),
        });
        at += length;
    }
    tokens.push(Token {
        kind: Kind::End,
        span: Span { start: at, end: at },
        before,
    });
    Ok(tokens)
}

/// What stands between the quote at the start and the next one on its line.
fn quoted(text: &str, at: usize) -> Result<&str, ParseError> {
    let line = text[1..].split('\n').next().unwrap_or_default();
    line.find('"')
        .map(|end| &line[..end])
        .ok_or(ParseError::Unclosed {
            what: "the text",
            close: "\"",
            open: Span {
                start: at,
                end: at + 1,
            }
            .into(),
        })
}

fn prefix(text: &str, holds: impl Fn(u8) -> bool) -> usize {
    text.bytes().take_while(|b| holds(*b)).count()
}

/// The length of the number at the start: digits, then a fraction, then an exponent. Letters that follow without a gap belong
/// to it too, so that `8x` is one wrong number and not two tokens.
fn number(text: &str) -> usize {
    let digits = |from: usize| prefix(&text[from..], |b| b.is_ascii_digit());
    let mut length = digits(0);
    let bytes = text.as_bytes();
    // Two points are a range.
    if bytes.get(length) == Some(&b'.') && bytes.get(length + 1) != Some(&b'.') {
        length += 1 + digits(length + 1);
    }
    if matches!(bytes.get(length), Some(b'e' | b'E')) {
        length += 1;
        if matches!(bytes.get(length), Some(b'+' | b'-')) {
            length += 1;
        }
        length += digits(length);
    }
    length + prefix(&text[length..], |b| b.is_ascii_alphanumeric() || b == b'_')
}

fn check_number(text: &str, span: Span) -> Result<(), ParseError> {
    let holds = if text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse::<i64>().is_ok()
    } else {
        let form = text.bytes().last().is_some_and(|b| b.is_ascii_digit());
        form && text.parse::<f64>().is_ok_and(f64::is_finite)
    };
    if holds {
        Ok(())
    } else {
        Err(ParseError::Number {
            text: text.into(),
            span: span.into(),
        })
    }
}
