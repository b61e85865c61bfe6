//! Open connections of who has been banned.

use crate::client::{Client, Request, text};
use crate::peers::{Echo, Maker};
use crate::support::{Envoy, balanced, behind_a_proxy, bootstrap};
use serde_json::{Value, json};
use std::time::Instant;

fn policy(name: &str, open: bool, lifetime: &Value) -> Value {
    json!({
        "name": name, "match": {"paths": [format!("/{name}")]},
        "auth": crate::by_api_key(),
        "client": {"rules": [{"name": "bad", "pattern": "bad", "action": "drop"}]},
        "bans": {"threshold": 3, "window": "10m", "duration": "1h", "open": open},
        "lifetime": lifetime,
    })
}

/// Four connections of each policy from the same address, two on each worker,
/// and the same user elsewhere.
#[test]
fn open_connections_of_who_is_banned_end_where_that_is_asked_for() {
    let echo = Echo::of(Maker::Tungstenite);
    let push = json!({"push": true});
    let document = json!({"policies": [
        policy("told", true, &push), policy("reset", true, &json!({})), policy("kept", false, &push),
    ]});
    let envoy = Envoy::start(&balanced(behind_a_proxy(bootstrap(&document, echo.address))));
    let open = |name: &str, address: &str| {
        let request = Request::upgrade(&format!("/{name}"))
            .with("x-forwarded-for", address)
            .with("x-api-key", crate::TEST_API_KEY);
        Client::open(envoy.address(), &request)
    };
    let four = |name: &str| [(); 4].map(|()| open(name, "192.0.2.66"));
    let (mut told, mut reset, mut kept) = (four("told"), four("reset"), four("kept"));
    let mut elsewhere = open("told", "192.0.2.1");
    let goes_on = |client: &mut Client| {
        client.send(&text("still here"));
        assert_eq!(client.frame().unwrap().payload, b"still here");
    };

    // Wrong keys ban the address, and name no user.
    let bad = Request::upgrade("/told").with("x-forwarded-for", "192.0.2.66");
    let bad = bad.with("x-api-key", "wrong");
    for _ in 0..3 {
        assert_eq!(Client::ask(envoy.address(), &bad).1.reason(), "credentials_invalid");
    }
    let banned = Instant::now();
    for client in &mut told {
        assert_eq!(client.frame().unwrap().close(), (1008, "banned".to_owned()));
    }
    for client in &mut reset {
        assert_eq!(client.frame(), None);
    }
    eprintln!("ended after {:?}", banned.elapsed());
    envoy.event("refused", Some("banned"));
    kept.iter_mut().for_each(goes_on);
    goes_on(&mut elsewhere);

    // Three messages that match a rule ban the user, at whatever address.
    kept[0].send(&text("bad").repeat(3));
    assert_eq!(elsewhere.frame().unwrap().close(), (1008, "banned".to_owned()));
    kept.iter_mut().for_each(goes_on);
}
