//! Handshake rates and bans as admission keeps them: at their places among the
//! checks, told with the time to wait, and in mode report decided the same.

use crate::rig::{admitted, arrival, events, switching, told_client};
use serde_json::{Value, json};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;
use wsguard::config::Config;
use wsguard::guard::Guard;
use wsguard::host::Timestamp;
use wsguard::host::memory::MemoryHost;
use wsguard::quota::{Quotas, Salt};
use wsguard::reason::Reason;
use wsguard::session::{Admission, Arrival, Opening, Session, admit};

const GOOD: &str = "0123456789abcdef0123456789abcdef";

struct Worker {
    host: Rc<MemoryHost>,
    quotas: Rc<Quotas>,
    guard: Rc<Guard>,
}

impl Worker {
    fn new(document: &Value) -> Self {
        Self::of(MemoryHost::at(Timestamp::from_unix(super::rig::BEGIN)), document)
    }

    /// Another worker of the same process.
    fn beside(&self, document: &Value) -> Self {
        Self::of(self.host.beside(), document)
    }

    fn of(host: MemoryHost, document: &Value) -> Self {
        let host = Rc::new(host);
        let quotas = Quotas::open(Rc::<MemoryHost>::clone(&host), Salt([5; 16]));
        let config = Config::parse(&document.to_string(), &|_| Some(GOOD.to_owned())).unwrap();
        let guard = Guard::with_quotas(config, Rc::<MemoryHost>::clone(&host), Rc::clone(&quotas));
        Self { host, quotas, guard }
    }

    fn tick(&self) {
        self.host.advance(Duration::from_millis(500));
        self.quotas.on_tick();
        self.guard.on_tick();
    }

    /// Reason, `retry-after` and detail; `None` when it is let in.
    fn refused(&self, arrival: &Arrival) -> Option<(Reason, Option<String>, String)> {
        let Admission::Refused(refusal) = admit(&self.guard, arrival).admission else {
            return None;
        };
        let after = refusal.headers.iter().find(|(name, _)| name == "retry-after");
        let body: Value = serde_json::from_slice(&refusal.body).unwrap();
        let detail = body["detail"].as_str().unwrap().to_owned();
        Some((refusal.reason, after.map(|(_, value)| value.clone()), detail))
    }

    fn reason(&self, arrival: &Arrival) -> Option<Reason> {
        self.refused(arrival).map(|(reason, ..)| reason)
    }

    fn kinds(&self) -> Vec<(String, Value)> {
        let events = events(&self.host);
        let kind =
            |event: &Value| (event["event"].as_str().unwrap().to_owned(), event["reason"].clone());
        events.iter().map(kind).collect()
    }
}

fn from(address: &str, headers: &[(&str, &str)]) -> Arrival {
    let mut arrival = arrival(headers);
    arrival.head.source = Some(address.parse::<IpAddr>().unwrap());
    arrival
}

fn keyed(bans: Value) -> Value {
    json!({"policies": [{
        "name": "chat",
        "auth": {
            "credentials": [{"header": "x-api-key"}],
            "api_keys": [{"id": "robot", "key": {"env": "KEY"}}],
        },
        "bans": bans,
    }]})
}

#[test]
fn a_handshake_above_the_rate_is_told_how_long_to_wait() {
    let document = json!({"policies": [{
        "name": "chat",
        "handshake": {"origins": ["https://app.example.com"]},
        "quotas": {"handshakes": {"per_ip": "2/1m"}},
    }]});
    let worker = Worker::new(&document);
    let good = from("192.0.2.1", &[("origin", "https://app.example.com")]);
    let evil = from("192.0.2.1", &[("origin", "https://evil.example")]);
    for _ in 0..5 {
        assert_eq!(worker.reason(&evil), Some(Reason::OriginDenied), "before the rate");
    }
    drop((admitted(&worker.guard, &good), admitted(&worker.guard, &good)));
    let (reason, after, detail) = worker.refused(&good).unwrap();
    assert_eq!(reason, Reason::HandshakeRate);
    let wait: u64 = after.unwrap().parse().unwrap();
    assert!((60..=64).contains(&wait));
    assert!(detail.contains("the 2 handshakes that it may send in 1m; try again in"), "{detail}");
    let other = from("192.0.2.2", &[("origin", "https://app.example.com")]);
    assert_eq!(worker.reason(&other), None);
    for hours in [0, 9_000_000, 1] {
        worker.host.set(Timestamp::from_unix(Duration::from_secs(hours * 3600)));
        assert_eq!(worker.reason(&good), Some(Reason::HandshakeRate), "the clock jumped");
    }
    worker.host.advance(Duration::from_secs(wait));
    assert_eq!(worker.reason(&good), None);
}

