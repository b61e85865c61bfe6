//! Held bytes that run short.

use super::*;

/// A connection of another address to the same worker.
fn other(rig: &Rig) -> StreamConnection {
    let peer = Peer { source: "192.0.2.8".parse().ok(), connection: Some(43) };
    StreamConnection::new(Rc::clone(&rig.guard), peer)
}

fn limited(members: Value) -> Rig {
    let mut document = members;
    document["limits"] = json!({"buffered_per_worker": "64KiB"});
    Rig::new(document)
}

/// The beginning of a head of so many bytes.
fn head(bytes: usize) -> String {
    format!("GET /ws HTTP/1.1\r\nx-filler: {}", "a".repeat(bytes))
}

fn hand(connection: &mut StreamConnection, bytes: impl AsRef<[u8]>) -> Option<Reason> {
    connection.on_data(Sender::Client, bytes.as_ref(), false, &mut Vec::new()).refused
}

#[test]
fn the_largest_head_that_is_held_gives_way() {
    let mut rig = limited(json!({}));
    assert_eq!(rig.client(head(40_000)).2, None);
    let mut other = other(&rig);
    assert_eq!(hand(&mut other, head(30_000)), None);
    assert!(rig.connection.holder().gives_way() && !other.holder().gives_way());
    let outcome = rig.connection.give_way();
    assert_eq!((outcome.reset, outcome.refused), (true, Some(Reason::Overloaded)));
    let event = rig.event();
    assert_eq!((&event["event"], &event["reason"]), (&json!("refused"), &json!("overloaded")));
    assert!(!rig.connection.holder().gives_way() && !rig.connection.give_way().reset);
    assert!(rig.held_bytes() < 40_000);
    drop(other);
    assert_eq!(rig.held_bytes(), 0);
}

#[test]
fn an_open_connection_gives_way_by_a_reset_or_is_only_told_of() {
    for mode in ["enforce", "report"] {
        let mut rig = limited(json!({"mode": mode}));
        rig.client(upgrade(""));
        rig.server(SWITCH);
        rig.events();
        // A frame of 40,000 bytes that is not complete.
        let unfinished = [&b"\x81\xfe\x9c\x40\0\0\0\0"[..], &[b'a'; 39_000]].concat();
        assert_eq!(rig.client(&unfinished).2, None);
        let mut other = other(&rig);
        assert_eq!(hand(&mut other, head(30_000)), None);
        let outcome = rig.connection.give_way();
        assert_eq!((outcome.reset, outcome.refused), (mode == "enforce", Some(Reason::Overloaded)));
        let kind = if mode == "enforce" { "refused" } else { "reported" };
        assert_eq!(rig.event()["event"], kind);
        let (bytes, ..) = rig.client([0xFF; 9]);
        assert_eq!(bytes.len(), if mode == "enforce" { 0 } else { 9 });
        drop(other);
        assert_eq!(rig.held_bytes(), 0);
    }
}

#[test]
fn a_client_that_upstream_has_not_answered_gives_way_with_upstreams_head() {
    let mut rig = limited(json!({}));
    rig.client(upgrade(""));
    let begin = format!("HTTP/1.1 101 Switching Protocols\r\nx-filler: {}", "a".repeat(40_000));
    assert_eq!(rig.server(begin).2, None);
    let mut other = other(&rig);
    assert_eq!(hand(&mut other, head(30_000)), None);
    let outcome = rig.connection.give_way();
    assert_eq!((outcome.reset, outcome.refused), (true, Some(Reason::Overloaded)));
    rig.connection.on_end();
    drop(other);
    assert_eq!(rig.held_bytes(), 0);
    let refused = r#"wsguard_handshakes_total{policy="chat",result="refused",reason="overloaded"}"#;
    assert_eq!(rig.host.metric(refused), 1);
}
