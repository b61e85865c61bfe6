//! What a worker holds for unfinished messages has a limit, and comes back.

use super::pair::Upstream;
use super::{counter, prompt};
use crate::client::{Client, Request, frame, text};
use crate::support::{Envoy, wait_for};
use serde_json::json;

const CONNECTIONS: usize = 2000;
const LIMIT: usize = 16 << 20;
/// Envoy is started with as many.
const WORKERS: usize = 2;

/// Two thousand clients that begin a message of 64 KiB and don't end it, eight
/// times what the workers may hold.
#[test]
fn unfinished_messages_fill_the_account_and_nothing_else() {
    let upstream = Upstream::bind();
    let document = json!({
        "limits": {"buffered_per_worker": LIMIT},
        "policies": [{"name": "chat"}],
    });
    let mut bootstrap = prompt(&document, upstream.address());
    // Envoy's own limit is 1024.
    bootstrap["static_resources"]["clusters"][0]["circuit_breakers"] =
        json!({"thresholds": [{"max_connections": 10_000, "max_requests": 10_000}]});
    let envoy = Envoy::start(&bootstrap);
    let held = || counter(&envoy, "wsguard_buffered_bytes");
    let overloaded = r#"wsguard_violations_total{policy="chat",direction="client",reason="overloaded",action="close"}"#;
    let request = Request::upgrade("/ws");
    let unfinished = frame(0x02, &[7; 64 << 10]);
    for _round in 0..2 {
        let before = counter(&envoy, overloaded);
        let mut open: Vec<_> =
            (0..CONNECTIONS).map(|_| upstream.open(envoy.address(), &request)).collect();
        for (client, _) in &mut open {
            // Those over the limit may be reset meanwhile.
            let _ = std::io::Write::write_all(&mut client.stream, &unfinished);
        }
        let refused = wait_for("all to be held or refused", || {
            let refused = counter(&envoy, overloaded) - before;
            let bytes = held();
            assert!(bytes <= WORKERS * LIMIT, "{bytes} are held");
            (refused * unfinished.len() + bytes >= CONNECTIONS * (64 << 10)).then_some(refused)
        });
        assert!(refused < CONNECTIONS, "some are held");

        let (mut client, mut server) = upstream.open(envoy.address(), &request);
        client.send(&text("good"));
        server.expect(&text("good"));
        drop(open);
        wait_for("everything to be given back", || (held() == 0).then_some(()));
        still_works(&mut client, &mut server, 64 << 10);
    }
}

/// A message that must be held passes once there is room again.
fn still_works(client: &mut Client, server: &mut super::pair::Server, size: usize) {
    let message = frame(0x82, &vec![9; size]);
    client.send(&message);
    server.expect(&message);
}
