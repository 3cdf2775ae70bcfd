//! `tilewright new`: a layer file from sizes, or from a model's configuration.

use super::{Ended, print};
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
}

pub fn main(args: &Args) -> Result<Ended> {
    let Layer::Moe(args) = &args.layer;
    let text = layer(args)?.text().map_err(Error::from)?;
    match &args.output {
        None => print(&text)?,
        Some(path) => tilewright::place::write_new(path, &text)?,
    }
    Ok(Ended::Well)
}

fn layer(args: &MoeArgs) -> Result<Moe> {
    let mut moe = match &args.config {
        None => args.said.of(Moe::default()),
        Some(path) => {
            let text = tilewright::layer::read_text(path)?;
            let name = path.display().to_string();
            let read = moe::config::read(&name, &text, &args.said).map_err(Error::from)?;
            for note in &read.notes {
                eprintln!("note: {name}: {note}");
            }
            read.moe
        }
    };
    moe.ranks = args.ep;
    moe.tokens = args.tokens;
    if let Some(name) = &args.name {
        moe.name.clone_from(name);
    }
    Ok(moe)
}
