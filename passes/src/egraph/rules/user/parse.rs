//! From text to a tree with places. Nothing is looked up here.

use super::{Comparison, MAX_DEPTH, Measure, Operation, UserRuleError};
use crate::term::analysis::Sign;
use miette::SourceSpan;
use std::ops::Range;

pub(super) type Span = Range<usize>;

/// A word with its place.
#[derive(Debug, Clone)]
pub(super) struct Word {
    pub text: String,
    pub span: Span,
}

pub(super) struct ParsedRule {
    pub name: Word,
    pub class: Word,
    pub why: String,
    pub lines: Vec<ParsedLine>,
}

pub(super) struct ParsedLine {
    pub left: Tree,
    pub right: Tree,
    pub conditions: Vec<ParsedCondition>,
}

/// A side of a line.
#[derive(Debug)]
pub(super) struct Tree {
    pub op: Word,
    /// None for an atom, which has no brackets.
    pub operands: Option<Vec<Tree>>,
    pub span: Span,
}

pub(super) enum ParsedExpr {
    Number(Word),
    Var(Word),
    Measure(Measure, Word),
    Operation(Operation, Box<ParsedExpr>, Box<ParsedExpr>),
}

pub(super) enum ParsedCondition {
    Bind(Word, ParsedExpr),
    Divides(ParsedExpr, ParsedExpr),
    Compare(Comparison, ParsedExpr, ParsedExpr),
    Aligned(ParsedExpr, ParsedExpr, Word),
    Fits(ParsedExpr, ParsedExpr, Word),
    Type(Word, Word),
    /// Whether the elements are at least this.
    Sign(Word, Sign),
}

type Result<T> = std::result::Result<T, UserRuleError>;