#[test]
fn bad_credentials_ban_an_address_for_a_while() {
    let bans = json!({"threshold": 4, "window": "1m", "duration": "15m",
        "weights": {"credentials_invalid": 2}});
    let worker = Worker::new(&keyed(bans));
    let (bad, good) =
        (from("192.0.2.1", &[("x-api-key", "wrong")]), from("192.0.2.1", &[("x-api-key", GOOD)]));
    assert_eq!(worker.reason(&from("192.0.2.1", &[])), Some(Reason::CredentialsMissing));
    assert_eq!(worker.reason(&bad), Some(Reason::CredentialsInvalid));
    assert_eq!(worker.reason(&good), None, "one strike is none too many");
    worker.host.take_lines();
    assert_eq!(worker.reason(&bad), Some(Reason::CredentialsInvalid));
    let told = events(&worker.host);
    assert_eq!((&told[1]["event"], &told[1]["ip"]), (&json!("banned"), &json!("192.0.2.1")));
    assert_eq!(told[1]["detail"], "this address is banned for 900 s");
    assert_eq!(told[1]["reason"], "credentials_invalid");
    let (reason, after, detail) = worker.refused(&good).unwrap();
    assert_eq!((reason, after.as_deref()), (Reason::Banned, Some("900")));
    assert_eq!(detail, "this address is banned for what it did before; try again in 900 s");
    worker.tick();
    assert_eq!(worker.host.metric("wsguard_bans_active"), 1);
    for _ in 0..50 {
        assert_eq!(worker.reason(&bad), Some(Reason::Banned));
    }
    assert_eq!(worker.reason(&from("192.0.2.2", &[("x-api-key", GOOD)])), None);
    worker.host.advance(Duration::from_secs(899));
    assert_eq!(worker.reason(&good), Some(Reason::Banned));
    worker.host.take_lines();
    worker.tick();
    assert_eq!(worker.host.metric("wsguard_bans_active"), 0);
    assert_eq!(worker.kinds(), [("unbanned".to_owned(), Value::Null)]);
    assert_eq!(worker.reason(&good), None, "what it did while banned is no strike");
}

#[test]
fn a_ban_is_judged_after_the_address_and_before_all_else() {
    let mut document = keyed(json!({"threshold": 1}));
    document["policies"][0]["handshake"] = json!({"addresses": {"deny": ["192.0.2.128/25"]}});
    let worker = Worker::new(&document);
    let bad = from("192.0.2.1", &[("x-api-key", "wrong")]);
    assert_eq!(worker.reason(&bad), Some(Reason::CredentialsInvalid));
    let malformed = from("192.0.2.1", &[("sec-websocket-key", "short")]);
    assert_eq!(worker.reason(&malformed), Some(Reason::Banned));
    assert_eq!(worker.reason(&from("192.0.2.200", &[])), Some(Reason::AddressDenied));
}

#[test]
fn a_user_is_banned_at_every_address_once_it_is_known() {
    let mut document = keyed(json!({"threshold": 1, "by": ["user"],
        "weights": {"connections_per_user": 1}}));
    document["policies"][0]["quotas"] = json!({"connections": {"per_user": 1}});
    let worker = Worker::new(&document);
    let key = [("x-api-key", GOOD)];
    let held = admitted(&worker.guard, &from("192.0.2.1", &key));
    assert_eq!(worker.reason(&from("192.0.2.2", &key)), Some(Reason::ConnectionsPerUser));
    worker.host.take_lines();
    drop(held);
    worker.quotas.settle();
    let (reason, _, detail) = worker.refused(&from("192.0.2.3", &key)).unwrap();
    assert_eq!(reason, Reason::Banned);
    assert!(detail.starts_with("this user is banned"), "{detail}");
    assert_eq!(events(&worker.host)[0]["user"], "key:robot");
    let nobody = from("192.0.2.3", &[]);
    assert_eq!(worker.reason(&nobody), Some(Reason::CredentialsMissing), "not the address");
}

