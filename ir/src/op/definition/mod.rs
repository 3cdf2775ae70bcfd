//! Definitions: operations that are written in the text form, as lines of other operations.
//!
//! A definition says what it takes and gives, and computes it in lines like those of a kernel. Its sizes come from the operands of
//! a call, so that all numbers in it are known when it is expanded: loops and conditions are gone then, and what is left is a list of
//! primitives ([`Body`]). The library `composites.tw` holds those that every file can use; a file can hold more.

mod check;
mod expand;
mod json;

pub use expand::{Body, Step};
pub use json::RawCall;

use super::attr::{AttrSpec, AttrValue};
use super::exchange::{self, Exchange, ExchangeCall};
use super::expr::ExprError;
use super::expr::calls::DTYPE;
use super::expr::constant::LOWEST;
use super::row::{Form, Row};
use super::{Op, OpError, Operator, Type, find_row, rows, signature};
use crate::syntax::ast::{self, Declared, Line, Signature};
use crate::syntax::{self, print_declared, print_signature};
use std::sync::{Arc, LazyLock};

/// An operation that is written in the text form.
#[derive(Debug)]
pub struct Definition {
    line: Line<Declared>,
    tree: ast::Definition,
    /// Its canonical text.
    text: String,
    /// The definitions and exchanges that it calls.
    uses: Vec<Callee>,
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
        line: &Line<Declared>,
        tree: &ast::Definition,
        operations: &Operations,
    ) -> Result<Arc<Definition>, ExprError> {
        let uses = check::definition(tree, operations)?;
        Ok(Arc::new(Definition {
            text: print_declared(line),
            line: line.clone(),
            tree: tree.clone(),
            uses,
            library: !operations.library,
        }))
    }

    /// The name that calls have.
    pub fn name(&self) -> &str {
        &self.head().name.name
    }

    /// Whether it is one that every file can use.
    pub fn is_library(&self) -> bool {
        self.library
    }

    /// The syntax tree with the comments before it.
    pub fn line(&self) -> &Line<Declared> {
        &self.line
    }

    /// The definitions and exchanges that it calls.
    pub fn uses(&self) -> &[Callee] {
        &self.uses
    }

    /// Whether an exchange is among what it calls.
    pub fn exchanges(&self) -> bool {
        self.uses.iter().any(Callee::exchanges)
    }

    fn head(&self) -> &Signature {
        &self.tree.signature
    }

    /// What its author says of it, in a sentence or more.
    pub fn doc(&self) -> String {
        signature::doc(&self.line)
    }

    /// Inputs, one a line, and then the lines of a kernel that uses it: what is indented in the comments before it.
    pub fn example(&self) -> String {
        signature::example(&self.line)
    }

    /// Its operands and results with their types.
    pub fn signature(&self) -> String {
        print_signature(self.head())
    }

    /// Its canonical text, with the comments before it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What each operand is called.
    pub fn operands(&self) -> Vec<&str> {
        let operands = self.head().operands.iter();
        operands.map(|o| o.name.name.as_str()).collect()
    }

    /// What attributes it takes.
    pub fn attributes(&self) -> Vec<AttrSpec<'_>> {
        signature::specs(self.head())
    }

    /// How many results it gives.
    pub fn results(&self) -> usize {
        self.head().results.len()
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

    /// The definition that is called.
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

    /// The types of its results, in a graph of so many ranks.
    ///
    /// # Errors
    ///
    /// Operands or attributes that it does not take, or lines that do not work for these.
    pub fn infer(&self, operands: &[Type], ranks: usize) -> Result<Vec<Type>, OpError> {
        Ok(self.expanded(operands, ranks)?.1)
    }

    /// The primitives and exchanges that it stands for, for operands of some types.
    ///
    /// # Errors
    ///
    /// As [`Call::infer`].
    pub fn expand(&self, operands: &[Type], ranks: usize) -> Result<Body, OpError> {
        Ok(self.expanded(operands, ranks)?.0)
    }

    fn expanded(&self, operands: &[Type], ranks: usize) -> Result<(Body, Vec<Type>), OpError> {
        let head = self.definition.head();
        let scope = signature::attributes(head, &self.attributes)?;
        let bound = signature::operands(head, scope, operands)?;
        let body = expand::expand(self, &bound, operands, ranks)?;
        let types = self.results(&bound, operands, &body)?;
        Ok((body, types))
    }

    /// The types of the results: as declared, with the names of the operands' dimensions, and the rows that the lines give.
    fn results(
        &self,
        bound: &signature::Bound,
        operands: &[Type],
        body: &Body,
    ) -> Result<Vec<Type>, OpError> {
        let head = self.definition.head();
        let declared = head.results.iter().zip(&body.results);
        declared
            .map(|(result, value)| {
                let ty = &result.types[0];
                let found = &body.types[*value];
                let dtype = match &ty.element {
                    ast::ElementExpr::Float(_) | ast::ElementExpr::Any(_) => Some(found.dtype),
                    element => signature::element(head, operands, element),
                };
                match (dtype, bound.shape(&ty.shape)) {
                    (Some(dtype), Some(shape)) if dtype == found.dtype && shape == found.shape => {
                        Ok(Type::new(dtype, shape).with_ragged(found.ragged.clone()))
                    }
                    _ => {
                        let declared = syntax::print_types(result);
                        let problem =
                            format!("it is declared {declared}, and the lines give {found}");
                        Err(self.definition.error(&result.name.name, problem))
                    }
                }
            })
            .collect()
    }
}

