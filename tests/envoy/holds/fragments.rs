//! Libraries cut messages at their write buffer: gorilla/websocket at 4 KiB, so that 528,000
//! bytes came in 129 frames, one more than were let through.

use crate::client::{Client, Request, frame};
use crate::peers::Echo;
use crate::support::{Envoy, bootstrap, tied, wait_for};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// The peer of gorilla/websocket, where Debian has its package.
fn gorilla() -> Option<PathBuf> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/receivers/gorilla");
    let peer = std::env::var_os("GORILLA").map_or(built, PathBuf::from);
    peer.exists().then_some(peer)
}

/// Sends a message of `bytes` by the peer, and returns the result that the peer prints.
fn sent(peer: &Path, envoy: &Envoy, bytes: usize) -> String {
    let url = format!("ws://{}/ws", envoy.address());
    let mut command = tied(peer);
    command.args(["send", &url, &bytes.to_string()]).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    wait_for("gorilla's client to end", || child.try_wait().unwrap());
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// One policy with these sections for both directions.
fn start(rules: &Value, echo: &Echo) -> Envoy {
    let document = json!({"policies": [{"name": "chat", "client": rules, "server": rules}]});
    Envoy::start(&bootstrap(&document, echo.address))
}

#[test]
fn gorillas_default_writer_sends_messages_of_the_largest_size() {
    let Some(peer) = gorilla() else {
        eprintln!("NOT TESTED HERE: gorilla/websocket (make receivers builds it)");
        return;
    };
    let echo = Echo::start();
    let envoy = start(&json!({}), &echo);
    for bytes in [1, 4096, 524_288, 524_289, 528_000, 1 << 20] {
        assert_eq!(sent(&peer, &envoy, bytes), format!("echo {bytes}"));
    }
    assert_eq!(sent(&peer, &envoy, (1 << 20) + 1), "end 1009 message_too_big");
    let envoy = start(&json!({"max_message": "4MiB", "max_frame": "4MiB"}), &echo);
    assert_eq!(sent(&peer, &envoy, 4 << 20), format!("echo {}", 4 << 20));
    // What is written holds.
    let envoy = start(&json!({"max_fragments": 128}), &echo);
    assert_eq!(sent(&peer, &envoy, 524_288), "echo 524288");
    assert_eq!(sent(&peer, &envoy, 528_000), "end 1008 too_many_fragments");
}

#[test]
fn the_bound_is_frames_of_1_kib_and_128_at_least() {
    let echo = Echo::start();
    for (size, most) in [("1MiB", 1024), ("200KiB", 200), ("64KiB", 128)] {
        let envoy = start(&json!({"max_message": size}), &echo);
        for (frames, good) in [(most, true), (most + 1, false)] {
            let mut client = Client::open(envoy.address(), &Request::upgrade("/ws"));
            for number in 1..=frames {
                let opcode = u8::from(number == 1);
                let fin = if number == frames { 0x80 } else { 0 };
                client.send(&frame(fin | opcode, b"x"));
            }
            let answer = client.frame().unwrap();
            if good {
                assert_eq!((answer.first, answer.payload.len()), (0x81, frames), "{size}");
            } else {
                assert_eq!(answer.close(), (1008, "too_many_fragments".to_owned()), "{size}");
            }
        }
    }
}
