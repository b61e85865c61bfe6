//! `handshake`: what a policy asks of the opening handshake.

use super::fault::{Fault, Network, Shape};
use super::node::{Node, Words};
use super::object::Object;
use super::relations::{NotInStream, Relation};
use super::units::Bound;
use super::{FilterKind, names, patterns};
use crate::handshake::address::AddressRules;
use crate::handshake::origin::{OriginPattern, OriginRules};
use crate::handshake::{Compression, HandshakeRules, PlainHttp, RefuseWith, TlsRule, Upstream};
use ipnet::IpNet;
use std::net::IpAddr;
use std::time::Duration;

const KEYS: &[&str] = &[
    "origins",
    "missing_origin",
    "addresses",
    "tls",
    "subprotocols",
    "user_agents_denied",
    "compression",
    "plain_http",
    "refuse_with",
    "upstream",
    "upstream_timeout",
];

const MISSING_ORIGIN: &Words<bool> = &[("reject", Some(false)), ("allow", Some(true))];

const TLS: &Words<TlsRule> = &[
    ("optional", Some(TlsRule::Optional)),
    ("required", Some(TlsRule::Required)),
    ("redirect", Some(TlsRule::Redirect)),
];

const COMPRESSION: &Words<Compression> = &[
    ("strip", Some(Compression::Strip)),
    ("inspect", Some(Compression::Inspect)),
    ("reject", Some(Compression::Reject)),
];

const PLAIN_HTTP: &Words<PlainHttp> =
    &[("reject", Some(PlainHttp::Reject)), ("pass", Some(PlainHttp::Pass))];

const REFUSE_WITH: &Words<RefuseWith> =
    &[("http", Some(RefuseWith::Http)), ("close", Some(RefuseWith::Close))];

const UPSTREAM: &Words<Upstream> =
    &[("http1", Some(Upstream::Http1)), ("http2", Some(Upstream::Http2))];

/// Default of `upstream_timeout`; also the limit where no policy matches.
pub(crate) const UPSTREAM_TIMEOUT: Duration = Duration::from_secs(15);

/// Its bound, in milliseconds.
const LONGEST: Bound = Bound { most: 366 * 24 * 3_600_000, text: "8784h" };

/// The rules, and what is needed to hold them against the rest of the policy.
pub(super) struct Checked<'a> {
    pub(super) rules: HandshakeRules,
    /// Where `same-origin` stands.
    pub(super) same_origin: Option<Node<'a>>,
    /// Whether `origins` is written, or was meant to be, good or bad.
    pub(super) origins_meant: bool,
}

/// What holds where nothing is written.
fn defaults() -> HandshakeRules {
    HandshakeRules {
        origins: None,
        addresses: AddressRules::default(),
        tls: TlsRule::Optional,
        subprotocols: None,
        user_agents_denied: None,
        compression: Compression::Strip,
        plain_http: PlainHttp::Reject,
        refuse_with: RefuseWith::Http,
        upstream: Upstream::Http1,
        upstream_timeout: UPSTREAM_TIMEOUT,
    }
}

