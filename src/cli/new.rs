//! `tilewright new`: a layer file from sizes, or from a model's configuration.

use super::database::note;
use super::{Ended, print, print_report};
use serde::Serialize;
use std::path::PathBuf;
use tilewright::error::{Error, Result};
use tilewright::moe::config::Said;
use tilewright::moe::{self, Moe};

/// Writes a layer file from sizes
#[derive(Debug, clap::Args)]
#[command(after_help = super::examples::NEW)]
pub struct Args {
    #[command(subcommand)]
    layer: Layer,
}

#[derive(Debug, clap::Subcommand)]
enum Layer {
    /// A Mixture-of-Experts layer, as each expert-parallel rank runs it; without options, DeepSeek-V4-Flash's on two ranks
    Moe(Box<MoeArgs>),
}

#[derive(Debug, clap::Args)]
struct MoeArgs {
    /// Reads the sizes from a model's config.json; options given beside it win
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Expert-parallel ranks: 2, 4, 8, 16 or 32
    #[arg(long, value_name = "N", default_value_t = 2)]
    ep: usize,
    /// Tokens of a rank in a step
    #[arg(long, value_name = "N", default_value_t = 8)]
    tokens: usize,
    #[command(flatten)]
    said: Said,
    /// The graph's name
    #[arg(long)]
    name: Option<String>,
    /// Writes to this file, which must not exist, instead of the standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Prints one JSON object, with the text where no file is named
    #[arg(long)]
    json: bool,
}

/// What was made.
#[derive(Debug, Serialize)]
struct Made {
    name: String,
    /// What of the configuration was left out or assumed, a line each.
    notes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

pub fn main(args: &Args) -> Result<Ended> {
    let Layer::Moe(args) = &args.layer;
    let (moe, notes) = layer(args)?;
    let text = moe.text().map_err(Error::from)?;
    if let Some(path) = &args.output {
        tilewright::place::write_new(path, &text)?;
    }
    let text = args.output.is_none().then_some(text);
    if args.json {
        print_report(&Made {
            name: moe.name,
            notes,
            file: args.output.as_ref().map(|p| p.display().to_string()),
            text,
        })?;
        return Ok(Ended::Well);
    }
    notes.iter().for_each(|line| note(line));
    text.map_or(Ok(()), |text| print(&text))?;
    Ok(Ended::Well)
}

/// The layer, and what of its configuration was not taken as it stands.
fn layer(args: &MoeArgs) -> Result<(Moe, Vec<String>)> {
    let mut notes = vec![];
    let mut moe = match &args.config {
        None => args.said.of(Moe::default()),
        Some(path) => {
            let text = tilewright::layer::read_text(path)?;
            let name = path.display().to_string();
            let read = moe::config::read(&name, &text, &args.said).map_err(Error::from)?;
            notes.extend(read.notes.iter().map(|note| format!("{name}: {note}")));
            read.moe
        }
    };
    moe.ranks = args.ep;
    moe.tokens = args.tokens;
    if let Some(name) = &args.name {
        moe.name.clone_from(name);
    }
    Ok((moe, notes))
}
