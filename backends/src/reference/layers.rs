//! Graphs, an operation of all ranks after the other, and runs of a layer one after the other.

use super::{ReferenceError, clear, composite, exchange, operands_of, prim, ranks, results};
use crate::data::{Scalar, Tensor, Tensors, check_inputs, check_size, row_counts};
use tilewright_ir::DType;
use tilewright_ir::graph::{EPOCH, Graph, GraphError, Op, RANK, Type, Value, verify};
use tilewright_ir::op::{Call, ExchangeCall};
use tracing::debug;

/// Every value of a graph by name, inputs too, in an order in which operands come first.
///
/// # Errors
///
/// As [`super::run`].
pub fn run_all(graph: &Graph, inputs: &Tensors) -> Result<Tensors, ReferenceError> {
    let mut all = Layers::new(graph).values(std::slice::from_ref(inputs))?;
    Ok(all.swap_remove(0))
}

/// What one rank came to in a run of the layer.
#[derive(Debug, Clone)]
pub struct Interpreted {
    pub outputs: Tensors,
    /// The values that say how many rows of others exist.
    pub counts: Tensors,
    /// What an exchange tells of its failure: the message, and the remedy.
    pub failure: Option<(String, String)>,
}

/// The outputs of a graph on each of its ranks, which have inputs of their own, in the first run of the layer.
///
/// # Errors
///
/// As [`super::run`], [`ReferenceError::Ranks`] for inputs of another number of ranks than the graph's, and exchanges that do not end
/// or read what is not there.
pub fn run_ranks(graph: &Graph, inputs: &[Tensors]) -> Result<Vec<Interpreted>, ReferenceError> {
    Layers::new(graph).run(inputs)
}

/// Runs of a layer on all of its ranks, one after the other: windows and counters stay from one to the next.
#[derive(Debug)]
pub struct Layers<'g> {
    graph: &'g Graph,
    memory: ranks::Memory,
    /// Runs so far.
    runs: i64,
    /// Whether exchanges of the library run as they are written, too.
    by_program: bool,
}

impl<'g> Layers<'g> {
    /// The interpreter of a graph, before the first run.
    pub fn new(graph: &'g Graph) -> Self {
        Layers {
            graph,
            memory: ranks::Memory::default(),
            runs: 0,
            by_program: false,
        }
    }

    /// Runs exchanges of the library as they are written, instead of from definitions of their own: so the two can be compared.
    pub fn by_program(self) -> Self {
        Layers {
            by_program: true,
            ..self
        }
    }

    /// The next run.
    ///
    /// # Errors
    ///
    /// As [`run_ranks`].
    pub fn run(&mut self, inputs: &[Tensors]) -> Result<Vec<Interpreted>, ReferenceError> {
        let all = self.values(inputs)?;
        let graph = self.graph;
        let ranks = all.into_iter().map(|all| {
            let failure = failure(graph, &all);
            let (outputs, counts) = results(graph, all);
            Interpreted {
                outputs,
                counts,
                failure,
            }
        });
        Ok(ranks.collect())
    }

    /// Every value of every rank, an operation of all ranks after the other.
    fn values(&mut self, inputs: &[Tensors]) -> Result<Vec<Tensors>, ReferenceError> {
        let graph = self.graph;
        verify(graph)?;
        self.runs += 1;
        if inputs.len() != graph.ranks() {
            return Err(ReferenceError::Ranks {
                ranks: graph.ranks(),
                given: inputs.len(),
            });
        }
        let mut ranks = vec![];
        for (rank, inputs) in inputs.iter().enumerate() {
            let mut values = check_inputs(graph, inputs)?;
            self.give(rank, inputs, &mut values)?;
            for v in graph.inputs() {
                clear(graph, v, &mut values)?;
            }
            ranks.push(values);
        }
        // A verified graph has no cycle.
        let nodes = graph.topological().unwrap_or_default();
        for (done, node) in nodes.iter().copied().enumerate() {
            debug!(progress = "operations", done, of = nodes.len());
            self.node(Value { node, result: 0 }, &mut ranks)?;
        }
        Ok(ranks)
    }

    /// The integers that every rank knows by itself, where the graph names them as inputs.
    fn give(
        &self,
        rank: usize,
        inputs: &Tensors,
        values: &mut Tensors,
    ) -> Result<(), ReferenceError> {
        for (input, truth) in [(RANK, rank as i64), (EPOCH, self.runs)] {
            if self.graph.given(input).is_none() {
                continue;
            }
            let told = inputs.get(input).and_then(|t| t.to_i64().first().copied());
            // Inputs of the first run stand for those of the later ones.
            let right = |v: &i64| *v == truth || input == EPOCH && *v == 1;
            if let Some(value) = told.filter(|v| !right(v)) {
                return Err(ReferenceError::Given {
                    input,
                    rank,
                    value,
                    truth,
                });
            }
            let scalar = Tensor::scalar(DType::I32, Scalar::Int(truth));
            values.insert(input.into(), scalar);
        }
        Ok(())
    }

