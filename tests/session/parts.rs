//! Messages of which nobody reads more than their framing: they go on as they come,
//! nothing is held of them, and nothing of ours stands inside their frames.

use super::rig::{
    Rig, arrival, assert_masked_close, masked, plain, reporting, switching, text, told_client,
    worker,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;
use wsguard::frame::Sender;
use wsguard::session::Opening;

const SECOND: Duration = Duration::from_secs(1);

/// One policy that reads nothing, with these keys beside its name.
fn policy(more: Value) -> Value {
    let mut policy = json!({"name": "chat"});
    policy.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"policies": [policy]})
}

fn open(more: Value) -> Rig {
    let mut rig = Rig::open(&policy(more));
    assert_eq!(rig.pushed(), b"");
    rig
}

/// All that ends, told by ticks; whether one resets.
fn pass(rig: &mut Rig, time: Duration) -> bool {
    rig.host.advance(time);
    rig.session.on_tick().reset
}

#[test]
fn a_megabyte_goes_on_as_it_comes_and_nothing_is_held() {
    let (letters, numbers) = ("aé€😀".repeat(100_000), vec![0xFF; 1 << 20]);
    let text = &letters.as_bytes()[..1_000_000];
    for (sender, frame) in [
        (Sender::Server, plain(0x81, text)),
        (Sender::Server, plain(0x82, &numbers)),
        (Sender::Client, masked(0x82, &numbers)),
    ] {
        let mut rig = open(json!({}));
        for chunk in frame.chunks(777) {
            let step = super::rig::hand(&mut rig.session, sender, chunk);
            // A header that the first chunk ends in would be held.
            assert!(step.bytes == chunk, "{sender:?}");
            assert_eq!(rig.buffered(), 0);
        }
    }
}

/// A header that is not all there yet says nothing.
#[test]
fn a_cut_header_goes_on_once_it_is_complete() {
    let frame = masked(0x82, &[7; 300]);
    for cut in 1..frame.len() {
        let mut rig = open(json!({}));
        let (begun, rest) = frame.split_at(cut);
        let first = rig.client(begun).bytes;
        assert_eq!(first.len(), if cut <= 8 { 0 } else { cut }, "{cut}");
        assert_eq!([first, rig.client(rest).bytes].concat(), frame);
    }
}

#[test]
fn the_clients_text_goes_on_frame_by_frame() {
    let mut rig = open(json!({}));
    let [one, two, three] =
        [masked(0x01, b"one \xe2\x82"), masked(0x00, b"\xac two"), masked(0x80, b"three")];
    assert_eq!(rig.client(&one[..8]).bytes, b"");
    assert!(rig.buffered() > 0);
    assert_eq!(rig.client(&one[8..]).bytes, one, "a character may end in the next frame");
    assert_eq!(rig.buffered(), 0);
    assert_eq!(rig.client(&two).bytes, two);
    let ping = masked(0x89, b"between");
    assert_eq!(rig.client(&ping).bytes, ping);
    assert_eq!(rig.client(&three).bytes, three);
    assert_eq!(rig.events(), Vec::<Value>::new());
}

#[test]
fn a_bad_byte_in_a_later_frame_of_the_clients_text_is_told_between_frames() {
    let mut rig = open(json!({}));
    let begun = masked(0x01, b"begun");
    assert_eq!(rig.client(&begun).bytes, begun);
    let step = rig.client(&masked(0x80, b"\xff"));
    assert_masked_close(&step.bytes, 1007, "");
    assert!(!step.reset);
    assert_eq!(rig.server(b"").bytes, told_client(1007, "invalid_utf8"));
}

#[test]
fn what_is_read_or_may_vanish_is_held_as_a_whole() {
    let rule = json!([{"name": "r", "pattern": "<script"}]);
    let bytes = json!({"per_connection": "1MiB/1m"});
    let mut policies = vec![json!({"client": {"rules": rule}, "server": {"rules": rule}})];
    for action in ["drop", "reply"] {
        let limited = json!({"bytes": bytes, "on_violation": action});
        policies.push(json!({"client": limited, "server": limited}));
    }
    let slow = json!({"bytes": bytes, "on_violation": "slow"});
    policies.push(json!({"client": slow, "server": slow, "lifetime": {"push": true}}));
    for more in policies {
        let mut rig = open(more.clone());
        let (client, server) = (masked(0x82, &[1; 300]), plain(0x81, &[b'a'; 300]));
        assert_eq!(rig.client(&client[..200]).bytes, b"", "{more}");
        assert_eq!(rig.server(&server[..200]).bytes, b"", "{more}");
        assert_eq!(rig.client(&client[200..]).bytes, client, "{more}");
        assert_eq!(rig.server(&server[200..]).bytes, server, "{more}");
    }
    // Where all that could happen is that it ends, nothing is.
    let closes = json!({"bytes": bytes, "on_violation": "close"});
    let mut rig = open(json!({"client": closes}));
    let frame = masked(0x82, &[1; 300]);
    assert_eq!(rig.client(&frame[..200]).bytes, frame[..200]);
}

