//! `same-origin` under DNS rebinding: a page at a name of the attacker's, which
//! leads to this address by now, is of the same origin as its own requests.

use crate::client::{Client, Request};
use crate::support::{Envoy, bootstrap, stream_listener};
use crate::upstream::{Recorder, Script};
use serde_json::{Value, json};

fn document(filter: &str, matched: &Value) -> Value {
    json!({"filter": filter, "policies": [{
        "name": "chat", "match": matched, "handshake": {"origins": ["same-origin"]},
        "auth": {
            "credentials": [{"cookie": "session"}],
            "api_keys": [{"id": "robot", "key": {"env": "TEST_API_KEY"}}],
        },
    }]})
}

#[test]
fn same_origin_is_refused_at_load_where_no_host_is_named() {
    let nowhere = "127.0.0.1:1".parse().unwrap();
    for matched in [
        json!({}),
        json!({"paths": ["/ws"]}),
        json!({"hosts": ["*.com"]}),
        json!({"hosts": ["chat.example.com", "*.example"]}),
    ] {
        let log = Envoy::refuses(&bootstrap(&document("http", &matched), nowhere));
        assert!(log.contains("policies[0].handshake.origins[0]: "), "{matched}: {log}");
        assert!(log.contains("write match.hosts"), "{log}");
    }
    let mut bootstrap = bootstrap(&json!({}), nowhere);
    let listener = stream_listener(&document("stream", &json!({"paths": ["/ws"]})));
    bootstrap["static_resources"]["listeners"] = json!([listener]);
    let log = Envoy::refuses(&bootstrap);
    assert!(log.contains("DNS rebinding"), "{log}");
}

#[test]
fn a_rebound_name_meets_no_policy_where_hosts_are_named() {
    let recorder = Recorder::start(Script::Accept(Vec::new()));
    let matched = json!({"hosts": ["chat.example.com", "*.chat.example.com"]});
    let envoy = Envoy::start(&bootstrap(&document("http", &matched), recorder.address));
    let from = |host: &str| {
        let cookie = format!("session={}", crate::TEST_API_KEY);
        Request::upgrade("/ws")
            .set("host", host)
            .with("origin", format!("http://{host}"))
            .with("cookie", cookie)
    };
    for host in [
        "attacker.example",
        "attacker.example:80",
        "chat.example.com.attacker.example",
        "127.0.0.1",
        "localhost",
        "xchat.example.com",
    ] {
        let (_, answer) = Client::ask(envoy.address(), &from(host));
        assert_eq!((answer.status, answer.reason().as_str()), (403, "no_policy"), "{host}");
    }
    for host in ["chat.example.com", "a.chat.example.com"] {
        let (_, answer) = Client::ask(envoy.address(), &from(host));
        assert_eq!(answer.status, 101, "{host}: {answer:?}");
    }
}
