//! Compressed messages (RFC 7692): inflated to be judged, and on their way as
//! they came until one is changed.

use super::rig::{
    BEGIN, Rig, admitted, arrival, assert_masked_close, masked, raw, switching, worker,
};
use flate2::{Compress, Compression, FlushCompress};
use serde_json::{Value, json};
use wsguard::config::Config;
use wsguard::frame::Sender;
use wsguard::frame::mask;
use wsguard::guard::Guard;
use wsguard::host::Timestamp;
use wsguard::host::memory::MemoryHost;
use wsguard::session::Opening;

const KEY: [u8; 4] = [9, 8, 7, 6];

fn document(rules: &Value) -> Value {
    json!({"policies": [{
        "name": "chat", "handshake": {"compression": "inspect"},
        "client": rules, "server": rules,
    }]})
}

fn ruled(action: &str) -> Value {
    document(&json!({"rules": [{"name": "bad", "pattern": "<script>", "action": action}]}))
}

/// A connection with permessage-deflate, by these parameters of upstream's.
pub(super) fn open(document: &Value, parameters: &str) -> Rig {
    let (host, guard) = worker(document);
    let extension = format!("permessage-deflate{parameters}");
    let offer = "permessage-deflate; client_max_window_bits";
    let mut session = admitted(&guard, &arrival(&[("sec-websocket-extensions", offer)]));
    let answer = switching(&[("sec-websocket-extensions", extension.as_str())]);
    assert!(matches!(session.on_response(101, &answer), Opening::Open(_)));
    host.take_lines();
    Rig { host, guard, session }
}

/// One end's compressor.
pub(super) struct Deflater {
    stream: Compress,
    takeover: bool,
}

impl Deflater {
    pub(super) fn new(takeover: bool) -> Self {
        Self { stream: Compress::new(Compression::best(), false), takeover }
    }

    /// The payload of a message on the wire.
    pub(super) fn message(&mut self, text: &[u8]) -> Vec<u8> {
        if !self.takeover {
            self.stream = Compress::new(Compression::best(), false);
        }
        let mut out = Vec::with_capacity(text.len() + 1024);
        self.stream.compress_vec(text, &mut out, FlushCompress::Sync).unwrap();
        if text.is_empty() {
            // RFC 7692 §7.2.3.6; zlib flushes nothing twice.
            return vec![0];
        }
        assert!(out.ends_with(&[0, 0, 0xFF, 0xFF]));
        out.truncate(out.len() - 4);
        out
    }
}

pub(super) fn frame(sender: Sender, first: u8, payload: &[u8]) -> Vec<u8> {
    raw(first, payload, (sender == Sender::Client).then_some(KEY))
}

fn send(rig: &mut Rig, sender: Sender, bytes: &[u8]) -> Vec<u8> {
    match sender {
        Sender::Client => rig.client(bytes).bytes,
        Sender::Server => rig.server(bytes).bytes,
    }
}

const BOTH: [Sender; 2] = [Sender::Client, Sender::Server];

#[test]
fn good_messages_go_on_as_they_came_but_in_one_frame_whatever_the_cut() {
    for (sender, takeover) in [(BOTH[0], true), (BOTH[0], false), (BOTH[1], true), (BOTH[1], false)]
    {
        let mut deflater = Deflater::new(takeover);
        let (mut stream, mut expected) = (Vec::new(), Vec::new());
        for text in ["hello", "hello hello", "", "größer 日本語", "hello again"] {
            let payload = deflater.message(text.as_bytes());
            let (head, rest) = payload.split_at(payload.len() / 2);
            stream.extend(frame(sender, 0x41, head));
            stream.extend(frame(sender, 0x89, b"ping"));
            stream.extend(frame(sender, 0x80, rest));
            let alike = [
                frame(sender, 0xC2, &deflater.message(b"in one frame")),
                frame(sender, 0x01, b"not "),
                frame(sender, 0x80, b"compressed"),
            ];
            stream.extend(alike.concat());
            expected.extend(frame(sender, 0x89, b"ping"));
            expected.extend(frame(sender, 0xC1, &payload));
            expected.extend(alike.concat());
        }
        for size in [1, 2, 3, 5, 8, 13, 40, stream.len() - 1] {
            let mut rig = open(&ruled("close"), "");
            let mut seen = Vec::new();
            for chunk in stream.chunks(size) {
                seen.extend(send(&mut rig, sender, chunk));
            }
            // Pings go ahead of what is held.
            assert_eq!(seen, expected, "{sender:?} {takeover} {size}");
            assert_eq!(rig.events(), Vec::<Value>::new());
        }
    }
}

