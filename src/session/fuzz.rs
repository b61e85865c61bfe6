//! Entry for the fuzzer: one connection, any bytes, any cut.

use super::{Admission, Arrival, Forwarded, Opening, Session, admit};
use crate::config::Config;
use crate::frame::Sender;
use crate::guard::Guard;
use crate::handshake::{Headers, RequestHead};
use crate::host::Timestamp;
use crate::host::memory::MemoryHost;
use crate::inspect::Action;
use crate::reason::Reason;
use model::judge;
use serde_json::json;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

mod asking;
mod model;

pub use asking::fuzz_asking;

/// Limits of the documents that are tried, low enough for a fuzzer to meet.
const MAX_FRAME_BYTES: u64 = 100;
const MAX_MESSAGE_BYTES: u64 = 150;
const MAX_FRAGMENTS: usize = 3;

/// Text that the rule of these documents looks for.
const NEEDLE: &str = "<s";

const DEFLATE: &str = "permessage-deflate";

/// Longest time a connection lives once it is refused.
const PATIENCE: Duration = super::CLOSE_TIMEOUT;

/// Holds, for one connection in any mode, with any action, compressed or not,
/// with the bytes of either side in any cut: the cut shows in nothing but how a bad
/// text of the server ends; what goes on are the sender's good messages as they were,
/// no refused message as a whole, none of it where content is read, none beyond a
/// limit, and nothing behind a Close; control frames go on as they
/// came, without what the rule finds; what ends both sides does so with one Close each, and the connection
/// after 2 s; report changes nothing; and nothing stays held.
///
/// # Panics
/// Where one of these does not hold.
pub fn fuzz_session(data: &[u8]) {
    let Some(([setting, seed], stream)) = data.split_first_chunk::<2>() else { return };
    let setting = Setting {
        report: setting & 1 != 0,
        sender: if setting & 2 == 0 { Sender::Client } else { Sender::Server },
        rule: setting & 4 != 0,
        text_only: setting & 8 != 0,
        action: match setting >> 4 & 3 {
            0 => Action::Close,
            1 => Action::Drop,
            2 => Action::Reply,
            _ => Action::Sanitize,
        },
        compression: setting & 64 != 0,
        push: setting & 128 != 0,
    };
    let whole = run(&setting, &[stream]);
    let pieces = run(&setting, &cut(stream, *seed));
    if whole.reset || pieces.reset {
        // Whether a Close can be framed depends on how much has come.
        assert_eq!(whole.refused, pieces.refused, "the cut shows in the verdict");
        judge(&setting, stream, &pieces);
    } else {
        assert_eq!(whole, pieces, "the cut shows");
    }
    if setting.report {
        assert_eq!(whole.forwarded, stream, "report changed something");
        assert!(whole.told.is_empty() && !whole.reset);
    } else {
        judge(&setting, stream, &whole);
    }
}

/// Which document, and whose bytes.
struct Setting {
    report: bool,
    sender: Sender,
    rule: bool,
    text_only: bool,
    action: Action,
    compression: bool,
    push: bool,
}

impl Setting {
    /// Returns true if messages go on as they come: nobody reads their content.
    const fn passes_parts(&self) -> bool {
        !self.rule && !self.compression
    }
}

/// Everything that can be seen of a connection.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    forwarded: Vec<u8>,
    refused: Option<Reason>,
    reset: bool,
    /// What the other direction's reader was told, unasked or in the place of
    /// other bytes.
    told: Vec<u8>,
    lines: Vec<String>,
}

