//! Mixture-of-Experts layers from sizes: the layer file that an engineer would start from.
//!
//! There is one file to start from, `examples/dsv4_flash_moe.tw`. [`Moe::file`] is its syntax tree with other sizes, without the
//! parts that a model does not have, and with the model's way to score. So what is written is a file like one written by hand,
//! comments and all. Tiles that do not divide the sizes are made smaller. [`config`] reads what a model is from its `config.json`.

mod bodies;
mod check;
pub mod config;
mod edit;
mod parts;
mod tiles;

use edit::Edit;
use serde::{Deserialize, Serialize};
use tilewright_ir::text::ast::File;
use tilewright_ir::text::{parse, print};

/// The layer that all others are made from.
const TEMPLATE: &str = include_str!("../../examples/dsv4_flash_moe.tw");

/// How a router's logits become scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scoring {
    /// The root of the softplus.
    #[value(name = "sqrtsoftplus")]
    SqrtSoftplus,
    /// The logistic function.
    Sigmoid,
    /// Of all experts of a token together.
    Softmax,
}

impl Scoring {
    /// All ways to score experts.
    pub const ALL: [Scoring; 3] = [Scoring::SqrtSoftplus, Scoring::Sigmoid, Scoring::Softmax];
}

/// The function of an expert's first product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// `x * sigmoid(x)`.
    Silu,
    /// The form of gelu with a tanh.
    GeluTanh,
    /// The square of what is positive.
    Relu2,
}

impl Activation {
    /// All activations.
    pub const ALL: [Activation; 3] = [Activation::Silu, Activation::GeluTanh, Activation::Relu2];
}

/// What a group of experts is worth to a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupScore {
    /// Its best expert's score.
    Max,
    /// The sum of its two best experts' scores.
    Top2,
}

impl GroupScore {
    /// How many scores are added.
    fn best(self) -> usize {
        match self {
            GroupScore::Max => 1,
            GroupScore::Top2 => 2,
        }
    }
}

/// Experts in groups, of which a token goes to the best few only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Groups {
    /// How many groups of experts there are.
    pub groups: usize,
    /// How many of them a token may choose from.
    pub kept: usize,
    /// What groups are compared by.
    pub score: GroupScore,
}

/// Residual streams that are mixed into the layer and out of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hyper {
    /// How many residual streams there are.
    pub streams: usize,
    /// How often rows and columns of the mixing matrix are normed.
    pub iterations: usize,
    /// What is added to a sum before a division.
    pub eps: f64,
}

impl Hyper {
    /// Iterations where nobody says how many.
    pub const ITERATIONS: usize = 20;
    /// Least weight of a stream where nobody says it.
    pub const EPS: f64 = 1e-6;
}

/// Layers whose experts are a function of the token alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hash {
    /// Layers below this one route so.
    pub layers: usize,
    /// How many tokens the table has.
    pub vocab: usize,
}

impl Hash {
    /// Rows of the table where nobody says how many.
    pub const VOCAB: usize = 129_280;
}

/// A Mixture-of-Experts layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Moe {
    /// The graph's name.
    pub name: String,
    /// How many ranks share the experts.
    pub ranks: usize,
    /// Tokens of a rank.
    pub tokens: usize,
    /// Elements of a token.
    pub hidden: usize,
    /// Intermediate size of a routed expert.
    pub inter: usize,
    /// Intermediate size of the shared expert; 0 for none.
    pub shared_inter: usize,
    /// Routed experts over all ranks.
    pub experts: usize,
    /// Experts a token.
    pub topk: usize,
    /// How experts are scored.
    pub scoring: Scoring,
    /// Whether a bias is added to the router's logits.
    pub router_bias: bool,
    /// Whether the choice (and not the weight) is by the score plus a bias.
    pub bias: bool,
    /// Whether the weights of a token's experts are divided by their sum.
    pub normalize: bool,
    /// What the weights of a token are multiplied by.
    pub route_scale: f64,
    /// Groups that limit the choice.
    pub groups: Option<Groups>,
    /// Whether an expert's input, and not its answer, is multiplied by the weight.
    pub weigh_input: bool,
    /// Routing by the number of the token.
    pub hash: Option<Hash>,
    /// The function between the products of an expert.
    pub activation: Activation,
    /// Whether experts multiply the activation of one product by another one.
    pub gated: bool,
    /// Clamp of the activation; 0 for none.
    pub swiglu_limit: f64,
    /// Factor on what the sigmoid of `silu` is of.
    pub activation_alpha: f64,
    /// What is added to the product that the activation is multiplied by.
    pub up_offset: f64,
    /// Whether the routed experts' products have biases.
    pub expert_bias: bool,
    /// Whether the shared expert's answer is multiplied by the sigmoid of a product of its own.
    pub shared_gate: bool,
    /// Hyper-connections, if there are some.
    pub hyper: Option<Hyper>,
    /// The epsilon of norms.
    pub norm_eps: f64,
}

