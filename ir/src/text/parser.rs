//! Tokens to the syntax tree, by recursive descent.
//!
//! Written by hand rather than with a combinator library: the grammar needs one token of look-ahead, every refusal here has
//! its own code, labels and remedy, and comments and blank lines ride on tokens, which combinators over characters would have
//! to thread through each rule. A line ends where the next token stands on a new line; inside a statement line breaks are free.

use super::ParseError;
use super::ast::*;
use super::lexer::{Kind, Piece, Token, tokens};
use crate::dtype::DType;
use crate::graph::LaunchKind;

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
    if source.len() > MAX_SOURCE {
        return Err(ParseError::TooLarge {
            size: source.len(),
            limit: MAX_SOURCE,
        });
    }
    if let Some(offset) = source.bytes().position(|b| b == 0) {
        return Err(ParseError::NotText { offset });
    }
    let mut parser = Parser {
        tokens: tokens(source)?,
        at: 0,
        stray: vec![],
    };
    if parser.tokens.len() == 1 {
        return Err(ParseError::Empty);
    }
    parser.file()
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
    /// Comments met inside a statement; they move before it.
    stray: Vec<Trivia>,
}

type Parsed<T> = Result<T, ParseError>;

impl Parser {
    fn file(&mut self) -> Parsed<File> {
        let mut graph = self.line(|p| {
            p.keyword("graph", "a file holds one graph: `graph NAME { ... }`")?;
            let name = p.ident("the graph's name")?;
            let body = p.block("graph", Self::item)?;
            Ok(GraphDecl { name, body })
        })?;
        without_first_blank(&mut graph.leading);
        let mut closing = self.leading();
        without_last_blank(&mut closing);
        if self.kind() != &Kind::End {
            return Err(self.unexpected(
                "the end of the file",
                Some(
                    "a file holds one graph: move what follows into it, or into a file of its own",
                ),
            ));
        }
        Ok(File { graph, closing })
    }

    fn item(&mut self) -> Parsed<Item> {
        let Kind::Ident(word) = self.kind().clone() else {
            return Err(self.unexpected("`param`, `ranks`, `input`, `kernel` or `output`", None));
        };
        match word.as_str() {
            "param" | "ranks" => {
                self.bump();
                let name = self.ident("the param's name")?;
                self.sign("=")?;
                let value = self.expr()?;
                let ranks = word == "ranks";
                Ok(Item::Param(Param { name, value, ranks }))
            }
            "input" => self.input(),
            "kernel" => {
                self.bump();
                let name = self.ident("the kernel's name")?;
                let when = match self.kind() {
                    Kind::Ident(word) if word == "when" => {
                        self.bump();
                        Some(self.condition()?)
                    }
                    _ => None,
                };
                let body = self.block("kernel", Self::stmt)?;
                Ok(Item::Kernel(Kernel { name, when, body }))
            }
            "output" => {
                self.bump();
                let mut wanted = vec![self.wanted()?];
                while self.eat(",") {
                    wanted.push(self.wanted()?);
                }
                Ok(Item::Output(wanted))
            }
            _ => {
                let help = match self.tokens.get(self.at + 1).map(|t| &t.kind) {
                    Some(Kind::Sign("=" | ",")) => {
                        "operations stand inside a kernel: `kernel NAME { ... }`".to_string()
                    }
                    _ => super::nearest(&word, ["param", "ranks", "input", "kernel", "output"])
                        .map_or_else(
                            || "a graph holds params, inputs, kernels and outputs".to_string(),
                            |near| format!("did you mean `{near}`?"),
                        ),
                };
                Err(self.unexpected(
                    "`param`, `ranks`, `input`, `kernel` or `output`",
                    Some(&help),
                ))
            }
        }
    }

    fn wanted(&mut self) -> Parsed<Wanted> {
        let name = self.ident("the name of a result")?;
        let mut within = vec![];
        if matches!(self.kind(), Kind::Ident(word) if word == "within") {
            self.bump();
            let open = self.sign("(")?;
            loop {
                let part = self.ident("`atol`, `rtol` or `outliers`")?;
                self.sign("=")?;
                within.push((part, self.expr()?));
                if !self.eat(",") {
                    self.close(")", "the accuracy", open)?;
                    break;
                }
            }
        }
        Ok(Wanted { name, within })
    }

