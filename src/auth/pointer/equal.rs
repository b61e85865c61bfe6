//! Compares values in messages to values in the policy, as strict and loose readers do.

use super::{Found, is_alike, without_nul};
use serde::de::{Deserializer, Visitor};
use serde_json::value::RawValue;
use serde_json::{Number, Value};
use std::fmt;

/// Beyond this, readers that hold numbers as IEEE 754 doubles round integers.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// How a place in a message compares to the value that is expected there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::auth) enum Equality {
    /// It holds that value: numbers by what they mean, `1` and `1.0` alike.
    Equal,
    /// It holds another one of that kind, or nothing.
    Other,
    /// It holds nothing, where a reader that fills in 0, false or an empty text for
    /// what is missing finds what is expected.
    Default,
    /// It holds a value of another kind, which loose comparisons and tables of
    /// functions may take for the one that is expected (`[1]`, `"1"` and `true` for 1).
    OtherKind,
    /// Readers may not agree.
    Unclear,
}

impl Found<'_> {
    /// Compares what was found to the `expected` value.
    pub(in crate::auth) fn is(self, expected: &Value) -> Equality {
        match self {
            Self::One(value) => equality(value, expected),
            Self::Nothing if is_default(expected) => Equality::Default,
            Self::Nothing => Equality::Other,
            Self::OtherKind => Equality::OtherKind,
            Self::Ambiguous => Equality::Unclear,
        }
    }
}

fn is_default(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(_) | Value::Object(_) => false,
    }
}

fn equality(value: &RawValue, expected: &Value) -> Equality {
    let mut reader = serde_json::Deserializer::from_str(value.get());
    match (value.get().as_bytes().first(), expected) {
        // What is no text: a reader may leave out that part of it.
        (Some(b'"'), _) => reader.deserialize_str(Equals(expected)).unwrap_or(Equality::Unclear),
        // A number beyond what any reader can hold.
        (Some(b'-' | b'0'..=b'9'), Value::Number(_)) => {
            reader.deserialize_any(Equals(expected)).unwrap_or(Equality::Unclear)
        }
        (Some(b't' | b'f'), Value::Bool(expected)) => {
            if (value.get() == "true") == *expected {
                Equality::Equal
            } else {
                Equality::Other
            }
        }
        _ => Equality::OtherKind,
    }
}

/// Compares a text or a number.
struct Equals<'e>(&'e Value);

impl Equals<'_> {
    fn number(&self, number: &Number) -> Equality {
        let Value::Number(expected) = self.0 else { return Equality::OtherKind };
        let (Some(value), Some(wanted)) = (number.as_f64(), expected.as_f64()) else {
            return Equality::Unclear;
        };
        if number == expected || value == wanted {
            Equality::Equal
        } else if wanted.fract() == 0.0 && may_become(value, wanted) {
            Equality::Unclear
        } else {
            Equality::Other
        }
    }
}

/// Returns true if a reader that truncates to integers of 32 or 64 bits may turn `value`
/// into `integer`.
fn may_become(value: f64, integer: f64) -> bool {
    let away = value - integer;
    away.abs() < 1.0 || value.abs() > MAX_EXACT || away % 4_294_967_296.0 == 0.0
}

impl Visitor<'_> for Equals<'_> {
    type Value = Equality;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a number")
    }

    fn visit_i64<E>(self, value: i64) -> Result<Equality, E> {
        Ok(self.number(&value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Equality, E> {
        Ok(self.number(&value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Equality, E> {
        // JSON has no number that is not finite.
        Ok(Number::from_f64(value).map_or(Equality::Unclear, |number| self.number(&number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Equality, E> {
        let Value::String(expected) = self.0 else { return Ok(Equality::OtherKind) };
        Ok(if value == expected {
            Equality::Equal
        } else if without_nul(value).any(|value| value == *expected)
            || is_alike(value.trim(), expected.trim())
            || numeric(expected).is_some_and(|number| numeric(value) == Some(number))
        {
            Equality::Unclear
        } else {
            Equality::Other
        })
    }
}

/// The number in a text, as PHP's `==` reads it: `"1"`, `"01"` and `" 1e0"` are equal.
fn numeric(text: &str) -> Option<f64> {
    let text = text.trim_matches([' ', '\t', '\n', '\r', '\u{b}', '\u{c}']);
    // `f64` also reads `inf` and `nan`.
    let digits =
        |byte: u8| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E');
    text.bytes().all(digits).then(|| text.parse().ok()).flatten()
}
