//! npm's `phoenix`: its token behind a prefix of a subprotocol, its channels as lists in
//! which the topic of a join is authorized, its heartbeats, and its binary messages.

use super::{COMPRESSION, Guarded, Script, assert_compressed, document, script};
use crate::credentials::{claims, issuer, mint};
use serde_json::{Value, json};

const PREFIX: &str = "base64url.bearer.phx.";

fn policy(compression: &str, auth: &Value) -> Value {
    let mut asked = json!({
        "credentials": [{"subprotocol_prefix": PREFIX, "encoding": "base64url"}],
        "jwt": [issuer()],
    });
    for (key, value) in auth.as_object().unwrap() {
        asked[key] = value.clone();
    }
    document(
        "channels",
        &json!({
            "match": {"paths": ["/socket/websocket"]},
            "handshake": {
                "origins": ["https://app.example.com"],
                "missing_origin": "allow",
                "subprotocols": ["phoenix"],
                "compression": compression,
            },
            "auth": asked,
        }),
    )
}

fn joins() -> Value {
    json!([{"from": {"message": "/2", "when": {"/3": "phx_join"}}, "claim": "topics"}])
}

fn client(guarded: &Guarded, topic: &str, more: &[&str]) -> Script {
    let topics = claims(&json!({"topics": ["room:lobby", "room:1"]}));
    let token = mint(&json!({"claims": topics}));
    let mut command = script("phoenix.js");
    command.args(["connect", &format!("ws://{}/socket", guarded.address()), &token, topic]);
    command.args(more);
    Script::start(command)
}

#[test]
fn phoenix_joins_and_talks_over_heartbeats() {
    for compression in COMPRESSION {
        // An application that reads the token itself sees it with `forward`. Binary messages
        // are no lists, so no join can be read in them.
        let forward = compression == "inspect";
        let auth = if forward { json!({"forward": true}) } else { json!({"authorize": joins()}) };
        let guarded = Guarded::start("phoenix.js", &policy(compression, &auth));
        let mut client = client(&guarded, "room:lobby", if forward { &["binary"] } else { &[] });
        assert_eq!(client.line(), json!({"connected": "open"}), "{compression}");
        guarded.beats(4);
        client.write("end");
        assert_eq!(client.line(), json!({"all": true}));
        let saw = guarded.server.line();
        assert_eq!(saw["joined"], json!(["room:lobby"]), "{saw}");
        assert_eq!((&saw["code"], &saw["reason"]), (&json!(4001), &json!("enough")));
        assert!(saw["beats"].as_u64().unwrap() >= 1, "{saw}");
        assert_eq!(saw["offer"].as_str().unwrap().contains(PREFIX), forward, "{saw}");
        let seen = guarded.ended();
        assert_compressed(compression, &seen);
        assert_eq!(seen.from_client.closes, [(4001, "enough".to_owned())]);
    }
}

#[test]
fn phoenix_is_told_of_a_topic_that_is_not_granted() {
    let auth = json!({"authorize": joins()});
    let guarded = Guarded::start("phoenix.js", &policy("strip", &auth));
    let client = client(&guarded, "room:secret", &[]);
    assert_eq!(client.line(), json!({"code": 1008, "reason": "access_denied"}));
    assert_eq!(guarded.server.line()["joined"], json!([]));
}