/// Or a message that is not compressed would overtake one that is.
#[test]
fn where_compression_was_agreed_all_is_held() {
    let offer = [("sec-websocket-extensions", "permessage-deflate")];
    let (_, guard) = worker(&policy(json!({"handshake": {"compression": "inspect"}})));
    let mut session = super::rig::admitted(&guard, &arrival(&offer));
    assert!(matches!(session.on_response(101, &switching(&offer)), Opening::Open(_)));
    let frame = plain(0x82, &[1; 300]);
    let (begun, rest) = frame.split_at(200);
    assert_eq!(super::rig::hand(&mut session, Sender::Server, begun).bytes, b"");
    assert_eq!(super::rig::hand(&mut session, Sender::Server, rest).bytes, frame);
}

#[test]
fn sizes_are_judged_at_each_frames_header() {
    let mut rig = open(json!({"client": {"max_message": 1000}}));
    let first = masked(0x02, &[1; 600]);
    assert_eq!(rig.client(&first).bytes, first);
    let header = &masked(0x80, &[1; 500])[..8];
    assert_masked_close(&rig.client(header).bytes, 1009, "");
    assert_eq!(rig.event()["detail"], "a message of 1100 bytes or more, allowed are 1000");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]
    /// A bad byte anywhere in the server's text, in frames of any size and in any
    /// chunks: no reader gets the message whole, and no Close stands inside a frame.
    #[test]
    fn no_text_of_the_servers_with_a_bad_byte_arrives_whole(
        sizes in prop::collection::vec(0usize..40, 1..5),
        bad in any::<prop::sample::Index>(),
        chunk in 1usize..50,
    ) {
        let length: usize = sizes.iter().sum::<usize>().max(1);
        let mut content = vec![b'a'; length];
        content[bad.index(length)] = 0xFF;
        let (mut stream, mut rest) = (Vec::new(), content.as_slice());
        for (index, size) in sizes.iter().enumerate() {
            let last = index + 1 == sizes.len();
            let (part, after) = rest.split_at(if last { rest.len() } else { (*size).min(rest.len()) });
            rest = after;
            let first = if last { 0x80 } else { 0 } | u8::from(index == 0);
            stream.extend(plain(first, part));
        }
        let mut rig = open(json!({}));
        let (mut gone_on, mut reset) = (Vec::new(), false);
        for piece in stream.chunks(chunk) {
            let step = rig.server(piece);
            gone_on.extend(step.bytes);
            reset |= step.reset;
            if reset {
                break;
            }
        }
        let close = told_client(1007, "");
        let ours = if reset { &gone_on[..] } else { gone_on.strip_suffix(&close[..]).unwrap() };
        prop_assert!(stream.starts_with(ours) && ours.len() < stream.len());
    }
}

/// Opens a frame of the server's of which half has gone on.
fn inside(rig: &mut Rig) -> Vec<u8> {
    let frame = plain(0x82, &[7; 100]);
    assert_eq!(rig.server(&frame[..50]).bytes, frame[..50]);
    frame[50..].to_vec()
}

#[test]
fn an_ending_waits_for_the_end_of_the_frame() {
    let mut rig = open(json!({"lifetime": {"max": "10s", "push": true}}));
    let rest = inside(&mut rig);
    assert!(!pass(&mut rig, 10 * SECOND));
    assert_eq!(rig.pushed(), b"", "not inside a frame");
    assert_eq!(rig.server(&rest[..20]).bytes, rest[..20]);
    let more = [&rest[20..], &plain(0x81, b"unsent")].concat();
    let told = [&rest[20..], &told_client(1001, "lifetime_exceeded")].concat();
    assert_eq!(rig.server(&more).bytes, told);
    assert_eq!(rig.server(&plain(0x81, b"unsent")).bytes, b"");
}

#[test]
fn a_frame_that_does_not_end_is_waited_for_two_seconds() {
    let mut rig = open(json!({"lifetime": {"max": "10s", "push": true}}));
    inside(&mut rig);
    assert!(!pass(&mut rig, 10 * SECOND));
    assert!(!pass(&mut rig, Duration::from_millis(1999)));
    assert!(pass(&mut rig, Duration::from_millis(1)));
}

