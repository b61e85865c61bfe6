//! `auth`: where credentials stand, and what verifies them.

use super::fault::Shape;
use super::node::{Node, Words};
use super::object::Object;
use super::relations::Relation;
use super::{authorize, first_message, jwt, names, secret, session};
use crate::auth::api_key::ApiKeys;
use crate::auth::authorize::OtherMessages;
use crate::auth::{AuthRules, CredentialSource, Encoding, IdentityHeader, Scheme, folded_name};

const KEYS: &[&str] = &[
    "credentials",
    "forward",
    "deadline",
    "jwt",
    "api_keys",
    "session",
    "authorize",
    "other_messages",
    "identity_headers",
    "close_at_expiry",
];

const PLACES: &[&str] =
    &["header", "query", "cookie", "subprotocol", "subprotocol_prefix", "first_message"];

/// Keys of an entry of `credentials`.
const PLACE_KEYS: &[&str] = &[
    "header",
    "query",
    "cookie",
    "subprotocol",
    "subprotocol_prefix",
    "first_message",
    "scheme",
    "encoding",
];

const SCHEMES: &Words<Scheme> = &[("bearer", Some(Scheme::Bearer)), ("basic", Some(Scheme::Basic))];

const ENCODINGS: &Words<Encoding> = &[("base64url", Some(Encoding::Base64Url))];

const OTHER_MESSAGES: &Words<OtherMessages> =
    &[("reject", Some(OtherMessages::Reject)), ("pass", Some(OtherMessages::Pass))];

/// The rules, and what is needed to hold them against the rest of the document.
pub(super) struct Checked<'a> {
    pub(super) rules: AuthRules,
    /// Where cookie credentials stand in the document.
    pub(super) cookies: Vec<Node<'a>>,
    /// The first message, where the policy has one.
    pub(super) first_message: Option<first_message::Checked<'a>>,
    /// Where callouts for what messages ask for stand.
    pub(super) message_callouts: Vec<Node<'a>>,
    /// The identity headers and where they stand.
    pub(super) identity: Vec<(String, Node<'a>)>,
}

/// Reads `auth`. It never gives nothing: a policy whose `auth` is wrong must not
/// turn into one without.
pub(super) fn read<'a>(node: &Node<'a>) -> Checked<'a> {
    let mut checked = Checked {
        rules: AuthRules {
            sources: Vec::new(),
            first_message: None,
            forward: false,
            issuers: Vec::new(),
            api_keys: ApiKeys::default(),
            session: None,
            authorize: Vec::new(),
            other_messages: OtherMessages::default(),
            close_at_expiry: true,
            identity_headers: Vec::new(),
        },
        cookies: Vec::new(),
        first_message: None,
        message_callouts: Vec::new(),
        identity: Vec::new(),
    };
    let Some(auth) = node.object(KEYS) else { return checked };
    credentials(&auth, &mut checked);
    if let Some(forward) = auth.get("forward").and_then(Node::flag) {
        checked.rules.forward = forward;
    }
    first_message(&auth, &mut checked);
    if let Some(jwt) = auth.get("jwt") {
        checked.rules.issuers = jwt::read(jwt);
    }
    if let Some(node) = auth.get("api_keys") {
        checked.rules.api_keys = api_keys(node);
    }
    if let Some(node) = auth.get("session") {
        checked.rules.session = session::read(node, &checked.rules.sources);
    }
    if let Some(node) = auth.get("authorize") {
        checked.rules.authorize = authorize::read(node);
        checked.message_callouts = authorize::message_callouts(node);
    }
    other_messages(&auth, &mut checked.rules);
    if let Some(close) = auth.get("close_at_expiry").and_then(Node::flag) {
        checked.rules.close_at_expiry = close;
    }
    identity_headers(&auth, &mut checked);
    checked
}

