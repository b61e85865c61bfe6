//! How a connection ends: one Close each way, never inside a frame, never
//! behind another Close, and a reset when nobody answers.

use super::rig::{Rig, assert_masked_close, client, masked, plain, raw, text, told_client};
use serde_json::{Value, json};
use std::time::Duration;
use wsguard::host::Timestamp;

fn no_scripts() -> Value {
    client(json!({"rules": [{"name": "no-scripts", "pattern": "<script", "action": "close"}]}))
}

fn refused() -> Rig {
    let mut rig = Rig::open(&no_scripts());
    assert_masked_close(&rig.client(&text("<script>")).bytes, 1008, "");
    rig
}

#[test]
fn the_client_is_told_at_the_servers_next_bytes_exactly_once() {
    let mut rig = refused();
    assert_eq!(rig.server(&plain(0x81, b"unsent")).bytes, told_client(1008, "rule_matched"));
    assert_eq!(rig.server(&told_client(1008, "")).bytes, b"");
    assert_eq!(rig.client(&masked(0x88, b"\x03\xf0")).bytes, b"", "nor its echo to the server");
}

/// Envoy calls with no bytes too, as when the server ends the connection.
#[test]
fn a_call_without_bytes_is_a_chance_to_tell() {
    let mut rig = refused();
    assert_eq!(rig.server(b"").bytes, told_client(1008, "rule_matched"));
    assert_eq!(rig.server(b"").bytes, b"");
    let mut rig = Rig::open(&no_scripts());
    rig.server(&plain(0x83, b""));
    assert_masked_close(&rig.client(b"").bytes, 1002, "protocol_error");
}

/// A held message has not begun to go on, so there is nothing to finish.
#[test]
fn what_is_held_of_the_servers_message_never_goes_on() {
    let frame = plain(0x82, &[7; 300]);
    let mut document = no_scripts();
    document["policies"][0]["server"] = json!({"rules": [{"name": "other", "pattern": "b"}]});
    let mut rig = Rig::open(&document);
    for opened_with in 1..frame.len() {
        rig.reopen();
        let (begun, rest) = frame.split_at(opened_with);
        assert_eq!(rig.server(begun).bytes, b"");
        rig.client(&text("<script>"));
        assert_eq!(rig.buffered(), 0);
        assert_eq!(rig.server(rest).bytes, told_client(1008, "rule_matched"));
        assert_eq!(rig.server(&plain(0x81, b"and another")).bytes, b"");
    }
}

#[test]
fn a_close_may_stand_between_the_servers_fragments_and_in_the_place_of_a_control_frame() {
    let mut rig = Rig::open(&no_scripts());
    rig.server(&plain(0x01, b"begun"));
    rig.client(&text("<script>"));
    assert_eq!(rig.server(&plain(0x80, b"ended")).bytes, told_client(1008, "rule_matched"));

    let mut rig = Rig::open(&no_scripts());
    let ping = plain(0x89, b"half of it");
    assert_eq!(rig.server(&ping[..6]).bytes, b"");
    rig.client(&text("<script>"));
    assert_eq!(rig.server(&ping[6..]).bytes, told_client(1008, "rule_matched"));
}

#[test]
fn nothing_goes_on_behind_a_close() {
    let close = masked(0x88, b"\x03\xe8bye");
    let behind = [close.as_slice(), &text("late"), &masked(0xF9, b"broken too")].concat();
    let mut rig = Rig::open(&no_scripts());
    assert_eq!(rig.client(&behind).bytes, close);
    assert_eq!(rig.client(&text("<script>")).bytes, b"");
    assert_eq!(rig.events(), Vec::<Value>::new());
    let bye = plain(0x88, b"\x03\xe8");
    assert_eq!(
        rig.server(&[plain(0x81, b"last"), bye.clone(), plain(0x81, b"late")].concat()).bytes,
        [plain(0x81, b"last"), bye].concat()
    );
    assert_eq!(rig.server(&plain(0x81, b"late")).bytes, b"");
}

/// RFC 6455 §5.5.1: a Close is the last frame that an end sends.
#[test]
fn a_client_that_has_seen_the_servers_close_gets_no_other() {
    let mut rig = Rig::open(&no_scripts());
    let bye = plain(0x88, b"\x03\xe9");
    assert_eq!(rig.server(&bye).bytes, bye);
    assert_masked_close(&rig.client(&text("<script>")).bytes, 1008, "");
    assert_eq!(rig.server(b"").bytes, b"");
    assert_eq!(rig.server(&told_client(1008, "")).bytes, b"");
}

