//! What a service has to grant before a message goes on, and what it says of what
//! the first message asks for.

use super::service::{Hold, Reply, Service};
use super::{Client, Recorder, Request, Script, add_service, frames, json, text, wait_for};
use crate::client::frame;
use crate::first_message::{UNTIL_THE_END, client};
use crate::peers::Echo;
use crate::support::{Envoy, bootstrap};
use crate::upstream::Seen;
use crate::{TEST_API_KEY, support};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Joining a room asks the service.
fn document(credentials: &Value) -> Value {
    json!({"policies": [{
        "name": "chat",
        "auth": {
            "credentials": credentials,
            "api_keys": [{"id": "tests", "key": {"env": "TEST_API_KEY"}}],
            "authorize": [
                {"from": {"message": "/room", "when": {"/type": "join"}}, "callout": {
                    "cluster": "auth", "path": "/members/{room}/{sub}", "timeout": "30s",
                }},
                {"from": {"message": "/room", "when": {"/type": "join at once"}}, "callout": {
                    "cluster": "auth", "path": "/members/{room}/{sub}", "timeout": "1s",
                }},
                {"from": {"message": "/workspaceId", "when": {"/type": "auth"}}, "callout": {
                    "cluster": "auth", "path": "/workspaces/{workspaceId}/{sub}", "timeout": "30s",
                }},
            ],
            "other_messages": "pass",
        },
        "lifetime": {"push": true},
    }]})
}

fn start(credentials: &Value, upstream: std::net::SocketAddr, service: &Service) -> Envoy {
    let mut bootstrap = bootstrap(&document(credentials), upstream);
    add_service(&mut bootstrap, service);
    Envoy::start(&bootstrap)
}

fn by_header() -> Value {
    json!([{"header": "x-api-key"}])
}

fn open(envoy: &Envoy) -> Client {
    Client::open(envoy.address(), &Request::upgrade("/ws").with("x-api-key", TEST_API_KEY))
}

fn join(room: &str) -> String {
    json!({"type": "join", "room": room}).to_string()
}

/// Members of blue rooms may join them; some answers take their time.
fn members(asked: &str) -> Reply {
    let after = |ms| Duration::from_millis(ms);
    let room = asked.split(['/', ' ']).nth(3).unwrap_or_default();
    let known = asked.contains("/tests") || asked.contains("/key%3Atests");
    match room {
        _ if !known => Reply::new(500, ""),
        "blue" | "red" => Reply::new(200, "{}").after(after(300)),
        "never" => Reply::new(200, "{}").never(),
        "broken" => Reply::new(500, ""),
        _ => Reply::new(403, "").after(after(500)),
    }
}

/// What the connection brought so far: text messages, and how often a Ping or a
/// Close.
fn said(seen: &Seen) -> (Vec<String>, usize) {
    let (messages, others): (Vec<_>, Vec<_>) =
        frames(&seen.bytes).into_iter().partition(|(first, _)| *first == 0x81);
    let text = |(_, payload): (u8, Vec<u8>)| String::from_utf8(payload).unwrap();
    (messages.into_iter().map(text).collect(), others.len())
}

/// Answers the Ping that it is sent.
fn pong(client: &mut Client) {
    let ping = client.frame().unwrap();
    assert_eq!(ping.first, 0x89, "{ping:?}");
    client.send(&frame(0x8A, &ping.payload));
}

#[test]
fn a_message_waits_for_its_service_and_the_rest_behind_it() {
    let service = Service::start(members);
    let upstream = Recorder::start(Script::Accept(b"\x81\x04news".to_vec()));
    let envoy = start(&by_header(), upstream.address, &service);
    let mut client = open(&envoy);
    assert_eq!(client.frame().unwrap().payload, b"news");
    for round in 0..3 {
        client.send(&[text(&join("blue")), frame(0x89, b"p"), text("after")].concat());
        let before = wait_for("the client's Ping", || {
            let (messages, pings) = said(&upstream.seen()[0]);
            (pings == round + 1).then_some(messages)
        });
        assert_eq!(before.len(), 2 * round, "nothing of what waits");
        pong(&mut client);
        wait_for("what waited", || {
            let (messages, _) = said(&upstream.seen()[0]);
            let last = messages.get(2 * round..).unwrap_or_default();
            (last == [join("blue"), "after".to_owned()]).then_some(())
        });
    }
    let asked = service.asked();
    assert_eq!(asked.len(), 3, "each asks: there is no cache");
    assert!(asked[0].starts_with("GET /members/blue/key%3Atests HTTP/1.1\r\n"), "{}", asked[0]);
    assert!(!asked[0].contains(TEST_API_KEY));
    envoy.metric("wsguard_buffered_bytes{} 0");
}

