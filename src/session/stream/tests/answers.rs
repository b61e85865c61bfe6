//! Upstream's answers to the upgrade, and the lack of one.

use super::*;

#[test]
fn an_upstream_that_does_not_answer_ends_the_connection() {
    let mut rig = Rig::enforce();
    rig.client(upgrade(""));
    rig.server(b"HTTP/1.1 101");
    rig.host.advance(Duration::from_secs(14));
    assert!(!rig.connection.on_tick().reset);
    rig.host.advance(Duration::from_secs(1));
    let outcome = rig.connection.on_tick();
    assert_eq!((outcome.reset, outcome.refused), (true, Some(Reason::UpstreamHandshake)));
    assert_eq!(rig.event()["reason"], "upstream_handshake");
    assert_eq!((rig.server(SWITCH), rig.client(HI)), (on(b""), on(b"")), "it is over");
    assert_eq!(rig.held_bytes(), 0);
    rig.connection.on_end();
    assert_eq!(rig.handshakes(), 1, "each counts once");
    let policy = json!({"name": "chat", "handshake": {"upstream_timeout": "2s"}});
    let mut rig = Rig::new(json!({"policies": [policy]}));
    rig.client(upgrade(""));
    rig.host.advance(Duration::from_secs(1));
    assert!(!rig.connection.on_tick().reset);
    rig.host.advance(Duration::from_secs(1));
    assert!(rig.connection.on_tick().reset);
}

#[test]
fn an_answer_that_opens_nothing_is_refused_unless_it_is_upstreams_own_refusal() {
    for (answer, says) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned(), "neither 101"),
        ("HTTP/1.1 100 Continue\r\n\r\n".to_owned(), "neither 101"),
        ("HTTP/1.1 103 Early Hints\r\n\r\n".to_owned(), "neither 101"),
        (SWITCH.replace("s3p", "S3P"), "does not answer"),
        (SWITCH.replace("HTTP/1.1", "HTTP/1.0"), "can't be read"),
        (SWITCH.replace("\r\n", "\n"), "can't be read"),
        ("x".repeat(70_000), "can't be read"),
        ("SSH-2.0-OpenSSH\r\n\r\n".to_owned(), "can't be read"),
    ] {
        let mut rig = Rig::enforce();
        rig.client(upgrade(""));
        assert_eq!(rig.server(&answer), closed(Reason::UpstreamHandshake), "{answer}");
        let event = rig.event();
        assert!(event["detail"].as_str().unwrap().contains(says), "{event}");
        assert_eq!(event["direction"], "server");
        assert_eq!(rig.client(HI), on(b""));
        rig.connection.on_end();
        assert_eq!(rig.handshakes(), 1, "each counts once: {answer}");
    }
    let mut rig = Rig::enforce();
    rig.client(upgrade(""));
    let mut out = Vec::new();
    assert!(rig.connection.on_data(Sender::Server, b"HTTP/1.1 1", true, &mut out).reset);
    assert!(out.is_empty() && rig.event()["detail"].as_str().unwrap().contains("ended inside"));
    let mut rig = Rig::enforce();
    assert_eq!(rig.server(b"220 smtp"), closed(Reason::UpstreamHandshake));
}

#[test]
fn upstreams_own_refusal_passes_and_no_second_request_does() {
    let mut rig = Rig::enforce();
    rig.client(upgrade(""));
    let head = "HTTP/1.1 403 Forbidden\r\nConnection: keep-alive\r\nContent-Length: 6\r\n";
    let (seen, reset, reason) = rig.server(format!("{head}\r\nno"));
    let seen = String::from_utf8(seen).unwrap();
    assert_eq!(seen, "HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\nconnection: close\r\n\r\nno");
    assert_eq!((reset, reason), (false, None));
    assert_eq!(rig.client(upgrade("")), on(b""), "while the answer comes");
    assert!(!rig.connection.on_tick().reset);
    assert_eq!(rig.server(b"bodyHTTP/1.1 200"), on(b"body"), "and nothing behind it");
    let mut other = Rig::enforce();
    other.client(upgrade(""));
    other.server(format!("{head}\r\nnobody"));
    assert_eq!(other.client(upgrade("")), (Vec::new(), true, None), "all has been said");
    assert!(rig.connection.on_tick().reset);
    rig.connection.on_end();
    assert!(rig.events().is_empty());
}

#[test]
fn a_client_does_not_stay_when_upstream_has_ended() {
    let mut rig = Rig::open();
    let mut out = Vec::new();
    let outcome = rig.connection.on_data(Sender::Server, b"\x88\0", true, &mut out);
    assert_eq!((outcome.forwarded, outcome.reset), (Forwarded::Unchanged, false));
    rig.host.advance(CLOSE_TIMEOUT / 2);
    assert!(!rig.connection.on_tick().reset, "it has its time to answer");
    assert_eq!(rig.client(b"\x88\x80\0\0\0\0"), on(b"\x88\x80\0\0\0\0"));
    rig.host.advance(CLOSE_TIMEOUT / 2);
    let outcome = rig.connection.on_tick();
    assert_eq!((outcome.reset, outcome.refused), (true, None));
    assert!(!rig.connection.on_tick().reset, "once");
}

#[test]
fn an_answer_of_unknown_length_ends_with_upstream_or_its_silence() {
    let mut rig = Rig::enforce();
    rig.client(upgrade(""));
    rig.server("HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..3 {
        rig.host.advance(Duration::from_secs(9));
        assert!(!rig.connection.on_tick().reset);
        assert_eq!(rig.server(b"1\r\nx\r\n"), on(b"1\r\nx\r\n"));
        assert_eq!(rig.client(upgrade("")), on(b""));
    }
    rig.host.advance(Duration::from_secs(10));
    assert!(rig.connection.on_tick().reset);
}
