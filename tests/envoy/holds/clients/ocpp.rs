//! Chargers by `ocpp-rpc` (Node) and `ocpp` (Python), which present a name and a password by
//! Basic: each pings its server, which pings it, while the filter pings the charger.

use super::{COMPRESSION, Guarded, Script, assert_compressed, document, script};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A password as OCPP's security whitepaper asks for: 20 random bytes, some of them no text.
const BYTES: [u8; 20] = *b"\x00\xff:\xfe\x0a\x0d\xc3\x28\x80 ,=+\x7f\x1b\x9f\xe2\x82\x00\x01";
const TEXT: &[u8] = b"pass:word of 20 bytes";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn policy(compression: &str) -> Value {
    let key = |id: &str, key: &[u8]| json!({"id": id, "sha256": hex(&Sha256::digest(key))});
    document(
        "chargers",
        &json!({
            "match": {"paths": ["/ocpp/*"]},
            "handshake": {"subprotocols": ["ocpp1.6", "ocpp2.0.1"], "compression": compression},
            "auth": {
                "credentials": [{"header": "authorization", "scheme": "basic"}],
                "api_keys": [key("CP_1", TEXT), key("CP|2@a", &BYTES)],
            "authorize": [{"from": {"path": "/ocpp/{id}"}, "claim": "id"}],
            },
            "client": {"types": ["text"]},
            "server": {"types": ["text"]},
        }),
    )
}

fn charger(guarded: &Guarded, name: &str, password: &[u8]) -> Script {
    let mut command = script("ocpp.js");
    let url = format!("ws://{}/ocpp", guarded.address());
    command.args(["connect", &url, name, &hex(password)]);
    Script::start(command)
}

#[test]
fn chargers_of_ocpp_rpc_call_and_are_called_over_three_keepalives() {
    let cases = COMPRESSION.into_iter().zip([("CP_1", TEXT), ("CP|2@a", &BYTES)]);
    for (compression, (name, password)) in cases {
        let guarded = Guarded::start("ocpp.js", &policy(compression));
        let mut client = charger(&guarded, name, password);
        assert_eq!(client.line(), json!({"connected": "Accepted"}), "{name}");
        guarded.beats(3);
        client.write("end");
        let end = json!({"pongs": true, "code": 4001, "reason": "enough"});
        assert_eq!(client.line(), end);
        let saw = json!({
            "name": name, "subprotocol": "ocpp1.6", "sees": false, "beats": true, "pongs": true,
            "code": 4001, "reason": "enough",
        });
        assert_eq!(guarded.server.line(), saw);
        assert_compressed(compression, &guarded.ended());
        assert_eq!(guarded.envoy.event("closed", None)["user"], format!("key:{name}"));
    }
}

#[test]
fn a_charger_with_another_password_is_told() {
    let guarded = Guarded::start("ocpp.js", &policy("strip"));
    for (name, password) in [("CP_1", &BYTES[..]), ("CP|2@a", TEXT), ("CP_3", TEXT), ("CP_1", b"")]
    {
        let saw = charger(&guarded, name, password).line();
        assert_eq!(saw, json!({"failed": 401}), "{name}");
    }
    assert_eq!(guarded.inner.seen().from_client.messages, 0);
}

#[test]
fn chargers_of_python_call_and_are_called_over_three_keepalives() {
    for compression in COMPRESSION {
        let guarded = Guarded::start("ocpp_peer.py", &policy(compression));
        let start = |password, name| {
            let url = format!("ws://CP_1:{password}@{}/ocpp/{name}", guarded.address());
            let mut command = script("ocpp_peer.py");
            command.args(["connect", &url]);
            Script::start(command)
        };
        let password = "pass%3Aword%20of%2020%20bytes";
        for (password, name, status) in [("pass%3Aword", "CP_1", 401), (password, "CP_2", 403)] {
            assert_eq!(start(password, name).line(), json!({"failed": status}));
        }
        let mut client = start(password, "CP_1");
        assert_eq!(client.line(), json!({"connected": "Accepted"}), "{compression}");
        guarded.beats(3);
        client.write("end");
        let end = json!({"operative": true, "code": 4002, "reason": "enough"});
        assert_eq!(client.line(), end);
        let saw = guarded.server.line();
        let expected =
            json!({"name": "CP_1", "subprotocol": "ocpp1.6", "beats": true, "sees": false});
        assert_eq!(saw, expected);
        let seen = guarded.ended();
        assert_compressed(compression, &seen);
        assert_eq!(seen.from_server.closes, [(4002, "enough".to_owned())]);
    }
}
