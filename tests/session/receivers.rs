//! Receivers differ in their unit: some inflate frame by frame, some whole messages,
//! some never go on behind a final block. Whatever DEFLATE blocks a message is made
//! of, and however it is cut into frames, each of them decodes what was judged, and
//! every legal message arrives.

use super::compression::{frame, open};
use super::rig::{Rig, hand};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use proptest::prelude::*;
use serde_json::{Value, json};
use wsguard::frame::{FrameHeader, Sender, mask};

const TAIL: [u8; 4] = [0, 0, 0xFF, 0xFF];
const BOTH: [Sender; 2] = [Sender::Client, Sender::Server];

fn document(mode: &str, rules: &Value) -> Value {
    json!({"mode": mode, "policies": [{
        "name": "chat", "handshake": {"compression": "inspect"},
        "lifetime": {"push": true}, "client": rules, "server": rules,
    }]})
}

fn ruled(action: &str) -> Value {
    let rules = json!([{"name": "bad", "pattern": "<script>", "action": action}]);
    document("enforce", &json!({"rules": rules}))
}

fn hex(text: &str) -> Vec<u8> {
    let digits = text.split_whitespace().collect::<String>();
    let octets = digits.as_bytes().chunks(2);
    octets.map(|two| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

/// How a receiver inflates.
#[derive(Clone, Copy, Debug)]
enum Unit {
    /// Frame by frame, with a fresh decoder behind a final block (Node `ws`).
    Frame,
    /// Frame by frame, and nothing ever behind a final block (Python `websockets`).
    Stream,
    /// Whole messages, each block behind a final one with a fresh decoder.
    Message,
}

const UNITS: [Unit; 3] = [Unit::Frame, Unit::Stream, Unit::Message];

/// What one of them makes of data frames: content of each message.
fn decoded(unit: Unit, sender: Sender, mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut decoder = Some(Decompress::new(false));
    let (mut all, mut message, mut packed, mut compressed) = (vec![], vec![], vec![], false);
    while let Ok(Some((header, length))) = FrameHeader::parse(bytes, sender, true) {
        let end = length + usize::try_from(header.payload_bytes).unwrap();
        let mut payload = bytes[length..end].to_vec();
        bytes = &bytes[end..];
        if header.opcode.is_control() {
            continue;
        }
        if let Some(key) = header.mask {
            mask::apply(&mut payload, key, 0);
        }
        compressed |= header.compressed;
        if !compressed {
            message.extend(payload);
        } else {
            packed.extend(payload);
            if header.fin {
                packed.extend(TAIL);
            }
            if header.fin || !matches!(unit, Unit::Message) {
                inflate(unit, &mut decoder, &std::mem::take(&mut packed), &mut message);
            }
        }
        if header.fin {
            all.push(std::mem::take(&mut message));
            compressed = false;
        }
    }
    all
}

fn inflate(unit: Unit, decoder: &mut Option<Decompress>, mut packed: &[u8], out: &mut Vec<u8>) {
    while let (Some(stream), false) = (&mut *decoder, packed.is_empty()) {
        let before = stream.total_in();
        out.reserve(1 << 16);
        let status = stream.decompress_vec(packed, out, FlushDecompress::Sync);
        let read = usize::try_from(stream.total_in() - before).unwrap();
        packed = &packed[read..];
        match (status, unit) {
            (Ok(Status::StreamEnd), Unit::Stream) => *decoder = None,
            (Ok(Status::StreamEnd), _) => {
                *decoder = Some(Decompress::new(false));
                if matches!(unit, Unit::Frame) {
                    return;
                }
            }
            (Ok(_), _) if read > 0 => {}
            _ => return,
        }
    }
}

/// DEFLATE blocks that end with an octet.
#[derive(Clone, Debug)]
struct Blocks {
    text: Vec<u8>,
    packed: Vec<u8>,
    is_final: bool,
}

/// Stored, fixed and dynamic ones (zlib chooses by level and content), final or not,
/// empty or not; none refers to what was before it.
fn blocks() -> impl Strategy<Value = Blocks> {
    let text = prop_oneof![
        1 => Just(String::new()),
        4 => "[a-e ]{1,12}",
        2 => "(alpha|beta|gamma|größer| ){20,120}",
        1 => Just("x <script> y".to_owned()),
    ];
    (text, 0u32..=9, any::<bool>()).prop_map(|(text, level, is_final)| {
        let mut stream = Compress::new(Compression::new(level), false);
        let mut packed = Vec::with_capacity(text.len() * 2 + 1024);
        let flush = if is_final { FlushCompress::Finish } else { FlushCompress::Sync };
        stream.compress_vec(text.as_bytes(), &mut packed, flush).unwrap();
        if packed.is_empty() {
            // zlib flushes nothing twice.
            packed.extend([0, 0, 0, 0xFF, 0xFF]);
        }
        Blocks { text: text.into_bytes(), packed, is_final }
    })
}

/// A legal message: its text and its compressed payload (RFC 7692 §7.2.1).
fn legal(blocks: &[Blocks]) -> (Vec<u8>, Vec<u8>) {
    let text = blocks.iter().flat_map(|blocks| blocks.text.clone()).collect();
    let mut packed: Vec<u8> = blocks.iter().flat_map(|blocks| blocks.packed.clone()).collect();
    match blocks.last() {
        Some(last) if !last.is_final => packed.truncate(packed.len() - TAIL.len()),
        _ => packed.push(0),
    }
    (text, packed)
}

/// Frames of a message, cut at these places.
fn frames(sender: Sender, first: u8, payload: &[u8], cuts: &[prop::sample::Index]) -> Vec<u8> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
    places.extend([0, payload.len()]);
    places.sort_unstable();
    let last = places.len() - 2;
    let part = |(index, place): (usize, &[usize])| {
        let begin = if index == 0 { first } else { 0 };
        let fin = if index == last { 0x80 } else { 0 };
        frame(sender, begin | fin, &payload[place[0]..place[1]])
    };
    places.windows(2).enumerate().flat_map(part).collect()
}

fn pass(rig: &mut Rig, sender: Sender, bytes: &[u8], chunk: usize) -> Vec<u8> {
    bytes.chunks(chunk).flat_map(|piece| hand(&mut rig.session, sender, piece).bytes).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn every_receiver_decodes_what_was_judged(
        down: bool,
        sanitize: bool,
        messages in prop::collection::vec(
            (prop::collection::vec(blocks(), 1..5), prop::collection::vec(any::<prop::sample::Index>(), 0..4)),
            1..6,
        ),
        chunk in 1usize..200,
    ) {
        let sender = if down { Sender::Server } else { Sender::Client };
        let mut rig = open(&ruled(if sanitize { "sanitize" } else { "drop" }), "");
        let (mut stream, mut expected) = (Vec::new(), Vec::new());
        for (blocks, cuts) in &messages {
            let (text, packed) = legal(blocks);
            stream.extend(frames(sender, 0x41, &packed, cuts));
            let text = String::from_utf8(text).unwrap();
            if sanitize || !text.contains("<script>") {
                expected.push(text.replace("<script>", "").into_bytes());
            }
        }
        let gone_on = pass(&mut rig, sender, &stream, chunk);
        for unit in UNITS {
            prop_assert_eq!(&decoded(unit, sender, &gone_on), &expected, "{:?}", unit);
        }
    }

    /// Broken ones too: what goes on, all read alike.
    #[test]
    fn what_is_broken_is_refused_or_read_alike(
        blocks in prop::collection::vec(blocks(), 1..4),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        at: prop::sample::Index,
        to: u8,
    ) {
        let (_, mut packed) = legal(&blocks);
        let at = at.index(packed.len());
        packed[at] = to;
        let mut rig = open(&ruled("close"), "");
        let then = frame(Sender::Client, 0xC2, &legal(&blocks).1);
        let stream = [frames(Sender::Client, 0x42, &packed, &cuts), then].concat();
        let gone_on = pass(&mut rig, Sender::Client, &stream, stream.len());
        let read = UNITS.map(|unit| decoded(unit, Sender::Client, &gone_on));
        prop_assert_eq!(&read[0], &read[1]);
        prop_assert_eq!(&read[0], &read[2]);
    }
}

/// What `ws` read as a script, and we as something else.
#[test]
fn the_model_receivers_are_led_astray_by_what_is_not_guarded() {
    // An empty stored block and a dynamic one, whose bits spell harmless letters. To
    // a fresh decoder that got the tail alone they are the rest of a stored block.
    let third = hex("000000ffff04e081b46ddbb66ddbb2c6944b6d7dccb5cf7ddf3f841042f8013c73637269\
        70743e616c6572742831293c2f7363726970743efeff00");
    for sender in BOTH {
        let begin = frame(sender, 0x41, &hex("cb48cdc9c9070000"));
        let stream = [begin, frame(sender, 0x80, b""), frame(sender, 0xC2, &third)].concat();
        let script = |read: &[Vec<u8>]| read.iter().any(|m| m.windows(8).any(|w| w == b"<script>"));
        assert!(script(&decoded(Unit::Frame, sender, &stream)), "this is what the attack does");
        let mut rig = open(&ruled("close"), "");
        let gone_on = pass(&mut rig, sender, &stream, 7);
        let read = decoded(Unit::Message, sender, &gone_on);
        assert!(read[0] == b"hello" && read.len() == 2 && !script(&read), "{read:?}");
        for unit in UNITS {
            assert_eq!(decoded(unit, sender, &gone_on), read, "{unit:?}");
        }
    }
}

/// The form of what goes on: one frame, and inflated from the first final block on.
#[test]
fn what_came_in_fragments_goes_on_joined_and_what_has_a_final_block_inflated() {
    for sender in BOTH {
        let mut rig = open(&ruled("close"), "");
        let hello = hex("f2 48 cd c9 c9 07 00");
        for (sent, expected) in [
            ([frame(sender, 0x41, &hello), frame(sender, 0x80, b"")], frame(sender, 0xC1, &hello)),
            ([frame(sender, 0x42, b""), frame(sender, 0x80, &hello)], frame(sender, 0xC2, &hello)),
            ([vec![], frame(sender, 0xC1, &hello)], frame(sender, 0xC1, &hello)),
            (
                [frame(sender, 0x41, &hex("f3 48 cd c9 c9 07 00")), frame(sender, 0x80, &[0])],
                frame(sender, 0x81, b"Hello"),
            ),
            ([vec![], frame(sender, 0xC1, &hello)], frame(sender, 0x81, b"Hello")),
        ] {
            assert_eq!(pass(&mut rig, sender, &sent.concat(), 100), expected);
        }
        assert_eq!(rig.events(), Vec::<Value>::new());
    }
}

/// What waits for its turn goes on in the same form.
#[test]
fn so_does_what_waits() {
    let rules = json!({"rate": {"per_connection": "1/1s"}, "on_violation": "slow"});
    let mut rig = open(&document("enforce", &rules), "");
    assert_eq!(rig.pushed(), b"");
    let sender = Sender::Client;
    let hello = hex("f2 48 cd c9 c9 07 00");
    let last = hex("f3 48 cd c9 c9 07 00 00");
    let mut gone_on = Vec::new();
    for payload in [&hello, &hello, &last, &hello] {
        let (begin, end) = payload.split_at(3);
        let bytes = [frame(sender, 0x41, begin), frame(sender, 0x80, end)].concat();
        gone_on.extend(pass(&mut rig, sender, &bytes, 5));
    }
    assert_eq!(gone_on, frame(sender, 0xC1, &hello), "the others wait");
    for _ in 0..3 {
        for _ in 0..3 {
            rig.host.advance(std::time::Duration::from_millis(500));
            let _ = rig.session.on_tick();
        }
        gone_on.extend(rig.turn());
    }
    let plain = frame(sender, 0x81, b"Hello");
    let joined = frame(sender, 0xC1, &hello);
    assert_eq!(gone_on, [joined.clone(), joined, plain.clone(), plain].concat());
}

#[test]
fn report_tells_once_and_reads_that_direction_no_more() {
    let hello = hex("f2 48 cd c9 c9 07 00");
    let last = hex("f3 48 cd c9 c9 07 00 00");
    for sender in BOTH {
        let bad = frame(sender, 0x81, b"<script>");
        for (bytes, words) in [
            ([frame(sender, 0x41, &hello), frame(sender, 0x80, b"")].concat(), "fragments"),
            (frame(sender, 0xC1, &last), "BFINAL"),
        ] {
            let rules = json!({"rules": [{"name": "bad", "pattern": "<script>"}]});
            let mut rig = open(&document("report", &rules), "");
            let stream = [bytes.clone(), bad.clone(), bytes, b"\xff\xff\xff".to_vec()].concat();
            assert_eq!(pass(&mut rig, sender, &stream, 3), stream);
            let event = rig.event();
            assert_eq!((&event["event"], &event["reason"]), (&json!("reported"), &json!(null)));
            assert_eq!(event["direction"], sender.name());
            let detail = event["detail"].as_str().unwrap();
            assert!(detail.contains(words) && detail.contains("unseen"), "{detail}");
            assert_eq!(rig.buffered(), 0);
            // The other direction is read on, and the connection lives.
            let other = sender.other();
            let bad = frame(other, 0x81, b"<script>");
            assert_eq!(pass(&mut rig, other, &bad, 100), bad);
            assert_eq!(rig.event()["reason"], "rule_matched");
            assert!(!rig.session.on_tick().reset);
        }
    }
}
