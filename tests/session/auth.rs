//! Credentials that services answer for, by a clock and services that the tests
//! play: sessions, authorization, and what handshakes that wait hold.

use crate::rig::{BEGIN, arrival, events, switching};
use serde_json::{Value, json};
use std::rc::Rc;
use std::time::Duration;
use wsguard::config::Config;
use wsguard::guard::Guard;
use wsguard::host::memory::MemoryHost;
use wsguard::host::{Call, CallAnswer, CallId, Clock, Timestamp};
use wsguard::reason::Reason;
use wsguard::session::{Admission, Admitted, Arrival, Opening, PendingAdmission, Session, admit};

mod authorize;
mod expiry;
mod messages;
mod waiting;
mod ways;

struct Worker {
    host: Rc<MemoryHost>,
    guard: Rc<Guard>,
}

/// What the session service says of alice.
fn alice() -> Value {
    json!({
        "user": {"id": "alice"}, "session": {"expiresAt": "2026-11-22T10:10:00.000Z"},
        "workspaces": ["red", "green"], "team": "blue", "scope": "chat rooms:read", "number": 7,
        "admin": true,
    })
}

fn yes() -> CallAnswer {
    answer(200, &alice().to_string())
}

fn answer(status: u16, body: &str) -> CallAnswer {
    CallAnswer::Whole { status, body: body.as_bytes().to_vec() }
}

impl Worker {
    /// One policy with this `auth` over a session service's.
    fn new(over: &Value) -> Self {
        let mut policy = json!({"name": "chat", "lifetime": {"idle": "24h"}, "auth": {
            "credentials": [{"header": "x-session"}],
            "session": {
                "cluster": "auth", "host": "auth.example.com", "path": "/session",
                "send": "bearer", "subject": "/user/id", "active": "/active",
                "expires": "/session/expiresAt",
            },
        }});
        for (key, value) in over.as_object().unwrap() {
            match value {
                Value::Object(members) => {
                    let of_policy =
                        ["handshake", "lifetime", "client", "quotas"].contains(&key.as_str());
                    let under = if of_policy { &mut policy } else { &mut policy["auth"] };
                    for (member, value) in members {
                        under[key][member] = value.clone();
                    }
                }
                _ if key == "mode" => policy["mode"] = value.clone(),
                _ => policy["auth"][key] = value.clone(),
            }
        }
        let document = json!({
            "policies": [policy], "limits": {"buffered_per_worker": "64KiB"},
        });
        let host = Rc::new(MemoryHost::at(Timestamp::from_unix(BEGIN)));
        let config = Config::parse(&document.to_string(), &|_| Some("Basic YTpi".to_owned()));
        let config = config.unwrap_or_else(|errors| panic!("{errors}"));
        let guard = Guard::new(config, Rc::<MemoryHost>::clone(&host));
        Self { host, guard }
    }

    fn call(&self) -> (CallId, Call) {
        let mut calls = self.host.take_calls();
        assert_eq!(calls.len(), 1, "{calls:?}");
        calls.remove(0)
    }

    fn arrives(&self, arrival: &Arrival) -> Admitted {
        admit(&self.guard, arrival)
    }

    /// It waits; what it asks.
    fn waits(&self, arrival: &Arrival) -> (Box<PendingAdmission>, CallId, Call) {
        let Admission::Waiting(mut pending) = self.arrives(arrival).admission else {
            panic!("it does not wait");
        };
        assert!(pending.advance().is_none());
        let (id, call) = self.call();
        (pending, id, call)
    }

    /// The session service's answer decides.
    fn decided(&self, arrival: &Arrival, answer: &CallAnswer) -> Admitted {
        let (mut pending, id, _) = self.waits(arrival);
        assert!(!pending.on_answer(CallId(id.0 + 99), &yes()));
        assert!(pending.advance().is_none(), "somebody else's answer");
        assert!(pending.on_answer(id, answer), "its own");
        pending.advance().expect("it is decided")
    }
}

fn with(credential: &str) -> Arrival {
    arrival(&[("x-session", credential)])
}

fn at(target: &str) -> Arrival {
    let mut arrival = with("opaque");
    arrival.head.target = target.as_bytes().to_vec();
    arrival
}

fn session(admitted: Admitted) -> Session {
    match admitted.admission {
        Admission::Guarded(session, _) => *session,
        other => panic!("{other:?}"),
    }
}

