//! What client and upstream agree on in the opening handshake: compression
//! (RFC 7692 §7.1), and over HTTP/2 no key (RFC 8441 §5).

use super::rig::{admitted, arrival, events, headers, switching, worker};
use serde_json::{Value, json};
use wsguard::frame::{Deflate, Window};
use wsguard::handshake::HeadEdits;
use wsguard::reason::Reason;
use wsguard::session::{Admission, Opening, Session, admit};

const EXTENSIONS: &str = "sec-websocket-extensions";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

fn policy(mode: &str, handshake: Value) -> Value {
    json!({"mode": mode, "policies": [{"name": "chat", "handshake": handshake}]})
}

fn inspect(mode: &str) -> Value {
    policy(mode, json!({"compression": "inspect"}))
}

/// Lets in a client that offers this; answers what goes on to upstream too.
fn offering(document: &Value, offer: &str) -> (Session, HeadEdits) {
    let (_, guard) = worker(document);
    match admit(&guard, &arrival(&[(EXTENSIONS, offer)])).admission {
        Admission::Guarded(session, edits) => (*session, edits),
        other => panic!("not guarded: {other:?}"),
    }
}

/// What the extensions line is when it gets to upstream.
fn forwarded(document: &Value, offer: &str) -> Option<String> {
    let (_, edits) = offering(document, offer);
    let removed = edits.remove.iter().any(|name| name == EXTENSIONS);
    let set = edits.set.into_iter().find(|(name, _)| name == EXTENSIONS);
    let set = set.map(|(_, value)| String::from_utf8(value).unwrap());
    if removed { None } else { Some(set.unwrap_or_else(|| offer.to_owned())) }
}

#[test]
fn upstream_is_offered_what_can_be_inspected_and_nothing_else() {
    let mixed = "mux, permessage-deflate;client_max_window_bits , x-webkit-deflate-frame, \
                 permessage-deflate; server_max_window_bits=16";
    let one = "permessage-deflate; client_max_window_bits";
    assert_eq!(forwarded(&inspect("enforce"), mixed).as_deref(), Some(one));
    assert_eq!(forwarded(&inspect("enforce"), "mux"), None);
    assert_eq!(forwarded(&inspect("enforce"), "permessage-deflate; unknown"), None);
    assert_eq!(forwarded(&inspect("report"), mixed).as_deref(), Some(mixed), "report");
    assert_eq!(forwarded(&policy("enforce", json!({"compression": "strip"})), one), None);
}

#[test]
fn what_upstream_agrees_to_is_known_to_the_session() {
    let offer = "permessage-deflate; client_max_window_bits";
    let answer = "permessage-deflate; client_max_window_bits=10; server_no_context_takeover";
    let strip = policy("report", json!({"compression": "strip"}));
    for document in [inspect("enforce"), inspect("report"), strip] {
        let (mut session, _) = offering(&document, offer);
        assert_eq!(session.deflate(), None);
        let opening = session.on_response(101, &switching(&[(EXTENSIONS, answer)]));
        assert_eq!(opening, Opening::Open(HeadEdits::default()));
        let client = Window { bits: 10, takeover: true };
        let server = Window { bits: 15, takeover: false };
        assert_eq!(session.deflate(), Some(Deflate { client, server }));
        let (mut session, _) = offering(&document, offer);
        assert!(matches!(session.on_response(101, &switching(&[])), Opening::Open(_)));
        assert_eq!(session.deflate(), None);
    }
}

