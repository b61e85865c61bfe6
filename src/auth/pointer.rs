//! JSON pointers (RFC 6901) into what clients send, which other readers will
//! read again.
//!
//! A reader may take the first or the last of two equal members, and may find a
//! member whatever its letter case. So a place counts as found only where all
//! readers find the same. Values are looked through without being built, each
//! level once for a pointer, so that the time is linear and the stack flat.

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt;

mod cut;

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

impl Found<'_> {
    /// Whether this value stands there: numbers by what they mean, `1` and `1.0`
    /// alike. `None` where readers may not agree.
    pub(super) fn is(self, expected: &Value) -> Option<bool> {
        match self {
            Self::One(value) => equals(value, expected),
            Self::Nothing => Some(false),
            Self::Ambiguous => None,
        }
    }
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

/// What a message holds where pointers begin: it is looked through once for the
/// first steps of all of them, and known to be JSON then.
#[derive(Debug)]
pub(super) struct Outline<'n, 'a>(Vec<Place<'n, 'a>>);

impl<'n, 'a> Outline<'n, 'a> {
    /// `None` when the message is not one JSON value.
    pub(super) fn of(
        message: &'a [u8],
        pointers: impl Iterator<Item = &'n Pointer>,
    ) -> Option<Self> {
        let text = simdutf8::basic::from_utf8(message).ok()?;
        let mut places: Vec<Place<'_, '_>> = Vec::new();
        for step in pointers.filter_map(|pointer| pointer.0.first()) {
            if places.iter().all(|place| place.step != step) {
                places.push(Place::new(step));
            }
        }
        if look(text, &mut places, Case::Exact).is_err() {
            // JSON all the same where a name is no text; readers differ in what
            // they make of that.
            serde_json::from_str::<&RawValue>(text).ok()?;
            for place in &mut places {
                place.found = Found::Ambiguous;
            }
        }
        Some(Self(places))
    }

    /// What stands at one of the pointers; what was not looked for nobody knows.
    pub(super) fn find(&self, pointer: &Pointer) -> Found<'a> {
        let Some((first, rest)) = pointer.0.split_first() else { return Found::Ambiguous };
        let place = self.0.iter().find(|place| place.step == first);
        match place.map_or(Found::Ambiguous, |place| place.found) {
            Found::One(value) => find(value, rest, Case::Exact),
            other => other,
        }
    }
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
    cut::cut(document, &steps, &mut out).then_some(out)
}

/// The text of a value that is one.
pub(super) fn text(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

/// `None` for a string that is no text, and one that a NUL may be left out of.
fn equals(value: &RawValue, expected: &Value) -> Option<bool> {
    let mut reader = serde_json::Deserializer::from_str(value.get());
    match reader.deserialize_any(Equals(expected)) {
        Ok(equal) => equal,
        Err(_) if value.get().starts_with('"') => None,
        // A list, an object, or a number beyond what any reader can hold.
        Err(_) => Some(false),
    }
}

/// Compares a value that is neither list nor object: with these it fails.
struct Equals<'e>(&'e Value);

impl Equals<'_> {
    fn number(&self, number: &serde_json::Number) -> bool {
        let Value::Number(expected) = self.0 else { return false };
        number == expected || number.as_f64() == expected.as_f64()
    }
}

