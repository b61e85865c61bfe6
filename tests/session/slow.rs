//! `slow`: what is over a rate waits for its turn, in order.

use super::rig::{Rig, assert_masked_close, masked, plain, told_client};
use serde_json::{Value, json};
use std::time::Duration;

/// Two messages in any second, each way.
fn slowed() -> Value {
    let rules = json!({"rate": {"per_connection": "2/1s"}, "on_violation": "slow"});
    json!({"policies": [{
        "name": "chat", "client": rules, "server": rules, "lifetime": {"push": true},
    }]})
}

fn open() -> Rig {
    let mut rig = Rig::open(&slowed());
    assert_eq!(rig.pushed(), b"");
    rig
}

impl Rig {
    /// Lets time pass with a tick every 500 ms.
    fn wait(&mut self, time: Duration) {
        for _ in 0..time.as_millis() / 500 {
            self.host.advance(Duration::from_millis(500));
            assert!(!self.session.on_tick().reset);
        }
    }
}

fn texts(messages: &[&str]) -> Vec<u8> {
    messages.iter().flat_map(|text| masked(0x81, text.as_bytes())).collect()
}

const TURN: Duration = Duration::from_millis(1500);

#[test]
fn a_clients_messages_wait_and_go_on_in_order_byte_for_byte() {
    let mut rig = open();
    let fragmented = [masked(0x01, b"th"), masked(0x80, b"ree")].concat();
    let sent = [texts(&["one", "two"]), fragmented.clone(), texts(&["four", "five"])].concat();
    assert_eq!(rig.client(&sent).bytes, texts(&["one", "two"]));
    let event = rig.event();
    assert_eq!((&event["event"], &event["reason"]), (&json!("slowed"), &json!("message_rate")));
    assert!(rig.buffered() > 0);
    rig.wait(TURN);
    assert_eq!(rig.turn(), [fragmented, texts(&["four"])].concat());
    rig.wait(TURN);
    assert_eq!(rig.turn(), texts(&["five"]));
    assert_eq!(rig.buffered(), 0);
    rig.wait(TURN);
    assert_eq!(rig.client(&texts(&["six"])).bytes, texts(&["six"]), "at once again");
    assert_eq!(rig.events(), Vec::<Value>::new());
}

#[test]
fn what_waits_goes_ahead_of_what_the_client_sends_next() {
    let mut rig = open();
    rig.client(&texts(&["1", "2", "3"]));
    rig.host.advance(TURN);
    assert_eq!(rig.client(&texts(&["4"])).bytes, texts(&["3", "4"]));
}

#[test]
fn a_servers_messages_are_pushed_when_their_turn_has_come() {
    let mut rig = open();
    let sent = ["1", "2", "3", "4"].map(|text| plain(0x81, text.as_bytes())).concat();
    assert_eq!(rig.server(&sent).bytes, sent[..6]);
    rig.wait(TURN);
    assert_eq!(rig.pushed(), sent[6..]);
    assert_eq!(rig.buffered(), 0);
}

#[test]
fn a_close_waits_behind_what_was_sent_before_it() {
    let mut rig = open();
    let close = masked(0x88, b"\x03\xe8");
    assert_eq!(
        rig.client(&[texts(&["1", "2", "3"]), close.clone()].concat()).bytes,
        texts(&["1", "2"])
    );
    assert_eq!(rig.client(&texts(&["late"])).bytes, b"");
    rig.wait(TURN);
    assert_eq!(rig.turn(), [texts(&["3"]), close].concat());
    let echo = told_client(1000, "");
    assert_eq!(rig.server(&echo).bytes, echo);
}

#[test]
fn control_frames_go_ahead_unless_they_are_over_the_rate_too() {
    let mut rig = open();
    let ping = masked(0x89, b"p");
    assert_eq!(
        rig.client(&[texts(&["1"]), ping.clone()].concat()).bytes,
        [texts(&["1"]), ping.clone()].concat()
    );
    assert_eq!(rig.client(&[texts(&["2"]), ping.clone()].concat()).bytes, b"");
    rig.wait(TURN);
    assert_eq!(rig.turn(), [texts(&["2"]), ping].concat());
}

#[test]
fn whoever_sends_more_than_can_wait_is_closed() {
    let mut rig = open();
    rig.client(&texts(&["1", "2"]));
    let large = masked(0x82, &[7; 300_000]);
    let closed = (0..10).map(|_| rig.client(&large).bytes).find(|bytes| !bytes.is_empty());
    assert_masked_close(&closed.unwrap(), 1008, "");
    assert_eq!(rig.pushed(), told_client(1008, "message_rate"));
    assert_eq!(rig.buffered(), 0);
}

