//! `client` and `server`: what each end may send.

use super::node::{Node, Words};
use super::object::Object;
use super::relations::Relation;
use super::units::Bound;
use super::{names, patterns, rates};
use crate::inspect::{Action, RuleError, RuleSet, RuleSpec};
use crate::message::MessageRules;

const KEYS: &[&str] = &[
    "max_frame",
    "max_message",
    "max_fragments",
    "max_message_time",
    "types",
    "rate",
    "bytes",
    "json",
    "schema",
    "rules",
    "on_violation",
];

/// A message is held as a whole, in memory that all connections of a worker share.
const MESSAGE: Bound = Bound { most: 64 << 20, text: "64MiB" };
const LONGEST: Bound = Bound { most: 366 * 24 * 3_600_000, text: "8784h" };
const FRAGMENTS: Bound = Bound { most: 65_536, text: "65536" };

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Binary,
}

const TYPES: &Words<Kind> = &[("text", Some(Kind::Text)), ("binary", Some(Kind::Binary))];

const JSON: &Words<()> = &[("required", None), ("ignored", Some(()))];

const ACTIONS: &Words<Action> = &[
    ("close", Some(Action::Close)),
    ("drop", Some(Action::Drop)),
    ("reply", Some(Action::Reply)),
    ("sanitize", Some(Action::Sanitize)),
    ("slow", Some(Action::Slow)),
    ("report", Some(Action::Report)),
];

/// Time helps against a rate only.
const RULE_ACTIONS: &Words<Action> = &[
    ("close", Some(Action::Close)),
    ("drop", Some(Action::Drop)),
    ("reply", Some(Action::Reply)),
    ("sanitize", Some(Action::Sanitize)),
    ("report", Some(Action::Report)),
];

/// Reads the section of one direction, if it is written; `users`: the policy
/// knows its users.
///
/// `max_frame` may be left out beside any `max_message`, above or below its own
/// default; where it is written it must not be above `max_message`, since no
/// frame is larger than its message, and the larger of the two would never hold.
///
/// `text_only`: what messages say is read as text, so that binary ones are allowed
/// only where `types` names them.
pub(super) fn read(node: Option<&Node<'_>>, users: bool, text_only: bool) -> MessageRules {
    let mut rules = MessageRules { binary: !text_only, ..MessageRules::default() };
    let Some(section) = node.and_then(|node| node.object(KEYS)) else { return rules };
    section.not_yet(&["schema"]);
    (rules.rate, rules.bytes) = rates::of_messages(&section, users);
    section.get("json").and_then(|node| node.word(JSON));
    sizes(&section, &mut rules);
    rules.max_fragments = MessageRules::default_max_fragments(rules.max_message_bytes);
    if let Some(count) = section.get("max_fragments").and_then(|node| node.count(FRAGMENTS)) {
        rules.max_fragments = u32::try_from(count).unwrap_or(rules.max_fragments);
    }
    if let Some(time) = section.get("max_message_time").and_then(|n| n.duration(LONGEST)) {
        rules.max_message_time = time;
    }
    if let Some(types) = section.get("types").and_then(|node| node.list_of(|t| t.word(TYPES))) {
        rules.text = types.contains(&Kind::Text);
        rules.binary = types.contains(&Kind::Binary);
    }
    if let Some(action) = section.get("on_violation").and_then(|node| node.word(ACTIONS)) {
        rules.on_violation = action;
    }
    rules.rules =
        section.get("rules").and_then(|node| rule_set(node, of_rules(rules.on_violation)));
    rules
}

fn sizes(section: &Object<'_>, rules: &mut MessageRules) {
    let message = section.get("max_message").map(|node| node.size(MESSAGE));
    let frame = section.get("max_frame").and_then(|node| Some((node, node.size(MESSAGE)?)));
    // A message limit that is misspelt or wrong says nothing about the frame's.
    let known = match message {
        Some(written) => written,
        None => (!section.is_meant("max_message")).then_some(rules.max_message_bytes),
    };
    rules.max_message_bytes = known.unwrap_or(rules.max_message_bytes);
    if let Some((node, bytes)) = frame {
        rules.max_frame_bytes = bytes;
        if known.is_some_and(|message| bytes > message) {
            node.report(Relation::FrameAboveMessage);
        }
    }
}

/// Reads the rules; those without an action have that of `on_violation`.
fn rule_set(node: &Node<'_>, on_violation: Action) -> Option<RuleSet> {
    let mut names: Vec<Node<'_>> = Vec::new();
    let mut specs = Vec::new();
    let mut sources = Vec::new();
    for item in node.list()? {
        let Some(rule) = item.object(&["preset", "name", "pattern", "in", "action"]) else {
            continue;
        };
        rule.not_yet(&["preset", "in"]);
        if rule.get("preset").is_some() {
            continue;
        }
        let action = rule.get("action").map_or(Some(on_violation), |node| node.word(RULE_ACTIONS));
        let name = rule.require("name", "one that is unique, for events").filter(|n| is_name(n));
        if let Some(name) = name {
            match names.iter().find(|first| first.plain_text() == name.plain_text()) {
                Some(first) => name.report_repeated(first),
                None => names.push(name.clone()),
            }
        }
        let pattern = rule.require("pattern", "a regular expression");
        let text = pattern.and_then(Node::text);
        let (Some(pattern), Some(text)) = (pattern, text) else { continue };
        // A rule that is wrong elsewhere is compiled all the same, to tell of its pattern.
        specs.push(RuleSpec {
            name: name.and_then(Node::plain_text).unwrap_or_default().to_owned(),
            pattern: text.to_owned(),
            action: action.unwrap_or(on_violation),
        });
        sources.push(pattern.clone());
    }
    if specs.is_empty() {
        return None;
    }
    RuleSet::compile(specs).map_err(|errors| rule_errors(node, &sources, errors)).ok()
}

/// What rules do that have no action of their own.
fn of_rules(on_violation: Action) -> Action {
    if on_violation == Action::Slow { Action::Close } else { on_violation }
}

fn is_name(node: &Node<'_>) -> bool {
    node.line().and_then(|name| node.take(names::label(name))).is_some()
}

/// Reports what the compiler found, where it stands in the document.
fn rule_errors(rules: &Node<'_>, sources: &[Node<'_>], errors: Vec<RuleError>) {
    for error in errors {
        sources.get(error.index()).unwrap_or(rules).report(patterns::fault(&error));
    }
}
