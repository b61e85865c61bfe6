//! What the core is timed at: the very same loops native (`benches/core.rs`) and
//! inside Envoy's V8, into which the module's feature `bench` compiles this file.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "a benchmark that can't go on should say where"
)]

use super::frames::{self, TEXT};
use super::policy;
use serde_json::{Value, json};
use std::hint::black_box;
use std::rc::Rc;
use std::time::Duration;
use wsguard::config::Config;
use wsguard::frame::{Decoder, Item, Sender, mask};
use wsguard::guard::Guard;
use wsguard::handshake::{Headers, RequestHead};
use wsguard::host::Timestamp;
use wsguard::host::memory::MemoryHost;
use wsguard::inspect::{Action, RuleSet, RuleSpec};
use wsguard::quota::{Dimension, Network, Permit, Quotas, Salt, Scope};
use wsguard::session::{Admission, Arrival, Opening, Session, admit};

const VECTORS: &str = include_str!("../../vectors/tokens.json");
const SIZES: [usize; 4] = [64, 1 << 10, 16 << 10, 256 << 10];
/// Frames that come at once, as a busy connection brings them.
const AT_ONCE: usize = 16;
/// Bytes that Envoy hands over at a time.
const CHUNK: usize = 16 << 10;

/// One thing that is done again and again.
pub struct Loop {
    pub group: String,
    pub name: String,
    /// Bytes that one run of it looks at; 0 where that says nothing.
    pub bytes: usize,
    pub run: Box<dyn FnMut()>,
}

impl Loop {
    fn new(group: &str, name: &str, bytes: usize, run: impl FnMut() + 'static) -> Self {
        Self { group: group.to_owned(), name: name.to_owned(), bytes, run: Box::new(run) }
    }
}

/// All of them, made when they are asked for.
pub fn all() -> impl Iterator<Item = Loop> {
    let parts: [fn() -> Vec<Loop>; 7] =
        [decoding, messages, patterns, dear_patterns, handshakes, slots, loading];
    parts.into_iter().flat_map(|part| part())
}

fn vectors() -> Value {
    serde_json::from_str(VECTORS).unwrap()
}

fn now() -> Duration {
    Duration::from_secs(vectors()["now"].as_u64().unwrap())
}

fn host() -> Rc<MemoryHost> {
    Rc::new(MemoryHost::at(Timestamp::from_unix(now())))
}

fn guard(document: &Value, host: Rc<MemoryHost>) -> Rc<Guard> {
    let config = Config::parse(&document.to_string(), &|_| None).unwrap();
    Guard::new(config, host)
}

fn headers(lines: &[(&str, &str)]) -> Headers {
    Headers::new(lines.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())).collect())
}

fn arrival(authorization: &str) -> Arrival {
    let headers = headers(&[
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-version", "13"),
        ("origin", "https://app.example.com"),
        ("user-agent", "wsguard-bench"),
        ("authorization", authorization),
    ]);
    let head = RequestHead {
        method: b"GET".to_vec(),
        target: b"/echo".to_vec(),
        authority: b"127.0.0.1".to_vec(),
        headers,
        source: Some([127, 0, 0, 1].into()),
        https: false,
        http2: false,
    };
    Arrival { head, connection: Some(42), request_id: None }
}

fn open(guard: &Rc<Guard>, authorization: &str) -> Session {
    let Admission::Guarded(mut session, _) = admit(guard, &arrival(authorization)).admission else {
        panic!("not guarded")
    };
    let answer = headers(&[
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ]);
    assert!(matches!(session.on_response(101, &answer), Opening::Open(_)));
    *session
}

fn decoding() -> Vec<Loop> {
    let decoders = SIZES.map(|size| {
        let stream = frames::of_client(TEXT, &frames::json(size, 0)).repeat(AT_ONCE);
        let mut decoder = Decoder::new(Sender::Client);
        let run = move || {
            let (mut rest, mut payload) = (stream.as_slice(), 0);
            while let Some(item) = decoder.next(&mut rest).unwrap() {
                if let Item::Payload { data, .. } = item {
                    payload += data.len();
                }
            }
            assert_eq!(payload, size * AT_ONCE);
        };
        Loop::new("decoder, 16 frames", &size.to_string(), size * AT_ONCE, run)
    });
    let masks = SIZES.map(|size| {
        let mut payload = frames::json(size, 0);
        let run = move || mask::apply(black_box(&mut payload), [1, 2, 3, 4], 0);
        Loop::new("unmask", &size.to_string(), size, run)
    });
    decoders.into_iter().chain(masks).collect()
}

