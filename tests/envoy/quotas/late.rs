//! Users who are known only after their first message.

use super::{bootstrap, policy};
use crate::client::{Client, Request, frame, text};
use crate::frames::counter;
use crate::peers::{Echo, Maker};
use crate::support::{Envoy, wait_for};
use serde_json::json;

/// What has come back.
const PASSED: &str = r#"wsguard_messages_total{policy="late",direction="server"}"#;
const DROPPED: &str = r#"wsguard_violations_total{policy="late",direction="client",reason="message_rate",action="drop"}"#;

#[test]
fn a_users_limits_hold_from_its_first_message_on() {
    let echo = Echo::of(Maker::Tungstenite);
    let mut late = policy("late", json!({"per_user": 2}));
    late["auth"] = crate::by_api_key();
    let first = json!({"first_message": {"pointer": "/token", "when": {"/type": "auth"}}});
    late["auth"]["credentials"].as_array_mut().unwrap().push(first);
    late["lifetime"] = json!({"push": true});
    late["client"] = json!({"rate": {"per_user": "10/10m"}, "on_violation": "drop"});
    let document = json!({"policies": [late]});
    let envoy = Envoy::start_on(4, &bootstrap(&document, echo.address));
    let request = Request::upgrade("/late");
    let auth = text(&json!({"type": "auth", "token": crate::TEST_API_KEY}).to_string());
    // Whether it may stay: what it says behind its credential comes back, or its
    // connection ends.
    let comes = |words: &str| {
        let mut client = Client::open(envoy.address(), &request);
        client.send(&[auth.clone(), text(words)].concat());
        loop {
            let came = client.frame().expect("an answer");
            match came.first {
                0x89 => client.send(&frame(0x8A, &came.payload)),
                0x88 => return Err(came.close()),
                _ => {
                    assert_eq!(came.payload, words.as_bytes());
                    return Ok(client);
                }
            }
        }
    };
    let refused = Err((1008, "connections_per_user".to_owned()));
    let mut held = vec![comes("one").unwrap(), comes("two").unwrap()];
    assert_eq!(comes("three").map(drop), refused);
    // In the handshake it is the same user.
    let known = request.clone().with("x-api-key", crate::TEST_API_KEY);
    assert_eq!(Client::ask(envoy.address(), &known).1.reason(), "connections_per_user");
    held.pop();
    held.push(wait_for("a place that is free again", || comes("again").ok()));
    // Of the user's ten messages three are used: those behind its credential.
    for client in &mut held {
        client.send(&text("more").repeat(10));
    }
    wait_for("thirteen to be dropped", || {
        (counter(&envoy, DROPPED) == 13 && counter(&envoy, PASSED) == 10).then_some(())
    });
    drop(held);
    envoy.metric(r#"wsguard_connections{policy="late"} 0"#);
}
