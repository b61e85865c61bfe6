//! Answers of upstream's that open nothing, although they look like it.

use super::rig::{admitted, arrival, client, events, hand, headers, switching, worker};
use serde_json::{Value, json};
use std::rc::Rc;
use std::time::Duration;
use wsguard::frame::Sender;
use wsguard::guard::Guard;
use wsguard::host::memory::MemoryHost;
use wsguard::reason::Reason;
use wsguard::session::{
    Admission, Arrival, Opening, Refusal, SILENCE_TIMEOUT, Session, admit, unasked_switch,
};

/// A 426 as RFC 9110 §15.5.22 wants it, with more header lines; its session.
fn asked_to_upgrade(mode: &str, more: &[(&str, &str)]) -> (Rc<MemoryHost>, Session, Opening) {
    let mut document = client(json!({}));
    document["mode"] = mode.into();
    let (host, guard) = worker(&document);
    let mut session = admitted(&guard, &arrival(&[]));
    let lines = [&[("upgrade", "websocket"), ("connection", "Upgrade, close")], more].concat();
    let opening = session.on_response(426, &headers(&lines));
    (host, session, opening)
}

#[test]
fn an_answer_with_the_headers_of_an_upgrade_loses_them_and_ends_with_its_body() {
    let (_, mut session, opening) = asked_to_upgrade("enforce", &[("content-length", "4")]);
    let Opening::NoTunnel(edits) = opening else { panic!("{opening:?}") };
    assert_eq!(edits.remove, ["upgrade", "connection"]);
    assert!(edits.set.is_empty());
    assert_eq!(hand(&mut session, Sender::Server, b"no").bytes, b"no");
    assert!(!session.on_tick().reset, "half of it is still due");
    assert_eq!(hand(&mut session, Sender::Client, b"into the tunnel").bytes, b"");
    // What is behind it would be the next answer to whoever reads the client's
    // side.
    assert_eq!(hand(&mut session, Sender::Server, b"peHTTP/1.1 200").bytes, b"pe");
    assert_eq!(hand(&mut session, Sender::Server, b"more").bytes, b"");
    assert!(session.on_tick().reset);
}

#[test]
fn one_whose_end_is_unknown_ends_when_upstream_is_silent() {
    let lengths: [&[(&str, &str)]; 4] = [
        &[],
        &[("content-length", "4"), ("content-length", "5")],
        &[("content-length", "+4")],
        &[("content-length", "4"), ("transfer-encoding", "chunked")],
    ];
    for more in lengths {
        let (host, mut session, _) = asked_to_upgrade("enforce", more);
        let almost = SILENCE_TIMEOUT - Duration::from_millis(1);
        host.advance(almost);
        assert_eq!(hand(&mut session, Sender::Server, b"a body").bytes, b"a body", "{more:?}");
        host.advance(almost);
        assert!(!session.on_tick().reset, "{more:?}");
        host.advance(Duration::from_millis(1));
        assert!(session.on_tick().reset, "{more:?}");
    }
}

#[test]
fn one_without_a_body_ends_at_once() {
    let (_, guard) = worker(&client(json!({})));
    let mut session = admitted(&guard, &arrival(&[]));
    let opening = session.on_response(304, &headers(&[("upgrade", "h2c")]));
    assert!(matches!(opening, Opening::NoTunnel(_)));
    assert!(session.on_tick().reset);
}

/// An upgrade whose client has ended its side may be tried again (Envoy's `retry_on`).
#[test]
fn behind_bytes_before_the_head_no_101_opens_anything() {
    let (_, guard) = worker(&client(json!({})));
    let mut session = admitted(&guard, &arrival(&[]));
    assert!(hand(&mut session, Sender::Server, b"early").reset);
    let opening = session.on_response(101, &switching(&[]));
    assert!(matches!(opening, Opening::Refused(_)), "{opening:?}");
    assert_eq!(session.on_response(503, &headers(&[])), Opening::Pass);
}

#[test]
fn report_changes_nothing_about_it() {
    let (host, mut session, opening) = asked_to_upgrade("report", &[("content-length", "4")]);
    assert_eq!(opening, Opening::Pass);
    assert_eq!(hand(&mut session, Sender::Server, b"nope and more").bytes, b"nope and more");
    host.advance(SILENCE_TIMEOUT * 2);
    assert!(!session.on_tick().reset);
}

/// What a 101 to a plain request comes to, and the event.
fn unasked(guard: &Rc<Guard>, host: &MemoryHost, policy: Option<usize>) -> (Option<Reason>, Value) {
    let refusal = unasked_switch(guard, &arrival(&[("user-agent", "curl")]), policy);
    assert!(refusal.as_ref().is_none_or(|refusal| refusal.status == 502));
    let mut told = events(host);
    assert_eq!(told.len(), 1, "{told:?}");
    (refusal.map(|refusal| refusal.reason), told.remove(0))
}

