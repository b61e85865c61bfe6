//! Names: of policies and rules, of headers, and what was probably meant by a
//! name that nobody knows.

use super::fault::{Name, Secret};
use super::node::Node;
use crate::auth::folded_name;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// Longest name of a policy, rule or key, in bytes: it stands in every metric and event.
const MAX_NAME_BYTES: usize = 64;

/// A name of a policy or rule: 1 to 64 of `[a-z0-9_-]`.
pub(super) fn label(text: &str) -> Result<(), Name> {
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    if (1..=MAX_NAME_BYTES).contains(&text.len()) && text.bytes().all(good) {
        Ok(())
    } else {
        Err(Name::Label)
    }
}

/// The id of an API key: 1 to 64 of `[A-Za-z0-9._-]`, since they stand in headers and events.
pub(super) fn key_id(text: &str) -> Result<(), Name> {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if (1..=MAX_NAME_BYTES).contains(&text.len()) && text.bytes().all(good) {
        Ok(())
    } else {
        Err(Name::KeyId)
    }
}

/// A token (RFC 9110 §5.6.2): names of headers, cookies and subprotocols.
pub(super) fn token(text: &str) -> Result<(), Name> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if !text.is_empty() && text.bytes().all(good) { Ok(()) } else { Err(Name::Token) }
}

/// The name of a service, for its `Host`.
pub(super) fn authority(text: &str) -> Result<(), Name> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b);
    if text.len() <= 255 && text.bytes().all(good) { Ok(()) } else { Err(Name::Authority) }
}

/// A path, with or without query (RFC 3986 §3.3, §3.4).
pub(super) fn path(text: &str) -> Result<(), Name> {
    let good = |b: u8| b.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&b);
    if text.starts_with('/') && text.bytes().all(good) { Ok(()) } else { Err(Name::Path) }
}

/// Deepest place that a pointer into claims can name: claims are not nested more deeply.
const MAX_CLAIM_STEPS: usize = 32;

/// A claim, by its name or, where that begins with `/`, by a JSON pointer (RFC 6901 §3).
pub(super) fn claim(text: &str) -> Result<(), Name> {
    let Some(steps) = text.strip_prefix('/') else { return Ok(()) };
    let escaped = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    let fits = steps.split('/').count() <= MAX_CLAIM_STEPS;
    if escaped && fits { Ok(()) } else { Err(Name::ClaimPointer) }
}

/// Reads a claim that is named here.
pub(super) fn claim_of(node: &Node<'_>) -> Option<String> {
    let text = node.line()?;
    node.take(claim(text)).map(|()| text.to_owned())
}

/// The name of one of Envoy's clusters.
pub(super) fn cluster(text: &str) -> Result<(), Name> {
    if text.bytes().all(|b| b.is_ascii_graphic()) { Ok(()) } else { Err(Name::Cluster) }
}

/// The value of an `Authorization` header by what the operator's variable holds:
/// all of it (scheme and credential, RFC 9110 §11.4), `id:secret` of a client
/// (RFC 6749 §2.3.1), or a token.
pub(super) fn authorization(secret: &str) -> Result<String, Secret> {
    if !secret.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
        return Err(Secret::Authorization);
    }
    match secret.split_once(' ') {
        Some((scheme, rest))
            if token(scheme).is_ok() && !rest.is_empty() && rest.trim() == rest =>
        {
            Ok(secret.to_owned())
        }
        Some(_) => Err(Secret::Authorization),
        None if secret.contains(':') => Ok(format!("Basic {}", BASE64_STANDARD.encode(secret))),
        None => Ok(format!("Bearer {secret}")),
    }
}

/// Headers that nobody may take for credentials or identities: what frames a
/// message or belongs to one hop (RFC 9110 §7.6.1), the handshake's own, and
/// what Envoy itself reads and writes.
const RESERVED: &[&str] = &[
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "origin",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-forwarded-client-cert",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-request-id",
];

/// Beginnings of such headers.
const RESERVED_BEGINNINGS: &[&str] = &["sec-", "x-envoy-"];

/// Reads the name of a header that may hold a credential or an identity, and
/// gives it in lower case.
pub(super) fn header(text: &str) -> Result<String, Name> {
    let name = text.to_ascii_lowercase();
    let dashed = folded_name(&name);
    if name.starts_with(':')
        || RESERVED.contains(&dashed.as_str())
        || RESERVED_BEGINNINGS.iter().any(|beginning| dashed.starts_with(beginning))
    {
        return Err(Name::ReservedHeader);
    }
    if name == "cookie" {
        return Err(Name::CookieHeader);
    }
    token(&name).map(|()| name)
}

/// Reads the name of a header that tells upstream who the client is. It is
/// removed from every request that passes the filter, so it may not be one that
/// others need.
pub(super) fn identity_header(text: &str) -> Result<String, Name> {
    let name = header(text).map_err(|fault| match fault {
        Name::CookieHeader => Name::ReservedHeader,
        other => other,
    })?;
    match name.as_str() {
        "authorization" | "proxy-authorization" => Err(Name::ReservedHeader),
        name if name.contains('_') => Err(Name::Underscore),
        _ => Ok(name),
    }
}