/// Reads `handshake`, if it is written.
pub(super) fn read<'a>(node: Option<&Node<'a>>, filter: FilterKind) -> Checked<'a> {
    let nothing = |origins_meant| Checked { rules: defaults(), same_origin: None, origins_meant };
    let Some(node) = node else { return nothing(false) };
    let Some(handshake) = node.object(KEYS) else { return nothing(true) };
    let mut rules = defaults();
    rules.origins = origins(&handshake);
    if let Some(node) = handshake.get("addresses") {
        rules.addresses = addresses(node);
    }
    rules.subprotocols = handshake.get("subprotocols").and_then(|node| {
        node.list_of(|item| {
            let text = item.line()?;
            item.take(names::token(text)).map(|()| text.to_owned())
        })
    });
    rules.user_agents_denied = handshake.get("user_agents_denied").and_then(patterns::any_of);
    word(&handshake, "tls", TLS, &mut rules.tls);
    word(&handshake, "compression", COMPRESSION, &mut rules.compression);
    word(&handshake, "plain_http", PLAIN_HTTP, &mut rules.plain_http);
    word(&handshake, "refuse_with", REFUSE_WITH, &mut rules.refuse_with);
    word(&handshake, "upstream", UPSTREAM, &mut rules.upstream);
    let timeout = handshake.get("upstream_timeout").and_then(|node| node.duration(LONGEST));
    rules.upstream_timeout = timeout.unwrap_or(rules.upstream_timeout);
    if filter == FilterKind::Stream {
        not_in_stream(&handshake, &rules);
    }
    let same_origin = handshake.get("origins").and_then(|node| {
        let mut items = node.plain_items().into_iter();
        items.find(|item| item.plain_text() == Some("same-origin"))
    });
    Checked { rules, same_origin, origins_meant: handshake.is_meant("origins") }
}

fn word<T: Copy>(handshake: &Object<'_>, key: &str, words: &Words<T>, place: &mut T) {
    if let Some(meaning) = handshake.get(key).and_then(|node| node.word(words)) {
        *place = meaning;
    }
}

/// Before `tcp_proxy` nothing can be answered in upstream's place, and whatever
/// passes unguarded would take the rest of its connection along. What arrives
/// there is HTTP/1.1, and goes to upstream in the same words.
fn not_in_stream(handshake: &Object<'_>, rules: &HandshakeRules) {
    let found = [
        ("plain_http", rules.plain_http == PlainHttp::Pass, NotInStream::Unguarded),
        ("tls", rules.tls == TlsRule::Redirect, NotInStream::Answers("required")),
        ("refuse_with", rules.refuse_with == RefuseWith::Close, NotInStream::Answers("http")),
        ("upstream", rules.upstream == Upstream::Http2, NotInStream::Http2),
    ];
    for (key, _, why) in found.into_iter().filter(|(_, written, _)| *written) {
        if let Some(node) = handshake.get(key) {
            node.report(Relation::Stream(why));
        }
    }
}

fn origins(handshake: &Object<'_>) -> Option<OriginRules> {
    let missing = handshake.get("missing_origin");
    let allow_missing = missing.and_then(|node| node.word(MISSING_ORIGIN)).unwrap_or(false);
    if let (Some(missing), false) = (missing, handshake.is_meant("origins")) {
        missing.report(Relation::MissingOriginAlone);
    }
    let patterns = handshake.get("origins")?.list_of(|origin| {
        let text = origin.line()?;
        origin.take_from(OriginPattern::parse(text))
    })?;
    Some(OriginRules { patterns, allow_missing })
}

fn addresses(node: &Node<'_>) -> AddressRules {
    let Some(addresses) = node.object(&["allow", "deny"]) else { return AddressRules::default() };
    if addresses.get("allow").is_none() && addresses.get("deny").is_none() {
        node.report(Shape::EmptyMap);
    }
    let networks = |key| addresses.get(key).and_then(|node| node.list_of(network));
    AddressRules { allow: networks("allow"), deny: networks("deny").unwrap_or_default() }
}

/// Reads a network in CIDR form (RFC 4632, RFC 4291 §2.3) or one address.
fn network(node: &Node<'_>) -> Option<IpNet> {
    let text = node.line()?;
    let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let fault = match network {
        Err(_) => Network::Form,
        Ok(network) if network.trunc() != network => Network::HostBits(network.trunc()),
        // Client addresses are compared as what they are, so it would never match.
        Ok(IpNet::V6(v6)) if v6.prefix_len() >= 96 && v6.addr().to_ipv4_mapped().is_some() => {
            Network::Mapped
        }
        Ok(network) => return Some(network),
    };
    node.report(Fault::from(fault));
    None
}
