//! Definitions: operations that are written in the text form, as lines of other operations.
//!
//! A definition says what it takes and gives, and computes it in lines like those of a kernel. Its sizes come from the operands of
//! a call, so that all numbers in it are known when it is expanded: loops and conditions are gone then, and what is left is a list of
//! primitives ([`Body`]). The library `composites.tw` holds those that every file can use; a file can hold more.

mod bind;
mod check;
mod expand;
mod json;

pub use expand::{Body, Step};
pub use json::RawComposite;

use super::attr::{AttrKind, AttrSpec, AttrValue};
use super::expr::ExprError;
use super::expr::constant::{self, Scope};
use super::row::{Form, Row};
use super::{Composite, Op, OpError, Type, find_row, rows};
use crate::syntax::ast::{self, Line, Quantity, Trivia};
use crate::syntax::{self, print_definition, print_signature};
use bind::Bound;
use std::sync::{Arc, LazyLock};

/// An operation that is written in the text form.
#[derive(Debug)]
pub struct Definition {
    line: Line<ast::Definition>,
    /// Its canonical text.
    text: String,
    /// The definitions that it calls.
    uses: Vec<Arc<Definition>>,
    library: bool,
}

impl PartialEq for Definition {
    /// Definitions are equal when they say the same; comments count.
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other) || self.text == other.text && self.uses == other.uses
    }
}

impl Definition {
    /// The definition of a syntax tree, which may call `operations`.
    ///
    /// # Errors
    ///
    /// The first thing in it that cannot be right whatever the operands: a name, a call, a size that no operand has.
    pub fn new(
        line: &Line<ast::Definition>,
        operations: &Operations,
    ) -> Result<Arc<Definition>, ExprError> {
        let uses = check::definition(&line.kind, operations)?;
        Ok(Arc::new(Definition {
            text: print_definition(line),
            line: line.clone(),
            uses,
            library: !operations.library,
        }))
    }

    pub fn name(&self) -> &str {
        &self.tree().name.name
    }

    /// Whether it is one that every file can use.
    pub fn is_library(&self) -> bool {
        self.library
    }

    /// The syntax tree with the comments before it.
    pub fn line(&self) -> &Line<ast::Definition> {
        &self.line
    }

    /// The definitions that it calls.
    pub fn uses(&self) -> &[Arc<Definition>] {
        &self.uses
    }

    fn tree(&self) -> &ast::Definition {
        &self.line.kind
    }

    /// What its author says of it, in a sentence or more.
    pub fn doc(&self) -> String {
        let said = self.comments().filter(|c| !c.starts_with("   "));
        let said: Vec<&str> = said.map(str::trim).collect();
        said.join(" ").trim().to_string()
    }

    /// Inputs, one a line, and then the lines of a kernel that uses it: what is indented in the comments before it.
    pub fn example(&self) -> String {
        let lines = self.comments().filter(|c| c.starts_with("   "));
        let lines: Vec<&str> = lines.map(str::trim).collect();
        lines.join("\n")
    }

    fn comments(&self) -> impl Iterator<Item = &str> {
        // Of the comments before it, those that nothing separates from it.
        let leading = &self.line.leading;
        let start = leading.iter().rposition(|t| *t == Trivia::Blank);
        let own = &leading[start.map_or(0, |i| i + 1)..];
        own.iter().filter_map(|t| match t {
            Trivia::Comment(text) => Some(text.as_str()),
            Trivia::Blank => None,
        })
    }

    /// Its operands and results with their types.
    pub fn signature(&self) -> String {
        print_signature(self.tree())
    }

    /// Its canonical text, with the comments before it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What each operand is called.
    pub fn operands(&self) -> Vec<&str> {
        let operands = self.tree().operands.iter();
        operands.map(|o| o.name.name.as_str()).collect()
    }

    /// What attributes it takes.
    pub fn attributes(&self) -> Vec<AttrSpec<'_>> {
        let attributes = self.tree().attributes.iter();
        let spec = attributes.map(|a| AttrSpec {
            name: &a.name.name,
            kind: match a.kind {
                Quantity::Size => AttrKind::Size,
                Quantity::Number => AttrKind::Float,
            },
            default: None,
        });
        spec.collect()
    }

    /// How many results it gives.
    pub fn results(&self) -> usize {
        self.tree().results.len()
    }

    fn error(&self, place: &str, problem: impl ToString) -> OpError {
        OpError::Definition {
            op: self.name().into(),
            place: place.into(),
            problem: problem.to_string(),
        }
    }
}

