//! At which sizes a layer is taken: the options, and the values of its params that they stand for.

use indexmap::IndexMap;
use tilewright::config;
use tilewright::error::{Error, Result};
use tilewright::layer::Layer;
use tilewright_ir::graph::{Graph, Rows};

/// Options of the params of a layer.
#[derive(Debug, Clone, clap::Args)]
pub struct SizeArgs {
    /// Sets a param of the graph (repeatable)
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting, allow_hyphen_values = true, help_heading = "Sizes and data")]
    pub set: Vec<(String, i64)>,
    /// Sets the param `layer_id`
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Sizes and data"
    )]
    pub layer_id: Option<i64>,
    /// Ranks that run the layer together, where it says `ranks`: 2, 4, 8, 16 or 32
    #[arg(long, value_name = "N", help_heading = "Sizes and data")]
    pub ep: Option<i64>,
    /// Rows that an expert can receive: what the file says, which is the worst case in our examples, or `fixed:N`
    #[arg(long, value_name = "worst-case|fixed:N", value_parser = capacity, help_heading = "Sizes and data")]
    pub capacity: Option<Capacity>,
    /// What times of ragged rows are of, where nothing has run: `expected`, as many as inputs and exchanges are said to have (of
    /// tokens that choose experts evenly, each as likely); `full`, all of them; or counts of a JSON file, by the name of what
    /// counts them: `{"recv_count": [3, 0, 1]}` [default: expected]
    #[arg(
        long,
        value_name = "expected|full|FILE.json",
        help_heading = "Sizes and data"
    )]
    pub rows: Option<String>,
}

/// How many rows an expert can receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capacity {
    WorstCase,
    Fixed(i64),
}

fn capacity(text: &str) -> std::result::Result<Capacity, String> {
    if text == "worst-case" {
        return Ok(Capacity::WorstCase);
    }
    let rows = text.strip_prefix("fixed:").and_then(|n| n.parse().ok());
    match rows {
        Some(n) if n > 0 => Ok(Capacity::Fixed(n)),
        _ => Err("write worst-case, or fixed:N with N rows of an expert, at least 1".into()),
    }
}

/// Counts of rows by name.
fn counts(file: &str) -> Result<IndexMap<String, Vec<i64>>> {
    let wrong = |what: String| Error::Rows {
        file: file.into(),
        what,
    };
    let text = std::fs::read_to_string(file).map_err(|e| wrong(e.to_string()))?;
    Ok(serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?)
}

pub(super) fn setting(text: &str) -> std::result::Result<(String, i64), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("write NAME=VALUE, for example D=1024")?;
    let value = value.trim();
    let number = value
        .parse()
        .map_err(|_| format!("`{value}` is not a whole number below 2^63"))?;
    Ok((name.trim().into(), number))
}

impl SizeArgs {
    /// These options, and where they say nothing, what a layer of the configuration says.
    pub fn over(&self, layer: Option<&config::Layer>) -> Self {
        let mut all = self.clone();
        let Some(layer) = layer else { return all };
        let given = |name: &str| self.set.iter().any(|(n, _)| n == name);
        let own = layer.set.iter().filter(|(n, _)| !given(n));
        all.set.extend(own.map(|(n, v)| (n.clone(), *v)));
        all.layer_id = all.layer_id.or(layer.layer_id);
        all.ep = all.ep.or(layer.ep);
        all
    }

    /// A layer's graph at these settings, with what is expected of its ragged rows.
    ///
    /// # Errors
    ///
    /// As [`Layer::graph`]; a file of counts that cannot be read, and counts that the layer cannot have.
    pub fn graph(&self, layer: &Layer, settings: &IndexMap<String, i64>) -> Result<Graph> {
        let mut graph = layer.graph(settings)?;
        let rows = match self.rows.as_deref() {
            None => return Ok(graph),
            Some("expected") => Rows::Said,
            Some("full") => Rows::Full,
            Some(file) => Rows::Given(counts(file)?),
        };
        graph.expect_rows(&rows)?;
        Ok(graph)
    }

    /// The params that these options set.
    ///
    /// # Errors
    ///
    /// Options that the layer has no param for, and two values for one param.
    pub fn settings(&self, layer: &Layer) -> Result<IndexMap<String, i64>> {
        let params = layer.params();
        if self.layer_id.is_some() && !params.iter().any(|p| p == "layer_id") {
            return Err(Error::NoLayerId {
                graph: layer.name.clone(),
                known: params.join(", "),
            }
            .into());
        }
        let ep = match (self.ep, layer.ranks()) {
            (None, _) => None,
            (Some(n), Some(param)) => Some((param, n)),
            (Some(_), None) => {
                return Err(Error::NoRanks {
                    graph: layer.name.clone(),
                }
                .into());
            }
        };
        let capacity = match (&self.capacity, layer.capacity()) {
            (None | Some(Capacity::WorstCase), _) => None,
            (Some(Capacity::Fixed(n)), Some(param)) => Some((param, *n)),
            (Some(_), None) => {
                return Err(Error::NoCapacity {
                    graph: layer.name.clone(),
                }
                .into());
            }
        };
        let layer_id = self.layer_id.map(|n| ("layer_id".to_string(), n));
        let given: Vec<(String, i64)> = [layer_id, ep, capacity].into_iter().flatten().collect();
        let mut settings = IndexMap::new();
        for (name, value) in self.set.iter().cloned().chain(given) {
            match settings.get(&name) {
                Some(first) if *first != value => {
                    return Err(Error::ConflictingOptions {
                        name,
                        first: *first,
                        second: value,
                    }
                    .into());
                }
                _ => settings.insert(name, value),
            };
        }
        Ok(settings)
    }
}
