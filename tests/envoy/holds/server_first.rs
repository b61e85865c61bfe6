//! Protocols in which the server speaks first, as Home Assistant's: with a first message
//! to be verified, client and server waited for each other.

use crate::TEST_API_KEY;
use crate::peers::{node, peer};
use crate::support::{Envoy, bootstrap, python, tied};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Lines};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};

/// Home Assistant's side; it ends with the test.
struct HomeAssistant {
    child: Child,
    /// The first messages that it was sent.
    firsts: Lines<BufReader<ChildStdout>>,
    address: SocketAddr,
}

impl HomeAssistant {
    fn start() -> Self {
        let mut command = tied(&python());
        command.arg(peer("home_assistant.py")).args(["serve", TEST_API_KEY]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut firsts = BufReader::new(child.stdout.take().unwrap()).lines();
        let port: u16 = firsts.next().expect("it did not start").unwrap().parse().unwrap();
        Self { child, firsts, address: SocketAddr::from(([127, 0, 0, 1], port)) }
    }
}

impl Drop for HomeAssistant {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn document(mode: &str) -> Value {
    let first = json!({"pointer": "/access_token", "when": {"/type": "auth"}, "greeting": 1});
    json!({"mode": mode, "policies": [{
        "name": "home",
        "auth": {
            "credentials": [{"first_message": first}],
            "forward": true,
            "deadline": "10m",
            "api_keys": [{"id": "panel", "key": {"env": "TEST_API_KEY"}}],
        },
        "lifetime": {"push": true},
    }]})
}

fn run(mut command: Command) -> Value {
    let output = command.stdout(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Both of Home Assistant's own clients with this token: for Python, `hass-client`, and
/// for pages and Node, `home-assistant-js-websocket`.
fn clients(address: SocketAddr, token: &str) -> [Value; 2] {
    let mut hass = tied(&python());
    let url = format!("ws://{address}/api/websocket");
    hass.arg(peer("home_assistant.py")).args(["connect", &url, token]);
    let mut page = node();
    page.arg(peer("node/home_assistant.js")).args([&format!("http://{address}"), token]);
    [run(hass), run(page)]
}

#[test]
fn home_assistants_clients_connect_and_it_sees_their_first_message() {
    for mode in ["enforce", "report"] {
        let mut home = HomeAssistant::start();
        let envoy = Envoy::start(&bootstrap(&document(mode), home.address));
        for saw in clients(envoy.address(), TEST_API_KEY) {
            assert_eq!(saw, json!({"version": "2026.11.1", "failed": null}), "{mode}");
            let first: Value = home.firsts.next().unwrap().unwrap().parse().unwrap();
            assert_eq!(first, json!({"type": "auth", "access_token": TEST_API_KEY}));
        }
        assert_eq!(envoy.event("opened", None)["user"], "key:panel");
    }
}

#[test]
fn a_wrong_token_reaches_nobody() {
    let home = HomeAssistant::start();
    let envoy = Envoy::start(&bootstrap(&document("enforce"), home.address));
    for saw in clients(envoy.address(), "a-token-of-mallory") {
        assert!(saw["version"].is_null() && !saw["failed"].is_null(), "{saw}");
    }
    envoy.event("refused", Some("credentials_invalid"));
    let mut home = home;
    home.child.kill().unwrap();
    assert!(home.firsts.next().is_none(), "it has seen none");
}