/// The header that a token of the vectors comes in.
fn bearer(vectors: &Value, name: &str) -> String {
    let good = vectors["good"].as_array().unwrap();
    let vector = good.iter().find(|vector| vector["name"] == name).unwrap();
    format!("Bearer {}", vector["token"].as_str().unwrap())
}

/// A message of the client's through a session: framing, UTF-8, rules.
fn messages() -> Vec<Loop> {
    let vectors = vectors();
    let mut auth = policy::auth(&json!({"keys": vectors["keys"]}));
    auth["authorize"] =
        json!([{"from": {"message": "/room", "when": {"/type": "join"}}, "claim": "rooms"}]);
    let documents = [
        ("minimal", policy::minimal()),
        ("50 patterns", policy::with("client", policy::patterns(50))),
        ("rate", policy::with("client", json!({"rate": {"per_ip": "100000000/1m"}}))),
        ("authorize", policy::with("auth", auth)),
    ];
    let mut loops = Vec::new();
    for (name, document) in documents {
        let alone = SIZES.map(|size| (size, 1));
        for (size, at_once) in alone.into_iter().chain([(64, AT_ONCE)]) {
            let frame = frames::of_client(TEXT, &frames::json(size, 0)).repeat(at_once);
            let mut session =
                open(&guard(&document, host()), &bearer(&vectors, "EdDSA by ed25519"));
            let mut out = Vec::new();
            let run = move || {
                out.clear();
                let outcome = session.on_data(Sender::Client, &frame, &mut out);
                assert!(outcome.refused.is_none() && out.is_empty());
            };
            if size > CHUNK {
                loops.push(in_chunks(name, &document, &vectors));
            }
            let what = if at_once > 1 { format!("{size} x {at_once}") } else { size.to_string() };
            loops.push(Loop::new(&format!("session, {name}"), &what, size * at_once, run));
        }
    }
    loops
}

/// A large message that has to be held, since it comes in many chunks.
fn in_chunks(name: &str, document: &Value, vectors: &Value) -> Loop {
    let [.., size] = SIZES;
    let frame = frames::of_client(TEXT, &frames::json(size, 0));
    let mut session = open(&guard(document, host()), &bearer(vectors, "EdDSA by ed25519"));
    let mut out = Vec::new();
    let run = move || {
        out.clear();
        for chunk in frame.chunks(CHUNK) {
            let outcome = session.on_data(Sender::Client, chunk, &mut out);
            assert!(outcome.refused.is_none());
        }
        assert_eq!(out.len(), frame.len());
    };
    Loop::new(&format!("session, {name}"), &format!("{size} in chunks"), size, run)
}

fn rules(count: usize) -> RuleSet {
    let specs = policy::patterns(count)["rules"].as_array().cloned().unwrap();
    let specs = specs.iter().map(|rule| RuleSpec {
        name: rule["name"].as_str().unwrap().to_owned(),
        pattern: rule["pattern"].as_str().unwrap().to_owned(),
        action: Action::Close,
    });
    RuleSet::compile(specs.collect()).unwrap()
}

/// Text in which nothing is found, text that almost matches everywhere, and text
/// that matches at its end.
fn patterns() -> Vec<Loop> {
    let clean = frames::json(16 << 10, 0);
    let almost = b"<scrip javascrip unio selec ../.. onerro evalx(".iter().copied();
    let almost: Vec<u8> = almost.cycle().take(16 << 10).collect();
    let mut dirty = clean.clone();
    dirty.extend_from_slice(b"<SCRIPT");
    let texts = [("clean", clean), ("almost", almost), ("dirty at the end", dirty)];
    let mut loops = Vec::new();
    for count in [1, 50, 1000] {
        let rules = Rc::new(rules(count));
        for (name, text) in texts.clone() {
            let rules = Rc::clone(&rules);
            assert_eq!(rules.find(&text).is_some(), name == "dirty at the end");
            let bytes = text.len();
            let run = move || {
                black_box(rules.find(black_box(&text)));
            };
            loops.push(Loop::new(&format!("{count} patterns, 16 KiB"), name, bytes, run));
        }
    }
    loops
}

