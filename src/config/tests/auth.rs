//! `auth`.

use super::*;

/// The members of a policy that takes API keys by this list of credentials.
pub(super) fn places(credentials: &str) -> String {
    format!(
        r#""auth": {{"credentials": {credentials},
            "api_keys": [{{"id": "a", "key": {{"env": "A_KEY"}}}}]}}"#
    )
}

/// The members of a policy with one issuer, the members of which are these.
pub(super) fn with_issuer(members: &Value) -> String {
    let auth = json!({"credentials": [{"header": "authorization"}], "jwt": [issuer(members)]});
    format!(r#""auth": {auth}"#)
}

#[track_caller]
pub(super) fn bad_issuer(members: &Value, path: &str, says: &str) {
    bad(&with_issuer(members), &format!("auth.jwt[0].{path}"), says);
}

fn sources(credentials: &str) -> Vec<CredentialSource> {
    good(&places(credentials)).auth.unwrap().sources
}

#[test]
fn credentials_stand_in_named_places() {
    assert_eq!(
        sources(r#"[{"header": "X-Api-Key"}, {"query": "Token"}, {"subprotocol": "Bearer"}]"#),
        [
            CredentialSource::Header("x-api-key".to_owned()),
            CredentialSource::Query("Token".to_owned()),
            CredentialSource::Subprotocol("bearer".to_owned()),
        ]
    );
    assert_eq!(
        sources(
            r#"[{"header": "Authorization"}, {"header": "authorization", "scheme": "basic"},
                {"subprotocol_prefix": "openai-insecure-api-key."},
                {"subprotocol_prefix": "Base64url.bearer.", "encoding": "base64url"}]"#
        ),
        [
            CredentialSource::Authorization(Scheme::Bearer),
            CredentialSource::Authorization(Scheme::Basic),
            CredentialSource::SubprotocolPrefix {
                prefix: "openai-insecure-api-key.".to_owned(),
                encoding: Encoding::AsItIs,
            },
            CredentialSource::SubprotocolPrefix {
                prefix: "base64url.bearer.".to_owned(),
                encoding: Encoding::Base64Url,
            },
        ]
    );
    assert_eq!(
        sources(r#"[{"header": "authorization", "scheme": "bearer"}]"#),
        [CredentialSource::Authorization(Scheme::Bearer)]
    );
    for (credentials, path, says) in [
        ("[]", "", "is an empty list"),
        (
            r#"[{"header": "x-key", "scheme": "basic"}]"#,
            "[0].scheme",
            "is of the header `authorization` only",
        ),
        (r#"[{"query": "k", "scheme": "bearer"}]"#, "[0].scheme", "only"),
        (
            r#"[{"header": "authorization", "scheme": "digest"}]"#,
            "[0].scheme",
            "is no known word; write `bearer` or `basic`",
        ),
        (r#"[{"header": "authorization", "scheme": null}]"#, "[0].scheme", "null"),
        (r#"[{"subprotocol": "a", "encoding": "base64url"}]"#, "[0].encoding", "only"),
        (r#"[{"subprotocol_prefix": "a.", "encoding": "hex"}]"#, "[0].encoding", "`base64url`"),
        (r#"[{"subprotocol_prefix": ""}]"#, "[0].subprotocol_prefix", "is an empty text"),
        (r#"[{"subprotocol_prefix": "a,"}]"#, "[0].subprotocol_prefix", "holds characters"),
        (
            r#"[{"header": "authorization"}, {"header": "Authorization", "scheme": "bearer"}]"#,
            "[1]",
            "says the same as policies[0].auth.credentials[0]",
        ),
        (
            r#"[{"subprotocol": "bearer"}, {"subprotocol": "Bearer"}]"#,
            "[1]",
            "says the same as policies[0].auth.credentials[0]",
        ),
        (
            r#"[{"subprotocol_prefix": "a."}, {"subprotocol_prefix": "A.", "encoding": "base64url"}]"#,
            "[1].subprotocol_prefix",
            "begins like policies[0].auth.credentials[0].subprotocol_prefix",
        ),
        (
            r#"[{"subprotocol_prefix": "a.b."}, {"query": "q"}, {"subprotocol_prefix": "a."}]"#,
            "[2].subprotocol_prefix",
            "begins like",
        ),
        (
            r#"[{"subprotocol": "Bearer"}, {"subprotocol_prefix": "bear"}]"#,
            "[1].subprotocol_prefix",
            "begins like",
        ),
        (
            r#"[{"subprotocol_prefix": "bear"}, {"subprotocol": "bearer"}]"#,
            "[1].subprotocol",
            "begins like",
        ),
        (r#"{"header": "a"}"#, "", "is an object (keys and values); write a list"),
        ("[{}]", "[0]", "says none of them; write `header`, `query`, `cookie`, `subprotocol`,"),
        (r#"[{"header": "a", "query": "b"}]"#, "[0]", "says more than one of them; write only"),
        (r#"[{"headers": "a"}]"#, "[0].headers", "did you mean `header`?"),
        (r#"[{"ticket": "a"}]"#, "[0].ticket", "is no known key; known here: header, query"),
        (r#"["authorization"]"#, "[0]", "is a text; write an object"),
        (r#"[{"header": ""}]"#, "[0].header", "is an empty text"),
        (r#"[{"header": "a b"}]"#, "[0].header", "holds characters that HTTP allows in no name"),
        (r#"[{"header": "Cookie"}]"#, "[0].header", "{cookie: <name>}"),
        (r#"[{"header": "sec-websocket-protocol"}]"#, "[0].header", "needs for itself"),
        (r#"[{"header": "Host"}]"#, "[0].header", "needs for itself"),
        (r#"[{"subprotocol": "a, b"}]"#, "[0].subprotocol", "holds characters"),
        (r#"[{"query": 1}]"#, "[0].query", "is a number; write a text"),
        (
            r#"[{"header": "x-a"}, {"query": "x-a"}, {"header": "X-A"}]"#,
            "[2]",
            "says the same as policies[0].auth.credentials[0]",
        ),
    ] {
        bad(&places(credentials), &format!("auth.credentials{path}"), says);
    }
}

#[test]
fn a_cookie_needs_origins_of_ones_own() {
    let with = |handshake: &str| format!("{handshake} {}", places(r#"[{"cookie": "session"}]"#));
    good(&with(r#""handshake": {"origins": ["https://app.example.com"]},"#));
    good(&with(
        r#""match": {"hosts": ["app.example.com"]},
           "handshake": {"origins": ["same-origin"], "missing_origin": "allow"},"#,
    ));
    for none in ["", r#""handshake": {},"#] {
        bad(&with(none), "auth.credentials[0]", "cross-site WebSocket hijacking");
    }
    for any in
        [r#"["*"]"#, r#"["https://app.example.com", "*"]"#, r#"["https://*.com"]"#, r#"["null"]"#]
    {
        let handshake = format!(r#""handshake": {{"origins": {any}}},"#);
        bad(&with(&handshake), "auth.credentials[0]", "allows every page by \"*\"");
    }
    // A mistake in `origins` is not another one here.
    bad(&with(r#""handshake": {"origins": []},"#), "handshake.origins", "is an empty list");
    bad(&with(r#""handshake": {"origin": ["a"]},"#), "handshake.origin", "did you mean `origins`?");
    bad(&with(r#""handshake": 1,"#), "handshake", "is a number");
}

#[test]
fn credentials_and_verifiers_need_one_another() {
    let missing = "is missing; write a list of where the credential may stand";
    bad(r#""auth": {}"#, "auth.credentials", missing);
    let keys = r#""api_keys": [{"id": "a", "key": {"env": "A_KEY"}}]"#;
    bad(&format!(r#""auth": {{{keys}}}"#), "auth.credentials", missing);
    let jwt = json!([issuer(&json!({}))]);
    bad(&format!(r#""auth": {{"jwt": {jwt}}}"#), "auth.credentials", missing);
    bad(
        r#""auth": {"credentials": [{"header": "authorization"}]}"#,
        "auth",
        "has credentials and nothing to verify them with; write `jwt`, `api_keys` or `session`",
    );
    let jwt = json!([issuer(&json!({}))]);
    bad(
        &format!(
            r#""auth": {{"credentials": [{{"header": "authorization", "scheme": "basic"}}], "jwt": {jwt}}}"#
        ),
        "auth.credentials[0].scheme",
        "names an API key by its id, and there is none",
    );
    bad(
        r#""auth": {"credentials": [{"query": "token"}], "jwts": []}"#,
        "auth.jwts",
        "did you mean `jwt`?",
    );
}

#[test]
fn auth_that_is_wrong_does_not_turn_into_none() {
    for wrong in ["1", "null", "[]", r#""jwt""#] {
        bad(&format!(r#""auth": {wrong}"#), "auth", "write");
    }
    let read = good(&places(r#"[{"header": "x-api-key"}]"#));
    assert!(!read.auth.unwrap().forward);
    let forward = places(r#"[{"header": "x-api-key"}]"#).replacen('{', r#"{"forward": true,"#, 1);
    assert!(good(&forward).auth.unwrap().forward);
    let word = places(r#"[{"header": "x-api-key"}]"#).replacen('{', r#"{"forward": "yes","#, 1);
    bad(&word, "auth.forward", "is a text; write true or false, without quotes");
}

#[test]
fn api_keys_have_an_id_and_one_key() {
    let sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let with = |keys: &str| {
        format!(r#""auth": {{"credentials": [{{"header": "x-api-key"}}], "api_keys": {keys}}}"#)
    };
    good(&with(&format!(
        r#"[{{"id": "A.b_c-1", "key": {{"env": "A_KEY"}}}}, {{"id": "b", "sha256": "{sha256}"}}]"#
    )));
    for (keys, path, says) in [
        ("[]", "", "is an empty list"),
        (r#"[{"key": {"env": "A_KEY"}}]"#, "[0].id", "is missing; write one that is unique"),
        (r#"[{"id": "a"}]"#, "[0]", "says none of them; write `key` or `sha256`"),
        (
            r#"[{"id": "a", "key": {"env": "A_KEY"}, "sha256": "00"}]"#,
            "[0]",
            "says more than one of them; write only `key` or `sha256`",
        ),
        (r#"[{"id": "a b", "key": {"env": "A_KEY"}}]"#, "[0].id", "is no key id"),
        (r#"[{"id": "a", "key": "hunter2"}]"#, "[0].key", "is a secret written out"),
        (r#"[{"id": "a", "key": {"env": "NOT_SET"}}]"#, "[0].key.env", "NOT_SET is not set"),
        (r#"[{"id": "a", "sha256": 4711}]"#, "[0].sha256", "is a number"),
        (
            r#"[{"id": "a", "key": {"env": "A_KEY"}}, {"id": "a", "key": {"env": "B_KEY"}}]"#,
            "[1].id",
            "says the same as policies[0].auth.api_keys[0].id",
        ),
    ] {
        bad(&with(keys), &format!("auth.api_keys{path}"), says);
    }
}

#[test]
fn identity_headers_are_nobody_elses() {
    let with = |headers: &str| {
        places(r#"[{"header": "x-api-key"}]"#).replacen(
            '{',
            &format!(r#"{{"identity_headers": {headers},"#),
            1,
        )
    };
    let read = good(&with(r#"{"X-User-Id": "sub"}"#)).auth.unwrap().identity_headers;
    assert_eq!((read[0].name.as_str(), read[0].claim.as_str()), ("x-user-id", "sub"));
    for (headers, path, says) in [
        ("{}", "", "is empty; write a key and its value"),
        (r#"{"x-a": ""}"#, ".x-a", "is an empty text"),
        (r#"{"x-a": ["sub"]}"#, ".x-a", "is a list; write a text"),
        (r#"{"x_a": "sub"}"#, ".x_a", "write - instead"),
        (r#"{":path": "sub"}"#, "[\":path\"]", "needs for itself"),
        (r#"{"Connection": "sub"}"#, ".Connection", "needs for itself"),
        (r#"{"authorization": "sub"}"#, ".authorization", "needs for itself"),
        (r#"{"x a": "sub"}"#, "[\"x a\"]", "holds characters that HTTP allows in no name"),
        (r#"{"X-Api-Key": "sub"}"#, ".X-Api-Key", "is where policies[0] looks for a credential"),
        (
            r#"{"x-a": "sub", "X-A": "iss"}"#,
            ".X-A",
            "says the same as policies[0].auth.identity_headers.x-a",
        ),
        (
            r#"{"x-a": "sub", "x.a": "iss"}"#,
            "[\"x.a\"]",
            "says the same as policies[0].auth.identity_headers.x-a",
        ),
        (r#"{"x-a": "sub", "x-a": "iss"}"#, ".x-a", "stands twice in the same object"),
    ] {
        bad(&with(headers), &format!("auth.identity_headers{path}"), says);
    }
}

#[test]
fn identity_headers_of_all_policies_are_held_against_all_credentials() {
    let policy = |name: &str, place: &str, headers: &str| {
        format!(
            r#"{{"name": "{name}", "match": {{"paths": ["/{name}"]}}, "auth": {{
                "credentials": [{{"header": "{place}"}}], "identity_headers": {headers},
                "api_keys": [{{"id": "a", "key": {{"env": "A_KEY"}}}}]}}}}"#
        )
    };
    let both = |first: &str, second: &str| format!(r#"{{"policies": [{first}, {second}]}}"#);
    let same = both(
        &policy("a", "x-key", r#"{"x-user": "sub", "x-b": "iss"}"#),
        &policy("b", "x-key", r#"{"X-User": "sub", "x-a": "iss"}"#),
    );
    assert_eq!(parse(&same).unwrap().identity_headers, ["x-a", "x-b", "x-user"]);
    let crossed = both(
        &policy("a", "x-key", r#"{"x-user": "sub"}"#),
        &policy("b", "X_User", r#"{"x-other": "sub"}"#),
    );
    let told = errors(&crossed);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with(
            "policies[0].auth.identity_headers.x-user: is where policies[1] looks for a credential"
        ),
        "{}",
        told[0]
    );
}
