//! What becomes of messages over a rate, and of their connection: they wait in
//! order, vanish, or are answered.

use crate::client::{Client, Frame, Request, frame, text};
use crate::frames::counter;
use crate::frames::pair::{Server, Upstream, close, plain};
use crate::peers::{Echo, Maker, long_binary, long_text, talk};
use crate::support::{Envoy, bootstrap, wait_for};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;

fn start(rules: &Value, upstream: SocketAddr) -> Envoy {
    let document = json!({"policies": [{
        "name": "chat", "client": rules, "server": rules, "lifetime": {"push": true},
    }]});
    Envoy::start(&bootstrap(&document, upstream))
}

/// Messages of several kinds and sizes, all in all so many frames' bytes.
fn messages(frame: fn(u8, &[u8]) -> Vec<u8>, of: u8) -> Vec<u8> {
    let mut all = Vec::new();
    for number in 0..4 {
        all.extend(frame(0x81, format!("short {of} {number}").as_bytes()));
        all.extend(frame(0x82, &[of; 60_000]));
        all.extend(frame(0x02, &[number; 3_000]));
        all.extend(frame(0x00, b""));
        all.extend(frame(0x80, &[of; 200]));
        all.extend(frame(0x81, b""));
    }
    all
}

/// Answers what the filter asks the client, and the server's Close; every other
/// byte that the server has sent.
fn listen(mut client: Client) -> Vec<u8> {
    let mut came = Vec::new();
    while let Some(Frame { first, payload }) = client.frame() {
        match first {
            0x89 => client.send(&frame(0x8A, &payload)),
            0x88 => client.send(&frame(0x88, &payload)),
            _ => came.extend(plain(first, &payload)),
        }
    }
    came
}

/// Sends in both directions what is more than the rate: all of it arrives.
fn flood(client: Client, mut server: Server, of: u8) {
    let (up, down) = (messages(frame, of), messages(plain, of));
    let mut writer = Client::sharing(&client);
    let listening = std::thread::spawn(move || listen(client));
    writer.send(&up);
    server.send(&down);
    server.expect(&up);
    server.send(&close(1000, ""));
    server.expect_close(1000, "");
    drop(server);
    assert!(listening.join().unwrap() == down, "something else came to the client");
}

#[test]
fn what_is_slowed_arrives_in_order_byte_for_byte_in_both_directions() {
    for whose in ["per_connection", "per_ip"] {
        let upstream = Upstream::bind();
        let rules = json!({"rate": {whose: "6/3s"}, "on_violation": "slow"});
        let envoy = start(&rules, upstream.address());
        let pairs = [1, 2].map(|of| (of, upstream.open(envoy.address(), &Request::upgrade("/ws"))));
        std::thread::scope(|scope| {
            for (of, (client, server)) in pairs {
                scope.spawn(move || flood(client, server, of));
            }
        });
        envoy.event("slowed", Some("message_rate"));
        wait_for("nothing to be held", || {
            (counter(&envoy, "wsguard_buffered_bytes") == 0).then_some(())
        });
    }
}

#[test]
fn clients_of_other_projects_are_slowed_and_see_everything() {
    for (client, server) in [(Maker::Python, Maker::Node), (Maker::Node, Maker::Python)] {
        let echo = Echo::of(server);
        let rules = json!({"rate": {"per_connection": "2/4s"}, "on_violation": "slow",
                           "bytes": {"per_connection": "1MiB/1s"}});
        let envoy = start(&rules, echo.address);
        let (text, text_name) = long_text(200_000);
        let (binary, binary_name) = long_binary(300_000);
        let steps = ["say:1", "say:2", &text, "say:3", &binary, "say:4", "say:5"];
        let saw = talk(client, envoy.address(), &steps);
        assert_eq!(saw.messages(), ["1", "2", &text_name, "3", &binary_name, "4", "5"]);
        assert_eq!(saw.close(), Some((1000, "done")), "{client:?}");
        let ended = echo.ended();
        assert_eq!((&ended["messages"], &ended["pongs"]), (&json!(7), &json!(0)), "{server:?}");
        envoy.event("slowed", Some("message_rate"));
    }
}

/// Sends until something comes back again, as it must when the period is over.
fn is_usable(client: &mut Client) {
    let mut writer = Client::sharing(client);
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let sender = std::thread::spawn(move || {
        while stopped.recv_timeout(Duration::from_millis(200)).is_err() {
            writer.send(&text("again"));
        }
    });
    let mut frames = std::iter::from_fn(|| client.frame());
    assert!(frames.any(|frame| frame.payload == b"again"), "the connection has ended");
    stop.send(()).unwrap();
    sender.join().unwrap();
}

#[test]
fn what_is_dropped_or_answered_leaves_the_connection_usable() {
    let echo = Echo::of(Maker::Tungstenite);
    for action in ["drop", "reply"] {
        for (rules, reason) in [
            (json!({"rate": {"per_connection": "5/2s"}}), "message_rate"),
            (json!({"bytes": {"per_connection": "25/2s"}}), "byte_rate"),
        ] {
            let mut rules = rules;
            rules["on_violation"] = json!(action);
            let document = json!({"policies": [{
                "name": "chat", "client": rules, "lifetime": {"push": true},
            }]});
            let envoy = Envoy::start(&bootstrap(&document, echo.address));
            let mut client = Client::open(envoy.address(), &Request::upgrade("/ws"));
            client.send(&text("hello").repeat(8));
            let mut came = Vec::new();
            let expected = if action == "reply" { 8 } else { 5 };
            while came.len() < expected {
                let frame = client.frame().unwrap();
                if frame.first == 0x81 {
                    came.push(String::from_utf8(frame.payload).unwrap());
                }
            }
            let (hellos, told): (Vec<_>, Vec<_>) = came.into_iter().partition(|m| m == "hello");
            assert_eq!(hellos.len(), 5, "{action}, {reason}");
            for answer in told {
                let answer: Value = answer.parse().unwrap();
                assert_eq!((&answer["type"], &answer["reason"]), (&json!("error"), &json!(reason)));
            }
            let kind = if action == "reply" { "replied" } else { "dropped" };
            envoy.event(kind, Some(reason));
            is_usable(&mut client);
            let name = format!(
                "wsguard_violations_total{{policy=\"chat\",direction=\"client\",\
                 reason=\"{reason}\",action=\"{action}\"}}"
            );
            assert!(counter(&envoy, &name) >= 3);
        }
    }
}

/// Whether what waited when a client closed gets through is up to whether the
/// client answers Pings after its Close.
#[test]
fn what_waits_when_a_client_closes_arrives_or_is_told_to_be_lost() {
    for (client, messages, detail) in [
        (Maker::Python, 5, Value::Null),
        (Maker::Node, 2, json!("messages that had waited for their turn did not go on")),
    ] {
        let echo = Echo::of(Maker::Tungstenite);
        let rules = json!({"rate": {"per_connection": "2/3s"}, "on_violation": "slow"});
        let envoy = start(&rules, echo.address);
        let steps = ["send:1", "send:2", "send:3", "send:4", "send:5"];
        talk(client, envoy.address(), &steps);
        assert_eq!(echo.ended()["messages"], messages, "{client:?}");
        assert_eq!(envoy.event("closed", None)["detail"], detail, "{client:?}");
    }
}
