//! What the actions other than close do, in both directions: the message
//! vanishes or is changed, and the connection lives on.

use super::rig::{Rig, assert_masked_close, masked, plain, raw, told_client};
use serde_json::{Value, json};
use wsguard::frame::Sender;
use wsguard::frame::mask;

/// One rule, for messages of either direction, and `push` or not.
fn ruled(action: &str, push: bool) -> Value {
    let rules = json!({
        "rules": [{"name": "bad", "pattern": "(?i)<script>", "action": action}],
        "max_message": 1000,
    });
    json!({"policies": [{
        "name": "chat", "client": rules, "server": rules, "lifetime": {"push": push},
    }]})
}

fn typed(action: &str) -> Value {
    let rules = json!({"types": ["text"], "on_violation": action});
    json!({"policies": [{"name": "chat", "client": rules, "server": rules}]})
}

fn frame(sender: Sender, first: u8, payload: &str) -> Vec<u8> {
    match sender {
        Sender::Client => masked(first, payload.as_bytes()),
        Sender::Server => plain(first, payload.as_bytes()),
    }
}

fn send(rig: &mut Rig, sender: Sender, bytes: &[u8]) -> Vec<u8> {
    match sender {
        Sender::Client => rig.client(bytes).bytes,
        Sender::Server => rig.server(bytes).bytes,
    }
}

/// Sends in every cut into two, on new connections; `check` judges all that
/// went on.
fn in_every_cut(rig: &mut Rig, sender: Sender, stream: &[u8], check: impl Fn(&mut Rig, Vec<u8>)) {
    for cut in 0..stream.len() {
        rig.reopen();
        let mut gone_on = send(rig, sender, &stream[..cut]);
        gone_on.extend(send(rig, sender, &stream[cut..]));
        check(rig, gone_on);
        assert_eq!(rig.buffered(), 0);
    }
}

const DETAIL: &str = "the message matches a rule";

