//! Which refusals are strikes: none that a page of a sibling subdomain could get its visitors,
//! and none for what upstream did, whatever the weights are.

use crate::rig::{BEGIN, admitted, arrival, hand, headers, plain, switching, text};
use serde_json::{Value, json};
use std::rc::Rc;
use wsguard::config::Config;
use wsguard::frame::Sender;
use wsguard::guard::Guard;
use wsguard::host::Timestamp;
use wsguard::host::memory::MemoryHost;
use wsguard::quota::bans::can_strike;
use wsguard::reason::Reason;
use wsguard::session::{Admission, Arrival, Opening, Session, admit};

const GOOD: &str = "0123456789abcdef0123456789abcdef";

/// `robot:` and that key.
const BASIC: &str = "Basic cm9ib3Q6MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// Every reason that can be a strike is one, at once; but the one that tells who is banned.
fn bans() -> Value {
    let strikes = Reason::ALL.into_iter().filter(|reason| can_strike(*reason));
    let strikes = strikes.filter(|reason| *reason != Reason::CredentialsMissing);
    let weights: serde_json::Map<_, _> =
        strikes.map(|reason| (reason.name().to_owned(), json!(1))).collect();
    json!({"threshold": 1, "weights": weights})
}

fn document(more: Value) -> Value {
    let mut policy = json!({
        "name": "chat",
        "handshake": {"origins": ["https://app.example.com"]},
        "auth": {
            "credentials": [
                {"header": "authorization"},
                {"header": "authorization", "scheme": "basic"},
                {"header": "x-api-key"},
                {"query": "token"},
                {"subprotocol": "bearer"},
                {"subprotocol_prefix": "key.", "encoding": "base64url"},
                {"cookie": "session"},
            ],
            "api_keys": [{"id": "robot", "key": {"env": "KEY"}}],
        },
        "bans": bans(),
    });
    for (key, value) in more.as_object().unwrap() {
        match value {
            Value::Object(members) => {
                for (member, value) in members {
                    policy[key][member] = value.clone();
                }
            }
            value => policy[key] = value.clone(),
        }
    }
    json!({"policies": [policy]})
}

struct Worker(Rc<Guard>);

impl Worker {
    fn new(document: &Value) -> Self {
        let host = Rc::new(MemoryHost::at(Timestamp::from_unix(BEGIN)));
        let config = Config::parse(&document.to_string(), &|_| Some(GOOD.to_owned()));
        Self(Guard::new(config.unwrap_or_else(|errors| panic!("{errors}")), host))
    }

    fn reason(&self, arrival: &Arrival) -> Option<Reason> {
        match admit(&self.0, arrival).admission {
            Admission::Refused(refusal) => Some(refusal.reason),
            _ => None,
        }
    }

    /// Returns true if the address of these tests is banned.
    fn bans(&self) -> bool {
        match self.reason(&from_page(&[])) {
            Some(Reason::Banned) => true,
            Some(Reason::CredentialsMissing) => false,
            other => panic!("{other:?}"),
        }
    }

    fn opened(&self, arrival: &Arrival) -> Session {
        let mut session = admitted(&self.0, arrival);
        assert!(matches!(session.on_response(101, &switching(&[])), Opening::Open(_)));
        session
    }
}

fn from_page(lines: &[(&str, &str)]) -> Arrival {
    arrival(&[&[("origin", "https://app.example.com")], lines].concat())
}

fn asking(target: &str, lines: &[(&str, &str)]) -> Arrival {
    let mut arrival = from_page(lines);
    arrival.head.target = target.as_bytes().to_vec();
    arrival
}

const OFFER: &str = "sec-websocket-protocol";

