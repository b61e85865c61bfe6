//! tests/vectors/tokens.json, each as a handshake: Envoy's own
//! `verify_signature` must see in them what OpenSSL does, as the unit tests
//! hold it of the wasm's verifier.

use super::edge;
use crate::client::{Client, Request};
use crate::edge::{Edge, Site, detail};
use serde_json::{Value, json};
use std::sync::LazyLock;

static FILE: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../vectors/tokens.json")).unwrap());

pub(super) fn sites() -> Vec<Site> {
    let auth = json!({
        "credentials": [{"header": "authorization"}],
        "jwt": [{
            "issuer": FILE["issuer"],
            "algorithms": [
                "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
                "HS256", "HS384", "HS512",
            ],
            "audiences": ["chat"],
            "keys": {"jwks": {"keys": FILE["keys"]}},
        }],
    });
    vec![Site::new("vectors", json!({"policies": [{"name": "vectors", "auth": auth}]}))]
}

/// Whether the token's signature is good, and what was told. The file's tokens
/// have a fixed `exp`; expiry is judged last, so that one which has only
/// expired since has verified.
fn verifies(edge: &Edge, token: &str) -> (bool, String) {
    let request = Request::upgrade("/ws").with("authorization", format!("Bearer {token}"));
    let (_, answer) = Client::ask(edge.address, &edge.marked(&request));
    match (answer.status, answer.reason().as_str()) {
        (101, _) | (401, "credentials_expired") => (true, String::new()),
        (401, "credentials_invalid") => (false, detail(&answer)),
        other => panic!("{other:?}: {answer:?}"),
    }
}

#[test]
fn envoy_gives_each_signature_the_verdict_of_openssl() {
    let edge = edge("vectors");
    let list = |name: &str| FILE[name].as_array().unwrap().iter();
    let mut counted = [0, 0];
    for vector in list("good").chain(list("edge")) {
        let (name, expected) = (&vector["name"], vector["verifies"].as_bool().unwrap());
        let (verified, told) = verifies(&edge, vector["token"].as_str().unwrap());
        assert_eq!(verified, expected, "{name}: {told}");
        assert!(verified || told.contains("signature does not verify"), "{name}: {told}");
        counted[usize::from(verified)] += 1;
    }
    assert!(counted[0] > 100 && counted[1] > 10, "{counted:?}");
    for vector in list("confused") {
        let (verified, _) = verifies(&edge, vector["token"].as_str().unwrap());
        assert!(!verified, "{}", vector["name"]);
    }
    edge.passed_or_not();
}
