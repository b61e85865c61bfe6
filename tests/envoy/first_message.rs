//! First messages by clients that other projects made: Python `websockets`,
//! `python-socketio` and `gql`, before servers of theirs.

use super::TEST_API_KEY;
use super::peers::Echo;
use super::support::{Envoy, PATIENCE, bootstrap, python, tied, wait_for};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

/// More messages than ever come.
pub const UNTIL_THE_END: &str = "1000";

fn document(first: &Value) -> Value {
    json!({"policies": [{
        "name": "first",
        "auth": {
            "credentials": [{"header": "x-api-key"}, {"first_message": first}],
            "deadline": "10m",
            "api_keys": [{"id": "tests", "key": {"env": "TEST_API_KEY"}}],
        },
        "lifetime": {"push": true},
    }]})
}

fn pointer() -> Value {
    let ack = r#"{"type":"ready"}"#;
    document(&json!({"pointer": "/token", "when": {"/type": "auth"}, "ack": ack}))
}

fn script(name: &str, arguments: &[&str]) -> Command {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(name);
    let mut command = tied(&python());
    command.arg(path).args(arguments).stdout(Stdio::piped());
    command
}

/// Runs a client of `tests/peers` to its end; the line that it prints.
pub fn client(name: &str, arguments: &[&str]) -> Value {
    let mut child = script(name, arguments).stderr(Stdio::piped()).spawn().unwrap();
    let status = wait_for("the client to end", || child.try_wait().unwrap());
    let output = child.wait_with_output().unwrap();
    assert!(status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

/// A server that tells what reaches it; it ends with the test.
pub struct Server {
    child: Child,
    told: Receiver<Value>,
    pub address: SocketAddr,
}

impl Server {
    pub fn start(name: &str) -> Self {
        let mut child = script(name, &["server"]).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (tell, told) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = tell.send(serde_json::from_str(&line).unwrap());
            }
        });
        let port: Value = told.recv_timeout(PATIENCE).unwrap();
        let port = u16::try_from(port["port"].as_u64().unwrap()).unwrap();
        Self { child, told, address: SocketAddr::from(([127, 0, 0, 1], port)) }
    }

    /// What reached it next.
    pub fn next(&self) -> Value {
        self.told.recv_timeout(PATIENCE).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn auth(token: &str) -> String {
    json!({"type": "auth", "token": token}).to_string()
}

#[test]
fn a_plain_client_says_who_it_is_and_what_it_sent_before_goes_up_in_order() {
    let echo = Echo::start();
    let mut bootstrap = bootstrap(&pointer(), echo.address);
    let chain = &mut bootstrap["static_resources"]["listeners"][0]["filter_chains"][0];
    chain["filters"][0]["typed_config"]["access_log"] = json!([{"name": "log", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
        "log_format": {"text_format_source": {
            "inline_string": "access by %FILTER_STATE(wasm.wsguard.user:PLAIN)%\n",
        }},
    }}]);
    let envoy = Envoy::start(&bootstrap);
    let port = envoy.address().port().to_string();
    let saw = client("first_message.py", &[&port, "3", "before", &auth(TEST_API_KEY), "after"]);
    assert_eq!(saw["came"], json!([r#"{"type":"ready"}"#, "before", "after"]));
    assert_eq!((&saw["code"], &saw["reason"]), (&json!(1000), &json!("done")));
    assert_eq!(echo.ended()["messages"], 2, "the credential is swallowed");
    wait_for("the access log to name the user", || {
        envoy.log().contains("access by key:tests").then_some(())
    });
    assert!(!envoy.log().contains(TEST_API_KEY), "nor does it stand in a log");
}

#[test]
fn a_wrong_token_ends_with_its_reason_and_nothing_goes_up() {
    let echo = Echo::start();
    let envoy = Envoy::start(&bootstrap(&pointer(), echo.address));
    let port = envoy.address().port().to_string();
    for (message, reason) in [
        (auth("a-wrong-token-of-mallory"), "credentials_invalid"),
        (r#"{"type":"auth","token":"a","token":"b"}"#.to_owned(), "credentials_invalid"),
        (r#"{"type":"auth"}"#.to_owned(), "credentials_missing"),
    ] {
        let saw = client("first_message.py", &[&port, UNTIL_THE_END, "before", &message, "after"]);
        assert_eq!((&saw["code"], &saw["reason"]), (&json!(1008), &json!(reason)), "{saw}");
        assert_eq!(saw["came"], json!([]));
        assert_eq!(echo.ended()["messages"], 0);
    }
    assert!(!envoy.log().contains("mallory"), "no credential stands in a log");
}

#[test]
fn who_never_says_who_it_is_is_gone_at_the_deadline() {
    let echo = Echo::start();
    let mut document = pointer();
    document["policies"][0]["auth"]["deadline"] = json!("2s");
    let envoy = Envoy::start(&bootstrap(&document, echo.address));
    let port = envoy.address().port().to_string();
    for (place, messages) in [&[][..], &["before", "and more"]].into_iter().enumerate() {
        let arguments = [&[port.as_str(), UNTIL_THE_END], messages].concat();
        let saw = client("first_message.py", &arguments);
        assert_eq!(
            (&saw["code"], &saw["reason"]),
            (&json!(1008), &json!("auth_deadline")),
            "{saw}"
        );
        let closed = wait_for("its end to be told", || {
            envoy.events().into_iter().filter(|event| event["event"] == "closed").nth(place)
        });
        assert!(closed["duration_ms"].as_u64().unwrap() >= 2000, "{closed}");
        assert_eq!(echo.ended()["messages"], 0, "nothing has gone up");
    }
}

#[test]
fn socketio_clients_connect_their_namespaces_and_upstream_sees_no_token() {
    let server = Server::start("socketio_peer.py");
    let envoy = Envoy::start(&bootstrap(&document(&json!("socketio")), server.address));
    let port = envoy.address().port().to_string();
    let refused = client("socketio_peer.py", &["client", &port, "a-wrong-token-of-mallory"]);
    assert_eq!(refused, json!({"connected": false}));

    let saw = client("socketio_peer.py", &["client", &port, TEST_API_KEY]);
    assert_eq!(saw, json!({"connected": true, "words": ["hello", "hello", "bytes", "later"]}));
    // The first that reaches it: nothing did of who was refused.
    let mut connected: Vec<_> = (0..2).map(|_| server.next()).collect();
    connected.sort_by_key(|told| told["namespace"].to_string());
    let expected = ["/", "/admin"]
        .map(|name| json!({"event": "connect", "namespace": name, "auth": {"tenant": "a"}}));
    assert_eq!(connected, expected);
    for (namespace, word) in
        [("/", "hello"), ("/admin", "hello"), ("/", "b'bytes'"), ("/", "later")]
    {
        assert_eq!(server.next(), json!({"event": "say", "namespace": namespace, "word": word}));
    }
}

#[test]
fn graphql_clients_subscribe_and_upstream_sees_no_token() {
    let server = Server::start("graphql_peer.py");
    let envoy = Envoy::start(&bootstrap(&document(&json!("graphql")), server.address));
    let port = envoy.address().port().to_string();
    for (protocol, subscribe) in [("graphql-transport-ws", "subscribe"), ("graphql-ws", "start")] {
        let refused =
            client("graphql_peer.py", &["client", &port, protocol, "a-wrong-token-of-mallory"]);
        assert_eq!(refused["words"], json!([]), "{refused}");
        assert_eq!(refused["reason"], "credentials_invalid", "{refused}");
        let ended = json!({"type": "ended"});
        assert_eq!(server.next(), ended, "nothing of it has come");

        let saw = client("graphql_peer.py", &["client", &port, protocol, TEST_API_KEY]);
        assert_eq!(saw, json!({"words": ["one", "two"]}), "{protocol}");
        assert_eq!(server.next(), json!({"type": "connection_init", "payload": {}}));
        assert_eq!(server.next()["type"], subscribe);
        let rest = std::iter::repeat_with(|| server.next()).take_while(|told| *told != ended);
        rest.for_each(|told| assert!(!told.to_string().contains(TEST_API_KEY), "{told}"));
    }
}
