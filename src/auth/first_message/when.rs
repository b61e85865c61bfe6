//! The condition `when`: values that a message must have at JSON pointers.

use crate::auth::pointer::{Equality, Outline, Pointer};
use serde_json::Value;

/// `when`: every pointer must find the value beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct When(pub Vec<(Pointer, Value)>);

impl When {
    pub(in crate::auth) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn pointers(&self) -> impl Iterator<Item = &Pointer> {
        self.0.iter().map(|(pointer, _)| pointer)
    }

    /// Compares a document to every pointer and value of `when`.
    pub(in crate::auth) fn is_met_by(&self, outline: &Outline<'_, '_>) -> Met {
        let mut all = if outline.has_proto() { Met::Unclear } else { Met::Yes };
        for (pointer, expected) in &self.0 {
            let one = match outline.find(pointer).is(expected) {
                Equality::Equal => Met::Yes,
                Equality::Default => Met::ByDefault,
                Equality::OtherKind => Met::OtherKind,
                Equality::Other => Met::No,
                Equality::Unclear => Met::Unclear,
            };
            all = all.max(one);
        }
        all
    }
}

/// Result of comparing a message to `when`. With several pointers, the last variant in
/// this list that one of them gives applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::auth) enum Met {
    /// It does.
    Yes,
    /// It does for readers that fill in what is missing.
    ByDefault,
    /// It holds a value of another kind, which a reader may take for the one named.
    OtherKind,
    /// It says something else, to every reader.
    No,
    /// Readers may not agree.
    Unclear,
}
