//! Connection quotas as a session keeps them: taken last, held while it lives,
//! and given back whatever way it ends.

use crate::rig::{admitted, arrival, events, hand, headers, opened, text};
use serde_json::{Value, json};
use std::rc::Rc;
use wsguard::config::Config;
use wsguard::frame::Sender;
use wsguard::guard::Guard;
use wsguard::host::Timestamp;
use wsguard::host::memory::MemoryHost;
use wsguard::quota::{Quotas, Salt};
use wsguard::reason::Reason;
use wsguard::session::{Admission, Arrival, Session, admit};

const GAUGE: &str = r#"wsguard_connections{policy="chat"}"#;

/// A worker, and its part in the table.
struct Worker {
    host: Rc<MemoryHost>,
    quotas: Rc<Quotas>,
    guard: Rc<Guard>,
}

impl Worker {
    fn new(document: &Value) -> Self {
        Self::of(Rc::new(MemoryHost::at(Timestamp::from_unix(super::rig::BEGIN))), document)
    }

    fn of(host: Rc<MemoryHost>, document: &Value) -> Self {
        let quotas = Quotas::open(Rc::<MemoryHost>::clone(&host), Salt([5; 16]));
        let guard = Self::guard(&host, &quotas, document);
        Self { host, quotas, guard }
    }

    fn guard(host: &Rc<MemoryHost>, quotas: &Rc<Quotas>, document: &Value) -> Rc<Guard> {
        let config = Config::parse(&document.to_string(), &|name| {
            (name == "KEY").then(|| "0123456789abcdef0123456789abcdef".to_owned())
        });
        let host = Rc::<MemoryHost>::clone(host);
        Guard::with_quotas(config.unwrap(), host, Rc::clone(quotas))
    }

    fn refusal(&self, arrival: &Arrival) -> (Reason, u16, String) {
        match admit(&self.guard, arrival).admission {
            Admission::Refused(refusal) => {
                (refusal.reason, refusal.status, String::from_utf8(refusal.body).unwrap())
            }
            other => panic!("not refused: {other:?}"),
        }
    }

    /// What the gauge says after the next tick.
    fn open(&self) -> i64 {
        self.host.advance(std::time::Duration::from_millis(500));
        self.quotas.on_tick();
        self.guard.on_tick();
        self.host.metric(GAUGE)
    }
}

fn limited(connections: Value) -> Value {
    json!({"policies": [{"name": "chat", "quotas": {"connections": connections}}]})
}

#[test]
fn one_too_many_is_told_what_the_limit_is() {
    let worker = Worker::new(&limited(json!({"per_ip": 1})));
    let first = opened(&worker.guard);
    worker.host.take_lines();
    let (reason, status, body) = worker.refusal(&arrival(&[]));
    assert_eq!((reason, status), (Reason::ConnectionsPerIp, 429));
    assert!(body.contains("this address has the 1 connections open that it may have here"));
    let events = events(&worker.host);
    assert_eq!(events[0]["event"], "refused");
    assert_eq!(events[0]["reason"], "connections_per_ip");
    let mut other = arrival(&[]);
    other.head.source = Some([192, 0, 2, 8].into());
    drop(admitted(&worker.guard, &other));
    drop(first);
}

#[test]
fn every_way_to_end_gives_the_place_back() {
    type End = fn(Session);
    let endings: [(&str, End); 7] = [
        ("without a word", drop),
        ("by its end", |mut session| session.on_end()),
        ("by an end that is told twice", |mut session| {
            session.on_end();
            session.on_end();
        }),
        ("before upstream has answered, by bytes too early", |mut session| {
            assert!(hand(&mut session, Sender::Client, b"x").reset);
            session.on_end();
        }),
        ("by upstream's refusal", |mut session| {
            session.on_response(503, &headers(&[]));
            session.on_end();
        }),
        ("by an answer that is none", |mut session| {
            session.on_response(101, &headers(&[]));
            session.on_end();
        }),
        ("by a violation", |mut session| {
            session.on_response(101, &super::rig::switching(&[]));
            hand(&mut session, Sender::Client, b"\xff\xff");
            session.on_end();
        }),
    ];
    let quotas = json!({"per_ip": 2, "total": 2});
    let document = json!({
        "quotas": {"connections": quotas},
        "policies": [{"name": "chat", "quotas": {"connections": quotas}}],
    });
    let worker = Worker::new(&document);
    for (name, end) in endings {
        let (one, other) =
            (admitted(&worker.guard, &arrival(&[])), admitted(&worker.guard, &arrival(&[])));
        assert_eq!(worker.refusal(&arrival(&[])).0, Reason::ConnectionsPerIp, "{name}");
        assert_eq!(worker.open(), 2, "{name}");
        end(one);
        assert_eq!(worker.open(), 1, "{name}");
        end(other);
        assert_eq!(worker.open(), 0, "{name}");
    }
}

