//! `lifetime`: what ends a connection that breaks no rule, and how it is told.

use super::FilterKind;
use super::node::Node;
use super::relations::{NotInStream, Relation};
use super::units::Bound;
use crate::session::Lifetime;

const KEYS: &[&str] = &["idle", "max", "ping_counts", "push", "heartbeat"];

/// In milliseconds.
const LONGEST: Bound = Bound { most: 366 * 24 * 3_600_000, text: "8784h" };

/// Reads `lifetime`, if it is written.
pub(super) fn read(node: Option<&Node<'_>>, filter: FilterKind) -> Lifetime {
    let mut rules = Lifetime::default();
    let Some(section) = node.and_then(|node| node.object(KEYS)) else { return rules };
    let duration = |key| section.get(key).and_then(|node| node.duration(LONGEST));
    rules.idle = duration("idle").unwrap_or(rules.idle);
    rules.max = duration("max");
    rules.heartbeat = duration("heartbeat");
    let flag = |key| section.get(key).and_then(Node::flag);
    rules.ping_counts = flag("ping_counts").unwrap_or(rules.ping_counts);
    let push = section.get("push").map(|node| (node, node.flag()));
    rules.push = matches!(push, Some((_, Some(true))));
    if let (true, FilterKind::Stream, Some((node, _))) = (rules.push, filter, push) {
        node.report(Relation::Stream(NotInStream::Pushes));
    }
    // One that is misspelt or wrong says nothing about the heartbeat.
    let without = push.map_or(!section.is_meant("push"), |(_, read)| read == Some(false));
    if let (Some(node), true) = (section.get("heartbeat"), without) {
        node.report(Relation::NeedsPush);
    }
    rules
}
