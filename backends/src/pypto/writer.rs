//! What is known while a kernel is written: names, what variables hold, and the lines so far.

use super::error::Fault;
use super::format::{INDENT, statement};
use super::reserved::RESERVED;
use super::value::{Rows, Value};
use crate::source::idents::Idents;
use crate::source::index::{Axis, Sum};
use crate::source::names::Names;
use indexmap::IndexMap;
use tilewright_ir::kernel::{Expr, Kernel, Program, RegId, Role, TileId, Var};
use tilewright_ir::machine::Machine;

/// What has been assigned between here and the end of the block.
#[derive(Default)]
pub(super) struct Scope {
    /// Names of rows that are counted at run time.
    pub counts: Vec<(Expr, usize, String)>,
    /// What the condition of the block says is positive.
    pub positive: Option<Expr>,
}

pub(super) struct Writer<'a> {
    pub program: &'a Program,
    pub kernel: &'a Kernel,
    pub machine: &'a Machine,
    /// The function's name.
    pub function: String,
    pub names: Names<'a>,
    /// The index of a block, of a launch that counts blocks over several axes.
    pub block: String,
    ids: Idents,
    /// What the variables of tiles hold here.
    pub values: IndexMap<TileId, Value>,
    /// Blocks around the line that is written next; the first one is the function.
    pub scopes: Vec<Scope>,
    pub depth: usize,
    pub lines: Vec<String>,
}

impl<'a> Writer<'a> {
    pub fn new(
        program: &'a Program,
        kernel: &'a Kernel,
        machine: &'a Machine,
        function: &str,
    ) -> Self {
        let mut ids = Idents::new(RESERVED);
        ids.claim(function, "");
        let mut names = Names::new(program, kernel, &mut ids);
        let block = ids.claim("block", "");
        names.values(&mut ids);
        Writer {
            program,
            kernel,
            machine,
            function: function.to_owned(),
            names,
            block,
            ids,
            values: IndexMap::new(),
            scopes: vec![Scope::default()],
            depth: 0,
            lines: vec![],
        }
    }

    /// Whether a condition around here says that an expression is positive.
    pub fn is_positive(&self, e: &Expr) -> bool {
        self.scopes.iter().any(|s| s.positive.as_ref() == Some(e))
    }

    // Lines.

    pub fn line(&mut self, text: &str) {
        let indent = INDENT.repeat(self.depth);
        statement(&mut self.lines, &indent, text);
    }

    pub fn open(&mut self, text: &str) {
        self.line(text);
        self.depth += 1;
        self.scopes.push(Scope::default());
    }

    pub fn close(&mut self) {
        self.depth -= 1;
        self.scopes.pop();
    }

    pub fn fresh(&mut self, name: &str) -> String {
        self.ids.claim(name, "")
    }

    // Names.

    /// Whether an expression is of what a kernel of one rank knows.
    pub fn allowed(&self, e: &Expr) -> Result<(), Fault> {
        let of_rank = |v: &Var| matches!(v, Var::Rank | Var::Epoch);
        match e.terms.iter().any(|(v, _)| of_rank(v)) {
            true => Err(Fault::Rank),
            false => Ok(()),
        }
    }

    pub fn sum(&mut self, expr: &Expr, axis: Axis) -> Sum {
        // What is of ranks and of mixed kernels has been refused.
        self.names.sum(expr, axis, |_, _| String::new())
    }

    pub fn value_text(&mut self, e: &Expr) -> Result<String, Fault> {
        self.allowed(e)?;
        Ok(self.sum(e, Axis::Rows).text())
    }

    pub fn register(&self, id: RegId) -> String {
        self.names.registers.get(id).cloned().unwrap_or_default()
    }

    /// A register's new value.
    pub fn fill(&mut self, dst: RegId, value: &str) {
        self.forget(dst);
        let name = self.register(dst);
        self.line(&format!("{name} = {value}"));
    }

    /// A register has a new value: what was computed from it is not known any more.
    pub fn forget(&mut self, register: RegId) {
        let of = |e: &Expr| e.terms.iter().any(|(v, _)| *v == Var::Reg(register));
        for scope in &mut self.scopes {
            scope.counts.retain(|(e, ..)| !of(e));
        }
        self.values.retain(|_, value| match &value.valid_rows {
            Rows::Counted(e, _) => !of(e),
            Rows::Fixed(_) => true,
        });
    }

    /// The parameter of a tensor, which must not be a window.
    pub fn tensor(&self, name: &str) -> Result<String, Fault> {
        let tensor = self.program.tensors.get(name);
        if tensor.is_some_and(|t| t.role == Role::Window) {
            return Err(Fault::Window {
                tensor: name.to_owned(),
            });
        }
        self.names
            .tensors
            .get(name)
            .cloned()
            .ok_or_else(|| Fault::Missing {
                what: format!("tensor `{name}`"),
            })
    }
}