/// The client is told of its violation behind the server's frame; a bad byte in the rest of
/// that frame resets.
#[test]
fn a_refused_client_is_told_behind_the_servers_frame() {
    let rules = json!({"rules": [{"name": "r", "pattern": "<script"}]});
    let mut rig = open(json!({"client": rules}));
    let rest = inside(&mut rig);
    assert_masked_close(&rig.client(&text("<script>")).bytes, 1008, "");
    assert_eq!(rig.server(&rest[..10]).bytes, rest[..10]);
    let told = [&rest[10..], &told_client(1008, "rule_matched")].concat();
    assert_eq!(rig.server(&rest[10..]).bytes, told);

    let mut rig = open(json!({"client": rules}));
    let begun = plain(0x81, b"a text");
    assert_eq!(rig.server(&begun[..4]).bytes, begun[..4]);
    assert_masked_close(&rig.client(&text("<script>")).bytes, 1008, "");
    let step = rig.server(b"\xff\xff\xff\xff");
    assert!(step.reset && step.bytes.is_empty());
}

#[test]
fn the_server_is_told_behind_the_clients_frame() {
    let mut rig = open(json!({"lifetime": {"max": "10s", "push": true}}));
    let frame = masked(0x82, &[7; 100]);
    assert_eq!(rig.client(&frame[..50]).bytes, frame[..50]);
    assert!(!pass(&mut rig, 10 * SECOND));
    assert_eq!(rig.pushed(), told_client(1001, "lifetime_exceeded"));
    let gone_on = rig.client(&[&frame[50..], &text("unsent")].concat()).bytes;
    assert_eq!(gone_on[..56], frame[50..]);
    assert_masked_close(&gone_on[56..], 1001, "lifetime_exceeded");
}

#[test]
fn our_pings_and_replies_wait_for_the_end_of_a_frame() {
    let mut rig = open(json!({
        "client": {"types": ["binary"], "on_violation": "reply"},
        "lifetime": {"push": true, "heartbeat": "5s"},
    }));
    let rest = inside(&mut rig);
    assert!(!pass(&mut rig, 5 * SECOND));
    assert_eq!(rig.client(&text("not binary")).bytes, b"");
    assert_eq!(rig.pushed(), b"");
    let told = rig.server(&[rest.as_slice(), &plain(0x81, b"next")].concat()).bytes;
    let (gone_on, ours) = told.split_at(rest.len());
    assert_eq!(gone_on, rest);
    let answer = String::from_utf8_lossy(ours);
    assert!(answer.contains("type_denied"), "{answer}");
    assert!(ours.ends_with(&plain(0x81, b"next")));
    assert!(!pass(&mut rig, Duration::ZERO));
    assert_eq!(rig.pushed()[..2], [0x89, 8], "the Ping");
}

/// A Pong to the Ping of ours in the middle of a client's message is the place for what
/// waits for the server.
#[test]
fn what_waits_for_the_server_goes_between_frames_of_a_message() {
    let mut rig = open(json!({
        "client": {"rate": {"per_connection": "1/1m"}, "types": ["binary"], "on_violation": "drop"},
    }));
    let first = masked(0x02, &[7; 100]);
    assert_eq!(rig.client(&first).bytes, first);
    assert_eq!(rig.client(&masked(0x89, b"over the rate")).bytes, b"");
    let last = masked(0x80, &[7; 100]);
    assert_eq!(rig.client(&last).bytes, last, "counted with its first frame");
    assert_eq!(rig.client(&masked(0x82, b"one more")).bytes, b"");
}

#[test]
fn bytes_of_a_message_that_never_ends_count_as_its_frames_come() {
    for (action, is_held) in [("close", false), ("drop", true), ("report", false)] {
        let limited = json!({"bytes": {"per_connection": "1000/1m"}, "on_violation": action});
        let mut rig = open(json!({"client": limited}));
        let [first, next] = [masked(0x02, &[7; 600]), masked(0x00, &[7; 600])];
        let expected = if is_held { vec![] } else { first.clone() };
        assert_eq!(rig.client(&first).bytes, expected, "{action}");
        let gone_on = rig.client(&next).bytes;
        match action {
            "close" => assert_masked_close(&gone_on, 1008, ""),
            "drop" => assert_eq!(gone_on, b""),
            _ => assert_eq!(gone_on, next),
        }
        assert_eq!(rig.event()["reason"], "byte_rate");
        let last = rig.client(&masked(0x80, &[7; 600])).bytes;
        assert_eq!(last.is_empty(), action != "report", "{action}");
        assert_eq!(rig.events(), Vec::<Value>::new(), "{action}: told once of a message");
    }
}

