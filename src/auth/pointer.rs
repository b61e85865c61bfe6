//! JSON pointers (RFC 6901) into what clients send, which other readers will
//! read again.
//!
//! A reader may take the first or the last of two equal members, and may find a
//! member whatever its letter case. So a place counts as found only where all
//! readers find the same. Values are looked through without being built, each
//! level once, so that the time is linear and the stack flat.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt;

/// Most steps of a pointer: each costs a look through what is left.
const MAX_STEPS: usize = 16;

/// A JSON pointer to something inside a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pointer(Vec<String>);

impl Pointer {
    /// Reads `/a/b`; `None` for what is no pointer, for the whole document, and
    /// for more than 16 steps.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let steps: Option<Vec<_>> = text.strip_prefix('/')?.split('/').map(unescaped).collect();
        steps.filter(|steps| steps.len() <= MAX_STEPS).map(Self)
    }

    /// A name that every document with this place has in it, for a first look;
    /// empty where there may be none, since a number may be a place in a list.
    pub(super) fn name(&self) -> &str {
        let names = self.0.iter().rev().filter(|step| index(step).is_none());
        names.map(String::as_str).next().unwrap_or("")
    }

    /// Its last step.
    pub(super) fn last(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }

    /// What stands there.
    pub(super) fn find<'a>(&self, document: &'a RawValue) -> Found<'a> {
        find(document, &self.0, Case::Exact)
    }

    /// The document without what stands there, if anything does.
    pub(super) fn without(&self, document: &RawValue) -> Option<String> {
        without(document, &self.0)
    }
}

/// `~1` is `/` and `~0` is `~` (RFC 6901 §4).
fn unescaped(step: &str) -> Option<String> {
    let good = step.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    good.then(|| step.replace("~1", "/").replace("~0", "~"))
}

/// What a place holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found<'a> {
    /// Nothing.
    Nothing,
    /// This.
    One(&'a RawValue),
    /// Something that readers may not agree on.
    Ambiguous,
}

/// How names are compared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    /// The same in another case is ambiguous.
    Exact,
    /// As header names are.
    Any,
}

/// A message as one JSON value; `None` when it is none.
pub(super) fn document(message: &[u8]) -> Option<&RawValue> {
    serde_json::from_str(simdutf8::basic::from_utf8(message).ok()?).ok()
}

/// Follows the steps. An entry of a list is found by its number.
pub(super) fn find<'a>(
    mut value: &'a RawValue,
    steps: &[impl AsRef<str>],
    case: Case,
) -> Found<'a> {
    for step in steps {
        match member(value, step.as_ref(), case) {
            Found::One(inner) => value = inner,
            other => return other,
        }
    }
    Found::One(value)
}

/// The document without every member that any reader might find there; in a
/// list null takes its place. `None`: there is none.
pub(super) fn without(document: &RawValue, steps: &[impl AsRef<str>]) -> Option<String> {
    let mut out = String::new();
    let steps: Vec<&str> = steps.iter().map(AsRef::as_ref).collect();
    cut(document, &steps, &mut out).then_some(out)
}

/// The text of a value that is one.
pub(super) fn text(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

/// Whether a value is this one: numbers by what they mean, `1` and `1.0` alike.
pub(super) fn equals(value: &RawValue, expected: &Value) -> bool {
    match (serde_json::from_str::<Scalar>(value.get()), expected) {
        (Ok(Scalar(Value::Number(one))), Value::Number(other)) => {
            one == *other || one.as_f64() == other.as_f64()
        }
        (Ok(Scalar(value)), expected) => value == *expected,
        (Err(_), _) => false,
    }
}

/// A value that is neither list nor object, and so costs nothing to build.
struct Scalar(Value);

impl<'de> serde::Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Only;
        impl Visitor<'_> for Only {
            type Value = Scalar;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a plain value")
            }
            fn visit_unit<E>(self) -> Result<Scalar, E> {
                Ok(Scalar(Value::Null))
            }
            fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar(value.into()))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar(value.into()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Scalar, E> {
                Ok(Scalar(value.into()))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Scalar, E> {
                Ok(Scalar(value.into()))
            }
            fn visit_str<E>(self, value: &str) -> Result<Scalar, E> {
                Ok(Scalar(value.into()))
            }
        }
        reader.deserialize_any(Only)
    }
}

fn member<'a>(value: &'a RawValue, name: &str, case: Case) -> Found<'a> {
    let mut reader = serde_json::Deserializer::from_str(value.get());
    let step = Step { name, case };
    let found = match value.get().as_bytes().first() {
        Some(b'{') => reader.deserialize_map(step),
        Some(b'[') => reader.deserialize_seq(step),
        _ => return Found::Nothing,
    };
    // A name that is no text: readers differ in what they make of it.
    found.unwrap_or(Found::Ambiguous)
}

