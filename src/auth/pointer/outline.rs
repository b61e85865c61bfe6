//! One look at a message for several pointers.

use super::{Case, Found, Place, Pointer, look};
use serde_json::value::RawValue;

/// The values of a message at several pointers. Each object and list is read once for all
/// pointers that lead through it, and the whole message has been checked to be JSON.
#[derive(Debug)]
pub(in crate::auth) struct Outline<'n, 'a> {
    found: Vec<(&'n Pointer, Found<'a>)>,
    /// The first steps of the pointers.
    roots: Vec<Place<'n, 'a>>,
    proto: bool,
    numbered: bool,
}

impl<'n, 'a> Outline<'n, 'a> {
    /// `None` when the message is not one JSON value.
    pub(in crate::auth) fn of(
        message: &'a [u8],
        pointers: impl Iterator<Item = &'n Pointer>,
    ) -> Option<Self> {
        let mut outline = Self::over(pointers);
        outline.read(message).then_some(outline)
    }

    /// Of no message yet; [`Self::read`] may be called for several.
    pub(in crate::auth) fn over(pointers: impl Iterator<Item = &'n Pointer>) -> Self {
        let found = pointers.map(|pointer| (pointer, Found::Nothing)).collect();
        let mut outline = Self { found, roots: Vec::new(), proto: false, numbered: false };
        outline.roots = outline.places_below(&[]);
        outline
    }

    /// Looks through a message in the place of the one before. Returns false when it is not
    /// one JSON value; then nothing is known of it.
    pub(in crate::auth) fn read(&mut self, message: &'a [u8]) -> bool {
        let Ok(text) = simdutf8::basic::from_utf8(message) else { return false };
        self.set(&[], Found::Nothing);
        (self.proto, self.numbered) = (false, false);
        let mut roots = std::mem::take(&mut self.roots);
        roots.iter_mut().for_each(Place::reset);
        let read = self.descend(text, &[], &mut roots);
        self.roots = roots;
        if read.is_ok() {
            return true;
        }
        // JSON all the same where a name is no text; readers differ in what they make of
        // that.
        self.set(&[], Found::Ambiguous);
        serde_json::from_str::<&RawValue>(text).is_ok()
    }

    /// The value at one of the pointers; a pointer that was not given to `of` is ambiguous.
    pub(in crate::auth) fn find(&self, pointer: &Pointer) -> Found<'a> {
        // Mostly it is one of those that were given, at the same address.
        let found = self.found.iter().find(|(other, _)| std::ptr::eq(*other, pointer));
        let found = found.or_else(|| self.found.iter().find(|(other, _)| *other == pointer));
        found.map_or(Found::Ambiguous, |(_, found)| *found)
    }

    /// Returns true if no pointer finds anything, in an object or a list in which readers
    /// may not find anything else either.
    pub(in crate::auth) fn is_blank(&self) -> bool {
        let is_nothing = |(_, found): &(_, Found<'_>)| matches!(found, Found::Nothing);
        !self.proto && !self.numbered && self.found.iter().all(is_nothing)
    }

    /// Returns true if an object on the way of a pointer has a member `__proto__`, whose
    /// members JavaScript may read as members of that object.
    pub(in crate::auth) fn has_proto(&self) -> bool {
        self.proto
    }

    /// Returns true if the message is an object that PHP may read as a list of objects or
    /// lists.
    pub(in crate::auth) fn is_numbered(&self) -> bool {
        self.numbered
    }

    /// The next steps of the pointers below `prefix`.
    fn places_below(&self, prefix: &[String]) -> Vec<Place<'n, 'a>> {
        let mut places: Vec<Place<'n, 'a>> = Vec::new();
        for (pointer, _) in &self.found {
            let step = below(pointer, prefix).and_then(<[String]>::first);
            let Some(step) = step else { continue };
            if places.iter().all(|place| place.step != step) {
                places.push(Place::new(step));
            }
        }
        places
    }

    /// Looks through a value for `places`, those that the pointers below `prefix` lead
    /// through.
    fn descend(
        &mut self,
        text: &'a str,
        prefix: &[String],
        places: &mut [Place<'n, 'a>],
    ) -> serde_json::Result<()> {
        let seen = look(text, places, Case::Exact)?;
        self.proto |= seen.proto;
        self.numbered |= seen.numbered && prefix.is_empty();
        for place in places {
            // As it is from the beginning: entries of a list may be many, and short.
            if prefix.is_empty() && matches!(place.found, Found::Nothing) {
                continue;
            }
            let of_place = |pointer: &&'n Pointer| {
                below(pointer, prefix).and_then(<[String]>::first).is_some_and(|s| s == place.step)
            };
            let longest = self.found.iter().map(|(pointer, _)| *pointer).filter(of_place);
            let longest = longest.max_by_key(|pointer| pointer.0.len());
            let Some((path, more)) = longest.and_then(|l| l.0.split_at_checked(prefix.len() + 1))
            else {
                continue;
            };
            self.set(path, place.found);
            if let (Found::One(value), false) = (place.found, more.is_empty()) {
                let mut places = self.places_below(path);
                if self.descend(value.get(), path, &mut places).is_err() {
                    self.set_below(path, Found::Ambiguous);
                }
            }
        }
        Ok(())
    }

    /// For the pointer `prefix` and all below it.
    fn set(&mut self, prefix: &[String], found: Found<'a>) {
        for (pointer, place) in &mut self.found {
            if pointer.0.starts_with(prefix) {
                *place = found;
            }
        }
    }

    /// For all pointers below `prefix`.
    fn set_below(&mut self, prefix: &[String], found: Found<'a>) {
        for (pointer, place) in &mut self.found {
            if below(pointer, prefix).is_some_and(|more| !more.is_empty()) {
                *place = found;
            }
        }
    }
}

/// The steps of a pointer behind those of `prefix`.
fn below<'n>(pointer: &'n Pointer, prefix: &[String]) -> Option<&'n [String]> {
    pointer.0.strip_prefix(prefix)
}

/// Holds that one look finds what looks one by one find, in a document that was read
/// as a whole before.
pub(in crate::auth) fn fuzz_outline(message: &[u8]) {
    let pointers = ["/type", "/token", "/token/0", "/a/0/token", "/A", "/a", "/0", "/1/a"];
    let pointers: Vec<Pointer> = pointers.into_iter().filter_map(Pointer::parse).collect();
    let (outline, whole) = (Outline::of(message, pointers.iter()), super::document(message));
    assert_eq!(outline.is_some(), whole.is_some());
    let (Some(outline), Some(whole)) = (outline, whole) else { return };
    for pointer in &pointers {
        let (one, other) = (outline.find(pointer), super::find(whole, &pointer.0, Case::Exact));
        assert_eq!(format!("{one:?}"), format!("{other:?}"), "{pointer:?}");
    }
}
