//! A definition for operands of some types: loops unrolled, conditions decided, calls of other definitions written out.

use super::{Call, Definition, Operations};
use crate::dtype::{DType, Round};
use crate::op::expr::constant::{self, Number, Scope};
use crate::op::expr::{self, Context, ExprError, Operand, Place};
use crate::op::signature::Bound;
use crate::op::{ExchangeCall, Op, OpError, Prim, Type, infer};
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

/// A primitive or an exchange, and what its results are of the definition.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub parts: Vec<String>,
    pub op: Op,
    pub operands: Vec<usize>,
}

/// The operations of a call.
pub(super) fn expand(
    call: &Call,
    bound: &Bound,
    operands: &[Type],
    ranks: usize,
) -> Result<Body, OpError> {
    let definition = &call.definition;
    let head = definition.head();
    let mut operations = Operations::default();
    definition
        .uses
        .iter()
        .for_each(|d| operations.add(d.clone()));
    let names = head.operands.iter().map(|o| o.name.name.clone());
    let mut expansion = Expansion {
        definition,
        given: operands,
        ranks,
        operations,
        scope: bound.scope.clone(),
        values: names.zip(0..).collect(),
        body: Body {
            steps: vec![],
            types: operands.to_vec(),
            results: vec![],
        },
    };
    expansion.block(&definition.tree.body)?;
    for result in &head.results {
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
    ranks: usize,
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

    /// Adds a step with parts that name its results; gives the first.
    fn push(&mut self, parts: Vec<String>, op: Op, operands: &[usize]) -> Result<usize, OpError> {
        let types: Vec<Type> = operands
            .iter()
            .map(|v| self.body.types[*v].clone())
            .collect();
        let made = infer(&op, &types, self.ranks)?;
        if self.body.steps.len() >= MAX_STEPS {
            let place = parts.first().map_or(op.name(), String::as_str);
            return Err(self.definition.error(place, too_long()));
        }
        let first = self.body.types.len();
        self.body.types.extend(made);
        self.body.steps.push(Step {
            parts,
            op,
            operands: operands.into(),
        });
        Ok(first)
    }

    /// The steps of another definition, among these.
    fn write_out(&mut self, call: &Call, operands: &[usize]) -> Result<Vec<usize>, OpError> {
        let types: Vec<Type> = operands
            .iter()
            .map(|v| self.body.types[*v].clone())
            .collect();
        let body = call.expand(&types, self.ranks)?;
        let mut values = operands.to_vec();
        for step in body.steps {
            let operands: Vec<usize> = step.operands.iter().map(|v| values[*v]).collect();
            let results = step.parts.len();
            let first = self.push(step.parts, step.op, &operands)?;
            values.extend(first..first + results);
        }
        Ok(body.results.iter().map(|v| values[*v]).collect())
    }

    /// An exchange among the steps; its results.
    fn exchange(
        &mut self,
        call: &ExchangeCall,
        operands: &[usize],
        targets: Option<&[Ident]>,
    ) -> Result<Vec<usize>, OpError> {
        let names = call.exchange().result_names();
        let part = |i: usize, name: &&str| match targets {
            Some(targets) => targets[i].name.clone(),
            None => (*name).to_string(),
        };
        let parts: Vec<String> = names.iter().enumerate().map(|(i, n)| part(i, n)).collect();
        let results = parts.len();
        let first = self.push(parts, Op::Exchange(call.clone()), operands)?;
        let made = first..first + results;
        let types: Vec<Type> = operands
            .iter()
            .map(|v| self.body.types[*v].clone())
            .collect();
        let program = call.instantiate(&types, self.ranks)?.program;
        let problem = if made.clone().any(|v| self.body.types[v].ragged.is_some()) {
            "it brings rows of which not all exist; call it in a kernel"
        } else if !program.failures.is_empty() {
            "it may fail, and the status that tells why is a result of a kernel; call it there"
        } else {
            return Ok(made.collect());
        };
        Err(self.definition.error(call.exchange().name(), problem))
    }

    /// Names that now stand for these values.
    fn give(&mut self, targets: &[Ident], values: &[usize]) {
        for (target, v) in targets.iter().zip(values) {
            self.scope.swap_remove(&target.name);
            self.values.insert(target.name.clone(), *v);
        }
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

    fn ranks(&self) -> usize {
        self.ranks
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
        let operands = &self.definition.head().operands;
        let place = operands.iter().position(|o| o.name.name == name)?;
        Some(self.given[place].dtype)
    }

    fn add(&mut self, op: Op, operands: &[usize], place: Place) -> Result<usize, Problem> {
        let target = match place.targets {
            Some([target]) => Some(target.name.as_str()),
            _ => None,
        };
        let made = match &op {
            Op::Input => {
                let problem = "inputs stand in a graph";
                return Err(Problem::Op(self.definition.error(op.name(), problem)));
            }
            Op::Prim(prim) => {
                let results = &self.definition.head().results;
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
                let part = target.unwrap_or(op.name()).to_string();
                return self.push(vec![part], op, operands).map_err(Problem::Op);
            }
            Op::Composite(call) => self.write_out(call, operands),
            Op::Exchange(call) => self.exchange(call, operands, place.targets),
        };
        let made = made.map_err(Problem::Op)?;
        self.give(place.targets.unwrap_or_default(), &made);
        Ok(made[0])
    }
}
