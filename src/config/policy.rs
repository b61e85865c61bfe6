//! One policy: whom it is for, and its sections.

use super::document::MODES;
use super::node::Node;
use super::object::Object;
use super::relations::Relation;
use super::{
    FilterKind, Mode, Policy, auth, bans, handshake, lifetime, messages, names, quotas, rates,
};
use crate::auth::AuthRules;
use crate::handshake::host::HostPattern;
use crate::handshake::path::PathPattern;
use crate::inspect::Action;

const KEYS: &[&str] = &[
    "name",
    "mode",
    "match",
    "handshake",
    "auth",
    "quotas",
    "client",
    "server",
    "lifetime",
    "bans",
];

/// A policy, and what is needed to hold it against the others.
pub(super) struct Checked<'a> {
    pub(super) policy: Policy,
    pub(super) node: Node<'a>,
    /// Where its name stands, when that is one.
    pub(super) name: Option<Node<'a>>,
    /// Hosts and paths as written, in an order of their own; none: all of them.
    pub(super) matches: Option<(Vec<String>, Vec<String>)>,
    /// Its identity headers and where they stand.
    pub(super) identity: Vec<(String, Node<'a>)>,
}

/// Reads one policy; `document_mode` is for those that have none of their own.
pub(super) fn read<'a>(
    node: &Node<'a>,
    document_mode: Mode,
    filter: FilterKind,
) -> Option<Checked<'a>> {
    let policy = node.object(KEYS)?;
    let users = policy.is_meant("auth");
    let by_address = ["client", "server"]
        .into_iter()
        .any(|direction| policy.get(direction).is_some_and(rates::count_by_address));
    let name = policy
        .require("name", "one that is unique, for metrics and events")
        .filter(|node| node.line().and_then(|name| node.take(names::label(name))).is_some());
    let mode = policy.get("mode").and_then(|node| node.word(MODES));
    let matched = Matched::read(&policy);
    let handshake = handshake::read(policy.get("handshake"), filter);
    let auth = policy.get("auth").map(auth::read);
    cookies_need_origins(&auth, &handshake);
    same_origin_needs_hosts(&handshake, &matched);
    let (lifetime, push) = lifetime::read(policy.get("lifetime"), filter);
    // A misspelt section is reported already, and may have said so.
    let push = if policy.get("lifetime").is_none() && policy.is_meant("lifetime") {
        lifetime::Push::Wrong
    } else {
        push
    };
    if let Some(first) = auth.as_ref().and_then(|auth| auth.first_message.as_ref()) {
        first.check(&handshake, push, filter);
    }
    for callout in auth.iter().flat_map(|auth| &auth.message_callouts) {
        push.check(callout, filter);
    }
    let (auth, identity) = auth.map_or((None, Vec::new()), |a| (Some(a.rules), a.identity));
    // Questions of one address are bounded, too.
    let by_address = by_address || auth.as_ref().is_some_and(AuthRules::asks_services);
    let text_only = auth.as_ref().is_some_and(AuthRules::asks_in_messages);
    let client = messages::read(policy.get("client"), users, text_only);
    let server = messages::read(policy.get("server"), users, false);
    for (direction, rules) in [("client", &client), ("server", &server)] {
        if let (Some(node), Action::Slow, lifetime::Push::Without) =
            (policy.get(direction), rules.on_violation, push)
        {
            node.report_below("on_violation", Relation::NeedsPush);
        }
    }
    Some(Checked {
        policy: Policy {
            name: name.and_then(Node::plain_text).unwrap_or_default().to_owned(),
            mode: mode.unwrap_or(document_mode),
            hosts: matched.hosts,
            paths: matched.paths,
            exact: matched.exact,
            handshake: handshake.rules,
            auth,
            quotas: quotas::read_policy(policy.get("quotas"), users, by_address),
            client,
            server,
            lifetime,
            bans: policy.get("bans").and_then(|node| bans::read(node, users)),
        },
        node: node.clone(),
        name: name.cloned(),
        matches: matched.written,
        identity,
    })
}

/// `match`
#[derive(Default)]
struct Matched {
    hosts: Vec<HostPattern>,
    paths: Vec<PathPattern>,
    exact: bool,
    /// True if `hosts` is written, with or without errors.
    hosts_meant: bool,
    /// `None` where something in it was wrong.
    written: Option<(Vec<String>, Vec<String>)>,
}

impl Matched {
    fn read(policy: &Object<'_>) -> Self {
        let Some(node) = policy.get("match") else {
            // A misspelt one would match something else.
            let hosts_meant = policy.is_meant("match");
            let written = (!hosts_meant).then(Default::default);
            return Self { written, hosts_meant, ..Self::default() };
        };
        let Some(matched) = node.object(&["hosts", "paths", "exact"]) else {
            return Self { hosts_meant: true, ..Self::default() };
        };
        let hosts = matched.get("hosts").map(|node| {
            node.list_of(|host| {
                host.line().and_then(|text| host.take_from(HostPattern::parse(text)))
            })
        });
        let paths = matched.get("paths").map(|node| {
            node.list_of(|path| {
                path.line().and_then(|text| path.take_from(PathPattern::parse(text)))
            })
        });
        let exact = matched.get("exact").and_then(Node::flag).unwrap_or(false);
        if let (Some(node), false) = (matched.get("exact"), matched.is_meant("paths")) {
            node.report(Relation::ExactAlone);
        }
        let complete = !matches!((&hosts, &paths), (Some(None), _) | (_, Some(None)))
            && !matched.has_unknown_keys();
        let written =
            complete.then(|| (as_written(&matched, "hosts"), as_written(&matched, "paths")));
        Self {
            hosts: hosts.flatten().unwrap_or_default(),
            paths: paths.flatten().unwrap_or_default(),
            exact,
            hosts_meant: matched.is_meant("hosts"),
            written,
        }
    }
}

/// The texts of a list in alphabetical order.
fn as_written(matched: &Object<'_>, key: &str) -> Vec<String> {
    let items = matched.get(key).map(Node::plain_items).unwrap_or_default();
    let mut texts: Vec<String> =
        items.iter().filter_map(Node::plain_text).map(str::to_owned).collect();
    texts.sort_unstable();
    texts
}

/// An attacker's name that resolves to this address (DNS rebinding) has an origin equal to
/// its own Host header. Only `hosts` separates it from the operator's own pages.
fn same_origin_needs_hosts(handshake: &handshake::Checked<'_>, matched: &Matched) {
    let anybodys = matched.hosts.iter().any(HostPattern::is_below_top_level);
    if let (Some(node), true) = (&handshake.same_origin, anybodys || !matched.hosts_meant) {
        node.report(Relation::SameOriginOfAnyHost);
    }
}

/// A browser sends cookies along whatever page opens the WebSocket: only
/// `origins` tells one's own pages from others.
fn cookies_need_origins(auth: &Option<auth::Checked<'_>>, handshake: &handshake::Checked<'_>) {
    for cookie in auth.iter().flat_map(|auth| &auth.cookies) {
        match &handshake.rules.origins {
            Some(origins) if origins.patterns.iter().any(|origin| origin.is_anybodys()) => {
                cookie.report(Relation::CookieWithAnyOrigin);
            }
            None if !handshake.origins_meant => cookie.report(Relation::CookieWithoutOrigins),
            _ => {}
        }
    }
}