    fn input(&mut self) -> Parsed<Item> {
        self.bump();
        let name = self.ident("the input's name")?;
        self.sign(":")?;
        let dtype = self.ident("an element type")?;
        if dtype.name.parse::<DType>().is_err() {
            return Err(ParseError::ElementType {
                found: dtype.name,
                span: dtype.span.into(),
            });
        }
        let mut shape = vec![];
        let open = self.span();
        if self.eat("[") {
            while !self.eat("]") {
                shape.push(self.expr()?);
                if !self.eat(",") {
                    self.close("]", "the shape", open)?;
                    break;
                }
            }
        }
        let mut ragged = None;
        if matches!(self.kind(), Kind::Ident(word) if word == "ragged") {
            self.bump();
            ragged = Some(self.ident("the value that holds how many rows each group has")?);
        }
        let range = if self.eat("<=") {
            Some(Range::UpTo(self.expr()?))
        } else if self.eat("<") {
            Some(Range::Below(self.expr()?))
        } else if self.eat("~") {
            self.keyword(
                "normal",
                "write `~ normal(MEAN, DEVIATION)`, the distribution of generated data",
            )?;
            let open = self.span();
            self.sign("(")?;
            let mean = self.expr()?;
            self.sign(",")?;
            let deviation = self.expr()?;
            self.close(")", "the distribution", open)?;
            Some(Range::Normal(mean, deviation))
        } else {
            None
        };
        Ok(Item::Input(Input {
            name,
            dtype,
            shape,
            ragged,
            range,
        }))
    }

    fn condition(&mut self) -> Parsed<Condition> {
        let left = self.expr()?;
        let found = match self.kind() {
            Kind::Sign(s) => Compare::ALL.into_iter().find(|c| c.name() == *s),
            _ => None,
        };
        let Some(op) = found else {
            return Err(self.unexpected("a comparison: `<`, `<=`, `>`, `>=`, `==` or `!=`", None));
        };
        self.bump();
        let right = self.expr()?;
        Ok(Condition { left, op, right })
    }

    fn stmt(&mut self) -> Parsed<Stmt> {
        let expected = "`launch`, `tile`, `loop`, or `name = operation(...)`";
        let Kind::Ident(word) = self.kind().clone() else {
            return Err(self.unexpected(expected, None));
        };
        if matches!(
            self.tokens.get(self.at + 1).map(|t| &t.kind),
            Some(Kind::Sign("=" | ","))
        ) {
            let mut targets = vec![self.ident("a name")?];
            while self.eat(",") {
                targets.push(self.ident("the name of the next result")?);
            }
            self.sign("=")?;
            let value = self.expr()?;
            return Ok(Stmt::Let { targets, value });
        }
        match word.as_str() {
            "launch" => {
                self.bump();
                let kind = self.ident("a launch kind, `parallel` or `spmd`")?;
                if kind.name.parse::<LaunchKind>().is_err() {
                    return Err(ParseError::Launch {
                        found: kind.name,
                        span: kind.span.into(),
                    });
                }
                Ok(Stmt::Launch(kind))
            }
            "tile" => {
                self.bump();
                let name = self.ident("the tile's name")?;
                self.sign("=")?;
                let size = self.expr()?;
                self.keyword("over", "a tile cuts an axis: `tile T_TILE = 8 over T`")?;
                let axis = self.ident("the axis that the tile cuts")?;
                let per_block = matches!(self.kind(), Kind::Ident(word) if word == "per");
                if per_block {
                    self.bump();
                    self.keyword(
                        "block",
                        "a tile of the grid is written `over AXIS per block`",
                    )?;
                }
                Ok(Stmt::Tile {
                    name,
                    size,
                    axis,
                    per_block,
                })
            }
            "loop" => {
                let start = self.span();
                self.bump();
                let kind = self.ident("a loop kind, `range` or `pipeline(DEPTH)`")?;
                let depth = match kind.name.as_str() {
                    "range" => None,
                    "pipeline" => {
                        let open = self.span();
                        self.sign("(")?;
                        let depth = self.expr()?;
                        self.close(")", "the depth", open)?;
                        Some(depth)
                    }
                    _ => {
                        return Err(ParseError::LoopKind {
                            found: kind.name,
                            span: kind.span.into(),
                        });
                    }
                };
                Ok(Stmt::Loop {
                    span: start.to(kind.span),
                    depth,
                })
            }
            _ => {
                let help = super::nearest(&word, ["launch", "tile", "loop"])
                    .map(|near| format!("did you mean `{near}`?"));
                Err(self.unexpected(expected, help.as_deref()))
            }
        }
    }