#[test]
fn a_101_that_nobody_asked_for_is_refused_in_enforce_and_told_in_report() {
    let policies = json!([{"name": "chat", "match": {"paths": ["/a"]}}, {"name": "watched", "mode": "report"}]);
    let (host, guard) = worker(&json!({"policies": policies}));
    for (policy, name) in [(None, json!(null)), (Some(0), json!("chat"))] {
        let (refused, event) = unasked(&guard, &host, policy);
        assert_eq!(refused, Some(Reason::UpstreamHandshake));
        assert_eq!((&event["event"], &event["policy"]), (&json!("refused"), &name));
        assert_eq!((&event["direction"], &event["path"]), (&json!("server"), &json!("/ws")));
        assert_eq!(event["user_agent"], "curl");
    }
    let (refused, event) = unasked(&guard, &host, Some(1));
    assert_eq!((refused, &event["event"]), (None, &json!("reported")));
    let name = r#"wsguard_handshakes_total{policy="watched",result="reported",reason="upstream_handshake"}"#;
    assert_eq!(host.metric(name), 1);
}

/// A page's upgrade over HTTP/1.1, or over HTTP/2, where there is no key.
fn over(origin: &str, http2: bool) -> Arrival {
    let mut arrival = arrival(&[("origin", origin)]);
    if http2 {
        let lines = [("upgrade", "websocket"), ("connection", "Upgrade")];
        let more = [("sec-websocket-version", "13"), ("origin", origin)];
        arrival.head.headers = headers(&[lines, more].concat());
    }
    arrival.head.http2 = http2;
    arrival
}

#[test]
fn who_sent_no_key_gets_no_accept() {
    let rules = json!({"refuse_with": "close", "origins": ["https://app.example.com"]});
    let document = json!({"policies": [{"name": "chat", "handshake": rules}]});
    let (_, guard) = worker(&document);
    let accept = |http2: bool, refusal: Refusal| {
        assert_eq!(refusal.status, 101);
        let has = refusal.headers.iter().any(|(name, _)| name == "sec-websocket-accept");
        assert_eq!(has, !http2);
    };
    for http2 in [false, true] {
        let evil = over("https://evil.example", http2);
        let Admission::Refused(refusal) = admit(&guard, &evil).admission else { panic!() };
        accept(http2, refusal);
        // And where upstream is at fault.
        let good = over("https://app.example.com", http2);
        let wrong = switching(&[("sec-websocket-extensions", "x")]);
        let opening = admitted(&guard, &good).on_response(101, &wrong);
        let Opening::Refused(refusal) = opening else { panic!("{opening:?}") };
        accept(http2, refusal);
    }
}

fn open_with(mode: &str, refuse_with: &str) -> (Rc<MemoryHost>, Session) {
    let handshake = json!({"refuse_with": refuse_with});
    let document = json!({"mode": mode, "policies": [{"name": "chat", "handshake": handshake}]});
    let (host, guard) = worker(&document);
    let session = admitted(&guard, &arrival(&[]));
    (host, session)
}

/// An interim answer with `Upgrade` is to Envoy the beginning of the tunnel.
#[test]
fn bytes_of_upstreams_before_its_head_reach_no_client() {
    for (refuse_with, status) in [("http", 502), ("close", 101)] {
        for bytes in [&b"L"[..], b"\x81\x04LEAK", b"HTTP/1.1 101 Switching Protocols\r\n\r\n"] {
            let (host, mut session) = open_with("enforce", refuse_with);
            let nothing = hand(&mut session, Sender::Server, b"");
            assert!(!nothing.reset && nothing.refused.is_none(), "nothing has come yet");
            let step = hand(&mut session, Sender::Server, bytes);
            assert_eq!((step.bytes.as_slice(), step.reset), (&b""[..], true));
            assert_eq!(step.refused, Some(Reason::UpstreamHandshake));
            let refusal = session.take_refusal().unwrap();
            assert_eq!((refusal.reason, refusal.status), (Reason::UpstreamHandshake, status));
            let told = events(&host);
            assert_eq!(told.len(), 1, "{told:?}");
            assert_eq!(
                (&told[0]["event"], &told[0]["direction"]),
                (&json!("refused"), &json!("server"))
            );
            assert_eq!(told[0]["reason"], "upstream_handshake");
            let counted = r#"wsguard_handshakes_total{policy="chat",result="refused",reason="upstream_handshake"}"#;
            assert_eq!(host.metric(counted), 1);
            assert_eq!(hand(&mut session, Sender::Client, b"into the tunnel").bytes, b"");
            let late = session.on_response(101, &switching(&[]));
            assert!(matches!(late, Opening::Refused(_)), "{late:?}");
            session.on_end();
            assert!(events(&host).is_empty(), "it was never open");
        }
    }
}

#[test]
fn report_tells_of_them_once_and_lets_them_pass() {
    let (host, mut session) = open_with("report", "http");
    for bytes in [&b"LEAK"[..], b"and more"] {
        let step = hand(&mut session, Sender::Server, bytes);
        assert_eq!((step.bytes.as_slice(), step.reset), (bytes, false));
    }
    let told = events(&host);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(
        (&told[0]["event"], &told[0]["reason"]),
        (&json!("reported"), &json!("upstream_handshake"))
    );
    assert!(session.take_refusal().is_none());
}
