//! A definition for operands of some types: loops unrolled, conditions decided, calls of other definitions written out.

use super::bind::Bound;
use super::{Call, Definition, Operations};
use crate::dtype::{DType, Round};
use crate::op::expr::constant::{self, Number, Scope};
use crate::op::expr::{self, Context, ExprError, Operand, Place};
use crate::op::{Composite, Op, OpError, Prim, Type, infer};
use crate::syntax::ast::{self, Block, Expr, Ident, Line, Span};
use crate::syntax::print_step;
use indexmap::IndexMap;

/// The most primitives that a definition may stand for.
const MAX_STEPS: usize = 1 << 16;

/// A list of primitives. Values are numbered: the operands of the call first, then the results of the steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Body {
    pub steps: Vec<Step>,
    /// By value.
    pub types: Vec<Type>,
    /// The values that the call gives; each is a step of its own.
    pub results: Vec<usize>,
}

/// A primitive, and what it is of the definition.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub part: String,
    pub prim: Prim,
    pub operands: Vec<usize>,
}

/// The primitives of a call.
pub(super) fn expand(call: &Call, bound: &Bound, operands: &[Type]) -> Result<Body, OpError> {
    let definition = &call.definition;
    let tree = definition.tree();
    let mut operations = Operations::default();
    definition
        .uses
        .iter()
        .for_each(|d| operations.define(d.clone()));
    let names = tree.operands.iter().map(|o| o.name.name.clone());
    let mut expansion = Expansion {
        definition,
        given: operands,
        operations,
        scope: bound.scope.clone(),
        values: names.zip(0..).collect(),
        body: Body {
            steps: vec![],
            types: operands.to_vec(),
            results: vec![],
        },
    };
    expansion.block(&tree.body)?;
    for result in &tree.results {
        let name = &result.name.name;
        let value = expansion.values.get(name).copied();
        let own = |v: &usize| *v >= operands.len() && !expansion.body.results.contains(v);
        match value.filter(own) {
            Some(v) => expansion.body.results.push(v),
            None => {
                let problem = "no line computes it by itself; give it a line of its own";
                return Err(definition.error(name, problem));
            }
        }
    }
    Ok(expansion.body)
}

struct Expansion<'a> {
    definition: &'a Definition,
    /// The types of the operands.
    given: &'a [Type],
    operations: Operations,
    scope: Scope,
    values: IndexMap<String, usize>,
    body: Body,
}

/// What goes wrong in an expression is told with its line.
enum Problem {
    Expr(ExprError),
    Op(OpError),
}

impl From<ExprError> for Problem {
    fn from(error: ExprError) -> Self {
        Problem::Expr(error)
    }
}

