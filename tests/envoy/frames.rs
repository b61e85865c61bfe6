//! What clients send after the upgrade.

use super::client::{Client, Request, text};
use super::support::{Envoy, bootstrap};
use super::upstream::{Recorder, Script};
use serde_json::json;

#[test]
fn a_pattern_is_caught_and_upstream_sees_nothing_of_it() {
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let document = json!({"policies": [{
        "name": "chat",
        "client": {"rules": [{"name": "no-scripts", "pattern": "(?i)<script", "action": "close"}]},
    }]});
    let envoy = Envoy::start(&bootstrap(&document, upstream.address));
    let mut client = Client::open(envoy.address(), &Request::upgrade("/ws"));
    client.send(&text("hello"));
    client.send(&text("a <ScRiPt> b"));
    assert_eq!(client.frame().unwrap().close(), (1008, "rule_matched".to_owned()));
    let seen = upstream.ended();
    assert!(seen.bytes.starts_with(&text("hello")));
    assert_eq!(seen.bytes.len(), text("hello").len() + 8, "the message, and our Close(1008)");
    let event = envoy.event("refused", Some("rule_matched"));
    assert_eq!(event["rule"], "no-scripts");
}
