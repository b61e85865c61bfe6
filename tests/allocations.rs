//! The good path allocates nothing: once a connection and its worker are warm,
//! whole good frames pass in both directions without a call of the allocator. So
//! is nothing allocated for what waits, as long as there is no news.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that can't go on should say where; the tests of the session use all of rig"
)]

#[path = "session/rig.rs"]
mod rig;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::{Compress, Compression, FlushCompress};
use rig::{arrival, masked, plain, switching, text, worker};
use serde_json::{Value, json};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::rc::Rc;
use wsguard::frame::Sender;
use wsguard::guard::Guard;
use wsguard::host::memory::MemoryHost;
use wsguard::host::{CallAnswer, CallId};
use wsguard::session::{Admission, Forwarded, Opening, Outcome, PendingAdmission, Session, admit};

/// The system's allocator, which counts what the current thread asks of it.
struct Counting;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that is ending has no counter any more.
    let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
}

#[expect(unsafe_code, reason = "an allocator can't be made otherwise")]
// SAFETY: all is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: by the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: by the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: by the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often `work` asks for memory.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = CALLS.get();
    work();
    CALLS.get() - before
}

#[test]
fn what_is_allocated_is_counted() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(7)))), 1);
    assert_eq!(allocations(|| drop(std::hint::black_box(vec![0; 9]))), 1);
}

fn document(way: &str) -> Value {
    let section = json!({
        "rules": [
            {"name": "no-scripts", "pattern": "(?i)<script"},
            {"name": "no-words", "pattern": "(?i)\\b(union|select)\\b.{0,9}from", "action": "drop"},
        ],
        "rate": {"per_connection": "1000000/1m"},
        "bytes": {"per_connection": "64MiB/1m"},
    });
    let bare = json!({});
    let rules = if way == "bare" { bare } else { section };
    json!({"policies": [{
        "name": "chat",
        "client": rules,
        "server": rules,
        "lifetime": {"push": way == "push", "ping_counts": true},
        "handshake": {"compression": "inspect"},
    }]})
}

/// An open connection, with permessage-deflate where there are parameters.
fn open(document: &Value, deflate: Option<&str>) -> Session {
    let (_, guard) = worker(document);
    let line: Vec<_> = deflate.iter().map(|value| ("sec-websocket-extensions", *value)).collect();
    let Admission::Guarded(mut session, _) = admit(&guard, &arrival(&line)).admission else {
        panic!("not guarded")
    };
    assert!(matches!(session.on_response(101, &switching(&line)), Opening::Open(_)));
    assert_eq!(session.deflate().is_some(), deflate.is_some());
    *session
}

/// Hands it over as a filter does; it must pass as it is.
fn pass(session: &mut Session, sender: Sender, bytes: &[u8], out: &mut Vec<u8>) {
    let outcome = session.on_data(sender, bytes, out);
    let good = Outcome { forwarded: Forwarded::Unchanged, reset: false, refused: None };
    assert_eq!(outcome, good);
    session.push(out);
    assert!(out.is_empty());
}

/// Good frames, each whole: text and binary of each header length, pings, pongs,
/// nothing at all, and several at once.
fn good(frame: fn(u8, &[u8]) -> Vec<u8>) -> Vec<Vec<u8>> {
    let text = "größer 日本語 🙂 ".repeat(9000);
    let sizes = [0, 1, 125, 126, 1000, 65_535, 65_536, 200_000];
    let texts = sizes.map(|size| {
        let end = (0..=size).rev().find(|at| text.is_char_boundary(*at)).unwrap();
        frame(0x81, &text.as_bytes()[..end])
    });
    let binaries = sizes.map(|size| frame(0x82, &vec![0xFF; size]));
    let mut all: Vec<_> = texts.into_iter().chain(binaries).collect();
    all.extend([frame(0x89, b"ping"), frame(0x8A, b""), frame(0x8A, &[7; 125]), Vec::new()]);
    all.push([all[2].clone(), all[16].clone(), all[11].clone(), all[1].clone()].concat());
    all
}

#[test]
fn whole_good_frames_allocate_nothing_once_warm() {
    for way in ["bare", "rules", "push"] {
        let mut session = open(&document(way), None);
        session.set_ready_to_push(way == "push");
        let (client, server) = (good(masked), good(plain));
        let mut out = Vec::new();
        let mut round = || {
            for (from_client, from_server) in client.iter().zip(&server) {
                pass(&mut session, Sender::Client, from_client, &mut out);
                pass(&mut session, Sender::Server, from_server, &mut out);
            }
        };
        round();
        for _ in 0..3 {
            assert_eq!(allocations(&mut round), 0, "{way}");
        }
    }
}

/// Compressed messages of one direction, whose histories go on.
fn deflated(frame: fn(u8, &[u8]) -> Vec<u8>) -> Vec<Vec<u8>> {
    let mut compress = Compress::new(Compression::default(), false);
    let message = |index: usize| {
        let text = format!("message {index} in order ").repeat(1 + index % 50);
        let mut out = Vec::with_capacity(4096);
        compress.compress_vec(text.as_bytes(), &mut out, FlushCompress::Sync).unwrap();
        out.truncate(out.len() - 4);
        frame(0xC1, &out)
    };
    (0..400).map(message).collect()
}

