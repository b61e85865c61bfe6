//! Tokens that name no key: anybody can have a worker try one on all keys of an
//! issuer, before any credential is known to be good. RSA-PSS, which the module
//! verifies itself, takes 1.6 ms for each key of 4096 bits.

use crate::client::{Client, Request};
use crate::edge::detail;
use crate::support::{Envoy, bootstrap};
use crate::upstream::{Recorder, Script};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

const ISSUER: &str = "https://issuer.example.com";

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// So many keys of RSA that nobody has the private parts of, no two alike.
fn keys(count: u8, bits: usize, named: bool) -> Vec<Value> {
    let key = |number: u8| {
        let mut modulus = vec![0xff; bits / 8];
        modulus[1] = number;
        let mut key = json!({"kty": "RSA", "n": b64(modulus), "e": "AQAB"});
        if named {
            key["kid"] = json!(number.to_string());
        }
        key
    };
    (0..count).map(key).collect()
}

fn document(algorithm: &str, keys: &[Value]) -> Value {
    json!({"policies": [{"name": "chat", "auth": {
        "credentials": [{"header": "authorization"}],
        "jwt": [{
            "issuer": ISSUER, "algorithms": [algorithm], "keys": {"jwks": {"keys": keys}},
        }],
    }}]})
}

/// A token whose signature is below every modulus, so that it has to be verified.
fn forged(algorithm: &str, bits: usize, kid: Option<&str>) -> String {
    let mut header = json!({"alg": algorithm});
    if let Some(kid) = kid {
        header["kid"] = json!(kid);
    }
    let claims = json!({"iss": ISSUER, "sub": "mallory", "exp": 4_000_000_000_u64});
    let signature = vec![0x5a; bits / 8];
    format!("{}.{}.{}", b64(header.to_string()), b64(claims.to_string()), b64(signature))
}

fn told(envoy: &Envoy, token: &str) -> String {
    let request = Request::upgrade("/ws").with("authorization", format!("Bearer {token}"));
    let (_, answer) = Client::ask(envoy.address(), &request);
    assert_eq!((answer.status, answer.reason().as_str()), (401, "credentials_invalid"));
    detail(&answer)
}

/// The build before tried all eight: 25 ms for each handshake of anybody.
#[test]
fn a_token_that_names_none_of_eight_long_keys_is_tried_on_none() {
    let recorder = Recorder::start(Script::Accept(Vec::new()));
    let document = document("PS256", &keys(8, 4_096, true));
    let envoy = Envoy::start(&bootstrap(&document, recorder.address));
    let without = told(&envoy, &forged("PS256", 4_096, None));
    assert!(without.contains("must name its key by `kid`"), "{without}");
    let unknown = told(&envoy, &forged("PS256", 4_096, Some("8")));
    assert!(unknown.contains("names no key"), "{unknown}");
    let one = told(&envoy, &forged("PS256", 4_096, Some("7")));
    assert!(one.contains("signature does not verify"), "{one}");
}

#[test]
fn a_token_that_names_none_of_eight_keys_that_envoy_verifies_is_tried_on_all() {
    let recorder = Recorder::start(Script::Accept(Vec::new()));
    let document = document("RS256", &keys(8, 4_096, true));
    let envoy = Envoy::start(&bootstrap(&document, recorder.address));
    let tried = told(&envoy, &forged("RS256", 4_096, None));
    assert!(tried.contains("signature does not verify"), "{tried}");
}

#[test]
fn more_keys_without_kid_than_a_token_may_be_tried_on_do_not_load() {
    let nowhere = "127.0.0.1:1".parse().unwrap();
    for (algorithm, count, bits) in
        [("PS256", 8, 4_096), ("PS512", 2, 3_072), ("PS384", 3, 2_048), ("RS256", 9, 2_048)]
    {
        let document = document(algorithm, &keys(count, bits, false));
        let log = Envoy::refuses(&bootstrap(&document, nowhere));
        let path = "policies[0].auth.jwt[0].keys.jwks.keys: has so many keys for ";
        assert!(log.contains(&format!("{path}{algorithm}")), "{log}");
        assert!(log.contains("give each a `kid`"), "{log}");
    }
}