    fn expr(&mut self) -> Parsed<Expr> {
        Ok(self.sum(0)?.0)
    }

    /// An expression, and its height, which bounds the recursion of all who walk it.
    fn sum(&mut self, depth: usize) -> Parsed<(Expr, usize)> {
        self.chain(depth, [("+", Infix::Add), ("-", Infix::Sub)], Self::product)
    }

    fn product(&mut self, depth: usize) -> Parsed<(Expr, usize)> {
        self.chain(depth, [("*", Infix::Mul), ("/", Infix::Div)], Self::factor)
    }

    fn chain(
        &mut self,
        depth: usize,
        signs: [(&'static str, Infix); 2],
        part: fn(&mut Self, usize) -> Parsed<(Expr, usize)>,
    ) -> Parsed<(Expr, usize)> {
        let (mut left, mut height) = part(self, depth)?;
        loop {
            let found = signs.iter().find(|(s, _)| self.kind() == &Kind::Sign(s));
            let Some((_, op)) = found else {
                return Ok((left, height));
            };
            self.bump();
            let (right, other) = part(self, depth)?;
            height = height.max(other) + 1;
            self.bounded(depth + height)?;
            let span = left.span.to(right.span);
            let kind = ExprKind::Infix {
                op: *op,
                left: Box::new(left),
                right: Box::new(right),
            };
            left = Expr { kind, span };
        }
    }

    fn factor(&mut self, depth: usize) -> Parsed<(Expr, usize)> {
        self.bounded(depth)?;
        let start = self.span();
        match self.kind().clone() {
            Kind::Sign("-") => {
                self.bump();
                let (inner, height) = self.factor(depth + 1)?;
                let span = start.to(inner.span);
                let kind = ExprKind::Negate(Box::new(inner));
                Ok((Expr { kind, span }, height + 1))
            }
            Kind::Sign("(") => {
                self.bump();
                let (inner, height) = self.sum(depth + 1)?;
                let end = self.close(")", "the parenthesis", start)?;
                let kind = ExprKind::Paren(Box::new(inner));
                let span = start.to(end);
                Ok((Expr { kind, span }, height + 1))
            }
            Kind::Number(text) => {
                self.bump();
                let kind = ExprKind::Number(text);
                Ok((Expr { kind, span: start }, 1))
            }
            Kind::Ident(name) => {
                self.bump();
                let name = Ident { name, span: start };
                if self.kind() == &Kind::Sign("(") {
                    return self.call(name, depth);
                }
                let kind = ExprKind::Name(name.name);
                Ok((Expr { kind, span: start }, 1))
            }
            _ => Err(self.unexpected("a number, a name, an operation or `(`", None)),
        }
    }

    fn call(&mut self, name: Ident, depth: usize) -> Parsed<(Expr, usize)> {
        let open = self.span();
        self.bump();
        let (mut args, mut attrs, mut height) = (vec![], vec![], 0);
        let end = loop {
            if self.kind() == &Kind::Sign(")") {
                break self.bump();
            }
            let next = self.tokens.get(self.at + 1).map(|t| &t.kind);
            if next == Some(&Kind::Sign("=")) {
                let key = self.ident("an attribute's name")?;
                self.sign("=")?;
                let (value, other) = self.sum(depth + 1)?;
                height = height.max(other);
                attrs.push((key, value));
            } else if attrs.is_empty() {
                let (arg, other) = self.sum(depth + 1)?;
                height = height.max(other);
                args.push(arg);
            } else {
                return Err(self.unexpected(
                    "an attribute, `name = value`",
                    Some("operands come first, attributes after them"),
                ));
            }
            if !self.eat(",") {
                break self.close(")", "the operand list", open)?;
            }
        };
        let span = name.span.to(end);
        let kind = ExprKind::Call { name, args, attrs };
        Ok((Expr { kind, span }, height + 1))
    }

    fn bounded(&self, depth: usize) -> Parsed<()> {
        if depth <= MAX_NESTING {
            return Ok(());
        }
        Err(ParseError::Nesting {
            limit: MAX_NESTING,
            span: self.span().into(),
        })
    }

    // Lines and blocks.

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
                        what: if what == "graph" {
                            "the graph"
                        } else {
                            "the kernel"
                        },
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

    // Tokens.

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
            Kind::Sign(sign) => format!("`{sign}`"),
            Kind::End => "the end of the file".into(),
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