#[test]
fn quotas_are_taken_last() {
    let mut document = limited(json!({"per_ip": 1, "per_user": 1, "total": 1}));
    document["policies"][0]["auth"] = json!({
        "credentials": [{"header": "x-api-key"}],
        "api_keys": [{"id": "robot", "key": {"env": "KEY"}}],
    });
    let worker = Worker::new(&document);
    assert_eq!(worker.refusal(&arrival(&[("x-api-key", "wrong")])).0, Reason::CredentialsInvalid);
    assert_eq!(worker.open(), 0);
    let good = arrival(&[("x-api-key", "0123456789abcdef0123456789abcdef")]);
    let held = admitted(&worker.guard, &good);
    assert_eq!(worker.refusal(&arrival(&[])).0, Reason::CredentialsMissing);
    worker.host.take_lines();
    let mut elsewhere = good.clone();
    elsewhere.head.source = Some([192, 0, 2, 8].into());
    let (reason, status, _) = worker.refusal(&elsewhere);
    assert_eq!((reason, status), (Reason::ConnectionsPerUser, 429));
    assert_eq!(events(&worker.host)[0]["user"], "key:robot", "whose limit it was");
    drop(held);
}

#[test]
fn report_lets_through_and_decides_the_same() {
    let mut document = limited(json!({"total": 2}));
    document["mode"] = "report".into();
    let worker = Worker::new(&document);
    let mut held = vec![opened(&worker.guard), opened(&worker.guard)];
    worker.host.take_lines();
    let over = admit(&worker.guard, &arrival(&[]));
    assert_eq!(over.reason, Some(Reason::ConnectionsTotal));
    let Admission::Guarded(over, _) = over.admission else { panic!("not let through") };
    let told = events(&worker.host);
    assert_eq!((&told[0]["event"], &told[0]["mode"]), (&json!("reported"), &json!("report")));
    assert_eq!(worker.open(), 3, "all that are open");
    held.pop();
    worker.quotas.settle();
    let next = admit(&worker.guard, &arrival(&[]));
    assert_eq!(next.reason, None, "in mode enforce there would be one, and room for another");
    drop((held, over, next));
    assert_eq!(worker.open(), 0);
}

#[test]
fn a_new_document_keeps_what_is_open_and_has_its_own_limits() {
    let mut worker = Worker::new(&limited(json!({"total": 3})));
    let mut held: Vec<Session> = (0..3).map(|_| opened(&worker.guard)).collect();
    worker.guard = Worker::guard(&worker.host, &worker.quotas, &limited(json!({"total": 2})));
    assert_eq!(worker.refusal(&arrival(&[])).0, Reason::ConnectionsTotal);
    let through = hand(&mut held[0], Sender::Client, &text("hello"));
    assert_eq!(through.bytes, text("hello"), "what is open stays open");
    held.truncate(1);
    worker.quotas.settle();
    held.push(opened(&worker.guard));
    assert_eq!(worker.refusal(&arrival(&[])).0, Reason::ConnectionsTotal);
    held.clear();
    assert_eq!(worker.open(), 0);
}

#[test]
fn the_gauge_is_the_tables_on_whatever_worker() {
    let document = limited(json!({}));
    let one = Worker::new(&document);
    let other = Worker::of(Rc::new(one.host.beside()), &document);
    let held = (opened(&one.guard), opened(&one.guard), opened(&other.guard));
    let (_, _) = (one.open(), other.open());
    assert_eq!((one.open(), other.open()), (3, 3));
    drop(held);
    let (_, _) = (one.open(), other.open());
    assert_eq!((one.open(), other.open()), (0, 0));
}

#[test]
fn a_table_that_can_not_count_refuses_what_has_a_limit_only() {
    let worker = Worker::new(&limited(json!({"per_ip": 5})));
    let free = Worker::of(Rc::new(worker.host.beside()), &limited(json!({})));
    for key in worker.host.shared_keys() {
        use wsguard::host::SharedData;
        worker.host.store(&key, b"not ours", None).unwrap();
    }
    let (reason, status, body) = worker.refusal(&arrival(&[]));
    assert_eq!((reason, status), (Reason::Overloaded, 503));
    assert!(body.contains("the table of connection counts has been overwritten"), "{body}");
    drop(opened(&free.guard));
    // A sweep goes through the table in ten rounds.
    for _ in 0..10 {
        worker.open();
    }
    drop(opened(&worker.guard));
}