impl Default for Moe {
    /// DeepSeek-V4-Flash on two ranks.
    fn default() -> Self {
        Moe {
            name: "dsv4_flash_moe".into(),
            ranks: 2,
            tokens: 8,
            hidden: 4096,
            inter: 2048,
            shared_inter: 2048,
            experts: 64,
            topk: 6,
            scoring: Scoring::SqrtSoftplus,
            router_bias: false,
            bias: true,
            normalize: true,
            route_scale: 1.5,
            groups: None,
            weigh_input: false,
            hash: Some(Hash {
                layers: 3,
                vocab: Hash::VOCAB,
            }),
            activation: Activation::Silu,
            gated: true,
            swiglu_limit: 10.0,
            activation_alpha: 1.0,
            up_offset: 0.0,
            expert_bias: false,
            shared_gate: false,
            hyper: Some(Hyper {
                streams: 4,
                iterations: Hyper::ITERATIONS,
                eps: Hyper::EPS,
            }),
            norm_eps: 1e-6,
        }
    }
}

/// Why there is no such layer.
#[derive(Debug, Clone, PartialEq, thiserror::Error, miette::Diagnostic)]
#[allow(missing_docs)] // Each variant has its message.
pub enum MoeError {
    #[error("a layer on {ranks} ranks: expert parallelism is for 2, 4, 8, 16 or 32")]
    #[diagnostic(
        code(tilewright::moe::ranks),
        help("give --ep 2, 4, 8, 16 or 32; one rank alone dispatches nothing")
    )]
    Ranks { ranks: usize },
    #[error("{what} is {value}, which {problem}")]
    #[diagnostic(code(tilewright::moe::size), help("{help}"))]
    Size {
        what: &'static str,
        value: usize,
        problem: String,
        help: String,
    },
    #[error("hyper-connections without a shared expert")]
    #[diagnostic(
        code(tilewright::moe::no_shared),
        help("give the shared expert a size: what the experts return is added to its result")
    )]
    NoShared,
    #[error("{what}")]
    #[diagnostic(code(tilewright::moe::not_together), help("{help}"))]
    NotTogether {
        what: &'static str,
        help: &'static str,
    },
    #[error("{what} is {value}")]
    #[diagnostic(
        code(tilewright::moe::number),
        help("give a finite number that is not negative")
    )]
    Number { what: &'static str, value: f64 },
    #[error("the name `{name}` cannot be a graph's")]
    #[diagnostic(
        code(tilewright::moe::name),
        help("use letters, digits and `_`, not starting with a digit")
    )]
    Name { name: String },
}

impl Moe {
    /// The layer as text.
    ///
    /// # Errors
    ///
    /// Sizes that are no layer's.
    pub fn text(&self) -> Result<String, MoeError> {
        Ok(print(&self.file()?))
    }

    /// The layer's file.
    ///
    /// # Errors
    ///
    /// Sizes that are no layer's.
    pub fn file(&self) -> Result<File, MoeError> {
        self.check()?;
        let mut file = parse(TEMPLATE).expect("the committed layer parses");
        let standard = Moe::default();
        file.graph.kind.name.name.clone_from(&self.name);
        if self.name != standard.name {
            file.graph.leading.clear();
        }
        let mut edit = Edit {
            lines: &mut file.graph.kind.body,
        };
        self.routing(&mut edit);
        self.experts(&mut edit);
        self.shared(&mut edit);
        self.residual(&mut edit);
        self.sizes(&mut edit);
        self.fit(&mut file);
        Ok(file)
    }
}

/// A name that a graph can have.
pub fn graph_name(text: &str) -> String {
    let clean = |c: char| match c.is_ascii_alphanumeric() {
        true => c.to_ascii_lowercase(),
        false => '_',
    };
    let name: String = text.chars().map(clean).collect();
    match name.starts_with(|c: char| c.is_ascii_digit()) {
        true => format!("m{name}"),
        false => name,
    }
}
