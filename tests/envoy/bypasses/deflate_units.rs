//! Compressed messages that receivers inflate frame by frame, or end at a final
//! block. Node `ws` takes a fresh inflater for the frame behind one, Python
//! `websockets` reads every later message as empty: what was judged was not what
//! either decoded. The pauses between the frames are part of the input, for `ws`
//! takes frames that come at once in one go.

use crate::client::{Client, Request, frame, text};
use crate::frames::pair::{Upstream, close, plain};
use crate::peers::{Echo, Maker, Talk};
use crate::support::{Envoy, bootstrap_of, listener, stream_listener};
use flate2::{Decompress, FlushDecompress};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

const PAUSE: Duration = Duration::from_millis(100);
const MAKERS: [Maker; 2] = [Maker::Node, Maker::Python];
const FILTERS: [&str; 2] = ["http", "stream"];

/// An empty stored block, then a dynamic one whose bits spell harmless letters. To a
/// decoder that begins anew with the tail alone they are the rest of a stored block:
/// `<script>alert(1)</script>`.
const HIDDEN: &str = "000000ffff04e081b46ddbb66ddbb2c6944b6d7dccb5cf7ddf3f841042f8013c\
    7363726970743e616c6572742831293c2f7363726970743efeff00";

/// What that is to us.
const HARMLESS: &str = "aaaaaeacadcaacabadbabcaaaadaabdafabaaacaaccbbacabadaabdaaabbabaacababbaaa\
    eaebacadcaacabadbabcaaaadaabdafaa";

