//! Elaboration: a syntax tree and settings to a verified graph.
//!
//! Params come first, then inputs and kernels from top to bottom, a line at a time; a line reads only what stands above it.
//! Kernels whose condition does not hold are left out, but their calls are still checked against the table of operations.

use super::LowerError;
use super::schedule::{holds as held, schedule, tile_axes};
use crate::dtype::DType;
use crate::graph::{
    Accuracy, Block, Builder, Dim, Graph, GraphError, InputSpec, Ragged, Type, Value,
};
use crate::op::expr::calls::check_calls;
use crate::op::expr::constant::{self, LOWEST, Number, Scope};
use crate::op::expr::{self, Context, ExprError, Operand, Place};
use crate::op::{MAX_DIM, Op, Operations};
use crate::syntax::ast::*;
use crate::syntax::{element_types, print_expr, suggest};
use indexmap::IndexMap;
use miette::Diagnostic;

type Lowered<T> = Result<T, LowerError>;

/// The graph that a file stands for, with some params set to other values than the file's.
///
/// # Errors
///
/// The first problem, with its place: an unknown setting, a name, a size, a shape, a schedule.
pub fn elaborate(file: &File, settings: &IndexMap<String, i64>) -> Result<Graph, LowerError> {
    let mut operations = Operations::default();
    for line in &file.declared {
        operations.declare(line)?;
    }
    for kernel in file.kernels() {
        for line in &kernel.body.lines {
            if let Stmt::Let { value, .. } = &line.kind {
                check_calls(&operations, value)?;
            }
        }
    }
    let scope = params(file, settings)?;
    let mut lowering = Lowering {
        builder: Builder::new(file.graph.kind.name.name.clone()),
        active: file
            .kernels()
            .map(|k| holds(&scope, k))
            .collect::<Lowered<_>>()?,
        scope,
        operations,
        defined: IndexMap::new(),
        file,
    };
    lowering.declare()?;
    lowering.body()?;
    lowering.outputs()?;
    let span = file.graph.kind.name.span;
    lowering.builder.finish().map_err(|e| types(e, span))
}

/// The params with their values: the file's, or the settings'.
pub(super) fn params(file: &File, settings: &IndexMap<String, i64>) -> Lowered<Scope> {
    let names: Vec<&str> = file.params().map(|p| p.name.name.as_str()).collect();
    for name in settings.keys() {
        if !names.contains(&name.as_str()) {
            return Err(LowerError::UnknownSetting {
                name: name.clone(),
                help: suggest(
                    name,
                    names.iter().copied(),
                    &format!("the params are: {}", names.join(", ")),
                ),
            });
        }
    }
    let mut scope = Scope::new();
    for param in file.params() {
        let written = constant::number(&scope, &param.value);
        let value = match (settings.get(&param.name.name), written) {
            (Some(set), Ok(Number::Float(_))) => Number::Float(*set as f64),
            (Some(set), _) => Number::Int(*set),
            (None, written) => written?,
        };
        scope.insert(param.name.name.clone(), value);
    }
    Ok(scope)
}

pub(super) fn holds(scope: &Scope, kernel: &Kernel) -> Lowered<bool> {
    match &kernel.when {
        None => Ok(true),
        Some(c) => {
            let left = constant::integer(scope, &c.left)?;
            let right = constant::integer(scope, &c.right)?;
            Ok(c.op.holds(left, right))
        }
    }
}

fn types(error: GraphError, span: Span) -> LowerError {
    LowerError::Types {
        error: Box::new(error),
        span: span.into(),
    }
}

struct Lowering<'a> {
    file: &'a File,
    builder: Builder,
    scope: Scope,
    operations: Operations,
    /// Whether each kernel is in, in order.
    active: Vec<bool>,
    /// Where each name was defined, as far as elaboration came.
    defined: IndexMap<String, Span>,
}

