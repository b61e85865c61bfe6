//! Every message was held until it was whole, also where nobody reads its content: a
//! worker's memory belonged to whoever sent much, and did not end it.

use crate::browser::{Browser, Pages};
use crate::client::{Client, Request, frame};
use crate::frames::counter;
use crate::frames::pair::{Upstream, plain};
use crate::peers::{Maker, Talk};
use crate::support::{Envoy, bootstrap_of, listener, stream_listener, wait_for};
use crate::upstream::{accepted, each_request};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use tokio_tungstenite::tungstenite;

const MEGABYTE: usize = 1 << 20;

/// A policy that reads no content, in each kind of filter, with `push` and without.
fn start(upstream: SocketAddr) -> Envoy {
    let policy = |lifetime: Value| json!({"policies": [{"name": "chat", "lifetime": lifetime}]});
    let mut pushing = listener(&policy(json!({"push": true, "heartbeat": "1s"})));
    pushing["name"] = json!("push");
    let mut document = policy(json!({}));
    document["filter"] = json!("stream");
    let mut stream = stream_listener(&document);
    stream["name"] = json!("stream");
    let mut plain = listener(&policy(json!({})));
    plain["name"] = json!("http");
    Envoy::start(&bootstrap_of(&[plain, pushing, stream], upstream))
}

/// Text of so many bytes, in characters of one to four.
fn text(bytes: usize) -> Vec<u8> {
    let mut text = "wsguard, größer, 日本語 🙂 ".repeat(bytes / 20).into_bytes();
    text.truncate(bytes);
    let valid = std::str::from_utf8(&text).map_or_else(|error| error.valid_up_to(), str::len);
    text.truncate(valid);
    text.resize(bytes, b'.');
    text
}

/// The half that has come goes on while the rest is not there.
#[test]
fn a_megabyte_goes_on_as_it_comes_in_both_directions() {
    let upstream = Upstream::bind();
    let envoy = start(upstream.address());
    for name in ["http", "push", "stream"] {
        let (mut client, mut server) =
            upstream.open(envoy.listener(name), &Request::upgrade("/ws"));
        for message in [plain(0x81, &text(MEGABYTE)), plain(0x82, &vec![0xFF; MEGABYTE])] {
            for half in message.chunks(message.len() / 2 + 1) {
                server.send(half);
                let mut seen = vec![0; half.len()];
                client.stream.read_exact(&mut seen).unwrap();
                assert!(seen == half, "{name}: not as it came");
                assert!(counter(&envoy, "wsguard_buffered_bytes") < 64 << 10, "{name}");
            }
        }
        let message = frame(0x82, &vec![7; MEGABYTE]);
        for half in message.chunks(message.len() / 2 + 1) {
            client.send(half);
            server.expect(half);
        }
    }
}

/// Texts that are none, each in frames: the bad byte at the begin, in the middle, at the
/// end, in a character that frames cut, and in one that never ends.
fn bad_texts() -> Vec<Vec<Vec<u8>>> {
    let good = text(200_000);
    let with = |at: usize, bad: &[u8]| {
        let mut text = vec![b'a'; 200_000];
        text[at..at + bad.len()].copy_from_slice(bad);
        text
    };
    vec![
        vec![with(0, b"\xff")],
        vec![with(100_000, b"\xff")],
        vec![with(199_999, b"\xff")],
        vec![with(199_998, b"\xe2\x82")],
        vec![with(150_000, b"\xed\xa0\x80")],
        vec![with(150_000, b"\xc0\xaf")],
        vec![with(150_000, b"\xf4\x90\x80\x80")],
        vec![good.clone(), with(199_997, b"\xe2\x82a")],
        vec![with(199_999, b"\xe2"), b"\x82".to_vec(), b"a".to_vec(), good.clone()],
        vec![good, b"\xf0\x9f\x99".to_vec()],
    ]
}