#[test]
fn what_is_forbidden_is_found_in_what_is_compressed() {
    for sender in BOTH {
        let mut deflater = Deflater::new(true);
        let good = frame(sender, 0xC1, &deflater.message(b"a <scr"));
        let bad = deflater.message(b"a <script> of parts that came before");
        assert!(!bad.windows(7).any(|part| part == b"<script"));
        for cut in 0..=bad.len() {
            let mut rig = open(&ruled("close"), "");
            assert_eq!(send(&mut rig, sender, &good), good);
            let (head, rest) = bad.split_at(cut);
            assert_eq!(send(&mut rig, sender, &frame(sender, 0x41, head)), b"");
            let closed = send(&mut rig, sender, &frame(sender, 0x80, rest));
            match sender {
                Sender::Client => assert_masked_close(&closed, 1008, ""),
                Sender::Server => assert_eq!(closed, [0x88, 2, 0x03, 0xF0]),
            }
            assert_eq!(rig.event()["rule"], "bad");
            assert_eq!(rig.buffered(), 0);
        }
    }
}

/// What later messages refer to has not reached the other end.
#[test]
fn after_a_change_later_messages_go_on_inflated() {
    for (action, sender) in
        [("drop", BOTH[0]), ("drop", BOTH[1]), ("sanitize", BOTH[0]), ("sanitize", BOTH[1])]
    {
        let mut deflater = Deflater::new(true);
        let mut rig = open(&ruled(action), "");
        let first = frame(sender, 0xC1, &deflater.message(b"a word to refer to"));
        assert_eq!(send(&mut rig, sender, &first), first);
        let bad = frame(sender, 0xC1, &deflater.message(b"another <script> word"));
        let left = send(&mut rig, sender, &bad);
        match action {
            "drop" => assert_eq!(left, b""),
            _ => assert_eq!(left, frame(sender, 0x81, b"another  word")),
        }
        let next = deflater.message(b"another word to refer to");
        let halves = next.split_at(3);
        assert_eq!(send(&mut rig, sender, &frame(sender, 0x42, halves.0)), b"");
        let inflated = send(&mut rig, sender, &frame(sender, 0x80, halves.1));
        assert_eq!(inflated, frame(sender, 0x82, b"another word to refer to"), "{action}");
        let plain = frame(sender, 0x01, b"as it came");
        send(&mut rig, sender, &plain);
        let end = frame(sender, 0x80, b"");
        assert_eq!(send(&mut rig, sender, &end), [plain, end].concat());
    }
}

#[test]
fn the_other_direction_is_not_concerned() {
    let (mut up, mut down) = (Deflater::new(true), Deflater::new(true));
    let mut rig = open(&ruled("drop"), "");
    rig.client(&frame(Sender::Client, 0xC1, &up.message(b"<script>")));
    let reply = frame(Sender::Server, 0xC1, &down.message(b"hello"));
    assert_eq!(rig.server(&reply).bytes, reply);
}

#[test]
fn a_reply_to_a_compressed_message_is_not_compressed() {
    let mut up = Deflater::new(true);
    let mut rig = open(&ruled("reply"), "");
    rig.client(&frame(Sender::Client, 0xC1, &up.message(b"<script>")));
    let told = rig.server(b"").bytes;
    assert!(told[0] == 0x81 && told.windows(12).any(|part| part == b"rule_matched"));
}

/// A type that is dropped has to be read all the same, or what follows could
/// not be.
#[test]
fn what_follows_a_dropped_type_is_read() {
    for sender in BOTH {
        let mut deflater = Deflater::new(true);
        let mut rig = open(&document(&json!({"types": ["text"], "on_violation": "drop"})), "");
        let binary = frame(sender, 0xC2, &deflater.message(b"the words of the other one"));
        assert_eq!(send(&mut rig, sender, &binary), b"");
        let text = frame(sender, 0xC1, &deflater.message(b"the words of the other one"));
        let expected = frame(sender, 0x81, b"the words of the other one");
        assert_eq!(send(&mut rig, sender, &text), expected);
    }
}

#[test]
fn a_bomb_is_refused_before_it_takes_memory() {
    for sender in BOTH {
        let mut rig = open(&document(&json!({"max_message": "1MiB"})), "");
        let bomb = Deflater::new(true).message(&vec![b'a'; 16 << 20]);
        assert!(bomb.len() < 20_000);
        let closed = send(&mut rig, sender, &frame(sender, 0xC1, &bomb));
        match sender {
            Sender::Client => assert_masked_close(&closed, 1009, ""),
            Sender::Server => assert_eq!(closed, [0x88, 2, 0x03, 0xF1]),
        }
        let event = rig.event();
        assert_eq!(
            (event["reason"].as_str(), event["direction"].as_str()),
            (Some("inflated_too_big"), Some(sender.name()))
        );
        assert_eq!(rig.buffered(), 0);
    }
}

