//! The core alone, native and without Envoy: what each part costs, so that it
//! can be seen where a change helps. `make bench CORE=1`.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark that can't go on should say where"
)]

#[allow(dead_code, unused_imports, reason = "shared with the benchmark in Envoy")]
#[path = "../src/frames.rs"]
mod frames;
#[allow(dead_code, unused_imports, reason = "shared with the benchmark in Envoy")]
#[path = "../src/policy.rs"]
mod policy;
#[allow(dead_code, unused_imports, reason = "shared with the benchmark in Envoy")]
mod tokens {
    pub const ISSUER: &str = "https://issuer.example.com";
    pub const AUDIENCE: &str = "chat";
}

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use frames::TEXT;
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

fn vectors() -> Value {
    serde_json::from_str(VECTORS).unwrap()
}

fn host() -> Rc<MemoryHost> {
    let now = Duration::from_secs(vectors()["now"].as_u64().unwrap());
    Rc::new(MemoryHost::at(Timestamp::from_unix(now)))
}

fn worker(document: &Value) -> Rc<Guard> {
    let config = Config::parse(&document.to_string(), &|_| None).unwrap();
    Guard::new(config, host())
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

fn open(guard: &Rc<Guard>) -> Session {
    let Admission::Guarded(mut session, _) = admit(guard, &arrival("")).admission else {
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

/// Sixteen frames at a time, as a busy connection brings them.
fn decoding(c: &mut Criterion) {
    let mut group = c.benchmark_group("decoder");
    // It does not read what frames hold.
    for size in [64, 1 << 10] {
        let stream = frames::of_client(TEXT, &frames::json(size)).repeat(16);
        group.throughput(Throughput::Elements(16));
        group.bench_with_input(BenchmarkId::from_parameter(size), &stream, |b, stream| {
            let mut decoder = Decoder::new(Sender::Client);
            b.iter(|| {
                let (mut rest, mut payload) = (stream.as_slice(), 0);
                while let Some(item) = decoder.next(&mut rest).unwrap() {
                    if let Item::Payload { data, .. } = item {
                        payload += data.len();
                    }
                }
                assert_eq!(payload, size * 16);
            });
        });
    }
    group.finish();
    let mut group = c.benchmark_group("unmask");
    for size in SIZES {
        let mut payload = frames::json(size);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter(|| mask::apply(black_box(&mut payload), [1, 2, 3, 4], 0));
        });
    }
}

/// A message of the client's through a session: framing, UTF-8, rules.
fn messages(c: &mut Criterion) {
    let documents = [
        ("minimal", policy::minimal()),
        ("50 patterns", policy::with("client", policy::patterns(50))),
        ("rate", policy::with("client", json!({"rate": {"per_ip": "100000000/1m"}}))),
    ];
    for (name, document) in documents {
        let mut group = c.benchmark_group(format!("session, {name}"));
        for size in SIZES {
            let frame = frames::of_client(TEXT, &frames::json(size));
            let guard = worker(&document);
            let mut session = open(&guard);
            let mut out = Vec::new();
            group.throughput(Throughput::Bytes(size as u64));
            group.bench_with_input(BenchmarkId::from_parameter(size), &frame, |b, frame| {
                b.iter(|| {
                    out.clear();
                    let outcome = session.on_data(Sender::Client, frame, &mut out);
                    assert!(outcome.refused.is_none() && out.is_empty());
                });
            });
        }
    }
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

/// Text in which nothing is found, and text that almost matches everywhere.
fn patterns(c: &mut Criterion) {
    let clean = frames::json(16 << 10);
    let almost = b"<scrip javascrip unio selec ../.. onerro evalx(".iter().copied();
    let almost: Vec<u8> = almost.cycle().take(16 << 10).collect();
    let mut found = clean.clone();
    found.extend_from_slice(b"<SCRIPT");
    let texts = [("clean", clean), ("almost", almost), ("matches at the end", found)];
    for count in [1, 50, 1000] {
        let rules = rules(count);
        let mut group = c.benchmark_group(format!("{count} patterns"));
        for (name, text) in &texts {
            assert_eq!(rules.find(text).is_some(), *name == "matches at the end");
            group.throughput(Throughput::Bytes(text.len() as u64));
            group.bench_with_input(BenchmarkId::from_parameter(name), text, |b, text| {
                b.iter(|| rules.find(black_box(text)));
            });
        }
    }
}

/// A whole handshake up to its verdict, the signature verified here.
fn handshakes(c: &mut Criterion) {
    let vectors = vectors();
    let mut document = policy::minimal();
    document["policies"][0]["auth"] = policy::auth(&json!({"keys": vectors["keys"]}));
    let mut group = c.benchmark_group("handshake");
    let guard = worker(&policy::minimal());
    group.bench_function("no token", |b| b.iter(|| admit(&guard, black_box(&arrival("")))));
    let guard = worker(&document);
    for name in ["RS256 by rsa", "ES256 by p256", "EdDSA by ed25519", "HS256 by oct"] {
        let good = vectors["good"].as_array().unwrap();
        let vector = good.iter().find(|vector| vector["name"] == name).unwrap();
        let arrival = arrival(&format!("Bearer {}", vector["token"].as_str().unwrap()));
        assert!(matches!(admit(&guard, &arrival).admission, Admission::Guarded(..)), "{name}");
        group.bench_function(name, |b| b.iter(|| admit(&guard, black_box(&arrival))));
    }
    let missing = arrival("");
    group.bench_function("refused, no token", |b| b.iter(|| admit(&guard, black_box(&missing))));
}

/// A place taken and given back, with so many others in the table.
fn slots(c: &mut Criterion) {
    let mut group = c.benchmark_group("slot taken and given back");
    for others in [0u32, 10_000] {
        let quotas = Quotas::open(host(), Salt([7; 16]));
        let scope = Scope::Policy("chat");
        let address = |number: u32| {
            let network = Network::of(Some(number.to_be_bytes().into()), 64);
            quotas.subject(scope, Dimension::Address(network))
        };
        let mut held = Permit::empty(Rc::clone(&quotas));
        for number in 0..others {
            held.take(&[(address(number), 10)]).unwrap();
        }
        let subject = address(u32::MAX);
        group.bench_function(BenchmarkId::from_parameter(others), |b| {
            b.iter(|| {
                let mut permit = Permit::empty(Rc::clone(&quotas));
                permit.take(&[(subject, 10)]).unwrap();
                drop(permit);
                quotas.settle();
            });
        });
    }
}

criterion_group! {
    name = core;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = decoding, messages, patterns, handshakes, slots
}
criterion_main!(core);
