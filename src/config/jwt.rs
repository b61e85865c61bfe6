//! `auth.jwt`: whose tokens are taken, and when.

use super::fault::Fault;
use super::node::Node;
use super::object::Object;
use super::relations::{NeverHolds, Relation};
use super::tree::Value;
use super::units::{self, Bound};
use super::{names, secret, service};
use crate::auth::jwk::{Algorithm, KeySet};
use crate::auth::{Issuer, IssuerKeys, KeysUri};
use std::time::Duration;

const KEYS: &[&str] =
    &["issuer", "audiences", "algorithms", "keys", "leeway", "required", "claims"];

/// In seconds. Clocks differ by seconds; more than this would only lengthen the
/// life of every token.
const LEEWAY: Bound = Bound { most: 600, text: "10m" };
const LEEWAY_DEFAULT: Duration = Duration::from_secs(30);

/// In seconds. Keys that nobody looks at for longer than a day are stale.
const REFRESH: Bound = Bound { most: 24 * 3600, text: "24h" };
const REFRESH_DEFAULT: Duration = Duration::from_secs(600);

/// Reads the list of issuers, each of them once.
pub(super) fn read(node: &Node<'_>) -> Vec<Issuer> {
    let mut seen: Vec<Node<'_>> = Vec::new();
    let mut issuers = Vec::new();
    for item in node.list().unwrap_or_default() {
        let Some(entry) = item.object(KEYS) else { continue };
        let name = entry.require("issuer", "what stands in `iss` of its tokens");
        let issuer = name.and_then(Node::line);
        if let (Some(name), Some(issuer)) = (name, issuer) {
            match seen.iter().find(|first| first.plain_text() == Some(issuer)) {
                Some(first) => name.report_repeated(first),
                None => seen.push(name.clone()),
            }
        }
        issuers.extend(read_issuer(&entry, issuer.unwrap_or_default()));
    }
    issuers
}

fn read_issuer(entry: &Object<'_>, issuer: &str) -> Option<Issuer> {
    let audiences = entry.get("audiences").and_then(lines);
    let algorithms = algorithms(entry);
    let keys = keys(entry, algorithms.as_deref());
    let leeway = entry.get("leeway").and_then(|node| node.tolerance(LEEWAY));
    let required = match entry.get("required") {
        Some(node) => node.list_of(names::claim_of).unwrap_or_default(),
        None => vec!["exp".to_owned()],
    };
    let claims = entry.get("claims").map(|node| claims(node, issuer)).unwrap_or_default();
    Some(Issuer {
        issuer: issuer.to_owned(),
        audiences: audiences.unwrap_or_default(),
        algorithms: algorithms?,
        keys: keys?,
        leeway: leeway.unwrap_or(LEEWAY_DEFAULT),
        required,
        claims,
    })
}

fn lines(node: &Node<'_>) -> Option<Vec<String>> {
    node.list_of(|item| item.line().map(str::to_owned))
}

/// `None` unless all of them are good: keys are held against the whole list.
fn algorithms(entry: &Object<'_>) -> Option<Vec<Algorithm>> {
    let node = entry.require("algorithms", "a list of those that its tokens may be signed with")?;
    let words: Vec<_> = Algorithm::ALL.iter().map(|a| (a.name(), Some(*a))).collect();
    let good = std::cell::Cell::new(true);
    let read = node.list_of(|item| {
        let algorithm = item.word(&words);
        good.set(good.get() && algorithm.is_some());
        algorithm
    });
    read.filter(|_| good.get())
}