/// The first frame counts when it comes, and the rest when the message has its turn.
#[test]
fn a_slowed_message_counts_each_of_its_bytes_once() {
    let slow = json!({"bytes": {"per_connection": "1000/1s"}, "on_violation": "slow"});
    let mut rig = open(json!({"client": slow, "lifetime": {"push": true}}));
    let [first, last] = [masked(0x02, &[7; 600]), masked(0x80, &[7; 600])];
    assert_eq!(rig.client(&first).bytes, b"");
    assert_eq!(rig.client(&last).bytes, b"");
    assert_eq!(rig.event()["event"], "slowed");
    let whole = [first, last].concat();
    rig.host.advance(2 * SECOND);
    let _ = rig.session.on_tick();
    assert_eq!(rig.turn(), whole);
    let left = masked(0x82, &[7; 400]);
    assert_eq!(rig.client(&left).bytes, left, "1000 less the second frame's 600");
    assert_eq!(rig.client(&masked(0x82, &[7; 1])).bytes, b"");
}

#[test]
fn a_message_that_does_not_end_in_its_time_closes_in_both_directions() {
    for sender in [Sender::Client, Sender::Server] {
        let rules = json!({"max_message_time": "10s"});
        let mut rig = open(json!({"client": rules, "server": rules, "lifetime": {"push": true}}));
        let frame = match sender {
            Sender::Client => masked(0x02, b"begun"),
            Sender::Server => plain(0x02, b"begun"),
        };
        let more = match sender {
            Sender::Client => masked(0x00, b"more"),
            Sender::Server => plain(0x00, b"more"),
        };
        super::rig::hand(&mut rig.session, sender, &frame);
        for _ in 0..9 {
            assert!(!pass(&mut rig, SECOND));
            super::rig::hand(&mut rig.session, sender, &more);
        }
        assert_eq!(rig.pushed(), b"");
        assert!(!pass(&mut rig, SECOND));
        let event = rig.event();
        assert_eq!(event["reason"], "message_timeout");
        assert_eq!(event["direction"], sender.name());
        let detail = "a message has not ended within 10s; its frames announce 41 bytes so far";
        assert_eq!(event["detail"], detail);
        let reason = if sender == Sender::Client { "message_timeout" } else { "" };
        assert_eq!(rig.pushed(), told_client(1008, reason));
    }
}

#[test]
fn time_counts_from_a_messages_first_byte_and_not_between_messages() {
    let mut rig = open(json!({"client": {"max_message_time": "10s"}, "lifetime": {"push": true}}));
    rig.client(&masked(0x02, b"begun"));
    for _ in 0..5 {
        assert!(!pass(&mut rig, 9 * SECOND));
        // The end of one and the beginning of the next in one chunk.
        rig.client(&[masked(0x80, b"ended"), masked(0x02, b"begun")].concat());
    }
    rig.client(&masked(0x80, b"ended"));
    assert_eq!(rig.events(), Vec::<Value>::new());
    // Part of a header is part of a message.
    rig.client(&[0x81]);
    assert!(!pass(&mut rig, 10 * SECOND));
    assert_eq!(rig.event()["reason"], "message_timeout");
}

#[test]
fn report_only_tells_of_a_message_that_does_not_end() {
    let mut rig = Rig::open(&reporting(json!({"max_message_time": "10s"})));
    let frame = masked(0x02, b"begun");
    assert_eq!(rig.client(&frame).bytes, frame);
    assert!(!pass(&mut rig, 10 * SECOND));
    assert_eq!(rig.event()["event"], "reported");
    for _ in 0..3 {
        assert!(!pass(&mut rig, 10 * SECOND));
        let more = masked(0x00, b"more");
        assert_eq!(rig.client(&more).bytes, more);
    }
    assert_eq!(rig.events(), Vec::<Value>::new(), "told once");
    let end = masked(0x80, b"end");
    assert_eq!(rig.client(&end).bytes, end);
    assert_eq!(rig.client(&frame).bytes, frame);
    assert!(!pass(&mut rig, 10 * SECOND));
    assert_eq!(rig.event()["event"], "reported", "another message");
}

#[test]
fn report_holds_nothing_either() {
    let mut rig = Rig::open(&reporting(json!({"max_message": 1000})));
    let frame = plain(0x81, &[b'a'; 5000]);
    for chunk in frame.chunks(100) {
        assert_eq!(rig.server(chunk).bytes, chunk);
        assert_eq!(rig.buffered(), 0);
    }
}
