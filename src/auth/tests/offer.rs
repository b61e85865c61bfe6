//! Credentials among the offered subprotocols.

use super::handshake::{found, offer, prefix, sources, subprotocol};
use super::*;

pub(super) fn from_offer(entries: &[&str]) -> Result<String, AuthError> {
    let rules = sources(&[subprotocol("bearer")]);
    found(&Presented::collect(&rules, &head(&[]), None, &offer(entries)))
}

#[test]
fn a_subprotocol_marker_announces_its_token() {
    assert_eq!(from_offer(&["bearer", "x.y.z"]), Ok("x.y.z".to_owned()));
    assert_eq!(from_offer(&["ag-ui", "bearer", "t", "v2"]), Ok("t".to_owned()));
    assert_eq!(from_offer(&["ag-ui", "bearer"]), Err(AuthError::NothingBehindMarker));
    assert_eq!(from_offer(&["bearer", "a", "bearer", "b"]), Err(AuthError::Twice));
    assert_eq!(from_offer(&["bearer", "bearer"]), Err(AuthError::Twice));
    assert_eq!(from_offer(&["BEARER", "a"]), Ok("a".to_owned()));
    assert_eq!(from_offer(&["v1", "Bearer", "a", "v2"]), Ok("a".to_owned()));
    assert_eq!(from_offer(&["bearer", "a", "Bearer", "b"]), Err(AuthError::Twice));
    assert_eq!(from_offer(&["bearer", "Bearer"]), Err(AuthError::Twice));
    assert_eq!(from_offer(&["bearer2", "a"]), Err(AuthError::Missing));
    assert_eq!(from_offer(&[]), Err(AuthError::Missing));
}

#[test]
fn a_token_stands_behind_a_prefix_of_one_subprotocol() {
    const KUBERNETES: &str = "base64url.bearer.authorization.k8s.io.";
    let from = |encoding, prefixed: &str, entries: &[&str]| {
        let rules = sources(&[prefix(prefixed, encoding)]);
        found(&Presented::collect(&rules, &head(&[]), None, &offer(entries)))
    };
    let key = |entries: &[&str]| from(Encoding::AsItIs, "openai-insecure-api-key.", entries);
    let sk = "openai-insecure-api-key.sk-1";
    assert_eq!(key(&["realtime", sk, "openai-beta.realtime-v1"]), Ok("sk-1".to_owned()));
    assert_eq!(key(&["OpenAI-Insecure-API-Key.sk-1"]), Ok("sk-1".to_owned()));
    assert_eq!(key(&["openai-insecure-api-key."]), Err(AuthError::NothingBehindMarker));
    assert_eq!(key(&[sk, "openai-insecure-api-key.sk-2"]), Err(AuthError::Twice));
    assert_eq!(key(&[sk, "Openai-insecure-api-key."]), Err(AuthError::Twice));
    for entries in [&["openai-insecure-api-key"][..], &["x-openai-insecure-api-key.a"], &[]] {
        assert_eq!(key(entries), Err(AuthError::Missing), "{entries:?}");
    }
    let kubernetes = |token: &str| {
        from(
            Encoding::Base64Url,
            KUBERNETES,
            &[&format!("{KUBERNETES}{token}"), "v4.channel.k8s.io"],
        )
    };
    assert_eq!(kubernetes(&b64("a token? of ~~~ 3")), Ok("a token? of ~~~ 3".to_owned()));
    assert_eq!(kubernetes(""), Err(AuthError::NothingBehindMarker));
    for token in ["a", "YQ==", "a+b/", "YR", "a.b"] {
        assert_eq!(kubernetes(token), Err(AuthError::NotBase64Url), "{token}");
    }
    assert_eq!(kubernetes(&"A".repeat(MAX_CREDENTIAL_BYTES + 1)), Err(AuthError::TooLong));
}

