//! What other rooms refuse, told at its place in the document.

use super::*;

/// The members of a policy that takes tokens with these algorithms and keys.
fn tokens(algorithms: &Value, keys: &Value) -> String {
    let members = json!({"algorithms": algorithms, "keys": keys});
    let auth = json!({"credentials": [{"header": "authorization"}], "jwt": [issuer(&members)]});
    format!(r#""auth": {auth}"#)
}

/// The members of a policy that takes these API keys.
fn api_keys(keys: &Value) -> String {
    let auth = json!({"credentials": [{"header": "x-api-key"}], "api_keys": keys});
    format!(r#""auth": {auth}"#)
}

#[test]
fn hosts_paths_and_origins_are_told_by_their_own_readers() {
    for (members, path, says) in [
        (r#""match": {"hosts": ["a.*.example"]}"#, "match.hosts[0]", "has a *"),
        (r#""match": {"hosts": ["*"]}"#, "match.hosts[0]", "leave `hosts` out"),
        (r#""match": {"hosts": ["https://a.example"]}"#, "match.hosts[0]", "has a scheme"),
        (r#""match": {"paths": ["/ok", "ws"]}"#, "match.paths[1]", "does not start with a slash"),
        (r#""match": {"paths": ["/ws?x"]}"#, "match.paths[0]", "has a query"),
        (r#""match": {"paths": ["/x/../ws"]}"#, "match.paths[0]", "write /ws"),
        (r#""handshake": {"origins": ["a.example"]}"#, "handshake.origins[0]", "has no scheme"),
        (r#""handshake": {"origins": ["https://a/*"]}"#, "handshake.origins[0]", "has a path"),
        (r#""handshake": {"origins": ["https://a/"]}"#, "handshake.origins[0]", "in a slash"),
        (
            r#""match": {"hosts": ["a.example", "A.Example."]}"#,
            "match.hosts[1]",
            "says the same as policies[0].match.hosts[0]",
        ),
    ] {
        bad(members, path, says);
    }
}

#[test]
fn keys_are_held_against_their_algorithms() {
    let secret = json!({"secret": {"env": "A_SECRET"}});
    let set = |jwk: Value| json!({"jwks": {"keys": [jwk]}});
    good(&tokens(&json!(["HS256", "HS512"]), &secret));
    let mut private = rsa_jwk();
    private["d"] = "AQAB".into();
    let mut public = rsa_jwk();
    public["n"] = "AQAB".into();
    for (algorithms, keys, path, says) in [
        (json!(["RS256"]), secret.clone(), "secret", "has no key for RS256"),
        (json!(["RS256", "ES256"]), set(rsa_jwk()), "jwks.keys", "has no key for ES256"),
        (json!(["HS256"]), set(rsa_jwk()), "jwks.keys", "has no key for HS256"),
        (json!(["RS256"]), set(private), "jwks.keys[0].d", "is part of the private key"),
        (json!(["RS256"]), set(public), "jwks.keys[0].n", "is shorter than 2048 bits"),
        (json!(["RS256"]), json!({"jwks": []}), "jwks", "is not a JWK Set"),
        (json!(["RS256"]), json!({"jwks": {"keys": []}}), "jwks.keys", "list at least one key"),
    ] {
        bad(&tokens(&algorithms, &keys), &format!("auth.jwt[0].keys.{path}"), says);
    }
}

#[test]
fn short_secrets_are_refused_and_not_shown() {
    let short = |members: String| {
        let environment = |_: &str| Some("hunter2".to_owned());
        let errors = Config::parse(&policy(&members), &environment).unwrap_err();
        let told = format!("{errors} {errors:?}");
        assert!(!told.contains("hunter2"), "{told}");
        errors.to_string()
    };
    let token = short(tokens(&json!(["HS256"]), &json!({"secret": {"env": "A_SECRET"}})));
    assert!(token.starts_with("policies[0].auth.jwt[0].keys.secret: is shorter than"), "{token}");
    let key = short(api_keys(&json!([{"id": "a", "key": {"env": "A_KEY"}}])));
    assert!(key.starts_with("policies[0].auth.api_keys[0].key: is shorter than 16"), "{key}");
}

#[test]
fn one_api_key_has_one_id() {
    let same = json!({"env": "A_KEY"});
    bad(
        &api_keys(&json!([{"id": "a", "key": same}, {"id": "b", "key": same}])),
        "auth.api_keys[1].key",
        "",
    );
    bad(&api_keys(&json!([{"id": "a", "sha256": "00"}])), "auth.api_keys[0].sha256", "");
}

#[test]
fn a_bad_pattern_is_told_where_it_stands() {
    // The first rule is not compiled, which must not move the second one's place.
    let rules = r#""client": {"rules": [{"name": "a"}, {"name": "b", "pattern": "x("}]}"#;
    let told = errors(&policy(rules));
    assert_eq!(told.len(), 2, "{told:?}");
    let path = "policies[0].client.rules[1].pattern: is no regular expression: ";
    assert!(told[1].starts_with(path), "{}", told[1]);
    bad(
        r#""client": {"rules": [{"name": "a", "pattern": "(?=x)"}]}"#,
        "client.rules[0].pattern",
        "look-around",
    );
}
