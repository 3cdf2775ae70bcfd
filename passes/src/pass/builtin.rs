//! The passes that come with tilewright, as named entries over the functions that do the work.

use super::{Artifact, Context, Pass, PassError, Stage};
use crate::egraph::SearchOptions;
use crate::kernel::{allocate::allocate, order::order, synchronise::synchronise_with_notes};
use crate::problem::KernelSpec;
use crate::search::fit::{fitted, start};
use crate::search::optimize;
use crate::search::pins::{Param, Pin, Pins, held};
use crate::{decompose, legalise, lower, prune};
use tilewright_ir::graph::Graph;
use tilewright_ir::kernel::{Program, check_capacity, check_order};

/// Implements [`Pass`] for a unit struct: name, stages, text, and the function that runs it.
macro_rules! pass {
    ($type:ident, $name:literal, $takes:ident -> $gives:ident, $about:literal, $run:expr) => {
        pub struct $type;

        impl Pass for $type {
            fn name(&self) -> &'static str {
                $name
            }

            fn about(&self) -> &'static str {
                $about
            }

            fn takes(&self) -> Stage {
                Stage::$takes
            }

            fn gives(&self) -> Stage {
                Stage::$gives
            }

            fn run(&self, input: Artifact, context: &Context) -> Result<Artifact, PassError> {
                match input {
                    Artifact::$takes(value) => {
                        let run: fn(_, &Context) -> Result<_, PassError> = $run;
                        Ok(Artifact::$gives(run(value, context)?))
                    }
                    other => Err(PassError::Order {
                        pass: $name.into(),
                        takes: Stage::$takes,
                        given: other.stage(),
                    }),
                }
            }
        }
    };
}

pass!(Decompose, "decompose", Graph -> Graph,
    "replaces composite operations by primitives",
    |g: Graph, _| Ok(decompose::decompose(&g)?));

pass!(Legalise, "legalise", Graph -> Graph,
    "brings operations into forms that kernels have: rows that can be sorted, products of whole fractals",
    |g: Graph, c| Ok(legalise::legalise(&g, &c.machine)?));

pass!(Prune, "prune", Graph -> Graph,
    "removes what no result needs, and operations that change nothing",
    |g: Graph, _| Ok(prune::prune(&g)));

pass!(AsWritten, "as-written", Graph -> Plan,
"schedules every kernel as it is written, with nothing chosen",
|g: Graph, c| {
    let options = SearchOptions { as_written: true, candidates: 1, ..c.search.clone() };
    let problem = fitted(&g, &c.machine)?;
    Ok(Box::new(optimize(&problem, &c.machine, &options, &Pins::default())?))
});

pass!(Optimize, "optimize", Graph -> Plan,
"saturates the e-graph and extracts the best schedule that fits the machine",
|g: Graph, c| {
    let said = [held(&g)?, c.pins.clone()].concat();
    // What is held stays as it is written, and what a pin says of a tile is near to what is written. Where all is said, it is where a
    // search came to.
    let may = |spec: &KernelSpec| {
        let of = |p: &&Pin| p.kernel == "*" || p.kernel == spec.name || p.kernel == spec.region;
        let own: Vec<&Param> = said.iter().filter(of).map(|p| &p.param).collect();
        let tiled = own.iter().any(|p| matches!(p, Param::Tile(..)));
        let all = own.iter().any(|p| matches!(p, Param::Grid(_)));
        all || !tiled && !c.only_pins
    };
    let problem = start(&g, &c.machine, c.search.cost.as_ref(), may)?;
    let pins = Pins {
        hold: c.only_pins,
        ..Pins::check(&said, &problem)?
    };
    Ok(Box::new(optimize(&problem, &c.machine, &c.search, &pins)?))
});

pass!(Schedule, "schedule", Plan -> Program,
    "turns the terms of each kernel into loops, tiles and instructions",
    |o: Box<crate::search::Optimized>, c| Ok(lower::lower(&o.plan, &c.machine)?));

pass!(Allocate, "allocate", Program -> Program,
"gives every tile its addresses on chip",
|mut p: Program, c| {
    for kernel in &mut p.kernels {
        allocate(kernel, &c.machine)?;
        check_capacity(kernel, &c.machine)?;
    }
    Ok(p)
});

pass!(Synchronise, "synchronise", Program -> Program,
"inserts the flags and barriers that the dependences between pipes need",
|mut p: Program, c| {
    for kernel in &mut p.kernels {
        // Candidates of a search have most kernels in common.
        let known = c.synchronised.get(kernel);
        let done = match known {
            Some(done) => done,
            None => {
                let done = synchronise_with_notes(kernel, &c.machine.geometry)?;
                c.synchronised.keep(kernel, &done);
                done
            }
        };
        *kernel = done.kernel;
        kernel.notes = done.notes;
    }
    Ok(p)
});

pass!(Order, "order", Program -> Program,
"says for each kernel which earlier ones it waits for",
|mut p: Program, c| {
    order(&mut p, &c.machine);
    Ok(p)
});

pass!(CheckOrder, "check-order", Program -> Program,
"refuses a kernel that may start before what it reads is written, or before what it overwrites is read",
|p: Program, c| match check_order(&p, &c.machine) {
    Ok(()) => Ok(p),
    Err(mut errors) => Err(errors.swap_remove(0).into()),
});
