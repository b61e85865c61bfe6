//! Handshakes that upstream does not answer: they hold their places for as long as the
//! policy says, whatever Envoy's route says.

use super::rig::{admitted, arrival, events, hand, headers, switching, worker};
use serde_json::{Value, json};
use std::rc::Rc;
use std::time::Duration;
use wsguard::frame::Sender;
use wsguard::guard::Guard;
use wsguard::host::CallAnswer;
use wsguard::host::memory::MemoryHost;
use wsguard::reason::Reason;
use wsguard::session::{Admission, Forwarded, Opening, Session, admit};

const SECOND: Duration = Duration::from_secs(1);

fn document(handshake: &Value) -> Value {
    json!({"policies": [{
        "name": "chat", "handshake": handshake, "quotas": {"connections": {"total": 1}},
    }]})
}

/// A handshake that has gone to upstream.
fn sent(document: &Value) -> (Rc<MemoryHost>, Rc<Guard>, Session) {
    let (host, guard) = worker(document);
    let session = admitted(&guard, &arrival(&[]));
    (host, guard, session)
}

/// Lets time pass with a tick every 500 ms; what the last one says, and that none before
/// said anything.
fn pass(host: &MemoryHost, session: &mut Session, time: Duration) -> (bool, Option<Reason>) {
    let ticks = time.as_millis() / 500;
    for tick in 1..=ticks {
        host.advance(Duration::from_millis(500));
        let outcome = session.on_tick();
        assert_eq!(outcome.forwarded, Forwarded::Unchanged);
        if tick == ticks {
            return (outcome.reset, outcome.refused);
        }
        assert_eq!((outcome.reset, outcome.refused), (false, None));
    }
    (false, None)
}

const GOES_ON: (bool, Option<Reason>) = (false, None);
const REFUSED: (bool, Option<Reason>) = (true, Some(Reason::UpstreamHandshake));

fn handshakes(host: &MemoryHost, result: &str) -> i64 {
    let metrics = host.metrics();
    let counts = metrics.iter().filter(|m| m.name.starts_with("wsguard_handshakes_total"));
    counts.filter(|m| m.name.contains(result)).map(|metric| metric.value).sum()
}

#[test]
fn a_handshake_without_an_answer_is_refused_in_upstreams_place() {
    for (handshake, seconds) in [(json!({}), 15), (json!({"upstream_timeout": "3s"}), 3)] {
        let (host, guard, mut session) = sent(&document(&handshake));
        assert_eq!(pass(&host, &mut session, SECOND * (seconds - 1)), GOES_ON);
        let again = admit(&guard, &arrival(&[])).reason;
        assert_eq!(again, Some(Reason::ConnectionsTotal), "its place is taken");
        events(&host);
        assert_eq!(pass(&host, &mut session, SECOND), REFUSED);
        let refusal = session.take_refusal().unwrap();
        assert_eq!((refusal.status, refusal.reason), (502, Reason::UpstreamHandshake));
        let body: Value = serde_json::from_slice(&refusal.body).unwrap();
        let detail = format!("upstream did not answer the upgrade within {seconds}s");
        assert_eq!(body["detail"], json!(detail));
        let [event] = events(&host).try_into().unwrap();
        assert_eq!(
            (&event["event"], &event["reason"], &event["direction"], &event["detail"]),
            (&json!("refused"), &json!("upstream_handshake"), &json!("server"), &json!(detail))
        );
        // It is over: nothing more is said, and nothing goes on.
        assert_eq!(pass(&host, &mut session, SECOND * 60), GOES_ON);
        assert_eq!(hand(&mut session, Sender::Client, b"bytes").bytes, b"");
        let late = session.on_response(101, &switching(&[]));
        assert!(matches!(late, Opening::Refused(_)), "{late:?}");
        session.on_end();
        drop(session);
        assert_eq!(admit(&guard, &arrival(&[])).reason, None, "it is given back");
        assert!(events(&host).is_empty());
        assert_eq!(handshakes(&host, "upstream_handshake"), 1);
        assert_eq!(handshakes(&host, "abandoned"), 0);
    }
}

