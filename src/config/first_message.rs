//! `auth.credentials[].first_message` and `auth.deadline`.

use super::fault::{Fault, Name, Shape};
use super::node::Node;
use super::object::Object;
use super::relations::Relation;
use super::units::Bound;
use super::{FilterKind, handshake, lifetime};
use crate::auth::first_message::{FirstMessageRules, Form, When};
use crate::auth::pointer::Pointer;
use crate::handshake::PlainHttp;
use serde_json::Value;
use std::time::Duration;

/// `deadline` where it is not written.
const DEADLINE: Duration = Duration::from_secs(5);

/// In milliseconds.
const LONGEST: Bound = Bound { most: 10 * 60_000, text: "10m" };

/// Longest `ack`, in bytes.
const MAX_ACK_BYTES: usize = 4096;

/// Most messages of the server that pass before the first of the client.
const GREETING: Bound = Bound { most: 1000, text: "1,000" };

/// The forms, and where they stand in the document.
pub(super) struct Checked<'a> {
    /// `first_message` of the first entry that has it.
    pub(super) node: Node<'a>,
    form: Option<Form>,
}

/// Finds the entries of `credentials` that are first messages.
pub(super) fn read<'a>(credentials: &Node<'a>) -> Option<Checked<'a>> {
    let items = credentials.plain_items();
    let last = items.len().saturating_sub(1);
    let mut checked: Option<Checked<'a>> = None;
    for (place, item) in items.iter().enumerate() {
        let Some(node) = item.member("first_message") else { continue };
        if let Some(first) = &checked {
            node.report(Relation::SecondFirstMessage { first: first.node.path().to_owned() });
            continue;
        }
        let form = form(&node);
        if place < last && !items.iter().skip(place + 1).any(|i| i.has_member("first_message")) {
            node.report(Relation::FirstMessageNotLast);
        }
        checked = Some(Checked { node, form });
    }
    checked
}

impl Checked<'_> {
    /// The rules, with `deadline` and `forward` of the same `auth`.
    pub(super) fn rules(&self, auth: &Object<'_>, forward: bool) -> Option<FirstMessageRules> {
        let deadline = auth.get("deadline").map_or(Some(DEADLINE), deadline)?;
        Some(FirstMessageRules { form: self.form.clone()?, deadline, forward })
    }

    /// Holds it against the rest of the policy.
    pub(super) fn check(
        &self,
        handshake: &handshake::Checked<'_>,
        push: lifetime::Push,
        filter: FilterKind,
    ) {
        push.check(&self.node, filter);
        let passes = handshake.rules.plain_http == PlainHttp::Pass;
        if passes && self.form == Some(Form::SocketIo) {
            self.node.report(Relation::PollingPasses);
        }
    }
}

/// `deadline`
pub(super) fn deadline(node: &Node<'_>) -> Option<Duration> {
    node.duration(LONGEST)
}

fn form(node: &Node<'_>) -> Option<Form> {
    if node.plain_text().is_some() {
        let presets = [("socketio", Some(Preset::SocketIo)), ("graphql", Some(Preset::GraphQl))];
        return Some(match node.word(&presets)? {
            Preset::SocketIo => Form::SocketIo,
            Preset::GraphQl => Form::GraphQl,
        });
    }
    let section = node.object(&["pointer", "when", "ack", "greeting"])?;
    let write = "where the credential stands in the message, like /token";
    let pointer = section.require("pointer", write).and_then(pointer);
    let when = section.get("when").map_or(Some(When::default()), when);
    let ack = match section.get("ack") {
        Some(node) => Some(node.text().filter(|text| short(node, text))?.to_owned()),
        None => None,
    };
    let greeting = match section.get("greeting") {
        Some(node) => u32::try_from(node.whole(GREETING)?).ok()?,
        None => 0,
    };
    Some(Form::Pointer { pointer: pointer?, when: when?, ack, greeting })
}

#[derive(Clone, Copy)]
enum Preset {
    SocketIo,
    GraphQl,
}

fn short(node: &Node<'_>, text: &str) -> bool {
    let short = text.len() <= MAX_ACK_BYTES;
    if !short {
        node.report(Fault::from(Shape::TooLongText { most: MAX_ACK_BYTES }));
    }
    short
}

/// `when`: plain values by JSON pointer.
pub(super) fn when(node: &Node<'_>) -> Option<When> {
    let read = |(text, node): (&str, Node<'_>)| {
        let Some(pointer) = Pointer::parse(text) else {
            node.report(Name::PointerKey);
            return None;
        };
        let value = node.json()?;
        if matches!(value, Value::Null | Value::Array(_) | Value::Object(_)) {
            node.wrong_kind("a text, a number, true or false");
            return None;
        }
        Some((pointer, value))
    };
    let read: Vec<_> = node.map()?.into_iter().map(read).collect();
    read.into_iter().collect::<Option<_>>().map(When)
}

/// A JSON pointer to something inside (RFC 6901 §3).
pub(super) fn pointer(node: &Node<'_>) -> Option<Pointer> {
    let pointer = Pointer::parse(node.line()?);
    if pointer.is_none() {
        node.report(Name::Pointer);
    }
    pointer
}