impl Lowering<'_> {
    /// Params become the graph's; names that come later are kept from derived ones.
    fn declare(&mut self) -> Lowered<()> {
        for param in self.file.params() {
            self.define(&param.name)?;
            if let Some(Number::Int(value)) = self.scope.get(&param.name.name) {
                let name = &param.name.name;
                let declared = match param.role {
                    ParamRole::Ranks => self.builder.ranks(name, *value),
                    ParamRole::Capacity => self.builder.capacity(name, *value),
                    ParamRole::Plain => self.builder.param(name, *value),
                };
                declared.map_err(|e| types(e, param.name.span))?;
            }
            // A float has no place among the graph's sizes, but its name is taken all the same.
            self.builder.reserve(&param.name.name);
        }
        for input in self.file.inputs() {
            self.builder.reserve(&input.name.name);
        }
        for kernel in self.file.kernels() {
            for target in targets(kernel) {
                self.builder.reserve(&target.name);
            }
        }
        Ok(())
    }

    fn define(&mut self, name: &Ident) -> Lowered<()> {
        match self.defined.insert(name.name.clone(), name.span) {
            None => Ok(()),
            Some(first) => Err(LowerError::DuplicateName {
                name: name.name.clone(),
                span: name.span.into(),
                first: first.into(),
            }),
        }
    }

    fn body(&mut self) -> Lowered<()> {
        let file = self.file;
        let mut kernels = 0;
        let mut names: IndexMap<&str, Span> = IndexMap::new();
        for item in file.items() {
            match item {
                Item::Param(_) | Item::Output(_) => {}
                Item::Input(input) => self.input(input)?,
                Item::Kernel(kernel) => {
                    kernels += 1;
                    if !self.active[kernels - 1] {
                        continue;
                    }
                    if let Some(first) = names.insert(&kernel.name.name, kernel.name.span) {
                        return Err(LowerError::DuplicateName {
                            name: kernel.name.name.clone(),
                            span: kernel.name.span.into(),
                            first: first.into(),
                        });
                    }
                    self.kernel(kernel)?;
                }
            }
        }
        Ok(())
    }

    fn input(&mut self, input: &Input) -> Lowered<()> {
        self.define(&input.name)?;
        let Ok(dtype) = input.dtype.name.parse::<DType>() else {
            return Err(self.problem(
                input.dtype.span,
                format!("`{}` is not an element type", input.dtype),
                &element_types(&input.dtype.name),
            ));
        };
        let mut shape = vec![];
        for expr in &input.shape {
            let size = constant::size(&self.scope, expr, "size", 1..=MAX_DIM)?;
            shape.push(match &expr.kind {
                ExprKind::Name(axis) => Dim::named(size, axis),
                _ => Dim {
                    block: self.block(expr)?.filter(|b| size.is_multiple_of(b.size)),
                    ..Dim::new(size)
                },
            });
        }
        let ragged = match &input.ragged {
            None => None,
            Some(counts) => match self.name(&counts.name, counts.span)? {
                Operand::Value(v) => Some(Ragged {
                    groups: self.builder.ty(v).matrix().0,
                    counts: counts.name.clone(),
                }),
                Operand::Constant => {
                    return Err(self.problem(
                        counts.span,
                        format!("`{counts}` is a number, not counts"),
                        "name an i32 [groups, 1] input that stands above: one count a group",
                    ));
                }
            },
        };
        let mut spec = InputSpec::default();
        if let Some(low) = &input.low {
            spec.low = Some(constant::integer(&self.scope, low)?);
        }
        match &input.range {
            None => {}
            Some(Range::Below(e)) => spec.bound = Some(constant::integer(&self.scope, e)?),
            Some(Range::UpTo(e)) => {
                let last = constant::integer(&self.scope, e)?;
                spec.bound = match last.checked_add(1) {
                    Some(bound) => Some(bound),
                    None => {
                        return Err(self.problem(
                            e.span,
                            format!("the bound {last} is too large"),
                            "leave the bound out: every value is allowed",
                        ));
                    }
                };
            }
            Some(Range::Normal(mean, deviation)) => {
                let mean = constant::float(&self.scope, mean)?;
                let deviation = constant::float(&self.scope, deviation)?;
                spec.normal = Some((mean, deviation));
            }
        }
        if let Some(b) = &input.spread {
            let [trials, hits, of] =
                [&b.trials, &b.hits, &b.of].map(|e| constant::integer(&self.scope, e));
            spec.spread = Some(crate::graph::Binomial {
                trials: trials?,
                hits: hits?,
                of: of?,
            });
        }
        self.builder
            .input_typed(
                &input.name.name,
                Type::new(dtype, shape).with_ragged(ragged),
                spec,
            )
            .map_err(|e| types(e, input.name.span))?;
        Ok(())
    }

    /// The named size that a product ends in.
    fn block(&self, expr: &Expr) -> Lowered<Option<Block>> {
        let ExprKind::Infix {
            op: Infix::Mul,
            right,
            ..
        } = &expr.kind
        else {
            return Ok(None);
        };
        let ExprKind::Name(axis) = &right.kind else {
            return Ok(None);
        };
        let size = constant::size(&self.scope, right, "size", 1..=MAX_DIM)?;
        let axis = axis.clone();
        Ok(Some(Block { size, axis }))
    }

    fn kernel(&mut self, kernel: &Kernel) -> Lowered<()> {
        let schedule = schedule(&self.scope, kernel)?;
        self.builder
            .kernel(&kernel.name.name, schedule)
            .map_err(|e| types(e, kernel.name.span))?;
        for hold in held(&self.scope, kernel)? {
            let added = self.builder.hold(hold);
            added.map_err(|e| types(e, kernel.name.span))?;
        }
        let mut empty = true;
        for line in &kernel.body.lines {
            if let Stmt::Let { targets, value } = &line.kind {
                self.assign(targets, value)?;
                empty = false;
            }
        }
        if empty {
            return Err(LowerError::EmptyKernel {
                kernel: kernel.name.name.clone(),
                span: kernel.name.span.into(),
            });
        }
        tile_axes(kernel, &self.builder.kernel_axes())
    }

    fn assign(&mut self, targets: &[Ident], value: &Expr) -> Lowered<()> {
        for target in targets {
            self.define(target)?;
        }
        let base = targets.first().map_or("value", |t| t.name.as_str());
        let place = Place {
            span: value.span,
            base,
            targets: Some(targets),
        };
        let computes = match expr::expr(self, value, place)? {
            Operand::Constant => false,
            Operand::Value(v) => self
                .builder
                .value(base)
                .is_some_and(|named| named.node == v.node),
        };
        if !computes {
            return Err(self.problem(
                value.span,
                format!("`{base} = {}` computes nothing", print_expr(value)),
                "a line applies an operation to values; read a value or a constant by its own name",
            ));
        }
        Ok(())
    }

    /// Why a name gives nothing here: defined later, left out with its kernel, or nowhere.
    fn unknown(&self, name: &str, span: Span) -> LowerError {
        let mut inactive = None;
        for (kernel, active) in self.file.kernels().zip(&self.active) {
            for target in targets(kernel).filter(|t| t.name == name) {
                if *active {
                    return LowerError::UseBeforeDefinition {
                        name: name.into(),
                        span: span.into(),
                        definition: target.span.into(),
                    };
                }
                inactive = Some((kernel, target.span));
            }
        }
        if let Some(input) = self.file.inputs().find(|i| i.name.name == name) {
            return LowerError::UseBeforeDefinition {
                name: name.into(),
                span: span.into(),
                definition: input.name.span.into(),
            };
        }
        if let Some((kernel, definition)) = inactive {
            return LowerError::Inactive {
                name: name.into(),
                help: format!(
                    "kernel `{}` is left out by its condition: change the params in it, or define `{name}` in the other case too",
                    kernel.name
                ),
                span: span.into(),
                definition: definition.into(),
            };
        }
        LowerError::Expr(ExprError::UnknownName {
            name: name.into(),
            span: span.into(),
            help: suggest(
                name,
                self.defined
                    .keys()
                    .map(String::as_str)
                    .filter(|n| self.scope.contains_key(*n) || self.builder.value(n).is_some()),
                "define it above, as an input, a param, or the result of an operation",
            ),
        })
    }

    fn outputs(&mut self) -> Lowered<()> {
        let file = self.file;
        let mut seen: IndexMap<&str, Span> = IndexMap::new();
        for item in file.items() {
            let Item::Output(all) = item else { continue };
            for Wanted {
                name: ident,
                carried,
                within,
            } in all
            {
                let name = ident.name.as_str();
                if let Some(first) = seen.insert(name, ident.span) {
                    return Err(LowerError::DuplicateOutput {
                        name: name.into(),
                        span: ident.span.into(),
                        first: first.into(),
                    });
                }
                if file.inputs().any(|i| i.name.name == name) {
                    return Err(self.problem(
                        ident.span,
                        format!("`{name}` is an input, which the caller has already"),
                        "name a result of a kernel",
                    ));
                }
                let Some(v) = self.builder.value(name) else {
                    return Err(self.unknown(name, ident.span));
                };
                self.builder.output(v);
                if let Some(input) = carried {
                    let done = self.builder.carry(v, &input.name);
                    done.map_err(|e| types(e, input.span))?;
                }
                if !within.is_empty() {
                    let accuracy = self.accuracy(within)?;
                    self.builder
                        .within(v, accuracy)
                        .map_err(|e| types(e, ident.span))?;
                }
            }
        }
        if seen.is_empty() {
            return Err(LowerError::NoOutputs {
                span: file.graph.kind.name.span.into(),
            });
        }
        Ok(())
    }

    fn accuracy(&self, parts: &[(Ident, Expr)]) -> Lowered<Accuracy> {
        let mut accuracy = Accuracy::default();
        let mut seen: IndexMap<&str, Span> = IndexMap::new();
        for (name, value) in parts {
            if let Some(first) = seen.insert(&name.name, name.span) {
                return Err(LowerError::DuplicateName {
                    name: name.name.clone(),
                    span: name.span.into(),
                    first: first.into(),
                });
            }
            let number = constant::number(&self.scope, value)?.float();
            match accuracy.part(&name.name) {
                Some(part) => *part = number,
                None => {
                    return Err(LowerError::Expr(ExprError::UnknownName {
                        name: name.name.clone(),
                        span: name.span.into(),
                        help: suggest(
                            &name.name,
                            Accuracy::PARTS,
                            "an accuracy has `atol`, `rtol` and `outliers`",
                        ),
                    }));
                }
            }
        }
        Ok(accuracy)
    }

    /// Why an operation cannot be added; what is wrong with an exchange of the file shows there too.
    fn refused(&self, error: GraphError, call: Span) -> LowerError {
        let exchange = match &error {
            GraphError::AtNode { error, .. } => error.exchange(),
            error => error.exchange(),
        };
        let Some(found) = exchange.cloned() else {
            return types(error, call);
        };
        let mut own = self.file.exchanges().map(|e| &e.signature.name.name);
        let own = own.any(|name| name == found.exchange());
        let statement = found.span().filter(|_| own);
        LowerError::Exchange {
            statement: statement.map(Into::into),
            call: call.into(),
            help: found.help().map_or(String::new(), |h| h.to_string()),
            error: Box::new(found),
        }
    }

    fn problem(&self, span: Span, problem: String, help: &str) -> LowerError {
        LowerError::Expr(ExprError::Expression {
            problem,
            span: span.into(),
            help: help.into(),
        })
    }
}

