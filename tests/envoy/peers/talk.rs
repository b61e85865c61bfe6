//! Clients that see what a script in a browser sees: messages, and the code and
//! reason of the Close.

use super::servers::{Maker, node, peer};
use crate::support::{python, tied, wait_for};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::process::{Child, Stdio};

/// A client that is going through its steps (see tests/peers/talk.py).
pub struct Talk {
    child: Child,
}

/// What a client has seen.
#[derive(Clone, Debug)]
pub struct Saw(Value);

impl Talk {
    pub fn start(maker: Maker, address: SocketAddr, steps: &[&str]) -> Self {
        Self::at(maker, &format!("ws://{address}/ws"), steps)
    }

    pub fn at(maker: Maker, url: &str, steps: &[&str]) -> Self {
        let (mut command, script) = match maker {
            Maker::Node => (node(), "node/talk.js"),
            Maker::Python => (tied(&python()), "talk.py"),
            Maker::Tungstenite => panic!("there is no such client"),
        };
        command.arg(peer(script)).arg(url).args(steps);
        Self { child: command.stdout(Stdio::piped()).spawn().unwrap() }
    }

    /// Waits until it has ended.
    pub fn saw(self) -> Saw {
        let mut child = self.child;
        let status = wait_for("the client to end", || child.try_wait().unwrap());
        let output = child.wait_with_output().unwrap();
        assert!(status.success(), "{output:?}");
        Saw(serde_json::from_slice(&output.stdout).unwrap())
    }
}

/// Goes through the steps with a client of this maker's.
pub fn talk(maker: Maker, address: SocketAddr, steps: &[&str]) -> Saw {
    Talk::start(maker, address, steps).saw()
}

impl Saw {
    /// Code and reason of the Close that came; `None` where none did.
    pub fn close(&self) -> Option<(u16, &str)> {
        let code = u16::try_from(self.0["code"].as_u64()?).unwrap();
        Some((code, self.0["reason"].as_str()?))
    }

    /// The messages that came.
    pub fn messages(&self) -> Vec<&str> {
        self.0["got"].as_array().unwrap().iter().map(|m| m.as_str().unwrap()).collect()
    }

    pub fn pings(&self) -> u64 {
        self.0["pings"].as_u64().unwrap()
    }

    pub fn is_compressed(&self) -> bool {
        self.0["extensions"] == json!(["permessage-deflate"])
    }
}

/// The step that sends and expects a long text, and how clients name its echo.
pub fn long_text(characters: usize) -> (String, String) {
    let text: String = CHARACTERS.chars().cycle().take(characters).collect();
    (format!("text:{characters}"), named(text.as_bytes()))
}

/// The same of bytes.
pub fn long_binary(bytes: usize) -> (String, String) {
    let block = (0..4096u32).map(|i| u8::try_from(i * i % 251).unwrap());
    let data: Vec<u8> = block.collect::<Vec<u8>>().into_iter().cycle().take(bytes).collect();
    (format!("binary:{bytes}"), named(&data))
}

const CHARACTERS: &str = "wsguard, größer, 日本語 🙂 ";

/// A message over 200 bytes, as clients name it.
fn named(data: &[u8]) -> String {
    let digest: String = Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}:{digest}", data.len())
}
