//! `closed` names the code that somebody was really sent, and who ended the
//! connection. It used to name the code of the reason, also where the connection was
//! reset without a word.

use crate::client::{Client, Request, frame, text};
use crate::support::{Envoy, bootstrap_of, listener, stream_listener, wait_for};
use crate::upstream::{accepted, each_request};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::SocketAddr;

/// Policies by path: how its connections end.
fn document(filter: &str) -> Value {
    let policy = |name: &str, more: Value| {
        let mut policy = json!({"name": name, "match": {"paths": [format!("/{name}")]}});
        policy.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        policy
    };
    let rules = json!({"rules": [{"name": "no-bad", "pattern": "bad"}]});
    let mut policies = vec![
        policy("idle", json!({"lifetime": {"idle": "1s"}})),
        policy("max", json!({"lifetime": {"max": "1s"}})),
        policy("rule", json!({"client": rules, "server": rules})),
        policy("plain", json!({})),
    ];
    if filter == "http" {
        policies.push(policy("pushed", json!({"lifetime": {"idle": "1s", "push": true}})));
    }
    json!({"filter": filter, "policies": policies})
}

/// Accepts, and does what the query asks for once the first bytes have come.
fn upstream() -> SocketAddr {
    each_request(|head, mut stream| {
        stream.write_all(accepted(&head, "").as_bytes()).unwrap();
        let mut chunk = [0; 1024];
        // With bytes that it has not read, the kernel sends RST in the place of FIN.
        let _ = stream.peek(&mut chunk);
        let line = head.lines().next().unwrap();
        for (asked, answer) in [
            ("do=fin", None),
            ("do=close", Some(frame_of_server(0x88, b"\x0f\xa1"))),
            ("do=bad", Some(frame_of_server(0x81, b"bad"))),
            ("do=broken", Some(frame_of_server(0x83, b""))),
        ] {
            if line.contains(asked) {
                let _ = stream.read(&mut chunk);
                let _ = stream.write_all(&answer.unwrap_or_default());
                if asked == "do=fin" {
                    return;
                }
            }
        }
        if line.contains("do=rst") {
            return;
        }
        while stream.read(&mut chunk).is_ok_and(|count| count > 0) {}
    })
}

fn frame_of_server(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, u8::try_from(payload.len()).unwrap()], payload].concat()
}

/// Action of the client after it has sent a message.
#[derive(Clone, Copy, Debug)]
enum Move {
    /// Reads to the end.
    Reads,
    /// Closes its TCP connection without a Close.
    Leaves,
    /// Sends these bytes and reads to the end.
    Sends(&'static [u8]),
}

/// Plays a connection; the codes of the Closes that the client saw.
fn play(address: SocketAddr, path: &str, does: Move) -> Vec<u16> {
    let mut client = Client::open(address, &Request::upgrade(path));
    client.send(&text("hello"));
    match does {
        Move::Reads => {}
        Move::Leaves => return Vec::new(),
        Move::Sends(payload) => client.send(payload),
    }
    let mut codes = Vec::new();
    while let Some(seen) = client.frame() {
        if seen.first == 0x88 {
            codes.push(if seen.payload.is_empty() { 0 } else { seen.close().0 });
            client.send(&frame(0x88, &seen.payload));
        }
    }
    codes
}

/// The `closed` event of the connection that asked for this path and is not in `seen`.
fn closed(envoy: &Envoy, seen: usize) -> Value {
    wait_for("closed", || {
        let events = envoy.events();
        events.into_iter().filter(|event| event["event"] == "closed").nth(seen)
    })
}

/// A path, what the client does, and the code and the end that `closed` names.
type Case = (&'static str, Move, Value, Value);

fn cases() -> Vec<Case> {
    const BAD: &[u8] = b"\x81\x83\0\0\0\0bad";
    const CLOSE: &[u8] = b"\x88\x82\0\0\0\0\x03\xe8";
    let null = || Value::Null;
    vec![
        // Endings that no message causes: a reset without push.
        ("/idle", Move::Reads, null(), json!("wsguard")),
        ("/max", Move::Reads, null(), json!("wsguard")),
        ("/pushed", Move::Reads, json!(1001), json!("wsguard")),
        ("/rule", Move::Sends(BAD), json!(1008), json!("wsguard")),
        ("/rule?do=bad", Move::Reads, json!(1008), json!("wsguard")),
        ("/plain?do=broken", Move::Reads, json!(1002), json!("wsguard")),
        ("/plain?do=close", Move::Reads, json!(4001), json!("server")),
        ("/plain", Move::Sends(CLOSE), json!(1000), json!("client")),
        ("/plain", Move::Leaves, null(), json!("client")),
        ("/plain?do=fin", Move::Reads, null(), json!("server")),
        ("/plain?do=rst", Move::Reads, null(), json!("server")),
    ]
}

/// Plays a case and holds the event against it, and against what the client saw.
fn holds(envoy: &Envoy, listener: &str, seen: usize, (path, does, code, by): &Case) {
    let codes = play(envoy.listener(listener), path, *does);
    let closed = closed(envoy, seen);
    let context = format!("{listener} {path} {does:?} {codes:?}: {closed}");
    // Before `tcp_proxy` nothing says that upstream has reset its connection.
    let unknown = listener == "stream" && path.contains("do=rst");
    let by = if unknown { &Value::Null } else { by };
    assert_eq!((&closed["code"], &closed["by"]), (code, by), "{context}");
    let told: Vec<u64> = codes.iter().map(|code| (*code).into()).collect();
    match closed["code"].as_u64() {
        // The server's Close, ours in the place of what the server has sent, or pushed.
        Some(code) if path.contains("do=") || *path == "/pushed" => {
            assert_eq!(told, [code], "{context}");
        }
        Some(code) => assert!(told.is_empty() || told == [code], "{context}"),
        None => assert!(told.is_empty(), "{context}"),
    }
}

#[test]
fn the_code_is_the_one_that_somebody_was_sent() {
    let envoy = Envoy::start(&bootstrap_of(
        &[listener(&document("http")), stream_listener(&document("stream"))],
        upstream(),
    ));
    let mut seen = 0;
    for listener in ["edge", "stream"] {
        for case in cases() {
            if listener == "edge" || case.0 != "/pushed" {
                holds(&envoy, listener, seen, &case);
                seen += 1;
            }
        }
    }
    for line in [
        r#"wsguard_closes_total{policy="idle",code="1006",by="wsguard"} 2"#,
        r#"wsguard_closes_total{policy="rule",code="1008",by="wsguard"} 4"#,
        r#"wsguard_closes_total{policy="plain",code="1002",by="wsguard"} 2"#,
        r#"wsguard_closes_total{policy="plain",code="4xxx",by="server"} 2"#,
        r#"wsguard_closes_total{policy="plain",code="1000",by="client"} 2"#,
        r#"wsguard_closes_total{policy="plain",code="1006",by="client"} 2"#,
        r#"wsguard_closes_total{policy="plain",code="1006",by="server"} 3"#,
        r#"wsguard_closes_total{policy="plain",code="1006"} 1"#,
        r#"wsguard_closes_total{policy="pushed",code="1001",by="wsguard"} 1"#,
        r#"wsguard_connection_seconds_count{policy="plain"} 12"#,
    ] {
        envoy.metric(line);
    }
}
