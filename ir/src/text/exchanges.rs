//! Calls of exchanges: the file's own, and those of the library.

use super::ast::*;
use super::lower::{Lowered, Lowering, Operand};
use super::{LowerError, constant, ops};
use crate::exchange::{self, Definition, ExchangeError, tree};
use crate::graph::{Call, Dim, MAX_DIM, Op, Type};
use indexmap::IndexMap;
use miette::Diagnostic;

/// The exchanges that a file declares, by name.
///
/// # Errors
///
/// A name that another one, or an operation, has.
pub(super) fn declared(file: &File) -> Lowered<IndexMap<String, Definition>> {
    let mut out = IndexMap::new();
    let mut first: IndexMap<&str, Span> = IndexMap::new();
    for d in file.exchanges() {
        let name = d.name.name.as_str();
        if let Some(first) = first.insert(name, d.name.span) {
            return Err(LowerError::DuplicateName {
                name: name.into(),
                span: d.name.span.into(),
                first: first.into(),
            });
        }
        if ops::find(name).is_some() {
            return Err(LowerError::Expression {
                problem: format!("`{name}` is an operation already"),
                span: d.name.span.into(),
                help: "give the exchange another name".into(),
            });
        }
        out.insert(name.into(), Definition::new(d.clone()));
    }
    Ok(out)
}

/// The exchange of a name: the file's, or the library's.
pub(super) fn find(declared: &IndexMap<String, Definition>, name: &str) -> Option<Definition> {
    declared.get(name).cloned().or_else(|| exchange::find(name))
}

/// A call as it is written.
pub(super) struct Written<'a> {
    pub args: &'a [Expr],
    pub attrs: &'a [(Ident, Expr)],
    pub span: Span,
}

impl Lowering<'_> {
    pub(super) fn exchange(
        &mut self,
        definition: &Definition,
        written: &Written,
        base: &str,
        targets: Option<&[Ident]>,
    ) -> Lowered<Operand> {
        let params = definition.declaration().params.iter();
        let names: Vec<&str> = params
            .filter_map(|p| match p {
                tree::Param::Operand(t) => Some(t.name.name.as_str()),
                tree::Param::Size { .. } => None,
            })
            .collect();
        let mut operands = vec![];
        for (i, arg) in written.args.iter().enumerate() {
            match self.expr(arg, base, None)? {
                Operand::Value(v) => operands.push(v),
                Operand::Constant => {
                    let what = names.get(i).copied().unwrap_or("operand");
                    return Err(self.problem(
                        arg.span,
                        format!(
                            "`{what}` of `{}` is a value, not a constant",
                            definition.name()
                        ),
                        "give an input or a result; sizes are attributes, `NAME = SIZE`",
                    ));
                }
            }
        }
        let mut attributes = IndexMap::new();
        for (key, value) in written.attrs {
            let size = constant::size(&self.scope, value, "attribute", 0..=MAX_DIM)?;
            let dim = match &value.kind {
                ExprKind::Name(axis) => Dim::named(size, axis),
                _ => Dim::new(size),
            };
            if attributes.insert(key.name.clone(), dim).is_some() {
                return Err(self.problem(
                    key.span,
                    format!("`{key}` is given twice"),
                    "give it once",
                ));
            }
        }
        let call = Call {
            definition: definition.clone(),
            attributes,
            ranks: self.builder.rank_count(),
        };
        let types: Vec<Type> = operands
            .iter()
            .map(|v| self.builder.ty(*v).clone())
            .collect();
        let own = self.exchanges.contains_key(definition.name());
        call.instantiate(&types)
            .map_err(|error| refused(error, own, written.span))?;
        let op = Op::Exchange(Box::new(call));
        self.node(op, &operands, written.span, base, targets)
    }
}

/// The refusal with its place in the file, if the exchange is declared there, and the call's.
fn refused(error: Box<ExchangeError>, own: bool, call: Span) -> LowerError {
    let statement = error.span().filter(|_| own);
    let help = error.help().map_or(String::new(), |h| h.to_string());
    LowerError::Exchange {
        statement: statement.map(Into::into),
        call: call.into(),
        help,
        error,
    }
}
