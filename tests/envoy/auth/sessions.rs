//! Session services, token introspection, and authorization by them.

use super::Rig;
use super::service::{Reply, Service};
use crate::client::{Client, Request};
use crate::clock::WallClock;
use crate::credentials::now;
use crate::support::wait_for;
use serde_json::{Value, json};

/// What the service says: by the credential in the question.
fn said(asked: &str) -> Reply {
    let head = asked.to_lowercase();
    if head.starts_with("get /members/") {
        let member = asked.starts_with("GET /members/blue/alice ");
        return Reply::new(if member { 200 } else { 403 }, "{}");
    }
    let alice = json!({
        "user": {"id": "alice"}, "active": true, "workspaces": ["red", "green"],
        "workspace": "red",
        "exp": if asked.contains("short") { json!(now() + 1800) } else { json!(null) },
    });
    for (sign, reply) in [
        ("null", Reply::new(200, "null")),
        ("inactive", Reply::new(200, json!({"active": false}).to_string())),
        ("unknown", Reply::new(401, "")),
        ("broken", Reply::new(500, "")),
        ("silent", Reply::new(200, alice.to_string()).never()),
    ] {
        if asked.contains(sign) {
            return reply;
        }
    }
    Reply::new(200, alice.to_string())
}

fn document(session: &Value, authorize: &Value) -> Value {
    let mut service = json!({
        "cluster": "auth", "host": "auth.example.com", "path": "/api/auth/get-session",
        "send": "cookie", "timeout": "30s", "subject": "/user/id", "active": "/active",
        "expires": "/exp",
    });
    for (key, value) in session.as_object().unwrap() {
        service[key] = value.clone();
    }
    let mut auth = json!({
        "credentials": [{"cookie": "session"}], "session": service,
        "identity_headers": {"x-user-id": "sub"},
    });
    if !authorize.is_null() {
        auth["authorize"] = authorize.clone();
    }
    let origins = json!({"origins": ["https://app.example.com"]});
    // Where the service is not waited for so long.
    let mut hasty = auth.clone();
    hasty["session"]["timeout"] = json!("700ms");
    json!({"policies": [
        {"name": "hasty", "match": {"paths": ["/hasty"]}, "handshake": origins, "auth": hasty},
        {"name": "chat", "handshake": origins, "auth": auth},
    ]})
}

fn cookie(target: &str, value: &str) -> Request {
    Request::upgrade(target)
        .with("origin", "https://app.example.com")
        .with("cookie", format!("a=b; session={value}"))
}

#[test]
fn a_session_service_says_who_a_cookie_is_of() {
    let service = Service::start(said);
    let rig = Rig::start(&document(&json!({}), &json!(null)), &service);
    rig.envoy.set_log_level("wasm", "trace");
    for address in [rig.http(), rig.stream()] {
        rig.opens(address, &cookie("/ws", "good"));
    }
    for (value, status, reason) in [
        ("null", 401, "credentials_invalid"),
        ("inactive", 401, "credentials_invalid"),
        ("unknown", 401, "credentials_invalid"),
        ("broken", 503, "auth_unavailable"),
    ] {
        rig.refuses(&cookie("/ws", value), status, reason);
    }
    rig.refuses(&cookie("/hasty", "silent"), 503, "auth_unavailable");
    let asked = service.asked();
    assert_eq!(asked.len(), 12, "each handshake asks");
    assert!(asked[0].starts_with("GET /api/auth/get-session HTTP/1.1\r\nhost: auth.example.com"));
    assert!(asked[0].contains("cookie: session=good\r\n"), "{}", asked[0]);
    let log = rig.envoy.log();
    assert!(log.contains("wsguard session service: auth.example.com by cluster auth: the answer"));
    for secret in ["session=", "good", "inactive"] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}

