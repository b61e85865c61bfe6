//! The document as written: in order, with members that stand twice.

use super::error::ConfigErrors;
use super::fault::Written;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use std::cell::Cell;
use std::fmt;

/// Longest document that is read, in bytes. A policy with a thousand rules
/// takes a tenth of it; the tree of a document that is nothing but commas
/// still fits a filter's memory.
pub const MAX_DOCUMENT_BYTES: usize = 4 << 20;

/// Deepest nesting. The contract needs 8; the rest is for key sets and schemas.
const MAX_DEPTH: u32 = 64;

/// A document that is read and not yet checked, from JSON
/// ([`Document::from_json`]) or whatever else serde reads (it implements
/// [`serde::Deserialize`] for self-describing formats, so that the command line
/// can hand over YAML). It keeps the order of members and those that stand
/// twice, so that [`super::Config::check`] can tell of both.
pub struct Document(pub(super) Tree);

/// Says nothing of its content: a secret may stand in it by mistake.
impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Document")
    }
}

/// A value with its place in the document.
pub(super) struct Tree {
    /// How many values began before this one.
    pub(super) position: u32,
    pub(super) value: Value,
}

/// A value of JSON's model.
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl Document {
    /// Reads JSON text (RFC 8259).
    ///
    /// # Errors
    /// One: where the text is empty, longer than [`MAX_DOCUMENT_BYTES`] or no JSON.
    pub fn from_json(text: &str) -> Result<Self, ConfigErrors> {
        if text.len() > MAX_DOCUMENT_BYTES {
            return Err(ConfigErrors::of_document(Written::TooLong));
        }
        if text.trim().is_empty() {
            return Err(ConfigErrors::of_document(Written::Empty));
        }
        let mut json = serde_json::Deserializer::from_str(text);
        <Self as serde::Deserialize>::deserialize(&mut json)
            .and_then(|document| json.end().map(|()| document))
            .map_err(|error| ConfigErrors::of_document(Written::NotJson(error.to_string())))
    }
}

impl<'de> serde::Deserialize<'de> for Document {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let begun = Cell::new(0);
        TreeSeed { begun: &begun, depth: 0 }.deserialize(deserializer).map(Self)
    }
}

/// Reads one value and counts it.
#[derive(Clone, Copy)]
struct TreeSeed<'c> {
    begun: &'c Cell<u32>,
    depth: u32,
}

impl TreeSeed<'_> {
    fn below<E: Error>(self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom(format_args!("nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for TreeSeed<'_> {
    type Value = Tree;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        let position = self.begun.get();
        self.begun.set(position.saturating_add(1));
        Ok(Tree { position, value: deserializer.deserialize_any(self)? })
    }
}

impl<'de> Visitor<'de> for TreeSeed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of JSON's kinds")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        let finite = Number::from_f64(number).ok_or_else(|| E::custom("number is not finite"))?;
        Ok(Value::Number(finite))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(below)? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut members = Vec::new();
        while let Some(name) = access.next_key::<String>()? {
            members.push((name, access.next_value_seed(below)?));
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Document::from_json(text).expect_err("no document").to_string()
    }

    #[test]
    fn what_is_no_document_is_told_with_its_place() {
        assert_eq!(error(" \n"), "document: is empty; write at least `policies`");
        assert!(error("{\n\"mode\": }").contains("line 2 column 9"), "{}", error("{\n\"mode\": }"));
        assert!(error("{} {}").contains("trailing characters at line 1"));
        assert!(error("mode: enforce").starts_with("document: is not JSON: "));
        assert!(error(r#"{"a": 1e999}"#).contains("out of range"));
        assert!(error(r#""\ud800""#).starts_with("document: is not JSON: "));
    }

    #[test]
    fn length_and_depth_are_bounded() {
        let long = " ".repeat(MAX_DOCUMENT_BYTES + 1);
        assert_eq!(error(&long), "document: is longer than 4MiB; split it over several plugins");
        let deep = |n: usize| "[".repeat(n) + &"]".repeat(n);
        assert!(Document::from_json(&deep(64)).is_ok());
        assert!(error(&deep(65)).contains("nested deeper than 64 levels"));
        // The parser's own bound on recursion must not be met before ours.
        assert!(error(&"[".repeat(100_000)).contains("nested deeper"));
    }

    #[test]
    fn members_keep_their_order_and_may_stand_twice() {
        let Document(tree) = Document::from_json(r#"{"b": 1, "a": [true], "b": null}"#).unwrap();
        let Value::Object(members) = tree.value else { panic!("an object") };
        let seen: Vec<_> = members.iter().map(|(n, t)| (n.as_str(), t.position)).collect();
        assert_eq!(seen, [("b", 1), ("a", 2), ("b", 4)]);
    }

    #[test]
    fn debug_says_nothing_of_the_content() {
        let document = Document::from_json(r#"{"secret": "hunter2hunter2"}"#).unwrap();
        assert_eq!(format!("{document:?}"), "Document");
    }
}