/// Pieces of any size, the empty ones among them.
fn cut(stream: &[u8], seed: u8) -> Vec<&[u8]> {
    let mut state = u32::from(seed).wrapping_mul(2_654_435_761).wrapping_add(1);
    let (mut pieces, mut rest) = (Vec::new(), stream);
    while !rest.is_empty() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let longest = if seed & 1 == 0 { 3 } else { 40 };
        let take = usize::try_from((state >> 16) % longest).unwrap_or(0).min(rest.len());
        let (piece, after) = rest.split_at_checked(take).unwrap_or((rest, &[]));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

fn run(setting: &Setting, pieces: &[&[u8]]) -> Seen {
    let host = Rc::new(MemoryHost::at(Timestamp::from_unix(Duration::from_secs(1_795_341_600))));
    let guard = guard(setting, &host);
    let mut seen = Seen {
        forwarded: Vec::new(),
        refused: None,
        reset: false,
        told: Vec::new(),
        lines: Vec::new(),
    };
    let extension = setting.compression.then_some(("sec-websocket-extensions", DEFLATE));
    let more = extension.as_slice();
    let Some(mut session) = guard.as_ref().and_then(|guard| open(guard, more, more)) else {
        assert!(guard.is_none(), "a proper handshake was refused");
        return seen;
    };
    session.set_ready_to_push(true);
    for piece in pieces {
        let mut out = Vec::new();
        let outcome = session.on_data(setting.sender, piece, &mut out);
        match outcome.forwarded {
            Forwarded::Unchanged => seen.forwarded.extend_from_slice(piece),
            Forwarded::Replaced => seen.forwarded.append(&mut out),
        }
        seen.refused = seen.refused.or(outcome.refused);
        seen.reset |= outcome.reset;
        if seen.reset {
            break;
        }
    }
    session.push(&mut seen.told);
    if seen.reset {
        // Nothing is said any more.
    } else if !setting.report && seen.refused.is_some() {
        seen.told.append(&mut end(&mut session, setting.sender, &host));
    } else if !setting.report {
        let _ = session.on_data(setting.sender.other(), b"", &mut seen.told);
    }
    session.on_end();
    session.on_end();
    drop(session);
    if let Some(guard) = guard {
        guard.on_tick();
    }
    assert_eq!(host.metric("wsguard_buffered_bytes"), 0, "something is still held");
    seen.lines = host.take_lines().into_iter().map(|(_, line)| line).collect();
    let closed = seen.lines.iter().filter(|line| line.contains(r#""event":"closed""#));
    assert_eq!(closed.count(), 1);
    seen
}

/// What a refused sender is told, and that the connection lives 2 s at most.
fn end(session: &mut Session, sender: Sender, host: &MemoryHost) -> Vec<u8> {
    let mut told = Vec::new();
    let _ = session.on_data(sender.other(), b"whatever it says", &mut told);
    let once = told.len();
    let _ = session.on_data(sender.other(), b"and says again", &mut told);
    assert_eq!(told.len(), once, "told twice");
    let mut out = Vec::new();
    let after = session.on_data(sender, b"more", &mut out);
    assert!(after.forwarded == Forwarded::Replaced && out.is_empty(), "bytes behind the end");
    assert!(!session.on_tick().reset);
    host.advance(PATIENCE.saturating_sub(Duration::from_millis(1)));
    assert!(!session.on_tick().reset, "reset too early");
    host.advance(Duration::from_millis(1));
    assert!(session.on_tick().reset, "not reset in time");
    told
}

fn guard(setting: &Setting, host: &Rc<MemoryHost>) -> Option<Rc<Guard>> {
    let mut rules = json!({
        "max_frame": MAX_FRAME_BYTES,
        "max_message": MAX_MESSAGE_BYTES,
        "max_fragments": MAX_FRAGMENTS,
        "types": if setting.text_only { &["text"][..] } else { &["text", "binary"] },
        "on_violation": setting.action.name(),
    });
    if let (true, Some(rules)) = (setting.rule, rules.as_object_mut()) {
        rules.insert("rules".to_owned(), json!([{"name": "r", "pattern": NEEDLE}]));
    }
    let mode = if setting.report { "report" } else { "enforce" };
    let compression = if setting.compression { "inspect" } else { "strip" };
    let document = json!({"mode": mode, "policies": [{
        "name": "p", "handshake": {"compression": compression}, "client": rules,
        "server": rules, "lifetime": {"push": setting.push},
    }]});
    let config = parsed(document.to_string());
    assert!(config.is_some());
    Some(Guard::new(config?, Rc::<MemoryHost>::clone(host)))
}

/// Reading a document takes longer than all else here, and there are few.
fn parsed(document: String) -> Option<Config> {
    thread_local! {
        static PARSED: RefCell<HashMap<String, Config>> = RefCell::default();
    }
    PARSED.with_borrow_mut(|known| {
        if !known.contains_key(&document) {
            let config = Config::parse(&document, &|_| None).ok()?;
            known.insert(document.clone(), config);
        }
        known.get(&document).cloned()
    })
}

/// Header lines.
type Lines<'a> = &'a [(&'a str, &'a str)];

/// A connection that is open, by the example of RFC 6455 §1.3, with more lines in
/// its request and its answer.
fn open(guard: &Rc<Guard>, asks: Lines<'_>, answers: Lines<'_>) -> Option<Session> {
    let lines = |lines: Lines<'_>, more: Lines<'_>| {
        let all = lines.iter().chain(more);
        Headers::new(all.map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())).collect())
    };
    let head = RequestHead {
        method: b"GET".to_vec(),
        target: b"/".to_vec(),
        authority: b"chat.example.com".to_vec(),
        headers: lines(
            &[
                ("upgrade", "websocket"),
                ("connection", "Upgrade"),
                ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
                ("sec-websocket-version", "13"),
            ],
            asks,
        ),
        source: None,
        https: false,
        http2: false,
    };
    let arrival = Arrival { head, connection: None, request_id: None };
    let Admission::Guarded(mut session, _) = admit(guard, &arrival).admission else { return None };
    let switching = [
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ];
    let answer = lines(&switching, answers);
    matches!(session.on_response(101, &answer), Opening::Open(_) | Opening::Pass)
        .then_some(*session)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::mask;
    use proptest::prelude::*;

    /// Frames of which a fuzzer makes others.
    const SEEDS: &[&[u8]] = &[
        b"",
        b"\x00\x00",
        b"\x04\x03\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
        b"\x04\x07\x01\x81\0\0\0\0<\x89\x81\0\0\0\0!\x80\x83\0\0\0\0s a",
        b"\x08\x02\x82\x81\0\0\0\0a",
        b"\x00\x05\x88\x82\0\0\0\0\x03\xe8\x81\x81\0\0\0\0a",
        b"\x00\x04\x81\x81\0\0\0\0\xff",
        b"\x02\x06\x01\x02ab\x89\x00\x80\x01c\x88\x02\x03\xe8",
        b"\x02\x03\x80\x01c",
        b"\x01\x09\x83\x81\0\0\0\0a and whatever follows",
        // Control frames that hold what the rule looks for: closed, dropped,
        // replied and sanitized, of either end, in mode report too.
        b"\x04\x03\x89\x83\0\0\0\0<s>\x81\x81\0\0\0\0a",
        b"\x14\x05\x8a\x83\0\0\0\0\xff<s\x81\x81\0\0\0\0a",
        b"\x24\x06\x01\x81\0\0\0\0a\x89\x82\0\0\0\0<s\x80\x81\0\0\0\0b",
        b"\x14\x07\x88\x84\0\0\0\0\x03\xe8<s",
        b"\x36\x08\x89\x03a<s\x88\x05\x03\xe8b<s",
        b"\x06\x09\x88\x04\x03\xe8<s",
        b"\x05\x0a\x89\x82\0\0\0\0<s\x88\x84\0\0\0\0\x03\xe8<s",
    ];

    #[test]
    fn the_fuzz_entry_holds_on_its_seeds() {
        for seed in SEEDS {
            fuzz_session(seed);
        }
    }

    fn deflated(payload: &[u8]) -> Vec<u8> {
        let mut stream = flate2::Compress::new(flate2::Compression::best(), false);
        let mut out = Vec::with_capacity(payload.len() + 100);
        if payload.len().is_multiple_of(3) {
            // A final block, and the octet behind it (RFC 7692 §7.2.3.4).
            stream.compress_vec(payload, &mut out, flate2::FlushCompress::Finish).unwrap();
            return [out, vec![0]].concat();
        }
        stream.compress_vec(payload, &mut out, flate2::FlushCompress::Sync).unwrap();
        out.truncate(out.len() - 4);
        out
    }

    /// Mostly well-formed frames, small enough to meet every limit.
    fn frames_of(sender: Sender) -> impl Strategy<Value = Vec<u8>> {
        let first = prop_oneof![
            12 => prop::sample::select(vec![0x81u8, 0x82, 0x01, 0x02, 0x00, 0x00, 0x80, 0x80]),
            3 => prop::sample::select(vec![0x88u8, 0x89, 0x8A]),
            2 => prop::sample::select(vec![0xC1u8, 0xC2, 0x41]),
            1 => any::<u8>(),
        ];
        let payload = prop_oneof![
            6 => "[<s a-c€]{0,40}".prop_map(String::into_bytes),
            2 => prop::collection::vec(any::<u8>(), 0..200),
            1 => Just(b"\x03\xe8bye".to_vec()),
            1 => Just(b"\x03\xe8bye<s".to_vec()),
            1 => Just(b"\xff<s".to_vec()),
        ];
        let frame = (first, payload, any::<[u8; 4]>()).prop_map(move |(first, payload, key)| {
            let payload = if first & 0x40 != 0 { deflated(&payload) } else { payload };
            let mut bytes = vec![first];
            let masked = if sender == Sender::Client { 0x80 } else { 0 };
            match u8::try_from(payload.len()) {
                Ok(short) if short < 126 => bytes.push(masked | short),
                _ => {
                    bytes.push(masked | 126);
                    bytes.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
                }
            }
            let mut payload = payload;
            if sender == Sender::Client {
                bytes.extend(key);
                mask::apply(&mut payload, key, 0);
            }
            bytes.extend(payload);
            bytes
        });
        prop::collection::vec(frame, 0..8).prop_map(|frames| frames.concat())
    }

    proptest! {
        #[test]
        fn holds_on_frames_that_are_mostly_well_formed(
            setting: u8,
            seed: u8,
            (client, server) in (frames_of(Sender::Client), frames_of(Sender::Server)),
            flip in prop::option::weighted(0.3, (any::<prop::sample::Index>(), 0u8..8)),
        ) {
            let mut stream = if setting & 2 == 0 { client } else { server };
            if let (Some((at, bit)), false) = (flip, stream.is_empty()) {
                let at = at.index(stream.len());
                stream[at] ^= 1 << bit;
            }
            fuzz_session(&[&[setting, seed], stream.as_slice()].concat());
        }

        #[test]
        fn holds_on_any_bytes(data in prop::collection::vec(any::<u8>(), 0..300)) {
            fuzz_session(&data);
        }
    }
}
