//! `auth.session`: a service that knows sessions.

use super::fault::Name;
use super::node::{Node, Words};
use super::relations::Relation;
use super::{names, secret, service};
use crate::auth::{CredentialSource, Send, SessionRules};

const KEYS: &[&str] = &[
    "cluster",
    "host",
    "path",
    "send",
    "timeout",
    "cache",
    "subject",
    "active",
    "expires",
    "authorization",
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Bearer,
    Cookie,
    Form,
}

const WAYS: &Words<Way> =
    &[("bearer", Some(Way::Bearer)), ("cookie", Some(Way::Cookie)), ("form", Some(Way::Form))];

/// Where RFC 7662 (§2.2) says that a session has ended.
const ACTIVE: &str = "/active";

/// Reads `session`; `sources` say which cookie a session can stand in.
pub(super) fn read(node: &Node<'_>, sources: &[CredentialSource]) -> Option<SessionRules> {
    let session = node.object(KEYS)?;
    let place = service::read(&session);
    let timeout = service::timeout(&session);
    let cache = service::cache(&session);
    let way = session.require("send", "how the credential is shown: `bearer`, `cookie` or `form`");
    let way = way.and_then(|node| Some((node, node.word(WAYS)?)));
    let send = way.and_then(|(node, way)| match way {
        Way::Bearer => Some(Send::Bearer),
        Way::Form => Some(Send::Form),
        Way::Cookie => match sources.iter().find_map(cookie) {
            Some(name) => Some(Send::Cookie(name.clone())),
            None => {
                node.report(Relation::SendsNoCookie);
                None
            }
        },
    });
    let subject = session
        .require("subject", "where the user's name stands in the answer, like /user/id")
        .and_then(pointer);
    let active = session.get("active").map_or_else(|| Some(ACTIVE.to_owned()), pointer);
    let expires = session.get("expires").and_then(pointer);
    let authorization = session.get("authorization").and_then(|node| {
        if way.is_some_and(|(_, way)| way == Way::Bearer) {
            node.report(Relation::TwoAuthorizations);
        }
        let value = secret::read(node)?;
        node.take(names::authorization(&value))
    });
    let (cluster, host, path) = place?;
    Some(SessionRules {
        cluster,
        host,
        path,
        send: send?,
        timeout: timeout?,
        cache: cache?,
        subject: subject?,
        active: active?,
        expires,
        authorization,
    })
}

fn cookie(source: &CredentialSource) -> Option<&String> {
    match source {
        CredentialSource::Cookie(name) => Some(name),
        _ => None,
    }
}

/// A JSON pointer to something inside (RFC 6901 §3).
fn pointer(node: &Node<'_>) -> Option<String> {
    let text = node.line()?;
    let escaped = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if text.starts_with('/') && escaped {
        return Some(text.to_owned());
    }
    node.report(Name::Pointer);
    None
}
