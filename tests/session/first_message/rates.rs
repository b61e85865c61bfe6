//! What was held counts in the rates when its turn has come, and what is over
//! them then is treated as the policy says.

use super::*;
use crate::compression;
use wsguard::frame::Sender;

/// Three messages of the client in any second, one of them its credential.
fn rated(action: &str) -> Value {
    let mut document = pointer();
    document["policies"][0]["client"] =
        json!({"rate": {"per_connection": "3/1s"}, "on_violation": action});
    document
}

fn reasons(rig: &Rig) -> Vec<(Value, Value)> {
    let told = rig.events().into_iter().skip(1);
    told.map(|event| (event["event"].clone(), event["reason"].clone())).collect()
}

#[test]
fn what_is_over_a_rate_when_its_turn_has_come_vanishes_passes_or_ends_it() {
    let sent = [text("1"), text("2"), text("3"), credential(KEY), text("4")].concat();
    for (action, left, told) in [
        ("drop", 2, json!("dropped")),
        ("reply", 2, json!("replied")),
        ("report", 4, json!("reported")),
    ] {
        let mut rig = open_by(&rated(action));
        let gone_on = rig.client(&sent).bytes;
        let expected: Vec<u8> = (1..=left).flat_map(|n: u8| text(&n.to_string())).collect();
        assert!(gone_on.starts_with(&expected), "{action}");
        let behind = &gone_on[expected.len()..];
        assert!(behind.is_empty() || action == "reply" && behind[0] == 0x89, "{action}");
        let over = (told, json!("message_rate"));
        assert_eq!(reasons(&rig), [over.clone(), over], "{action}");
        let pushed = rig.pushed();
        assert!(pushed.starts_with(&ready()));
        let replies = String::from_utf8_lossy(&pushed).matches("message_rate").count();
        assert_eq!(replies, if action == "reply" { 2 } else { 0 });
        rig.host.advance(Duration::from_secs(2));
        let next = rig.client(&text("5")).bytes;
        assert!(next.ends_with(&text("5")), "{action}: it lives on");
        assert_eq!(rig.buffered(), 0);
        rig.session.on_end();
        assert_eq!(rig.event()["detail"], Value::Null, "{action}: nothing was lost");
    }
    let mut rig = open_by(&rated("close"));
    let gone_on = rig.client(&sent).bytes;
    let good = [text("1"), text("2")].concat();
    assert_eq!(gone_on[..good.len()], good);
    assert_masked_close(&gone_on[good.len()..], 1008, "");
    assert_eq!(reasons(&rig), [(json!("refused"), json!("message_rate"))]);
    assert_eq!(rig.pushed(), [ready(), told_client(1008, "message_rate")].concat());
    assert_eq!(rig.buffered(), 0);
}

/// They go nowhere, and are a flood all the same.
#[test]
fn pings_count_before_it_is_known_whose_they_are() {
    let ping = masked(0x89, b"ping");
    for (action, told) in [("close", "refused"), ("drop", "dropped"), ("slow", "slowed")] {
        let mut rig = open_by(&rated(action));
        assert_eq!(rig.client(&ping.repeat(3)).bytes, b"");
        assert_eq!(rig.events(), Vec::<Value>::new());
        let gone_on = rig.client(&[ping.clone(), text("more")].concat()).bytes;
        let event = rig.event();
        assert_eq!((&event["event"], &event["reason"]), (&json!(told), &json!("message_rate")));
        if action == "close" {
            assert_masked_close(&gone_on, 1008, "");
            continue;
        }
        rig.host.advance(Duration::from_secs(2));
        let gone_on = [gone_on, rig.client(&credential(KEY)).bytes].concat();
        assert_eq!(gone_on, text("more"), "{action}: no ping went up");
    }
}

/// It is a strike as any other.
#[test]
fn what_is_over_a_rate_when_its_turn_has_come_counts_against_the_client() {
    let mut document = rated("drop");
    document["policies"][0]["bans"] = json!({
        "threshold": 2, "window": "1m", "duration": "15m", "weights": {"message_rate": 1},
    });
    let mut rig = open_by(&document);
    rig.client(&[text("1"), text("2"), text("3"), credential(KEY), text("4")].concat());
    assert!(rig.events().iter().any(|event| event["event"] == "banned"));
}

/// What comes before it is known whether a message vanishes may refer to it.
#[test]
fn what_may_vanish_yet_is_nothing_that_compressed_messages_refer_to() {
    for (action, inflated) in [("drop", true), ("close", false)] {
        let mut document = rated(action);
        document["policies"][0]["handshake"] = json!({"compression": "inspect"});
        let mut rig = compression::open(&document, "");
        assert_eq!(rig.pushed(), b"");
        let mut deflater = compression::Deflater::new(true);
        let words = ["the same words as ever", "and the same words as ever"];
        let compressed = words.map(|words| {
            compression::frame(Sender::Client, 0xC1, &deflater.message(words.as_bytes()))
        });
        assert_eq!(rig.client(&compressed.concat()).bytes, b"");
        let gone_on = rig.client(&credential(KEY)).bytes;
        if inflated {
            assert_eq!(unmasked(&gone_on), words.concat().as_bytes());
        } else {
            assert_eq!(gone_on, compressed.concat());
        }
    }
}
