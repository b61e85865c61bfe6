//! Thousands of clients that begin a message of 1 MiB and never end it.

use crate::client::{Request, frame, text};
use crate::frames::counter;
use crate::frames::pair::Upstream;
use crate::support::{Envoy, bootstrap, wait_for};
use serde_json::json;
use std::io::Write;

/// What a worker may hold, and how many there are.
const LIMIT_BYTES: usize = 256 << 20;
const WORKERS: usize = 2;

/// All of a message of 1 MiB but its last byte.
fn unfinished() -> Vec<u8> {
    let mut bytes = frame(0x02, &vec![7; 1 << 20]);
    bytes.pop();
    bytes
}

fn hold(connections: usize, limit_bytes: usize) {
    let upstream = Upstream::bind();
    let document = json!({
        "limits": {"buffered_per_worker": limit_bytes},
        "policies": [{"name": "chat"}],
    });
    let mut bootstrap = bootstrap(&document, upstream.address());
    // Envoy's own limit is 1024.
    bootstrap["static_resources"]["clusters"][0]["circuit_breakers"] =
        json!({"thresholds": [{"max_connections": 20_000, "max_requests": 20_000}]});
    let envoy = Envoy::start(&bootstrap);
    let request = Request::upgrade("/ws");
    let (mut good, mut good_server) = upstream.open(envoy.address(), &request);
    let bytes = unfinished();
    let mut open = Vec::new();
    for _ in 0..connections {
        let (mut client, server) = upstream.open(envoy.address(), &request);
        // Those over the limit may be reset meanwhile.
        let _ = client.stream.write_all(&bytes);
        open.push((client, server));
    }
    let name = r#"wsguard_violations_total{policy="chat",direction="client",reason="overloaded",action="close"}"#;
    let fit = WORKERS * limit_bytes / (1 << 20);
    let refused = wait_for("what does not fit to be refused", || {
        let refused = counter(&envoy, name);
        (refused >= connections.saturating_sub(fit)).then_some(refused)
    });
    assert!(refused < connections, "some are held");
    let held = counter(&envoy, "wsguard_buffered_bytes");
    assert!(held <= WORKERS * limit_bytes, "{held} bytes are held");
    for message in [text("good"), frame(0x82, &[9; 1000])] {
        good.send(&message);
        good_server.expect(&message);
    }
    drop(open);
    wait_for("everything to be given back", || {
        (counter(&envoy, "wsguard_buffered_bytes") == 0).then_some(())
    });
    let large = frame(0x82, &vec![9; 1 << 20]);
    good.send(&large);
    good_server.expect(&large);
    envoy.assert_sound();
}

#[test]
fn unfinished_messages_of_a_mebibyte_are_refused_over_the_limit_and_good_ones_pass() {
    hold(60, 16 << 20);
}

/// Takes 12,000 files.
#[test]
#[ignore = "takes a minute: make soak"]
fn six_thousand_unfinished_messages_of_a_mebibyte_leave_good_ones_alone() {
    hold(6000, LIMIT_BYTES);
}