#[test]
fn bans_span_policies_and_report_bans_nobody_elsewhere() {
    let policy = |name: &str, mode: &str, bans: Value| {
        json!({
            "name": name, "mode": mode, "match": {"hosts": [format!("{name}.example.com")]},
            "handshake": {"user_agents_denied": ["sqlmap"]}, "bans": bans,
        })
    };
    let mut free = policy("free", "enforce", Value::Null);
    free.as_object_mut().unwrap().remove("bans");
    let worker = Worker::new(&json!({"policies": [
        policy("chat", "enforce", json!({"threshold": 2})),
        policy("watched", "report", json!({"threshold": 2})),
        free,
    ]}));
    let to = |host: &str, agent: &str| {
        let mut arrival = from("192.0.2.1", &[("user-agent", agent)]);
        arrival.head.authority = format!("{host}.example.com").into();
        arrival
    };
    for _ in 0..3 {
        assert_eq!(worker.reason(&to("watched", "sqlmap")), None, "report lets through");
    }
    let reported = admit(&worker.guard, &to("watched", "curl"));
    assert_eq!(reported.reason, Some(Reason::Banned), "and decides the same");
    assert_eq!(worker.reason(&to("chat", "curl")), None);
    assert_eq!(worker.reason(&to("free", "sqlmap")), Some(Reason::UserAgentDenied));
    assert_eq!(worker.reason(&to("chat", "sqlmap")), Some(Reason::UserAgentDenied));
    assert_eq!(worker.reason(&to("chat", "sqlmap")), Some(Reason::UserAgentDenied));
    for host in ["chat", "free"] {
        assert_eq!(worker.reason(&to(host, "curl")), Some(Reason::Banned), "{host}");
    }
}

#[test]
fn who_is_banned_on_another_worker_loses_what_is_open_where_that_is_asked_for() {
    let with = |open: bool, push: bool| {
        let mut document = keyed(json!({"threshold": 1, "open": open}));
        document["policies"][0]["lifetime"] = json!({"push": push, "idle": "1h"});
        document
    };
    for (open, push) in [(true, true), (true, false), (false, true)] {
        let one = Worker::new(&with(open, push));
        let other = one.beside(&with(open, push));
        let good = from("192.0.2.1", &[("x-api-key", GOOD)]);
        let elsewhere = from("192.0.2.2", &[("x-api-key", GOOD)]);
        let [mut struck, mut free] = [&good, &elsewhere].map(|arrival| {
            let mut session = admitted(&one.guard, arrival);
            assert!(matches!(session.on_response(101, &switching(&[])), Opening::Open(_)));
            session.set_ready_to_push(push);
            session
        });
        let bad = from("192.0.2.1", &[("x-api-key", "wrong")]);
        assert_eq!(other.reason(&bad), Some(Reason::CredentialsInvalid));
        assert!(!struck.on_tick().reset, "nobody has told this worker");
        one.tick();
        assert_eq!(struck.on_tick().reset, open && !push);
        assert!(!free.on_tick().reset);
        let pushed = |session: &mut Session| {
            let mut out = Vec::new();
            session.push(&mut out);
            out
        };
        let told = if open && push { told_client(1008, "banned") } else { Vec::new() };
        assert_eq!((pushed(&mut struck), pushed(&mut free)), (told, Vec::new()));
        struck.on_end();
        let events = events(&one.host);
        let closed = events.iter().find(|event| event["event"] == "closed").unwrap();
        assert_eq!(closed["reason"], if open { json!("banned") } else { Value::Null });
        // It ends once.
        one.tick();
        assert!(!free.on_tick().reset);
    }
}

#[test]
fn event_lines_are_capped_over_all_workers() {
    let document = json!({"policies": [{"name": "chat", "handshake": {"tls": "required"}}]});
    let one = Worker::new(&document);
    let other = one.beside(&document);
    let mut plain = from("192.0.2.1", &[]);
    plain.head.https = false;
    for _ in 0..90 {
        assert_eq!(one.reason(&plain), Some(Reason::TlsRequired));
        assert_eq!(other.reason(&plain), Some(Reason::TlsRequired));
    }
    let lines = |worker: &Worker| worker.kinds().len();
    let (first, second) = (lines(&one), lines(&other));
    assert_eq!(first + second, 100);
    one.host.advance(Duration::from_secs(2));
    other.host.advance(Duration::from_secs(2));
    let mut left_out = 0;
    for worker in [&one, &other] {
        worker.tick();
        let told = events(&worker.host);
        left_out += told.iter().filter_map(|event| event["suppressed"].as_u64()).sum::<u64>();
    }
    assert_eq!(left_out, 80);
}