#[test]
fn a_browser_is_told_by_a_close() {
    let handshake = json!({"upstream_timeout": "1s", "refuse_with": "close"});
    let (host, _, mut session) = sent(&document(&handshake));
    assert_eq!(pass(&host, &mut session, SECOND), REFUSED);
    let refusal = session.take_refusal().unwrap();
    assert_eq!(refusal.status, 101);
    assert_eq!(refusal.body, [b"\x88\x14\x03\xf3", &b"upstream_handshake"[..]].concat());
}

#[test]
fn an_answer_in_time_is_an_answer() {
    for status in [101, 302, 404, 504] {
        let (host, _, mut session) = sent(&document(&json!({})));
        assert_eq!(pass(&host, &mut session, SECOND * 14), GOES_ON);
        let lines = if status == 101 { switching(&[]) } else { headers(&[]) };
        let opening = session.on_response(status, &lines);
        assert_eq!(matches!(opening, Opening::Open(_)), status == 101, "{opening:?}");
        assert_eq!(pass(&host, &mut session, SECOND * 60), GOES_ON);
        assert!(session.take_refusal().is_none());
        assert_eq!(handshakes(&host, "upstream_handshake"), 0);
    }
}

/// A callout that takes long does not use up upstream's time.
#[test]
fn the_time_counts_from_when_the_request_goes_to_upstream() {
    let mut document = document(&json!({"upstream_timeout": "2s"}));
    document["policies"][0]["auth"] = json!({
        "credentials": [{"header": "authorization"}],
        "session": {"cluster": "auth", "host": "h", "path": "/", "send": "bearer",
                    "subject": "/sub", "timeout": "30s"},
    });
    let (host, guard) = worker(&document);
    let arrival = arrival(&[("authorization", "Bearer t")]);
    let Admission::Waiting(mut pending) = admit(&guard, &arrival).admission else { panic!() };
    host.advance(SECOND * 20);
    assert!(pending.advance().is_none());
    let (id, _) = host.take_calls().pop().unwrap();
    let body = br#"{"sub":"bob"}"#.to_vec();
    pending.on_answer(id, &CallAnswer::Whole { status: 200, body });
    let admitted = pending.advance().unwrap();
    let Admission::Guarded(mut session, _) = admitted.admission else { panic!() };
    assert_eq!(pass(&host, &mut session, Duration::from_millis(1500)), GOES_ON);
    assert_eq!(pass(&host, &mut session, Duration::from_millis(500)), REFUSED);
}

#[test]
fn report_tells_once_and_lets_a_late_answer_open() {
    let mut document = document(&json!({"upstream_timeout": "2s"}));
    document["mode"] = json!("report");
    let (host, guard, mut session) = sent(&document);
    let told = pass(&host, &mut session, SECOND * 2);
    assert_eq!(told, (false, Some(Reason::UpstreamHandshake)));
    let [event] = events(&host).try_into().unwrap();
    assert_eq!(
        (&event["event"], &event["reason"]),
        (&json!("reported"), &json!("upstream_handshake"))
    );
    assert_eq!(pass(&host, &mut session, SECOND * 60), GOES_ON);
    assert!(session.take_refusal().is_none());
    assert!(matches!(session.on_response(101, &switching(&[])), Opening::Open(_)));
    assert_eq!(events(&host)[0]["event"], "opened");
    let message = super::rig::text("hello");
    assert_eq!(hand(&mut session, Sender::Client, &message).bytes, message);
    drop(session);
    guard.on_tick();
    assert_eq!((handshakes(&host, "reported"), handshakes(&host, "accepted")), (1, 0));
}

#[test]
fn a_wall_clock_that_jumps_refuses_nothing() {
    let (host, _, mut session) = sent(&document(&json!({})));
    for at in [1u64 << 40, 1] {
        host.set(wsguard::host::Timestamp::from_unix(Duration::from_secs(at)));
        assert_eq!(pass(&host, &mut session, SECOND), GOES_ON);
    }
}