#[test]
fn what_upstream_was_not_offered_so_is_refused() {
    let offer = "permessage-deflate; server_max_window_bits=10, mux";
    for answer in [
        "permessage-deflate",
        "permessage-deflate; server_max_window_bits=11",
        "permessage-deflate; server_max_window_bits=10; client_max_window_bits=10",
        "permessage-deflate; server_max_window_bits=10, permessage-deflate; server_max_window_bits=10",
        "mux",
    ] {
        let (mut session, _) = offering(&inspect("enforce"), offer);
        let opening = session.on_response(101, &switching(&[(EXTENSIONS, answer)]));
        let Opening::Refused(refusal) = opening else { panic!("{answer}: {opening:?}") };
        assert_eq!(refusal.reason, Reason::UpstreamHandshake, "{answer}");
        assert_eq!(session.deflate(), None);
    }
    let (mut session, _) = offering(&policy("enforce", json!({})), offer);
    let took = switching(&[(EXTENSIONS, "permessage-deflate; server_max_window_bits=10")]);
    assert!(matches!(session.on_response(101, &took), Opening::Refused(_)), "stripped");
}

#[test]
fn in_mode_report_what_was_agreed_in_two_ways_passes_unseen() {
    let offer = [(EXTENSIONS, "permessage-deflate; server_max_window_bits=10")];
    let took = switching(&[(EXTENSIONS, "permessage-deflate")]);
    for (document, told) in [
        (
            inspect("report"),
            [("reported", Some("upstream_handshake")), ("opened", None)].as_slice(),
        ),
        (policy("report", json!({"compression": "strip"})), &[("opened", None)]),
    ] {
        let (host, guard) = worker(&document);
        let mut session = admitted(&guard, &arrival(&offer));
        assert!(matches!(session.on_response(101, &took), Opening::Open(_)));
        assert_eq!(session.deflate(), None);
        let seen = events(&host);
        let kinds: Vec<_> =
            seen.iter().map(|e| (e["event"].as_str().unwrap(), e["reason"].as_str())).collect();
        assert_eq!(kinds, told);
        let opened = seen.last().unwrap();
        assert!(opened["detail"].as_str().unwrap().contains("messages pass unseen"), "{opened}");
    }
}

/// What goes up in place of, or without, the client's key, and what comes down.
fn keys(mode: &str, upstream: &str, http2: bool) -> (Vec<String>, Opening) {
    let (_, guard) = worker(&policy(mode, json!({"upstream": upstream})));
    let mut arrival = arrival(&[]);
    arrival.head.http2 = http2;
    if http2 {
        let lines =
            [("upgrade", "websocket"), ("connection", "upgrade"), ("sec-websocket-version", "13")];
        arrival.head.headers = headers(&lines);
    }
    let Admission::Guarded(mut session, edits) = admit(&guard, &arrival).admission else {
        panic!("refused")
    };
    let removed = edits.remove.into_iter().map(|name| format!("-{name}"));
    let edits = removed.chain(edits.set.into_iter().map(|(name, _)| format!("+{name}"))).collect();
    let answer = [("upgrade", "websocket"), ("connection", "Upgrade")];
    (edits, session.on_response(101, &headers(&answer)))
}

#[test]
fn to_http2_goes_no_key_and_no_accept_is_asked_of_it() {
    let set = ("sec-websocket-accept".to_owned(), ACCEPT.into());
    let made = Opening::Open(HeadEdits { remove: vec![], set: vec![set] });
    let (edits, opening) = keys("enforce", "http2", false);
    assert_eq!((edits, opening), (vec!["-sec-websocket-key".to_owned()], made.clone()));
    let (edits, opening) = keys("report", "http2", false);
    assert_eq!((edits, opening), (vec![], made), "the client needs it in any case");
    let without = HeadEdits { remove: vec!["sec-websocket-accept".to_owned()], set: vec![] };
    for mode in ["enforce", "report"] {
        let (edits, opening) = keys(mode, "http2", true);
        assert_eq!((edits, opening), (vec![], Opening::Open(without.clone())), "{mode}");
        let (edits, _) = keys(mode, "http1", true);
        assert_eq!(edits, ["+sec-websocket-key"], "{mode}");
    }
    assert!(matches!(keys("enforce", "http1", false).1, Opening::Refused(_)), "no accept");
}
