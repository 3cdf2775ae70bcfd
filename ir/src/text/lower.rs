//! Elaboration: a syntax tree and settings to a verified graph.
//!
//! Params come first, then inputs and kernels from top to bottom, a line at a time; a line reads only what stands above it.
//! Kernels whose condition does not hold are left out, but their calls are still checked against the table of operations.

use super::ast::*;
use super::calls::{check_call, check_calls, of_an_exchange};
use super::constant::{self, LOWEST, Number, Scope};
use super::exchanges::{self, Written};
use super::ops::{self, AttrKind, AttrSpec, AttrValue, Form, OpSpec};
use super::{LowerError, suggest};
use crate::dtype::{DType, Round};
use crate::exchange::Definition;
use crate::graph::{
    Accuracy, Binary, Block, Builder, Dim, Graph, GraphError, InputSpec, LaunchKind, MAX_DIM,
    MAX_PIPELINE_DEPTH, Op, Prim, Ragged, Schedule, TileSpec, Type, Unary, Value, pair,
};
use indexmap::IndexMap;

pub(super) type Lowered<T> = Result<T, LowerError>;

/// The graph that a file stands for, with some params set to other values than the file's.
///
/// # Errors
///
/// The first problem, with its place: an unknown setting, a name, a size, a shape, a schedule.
pub fn elaborate(file: &File, settings: &IndexMap<String, i64>) -> Result<Graph, LowerError> {
    let exchanges = exchanges::declared(file)?;
    for kernel in file.kernels() {
        for line in &kernel.body.lines {
            if let Stmt::Let { value, .. } = &line.kind {
                check_calls(value, &exchanges)?;
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
        defined: IndexMap::new(),
        exchanges,
        file,
    };
    lowering.declare()?;
    lowering.body()?;
    lowering.outputs()?;
    let span = file.graph.kind.name.span;
    lowering.builder.finish().map_err(|e| types(e, span))
}

/// The params with their values: the file's, or the settings'.
fn params(file: &File, settings: &IndexMap<String, i64>) -> Lowered<Scope> {
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

fn holds(scope: &Scope, kernel: &Kernel) -> Lowered<bool> {
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

/// An operand: a value of the graph, or a constant that the expression it came from gives.
pub(super) enum Operand {
    Value(Value),
    Constant,
}

pub(super) struct Lowering<'a> {
    file: &'a File,
    pub builder: Builder,
    pub scope: Scope,
    /// Those that the file declares.
    pub exchanges: IndexMap<String, Definition>,
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
                Item::Param(_) | Item::Exchange(_) | Item::Output(_) => {}
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
                "the element types are f32, bf16, f16, i8, i32, u32 and i64",
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
        let schedule = self.schedule(kernel)?;
        self.builder
            .kernel(&kernel.name.name, schedule)
            .map_err(|e| types(e, kernel.name.span))?;
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
        let axes = self.builder.kernel_axes();
        for line in &kernel.body.lines {
            let Stmt::Tile { name, axis, .. } = &line.kind else {
                continue;
            };
            if !axes.contains(&axis.name) {
                let rule = match axes.len() {
                    0 => "the values here have no named dimensions: declare inputs with params as sizes".into(),
                    _ => format!("the axes here are: {}", axes.join(", ")),
                };
                return Err(LowerError::TileAxis {
                    kernel: kernel.name.name.clone(),
                    tile: name.name.clone(),
                    axis: axis.name.clone(),
                    span: axis.span.into(),
                    help: rule,
                });
            }
        }
        Ok(())
    }

    /// The schedule of a kernel; `None` when it says nothing of one. What is left out is `launch parallel`, `loop range`.
    fn schedule(&self, kernel: &Kernel) -> Lowered<Option<Schedule>> {
        let mut said: IndexMap<String, Span> = IndexMap::new();
        let mut say = |what: String, span: Span| match said.insert(what.clone(), span) {
            None => Ok(()),
            Some(first) => Err(LowerError::DuplicateSchedule {
                kernel: kernel.name.name.clone(),
                what,
                span: span.into(),
                first: first.into(),
            }),
        };
        let mut schedule = Schedule {
            launch: LaunchKind::Parallel,
            tiles: IndexMap::new(),
            pipeline: 1,
        };
        for line in &kernel.body.lines {
            match &line.kind {
                Stmt::Let { .. } => {}
                Stmt::Launch(kind) => {
                    say("launch".into(), kind.span)?;
                    schedule.launch = kind.name.parse().unwrap_or(LaunchKind::Parallel);
                }
                Stmt::Loop { span, depth } => {
                    say("loop".into(), *span)?;
                    if let Some(depth) = depth {
                        schedule.pipeline =
                            constant::size(&self.scope, depth, "depth", 1..=MAX_PIPELINE_DEPTH)?;
                    }
                }
                Stmt::Tile {
                    name,
                    size,
                    axis,
                    per_block,
                } => {
                    say(format!("tile {name}"), name.span)?;
                    say(format!("over {axis}"), axis.span)?;
                    let size = constant::size(&self.scope, size, "tile size", 1..=MAX_DIM)?;
                    let tile = TileSpec {
                        axis: axis.name.clone(),
                        size,
                        per_block: *per_block,
                    };
                    schedule.tiles.insert(name.name.clone(), tile);
                }
            }
        }
        Ok((!said.is_empty()).then_some(schedule))
    }

    fn assign(&mut self, targets: &[Ident], value: &Expr) -> Lowered<()> {
        for target in targets {
            self.define(target)?;
        }
        let base = targets.first().map_or("value", |t| t.name.as_str());
        let computes = match self.expr(value, base, Some(targets))? {
            Operand::Constant => false,
            Operand::Value(v) => self
                .builder
                .value(base)
                .is_some_and(|named| named.node == v.node),
        };
        if !computes {
            return Err(self.problem(
                value.span,
                format!("`{base} = {}` computes nothing", super::print_expr(value)),
                "a line applies an operation to values; read a value or a constant by its own name",
            ));
        }
        Ok(())
    }

    /// Lowers an expression. With `targets` its results get these names, without them a name derived from `base`.
    pub(super) fn expr(
        &mut self,
        expr: &Expr,
        base: &str,
        targets: Option<&[Ident]>,
    ) -> Lowered<Operand> {
        match &expr.kind {
            ExprKind::Number(_) => Ok(Operand::Constant),
            ExprKind::Name(name) => self.name(name, expr.span),
            ExprKind::Paren(inner) => self.expr(inner, base, targets),
            ExprKind::Negate(inner) => match self.expr(inner, base, None)? {
                Operand::Constant => Ok(Operand::Constant),
                Operand::Value(v) => {
                    let op = Op::Prim(Prim::Unary(Unary::Neg));
                    self.node(op, &[v], expr.span, base, targets)
                }
            },
            ExprKind::Index { .. } => Err(of_an_exchange(expr)),
            ExprKind::Infix { op, left, right } => {
                let op = match op {
                    Infix::Add => Binary::Add,
                    Infix::Sub => Binary::Sub,
                    Infix::Mul => Binary::Mul,
                    Infix::Div => Binary::Div,
                    Infix::Rem => return Err(of_an_exchange(expr)),
                };
                self.arithmetic(op, left, right, expr.span, base, targets)
            }
            ExprKind::Call { name, args, attrs } => {
                if let Some(definition) = exchanges::find(&self.exchanges, &name.name) {
                    let span = expr.span;
                    let written = Written { args, attrs, span };
                    return self.exchange(&definition, &written, base, targets);
                }
                let spec = check_call(name, args, attrs, expr.span)?;
                match (spec.form, &args[..]) {
                    (Form::Arithmetic(op), [left, right]) => {
                        self.arithmetic(op, left, right, expr.span, base, targets)
                    }
                    _ => self.call(spec, args, attrs, expr.span, base, targets),
                }
            }
        }
    }

    fn call(
        &mut self,
        spec: &OpSpec,
        args: &[Expr],
        attrs: &[(Ident, Expr)],
        span: Span,
        base: &str,
        targets: Option<&[Ident]>,
    ) -> Lowered<Operand> {
        let wrong = |problem: String, span: Span| LowerError::Arguments {
            problem,
            span: span.into(),
            usage: spec.usage(),
        };
        let mut operands = vec![];
        for (arg, what) in args.iter().zip(spec.operands) {
            match self.expr(arg, base, None)? {
                Operand::Value(v) => operands.push(v),
                Operand::Constant => {
                    let problem = format!("`{what}` of `{}` is a value, not a constant", spec.name);
                    return Err(wrong(problem, arg.span));
                }
            }
        }
        let mut values = vec![];
        let mut axes = vec![];
        for attr in spec.attrs {
            let given = attrs.iter().find(|(key, _)| key.name == attr.name);
            match (given, attr.default) {
                (Some((_, value)), _) => {
                    values.push(self.attribute(spec, attr, value)?);
                    if let (AttrKind::Size, ExprKind::Name(name)) = (attr.kind, &value.kind) {
                        axes.push(name.clone());
                    }
                }
                (None, Some(default)) => values.push(default),
                (None, None) => {
                    return Err(wrong(format!("`{}` is missing", attr.name), span));
                }
            }
        }
        let op = match spec.form {
            Form::Fixed(build) => build(&values),
            Form::Arithmetic(_) => None,
        };
        let Some(op) = op else {
            return Err(wrong(
                format!("these attributes do not make a `{}`", spec.name),
                span,
            ));
        };
        let result = self.node(op, &operands, span, base, targets)?;
        if let Operand::Value(v) = &result {
            axes.iter().for_each(|a| self.builder.name_axes(v.node, a));
        }
        Ok(result)
    }

    fn attribute(&self, spec: &OpSpec, attr: &AttrSpec, expr: &Expr) -> Lowered<AttrValue> {
        let word = match &expr.kind {
            ExprKind::Name(name) => name.as_str(),
            _ => "",
        };
        let wrong = |what: &str, all: Vec<&str>| LowerError::Arguments {
            problem: format!("`{}` is {what}: {}", attr.name, all.join(", ")),
            span: expr.span.into(),
            usage: spec.usage(),
        };
        match attr.kind {
            AttrKind::Size => {
                constant::size(&self.scope, expr, attr.name, 0..=MAX_DIM).map(AttrValue::Size)
            }
            AttrKind::Float => constant::float(&self.scope, expr).map(AttrValue::Float),
            AttrKind::DType => word.parse().map(AttrValue::DType).map_err(|()| {
                wrong(
                    "an element type",
                    DType::ALL.iter().map(|d| d.name()).collect(),
                )
            }),
            AttrKind::Round => word.parse().map(AttrValue::Round).map_err(|()| {
                wrong(
                    "a rounding mode",
                    Round::ALL.iter().map(|r| r.name()).collect(),
                )
            }),
        }
    }

    fn arithmetic(
        &mut self,
        op: Binary,
        left: &Expr,
        right: &Expr,
        span: Span,
        base: &str,
        targets: Option<&[Ident]>,
    ) -> Lowered<Operand> {
        let a = self.expr(left, base, None)?;
        let b = self.expr(right, base, None)?;
        let (prim, operands) = match (a, b) {
            (Operand::Constant, Operand::Constant) => return Ok(Operand::Constant),
            (Operand::Value(x), Operand::Constant) => {
                let value = constant::float(&self.scope, right)?;
                (Prim::Scalar { op, value }, vec![x])
            }
            (Operand::Constant, Operand::Value(x)) => {
                let value = constant::float(&self.scope, left)?;
                let prim = if op.commutes() {
                    Prim::Scalar { op, value }
                } else {
                    Prim::ScalarLeft { op, value }
                };
                (prim, vec![x])
            }
            (Operand::Value(x), Operand::Value(y)) => {
                let (prim, swap) =
                    pair(op, self.builder.ty(x), self.builder.ty(y)).map_err(|e| types(e, span))?;
                (prim, if swap { vec![y, x] } else { vec![x, y] })
            }
        };
        self.node(Op::Prim(prim), &operands, span, base, targets)
    }

    /// Adds an operation; gives its first result.
    pub(super) fn node(
        &mut self,
        op: Op,
        operands: &[Value],
        span: Span,
        base: &str,
        targets: Option<&[Ident]>,
    ) -> Lowered<Operand> {
        let results = match &op {
            Op::Exchange(call) => call.results(),
            op => ops::find(op.name()).map_or(1, |s| s.results),
        };
        let count = targets.map_or(1, <[Ident]>::len);
        if count != results {
            let (problem, help) = match targets {
                None => (
                    format!(
                        "`{}` gives {results} results, where one is needed",
                        op.spelling()
                    ),
                    "give the results names on a line of their own, and read one of them",
                ),
                Some(_) => (
                    format!("`{}` gives {results} results, not {count}", op.spelling()),
                    "write one name for each result: `q, s = quantize_rows(x, eps = 1e-4)`",
                ),
            };
            return Err(self.problem(span, problem, help));
        }
        let derived;
        let names: Vec<&str> = match targets {
            Some(targets) => targets.iter().map(|t| t.name.as_str()).collect(),
            None => {
                derived = self.builder.fresh(&format!("{base}_{}", op.spelling()));
                vec![&derived]
            }
        };
        let values = self
            .builder
            .op_named(&names, op, operands)
            .map_err(|e| types(e, span))?;
        match values.first() {
            Some(v) => Ok(Operand::Value(*v)),
            None => Err(self.problem(span, "this has no result".into(), "use an operation")),
        }
    }

    fn name(&self, name: &str, span: Span) -> Lowered<Operand> {
        if let Some(v) = self.builder.value(name) {
            return Ok(Operand::Value(v));
        }
        if self.scope.contains_key(name) || name == LOWEST {
            return Ok(Operand::Constant);
        }
        Err(self.unknown(name, span))
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
        LowerError::UnknownName {
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
        }
    }

    fn outputs(&mut self) -> Lowered<()> {
        let file = self.file;
        let mut seen: IndexMap<&str, Span> = IndexMap::new();
        for item in file.items() {
            let Item::Output(all) = item else { continue };
            for Wanted {
                name: ident,
                feeds,
                within,
            } in all
            {
                let name = ident.name.as_str();
                if let Some(first) = seen.insert(name, ident.span) {
                    return Err(LowerError::DuplicateName {
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
                if let Some(input) = feeds {
                    self.builder
                        .feed(v, &input.name)
                        .map_err(|e| types(e, input.span))?;
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
                    return Err(LowerError::UnknownName {
                        name: name.name.clone(),
                        span: name.span.into(),
                        help: suggest(
                            &name.name,
                            Accuracy::PARTS,
                            "an accuracy has `atol`, `rtol` and `outliers`",
                        ),
                    });
                }
            }
        }
        Ok(accuracy)
    }

    pub(super) fn problem(&self, span: Span, problem: String, help: &str) -> LowerError {
        LowerError::Expression {
            problem,
            span: span.into(),
            help: help.into(),
        }
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
