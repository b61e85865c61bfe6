//! JSON pointers (RFC 6901) into what clients send, which other readers will
//! read again.
//!
//! A reader may take the first or the last of two equal members, and may find a
//! member whatever its letter case. So a place counts as found only where all
//! readers find the same. Values are looked through without being built, each
//! level once for a pointer, so that the time is linear and the stack flat.

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

mod cut;
mod equal;
mod outline;

pub(super) use equal::Equality;
pub(super) use outline::{Outline, fuzz_outline};

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

    /// The entry of a list at which it begins: documents that it reads are lists.
    pub(crate) fn first_index(&self) -> Option<usize> {
        self.0.first().and_then(|step| index(step))
    }

    /// Its steps, unescaped.
    pub(crate) fn steps(&self) -> &[String] {
        &self.0
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
    /// Nothing, since the way there leads through a value of another kind than the
    /// pointer expects: an object or a list in the place of the other, or a text
    /// that may be read once more.
    OtherKind,
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
    cut::cut(document, &steps, &mut out).then_some(out)
}

/// The text of a value that is one.
pub(super) fn text(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

fn member<'a>(value: &'a RawValue, name: &str, case: Case) -> Found<'a> {
    let mut places = [Place::new(name)];
    // A name that is no text: readers differ in what they make of it.
    let looked = look(value.get(), &mut places, case);
    let [place] = places;
    looked.map_or(Found::Ambiguous, |_| place.found)
}

/// Looks once through the outermost object or list of a JSON text, and past its end.
fn look<'a>(text: &'a str, places: &mut [Place<'_, 'a>], case: Case) -> serde_json::Result<Seen> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let first = text.trim_ascii_start().as_bytes().first();
    let seen = match first {
        Some(b'{') => reader.deserialize_map(Look { places, case })?,
        Some(b'[') => reader.deserialize_seq(Look { places, case })?,
        _ => IgnoredAny::deserialize(&mut reader).map(|_| Seen::default())?,
    };
    reader.end()?;
    match first {
        Some(b'{' | b'[') if seen.empty => {}
        Some(b'{') => mark(places, |place| place.index.is_some()),
        Some(b'[') => mark(places, |place| place.index.is_none()),
        Some(b'"') => match serde_json::from_str::<String>(text) {
            Ok(inner) if !may_hold_json(inner.as_bytes()) => {
                mark(places, |place| place.index.is_some());
            }
            _ => mark(places, |_| true),
        },
        _ => {}
    }
    Ok(seen)
}

/// Marks the places that were not found because the value has another JSON type.
fn mark(places: &mut [Place<'_, '_>], other_kind: impl Fn(&Place<'_, '_>) -> bool) {
    for place in places {
        if matches!(place.found, Found::Nothing) && other_kind(place) {
            place.found = Found::OtherKind;
        }
    }
}

/// Returns true if a text may hold a JSON object, list or text. 0x1E separates JSON
/// texts in several protocols.
pub(super) fn may_hold_json(text: &[u8]) -> bool {
    memchr::memchr3(b'{', b'[', b'"', text).is_some() || memchr::memchr(0x1E, text).is_some()
}

/// Properties of an object or a list that was read.
#[derive(Default)]
struct Seen {
    empty: bool,
    /// It is an object with a member `__proto__`, from which some programs take what
    /// its members do not say.
    proto: bool,
    /// It is an object whose member `0` is an object or a list: in PHP's arrays, a list
    /// of such.
    numbered: bool,
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

    /// Forgets what was found.
    const fn reset(&mut self) {
        (self.likeness, self.found) = (Likeness::None, Found::Nothing);
    }
}

struct Look<'p, 'n, 'a> {
    places: &'p mut [Place<'n, 'a>],
    case: Case,
}

impl<'a> Visitor<'a> for Look<'_, '_, 'a> {
    type Value = Seen;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Seen, A::Error> {
        let mut seen = Seen { empty: true, ..Seen::default() };
        while let Some(meaning) = map.next_key_seed(Named(self.places))? {
            seen.empty = false;
            seen.proto |= meaning == Meaning::Proto;
            if meaning == Meaning::None {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = map.next_value::<&RawValue>()?;
            seen.numbered |= meaning == Meaning::Zero && value.get().starts_with(['{', '[']);
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
        Ok(seen)
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<Seen, A::Error> {
        let mut at = 0_usize;
        while let Some(value) = seq.next_element::<&RawValue>()? {
            for place in self.places.iter_mut().filter(|place| place.index == Some(at)) {
                place.found = Found::One(value);
            }
            at += 1;
        }
        Ok(Seen { empty: at == 0, ..Seen::default() })
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
        let mut others = other.chars();
        let all = name.chars().all(|one| others.next().is_some_and(|other| is_same(one, other)));
        all && others.next().is_none()
    }
}

/// Returns true if two letters differ in nothing but their case. A name may be compared to
/// many, so most are told apart without a look into Unicode's tables.
fn is_same(one: char, other: char) -> bool {
    let may_be_ascii = |sign: char| sign.is_ascii() || matches!(sign, 'ſ' | '\u{212a}');
    one == other || may_be_ascii(one) == may_be_ascii(other) && folded(one) == folded(other)
}

/// What readers in C may make of a text with a NUL in it: the end, or nothing.
fn without_nul(text: &str) -> impl Iterator<Item = String> {
    let parts = text.split_once('\0').into_iter();
    parts.flat_map(|(begin, _)| [begin.to_owned(), text.replace('\0', "")])
}

/// Letters of any script without their case, as in Go's `encoding/json`, where two
/// signs beyond ASCII fold to ASCII letters, too.
fn folded(sign: char) -> char {
    match sign {
        'ſ' => 's',
        '\u{212a}' => 'k',
        ascii if ascii.is_ascii() => ascii.to_ascii_lowercase(),
        other => {
            let upper = sole(other, other.to_uppercase());
            sole(upper, upper.to_lowercase())
        }
    }
}

/// The case mapping of a letter if it is a single letter beyond ASCII, else the letter.
fn sole(letter: char, mut turned: impl Iterator<Item = char>) -> char {
    let first = turned.next().filter(|first| !first.is_ascii());
    first.filter(|_| turned.next().is_none()).unwrap_or(letter)
}

/// Reads a name only to compare it.
struct Named<'p, 'n, 'a>(&'p mut [Place<'n, 'a>]);

/// How a member name relates to the names that are searched.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// None that is looked for.
    None,
    /// It is like one that is looked for.
    Place,
    /// It is `__proto__`, which may be looked for, too.
    Proto,
    /// It is `0`, which may be looked for, too.
    Zero,
}

impl<'de> DeserializeSeed<'de> for Named<'_, '_, '_> {
    type Value = Meaning;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Meaning, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for Named<'_, '_, '_> {
    type Value = Meaning;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Meaning, E> {
        let mut any = false;
        for place in self.0 {
            place.likeness = likeness(name, place.step);
            any |= place.likeness != Likeness::None;
        }
        Ok(match name {
            "__proto__" => Meaning::Proto,
            "0" => Meaning::Zero,
            _ if any => Meaning::Place,
            _ => Meaning::None,
        })
    }
}

#[cfg(test)]
mod tests;
