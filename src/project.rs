//! A layer as a project that CANN builds and an NPU runs: kernels, a launcher, inputs, and outputs to compare with.

use crate::check::{self, plan};
use crate::data::{Data, Expected};
use crate::error::Result;
use crate::form::Form;
use crate::run::Compiled;
use indexmap::IndexMap;
use tilewright_backends::ascend::File;
use tilewright_backends::data::{Scalar, Tensor, Tensors, row_counts};
use tilewright_backends::npu::{self, Content, Spec, Stored};
use tilewright_backends::reference;
use tilewright_ir::graph::Graph;
use tilewright_ir::kernel::Program;

/// The tensors of a project.
#[derive(Debug, Clone)]
pub struct Material {
    /// Without data: scalars only.
    inputs: Tensors,
    expected: Option<Tensors>,
    /// How many rows of each group of ragged outputs exist.
    rows: IndexMap<String, Vec<usize>>,
}

impl Material {
    /// Inputs, and what the interpreter makes of them; expected outputs that were given come first.
    ///
    /// # Errors
    ///
    /// Inputs that the interpreter refuses, and expected outputs of other types than the graph's.
    pub fn new(graph: &Graph, data: &Data) -> Result<Self> {
        // A project runs one rank.
        let truth = reference::run_ranks(graph, &data.inputs)?
            .into_iter()
            .next();
        let (mut expected, counts) = truth.map(|t| (t.outputs, t.counts)).unwrap_or_default();
        if let Some(Expected { path, ranks }) = &data.expected {
            for tensors in ranks {
                // Whether they agree is the launcher's to say; whether they can be compared is asked here.
                let against = path.display().to_string();
                check::outputs(graph, Form::Written, &against, &expected, tensors, &counts)?;
                expected.extend(tensors.clone());
            }
        }
        let mut rows = IndexMap::new();
        for v in &graph.outputs {
            let name = graph.name(*v);
            if let Some(counts) = row_counts(name, graph.ty(*v), &counts)? {
                rows.insert(name.into(), counts);
            }
        }
        Ok(Material {
            inputs: data.inputs.first().cloned().unwrap_or_default(),
            expected: Some(expected),
            rows,
        })
    }

    /// No tensors; scalars that are not given have the largest value that they may have.
    pub fn without_data(program: &Program, scalars: &IndexMap<String, i64>) -> Self {
        let value = |(name, max): (&String, &i64)| {
            let value = Scalar::Int(scalars.get(name).copied().unwrap_or(*max));
            (
                name.clone(),
                Tensor::scalar(tilewright_ir::DType::I32, value),
            )
        };
        Material {
            inputs: program.scalars.iter().map(value).collect(),
            expected: None,
            rows: IndexMap::new(),
        }
    }
}

/// All files of a project of a form, whose kernels `files` are.
///
/// # Errors
///
/// What [`npu::project`] refuses.
pub fn project<'a>(
    graph: &Graph,
    compiled: &'a Compiled,
    files: &'a [File],
    command: Option<&'a str>,
    material: &'a Material,
) -> Result<Vec<Content<'a>>> {
    Ok(npu::project(&spec(
        graph, compiled, files, command, material,
    )?)?)
}

/// What a project is made from, or a part of one for many sizes.
///
/// # Errors
///
/// Outputs that cannot be compared.
pub fn spec<'a>(
    graph: &Graph,
    compiled: &'a Compiled,
    files: &'a [File],
    command: Option<&'a str>,
    material: &'a Material,
) -> Result<Spec<'a>> {
    // Which rows of ragged outputs exist is not known without data.
    let is_known = |name: &str| {
        let ragged = graph
            .find(name)
            .is_some_and(|v| graph.ty(v).ragged.is_some());
        !ragged || material.rows.contains_key(name)
    };
    Ok(Spec {
        program: &compiled.program,
        files,
        form: match compiled.form {
            Form::Written => "as written",
            Form::Optimized => "optimized",
        },
        command,
        inputs: &material.inputs,
        stored: match &material.expected {
            Some(expected) => Stored::Expected(expected),
            None => Stored::Nothing,
        },
        checks: plan(graph, &is_known)?,
        rows: material.rows.clone(),
    })
}