/// The rules of a file.
pub(super) fn file(text: &str) -> Result<Vec<ParsedRule>> {
    let mut s = Scanner { text, at: 0 };
    let mut rules = vec![];
    loop {
        s.skip();
        if s.rest().is_empty() {
            break;
        }
        rules.push(s.rule()?);
    }
    match rules.is_empty() {
        true => Err(UserRuleError::Empty),
        false => Ok(rules),
    }
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Spaces and comments.
    fn skip(&mut self) {
        loop {
            let rest = self.rest();
            let spaces = rest.len() - rest.trim_start().len();
            self.at += spaces;
            if !self.rest().starts_with("//") {
                return;
            }
            self.at += self.rest().find('\n').unwrap_or(self.rest().len());
        }
    }

    fn peek(&mut self) -> Option<char> {
        self.skip();
        self.rest().chars().next()
    }

    fn unexpected(&mut self, expected: &str) -> UserRuleError {
        self.skip();
        let rest = self.rest();
        let end = |c: char| c.is_whitespace() || "(){},\"".contains(c);
        let length = match rest.find(end) {
            Some(0) => rest.chars().next().map_or(0, char::len_utf8),
            Some(n) => n,
            None => rest.len(),
        };
        let found = match length {
            0 => "the end of the file".into(),
            n => format!("`{}`", rest[..n].chars().take(32).collect::<String>()),
        };
        UserRuleError::Syntax {
            expected: expected.into(),
            found,
            span: span(&(self.at..self.at + length)),
        }
    }

    fn accept(&mut self, token: &str) -> bool {
        self.skip();
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn expect(&mut self, token: &str) -> Result<()> {
        match self.accept(token) {
            true => Ok(()),
            false => Err(self.unexpected(&format!("`{token}`"))),
        }
    }

    /// As many characters as `part` takes, at least one.
    fn word(&mut self, expected: &str, part: impl Fn(char) -> bool) -> Result<Word> {
        self.skip();
        let rest = self.rest();
        let length = rest.find(|c| !part(c)).unwrap_or(rest.len());
        if length == 0 {
            return Err(self.unexpected(expected));
        }
        let start = self.at;
        self.at += length;
        Ok(Word {
            text: rest[..length].into(),
            span: start..self.at,
        })
    }

    /// Whether the word `keyword` comes next; then it is taken.
    fn keyword(&mut self, keyword: &str) -> bool {
        self.skip();
        let after = self.rest().strip_prefix(keyword);
        let found = after.is_some_and(|r| !r.starts_with(|c: char| named(c) || c == '-'));
        if found {
            self.at += keyword.len();
        }
        found
    }

    fn rule(&mut self) -> Result<ParsedRule> {
        if !self.keyword("rule") {
            return Err(self.unexpected("`rule`"));
        }
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let name = self.word("a name of small letters, digits and `-`", plain)?;
        let class = self.word("a class of numerics", named)?;
        let why = match self.peek() {
            Some('"') => self.string()?,
            _ => String::new(),
        };
        self.expect("{")?;
        let mut lines = vec![];
        loop {
            lines.push(self.line()?);
            if self.accept("}") {
                break;
            }
        }
        Ok(ParsedRule {
            name,
            class,
            why,
            lines,
        })
    }

    fn string(&mut self) -> Result<String> {
        self.expect("\"")?;
        let rest = self.rest();
        let Some(end) = rest
            .find(['"', '\n'])
            .filter(|i| rest[*i..].starts_with('"'))
        else {
            self.at += rest.find('\n').unwrap_or(rest.len());
            return Err(self.unexpected("a closing `\"` on the same line"));
        };
        self.at += end + 1;
        Ok(rest[..end].into())
    }

    fn line(&mut self) -> Result<ParsedLine> {
        let left = self.tree(0)?;
        self.expect("=>")?;
        let right = self.tree(0)?;
        let mut conditions = vec![];
        if self.keyword("where") {
            loop {
                conditions.push(self.condition()?);
                if !self.accept(",") {
                    break;
                }
            }
        }
        Ok(ParsedLine {
            left,
            right,
            conditions,
        })
    }

    fn tree(&mut self, depth: usize) -> Result<Tree> {
        let atom = |c: char| named(c) || "?.-+".contains(c);
        if self.peek() != Some('(') {
            let op = self.word(
                "a pattern: `(operator operands)`, `?variable` or a number",
                atom,
            )?;
            return Ok(Tree {
                span: op.span.clone(),
                op,
                operands: None,
            });
        }
        let start = self.at;
        self.deeper(depth)?;
        self.at += 1;
        let op = self.word("an operator", atom)?;
        let mut operands = vec![];
        loop {
            match self.peek() {
                Some(')') => break,
                None => return Err(self.unexpected("`)`")),
                Some(_) => operands.push(self.tree(depth + 1)?),
            }
        }
        self.at += 1;
        Ok(Tree {
            op,
            operands: Some(operands),
            span: start..self.at,
        })
    }

    fn deeper(&self, depth: usize) -> Result<()> {
        match depth < MAX_DEPTH {
            true => Ok(()),
            false => Err(UserRuleError::TooDeep {
                span: span(&(self.at..self.at + 1)),
            }),
        }
    }

    fn var(&mut self) -> Result<Word> {
        if self.peek() != Some('?') {
            return Err(self.unexpected("a variable"));
        }
        let start = self.at;
        self.at += 1;
        let name = self.word("the name of a variable", named)?;
        if name.span.start != start + 1 {
            self.at = start;
            return Err(self.unexpected("a variable"));
        }
        Ok(Word {
            text: self.text[start..self.at].into(),
            span: start..self.at,
        })
    }

    /// `(a, b`, without the closing bracket.
    fn pair(&mut self) -> Result<(ParsedExpr, ParsedExpr)> {
        self.expect("(")?;
        let a = self.sum(0)?;
        self.expect(",")?;
        Ok((a, self.sum(0)?))
    }

    fn of_value(&mut self) -> Result<(ParsedExpr, ParsedExpr, Word)> {
        let (a, b) = self.pair()?;
        self.expect(",")?;
        let v = self.var()?;
        self.expect(")")?;
        Ok((a, b, v))
    }

    fn condition(&mut self) -> Result<ParsedCondition> {
        if self.keyword("divides") {
            let (a, b) = self.pair()?;
            self.expect(")")?;
            return Ok(ParsedCondition::Divides(a, b));
        }
        if self.keyword("aligned") {
            let (c, n, v) = self.of_value()?;
            return Ok(ParsedCondition::Aligned(c, n, v));
        }
        if self.keyword("fits") {
            let (r, c, v) = self.of_value()?;
            return Ok(ParsedCondition::Fits(r, c, v));
        }
        for (word, sign) in [
            ("positive", Sign::Positive),
            ("nonnegative", Sign::NonNegative),
        ] {
            if self.keyword(word) {
                self.expect("(")?;
                let v = self.var()?;
                self.expect(")")?;
                return Ok(ParsedCondition::Sign(v, sign));
            }
        }
        if self.keyword("dtype") {
            self.expect("(")?;
            let v = self.var()?;
            self.expect(")")?;
            self.expect("==")?;
            let dtype = self.word("an element type", named)?;
            return Ok(ParsedCondition::Type(v, dtype));
        }
        let left = self.sum(0)?;
        if self.accept("==") {
            return Ok(ParsedCondition::Compare(
                Comparison::Equal,
                left,
                self.sum(0)?,
            ));
        }
        if self.accept("<=") {
            return Ok(ParsedCondition::Compare(
                Comparison::AtMost,
                left,
                self.sum(0)?,
            ));
        }
        if self.accept("<") {
            return Ok(ParsedCondition::Compare(
                Comparison::Less,
                left,
                self.sum(0)?,
            ));
        }
        // Not the arrow of a next line.
        if let ParsedExpr::Var(v) = left {
            self.skip();
            if self.rest().starts_with('=') && !self.rest().starts_with("=>") {
                self.at += 1;
                return Ok(ParsedCondition::Bind(v, self.sum(0)?));
            }
            return Err(self.unexpected("`=`, `==`, `<` or `<=`"));
        }
        Err(self.unexpected("`==`, `<` or `<=`"))
    }

    fn sum(&mut self, depth: usize) -> Result<ParsedExpr> {
        let mut left = self.product(depth)?;
        let mut terms = 0;
        loop {
            let op = match self.peek() {
                Some('+') => Operation::Add,
                Some('-') => Operation::Sub,
                _ => return Ok(left),
            };
            terms += 1;
            self.deeper(terms)?;
            self.at += 1;
            let right = self.product(depth)?;
            left = ParsedExpr::Operation(op, Box::new(left), Box::new(right));
        }
    }

    fn product(&mut self, depth: usize) -> Result<ParsedExpr> {
        let mut left = self.factor(depth)?;
        let mut terms = 0;
        loop {
            let op = match self.peek() {
                Some('*') => Operation::Mul,
                Some('/') => Operation::Div,
                _ => return Ok(left),
            };
            terms += 1;
            self.deeper(terms)?;
            self.at += 1;
            let right = self.factor(depth)?;
            left = ParsedExpr::Operation(op, Box::new(left), Box::new(right));
        }
    }

    fn factor(&mut self, depth: usize) -> Result<ParsedExpr> {
        const EXPECTED: &str = "a number, a variable, or `rows`, `cols` or `bytes` of one";
        match self.peek() {
            Some('(') => {
                self.deeper(depth)?;
                self.at += 1;
                let inner = self.sum(depth + 1)?;
                self.expect(")")?;
                return Ok(inner);
            }
            Some('?') => return Ok(ParsedExpr::Var(self.var()?)),
            Some(c) if c.is_ascii_digit() => {
                return Ok(ParsedExpr::Number(self.word(EXPECTED, named)?));
            }
            _ => {}
        }
        for (word, measure) in [
            ("rows", Measure::Rows),
            ("cols", Measure::Cols),
            ("bytes", Measure::Bytes),
        ] {
            if self.keyword(word) {
                self.expect("(")?;
                let v = self.var()?;
                self.expect(")")?;
                return Ok(ParsedExpr::Measure(measure, v));
            }
        }
        Err(self.unexpected(EXPECTED))
    }
}

/// Letters, digits and `_`.
fn named(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

pub(super) fn span(span: &Span) -> SourceSpan {
    span.clone().into()
}