#[test]
fn a_place_that_holds_two_is_no_strike() {
    let worker = Worker::new(&document(json!({})));
    let bearer = format!("Bearer {GOOD}");
    let joined = |one: &str, other: &str| format!("{one}, {other}");
    for lines in [
        &[("authorization", bearer.as_str()), ("authorization", &bearer)][..],
        &[("authorization", &bearer), ("authorization", BASIC)],
        &[("authorization", &joined(&bearer, &bearer))],
        &[("authorization", &joined(BASIC, BASIC))],
        &[("authorization", &joined(BASIC, &bearer))],
        &[("authorization", &joined("Digest a=b", &bearer))],
        &[("x-api-key", GOOD), ("x-api-key", GOOD)],
        &[("x-api-key", "a, b")],
        &[("cookie", "session=a; session=b")],
        &[("cookie", "session=a"), ("cookie", "session=b")],
        &[(OFFER, "bearer, a, Bearer, b")],
        &[(OFFER, "bearer, Bearer")],
        &[(OFFER, "key.YQ, key.Yg")],
        &[(OFFER, "key.YQ, KEY.")],
    ] {
        assert_eq!(worker.reason(&from_page(lines)), Some(Reason::CredentialsInvalid), "{lines:?}");
        assert!(!worker.bans(), "{lines:?}");
    }
    for query in ["/ws?token=a&token=b", "/ws?token=a&%74oken=b", "/ws?token&token"] {
        assert_eq!(worker.reason(&asking(query, &[])), Some(Reason::CredentialsInvalid), "{query}");
        assert!(!worker.bans(), "{query}");
    }
    // RFC 6455 has no name twice in an offer, before anybody asks what it is for.
    for offer in ["bearer, a, bearer, b", "key.YQ, key.YQ"] {
        let twice = from_page(&[(OFFER, offer)]);
        assert_eq!(worker.reason(&twice), Some(Reason::HandshakeMalformed), "{offer}");
        assert!(!worker.bans(), "{offer}");
    }
}

#[test]
fn one_bad_credential_in_a_place_of_its_own_is_a_strike() {
    for lines in [
        &[("authorization", "Bearer guess")][..],
        &[("authorization", "Bearer ")],
        &[("authorization", "Basic cm9ib3Q6Z3Vlc3M=")],
        &[("authorization", "Basic ?")],
        &[("x-api-key", "guess")],
        &[(OFFER, "bearer, guess")],
        &[(OFFER, "bearer")],
        &[(OFFER, "key.Z3Vlc3M")],
        &[(OFFER, "key.?")],
        &[("x-api-key", "guess"), ("cookie", "session=guess")],
    ] {
        let worker = Worker::new(&document(json!({})));
        let reason = worker.reason(&from_page(lines));
        let malformed = lines[0].1.ends_with("key.?");
        let expected =
            if malformed { Reason::HandshakeMalformed } else { Reason::CredentialsInvalid };
        assert_eq!(reason, Some(expected), "{lines:?}");
        assert!(worker.bans(), "{lines:?}");
    }
    let worker = Worker::new(&document(json!({})));
    assert_eq!(worker.reason(&asking("/ws?token=a", &[])), Some(Reason::CredentialsInvalid));
    assert!(worker.bans());
}

#[test]
fn what_a_cookie_holds_is_no_strike() {
    let rooms = json!({"authorize": [{"from": {"query": "room"}, "claim": "sub"}]});
    let worker = Worker::new(&document(json!({
        "auth": rooms, "quotas": {"connections": {"per_user": 1}},
    })));
    let good = format!("session={GOOD}");
    let mut cookies = vec!["session=", "session=guess", "session=a; session=b", "session=\"\""];
    let long = format!("session={}", "a".repeat(20_000));
    cookies.push(&long);
    for cookie in cookies {
        let sent = asking("/ws?room=key:robot", &[("cookie", cookie)]);
        assert_eq!(worker.reason(&sent), Some(Reason::CredentialsInvalid));
        assert!(!worker.bans(), "{:.40}", cookie);
    }
    for target in ["/ws?room=other", "/ws", "/ws?room=a&room=b"] {
        let sent = asking(target, &[("cookie", &good)]);
        assert_eq!(worker.reason(&sent), Some(Reason::AccessDenied), "{target}");
        assert!(!worker.bans(), "{target}");
    }
    let sent = asking("/ws?room=key:robot", &[("cookie", &good)]);
    let held = admitted(&worker.0, &sent);
    assert_eq!(worker.reason(&sent), Some(Reason::ConnectionsPerUser));
    assert!(!worker.bans());
    // By a header the client says itself who it is.
    let by_header = asking("/ws?room=key:robot", &[("x-api-key", GOOD)]);
    assert_eq!(worker.reason(&by_header), Some(Reason::ConnectionsPerUser));
    assert!(worker.bans());
    drop(held);
    let worker = Worker::new(&document(json!({"auth": rooms})));
    let by_header = asking("/ws?room=other", &[("x-api-key", GOOD)]);
    assert_eq!(worker.reason(&by_header), Some(Reason::AccessDenied));
    assert!(worker.bans());
}