/// Why it was refused.
fn refusal(admitted: Admitted) -> (Reason, u16) {
    match admitted.admission {
        Admission::Refused(refusal) => (refusal.reason, refusal.status),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_session_names_its_user_and_the_question_is_what_was_configured() {
    let worker = Worker::new(&json!({}));
    let (mut pending, id, call) = worker.waits(&with("opaque"));
    assert_eq!((call.cluster.as_str(), call.method), ("auth", "GET"));
    assert_eq!((call.authority.as_str(), call.path.as_str()), ("auth.example.com", "/session"));
    assert!(call.headers.contains(&("authorization", "Bearer opaque".to_owned())));
    pending.on_answer(id, &yes());
    let mut session = session(pending.advance().unwrap());
    assert_eq!(session.user(), Some("alice"));
    assert!(matches!(session.on_response(101, &switching(&[])), Opening::Open(_)));
    let opened = events(&worker.host).remove(0);
    assert_eq!((&opened["event"], &opened["credential"]), (&json!("opened"), &json!("session")));
    assert_eq!(opened["key_id"].as_str().map(str::len), Some(8), "no credential in any log");
    assert!(!opened.to_string().contains("opaque"));
}

#[test]
fn a_yes_is_a_200_with_an_object_that_names_somebody() {
    let object = |change: Value| {
        let mut whole = alice();
        for (key, value) in change.as_object().unwrap() {
            whole[key] = value.clone();
        }
        answer(200, &whole.to_string())
    };
    let invalid = (Reason::CredentialsInvalid, 401);
    let unavailable = (Reason::AuthUnavailable, 503);
    for (answer, expected) in [
        (answer(401, ""), invalid),
        (answer(403, "{}"), invalid),
        (answer(200, "null"), invalid),
        (answer(200, "false"), invalid),
        (answer(200, "[]"), invalid),
        (answer(200, "{}"), invalid),
        (object(json!({"active": false})), invalid),
        (object(json!({"user": {"id": ""}})), invalid),
        (object(json!({"user": {"id": null}})), invalid),
        (object(json!({"user": {"id": ["a"]}})), invalid),
        (object(json!({"user": {"id": "a\r\nx: y"}})), invalid),
        (object(json!({"user": null})), invalid),
        (
            object(json!({"session": {"expiresAt": "2026-11-22T10:00:00Z"}})),
            (Reason::CredentialsExpired, 401),
        ),
        (
            object(json!({"session": {"expiresAt": 1_795_341_600}})),
            (Reason::CredentialsExpired, 401),
        ),
        (
            object(json!({"session": {"expiresAt": "2026-11-22T11:00:00+01:00"}})),
            (Reason::CredentialsExpired, 401),
        ),
        (object(json!({"session": {"expiresAt": "soon"}})), unavailable),
        (object(json!({"session": {"expiresAt": true}})), unavailable),
        (answer(200, "<html>"), unavailable),
        (answer(200, ""), unavailable),
        (answer(200, r#"{"user":{"id":"a"},"user":{"id":"b"}}"#), unavailable),
        (answer(204, ""), unavailable),
        (answer(302, ""), unavailable),
        (answer(404, ""), unavailable),
        (answer(500, &alice().to_string()), unavailable),
        (answer(503, ""), unavailable),
        (answer(504, ""), unavailable),
        (CallAnswer::TooLong, unavailable),
        (CallAnswer::Reset, unavailable),
    ] {
        let worker = Worker::new(&json!({}));
        let told = refusal(worker.decided(&with("opaque"), &answer));
        let shown = match &answer {
            CallAnswer::Whole { body, .. } => String::from_utf8_lossy(body).into_owned(),
            other => format!("{other:?}"),
        };
        assert_eq!(told, expected, "{shown}");
    }
    for good in [
        json!({"active": true}),
        json!({"active": null}),
        json!({"user": {"id": 42}}),
        json!({"session": {}}),
        json!({"session": {"expiresAt": null}}),
        json!({"session": {"expiresAt": 1_795_341_700}}),
        json!({"session": {"expiresAt": "2026-11-22T11:00:01+01:00"}}),
        json!({"session": {"expiresAt": 1_795_341_700_000_u64}}),
    ] {
        session(Worker::new(&json!({})).decided(&with("opaque"), &object(good)));
    }
}

#[test]
fn introspection_sends_a_form_with_our_own_credential() {
    let worker = Worker::new(&json!({"session": {
        "send": "form", "subject": "/sub", "active": "/active", "expires": "/exp",
        "authorization": {"env": "INTROSPECTION"},
    }}));
    let (mut pending, id, call) = worker.waits(&with("a+b/c=&d"));
    assert_eq!(call.method, "POST");
    let body = String::from_utf8(call.body.clone()).unwrap();
    assert_eq!(body, "token=a%2Bb%2Fc%3D%26d&token_type_hint=access_token");
    assert!(call.headers.contains(&("authorization", "Basic YTpi".to_owned())));
    assert!(!format!("{call:?}").contains("YTpi"), "no secret in what is shown");
    let active = json!({"active": true, "sub": "alice", "exp": 1_795_341_700}).to_string();
    pending.on_answer(id, &answer(200, &active));
    assert_eq!(session(pending.advance().unwrap()).user(), Some("alice"));
    let inactive = refusal(worker.decided(&with("other"), &answer(200, r#"{"active":false}"#)));
    assert_eq!(inactive, (Reason::CredentialsInvalid, 401));
    // Our own credential may be meant, which the operator has to know.
    worker.host.take_lines();
    worker.host.advance(Duration::from_secs(2));
    let doubtful = refusal(worker.decided(&with("more"), &answer(401, "")));
    assert_eq!(doubtful, (Reason::CredentialsInvalid, 401));
    let lines = worker.host.take_lines();
    assert!(lines.iter().any(|(_, line)| line.ends_with("the answer is 401")), "{lines:?}");
}

#[test]
fn answers_are_kept_for_as_long_as_configured_and_no_longer_than_the_session() {
    let worker = Worker::new(&json!({"session": {"cache": "1h"}}));
    session(worker.decided(&with("opaque"), &yes()));
    session(worker.arrives(&with("opaque")));
    assert!(worker.host.take_calls().is_empty(), "it is known");
    worker.waits(&with("another"));
    worker.host.advance(Duration::from_secs(600));
    worker.waits(&with("opaque"));
    // A no is kept, too, and forgotten soon; trouble is not.
    refusal(worker.decided(&with("wrong"), &answer(401, "")));
    assert_eq!(refusal(worker.arrives(&with("wrong"))).0, Reason::CredentialsInvalid);
    assert!(worker.host.take_calls().is_empty());
    worker.host.advance(Duration::from_secs(10));
    worker.waits(&with("wrong"));
    refusal(worker.decided(&with("trouble"), &answer(500, "")));
    worker.waits(&with("trouble"));
}

#[test]
fn without_a_cache_every_handshake_asks() {
    let worker = Worker::new(&json!({}));
    for _ in 0..3 {
        session(worker.decided(&with("opaque"), &yes()));
    }
}

#[test]
fn an_answer_that_does_not_come_is_not_waited_for() {
    let worker = Worker::new(&json!({"session": {"timeout": "500ms"}}));
    let (mut pending, id, _) = worker.waits(&with("opaque"));
    worker.host.advance(Duration::from_millis(1_400));
    assert!(pending.advance().is_none());
    worker.host.advance(Duration::from_millis(100));
    assert_eq!(refusal(pending.advance().unwrap()), (Reason::AuthUnavailable, 503));
    pending.on_answer(id, &yes());
    worker.host.set_unreachable(true);
    let told = refusal(worker.arrives(&with("opaque")));
    assert_eq!(told, (Reason::AuthUnavailable, 503), "no such cluster");
}

#[test]
fn random_credentials_are_no_flood_at_the_service() {
    let worker = Worker::new(&json!({}));
    let waiting: Vec<_> =
        (0..32).map(|place| worker.waits(&with(&format!("guess-{place}")))).collect();
    assert_eq!(refusal(worker.arrives(&with("one-more"))), (Reason::AuthUnavailable, 503));
    assert!(worker.host.take_calls().is_empty());
    let mut elsewhere = with("one-more");
    elsewhere.head.source = Some([198, 51, 100, 1].into());
    worker.waits(&elsewhere);
    // Who has gone is asked about all the same, until no answer can come any more.
    drop(waiting);
    assert_eq!(refusal(worker.arrives(&with("one-more"))), (Reason::AuthUnavailable, 503));
    worker.host.advance(Duration::from_secs(3));
    worker.waits(&with("one-more"));
}

#[test]
fn what_waits_counts_as_held_and_nothing_of_it_is_left() {
    let worker = Worker::new(&json!({}));
    let held = || {
        worker.guard.on_tick();
        worker.host.metric("wsguard_buffered_bytes")
    };
    let (pending, ..) = worker.waits(&with(&"x".repeat(10_000)));
    assert!(held() > 10_000);
    pending.on_end();
    drop(pending);
    assert_eq!(held(), 0);
    let abandoned = r#"wsguard_handshakes_total{policy="chat",result="abandoned"}"#;
    assert_eq!(worker.host.metric(abandoned), 1, "{:?}", worker.host.metrics());
    let (_first, ..) =
        worker.waits(&arrival(&[("x-session", "a"), ("x-pad", &"x".repeat(40_000))]));
    let over = arrival(&[("x-session", "b"), ("x-pad", &"x".repeat(40_000))]);
    assert_eq!(refusal(worker.arrives(&over)), (Reason::Overloaded, 503));
}

#[test]
fn a_credential_that_cannot_stand_in_a_header_is_not_sent() {
    let worker = Worker::new(&json!({}));
    for odd in ["a b", "ä", "a\tb"] {
        assert_eq!(refusal(worker.arrives(&with(odd))).0, Reason::CredentialsInvalid, "{odd}");
    }
    assert!(worker.host.take_calls().is_empty());
}

#[test]
fn in_report_it_waits_and_is_let_through() {
    let worker = Worker::new(&json!({"mode": "report"}));
    let admitted = worker.decided(&with("opaque"), &answer(401, ""));
    assert_eq!(admitted.reason, Some(Reason::CredentialsInvalid));
    session(admitted);
    assert_eq!(events(&worker.host)[0]["event"], "reported");
}

#[test]
fn access_logs_of_a_refused_handshake_get_no_credential() {
    let worker = Worker::new(&json!({"credentials": [{"query": "token"}]}));
    let refused = |target: &str| {
        let admitted = worker.decided(&at(target), &answer(403, ""));
        admitted.target.map(|target| String::from_utf8(target).unwrap())
    };
    assert_eq!(refused("/ws?a=1&token=secret&b").as_deref(), Some("/ws?a=1&b"));
    assert_eq!(refused("/ws?%74oken=secret").as_deref(), Some("/ws"));
    let twice = worker.arrives(&at("/ws?token=one&token=two"));
    assert_eq!(
        (twice.reason, twice.target),
        (Some(Reason::CredentialsInvalid), Some(b"/ws".to_vec()))
    );
    assert_eq!(worker.arrives(&at("/ws?a=1")).target, None, "there is none");
    // The client may leave while it waits.
    let waiting = worker.arrives(&at("/ws?a=1&token=secret"));
    assert!(matches!(waiting.admission, Admission::Waiting(_)));
    assert_eq!(waiting.target, Some(b"/ws?a=1".to_vec()));
    // No policy can be found for it.
    let ambiguous = worker.arrives(&at("/a%2fb?token=secret&b"));
    assert_eq!(ambiguous.target, Some(b"/a%2fb?b".to_vec()));
}

#[test]
fn what_goes_on_after_waiting_is_what_goes_on_at_once() {
    for (over, target) in [
        (json!({}), Some("/ws?a=1")),
        (json!({"forward": true}), None),
        (json!({"mode": "report"}), None),
    ] {
        let mut over = over;
        over["credentials"] = json!([{"query": "token"}]);
        let worker = Worker::new(&over);
        let held = worker.arrives(&at("/ws?a=1&token=secret"));
        assert_eq!(held.target.is_some(), target.is_some(), "{over}");
        let Admission::Waiting(mut pending) = held.admission else { panic!("it does not wait") };
        let (id, _) = worker.call();
        pending.on_answer(id, &yes());
        let Admission::Guarded(_, edits) = pending.advance().unwrap().admission else {
            panic!("it is not let in")
        };
        let set = edits.set.iter().find(|(name, _)| name == ":path");
        assert_eq!(set.map(|(_, value)| value.as_slice()), target.map(str::as_bytes), "{over}");
    }
}
