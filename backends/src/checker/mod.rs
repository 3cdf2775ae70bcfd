//! The hazard checker: what is wrong with a kernel program, all of it, with places in the emitted files.
//!
//! Start with [`check`]. It puts together what four parts know, and looks at nothing itself:
//!
//! * the program's verifier: shapes, types, indices that leave their tensors, memories over their capacity, and kernels
//!   that do not wait for what they depend on ([`tilewright_ir::kernel::verify`], [`tilewright_ir::kernel::check_order`]);
//! * the simulator, on data: races between pipes and between blocks, flags, tiles that overwrite each other, reads of what was
//!   never written ([`crate::sim::check`]);
//! * the emitter: what has no form in C++, and the lines of what has one;
//! * which statements none of the runs came to: of those nothing is known.
//!
//! The simulator and not an interpretation over ranges, since addresses, event ids and conditions of a block are numbers: on
//! numbers nothing has to be approximated, and what is found is there. What depends on data is covered as far as the data
//! go, hence several runs ([`crate::data::generate()`], `inputs::cases`).

mod finding;
pub mod inputs;

pub use finding::{Finding, Place, Severity};

use crate::ascend::{File, Notes, emit_with_notes};
use crate::data::Tensors;
use crate::sim;
use finding::Places;
use indexmap::IndexMap;
use tilewright_ir::kernel::Program;
use tilewright_ir::machine::Machine;

/// What [`check`] found, and the files that it points into.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// Errors in program order, then warnings.
    pub findings: Vec<Finding>,
    /// The emitted kernels; empty if the program has no C++ form.
    pub files: Vec<File>,
}

impl Checked {
    /// Whether nothing is wrong. Warnings are no errors.
    pub fn ok(&self) -> bool {
        self.findings.iter().all(|f| f.severity != Severity::Error)
    }
}

/// Checks a program on each of some inputs. A finding that several of them show is there once.
pub fn check(program: &Program, machine: &Machine, cases: &[Tensors], notes: &Notes) -> Checked {
    let (files, unprintable) = match emit_with_notes(program, machine, notes) {
        Ok(files) => (files, None),
        Err(error) => (vec![], Some(error)),
    };
    let places = Places::new(program, &files);
    let mut found: IndexMap<(String, String), Finding> = IndexMap::new();
    let mut unreached: Option<Vec<(String, sim::Statement)>> = None;
    for inputs in cases {
        let checked = sim::check(program, machine, inputs, &sim::Options::default());
        for (error, times) in &checked.faults {
            let finding = places.finding(error, *times);
            let key = (finding.code.clone(), finding.message.clone());
            // What the verifier finds is the same in every run.
            let again = match &*error.fault {
                sim::Fault::Verify(_) => 0,
                _ => *times,
            };
            found
                .entry(key)
                .and_modify(|f| f.times += again)
                .or_insert(finding);
        }
        unreached = Some(match unreached {
            None => checked.unreached,
            Some(mut before) => {
                before.retain(|u| checked.unreached.contains(u));
                before
            }
        });
    }
    let mut findings: Vec<Finding> = found.into_values().collect();
    // A program that does not verify does not print either, for the same reason.
    if let Some(error) = &unprintable
        && findings.is_empty()
    {
        findings.push(Finding::unprintable(error));
    }
    let rank = |f: &Finding| {
        let kernel = f.kernel.as_ref();
        let order = kernel.and_then(|n| program.kernels.iter().position(|k| &k.name == n));
        (order.map_or(0, |k| k + 1), f.place.line)
    };
    findings.sort_by_key(rank);
    for (kernel, statement) in unreached.unwrap_or_default() {
        findings.push(places.unreached(&kernel, &statement));
    }
    Checked { findings, files }
}