fn credentials<'a>(auth: &Object<'a>, checked: &mut Checked<'a>) {
    let write = "a list of where the credential may stand, like [{header: authorization}]";
    let Some(node) = auth.require("credentials", write) else { return };
    if !["jwt", "api_keys", "session"].iter().any(|verifier| auth.is_meant(verifier)) {
        auth.report(Relation::NoVerifier);
    }
    let places = node.list_of(source).unwrap_or_default();
    same_entry(node);
    if !auth.is_meant("api_keys") {
        let items = node.plain_items().into_iter();
        let schemes = items.filter_map(|item| item.member("scheme"));
        for scheme in schemes.filter(|scheme| scheme.plain_text() == Some("basic")) {
            scheme.report(Relation::BasicWithoutKeys);
        }
    }
    checked.rules.sources = places.into_iter().filter_map(Place::in_handshake).collect();
    checked.first_message = first_message::read(node);
    let items = node.plain_items().into_iter();
    checked.cookies = items.filter(|item| item.has_member("cookie")).collect();
}

/// Reads what is left once all of `credentials` and `forward` are known.
fn first_message(auth: &Object<'_>, checked: &mut Checked<'_>) {
    match &checked.first_message {
        Some(first) => {
            checked.rules.first_message = first.rules(auth, checked.rules.forward);
            if let Some(node) = auth.get("identity_headers") {
                node.report(Relation::HeadersHaveGone);
            }
        }
        None => {
            let deadline = auth.get("deadline");
            let alone = deadline.filter(|node| first_message::deadline(node).is_some());
            let known = auth.get("credentials").is_some_and(|node| !node.plain_items().is_empty());
            if let (Some(node), true) = (alone, known) {
                node.report(Relation::DeadlineAlone);
            }
        }
    }
}

/// Reads `other_messages`, once `authorize` is known.
fn other_messages(auth: &Object<'_>, rules: &mut AuthRules) {
    let Some(node) = auth.get("other_messages") else { return };
    let Some(other) = node.word(OTHER_MESSAGES) else { return };
    rules.other_messages = other;
    // A rule that is misspelt or wrong may have been one about messages.
    let reads = match auth.get("authorize") {
        Some(authorize) => authorize::may_read_messages(authorize),
        None => auth.is_meant("authorize"),
    };
    if !reads {
        node.report(Relation::OtherMessagesAlone);
    }
}

/// An entry of `credentials`.
enum Place {
    Handshake(CredentialSource),
    /// By its place in the document: never the same as another.
    Later(String),
}

/// Two prefixes are compared by [`same_entry`], which looks at the beginnings.
impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Handshake(CredentialSource::SubprotocolPrefix { .. }),
                Self::Handshake(CredentialSource::SubprotocolPrefix { .. }),
            ) => false,
            (Self::Handshake(one), Self::Handshake(other)) => one == other,
            (Self::Later(one), Self::Later(other)) => one == other,
            _ => false,
        }
    }
}

impl Place {
    fn in_handshake(self) -> Option<CredentialSource> {
        match self {
            Self::Handshake(source) => Some(source),
            Self::Later(_) => None,
        }
    }
}

fn source(node: &Node<'_>) -> Option<Place> {
    let place = node.object(PLACE_KEYS)?;
    let (kind, name) = place.one_of(PLACES)?;
    let alone = |key, belongs: bool| place.get(key).filter(|_| !belongs);
    let header = if kind == "header" { Some(header(name)?) } else { None };
    let is_authorization = header.as_deref() == Some("authorization");
    if let Some(node) = alone("scheme", is_authorization) {
        node.report(Relation::SchemeAlone);
    }
    if let Some(node) = alone("encoding", kind == "subprotocol_prefix") {
        node.report(Relation::EncodingAlone);
    }
    Some(Place::Handshake(match (kind, header) {
        (_, Some(_)) if is_authorization => {
            let scheme = place.get("scheme").map_or(Some(Scheme::Bearer), |n| n.word(SCHEMES));
            CredentialSource::Authorization(scheme?)
        }
        (_, Some(name)) => CredentialSource::Header(name),
        ("query", _) => CredentialSource::Query(name.line()?.to_owned()),
        ("cookie", _) => CredentialSource::Cookie(token(name)?),
        ("subprotocol", _) => CredentialSource::Subprotocol(token(name)?.to_ascii_lowercase()),
        ("subprotocol_prefix", _) => {
            let prefix = token(name)?.to_ascii_lowercase();
            let encoding = place.get("encoding");
            let encoding = encoding.map_or(Some(Encoding::AsItIs), |n| n.word(ENCODINGS))?;
            CredentialSource::SubprotocolPrefix { prefix, encoding }
        }
        _ => return Some(Place::Later(node.path().to_owned())),
    }))
}

