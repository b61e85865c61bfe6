//! JSON as tokens may hold it: objects without duplicate members (RFC 7515 §4,
//! RFC 7519 §4), nested within bounds.
//!
//! Two readers that take a different one of two equal members see two different
//! tokens; a reader that refuses both cannot be played against another.

use super::error::AuthError;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::cell::Cell;
use std::fmt;

/// Deepest nesting of objects and arrays. Real claims stay below 10; the bound
/// keeps the wasm stack small.
const MAX_DEPTH: u8 = 32;

/// Reads one JSON object, refusing duplicate members at every level.
/// `otherwise` is what it is called when it is no JSON object at all.
pub(super) fn object(text: &[u8], otherwise: AuthError) -> Result<Map<String, Value>, AuthError> {
    let fault = Cell::new(otherwise);
    let mut reader = serde_json::Deserializer::from_slice(text);
    let strict = Strict { depth: MAX_DEPTH, fault: &fault };
    let value = strict.deserialize(&mut reader).map_err(|_| fault.get())?;
    reader.end().map_err(|_| otherwise)?;
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(otherwise),
    }
}

/// Reads a value of at most `depth` more levels; says why not in `fault`,
/// since a serde error only carries words.
#[derive(Clone, Copy)]
struct Strict<'a> {
    depth: u8,
    fault: &'a Cell<AuthError>,
}

impl Strict<'_> {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Self { depth, ..self }),
            None => Err(self.refuse(AuthError::TooDeep)),
        }
    }

    fn refuse<E: Error>(self, why: AuthError) -> E {
        self.fault.set(why);
        E::custom(why)
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        // serde_json refuses what no f64 can hold (1e400) before it comes here.
        serde_json::Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut object = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(self.refuse(AuthError::DuplicateMember));
            }
            let value = map.next_value_seed(inner)?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Map<String, Value>, AuthError> {
        object(text.as_bytes(), AuthError::Payload)
    }

    #[test]
    fn duplicates_are_refused_at_every_level_and_however_they_are_escaped() {
        for text in [
            r#"{"iss":"a","iss":"b"}"#,
            r#"{"iss":"a","\u0069ss":"b"}"#,
            r#"{"a":{"b":1,"b":1}}"#,
            r#"{"a":[{"b":1,"b":1}]}"#,
        ] {
            assert_eq!(read(text), Err(AuthError::DuplicateMember), "{text}");
        }
        assert!(read(r#"{"a":{"b":1},"c":{"b":1}}"#).is_ok());
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |levels: usize| {
            format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1))
        };
        assert!(read(&nested(usize::from(MAX_DEPTH))).is_ok());
        assert_eq!(read(&nested(usize::from(MAX_DEPTH) + 1)), Err(AuthError::TooDeep));
        assert_eq!(read(&"[".repeat(12_000)), Err(AuthError::TooDeep));
    }

    #[test]
    fn anything_but_one_object_is_refused() {
        for text in [
            "",
            "null",
            "1",
            "\"a\"",
            "[]",
            "{}{}",
            "{} x",
            "{\"a\":1e400}",
            "{\"a\":NaN}",
            "{a:1}",
        ] {
            assert_eq!(read(text), Err(AuthError::Payload), "{text}");
        }
        assert_eq!(object(b"{\"a\":\"\xff\"}", AuthError::Header), Err(AuthError::Header));
        assert_eq!(read(r#"{"a":"\ud800"}"#), Err(AuthError::Payload));
    }

    proptest! {
        #[test]
        fn what_is_taken_is_what_serde_json_reads(text in "[\\[\\]{}:,\"a0-9. \\\\u-]{0,40}") {
            if let Ok(object) = read(&text) {
                let plain: Value = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(plain, Value::Object(object));
            }
        }
    }
}