/// An operation that can be called: a row of the table, a definition, or an exchange.
#[derive(Debug, Clone)]
pub enum Callee {
    Row(&'static Row),
    Defined(Arc<Definition>),
    Exchange(Arc<Exchange>),
}

impl PartialEq for Callee {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Callee::Row(a), Callee::Row(b)) => a.name == b.name,
            (Callee::Defined(a), Callee::Defined(b)) => a == b,
            (Callee::Exchange(a), Callee::Exchange(b)) => a == b,
            _ => false,
        }
    }
}

impl Callee {
    /// The name that calls have.
    pub fn name(&self) -> &str {
        match self {
            Callee::Row(row) => row.name,
            Callee::Defined(definition) => definition.name(),
            Callee::Exchange(exchange) => exchange.name(),
        }
    }

    /// Whether its floats fill what no data is in, and so may be infinite.
    pub fn fills(&self) -> bool {
        let Callee::Row(row) = self else { return false };
        matches!(row.form, Form::Primitive(Operator::PadCols))
    }

    /// Whether ranks bring data to one another in it.
    pub fn exchanges(&self) -> bool {
        match self {
            Callee::Row(_) => false,
            Callee::Defined(definition) => definition.exchanges(),
            Callee::Exchange(_) => true,
        }
    }

    /// What each operand is called.
    pub fn operands(&self) -> Vec<&str> {
        match self {
            Callee::Row(row) => row.operands.to_vec(),
            Callee::Defined(definition) => definition.operands(),
            Callee::Exchange(exchange) => exchange.operands(),
        }
    }

    /// The attributes that a call may give.
    pub fn attributes(&self) -> Vec<AttrSpec<'_>> {
        match self {
            Callee::Row(row) => row.attrs.to_vec(),
            Callee::Defined(definition) => definition.attributes(),
            Callee::Exchange(exchange) => exchange.attributes(),
        }
    }

    /// How many results a call has.
    pub fn results(&self) -> usize {
        match self {
            Callee::Row(row) => row.results,
            Callee::Defined(definition) => definition.results(),
            Callee::Exchange(exchange) => exchange.results(),
        }
    }

    /// How a call becomes an operation of the table.
    pub fn form(&self) -> Option<Form> {
        match self {
            Callee::Row(row) => Some(row.form),
            Callee::Defined(_) | Callee::Exchange(_) => None,
        }
    }

    /// Shapes and meaning, in a line.
    pub fn doc(&self) -> String {
        match self {
            Callee::Row(row) => row.doc.into(),
            Callee::Defined(definition) => described(definition.head(), &definition.doc()),
            Callee::Exchange(exchange) => described(exchange.head(), &exchange.doc()),
        }
    }

    /// A graph in which it is called, as text.
    pub fn example(&self) -> String {
        match self {
            Callee::Row(row) => row.example.into(),
            Callee::Defined(definition) => definition.example(),
            Callee::Exchange(exchange) => exchange.example(),
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
                Some(Op::Composite(call))
            }
            Callee::Exchange(exchange) => {
                let call = ExchangeCall::new(Arc::clone(exchange), attributes)?;
                Some(Op::Exchange(call))
            }
        }
    }

    /// The declaration with the comments before it; a row of the table has none.
    pub fn line(&self) -> Option<&Line<Declared>> {
        match self {
            Callee::Row(_) => None,
            Callee::Defined(definition) => Some(definition.line()),
            Callee::Exchange(exchange) => Some(exchange.line()),
        }
    }

    /// Its canonical text; a row of the table has none.
    pub fn text(&self) -> Option<&str> {
        match self {
            Callee::Row(_) => None,
            Callee::Defined(definition) => Some(definition.text()),
            Callee::Exchange(exchange) => Some(exchange.text()),
        }
    }

    /// Whether every file has it without declaring it.
    pub fn is_library(&self) -> bool {
        match self {
            Callee::Row(_) => true,
            Callee::Defined(definition) => definition.is_library(),
            Callee::Exchange(exchange) => exchange.is_library(),
        }
    }

    /// The declarations that it calls.
    pub fn uses(&self) -> &[Callee] {
        match self {
            Callee::Defined(definition) => definition.uses(),
            Callee::Row(_) | Callee::Exchange(_) => &[],
        }
    }
}

