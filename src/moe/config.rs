//! Sizes from a model's `config.json`, as model hubs have them.
//!
//! Fields of what the layer consists of are read; a field that asks for something else than tilewright can do is refused by
//! name. Fields of other parts of the model (attention, embeddings, tokens) say nothing of this layer and are not looked at.

use super::{Hash, Hyper, Moe, Scoring, graph_name};
use serde_json::{Map, Value};

/// Why a configuration is none.
#[derive(Debug, Clone, PartialEq, thiserror::Error, miette::Diagnostic)]
pub enum ConfigError {
    #[error("{file} is no JSON object: {reason}")]
    #[diagnostic(
        code(tilewright::config::json),
        help("give the `config.json` of a model")
    )]
    Json { file: String, reason: String },
    #[error("{file} has no `{field}`")]
    #[diagnostic(code(tilewright::config::missing), help("{help}"))]
    Missing {
        file: String,
        field: &'static str,
        help: String,
    },
    #[error("{file}: `{field}` is {value}, and a {expected} is needed")]
    #[diagnostic(
        code(tilewright::config::value),
        help("correct the field, or give the size by its option")
    )]
    Value {
        file: String,
        field: &'static str,
        value: String,
        expected: &'static str,
    },
    #[error("{file}: `{field}` is {value}, which tilewright cannot do")]
    #[diagnostic(code(tilewright::config::unsupported), help("{supported}"))]
    Unsupported {
        file: String,
        field: &'static str,
        value: String,
        supported: String,
    },
}

/// The models whose fields are known, by `model_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    DeepSeek,
    DeepSeekV4,
    Glm,
    Qwen3,
    Mixtral,
}

const FAMILIES: &[(&str, Family)] = &[
    ("deepseek_v3", Family::DeepSeek),
    ("deepseek_v32", Family::DeepSeek),
    ("deepseek_v4", Family::DeepSeekV4),
    ("glm4_moe", Family::Glm),
    ("qwen3_moe", Family::Qwen3),
    ("mixtral", Family::Mixtral),
];

/// The layer of a configuration, on so many ranks, for so many tokens a rank.
///
/// # Errors
///
/// Text that is no configuration; fields that are missing, of another type, or ask for what tilewright cannot do.
pub fn read(file: &str, text: &str, ranks: usize, tokens: usize) -> Result<Moe, ConfigError> {
    let json = |reason: String| ConfigError::Json {
        file: file.into(),
        reason,
    };
    let value: Value = serde_json::from_str(text).map_err(|e| json(e.to_string()))?;
    let Value::Object(fields) = value else {
        return Err(json("it is something else".into()));
    };
    let config = Config { file, fields };
    config.moe(ranks, tokens)
}

struct Config<'a> {
    file: &'a str,
    fields: Map<String, Value>,
}

