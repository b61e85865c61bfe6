//! `lifetime`: what may end a connection that breaks no rule, and how it is told.

use super::FilterKind;
use super::node::Node;
use super::relations::{NotInStream, Relation};

const KEYS: &[&str] = &["idle", "max", "ping_counts", "push", "heartbeat"];

/// Reads `lifetime`, if it is written: whether the filter writes to the client
/// unasked.
pub(super) fn read(node: Option<&Node<'_>>, filter: FilterKind) -> bool {
    let Some(section) = node.and_then(|node| node.object(KEYS)) else { return false };
    section.not_yet(&["idle", "max", "ping_counts", "heartbeat"]);
    let Some((node, push)) = section.get("push").and_then(|node| Some((node, node.flag()?))) else {
        return false;
    };
    if push && filter == FilterKind::Stream {
        node.report(Relation::Stream(NotInStream::Pushes));
    }
    push
}
