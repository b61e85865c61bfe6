//! What clients send after the upgrade, through the stock Envoy: for each way to
//! break a rule what both ends see, and the event.

use super::client::{Request, frame, text};
use super::support::{Envoy, bootstrap, wait_for};
use pair::{Upstream, close};
use serde_json::{Value, json};
use std::net::SocketAddr;

mod closing;
mod memory;
pub mod pair;
mod patterns;
mod splits;
mod unseen;

/// Envoy, with the one rule of these tests.
fn start(upstream: &Upstream) -> Envoy {
    let document = json!({"policies": [{
        "name": "chat",
        "client": {"rules": [{"name": "no-scripts", "pattern": "(?i)<script", "action": "close"}]},
    }]});
    Envoy::start(&prompt(&document, upstream.address()))
}

/// An Envoy that ends a client's connection as soon as the server's has ended;
/// by default it waits a second for the client to do so.
pub fn prompt(document: &Value, upstream: SocketAddr) -> Value {
    let mut bootstrap = bootstrap(document, upstream);
    let listener = &mut bootstrap["static_resources"]["listeners"][0];
    let manager = &mut listener["filter_chains"][0]["filters"][0]["typed_config"];
    manager["delayed_close_timeout"] = json!("0.02s");
    bootstrap
}

/// A section of one direction whose messages are read, and so held until they are whole.
pub fn reading() -> Value {
    json!({"rules": [{"name": "no-scripts", "pattern": "(?i)<script", "action": "close"}]})
}

/// A counter or gauge by the name that wsguard gives it; 0 when there is none.
pub fn counter(envoy: &Envoy, name: &str) -> usize {
    assert!(!name.contains('.'), "{name} is no name as Prometheus shows it");
    let family = name.split_once('{').map_or(name, |(family, _)| family);
    let page = envoy.get(&format!("/stats/prometheus?filter={family}"));
    // Where there are no labels Envoy writes empty braces.
    let name = if family == name { format!("{name}{{}}") } else { name.to_owned() };
    let value = |line: &str| line.strip_prefix(&name)?.strip_prefix(' ')?.parse().ok();
    page.lines().find_map(value).unwrap_or(0)
}

/// A name, what the client sends, the close code and the reason.
type Case = (&'static str, Vec<u8>, u16, &'static str);

/// A client's frame with this length field; its payload never comes.
fn announcing(first: u8, length: &[u8]) -> Vec<u8> {
    [&[first, if length.len() == 2 { 0xFE } else { 0xFF }], length, &[1, 2, 3, 4]].concat()
}

fn framing() -> Vec<Case> {
    let broken = |name, bytes| (name, bytes, 1002, "protocol_error");
    vec![
        broken("RSV1", frame(0xC1, b"a")),
        broken("RSV2", frame(0xA1, b"a")),
        broken("RSV3", frame(0x91, b"a")),
        broken("reserved opcode", frame(0x83, b"a")),
        broken("reserved control opcode", frame(0x8F, b"a")),
        broken("unmasked text", vec![0x81, 1, b'a']),
        broken("unmasked ping", vec![0x89, 0]),
        broken("a ping of 126 bytes", frame(0x89, &[0; 126])),
        broken("a ping of 64 KiB", frame(0x89, &[0; 65536])),
        broken("a fragmented ping", frame(0x09, b"a")),
        broken("125 in 16 bits", announcing(0x81, &[0, 125])),
        broken("65535 in 64 bits", announcing(0x82, &[0, 0, 0, 0, 0, 0, 255, 255])),
        broken("2^63", announcing(0x82, &[0x80, 0, 0, 0, 0, 0, 0, 0])),
        broken("a continuation of nothing", frame(0x80, b"a")),
        broken("a message in another", [frame(0x01, b"a"), frame(0x82, b"b")].concat()),
        broken("a Close of one byte", frame(0x88, b"\x03")),
        broken("close code 0", frame(0x88, &0u16.to_be_bytes())),
        broken("close code 999", frame(0x88, &999u16.to_be_bytes())),
        broken("close code 1004", frame(0x88, &1004u16.to_be_bytes())),
        broken("close code 1005", frame(0x88, &1005u16.to_be_bytes())),
        broken("close code 1006", frame(0x88, &1006u16.to_be_bytes())),
        broken("close code 1015", frame(0x88, &1015u16.to_be_bytes())),
        broken("close code 5000", frame(0x88, &5000u16.to_be_bytes())),
    ]
}