#[test]
fn a_server_that_has_seen_the_clients_close_gets_no_other() {
    let mut rig = Rig::open(&no_scripts());
    let bye = masked(0x88, b"\x03\xe8");
    assert_eq!(rig.client(&bye).bytes, bye);
    assert_eq!(rig.server(&plain(0x83, b"")).bytes, told_client(1002, ""));
    assert_eq!(rig.client(b"").bytes, b"");
    assert_eq!(rig.client(&text("late")).bytes, b"");
}

#[test]
fn control_frames_go_ahead_of_a_held_message_whole() {
    let mut rig = Rig::open(&no_scripts());
    let (first, last) = (masked(0x01, b"held"), masked(0x80, b"until now"));
    let (ping, pong) = (masked(0x89, b"ping"), raw(0x8A, b"pong", Some([9; 4])));
    assert_eq!(rig.client(&first).bytes, b"");
    assert_eq!(rig.client(&[ping.as_slice(), &pong[..3]].concat()).bytes, ping);
    assert_eq!(rig.client(&pong[3..8]).bytes, b"");
    assert_eq!(rig.client(&pong[8..]).bytes, pong);
    assert_eq!(rig.client(&last).bytes, [first, last].concat(), "byte for byte");
}

#[test]
fn a_peer_that_does_not_answer_is_reset_after_two_seconds_and_not_before() {
    let mut rig = refused();
    assert!(!rig.session.on_tick().reset);
    rig.host.advance(Duration::from_millis(1999));
    assert!(!rig.session.on_tick().reset);
    rig.client(&text("which changes nothing"));
    rig.host.advance(Duration::from_millis(1));
    assert!(rig.session.on_tick().reset);
}

#[test]
fn an_answer_that_does_not_end_the_connection_does_not_keep_it_open() {
    let mut rig = refused();
    rig.server(&told_client(1008, ""));
    rig.host.advance(Duration::from_secs(2));
    assert!(rig.session.on_tick().reset);
}

#[test]
fn a_clock_that_is_set_neither_ends_a_connection_nor_keeps_it_open() {
    let mut rig = refused();
    rig.host.set(Timestamp::from_unix(Duration::from_secs(1 << 40)));
    assert!(!rig.session.on_tick().reset);
    rig.host.set(Timestamp::from_unix(Duration::from_secs(1)));
    assert!(!rig.session.on_tick().reset);
    rig.host.advance(Duration::from_secs(2));
    assert!(rig.session.on_tick().reset);
    rig.session.on_end();
    let events = rig.events();
    assert_eq!(events[1]["duration_ms"], 2000, "what passed, whatever the clock says");
}

#[test]
fn the_end_is_told_once_with_the_code_that_went_by_first() {
    let mut rig = Rig::open(&no_scripts());
    rig.server(&plain(0x88, b"\x0b\xb8"));
    rig.client(&masked(0x88, b"\x03\xe8"));
    rig.host.advance(Duration::from_millis(1500));
    rig.session.on_end();
    rig.session.on_end();
    let closed = rig.event();
    assert_eq!(closed["event"], "closed");
    assert_eq!(closed["reason"], Value::Null);
    assert_eq!(closed["code"], 3000);
    assert_eq!(closed["duration_ms"], 1500);
    assert_eq!(closed["bytes"], json!({"client": 8, "server": 4}));
    assert_eq!(rig.client(&text("late")).bytes, b"", "an ended session lets nothing on");
}

#[test]
fn a_close_without_code_has_none_in_the_event() {
    let mut rig = Rig::open(&no_scripts());
    rig.client(&masked(0x88, b""));
    rig.session.on_end();
    assert_eq!(rig.event()["code"], Value::Null);
}

#[test]
fn what_comes_after_a_refusal_is_counted_in_bytes_and_not_in_messages() {
    let mut rig = refused();
    rig.client(&text("more"));
    rig.server(&plain(0x81, b"and more"));
    rig.events();
    rig.session.on_end();
    let closed = rig.event();
    let sent = text("<script>").len() + text("more").len();
    assert_eq!(closed["bytes"], json!({"client": sent, "server": 10}));
    assert_eq!(closed["messages"], json!({"client": 0, "server": 0}));
}
