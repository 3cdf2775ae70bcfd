//! The JSON form of calls: `"sqrt_softplus"`, `{"rms_norm": {"eps": 1e-6}}`.

use super::{Call, Callee, Operations};
use crate::op::exchange::ExchangeCall;
use crate::op::{AttrKind, AttrSpec, AttrValue};
use indexmap::IndexMap;
use serde::de::Error;
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

impl Serialize for Call {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let definition = &self.definition;
        call(
            serializer,
            definition.name(),
            &definition.attributes(),
            &self.attributes,
        )
    }
}

impl Serialize for ExchangeCall {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let exchange = self.exchange();
        call(
            serializer,
            exchange.name(),
            &exchange.attributes(),
            self.attributes(),
        )
    }
}

fn call<S: Serializer>(
    serializer: S,
    name: &str,
    specs: &[AttrSpec],
    values: &[AttrValue],
) -> Result<S::Ok, S::Error> {
    if values.is_empty() {
        return serializer.serialize_str(name);
    }
    let named = specs.iter().map(|s| s.name);
    let attributes: IndexMap<&str, Attribute> =
        named.zip(values.iter().map(|v| Attribute(*v))).collect();
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(name, &attributes)?;
    map.end()
}

struct Attribute(AttrValue);

impl Serialize for Attribute {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            AttrValue::Size(n) => n.serialize(serializer),
            AttrValue::Float(value) => value.serialize(serializer),
            AttrValue::DType(dtype) => dtype.serialize(serializer),
            AttrValue::Round(round) => round.serialize(serializer),
        }
    }
}

/// A call as JSON has it: which declaration its name stands for is not known yet.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum RawCall {
    Name(String),
    Call(IndexMap<String, Json>),
}

impl RawCall {
    /// What is called, among the operations that its graph has, and the values of the attributes.
    ///
    /// # Errors
    ///
    /// What is not right about it, for people.
    pub fn link(
        self,
        operations: &Operations,
    ) -> Result<(Callee, Vec<AttrValue>), serde_json::Error> {
        let (name, attributes) = match self {
            RawCall::Name(name) => (name, Json::Object(Default::default())),
            RawCall::Call(map) => {
                let mut entries = map.into_iter();
                match (entries.next(), entries.next()) {
                    (Some(entry), None) => entry,
                    _ => return Err(Error::custom("a call has one name")),
                }
            }
        };
        let callee = operations.find(&name);
        let Some(callee) = callee.filter(|c| !matches!(c, Callee::Row(_))) else {
            return Err(Error::custom(format!(
                "there is no composite or exchange `{name}`"
            )));
        };
        let mut values = vec![];
        for spec in callee.attributes() {
            let value = attributes.get(spec.name).cloned().unwrap_or(Json::Null);
            values.push(match spec.kind {
                AttrKind::Size => AttrValue::Size(serde_json::from_value(value)?),
                AttrKind::Float => AttrValue::Float(serde_json::from_value(value)?),
                AttrKind::DType => AttrValue::DType(serde_json::from_value(value)?),
                AttrKind::Round => AttrValue::Round(serde_json::from_value(value)?),
            });
        }
        Ok((callee, values))
    }
}