/// One step into a value.
struct Step<'n> {
    name: &'n str,
    case: Case,
}

impl<'de> Visitor<'de> for Step<'_> {
    type Value = Found<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found<'de>, A::Error> {
        let mut found = Found::Nothing;
        while let Some(likeness) = map.next_key_seed(Named(self.name))? {
            if likeness == Likeness::None {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = map.next_value::<&RawValue>()?;
            found = match found {
                Found::Nothing if likeness == Likeness::Same || self.case == Case::Any => {
                    Found::One(value)
                }
                _ => Found::Ambiguous,
            };
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Found<'de>, A::Error> {
        let place = index(self.name);
        let (mut found, mut at) = (Found::Nothing, 0_usize);
        while let Some(value) = seq.next_element::<&RawValue>()? {
            if place == Some(at) {
                found = Found::One(value);
            }
            at += 1;
        }
        Ok(found)
    }
}

/// A list's index has no leading zeros (RFC 6901 §4).
fn index(step: &str) -> Option<usize> {
    let canonical = step == "0" || step.starts_with(|c: char| ('1'..='9').contains(&c));
    step.parse().ok().filter(|_| canonical && step.bytes().all(|byte| byte.is_ascii_digit()))
}

/// How a name is like the one that is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Likeness {
    None,
    /// But for letter case.
    Alike,
    Same,
}

fn likeness(name: &str, other: &str) -> Likeness {
    if name == other {
        Likeness::Same
    } else if name.chars().map(folded).eq(other.chars().map(folded)) {
        Likeness::Alike
    } else {
        Likeness::None
    }
}

/// The two signs beyond ASCII that fold to ASCII letters count as these, as in
/// Go's `encoding/json`.
fn folded(sign: char) -> char {
    match sign {
        'ſ' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    }
}

/// Reads a name only to compare it.
struct Named<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for Named<'_> {
    type Value = Likeness;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Likeness, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for Named<'_> {
    type Value = Likeness;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Likeness, E> {
        Ok(likeness(name, self.0))
    }
}

/// Writes the value without what the steps lead to; whether there was anything.
/// Everything else stays as it was written, but for white space around it.
fn cut(value: &RawValue, steps: &[&str], out: &mut String) -> bool {
    let mut reader = serde_json::Deserializer::from_str(value.get());
    let begin = out.len();
    let cutting = Cutting { steps, out };
    let done = match value.get().as_bytes().first() {
        Some(b'{') => reader.deserialize_map(cutting),
        Some(b'[') => reader.deserialize_seq(cutting),
        _ => Ok(false),
    };
    if !matches!(done, Ok(true)) {
        out.truncate(begin);
        out.push_str(value.get());
    }
    matches!(done, Ok(true))
}

struct Cutting<'c> {
    steps: &'c [&'c str],
    out: &'c mut String,
}

impl<'de> Visitor<'de> for Cutting<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let Some((step, rest)) = self.steps.split_first() else { return Ok(false) };
        let (mut changed, mut first) = (false, true);
        self.out.push('{');
        while let Some(name) = map.next_key::<&RawValue>()? {
            let value = map.next_value::<&RawValue>()?;
            // A name that is no text is none that all readers find.
            let read = text(name);
            let meant = read.is_some_and(|name| likeness(&name, step) != Likeness::None);
            if meant && rest.is_empty() {
                changed = true;
                continue;
            }
            if !std::mem::take(&mut first) {
                self.out.push(',');
            }
            self.out.push_str(name.get());
            self.out.push(':');
            if meant {
                changed |= cut(value, rest, self.out);
            } else {
                self.out.push_str(value.get());
            }
        }
        self.out.push('}');
        Ok(changed)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<bool, A::Error> {
        let Some((step, rest)) = self.steps.split_first() else { return Ok(false) };
        let place = index(step);
        let (mut changed, mut at) = (false, 0_usize);
        self.out.push('[');
        while let Some(value) = seq.next_element::<&RawValue>()? {
            if at > 0 {
                self.out.push(',');
            }
            match (place == Some(at), rest.is_empty()) {
                (true, true) => {
                    changed |= value.get() != "null";
                    self.out.push_str("null");
                }
                (true, false) => changed |= cut(value, rest, self.out),
                (false, _) => self.out.push_str(value.get()),
            }
            at += 1;
        }
        self.out.push(']');
        Ok(changed)
    }
}

#[cfg(test)]
mod tests;
