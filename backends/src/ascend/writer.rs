//! What is known while a kernel is written: names, objects, constants, and the lines so far.

use super::error::Fault;
use super::registers::is_local;
use super::reserved::RESERVED;
use super::text::{INDENT, fold};
use super::views::View;
use crate::source::idents::Idents;
use crate::source::index::{Axis, Sum};
use crate::source::manifest::CROSS_BASE;
use crate::source::names::Names;
use indexmap::IndexMap;
use tilewright_ir::kernel::{Expr, Kernel, Program, RegId, Unit, Var};
use tilewright_ir::machine::Machine;

/// Names of the arguments that tell a kernel of which rank and layer run it is.
pub(super) struct RankArguments {
    pub rank: String,
    pub epoch: String,
    /// Where the window memory of every rank begins, as this rank sees it.
    pub bases: String,
}

/// What one core type runs: a function body, and where its parts are in it.
pub(super) struct Section {
    pub unit: Unit,
    /// Of the part that it is, in a mixed kernel.
    pub path: Option<String>,
    pub preamble: Vec<String>,
    pub lines: Vec<String>,
    /// Index in `lines` at which each statement begins, by its path.
    pub statements: IndexMap<String, usize>,
    /// Index in `preamble` of each tile's declaration.
    pub tiles: IndexMap<String, usize>,
}

/// What has been declared between two braces.
#[derive(Default)]
pub(super) struct Scope {
    /// Names of run-time extents.
    pub counts: Vec<(Expr, usize, String)>,
    /// Objects whose run-time extent has been set.
    pub set: Vec<String>,
    /// What the surrounding conditions say is positive.
    pub positive: Option<Expr>,
}

pub(super) struct Writer<'a> {
    pub program: &'a Program,
    pub kernel: &'a Kernel,
    pub machine: &'a Machine,
    pub names: Names<'a>,
    ids: Idents,
    /// Registers that need a variable at the top of the function.
    pub wide_registers: Vec<bool>,
    /// The arguments that every kernel of several ranks may use.
    pub ranks: RankArguments,
    /// Constants for the columns of tensors.
    extents: IndexMap<String, String>,
    pub views: Vec<View>,
    /// Extents that are known from the start of the function on.
    pub early: Vec<(Expr, usize, String)>,
    /// Alias templates, by name, with their definitions.
    pub templates: IndexMap<&'static str, String>,
    pub merges: Option<String>,
    pub clamps: bool,
    /// Whether counters are used.
    pub signals: bool,
    /// Which of its block's vector cores runs the part.
    pub sub: String,
    pub sections: Vec<Section>,
    /// Blocks around the line that is written next; the first one is the function.
    pub scopes: Vec<Scope>,
    pub lines: Vec<String>,
    /// Index in `lines` at which the last call, `for` or `if` begins.
    pub call: usize,
    /// The same for each statement, by its path.
    pub statements: IndexMap<String, usize>,
}

impl<'a> Writer<'a> {
    pub fn new(program: &'a Program, kernel: &'a Kernel, machine: &'a Machine) -> Self {
        let mut ids = Idents::new(RESERVED);
        ids.claim(&kernel.name, "");
        let mut names = Names::new(program, kernel, &mut ids);
        let tensors = names.tensors.iter();
        let extents = tensors.map(|(name, id)| {
            let extent = format!("{}_COLS", id.to_ascii_uppercase());
            (name.clone(), ids.claim(&extent, ""))
        });
        let extents = extents.collect();
        let ranks = RankArguments {
            rank: ids.claim("rank", "arg"),
            epoch: ids.claim("epoch", "arg"),
            bases: ids.claim("peer_bases", "arg"),
        };
        let sub = ids.claim("sub", "block");
        ids.claim(CROSS_BASE, "");
        names.values(&mut ids);
        Writer {
            program,
            kernel,
            machine,
            names,
            ids,
            wide_registers: (0..kernel.registers)
                .map(|r| !is_local(kernel, r))
                .collect(),
            ranks,
            extents,
            views: vec![],
            early: vec![],
            templates: IndexMap::new(),
            merges: None,
            clamps: false,
            signals: false,
            sub,
            sections: vec![],
            scopes: vec![Scope::default()],
            lines: vec![],
            call: 0,
            statements: IndexMap::new(),
        }
    }

