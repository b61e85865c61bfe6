//! Good messages pass byte for byte, both ways at once, between a client and a
//! server of another project's.

use super::of_kind;
use crate::client::{Client, Request, text};
use crate::support::{Envoy, bootstrap_of, stream_listener};
use serde_json::json;
use std::net::{SocketAddr, TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

/// tungstenite's server, echoing.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let Ok(mut socket) = tungstenite::accept(stream) else { return };
                while let Ok(message) = socket.read() {
                    if message.is_text() || message.is_binary() {
                        let _ = socket.send(message);
                    }
                }
            });
        }
    });
    address
}

fn start() -> Envoy {
    let document = json!({"policies": [{
        "name": "chat",
        "client": {
            "max_frame": "8MiB", "max_message": "8MiB",
            "rules": [{"name": "r", "pattern": "<script", "action": "close"}],
        },
        "server": {"max_frame": "8MiB", "max_message": "8MiB"},
    }]});
    Envoy::start(&bootstrap_of(&[stream_listener(&of_kind("stream", &document))], echo()))
}

fn connect(envoy: &Envoy) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(envoy.address()).unwrap();
    stream.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
    tungstenite::client("ws://chat.example.com/ws", stream).unwrap().0
}

#[test]
fn no_byte_is_lost_or_doubled() {
    let envoy = start();
    let mut socket = connect(&envoy);
    for size in [0, 1, 125, 126, 65_535, 65_536, 1_000_000, 3_000_000] {
        let payload: Vec<u8> = (0..=250).cycle().take(size).collect();
        socket.send(Message::binary(payload.clone())).unwrap();
        assert!(socket.read().unwrap() == Message::binary(payload), "{size}");
        let text: String = ('a'..='z').cycle().take(size).collect();
        socket.send(Message::text(text.clone())).unwrap();
        assert!(socket.read().unwrap() == Message::text(text), "{size}");
    }
    // Both ways at once: all are sent before the first is read.
    let mut writer = WebSocket::from_raw_socket(
        socket.get_ref().try_clone().unwrap(),
        tungstenite::protocol::Role::Client,
        None,
    );
    let sending = std::thread::spawn(move || {
        for n in 0..40_u8 {
            writer.send(Message::binary(vec![n; 300_000])).unwrap();
        }
    });
    for n in 0..40_u8 {
        assert!(socket.read().unwrap() == Message::binary(vec![n; 300_000]), "{n}");
    }
    sending.join().unwrap();
    socket.close(None).unwrap();
    assert!(matches!(socket.read(), Ok(Message::Close(_))));
    while socket.read().is_ok() {}
    let closed = envoy.event("closed", None);
    assert_eq!(closed["messages"], json!({"client": 56, "server": 56}));
}

#[test]
fn a_head_and_frames_may_come_in_any_pieces() {
    let envoy = start();
    let mut client = Client::connect(envoy.address());
    let head = Request::upgrade("/ws").bytes();
    let pieces: Vec<&[u8]> = head.chunks(9).collect();
    client.send_apart(&pieces);
    assert_eq!(client.answer().status, 101);
    let message = text("in pieces");
    let pieces: Vec<&[u8]> = message.chunks(1).collect();
    client.send_apart(&pieces);
    assert_eq!(client.frame().unwrap().payload, b"in pieces");
}

#[test]
fn a_client_that_goes_away_is_gone_for_all() {
    let envoy = start();
    drop(connect(&envoy));
    let closed = envoy.event("closed", None);
    assert_eq!(closed["code"], json!(null));
    // Half-closed: the server's answer to a Close still comes.
    let mut client = Client::open(envoy.address(), &Request::upgrade("/ws"));
    client.send(&crate::client::frame(0x88, &1000_u16.to_be_bytes()));
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.frame().unwrap().close(), (1000, String::new()));
    assert!(client.ends());
}
