//! `auth.jwt`.

use super::auth::{bad_issuer, with_issuer};
use super::*;

#[test]
fn an_issuer_says_what_it_signs_with() {
    let read = good(&with_issuer(&json!({}))).auth.unwrap().issuers.remove(0);
    assert!(read.audiences.is_empty() && read.claims.is_empty());
    assert_eq!((read.required, read.leeway.as_secs()), (vec!["exp".to_owned()], 30));
    let read = good(&with_issuer(&json!({"leeway": "0s", "required": ["sub"]})));
    let read = read.auth.unwrap().issuers.remove(0);
    assert_eq!((read.required, read.leeway.as_secs()), (vec!["sub".to_owned()], 0));
    for (members, path, says) in [
        (json!({"issuer": ""}), "issuer", "is an empty text"),
        (json!({"issuer": "a "}), "issuer", "begins or ends with white space"),
        (json!({"audiences": []}), "audiences", "is an empty list"),
        (json!({"audiences": "chat"}), "audiences", "is a text; write a list"),
        (json!({"audiences": ["a", "a"]}), "audiences[1]", "says the same as"),
        (json!({"algorithms": []}), "algorithms", "is an empty list"),
        (json!({"algorithms": ["none"]}), "algorithms[0]", "is no known word; write `RS256`"),
        (json!({"algorithms": ["RS256", "rs256"]}), "algorithms[1]", "is no known word"),
        (json!({"algorithms": ["RS256", "RS256"]}), "algorithms[1]", "says the same as"),
        (json!({"leeway": 30}), "leeway", "is a number; write a number with its unit, like"),
        (json!({"leeway": "30"}), "leeway", "is no duration; write a number with one unit"),
        (json!({"leeway": "1h"}), "leeway", "is too large; write at most 10m"),
        (json!({"required": []}), "required", "is an empty list"),
        (json!({"required": ["exp", "exp"]}), "required[1]", "says the same as"),
        (json!({"claims": {}}), "claims", "is empty; write a key and its value"),
        (json!({"claims": {"scope": "a"}}), "claims.scope", "is a text; write a list"),
        (json!({"claims": {"https://x/y": []}}), "claims[\"https://x/y\"]", "is an empty list"),
        (json!({"required": ["/a~2"]}), "required[0]", "is no JSON pointer"),
        (json!({"keys": {}}), "keys", "says none of them; write `jwks`, `jwks_uri` or `secret`"),
        (json!({"keys": {"jwk": {}}}), "keys.jwk", "did you mean `jwks`?"),
        (json!({"keys": {"secret": "hunter2"}}), "keys.secret", "is a secret written out"),
        (json!({"keys": {"secret": {"env": "NOT_SET"}}}), "keys.secret.env", "NOT_SET is not set"),
        (json!({"keys": {"jwks": {}, "secret": {"env": "A_SECRET"}}}), "keys", "more than one"),
    ] {
        bad_issuer(&members, path, says);
    }
}

#[test]
fn claims_are_named_as_in_authorize_and_what_can_never_hold_is_an_error() {
    let read = |claims: Value| {
        let read = good(&with_issuer(&json!({"claims": claims}))).auth.unwrap().issuers.remove(0);
        let (name, values) = read.claims.into_iter().next().unwrap();
        format!("{name}: {}", values.join(" "))
    };
    for (claims, text) in [
        (json!({"/realm_access/roles": ["chat"]}), "/realm_access/roles: chat"),
        (json!({"https://x/~roles": ["chat"]}), "https://x/~roles: chat"),
        (json!({"email_verified": [true]}), "email_verified: true"),
        (json!({"email_verified": ["true"]}), "email_verified: true"),
        (json!({"level": [3, 4.0, -5, 1.5, "6"]}), "level: 3 4 -5 1.5 6"),
        (
            json!({"iss": ["https://other.example", "https://issuer.example.com"]}),
            "iss: https://other.example https://issuer.example.com",
        ),
        (json!({"exp": [1_800_000_000]}), "exp: 1800000000"),
    ] {
        assert_eq!(read(claims), text);
    }
    for (claims, path, says) in [
        (json!({"/a~2": ["b"]}), "[\"/a~2\"]", "is no JSON pointer (RFC 6901)"),
        (json!({"/a/~": ["b"]}), "[\"/a/~\"]", "is no JSON pointer (RFC 6901)"),
        (json!({"a": []}), ".a", "is an empty list"),
        (json!({"a": {}}), ".a", "write a list"),
        (json!({"a": null}), ".a", "null"),
        (json!({"a": true}), ".a", "write a list"),
        (json!({"a": [null]}), ".a[0]", "null"),
        (json!({"a": [["b"]]}), ".a[0]", "write a text, a number, true or false"),
        (json!({"a": [{"b": 1}]}), ".a[0]", "write a text, a number, true or false"),
        (json!({"a": [""]}), ".a[0]", "is an empty text"),
        (json!({"a": ["b "]}), ".a[0]", "white space"),
        (json!({"a": ["b", "b"]}), ".a[1]", "says the same as"),
        (json!({"a": ["true", true]}), ".a[1]", "says the same as"),
        (json!({"a": [1e300]}), ".a[0]", "write it as a text"),
        (json!({"a": [9_007_199_254_740_993_u64]}), ".a[0]", "write it as a text"),
        (json!({"iss": ["https://other.example"]}), ".iss", "can never hold"),
        (json!({"/iss": ["https://other.example"]}), "[\"/iss\"]", "can never hold"),
        (json!({"/sub/0": ["a"]}), "[\"/sub/0\"]", "can never hold"),
        (json!({"/exp/x": [1]}), "[\"/exp/x\"]", "can never hold"),
        (json!({"nbf": ["soon", true]}), ".nbf", "can never hold"),
    ] {
        bad_issuer(&json!({"claims": claims}), &format!("claims{path}"), says);
    }
}

