//! Connection quotas over the workers and listeners of an Envoy, counted where
//! it matters: at upstream.

use super::client::{Client, Request};
use super::support::{Envoy, bootstrap, listener};
use gate::Gate;
use serde_json::{Value, json};
use std::net::SocketAddr;

mod gate;
mod ipv6;
mod late;
mod storm;
mod trapped;
mod updates;

fn policy(name: &str, connections: Value) -> Value {
    json!({
        "name": name,
        "match": {"paths": [format!("/{name}")]},
        "quotas": {"connections": connections},
    })
}

fn status(address: SocketAddr, request: &Request) -> (u16, String) {
    let (_, answer) = Client::ask(address, request);
    (answer.status, answer.reason())
}

#[test]
fn listeners_share_counts_and_policies_do_not() {
    let upstream = Gate::start();
    let users = crate::by_api_key();
    let mut known = policy("known", json!({"per_user": 1}));
    known["auth"] = users;
    let mut watched = policy("watched", json!({"total": 1}));
    watched["mode"] = "report".into();
    let mut told = policy("told", json!({"total": 1}));
    told["handshake"] = json!({"refuse_with": "close"});
    let document = json!({
        "quotas": {"connections": {"total": 7}},
        "policies": [
            policy("chat", json!({"total": 2})), policy("feed", json!({"total": 2})),
            known, watched, told,
        ],
    });
    let mut bootstrap = bootstrap(&document, upstream.address);
    // Another document with a policy of the same name.
    let elsewhere = json!({"policies": [policy("chat", json!({"total": 2}))]});
    let mut second = listener(&elsewhere);
    second["name"] = "second".into();
    bootstrap["static_resources"]["listeners"].as_array_mut().unwrap().push(second);
    let envoy = Envoy::start(&bootstrap);
    let (first, second) = (envoy.listener("edge"), envoy.listener("second"));
    let chat = Request::upgrade("/chat");
    let mut held = vec![Client::open(first, &chat), Client::open(second, &chat)];
    for address in [first, second] {
        assert_eq!(status(address, &chat), (503, "connections_total".to_owned()));
    }
    let (_, refused) = Client::ask(first, &chat);
    assert!(refused.header("retry-after").is_some());
    let event = envoy.event("refused", Some("connections_total"));
    assert_eq!(event["detail"], "all 2 connections here are taken; try again later");

    held.push(Client::open(first, &Request::upgrade("/feed")));
    let known = Request::upgrade("/known").with("x-api-key", super::TEST_API_KEY);
    held.push(Client::open(first, &known));
    assert_eq!(status(first, &known), (429, "connections_per_user".to_owned()));
    held.push(Client::open(first, &Request::upgrade("/told")));
    let mut closed = Client::open(first, &Request::upgrade("/told"));
    assert_eq!(closed.frame().unwrap().close(), (1013, "connections_total".to_owned()));
    held.push(Client::open(first, &Request::upgrade("/watched")));
    held.push(Client::open(first, &Request::upgrade("/watched")));
    let event = envoy.event("reported", Some("connections_total"));
    assert_eq!(event["policy"], "watched");
    envoy.metric(r#"wsguard_connections{policy="watched"} 2"#);
    envoy.metric(r#"wsguard_connections{policy="chat"} 2"#);
    // Six of the document's seven: one of `chat` is the other document's, and
    // one of `watched` is over its limit.
    held.push(Client::open(first, &Request::upgrade("/feed")));
    held.push(Client::open(first, &Request::upgrade("/watched")));
    upstream.wait_for(held.len());
    held.clear();
    for name in ["chat", "feed", "known", "watched", "told"] {
        envoy.metric(&format!(r#"wsguard_connections{{policy="{name}"}} 0"#));
    }
}
