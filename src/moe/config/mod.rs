//! What a layer is from a model's `config.json`, as model hubs have them.
//!
//! Fields count for what they mean. The type of a model says only what its code does and no field tells, and what holds where a
//! field is absent (`models.json`). So a model of an unknown type is read by its fields, with a note. A field that asks for what
//! tilewright cannot do is refused by name. Fields of other parts of the model (attention, embeddings, tokens) are not looked at.

mod fields;
mod quantization;
mod said;

use super::{Moe, Scoring, graph_name};
use fields::{EXPERTS_PLAIN, Fields, HARMLESS, Kind, PROPERTIES, SHARED_COUNT};
pub use said::Said;
use serde_json::{Map, Value};
use std::sync::LazyLock;

/// Why a configuration is none.
#[derive(Debug, Clone, PartialEq, thiserror::Error, miette::Diagnostic)]
#[allow(missing_docs)] // Each variant has its message.
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
        field: String,
        help: String,
    },
    #[error("{file}: `{field}` is {value}, and a {expected} is needed")]
    #[diagnostic(
        code(tilewright::config::value),
        help("correct the field, or give what it says by its option")
    )]
    Value {
        file: String,
        field: String,
        value: String,
        expected: &'static str,
    },
    #[error("{file}: `{field}` is {value}, which tilewright cannot do")]
    #[diagnostic(code(tilewright::config::unsupported), help("{supported}"))]
    Unsupported {
        file: String,
        field: String,
        value: String,
        supported: String,
    },
}

/// What a model's code does and what it takes where a field is absent, by `model_type`.
static MODELS: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("models.json")).expect("the committed models are an object")
});

/// Models whose code does what no kernel here does, whatever their fields say.
const UNDONE: &[(&str, &str)] = &[(
    "phimoe",
    "its router masks logits far from the largest before each of two softmaxes, and its norm takes the mean off: for a layer \
     with another router, give the sizes by options without --config",
)];

/// Properties that a layer cannot be without.
const NEEDED: &[&str] = &["hidden", "inter", "experts", "topk"];

/// What a configuration says.
#[derive(Debug, Clone, PartialEq)]
pub struct Configured {
    /// The layer's sizes.
    pub moe: Moe,
    /// What the user should know: what was assumed, and what is written otherwise.
    pub notes: Vec<String>,
}

/// The layer of a configuration; what the options say wins.
///
/// # Errors
///
/// Text that is no configuration; fields that are missing, of another type, or ask for what tilewright cannot do.
pub fn read(file: &str, text: &str, options: &Said) -> Result<Configured, ConfigError> {
    let fields = Fields::parse(file, text)?;
    let model = fields.text("model_type").unwrap_or_default();
    let model = model.strip_suffix("_text").unwrap_or(model);
    if let Some((_, why)) = UNDONE.iter().find(|(name, _)| *name == model) {
        return Err(fields.unsupported("model_type", model, (*why).into()));
    }
    for (field, supported) in HARMLESS {
        let value = fields.first(&[*field]).map(|(_, v)| v);
        if let Some(value) = value.filter(|v| v.as_f64() != Some(0.0)) {
            let supported = (*supported).into();
            return Err(fields.unsupported(field, &value.to_string(), supported));
        }
    }
    let dense = fields
        .fields
        .get("mlp_only_layers")
        .and_then(Value::as_array);
    let layers = fields
        .fields
        .get("num_hidden_layers")
        .and_then(Value::as_u64);
    if dense.is_some_and(|d| !d.is_empty() && Some(d.len() as u64) == layers) {
        let supported = "a layer has experts: give a model that has such layers".into();
        return Err(fields.unsupported("mlp_only_layers", "every layer", supported));
    }
    Reading::new(&fields, model, options).layer()
}

/// Properties by their options' names, filled from what knows least to what knows best.
struct Reading<'a> {
    fields: &'a Fields<'a>,
    model: &'a str,
    options: Map<String, Value>,
    known: Map<String, Value>,
    notes: Vec<String>,
}

