//! The document as Envoy hands it over.
//!
//! Envoy unwraps a `StringValue` or `BytesValue` before it gives a plugin its
//! configuration, and nothing else: a `google.protobuf.Struct` (plain YAML
//! inside Envoy's YAML) arrives serialized (seen on 1.40, whatever its
//! documentation says of JSON).

use super::error::ConfigErrors;
use super::fault::Written;
use super::tree::{Document, MAX_DOCUMENT_BYTES};
use prost::Message;
use prost_types::value::Kind;
use prost_types::{Struct, Value};
use serde::Deserialize;
use serde_json::{Map, Value as Json};

impl Document {
    /// Reads JSON text, or a serialized `google.protobuf.Struct`.
    ///
    /// No text is both: the bytes of a `Struct` that has members begin with a
    /// length and a tag that no JSON has in that place.
    ///
    /// # Errors
    /// As [`Document::from_json`].
    pub fn from_envoy(bytes: &[u8]) -> Result<Self, ConfigErrors> {
        if bytes.len() > MAX_DOCUMENT_BYTES {
            return Err(ConfigErrors::of_document(Written::TooLong));
        }
        let as_json = std::str::from_utf8(bytes).map_or_else(
            |_| Err(ConfigErrors::of_document(Written::NotJson("not UTF-8".to_owned()))),
            Self::from_json,
        );
        as_json.or_else(|error| from_struct(bytes).ok_or(error))
    }
}

/// `None` where the bytes are no `Struct` with members.
fn from_struct(bytes: &[u8]) -> Option<Document> {
    let members = Struct::decode(bytes).ok().filter(|members| !members.fields.is_empty())?;
    Document::deserialize(Json::Object(object(members)?)).ok()
}

fn object(members: Struct) -> Option<Map<String, Json>> {
    members.fields.into_iter().map(|(name, value)| Some((name, json(value)?))).collect()
}

/// `None` for a number that JSON does not have.
fn json(value: Value) -> Option<Json> {
    Some(match value.kind {
        None | Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::BoolValue(flag)) => Json::Bool(flag),
        Some(Kind::NumberValue(number)) => Json::Number(serde_json::Number::from_f64(number)?),
        Some(Kind::StringValue(text)) => Json::String(text),
        Some(Kind::ListValue(list)) => {
            Json::Array(list.values.into_iter().map(json).collect::<Option<_>>()?)
        }
        Some(Kind::StructValue(members)) => Json::Object(object(members)?),
    })
}

/// Entry for the fuzzer: holds that whatever Envoy hands over is read or
/// refused with words.
pub fn fuzz_from_envoy(data: &[u8]) {
    if let Err(errors) = Document::from_envoy(data) {
        assert!(!errors.to_string().is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use proptest::prelude::*;
    use serde_json::json;

    fn value(json: &Json) -> Value {
        let kind = match json {
            Json::Null => Kind::NullValue(0),
            Json::Bool(flag) => Kind::BoolValue(*flag),
            Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap()),
            Json::String(text) => Kind::StringValue(text.clone()),
            Json::Array(list) => {
                Kind::ListValue(prost_types::ListValue { values: list.iter().map(value).collect() })
            }
            Json::Object(map) => Kind::StructValue(structure(map)),
        };
        Value { kind: Some(kind) }
    }

    fn structure(map: &Map<String, Json>) -> Struct {
        Struct { fields: map.iter().map(|(name, v)| (name.clone(), value(v))).collect() }
    }

    fn parse(bytes: &[u8]) -> Result<Config, String> {
        let document = Document::from_envoy(bytes).map_err(|errors| errors.to_string())?;
        Config::check(&document, &|_| None).map_err(|errors| errors.to_string())
    }

    #[test]
    fn a_struct_reads_like_its_json() {
        let document = json!({
            "policies": [{
                "name": "chat",
                "match": {"paths": ["/ws"]},
                "client": {"max_message": "64KiB", "max_fragments": 7, "types": ["text"]},
            }],
        });
        let Json::Object(map) = &document else { unreachable!() };
        let from_struct = parse(&structure(map).encode_to_vec()).unwrap();
        let from_json = parse(document.to_string().as_bytes()).unwrap();
        assert_eq!(format!("{from_struct:?}"), format!("{from_json:?}"));
        assert_eq!(from_struct.policies[0].client.max_fragments, 7);
    }

    #[test]
    fn errors_of_a_struct_name_their_places() {
        let document =
            json!({"policies": [{"name": "chat", "client": {"schema": {}}}], "mod": "report"});
        let Json::Object(map) = &document else { unreachable!() };
        let errors = parse(&structure(map).encode_to_vec()).unwrap_err();
        assert!(errors.contains("not supported yet: policies[0].client.schema"), "{errors}");
        assert!(errors.contains("mod: "), "{errors}");
    }

    #[test]
    fn what_is_neither_is_refused_as_json() {
        for bytes in [b"".as_slice(), b"\xff\xfe", b"\x0a\x03abc", b"policies: []"] {
            assert!(parse(bytes).is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(data in prop::collection::vec(any::<u8>(), 0..200)) {
            fuzz_from_envoy(&data);
        }
    }
}
