//! In which form messages ask for something: objects, lists, batches, packets. What
//! no rule can read is refused, since another reader may find in it what we don't.

use super::message::Asked;
use super::{Asking, OtherMessages, fit};
use crate::auth::AuthRules;
use crate::auth::error::AuthError;
use crate::auth::first_message::{Form, Met, Packet, When, socketio_packet};
use crate::auth::pointer::{self, Case, Equality, Found, Outline, Pointer};
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::collections::HashSet;
use std::fmt;

/// Most different things that one message may ask for, a batch.
const MAX_ASKED: usize = 1024;

/// Largest integer that all readers hold exactly, those too that hold numbers as
/// IEEE 754 doubles.
const MAX_EXACT: u64 = (1 << 53) - 1;

/// Hands over what a message asks for, once each, in the order of its entries and of
/// the rules.
pub(super) fn each_asked(
    rules: &AuthRules,
    message: &[u8],
    mut each: impl FnMut(Asked) -> Result<(), AuthError>,
) -> Result<(), AuthError> {
    if !rules.asks_in_messages() {
        return Ok(());
    }
    let form = rules.first_message.as_ref().map(|first| &first.form);
    if let Some(Form::SocketIo) = form {
        return match socketio_packet(message) {
            Some(Packet::Silent) => Ok(()),
            Some(Packet::Connect(payload)) if has(rules, Root::Object) => {
                read_whole(rules, Root::Object, payload, &mut each)
            }
            Some(Packet::Connect(_)) => Ok(()),
            Some(Packet::Event(payload)) if has(rules, Root::List) => {
                read_whole(rules, Root::List, payload, &mut each)
            }
            Some(Packet::Event(payload)) => {
                read_entries(rules, Others::PassAsArguments, payload, &mut each)
            }
            None => read_other(rules, message),
        };
    }
    let json_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let first = message.iter().find(|byte| !json_space(byte));
    match first.filter(|_| simdutf8::basic::from_utf8(message).is_ok()) {
        Some(b'{') if has(rules, Root::Object) => {
            if may_be_list(rules, message) {
                return Err(AuthError::UnreadMessage);
            }
            read_whole(rules, Root::Object, message, &mut each)
        }
        Some(b'{') if form == Some(&Form::GraphQl) && is_graphql_heartbeat(message) => Ok(()),
        Some(b'[') if has(rules, Root::List) => {
            if is_batch(rules, message) {
                return Err(AuthError::UnreadMessage);
            }
            read_whole(rules, Root::List, message, &mut each)
        }
        Some(b'[') => read_entries(rules, Others::Refuse, message, &mut each),
        _ => read_other(rules, message),
    }
}

/// The JSON type of the documents that a rule reads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Root {
    /// Its pointers begin with a name.
    Object,
    /// Its pointers begin with an index.
    List,
}

/// The rules that read such documents, by their places.
fn reading(
    rules: &AuthRules,
    root: Root,
) -> impl Iterator<Item = (usize, &Pointer, &When)> + Clone {
    rules.authorize.iter().enumerate().filter_map(move |(place, rule)| match &rule.from {
        Asking::Message { pointer, when } => {
            let list = pointer.first_index().is_some();
            (list == (root == Root::List)).then_some((place, pointer, when))
        }
        Asking::Query(_) | Asking::Header(_) | Asking::Path(_) => None,
    })
}

fn has(rules: &AuthRules, root: Root) -> bool {
    reading(rules, root).next().is_some()
}

/// Returns true if a rule for lists finds a value in this object. JavaScript and PHP
/// read `message[0]` from the list `["join"]` and from the object `{"0":"join"}` alike.
fn may_be_list(rules: &AuthRules, object: &[u8]) -> bool {
    if !has(rules, Root::List) {
        return false;
    }
    let pointers = || {
        let reading = reading(rules, Root::List);
        reading.flat_map(|(_, pointer, when)| when.pointers().chain([pointer]))
    };
    Outline::of(object, pointers()).is_some_and(|outline| {
        let holds = |p| matches!(outline.find(p), Found::One(_) | Found::Ambiguous);
        pointers().any(holds)
    })
}

/// Returns true for the GraphQL messages `ping`, `pong` and `connection_init`, which
/// request no operation.
fn is_graphql_heartbeat(message: &[u8]) -> bool {
    let Some(document) = pointer::document(message) else { return false };
    let kind = pointer::find(document, &["type"], Case::Exact);
    ["ping", "pong", "connection_init"]
        .into_iter()
        .any(|heartbeat| kind.is(&heartbeat.into()) == Equality::Equal)
}

/// A message that is neither an object nor a list, or is read by no rule.
fn read_other(rules: &AuthRules, message: &[u8]) -> Result<(), AuthError> {
    let passes = rules.other_messages == OtherMessages::Pass;
    if passes && !pointer::may_hold_json(message) { Ok(()) } else { Err(AuthError::UnreadMessage) }
}

/// Holds an object or a list as a whole against the rules that read such.
fn read_whole(
    rules: &AuthRules,
    root: Root,
    message: &[u8],
    each: &mut impl FnMut(Asked) -> Result<(), AuthError>,
) -> Result<(), AuthError> {
    let mut outline = outline_of(rules, root);
    read_like((rules, root, &mut outline), message, &mut false, each)
}

/// For documents of this kind: all pointers of the rules that read them.
fn outline_of<'a>(rules: &AuthRules, root: Root) -> Outline<'_, 'a> {
    let reading = reading(rules, root);
    Outline::over(reading.flat_map(|(_, pointer, when)| when.pointers().chain([pointer])))
}

