//! Floats in JSON, which has no infinities: they are the strings `inf`, `-inf` and `nan`.

use serde::de::{Error, Visitor};
use serde::{Deserializer, Serializer};
use std::fmt;

pub fn serialize<S: Serializer>(value: &f32, to: S) -> Result<S::Ok, S::Error> {
    match *value {
        v if v.is_nan() => to.serialize_str("nan"),
        f32::INFINITY => to.serialize_str("inf"),
        f32::NEG_INFINITY => to.serialize_str("-inf"),
        v => to.serialize_f32(v),
    }
}

pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f32, D::Error> {
    from.deserialize_any(Float)
}

struct Float;

impl Visitor<'_> for Float {
    type Value = f32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, \"inf\", \"-inf\" or \"nan\"")
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<f32, E> {
        match (value as f32).is_finite() {
            true => Ok(value as f32),
            false => Err(E::custom(format!("{value:e} does not fit an f32"))),
        }
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<f32, E> {
        Ok(value as f32)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<f32, E> {
        Ok(value as f32)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<f32, E> {
        match text {
            "inf" => Ok(f32::INFINITY),
            "-inf" => Ok(f32::NEG_INFINITY),
            "nan" => Ok(f32::NAN),
            _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
        }
    }
}
