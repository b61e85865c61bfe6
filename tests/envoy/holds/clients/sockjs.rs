//! `sockjs-client` before `sockjs`: it asks for `/chat/info` by plain HTTP before it opens
//! `/chat/<server>/<session>/websocket`, and each heartbeat of the server is a Ping whose
//! Pong it waits ten seconds for.

use super::{Guarded, Script, document, script};
use crate::support::wait_for;
use serde_json::{Value, json};

/// Plain HTTP for the questions before, and for nothing else.
fn policy() -> Value {
    let mut document = document(
        "chat",
        &json!({
            "match": {"paths": ["/chat/*"]},
            "handshake": {"origins": ["https://app.example.com"]},
        }),
    );
    let info = json!({
        "name": "info",
        "match": {"paths": ["/chat/info"]},
        "handshake": {"plain_http": "pass"},
    });
    document["policies"].as_array_mut().unwrap().insert(0, info);
    document
}

fn client(guarded: &Guarded, transports: &[&str]) -> Script {
    let mut command = script("sockjs.js");
    command.args(["connect", &format!("http://{}/chat", guarded.address())]).args(transports);
    Script::start(command)
}

#[test]
fn sockjs_talks_over_heartbeats_and_either_end_closes() {
    let guarded = Guarded::start("sockjs.js", &policy());
    // As the library's user sees it, and as it goes over the wire.
    for (line, code, reason) in [("close", 1000, "Normal closure"), ("end", 4001, "enough")] {
        let before = guarded.inner.seen().from_client.pongs;
        let mut client = client(&guarded, &[]);
        assert_eq!(client.line(), json!({"connected": "websocket"}));
        // More than ten seconds of the server's. A Pong that comes later than the next Ping
        // is lost to its library, which then closes: so they come every 2.5 s.
        guarded.beats(3);
        wait_for("the server's own heartbeats", || {
            (guarded.inner.seen().from_client.pongs >= before + 5).then_some(())
        });
        client.write(line);
        assert_eq!(client.line(), json!({"echoed": 20, "code": code, "reason": reason}));
        let messages = if line == "end" { 21 } else { 20 };
        let session = json!({"messages": messages, "transport": "websocket"});
        assert_eq!(guarded.server.line(), session);
    }
    // A client that closes does not wait for the server's answer, which may find nobody.
    let (seen, inner) = (guarded.all_came(), guarded.inner.seen());
    assert_eq!(seen.from_client.closes[0].0, 1000);
    assert_eq!(seen.from_client.closes.len(), 2, "{seen:?}");
    assert_eq!(inner.from_client.closes, seen.from_client.closes);
    assert!(seen.from_server.closes.contains(&(1000, "Normal closure".to_owned())), "{seen:?}");
}

#[test]
fn what_would_go_unseen_is_refused_and_the_client_is_told() {
    let guarded = Guarded::start("sockjs.js", &policy());
    let client = client(&guarded, &["xhr-streaming", "xhr-polling"]);
    let saw = client.line();
    assert_eq!((&saw["echoed"], &saw["code"]), (&json!(0), &json!(2000)), "{saw}");
    guarded.envoy.event("refused", Some("not_websocket"));
}
