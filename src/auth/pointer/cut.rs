//! A document without what stands at a place.

use super::{Likeness, index, likeness, text};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// Writes the value without what the steps lead to; whether there was anything.
/// Everything else stays as it was written, but for white space around it.
pub(super) fn cut(value: &RawValue, steps: &[&str], out: &mut String) -> bool {
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
