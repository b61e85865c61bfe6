//! Patterns at every place of messages: most messages are told from those with
//! something to find by instructions that only the module has, sixteen places at
//! a time.

use super::super::client::{Request, frame};
use super::pair::Upstream;
use super::prompt;
use crate::support::Envoy;
use serde_json::json;

#[test]
fn a_pattern_is_found_at_every_place_of_messages_of_every_length() {
    let upstream = Upstream::bind();
    let rule = json!({"name": "no-scripts", "pattern": "(?i)<script", "action": "drop"});
    let document = json!({"policies": [{"name": "chat", "client": {"rules": [rule]}}]});
    let envoy = Envoy::start(&prompt(&document, upstream.address()));
    let (mut client, mut server) = upstream.open(envoy.address(), &Request::upgrade("/"));
    for found in ["<ScRiPt", "<ſCRIPT"].map(str::as_bytes) {
        for length in (found.len()..100).chain([127, 128, 150, 300]) {
            let clean = vec![b'~'; length];
            let mut bytes = Vec::new();
            for place in 0..=length - found.len() {
                let mut message = clean.clone();
                message[place..place + found.len()].copy_from_slice(found);
                bytes.extend(frame(0x81, &message));
            }
            let good = frame(0x81, &clean);
            bytes.extend(&good);
            client.send(&bytes);
            server.expect(&good);
        }
    }
}
