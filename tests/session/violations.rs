//! Every way in which a client can break a rule: what goes on, what both sides
//! are told, and the event, whatever the cut.

use super::rig::{Rig, assert_masked_close, client, masked, raw, text, told_client};
use serde_json::{Value, json};

struct Case {
    name: &'static str,
    /// What the client sends, behind a good message.
    bytes: Vec<u8>,
    /// What of that still goes on: control frames ahead of the violation.
    passes: Vec<u8>,
    /// Where in the whole stream the frame at fault begins.
    offset: usize,
    reason: &'static str,
    code: u16,
    detail: &'static str,
}

fn rules() -> Value {
    json!({
        "max_frame": 200, "max_message": 300, "max_fragments": 3,
        "types": ["text"],
        "rules": [{"name": "no-scripts", "pattern": "(?i)<script", "action": "close"}],
    })
}

fn case(name: &'static str, bytes: Vec<u8>, verdict: (&'static str, u16, &'static str)) -> Case {
    let (reason, code, detail) = verdict;
    Case { name, bytes, passes: Vec::new(), offset: 0, reason, code, detail }
}

fn broken(name: &'static str, bytes: &[u8], detail: &'static str) -> Case {
    case(name, bytes.to_vec(), ("protocol_error", 1002, detail))
}

fn framing() -> Vec<Case> {
    let reserved_bit = "a reserved bit is set and no extension was agreed";
    let length = "a payload length is not minimally encoded";
    let fragmented = "a control frame is fragmented";
    let too_long = "a control frame is longer than 125 bytes";
    let mut ping_126 = vec![0x89, 0xFE, 0, 126];
    ping_126.extend([0; 130]);
    vec![
        broken("RSV1", &masked(0xC1, b"a"), reserved_bit),
        broken("RSV2", &masked(0xA1, b"a"), reserved_bit),
        broken("RSV3", &masked(0x91, b"a"), reserved_bit),
        broken("RSV1 of a ping", &masked(0xC9, b"a"), reserved_bit),
        broken("a reserved opcode", &masked(0x83, b"a"), "opcode 0x3 is reserved"),
        broken("a reserved control opcode", &masked(0x8B, b"a"), "opcode 0xb is reserved"),
        broken("no mask", &raw(0x81, b"a", None), "a client's frame is not masked"),
        broken("a ping without mask", &raw(0x89, b"", None), "a client's frame is not masked"),
        broken("a long ping", &ping_126, too_long),
        broken("a fragmented ping", &masked(0x09, b"a"), fragmented),
        broken("a fragmented Close", &masked(0x08, b"\x03\xe8"), fragmented),
        broken("5 in 16 bits", &[0x81, 0xFE, 0, 5, 0, 0, 0, 0, 1, 2, 3, 4, 5], length),
        broken("0 in 64 bits", &[0x81, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4], length),
        broken("65535 in 64 bits", &[0x81, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0], length),
        broken(
            "2^63",
            &[0x81, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0],
            "a payload length is larger than 2^63-1",
        ),
        broken(
            "a continuation of nothing",
            &masked(0x80, b"a"),
            "a continuation frame continues nothing",
        ),
        broken(
            "a Close of one byte",
            &masked(0x88, b"\x03"),
            "a close frame has a payload of one byte",
        ),
    ]
}

fn closes() -> Vec<Case> {
    let detail = |code: u16| -> &'static str {
        Box::leak(format!("close code {code} must not be sent").into_boxed_str())
    };
    let codes = [0u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535];
    let close =
        |code: u16| broken("a close code", &masked(0x88, &code.to_be_bytes()), detail(code));
    codes.into_iter().map(close).collect()
}

fn limits() -> Vec<Case> {
    let binary = ("type_denied", 1003, "binary messages are not allowed");
    let (first, empty) = (masked(0x01, b"a"), masked(0x00, b""));
    let full = masked(0x01, &[b'a'; 200]);
    // 4 GiB and 5 bytes: 5, were it cut to 32 bits.
    let wide = |first| vec![first, 0xFF, 0, 0, 0, 1, 0, 0, 0, 5, 1, 2, 3, 4, b'a'];
    vec![
        case("binary", masked(0x82, b"a"), binary),
        case("binary of 4 GiB", wide(0x82), binary),
        case(
            "text of 4 GiB",
            wide(0x81),
            ("frame_too_big", 1009, "a frame of 4294967301 bytes, allowed are 200"),
        ),
        case(
            "a frame too big",
            masked(0x81, &[b'a'; 201]),
            ("frame_too_big", 1009, "a frame of 201 bytes, allowed are 200"),
        ),
        case(
            "a message too big",
            [full.clone(), masked(0x80, &[b'a'; 101])].concat(),
            ("message_too_big", 1009, "a message of 301 bytes or more, allowed are 300"),
        )
        .at(full.len()),
        case(
            "too many fragments",
            [first.clone(), empty.clone(), empty.clone(), empty.clone()].concat(),
            ("too_many_fragments", 1008, "a message in more than 3 fragments"),
        )
        .at(first.len() + 2 * empty.len()),
        case(
            "a message in another",
            [first.clone(), masked(0x81, b"b")].concat(),
            ("protocol_error", 1002, "a new message begins before the last one ended"),
        )
        .at(first.len()),
    ]
}

