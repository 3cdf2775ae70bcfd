//! Splits C++ into pieces that are coloured alike. It need not understand more of the language than that.

/// How a piece is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Plain,
    Comment,
    Keyword,
    Number,
    String,
    /// A line of the preprocessor.
    Directive,
    /// A name before a parenthesis.
    Call,
}

const KEYWORDS: &[&str] = &[
    "alignas",
    "auto",
    "bool",
    "break",
    "case",
    "char",
    "class",
    "const",
    "constexpr",
    "continue",
    "default",
    "do",
    "double",
    "else",
    "enum",
    "extern",
    "false",
    "float",
    "for",
    "half",
    "if",
    "inline",
    "int",
    "int16_t",
    "int32_t",
    "int64_t",
    "int8_t",
    "long",
    "namespace",
    "nullptr",
    "operator",
    "private",
    "public",
    "return",
    "short",
    "signed",
    "size_t",
    "sizeof",
    "static",
    "static_assert",
    "struct",
    "switch",
    "template",
    "true",
    "typedef",
    "typename",
    "uint16_t",
    "uint32_t",
    "uint64_t",
    "uint8_t",
    "unsigned",
    "using",
    "void",
    "volatile",
    "while",
];

/// All of a text in pieces, neighbours of one kind together.
pub fn tokens(text: &str) -> Vec<(Kind, &str)> {
    let mut pieces: Vec<(Kind, usize, usize)> = vec![];
    let mut at = 0;
    while at < text.len() {
        let line_start = text[..at].trim_end_matches([' ', '\t']).ends_with('\n') || at == 0;
        let (kind, length) = next(&text[at..], line_start);
        match pieces.last_mut() {
            Some(last) if last.0 == kind => last.2 = at + length,
            _ => pieces.push((kind, at, at + length)),
        }
        at += length;
    }
    pieces
        .into_iter()
        .map(|(kind, from, to)| (kind, &text[from..to]))
        .collect()
}

/// The first piece of a text that is not empty.
fn next(text: &str, line_start: bool) -> (Kind, usize) {
    let until = |end: &str, from: usize| text[from..].find(end).map_or(text.len(), |i| from + i);
    let while_in = |f: fn(char) -> bool| text.find(|c| !f(c)).unwrap_or(text.len());
    let first = text.chars().next().unwrap_or(' ');
    let word = |c: char| c.is_alphanumeric() || c == '_';
    match first {
        '/' if text.starts_with("//") => (Kind::Comment, until("\n", 0)),
        '/' if text.starts_with("/*") => (Kind::Comment, (until("*/", 2) + 2).min(text.len())),
        '#' if line_start => (Kind::Directive, until("\n", 0)),
        '"' | '\'' => (Kind::String, quoted(text, first)),
        c if c.is_ascii_digit() => (
            Kind::Number,
            while_in(|c| c.is_alphanumeric() || c == '.' || c == '_'),
        ),
        c if word(c) => {
            let length = while_in(|c| c.is_alphanumeric() || c == '_');
            let kind = match (
                KEYWORDS.contains(&&text[..length]),
                text[length..].starts_with('('),
            ) {
                (true, _) => Kind::Keyword,
                (false, true) => Kind::Call,
                (false, false) => Kind::Plain,
            };
            (kind, length)
        }
        c => (Kind::Plain, c.len_utf8()),
    }
}

/// The length of a literal, up to the end of its line at most.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (i, c) in text.char_indices().skip(1) {
        match c {
            '\n' => return i,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return i + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_told_apart() {
        let text = "#include <a>\nfor (int i = 0x1F; i < 8.0f; ++i) { // to\n  TLOAD(x, \"a\\\"b\"); /* é */ y }";
        let found = tokens(text);
        let of = |kind: Kind| -> Vec<&str> {
            found.iter().filter(|t| t.0 == kind).map(|t| t.1).collect()
        };
        assert_eq!(of(Kind::Directive), ["#include <a>"]);
        assert_eq!(of(Kind::Keyword), ["for", "int"]);
        assert_eq!(of(Kind::Number), ["0x1F", "8.0f"]);
        assert_eq!(of(Kind::Comment), ["// to", "/* é */"]);
        assert_eq!(of(Kind::String), ["\"a\\\"b\""]);
        assert_eq!(of(Kind::Call), ["TLOAD"]);
    }

    #[test]
    fn every_text_comes_back_whole() {
        for text in [
            "",
            "\"open",
            "/* open",
            "'",
            "#",
            "é#x",
            "a\n  #b\n",
            "1.2e+3\\",
            "//\u{1f600}",
        ] {
            let whole: String = tokens(text).into_iter().map(|t| t.1).collect();
            assert_eq!(whole, text);
        }
    }
}