impl Context for Lowering<'_> {
    type Value = Value;
    type Error = LowerError;

    fn constants(&self) -> &Scope {
        &self.scope
    }

    fn operations(&self) -> &Operations {
        &self.operations
    }

    fn ranks(&self) -> usize {
        self.builder.rank_count()
    }

    fn name(&self, name: &str, span: Span) -> Lowered<Operand<Value>> {
        if let Some(v) = self.builder.value(name) {
            return Ok(Operand::Value(v));
        }
        if self.scope.contains_key(name) || name == LOWEST {
            return Ok(Operand::Constant);
        }
        Err(self.unknown(name, span))
    }

    fn ty(&self, value: Value) -> &Type {
        self.builder.ty(value)
    }

    fn element(&self, name: &str) -> Option<DType> {
        let value = self.builder.value(name)?;
        Some(self.builder.ty(value).dtype)
    }

    fn add(&mut self, op: Op, operands: &[Value], place: Place) -> Lowered<Value> {
        let derived;
        let names: Vec<&str> = match place.targets {
            Some(targets) => targets.iter().map(|t| t.name.as_str()).collect(),
            None => {
                let base = format!("{}_{}", place.base, op.name());
                derived = self.builder.fresh(&base);
                vec![&derived]
            }
        };
        let values = self
            .builder
            .op_named(&names, op, operands)
            .map_err(|e| self.refused(e, place.span))?;
        match values.first() {
            Some(v) => Ok(*v),
            None => Err(self.problem(place.span, "this has no result".into(), "use an operation")),
        }
    }

    fn name_axes(&mut self, value: Value, axes: &[String]) {
        axes.iter()
            .for_each(|a| self.builder.name_axes(value.node, a));
    }
}

/// The names that a kernel's lines define.
fn targets(kernel: &Kernel) -> impl Iterator<Item = &Ident> {
    kernel
        .body
        .lines
        .iter()
        .filter_map(|l| match &l.kind {
            Stmt::Let { targets, .. } => Some(targets),
            _ => None,
        })
        .flatten()
}
