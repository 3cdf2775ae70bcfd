//! `tilewright new`: a layer file from sizes, or from a model's configuration.

use super::{Ended, print};
use std::path::PathBuf;
use tilewright::error::{Error, Result};
use tilewright::moe::{self, Hash, Hyper, Moe, Scoring};

/// Writes a layer file from sizes
#[derive(Debug, clap::Args)]
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
    /// Expert-parallel ranks: 2, 4 or 8
    #[arg(long, value_name = "N", default_value_t = 2)]
    ep: usize,
    /// Tokens of a rank in a step
    #[arg(long, value_name = "N", default_value_t = 8)]
    tokens: usize,
    /// Hidden size
    #[arg(long, value_name = "N")]
    hidden: Option<usize>,
    /// Intermediate size of a routed expert
    #[arg(long, value_name = "N")]
    inter: Option<usize>,
    /// Intermediate size of the shared expert; 0 for none
    #[arg(long, value_name = "N")]
    shared_inter: Option<usize>,
    /// Routed experts over all ranks
    #[arg(long, value_name = "N")]
    experts: Option<usize>,
    /// Experts that a token is sent to
    #[arg(long, value_name = "N")]
    topk: Option<usize>,
    /// How the router's logits become scores
    #[arg(long, value_enum, value_name = "FUNCTION")]
    scoring: Option<Scoring>,
    /// Factor on the routing weights
    #[arg(long, value_name = "X")]
    route_scale: Option<f64>,
    /// Clamp of the activation; 0 for none
    #[arg(long, value_name = "X")]
    swiglu_limit: Option<f64>,
    /// Layers below this one route by hash; 0 for none
    #[arg(long, value_name = "N")]
    hash_layers: Option<usize>,
    /// Rows of the hash-routing table
    #[arg(long, value_name = "N")]
    vocab: Option<usize>,
    /// Residual streams of the hyper-connections; 0 for a plain residual
    #[arg(long, value_name = "N")]
    streams: Option<usize>,
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
        Some(path) => tilewright::folder::write_new(path, &text)?,
    }
    Ok(Ended::Well)
}

fn layer(args: &MoeArgs) -> Result<Moe> {
    let mut moe = match &args.config {
        None => Moe {
            ranks: args.ep,
            tokens: args.tokens,
            ..Moe::default()
        },
        Some(path) => {
            let text = tilewright::layer::read_text(path)?;
            let name = path.display().to_string();
            moe::config::read(&name, &text, args.ep, args.tokens).map_err(Error::from)?
        }
    };
    fn take<T: Copy>(given: Option<T>, field: &mut T) {
        if let Some(value) = given {
            *field = value;
        }
    }
    take(args.hidden, &mut moe.hidden);
    take(args.inter, &mut moe.inter);
    // The shared expert is as large as a routed one unless it is said.
    take(args.shared_inter.or(args.inter), &mut moe.shared_inter);
    take(args.experts, &mut moe.experts);
    take(args.topk, &mut moe.topk);
    take(args.scoring, &mut moe.scoring);
    take(args.route_scale, &mut moe.route_scale);
    take(args.swiglu_limit, &mut moe.swiglu_limit);
    let hash = moe.hash.unwrap_or(Hash {
        layers: 0,
        vocab: 129_280,
    });
    let hash = Hash {
        layers: args.hash_layers.unwrap_or(hash.layers),
        vocab: args.vocab.unwrap_or(hash.vocab),
    };
    moe.hash = (hash.layers > 0).then_some(hash);
    if let Some(streams) = args.streams {
        let standard = Hyper {
            streams,
            iterations: 20,
            eps: 1e-6,
        };
        let hyper = moe.hyper.unwrap_or(standard);
        moe.hyper = (streams > 0).then_some(Hyper { streams, ..hyper });
    }
    if let Some(name) = &args.name {
        moe.name.clone_from(name);
    }
    Ok(moe)
}