/// A definition with the values of its attributes.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    definition: Arc<Definition>,
    attributes: Vec<AttrValue>,
}

impl Call {
    /// The call; `None` for attributes of the wrong number or kind.
    pub fn new(definition: Arc<Definition>, attributes: &[AttrValue]) -> Option<Call> {
        let specs = definition.attributes();
        let kinds = specs.iter().map(|s| s.kind);
        let fits = kinds.eq(attributes.iter().map(AttrValue::kind));
        fits.then(|| Call {
            definition: Arc::clone(&definition),
            attributes: attributes.into(),
        })
    }

    pub fn definition(&self) -> &Arc<Definition> {
        &self.definition
    }

    /// The values of the attributes, in the definition's order.
    pub fn attributes(&self) -> &[AttrValue] {
        &self.attributes
    }

    /// A number by its name.
    pub fn number(&self, attribute: &str) -> Option<AttrValue> {
        let attributes = self.definition.attributes();
        let place = attributes.iter().position(|a| a.name == attribute)?;
        self.attributes.get(place).copied()
    }

    /// The types of its results.
    ///
    /// # Errors
    ///
    /// Operands or attributes that it does not take, or lines that do not work for these.
    pub fn infer(&self, operands: &[Type]) -> Result<Vec<Type>, OpError> {
        let bound = self.bind(operands)?;
        let body = expand::expand(self, &bound, operands)?;
        bind::results(&self.definition, &bound, operands, &body)
    }

    /// The primitives that it stands for, for operands of some types.
    ///
    /// # Errors
    ///
    /// As [`Call::infer`].
    pub fn expand(&self, operands: &[Type]) -> Result<Body, OpError> {
        let bound = self.bind(operands)?;
        let body = expand::expand(self, &bound, operands)?;
        bind::results(&self.definition, &bound, operands, &body)?;
        Ok(body)
    }

    fn bind(&self, operands: &[Type]) -> Result<Bound, OpError> {
        let definition = self.definition.tree();
        if operands.len() != definition.operands.len() {
            return Err(OpError::OperandCount {
                op: self.definition.name().into(),
                expected: definition.operands.len(),
                found: operands.len(),
            });
        }
        bind::operands(&self.definition, self.scope()?, operands)
    }

    /// The attributes as numbers, within their bounds.
    fn scope(&self) -> Result<Scope, OpError> {
        let mut scope = Scope::new();
        for (spec, value) in self
            .definition
            .tree()
            .attributes
            .iter()
            .zip(&self.attributes)
        {
            let number = match *value {
                AttrValue::Size(n) => constant::Number::Int(i64::try_from(n).unwrap_or(i64::MAX)),
                AttrValue::Float(value) => constant::Number::Float(f64::from(value)),
                AttrValue::DType(_) | AttrValue::Round(_) | AttrValue::Notify(_) => continue,
            };
            let inside = |(compare, bound): &(ast::Compare, ast::Expr)| {
                let bound = constant::number(&scope, bound).map(constant::Number::float);
                bound.is_ok_and(|b| compare.holds(number.float(), b))
            };
            if !number.float().is_finite() || !spec.bounds.iter().all(inside) {
                let bounds = spec.bounds.iter();
                let bounds: Vec<String> = bounds
                    .map(|(c, e)| format!("{} {}", c.name(), syntax::print_expr(e)))
                    .collect();
                return Err(OpError::Attribute {
                    op: self.definition.name().into(),
                    attribute: spec.name.name.clone(),
                    value: value.to_string(),
                    remedy: match bounds.is_empty() {
                        true => "give a finite number".into(),
                        false => format!("give a number {}", bounds.join(" and ")),
                    },
                });
            }
            scope.insert(spec.name.name.clone(), number);
        }
        Ok(scope)
    }
}

/// An operation that can be called: a row of the table, or a definition.
#[derive(Debug, Clone)]
pub enum Callee {
    Row(&'static Row),
    Defined(Arc<Definition>),
}

impl Callee {
    pub fn name(&self) -> &str {
        match self {
            Callee::Row(row) => row.name,
            Callee::Defined(definition) => definition.name(),
        }
    }

    /// What each operand is called.
    pub fn operands(&self) -> Vec<&str> {
        match self {
            Callee::Row(row) => row.operands.to_vec(),
            Callee::Defined(definition) => definition.operands(),
        }
    }