/// Holds one of several documents of a list against the rules. Sets `had_blank` once one in
/// which no pointer finds anything was let by; later ones like it are let by unread.
fn read_like<'a>(
    (rules, root, outline): (&AuthRules, Root, &mut Outline<'_, 'a>),
    message: &'a [u8],
    had_blank: &mut bool,
    each: &mut impl FnMut(Asked) -> Result<(), AuthError>,
) -> Result<(), AuthError> {
    if !outline.read(message) {
        return Err(AuthError::UnreadMessage);
    }
    if outline.is_numbered() {
        return Err(AuthError::UnreadMessage);
    }
    let is_blank = outline.is_blank();
    if is_blank && *had_blank {
        return Ok(());
    }
    for (place, pointer, when) in reading(rules, root) {
        if let Some(value) = read(pointer, when, outline)? {
            each((place, value))?;
        }
    }
    *had_blank |= is_blank;
    // Also where no rule's `when` is met.
    if outline.has_proto() { Err(AuthError::NotAsked) } else { Ok(()) }
}

/// The value that a document asks for, if it is one that asks.
fn read(
    pointer: &Pointer,
    when: &When,
    outline: &Outline<'_, '_>,
) -> Result<Option<String>, AuthError> {
    let met = when.is_met_by(outline);
    match met {
        Met::Yes | Met::ByDefault => {}
        Met::No => return Ok(None),
        Met::OtherKind | Met::Unclear => return Err(AuthError::NotAsked),
    }
    match outline.find(pointer) {
        Found::One(value) => value_of(value).ok_or(AuthError::NotAsked).and_then(fit).map(Some),
        Found::Nothing if when.is_empty() || met == Met::ByDefault => Ok(None),
        Found::Nothing | Found::Ambiguous | Found::OtherKind => Err(AuthError::NotAsked),
    }
}

/// A text, or a number that all readers hold exactly and write in the same way.
fn value_of(value: &RawValue) -> Option<String> {
    let written = value.get();
    if written.starts_with('"') {
        return pointer::text(value);
    }
    let number: serde_json::Number = serde_json::from_str(written).ok()?;
    let exact = match number.as_i64() {
        Some(integer) => integer.unsigned_abs() <= MAX_EXACT,
        None => number.as_f64().is_some_and(|number| number.fract() != 0.0),
    };
    let plain = !written.contains(['e', 'E']) && number.to_string() == written;
    (exact && plain).then(|| written.to_owned())
}

/// How to treat list entries that are not objects.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Others {
    /// The list is one that no rule reads.
    Refuse,
    /// They are an event's name and plain arguments.
    PassAsArguments,
}

/// Holds each object of a list against the rules, as servers do that take batches.
fn read_entries<'l>(
    rules: &AuthRules,
    others: Others,
    list: &'l [u8],
    each: &mut impl FnMut(Asked) -> Result<(), AuthError>,
) -> Result<(), AuthError> {
    if !has(rules, Root::Object) {
        return Err(AuthError::UnreadMessage);
    }
    let mut asked: HashSet<Asked> = HashSet::new();
    let mut once = |this: Asked| {
        if asked.contains(&this) {
            return Ok(());
        }
        if asked.len() >= MAX_ASKED {
            return Err(AuthError::NotAsked);
        }
        asked.insert(this.clone());
        each(this)
    };
    let mut had_blank = false;
    let mut outline = outline_of(rules, Root::Object);
    let entry = |entry: &'l RawValue| match entry.get().as_bytes().first() {
        Some(b'{') => {
            let object = entry.get().as_bytes();
            read_like((rules, Root::Object, &mut outline), object, &mut had_blank, &mut once)
        }
        Some(b'[') => Err(AuthError::UnreadMessage),
        _ if others == Others::Refuse => Err(AuthError::UnreadMessage),
        Some(b'"') => match pointer::text(entry) {
            Some(text) if !pointer::may_hold_json(text.as_bytes()) => Ok(()),
            _ => Err(AuthError::UnreadMessage),
        },
        _ => Ok(()),
    };
    for_each_entry(list, entry)
}

/// Returns true if a list is a batch of messages and not one message: all its entries
/// are objects or lists, and it ends before any index that a rule for lists names.
fn is_batch(rules: &AuthRules, list: &[u8]) -> bool {
    let (mut reader, mut count) = (reading(rules, Root::List), 0);
    let all = for_each_entry(list, |entry| {
        count += 1;
        if entry.get().starts_with(['{', '[']) { Ok(()) } else { Err(AuthError::UnreadMessage) }
    });
    let is_beyond = |pointer: &Pointer| pointer.first_index().is_none_or(|index| index >= count);
    all.is_ok()
        && count > 0
        && reader.all(|(_, pointer, when)| when.pointers().chain([pointer]).all(is_beyond))
}

/// Hands over the entries of a list, up to the first that fails.
fn for_each_entry<'l>(
    list: &'l [u8],
    entry: impl FnMut(&'l RawValue) -> Result<(), AuthError>,
) -> Result<(), AuthError> {
    let mut reader = serde_json::Deserializer::from_slice(list);
    let mut failed = None;
    let read = reader.deserialize_seq(Entries { entry, failed: &mut failed });
    match (failed, read.and_then(|()| reader.end())) {
        (Some(error), _) => Err(error),
        (None, Err(_)) => Err(AuthError::UnreadMessage),
        (None, Ok(())) => Ok(()),
    }
}

struct Entries<'f, F> {
    entry: F,
    failed: &'f mut Option<AuthError>,
}

impl<'de, F: FnMut(&'de RawValue) -> Result<(), AuthError>> Visitor<'de> for Entries<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while let Some(entry) = seq.next_element::<&'de RawValue>()? {
            if let Err(error) = (self.entry)(entry) {
                *self.failed = Some(error);
                return Err(A::Error::custom("an entry that is not read"));
            }
        }
        Ok(())
    }
}
