//! The JSON form of composites: `"sqrt_softplus"`, `{"rms_norm": {"eps": 1e-6}}`.

use super::{Call, Callee, Operations};
use crate::op::{AttrKind, AttrValue, Composite, Exchange};
use indexmap::IndexMap;
use serde::de::Error;
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// What communication is called.
const EXCHANGE: &str = "exchange";

impl Serialize for Composite {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let call = match self {
            Composite::Defined(call) => call,
            Composite::Exchange(exchange) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry(EXCHANGE, exchange)?;
                return map.end();
            }
        };
        let name = call.definition.name();
        if call.attributes.is_empty() {
            return serializer.serialize_str(name);
        }
        let specs = call.definition.attributes();
        let named = specs.iter().map(|s| s.name);
        let attributes: IndexMap<&str, Attribute> = named
            .zip(call.attributes.iter().map(|v| Attribute(*v)))
            .collect();
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(name, &attributes)?;
        map.end()
    }
}

struct Attribute(AttrValue);

impl Serialize for Attribute {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            AttrValue::Size(n) => n.serialize(serializer),
            AttrValue::Float(value) => value.serialize(serializer),
            AttrValue::DType(dtype) => dtype.serialize(serializer),
            AttrValue::Round(round) => round.serialize(serializer),
            AttrValue::Notify(op) => op.serialize(serializer),
        }
    }
}

/// A composite as JSON has it: which definition its name stands for is not known yet.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum RawComposite {
    Name(String),
    Call(IndexMap<String, Json>),
}

impl RawComposite {
    /// The composite, among the operations that its graph has.
    ///
    /// # Errors
    ///
    /// What is not right about it, for people.
    pub fn link(self, operations: &Operations) -> Result<Composite, serde_json::Error> {
        let (name, attributes) = match self {
            RawComposite::Name(name) => (name, Json::Object(Default::default())),
            RawComposite::Call(map) => {
                let mut entries = map.into_iter();
                match (entries.next(), entries.next()) {
                    (Some(entry), None) => entry,
                    _ => return Err(Error::custom("a composite has one name")),
                }
            }
        };
        if name == EXCHANGE {
            let exchange: Exchange = serde_json::from_value(attributes)?;
            return Ok(Composite::Exchange(exchange));
        }
        let Some(Callee::Defined(definition)) = operations.find(&name) else {
            return Err(Error::custom(format!("there is no composite `{name}`")));
        };
        let mut values = vec![];
        for spec in definition.attributes() {
            let value = attributes.get(spec.name).cloned().unwrap_or(Json::Null);
            values.push(match spec.kind {
                AttrKind::Size => AttrValue::Size(serde_json::from_value(value)?),
                AttrKind::Float => AttrValue::Float(serde_json::from_value(value)?),
                AttrKind::DType => AttrValue::DType(serde_json::from_value(value)?),
                AttrKind::Round => AttrValue::Round(serde_json::from_value(value)?),
                AttrKind::Notify => AttrValue::Notify(serde_json::from_value(value)?),
            });
        }
        let call = Call::new(definition, &values);
        call.map(Composite::Defined)
            .ok_or_else(|| Error::custom(format!("these are not the attributes of `{name}`")))
    }
}
