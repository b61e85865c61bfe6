//! Patterns whose cost the sender of a message chose: counted repetitions over wide
//! classes, in texts in which they begin again and again. Now a document loads only where
//! a byte has a bounded cost, and no message costs more.

use crate::client::{Client, Request, frame, text};
use crate::peers::Echo;
use crate::support::{Envoy, bootstrap};
use flate2::{Compress, Compression, FlushCompress};
use serde_json::{Value, json};

/// Seconds of processor time for a message of 1 MiB, inspection and Envoy's own work:
/// 50 ns a byte, and several times that for slow machines. Builds before took 2 to 8.
const SECONDS: f64 = 1.0;

const MIB: usize = 1 << 20;

/// Patterns that load, and a text that is nearly what they look for.
const LOAD: [(&str, &str); 8] = [
    // The inputs that outsiders found.
    (r"(?i)<\w+[^>]{0,300}\bon\w+\s*=", "<axxx on"),
    (r"(?i)union.{0,300}select", "unionxxx"),
    // Others of the kind.
    (r"(?i)<\w+[^>]{0,300}\bon\w+\s*=", "<äöü öß on"),
    (r"(?i)<[a-z]+[^>]{0,200}(?:src|href)\s*=", "<a <b <c srs "),
    (r"a[^b]{0,250}c\d", "a"),
    (r"(?:\w+\s?){1,10}=", "aaa aaa "),
    (r"(?i)\bor\b.{0,200}\band\b", "or an "),
    (r"[a-f]\w{0,300}\d!", "abcdef"),
];

/// Patterns whose cost no engine bounds within what a byte may cost.
const REFUSED: [&str; 6] = [
    r"(?i)union.{0,1000}select",
    r"(?i)<\w+[^>]{0,900}\bon\w+\s*=",
    r"(?s)a.{0,1000}b.{0,1000}c",
    r"\w{1000}",
    r"(?-u:\xff)\w{0,90}x",
    r"((a{100}){100}){100}",
];

fn document(rules: &Value) -> Value {
    json!({"policies": [{
        "name": "chat", "handshake": {"compression": "inspect"}, "client": {"rules": rules},
    }]})
}

fn rule(name: &str, pattern: &str) -> Value {
    json!({"name": name, "pattern": pattern})
}

fn long(unit: &str) -> String {
    unit.repeat(MIB / unit.len())
}

/// Nearly as long, and not so uniform that its length alone would be refused.
fn varied(unit: &str) -> String {
    let part = |number: usize| unit.repeat(1016 / unit.len()) + &format!("{number:05} ");
    (0..1024).map(|index| part(index * 7919 % 100_000)).collect()
}

/// Another client of the worker is served before and behind a message, which takes no
/// more processor time than it may.
fn costs_little(envoy: &Envoy, request: &Request, message: &[u8], context: &str) {
    let mut other = Client::open(envoy.address(), &Request::upgrade("/ws"));
    let mut sender = Client::open(envoy.address(), request);
    let before = envoy.processor_seconds();
    sender.send(message);
    other.send(&text("still here?"));
    assert_eq!(other.frame().unwrap().payload, b"still here?", "{context}");
    let answer = sender.frame().unwrap();
    assert_ne!(answer.first, 0x88, "{context}: {answer:?}");
    other.send(&text("and now?"));
    assert_eq!(other.frame().unwrap().payload, b"and now?", "{context}");
    let took = envoy.processor_seconds() - before;
    assert!(took < SECONDS, "{context}: {took} s of processor time");
}

#[test]
fn a_message_costs_no_more_than_its_bytes_may_whatever_the_patterns_that_load() {
    let echo = Echo::start();
    for (pattern, unit) in LOAD {
        let envoy =
            Envoy::start(&bootstrap(&document(&json!([rule("dear", pattern)])), echo.address));
        let message = text(&long(unit));
        costs_little(&envoy, &Request::upgrade("/ws"), &message, pattern);
    }
}

