//! Keys that a newer document has no more: what becomes of the connections that
//! they opened, and that nobody else's are touched.

use super::TEST_SECRET;
use super::client::{Client, Request, text};
use super::credentials::{ISSUER, claims, jwks, mint};
use super::lds::Lds;
use super::support::{listener, stream_listener, wait_for};
use super::upstream::{Recorder, Script, frames};
use serde_json::{Value, json};

const SHARED: &str = "https://shared.example.com";
const GONE: &str = "https://gone.example.com";

/// What lets clients in.
fn auth(api_keys: &Value, jwt: &Value) -> Value {
    json!({
        "credentials": [{"header": "authorization"}, {"header": "x-api-key"}],
        "api_keys": api_keys, "jwt": jwt,
    })
}

/// Lets in who has the API key in this variable.
fn only(variable: &str) -> Value {
    let keys = [api_key("a", variable)];
    json!({"credentials": [{"header": "x-api-key"}], "api_keys": keys})
}

fn issuer(name: &str, algorithms: &Value, keys: &Value) -> Value {
    json!({"issuer": name, "algorithms": algorithms, "keys": keys})
}

/// The published keys with these names.
fn keys(kids: &[&str]) -> Value {
    let all = jwks();
    let named = |key: &&Value| kids.iter().any(|kid| key["kid"] == *kid);
    let named: Vec<_> = all["keys"].as_array().unwrap().iter().filter(named).collect();
    json!({"jwks": {"keys": named}})
}

fn document(auth: &Value, push: bool) -> Value {
    json!({
        "filter": if push { "http" } else { "stream" },
        "policies": [
            {"name": "brief", "match": {"paths": ["/brief"]}, "lifetime": {"max": "100ms"}},
            {"name": "chat", "auth": auth, "lifetime": {"push": push}},
        ],
    })
}

/// The listener, and the plugin in it, by these names.
fn named(mut listener: Value, name: &str, plugin: &str) -> Value {
    listener["name"] = json!(name);
    let filter = &mut listener["filter_chains"][0]["filters"][0]["typed_config"];
    let config = match filter.get("http_filters") {
        Some(_) => &mut filter["http_filters"][0]["typed_config"]["config"],
        None => &mut filter["config"],
    };
    config["name"] = json!(plugin);
    let variables = &mut config["vm_config"]["environment_variables"]["key_values"];
    variables["ANOTHER_SECRET"] = json!(format!("another-{TEST_SECRET}"));
    variables["FIRST_KEY"] = json!("the-key-of-the-first-service");
    variables["SECOND_KEY"] = json!("the-key-of-the-second-service");
    listener
}

fn with_key(key: &str) -> Request {
    Request::upgrade("/ws").with("x-api-key", key)
}

fn with_token(asked: &Value) -> Request {
    Request::upgrade("/ws").with("authorization", format!("Bearer {}", mint(asked)))
}

const FIRST: &str = "the-key-of-the-first-service";
const SECOND: &str = "the-key-of-the-second-service";

fn api_key(id: &str, variable: &str) -> Value {
    json!({"id": id, "key": {"env": variable}})
}

/// Its messages still go by.
fn lives(client: &mut Client, upstream: &Recorder, message: &str) {
    client.send(&text(message));
    wait_for(message, || {
        let all = upstream.seen();
        let mut frames = all.iter().flat_map(|seen| frames(&seen.bytes));
        frames.any(|(_, payload)| payload == message.as_bytes()).then_some(())
    });
}

/// An update has been taken, and all that it could end would have ended.
fn settle(lds: &Lds, updates: u64, name: &str) {
    lds.wait_for("listener_manager.lds.update_success", updates);
    pass_ticks(lds, name);
}

/// Documents with no tick between them are taken for those of a bootstrap. Each
/// worker gets connections here that a tick of its own ends, four times.
fn pass_ticks(lds: &Lds, name: &str) {
    let address = lds.envoy.listener(name);
    let brief = Request::upgrade("/brief");
    for _ in 0..4 {
        let mut open = lds.envoy.open_on_each_worker(|| Client::open(address, &brief));
        for client in &mut open {
            while client.frame().is_some() {}
        }
    }
}