#[test]
fn markers_and_tokens_leave_the_offer() {
    let left = |forward: bool, entries: &[&str]| {
        let sources = sources(&[subprotocol("bearer"), subprotocol("key")]);
        let rules = AuthRules { forward, ..sources };
        let presented = Presented::collect(&rules, &head(&[]), None, &offer(entries));
        let parts = (presented.offer_left().join(","), presented.offer_forwarded().join(","));
        (parts.0, parts.1, presented.subprotocol_marker().map(str::to_owned))
    };
    let is = |left: &str, forwarded: &str, marker: Option<&str>| {
        (left.to_owned(), forwarded.to_owned(), marker.map(str::to_owned))
    };
    assert_eq!(left(false, &["a", "bearer", "t", "b"]), is("a,b", "", Some("bearer")));
    assert_eq!(left(true, &["a", "bearer", "t", "b"]), is("a,b", "bearer,t", Some("bearer")));
    assert_eq!(left(false, &["key", "k", "a", "bearer", "t"]), is("a", "", Some("key")));
    assert_eq!(left(false, &["bearer", "t", "a", "bearer", "u"]), is("a", "", Some("bearer")));
    assert_eq!(left(false, &["bearer", "key", "t", "a"]), is("a", "", Some("bearer")));
    assert_eq!(left(false, &["a", "bearer"]), is("a", "", Some("bearer")));
    assert_eq!(left(false, &["a", "b"]), is("a,b", "", None));
    assert_eq!(left(true, &["a"]), is("a", "", None));
    assert_eq!(left(false, &["a", "Bearer", "t", "b"]), is("a,b", "", Some("Bearer")));
}

#[test]
fn a_subprotocol_with_a_prefix_leaves_the_offer_and_is_never_named() {
    let with = |forward| AuthRules {
        forward,
        ..sources(&[subprotocol("bearer"), prefix("key.", Encoding::Base64Url)])
    };
    let presented = |forward, entries: &[&str]| {
        let presented = Presented::collect(&with(forward), &head(&[]), None, &offer(entries));
        (
            presented.offer_left().join(","),
            presented.offer_forwarded().join(","),
            presented.subprotocol_marker().map(str::to_owned),
        )
    };
    let is = |left: &str, forwarded: &str, marker: Option<&str>| {
        (left.to_owned(), forwarded.to_owned(), marker.map(str::to_owned))
    };
    assert_eq!(presented(false, &["a", "key.x", "b"]), is("a,b", "", None));
    assert_eq!(presented(true, &["a", "Key.x", "b"]), is("a,b", "Key.x", None));
    assert_eq!(presented(false, &["key.x", "key.y", "key."]), is("", "", None));
    let both = ["bearer", "t", "a", "KEY.x"];
    assert_eq!(presented(false, &both), is("a", "", Some("bearer")));

    let named = |allowed: Option<&[String]>, entries: &[&str]| {
        nameable(Some(&with(false)), allowed, &offer(entries)).map(str::to_owned)
    };
    assert_eq!(named(None, &["key.x"]), None);
    assert_eq!(named(None, &["key.x", "a"]).as_deref(), Some("a"));
    assert_eq!(named(None, &["a", "key.x", "BEARER", "t"]).as_deref(), Some("BEARER"));
    assert_eq!(named(None, &["t", "bearer"]).as_deref(), Some("bearer"));
    let allowed = offer(&["b", "t", "key.x"]);
    assert_eq!(named(Some(&allowed), &["a", "key.x", "b"]).as_deref(), Some("b"));
    assert_eq!(named(Some(&allowed), &["key.x", "a"]).as_deref(), Some("a"));
    assert_eq!(nameable(None, None, &offer(&["x", "y"])), Some("x"));
    assert_eq!(nameable(None, Some(&allowed), &offer(&["x", "b"])), Some("b"));
    assert_eq!(nameable(None, None, &[]), None);
}

proptest::proptest! {
    /// No entry that holds a token is named, or goes on where the policy does not forward.
    #[test]
    fn no_token_of_any_offer_goes_on_or_is_named(
        entries in proptest::collection::vec("(bearer|BEARER|key\\.|Key\\.x|a|b|SECRET-?){1,2}", 0..6)
    ) {
        let rules = sources(&[subprotocol("bearer"), prefix("key.", Encoding::AsItIs)]);
        let presented = Presented::collect(&rules, &head(&[]), None, &entries);
        let is_marker = |entry: &str| entry.eq_ignore_ascii_case("bearer");
        let has_prefix = |entry: &str| entry.to_ascii_lowercase().starts_with("key.");
        let mut behind = false;
        let mut left = Vec::new();
        for entry in &entries {
            let held = std::mem::replace(&mut behind, is_marker(entry));
            if !held && !is_marker(entry) && !has_prefix(entry) {
                left.push(entry.clone());
            }
        }
        assert_eq!(presented.offer_left(), left);
        assert!(presented.offer_forwarded().is_empty());
        let named = nameable(Some(&rules), None, &entries);
        assert!(named.is_none_or(|named| is_marker(named) || left.iter().any(|e| e == named)));
        let marker = presented.subprotocol_marker();
        assert_eq!(marker, entries.iter().map(String::as_str).find(|entry| is_marker(entry)));
        let places = entries.iter().filter(|entry| is_marker(entry)).count();
        if places > 1 {
            assert_eq!(found(&presented), Err(AuthError::Twice));
        }
    }
}
