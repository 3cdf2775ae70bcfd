//! Tokens to the syntax tree, by recursive descent.
//!
//! Written by hand rather than with a combinator library: the grammar needs one token of look-ahead, every refusal here has
//! its own code, labels and remedy, and comments and blank lines ride on tokens, which combinators over characters would have
//! to thread through each rule. A line ends where the next token stands on a new line; inside a statement line breaks are free.

mod definition;
mod exchange;
mod expr;
mod graph;

use super::ParseError;
use super::ast::*;
use super::lexer::{Kind, Piece, Token, tokens};

/// How deep expressions may nest; deeper is a generated file or an attack.
pub const MAX_NESTING: usize = 100;
/// The largest source text.
pub const MAX_SOURCE: usize = 16 << 20;

/// Parses a file.
///
/// # Errors
///
/// The first problem, with its place.
pub fn parse(source: &str) -> Result<File, ParseError> {
    let mut parser = parser(source)?;
    if parser.tokens.len() == 1 {
        return Err(ParseError::Empty);
    }
    parser.file()
}

fn parser(source: &str) -> Result<Parser, ParseError> {
    if source.len() > MAX_SOURCE {
        return Err(ParseError::TooLarge {
            size: source.len(),
            limit: MAX_SOURCE,
        });
    }
    if let Some(offset) = source.bytes().position(|b| b == 0) {
        return Err(ParseError::NotText { offset });
    }
    Ok(Parser {
        tokens: tokens(source)?,
        at: 0,
        depth: 0,
        stray: vec![],
    })
}

/// Parses a library: declarations without a graph.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_library(source: &str) -> Result<Vec<Line<Declared>>, ParseError> {
    let mut parser = parser(source)?;
    let declared = parser.declared()?;
    parser.leading();
    match parser.kind() {
        Kind::End => Ok(declared),
        _ => Err(parser.unexpected("`def` or `exchange`", None)),
    }
}

