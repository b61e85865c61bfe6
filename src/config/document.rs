//! The document's own keys, and what its policies mean to one another.

use super::node::{Node, Words};
use super::policy::{self, Checked};
use super::relations::{NotInStream, Relation};
use super::units::Bound;
use super::{Config, FilterKind, Mode, Policy, Unmatched, events, quotas};
use crate::auth::folded_name;
use std::collections::HashMap;

const KEYS: &[&str] = &["filter", "mode", "unmatched", "limits", "events", "quotas", "policies"];

const FILTERS: &Words<FilterKind> =
    &[("http", Some(FilterKind::Http)), ("stream", Some(FilterKind::Stream))];

/// `mode`, of the document and of a policy.
pub(super) const MODES: &Words<Mode> =
    &[("enforce", Some(Mode::Enforce)), ("report", Some(Mode::Report))];

const UNMATCHED: &Words<Unmatched> =
    &[("reject", Some(Unmatched::Reject)), ("pass", Some(Unmatched::Pass))];

/// A filter has 4 GiB of memory at the most, and more in it than messages.
const BUFFERED: Bound = Bound { most: 1 << 30, text: "1GiB" };
const BUFFERED_DEFAULT: u64 = 256 << 20;

/// Reads the whole document. What it gives holds only if nothing was reported.
pub(super) fn read(root: &Node<'_>) -> Option<Config> {
    let document = root.object(KEYS)?;
    let filter = document.get("filter").and_then(|n| n.word(FILTERS)).unwrap_or_default();
    let mode = document.get("mode").and_then(|n| n.word(MODES)).unwrap_or(Mode::Enforce);
    let unmatched = document.get("unmatched").and_then(|n| n.word(UNMATCHED));
    if let (FilterKind::Stream, Some(Unmatched::Pass), Some(node)) =
        (filter, unmatched, document.get("unmatched"))
    {
        node.report(Relation::Stream(NotInStream::Unguarded));
    }
    let limits = Limits::read(document.get("limits"));
    let nodes = document
        .require("policies", "a list with one policy at least")
        .and_then(Node::list)
        .unwrap_or_default();
    let checked: Vec<Checked<'_>> =
        nodes.iter().filter_map(|node| policy::read(node, mode, filter)).collect();
    unique_names(&checked);
    never_reached(&checked);
    let users = nodes.iter().any(|policy| policy.has_member("auth"));
    let policies: Vec<Policy> = checked.iter().map(|checked| checked.policy.clone()).collect();
    Some(Config {
        filter,
        unmatched: unmatched.unwrap_or(Unmatched::Reject),
        buffered_per_worker_bytes: limits.per_worker,
        buffered_per_ip_bytes: limits.per_ip(&policies),
        quotas: quotas::read_document(document.get("quotas"), users),
        identity_headers: identity_headers(&checked),
        policies,
        mode,
        progress: document.get("events").and_then(events::progress),
    })
}

/// `limits`: most bytes that are held over all connections of a worker, and of one client
/// address.
struct Limits<'a> {
    per_worker: u64,
    /// The `buffered_per_ip` that is written: its node, and its bytes if they are valid.
    per_ip: Option<(Node<'a>, Option<u64>)>,
}

impl<'a> Limits<'a> {
    fn read(node: Option<&Node<'a>>) -> Self {
        let limits = node.and_then(|node| node.object(&["buffered_per_worker", "buffered_per_ip"]));
        let size = |key| {
            let node = limits.as_ref()?.get(key)?;
            Some((node.clone(), node.size(BUFFERED)))
        };
        let per_worker = size("buffered_per_worker").and_then(|(_, size)| size);
        Self { per_worker: per_worker.unwrap_or(BUFFERED_DEFAULT), per_ip: size("buffered_per_ip") }
    }

    /// Returns the limit of one address in bytes, for the messages that these policies allow.
    fn per_ip(&self, policies: &[Policy]) -> u64 {
        let rules = policies.iter().flat_map(|policy| [&policy.client, &policy.server]);
        let message = rules.map(|rules| rules.max_message_bytes).max().unwrap_or_default();
        let default = (self.per_worker / 8).max(message.saturating_mul(4)).min(self.per_worker);
        let Some((node, Some(size))) = &self.per_ip else { return default };
        if *size > self.per_worker {
            node.report(Relation::AddressAboveWorker);
        } else if *size < message.saturating_mul(2) {
            node.report(Relation::AddressBelowMessages);
        }
        *size
    }
}

fn unique_names(checked: &[Checked<'_>]) {
    let mut seen: HashMap<&str, &Node<'_>> = HashMap::new();
    for node in checked.iter().filter_map(|checked| checked.name.as_ref()) {
        let Some(name) = node.plain_text() else { continue };
        match seen.get(name) {
            Some(first) => node.report_repeated(first),
            None => {
                seen.insert(name, node);
            }
        }
    }
}

/// Reports policies behind one that matches the same or everything.
fn never_reached(checked: &[Checked<'_>]) {
    let mut seen: HashMap<(&[String], &[String]), usize> = HashMap::new();
    for (index, policy) in checked.iter().enumerate() {
        let Some((hosts, paths)) = &policy.matches else { continue };
        let wider: [(&[String], &[String]); 4] =
            [(hosts, paths), (hosts, &[]), (&[], paths), (&[], &[])];
        match wider.iter().filter_map(|key| seen.get(key)).min() {
            // The same policy twice is one mistake, which its name tells.
            Some(earlier) if has_name_of(policy, checked.get(*earlier)) => {}
            Some(earlier) => policy.node.report(Relation::NeverReached { earlier: *earlier }),
            None => {
                seen.insert((hosts, paths), index);
            }
        }
    }
}

fn has_name_of(policy: &Checked<'_>, other: Option<&Checked<'_>>) -> bool {
    policy.name.is_some() && other.is_some_and(|other| other.policy.name == policy.policy.name)
}

/// The identity headers of all policies, none of which may be where some policy
/// looks for a credential: they are removed from every request.
fn identity_headers(checked: &[Checked<'_>]) -> Vec<String> {
    let mut credentials: HashMap<String, usize> = HashMap::new();
    for (index, policy) in checked.iter().enumerate() {
        for source in policy.policy.auth.iter().flat_map(|auth| &auth.sources) {
            if let Some(name) = source.header() {
                credentials.entry(folded_name(name)).or_insert(index);
            }
        }
    }
    let mut all = std::collections::BTreeSet::new();
    for (name, node) in checked.iter().flat_map(|policy| &policy.identity) {
        if let Some(policy) = credentials.get(&folded_name(name)) {
            node.report(Relation::IdentityIsCredential { policy: *policy });
        }
        all.insert(name.clone());
    }
    all.into_iter().collect()
}
