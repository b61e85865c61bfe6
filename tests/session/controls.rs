//! Control frames under rules: a Ping, a Pong and the reason of a Close are judged
//! as messages are, and by any action but close and report what a rule looks for
//! goes nowhere, while the connection lives on.

use super::rig::{Rig, assert_masked_close, masked, plain, raw, text, told_client};
use serde_json::{Value, json};
use wsguard::frame::Sender;

const PING: u8 = 0x89;
const PONG: u8 = 0x8A;
const CLOSE: u8 = 0x88;

/// One rule for either direction, where only text may go.
fn ruled(action: &str) -> Value {
    let rules = json!({
        "types": ["text"],
        "rules": [{"name": "bad", "pattern": "(?i)<script>", "action": action}],
    });
    json!({"policies": [{"name": "chat", "client": rules, "server": rules}]})
}

fn frame(sender: Sender, first: u8, payload: &[u8]) -> Vec<u8> {
    match sender {
        Sender::Client => masked(first, payload),
        Sender::Server => plain(first, payload),
    }
}

fn close(sender: Sender, reason: &str) -> Vec<u8> {
    frame(sender, CLOSE, &[&4001u16.to_be_bytes(), reason.as_bytes()].concat())
}

fn send(rig: &mut Rig, sender: Sender, bytes: &[u8]) -> Vec<u8> {
    match sender {
        Sender::Client => rig.client(bytes).bytes,
        Sender::Server => rig.server(bytes).bytes,
    }
}

/// What goes on of this, whichever way it is cut, each time on a new connection.
fn in_every_cut(rig: &mut Rig, sender: Sender, stream: &[u8], check: impl Fn(&mut Rig, &[u8])) {
    for cut in 0..stream.len() {
        rig.reopen();
        let mut gone_on = send(rig, sender, &stream[..cut]);
        gone_on.extend(send(rig, sender, &stream[cut..]));
        check(rig, &gone_on);
        assert_eq!(rig.buffered(), 0);
    }
}

/// Payloads that hold the pattern, text or not.
fn payloads() -> [&'static [u8]; 4] {
    [b"<script>", b"a <SCRIPT> b", b"\xff\x00<script>\xfe", b"<script>\xe2\x82"]
}

#[test]
fn pings_and_pongs_vanish_and_a_close_goes_on_without_its_reason() {
    for (action, event) in [("drop", "dropped"), ("sanitize", "sanitized")] {
        let mut rig = Rig::open(&ruled(action));
        for sender in [Sender::Client, Sender::Server] {
            for (first, payload) in
                [PING, PONG].into_iter().flat_map(|f| payloads().map(|p| (f, p)))
            {
                let (begun, ended) = (frame(sender, 0x01, b"a"), frame(sender, 0x80, b"b"));
                let good = frame(sender, first, b"\xffscript");
                let bad = frame(sender, first, payload);
                let stream = [begun.clone(), bad, good.clone(), ended.clone()].concat();
                in_every_cut(&mut rig, sender, &stream, |rig, gone_on| {
                    assert_eq!(gone_on, [good.clone(), begun.clone(), ended.clone()].concat());
                    let told = rig.event();
                    assert_eq!((&told["event"], &told["rule"]), (&json!(event), &json!("bad")));
                    assert_eq!(told["direction"], sender.name());
                    assert_eq!(told["offset"], begun.len());
                });
            }
            let stream = [frame(sender, 0x81, b"a"), close(sender, "a <Script>")].concat();
            let expected = [frame(sender, 0x81, b"a"), close(sender, "")].concat();
            in_every_cut(&mut rig, sender, &stream, |rig, gone_on| {
                assert_eq!(gone_on, expected, "{sender:?}");
                assert_eq!(rig.event()["event"], event);
                // It is the last frame all the same, and its code is told.
                assert_eq!(send(rig, sender, &frame(sender, 0x81, b"late")), b"");
                rig.session.on_end();
                assert_eq!(rig.event()["code"], 4001);
            });
        }
        for direction in ["client", "server"] {
            let counted = format!(
                "wsguard_violations_total{{policy=\"chat\",direction=\"{direction}\",\
                 reason=\"rule_matched\",action=\"{action}\",rule=\"bad\"}}"
            );
            assert!(rig.host.metric(&counted) > 0);
        }
    }
}

