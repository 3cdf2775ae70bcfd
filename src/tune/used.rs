//! What commands take from a database: the best layer that was found, as pins.

use super::database::{Access, Sqlite};
use super::{key, layer_text, lowered, problem};
use crate::compile::Options;
use crate::error::Result;
use crate::tune_error::DatabaseError;
use std::path::Path;
use tilewright_ir::graph::Graph;
use tilewright_passes::pass::PassError;
use tilewright_passes::search::pins::{Pin, held};

/// A schedule that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The schedule; empty where the search's own is best.
    pub pins: Vec<Pin>,
    /// What was measured of it.
    pub us: f64,
    /// What measured.
    pub runner: String,
}

/// What a database has of a layer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hits {
    /// Best first, of the runner that is nearest to the machine; the search's own pick, where that was the best, is one without pins.
    pub hits: Vec<Hit>,
    /// Why there are none, where there is something all the same.
    pub warning: Option<String>,
}

/// Runners whose times tell of the machine, the nearest first. A host's own times tell of that host.
const TRUSTED: [&str; 3] = ["npu", "command", "sim"];

/// Looks a layer up. Nothing is made where there is no file.
///
/// # Errors
///
/// A graph that has no kernels. What is wrong with the database is a warning: nobody needs it.
pub fn look_up(path: &Path, graph: &Graph, options: &Options, on: &str) -> Result<Hits> {
    if !path.exists() || graph.ranks() > 1 {
        return Ok(Hits::default());
    }
    let lowered = lowered(graph, options)?;
    let problem = problem(&lowered, &options.machine)?;
    let held = held(graph).map_err(PassError::from)?;
    let found = found(path, &layer_text(&problem, &held), options, on);
    Ok(found.unwrap_or_else(|e| Hits {
        hits: vec![],
        warning: Some(format!("the database of schedules is not used: {e}")),
    }))
}

fn found(
    path: &Path,
    text: &str,
    options: &Options,
    on: &str,
) -> std::result::Result<Hits, DatabaseError> {
    let database = Sqlite::open(path, Access::Read)?;
    let key = key(text, true, options, "");
    let same = "layer = 1 AND median_us IS NOT NULL AND verified AND subject = ?1 AND machine = ?2 AND numerics = ?3";
    let mut entries = database.entries(same, &[&key.subject, &key.machine, &key.numerics])?;
    let kind = |runner: &str| runner.split(':').next().unwrap_or_default().to_owned();
    let trusted = |runner: &str| match on {
        "host" if kind(runner) == "host" => Some(0),
        _ => TRUSTED
            .iter()
            .position(|t| *t == kind(runner))
            .map(|p| p + 1),
    };
    entries.retain(|e| trusted(&e.key.runner).is_some());
    let before = entries.len();
    entries.retain(|e| e.key.machine_hash == key.machine_hash && e.key.tool == key.tool);
    if entries.is_empty() {
        let warning = (before > 0).then(|| {
            format!(
                "a schedule in {} was measured under other figures of {}, or by another tilewright, and is not used: `tilewright tune` measures again",
                path.display(),
                key.machine
            )
        });
        return Ok(Hits {
            hits: vec![],
            warning,
        });
    }
    // All of one runner, so that their times can be compared.
    let best = entries
        .iter()
        .filter_map(|e| Some((trusted(&e.key.runner)?, e.key.runner.clone())));
    let runner = best.min().map(|b| b.1).unwrap_or_default();
    entries.retain(|e| e.key.runner == runner);
    entries.sort_by(|a, b| {
        let us = |e: &super::database::Entry| e.record.median_us.unwrap_or(f64::INFINITY);
        us(a).total_cmp(&us(b))
    });
    let mut hits = vec![];
    for entry in entries {
        let words = entry.record.schedule.split_whitespace();
        let pins = words
            .map(str::parse)
            .collect::<std::result::Result<Vec<Pin>, _>>();
        if let (Ok(pins), Some(us)) = (pins, entry.record.median_us) {
            hits.push(Hit {
                pins,
                us,
                runner: entry.key.runner,
            });
        }
    }
    Ok(Hits {
        hits,
        warning: None,
    })
}
