//! Passes from a layer graph to a kernel program.
//!
//! Start with [`pass::Manager`]. The way of a layer: [`decompose`], [`legalise`] and [`prune`] on the graph, [`problem`] states what is to be
//! scheduled as [`term`]s, the [`egraph`] holds their other forms, [`search`] finds the best [`term::plan`] in it, [`lower`] turns
//! that into a kernel program, and [`kernel`] gives that addresses and flags. What a kernel costs, [`cost`] says.

pub mod cost;
pub mod decompose;
pub mod egraph;
pub mod hash;
pub mod kernel;
pub mod legalise;
pub mod lower;
pub mod numerics;
pub mod pass;
pub mod problem;
pub mod prune;
mod rebuild;
pub mod search;
pub mod term;

/// The name that is nearest to `name` by edit distance.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .min_by_key(|k| strsim::levenshtein(name, k))
}