#[test]
fn a_no_a_failure_and_silence_end_it_and_nothing_has_gone_up() {
    let service = Service::start(members);
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let envoy = start(&by_header(), upstream.address, &service);
    let join_at_once = json!({"type": "join at once", "room": "never"}).to_string();
    for (place, (room, code, reason)) in [
        (join("black"), 1008, "access_denied"),
        (join("broken"), 1013, "auth_unavailable"),
        (join_at_once, 1013, "auth_unavailable"),
        (join(".."), 1008, "access_denied"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = open(&envoy);
        client.send(&[text(&room), text("after")].concat());
        assert_eq!(client.frame().unwrap().close(), (code, reason.to_owned()), "{room}");
        client.send(&frame(0x88, &code.to_be_bytes()));
        assert_eq!(client.frame(), None);
        let seen = wait_for("upstream's end", || {
            upstream.seen().get(place).filter(|seen| seen.ended).cloned()
        });
        assert_eq!(said(&seen).0, Vec::<String>::new(), "{room}");
        let event = envoy.event("refused", Some(reason));
        assert_eq!((&event["user"], &event["direction"]), (&json!("key:tests"), &json!("client")));
    }
    assert!(envoy.log().contains("wsguard authorize callout: auth by cluster auth: the answer is"));
    envoy.metric("wsguard_buffered_bytes{} 0");
}

/// The answers find nobody, and hit nobody else.
#[test]
fn clients_that_leave_while_they_wait_leave_nothing_behind() {
    let hold = Hold::default();
    let service = Service::fixed(Reply::new(403, "").held(&hold));
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let envoy = start(&by_header(), upstream.address, &service);
    for _ in 0..20 {
        open(&envoy).send(&text(&join("black")));
    }
    let mut stay: Vec<_> = (0..20).map(|_| open(&envoy)).collect();
    wait_for("the questions", || (service.asked().len() == 20).then_some(()));
    envoy.counter("http.edge.downstream_cx_active", 20);
    hold.let_go();
    envoy.counter("cluster.auth.upstream_rq_completed", 20);
    for client in &mut stay {
        client.send(&text("still here"));
    }
    wait_for("their messages", || {
        let seen = upstream.seen();
        let good = seen.iter().skip(20).filter(|seen| said(seen).0 == ["still here"]).count();
        (good == 20).then_some(())
    });
    envoy.metric("wsguard_buffered_bytes{} 0");
}

#[test]
fn a_hundred_connections_are_no_flood_at_the_service_and_all_get_their_turn() {
    let (now, most) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let (count, highest) = (Arc::clone(&now), Arc::clone(&most));
    let service = Service::start(move |_| {
        let here = count.fetch_add(1, Ordering::SeqCst) + 1;
        highest.fetch_max(here, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(30));
        count.fetch_sub(1, Ordering::SeqCst);
        Reply::new(200, "")
    });
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let envoy = start(&by_header(), upstream.address, &service);
    let mut clients: Vec<_> = (0..100).map(|_| open(&envoy)).collect();
    for client in &mut clients {
        client.send(&text(&join("blue")));
    }
    // At once: who does not answer its Ping for long is given up.
    std::thread::scope(|scope| {
        clients.iter_mut().for_each(|client| drop(scope.spawn(|| pong(client))))
    });
    wait_for("all messages", || {
        let seen = upstream.seen();
        (seen.iter().filter(|seen| said(seen).0 == [join("blue")]).count() == 100).then_some(())
    });
    let most = most.load(Ordering::SeqCst);
    let allowed = usize::try_from(wsguard::auth::MAX_ASKED_PER_ADDRESS).unwrap();
    assert!(most <= allowed * usize::from(support::WORKERS), "{most}");
}

/// A Python client, which knows nothing of all this.
#[test]
fn what_the_first_message_asks_for_is_granted_before_anything_goes_on() {
    let service = Service::start(members);
    let echo = Echo::start();
    let first = json!({
        "pointer": "/token", "when": {"/type": "auth"}, "ack": r#"{"type":"ready"}"#,
    });
    let envoy = start(&json!([{"first_message": first}]), echo.address, &service);
    let port = envoy.address().port().to_string();
    let auth = |workspace: &str| {
        json!({"type": "auth", "token": TEST_API_KEY, "workspaceId": workspace}).to_string()
    };
    let saw = client(
        "first_message.py",
        &[&port, "5", "before", &join("blue"), &auth("red"), &join("red"), "after"],
    );
    let came = json!([r#"{"type":"ready"}"#, "before", join("blue"), join("red"), "after"]);
    assert_eq!((&saw["came"], &saw["code"]), (&came, &json!(1000)), "{saw}");
    assert_eq!(echo.ended()["messages"], 4);
    let asked: Vec<_> =
        service.asked().iter().map(|a| a.split(' ').nth(1).unwrap().to_owned()).collect();
    let expected = ["workspaces/red", "members/blue", "members/red"];
    assert_eq!(asked, expected.map(|path| format!("/{path}/key%3Atests")));

    for messages in [&[&auth("black"), "after"][..], &[&auth(".."), "after"]] {
        let saw = client("first_message.py", &[&[port.as_str(), UNTIL_THE_END], messages].concat());
        assert_eq!(
            (&saw["code"], &saw["reason"]),
            (&json!(1008), &json!("access_denied")),
            "{saw}"
        );
        assert_eq!((&saw["came"], echo.ended()["messages"].as_u64()), (&json!([]), Some(0)));
    }
}