#[test]
fn what_no_time_would_allow_is_closed() {
    let mut document = slowed();
    document["policies"][0]["client"]["bytes"] = json!({"per_connection": "10/1s"});
    let mut rig = Rig::open(&document);
    assert_masked_close(&rig.client(&masked(0x82, &[0; 11])).bytes, 1008, "");
    assert_eq!(rig.event()["reason"], "byte_rate");
}

/// Or it would stand still, and all behind it.
#[test]
fn what_no_time_would_allow_ends_it_when_its_turn_has_come() {
    let mut document = slowed();
    document["policies"][0]["client"]["bytes"] = json!({"per_connection": "10/1s"});
    let mut rig = Rig::open(&document);
    rig.pushed();
    let sent = [texts(&["1", "2", "3"]), masked(0x82, &[0; 11]), masked(0x88, b"")].concat();
    assert_eq!(rig.client(&sent).bytes, texts(&["1", "2"]));
    assert_eq!(rig.event()["event"], "slowed");
    rig.wait(TURN);
    let told = rig.event();
    assert_eq!((&told["event"], &told["reason"]), (&json!("refused"), &json!("byte_rate")));
    let offset = sent.len() - masked(0x82, &[0; 11]).len() - masked(0x88, b"").len();
    assert_eq!(told["offset"], offset);
    assert_eq!(rig.pushed(), told_client(1008, "byte_rate"));
    let gone_on = rig.client(b"").bytes;
    assert_eq!(gone_on[..texts(&["3"]).len()], texts(&["3"]));
    assert_masked_close(&gone_on[texts(&["3"]).len()..], 1008, "");
    assert_eq!(rig.buffered(), 0);
}

#[test]
fn a_connection_that_ends_gives_back_what_waits() {
    let mut rig = open();
    rig.client(&texts(&["1", "2", "3"]));
    rig.client(&masked(0x83, b""));
    assert_eq!(rig.buffered(), 0);
}

/// One that answers no Ping any more once it has sent its Close, as some do,
/// leaves no way to let go on what it sent before it.
#[test]
fn what_can_not_go_on_behind_a_close_is_told() {
    let close = masked(0x88, b"\x03\xe8");
    for (waits, due) in [(true, false), (true, true), (false, false)] {
        let mut rig = open();
        let sent = if waits { texts(&["1", "2", "3"]) } else { texts(&["1", "2"]) };
        rig.client(&[sent, close.clone()].concat());
        rig.events();
        if due {
            rig.wait(TURN);
            assert_eq!(rig.pushed()[..2], [0x89, 8], "its turn has come, and it is asked");
            rig.wait(Duration::from_secs(9));
            rig.host.advance(Duration::from_secs(1));
            assert!(rig.session.on_tick().reset, "ten seconds are enough");
        }
        rig.session.on_end();
        let detail = "messages that had waited for their turn did not go on";
        let expected = if waits { json!(detail) } else { Value::Null };
        assert_eq!(rig.event()["detail"], expected, "{waits}, {due}");
    }
}

#[test]
fn rates_refuse_by_the_other_actions_too() {
    for (action, left) in
        [("close", None), ("drop", Some(2)), ("reply", Some(2)), ("report", Some(3))]
    {
        let mut document = slowed();
        document["policies"][0]["client"]["on_violation"] = json!(action);
        let mut rig = Rig::open(&document);
        rig.pushed();
        let gone_on = rig.client(&texts(&["1", "2", "3"])).bytes;
        match left {
            None => assert_masked_close(&gone_on[texts(&["1", "2"]).len()..], 1008, ""),
            Some(count) => assert_eq!(gone_on, texts(&["1", "2", "3"][..count]), "{action}"),
        }
        let told: Vec<_> = rig.events().iter().map(|event| event["reason"].clone()).collect();
        assert_eq!(told, ["message_rate"]);
        rig.host.advance(Duration::from_secs(2));
        if left.is_some() {
            assert_eq!(rig.client(&texts(&["4"])).bytes, texts(&["4"]), "it lives on");
        }
    }
}

/// Or a flood of them would be limited by nothing, and be no strike.
#[test]
fn messages_of_a_type_that_is_dropped_count_too() {
    let document = json!({"policies": [{"name": "chat", "client": {
        "types": ["text"], "rate": {"per_connection": "2/1s"}, "on_violation": "drop",
    }}]});
    let mut rig = Rig::open(&document);
    let binary = masked(0x82, b"\0");
    assert_eq!(rig.client(&[binary.repeat(3), texts(&["1"])].concat()).bytes, b"");
    let told: Vec<_> = rig.events().iter().map(|event| event["reason"].clone()).collect();
    let denied = json!("type_denied");
    let over = json!("message_rate");
    assert_eq!(told, [&denied, &denied, &denied, &over, &over].map(Clone::clone));
}