#[test]
fn what_the_credential_of_a_cookie_grants_on_an_open_connection_is_no_strike() {
    let cookie = format!("session={GOOD}");
    for (more, message, reason) in [
        (
            json!({"auth": {"authorize": [{"from": {"message": "/room"}, "claim": "sub"}]}}),
            r#"{"room":"other"}"#,
            Reason::AccessDenied,
        ),
        (
            json!({"client": {"rate": {"per_user": "1/1m"}}}),
            "more than its user may",
            Reason::MessageRate,
        ),
        (
            json!({"client": {"bytes": {"per_user": "1KiB/1m"}}}),
            &"x".repeat(1025),
            Reason::ByteRate,
        ),
    ] {
        for (line, blamed) in [(("cookie", cookie.as_str()), false), (("x-api-key", GOOD), true)] {
            let worker = Worker::new(&document(more.clone()));
            let mut session = worker.opened(&from_page(&[line]));
            let mut refused = None;
            for _ in 0..3 {
                let step = hand(&mut session, Sender::Client, &text(message));
                refused = refused.or(step.refused);
            }
            assert_eq!(refused, Some(reason));
            assert_eq!(worker.bans(), blamed, "{line:?} {reason:?}");
        }
    }
    // What the client itself does wrong is one all the same.
    let own = json!({"client": {"rate": {"per_connection": "1/1m"}}});
    let worker = Worker::new(&document(own));
    let mut session = worker.opened(&from_page(&[("cookie", &cookie)]));
    for _ in 0..2 {
        hand(&mut session, Sender::Client, &text("x"));
    }
    assert!(worker.bans());
}

#[test]
fn what_upstream_did_is_no_strike() {
    let rules = json!({
        "handshake": {"compression": "inspect"},
        "server": {
            "max_message": 100, "max_frame": 100, "max_fragments": 2, "types": ["text"],
            "rules": [{"name": "no", "pattern": "forbidden"}],
            "rate": {"per_connection": "5/1m"}, "bytes": {"per_connection": "200/1m"},
        },
    });
    let worker = Worker::new(&document(rules));
    let key = [("x-api-key", GOOD)];
    let good = from_page(&key);
    for (status, lines) in [
        (200, headers(&[])),
        (204, headers(&[])),
        (500, headers(&[])),
        (401, headers(&[])),
        (101, headers(&[])),
        (101, switching(&[("sec-websocket-accept", "again")])),
        (101, switching(&[(OFFER, "not-offered")])),
        (101, switching(&[("sec-websocket-extensions", "permessage-deflate")])),
        (101, switching(&[("sec-websocket-extensions", ";")])),
    ] {
        let mut session = admitted(&worker.0, &good);
        assert!(!matches!(session.on_response(status, &lines), Opening::Open(_)), "{status}");
        session.on_end();
        assert!(!worker.bans(), "{status}");
    }
    let mut session = admitted(&worker.0, &good);
    let early = hand(&mut session, Sender::Server, b"HTTP/1.1 101");
    assert_eq!(early.refused, Some(Reason::UpstreamHandshake));
    assert!(!worker.bans());
    for (frames, reason) in [
        (vec![plain(0x83, b"")], Reason::ProtocolError),
        (vec![text("masked")], Reason::ProtocolError),
        (vec![plain(0x80, b"")], Reason::ProtocolError),
        (vec![plain(0xC1, b"")], Reason::ProtocolError),
        (vec![plain(0x81, b"\xff")], Reason::InvalidUtf8),
        (vec![plain(0x88, b"\x03")], Reason::ProtocolError),
        (vec![plain(0x81, &[b'x'; 101])], Reason::FrameTooBig),
        (vec![plain(0x01, &[b'x'; 60]), plain(0x80, &[b'x'; 60])], Reason::MessageTooBig),
        (vec![plain(0x01, b"x"), plain(0x00, b"x"), plain(0x80, b"x")], Reason::TooManyFragments),
        (vec![plain(0x82, b"x")], Reason::TypeDenied),
        (vec![plain(0x81, b"forbidden")], Reason::RuleMatched),
        (vec![plain(0x89, b"forbidden")], Reason::RuleMatched),
        (vec![plain(0x81, b"x"); 6], Reason::MessageRate),
        (vec![plain(0x81, &[b'x'; 80]); 3], Reason::ByteRate),
    ] {
        let mut session = worker.opened(&good);
        let mut refused = None;
        for frame in &frames {
            refused = refused.or(hand(&mut session, Sender::Server, frame).refused);
        }
        assert_eq!(refused, Some(reason));
        assert!(!worker.bans(), "{reason:?}");
        // Nor is what the client sends once we are ending it.
        hand(&mut session, Sender::Client, &plain(0x83, b""));
        assert!(!worker.bans(), "{reason:?}");
    }
    let mut session = worker.opened(&good);
    let own = hand(&mut session, Sender::Client, &plain(0x83, b""));
    assert_eq!(own.refused, Some(Reason::ProtocolError));
    assert!(worker.bans(), "the client's own is one");
}
