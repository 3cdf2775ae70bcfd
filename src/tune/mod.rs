//! Tuning: the best schedule by measuring, and never the same measurement twice.
//!
//! The search finds plans by a model of the machine. Here a [`Runner`] has the last word. A layer's distinct kernels are tuned one by one,
//! each over the [`Space`] of schedules that pins span; a [`Proposer`] says what to try, with what a [`Surrogate`] has learned of
//! how far the model is off; the [`Database`] keeps every trial. Then layers with combinations of the best kernels are measured as a
//! whole, one that the search finds with figures fitted to the trials among them, and the winner is compared with the interpreter before
//! it is kept.
//!
//! Each of the five is a trait in a file of its own, with what comes with tilewright beside it. `examples/custom_tune.rs` puts others
//! in their place.
//!
//! * [`layer`]: a whole layer, start here; [`single`]: one kernel of a graph; [`engine`]: one space.
//! * [`space`], [`kernel`]: schedules; [`proposer`], [`surrogate`]; [`runner`]; [`database`].
//! * [`effort`]: all figures; [`stop`]: when it ends; [`statistic`], [`random`].
//! * [`sizes`]: one layer for many sizes.
//! * [`used`]: what commands take from a database; [`pins`]: schedules in files; [`sweep`]: all values of a few parameters;
//!   [`plots`]: what was found, as SVG.

pub mod database;
pub mod effort;
pub mod engine;
pub mod kernel;
pub mod layer;
pub mod pins;
pub mod plots;
pub mod proposer;
pub mod random;
mod refit;
pub mod runner;
pub mod single;
pub mod sizes;
pub mod space;
pub mod statistic;
pub mod stop;
pub mod surrogate;
pub mod sweep;
pub mod used;

pub use crate::compile::lowered;
pub use crate::tune_error::{DatabaseError, TuneError};
pub use database::{Database, Key, Record};
pub use engine::Tuned;
pub use proposer::Proposer;
pub use runner::Runner;
pub use single::tune_kernel;
pub use space::Space;
pub use surrogate::Surrogate;

use crate::compile::Options;
use crate::error::Result;
use tilewright_ir::graph::Graph;
use tilewright_ir::machine::Machine;
use tilewright_passes::egraph::SearchOptions;
use tilewright_passes::pass::PassError;
use tilewright_passes::problem::Problem;
use tilewright_passes::search::fit::fitted;
use tilewright_passes::search::pins::Pin;
use tilewright_passes::search::trials;

/// The search's problem of a lowered graph.
///
/// # Errors
///
/// A schedule that is wrong whatever its tiles.
pub fn problem(lowered: &Graph, machine: &Machine) -> Result<Problem> {
    Ok(fitted(lowered, machine).map_err(PassError::from)?)
}

/// The hash of all figures of a machine.
pub fn machine_hash(machine: &Machine) -> String {
    kernel::hash(serde_json::to_string(machine).unwrap_or_default())
}

/// The key of a subject, which is a text that equal ones share.
pub fn key(text: &str, layer: bool, options: &Options, runner: &str) -> Key {
    Key {
        subject: kernel::hash(text),
        layer,
        machine: options.machine.name.clone(),
        machine_hash: machine_hash(&options.machine),
        runner: runner.to_owned(),
        numerics: numerics(options),
        tool: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// What equal layers share, which hold the same. Their kernels have the same names, since pins speak of them by name.
pub fn layer_text(problem: &Problem, held: &[Pin]) -> String {
    let mut text = trials::text(problem);
    for spec in &problem.kernels {
        text.push_str(&spec.region);
        text.push('\n');
    }
    for pin in held {
        text.push_str(&format!("{pin}\n"));
    }
    text
}

/// The numerics policy, with all else that says which kernels the search can find.
fn numerics(options: &Options) -> String {
    let search = &options.search;
    let mut words = vec![search.numerics.name().to_owned()];
    words.extend(search.disabled.iter().map(|r| format!("-{r}")));
    words.extend(search.enabled.iter().map(|r| format!("+{r}")));
    words.extend(
        search
            .rules
            .iter()
            .map(|r| format!("rule:{}", kernel::hash(format!("{r:?}")))),
    );
    let default = SearchOptions::default();
    if search.node_limit != default.node_limit {
        words.push(format!("nodes:{}", search.node_limit));
    }
    if search.iter_limit != default.iter_limit {
        words.push(format!("iterations:{}", search.iter_limit));
    }
    if options.only_pins {
        words.push("only-pins".into());
    }
    words.extend(options.pins.iter().map(ToString::to_string));
    let own = options.own.iter();
    words.extend(own.map(|o| format!("pass:{}@{}", o.pass.name(), o.after)));
    words.join(" ")
}