/// A final block is enough to have all that follows go on inflated, and one chunk holds
/// thousands of messages, none of which is too long by itself.
#[test]
fn what_goes_on_inflated_in_the_place_of_one_chunk_is_charged() {
    let mut document = document(&json!({}));
    document["limits"] = json!({"buffered_per_worker": "8MiB", "buffered_per_ip": "8MiB"});
    let parameters = "; client_no_context_takeover; server_no_context_takeover";
    let bomb = Deflater::new(false).message(&vec![b'a'; 64 << 10]);
    assert!(bomb.len() < 100);
    for sender in BOTH {
        let mut last = Vec::with_capacity(100);
        Compress::new(Compression::best(), false)
            .compress_vec(b"final", &mut last, FlushCompress::Finish)
            .unwrap();
        last.push(0);
        let bombs = |n| frame(sender, 0xC1, &bomb).repeat(n);
        let mut rig = open(&document, parameters);
        let seen = send(&mut rig, sender, &[frame(sender, 0xC1, &last), bombs(100)].concat());
        assert!(seen.len() > 100 * (64 << 10), "{}", seen.len());
        assert_eq!((rig.events(), rig.buffered()), (vec![], 0));
        let seen = send(&mut rig, sender, &bombs(10_000));
        assert!(seen.len() < 9 << 20, "{} MiB", seen.len() >> 20);
        assert_eq!(rig.event()["reason"], "overloaded");
        assert_eq!(rig.buffered(), 0);
    }
}

#[test]
fn what_is_no_deflate_and_no_text_is_refused() {
    let mut rig = open(&document(&json!({})), "");
    assert_masked_close(&rig.client(&masked(0xC1, &[0xFF; 9])).bytes, 1002, "");
    assert_eq!(rig.event()["reason"], "protocol_error");
    let mut rig = open(&document(&json!({})), "");
    let text = Deflater::new(true).message(b"\xff");
    assert_masked_close(&rig.client(&masked(0xC1, &text)).bytes, 1007, "");
    let mut rig = open(&document(&json!({})), "");
    assert_eq!(rig.client(&masked(0xC2, &text)).bytes, masked(0xC2, &text), "binary may be that");
}

#[test]
fn rsv1_where_it_has_no_meaning_is_refused() {
    for bytes in [masked(0xC9, b""), [masked(0x01, b"a"), masked(0xC0, b"")].concat()] {
        let mut rig = open(&document(&json!({})), "");
        assert_masked_close(&rig.client(&bytes).bytes, 1002, "");
    }
    let mut rig = Rig::open(&document(&json!({})));
    assert_masked_close(&rig.client(&masked(0xC1, b"")).bytes, 1002, "");
}

#[test]
fn what_is_kept_between_messages_is_charged_and_given_back() {
    let text: Vec<u8> = (0..20_000_u32).flat_map(|n| n.to_string().into_bytes()).collect();
    let mut rig = open(&document(&json!({})), "");
    let first = Deflater::new(true).message(&text);
    rig.client(&masked(0xC1, &first));
    assert_eq!(rig.buffered(), 32 << 10, "a window of 15 bits");
    rig.client(&masked(0x88, b""));
    assert_eq!(rig.buffered(), 0);
    let mut rig = open(&document(&json!({})), "; client_no_context_takeover");
    rig.client(&masked(0xC1, &first));
    assert_eq!(rig.buffered(), 0);
}

#[test]
fn report_changes_nothing_and_reads_on() {
    for sender in BOTH {
        let mut document = ruled("close");
        document["mode"] = json!("report");
        let mut deflater = Deflater::new(true);
        let mut rig = open(&document, "");
        for text in ["<script>", "good", "<script>"] {
            let bytes = frame(sender, 0xC1, &deflater.message(text.as_bytes()));
            for byte in bytes.chunks(1) {
                assert_eq!(send(&mut rig, sender, byte), byte);
            }
        }
        let reasons: Vec<_> = rig.events().iter().map(|e| e["reason"].clone()).collect();
        assert_eq!(reasons, ["rule_matched", "rule_matched"]);
    }
}

/// Without what it would have inflated to, nothing that follows could be read.
#[test]
fn in_report_what_follows_a_message_that_is_too_big_passes_unseen() {
    let mut document = document(&json!({"max_message": 100}));
    document["mode"] = json!("report");
    let mut deflater = Deflater::new(true);
    let mut rig = open(&document, "");
    for text in [vec![b'a'; 5000], b"\xff".to_vec()] {
        let bytes = masked(0xC1, &deflater.message(&text));
        assert_eq!(rig.client(&bytes).bytes, bytes);
    }
    let reasons: Vec<_> = rig.events().iter().map(|e| e["reason"].clone()).collect();
    assert_eq!(reasons, ["inflated_too_big"]);
}

