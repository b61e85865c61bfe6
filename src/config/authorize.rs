//! `auth.authorize`: what a credential must reach to.

use super::fault::{Fault, Shape};
use super::node::Node;
use super::object::Object;
use super::relations::Relation;
use super::{first_message, names, service};
use crate::auth::authorize::template::PathTemplate;
use crate::auth::authorize::{Asking, AuthorizeRule, Callout, Grant};
use crate::auth::first_message::When;
use crate::auth::pointer::Pointer;
use std::collections::{BTreeMap, BTreeSet};

const PLACES: &[&str] = &["query", "header", "path", "message"];

/// Most members of one object, or entries of one list, that the rules of a policy look for
/// in a message: each of its names is held against all of them. So a byte of a message
/// costs 50 ns at most, on the machine of the README.
const MOST_MEMBERS: usize = 8;

/// Reads the list of rules.
pub(super) fn read(node: &Node<'_>) -> Vec<AuthorizeRule> {
    let rules = node.list_of(rule).unwrap_or_default();
    let (place, members) = most_members(&rules);
    if members > MOST_MEMBERS {
        node.report(Relation::ManyMembers { place, members, most: MOST_MEMBERS });
    }
    rules
}

/// Returns the place in a message at which the rules look for the most members, as a
/// pointer, and the number of those members.
fn most_members(rules: &[AuthorizeRule]) -> (String, usize) {
    let mut sought: BTreeMap<(bool, &[String]), BTreeSet<&str>> = BTreeMap::new();
    for rule in rules {
        let Asking::Message { pointer, when } = &rule.from else { continue };
        for pointer in when.pointers().chain([pointer]) {
            let steps = pointer.steps();
            for (depth, step) in steps.iter().enumerate() {
                let place = (pointer.first_index().is_some(), steps.get(..depth).unwrap_or(steps));
                sought.entry(place).or_default().insert(step);
            }
        }
    }
    let most = sought.iter().max_by_key(|(_, members)| members.len());
    most.map_or_else(Default::default, |((_, place), members)| {
        (place.iter().map(|step| format!("/{step}")).collect(), members.len())
    })
}

/// Where it names services for what messages ask for: these wait for the answers.
pub(super) fn message_callouts<'a>(node: &Node<'a>) -> Vec<Node<'a>> {
    let callout = |rule: &Node<'a>| {
        let asks = rule.member("from").is_some_and(|from| from.has_member("message"));
        rule.member("callout").filter(|_| asks)
    };
    node.plain_items().iter().filter_map(callout).collect()
}

/// Returns true if a rule reads messages, or was written so and has an error.
pub(super) fn may_read_messages(node: &Node<'_>) -> bool {
    let items = node.plain_items();
    let other = |rule: &Node<'_>| {
        let from = rule.member("from");
        from.is_some_and(|from| ["query", "header", "path"].iter().any(|at| from.has_member(at)))
    };
    items.is_empty() || !items.iter().all(other)
}

fn rule(node: &Node<'_>) -> Option<AuthorizeRule> {
    let rule = node.object(&["from", "claim", "callout"])?;
    let write = "where it is said what is asked for, like {query: room}";
    let from = rule.require("from", write).and_then(asking);
    let grant = match rule.one_of(&["claim", "callout"])? {
        ("claim", node) => Some(Grant::Claim(names::claim_of(node)?)),
        (_, node) => callout(node, from.as_ref()).map(Grant::Callout),
    };
    Some(AuthorizeRule { from: from?, grant: grant? })
}

fn asking(node: &Node<'_>) -> Option<Asking> {
    let from = node.object(&["query", "header", "path", "message", "when"])?;
    let (kind, place) = from.one_of(PLACES)?;
    if kind == "message" {
        let pointer = first_message::pointer(place);
        let when = from.get("when").map_or(Some(When::default()), first_message::when);
        if let (Some(pointer), Some(when)) = (&pointer, &when) {
            begin_alike(place, pointer, when);
        }
        return Some(Asking::Message { pointer: pointer?, when: when? });
    }
    if let Some(when) = from.get("when") {
        when.report(Relation::WhenWithoutMessage);
    }
    match kind {
        "query" => Some(Asking::Query(place.line()?.to_owned())),
        "header" => {
            let name = place.line()?;
            place.take(names::header(name)).map(Asking::Header)
        }
        _ => {
            let template = template(place)?;
            if template.names().is_empty() {
                place.report(Relation::NothingAsked);
                return None;
            }
            Some(Asking::Path(template))
        }
    }
}

/// A message is an object or a list, so no message meets a rule whose pointers begin with
/// a name and with an index.
fn begin_alike(node: &Node<'_>, pointer: &Pointer, when: &When) {
    let index = pointer.first_index().is_some();
    if when.pointers().any(|other| other.first_index().is_some() != index) {
        node.report(Relation::PointersUnlike { index });
    }
}

fn callout(node: &Node<'_>, from: Option<&Asking>) -> Option<Callout> {
    let callout = node.object(&["cluster", "host", "path", "timeout", "cache"])?;
    let cluster = service::cluster(&callout);
    let host = match callout.get("host") {
        Some(node) => service::authority(node),
        None => cluster.clone(),
    };
    let path = path(&callout, from);
    let timeout = service::timeout(&callout);
    let cache = service::cache(&callout);
    Some(Callout { cluster: cluster?, host: host?, path: path?, timeout: timeout?, cache: cache? })
}

fn path(callout: &Object<'_>, from: Option<&Asking>) -> Option<PathTemplate> {
    let node = callout.require("path", "the path to ask for, like /members/{room}/{sub}")?;
    let template = template(node)?;
    let known = from.map(Asking::names);
    let unknown = known.as_ref().and_then(|known| {
        template.names().into_iter().find(|name| *name != "sub" && !known.contains(name))
    });
    match (unknown, known) {
        (Some(name), Some(known)) => {
            let known = known.iter().map(|name| format!("{{{name}}}")).collect();
            node.report(Relation::UnknownVariable { name: name.to_owned(), known });
            None
        }
        _ => Some(template),
    }
}

fn template(node: &Node<'_>) -> Option<PathTemplate> {
    let text = node.text()?;
    if text.len() > 1024 {
        node.report(Fault::from(Shape::TooLongText { most: 1024 }));
        return None;
    }
    node.take_from(PathTemplate::parse(text))
}