fn contents() -> Vec<Case> {
    let utf8 = ("invalid_utf8", 1007, "text or a close reason is not UTF-8");
    let matched = ("rule_matched", 1008, "the message matches a rule");
    let (first, ping) = (masked(0x01, b"a"), masked(0x89, b"now"));
    let (half, other_half) = (masked(0x01, b"a <scr"), masked(0x80, b"ipt>"));
    let begun = masked(0x00, "€".as_bytes()[..2].as_ref());
    vec![
        case("text that is no UTF-8", masked(0x81, b"ab\xff"), utf8),
        case("text that ends in a character", masked(0x81, "a€".as_bytes()[..3].as_ref()), utf8),
        case(
            "a character that its next fragment does not finish",
            [first.clone(), begun.clone(), masked(0x80, b"b")].concat(),
            utf8,
        )
        .at(first.len() + begun.len()),
        case("a close reason that is no UTF-8", masked(0x88, b"\x03\xe8\xff"), utf8),
        case("a pattern", text("a <ScRiPt>"), matched),
        case("a pattern in fragments", [half.clone(), other_half.clone()].concat(), matched)
            .at(half.len()),
        case(
            "a pattern in fragments around a ping",
            [half.clone(), ping.clone(), other_half].concat(),
            matched,
        )
        .at(half.len() + ping.len())
        .letting_pass(&ping),
    ]
}

impl Case {
    fn at(self, offset: usize) -> Self {
        Self { offset, ..self }
    }

    fn letting_pass(self, frame: &[u8]) -> Self {
        Self { passes: frame.to_vec(), ..self }
    }
}

/// Plays the case in these pieces and holds everything that must be.
fn play(rig: &mut Rig, case: &Case, good: &[u8], pieces: &[&[u8]]) {
    let name = case.name;
    rig.reopen();
    let rule = if case.reason == "rule_matched" { ",rule=\"no-scripts\"" } else { "" };
    let metric = format!(
        "wsguard_violations_total{{policy=\"chat\",direction=\"client\",reason=\"{}\",\
         action=\"close\"{rule}}}",
        case.reason
    );
    let counted = rig.host.metric(&metric);
    let gone_on = rig.client_in(pieces);
    let expected = [good, &case.passes].concat();
    let (before, close) = gone_on.split_at_checked(expected.len()).expect(name);
    assert_eq!(before, expected, "{name}");
    assert_masked_close(close, case.code, "");

    let event = rig.event();
    assert_eq!(event["event"], "refused", "{name}");
    assert_eq!(event["reason"], case.reason, "{name}");
    assert_eq!(event["direction"], "client", "{name}");
    assert_eq!(event["offset"], good.len() + case.offset, "{name}");
    let detail = event["detail"].as_str().unwrap();
    assert!(detail.starts_with(case.detail), "{name}: {detail}");
    let rule = if case.reason == "rule_matched" { json!("no-scripts") } else { Value::Null };
    assert_eq!(event["rule"], rule, "{name}");
    assert_eq!(rig.host.metric(&metric), counted + 1, "{name}");

    assert_eq!(rig.client(&text("more")).bytes, b"", "{name}");
    let echo = rig.server(&told_client(case.code, ""));
    assert_eq!(echo.bytes, told_client(case.code, case.reason), "{name}");
    assert!(!echo.reset);
    assert_eq!(rig.server(&[0x81, 1, b'a']).bytes, b"", "{name}");
    rig.session.on_end();
    let closed = rig.event();
    assert_eq!((&closed["event"], &closed["reason"]), (&json!("closed"), &json!(case.reason)));
    assert_eq!(closed["code"], case.code);
    assert_eq!(closed["messages"]["client"], 1, "the good one, and nothing of the other");
    assert_eq!(rig.buffered(), 0, "{name}");
}

#[test]
fn each_violation_ends_both_sides_with_its_code_whatever_the_cut() {
    let good = text("hello");
    let mut rig = Rig::open(&client(rules()));
    for case in framing().iter().chain(&closes()).chain(&limits()).chain(&contents()) {
        let stream = [good.as_slice(), &case.bytes].concat();
        play(&mut rig, case, &good, &[&stream]);
        for cut in 1..stream.len() {
            play(&mut rig, case, &good, &[&stream[..cut], &stream[cut..]]);
        }
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        play(&mut rig, case, &good, &bytes);
        let with_empty: Vec<&[u8]> = stream.chunks(1).flat_map(|byte| [byte, &[]]).collect();
        play(&mut rig, case, &good, &with_empty);
    }
}

/// The must-show of the guard: a pattern is found wherever it is split.
#[test]
fn a_pattern_is_found_at_every_split_and_nothing_of_the_message_goes_on() {
    let payload = b"say <script> now";
    for (opcode, types) in [(0x01u8, "text"), (0x02, "binary")] {
        let document = client(json!({
            "types": [types],
            "rules": [{"name": "no-scripts", "pattern": "<script", "action": "close"}],
        }));
        let mut rig = Rig::open(&document);
        for split in 0..=payload.len() {
            for again in split..=payload.len() {
                let stream = [
                    raw(opcode, &payload[..split], Some([1, 2, 3, 4])),
                    raw(0x00, &payload[split..again], Some([0; 4])),
                    raw(0x80, &payload[again..], Some([0xFF, 0, 7, 0x3C])),
                ]
                .concat();
                for cut in 0..stream.len() {
                    rig.reopen();
                    let gone_on = rig.client_in(&[&stream[..cut], &stream[cut..]]);
                    assert_masked_close(&gone_on, 1008, "");
                }
            }
        }
    }
}

#[test]
fn a_header_is_refused_before_its_payload_comes() {
    let mut rig = Rig::open(&client(json!({"max_message": 1000})));
    let step = rig.client(&[0x81, 0xFE, 0x03, 0xE9, 1, 2, 3, 4]);
    assert_masked_close(&step.bytes, 1009, "");
    let mut rig = Rig::open(&client(json!({"max_message": 1000})));
    assert_masked_close(&rig.client(&[0xF1]).bytes, 1002, "");
}