#[test]
fn tokens_are_introspected_with_our_own_credential() {
    let service = Service::start(said);
    let session = json!({
        "send": "form", "path": "/introspect", "cache": "30s",
        "authorization": {"env": "INTROSPECTION_SECRET"},
    });
    let mut document = document(&session, &json!(null));
    document["policies"].as_array_mut().unwrap().remove(0);
    document["policies"][0]["auth"]["credentials"] = json!([{"header": "authorization"}]);
    document["policies"][0]["handshake"].as_object_mut().unwrap().remove("origins");
    let rig = Rig::start(&document, &service);
    let bearer =
        |token: &str| Request::upgrade("/ws").with("authorization", format!("Bearer {token}"));
    rig.opens(rig.http(), &bearer("opaque-1"));
    rig.opens(rig.stream(), &bearer("opaque-1"));
    rig.refuses(&bearer("inactive"), 401, "credentials_invalid");
    let asked = service.asked();
    assert!(asked[0].starts_with("POST /introspect HTTP/1.1\r\n"), "{}", asked[0]);
    assert!(asked[0].contains("authorization: Basic Y2xpZW50OnNlY3JldA=="), "{}", asked[0]);
    assert!(asked[0].ends_with("token=opaque-1&token_type_hint=access_token"), "{}", asked[0]);
    for secret in ["Y2xpZW50", "opaque-1"] {
        assert!(!rig.envoy.log().contains(secret), "{secret} in {}", rig.envoy.log());
    }
}

#[test]
fn a_user_only_gets_where_they_belong() {
    let service = Service::start(said);
    let rules = json!([
        {"from": {"query": "workspaceId"}, "claim": "workspaces"},
        {"from": {"path": "/rooms/{room}"},
         "callout": {"cluster": "auth", "path": "/members/{room}/{sub}", "cache": "30s",
                      "timeout": "30s"}},
    ]);
    let rig = Rig::start(&document(&json!({}), &rules), &service);
    for address in [rig.http(), rig.stream()] {
        rig.opens(address, &cookie("/rooms/blue?workspaceId=red", "good"));
    }
    for target in [
        "/rooms/blue",
        "/rooms/blue?workspaceId=yellow",
        "/rooms/blue?workspaceId=red&workspaceId=yellow",
        "/rooms/black?workspaceId=red",
        "/ws?workspaceId=red",
    ] {
        rig.refuses(&cookie(target, "good"), 403, "access_denied");
    }
    let event = rig.envoy.event("refused", Some("access_denied"));
    assert_eq!(event["user"], "alice");
}

/// And the application hears which one from us alone.
#[test]
fn a_user_only_gets_into_the_workspace_of_its_token() {
    let service = Service::start(said);
    let rules = json!([{"from": {"query": "workspaceId"}, "claim": "workspace"}]);
    let mut document = document(&json!({}), &rules);
    document["policies"][1]["auth"]["identity_headers"] =
        json!({"x-user-id": "sub", "x-workspace-id": "workspace"});
    let rig = Rig::start(&document, &service);
    let forged = |target: &str| {
        let request = cookie(target, "good").with("x-workspace-id", "yellow");
        request.with("x_workspace_id", "yellow").with("x-user-id", "mallory")
    };
    for address in [rig.http(), rig.stream()] {
        rig.opens(address, &forged("/ws?workspaceId=red"));
    }
    for seen in rig.upstream.seen() {
        assert!(seen.head.contains("x-workspace-id: red\r\n"), "{}", seen.head);
        assert!(seen.head.contains("x-user-id: alice\r\n"), "{}", seen.head);
        assert!(seen.head.contains("workspaceId=red"), "{}", seen.head);
        assert!(!seen.head.contains("yellow") && !seen.head.contains("mallory"), "{}", seen.head);
    }
    for target in ["/ws", "/ws?workspaceId=green", "/ws?workspaceId=yellow"] {
        rig.refuses(&forged(target), 403, "access_denied");
    }
}

#[test]
fn an_open_connection_ends_with_its_session() {
    let service = Service::start(said);
    let clock = WallClock::build();
    let document = document(&json!({}), &json!(null));
    let rig = Rig::start_with(&document, &service, |bootstrap| clock.start(bootstrap));
    let mut open: Vec<_> = [rig.http(), rig.stream()]
        .map(|address| Client::open(address, &cookie("/ws", "short")))
        .into();
    let mut stays = Client::open(rig.http(), &cookie("/ws", "good"));
    clock.set(3600);
    for client in &mut open {
        assert!(client.ends());
    }
    wait_for("both events", || {
        let events = rig.envoy.events();
        let ended = events.iter().filter(|event| event["reason"] == "credentials_expired");
        (ended.filter(|event| event["event"] == "refused").count() == 2).then_some(())
    });
    stays.send(&crate::client::text("still here"));
    wait_for("the message of the one that stays", || {
        let seen = rig.upstream.seen();
        let said = |seen: &crate::upstream::Seen| {
            crate::upstream::frames(&seen.bytes).iter().any(|(_, p)| p == b"still here")
        };
        seen.iter().any(said).then_some(())
    });
}
