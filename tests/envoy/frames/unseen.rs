//! Nothing of a message that is refused reaches upstream, in whatever form it
//! comes: a recording upstream sees what stood before it, and our Close.

use super::prompt;
use crate::client::{Client, Request, frame, text};
use crate::support::{Envoy, wait_for};
use crate::upstream::{Recorder, Script, Seen};
use flate2::{Compress, Compression, FlushCompress};
use serde_json::{Value, json};
use std::io::Write;
use std::time::Duration;

/// Stands in no byte that upstream may see, masked or not.
const BAD: &str = "say <script> now";

fn document() -> Value {
    json!({"policies": [{
        "name": "chat",
        "handshake": {"compression": "inspect"},
        "client": {"max_message": 2000, "max_frame": 2000, "rules": [
            {"name": "no-scripts", "pattern": "(?i)<script", "action": "close"},
        ]},
    }]})
}

/// A client's frame, masked with this key.
fn keyed(first: u8, payload: &[u8], key: [u8; 4]) -> Vec<u8> {
    let mut bytes = vec![first, 0x80 | u8::try_from(payload.len()).unwrap()];
    bytes.extend(key);
    bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

/// Compressed, in the context of what was compressed before.
fn deflated(compress: &mut Compress, text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(1000);
    compress.compress_vec(text.as_bytes(), &mut out, FlushCompress::Sync).unwrap();
    out.truncate(out.len() - 4);
    out
}

/// A name, what may go on, and the refused message behind it.
type Case = (&'static str, Vec<u8>, Vec<u8>);

fn cases() -> Vec<Case> {
    let bad = BAD.as_bytes();
    let ping = frame(0x89, b"beat");
    let tiny: Vec<u8> = bad[1..].iter().flat_map(|byte| frame(0x00, &[*byte])).collect();
    let tiny = [frame(0x01, &bad[..1]), tiny, frame(0x80, b"")].concat();
    let masks = [[0; 4], [0xFF; 4], [1, 0, 0, 0], *b"<scr"].map(|key| keyed(0x81, bad, key));
    let [zero, ones, one, words] = masks;
    vec![
        ("tiny fragments", Vec::new(), tiny),
        (
            "empty fragments",
            Vec::new(),
            [frame(0x01, b""), frame(0x00, b""), frame(0x80, bad)].concat(),
        ),
        ("a key of zeros", text("good"), zero),
        ("a key of ones", text("good"), ones),
        ("a key that masks one byte in four", text("good"), one),
        ("a key that hides the words", text("good"), words),
        ("too long by one byte", text("good"), frame(0x82, &[b'<'; 2001])),
        ("two good ones before", [text("a"), ping, text("b")].concat(), frame(0x82, bad)),
    ]
}

/// The Close(1008) or Close(1009) of ours, behind `before`.
fn assert_unseen(name: &str, seen: &Seen, before: &[u8]) {
    let rest = seen.bytes.strip_prefix(before).unwrap_or_else(|| panic!("{name}: {seen:?}"));
    assert!(rest.len() == 8 && rest[..2] == [0x88, 0x82], "{name}: {rest:02x?}");
}

/// Sends it in these pieces on a connection of its own.
fn play(envoy: &Envoy, upstream: &Recorder, pieces: &[&[u8]], extension: bool) -> Seen {
    let number = upstream.seen().len();
    let request = Request::upgrade("/ws");
    let request = if extension {
        request.with("sec-websocket-extensions", "permessage-deflate")
    } else {
        request
    };
    let mut client = Client::open(envoy.address(), &request);
    for piece in pieces {
        // What comes behind the refusal may find no connection any more.
        let _ = client.stream.write_all(piece);
        std::thread::sleep(Duration::from_millis(2));
    }
    while let Some(came) = client.frame() {
        if came.first == 0x88 {
            assert!([1008, 1009].contains(&came.close().0));
        }
    }
    wait_for("upstream's connection to end", || {
        upstream.seen().into_iter().nth(number).filter(|seen| seen.ended)
    })
}

#[test]
fn no_byte_of_a_refused_message_reaches_upstream_however_it_is_cut() {
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let envoy = Envoy::start(&prompt(&document(), upstream.address));
    for (name, before, bad) in cases() {
        let all = [before.clone(), bad, text("behind it")].concat();
        let middle = before.len() + 3;
        for pieces in [vec![&all[..]], vec![&all[..middle], &all[middle..]]] {
            assert_unseen(name, &play(&envoy, &upstream, &pieces, false), &before);
        }
        if all.len() < 300 {
            let bytes: Vec<&[u8]> = all.chunks(1).collect();
            assert_unseen(name, &play(&envoy, &upstream, &bytes, false), &before);
        }
    }
}

#[test]
fn no_byte_of_a_compressed_one_does_either() {
    let line = "sec-websocket-extensions: permessage-deflate";
    let upstream = Recorder::start(Script::AcceptWith(line));
    let envoy = Envoy::start(&prompt(&document(), upstream.address));
    let mut compress = Compress::new(Compression::best(), false);
    let good = frame(0xC1, &deflated(&mut compress, "words before, and more words"));
    let bad = deflated(&mut compress, "words before, <script>, and more words");
    let (front, back) = bad.split_at(bad.len() / 2);
    let ping = frame(0x89, b"");
    let fragments = [frame(0x41, front), ping.clone(), frame(0x80, back)].concat();
    for (name, bad, passed) in [
        ("whole", frame(0xC1, &bad), good.clone()),
        ("in fragments", fragments, [good.clone(), ping].concat()),
    ] {
        let all = [good.clone(), bad].concat();
        let bytes: Vec<&[u8]> = all.chunks(1).collect();
        for pieces in [vec![&all[..]], bytes] {
            assert_unseen(name, &play(&envoy, &upstream, &pieces, true), &passed);
        }
    }
}

/// What comes behind a Close is for nobody, and neither is what comes with the
/// handshake.
#[test]
fn nothing_behind_a_close_and_nothing_with_the_handshake_reaches_upstream() {
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let envoy = Envoy::start(&prompt(&document(), upstream.address));
    let bye = frame(0x88, b"\x03\xe8bye");
    let all = [text("good"), bye.clone(), text(BAD), bye.clone(), frame(0x89, b"late")].concat();
    let mut client = Client::open(envoy.address(), &Request::upgrade("/ws"));
    client.send(&all);
    assert_eq!(client.frame().unwrap().close(), (1000, "bye".to_owned()));
    let seen = upstream.ended();
    assert_eq!(seen.bytes, [text("good"), bye].concat());

    let mut client = Client::connect(envoy.address());
    client.send(&[Request::upgrade("/ws").bytes(), text(BAD)].concat());
    client.answer();
    while client.frame().is_some() {}
    envoy.event("refused", Some("protocol_error"));
    assert!(upstream.seen().into_iter().skip(1).all(|seen| seen.bytes.is_empty()));
}