#[test]
fn a_mask_of_the_clients_own_covers_what_is_sent_in_its_place() {
    let mut deflater = Deflater::new(true);
    let mut rig = open(&ruled("sanitize"), "");
    let bad = raw(0xC1, &deflater.message(b"a<script>b"), Some([1, 2, 3, 4]));
    let sent = rig.client(&bad).bytes;
    assert_eq!(sent[..6], [0x81, 0x82, 1, 2, 3, 4]);
    let mut payload = sent[6..].to_vec();
    mask::apply(&mut payload, [1, 2, 3, 4], 0);
    assert_eq!(payload, b"ab");
}

/// The receiver inflates in the order in which messages go on: what a heartbeat
/// overtakes must not be what later messages refer to in another place.
#[test]
fn what_overtakes_held_messages_leaves_the_receiver_in_step() {
    let document = json!({"policies": [{
        "name": "chat", "handshake": {"compression": "inspect"}, "lifetime": {"push": true},
        "auth": {"forward": true, "credentials": [{"first_message": "socketio"}],
                 "api_keys": [{"id": "a", "key": {"env": "KEY"}}]},
    }]});
    let host = std::rc::Rc::new(MemoryHost::at(Timestamp::from_unix(BEGIN)));
    let key = |_: &str| Some("the-api-key-of-alice".to_owned());
    let config = Config::parse(&document.to_string(), &key).unwrap();
    let guard = Guard::new(config, std::rc::Rc::<MemoryHost>::clone(&host));
    let mut request = arrival(&[("sec-websocket-extensions", "permessage-deflate")]);
    request.head.target = b"/ws?EIO=4&transport=websocket".to_vec();
    let mut session = admitted(&guard, &request);
    let answer = switching(&[("sec-websocket-extensions", "permessage-deflate")]);
    assert!(matches!(session.on_response(101, &answer), Opening::Open(_)));
    let mut rig = Rig { host, guard, session };
    let mut deflater = Deflater::new(true);
    let mut gone_on = Vec::new();
    let held = "42[\"a message that is held until the client is known\"]";
    let connect = "40{\"token\":\"the-api-key-of-alice\"}";
    for said in [held, "3", connect, held] {
        let payload = deflater.message(said.as_bytes());
        gone_on.extend(rig.client(&frame(Sender::Client, 0xC1, &payload)).bytes);
    }
    assert_eq!(read_by_upstream(&gone_on), ["3", held, connect, held]);
}

/// What a server makes of these frames.
fn read_by_upstream(mut bytes: &[u8]) -> Vec<String> {
    let mut inflater = flate2::Decompress::new(false);
    let mut all = Vec::new();
    while let Ok(Some((header, length))) =
        wsguard::frame::FrameHeader::parse(bytes, Sender::Client, true)
    {
        let end = length + usize::try_from(header.payload_bytes).unwrap();
        let mut payload = bytes[length..end].to_vec();
        mask::apply(&mut payload, header.mask.unwrap(), 0);
        if header.compressed {
            payload.extend([0, 0, 0xFF, 0xFF]);
            let mut out = Vec::with_capacity(4096);
            inflater.decompress_vec(&payload, &mut out, flate2::FlushDecompress::Sync).unwrap();
            payload = out;
        }
        all.push(String::from_utf8_lossy(&payload).into_owned());
        bytes = &bytes[end..];
    }
    all
}

/// Longer than the room that is made for a message at first.
#[test]
fn long_messages_pass_as_they_came() {
    let words = ["select", "hello", "Zürich", "{\"type\":\"say\"}", "0123456789", "and so on"];
    let mut number = 1u32;
    let mut word = || {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        format!("{} {} ", words[number as usize % words.len()], number % 97)
    };
    let text: String = (0..30_000).map(|_| word()).collect();
    for (parameters, takeover) in
        [("", true), ("; client_no_context_takeover; server_no_context_takeover", false)]
    {
        for sender in [Sender::Client, Sender::Server] {
            let mut rig = open(&document(&json!({})), parameters);
            let mut deflater = Deflater::new(takeover);
            for bytes in [1 << 10, 5000, 16 << 10, 64 << 10, 200_000, 3] {
                let end = (0..=bytes).rev().find(|at| text.is_char_boundary(*at)).unwrap();
                let frame = frame(sender, 0xC1, &deflater.message(&text.as_bytes()[..end]));
                assert_eq!(send(&mut rig, sender, &frame), frame, "{bytes}");
            }
        }
    }
}
