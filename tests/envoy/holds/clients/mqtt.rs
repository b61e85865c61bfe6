//! MQTT.js, versions 3.1 and 3.1.1, before the broker `aedes`: binary messages, a subprotocol,
//! and a token in the URL, as pages have it.

use super::{COMPRESSION, Guarded, Script, assert_compressed, document, script};
use crate::TEST_API_KEY;
use serde_json::{Value, json};

fn policy(compression: &str) -> Value {
    document(
        "mqtt",
        &json!({
            "match": {"paths": ["/mqtt"]},
            "handshake": {
                "origins": ["https://app.example.com"],
                "missing_origin": "allow",
                "subprotocols": ["mqtt", "mqttv3.1"],
                "compression": compression,
            },
            "auth": {
                "credentials": [{"query": "token"}],
                "api_keys": [{"id": "panel", "key": {"env": "TEST_API_KEY"}}],
            },
            "client": {"types": ["binary"]},
            "server": {"types": ["binary"]},
        }),
    )
}

#[test]
fn mqtt_js_publishes_and_subscribes_over_heartbeats() {
    for (compression, (version, subprotocol)) in
        COMPRESSION.into_iter().zip([("3", "mqttv3.1"), ("4", "mqtt")])
    {
        let guarded = Guarded::start("mqtt.js", &policy(compression));
        let mut command = script("mqtt.js");
        let url = format!("ws://{}/mqtt?token={TEST_API_KEY}", guarded.address());
        let mut client = Script::start({
            command.args(["connect", &url, version]);
            command
        });
        assert_eq!(client.line(), json!({"connected": true}), "{compression}");
        guarded.beats(4);
        client.write("end");
        let saw = client.line();
        assert_eq!(saw["received"], 8, "{saw}");
        assert!(saw["beats"].as_u64().unwrap() >= 1, "{saw}");
        assert_eq!(guarded.server.line(), json!({"subprotocol": subprotocol}));
        // The broker ends the connection once it has read DISCONNECT, so a Close that the
        // client sends behind it may find nobody.
        let seen = guarded.all_came();
        assert_compressed(compression, &seen);
        assert_eq!(guarded.envoy.event("closed", None)["user"], "key:panel");
    }
}