    // Lines.

    /// A line of the body; long ones are folded.
    pub fn line(&mut self, text: &str) {
        let indent = INDENT.repeat(self.scopes.len());
        if !text.starts_with(['}', '/']) {
            self.call = self.lines.len();
        }
        fold(&mut self.lines, &indent, text);
    }

    pub fn blank(&mut self) {
        let opened = self
            .lines
            .last()
            .is_none_or(|l| l.ends_with('{') || l.is_empty());
        if !opened {
            self.lines.push(String::new());
        }
    }

    pub fn open(&mut self, text: &str, positive: Option<Expr>) {
        self.line(text);
        self.scopes.push(Scope {
            positive,
            ..Scope::default()
        });
    }

    pub fn close(&mut self) {
        self.scopes.pop();
        self.line("}");
    }

    /// Goes on with what is done where the condition does not hold.
    pub fn otherwise(&mut self) {
        self.scopes.pop();
        self.line("} else {");
        self.scopes.push(Scope::default());
    }

    /// A new name for a variable of the body.
    pub fn fresh(&mut self, name: &str) -> String {
        self.ids.claim(name, "")
    }

    pub fn template(&mut self, name: &'static str, text: &str) -> &'static str {
        self.templates.insert(name, text.to_owned());
        name
    }

    /// The variable that counts what a merge has taken.
    pub fn merge_counts(&mut self) -> String {
        match &self.merges {
            Some(name) => name.clone(),
            None => {
                let name = self.ids.claim("merged_counts", "");
                self.merges = Some(name.clone());
                name
            }
        }
    }

    // Names.

    pub fn loop_name(&self, id: usize) -> String {
        self.names
            .loops
            .get(id)
            .cloned()
            .unwrap_or_else(|| format!("loop{id}"))
    }

    pub fn sum(&mut self, expr: &Expr, axis: Axis) -> Sum {
        let (ranks, sub) = (&self.ranks, &self.sub);
        self.names.sum(expr, axis, |names, var| match var {
            Var::Rank => ranks.rank.clone(),
            Var::Epoch => ranks.epoch.clone(),
            Var::Sub => sub.clone(),
            Var::Turn(i, of) => {
                let counter = names.loops.get(i);
                counter.map_or_else(String::new, |k| format!("({k} % {of})"))
            }
            Var::Grid(_) | Var::Loop(_) | Var::Scalar(_) | Var::Reg(_) => String::new(),
        })
    }

    pub fn tensor(&self, name: &str) -> Result<String, Fault> {
        self.names
            .tensors
            .get(name)
            .cloned()
            .ok_or_else(|| Fault::Missing {
                what: format!("tensor `{name}`"),
            })
    }

    /// The constant that is a tensor's number of columns.
    pub fn extent(&mut self, tensor: &str, cols: usize) -> String {
        let name = self.extents.get(tensor).cloned().unwrap_or_default();
        self.names.constants.named(&name, cols as i64)
    }

    /// Name of a register, and whether it has been declared.
    pub fn register(&self, id: RegId) -> (String, bool) {
        let name = self.names.registers.get(id).cloned().unwrap_or_default();
        (name, self.wide_registers.get(id).copied().unwrap_or(true))
    }

    /// A register has a new value: what was computed from it is not known any more.
    pub fn forget(&mut self, register: RegId) {
        let of = |e: &Expr| e.terms.iter().any(|(v, _)| *v == Var::Reg(register));
        for scope in &mut self.scopes {
            let gone = scope.counts.len();
            scope.counts.retain(|(e, ..)| !of(e));
            if scope.counts.len() < gone {
                scope.set.clear();
            }
            if scope.positive.as_ref().is_some_and(of) {
                scope.positive = None;
            }
        }
    }
}