#[test]
fn issuers_are_complete_and_unique() {
    let with = |jwt: &str| {
        format!(r#""auth": {{"credentials": [{{"header": "authorization"}}], "jwt": {jwt}}}"#)
    };
    let told = errors(&policy(&with("[{}]")));
    let missing: Vec<_> = told.iter().map(|e| e.split(" is missing").next().unwrap()).collect();
    assert_eq!(
        missing,
        ["issuer:", "algorithms:", "keys:"].map(|k| format!("policies[0].auth.jwt[0].{k}"))
    );
    let twice = json!([issuer(&json!({})), issuer(&json!({}))]);
    bad(
        &with(&twice.to_string()),
        "auth.jwt[1].issuer",
        "says the same as policies[0].auth.jwt[0].issuer",
    );
    bad(&with("[]"), "auth.jwt", "is an empty list");
    let one = issuer(&json!({})).to_string();
    bad(&with(&one), "auth.jwt", "is an object (keys and values); write a list");
    // A member of a key that stands twice is read by other software as the other one.
    let key = r#"{"kty": "RSA", "kty": "oct", "e": "AQAB", "n": "AQAB"}"#;
    let twice = one.replace(&rsa_jwk().to_string(), key);
    bad(
        &with(&format!("[{twice}]")),
        "auth.jwt[0].keys.jwks.keys[0].kty",
        "stands twice in the same object",
    );
}

#[test]
fn published_keys_are_had_from_a_place_that_is_told_in_full() {
    let with = |uri: Value| with_issuer(&json!({"keys": {"jwks_uri": uri}}));
    let place = json!({"cluster": "issuer", "host": "issuer.example.com", "path": "/jwks.json"});
    let but = |key: &str, value: Value| {
        let mut uri = place.clone();
        uri[key] = value;
        with(uri)
    };
    let uri = |text: &str| {
        let auth = good(text).auth.unwrap();
        auth.issuers[0].keys_uri().unwrap().clone()
    };
    let read = uri(&with(place.clone()));
    assert_eq!((read.cluster.as_str(), read.host.as_str()), ("issuer", "issuer.example.com"));
    assert_eq!(read.path, "/jwks.json");
    assert_eq!((read.refresh.as_secs(), read.timeout.as_secs()), (600, 2));
    let read = uri(&but("refresh", json!("90s")));
    assert_eq!((read.refresh.as_secs(), read.timeout.as_secs()), (90, 2));
    let at = "auth.jwt[0].keys.jwks_uri";
    for (text, below, says) in [
        (with(json!(0)), "", "is a number; write an object"),
        (with(json!({"cluster": "a", "host": "b"})), ".path", "is missing"),
        (with(json!({"cluster": "a", "path": "/"})), ".host", "is missing"),
        (with(json!({"host": "a", "path": "/"})), ".cluster", "is missing"),
        (but("host", json!("https://a")), ".host", "is no host"),
        (but("path", json!("jwks")), ".path", "begins with /"),
        (but("path", json!("/a b")), ".path", "begins with /"),
        (but("refresh", json!("0s")), ".refresh", "is 0"),
        (but("refresh", json!("25h")), ".refresh", "at most 24h"),
        (but("timeout", json!("31s")), ".timeout", "at most 30s"),
        (but("timeout", json!(2)), ".timeout", "with its unit"),
    ] {
        bad(&text, &format!("{at}{below}"), says);
    }
    let secret = json!({"algorithms": ["HS256"], "keys": {"jwks_uri": place}});
    bad_issuer(&secret, "algorithms[0]", "nobody publishes");
}
