//! A plain interpreter of the layer graph: the truth that everything else is compared with.
//!
//! Start with [`run`]. Every operation is computed whole, one after the other, by one readable function on values in f32 (or
//! integers); composites are computed from their definition and not through their primitives, so that a wrong decomposition
//! shows. Nothing here is tiled, scheduled or fast.
//!
//! * `prim`: the table of primitives, and [`eval_prim`].
//! * `elementwise`, `reduce`, `matmul`, `index`: the primitives.
//! * `composite`, `hyper`: the composites.
//! * `ranks`: exchanges, statement by statement; `exchange`: those of the library from definitions of their own.
//!
//! # Where values are rounded
//!
//! Element-wise arithmetic is f32 arithmetic; each operation rounds its result to the type of its result, to nearest even.
//! Sums of rows, means and matrix products accumulate in f64 and round once, so that no order of summation is preferred;
//! products of int8 are exact, and integers saturate.

mod composite;
mod elementwise;
mod error;
mod exchange;
mod hyper;
mod index;
mod matmul;
mod prim;
mod ranks;
mod reduce;

pub use composite::eval_composite;
pub use error::ReferenceError;
pub use prim::eval_prim;

use crate::data::{
    DataError, Scalar, Tensor, Tensors, check_inputs, check_size, clear_missing, row_counts,
};
use tilewright_ir::DType;
use tilewright_ir::graph::{
    Call, Composite, EPOCH, Graph, GraphError, Op, RANK, Type, Value, infer, verify,
};

/// The outputs of a graph, by name and in the graph's order.
///
/// `inputs` are looked up by the names of the graph's inputs (see [`crate::data::inputs_of`] for files with prefixes) and
/// checked; others are ignored.
///
/// # Errors
///
/// A graph that does not verify, inputs that are missing or of the wrong type or out of bound, an index out of range.
pub fn run(graph: &Graph, inputs: &Tensors) -> Result<Tensors, ReferenceError> {
    Ok(run_with_counts(graph, inputs)?.0)
}

/// As [`run`], and the values that say how many rows of others exist.
///
/// # Errors
///
/// As [`run`].
pub fn run_with_counts(
    graph: &Graph,
    inputs: &Tensors,
) -> Result<(Tensors, Tensors), ReferenceError> {
    Ok(results(graph, run_all(graph, inputs)?))
}

/// Outputs, and the values that say how many rows of others exist.
fn results(graph: &Graph, mut all: Tensors) -> (Tensors, Tensors) {
    let ragged = graph.values().filter_map(|v| graph.ty(v).ragged.as_ref());
    let counts = ragged
        .filter_map(|r| Some((r.counts.clone(), all.get(&r.counts)?.clone())))
        .collect();
    let mut outputs = Tensors::new();
    for value in &graph.outputs {
        // A value may be an output twice.
        if let Some((name, tensor)) = all.swap_remove_entry(graph.name(*value)) {
            outputs.insert(name, tensor);
        }
    }
    (outputs, counts)
}

/// Every value of a graph by name, inputs too, in an order in which operands come first.
///
/// # Errors
///
/// As [`run`].
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
/// As [`run`], [`ReferenceError::Ranks`] for inputs of another number of ranks than the graph's, and exchanges that do not end
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
        for node in graph.topological().unwrap_or_default() {
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

    /// An exchange, statement by statement.
    fn exchange(
        &mut self,
        call: &Call,
        first: Value,
        operands: &[Vec<&Tensor>],
    ) -> Result<Vec<Vec<Tensor>>, ReferenceError> {
        let graph = self.graph;
        let types = graph.operands(first.node).into_iter();
        let types: Vec<Type> = types.map(|v| graph.ty(v).clone()).collect();
        let called = call.instantiate(&types).map_err(GraphError::Exchange)?;
        self.memory.enter(graph.name(first));
        ranks::run(&called.program, operands, &mut self.memory, self.runs)
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
        let results: Result<Vec<Vec<Tensor>>, ReferenceError> = match &node.op {
            Op::Input => return Ok(()),
            Op::Composite(Composite::Combine { topk }) => exchange::combine(&all, *topk),
            Op::Exchange(call) => match exchange::own_definition(call, &all) {
                Some(results) if !self.by_program => results,
                _ => self.exchange(call, first, &all),
            },
            Op::Prim(p) => std::iter::zip(&all, counts)
                .map(|(o, counts)| Ok(vec![prim::compute(p, o, &types[0], counts?.as_deref())?]))
                .collect(),
            Op::Composite(c) => std::iter::zip(&all, counts)
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

fn operands_of<'a>(graph: &Graph, operands: &[Value], values: &'a Tensors) -> Vec<&'a Tensor> {
    let named = operands.iter().map(|v| graph.name(*v));
    named.filter_map(|name| values.get(name)).collect()
}

/// Clears what a value holds in rows that do not exist.
fn clear(graph: &Graph, v: Value, values: &mut Tensors) -> Result<(), DataError> {
    if let Some(counts) = row_counts(graph.name(v), graph.ty(v), values)?
        && let Some(tensor) = values.get_mut(graph.name(v))
    {
        clear_missing(tensor, &counts);
    }
    Ok(())
}

/// The types of an operation's results for these operands, after everything that could go wrong with types was checked.
fn result_types(op: &Op, operands: &[Tensor]) -> Result<Vec<Type>, ReferenceError> {
    for operand in operands {
        operand.check()?;
    }
    let types: Vec<Type> = operands.iter().map(Tensor::ty).collect();
    let results = infer(op, &types)?;
    for ty in &results {
        check_size("result", ty)?;
    }
    Ok(results)
}

/// f32 values as a tensor of a result's type, rounded to nearest even.
fn floats(ty: &Type, values: &[f32]) -> Result<Tensor, DataError> {
    Tensor::from_f32(ty.dtype, &ty.sizes(), values)
}

/// Integers as a tensor of a result's type, saturated.
fn integers(ty: &Type, values: &[i64]) -> Result<Tensor, DataError> {
    Tensor::from_i64(ty.dtype, &ty.sizes(), values)
}

/// The rows of a matrix, empty ones too.
fn rows<T>(values: &[T], (rows, columns): (usize, usize)) -> impl Iterator<Item = &[T]> {
    (0..rows).map(move |r| &values[r * columns..(r + 1) * columns])
}
