//! What is said of a layer: by a configuration, by its model's code, or by options.

use crate::moe::{Activation, GroupScore, Groups, Hash, Hyper, Moe, Scoring};
use serde::{Deserialize, Serialize};

/// Properties of a layer, each of which may be left open. The names are those of the options.
#[derive(Debug, Clone, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Said {
    /// Hidden size
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hidden: Option<usize>,
    /// Intermediate size of a routed expert
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inter: Option<usize>,
    /// Intermediate size of the shared expert; 0 for none
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_inter: Option<usize>,
    /// Routed experts over all ranks
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub experts: Option<usize>,
    /// Experts that a token is sent to
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topk: Option<usize>,
    /// How the router's logits become scores
    #[arg(long, value_enum, value_name = "FUNCTION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scoring: Option<Scoring>,
    /// Whether a bias is added to the router's logits
    #[arg(long, value_name = "BOOL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router_bias: Option<bool>,
    /// Whether experts are chosen by their scores plus a bias
    #[arg(long, value_name = "BOOL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub choice_bias: Option<bool>,
    /// Whether the weights of a token's experts are divided by their sum
    #[arg(long, value_name = "BOOL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalize: Option<bool>,
    /// Factor on the routing weights
    #[arg(long, value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route_scale: Option<f64>,
    /// Groups that the experts are in
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<usize>,
    /// Groups that a token's experts are chosen from
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups_kept: Option<usize>,
    /// What a group is worth: its best score, or the sum of its two best
    #[arg(long, value_enum, value_name = "SCORE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_score: Option<GroupScore>,
    /// Whether the weight is multiplied into an expert's input instead of its answer
    #[arg(long, value_name = "BOOL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weigh_input: Option<bool>,
    /// Layers below this one route by hash; 0 for none
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_layers: Option<usize>,
    /// Rows of the hash-routing table
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vocab: Option<usize>,
    /// The function in an expert
    #[arg(long, value_enum, value_name = "FUNCTION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
    /// Whether experts multiply the activation by a second product
    #[arg(long, value_name = "BOOL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gated: Option<bool>,
    /// Clamp of the activation; 0 for none
    #[arg(long, value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swiglu_limit: Option<f64>,
    /// Factor in the sigmoid of silu
    #[arg(long, value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation_alpha: Option<f64>,
    /// What is added to the second product
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub up_offset: Option<f64>,
    /// Whether the routed experts' products have biases
    #[arg(long, value_name = "BOOL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expert_bias: Option<bool>,
    /// Whether the shared expert's answer is multiplied by a sigmoid of its own
    #[arg(long, value_name = "BOOL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_gate: Option<bool>,
    /// Residual streams of the hyper-connections; 0 for a plain residual
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub streams: Option<usize>,
    /// Iterations that balance the mixing of the streams
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sinkhorn_iterations: Option<usize>,
    /// Least weight of a stream
    #[arg(long, value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hc_eps: Option<f64>,
    /// What the norm adds to the mean square
    #[arg(long, value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub norm_eps: Option<f64>,
}

impl Said {
    /// A layer with what is said, and the rest as it is.
    pub fn of(&self, moe: Moe) -> Moe {
        let groups = self.groups(moe.groups);
        let hash = Hash {
            layers: self.hash_layers.unwrap_or(moe.hash.map_or(0, |h| h.layers)),
            vocab: (self.vocab).unwrap_or(moe.hash.map_or(Hash::VOCAB, |h| h.vocab)),
        };
        let hyper = Hyper {
            streams: self.streams.unwrap_or(moe.hyper.map_or(0, |h| h.streams)),
            iterations: (self.sinkhorn_iterations)
                .unwrap_or(moe.hyper.map_or(Hyper::ITERATIONS, |h| h.iterations)),
            eps: self
                .hc_eps
                .unwrap_or(moe.hyper.map_or(Hyper::EPS, |h| h.eps)),
        };
        Moe {
            hidden: self.hidden.unwrap_or(moe.hidden),
            inter: self.inter.unwrap_or(moe.inter),
            shared_inter: self.shared_inter.unwrap_or(moe.shared_inter),
            experts: self.experts.unwrap_or(moe.experts),
            topk: self.topk.unwrap_or(moe.topk),
            scoring: self.scoring.unwrap_or(moe.scoring),
            router_bias: self.router_bias.unwrap_or(moe.router_bias),
            bias: self.choice_bias.unwrap_or(moe.bias),
            normalize: self.normalize.unwrap_or(moe.normalize),
            route_scale: self.route_scale.unwrap_or(moe.route_scale),
            groups,
            weigh_input: self.weigh_input.unwrap_or(moe.weigh_input),
            hash: (hash.layers > 0).then_some(hash),
            activation: self.activation.unwrap_or(moe.activation),
            gated: self.gated.unwrap_or(moe.gated),
            swiglu_limit: self.swiglu_limit.unwrap_or(moe.swiglu_limit),
            activation_alpha: self.activation_alpha.unwrap_or(moe.activation_alpha),
            up_offset: self.up_offset.unwrap_or(moe.up_offset),
            expert_bias: self.expert_bias.unwrap_or(moe.expert_bias),
            shared_gate: self.shared_gate.unwrap_or(moe.shared_gate),
            hyper: (hyper.streams > 0).then_some(hyper),
            norm_eps: self.norm_eps.unwrap_or(moe.norm_eps),
            name: moe.name,
            ranks: moe.ranks,
            tokens: moe.tokens,
        }
    }

    /// Groups limit the choice if not all of them are kept.
    fn groups(&self, known: Option<Groups>) -> Option<Groups> {
        let groups = self.groups.or(known.map(|g| g.groups)).unwrap_or(1);
        let kept = self.groups_kept.or(known.map(|g| g.kept)).unwrap_or(groups);
        let score = (self.group_score)
            .or(known.map(|g| g.score))
            .unwrap_or(GroupScore::Top2);
        (kept != groups).then_some(Groups {
            groups,
            kept,
            score,
        })
    }
}
