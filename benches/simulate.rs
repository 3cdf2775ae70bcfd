//! How long the simulator takes for the gate front as written and optimized, with and without data, beside the interpreter.
//!
//! `cargo bench --bench simulate` prints a markdown table; `docs/benchmarks.md` holds one and says what the columns mean.

mod common;

use common::{Result, gate, head, machine, row, timed};
use indexmap::IndexMap;
use tilewright::compile::{Options, compile, program};
use tilewright::form::Form;
use tilewright_backends::data::generate;
use tilewright_backends::{reference, sim};

const CASES: &[(&str, &[(&str, i64)])] = &[
    ("gate front", &[]),
    ("gate front, N_EXPERTS=256", &[("N_EXPERTS", 256)]),
    ("gate front, D=7168", &[("D", 7168)]),
    ("gate front, T=128", &[("T", 128)]),
    (
        "gate front, T=128 N_EXPERTS=256",
        &[("T", 128), ("N_EXPERTS", 256)],
    ),
];

fn main() -> Result<()> {
    let columns = [
        "layer",
        "form",
        "blocks",
        "simulated us",
        "with data ms",
        "times only ms",
        "interpreter ms",
    ];
    println!("{}", head(&columns));
    let machine = machine()?;
    for (name, settings) in CASES {
        let graph = gate(settings)?;
        let inputs = generate(&graph, 0, &IndexMap::new())?;
        let (_, interpreter) = timed(|| Ok(reference::run(&graph, &inputs)?))?;
        for form in Form::ALL {
            let Ok(run) = compile(&graph, form, &Options::new(machine.clone())) else {
                let refused = [*name, form.name(), "refused", "", "", "", ""];
                println!("{}", row(&refused.map(String::from)));
                continue;
            };
            let program = program(&run)?;
            let options = sim::Options::default();
            let (report, seconds) = timed(|| Ok(sim::run(program, &machine, &inputs, &options)?))?;
            let (_, times_only) = timed(|| Ok(sim::time(program, &machine)?))?;
            let blocks: usize = report.kernels.iter().map(|k| k.blocks).sum();
            let cells = [
                name.to_string(),
                form.name().into(),
                blocks.to_string(),
                format!("{:.2}", report.us),
                format!("{:.1}", seconds * 1e3),
                format!("{:.2}", times_only * 1e3),
                format!("{:.1}", interpreter * 1e3),
            ];
            println!("{}", row(&cells));
        }
    }
    Ok(())
}
