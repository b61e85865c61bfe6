//! Which tokens are taken: algorithms, keys, forgeries. All of them made by
//! PyJWT, but for forgeries that it refuses to make.

use super::{ISSUER, claims, edge, issuer, jwks, mint};
use crate::TEST_SECRET;
use crate::client::Request;
use crate::edge::{Site, detail};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

const SHARED: &str = "https://shared.example.com";
const BOTH: &str = "https://both.example.com";
const HMAC: &str = "https://hmac.example.com";

pub(super) fn sites() -> Vec<Site> {
    let secret = json!({
        "issuer": SHARED, "algorithms": ["HS256"], "keys": {"secret": {"env": "TEST_SECRET"}},
    });
    // The worst that can be configured: public and shared keys side by side.
    let mut keys = jwks();
    let shared = json!({"kty": "oct", "kid": "shared", "k": OCT});
    keys["keys"].as_array_mut().unwrap().push(shared);
    let both = json!({
        "issuer": BOTH, "algorithms": ["RS256", "ES256", "HS256"], "keys": {"jwks": keys},
    });
    let hmac = json!({
        "issuer": HMAC, "algorithms": ["HS256", "HS384", "HS512"],
        "keys": {"jwks": {"keys": [{"kty": "oct", "kid": "shared", "k": OCT}]}},
    });
    let auth = json!({
        "credentials": [{"header": "authorization"}],
        "jwt": [issuer(), secret, both, hmac],
    });
    vec![Site::new("tokens", json!({"policies": [{"name": "tokens", "auth": auth}]}))]
}

/// 64 bytes of "k", and the end of a line.
const OCT: &str =
    "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2trawo";

fn bearer(token: &str) -> Request {
    Request::upgrade("/ws").with("authorization", format!("Bearer {token}"))
}

fn asked(over: Value) -> Value {
    let mut asked = json!({"claims": claims(&json!({}))});
    for (name, value) in over.as_object().unwrap() {
        asked[name] = value.clone();
    }
    asked
}

#[test]
fn tokens_of_every_configured_algorithm_open_the_websocket() {
    let edge = edge("tokens");
    for (alg, key) in [
        ("RS256", "rsa"),
        ("RS384", "rsa"),
        ("RS512", "rsa"),
        ("PS256", "rsa"),
        ("PS384", "rsa"),
        ("PS512", "rsa"),
        ("ES256", "p256"),
        ("ES384", "p384"),
        ("EdDSA", "ed25519"),
    ] {
        // With the key's name and without; each algorithm fits one key here.
        for header in [json!({}), json!({"kid": null}), json!({"typ": "at+jwt"})] {
            let token = mint(&asked(json!({"alg": alg, "header": header})));
            let request = edge.marked_as_passing(&bearer(&token));
            crate::client::Client::open(edge.address, &request);
            let event = edge.event(&request, "opened");
            assert_eq!(event["user"], format!("{ISSUER}#alice"), "{alg}");
            assert_eq!((&event["credential"], &event["key_id"]), (&json!("jwt"), &json!(key)));
            assert!(event["authenticated_at"].as_str().is_some_and(|at| at.ends_with('Z')));
        }
    }
}

