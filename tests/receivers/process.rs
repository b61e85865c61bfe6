//! The receivers' processes, and what they say that their applications got.

use super::script::Message;
use super::support::{python, tied};
use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::{Arc, Mutex};
use wsguard::frame::Sender;

/// A library, and which ends of a connection it has.
#[derive(Clone, Copy, Debug)]
pub struct Receiver {
    pub name: &'static str,
    pub has_server: bool,
    /// What it gets wrong of what is legal, without a filter too: it is spared that.
    pub faults: &'static [Fault],
}

/// A library's own fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Where its own direction agreed on no context takeover, it forgets the other
    /// one's context too: "invalid distance too far back" at the second message of
    /// a plain zlib sender.
    OwnTakeover,
    /// As a client it hands an uncompressed message to the application over and
    /// over, for ever, once a compressed one came before it.
    Mixed,
}

const fn receiver(name: &'static str) -> Receiver {
    Receiver { name, has_server: true, faults: &[] }
}

/// Every one that can be had. The faults are those of libwebsockets 4.1.6.
pub const RECEIVERS: [Receiver; 9] = [
    receiver("ws"),
    Receiver { has_server: false, ..receiver("undici") },
    receiver("faye"),
    receiver("websockets"),
    receiver("aiohttp"),
    receiver("autobahn"),
    receiver("gorilla"),
    receiver("beast"),
    Receiver { faults: &[Fault::OwnTakeover, Fault::Mixed], ..receiver("libwebsockets") },
];

/// What the application of one connection got.
#[derive(Clone, Debug, Default)]
pub struct Got {
    pub messages: Vec<Message>,
    /// How the connection ended: a code, and what the library said.
    pub end: Option<String>,
}

pub type All = Arc<Mutex<HashMap<u64, Got>>>;

/// A running one; it ends with this.
pub struct Process {
    child: Child,
    pub got: All,
}

impl Receiver {
    /// The program and its first arguments; `None` where it is not built here.
    fn command(self) -> Option<(PathBuf, Option<PathBuf>)> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let sources = root.join("tests/receivers").join(self.name);
        if sources.join("peer.js").exists() {
            return Some((PathBuf::from("node"), Some(sources.join("peer.js"))));
        }
        if sources.join("peer.py").exists() {
            return Some((python(), Some(sources.join("peer.py"))));
        }
        let built = root.join(".tools/receivers").join(self.name);
        built.exists().then_some((built, None))
    }

    pub fn has(self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }

    /// The parameter that it is spared where this end speaks to it.
    pub fn spared(self, sender: Sender) -> &'static str {
        match (self.has(Fault::OwnTakeover), sender) {
            (false, _) => "",
            (true, Sender::Client) => "server_no_context_takeover",
            (true, Sender::Server) => "client_no_context_takeover",
        }
    }

    /// Whether it can be had here.
    pub fn is_here(self) -> bool {
        self.command().is_some()
    }

    fn start(self, arguments: &[String]) -> (Child, BufReader<ChildStdout>) {
        let (program, script) = self.command().unwrap();
        let mut command = tied(&program);
        command.args(script).args(arguments);
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let modules = std::env::var_os("NODE_PATH")
            .map_or_else(|| root.join(".tools/node/node_modules"), PathBuf::from);
        command.env("NODE_PATH", modules).env("PYTHONDONTWRITEBYTECODE", "1");
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        (child, lines)
    }

    /// Starts its server.
    pub fn server(self) -> (Process, SocketAddr) {
        let (child, mut lines) = self.start(&["server".to_owned()]);
        let mut port = String::new();
        lines.read_line(&mut port).unwrap();
        let port = port.trim().parse().unwrap_or_else(|_| panic!("{}: {port:?}", self.name));
        (Process::collect(child, lines), SocketAddr::from(([127, 0, 0, 1], port)))
    }

    /// Starts clients with these ids.
    pub fn clients(self, address: SocketAddr, first: u64, count: usize) -> Process {
        let url = format!("ws://{address}");
        let arguments = ["client".to_owned(), url, first.to_string(), count.to_string()];
        let (child, lines) = self.start(&arguments);
        Process::collect(child, lines)
    }
}

impl Process {
    fn collect(child: Child, lines: BufReader<ChildStdout>) -> Self {
        let got = All::default();
        let all = Arc::clone(&got);
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                note(&line, &mut all.lock().unwrap());
            }
        });
        Self { child, got }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn note(line: &str, all: &mut HashMap<u64, Got>) {
    let mut words = line.splitn(3, ' ');
    let Some(id) = words.next().and_then(|id| id.parse().ok()) else { return };
    let (kind, rest) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let got: &mut Got = all.entry(id).or_default();
    match kind {
        "text" | "binary" => {
            let data = bytes(rest);
            got.messages.push(Message { is_text: kind == "text", data });
        }
        "end" => got.end = Some(rest.trim().to_owned()),
        _ => {}
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |digit: u8| (digit as char).to_digit(16).unwrap() as u8;
    hex.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}
