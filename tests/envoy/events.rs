//! What is told of connections: event lines, and filter state for access logs.

use super::client::{Client, Frame, Request, frame, text};
use super::clock::WallClock;
use super::examples;
use super::support::{Envoy, bootstrap, wait_for};
use super::upstream::{Recorder, Script};
use super::{TEST_API_KEY, TEST_SECRET};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// What every event line has.
const FIELDS: [&str; 18] = [
    "v",
    "ts",
    "event",
    "policy",
    "reason",
    "mode",
    "ip",
    "user",
    "credential",
    "path",
    "origin",
    "user_agent",
    "connection",
    "request_id",
    "direction",
    "rule",
    "offset",
    "detail",
];

/// What `closed` has besides.
const OF_CLOSED: [&str; 5] = ["messages", "bytes", "duration_ms", "code", "by"];

/// Holds that the event has the fields of every line and `more`, no others, and
/// these values, and that the README explains each field.
#[track_caller]
fn has_fields(event: &Value, more: &[&str], values: &[&Value]) {
    let expected: BTreeSet<_> = FIELDS.iter().chain(more).copied().collect();
    let seen: BTreeSet<_> = event.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(seen, expected, "{event}");
    let readme = include_str!("../../README.md");
    for field in expected {
        assert!(readme.contains(&format!("`{field}`")), "{field}");
    }
    for (name, value) in values.iter().flat_map(|values| values.as_object().unwrap()) {
        assert_eq!(&event[name], value, "{name} of {event}");
    }
    is_time(&event["ts"]);
}

/// RFC 3339, UTC, milliseconds.
#[track_caller]
fn is_time(value: &Value) {
    let text = value.as_str().unwrap();
    assert!(humantime::parse_rfc3339(text).is_ok() && text.len() == 24, "{text}");
}

/// One policy that takes an API key, from one origin, and texts without "bad".
fn document() -> Value {
    json!({"policies": [{
        "name": "chat",
        "match": {"paths": ["/ws"]},
        "handshake": {"origins": ["https://app.example.com"]},
        "auth": {
            "credentials": [{"header": "x-api-key"}],
            "api_keys": [{"id": "robot", "key": {"env": "TEST_API_KEY"}}],
        },
        "client": {"rules": [{"name": "no-bad", "pattern": "bad"}]},
    }]})
}

fn good() -> Request {
    Request::upgrade("/ws?q=1")
        .with("origin", "https://app.example.com")
        .with("user-agent", "test/1")
        .with("x-api-key", TEST_API_KEY)
}

/// What lines say of a client that came with [`good`].
fn of_good() -> Value {
    json!({
        "policy": "chat", "mode": "enforce", "ip": "127.0.0.1", "user": "key:robot",
        "credential": "api_key", "path": "/ws", "origin": "https://app.example.com",
        "user_agent": "test/1",
    })
}

#[test]
fn event_lines_have_the_fields_of_the_contract() {
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let envoy = Envoy::start(&bootstrap(&document(), upstream.address));
    let nothing = json!({"direction": null, "rule": null, "offset": null, "detail": null});

    let mut client = Client::open(envoy.address(), &good());
    let opened = envoy.event("opened", None);
    let of_opened = json!({"reason": null, "key_id": "robot"});
    has_fields(&opened, &["key_id", "authenticated_at"], &[&of_good(), &nothing, &of_opened]);
    is_time(&opened["authenticated_at"]);
    assert!(opened["connection"].as_str().unwrap().parse::<u64>().is_ok(), "{opened}");
    let head = upstream.seen()[0].head.to_lowercase();
    let request_id = opened["request_id"].as_str().unwrap();
    assert!(head.contains(&format!("x-request-id: {request_id}\r\n")), "{head}");
    let same = json!({"connection": opened["connection"], "request_id": request_id});

    client.send(&text("hello"));
    client.send(&text("a bad word"));
    assert_eq!(client.frame().unwrap().close(), (1008, "rule_matched".to_owned()));
    let (hello, bad) = (text("hello").len(), text("a bad word").len());
    let of_refused = json!({
        "direction": "client", "rule": "no-bad", "offset": hello,
        "detail": "the message matches a rule; 10 bytes were searched",
    });
    let refused = envoy.event("refused", Some("rule_matched"));
    has_fields(&refused, &[], &[&of_good(), &same, &of_refused]);

    // Of the server: its answer to our Close.
    let of_closed = json!({
        "messages": {"client": 1, "server": 0},
        "bytes": {"client": hello + bad, "server": 4}, "code": 1008,
    });
    let closed = envoy.event("closed", Some("rule_matched"));
    has_fields(&closed, &OF_CLOSED, &[&of_good(), &same, &nothing, &of_closed]);
    assert!(closed["duration_ms"].is_u64(), "{closed}");
}