/// The token with another signature, header or payload; by what was changed.
fn mutations(token: &str) -> Vec<(&'static str, String)> {
    let [header, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else {
        panic!("{token}");
    };
    let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
    let with = |part: &str, member: &str, value: &str| {
        let mut json: Value = serde_json::from_slice(&decoded(part)).unwrap();
        json[member] = json!(value);
        URL_SAFE_NO_PAD.encode(json.to_string())
    };
    let flipped = |place: fn(usize) -> usize| {
        let mut bytes = decoded(signature);
        let place = place(bytes.len());
        bytes[place] ^= 1;
        format!("{header}.{payload}.{}", URL_SAFE_NO_PAD.encode(bytes))
    };
    vec![
        ("the first byte of the signature", flipped(|_| 0)),
        ("a byte within the signature", flipped(|length| length / 2)),
        ("the last byte of the signature", flipped(|length| length - 1)),
        ("the header", format!("{}.{payload}.{signature}", with(header, "typ", "at+jwt"))),
        ("a claim", format!("{header}.{}.{signature}", with(payload, "sub", "mallory"))),
    ]
}

#[test]
fn a_token_of_any_algorithm_that_was_changed_opens_nothing() {
    let edge = edge("tokens");
    let secret = String::from_utf8(URL_SAFE_NO_PAD.decode(OCT).unwrap()).unwrap();
    for alg in [
        "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "HS256",
        "HS384", "HS512",
    ] {
        let token = if alg.starts_with("HS") {
            let claims = claims(&json!({"iss": HMAC}));
            mint(&json!({"alg": alg, "secret": secret, "claims": claims}))
        } else {
            mint(&asked(json!({"alg": alg})))
        };
        crate::client::Client::open(edge.address, &edge.marked_as_passing(&bearer(&token)));
        for (what, changed) in mutations(&token) {
            let answer = edge.refuses(&bearer(&changed), 401, "credentials_invalid");
            assert!(detail(&answer).contains("signature"), "{alg}, {what}: {}", detail(&answer));
        }
    }
}

#[test]
fn a_shared_secret_signs_for_its_issuer_only() {
    let edge = edge("tokens");
    let signed = |iss: &str, secret: &str| {
        mint(&json!({"alg": "HS256", "secret": secret, "claims": claims(&json!({"iss": iss}))}))
    };
    let token = signed(SHARED, TEST_SECRET);
    let request = edge.marked_as_passing(&bearer(&token));
    crate::client::Client::open(edge.address, &request);
    let event = edge.event(&request, "opened");
    assert_eq!(event["user"], format!("{SHARED}#alice"));
    // The key has no name: eight digits of the token's hash stand for it.
    assert_eq!(event["key_id"].as_str().unwrap().len(), 8);
    let other = edge.refuses(&bearer(&signed(SHARED, &"x".repeat(47))), 401, "credentials_invalid");
    assert!(detail(&other).contains("signature"), "{}", detail(&other));
    let elsewhere = edge.refuses(&bearer(&signed(ISSUER, TEST_SECRET)), 401, "credentials_invalid");
    assert!(detail(&elsewhere).contains("`alg` is not allowed"), "{}", detail(&elsewhere));
    // Nor does a public key of one issuer sign for another.
    let foreign = mint(&json!({"alg": "RS256", "claims": claims(&json!({"iss": SHARED}))}));
    edge.refuses(&bearer(&foreign), 401, "credentials_invalid");
}

#[test]
fn a_token_without_a_signature_is_none() {
    let edge = edge("tokens");
    let none = mint(&asked(json!({"alg": "none"})));
    assert!(none.ends_with('.'));
    let payload = none.split('.').nth(1).unwrap();
    let signed = mint(&asked(json!({"alg": "RS256"})));
    let signature = signed.rsplit('.').next().unwrap();
    // {"alg":"None"}, {"alg":"nOnE"}
    let headers = ["eyJhbGciOiJOb25lIn0", "eyJhbGciOiJuT25FIn0"];
    let spelled = headers.map(|header| format!("{header}.{payload}."));
    for token in [none.clone(), format!("{none}{signature}")].iter().chain(&spelled) {
        let answer = edge.refuses(&bearer(token), 401, "credentials_invalid");
        assert!(detail(&answer).contains("`alg` is not allowed"), "{}", detail(&answer));
    }
    let cut = format!("{}.", signed.rsplit_once('.').unwrap().0);
    let answer = edge.refuses(&bearer(&cut), 401, "credentials_invalid");
    assert!(detail(&answer).contains("signature"), "{}", detail(&answer));
}

#[test]
fn a_public_key_is_no_shared_secret() {
    let edge = edge("tokens");
    for form in ["pem", "der", "pkcs1", "jwk", "n"] {
        let key = format!("rsa as {form}");
        for (iss, kid, told) in [
            (ISSUER, json!("rsa"), "`alg` is not allowed"),
            (BOTH, json!("rsa"), "does not go with the key"),
            (BOTH, json!("shared"), "signature"),
            (BOTH, json!(null), "signature"),
        ] {
            let token = mint(&json!({
                "alg": "HS256", "key": key, "header": {"kid": kid},
                "claims": claims(&json!({"iss": iss})),
            }));
            let answer = edge.refuses(&bearer(&token), 401, "credentials_invalid");
            assert!(detail(&answer).contains(told), "{form}, {kid}: {}", detail(&answer));
        }
    }
}

#[test]
fn a_forged_or_unusual_header_is_refused() {
    let edge = edge("tokens");
    let stolen =
        json!({"kty": "OKP", "crv": "Ed25519", "x": "iklVLSeAZbhsbxDmeg7JfhnOp6ln10E1VPJ0PKJKqyI"});
    for (over, told) in [
        (json!({"header": {"kid": "unknown"}}), "`kid` names no key"),
        (json!({"header": {"kid": "../../dev/null"}}), "`kid` names no key"),
        (json!({"header": {"kid": ""}}), "`kid` names no key"),
        (json!({"header": {"kid": "rsa"}}), "does not go with the key"),
        (json!({"alg": "ES256", "header": {"kid": "p384"}}), "does not go with the key"),
        (
            json!({"alg": "RS384", "key": "rsa", "claims": claims(&json!({"iss": BOTH}))}),
            "`alg` is not allowed",
        ),
        (json!({"key": "other ed25519"}), "signature"),
        (json!({"alg": "RS256", "key": "other rsa"}), "signature"),
        (json!({"alg": "PS256", "key": "other rsa"}), "signature"),
        (json!({"alg": "ES256", "key": "other p256"}), "signature"),
        (json!({"alg": "ES384", "key": "other p384"}), "signature"),
        // A key that the token brings along is not looked at.
        (json!({"key": "other ed25519", "header": {"jwk": stolen}}), "signature"),
        (json!({"key": "other ed25519", "header": {"jku": "https://evil.example"}}), "signature"),
        (json!({"header": {"crit": ["exp"]}}), "extension"),
        (json!({"header": {"crit": []}}), "extension"),
        (json!({"header": {"typ": "logout+jwt"}}), "`typ`"),
        (json!({"header": {"typ": "dpop+jwt"}}), "`typ`"),
    ] {
        let answer = edge.refuses(&bearer(&mint(&asked(over.clone()))), 401, "credentials_invalid");
        assert!(detail(&answer).contains(told), "{over}: {}", detail(&answer));
    }
}

#[test]
fn a_token_that_was_changed_is_refused() {
    let edge = edge("tokens");
    let swap = |token: &str, part: usize, with: &str| {
        let mut parts: Vec<&str> = token.split('.').collect();
        parts[part] = with;
        parts.join(".")
    };
    for alg in ["RS256", "PS256", "ES256", "ES384", "EdDSA"] {
        let token = mint(&asked(json!({"alg": alg})));
        let admin = mint(&json!({"alg": alg, "claims": claims(&json!({"sub": "admin"}))}));
        let payload = admin.split('.').nth(1).unwrap();
        let signature = token.rsplit('.').next().unwrap();
        for changed in [
            swap(&token, 1, payload),
            swap(&token, 2, &signature[4..]),
            swap(&token, 2, &format!("AAAA{}", &signature[4..])),
            swap(&token, 2, ""),
        ] {
            let answer = edge.refuses(&bearer(&changed), 401, "credentials_invalid");
            assert!(detail(&answer).contains("signature"), "{alg}: {}", detail(&answer));
        }
        edge.opens(&bearer(&token));
    }
}

#[test]
fn what_is_no_compact_token_is_refused() {
    let edge = edge("tokens");
    let token = mint(&asked(json!({})));
    let twice = mint(&json!({"payload": format!(
        "{{\"iss\":\"{ISSUER}\",\"aud\":\"chat\",\"exp\":1,\"exp\":{}}}", super::now() + 600
    )}));
    for (bad, told) in [
        (format!("{token}.x"), "three base64url parts"),
        (format!("{token}="), "three base64url parts"),
        (format!("{token}."), "three base64url parts"),
        (token.replacen('.', "", 1), "three base64url parts"),
        ("..".to_owned(), "payload"),
        ("a.b.c".to_owned(), "three base64url parts"),
        ("guess".to_owned(), "three base64url parts"),
        (mint(&json!({"payload": "[1]"})), "payload is not a JSON object"),
        (mint(&json!({"payload": "{\"iss\""})), "payload is not a JSON object"),
        (mint(&json!({"payload": "[".repeat(9000)})), ""),
        (twice, "same JSON member twice"),
    ] {
        let answer = edge.refuses(&bearer(&bad), 401, "credentials_invalid");
        assert!(detail(&answer).contains(told), "{bad:.40}: {}", detail(&answer));
    }
    let split = Request::upgrade("/ws").with("authorization", format!("Bearer {token} {token}"));
    edge.refuses(&split, 401, "credentials_invalid");
}

#[test]
fn a_token_may_be_long_but_not_without_end() {
    let edge = edge("tokens");
    let padded =
        |bytes: usize| mint(&json!({"claims": claims(&json!({"pad": "x".repeat(bytes)}))}));
    let long = padded(11_000);
    assert!(long.len() > 14 << 10);
    edge.opens(&bearer(&long));
    let too_long = padded(24 << 10);
    assert!(too_long.len() > 32 << 10);
    let answer = edge.refuses(&bearer(&too_long), 401, "credentials_invalid");
    assert!(detail(&answer).contains("longer than 16 KiB"), "{}", detail(&answer));
    // Beyond 60 KiB of headers it is Envoy that answers.
    edge.stops(&bearer(&padded(60 << 10)).bytes(), 431);
}