/// Reads the keys. They are held against the algorithms, so these come first;
/// without them only what the keys are without is told.
fn keys(entry: &Object<'_>, algorithms: Option<&[Algorithm]>) -> Option<IssuerKeys> {
    let write = "`jwks` with a JSON Web Key Set, `jwks_uri` with the place of one, or `secret`";
    let node = entry.require("keys", write)?;
    let keys = node.object(&["jwks", "jwks_uri", "secret"])?;
    match keys.one_of(&["jwks", "jwks_uri", "secret"])? {
        ("jwks", node) => {
            let jwks = node.json()?;
            let read = KeySet::from_jwks(&jwks, algorithms?);
            let report = |errors: Vec<_>| {
                for (below, error) in errors {
                    let below: String = below;
                    node.report_below(&below, Fault::room(&error));
                }
            };
            read.map_err(report).ok().map(IssuerKeys::Fixed)
        }
        ("secret", node) => {
            let secret = secret::read(node)?;
            let keys = KeySet::from_secret(secret.as_bytes(), algorithms?);
            node.take_from(keys).map(IssuerKeys::Fixed)
        }
        (_, node) => {
            no_secrets(entry);
            keys_uri(node).map(IssuerKeys::Published)
        }
    }
}

fn keys_uri(node: &Node<'_>) -> Option<KeysUri> {
    let uri = node.object(&["cluster", "host", "path", "refresh", "timeout"])?;
    let service = service::read(&uri);
    let refresh = uri.get("refresh").map(|node| node.period(REFRESH));
    let timeout = service::timeout(&uri);
    let (cluster, host, path) = service?;
    Some(KeysUri {
        cluster,
        host,
        path,
        refresh: refresh.unwrap_or(Some(REFRESH_DEFAULT))?,
        timeout: timeout?,
    })
}

/// What is published is no secret.
fn no_secrets(entry: &Object<'_>) {
    for item in entry.get("algorithms").map(Node::plain_items).unwrap_or_default() {
        let algorithm = item.plain_text().and_then(Algorithm::parse);
        if algorithm.is_some_and(|algorithm| algorithm.secret_bytes().is_some()) {
            item.report(Relation::SecretIsPublished);
        }
    }
}

/// Reads which claims must contain one of which values.
fn claims(node: &Node<'_>, issuer: &str) -> Vec<(String, Vec<String>)> {
    let mut read = Vec::new();
    for (claim, values) in node.map().unwrap_or_default() {
        if values.take(names::claim(claim)).is_none() {
            continue;
        }
        let wanted = values.list_of(value).unwrap_or_default();
        if let Some(why) = never_holds(claim, &wanted, issuer) {
            values.report(Relation::ClaimNeverHolds(why));
        }
        read.push((claim.to_owned(), wanted));
    }
    read
}

/// A text, a number, true or false, as tokens write it.
fn value(node: &Node<'_>) -> Option<String> {
    match &node.tree.value {
        Value::Text(_) => node.line().map(str::to_owned),
        Value::Number(number) => node.take(units::written(number)),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => {
            node.wrong_kind("a text, a number, true or false");
            None
        }
    }
}

/// Why no token whose registered claims are well-formed (RFC 7519 §4.1) holds any of the
/// values there, if none does.
fn never_holds(claim: &str, wanted: &[String], issuer: &str) -> Option<NeverHolds> {
    let mut steps = claim.strip_prefix('/').unwrap_or(claim).splitn(2, '/');
    let name = if claim.starts_with('/') { steps.next().unwrap_or_default() } else { claim };
    let is_date = matches!(name, "exp" | "nbf" | "iat");
    if !is_date && !matches!(name, "iss" | "sub") {
        return None;
    }
    if claim.starts_with('/') && steps.next().is_some() {
        return Some(NeverHolds::NothingInside);
    }
    let is_number = |value: &String| value.parse::<f64>().is_ok();
    if is_date && !wanted.is_empty() && !wanted.iter().any(is_number) {
        return Some(NeverHolds::Date);
    }
    let other = name == "iss" && !issuer.is_empty() && !wanted.is_empty();
    let names_it = |value: &String| value == issuer || issuer.split(' ').any(|word| word == value);
    (other && !wanted.iter().any(names_it)).then_some(NeverHolds::Issuer)
}
