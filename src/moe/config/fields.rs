//! The fields of configurations: what a layer's properties are called in them, and how their values are read.

use super::ConfigError;
use serde_json::{Map, Value};

/// What a property's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Size,
    Number,
    /// A number of which infinity, as 0, is none.
    Limit,
    Flag,
    Scoring,
    Activation,
}

/// A property of a layer: the option's name, and the fields that say it. The first field that is there counts.
pub(super) struct Property {
    pub name: &'static str,
    pub kind: Kind,
    pub fields: &'static [&'static str],
}

const fn property(name: &'static str, kind: Kind, fields: &'static [&'static str]) -> Property {
    Property { name, kind, fields }
}

/// Fields that say what an option says.
pub(super) const PROPERTIES: &[Property] = &[
    property("hidden", Kind::Size, &["hidden_size", "n_embd", "d_model"]),
    property("inter", Kind::Size, EXPERT_SIZE),
    property("experts", Kind::Size, EXPERTS),
    property("topk", Kind::Size, TOPK),
    property("shared-inter", Kind::Size, SHARED_SIZE),
    property("scoring", Kind::Scoring, SCORING),
    property("choice-bias", Kind::Flag, CHOICE_BIAS),
    property(
        "normalize",
        Kind::Flag,
        &["norm_topk_prob", "moe_renormalize", "route_norm"],
    ),
    property("route-scale", Kind::Number, ROUTE_SCALE),
    property("groups", Kind::Size, &["n_group", "num_expert_group"]),
    property("groups-kept", Kind::Size, &["topk_group"]),
    property("hash-layers", Kind::Size, &["num_hash_layers"]),
    property("vocab", Kind::Size, &["vocab_size"]),
    property("activation", Kind::Activation, ACTIVATION),
    property("swiglu-limit", Kind::Limit, &["swiglu_limit"]),
    property("activation-alpha", Kind::Number, &["swiglu_alpha"]),
    property("expert-bias", Kind::Flag, &["mlp_bias"]),
    property("streams", Kind::Size, &["hc_mult"]),
    property("sinkhorn-iterations", Kind::Size, &["hc_sinkhorn_iters"]),
    property("hc-eps", Kind::Number, &["hc_eps"]),
    property("norm-eps", Kind::Number, NORM_EPS),
];

pub(super) const EXPERT_SIZE: &[&str] = &[
    "moe_intermediate_size",
    "expert_intermediate_size",
    "moe_ffn_hidden_size",
];
const EXPERTS: &[&str] = &[
    "n_routed_experts",
    "num_experts",
    "num_local_experts",
    "moe_num_experts",
];
const TOPK: &[&str] = &[
    "num_experts_per_tok",
    "num_experts_per_token",
    "experts_per_token",
    "moe_topk",
    "moe_top_k",
    "moe_k",
];
const SHARED_SIZE: &[&str] = &[
    GATED_SHARED_SIZE,
    "moe_shared_expert_intermediate_size",
    "shared_intermediate_size",
    "share_expert_dim",
];
/// The field of models that multiply the shared expert's answer by a sigmoid.
pub(super) const GATED_SHARED_SIZE: &str = "shared_expert_intermediate_size";
const SCORING: &[&str] = &[
    "scoring_func",
    "score_func",
    "score_function",
    "moe_router_activation_func",
    "moe_router_score_function",
];
const CHOICE_BIAS: &[&str] = &[
    "use_routing_bias",
    "moe_use_aux_free",
    "moe_router_enable_expert_bias",
    "use_expert_bias",
];
const ROUTE_SCALE: &[&str] = &["routed_scaling_factor", "route_scale"];
const ACTIVATION: &[&str] = &["mlp_hidden_act", "hidden_act", "hidden_activation"];
const NORM_EPS: &[&str] = &[
    "rms_norm_eps",
    "layernorm_epsilon",
    "layer_norm_epsilon",
    "norm_eps",
];
/// Fields that count shared experts, each of the size of a routed one.
pub(super) const SHARED_COUNT: &[&str] = &[
    "n_shared_experts",
    "num_shared_experts",
    "moe_num_shared_experts",
    "num_shared_expert",
];
/// The size of an expert in models whose layers all have experts, and of other layers elsewhere.
pub(super) const EXPERTS_PLAIN: &str = "intermediate_size";

/// Fields of which only harmless values can be done, with what would work.
pub(super) const HARMLESS: &[(&str, &str)] = &[
    (
        "moe_latent_size",
        "experts read and write the hidden size: leave the field out or make it null for such a layer",
    ),
    (
        "zero_expert_num",
        "all experts compute: make the field 0 for such a layer",
    ),
];

/// Fields that change what a layer adds to its input, with the values that change nothing.
pub(super) const RESIDUAL: &[(&str, f64)] = &[
    ("residual_multiplier", 1.0),
    ("layernorm_mlp_alpha", 1.0),
    ("layernorm_mlp_beta", 1.0),
    ("parallel_attn_mlp_res", 0.0),
];

/// The fields of a configuration, with those of its `text_config` above them.
pub(super) struct Fields<'a> {
    pub file: &'a str,
    pub fields: Map<String, Value>,
}

