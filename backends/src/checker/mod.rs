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
//! A program of several ranks runs on all of them ([`check_ranks`]), in several orders of their moves; there the first fault of a
//! run ends it.
//!
//! The simulator and not an interpretation over ranges, since addresses, event ids and conditions of a block are numbers: on
//! numbers nothing has to be approximated, and what is found is there. What depends on data is covered as far as the data
//! go, hence several runs ([`crate::data::generate()`], `inputs::cases`).

mod finding;
pub mod inputs;

pub use finding::{Finding, Place, Severity};

use crate::ascend::{EmitError, File, Notes, emit_with_notes};
use crate::data::Tensors;
use crate::sim::{self, Interleaving, RankOptions};
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
    let mut findings = Findings::new(program, machine, notes);
    let mut unreached: Option<Vec<(String, sim::Statement)>> = None;
    for inputs in cases {
        let checked = sim::check(program, machine, inputs, &sim::Options::default());
        findings.extend(&checked.faults);
        unreached = Some(match unreached {
            None => checked.unreached,
            Some(mut before) => {
                before.retain(|u| checked.unreached.contains(u));
                before
            }
        });
    }
    findings.into_checked(unreached.unwrap_or_default())
}

/// Checks a program of several ranks on each of some inputs, which are by rank: the first of them twice in a row on the same
/// windows, with ranks in turn and in another order, and each of the others in an order of its own. `carried` names the outputs
/// that are inputs of the second run.
pub fn check_ranks(
    program: &Program,
    machine: &Machine,
    cases: &[Vec<Tensors>],
    carried: &[(String, String)],
    notes: &Notes,
) -> Checked {
    let mut findings = Findings::new(program, machine, notes);
    let form = sim::check_form(program, machine);
    findings.extend(&form);
    if form.is_empty() {
        for (layers, inputs, interleaving) in orders(cases) {
            let how = RankOptions {
                layers,
                carried: carried.to_vec(),
                interleaving,
                ..RankOptions::default()
            };
            if let Err(fault) = sim::run_ranks(program, machine, inputs, &how) {
                findings.extend(&[(fault, 1)]);
            }
        }
    }
    findings.into_checked(vec![])
}

/// The runs of [`check_ranks`]: how many runs of the layer, on which inputs, and in which order of moves.
fn orders(cases: &[Vec<Tensors>]) -> Vec<(usize, &[Tensors], Interleaving)> {
    let mut runs = vec![];
    for (n, inputs) in cases.iter().enumerate() {
        let seeded = Interleaving::seeded(n as u64 + 1, inputs.len());
        match n {
            0 => runs.extend([
                (2, &inputs[..], Interleaving::default()),
                (2, inputs, seeded),
            ]),
            _ => runs.push((1, inputs, seeded)),
        }
    }
    runs
}

/// Findings so far, each once.
struct Findings<'p> {
    program: &'p Program,
    files: Vec<File>,
    unprintable: Option<EmitError>,
    found: IndexMap<(String, String), Finding>,
}

impl<'p> Findings<'p> {
    fn new(program: &'p Program, machine: &Machine, notes: &Notes) -> Self {
        let (files, unprintable) = match emit_with_notes(program, machine, notes) {
            Ok(files) => (files, None),
            Err(error) => (vec![], Some(error)),
        };
        Findings {
            program,
            files,
            unprintable,
            found: IndexMap::new(),
        }
    }

    /// Adds what a run found.
    fn extend(&mut self, faults: &[(sim::SimError, u64)]) {
        let places = Places::new(self.program, &self.files);
        for (error, times) in faults {
            let finding = places.finding(error, *times);
            let key = (finding.code.clone(), finding.message.clone());
            // What the verifier finds is the same in every run.
            let again = match &*error.fault {
                sim::Fault::Verify(_) => 0,
                _ => *times,
            };
            self.found
                .entry(key)
                .and_modify(|f| f.times += again)
                .or_insert(finding);
        }
    }

    fn into_checked(self, unreached: Vec<(String, sim::Statement)>) -> Checked {
        let mut findings: Vec<Finding> = self.found.into_values().collect();
        // A program that does not verify does not print either, for the same reason.
        if let Some(error) = &self.unprintable
            && findings.is_empty()
        {
            findings.push(Finding::unprintable(error));
        }
        let rank = |f: &Finding| {
            let kernel = f.kernel.as_ref();
            let named = |n: &String| self.program.kernels.iter().position(|k| &k.name == n);
            (kernel.and_then(named).map_or(0, |k| k + 1), f.place.line)
        };
        findings.sort_by_key(rank);
        let places = Places::new(self.program, &self.files);
        for (kernel, statement) in unreached {
            findings.push(places.unreached(&kernel, &statement));
        }
        Checked {
            findings,
            files: self.files,
        }
    }
}