impl Visitor<'_> for Equals<'_> {
    type Value = Option<bool>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a plain value")
    }

    fn visit_unit<E>(self) -> Result<Option<bool>, E> {
        Ok(Some(self.0.is_null()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Option<bool>, E> {
        Ok(Some(*self.0 == value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Option<bool>, E> {
        Ok(Some(self.number(&value.into())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Option<bool>, E> {
        Ok(Some(self.number(&value.into())))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Option<bool>, E> {
        // JSON has no number that is not finite.
        let number = serde_json::Number::from_f64(value);
        Ok(Some(number.is_some_and(|number| self.number(&number))))
    }

    fn visit_str<E>(self, value: &str) -> Result<Option<bool>, E> {
        let may_be = without_nul(value).any(|value| *self.0 == *value);
        Ok(if may_be { None } else { Some(*self.0 == value) })
    }
}

fn member<'a>(value: &'a RawValue, name: &str, case: Case) -> Found<'a> {
    let mut places = [Place::new(name)];
    // A name that is no text: readers differ in what they make of it.
    let looked = look(value.get(), &mut places, case);
    let [place] = places;
    looked.map_or(Found::Ambiguous, |()| place.found)
}

/// Looks once through the outermost object or list of a JSON text, and past its end.
fn look<'a>(text: &'a str, places: &mut [Place<'_, 'a>], case: Case) -> serde_json::Result<()> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let look = Look { places, case };
    match text.trim_ascii_start().as_bytes().first() {
        Some(b'{') => reader.deserialize_map(look)?,
        Some(b'[') => reader.deserialize_seq(look)?,
        _ => IgnoredAny::deserialize(&mut reader).map(drop)?,
    }
    reader.end()
}

/// What is looked for in an object or a list.
#[derive(Debug)]
struct Place<'n, 'a> {
    step: &'n str,
    /// Where that is in a list.
    index: Option<usize>,
    /// How the name in hand is like it.
    likeness: Likeness,
    found: Found<'a>,
}

impl<'n> Place<'n, '_> {
    fn new(step: &'n str) -> Self {
        Self { step, index: index(step), likeness: Likeness::None, found: Found::Nothing }
    }
}

struct Look<'p, 'n, 'a> {
    places: &'p mut [Place<'n, 'a>],
    case: Case,
}

impl<'a> Visitor<'a> for Look<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(meant) = map.next_key_seed(Named(self.places))? {
            if !meant {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = map.next_value::<&RawValue>()?;
            for place in self.places.iter_mut() {
                place.found = match (place.likeness, place.found) {
                    (Likeness::None, found) => found,
                    (Likeness::Same, Found::Nothing) => Found::One(value),
                    (Likeness::Alike, Found::Nothing) if self.case == Case::Any => {
                        Found::One(value)
                    }
                    _ => Found::Ambiguous,
                };
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut at = 0_usize;
        while let Some(value) = seq.next_element::<&RawValue>()? {
            for place in self.places.iter_mut().filter(|place| place.index == Some(at)) {
                place.found = Found::One(value);
            }
            at += 1;
        }
        Ok(())
    }
}

/// A list's index has no leading zeros (RFC 6901 §4).
fn index(step: &str) -> Option<usize> {
    let canonical = step == "0" || step.starts_with(|c: char| ('1'..='9').contains(&c));
    step.parse().ok().filter(|_| canonical && step.bytes().all(|byte| byte.is_ascii_digit()))
}

/// How a name is like the one that is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Likeness {
    None,
    /// But for letter case.
    Alike,
    Same,
}

fn likeness(name: &str, other: &str) -> Likeness {
    if name == other {
        Likeness::Same
    } else if is_alike(name, other) || without_nul(name).any(|name| is_alike(&name, other)) {
        Likeness::Alike
    } else {
        Likeness::None
    }
}

fn is_alike(name: &str, other: &str) -> bool {
    if name.is_ascii() && other.is_ascii() {
        name.eq_ignore_ascii_case(other)
    } else {
        name.chars().map(folded).eq(other.chars().map(folded))
    }
}

/// What readers in C may make of a text with a NUL in it: the end, or nothing.
fn without_nul(text: &str) -> impl Iterator<Item = String> {
    let parts = text.split_once('\0').into_iter();
    parts.flat_map(|(begin, _)| [begin.to_owned(), text.replace('\0', "")])
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

/// Reads a name only to compare it; whether it is like any of these.
struct Named<'p, 'n, 'a>(&'p mut [Place<'n, 'a>]);

impl<'de> DeserializeSeed<'de> for Named<'_, '_, '_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<bool, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for Named<'_, '_, '_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<bool, E> {
        let mut any = false;
        for place in self.0 {
            place.likeness = likeness(name, place.step);
            any |= place.likeness != Likeness::None;
        }
        Ok(any)
    }
}

/// Holds that one look finds what looks one by one find, in a document that was read
/// as a whole before.
pub(super) fn fuzz_outline(message: &[u8]) {
    let pointers = ["/type", "/token", "/token/0", "/a/0/token", "/A", "/a", "/0", "/1/a"];
    let pointers: Vec<Pointer> = pointers.into_iter().filter_map(Pointer::parse).collect();
    let (outline, whole) = (Outline::of(message, pointers.iter()), document(message));
    assert_eq!(outline.is_some(), whole.is_some());
    let (Some(outline), Some(whole)) = (outline, whole) else { return };
    for pointer in &pointers {
        let (one, other) = (outline.find(pointer), find(whole, &pointer.0, Case::Exact));
        assert_eq!(format!("{one:?}"), format!("{other:?}"), "{pointer:?}");
    }
}

#[cfg(test)]
mod tests;
