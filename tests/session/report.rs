//! Mode report: the same verdicts and counts, and nothing is changed.

use super::rig::{
    Rig, admitted, arrival, events, hand, headers, masked, opened, plain, raw, reporting,
    switching, text, worker,
};
use serde_json::{Value, json};
use wsguard::frame::Sender;
use wsguard::handshake::HeadEdits;
use wsguard::session::Opening;

fn strict() -> Value {
    reporting(json!({
        "max_frame": 100, "max_message": 150, "max_fragments": 3, "types": ["text"],
        "rules": [{"name": "no-scripts", "pattern": "<script", "action": "close"}],
    }))
}

/// Reason and direction of events that are all `reported`.
fn reported(events: &[Value]) -> Vec<(&str, &str)> {
    assert!(events.iter().all(|event| event["event"] == "reported"), "{events:?}");
    events
        .iter()
        .map(|e| (e["reason"].as_str().unwrap(), e["direction"].as_str().unwrap()))
        .collect()
}

#[test]
fn each_message_is_reported_for_what_it_breaks_and_passes() {
    let mut rig = Rig::open(&strict());
    let messages: [(&str, Vec<u8>); 6] = [
        ("rule_matched", text("<script>")),
        ("rule_matched", [masked(0x01, b"<scr"), masked(0x80, b"ipt>")].concat()),
        ("type_denied", masked(0x82, b"a")),
        ("frame_too_big", masked(0x81, &[b'a'; 5000])),
        ("message_too_big", [masked(0x01, &[b'a'; 100]), masked(0x80, &[b'a'; 60])].concat()),
        (
            "too_many_fragments",
            [masked(0x01, b""), masked(0, b"").repeat(9), masked(0x80, b"")].concat(),
        ),
    ];
    for round in 0..2 {
        for (reason, bytes) in &messages {
            for chunk in bytes.chunks(7) {
                let step = rig.client(chunk);
                assert_eq!((step.bytes.as_slice(), step.reset), (chunk, false));
            }
            assert_eq!(reported(&rig.events()), [(*reason, "client")], "once, in round {round}");
        }
    }
    let counted = r#"wsguard_violations_total{policy="chat",direction="client",reason="rule_matched",action="report",rule="no-scripts"}"#;
    assert_eq!(rig.host.metric(counted), 4);
    assert_eq!(rig.host.metric(&counted.replace("\"report\"", "\"close\"")), 0);
    assert_eq!(rig.buffered(), 0);
}

#[test]
fn a_message_that_breaks_two_things_is_reported_for_both() {
    let mut rig = Rig::open(&strict());
    rig.client(&masked(0x82, b"<script>"));
    assert_eq!(reported(&rig.events()), [("type_denied", "client"), ("rule_matched", "client")]);
}

#[test]
fn text_that_is_no_utf8_is_reported_and_the_next_message_is_inspected() {
    let mut rig = Rig::open(&strict());
    rig.client(&masked(0x01, b"\xff"));
    rig.client(&masked(0x80, b"<script>"));
    rig.client(&text("<script>"));
    assert_eq!(reported(&rig.events()), [("invalid_utf8", "client"), ("rule_matched", "client")]);
}

#[test]
fn after_a_framing_error_bytes_pass_unseen_both_ways() {
    for (sender, broken) in [(Sender::Client, raw(0x83, b"a", None)), (Sender::Server, vec![0xF1])]
    {
        let mut rig = Rig::open(&strict());
        rig.client(&masked(0x01, b"held"));
        let stream = [broken, text("<script>"), raw(0xFF, b"anything", None)].concat();
        for chunk in stream.chunks(3) {
            assert_eq!(hand(&mut rig.session, sender, chunk).bytes, chunk);
            assert_eq!(hand(&mut rig.session, sender.other(), chunk).bytes, chunk);
        }
        assert_eq!(reported(&rig.events()), [("protocol_error", sender.name())]);
        assert_eq!(rig.buffered(), 0, "what is not looked at is not held");
        assert!(!rig.session.on_tick().reset);
        rig.session.on_end();
        let closed = rig.event();
        assert_eq!(closed["reason"], Value::Null);
        let all = stream.len();
        let client = masked(0x01, b"held").len() + all;
        assert_eq!(closed["bytes"], json!({"client": client, "server": all}), "all that passed");
    }
}

/// By its own section, which here says nothing.
#[test]
fn the_server_is_reported_for_what_enforce_would_refuse_and_nothing_else() {
    let mut rig = Rig::open(&strict());
    for bytes in [plain(0x81, b"\xff"), plain(0x81, b"<script>"), plain(0x82, &[0; 5000])] {
        for chunk in bytes.chunks(999) {
            assert_eq!(rig.server(chunk).bytes, chunk);
        }
    }
    assert_eq!(reported(&rig.events()), [("invalid_utf8", "server")]);
    assert_eq!(rig.server(&plain(0x82, &[0; 1 << 20])[..9]).bytes.len(), 9);
}