/// Keys of the language model's part in a configuration of several.
const TEXT_PARTS: &[&str] = &[
    "thinker_config",
    "text_config",
    "llm_config",
    "language_config",
];

impl<'a> Fields<'a> {
    pub fn parse(file: &'a str, text: &str) -> Result<Self, ConfigError> {
        let json = |reason: String| ConfigError::Json {
            file: file.into(),
            reason,
        };
        let text = quote_numbers(text);
        let value: Value = serde_json::from_str(&text).map_err(|e| json(e.to_string()))?;
        let Value::Object(mut fields) = value else {
            return Err(json("it is something else".into()));
        };
        for part in TEXT_PARTS {
            if let Some(Value::Object(inner)) = fields.remove(*part) {
                let outer = fields.get("model_type").cloned();
                fields.extend(inner);
                // A part's type is that of the whole with a suffix.
                if let Some(outer) = outer {
                    fields.entry("model_type").and_modify(|inner| {
                        let text = inner.as_str().unwrap_or_default();
                        if text.is_empty() || text.ends_with("_text") {
                            *inner = outer;
                        }
                    });
                }
            }
        }
        Ok(Fields { file, fields })
    }

    /// The first of these fields that is there, and is not null.
    pub fn first(&self, names: &[&'static str]) -> Option<(&'static str, &Value)> {
        let found = names
            .iter()
            .filter_map(|n| Some((*n, self.fields.get(*n)?)));
        found.into_iter().find(|(_, v)| !v.is_null())
    }

    /// The value of the first of these fields that is there, as the option of the kind would say it.
    pub fn read(
        &self,
        names: &[&'static str],
        kind: Kind,
        option: &str,
    ) -> Result<Option<(&'static str, Value)>, ConfigError> {
        let Some((field, value)) = self.first(names) else {
            return Ok(None);
        };
        let value = match value {
            Value::Array(layers) => self.same(field, layers, option)?,
            value => value,
        };
        let wrong = |expected| ConfigError::Value {
            file: self.file.into(),
            field: field.into(),
            value: value.to_string(),
            expected,
        };
        let read = match kind {
            Kind::Size => value
                .as_u64()
                .or_else(|| whole(value))
                .map(Value::from)
                .ok_or_else(|| wrong("whole number"))?,
            Kind::Limit if value.as_str() == Some(INFINITY) => Value::from(0.0),
            Kind::Number | Kind::Limit => value
                .as_f64()
                .map(Value::from)
                .ok_or_else(|| wrong("number"))?,
            Kind::Flag => value
                .as_bool()
                .map(Value::from)
                .ok_or_else(|| wrong("truth value"))?,
            Kind::Scoring => self.named(field, value, SCORINGS, option)?,
            Kind::Activation => self.named(field, value, ACTIVATIONS, option)?,
        };
        Ok(Some((field, read)))
    }

    /// The one value of a list with an element for each layer.
    fn same<'v>(
        &self,
        field: &str,
        layers: &'v [Value],
        option: &str,
    ) -> Result<&'v Value, ConfigError> {
        match layers {
            [first, rest @ ..] if rest.iter().all(|v| v == first) => Ok(first),
            _ => {
                let list = Value::Array(layers.to_vec()).to_string();
                let supported =
                    format!("a file is one layer: give --{option} for the layer that you want");
                Err(self.unsupported(field, &list, supported))
            }
        }
    }

