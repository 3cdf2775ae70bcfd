//! What the search is asked for, and how it went.

use super::rules::RuleError;
use super::rules::user::UserRules;
use crate::cost::{CostModel, Scoreboard};
use crate::numerics::Numerics;
use indexmap::IndexMap;
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Which rules run, and how far.
#[derive(Debug, Clone)]
pub struct SearchOptions {
    pub numerics: Numerics,
    /// Names of rules that do not run.
    pub disabled: BTreeSet<String>,
    /// Names of optional rules that run.
    pub enabled: BTreeSet<String>,
    /// Rules from files. They run after the others, unless `numerics` or `disabled` say no.
    pub rules: UserRules,
    /// Sizes that tiles may have beside those that the search tries by itself.
    pub sizes: BTreeSet<usize>,
    /// Only the rules that give every value its form as written.
    pub as_written: bool,
    pub node_limit: usize,
    pub iter_limit: usize,
    /// None by default: a search that stops by the clock differs from machine to machine.
    pub time_limit: Option<Duration>,
    /// How many plans are returned, the best one included.
    pub candidates: usize,
    /// What kernels are compared by.
    pub cost: Arc<dyn CostModel>,
}

impl Default for SearchOptions {
    fn default() -> Self {
        SearchOptions {
            numerics: Numerics::default(),
            disabled: BTreeSet::new(),
            enabled: BTreeSet::new(),
            rules: UserRules::default(),
            sizes: BTreeSet::new(),
            as_written: false,
            node_limit: 30_000,
            iter_limit: 64,
            time_limit: None,
            candidates: 4,
            cost: Arc::new(Scoreboard),
        }
    }
}

/// Why saturation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// No rule had anything to add.
    #[default]
    Saturated,
    NodeLimit,
    IterLimit,
    TimeLimit,
}

/// How the search went, in the e-graphs of all parts of a layer that were searched apart.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct SearchReport {
    pub nodes: usize,
    pub classes: usize,
    pub iterations: usize,
    pub stop: Stop,
    pub seconds: f64,
    pub rules: IndexMap<String, RuleReport>,
}

/// What a rule did, all its lines together.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct RuleReport {
    /// Places where a left side matched; of our own rules those that earlier iterations had not.
    pub matches: usize,
    /// Matches that added something.
    pub applied: usize,
    /// Of matching and applying.
    pub seconds: f64,
}

impl RuleReport {
    pub(super) fn add(&mut self, other: RuleReport) {
        self.matches += other.matches;
        self.applied += other.applied;
        self.seconds += other.seconds;
    }
}

impl SearchReport {
    /// Adds the search of another part.
    pub fn add(&mut self, other: &SearchReport) {
        self.nodes += other.nodes;
        self.classes += other.classes;
        self.iterations += other.iterations;
        self.stop = self.stop.max(other.stop);
        self.seconds += other.seconds;
        for (rule, more) in &other.rules {
            self.rules.entry(rule.clone()).or_default().add(*more);
        }
    }
}

/// Why there is no e-graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum SaturateError {
    #[error(transparent)]
    #[diagnostic(code(tilewright::rules::malformed))]
    Rule(#[from] RuleError),
    #[error("there is no rule `{name}`")]
    #[diagnostic(
        code(tilewright::rules::unknown),
        help("`tilewright rules` lists all; the nearest is `{nearest}`")
    )]
    UnknownRule { name: String, nearest: String },
    #[error("rule `{name}` cannot be disabled: without it a value has no kernel")]
    #[diagnostic(
        code(tilewright::rules::structure),
        help("rules whose role is `choice` or `optional` can be; `tilewright rules` lists them")
    )]
    Structure { name: String },
    #[error("rules merged terms that differ: {0}")]
    #[diagnostic(code(tilewright::rules::unsound), help("this is a defect of a rule"))]
    Unsound(String),
}
