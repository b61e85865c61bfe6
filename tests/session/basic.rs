//! Basic credentials (RFC 7617), which a browser adds by itself to the handshakes of any page.

use crate::rig::{BEGIN, arrival};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::rc::Rc;
use wsguard::config::Config;
use wsguard::guard::Guard;
use wsguard::host::Timestamp;
use wsguard::host::memory::MemoryHost;
use wsguard::reason::Reason;
use wsguard::session::{Admission, admit};

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// `robot:` and that key.
const BASIC: (&str, &str) =
    ("authorization", "Basic cm9ib3Q6MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=");

fn guard(handshake: &Value, keys: &Value) -> Rc<Guard> {
    let document = json!({"policies": [{
        "name": "chat",
        "match": {"hosts": ["chat.example.com"]},
        "handshake": handshake,
        "auth": {
            "credentials": [{"header": "x-api-key"}, {"header": "authorization", "scheme": "basic"}],
            "api_keys": keys,
        },
    }]});
    let config = Config::parse(&document.to_string(), &|_| Some(KEY.to_owned()));
    let config = config.unwrap_or_else(|errors| panic!("{errors}"));
    Guard::new(config, Rc::new(MemoryHost::at(Timestamp::from_unix(BEGIN))))
}

fn robot() -> Value {
    json!([{"id": "robot", "key": {"env": "KEY"}}])
}

/// Why a request with these headers is refused, if it is.
fn refused(guard: &Rc<Guard>, lines: &[(&str, &str)]) -> Option<Reason> {
    let mut arrival = arrival(lines);
    arrival.head.authority = b"chat.example.com".to_vec();
    match admit(guard, &arrival).admission {
        Admission::Guarded(..) => None,
        Admission::Refused(refusal) => Some(refusal.reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn pages_use_it_only_where_their_origins_are_listed() {
    let page = ("origin", "https://app.example.com");
    for handshake in [json!({}), json!({"origins": ["*"], "missing_origin": "allow"})] {
        let guard = guard(&handshake, &robot());
        assert_eq!(refused(&guard, &[BASIC]), None, "no browser leaves the Origin out");
        assert_eq!(refused(&guard, &[BASIC, page]), Some(Reason::OriginDenied), "{handshake}");
        assert_eq!(refused(&guard, &[BASIC, ("origin", "null")]), Some(Reason::OriginDenied));
        // Nothing adds an API key's header by itself.
        assert_eq!(refused(&guard, &[page, ("x-api-key", KEY)]), None);
        assert_eq!(refused(&guard, &[BASIC, page, ("x-api-key", KEY)]), None);
    }
    let listed = json!({"origins": ["https://app.example.com"], "missing_origin": "allow"});
    let guard = guard(&listed, &robot());
    assert_eq!(refused(&guard, &[BASIC, page]), None);
    assert_eq!(refused(&guard, &[BASIC]), None);
    let other = ("origin", "https://other.example.com");
    assert_eq!(refused(&guard, &[BASIC, other]), Some(Reason::OriginDenied));
}

/// The example of OCPP 1.6: the identity `AL1000` and a key of 20 raw bytes.
#[test]
fn a_chargers_key_may_be_raw_bytes() {
    let key = [&[0, 1, 2, 3, 4, 5, 6, 7][..], &[0xFF; 12]].concat();
    let hash: String = Sha256::digest(&key).iter().map(|byte| format!("{byte:02x}")).collect();
    let other = json!({"id": "a*b+c=d|e@f", "sha256": "ab".repeat(32)});
    let guard = guard(&json!({}), &json!([{"id": "AL1000", "sha256": hash}, other]));
    let good = "Basic QUwxMDAwOgABAgMEBQYH////////////////";
    assert_eq!(refused(&guard, &[("authorization", good)]), None);
    let bad = "Basic QUwxMDAwOgABAgMEBQYI////////////////";
    assert_eq!(refused(&guard, &[("authorization", bad)]), Some(Reason::CredentialsInvalid));
}