    fn named(
        &self,
        field: &str,
        value: &Value,
        known: &[(&str, &str)],
        option: &str,
    ) -> Result<Value, ConfigError> {
        let text = value.as_str().ok_or_else(|| ConfigError::Value {
            file: self.file.into(),
            field: field.into(),
            value: value.to_string(),
            expected: "name",
        })?;
        match known.iter().find(|(name, _)| *name == text) {
            Some((_, option)) => Ok(Value::from(*option)),
            None => {
                let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
                let supported = format!("known are {}; or give --{option}", names.join(", "));
                Err(self.unsupported(field, text, supported))
            }
        }
    }

    pub fn unsupported(&self, field: &str, value: &str, supported: String) -> ConfigError {
        ConfigError::Unsupported {
            file: self.file.into(),
            field: field.into(),
            value: format!("`{value}`"),
            supported,
        }
    }

    pub fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field).and_then(Value::as_str)
    }
}

/// Names of scores in configurations, and of the option.
const SCORINGS: &[(&str, &str)] = &[
    ("softmax", "softmax"),
    ("sigmoid", "sigmoid"),
    ("sqrtsoftplus", "sqrtsoftplus"),
];

/// Names of activations in configurations, and of the option.
const ACTIVATIONS: &[(&str, &str)] = &[
    ("silu", "silu"),
    ("swish", "silu"),
    ("swiglu", "silu"),
    ("relu2", "relu2"),
    ("gelu_pytorch_tanh", "gelu-tanh"),
    ("gelu_new", "gelu-tanh"),
];

/// A whole number that is written as a float.
fn whole(value: &Value) -> Option<u64> {
    let number = value.as_f64()?;
    // Below 2^53 floats are exact.
    let fits = number.fract() == 0.0 && (0.0..9e15).contains(&number);
    fits.then_some(number as u64)
}

const INFINITY: &str = "Infinity";
/// Numbers that Python writes and JSON has not.
const NO_JSON: &[&str] = &["-Infinity", INFINITY, "NaN"];

/// The text with these numbers as strings. Strings stay as they are.
fn quote_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut quoted = false;
    while let Some(char) = rest.chars().next() {
        let token = NO_JSON.iter().find(|t| !quoted && rest.starts_with(**t));
        if let Some(token) = token {
            out.extend(["\"", token, "\""]);
            rest = &rest[token.len()..];
            continue;
        }
        // What a backslash stands before ends no string.
        let taken = match char {
            '\\' if quoted => rest.chars().take(2).map(char::len_utf8).sum(),
            _ => char.len_utf8(),
        };
        quoted ^= char == '"';
        out.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moe::{Activation, Scoring};

    #[test]
    fn numbers_that_json_has_not_become_strings() {
        let text = r#"{"a": [0.0, Infinity], "b": -Infinity, "NaN": "say \"Infinity\"", "c": NaN}"#;
        let expected =
            r#"{"a": [0.0, "Infinity"], "b": "-Infinity", "NaN": "say \"Infinity\"", "c": "NaN"}"#;
        assert_eq!(quote_numbers(text), expected);
    }

    #[test]
    fn every_name_is_one_of_the_option() {
        for (_, name) in SCORINGS {
            assert!(serde_json::from_value::<Scoring>(Value::from(*name)).is_ok());
        }
        for (_, name) in ACTIVATIONS {
            assert!(serde_json::from_value::<Activation>(Value::from(*name)).is_ok());
        }
    }
}