impl Config<'_> {
    fn moe(&self, ranks: usize, tokens: usize) -> Result<Moe, ConfigError> {
        let model = self.text("model_type")?.ok_or_else(|| {
            let known: Vec<&str> = FAMILIES.iter().map(|(name, _)| *name).collect();
            self.missing("model_type", format!("known are {}", known.join(", ")))
        })?;
        let Some((_, family)) = FAMILIES.iter().find(|(name, _)| *name == model) else {
            let known: Vec<&str> = FAMILIES.iter().map(|(name, _)| *name).collect();
            let supported = format!(
                "known are {}; or give the sizes by options",
                known.join(", ")
            );
            return Err(self.unsupported("model_type", &model, supported));
        };
        self.common()?;
        let moe = Moe {
            name: match graph_name(&model) {
                // Some models have it in their name.
                name if name.ends_with("_moe") => name,
                name => format!("{name}_moe"),
            },
            ranks,
            tokens,
            hidden: self.size("hidden_size")?,
            topk: self.size("num_experts_per_tok")?,
            norm_eps: self.number("rms_norm_eps")?.unwrap_or(1e-6),
            normalize: self.flag("norm_topk_prob")?.unwrap_or(true),
            route_scale: self.number("routed_scaling_factor")?.unwrap_or(1.0),
            hash: None,
            hyper: None,
            swiglu_limit: self.number("swiglu_limit")?.unwrap_or(0.0),
            ..Moe::default()
        };
        match family {
            Family::DeepSeek | Family::Glm => self.deepseek(moe, Scoring::Sigmoid),
            Family::DeepSeekV4 => self.deepseek_v4(moe),
            Family::Qwen3 => {
                let layers = self.fields.get("mlp_only_layers");
                if layers
                    .and_then(Value::as_array)
                    .is_some_and(|l| l.len() as u64 == self.layers())
                {
                    let supported = "a layer with experts".into();
                    return Err(self.unsupported("mlp_only_layers", "every layer", supported));
                }
                let inter = self.size("moe_intermediate_size")?;
                let experts = self.size("num_experts")?;
                Ok(softmax(moe, inter, experts))
            }
            Family::Mixtral => {
                let inter = self.size("intermediate_size")?;
                let experts = self.size("num_local_experts")?;
                // The softmax is over the chosen experts, which is the softmax over all, normalised.
                Ok(Moe {
                    normalize: true,
                    ..softmax(moe, inter, experts)
                })
            }
        }
    }

    /// What every family must agree with.
    fn common(&self) -> Result<(), ConfigError> {
        if let Some(act) = self.text("hidden_act")?
            && act != "silu"
        {
            return Err(self.unsupported(
                "hidden_act",
                &act,
                "the gated activation is silu".into(),
            ));
        }
        Ok(())
    }

    fn deepseek(&self, moe: Moe, default: Scoring) -> Result<Moe, ConfigError> {
        let inter = self.size("moe_intermediate_size")?;
        let scoring = match self.text("scoring_func")? {
            None => default,
            Some(name) => match Scoring::ALL.into_iter().find(|s| s.name() == name) {
                Some(scoring) => scoring,
                None => {
                    let known = Scoring::ALL.map(Scoring::name).join(", ");
                    return Err(self.unsupported(
                        "scoring_func",
                        &name,
                        format!("known are {known}"),
                    ));
                }
            },
        };
        let bias = match self.text("topk_method")?.as_deref() {
            None | Some("noaux_tc") => true,
            Some("greedy") => false,
            Some(other) => {
                let supported = "noaux_tc (a bias corrects the choice) and greedy are".into();
                return Err(self.unsupported("topk_method", other, supported));
            }
        };
        let groups = self.optional_size("n_group")?.unwrap_or(1);
        let kept = self.optional_size("topk_group")?.unwrap_or(groups);
        if kept < groups {
            let supported = format!(
                "experts are chosen among all of them: `n_group` = 1, or `topk_group` = `n_group` = {groups}"
            );
            return Err(self.unsupported("topk_group", &kept.to_string(), supported));
        }
        Ok(Moe {
            inter,
            shared_inter: inter * self.optional_size("n_shared_experts")?.unwrap_or(0),
            experts: self.size("n_routed_experts")?,
            scoring,
            bias,
            ..moe
        })
    }

    fn deepseek_v4(&self, moe: Moe) -> Result<Moe, ConfigError> {
        let moe = self.deepseek(moe, Scoring::SqrtSoftplus)?;
        let hash = self.optional_size("num_hash_layers")?.filter(|n| *n > 0);
        let hash = match hash {
            None => None,
            Some(layers) => Some(Hash {
                layers,
                vocab: self.size("vocab_size")?,
            }),
        };
        let streams = self.optional_size("hc_mult")?.unwrap_or(4);
        Ok(Moe {
            hash,
            hyper: Some(Hyper {
                streams,
                iterations: self.optional_size("hc_sinkhorn_iters")?.unwrap_or(20),
                eps: self.number("hc_eps")?.unwrap_or(1e-6),
            }),
            ..moe
        })
    }

    fn layers(&self) -> u64 {
        let layers = self.fields.get("num_hidden_layers");
        layers.and_then(Value::as_u64).unwrap_or(0)
    }

    fn size(&self, field: &'static str) -> Result<usize, ConfigError> {
        let found = self.optional_size(field)?;
        found.ok_or_else(|| self.missing(field, "the layer needs it".into()))
    }

    fn optional_size(&self, field: &'static str) -> Result<Option<usize>, ConfigError> {
        self.typed(field, "whole number", |v| {
            v.as_u64().and_then(|n| usize::try_from(n).ok())
        })
    }

    fn number(&self, field: &'static str) -> Result<Option<f64>, ConfigError> {
        self.typed(field, "number", Value::as_f64)
    }

    fn flag(&self, field: &'static str) -> Result<Option<bool>, ConfigError> {
        self.typed(field, "truth value", Value::as_bool)
    }

    fn text(&self, field: &'static str) -> Result<Option<String>, ConfigError> {
        self.typed(field, "name", |v| v.as_str().map(String::from))
    }

    fn typed<T>(
        &self,
        field: &'static str,
        expected: &'static str,
        as_type: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        match self.fields.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match as_type(value) {
                Some(value) => Ok(Some(value)),
                None => Err(ConfigError::Value {
                    file: self.file.into(),
                    field,
                    value: value.to_string(),
                    expected,
                }),
            },
        }
    }

    fn missing(&self, field: &'static str, help: String) -> ConfigError {
        ConfigError::Missing {
            file: self.file.into(),
            field,
            help,
        }
    }

    fn unsupported(&self, field: &'static str, value: &str, supported: String) -> ConfigError {
        ConfigError::Unsupported {
            file: self.file.into(),
            field,
            value: format!("`{value}`"),
            supported,
        }
    }
}

/// A router with a softmax and no bias, and no shared expert.
fn softmax(moe: Moe, inter: usize, experts: usize) -> Moe {
    Moe {
        inter,
        shared_inter: 0,
        experts,
        scoring: Scoring::Softmax,
        bias: false,
        ..moe
    }
}
