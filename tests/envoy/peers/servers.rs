//! Echo servers of three projects: Python `websockets`, Node `ws` and
//! tokio-tungstenite.

use crate::support::{PATIENCE, python, tied};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

/// Who made a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    Python,
    Node,
    Tungstenite,
}

/// An echo server; it ends with the test.
pub struct Echo {
    child: Option<Child>,
    told: Receiver<Value>,
    pub address: SocketAddr,
}

/// A script of a peer's.
pub fn peer(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(name)
}

/// Where npm has put what tests/peers/node names.
pub fn node_modules() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/node/node_modules")
}

/// Node, which finds the package `ws`.
pub fn node() -> Command {
    let mut command = tied(Path::new("node"));
    if std::env::var_os("NODE_PATH").is_none() {
        command.env("NODE_PATH", node_modules());
    }
    command
}

impl Echo {
    /// That of Python `websockets`.
    pub fn start() -> Self {
        Self::of(Maker::Python)
    }

    pub fn of(maker: Maker) -> Self {
        let mut command = match maker {
            Maker::Tungstenite => return Self::tungstenite(),
            Maker::Python => tied(&python()),
            Maker::Node => node(),
        };
        let script = if maker == Maker::Node { "node/echo.js" } else { "echo.py" };
        let mut child = command.arg(peer(script)).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port: u16 = lines.next().expect("it did not start").unwrap().parse().unwrap();
        let (tell, told) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = tell.send(line.parse().unwrap());
            }
        });
        Self { child: Some(child), told, address: SocketAddr::from(([127, 0, 0, 1], port)) }
    }

    fn tungstenite() -> Self {
        let (tell, told) = channel();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        // Ends with the test process; it holds nothing but its own port.
        std::thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime.enable_all().build().unwrap().block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(converse(stream, tell.clone()));
                }
            });
        });
        Self { child: None, told, address }
    }

    /// What it saw of the connection that ended next: how many messages and
    /// unasked-for Pongs, code and reason of the Close.
    pub fn ended(&self) -> Value {
        self.told.recv_timeout(PATIENCE).expect("no connection ended")
    }
}

/// Echoes on one connection, and tells as the scripts do.
async fn converse(stream: TcpStream, tell: Sender<Value>) {
    let mut socket = accept_async(stream).await.unwrap();
    let (mut messages, mut pongs, mut close) = (0, 0, None);
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Text(_) | Message::Binary(_) => {
                messages += 1;
                if socket.send(message).await.is_err() {
                    break;
                }
            }
            Message::Pong(_) => pongs += 1,
            Message::Close(came) => close = came,
            _ => {}
        }
    }
    let (code, reason) = match &close {
        Some(close) => (json!(u16::from(close.code)), json!(close.reason.as_str())),
        None => (Value::Null, Value::Null),
    };
    let saw = json!({"messages": messages, "pongs": pongs, "code": code, "reason": reason});
    let _ = tell.send(saw);
}

impl Drop for Echo {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
