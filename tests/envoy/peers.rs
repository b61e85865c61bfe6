//! Peers that other projects made, on both sides of the guard: Python
//! `websockets`, Node `ws` and tokio-tungstenite.

use super::support::{Envoy, bootstrap, python, tied, wait_for};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::process::Stdio;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

mod servers;
mod talk;

pub use servers::{Echo, Maker, node, node_modules, peer};
pub use talk::{Saw, Talk, long_binary, long_text, talk};

/// Larger than any buffer between the two ends.
const LARGE: usize = 3 << 20;

pub fn document() -> Value {
    json!({"policies": [{
        "name": "chat",
        "client": {
            "max_frame": 4 << 20, "max_message": 4 << 20,
            "rules": [{"name": "no-scripts", "pattern": "(?i)<script", "action": "close"}],
        },
        "server": {"max_frame": 4 << 20, "max_message": 4 << 20},
    }]})
}

/// Runs the client of Python `websockets`; what it saw.
pub fn python_client(port: u16, messages: &[&str]) -> Value {
    let mut command = tied(&python());
    command.arg(peer("client.py")).arg(port.to_string()).args(messages);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let status = wait_for("the client to end", || child.try_wait().unwrap());
    let output = child.wait_with_output().unwrap();
    assert!(status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

type Socket = WebSocketStream<TcpStream>;

async fn connect(address: SocketAddr) -> Socket {
    let stream = TcpStream::connect(address).await.unwrap();
    client_async("ws://chat.example.com/ws", stream).await.unwrap().0
}

/// Runs a conversation, which must come to its end.
fn converse<T>(conversation: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(super::support::PATIENCE, conversation).await.expect("it hangs")
    })
}

async fn next(socket: &mut Socket) -> Message {
    socket.next().await.expect("the connection ended").unwrap()
}

/// Reads on until the Close comes; it, and that nothing comes behind.
async fn closed(socket: &mut Socket) -> CloseFrame {
    let Message::Close(Some(close)) = next(socket).await else { panic!("no Close with a code") };
    while let Some(message) = socket.next().await {
        assert!(matches!(message, Err(Error::ConnectionClosed | Error::Io(_))), "{message:?}");
    }
    close
}

fn close(code: u16, reason: &str) -> CloseFrame {
    CloseFrame { code: code.into(), reason: reason.into() }
}

/// A text in as many frames, with a Ping between them.
async fn send_in_frames(socket: &mut Socket, text: &str, frames: usize) {
    let parts: Vec<&[u8]> = text.as_bytes().chunks(text.len() / frames + 1).collect();
    for (index, part) in parts.iter().enumerate() {
        let opcode = if index == 0 { Data::Text } else { Data::Continue };
        let last = index + 1 == parts.len();
        let frame = Frame::message(part.to_vec(), OpCode::Data(opcode), last);
        socket.feed(Message::Frame(frame)).await.unwrap();
        socket.feed(Message::Ping(vec![7].into())).await.unwrap();
    }
    socket.flush().await.unwrap();
}

#[test]
fn a_tungstenite_client_and_a_python_server_converse_until_a_rule_matches() {
    let echo = Echo::start();
    let envoy = Envoy::start(&bootstrap(&document(), echo.address));
    let text: String = "größer 日本語 🙂 ".chars().cycle().take(LARGE / 2).collect();
    let binary: Vec<u8> = (0..=250u8).cycle().take(LARGE).collect();
    converse(async {
        let mut socket = connect(envoy.address()).await;
        for message in [
            Message::text("hello"),
            Message::text(text.as_str()),
            Message::binary(binary.clone()),
            Message::binary(Vec::new()),
        ] {
            socket.send(message.clone()).await.unwrap();
            assert!(next(&mut socket).await == message, "the echo differs");
        }
        send_in_frames(&mut socket, &text, 50).await;
        let echoed = loop {
            let message = next(&mut socket).await;
            if !message.is_pong() {
                break message;
            }
        };
        assert!(echoed == Message::text(text.as_str()), "the echo differs");
        socket.close(Some(close(4001, "enough"))).await.unwrap();
        assert_eq!(closed(&mut socket).await, close(4001, "enough"));

        let mut socket = connect(envoy.address()).await;
        socket.send(Message::text("hello <script>")).await.unwrap();
        assert_eq!(closed(&mut socket).await, close(1008, "rule_matched"));
    });
    let good = echo.ended();
    assert_eq!(
        (&good["messages"], &good["code"], &good["reason"]),
        (&json!(5), &json!(4001), &json!("enough"))
    );
    let bad = echo.ended();
    assert_eq!(
        (&bad["messages"], &bad["code"], &bad["reason"]),
        (&json!(0), &json!(1008), &json!(""))
    );
}

#[test]
fn a_python_client_and_a_tungstenite_server_converse_until_a_rule_matches() {
    let echo = Echo::of(Maker::Tungstenite);
    let envoy = Envoy::start(&bootstrap(&document(), echo.address));
    let port = envoy.address().port();
    let large = ["text:1000000", "binary:3145728", "parts:1000000", "say:", "say:hello"];
    let saw = python_client(port, &large);
    assert_eq!(saw, json!({"echoed": 5, "extensions": [], "code": 1000, "reason": "done"}));
    let ended = echo.ended();
    assert_eq!((&ended["code"], &ended["reason"]), (&json!(1000), &json!("done")));

    let saw = python_client(port, &["say:hello", "say:a <script> b", "say:unsent"]);
    assert_eq!(saw, json!({"echoed": 1, "extensions": [], "code": 1008, "reason": "rule_matched"}));
    let ended = echo.ended();
    assert_eq!((&ended["code"], &ended["reason"]), (&json!(1008), &json!("")));
}