fn reply(reason: &str, detail: &str) -> Vec<u8> {
    let text = format!(r#"{{"type":"error","reason":"{reason}","detail":"{detail}"}}"#);
    plain(0x81, text.as_bytes())
}

/// The Ping that stands in `bytes`, and its payload.
fn ping(bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    assert_eq!(bytes[..2], [0x89, 0x88], "a masked Ping of 8 bytes");
    let mut payload = bytes[6..14].to_vec();
    mask::apply(&mut payload, bytes[2..6].try_into().unwrap(), 0);
    (bytes[..14].to_vec(), payload)
}

#[test]
fn drop_lets_the_message_vanish_and_nothing_else() {
    for sender in [Sender::Client, Sender::Server] {
        let mut rig = Rig::open(&ruled("drop", false));
        let (before, after) = (frame(sender, 0x81, "before"), frame(sender, 0x82, "after"));
        let interleaved = frame(sender, 0x89, "in between");
        let stream = [
            before.clone(),
            frame(sender, 0x01, "a <scr"),
            interleaved.clone(),
            frame(sender, 0x80, "ipt>"),
            frame(sender, 0x81, "<script>"),
            after.clone(),
        ]
        .concat();
        let expected = [before, interleaved, after].concat();
        in_every_cut(&mut rig, sender, &stream, |rig, gone_on| {
            assert_eq!(gone_on, expected);
            let events = rig.events();
            assert_eq!(events.len(), 2);
            for event in events {
                assert_eq!(
                    (event["event"].as_str(), event["direction"].as_str(), event["rule"].as_str()),
                    (Some("dropped"), Some(sender.name()), Some("bad"))
                );
            }
            assert!(!rig.session.on_tick().reset);
        });
    }
}

#[test]
fn a_servers_message_is_replaced_by_the_reply() {
    let mut rig = Rig::open(&ruled("reply", false));
    let stream = [plain(0x81, b"a"), plain(0x81, b"<script>"), plain(0x81, b"b")].concat();
    let expected = [plain(0x81, b"a"), reply("rule_matched", DETAIL), plain(0x81, b"b")].concat();
    in_every_cut(&mut rig, Sender::Server, &stream, |rig, gone_on| {
        assert_eq!(gone_on, expected);
        assert_eq!(rig.event()["event"], "replied");
    });
}

#[test]
fn a_client_is_told_in_the_place_of_the_pong_to_our_ping() {
    let mut rig = Rig::open(&ruled("reply", false));
    let stream = [masked(0x81, b"a"), masked(0x81, b"<script>"), masked(0x81, b"b")].concat();
    in_every_cut(&mut rig, Sender::Client, &stream, |rig, gone_on| {
        assert_eq!(rig.event()["event"], "replied");
        let first = masked(0x81, b"a");
        assert_eq!(gone_on[..first.len()], first);
        let (frame, payload) = ping(&gone_on[first.len()..]);
        assert_eq!(gone_on[first.len() + frame.len()..], masked(0x81, b"b"));
        let pong = plain(0x8A, &payload);
        let other = plain(0x8A, b"not ours");
        let seen: Vec<u8> =
            [&pong[..3], &pong[3..]].into_iter().flat_map(|part| rig.server(part).bytes).collect();
        assert_eq!(seen, reply("rule_matched", DETAIL), "our Ping's Pong is swallowed");
        assert_eq!(rig.server(&other).bytes, other);
    });
}

#[test]
fn replies_go_ahead_of_whatever_the_server_sends_next_in_order() {
    let mut rig = Rig::open(&ruled("reply", false));
    let (_, payload) = ping(&rig.client(&masked(0x81, b"<script>")).bytes);
    assert_eq!(rig.client(&masked(0x81, b"<SCRIPT>")).bytes, b"", "one Ping at a time");
    let told = reply("rule_matched", DETAIL);
    let next = plain(0x81, b"next");
    assert_eq!(rig.server(&next).bytes, [told.clone(), told.clone(), next].concat());
    assert_eq!(rig.server(&plain(0x8A, &payload)).bytes, b"", "however late");
    ping(&rig.client(&masked(0x81, b"<script>")).bytes);
    assert_eq!(rig.server(b"").bytes, told);
}

/// Not into a message that the server has begun, of which nothing went on yet.
#[test]
fn a_reply_stands_before_a_held_message_of_the_servers() {
    let mut rig = Rig::open(&ruled("reply", false));
    assert_eq!(rig.server(&plain(0x01, b"begun")).bytes, b"");
    rig.client(&masked(0x81, b"<script>"));
    let rest = plain(0x80, b"ended");
    let message = [plain(0x01, b"begun"), rest.clone()].concat();
    assert_eq!(rig.server(&rest).bytes, [reply("rule_matched", DETAIL), message].concat());
}

#[test]
fn with_push_the_client_is_told_at_once_and_the_server_gets_nothing() {
    let mut rig = Rig::open(&ruled("reply", true));
    // Before anything could be pushed, the server is asked to say something.
    ping(&rig.client(&masked(0x81, b"<script>")).bytes);
    assert_eq!(rig.pushed(), reply("rule_matched", DETAIL));
    assert_eq!(rig.client(&masked(0x81, b"<script>")).bytes, b"");
    assert_eq!(rig.pushed(), reply("rule_matched", DETAIL));
    assert_eq!(rig.pushed(), b"");
    assert_eq!(rig.server(&plain(0x81, b"a")).bytes, plain(0x81, b"a"));
    rig.client(&masked(0x83, b""));
    assert_eq!(rig.pushed(), told_client(1002, "protocol_error"));
    assert_eq!(rig.server(&told_client(1002, "")).bytes, b"");
}

#[test]
fn without_push_nothing_is_written_unasked() {
    let mut rig = Rig::open(&ruled("reply", false));
    rig.client(&masked(0x81, b"<script>"));
    assert_eq!(rig.pushed(), b"");
}

#[test]
fn a_client_that_has_the_servers_close_gets_no_reply() {
    let mut rig = Rig::open(&ruled("reply", true));
    rig.server(&told_client(1000, ""));
    assert_eq!(rig.client(&masked(0x81, b"<script>")).bytes, b"");
    assert_eq!((rig.pushed(), rig.server(b"").bytes), (vec![], vec![]));
    assert_eq!(rig.event()["event"], "replied");
}

#[test]
fn replies_that_nobody_fetches_are_bounded() {
    let mut rig = Rig::open(&ruled("reply", false));
    let script = masked(0x81, b"<script>").repeat(100);
    for _ in 0..100 {
        rig.client(&script);
    }
    assert!(rig.buffered() <= 16 << 10);
    let told = rig.server(b"").bytes.len();
    assert!((8 << 10..=16 << 10).contains(&told), "{told}");
}

#[test]
fn sanitize_cuts_out_what_matched_and_sends_the_rest_in_one_frame() {
    for (sender, key) in [(Sender::Client, Some([1, 2, 3, 4])), (Sender::Server, None)] {
        let mut rig = Rig::open(&ruled("sanitize", false));
        let fragments = [
            raw(0x01, b"a <scr", key),
            raw(0x89, b"", key),
            raw(0x80, b"ipt> b<SCRIPT>", key),
            raw(0x82, b"\xff<script>", key),
        ];
        let expected =
            [raw(0x89, b"", key), raw(0x81, b"a  b", key), raw(0x82, b"\xff", key)].concat();
        in_every_cut(&mut rig, sender, &fragments.concat(), |rig, gone_on| {
            assert_eq!(gone_on, expected, "{sender:?}");
            let events = rig.events();
            assert!(events.len() == 2 && events.iter().all(|e| e["event"] == "sanitized"));
        });
    }
}

#[test]
fn what_still_matches_after_the_cut_closes() {
    let mut rig = Rig::open(&ruled("sanitize", false));
    let closed = rig.client(&masked(0x81, b"<scr<script>ipt>")).bytes;
    assert_masked_close(&closed, 1008, "");
    let kinds: Vec<_> = rig.events().iter().map(|e| e["event"].clone()).collect();
    assert_eq!(kinds, ["sanitized", "refused"]);
    assert_eq!(rig.server(b"").bytes, told_client(1008, "rule_matched"));
}

#[test]
fn a_cut_that_breaks_a_character_closes() {
    let mut document = ruled("sanitize", false);
    document["policies"][0]["client"]["rules"][0]["pattern"] = json!("(?-u)\\xc3");
    let mut rig = Rig::open(&document);
    assert_masked_close(&rig.client(&masked(0x81, "é".as_bytes())).bytes, 1007, "");
}

#[test]
fn a_type_that_is_dropped_costs_nothing_and_still_has_its_limits() {
    for sender in [Sender::Client, Sender::Server] {
        let mut rig = Rig::open(&typed("drop"));
        assert_eq!(send(&mut rig, sender, &frame(sender, 0x02, &"x".repeat(5000))), b"");
        assert_eq!(rig.buffered(), 0);
        assert_eq!(rig.event()["reason"], "type_denied");
        let rest = [frame(sender, 0x80, "y"), frame(sender, 0x81, "good")].concat();
        assert_eq!(send(&mut rig, sender, &rest), frame(sender, 0x81, "good"));
        let mut rig = Rig::open(&typed("drop"));
        let huge = [frame(sender, 0x02, "x"), frame(sender, 0x80, &"x".repeat(1 << 20))].concat();
        send(&mut rig, sender, &huge);
        let reasons: Vec<_> = rig.events().iter().map(|e| e["reason"].clone()).collect();
        assert_eq!(reasons, ["type_denied", "message_too_big"]);
    }
}

#[test]
fn there_is_nothing_to_cut_out_of_a_type() {
    let mut rig = Rig::open(&typed("sanitize"));
    assert_masked_close(&rig.client(&masked(0x82, b"a")).bytes, 1003, "");
}

#[test]
fn framing_and_sizes_close_whatever_the_action() {
    for action in ["drop", "reply", "sanitize", "report"] {
        let mut document = ruled(action, false);
        document["policies"][0]["client"]["on_violation"] = json!(action);
        let mut rig = Rig::open(&document);
        for (bytes, code) in [
            (masked(0x83, b""), 1002),
            (masked(0x81, b"\xff"), 1007),
            (masked(0x82, &[0; 1001]), 1009),
            (masked(0x01, b"a").repeat(2), 1002),
        ] {
            rig.reopen();
            assert_masked_close(&rig.client(&bytes).bytes, code, "");
        }
    }
}

#[test]
fn the_actions_are_counted_by_name() {
    for (action, kind) in [("drop", "drop"), ("reply", "reply"), ("sanitize", "sanitize")] {
        let mut rig = Rig::open(&ruled(action, false));
        rig.client(&masked(0x81, b"a <script>"));
        let metric = format!(
            "wsguard_violations_total{{policy=\"chat\",direction=\"client\",\
             reason=\"rule_matched\",action=\"{kind}\",rule=\"bad\"}}"
        );
        assert_eq!(rig.host.metric(&metric), 1);
    }
}

#[test]
fn report_does_nothing_of_it() {
    for action in ["drop", "reply", "sanitize"] {
        let mut document = ruled(action, true);
        document["mode"] = json!("report");
        let mut rig = Rig::open(&document);
        for sender in [Sender::Client, Sender::Server] {
            let bytes = frame(sender, 0x81, "<script>");
            assert_eq!(send(&mut rig, sender, &bytes), bytes);
            assert_eq!(rig.event()["event"], "reported");
        }
        assert_eq!(rig.pushed(), b"");
    }
}