    pub fn attributes(&self) -> Vec<AttrSpec<'_>> {
        match self {
            Callee::Row(row) => row.attrs.to_vec(),
            Callee::Defined(definition) => definition.attributes(),
        }
    }

    pub fn results(&self) -> usize {
        match self {
            Callee::Row(row) => row.results,
            Callee::Defined(definition) => definition.results(),
        }
    }

    /// How a call becomes an operation of the table.
    pub fn form(&self) -> Option<Form> {
        match self {
            Callee::Row(row) => Some(row.form),
            Callee::Defined(_) => None,
        }
    }

    /// Shapes and meaning, in a line.
    pub fn doc(&self) -> String {
        match self {
            Callee::Row(row) => row.doc.into(),
            Callee::Defined(definition) => {
                let types = |all: &[ast::Typed]| -> String {
                    let types: Vec<String> = all.iter().map(syntax::print_types).collect();
                    types.join(", ")
                };
                let tree = definition.tree();
                let (takes, gives) = (types(&tree.operands), types(&tree.results));
                format!("{takes} -> {gives}: {}", definition.doc())
            }
        }
    }

    pub fn example(&self) -> String {
        match self {
            Callee::Row(row) => row.example.into(),
            Callee::Defined(definition) => definition.example(),
        }
    }

    /// How it is called: `top_k(x, k = SIZE)`.
    pub fn call(&self) -> String {
        let operands = self.operands().into_iter().map(String::from);
        let attributes = self.attributes();
        let attributes = attributes.iter().map(|attr| {
            let value = attr.kind.placeholder();
            match attr.default {
                None => format!("{} = {value}", attr.name),
                Some(_) => format!("[{} = {value}]", attr.name),
            }
        });
        let parts: Vec<String> = operands.chain(attributes).collect();
        format!("{}({})", self.name(), parts.join(", "))
    }

    /// How it is called, with its meaning: `top_k(x, k = SIZE): ...`.
    pub fn usage(&self) -> String {
        format!("{}: {}", self.call(), self.doc())
    }

    /// The operation that a call with these attributes stands for; `None` where that depends on the operands, or for attributes that
    /// are not its.
    pub fn build(&self, attributes: &[AttrValue]) -> Option<Op> {
        match self {
            Callee::Row(row) => row.build(attributes),
            Callee::Defined(definition) => {
                let call = Call::new(Arc::clone(definition), attributes)?;
                Some(Op::Composite(Composite::Defined(call)))
            }
        }
    }
}

/// The operations that can be called at a place: the table's, the library's, and what a file has defined above.
#[derive(Debug, Clone)]
pub struct Operations {
    defined: Vec<Arc<Definition>>,
    /// Whether the library's are among them.
    library: bool,
}

impl Default for Operations {
    fn default() -> Self {
        Operations {
            defined: vec![],
            library: true,
        }
    }
}

impl Operations {
    /// Adds a definition.
    pub fn define(&mut self, definition: Arc<Definition>) {
        self.defined.push(definition);
    }

    pub fn find(&self, name: &str) -> Option<Callee> {
        if let Some(row) = find_row(name) {
            return Some(Callee::Row(row));
        }
        let library = if self.library { library() } else { &[] };
        let mut definitions = self.defined.iter().chain(library);
        let found = definitions.find(|d| d.name() == name);
        found.map(|d| Callee::Defined(Arc::clone(d)))
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        let library = if self.library { library() } else { &[] };
        let defined = library.iter().chain(&self.defined).map(|d| d.name());
        rows().iter().map(|r| r.name).chain(defined)
    }
}

/// The definitions that every file can use.
pub fn library() -> &'static [Arc<Definition>] {
    static LIBRARY: LazyLock<Vec<Arc<Definition>>> = LazyLock::new(|| {
        let mut operations = Operations {
            defined: vec![],
            library: false,
        };
        let source = include_str!("../composites.tw");
        let lines = syntax::parse_library(source);
        for line in lines.unwrap_or_else(|e| panic!("the library does not parse: {e}")) {
            let definition = Definition::new(&line, &operations);
            let definition =
                definition.unwrap_or_else(|e| panic!("`{}` of the library: {e}", line.kind.name));
            operations.define(definition);
        }
        operations.defined
    });
    &LIBRARY
}
