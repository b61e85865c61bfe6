//! A page of a sibling subdomain sets a second cookie of the credential's name, or a bad one:
//! ten reconnects of its visitor's, and the address was banned.

use crate::client::{Client, Request};
use crate::support::{Envoy, behind_a_proxy, bootstrap};
use crate::upstream::{Recorder, Script};
use serde_json::{Value, json};

fn document() -> Value {
    json!({"policies": [{
        "name": "chat",
        "handshake": {"origins": ["https://app.example.com"]},
        "auth": {
            "credentials": [
                {"header": "authorization"}, {"query": "token"}, {"subprotocol": "bearer"},
                {"cookie": "session"},
            ],
            "api_keys": [{"id": "robot", "key": {"env": "TEST_API_KEY"}}],
            "authorize": [{"from": {"query": "room"}, "claim": "sub"}],
        },
        "bans": {"weights": {"access_denied": 10, "credentials_expired": 10}},
    }]})
}

#[test]
fn nothing_that_a_sibling_subdomain_sets_bans_its_visitors() {
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let envoy = Envoy::start(&behind_a_proxy(bootstrap(&document(), upstream.address)));
    let key = crate::TEST_API_KEY;
    let ask = |ip: &str, path: &str, lines: &[(&str, String)]| {
        let mut request = Request::upgrade(path)
            .with("x-forwarded-for", ip)
            .with("origin", "https://app.example.com");
        for (name, value) in lines {
            request = request.with(name, value);
        }
        let (_, answer) = Client::ask(envoy.address(), &request);
        (answer.status, if answer.status == 101 { String::new() } else { answer.reason() })
    };
    let cookie = |value: String| ("cookie", value);
    let good = "/ws?room=key:robot";
    for (ip, path, lines, reason) in [
        (
            "192.0.2.1",
            good.to_owned(),
            vec![cookie(format!("session={key}; session=evil"))],
            "credentials_invalid",
        ),
        (
            "192.0.2.2",
            good.to_owned(),
            vec![cookie(format!("session={key}")), cookie("session=evil".to_owned())],
            "credentials_invalid",
        ),
        (
            "192.0.2.3",
            good.to_owned(),
            vec![cookie("session=evil".to_owned())],
            "credentials_invalid",
        ),
        ("192.0.2.4", good.to_owned(), vec![cookie("session=".to_owned())], "credentials_invalid"),
        (
            "192.0.2.5",
            "/ws?room=other".to_owned(),
            vec![cookie(format!("session={key}"))],
            "access_denied",
        ),
        ("192.0.2.6", format!("{good}&token=a&token=b"), vec![], "credentials_invalid"),
        (
            "192.0.2.7",
            good.to_owned(),
            vec![
                ("authorization", format!("Bearer {key}")),
                ("authorization", "Bearer x".to_owned()),
            ],
            "credentials_invalid",
        ),
        (
            "192.0.2.8",
            good.to_owned(),
            vec![("authorization", format!("Bearer {key}, Bearer x"))],
            "credentials_invalid",
        ),
        (
            "192.0.2.9",
            good.to_owned(),
            vec![("sec-websocket-protocol", format!("bearer, {key}, Bearer, x"))],
            "credentials_invalid",
        ),
    ] {
        for _ in 0..12 {
            assert_eq!(
                ask(ip, &path, &lines),
                (401 + u16::from(reason == "access_denied") * 2, reason.to_owned()),
                "{path} {lines:?}"
            );
        }
        let own = ask(ip, good, &[("authorization", format!("Bearer {key}"))]);
        assert_eq!(own, (101, String::new()), "{path} {lines:?}");
    }
    // A guess is one.
    for _ in 0..10 {
        let guess = ask("192.0.2.66", good, &[("authorization", "Bearer guess".to_owned())]);
        assert_eq!(guess.1, "credentials_invalid");
    }
    let own = ask("192.0.2.66", good, &[("authorization", format!("Bearer {key}"))]);
    assert_eq!(own.1, "banned");
}