/// The known name that was probably meant: the nearest one in spelling, where
/// it is near enough that it can hardly be anything else.
pub(super) fn nearest(word: &str, known: &[&'static str]) -> Option<&'static str> {
    if word.len() > MAX_NAME_BYTES {
        return None;
    }
    let word = plain(word);
    let length = word.chars().count();
    let reach = if length < 4 { 1 } else { 2 };
    known
        .iter()
        .map(|candidate| (distance(&word, &plain(candidate)), *candidate))
        .filter(|(distance, candidate)| *distance <= reach && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Without what people write differently: `maxMessage`, `max-message`, `max_message`.
fn plain(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (1..=b.len()).collect();
    for (index, letter) in a.chars().enumerate() {
        // `diagonal` and `left` are the neighbours above-left and left of the cell.
        let (mut diagonal, mut left) = (index, index + 1);
        for (cell, other) in row.iter_mut().zip(&b) {
            let here = (diagonal + usize::from(letter != *other)).min(*cell + 1).min(left + 1);
            diagonal = *cell;
            *cell = here;
            left = here;
        }
    }
    row.last().copied().unwrap_or_else(|| a.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_fit_for_metrics() {
        for good in ["chat", "a", "0", "no-scripts", "a_b", &"x".repeat(64)] {
            assert_eq!(label(good), Ok(()), "{good}");
        }
        for bad in ["", "Chat", "a b", "a.b", "ä", "a\n", "a{b=\"c\"}", &"x".repeat(65)] {
            assert_eq!(label(bad), Err(Name::Label), "{bad}");
        }
    }

    #[test]
    fn claims_are_names_or_pointers() {
        for good in ["scope", "https://x/~y", "/realm_access/roles", "/a~1b/~0c/0", "/", "a/b"] {
            assert_eq!(claim(good), Ok(()), "{good}");
        }
        for bad in ["/a~2", "/~", "/a/b~", &"/a".repeat(33)] {
            assert_eq!(claim(bad), Err(Name::ClaimPointer), "{bad}");
        }
    }

    #[test]
    fn headers_are_taken_in_any_case_and_never_the_proxys_own() {
        assert_eq!(header("X-User-Id").as_deref(), Ok("x-user-id"));
        assert_eq!(header("Authorization").as_deref(), Ok("authorization"));
        assert_eq!(header("x-forwarded-user").as_deref(), Ok("x-forwarded-user"));
        for reserved in [
            ":path",
            ":Authority",
            "Host",
            "connection",
            "UPGRADE",
            "Sec-WebSocket-Key",
            "sec-websocket-protocol",
            "content-length",
            "Transfer_Encoding",
            "x-envoy-original-path",
            "X-Forwarded-For",
            "origin",
        ] {
            assert_eq!(header(reserved), Err(Name::ReservedHeader), "{reserved}");
        }
        assert_eq!(header("Cookie"), Err(Name::CookieHeader));
        for bad in ["", "x user", "x\r\nhost", "x:y", "ü"] {
            assert_eq!(header(bad), Err(Name::Token), "{bad}");
        }
    }

    #[test]
    fn identity_headers_are_ones_that_nobody_else_needs() {
        assert_eq!(identity_header("X-User-Id").as_deref(), Ok("x-user-id"));
        for needed in ["Authorization", "proxy-authorization", "cookie", "host", "Upgrade"] {
            assert_eq!(identity_header(needed), Err(Name::ReservedHeader), "{needed}");
        }
        // `x_user_id` and `x-user-id` are the same header to many servers.
        assert_eq!(identity_header("x_user_id"), Err(Name::Underscore));
        assert_eq!(identity_header("x user"), Err(Name::Token));
    }

    #[test]
    fn what_was_meant_is_found_where_it_is_clear() {
        const KEYS: &[&str] = &["max_frame", "max_message", "types", "json", "id", "in"];
        for (written, meant) in [
            ("max_mesage", Some("max_message")),
            ("maxMessage", Some("max_message")),
            ("max-frame", Some("max_frame")),
            ("type", Some("types")),
            ("jsno", Some("json")),
            ("ID", Some("id")),
            ("x", None),
            ("limits", None),
            ("", None),
        ] {
            assert_eq!(nearest(written, KEYS), meant, "{written}");
        }
        assert_eq!(nearest(&"a".repeat(100_000), KEYS), None);
    }

    #[test]
    fn a_services_credential_is_a_header_a_client_or_a_token() {
        let read = |secret| authorization(secret);
        assert_eq!(read("Basic YTpi").as_deref(), Ok("Basic YTpi"));
        assert_eq!(read("id:secret").as_deref(), Ok("Basic aWQ6c2VjcmV0"));
        assert_eq!(read("token").as_deref(), Ok("Bearer token"));
        for bad in ["a\r\nb", "ä", "Basic ", "Basic  x", " x", "a b\u{7f}", "B(sic x"] {
            assert_eq!(read(bad), Err(Secret::Authorization), "{bad}");
        }
    }

    #[test]
    fn the_distance_is_levenshteins() {
        for (a, b, d) in [("", "", 0), ("abc", "", 3), ("", "abc", 3), ("kitten", "sitting", 3)] {
            assert_eq!((distance(a, b), distance(b, a)), (d, d));
        }
    }
}