/// A few thousand bytes come, and a message of 1 MiB is inspected.
#[test]
fn a_compressed_message_costs_no_more_than_its_bytes_may() {
    let echo = Echo::start();
    let request = Request::upgrade("/ws").with("sec-websocket-extensions", "permessage-deflate");
    for (pattern, unit) in LOAD {
        let envoy =
            Envoy::start(&bootstrap(&document(&json!([rule("dear", pattern)])), echo.address));
        let mut deflated = Vec::with_capacity(1 << 16);
        let mut compress = Compress::new(Compression::best(), false);
        let text = varied(unit);
        compress.compress_vec(text.as_bytes(), &mut deflated, FlushCompress::Sync).unwrap();
        assert!(deflated.ends_with(&[0, 0, 0xff, 0xff]) && deflated.len() < 50_000);
        deflated.truncate(deflated.len() - 4);
        costs_little(&envoy, &request, &frame(0xc1, &deflated), pattern);
    }
}

#[test]
fn patterns_that_no_engine_bounds_do_not_load_and_the_dearest_is_named() {
    let nowhere = "127.0.0.1:1".parse().unwrap();
    for pattern in REFUSED {
        let rules = json!([rule("cheap", "<script"), rule("dear", pattern)]);
        let log = Envoy::refuses(&bootstrap(&document(&rules), nowhere));
        assert!(
            log.contains("policies[0].client.rules[1].pattern: the patterns cost more"),
            "{log}"
        );
        assert!(log.contains("write a smaller one or *"), "{log}");
    }
}

/// They were asked before the rate of handshakes; a header of 60 KiB took 68 ms.
#[test]
fn user_agents_are_bounded_and_asked_after_the_rate() {
    let nowhere = "127.0.0.1:1".parse().unwrap();
    let of = |pattern: &str| {
        json!({"policies": [{
            "name": "chat",
            "handshake": {"user_agents_denied": ["curl", pattern]},
            "quotas": {"handshakes": {"per_ip": "1/10m"}},
        }]})
    };
    let log = Envoy::refuses(&bootstrap(&of(REFUSED[0]), nowhere));
    let path = "policies[0].handshake.user_agents_denied[1]: the patterns cost more";
    assert!(log.contains(path), "{log}");
    let envoy = Envoy::start(&bootstrap(&of(LOAD[0].0), nowhere));
    let agent = LOAD[0].1.repeat(5_000);
    let request = Request::upgrade("/ws").with("user-agent", &agent);
    let before = envoy.processor_seconds();
    let (_, first) = Client::ask(envoy.address(), &request);
    assert_eq!(first.status, 503, "{first:?}");
    // Over the rate, even what would be denied is told the rate.
    let denied = Request::upgrade("/ws").with("user-agent", "curl/8");
    for _ in 0..20 {
        let (_, answer) = Client::ask(envoy.address(), &denied);
        assert_eq!((answer.status, answer.reason().as_str()), (429, "handshake_rate"));
    }
    let took = envoy.processor_seconds() - before;
    assert!(took < SECONDS, "{took} s of processor time");
}

#[test]
fn documents_that_must_load_do() {
    let echo = Echo::start();
    let words: Vec<Value> =
        (0..50).map(|n| rule(&format!("w{n}"), &format!(r"(?i)\bdrop{n}table\b"))).collect();
    let thousand: Vec<Value> =
        (0..1000).map(|n| rule(&format!("r{n}"), &format!("(?i)attack-number-{n}-of"))).collect();
    let sanitize = json!([
        {"name": "tags", "pattern": "(?i)<script[^>]*>", "action": "sanitize"},
        {"name": "words", "pattern": r"(?i)\bsecret\b", "action": "sanitize"},
    ]);
    let tags = json!([rule("tags", "<[^>]*>x"), rule("handlers", r"(?i)<\w+[^>]*\bon\w+\s*=")]);
    for rules in [Value::from(words), Value::from(thousand), sanitize, tags] {
        let envoy = Envoy::start(&bootstrap(&document(&rules), echo.address));
        let message = text(&long("hello <world "));
        costs_little(&envoy, &Request::upgrade("/ws"), &message, "must load");
    }
}
