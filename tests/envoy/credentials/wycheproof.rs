//! Wycheproof's cases for the algorithms that Envoy's BoringSSL verifies, through
//! the filter in Envoy, where it must say what the unit tests hold; so must the
//! module's own verifier of RSA. For ECDSA it has none, where there is a host.

use crate::client::{Client, Request};
use crate::support::{Envoy, bootstrap, trap_wasm};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cases::{Case, Verdict};
use serde_json::json;
use std::net::SocketAddr;

#[path = "../../vectors/wycheproof.rs"]
#[allow(dead_code, reason = "the unit tests have all of it")]
mod cases;

/// What the filter says of a case: with the host, and without.
fn asked(client: &mut Client, case: &Case) -> String {
    let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let words = [
        case.algorithm.to_owned(),
        b64(case.jwk.to_string().as_bytes()),
        b64(&case.text),
        b64(&case.signature),
    ];
    client.send(&Request::plain("/").with("x-wsguard-verify", words.join(".")).bytes());
    let answer = client.answer();
    assert_eq!(answer.status, 200, "{}: {answer:?}", case.name);
    String::from_utf8(answer.body).unwrap()
}

#[test]
fn envoy_and_the_filter_agree_on_the_cases_of_wycheproof() {
    let document = json!({"policies": [{"name": "chat"}]});
    let mut bootstrap = bootstrap(&document, SocketAddr::from(([127, 0, 0, 1], 9)));
    let plugin = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config\
                  /http_filters/0/typed_config/config/vm_config/code/local/filename";
    *bootstrap.pointer_mut(plugin).unwrap() = json!(trap_wasm());
    let envoy = Envoy::start_on(1, &bootstrap);
    let cases = [cases::pkcs1(), cases::ecdsa()].concat();
    let mut client = Client::connect(envoy.address());
    for case in &cases {
        let good = case.verdict == Verdict::Good;
        let alone = good && case.algorithm.starts_with("RS");
        assert_eq!(asked(&mut client, case), format!("Some([{good}, {alone}])"), "{}", case.name);
    }
    assert!(cases.len() > 3_000, "{}", cases.len());
}