/// The dearest patterns that load, in texts that the prefilter can't tell from what they
/// look for: what a byte of a message may cost at most.
fn dear_patterns() -> Vec<Loop> {
    let dear = [
        (r"(?i)<\w+[^>]*\bon\w+\s*=", "<axxx on"),
        (r"(?i)<\w+[^>]{0,50}\bon\w+\s*=", "<axxx on"),
        (r"(?i)<\w+[^>]{0,100}\bon\w+\s*=", "<axxx on"),
        (r"(?i)<\w+[^>]{0,240}\bon\w+\s*=", "<axxx on"),
        (r"(?i)<\w+[^>]{0,300}\bon\w+\s*=", "<axxx on"),
        (r"(?i)union.{0,500}select", "unionxxx"),
        (r"(?i)<\w+[^>]{0,300}\bon\w+\s*=", "<äöü öß"),
    ];
    let timed = |(pattern, text): (&str, &str)| {
        let text = text.repeat(16 << 7).into_bytes();
        let rule =
            RuleSpec { name: String::new(), pattern: pattern.to_owned(), action: Action::Close };
        let rules = RuleSet::compile(vec![rule]).unwrap();
        assert_eq!(rules.find(&text), None);
        let bytes = text.len();
        let run = move || {
            black_box(rules.find(black_box(&text)));
        };
        Loop::new("dear patterns, 16 KiB", &format!("{pattern} {}", bytes), bytes, run)
    };
    dear.into_iter().map(timed).collect()
}

/// A whole handshake up to its verdict, the signature verified by this code and
/// not by Envoy's.
fn handshakes() -> Vec<Loop> {
    let plain = guard(&policy::minimal(), host());
    let none = arrival("");
    let mut loops = vec![Loop::new("handshake", "no token", 0, move || {
        drop(black_box(admit(&plain, black_box(&none))));
    })];
    let vectors = vectors();
    let mut document = policy::minimal();
    document["policies"][0]["auth"] = policy::auth(&json!({"keys": vectors["keys"]}));
    for name in ["RS256 by rsa", "ES256 by p256", "EdDSA by ed25519", "HS256 by oct"] {
        let arrival = arrival(&bearer(&vectors, name));
        let algorithm = name.split(' ').next().unwrap();
        for fresh in [true, false] {
            let (host, arrival) = (host(), arrival.clone());
            let guard = guard(&document, host.clone());
            let mut time = now();
            let run = move || {
                // What was verified later than now is verified again.
                if fresh {
                    time -= Duration::from_nanos(1);
                    host.set(Timestamp::from_unix(time));
                }
                let admitted = admit(&guard, black_box(&arrival));
                assert!(matches!(admitted.admission, Admission::Guarded(..)));
            };
            let kind = if fresh { "fresh" } else { "repeated" };
            loops.push(Loop::new("handshake", &format!("{algorithm}, {kind}"), 0, run));
        }
    }
    let (host, missing) = (host(), arrival(""));
    let guard = guard(&document, host.clone());
    loops.push(Loop::new("handshake", "refused, no token", 0, move || {
        drop(black_box(admit(&guard, black_box(&missing))));
        drop(host.take_lines());
    }));
    loops
}

/// A place taken and given back, with so many others in the table.
fn slots() -> Vec<Loop> {
    let of = |others: u32| {
        let quotas = Quotas::open(host(), Salt([7; 16]));
        let scope = Scope::Policy("chat");
        let subject = {
            let quotas = Rc::clone(&quotas);
            move |number: u32| {
                let network = Network::of(Some(number.to_be_bytes().into()), 64);
                quotas.subject(scope, Dimension::Address(network))
            }
        };
        let mut held = Permit::empty(Rc::clone(&quotas));
        for number in 0..others {
            held.take(&[(subject(number), 10)]).unwrap();
        }
        let own = subject(u32::MAX);
        let run = move || {
            let _: &Permit = &held;
            let mut permit = Permit::empty(Rc::clone(&quotas));
            permit.take(&[(own, 10)]).unwrap();
            drop(permit);
            quotas.settle();
        };
        Loop::new("slot taken and given back", &format!("{others} others"), 0, run)
    };
    [0, 10_000].map(of).into()
}

/// A document read, checked and its patterns compiled.
fn loading() -> Vec<Loop> {
    let of = |count: usize| {
        let text = policy::with("client", policy::patterns(count)).to_string();
        let run = move || {
            let config = Config::parse(&text, &|_| None).unwrap();
            drop(black_box(Guard::new(config, host())));
        };
        Loop::new("policy loaded", &format!("{count} patterns"), 0, run)
    };
    [1, 50, 1000].map(of).into()
}