#[test]
fn reply_tells_the_client() {
    let reply = plain(
        0x81,
        br#"{"type":"error","reason":"rule_matched","detail":"the message matches a rule"}"#,
    );
    let mut rig = Rig::open(&ruled("reply"));
    for (sender, first) in [(Sender::Server, PING), (Sender::Server, PONG)] {
        rig.reopen();
        let stream = [plain(first, b"<script>"), plain(0x81, b"b")].concat();
        let expected = [reply.clone(), plain(0x81, b"b")].concat();
        assert_eq!(send(&mut rig, sender, &stream), expected);
        assert_eq!(rig.event()["event"], "replied");
    }
    rig.reopen();
    let stream = close(Sender::Server, "<script>");
    let expected = [reply.clone(), close(Sender::Server, "")].concat();
    assert_eq!(rig.server(&stream).bytes, expected);
    rig.reopen();
    // The server is asked for something in whose place the client can be told.
    let asked = rig.client(&masked(PING, b"<script>")).bytes;
    assert_eq!((asked[0], asked.len()), (PING, 14), "{asked:?}");
    assert_eq!(rig.server(&plain(0x81, b"b")).bytes, [reply, plain(0x81, b"b")].concat());
}

#[test]
fn close_ends_both_sides() {
    let mut rig = Rig::open(&ruled("close"));
    let frames = |sender| {
        let pings = [PING, PONG].into_iter().flat_map(|f| payloads().map(|p| (f, p)));
        let mut all: Vec<_> = pings.map(|(first, p)| frame(sender, first, p)).collect();
        all.push(close(sender, "a <script>"));
        all
    };
    for stream in frames(Sender::Client) {
        in_every_cut(&mut rig, Sender::Client, &stream, |rig, gone_on| {
            assert_masked_close(gone_on, 1008, "");
            let told = rig.event();
            assert_eq!(
                (&told["event"], &told["reason"]),
                (&json!("refused"), &json!("rule_matched"))
            );
            assert_eq!(rig.server(b"").bytes, told_client(1008, "rule_matched"));
            rig.session.on_end();
            let closed = rig.event();
            assert_eq!(
                (&closed["code"], &closed["reason"]),
                (&json!(1008), &json!("rule_matched"))
            );
        });
    }
    for stream in frames(Sender::Server) {
        in_every_cut(&mut rig, Sender::Server, &stream, |rig, gone_on| {
            assert_eq!(gone_on, told_client(1008, ""));
            assert_eq!(rig.event()["direction"], "server");
            assert_masked_close(&rig.client(b"").bytes, 1008, "rule_matched");
        });
    }
}

#[test]
fn report_tells_and_lets_pass() {
    let mut by_mode = ruled("close");
    by_mode["mode"] = json!("report");
    for document in [ruled("report"), by_mode] {
        let mut rig = Rig::open(&document);
        for sender in [Sender::Client, Sender::Server] {
            for bad in [frame(sender, PING, b"<script>"), close(sender, "<script>")] {
                in_every_cut(&mut rig, sender, &bad, |rig, gone_on| {
                    assert_eq!(gone_on, bad);
                    assert_eq!(rig.event()["event"], "reported");
                });
            }
        }
    }
}

/// The pings of most libraries are empty, and a Close of a code alone has no reason.
#[test]
fn an_empty_control_frame_holds_nothing_to_judge() {
    let mut document = ruled("close");
    document["policies"][0]["client"]["rules"][0]["pattern"] = json!("(?s).");
    let mut rig = Rig::open(&document);
    let empty = [masked(PING, b""), masked(PONG, b""), masked(CLOSE, &4001u16.to_be_bytes())];
    assert_eq!(rig.client(&empty.concat()).bytes, empty.concat());
    assert!(rig.events().is_empty());
}