#[test]
fn a_key_that_a_newer_document_has_no_more_ends_what_it_opened() {
    let secret = |name: &str| json!({"secret": {"env": name}});
    let before = auth(
        &json!([api_key("first", "FIRST_KEY"), api_key("second", "SECOND_KEY")]),
        &json!([
            issuer(ISSUER, &json!(["RS256", "EdDSA"]), &keys(&["rsa", "ed25519"])),
            issuer(SHARED, &json!(["HS256"]), &secret("TEST_SECRET")),
            issuer(GONE, &json!(["ES256"]), &keys(&["p256"])),
        ]),
    );
    let after = auth(
        // Another key by the same name, and the same one by another.
        &json!([api_key("first", "ANOTHER_SECRET"), api_key("renamed", "SECOND_KEY")]),
        &json!([
            issuer(ISSUER, &json!(["RS256"]), &keys(&["rsa"])),
            issuer(SHARED, &json!(["HS256"]), &secret("ANOTHER_SECRET")),
        ]),
    );
    let of = |iss: &str| claims(&json!({"iss": iss}));
    let removed = [
        with_key(FIRST),
        with_token(&json!({"alg": "EdDSA", "claims": of(ISSUER)})),
        with_token(&json!({"alg": "HS256", "secret": TEST_SECRET, "claims": of(SHARED)})),
        with_token(&json!({"alg": "ES256", "claims": of(GONE)})),
    ];
    let kept = [with_key(SECOND), with_token(&json!({"alg": "RS256", "claims": of(ISSUER)}))];

    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let listeners = |auth: &Value| {
        [
            named(listener(&document(auth, true)), "edge", "chat"),
            named(stream_listener(&document(auth, false)), "stream", "chat"),
        ]
    };
    let mut lds = Lds::start_with(&listeners(&before), upstream.address);
    let addresses = ["edge", "stream"].map(|name| lds.envoy.listener(name));
    let open = |requests: &[Request]| -> Vec<Vec<Client>> {
        let all = |address| requests.iter().map(|r| Client::open(address, r)).collect();
        addresses.iter().map(|address| all(*address)).collect()
    };
    let (mut ending, mut staying) = (open(&removed), open(&kept));

    pass_ticks(&lds, "edge");
    lds.offer_all(&listeners(&after));
    for client in &mut ending[0] {
        let close = client.frame().expect("a Close").close();
        assert_eq!(close, (1008, "credentials_revoked".to_owned()));
    }
    for client in &mut ending[1] {
        assert!(client.ends(), "reset, before tcp_proxy");
    }
    settle(&lds, 2, "edge");
    for (place, client) in staying.iter_mut().flatten().enumerate() {
        lives(client, &upstream, &format!("stays-{place}"));
    }
    let event = lds.envoy.event("refused", Some("credentials_revoked"));
    assert_eq!(event["detail"], "the key that verified its credential has been removed");
    assert!(!lds.envoy.log().contains("`name` of its own"), "{}", lds.envoy.log());
}

#[test]
fn another_document_ends_nobodys_connections() {
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let mut other = document(&only("FIRST_KEY"), true);
    let listeners = |second: &Value| {
        [
            named(listener(&document(&only("FIRST_KEY"), true)), "one", "chat"),
            named(listener(second), "two", "games"),
        ]
    };
    let second = document(&only("SECOND_KEY"), true);
    let mut lds = Lds::start_with(&listeners(&second), upstream.address);
    let [one, two] = ["one", "two"].map(|name| lds.envoy.listener(name));
    let mut clients: Vec<_> = (0..4)
        .flat_map(|_| [Client::open(one, &with_key(FIRST)), Client::open(two, &with_key(SECOND))])
        .collect();
    // A policy more; neither the first listener's keys nor its own change.
    let mut third = second.clone();
    other["policies"][1]["name"] = json!("other");
    other["policies"][1]["match"] = json!({"paths": ["/other"]});
    third["policies"].as_array_mut().unwrap().insert(0, other["policies"][1].clone());
    pass_ticks(&lds, "two");
    lds.offer_all(&listeners(&third));
    settle(&lds, 2, "two");
    for (place, client) in clients.iter_mut().enumerate() {
        lives(client, &upstream, &format!("games-{place}"));
    }
    assert!(!lds.envoy.log().contains("`name` of its own"), "{}", lds.envoy.log());
}