impl<'a> Reading<'a> {
    fn new(fields: &'a Fields<'a>, model: &'a str, options: &Said) -> Self {
        let object = |value| match value {
            Value::Object(object) => object,
            _ => Map::new(),
        };
        let model_says = MODELS.get(model).cloned().unwrap_or_default();
        Reading {
            fields,
            model,
            options: object(serde_json::to_value(options).unwrap_or_default()),
            known: object(model_says),
            notes: vec![],
        }
    }

    fn layer(mut self) -> Result<Configured, ConfigError> {
        for p in PROPERTIES {
            self.take(p.name, p.name, p.fields, p.kind)?;
        }
        self.choice()?;
        self.plain_size()?;
        self.hash_layers();
        self.shared()?;
        self.assumed();
        self.residual();
        self.notes.extend(quantization::notes(self.fields));
        self.known.extend(std::mem::take(&mut self.options));
        let open = |name: &&&str| !self.known.contains_key(**name);
        let missing: Vec<&str> = NEEDED.iter().filter(open).copied().collect();
        if !missing.is_empty() {
            return Err(self.missing(&missing));
        }
        let said = serde_json::from_value::<Said>(Value::Object(self.known.clone()));
        let said = said.map_err(|e| ConfigError::Json {
            file: self.fields.file.into(),
            reason: e.to_string(),
        })?;
        Ok(Configured {
            moe: said.of(plain(self.model)),
            notes: self.notes,
        })
    }

