//! New documents by file-based discovery: what is open stays open and counted,
//! and what was counted counts on.

use super::{Gate, policy, status};
use crate::client::{Client, Request, frame, text};
use crate::lds::Lds;
use crate::peers::{Echo, Maker};
use crate::support::{Envoy, listener, trust_a_proxy, wait_for};
use serde_json::{Value, json};

/// An update, and a path by which it shows that it is in use.
fn offer(lds: &mut Lds, document: &Value) {
    static VERSIONS: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let version = VERSIONS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let mut document = document.clone();
    let mark = format!("/version-{version}");
    let policies = document["policies"].as_array_mut().unwrap();
    policies.push(json!({"name": "version", "match": {"paths": [mark]}}));
    lds.offer(&proxied(&document));
    wait_for("the new document to be in use", || {
        let (_, answer) = Client::ask(lds.envoy.address(), &Request::upgrade(&mark));
        (answer.status == 101).then_some(())
    });
}

fn proxied(document: &Value) -> Value {
    let mut listener = listener(document);
    trust_a_proxy(&mut listener);
    listener
}

fn gauge(envoy: &Envoy, policy: &str) -> usize {
    crate::frames::counter(envoy, &format!("wsguard_connections{{policy=\"{policy}\"}}"))
}

fn wait_for_gauge(envoy: &Envoy, policy: &str, value: usize) {
    let what = format!("{value} connections of {policy}");
    wait_for(&what, || (gauge(envoy, policy) == value).then_some(()));
}

#[test]
fn connections_stay_open_and_counted_under_every_new_document() {
    let upstream = Gate::start();
    let chat = Request::upgrade("/chat");
    let document = |most: u32| json!({"policies": [policy("chat", json!({"per_ip": most}))]});
    let mut lds = Lds::start(&proxied(&document(3)), upstream.address);
    let address = lds.envoy.address();
    let refused = (429, "connections_per_ip".to_owned());
    let mut held: Vec<Client> = (0..3).map(|_| Client::open(address, &chat)).collect();
    assert_eq!(status(address, &chat), refused);

    offer(&mut lds, &document(4));
    held.push(Client::open(address, &chat));
    assert_eq!(status(address, &chat), refused, "old ones count");
    wait_for_gauge(&lds.envoy, "chat", 4);

    offer(&mut lds, &document(2));
    assert_eq!(status(address, &chat), refused);
    for client in &mut held {
        assert_eq!(client.frame().unwrap().payload, b"hi", "none was cut");
        client.send(&text("still there"));
    }
    upstream.wait_for(4);
    // Two of the first document's and one of the second's end.
    held.drain(1..4);
    wait_for_gauge(&lds.envoy, "chat", 1);
    held.push(Client::open(address, &chat));
    assert_eq!(status(address, &chat), refused, "one of the first's, and this");

    // Without the policy: what it had open is told of until it ends.
    offer(&mut lds, &json!({"policies": [policy("feed", json!({}))]}));
    assert_eq!(status(address, &chat), (403, "no_policy".to_owned()));
    wait_for_gauge(&lds.envoy, "chat", 2);
    upstream.wait_for(2);
    held.clear();
    wait_for_gauge(&lds.envoy, "chat", 0);
    upstream.wait_for(0);
}

/// Rates, strikes and bans by addresses of their own, over two updates.
#[test]
fn rates_strikes_and_bans_go_on_under_a_new_document() {
    let echo = Echo::of(Maker::Tungstenite);
    let document = |hint: &str| {
        let mut keyed = policy("keyed", json!({}));
        keyed["auth"] = json!({
            "credentials": [{"header": "x-api-key"}],
            "api_keys": [{"id": hint, "key": {"env": "TEST_API_KEY"}}],
        });
        keyed["bans"] = json!({"threshold": 2, "window": "10m", "duration": "1h", "by": ["ip"]});
        keyed["quotas"] = json!({"handshakes": {"per_ip": "6/10m"}});
        let mut talk = policy("talk", json!({}));
        talk["client"] = json!({
            "rate": {"per_ip": "20/10m", "per_connection": "15/10m"}, "on_violation": "drop",
        });
        json!({"policies": [keyed, talk]})
    };
    let from = |path: &str, ip: &str| {
        Request::upgrade(path).with("x-forwarded-for", ip).with("x-api-key", crate::TEST_API_KEY)
    };
    let mut lds = Lds::start(&proxied(&document("first")), echo.address);
    let address = lds.envoy.address();
    let bad = |ip| status(address, &from("/keyed", ip).set("x-api-key", "wrong")).1;
    // One banned, one struck once, one that has used half of its handshakes.
    assert_eq!([bad("192.0.2.1"), bad("192.0.2.1")], ["credentials_invalid"; 2]);
    assert_eq!(bad("192.0.2.2"), "credentials_invalid");
    (0..3).for_each(|_| drop(Client::open(address, &from("/keyed", "192.0.2.3"))));
    // One that has sent ten messages, on a connection that stays.
    let mut open = Client::open(address, &from("/talk", "192.0.2.4"));
    let mut sends = |messages: usize| {
        open.send(&[text("hello").repeat(messages), frame(0x89, b"end")].concat());
        let frames = std::iter::from_fn(|| open.frame());
        frames.take_while(|frame| frame.first == 0x81).count()
    };
    // The Ping counts as well; its Pong says that all has been judged.
    assert_eq!(sends(7), 7);

    offer(&mut lds, &document("second"));
    assert_eq!(status(address, &from("/keyed", "192.0.2.1")), (429, "banned".to_owned()));
    assert_eq!(bad("192.0.2.2"), "credentials_invalid");
    assert_eq!(status(address, &from("/keyed", "192.0.2.2")).1, "banned", "two strikes");
    (0..3).for_each(|_| drop(Client::open(address, &from("/keyed", "192.0.2.3"))));
    assert_eq!(status(address, &from("/keyed", "192.0.2.3")), (429, "handshake_rate".to_owned()));
    lds.envoy.metric("wsguard_bans_active{} 2");
    // Eight of fifteen and of twenty are used.
    assert_eq!(sends(4), 4);
    // Thirteen of twenty; a new connection has its own fifteen.
    let mut other = Client::open(address, &from("/talk", "192.0.2.4"));
    other.send(&[text("hello").repeat(15), frame(0x88, b"")].concat());
    let came = std::iter::from_fn(|| other.frame()).take_while(|f| f.first == 0x81).count();
    assert_eq!(came, 7, "the rest of twenty");
}
