//! The statements of a kernel.

use super::Lines;
use super::error::EmitError;
use super::registers::registers_of;
use super::writer::{Scope, Section, Writer};
use crate::source::index::Axis;
use indexmap::IndexMap;
use tilewright_ir::kernel::{Cond, Event, Kernel, Pipe, Program, Stmt, Unit};
use tilewright_ir::machine::Machine;

/// The text of a kernel's file.
pub(super) fn file(
    program: &Program,
    kernel: &Kernel,
    machine: &Machine,
    notes: &[String],
) -> Result<(String, Lines), EmitError> {
    for t in &kernel.tiles {
        if t.addrs.len() != t.slots {
            return Err(EmitError::NotAllocated {
                kernel: kernel.name.clone(),
                tile: t.name.clone(),
                addrs: t.addrs.len(),
                slots: t.slots,
            });
        }
    }
    let mut w = Writer::new(program, kernel, machine);
    match kernel.unit {
        Unit::Mixed => {
            for (i, part) in kernel.body.iter().enumerate() {
                if let Stmt::Part { unit, body } = part {
                    w.body(body, &format!("{i}."))?;
                    w.end_section(*unit, Some(i.to_string()), body);
                }
            }
        }
        unit => {
            w.body(&kernel.body, "")?;
            w.end_section(unit, None, &kernel.body);
        }
    }
    Ok(w.assemble(notes))
}

impl<'a> Writer<'a> {
    /// Statements of one list; `prefix` is the index path up to it.
    fn body(&mut self, body: &'a [Stmt], prefix: &str) -> Result<(), EmitError> {
        let statements = body.len();
        let outermost = self.scopes.len() == 1;
        let is_wait = |s: &Stmt| matches!(s, Stmt::Wait { .. });
        let drain = body.iter().rposition(|s| !is_wait(s)).map_or(0, |i| i + 1);
        for (i, stmt) in body.iter().enumerate() {
            if outermost && i == 0 && matches!(stmt, Stmt::Set { .. }) {
                self.line("// Every buffer is free to be written.");
            }
            if outermost && i == drain && drain > 0 {
                self.blank();
                self.line("// No flag stays set.");
            }
            let path = format!("{prefix}{i}");
            match stmt {
                Stmt::Loop {
                    id,
                    trips,
                    depth,
                    body,
                } => {
                    let k = self.loop_name(*id);
                    let name = self.names.trips.get(*id).cloned().unwrap_or_default();
                    let trips = self.names.constants.named(&name, *trips as i64);
                    if i > 0 {
                        self.blank();
                    }
                    if *depth > 1 {
                        self.line(&format!(
                            "// Trips overlap: what is moved has {depth} buffers."
                        ));
                    }
                    // What a later trip computes anew is not known before.
                    for register in registers_of(body) {
                        self.forget(register);
                    }
                    self.open(&format!("for (int {k} = 0; {k} < {trips}; ++{k}) {{"), None);
                    self.statements.insert(path.clone(), self.call);
                    self.body(body, &format!("{path}."))?;
                    self.close();
                    if i + 1 < statements {
                        self.blank();
                    }
                }
                Stmt::If {
                    cond,
                    then,
                    otherwise,
                } => {
                    let (text, positive) = match cond {
                        Cond::First(id) => (format!("{} == 0", self.loop_name(*id)), None),
                        Cond::Positive(e) => (self.sum(e, Axis::Rows).positive(), Some(e.clone())),
                        Cond::Zero(e) => (self.sum(e, Axis::Rows).zero(), None),
                    };
                    self.open(&format!("if ({text}) {{"), positive);
                    self.statements.insert(path.clone(), self.call);
                    self.body(then, &format!("{path}.then."))?;
                    if !otherwise.is_empty() {
                        self.otherwise();
                        self.body(otherwise, &format!("{path}.else."))?;
                    }
                    self.close();
                }
                Stmt::Instr(instr) => {
                    self.instr(instr).map_err(|fault| EmitError::Instr {
                        kernel: self.kernel.name.clone(),
                        instr: self.kernel.text_of(instr),
                        fault,
                    })?;
                }
                Stmt::Set { src, dst, event } => self.flag("set_flag", *src, *dst, event),
                Stmt::Wait { src, dst, event } => self.flag("wait_flag", *src, *dst, event),
                Stmt::Barrier(pipe) => self.line(&format!("pipe_barrier(PIPE_{});", pipe.name())),
                Stmt::SetCross { pipe, flag } => self.line(&format!(
                    "ffts_cross_core_sync(PIPE_{}, CrossCore({flag}));",
                    pipe.name()
                )),
                Stmt::WaitCross { flag } => self.line(&format!("wait_flag_dev({flag});")),
                // The verifier has none here.
                Stmt::Part { .. } => {}
            }
            // Loops and conditions have theirs from before their bodies.
            self.statements.entry(path).or_insert(self.call);
        }
        Ok(())
    }

    /// Ends what one core type runs, and forgets what was declared in it.
    fn end_section(&mut self, unit: Unit, path: Option<String>, body: &[Stmt]) {
        let mut tiles = IndexMap::new();
        let preamble = self.preamble(body, &mut tiles);
        self.sections.push(Section {
            unit,
            path,
            preamble,
            lines: std::mem::take(&mut self.lines),
            statements: std::mem::take(&mut self.statements),
            tiles,
        });
        self.scopes = vec![Scope::default()];
        self.views.clear();
        self.merges = None;
    }

    fn flag(&mut self, call: &str, src: Pipe, dst: Pipe, event: &Event) {
        let id = match event.rotate {
            // The names of the others do not exist on a host.
            None if event.base < 4 => format!("EVENT_ID{}", event.base),
            None => format!("(event_t){}", event.base),
            Some((id, depth)) => {
                let turn = format!("{} % {depth}", self.loop_name(id));
                match event.base {
                    0 => format!("(event_t)({turn})"),
                    base => format!("(event_t)({base} + {turn})"),
                }
            }
        };
        self.line(&format!(
            "{call}(PIPE_{}, PIPE_{}, {id});",
            src.name(),
            dst.name()
        ));
    }
}