    /// What the first of these fields says. An option says it better, so then a field that cannot be read does not matter.
    fn take(
        &mut self,
        name: &str,
        option: &str,
        fields: &[&'static str],
        kind: Kind,
    ) -> Result<(), ConfigError> {
        match self.fields.read(fields, kind, option) {
            Ok(Some((_, value))) => {
                self.known.insert(name.into(), value);
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(_) if self.options.contains_key(option) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// What `topk_method` says of a bias, of groups and, where nothing else does, of scores.
    fn choice(&mut self) -> Result<(), ConfigError> {
        let Some(method) = self.fields.text("topk_method") else {
            return Ok(());
        };
        let (bias, score) = match method {
            "noaux_tc" => (true, Some("top2")),
            "group_limited_greedy" => (false, Some("max")),
            "greedy" => (false, None),
            other => {
                let supported = "known are noaux_tc (a bias corrects the choice), group_limited_greedy and greedy; or give --choice-bias";
                return Err(self
                    .fields
                    .unsupported("topk_method", other, supported.into()));
            }
        };
        self.known.insert("choice-bias".into(), bias.into());
        match score {
            Some(score) => {
                self.known.insert("group-score".into(), score.into());
            }
            None => {
                self.known.remove("groups");
                self.known.remove("groups-kept");
            }
        }
        if bias {
            self.known.entry("scoring").or_insert("sigmoid".into());
        }
        Ok(())
    }

    /// An expert's size in models that have one size only.
    fn plain_size(&mut self) -> Result<(), ConfigError> {
        // Where experts have sizes of their own, also such that cannot be read, this one is another's.
        let own = self.fields.first(fields::EXPERT_SIZE).is_some();
        if self.known.contains_key("inter") || own {
            return Ok(());
        }
        self.take("inter", "inter", &[EXPERTS_PLAIN], Kind::Size)?;
        let known = MODELS.contains_key(self.model) || self.options.contains_key("inter");
        if self.known.contains_key("inter") && !known {
            let note = format!("`{EXPERTS_PLAIN}` is taken for the size of an expert");
            self.notes.push(note);
        }
        Ok(())
    }

    fn hash_layers(&mut self) {
        let layers = self.fields.fields.get("mlp_layer_types");
        let hashed = |kind: &&Value| kind.as_str() == Some("hash_moe");
        if let Some(layers) = layers.and_then(Value::as_array) {
            let count = layers.iter().filter(hashed).count();
            self.known.insert("hash-layers".into(), count.into());
        }
    }

    /// The shared expert: of a size of its own, or as large as so many routed ones together.
    fn shared(&mut self) -> Result<(), ConfigError> {
        let count = "shared-experts";
        self.take(count, "shared-inter", SHARED_COUNT, Kind::Size)?;
        let count = self.known.remove(count).and_then(|n| n.as_u64());
        // A field that says 0 beside a count says that there is no other one.
        let own = self.known.get("shared-inter").and_then(Value::as_u64);
        let own = own.is_some_and(|n| n > 0);
        let asked = self.options.contains_key("shared-inter");
        let one = match count.filter(|n| *n > 0 && !own && !asked) {
            Some(_) => self.size_of_shared()?,
            None => None,
        };
        if let Some((count, one)) = count.zip(one) {
            let size = count.saturating_mul(one);
            self.known.insert("shared-inter".into(), size.into());
        }
        if self.known.get("shared-inter").and_then(Value::as_u64) == Some(0) {
            self.known.remove("shared-gate");
        }
        Ok(())
    }

    /// The size of one of several shared experts: that of a routed one.
    fn size_of_shared(&self) -> Result<Option<u64>, ConfigError> {
        let size = |from: Option<&Value>| from.and_then(Value::as_u64);
        let known = size(self.known.get("inter"));
        if known.is_some() {
            return Ok(known);
        }
        let Some((field, sizes)) = self.fields.first(fields::EXPERT_SIZE) else {
            return Ok(size(self.options.get("inter")));
        };
        // Routed experts are of several sizes, and the option has chosen one of them. It says nothing of the shared ones.
        let supported = "the shared expert is as large as several of these, and it is not said of which: give --shared-inter as well";
        let text = sizes.to_string();
        Err(self.fields.unsupported(field, &text, supported.into()))
    }

    /// Says which fields are not followed.
    fn residual(&mut self) {
        for (field, nothing) in fields::RESIDUAL {
            let value = self.fields.first(&[*field]).map(|(_, v)| v);
            let is_nothing = |v: &Value| {
                let number = v.as_f64().or(v.as_bool().map(|b| f64::from(u8::from(b))));
                number == Some(*nothing)
            };
            if let Some(value) = value.filter(|v| !is_nothing(v)) {
                self.notes.push(format!(
                    "`{field}` is {value}: the layer does not follow it, and adds its answer to its input as it is"
                ));
            }
        }
    }

    /// Says what an unknown model's fields left open.
    fn assumed(&mut self) {
        if MODELS.contains_key(self.model) {
            return;
        }
        let gated = fields::GATED_SHARED_SIZE;
        let mut assumed = vec![];
        if self.fields.first(&[gated]).is_some() {
            self.known.entry("shared-gate").or_insert(true.into());
            assumed.push("--shared-gate true");
        }
        let open = [
            ("scoring", "--scoring softmax"),
            ("choice-bias", "--choice-bias false"),
            ("normalize", "--normalize false"),
            ("norm-eps", "--norm-eps 1e-6"),
        ];
        let said = |name: &str| self.known.contains_key(name) || self.options.contains_key(name);
        assumed.extend(open.iter().filter(|(n, _)| !said(n)).map(|(_, text)| *text));
        let what = match self.model {
            "" => "there is no `model_type`".to_string(),
            model => format!("`model_type` is `{model}`, which is not known"),
        };
        let rest = match assumed.is_empty() {
            true => String::new(),
            false => format!("; assumed: {}", assumed.join(", ")),
        };
        self.notes
            .push(format!("{what}: the layer is read by its fields{rest}"));
    }

    /// All that is missing at once.
    fn missing(&self, missing: &[&str]) -> ConfigError {
        let fields = |name: &str| {
            let property = PROPERTIES.iter().find(|p| p.name == name);
            property.map_or(&[][..], |p| p.fields)
        };
        let first = |name: &&str| fields(name).first().copied().unwrap_or_default();
        let firsts: Vec<&str> = missing.iter().map(first).collect();
        let help = |name: &&str| match (missing.len(), fields(name).get(1..).unwrap_or_default()) {
            (_, []) => format!("give --{name}"),
            (1, others) => format!(
                "it may also be called {}; or give --{name}",
                others.join(", ")
            ),
            (_, others) => format!(
                "`{}` may also be called {}; or give --{name}",
                first(name),
                others.join(", ")
            ),
        };
        let helps: Vec<String> = missing.iter().map(help).collect();
        ConfigError::Missing {
            file: self.fields.file.into(),
            field: firsts.join("`, `"),
            help: helps.join("; "),
        }
    }
}

/// A layer of which nothing is said.
fn plain(model: &str) -> Moe {
    let name = match graph_name(model) {
        name if name.is_empty() => "moe".into(),
        // Some models have it in their name.
        name if name.ends_with("_moe") => name,
        name => format!("{name}_moe"),
    };
    Moe {
        name,
        hidden: 0,
        inter: 0,
        shared_inter: 0,
        experts: 0,
        topk: 0,
        scoring: Scoring::Softmax,
        bias: false,
        normalize: false,
        route_scale: 1.0,
        hash: None,
        swiglu_limit: 0.0,
        hyper: None,
        ..Moe::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: &str = r#""hidden_size": 2560, "num_experts": 64, "num_experts_per_tok": 6, "intermediate_size": 12288"#;

    fn read_with(more: &str, options: &Said) -> Result<Configured, ConfigError> {
        read("config.json", &format!("{{{SIZES}, {more}}}"), options)
    }

    /// An option for the routed experts says nothing of the shared one.
    #[test]
    fn the_shared_expert_keeps_its_size() {
        let lists = r#""moe_num_shared_experts": 2, "moe_intermediate_size": [1536, 512]"#;
        let options = Said {
            inter: Some(512),
            ..Said::default()
        };
        let refused = read_with(lists, &options).expect_err("nobody knows");
        assert!(refused.to_string().contains("moe_intermediate_size"));
        let both = Said {
            shared_inter: Some(3072),
            ..options
        };
        let moe = read_with(lists, &both).expect("it is a layer").moe;
        assert_eq!(moe.shared_inter, 3072);
    }

    #[test]
    fn fields_are_read_under_other_names_or_noted() {
        let more = r#""moe_intermediate_size": 512, "route_norm": true, "share_expert_dim": 640, "residual_multiplier": 0.22,
            "layernorm_mlp_alpha": 1.0, "parallel_attn_mlp_res": true"#;
        let found = read_with(more, &Said::default()).expect("it is a layer");
        assert!(found.moe.normalize);
        assert_eq!(found.moe.shared_inter, 640);
        let notes = found.notes.join("\n");
        for field in ["residual_multiplier", "parallel_attn_mlp_res"] {
            assert!(notes.contains(field), "{notes}");
        }
        assert!(!notes.contains("layernorm_mlp_alpha"), "{notes}");
    }

    #[test]
    fn all_that_is_missing_is_named() {
        let refused = read("config.json", "{}", &Said::default()).expect_err("it says nothing");
        let text = refused.to_string();
        for field in ["hidden_size", "moe_intermediate_size", "n_routed_experts"] {
            assert!(text.contains(field), "{text}");
        }
    }

    #[test]
    fn what_models_say_are_properties() {
        for (model, says) in MODELS.iter() {
            let Value::Object(mut says) = says.clone() else {
                panic!("{model} says nothing");
            };
            says.remove("shared-experts");
            let said = serde_json::from_value::<Said>(Value::Object(says));
            assert!(said.is_ok(), "{model}: {said:?}");
        }
    }
}
