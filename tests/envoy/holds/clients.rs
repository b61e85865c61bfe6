//! Clients of protocols on top of WebSockets, each with a server of its protocol by another
//! project and the policy that its users would write, over heartbeats of both ends and the
//! filter's: nothing of a protocol's may be turned away, lost or seen by the wrong end.

use crate::peers::{node, peer};
use crate::support::{Envoy, PATIENCE, bootstrap, python, tied, wait_for};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use tap::{Seen, Tap};

mod mqtt;
mod ocpp;
mod phoenix;
mod sockjs;
mod tap;

/// The ways to compress that a policy may ask for, where a client offers to.
const COMPRESSION: [&str; 2] = ["strip", "inspect"];

/// A script of an end of a protocol, in Node or Python.
fn script(name: &str) -> Command {
    let is_node = PathBuf::from(name).extension().is_some_and(|ending| ending == "js");
    let (mut command, place) =
        if is_node { (node(), format!("node/{name}")) } else { (tied(&python()), name.to_owned()) };
    command.arg(peer(&place));
    command
}

/// A running script, which prints lines of JSON; it ends with the test.
struct Script {
    child: Child,
    lines: Receiver<Value>,
}

impl Script {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (tell, told) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = tell.send(line.parse().unwrap());
            }
        });
        Self { child, lines: told }
    }

    /// The next line.
    fn line(&self) -> Value {
        self.lines.recv_timeout(PATIENCE).expect("the script has ended")
    }

    fn write(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The filter with one document before a server, and what is seen on both sides of it.
struct Guarded {
    server: Script,
    inner: Tap,
    envoy: Envoy,
    outer: Tap,
}

impl Guarded {
    /// Before the server of this script.
    fn start(name: &str, document: &Value) -> Self {
        let mut command = script(name);
        command.arg("serve");
        let server = Script::start(command);
        let port = server.line();
        let port = port.get("port").unwrap_or(&port).as_u64().unwrap();
        let inner = Tap::before(([127, 0, 0, 1], u16::try_from(port).unwrap()).into());
        let envoy = Envoy::start(&bootstrap(document, inner.address));
        let outer = Tap::before(envoy.address());
        Self { server, inner, envoy, outer }
    }

    const fn address(&self) -> SocketAddr {
        self.outer.address
    }

    /// Pings of the filter so far, and Pongs of clients to any.
    fn pinged(&self) -> (usize, usize) {
        // What comes from the server is counted on the way in first.
        let (outer, inner) = (self.outer.seen(), self.inner.seen());
        let ours = outer.from_server.pings.saturating_sub(inner.from_server.pings);
        (ours, outer.from_client.pongs)
    }

    /// Waits until the filter has sent so many Pings, one every two seconds, and as many
    /// Pongs have come.
    fn beats(&self, pings: usize) {
        let before = self.pinged();
        wait_for("Pings of the filter, and Pongs to them", || {
            let now = self.pinged();
            (now.0 >= before.0 + pings && now.1 >= before.1 + pings).then_some(())
        });
    }

    /// Waits for all connections to end, and returns the frames on the client's side: no
    /// message of either end was added or lost, and no Ping or Pong but for the filter's own.
    fn all_came(&self) -> Seen {
        let (outer, inner) = (self.outer.ended(), self.inner.ended());
        assert_eq!(inner.from_client.messages, outer.from_client.messages);
        assert_eq!(outer.from_server.messages, inner.from_server.messages);
        assert_eq!(inner.from_client.pings, outer.from_client.pings);
        assert!(inner.from_client.pongs <= inner.from_server.pings, "a Pong to a Ping of ours");
        assert_eq!(outer.from_server.pongs, inner.from_server.pongs);
        outer
    }

    /// As [`Self::all_came`], where either end closed, too: as it was sent.
    fn ended(&self) -> Seen {
        let (outer, inner) = (self.all_came(), self.inner.seen());
        assert_eq!(inner.from_client.closes, outer.from_client.closes);
        assert_eq!(outer.from_server.closes, inner.from_server.closes);
        assert!(!outer.from_client.closes.is_empty(), "{outer:?}");
        outer
    }
}

/// The policy of a protocol with these sections over what all have: a heartbeat of ours.
fn document(name: &str, sections: &Value) -> Value {
    let mut policy = json!({"name": name, "lifetime": {"push": true, "heartbeat": "2s"}});
    for (key, value) in sections.as_object().unwrap() {
        policy[key] = value.clone();
    }
    json!({"policies": [policy]})
}

/// Holds that messages were compressed in both directions where the policy lets them be.
fn assert_compressed(compression: &str, seen: &Seen) {
    let is_compressed = [&seen.from_client, &seen.from_server].map(|side| side.compressed > 0);
    assert_eq!(is_compressed, [compression == "inspect"; 2], "{compression}: {seen:?}");
}
