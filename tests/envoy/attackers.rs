//! Who tries to have others refused, or to be somebody else each time: counts,
//! rates and bans are about whom Envoy and the credential name, and nobody else.

use super::client::{Client, Request};
use super::credentials::{ISSUER, claims, jwks, mint};
use super::support::{Envoy, behind_a_proxy, bootstrap};
use super::upstream::{Recorder, Script};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// One bad key is a strike, three of them ban.
fn keyed() -> Value {
    json!({
        "name": "keyed", "match": {"paths": ["/keyed"]},
        "auth": crate::by_api_key(),
        "bans": {"threshold": 3, "window": "10m", "duration": "1h", "by": ["ip"]},
    })
}

fn from(path: &str, forwarded: &str) -> Request {
    Request::upgrade(path).with("x-forwarded-for", forwarded)
}

fn good(forwarded: &str) -> Request {
    from("/keyed", forwarded).with("x-api-key", super::TEST_API_KEY)
}

fn bad(forwarded: &str) -> Request {
    from("/keyed", forwarded).with("x-api-key", "wrong")
}

/// The reason for which it is refused, or nothing.
fn reason(address: SocketAddr, request: &Request) -> String {
    let (_, answer) = Client::ask(address, request);
    if answer.status == 101 { String::new() } else { answer.reason() }
}

/// What the trusted proxy appends is who the client is; whatever the client has
/// put before it is nobody.
#[test]
fn who_claims_to_be_others_by_x_forwarded_for_gets_itself_banned() {
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let document = json!({"policies": [keyed()]});
    let envoy = Envoy::start(&behind_a_proxy(bootstrap(&document, upstream.address)));
    let address = envoy.address();
    let victims = ["198.51.100.1", "198.51.100.2", "2001:db8::1"];
    let claims = victims.into_iter().chain(["nonsense", "", "127.0.0.1"]);
    let seen: Vec<String> =
        claims.map(|claim| reason(address, &bad(&format!("{claim}, 192.0.2.66")))).collect();
    let (strikes, banned) = ("credentials_invalid", "banned");
    assert_eq!(seen, [strikes, strikes, strikes, banned, banned, banned]);
    assert_eq!(reason(address, &good("198.51.100.9, 192.0.2.66")), banned);
    for victim in victims {
        assert_eq!(reason(address, &good(victim)), "", "{victim}");
    }
    // In two lines of the header, too.
    let two = bad("198.51.100.1").with("x-forwarded-for", "192.0.2.67");
    (0..3).for_each(|_| assert_eq!(reason(address, &two), strikes));
    assert_eq!(reason(address, &good("192.0.2.67")), banned);
    assert_eq!(reason(address, &good("198.51.100.1")), "");
    envoy.metric("wsguard_bans_active{} 2");
}

/// Where no proxy is trusted, the header says nothing at all.
#[test]
fn without_a_trusted_proxy_the_header_is_nobody() {
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let document = json!({"policies": [keyed()]});
    let envoy = Envoy::start(&bootstrap(&document, upstream.address));
    for number in 0..3 {
        let refused = reason(envoy.address(), &bad(&format!("198.51.100.{number}")));
        assert_eq!(refused, "credentials_invalid");
    }
    assert_eq!(reason(envoy.address(), &good("198.51.100.9")), "banned");
    assert_eq!(envoy.event("banned", Some("credentials_invalid"))["ip"], "127.0.0.1");
}

/// One host can choose any address of its /64.
#[test]
fn who_changes_its_address_within_a_network_is_the_same() {
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let hasty = json!({
        "name": "hasty", "match": {"paths": ["/hasty"]},
        "quotas": {"handshakes": {"per_ip": "3/10m"}},
    });
    let document = json!({"policies": [keyed(), hasty]});
    let envoy = Envoy::start(&behind_a_proxy(bootstrap(&document, upstream.address)));
    let address = envoy.address();
    let of = |network: u8, host: u32| format!("2001:db8:0:{network:x}:{host:x}:1:2:3");
    for host in 1..=3 {
        assert_eq!(reason(address, &bad(&of(7, host))), "credentials_invalid");
        assert_eq!(reason(address, &from("/hasty", &of(8, host))), "");
    }
    for host in 4..=6 {
        assert_eq!(reason(address, &good(&of(7, host))), "banned");
        assert_eq!(reason(address, &from("/hasty", &of(8, host))), "handshake_rate");
    }
    assert_eq!(reason(address, &good(&of(9, 1))), "");
    assert_eq!(reason(address, &from("/hasty", &of(9, 1))), "");
}

/// A name is a user's only once its credential has been verified.
#[test]
fn who_names_another_user_takes_nothing_of_its_and_bans_nobody_but_itself() {
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let document = json!({"policies": [{
        "name": "tokens",
        "auth": {
            "credentials": [{"header": "authorization"}],
            "jwt": [{
                "issuer": ISSUER, "algorithms": ["EdDSA"], "keys": {"jwks": jwks()},
                "claims": {"scope": ["chat:connect"]},
            }],
        },
        "quotas": {"connections": {"per_user": 1}},
        "client": {"rate": {"per_user": "3/10m"}},
        "bans": {
            "threshold": 3, "window": "10m", "duration": "1h", "by": ["user"],
            "weights": {"credentials_invalid": 3, "credentials_expired": 3},
        },
    }]});
    let envoy = Envoy::start(&behind_a_proxy(bootstrap(&document, upstream.address)));
    let address = envoy.address();
    let with = |token: &str| {
        Request::upgrade("/ws")
            .with("x-forwarded-for", "192.0.2.66")
            .with("authorization", format!("Bearer {token}"))
    };
    let alice = |over: Value| claims(&over);
    let forged = mint(&json!({"key": "other ed25519", "claims": alice(json!({}))}));
    let expired = mint(&json!({"claims": alice(json!({"exp": 1_700_000_000}))}));
    let unfit = mint(&json!({"claims": alice(json!({"scope": "other"}))}));
    let good = mint(&json!({"claims": alice(json!({}))}));
    for (token, expected) in [
        (&forged, "credentials_invalid"),
        (&expired, "credentials_expired"),
        (&unfit, "credentials_invalid"),
    ] {
        for _ in 0..4 {
            assert_eq!(reason(address, &with(token)), expected);
        }
    }
    let held = Client::open(address, &with(&good));
    assert_eq!(reason(address, &with(&good)), "connections_per_user");
    drop(held);
    envoy.metric("wsguard_bans_active{} 0");
}