    /// An exchange, statement by statement; its name tells its windows and counters from those of others.
    fn exchange(
        &mut self,
        call: &ExchangeCall,
        types: &[Type],
        name: &str,
        operands: &[Vec<&Tensor>],
    ) -> Result<Vec<Vec<Tensor>>, ReferenceError> {
        let called = call.instantiate(types, self.graph.ranks());
        let called = called.map_err(GraphError::from)?;
        self.memory.enter(name);
        ranks::run(&called.program, operands, &mut self.memory, self.runs)
    }

    /// A composite with exchanges among its lines, a line of all ranks after the other.
    fn written_out(
        &mut self,
        call: &Call,
        first: Value,
        operands: &[Vec<&Tensor>],
    ) -> Result<Vec<Vec<Tensor>>, ReferenceError> {
        let graph = self.graph;
        let types = graph.operands(first.node).into_iter();
        let types: Vec<Type> = types.map(|v| graph.ty(v).clone()).collect();
        let body = call.expand(&types, graph.ranks());
        let body = body.map_err(GraphError::from)?;
        let mut made: Vec<Vec<Tensor>> = vec![vec![]; operands.len()];
        let mut at = types.len();
        for (number, step) in body.steps.iter().enumerate() {
            let values = operands.iter().zip(&made);
            let values: Vec<Vec<&Tensor>> = values
                .map(|(operands, made)| composite::of_step(step, operands, made))
                .collect();
            let results: Vec<Vec<Tensor>> = match &step.op {
                Op::Exchange(call) => {
                    let types = step.operands.iter().map(|v| body.types[*v].clone());
                    let types: Vec<Type> = types.collect();
                    let name = format!("{}.{number}", graph.name(first));
                    self.exchange(call, &types, &name, &values)?
                }
                _ => {
                    let types = (&body.types[..], &body.types[at]);
                    let one = |values: &Vec<&Tensor>| {
                        composite::eval_step(step, values, types, None).map(|t| vec![t])
                    };
                    values.iter().map(one).collect::<Result<_, _>>()?
                }
            };
            at += step.parts.len();
            for (made, results) in made.iter_mut().zip(results) {
                made.extend(results);
            }
        }
        let results = |made: Vec<Tensor>| {
            let results = body.results.iter().map(|v| made[*v - types.len()].clone());
            results.collect()
        };
        Ok(made.into_iter().map(results).collect())
    }

    /// The operation that gives a value, on all ranks.
    fn node(&mut self, first: Value, ranks: &mut [Tensors]) -> Result<(), ReferenceError> {
        let graph = self.graph;
        let id = first.node;
        let node = graph.node(id);
        let operands = graph.operands(id);
        let types: Vec<Type> = node.outputs.iter().map(|o| o.ty.clone()).collect();
        for output in &node.outputs {
            check_size(&output.name, &output.ty)?;
        }
        let values = |values| -> Vec<&Tensor> { operands_of(graph, &operands, values) };
        let all: Vec<Vec<&Tensor>> = ranks.iter().map(values).collect();
        let counts = ranks.iter().map(|values| match operands.first() {
            Some(v) => row_counts(graph.name(*v), graph.ty(*v), values),
            None => Ok(None),
        });
        let own = match self.by_program {
            true => None,
            false => exchange::own_definition(&node.op, &all),
        };
        let results: Result<Vec<Vec<Tensor>>, ReferenceError> = match (&node.op, own) {
            (Op::Input, _) => return Ok(()),
            (_, Some(results)) => results,
            (Op::Exchange(call), None) => {
                let types: Vec<Type> = operands.iter().map(|v| graph.ty(*v).clone()).collect();
                self.exchange(call, &types, graph.name(first), &all)
            }
            (Op::Composite(call), None) if call.definition().exchanges() => {
                self.written_out(call, first, &all)
            }
            (Op::Prim(p), None) => std::iter::zip(&all, counts)
                .map(|(o, counts)| Ok(vec![prim::compute(p, o, &types[0], counts?.as_deref())?]))
                .collect(),
            (Op::Composite(c), None) => std::iter::zip(&all, counts)
                .map(|(o, counts)| composite::compute(c, o, &types, counts?.as_deref()))
                .collect(),
        };
        let results = results.map_err(|error| error.at(graph.name(first)))?;
        for (values, results) in ranks.iter_mut().zip(results) {
            for (output, tensor) in node.outputs.iter().zip(results) {
                values.insert(output.name.clone(), tensor);
            }
        }
        for values in ranks {
            for result in 0..node.outputs.len() {
                clear(graph, Value { node: id, result }, values)?;
            }
        }
        Ok(())
    }
}

/// What the first exchange that failed tells, with its remedy, from values by name.
pub fn failure(graph: &Graph, values: &Tensors) -> Option<(String, String)> {
    graph.nodes.node_indices().find_map(|id| {
        let program = graph.called(id)?.program;
        program
            .failures
            .iter()
            .enumerate()
            .find_map(|(i, failure)| {
                let output = graph.node(id).outputs.get(failure.status)?;
                let status = values.get(&output.name)?.to_i64();
                (status.first() == Some(&(i as i64 + 1))).then(|| failure.tell(&status))
            })
    })
}
