//! Peers that other projects made, on both sides of the guard: Python
//! `websockets` and tokio-tungstenite.

use super::support::{Envoy, bootstrap, python, tied, wait_for};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Lines};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, channel};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_async, client_async};

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

fn peer(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(name)
}

/// The echo server of Python `websockets`; it ends with the test.
pub struct Echo {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    pub address: SocketAddr,
}

impl Echo {
    pub fn start() -> Self {
        let mut child =
            tied(&python()).arg(peer("echo.py")).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port: u16 = lines.next().unwrap().unwrap().parse().unwrap();
        Self { child, lines, address: SocketAddr::from(([127, 0, 0, 1], port)) }
    }

    /// What it saw of the connection that ended next.
    pub fn ended(&mut self) -> Value {
        self.lines.next().unwrap().unwrap().parse().unwrap()
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
    let mut echo = Echo::start();
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

/// An echo server of tokio-tungstenite, on a thread of its own; gives the
/// Close that each connection ended with.
fn tungstenite_echo() -> (SocketAddr, Receiver<Option<CloseFrame>>) {
    let (tell, told) = channel();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    // Ends with the test process; it holds nothing but its own port.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let mut socket = accept_async(stream).await.unwrap();
                let mut last = None;
                while let Some(Ok(message)) = socket.next().await {
                    match message {
                        Message::Text(_) | Message::Binary(_) => {
                            socket.send(message).await.unwrap()
                        }
                        Message::Close(close) => last = close,
                        _ => {}
                    }
                }
                let _ = tell.send(last);
            }
        });
    });
    (address, told)
}

#[test]
fn a_python_client_and_a_tungstenite_server_converse_until_a_rule_matches() {
    let (address, told) = tungstenite_echo();
    let envoy = Envoy::start(&bootstrap(&document(), address));
    let port = envoy.address().port();
    let large = ["text:1000000", "binary:3145728", "parts:1000000", "say:", "say:hello"];
    let saw = python_client(port, &large);
    assert_eq!(saw, json!({"echoed": 5, "extensions": [], "code": 1000, "reason": "done"}));
    assert_eq!(told.recv_timeout(super::support::PATIENCE).unwrap(), Some(close(1000, "done")));

    let saw = python_client(port, &["say:hello", "say:a <script> b", "say:unsent"]);
    assert_eq!(saw, json!({"echoed": 1, "extensions": [], "code": 1008, "reason": "rule_matched"}));
    assert_eq!(told.recv_timeout(super::support::PATIENCE).unwrap(), Some(close(1008, "")));
}