/// Frames, and the messages that they are.
struct Input {
    name: &'static str,
    frames: Vec<(u8, &'static str)>,
    messages: Vec<&'static str>,
}

fn inputs() -> Vec<Input> {
    let input = |name, frames: &[(u8, &'static str)], messages: &[&'static str]| Input {
        name,
        frames: frames.to_vec(),
        messages: messages.to_vec(),
    };
    vec![
        input(
            "a final block, its octet, an empty frame, and what hides behind them",
            &[(0x41, "cb48cdc9c9070000"), (0x80, ""), (0xC2, HIDDEN)],
            &["hello", HARMLESS],
        ),
        input(
            "the octet in the next frame",
            &[(0x41, "f348cdc9c90700"), (0x80, "00"), (0xC1, "f248cdc9c90700")],
            &["Hello", "Hello"],
        ),
        input(
            "a final block in one frame, and more messages",
            &[(0xC1, "f348cdc9c9070000"), (0xC1, "f248cdc9c90700"), (0xC1, "f348cdc9c9070000")],
            &["Hello", "Hello", "Hello"],
        ),
        input(
            "a reference to what was before the final block",
            &[(0xC1, "f348cdc9c9070000"), (0xC1, "f200110000")],
            &["Hello", "Hello"],
        ),
        input(
            "blocks behind a final one, in one frame",
            &[(0xC1, "f348cdc9c90700f248cdc9c90700"), (0xC1, "f248cdc9c90700")],
            &["HelloHello", "Hello"],
        ),
        input(
            "several final blocks, cut inside and between",
            &[(0x41, "f348cdc9c90700f348"), (0x00, "cdc9c90700"), (0x80, "030000"), (0xC1, "00")],
            &["HelloHello", ""],
        ),
        input(
            "an empty final block in a frame of its own",
            &[(0x41, "0300"), (0x00, ""), (0x80, "f248cdc9c90700"), (0xC2, HIDDEN)],
            &["Hello", HARMLESS],
        ),
        input(
            "a final stored block, then nothing but its octet",
            &[(0x41, "010500faff48656c6c6f"), (0x80, "00"), (0xC1, "f248cdc9c90700")],
            &["Hello", "Hello"],
        ),
    ]
}

fn octets(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// With a rule for what this end sends: the other may repeat it.
fn document(filter: &str, sender: &str) -> Value {
    let section = json!({"rules": [
        {"name": "no-scripts", "pattern": "(?i)<script", "action": "close"},
    ]});
    json!({"filter": filter, "policies": [{
        "name": "chat", "handshake": {"compression": "inspect"},
        sender: section,
    }]})
}

fn start(upstream: SocketAddr, sender: &str) -> Envoy {
    let mut http = listener(&document("http", sender));
    let mut stream = stream_listener(&document("stream", sender));
    http["name"] = json!("http");
    stream["name"] = json!("stream");
    Envoy::start(&bootstrap_of(&[http, stream], upstream))
}

/// A receiver that was led astray may have ended the connection.
fn send(stream: &mut TcpStream, bytes: &[u8]) {
    let _ = stream.write_all(bytes);
}

/// What an echo server has decoded, as it comes back; `None` where it does not.
fn echoed(client: &mut Client, inflater: &mut Decompress) -> Option<Vec<u8>> {
    let frame = client.frame()?;
    if frame.first & 0x0F == 8 {
        return None;
    }
    assert!(frame.first & 0x80 != 0, "an echo in fragments");
    if frame.first & 0x40 == 0 {
        return Some(frame.payload);
    }
    let packed = [&frame.payload[..], &[0, 0, 0xFF, 0xFF]].concat();
    let mut out = Vec::with_capacity(4096);
    inflater.decompress_vec(&packed, &mut out, FlushDecompress::Sync).unwrap();
    Some(out)
}

fn servers_decode(maker: Maker, filter: &str) {
    let echo = Echo::of(maker);
    let envoy = start(echo.address, "client");
    let mut wrong = Vec::new();
    for input in inputs() {
        let offer = ("sec-websocket-extensions", "permessage-deflate");
        let request = Request::upgrade("/ws").with(offer.0, offer.1);
        let mut client = Client::open(envoy.listener(filter), &request);
        let mut inflater = Decompress::new(false);
        let mut came = Vec::new();
        for (first, hex) in &input.frames {
            send(&mut client.stream, &frame(*first, &octets(hex)));
            std::thread::sleep(PAUSE);
        }
        // Not compressed, it is read by all, and behind all else.
        send(&mut client.stream, &text("end"));
        while let Some(message) = echoed(&mut client, &mut inflater).filter(|m| m != b"end") {
            came.push(String::from_utf8_lossy(&message).into_owned());
        }
        send(&mut client.stream, &frame(0x88, b"\x03\xe8"));
        if came != input.messages {
            wrong.push((input.name, came));
        }
    }
    assert!(wrong.is_empty(), "{maker:?} behind {filter} decodes something else: {wrong:#?}");
}

fn clients_decode(maker: Maker, filter: &str) {
    let upstream = Upstream::bind();
    let envoy = start(upstream.address(), "server");
    let mut wrong = Vec::new();
    for input in inputs() {
        let waits = vec!["wait:3000"; input.messages.len()];
        let talk = Talk::start(maker, envoy.listener(filter), &waits);
        let mut asked = upstream.take_request();
        asked.accept_with("sec-websocket-extensions: permessage-deflate\r\n");
        for (first, hex) in &input.frames {
            send(&mut asked.server.stream, &plain(*first, &octets(hex)));
            std::thread::sleep(PAUSE);
        }
        // Its Close: it has all that it waits for.
        let _ = asked.server.stream.read(&mut [0; 64]);
        send(&mut asked.server.stream, &close(1000, ""));
        // Or the client would wait for it.
        let _ = asked.server.stream.shutdown(Shutdown::Write);
        let saw = talk.saw();
        if saw.messages() != input.messages {
            wrong.push((input.name, format!("{saw:?}")));
        }
    }
    assert!(wrong.is_empty(), "{maker:?} behind {filter} decodes something else: {wrong:#?}");
}

#[test]
fn servers_decode_what_was_judged() {
    for filter in FILTERS {
        MAKERS.iter().for_each(|maker| servers_decode(*maker, filter));
    }
}

#[test]
fn clients_decode_what_was_judged() {
    for filter in FILTERS {
        MAKERS.iter().for_each(|maker| clients_decode(*maker, filter));
    }
}

/// Report changes nothing, tells once, and leaves that direction alone.
#[test]
fn report_says_that_it_reads_no_more() {
    let echo = Echo::of(Maker::Node);
    let mut document = document("http", "client");
    document["mode"] = json!("report");
    let envoy = Envoy::start(&bootstrap_of(&[listener(&document)], echo.address));
    let request = Request::upgrade("/ws").with("sec-websocket-extensions", "permessage-deflate");
    let mut client = Client::open(envoy.address(), &request);
    let mut inflater = Decompress::new(false);
    for hex in ["f348cdc9c9070000", "f248cdc9c90700"] {
        client.send(&frame(0xC1, &octets(hex)));
        assert_eq!(echoed(&mut client, &mut inflater).unwrap(), b"Hello");
    }
    client.send(&frame(0x81, b"<script>"));
    assert_eq!(echoed(&mut client, &mut inflater).unwrap(), b"<script>");
    let told = envoy.event("reported", None);
    assert_eq!((&told["direction"], &told["offset"]), (&json!("client"), &json!(0)));
    assert!(told["detail"].as_str().unwrap().contains("BFINAL"), "{told}");
    client.send(&frame(0x88, b"\x03\xe8"));
    envoy.event("closed", None);
    let reported = envoy.events().iter().filter(|event| event["event"] == "reported").count();
    assert_eq!(reported, 1, "{:?}", envoy.events());
}