/// Reports markers and prefixes of subprotocols where one entry of an offer could be both: it
/// would hold two credentials, or one that the later place never gets.
fn same_entry(credentials: &Node<'_>) {
    let mut seen: Vec<(String, bool, Node<'_>)> = Vec::new();
    for item in credentials.plain_items() {
        let (prefix, marker) = (item.member("subprotocol_prefix"), item.member("subprotocol"));
        let (node, is_prefix) = match (prefix, marker) {
            (Some(node), None) => (node, true),
            (None, Some(node)) => (node, false),
            _ => continue,
        };
        let text = node.plain_text().unwrap_or_default().to_ascii_lowercase();
        if text.is_empty() {
            continue;
        }
        let both = |(other, other_is_prefix, _): &&(String, bool, Node<'_>)| {
            *other_is_prefix && text.starts_with(other.as_str())
                || is_prefix && other.starts_with(&text)
        };
        if let Some((_, _, first)) = seen.iter().find(both) {
            node.report(Relation::SameSubprotocol { first: first.path().to_owned() });
        }
        seen.push((text, is_prefix, node));
    }
}

fn header(node: &Node<'_>) -> Option<String> {
    let name = node.line()?;
    node.take(names::header(name))
}

fn token(node: &Node<'_>) -> Option<String> {
    let name = node.line()?;
    node.take(names::token(name)).map(|()| name.to_owned())
}

fn api_keys(node: &Node<'_>) -> ApiKeys {
    let mut keys = ApiKeys::default();
    let mut ids: Vec<Node<'_>> = Vec::new();
    for item in node.list().unwrap_or_default() {
        let Some(entry) = item.object(&["id", "key", "sha256"]) else { continue };
        let id = entry.require("id", "one that is unique, for events and as the user's name");
        let id = id.filter(|n| n.line().and_then(|id| n.take(names::key_id(id))).is_some());
        let fresh = id.filter(|id| match ids.iter().find(|o| o.plain_text() == id.plain_text()) {
            Some(first) => {
                id.report_repeated(first);
                false
            }
            None => true,
        });
        ids.extend(fresh.cloned());
        // An entry with a wrong id is tried all the same, to tell of its key.
        match fresh.and_then(Node::plain_text) {
            Some(id) => add_key(&entry, id, &mut keys),
            None => add_key(&entry, "-", &mut ApiKeys::default()),
        }
    }
    keys
}

fn add_key(entry: &Object<'_>, id: &str, keys: &mut ApiKeys) {
    match entry.one_of(&["key", "sha256"]) {
        Some(("key", node)) => {
            let key = secret::read(node);
            key.and_then(|key| node.take_from(keys.add_plain(id, key.as_bytes())));
        }
        Some((_, node)) => {
            node.line().and_then(|hex| node.take_from(keys.add_sha256(id, hex)));
        }
        None => {}
    }
}

fn identity_headers<'a>(auth: &Object<'a>, checked: &mut Checked<'a>) {
    let members = auth.get("identity_headers").and_then(Node::map).unwrap_or_default();
    for (written, node) in members {
        let claim = names::claim_of(&node);
        let Some(name) = node.take(names::identity_header(written)) else { continue };
        // Servers like CGI read `x-user-id` and `x.user.id` as one.
        let same = |other: &str| folded_name(other) == folded_name(&name);
        if let Some((_, first)) = checked.identity.iter().find(|(other, _)| same(other)) {
            node.report(Shape::Repeated { first: first.path().to_owned() });
            continue;
        }
        if let Some(claim) = claim {
            let header = IdentityHeader { name: name.clone(), claim };
            checked.rules.identity_headers.push(header);
        }
        checked.identity.push((name, node));
    }
}
