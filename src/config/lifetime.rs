//! `lifetime`: what ends a connection that breaks no rule, and how it is told.

use super::FilterKind;
use super::node::Node;
use super::relations::{NotInStream, Relation};
use super::units::Bound;
use crate::session::Lifetime;

const KEYS: &[&str] = &["idle", "max", "ping_counts", "push", "heartbeat"];

/// In milliseconds.
const LONGEST: Bound = Bound { most: 366 * 24 * 3_600_000, text: "8784h" };

/// What is known of `push`, for what needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Push {
    With,
    Without,
    /// It is misspelt or wrong, which is reported already.
    Wrong,
}

impl Push {
    /// Holds that what holds messages until an answer has come can let them go.
    pub(super) fn check(self, node: &Node<'_>, filter: FilterKind) {
        match (filter, self) {
            (FilterKind::Stream, _) => node.report(Relation::Stream(NotInStream::Holds)),
            (FilterKind::Http, Self::Without) => node.report(Relation::NeedsPush),
            (FilterKind::Http, Self::With | Self::Wrong) => {}
        }
    }
}

/// Reads `lifetime`, if it is written.
pub(super) fn read(node: Option<&Node<'_>>, filter: FilterKind) -> (Lifetime, Push) {
    let mut rules = Lifetime::default();
    let Some(node) = node else { return (rules, Push::Without) };
    let Some(section) = node.object(KEYS) else { return (rules, Push::Wrong) };
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
    let known = match push {
        Some((_, Some(true))) => Push::With,
        Some((_, Some(false))) => Push::Without,
        None if !section.is_meant("push") => Push::Without,
        Some((_, None)) | None => Push::Wrong,
    };
    if let (Some(node), Push::Without) = (section.get("heartbeat"), known) {
        node.report(Relation::NeedsPush);
    }
    (rules, known)
}