#[test]
fn whole_compressed_messages_allocate_nothing_once_warm() {
    let mut session = open(&document("rules"), Some("permessage-deflate"));
    let (client, server) = (deflated(masked), deflated(plain));
    let (mut out, mut number) = (Vec::new(), 0);
    let mut next = || {
        pass(&mut session, Sender::Client, &client[number], &mut out);
        pass(&mut session, Sender::Server, &server[number], &mut out);
        number += 1;
    };
    // More than a window of 32 KiB each way.
    (0..200).for_each(|_| next());
    assert_eq!(allocations(|| (0..200).for_each(|_| next())), 0);
}

/// As long as a credential may be.
fn long_credential() -> String {
    "c".repeat(16 << 10)
}

/// A token of an issuer whose keys have to be fetched, as long as one may be.
fn token_to_fetch_for() -> String {
    let claims = json!({"iss": "https://issuer.example.com", "pad": "p".repeat(11_000)});
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.c2ln", part(&json!({"alg": "RS256", "kid": "new"})), part(&claims))
}

/// Credentials of each kind that has to be waited for, and what they reach to.
fn waiting() -> Value {
    json!({"policies": [{
        "name": "chat",
        "lifetime": {"push": true},
        "auth": {
            "credentials": [
                {"header": "authorization"},
                {"first_message": {"pointer": "/token", "when": {"/type": "auth"}}},
            ],
            "jwt": [{
                "issuer": "https://issuer.example.com", "audiences": ["chat"],
                "algorithms": ["RS256"],
                "keys": {"jwks_uri": {
                    "cluster": "issuer", "host": "issuer.example.com", "path": "/jwks",
                }},
            }],
            "session": {
                "cluster": "auth", "host": "auth.example.com", "path": "/session",
                "send": "form", "subject": "/user",
            },
            "authorize": [
                {"from": {"header": "x-room"}, "callout": {
                    "cluster": "rooms", "path": "/rooms/{x-room}/{sub}",
                }},
                {"from": {"message": "/board", "when": {"/type": "open"}}, "callout": {
                    "cluster": "boards", "path": "/boards/{board}/{sub}",
                }},
            ],
        },
    }]})
}

fn pending(guard: &Rc<Guard>, credential: &str) -> Box<PendingAdmission> {
    let bearer = format!("Bearer {credential}");
    let lines = [("authorization", bearer.as_str()), ("x-room", "lobby")];
    match admit(guard, &arrival(&lines)).admission {
        Admission::Waiting(pending) => pending,
        other => panic!("{other:?}"),
    }
}

fn said_yes(host: &MemoryHost, tell: impl FnOnce(CallId, &CallAnswer) -> bool) {
    let (id, _) = host.take_calls().pop().unwrap();
    assert!(tell(id, &CallAnswer::Whole { status: 200, body: br#"{"user":"bob"}"#.to_vec() }));
}

/// It is looked at on every tick, and all others with it.
#[test]
fn a_handshake_without_news_allocates_nothing() {
    let (host, guard) = worker(&waiting());
    let mut for_keys = pending(&guard, &token_to_fetch_for());
    let mut for_session = pending(&guard, &long_credential());
    let mut for_callout = pending(&guard, &long_credential());
    said_yes(&host, |id, answer| for_callout.on_answer(id, answer));
    assert!(for_callout.advance().is_none(), "the next question");
    for waits in [&mut for_keys, &mut for_session, &mut for_callout] {
        assert_eq!(allocations(|| assert!(waits.advance().is_none())), 0);
    }
}

/// Opens without a credential.
fn open_to_all(guard: &Rc<Guard>) -> Session {
    let Admission::Guarded(mut session, _) = admit(guard, &arrival(&[("x-room", "a")])).admission
    else {
        panic!("not guarded")
    };
    assert!(matches!(session.on_response(101, &switching(&[])), Opening::Open(_)));
    session.set_ready_to_push(true);
    *session
}

/// The client sends it; it breaks no rule.
fn send(session: &mut Session, bytes: &[u8], out: &mut Vec<u8>) {
    out.clear();
    assert_eq!(session.on_data(Sender::Client, bytes, out).refused, None);
}

/// It waits, and a ping and a tick change nothing.
fn waits(session: &mut Session) {
    let (ping, mut out) = (masked(0x89, b""), Vec::with_capacity(64));
    send(session, &ping, &mut out);
    let counted = allocations(|| {
        send(session, &ping, &mut out);
        assert_eq!(session.advance().refused, None);
    });
    assert!(session.is_waiting());
    assert_eq!(counted, 0);
}

/// It is looked at with every chunk that the client sends, which may be many.
#[test]
fn a_connection_without_news_allocates_nothing() {
    let (host, guard) = worker(&waiting());
    let first = |token| text(&json!({"type": "auth", "token": token}).to_string());
    let mut out = Vec::new();
    let mut session = open_to_all(&guard);
    send(&mut session, &first(token_to_fetch_for()), &mut out);
    waits(&mut session);
    let mut session = open_to_all(&guard);
    send(&mut session, &first(long_credential()), &mut out);
    for _ in ["session", "room"] {
        waits(&mut session);
        said_yes(&host, |id, answer| session.on_answer(id, answer));
        assert_eq!(session.advance().refused, None);
    }
    assert!(!session.is_waiting());
    send(&mut session, &text(r#"{"type":"open","board":"a"}"#), &mut out);
    waits(&mut session);
}