#[test]
fn refusals_are_warnings_and_tell_what_was_wrong() {
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let mut document = document();
    document["policies"].as_array_mut().unwrap().insert(
        0,
        json!({
            "name": "watched", "mode": "report",
            "match": {"paths": ["/watched"]},
            "handshake": {"origins": ["https://app.example.com"]},
            "client": {"types": ["binary"]},
        }),
    );
    let envoy = Envoy::start(&bootstrap(&document, upstream.address));
    let evil = good().set("origin", "https://evil.example");
    let of_evil = json!({
        "user": null, "credential": null, "origin": "https://evil.example",
        "direction": "client", "rule": null, "offset": null,
        "detail": "pages of this origin may not connect here",
    });

    assert_eq!(Client::ask(envoy.address(), &evil).1.status, 403);
    let refused = envoy.event("refused", Some("origin_denied"));
    has_fields(&refused, &[], &[&json!({"policy": "chat", "mode": "enforce"}), &of_evil]);

    let watched = Request { line: "GET /watched HTTP/1.1".to_owned(), ..evil };
    let mut client = Client::open(envoy.address(), &watched);
    let of_watched = json!({"policy": "watched", "mode": "report"});
    let reported = envoy.event("reported", Some("origin_denied"));
    has_fields(&reported, &[], &[&of_watched, &of_evil]);
    client.send(&text("text"));
    let reported = envoy.event("reported", Some("type_denied"));
    let of_text = json!({"direction": "client", "offset": 0, "rule": null});
    has_fields(&reported, &[], &[&of_watched, &of_text]);

    assert_eq!(Client::ask(envoy.address(), &Request::upgrade("/else")).1.status, 403);
    let refused = envoy.event("refused", Some("no_policy"));
    has_fields(&refused, &[], &[&json!({"policy": null, "mode": "enforce", "path": "/else"})]);

    drop(client);
    envoy.event("closed", None);
    for line in envoy.log().lines().filter(|line| line.contains(": wsguard {")) {
        let quiet = line.contains(r#""event":"opened""#) || line.contains(r#""event":"closed""#);
        assert!(line.contains(if quiet { "][info][wasm]" } else { "][warning][wasm]" }), "{line}");
    }
}

fn close(code: u16) -> Vec<u8> {
    frame(0x88, &code.to_be_bytes())
}

/// Waits for the next connection's end.
fn next_closed(envoy: &Envoy, before: usize) -> Value {
    wait_for("a connection's end", || {
        envoy.events().into_iter().filter(|event| event["event"] == "closed").nth(before)
    })
}

#[test]
fn closed_tells_how_the_client_ended_it() {
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let envoy = Envoy::start(&bootstrap(&document(), upstream.address));
    for (before, (last, code)) in
        [(close(1000), json!(1000)), (frame(0x88, b""), json!(null)), (vec![], json!(null))]
            .into_iter()
            .enumerate()
    {
        let mut client = Client::open(envoy.address(), &good());
        client.send(&last);
        if !last.is_empty() {
            assert!(client.frame().is_some_and(|frame| frame.first == 0x88));
        }
        drop(client);
        let closed = next_closed(&envoy, before);
        let server = if last.is_empty() { 0 } else { last.len() - 4 };
        has_fields(
            &closed,
            &OF_CLOSED,
            &[
                &of_good(),
                &json!({
                    "reason": null, "code": code, "messages": {"client": 0, "server": 0},
                    "bytes": {"client": last.len(), "server": server},
                }),
            ],
        );
    }
}

#[test]
fn closed_tells_how_the_server_ended_it() {
    let sent = b"\x81\x02hi\x88\x02\x0f\xa1";
    let upstream = Recorder::start(Script::Accept(sent.to_vec()));
    let envoy = Envoy::start(&bootstrap(&document(), upstream.address));
    // The code that came first is told, also where the client answers with another.
    for (before, answer) in [close(4001), close(1000), vec![]].into_iter().enumerate() {
        let mut client = Client::open(envoy.address(), &good());
        assert_eq!(client.frame(), Some(Frame { first: 0x81, payload: b"hi".to_vec() }));
        assert_eq!(client.frame().unwrap().close(), (4001, String::new()));
        client.send(&answer);
        if !answer.is_empty() {
            while client.frame().is_some() {}
        }
        drop(client);
        let closed = next_closed(&envoy, before);
        has_fields(
            &closed,
            &OF_CLOSED,
            &[
                &of_good(),
                &json!({
                    "reason": null, "code": 4001, "messages": {"client": 0, "server": 1},
                }),
            ],
        );
        assert_eq!(closed["bytes"]["client"], answer.len(), "{closed}");
    }
}

#[test]
fn a_connection_that_lives_on_is_told_of() {
    let upstream = Recorder::start(Script::Accept(b"\x81\x02hi".to_vec()));
    let mut document = document();
    document["events"] = json!({"progress": "1s"});
    let envoy = Envoy::start(&bootstrap(&document, upstream.address));
    let mut client = Client::open(envoy.address(), &good());
    client.send(&text("hello"));
    let told = wait_for("two events of progress", || {
        let events = envoy.events().into_iter();
        let told: Vec<_> = events.filter(|event| event["event"] == "progress").collect();
        (told.len() >= 2).then_some(told)
    });
    for event in &told {
        let traffic = json!({"reason": null, "messages": {"client": 1, "server": 1}});
        has_fields(event, &OF_CLOSED[..3], &[&of_good(), &traffic]);
    }
    let open_for = |event: &Value| event["duration_ms"].as_u64().unwrap();
    assert!(open_for(&told[0]) >= 1000 && open_for(&told[1]) >= open_for(&told[0]) + 1000);
}

#[test]
fn access_logs_find_policy_reason_and_user() {
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let key = "0123456789abcdef0123456789abcdef";
    let text_ = examples::text("http.yaml", upstream.address);
    let envoy = Envoy::start_with(&text_, &[("DASHBOARD_KEY", key)]);
    let from = |path: &str, origin: &str| {
        Request::upgrade(path).with("origin", origin).with("x-api-key", key)
    };
    let page = "https://app.example.com";
    let mut client = Client::open(envoy.address(), &from("/rooms/good?q=CANARY", page));
    client.send(&close(1000));
    while client.frame().is_some() {}
    let mut client = Client::open(envoy.address(), &from("/rooms/script", page));
    client.send(&text("<script"));
    while client.frame().is_some() {}
    Client::ask(envoy.address(), &from("/rooms/evil", "https://evil.example"));
    Client::ask(envoy.address(), &from("/else", page));

    for (path, policy, reason, user, status) in [
        ("/rooms/good", json!("chat"), json!(null), json!("key:dashboard"), 101),
        ("/rooms/script", json!("chat"), json!("rule_matched"), json!("key:dashboard"), 101),
        ("/rooms/evil", json!("chat"), json!("origin_denied"), json!(null), 403),
        ("/else", json!(null), json!("no_policy"), json!(null), 403),
    ] {
        let line = wait_for(&format!("the access log's line of {path}"), || {
            let log = envoy.log();
            let mut lines = log.lines().filter_map(|line| line.parse::<Value>().ok());
            lines.find(|line| line["path"] == path)
        });
        assert_eq!(line["policy"], policy, "{line}");
        assert_eq!(line["reason"], reason, "{line}");
        assert_eq!(line["user"], user, "{line}");
        assert_eq!(line["status"], status, "{line}");
        assert_eq!(line["ip"], "127.0.0.1", "{line}");
    }
    assert!(!envoy.log().contains("CANARY"));
}

#[test]
fn a_second_has_at_most_a_hundred_lines_and_then_says_what_was_left_out() {
    const ALL: usize = 300;
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let clock = WallClock::build();
    let envoy = clock.start(&bootstrap(&document(), upstream.address));
    // All in one second, however long they take.
    let second = crate::credentials::now();
    clock.stop(i64::try_from(second).unwrap());
    // Requests that leave the connection open, and so are one worker's.
    let plain = Request::plain("/ws");
    let mut client = Client::connect(envoy.address());
    for _ in 0..ALL {
        client.send(&plain.bytes());
        assert_eq!(client.answer().status, 426);
    }
    clock.stop(0);
    let suppressed = envoy.event("suppressed", None);
    has_fields(
        &suppressed,
        &["suppressed"],
        &[&json!({
            "policy": "chat", "reason": null, "mode": "enforce", "ip": null, "user": null,
            "path": "", "origin": null, "connection": null, "request_id": null,
        })],
    );
    assert_eq!(suppressed["suppressed"], ALL - 100, "{suppressed}");
    let events = envoy.events();
    let lines: Vec<_> = events.iter().filter(|event| event["event"] == "refused").collect();
    let at = humantime::format_rfc3339_millis(std::time::UNIX_EPOCH + Duration::from_secs(second));
    assert!(lines.iter().all(|line| line["ts"] == at.to_string()), "{lines:?}");
    assert_eq!(lines.len(), 100);
}

#[test]
fn no_line_holds_a_payload_a_credential_or_a_query() {
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let document = json!({"policies": [{
        "name": "chat",
        "handshake": {"origins": ["https://app.example.com"]},
        "auth": {
            "credentials": [
                {"header": "authorization"}, {"header": "x-api-key"}, {"query": "token"},
                {"cookie": "session"}, {"subprotocol": "bearer"},
            ],
            "api_keys": [{"id": "robot", "key": {"env": "TEST_API_KEY"}}],
            "jwt": [{"issuer": "https://issuer.example.com", "algorithms": ["HS256"],
                     "keys": {"secret": {"env": "TEST_SECRET"}}}],
        },
        "client": {"rules": [{"name": "no-bad", "pattern": "CANARY-(bad|worse)"}]},
    }]});
    let envoy = Envoy::start(&bootstrap(&document, upstream.address));
    let page = |path: &str| Request::upgrade(path).with("origin", "https://app.example.com");
    for request in [
        page("/ws").with("authorization", "Bearer CANARY.CANARY.CANARY"),
        page("/ws").with("authorization", "Basic CANARY"),
        page("/ws").with("x-api-key", "CANARY"),
        page("/ws?token=CANARY"),
        page("/ws?CANARY=1").with("cookie", "session=CANARY; other=CANARY"),
        page("/ws").with("sec-websocket-protocol", "bearer, CANARY"),
    ] {
        assert_eq!(Client::ask(envoy.address(), &request).1.status, 401, "{request:?}");
    }
    let request = page("/ws?CANARY").with("x-api-key", TEST_API_KEY);
    for messages in [
        vec![text("CANARY-bad")],
        vec![frame(0x01, b"CANARY-w"), frame(0x80, b"orse")],
        vec![frame(0x81, b"CANARY\xff")],
        vec![frame(0xF1, b"CANARY")],
        vec![frame(0x88, b"\x03\xe8CANARY\xff")],
        vec![frame(0x88, b"\x03\xe8CANARY")],
    ] {
        let mut client = Client::open(envoy.address(), &request);
        client.send(&messages.concat());
        while client.frame().is_some() {}
    }
    wait_for("every connection's end", || {
        let events = envoy.events();
        (events.iter().filter(|event| event["event"] == "closed").count() == 6).then_some(())
    });
    assert_eq!(envoy.events().len(), 6 + 6 + 6 + 5, "{}", envoy.log());
    for never in ["CANARY", TEST_API_KEY, TEST_SECRET] {
        assert!(!envoy.log().contains(never), "{never} in\n{}", envoy.log());
    }
}
