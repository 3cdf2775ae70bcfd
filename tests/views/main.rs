//! What shows a run: the page, the trace and the swimlane, from plain values and from the command.
//!
//! `INSTA_UPDATE=always cargo test --test views` writes the snapshots again.

mod browser;
mod command;
#[path = "../common/mod.rs"]
mod common;
mod page;
mod trace;

use common::{graph, options, small};
use indexmap::IndexMap;
use tilewright::compile::Options;
use tilewright::data::{Data, Source, inputs};
use tilewright::detail::Details;
use tilewright::run::{Outcome, run};

/// A run on the simulator that keeps what views show, and its details.
struct Shown {
    outcome: Outcome,
    details: Details,
}

/// An example at sizes that run in a moment.
fn shown(example: &str, sizes: &[(&str, i64)]) -> Shown {
    let sizes = match sizes {
        [] => small(example),
        _ => sizes,
    };
    let graph = graph(example, sizes);
    let how = Options {
        record: true,
        ..options()
    };
    let of_rank = |rank: u64| inputs(&graph, &Source::Seed(rank), &IndexMap::new());
    let data: Result<_, _> = (0..graph.ranks() as u64).map(of_rank).collect();
    let data = Data::new(data.expect("inputs are generated"));
    let outcome = run(&graph, &how, &data).expect("the example runs");
    let details = Details::new(&outcome, &how);
    Shown { outcome, details }
}