fn contents() -> Vec<Case> {
    let too_big = |name, bytes| (name, bytes, 1009, "frame_too_big");
    let four_gigabytes = ((1u64 << 32) + 5).to_be_bytes();
    let fragments = |count: usize| [frame(0x01, b""), frame(0x00, b"").repeat(count)].concat();
    vec![
        too_big("a frame of 1001 bytes", frame(0x81, &[b'a'; 1001])),
        too_big("4 GiB and 5 bytes", announcing(0x81, &four_gigabytes)),
        too_big("2^63-1 bytes", announcing(0x02, &i64::MAX.to_be_bytes())),
        (
            "a message of 1501 bytes",
            [frame(0x01, &[b'a'; 1000]), frame(0x80, &[b'a'; 501])].concat(),
            1009,
            "message_too_big",
        ),
        ("5 fragments", fragments(4), 1008, "too_many_fragments"),
        ("text that is no UTF-8", frame(0x81, b"a\xff"), 1007, "invalid_utf8"),
        ("text that ends in a character", frame(0x81, b"\xe2\x82"), 1007, "invalid_utf8"),
        ("a close reason that is no UTF-8", frame(0x88, b"\x03\xe8\xff"), 1007, "invalid_utf8"),
        ("a pattern", text("a <ScRiPt> b"), 1008, "rule_matched"),
        ("a pattern in binary", frame(0x82, b"\xff<script\xff"), 1008, "rule_matched"),
    ]
}

/// One policy per path, as a policy writes a hundred event lines a second.
const POLICIES: usize = 12;

fn policy(index: usize) -> Value {
    json!({
        "name": format!("p{index}"),
        "match": {"paths": [format!("/{index}")]},
        "client": {
            "max_frame": 1000, "max_message": 1500, "max_fragments": 4,
            "rules": [{"name": "no-scripts", "pattern": "(?i)<script", "action": "close"}],
        },
    })
}

#[test]
fn each_violation_ends_both_sides_with_its_code_and_upstream_sees_nothing_of_it() {
    let upstream = Upstream::bind();
    let policies: Vec<Value> = (0..POLICIES).map(policy).collect();
    let envoy = Envoy::start(&prompt(&json!({"policies": policies}), upstream.address()));
    let good = text("hello");
    let mut number = [0; POLICIES];
    for (index, (name, bytes, code, reason)) in framing().iter().chain(&contents()).enumerate() {
        let index = index % POLICIES;
        let (mut client, mut server) =
            upstream.open(envoy.address(), &Request::upgrade(&format!("/{index}")));
        client.send(&good);
        server.expect(&good);
        client.send(bytes);
        server.expect_close(*code, "");
        server.send(&close(*code, ""));
        assert_eq!(client.frame().unwrap().close(), (*code, (*reason).to_owned()), "{name}");
        server.expect_nothing_but_the_end();
        assert!(client.ends(), "{name}");

        number[index] += 1;
        let policy = format!("p{index}");
        let event = wait_for(&format!("the event of {name}"), || {
            let refused = |e: &Value| e["event"] == "refused" && e["policy"] == policy.as_str();
            envoy.events().into_iter().filter(refused).nth(number[index] - 1)
        });
        assert_eq!(
            (&event["reason"], &event["direction"]),
            (&json!(reason), &json!("client")),
            "{name}"
        );
        assert!(event["offset"].as_u64().unwrap() >= good.len() as u64, "{name}");
        let rule = if *reason == "rule_matched" { json!("no-scripts") } else { Value::Null };
        assert_eq!(event["rule"], rule, "{name}");
    }
    envoy.metric("wsguard_buffered_bytes{} 0");
}
