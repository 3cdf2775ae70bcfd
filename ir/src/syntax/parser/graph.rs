//! A file and its declarations.

use super::super::ast::*;
use super::super::lexer::Kind;
use super::{ParseError, Parsed, Parser, without_first_blank, without_last_blank};
use crate::dtype::DType;
use crate::schedule::LaunchKind;

/// The words that declarations of a graph begin with.
const WORDS: [&str; 6] = ["param", "ranks", "capacity", "input", "kernel", "output"];
/// The same, for messages.
const ITEMS: &str = "`param`, `ranks`, `capacity`, `input`, `kernel` or `output`";

impl Parser {
    pub(super) fn file(&mut self) -> Parsed<File> {
        let declared = self.declared()?;
        let mut graph = self.line(|p| {
            p.keyword("graph", "a file holds one graph: `graph NAME { ... }`")?;
            let name = p.ident("the graph's name")?;
            let body = p.block("the graph", Self::item)?;
            Ok(GraphDecl { name, body })
        })?;
        if declared.is_empty() {
            without_first_blank(&mut graph.leading);
        }
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
        Ok(File {
            declared,
            graph,
            closing,
        })
    }

    fn item(&mut self) -> Parsed<Item> {
        let Kind::Ident(word) = self.kind().clone() else {
            return Err(self.unexpected(ITEMS, None));
        };
        if let Some(role) = ParamRole::ALL.into_iter().find(|r| r.word() == word) {
            self.bump();
            let name = self.ident("the param's name")?;
            self.sign("=")?;
            let value = self.expr()?;
            return Ok(Item::Param(Param { name, value, role }));
        }
        match word.as_str() {
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
                let body = self.block("the kernel", Self::stmt)?;
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
                    _ => super::super::nearest(&word, WORDS).map_or_else(
                        || "a graph holds params, inputs, kernels and outputs".to_string(),
                        |near| format!("did you mean `{near}`?"),
                    ),
                };
                Err(self.unexpected(ITEMS, Some(&help)))
            }
        }
    }

    fn wanted(&mut self) -> Parsed<Wanted> {
        let name = self.ident("the name of a result")?;
        let mut carried = None;
        if self.eat("->") {
            carried = Some(self.ident("the input that it becomes in the next run")?);
        }
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
        Ok(Wanted {
            name,
            carried,
            within,
        })
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
        let low = match self.eat(">=") {
            true => Some(self.expr()?),
            false => None,
        };
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
        let bounded = matches!(range, Some(Range::UpTo(_) | Range::Below(_)));
        let spread = match bounded && self.eat("~") {
            true => Some(Box::new(self.binomial()?)),
            false => None,
        };
        Ok(Item::Input(Input {
            name,
            dtype,
            shape,
            ragged,
            low,
            range,
            spread,
        }))
    }

    /// The comparison that the next token is.
    pub(super) fn compare(&self) -> Option<Compare> {
        match self.kind() {
            Kind::Sign(s) => Compare::ALL.into_iter().find(|c| c.name() == *s),
            _ => None,
        }
    }

    pub(super) fn condition(&mut self) -> Parsed<Condition> {
        let left = self.expr()?;
        let Some(op) = self.compare() else {
            return Err(self.unexpected("a comparison: `<`, `<=`, `>`, `>=`, `==` or `!=`", None));
        };
        self.bump();
        let right = self.expr()?;
        Ok(Condition { left, op, right })
    }

    /// `a, b = EXPR`
    pub(super) fn assignment(&mut self) -> Parsed<(Vec<Ident>, Expr)> {
        let mut targets = vec![self.ident("a name")?];
        while self.eat(",") {
            targets.push(self.ident("the name of the next result")?);
        }
        self.sign("=")?;
        Ok((targets, self.expr()?))
    }

    /// `PART PARAM(VALUES) ...`, without the part where it is the kernel itself.
    fn hold(&mut self) -> Parsed<Stmt> {
        let held = "a parameter and its value: `hold grid(16, 8, 1) stores(4, 2)`";
        let called = |p: &Self| p.second() == Some(&Kind::Sign("("));
        let part = match called(self) {
            true => None,
            false => Some(self.ident(held)?),
        };
        let mut params = vec![];
        while called(self) {
            let param = self.ident(held)?;
            let open = self.span();
            self.sign("(")?;
            let mut values = vec![];
            while !self.eat(")") {
                values.push(self.expr()?);
                if !self.eat(",") {
                    self.close(")", "the value", open)?;
                    break;
                }
            }
            params.push(Held { param, values });
        }
        match params.is_empty() {
            true => Err(self.unexpected(held, None)),
            false => Ok(Stmt::Hold { part, params }),
        }
    }

    fn stmt(&mut self) -> Parsed<Stmt> {
        let expected = "`launch`, `tile`, `loop`, `hold`, or `name = operation(...)`";
        let Kind::Ident(word) = self.kind().clone() else {
            return Err(self.unexpected(expected, None));
        };
        if matches!(
            self.tokens.get(self.at + 1).map(|t| &t.kind),
            Some(Kind::Sign("=" | ","))
        ) {
            let (targets, value) = self.assignment()?;
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
            "hold" => {
                self.bump();
                self.hold()
            }
            _ => {
                let help = super::super::nearest(&word, ["launch", "tile", "loop", "hold"])
                    .map(|near| format!("did you mean `{near}`?"));
                Err(self.unexpected(expected, help.as_deref()))
            }
        }
    }
}