/// Parses a file that may not be text at all.
///
/// # Errors
///
/// As [`parse`], and [`ParseError::NotText`] for what is not UTF-8.
pub fn parse_bytes(source: &[u8]) -> Result<File, ParseError> {
    match std::str::from_utf8(source) {
        Ok(text) => parse(text),
        Err(e) => Err(ParseError::NotText {
            offset: e.valid_up_to(),
        }),
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    /// How many blocks of a declaration are open.
    depth: usize,
    /// Comments met inside a statement; they move before it.
    stray: Vec<Trivia>,
}

type Parsed<T> = Result<T, ParseError>;

impl Parser {
    fn block<T>(
        &mut self,
        what: &'static str,
        parse: fn(&mut Self) -> Parsed<T>,
    ) -> Parsed<Block<T>> {
        let open = self.span();
        self.sign("{")?;
        let mut block = Block {
            opening: self.trailing(),
            ..Block::default()
        };
        loop {
            match self.kind() {
                Kind::Sign("}") => break,
                Kind::End => {
                    return Err(ParseError::Unclosed {
                        what,
                        close: "}",
                        open: open.into(),
                    });
                }
                _ => block.lines.push(self.line(parse)?),
            }
        }
        block.closing = self.leading();
        without_last_blank(&mut block.closing);
        let first = match block.lines.first_mut() {
            Some(line) => &mut line.leading,
            None => &mut block.closing,
        };
        without_first_blank(first);
        self.bump();
        Ok(block)
    }

    /// One line: what stands before it, the line, the comment after it.
    fn line<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<Line<T>> {
        let mut leading = self.leading();
        let outer = std::mem::take(&mut self.stray);
        let kind = parse(self)?;
        leading.extend(std::mem::replace(&mut self.stray, outer));
        let trailing = self.trailing();
        let ended = trailing.is_some()
            || !self.tokens[self.at].before.is_empty()
            || matches!(self.kind(), Kind::End | Kind::Sign("}"));
        if !ended {
            return Err(self.unexpected("the end of the line", Some("one statement a line")));
        }
        Ok(Line {
            leading,
            kind,
            trailing,
        })
    }

    /// Comments and blank lines before the next token.
    fn leading(&mut self) -> Vec<Trivia> {
        let mut trivia = vec![];
        let mut breaks = 0;
        for piece in std::mem::take(&mut self.tokens[self.at].before) {
            match piece {
                Piece::LineBreak => breaks += 1,
                Piece::Comment(text) => {
                    if breaks > 1 {
                        trivia.push(Trivia::Blank);
                    }
                    breaks = 0;
                    trivia.push(Trivia::Comment(text));
                }
            }
        }
        if breaks > 1 {
            trivia.push(Trivia::Blank);
        }
        trivia
    }

    /// The comment on the line that just ended.
    fn trailing(&mut self) -> Option<String> {
        let before = &mut self.tokens[self.at].before;
        match before.first() {
            Some(Piece::Comment(_)) => match before.remove(0) {
                Piece::Comment(text) => Some(text),
                Piece::LineBreak => None,
            },
            _ => None,
        }
    }

    /// A block within a declaration.
    fn inner<T>(
        &mut self,
        what: &'static str,
        parse: fn(&mut Self) -> Parsed<T>,
    ) -> Parsed<Block<T>> {
        self.depth += 1;
        if self.depth > MAX_NESTING {
            return Err(ParseError::Nesting {
                limit: MAX_NESTING,
                span: self.span().into(),
            });
        }
        let block = self.block(what, parse)?;
        self.depth -= 1;
        Ok(block)
    }

    // Tokens.

    fn is_word(&self, word: &str) -> bool {
        matches!(self.kind(), Kind::Ident(found) if found == word)
    }

    /// Steps over a word if it comes next.
    fn eat_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.bump();
        }
        found
    }

    /// The token after the next one.
    fn second(&self) -> Option<&Kind> {
        self.tokens.get(self.at + 1).map(|t| &t.kind)
    }

    fn kind(&self) -> &Kind {
        &self.tokens[self.at].kind
    }

    fn span(&self) -> Span {
        self.tokens[self.at].span
    }

    /// Steps over a token; the last one, the end, stays.
    fn bump(&mut self) -> Span {
        let token = &mut self.tokens[self.at];
        for piece in std::mem::take(&mut token.before) {
            if let Piece::Comment(text) = piece {
                self.stray.push(Trivia::Comment(text));
            }
        }
        let span = token.span;
        if token.kind != Kind::End {
            self.at += 1;
        }
        span
    }

    fn eat(&mut self, sign: &'static str) -> bool {
        let found = self.kind() == &Kind::Sign(sign);
        if found {
            self.bump();
        }
        found
    }

    fn sign(&mut self, sign: &'static str) -> Parsed<Span> {
        if self.kind() == &Kind::Sign(sign) {
            Ok(self.bump())
        } else {
            Err(self.unexpected(&format!("`{sign}`"), None))
        }
    }

    fn close(&mut self, sign: &'static str, what: &'static str, open: Span) -> Parsed<Span> {
        match self.kind() {
            Kind::End => Err(ParseError::Unclosed {
                what,
                close: sign,
                open: open.into(),
            }),
            Kind::Sign(found) if *found == sign => Ok(self.bump()),
            _ => Err(self.unexpected(&format!("`,` or `{sign}`"), None)),
        }
    }

    fn ident(&mut self, expected: &str) -> Parsed<Ident> {
        match self.kind().clone() {
            Kind::Ident(name) => Ok(Ident {
                name,
                span: self.bump(),
            }),
            _ => Err(self.unexpected(expected, None)),
        }
    }

    fn keyword(&mut self, word: &str, help: &str) -> Parsed<Span> {
        match self.kind() {
            Kind::Ident(found) if found == word => Ok(self.bump()),
            _ => Err(self.unexpected(&format!("`{word}`"), Some(help))),
        }
    }

    fn unexpected(&self, expected: &str, help: Option<&str>) -> ParseError {
        let found = match self.kind() {
            Kind::Ident(name) => format!("`{name}`"),
            Kind::Number(text) => format!("the number {text}"),
            Kind::Text(text) => format!("the text {text:?}"),
            Kind::Sign(sign) => format!("`{sign}`"),
            Kind::End => "the end of the file".into(),
        };
        // Of two tokens that other languages begin a comment with, the first is what is not expected.
        let next = self.tokens.get(self.at + 1).map(|t| &t.kind);
        let is_comment = *self.kind() == Kind::Sign("/") && next == Some(&Kind::Sign("*"));
        let help = match is_comment {
            true => Some("comments start with `//` and end with the line"),
            false => help,
        };
        ParseError::Unexpected {
            expected: expected.into(),
            found,
            span: self.span().into(),
            help: help.map(Into::into),
        }
    }
}

fn without_first_blank(trivia: &mut Vec<Trivia>) {
    if trivia.first() == Some(&Trivia::Blank) {
        trivia.remove(0);
    }
}

fn without_last_blank(trivia: &mut Vec<Trivia>) {
    if trivia.last() == Some(&Trivia::Blank) {
        trivia.pop();
    }
}
