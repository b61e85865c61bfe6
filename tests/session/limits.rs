//! Limits at their edges, types, and what several rules do together.

use super::rig::{Rig, assert_masked_close, client, masked, raw, text};
use serde_json::{Value, json};

fn passes(document: &Value, bytes: &[u8]) -> bool {
    let mut rig = Rig::open(document);
    let step = rig.client(bytes);
    assert_eq!(step.refused.is_none(), step.bytes == bytes, "all or nothing");
    step.refused.is_none()
}

#[test]
fn a_frame_and_a_message_may_be_exactly_as_large_as_the_limit() {
    for size in [1usize, 125, 126, 127, 65535, 65536] {
        let document = client(json!({"max_frame": size, "max_message": size + 1}));
        assert!(passes(&document, &masked(0x82, &vec![0; size])));
        assert!(!passes(&document, &masked(0x82, &vec![0; size + 1])));
        let two = |last: &[u8]| [masked(0x02, &vec![0; size]), masked(0x80, last)].concat();
        assert!(passes(&document, &two(b"a")));
        assert!(!passes(&document, &two(b"ab")));
    }
}

#[test]
fn a_message_may_have_exactly_as_many_fragments_as_the_limit() {
    let document = client(json!({"max_fragments": 4}));
    let fragments = |between: usize| {
        let mut frames = masked(0x01, b"a");
        for _ in 0..between {
            frames.extend(masked(0x00, b""));
            frames.extend(masked(0x89, b"control frames are no fragments"));
        }
        frames.extend(masked(0x80, b""));
        frames
    };
    let mut rig = Rig::open(&document);
    for _ in 0..3 {
        assert_eq!(rig.client(&fragments(2)).refused, None, "each message counts its own");
    }
    let refused = rig.client(&fragments(3)).refused.unwrap();
    assert_eq!(refused.name(), "too_many_fragments");
}

#[test]
fn one_fragment_is_a_message_that_is_not_fragmented() {
    let document = client(json!({"max_fragments": 1}));
    assert!(passes(&document, &text("whole")));
    assert!(!passes(&document, &[masked(0x01, b"a"), masked(0x80, b"b")].concat()));
}

/// 64-bit lengths whose lower half is small: a cut to 32 bits would pass them.
#[test]
fn lengths_beyond_32_bits_are_compared_whole() {
    for length in [(1u64 << 32) + 5, 1 << 32, (1 << 63) - 1, (1 << 33) + 1] {
        for first in [0x81, 0x82, 0x01, 0x02] {
            let mut rig = Rig::open(&client(json!({})));
            let mut bytes = vec![first, 0xFF];
            bytes.extend(length.to_be_bytes());
            bytes.extend([0; 4]);
            bytes.extend([0; 64]);
            let step = rig.client(&bytes);
            assert_masked_close(&step.bytes, 1009, "");
            assert_eq!(step.refused.unwrap().name(), "frame_too_big");
        }
    }
}

/// Fragments whose announced lengths add up beyond 64 bits.
#[test]
fn announced_lengths_do_not_wrap_around() {
    let mut rig = Rig::open(&client(json!({"max_message": 64 << 20})));
    assert_eq!(rig.client(&masked(0x02, b"a")).refused, None);
    let mut bytes = vec![0x00, 0xFF];
    bytes.extend(((1u64 << 63) - 1).to_be_bytes());
    bytes.extend([0; 4]);
    assert_eq!(rig.client(&bytes).refused.unwrap().name(), "frame_too_big");
}

#[test]
fn only_the_listed_types_pass() {
    let (text, binary) = (masked(0x81, b"a"), masked(0x82, b"a"));
    for (types, allowed, denied) in [("text", &text, &binary), ("binary", &binary, &text)] {
        let document = client(json!({"types": [types]}));
        assert!(passes(&document, allowed));
        let mut rig = Rig::open(&document);
        assert_masked_close(&rig.client(denied).bytes, 1003, "");
        assert!(passes(&document, &masked(0x89, b"")), "control frames have no type");
    }
    assert!(passes(&client(json!({})), &[text.clone(), binary.clone()].concat()));
}

#[test]
fn a_type_that_is_only_reported_passes_and_is_still_inspected() {
    let mut rig = Rig::open(&client(json!({
        "types": ["text"], "on_violation": "report",
        "rules": [{"name": "stop", "pattern": "stop", "action": "close"}],
    })));
    let binary = masked(0x82, b"\xff\x00");
    assert_eq!(rig.client(&binary).bytes, binary);
    let event = rig.event();
    assert_eq!(
        (event["event"].as_str(), event["reason"].as_str(), event["mode"].as_str()),
        (Some("reported"), Some("type_denied"), Some("enforce"))
    );
    assert_masked_close(&rig.client(&masked(0x82, b"\xffstop")).bytes, 1008, "");
}

#[test]
fn a_rule_that_only_reports_lets_the_message_pass_byte_for_byte() {
    let mut rig = Rig::open(&client(json!({"rules": [
        {"name": "watch", "pattern": "secret", "action": "report"},
        {"name": "stop", "pattern": "<script", "action": "close"},
    ]})));
    let whole = raw(0x81, b"a secret", Some([1, 2, 3, 4]));
    let parts = [raw(0x01, b"a sec", Some([5, 6, 7, 8])), raw(0x80, b"ret", Some([0; 4]))].concat();
    for (bytes, cut) in [(&whole, 0), (&whole, 9), (&parts, 0), (&parts, 3), (&parts, 14)] {
        let step = rig.client_in(&[&bytes[..cut], &bytes[cut..]]);
        assert_eq!(&step, bytes);
        let event = rig.event();
        assert_eq!(
            (event["event"].as_str(), event["rule"].as_str()),
            (Some("reported"), Some("watch"))
        );
    }
    let reported = r#"wsguard_violations_total{policy="chat",direction="client",reason="rule_matched",action="report",rule="watch"}"#;
    assert_eq!(rig.host.metric(reported), 5);
    assert_eq!(rig.client(&text("a secret")).refused, None, "no refusal is told to access logs");
    rig.events();
    assert_masked_close(&rig.client(&text("a secret <script")).bytes, 1008, "");
    assert_eq!(rig.event()["rule"], "stop", "the most severe names itself");
}

#[test]
fn rules_without_an_action_have_that_of_the_direction() {
    let mut rig = Rig::open(&client(json!({
        "on_violation": "report",
        "rules": [{"name": "one", "pattern": "a"}, {"name": "two", "pattern": "b", "action": "close"}],
    })));
    assert_eq!(rig.client(&text("a")).bytes, text("a"));
    assert_masked_close(&rig.client(&text("b")).bytes, 1008, "");
}

/// What is good in one message must not be remembered for the next.
#[test]
fn a_pattern_does_not_span_two_messages() {
    let document = client(json!({"rules": [{"name": "r", "pattern": "ab", "action": "close"}]}));
    assert!(passes(
        &document,
        &[text("a"), text("b"), masked(0x01, b"a"), masked(0x80, b"")].concat()
    ));
}
