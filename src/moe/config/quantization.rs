//! What a configuration says of the experts' numbers, where the layer's are others.

use super::fields::Fields;
use serde_json::Value;

/// How the layer's numbers differ from the model's. The experts' weights and rows are int8 in every layer.
pub(super) fn notes(fields: &Fields) -> Vec<String> {
    let mut found = vec![];
    if let Some(expert) = fields.text("expert_dtype") {
        found.push(("expert_dtype", expert.to_string()));
    }
    for field in ["quantization_config", "compression_config"] {
        if let Some(value @ Value::Object(_)) = fields.fields.get(field) {
            found.push((field, description(value)));
        }
    }
    if found.is_empty() {
        let plain = fields.first(&["dtype", "torch_dtype"]);
        found.extend(plain.and_then(|(f, v)| Some((f, v.as_str()?.to_string()))));
    }
    let other = found.into_iter().filter(|(_, what)| !what.contains("int8"));
    other
        .map(|(field, what)| {
            format!(
                "`{field}` is {what}: experts are written as int8 instead, their weights with a scale a column and what they \
                 multiply with a scale a row"
            )
        })
        .collect()
}

/// A quantisation in a few words.
fn description(config: &Value) -> String {
    let text = |at: &Value, key: &str| at.get(key).and_then(Value::as_str).map(String::from);
    let parts = ["quant_method", "quant_algo", "fmt", "format"];
    let mut words: Vec<String> = parts.iter().filter_map(|key| text(config, key)).collect();
    let groups = config.get("config_groups").and_then(Value::as_object);
    let weights = groups.and_then(|g| g.values().find_map(|group| group.get("weights")));
    let weights = weights.unwrap_or(config);
    let bits = weights.get("num_bits").or_else(|| weights.get("bits"));
    if let Some(bits) = bits.and_then(Value::as_u64) {
        words.push(format!(
            "{}{bits}",
            text(weights, "type").unwrap_or("int".into())
        ));
    }
    match words.is_empty() {
        true => "not understood".into(),
        false => words.join(" "),
    }
}