impl Expansion<'_> {
    fn block(&mut self, block: &Block<ast::Step>) -> Result<(), OpError> {
        block.lines.iter().try_for_each(|line| self.line(line))
    }

    fn line(&mut self, line: &Line<ast::Step>) -> Result<(), OpError> {
        let definition = self.definition;
        let told = |problem: Problem| {
            let place = print_step(&line.kind);
            match problem {
                Problem::Expr(error) => definition.error(&place, error),
                Problem::Op(error) => definition.error(&place, error),
            }
        };
        match &line.kind {
            ast::Step::Let { targets, value } => self.assign(targets, value).map_err(told),
            ast::Step::For {
                name,
                from,
                to,
                body,
            } => {
                let bound = |e: &Expr| constant::integer(&self.scope, e);
                let (from, to) = (bound(from), bound(to));
                let (from, to) = (
                    from.map_err(|e| told(e.into()))?,
                    to.map_err(|e| told(e.into()))?,
                );
                let trips = usize::try_from(to.saturating_sub(from)).unwrap_or(0);
                if trips > MAX_STEPS {
                    return Err(definition.error(&print_step(&line.kind), too_long()));
                }
                for i in from..to {
                    self.values.swap_remove(&name.name);
                    self.scope.insert(name.name.clone(), Number::Int(i));
                    self.block(body)?;
                }
                Ok(())
            }
            ast::Step::If {
                condition,
                then,
                otherwise,
            } => match constant::holds(&self.scope, condition) {
                Ok(true) => self.block(then),
                Ok(false) => otherwise.as_ref().map_or(Ok(()), |b| self.block(b)),
                Err(error) => Err(told(error.into())),
            },
        }
    }

    fn assign(&mut self, targets: &[Ident], value: &Expr) -> Result<(), Problem> {
        let place = Place {
            span: value.span,
            base: "",
            targets: Some(targets),
        };
        let made = expr::expr(self, value, place)?;
        let [target] = targets else {
            // Several results have got their names.
            return Ok(());
        };
        match made {
            Operand::Value(v) => {
                self.scope.swap_remove(&target.name);
                self.values.insert(target.name.clone(), v);
            }
            Operand::Constant => {
                let number = constant::number(&self.scope, value)?;
                self.values.swap_remove(&target.name);
                self.scope.insert(target.name.clone(), number);
            }
        }
        Ok(())
    }

    fn push(&mut self, part: &str, prim: Prim, operands: &[usize]) -> Result<usize, OpError> {
        let types: Vec<Type> = operands
            .iter()
            .map(|v| self.body.types[*v].clone())
            .collect();
        let ty = infer(&Op::Prim(prim), &types)?;
        if self.body.steps.len() >= MAX_STEPS {
            return Err(self.definition.error(part, too_long()));
        }
        self.body.types.extend(ty.into_iter().take(1));
        self.body.steps.push(Step {
            part: part.into(),
            prim,
            operands: operands.into(),
        });
        Ok(self.body.types.len() - 1)
    }

    /// The steps of another definition, among these.
    fn write_out(&mut self, call: &Call, operands: &[usize]) -> Result<Vec<usize>, OpError> {
        let types: Vec<Type> = operands
            .iter()
            .map(|v| self.body.types[*v].clone())
            .collect();
        let body = call.expand(&types)?;
        let mut values = operands.to_vec();
        for step in &body.steps {
            let operands: Vec<usize> = step.operands.iter().map(|v| values[*v]).collect();
            values.push(self.push(&step.part, step.prim, &operands)?);
        }
        Ok(body.results.iter().map(|v| values[*v]).collect())
    }
}

fn too_long() -> String {
    format!("it stands for more than {MAX_STEPS} operations; give smaller numbers")
}

impl Context for Expansion<'_> {
    type Value = usize;
    type Error = Problem;

    fn constants(&self) -> &Scope {
        &self.scope
    }

    fn operations(&self) -> &Operations {
        &self.operations
    }

    fn name(&self, name: &str, span: Span) -> Result<Operand<usize>, Problem> {
        if let Some(v) = self.values.get(name) {
            return Ok(Operand::Value(*v));
        }
        if self.scope.contains_key(name) || name == constant::LOWEST {
            return Ok(Operand::Constant);
        }
        Err(Problem::Expr(ExprError::UnknownName {
            name: name.into(),
            span: span.into(),
            help: "no line above has given it a value".into(),
        }))
    }

    fn ty(&self, value: usize) -> &Type {
        &self.body.types[value]
    }

    /// Of an operand as it was given, whatever has its name since.
    fn element(&self, name: &str) -> Option<DType> {
        let operands = &self.definition.tree().operands;
        let place = operands.iter().position(|o| o.name.name == name)?;
        Some(self.given[place].dtype)
    }

    fn add(&mut self, op: Op, operands: &[usize], place: Place) -> Result<usize, Problem> {
        let target = match place.targets {
            Some([target]) => Some(target.name.as_str()),
            _ => None,
        };
        match &op {
            Op::Prim(Prim::Comm(_)) | Op::Composite(Composite::Exchange(_)) | Op::Input => {
                let problem = "communication stands in a kernel";
                Err(Problem::Op(self.definition.error(op.name(), problem)))
            }
            Op::Prim(prim) => {
                let results = &self.definition.tree().results;
                let result = results.iter().any(|r| Some(r.name.name.as_str()) == target);
                // What has the type already is itself; but a result is a value of its own.
                if let Prim::Cast {
                    to,
                    round: Round::Rint,
                } = prim
                    && !result
                    && self.ty(operands[0]).dtype == *to
                {
                    return Ok(operands[0]);
                }
                let part = target.unwrap_or(op.name());
                self.push(part, *prim, operands).map_err(Problem::Op)
            }
            Op::Composite(Composite::Defined(call)) => {
                let results = self.write_out(call, operands).map_err(Problem::Op)?;
                for (target, v) in place.targets.unwrap_or_default().iter().zip(&results) {
                    self.scope.swap_remove(&target.name);
                    self.values.insert(target.name.clone(), *v);
                }
                Ok(results[0])
            }
        }
    }
}
