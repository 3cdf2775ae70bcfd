//! Passes from a layer graph to a kernel program.
//!
//! Start with [`pass::Manager`]. The way of a layer: [`decompose`] and [`prune`] on the graph, [`problem`] states what is to be
//! scheduled, [`optimize`] searches the [`egraph`] for a [`plan`], [`lower`] turns it into a kernel program, and
//! [`kernel`] gives that addresses and flags.

pub mod cost;
pub mod decompose;
pub mod egraph;
pub mod exchange;
mod hash;
pub mod kernel;
pub mod lower;
pub mod numerics;
pub mod optimize;
pub mod pass;
pub mod pins;
pub mod plan;
pub mod problem;
pub mod prune;

/// The name that is nearest to `name` by edit distance.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .min_by_key(|k| strsim::levenshtein(name, k))
}
