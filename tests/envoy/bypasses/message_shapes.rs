//! Messages whose shape hides what they ask for, before an application that reads
//! messages in the ways of tests/handlers/handlers.js: what any of them takes for a
//! join of a room that was not granted must not reach it.

use crate::client::{Client, Request, frame};
use crate::peers::{node, peer};
use crate::support::{Envoy, bootstrap, bootstrap_of, stream_listener};
use crate::{TEST_API_KEY, by_api_key};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Stdio};

/// The application; it ends with the test.
struct Rooms {
    child: Child,
    address: SocketAddr,
}

impl Rooms {
    fn start() -> Self {
        let mut child = node().arg(peer("node/rooms.js")).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], line.trim().parse().unwrap()));
        Self { child, address }
    }
}

impl Drop for Rooms {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A join of a room needs that the credential's `sub` names it: `key:robot`.
fn document(rule: &Value) -> Value {
    let mut auth = by_api_key();
    auth["authorize"] = json!([rule]);
    json!({"policies": [{"name": "rooms", "auth": auth, "client": {"types": ["text", "binary"]}}]})
}

fn rpc() -> Value {
    json!({"from": {"message": "/params/0", "when": {"/method": "join"}}, "claim": "sub"})
}

fn by_type() -> Value {
    json!({"from": {"message": "/room", "when": {"/type": "join"}}, "claim": "sub"})
}

fn by_code() -> Value {
    json!({"from": {"message": "/room", "when": {"/op": 1}}, "claim": "sub"})
}

/// Opcode and payload of messages that some way to read them takes for a join.
type Cases = &'static [(u8, &'static [u8])];

const RPC: Cases = &[
    (0x81, br#"[{"jsonrpc":"2.0","id":1,"method":"join","params":["payroll"]}]"#),
    (0x82, br#"[{"jsonrpc":"2.0","id":1,"method":"join","params":["payroll"]}]"#),
    (0x81, br#"[{"id":1,"method":"x"},{"id":2,"method":"join","params":["payroll"]}]"#),
    (0x81, br#" [ { "method" : "join" , "params" : { "0" : "payroll" } } ] "#),
];

const BY_TYPE: Cases = &[
    (0x81, br#"{"type":["join"],"room":"secret"}"#),
    (0x81, br#"{"type":[["join"]],"room":"secret"}"#),
    (0x81, br#"{"__proto__":{"type":"join"},"room":"secret"}"#),
    (0x81, br#"{"\u005f_proto__":{"type":"join"},"room":"secret"}"#),
    (0x81, br#""{\"type\":\"join\",\"room\":\"secret\"}""#),
    (0x81, br#""\u007b\"type\":\"join\",\"room\":\"secret\"\u007d""#),
    (0x81, br#"["{\"type\":\"join\",\"room\":\"secret\"}"]"#),
    (0x81, br#"[[{"type":"join","room":"secret"}]]"#),
    (0x81, br#"[{"type":"say"},{"type":"join","room":"secret"}]"#),
    (0x82, br#"{"type":["join"],"room":"secret"}"#),
];

const BY_CODE: Cases = &[
    (0x81, br#"{"op":"1","room":"secret"}"#),
    (0x81, br#"{"op":[1],"room":"secret"}"#),
    (0x81, br#"{"op":true,"room":"secret"}"#),
    (0x81, br#"{"op":" 1 ","room":"secret"}"#),
    (0x81, br#"{"op":"0x1","room":"secret"}"#),
    (0x81, br#"{"op":1.5,"room":"secret"}"#),
    (0x81, br#"{"op":4294967297,"room":"secret"}"#),
];

/// Sends one message; what the application answers, or how it ends.
fn says(address: SocketAddr, (first, message): (u8, &[u8])) -> Result<String, (u16, String)> {
    let request = Request::upgrade("/ws").with("x-api-key", TEST_API_KEY);
    let mut client = Client::open(address, &request);
    client.send(&frame(first, message));
    let answer = client.frame().expect("a reset where a Close can be told");
    if answer.first == 0x88 {
        return Err(answer.close());
    }
    Ok(String::from_utf8(answer.payload).unwrap())
}

fn holds(rule: &Value, good: &[u8], cases: Cases) {
    let rooms = Rooms::start();
    let mut stream = document(rule);
    stream["filter"] = json!("stream");
    for bootstrap in [
        bootstrap(&document(rule), rooms.address),
        bootstrap_of(&[stream_listener(&stream)], rooms.address),
    ] {
        let envoy = Envoy::start(&bootstrap);
        assert_eq!(says(envoy.address(), (0x81, good)), Ok("joined key:robot".to_owned()));
        assert_eq!(says(envoy.address(), (0x81, b"{\"text\":\"x\"}")), Ok("heard".to_owned()));
        let denied = Err((1008, "access_denied".to_owned()));
        let passed: Vec<_> = cases
            .iter()
            .map(|case| (String::from_utf8_lossy(case.1), says(envoy.address(), *case)))
            .filter(|(_, said)| *said != denied)
            .collect();
        assert!(passed.is_empty(), "{passed:#?}");
    }
}

#[test]
fn a_batch_is_no_way_past_authorize() {
    holds(&rpc(), br#"{"jsonrpc":"2.0","id":1,"method":"join","params":["key:robot"]}"#, RPC);
    holds(&rpc(), br#"[{"jsonrpc":"2.0","id":1,"method":"join","params":["key:robot"]}]"#, RPC);
}

#[test]
fn a_type_in_another_shape_is_no_way_past_authorize() {
    holds(&by_type(), br#"{"type":"join","room":"key:robot"}"#, BY_TYPE);
}

#[test]
fn a_code_of_another_kind_is_no_way_past_authorize() {
    holds(&by_code(), br#"{"op":1,"room":"key:robot"}"#, BY_CODE);
}

/// Without `types`, and where plain words pass that hold nothing that is JSON.
#[test]
fn binary_needs_types_and_other_messages_a_word_for_it() {
    let rooms = Rooms::start();
    let mut document = document(&by_type());
    document["policies"][0].as_object_mut().unwrap().remove("client");
    for (other, ping) in
        [("reject", Err((1008, "access_denied".to_owned()))), ("pass", Ok("heard".to_owned()))]
    {
        document["policies"][0]["auth"]["other_messages"] = json!(other);
        let envoy = Envoy::start(&bootstrap(&document, rooms.address));
        let says = |first, message| says(envoy.address(), (first, message));
        assert_eq!(says(0x81, b"ping"), ping);
        let denied = Err((1008, "access_denied".to_owned()));
        assert_eq!(says(0x81, br#""{\"type\":\"join\",\"room\":\"secret\"}""#), denied);
        assert_eq!(says(0x81, b"{\"type\":\"say\"}\x1e"), denied);
        let binary = br#"{"type":"join","room":"key:robot"}"#;
        assert_eq!(says(0x82, binary), Err((1003, "type_denied".to_owned())));
    }
}
