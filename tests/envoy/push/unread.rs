//! Clients that make wsguard speak and do not listen.

use super::pushing;
use crate::client::{Request, text};
use crate::frames::pair::Upstream;
use crate::support::Envoy;
use serde_json::{Value, json};
use std::io::{ErrorKind, Write};
use std::time::{Duration, Instant};

/// What Envoy's allocator holds for it, in bytes.
pub fn allocated(envoy: &Envoy) -> u64 {
    let memory: Value = envoy.get("/memory").parse().unwrap();
    memory["allocated"].as_str().unwrap().parse().unwrap()
}

#[test]
fn replies_to_a_client_that_does_not_read_do_not_gather() {
    let upstream = Upstream::bind();
    let rule = json!({"name": "bad", "pattern": "bad", "action": "reply"});
    let policy = json!({"client": {"rules": [rule]}, "lifetime": {"push": true}});
    let envoy = super::start(&[pushing("push", policy)], upstream.address());
    let (mut client, mut server) = upstream.open(envoy.address(), &Request::upgrade("/ws"));
    let before = allocated(&envoy);
    let bad = text("bad").repeat(200);
    client.stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    // Each time as much as is answered at once, 16 KiB: 24 MB of answers.
    let begin = Instant::now();
    let mut takes_more = true;
    for _ in 0..1500 {
        match client.stream.write_all(&bad) {
            Ok(()) => {}
            // Nobody takes more: that is fine, too.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                takes_more = false;
                break;
            }
            Err(error) => panic!("{error}"),
        }
        assert!(begin.elapsed() < crate::support::PATIENCE);
        std::thread::sleep(Duration::from_millis(1));
    }
    let good = text("good");
    // Not in the middle of what was not taken whole.
    if takes_more && client.stream.write_all(&good).is_ok() {
        server.expect(&good);
    }
    let grown = allocated(&envoy).saturating_sub(before);
    assert!(grown < 4 << 20, "{grown} bytes more for what nobody reads");
    // Some of them are there for whoever begins to.
    let told = client.frame().unwrap();
    assert!(String::from_utf8(told.payload).unwrap().contains("rule_matched"));
}