#[test]
fn a_full_worker_reports_and_lets_pass() {
    let mut document = reporting(json!({}));
    document["limits"] = json!({"buffered_per_worker": 4096});
    let mut rig = Rig::open(&document);
    let frame = masked(0x82, &[0; 9000]);
    for chunk in frame.chunks(1000) {
        assert_eq!(rig.client(chunk).bytes, chunk);
    }
    assert_eq!(reported(&rig.events()), [("overloaded", "client")]);
    assert_eq!(rig.buffered(), 0);
}

#[test]
fn bytes_before_the_answer_are_reported_once_and_what_follows_passes_unseen() {
    let (host, guard) = worker(&strict());
    let mut session = admitted(&guard, &arrival(&[]));
    for chunk in [&b""[..], b"\x81", b"\x80ab"] {
        let step = hand(&mut session, Sender::Client, chunk);
        assert_eq!((step.bytes.as_slice(), step.reset), (chunk, false));
    }
    assert_eq!(reported(&events(&host)), [("protocol_error", "client")]);
    assert!(matches!(session.on_response(101, &switching(&[])), Opening::Open(_)));
    let step = hand(&mut session, Sender::Client, b"cd<script");
    assert_eq!(step.bytes, b"cd<script");
    let seen = events(&host);
    assert_eq!((seen.len(), &seen[0]["event"]), (1, &json!("opened")));
    assert_eq!(
        host.metric(
            r#"wsguard_handshakes_total{policy="chat",result="reported",reason="protocol_error"}"#
        ),
        1
    );
    assert_eq!(
        host.metric(r#"wsguard_handshakes_total{policy="chat",result="accepted"}"#),
        0,
        "counted once"
    );
}

#[test]
fn an_extension_that_is_not_known_is_told_once_and_what_follows_passes_unseen() {
    let mux = ("sec-websocket-extensions", "mux");
    let (host, guard) = worker(&strict());
    let mut session = admitted(&guard, &arrival(&[mux]));
    assert_eq!(session.on_response(101, &switching(&[mux])), Opening::Open(HeadEdits::default()));
    // Enforce would have stripped the offer and accepted.
    let told = events(&host);
    assert_eq!(told.len(), 1);
    assert_eq!((&told[0]["event"], &told[0]["reason"]), (&json!("opened"), &json!(null)));
    assert!(told[0]["detail"].as_str().unwrap().contains("messages pass unseen"));
    assert_eq!(host.metric(r#"wsguard_handshakes_total{policy="chat",result="accepted"}"#), 1);
    let compressed = masked(0xC1, b"<script>");
    assert_eq!(hand(&mut session, Sender::Client, &compressed).bytes, compressed);
    assert_eq!(events(&host), Vec::<Value>::new());
    session.on_end();
    assert_eq!(events(&host)[0]["event"], "closed");
}

/// There is no tunnel, but it is not ours to hold anything back.
#[test]
fn upstreams_own_refusal_leaves_the_clients_bytes_alone() {
    let (_, guard) = worker(&strict());
    let mut session = admitted(&guard, &arrival(&[]));
    assert_eq!(session.on_response(404, &headers(&[])), Opening::Pass);
    assert_eq!(hand(&mut session, Sender::Client, b"anything").bytes, b"anything");
    let (_, guard) = worker(&super::rig::client(json!({})));
    let mut session = admitted(&guard, &arrival(&[]));
    assert_eq!(session.on_response(404, &headers(&[])), Opening::Pass);
    assert_eq!(hand(&mut session, Sender::Client, b"anything").bytes, b"", "enforce");
    assert_eq!(hand(&mut session, Sender::Server, b"its body").bytes, b"its body");
}

#[test]
fn a_policy_reports_beside_one_that_enforces() {
    let rules = json!([{"name": "r", "pattern": "<script", "action": "close"}]);
    let (host, guard) = worker(&json!({"policies": [
        {"name": "watch", "mode": "report", "match": {"paths": ["/other"]}, "client": {"rules": rules}},
        {"name": "chat", "client": {"rules": rules}},
    ]}));
    let mut other = arrival(&[]);
    other.head.target = b"/other".to_vec();
    let mut watched = admitted(&guard, &other);
    assert!(matches!(watched.on_response(101, &switching(&[])), Opening::Open(_)));
    let mut enforced = opened(&guard);
    events(&host);
    let bad = text("<script>");
    assert_eq!(hand(&mut watched, Sender::Client, &bad).bytes, bad);
    assert_ne!(hand(&mut enforced, Sender::Client, &bad).bytes, bad);
    let told = events(&host);
    assert_eq!((&told[0]["mode"], &told[0]["policy"]), (&json!("report"), &json!("watch")));
    assert_eq!((&told[1]["mode"], &told[1]["policy"]), (&json!("enforce"), &json!("chat")));
}