/// What it takes and gives, and what that means.
fn described(signature: &Signature, doc: &str) -> String {
    let types = |all: &[ast::Typed]| -> String {
        let types: Vec<String> = all.iter().map(syntax::print_types).collect();
        types.join(", ")
    };
    let (takes, gives) = (types(&signature.operands), types(&signature.results));
    format!("{takes} -> {gives}: {doc}")
}

/// The operations that can be called at a place: the table's, the library's, and what a file has defined above.
#[derive(Debug, Clone)]
pub struct Operations {
    declared: Vec<Callee>,
    /// Whether the library's definitions are among them.
    library: bool,
}

impl Default for Operations {
    fn default() -> Self {
        Operations {
            declared: vec![],
            library: true,
        }
    }
}

impl Operations {
    /// Adds a declaration, which may call what was declared before it.
    ///
    /// # Errors
    ///
    /// A name that is taken, and the first thing in a definition that cannot be right whatever the operands.
    pub fn declare(&mut self, line: &Line<Declared>) -> Result<(), ExprError> {
        let name = &line.kind.signature().name;
        if self.find(&name.name).is_some() || [DTYPE, LOWEST].contains(&name.name.as_str()) {
            return Err(ExprError::Expression {
                problem: format!("there is an operation `{name}` already"),
                span: name.span.into(),
                help: "give this one another name".into(),
            });
        }
        let callee = match &line.kind {
            Declared::Definition(tree) => Callee::Defined(Definition::new(line, tree, self)?),
            Declared::Exchange(tree) => Callee::Exchange(Arc::new(Exchange::new(line, tree))),
        };
        self.declared.push(callee);
        Ok(())
    }

    /// Adds what was declared elsewhere.
    pub fn add(&mut self, callee: Callee) {
        self.declared.push(callee);
    }

    /// What files declare, without the library's.
    pub fn has_library(&self) -> bool {
        self.library
    }

    /// What is called by this name: a definition or an exchange.
    pub fn find(&self, name: &str) -> Option<Callee> {
        if let Some(row) = find_row(name) {
            return Some(Callee::Row(row));
        }
        if let Some(found) = self.declared.iter().find(|c| c.name() == name) {
            return Some(found.clone());
        }
        let library = if self.library { library() } else { &[] };
        let defined = library.iter().find(|d| d.name() == name);
        let defined = defined.map(|d| Callee::Defined(Arc::clone(d)));
        defined.or_else(|| exchange::find(name).map(Callee::Exchange))
    }

    /// The names of all that can be called.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let library = if self.library { library() } else { &[] };
        let defined = library.iter().map(|d| d.name());
        let exchanges = exchange::library().iter().map(|e| e.name());
        let declared = self.declared.iter().map(Callee::name);
        let rows = rows().iter().map(|r| r.name);
        rows.chain(defined).chain(exchanges).chain(declared)
    }
}

/// The definitions that every file can use.
pub fn library() -> &'static [Arc<Definition>] {
    static LIBRARY: LazyLock<Vec<Arc<Definition>>> = LazyLock::new(|| {
        let mut operations = Operations {
            declared: vec![],
            library: false,
        };
        let source = include_str!("../composites.tw");
        let lines = syntax::parse_library(source);
        for line in lines.unwrap_or_else(|e| panic!("the library does not parse: {e}")) {
            let declared = operations.declare(&line);
            let name = &line.kind.signature().name;
            declared.unwrap_or_else(|e| panic!("`{name}` of the library: {e}"));
        }
        let defined = operations.declared.into_iter().filter_map(|c| match c {
            Callee::Defined(definition) => Some(definition),
            Callee::Row(_) | Callee::Exchange(_) => None,
        });
        defined.collect()
    });
    &LIBRARY
}