#[test]
fn a_code_is_no_text_and_a_bad_close_is_told_for_its_form() {
    let mut document = ruled("drop");
    // The two bytes of 4001, and of a code that may not be sent.
    document["policies"][0]["client"]["rules"][0]["pattern"] = json!(r"(?-u)\x0f\xa1|\x03\xed|x");
    let mut rig = Rig::open(&document);
    let good = close(Sender::Client, "a");
    assert_eq!(rig.client(&good).bytes, good);
    for (payload, code, reason) in [
        (&b"\x03\xedx"[..], 1002, "protocol_error"),
        (b"x", 1002, "protocol_error"),
        (b"\x03\xe8x\xff", 1007, "invalid_utf8"),
    ] {
        rig.reopen();
        assert_masked_close(&rig.client(&masked(CLOSE, payload)).bytes, code, "");
        assert_eq!(rig.event()["reason"], reason);
    }
}

#[test]
fn what_answers_a_ping_of_ours_is_not_judged() {
    let mut document = ruled("close");
    document["policies"][0]["client"]["rules"][0]["pattern"] = json!("(?-u)(?s)^.{8}$");
    document["policies"][0]["lifetime"] = json!({"push": true, "heartbeat": "1s"});
    let mut rig = Rig::open(&document);
    rig.pushed();
    rig.host.advance(std::time::Duration::from_secs(1));
    assert!(!rig.session.on_tick().reset);
    let ping = rig.pushed();
    assert_eq!(ping[..2], [PING, 8]);
    assert_eq!(rig.client(&masked(PONG, &ping[2..])).bytes, b"");
    assert!(rig.events().is_empty());
    // A second one is the client's own.
    assert_masked_close(&rig.client(&masked(PONG, &ping[2..])).bytes, 1008, "");
}

/// One that waits for its turn has been judged before.
#[test]
fn no_frame_that_waits_goes_by_unjudged_and_what_vanishes_has_counted() {
    let mut document = ruled("drop");
    let client = &mut document["policies"][0]["client"];
    client["rate"] = json!({"per_connection": "1/1m"});
    client["on_violation"] = json!("slow");
    document["policies"][0]["lifetime"] = json!({"push": true});
    let mut rig = Rig::open(&document);
    rig.pushed();
    // It counts, although it vanishes: the next one waits.
    assert_eq!(rig.client(&masked(PING, b"<script>")).bytes, b"");
    let sent = [text("waits"), masked(PING, b"<script>"), masked(PING, b"good")];
    assert_eq!(rig.client(&sent.concat()).bytes, b"");
    assert_eq!(rig.client(&close(Sender::Client, "<script>")).bytes, b"");
    let mut gone_on = Vec::new();
    for _ in 0..4 {
        rig.host.advance(std::time::Duration::from_secs(60));
        let _ = rig.session.on_tick();
        gone_on.extend(rig.client(b"").bytes);
    }
    let expected = [text("waits"), masked(PING, b"good"), close(Sender::Client, "")].concat();
    assert_eq!(gone_on, expected);
    let dropped = rig.events().into_iter().filter(|e| e["event"] == "dropped").count();
    assert_eq!(dropped, 3);
}

/// A mask of zeros, and a key that is another one for each frame.
#[test]
fn masks_hide_nothing() {
    let mut rig = Rig::open(&ruled("drop"));
    for key in [[0; 4], [0xFF; 4], [1, 2, 3, 4]] {
        assert_eq!(rig.client(&raw(PING, b"<script>", Some(key))).bytes, b"");
        let whole = [&1000u16.to_be_bytes()[..], b"<script>"].concat();
        rig.reopen();
        let left = rig.client(&raw(CLOSE, &whole, Some(key))).bytes;
        assert_eq!(left, raw(CLOSE, &1000u16.to_be_bytes(), Some(key)));
        rig.reopen();
    }
}
