//! The close code that `closed` names, and who ended the connection: what somebody
//! was really sent, and who did it.

use super::compression;
use super::rig::{Rig, assert_masked_close, client, masked, plain, reporting, told_client, worker};
use super::rig::{admitted, arrival, switching, text};
use serde_json::{Value, json};
use std::time::Duration;
use wsguard::frame::Sender;

/// A document with one policy `chat` that has this `lifetime`.
fn lifetime(rules: Value) -> Value {
    json!({"policies": [{"name": "chat", "lifetime": rules}]})
}

/// Ends the connection and holds what is told and counted of that.
#[track_caller]
fn ends(rig: &mut Rig, code: Value, by: Value, label: &str) {
    rig.session.on_end();
    let closed = rig.events().pop().unwrap();
    assert_eq!((&closed["event"], &closed["code"], &closed["by"]), (&json!("closed"), &code, &by));
    let by = by.as_str().map_or(String::new(), |by| format!(",by=\"{by}\""));
    let code = if label.is_empty() { String::new() } else { format!(",code=\"{label}\"") };
    let name = format!("wsguard_closes_total{{policy=\"chat\"{code}{by}}}");
    assert_eq!(rig.host.metric(&name), 1, "{name} of {:?}", rig.host.metrics());
    assert_eq!(rig.host.metric(r#"wsguard_connection_seconds{policy="chat"}"#), 1);
    rig.session.on_end();
    assert!(rig.events().is_empty(), "once");
}

#[test]
fn a_peers_close_is_told_as_it_was_sent() {
    for (sender, payload, code, label) in [
        (Sender::Client, &b"\x03\xe8"[..], json!(1000), "1000"),
        (Sender::Client, b"\x03\xe9bye", json!(1001), "1001"),
        (Sender::Server, b"\x03\xf3", json!(1011), "1011"),
        (Sender::Server, b"\x0f\xa1", json!(4001), "4xxx"),
        (Sender::Client, b"\x0b\xb8", json!(3000), "3xxx"),
        (Sender::Server, b"\x03\xf2", json!(1010), "1xxx"),
        // RFC 6455 §7.1.5: no status code was present.
        (Sender::Client, b"", Value::Null, "1xxx"),
    ] {
        let mut rig = Rig::open(&client(json!({})));
        match sender {
            Sender::Client => {
                rig.client(&masked(0x88, payload));
                rig.server(&plain(0x88, b"\x03\xe8"));
            }
            Sender::Server => {
                rig.server(&plain(0x88, payload));
                rig.client(&masked(0x88, b"\x03\xe8"));
            }
        }
        ends(&mut rig, code, json!(sender.name()), label);
    }
}

#[test]
fn a_connection_that_breaks_off_has_no_code() {
    for (gone, by) in [
        (vec![Sender::Client], json!("client")),
        (vec![Sender::Server, Sender::Client], json!("server")),
        // Envoy itself: its own timeout, say, or a drain.
        (vec![], Value::Null),
    ] {
        let mut rig = Rig::open(&client(json!({})));
        rig.client(&text("a"));
        gone.into_iter().for_each(|sender| rig.session.on_transport_end(sender));
        ends(&mut rig, Value::Null, by, "1006");
    }
}

#[test]
fn ours_is_told_where_the_violation_was_and_whoever_answers() {
    let rules = json!({"rules": [{"name": "r", "pattern": "bad"}]});
    let document = json!({"policies": [{"name": "chat", "client": rules, "server": rules}]});
    for answers in [true, false] {
        let mut rig = Rig::open(&document);
        assert_masked_close(&rig.client(&text("bad")).bytes, 1008, "");
        if answers {
            let echo = rig.server(&told_client(1008, ""));
            assert_eq!(echo.bytes, told_client(1008, "rule_matched"), "in the echo's place");
        } else {
            rig.host.advance(Duration::from_secs(2));
            assert!(rig.session.on_tick().reset);
        }
        ends(&mut rig, json!(1008), json!("wsguard"), "1008");
        let mut rig = Rig::open(&document);
        assert_eq!(rig.server(&plain(0x81, b"bad")).bytes, told_client(1008, ""));
        rig.session.on_transport_end(Sender::Client);
        ends(&mut rig, json!(1008), json!("wsguard"), "1008");
        // Broken framing, in either direction.
        let mut rig = Rig::open(&document);
        assert_masked_close(&rig.client(&plain(0x81, b"a")).bytes, 1002, "");
        ends(&mut rig, json!(1002), json!("wsguard"), "1002");
        let mut rig = Rig::open(&document);
        assert_eq!(rig.server(&masked(0x81, b"a")).bytes, told_client(1002, ""));
        ends(&mut rig, json!(1002), json!("wsguard"), "1002");
    }
}

/// The client's Close has gone before the server breaks a rule: both were sent one.
#[test]
fn ours_goes_before_a_peers_that_came_first() {
    let mut rig = Rig::open(&json!({"policies": [{
        "name": "chat", "server": {"rules": [{"name": "r", "pattern": "bad"}]},
    }]}));
    rig.client(&masked(0x88, b"\x03\xe8"));
    assert_eq!(rig.server(&plain(0x81, b"bad")).bytes, told_client(1008, ""));
    ends(&mut rig, json!(1008), json!("wsguard"), "1008");
}

#[test]
fn an_ending_that_no_message_causes_is_a_reset_without_push_and_has_no_code() {
    for rules in [
        json!({"idle": "10s"}),
        json!({"max": "10s"}),
        // It can't be written to: there is no way to the client yet.
        json!({"idle": "10s", "push": true}),
    ] {
        let mut rig = Rig::open(&lifetime(rules));
        rig.host.advance(Duration::from_secs(10));
        assert!(rig.session.on_tick().reset);
        ends(&mut rig, Value::Null, json!("wsguard"), "1006");
    }
}

#[test]
fn with_push_its_code_is_told_once_it_has_gone_out() {
    for pushed in [true, false] {
        let mut rig = Rig::open(&lifetime(json!({"idle": "10s", "push": true})));
        rig.pushed();
        rig.host.advance(Duration::from_secs(10));
        assert!(!rig.session.on_tick().reset);
        if pushed {
            assert_eq!(rig.pushed(), told_client(1001, "idle_timeout"));
            ends(&mut rig, json!(1001), json!("wsguard"), "1001");
        } else {
            // The client has gone before.
            ends(&mut rig, Value::Null, json!("wsguard"), "1006");
        }
    }
}

/// Nobody has been sent it who did not get it.
#[test]
fn a_close_that_waits_for_its_turn_was_not_sent() {
    let mut document = client(json!({
        "rate": {"per_connection": "1/1s"}, "on_violation": "slow",
    }));
    document["policies"][0]["lifetime"] = json!({"push": true});
    let mut rig = Rig::open(&document);
    rig.client(&[text("a"), text("b"), masked(0x88, b"\x03\xe8")].concat());
    // The Close waits behind a message that waits for the rate.
    rig.session.on_transport_end(Sender::Client);
    ends(&mut rig, Value::Null, json!("client"), "1006");
}

#[test]
fn a_client_that_leaves_unverified_is_told_with_the_code_that_the_server_saw() {
    let document = json!({"policies": [{
        "name": "chat", "lifetime": {"push": true},
        "auth": {
            "credentials": [{"first_message": {"pointer": "/token"}}],
            "api_keys": [{"id": "a", "sha256": "00".repeat(32)}],
        },
    }]});
    let (host, guard) = worker(&document);
    let mut session = admitted(&guard, &arrival(&[]));
    let _ = session.on_response(101, &switching(&[]));
    host.take_lines();
    let mut rig = Rig { host, guard, session };
    assert_masked_close(&rig.client(&masked(0x88, b"\x03\xe8")).bytes, 1001, "");
    ends(&mut rig, json!(1001), json!("client"), "1001");
}

#[test]
fn report_tells_the_same_of_what_it_sees() {
    let mut rig = Rig::open(&reporting(json!({"types": ["text"]})));
    rig.client(&masked(0x82, b"binary"));
    rig.client(&masked(0x88, b"\x03\xe8"));
    ends(&mut rig, json!(1000), json!("client"), "1000");
    // Nothing was sent: what would have ended it is told.
    let mut document = lifetime(json!({"idle": "10s"}));
    document["mode"] = json!("report");
    let mut rig = Rig::open(&document);
    rig.host.advance(Duration::from_secs(10));
    assert!(!rig.session.on_tick().reset);
    rig.session.on_transport_end(Sender::Server);
    ends(&mut rig, Value::Null, json!("server"), "1006");
    // Behind broken framing nothing is read: there may be a Close in it.
    let mut rig = Rig::open(&reporting(json!({})));
    rig.client(&plain(0x81, b"a"));
    rig.client(&masked(0x88, b"\x03\xe8"));
    rig.session.on_transport_end(Sender::Client);
    ends(&mut rig, Value::Null, json!("client"), "");
    // A Close that was seen before is known all the same.
    let mut rig = Rig::open(&reporting(json!({})));
    rig.client(&masked(0x88, b"\x03\xe8"));
    rig.server(&masked(0x81, b"a server masks nothing"));
    ends(&mut rig, json!(1000), json!("client"), "1000");
}

/// One direction is not read on, and may hold a Close that nobody saw.
#[test]
fn no_code_is_known_where_one_direction_is_not_read_on() {
    let mut document = reporting(json!({}));
    document["policies"][0]["handshake"] = json!({"compression": "inspect"});
    let mut deflater = compression::Deflater::new(true);
    let message = deflater.message(b"in two fragments");
    let (first, second) = message.split_at(4);
    let fragments = [masked(0x41, first), masked(0x80, second)].concat();
    for (close, code, label) in [(None, Value::Null, ""), (Some(1001), json!(1001), "1001")] {
        let mut rig = compression::open(&document, "");
        rig.client(&fragments);
        rig.client(&masked(0x88, b"\x03\xe9"));
        if let Some(code) = close {
            rig.server(&told_client(code, ""));
        }
        rig.session.on_transport_end(Sender::Server);
        ends(&mut rig, code, json!("server"), label);
    }
}

#[test]
fn a_connection_that_lives_on_is_told_of_as_often_as_the_document_says() {
    for mode in ["enforce", "report"] {
        let mut rig = Rig::open(&json!({
            "mode": mode, "events": {"progress": "1m"}, "policies": [{"name": "chat"}],
        }));
        let pass = |rig: &mut Rig, seconds| {
            for _ in 0..seconds {
                rig.host.advance(Duration::from_secs(1));
                assert!(!rig.session.on_tick().reset);
            }
            rig.events()
        };
        assert_eq!(pass(&mut rig, 59), Vec::<Value>::new());
        rig.client(&text("hello"));
        let told = pass(&mut rig, 1);
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(
            (&told[0]["event"], &told[0]["duration_ms"]),
            (&json!("progress"), &60_000.into())
        );
        assert_eq!(told[0]["messages"], json!({"client": 1, "server": 0}));
        assert_eq!((&told[0]["mode"], told[0].get("code")), (&json!(mode), None));
        assert_eq!(pass(&mut rig, 120).len(), 2);
        rig.session.on_end();
        assert_eq!(rig.events()[0]["event"], "closed");
        assert_eq!(pass(&mut rig, 60), Vec::<Value>::new());
    }
    let mut rig = Rig::open(&client(json!({})));
    rig.host.advance(Duration::from_secs(250));
    assert!(!rig.session.on_tick().reset && rig.events().is_empty(), "not where it is absent");
}