/// Says the text that the path names, in pieces with pauses between them, as a slow
/// application does.
fn say(head: &str, mut stream: TcpStream) {
    let number = head.split(['/', ' ']).nth(2).unwrap().parse::<usize>().unwrap();
    let frames = &bad_texts()[number];
    let mut bytes = Vec::new();
    for (index, part) in frames.iter().enumerate() {
        let fin = if index + 1 == frames.len() { 0x80 } else { 0 };
        bytes.extend(plain(fin | u8::from(index == 0), part));
    }
    let _ = stream.write_all(accepted(head, "").as_bytes());
    for piece in bytes.chunks(61_000) {
        std::thread::sleep(Duration::from_millis(50));
        if stream.write_all(piece).is_err() {
            return;
        }
    }
    // Until the other side ends it.
    let _ = stream.read_to_end(&mut Vec::new());
}

/// The application's text has a bad byte: no reader gets the message whole.
#[test]
fn no_reader_gets_a_text_with_a_bad_byte() {
    let upstream = each_request(|head, stream| say(&head, stream));
    let envoy = start(upstream);
    let pages = Pages::start();
    let browser = Browser::start();
    browser.open(&pages.page("app.localhost"));
    for name in ["http", "push", "stream"] {
        let address = envoy.listener(name);
        let urls: Vec<String> =
            (0..bad_texts().len()).map(|number| format!("ws://{address}/{number}")).collect();
        let talks: Vec<Talk> = urls
            .iter()
            .flat_map(|url| [Maker::Python, Maker::Node].map(|maker| (url, maker)))
            .map(|(url, maker)| Talk::at(maker, url, &["wait:60000"]))
            .collect();
        for url in &urls {
            let (mut socket, _) = tungstenite::connect(url).unwrap();
            let read = std::iter::repeat_with(|| socket.read())
                .find(|read| !matches!(read, Ok(tungstenite::Message::Ping(_))));
            let read = read.unwrap();
            let ends = matches!(read, Err(_) | Ok(tungstenite::Message::Close(_)));
            assert!(ends, "{url}: tungstenite got a message");
        }
        let sockets: Vec<(String, Value, &[&str])> =
            urls.iter().map(|url| (url.clone(), json!([]), &["wait:60000"][..])).collect();
        for (saw, url) in browser.talk(&sockets).iter().zip(&urls) {
            assert_eq!(saw.messages(), [""; 0], "{url}: Chromium got a message");
            assert!([1006, 1007].contains(&saw.close().0), "{url}: {saw:?}");
        }
        for talk in talks {
            assert_eq!(talk.saw().messages(), [""; 0], "{name}");
        }
    }
    let refused = |name: &str| counter(&envoy, name);
    let violations = r#"wsguard_violations_total{policy="chat",direction="server",reason="invalid_utf8",action="close"}"#;
    wait_for("all to be told", || (refused(violations) == 3 * 4 * bad_texts().len()).then_some(()));
}

/// Gets through Envoy what another client's unfinished messages would have taken the
/// memory for.
#[test]
fn unfinished_binary_of_one_client_takes_nothing_from_another() {
    let upstream = Upstream::bind();
    let document =
        json!({"limits": {"buffered_per_worker": "8MiB"}, "policies": [{"name": "chat"}]});
    let envoy = Envoy::start_on(1, &bootstrap_of(&[listener(&document)], upstream.address()));
    let request = Request::upgrade("/ws");
    let begun = &frame(0x82, &vec![7; MEGABYTE])[..MEGABYTE / 2];
    let mut open: Vec<(Client, _)> =
        (0..17).map(|_| upstream.open(envoy.address(), &request)).collect();
    for (client, server) in &mut open {
        client.send(begun);
        server.expect(begun);
    }
    let (mut client, mut server) = upstream.open(envoy.address(), &request);
    let hello = frame(0x81, b"hello world");
    client.send_apart(&[&hello[..9], &hello[9..]]);
    server.expect(&hello);
}
