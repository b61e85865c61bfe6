//! Mode report.

use super::*;

#[test]
fn report_lets_one_request_through_and_says_what_enforce_would_do() {
    let mut rig = Rig::report();
    let evil = upgrade("Origin: https://evil.example\r\n");
    assert_eq!(rig.client(&evil), (evil.into_bytes(), false, Some(Reason::OriginDenied)));
    assert_eq!(rig.event()["event"], "reported");
    assert_eq!(rig.server(SWITCH), on(SWITCH));
    let script = b"\x81\x87\0\0\0\0<script";
    assert_eq!(rig.client(script), on(script), "the first reason stands");
    // Plain HTTP, with and without a policy.
    for target in ["/ws", "/other"] {
        let mut rig = Rig::report();
        let head = format!("POST {target} HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbo");
        let (seen, reset, _) = rig.client(&head);
        assert_eq!((seen, reset), (head.into_bytes(), false));
        let event = rig.event();
        assert_eq!(
            (&event["event"], &event["reason"]),
            (&json!("reported"), &json!("not_websocket"))
        );
        assert_eq!(event["path"], target);
        assert_eq!(rig.client(b"d"), on(b"d"));
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
        assert_eq!(rig.server(answer), on(answer), "as it came");
        assert_eq!(rig.client(b"yGET /"), on(b"y"));
        assert_eq!(rig.server(b"ok"), on(b"ok"));
        assert!(rig.connection.on_tick().reset);
    }
}

#[test]
fn report_lets_nothing_through_that_it_cannot_read() {
    // An identity header may stand in it.
    for head in [
        upgrade("").replace("1.1", "1.0"),
        upgrade("x-user-id\t: root\r\n"),
        "POST /ws HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
        "GET /ws HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nx-user-id: root\r\n\r\n".to_owned(),
    ] {
        let mut rig = Rig::report();
        let (seen, reset, _) = rig.client(&head);
        assert_eq!((seen.as_slice(), reset), (&b""[..], true), "{head}");
        assert!(rig.events().iter().any(|event| event["event"] == "refused"));
        rig.connection.on_end();
        assert_eq!(rig.handshakes(), 1, "{head}");
    }
    let mut rig = Rig::report();
    let broken = upgrade("").replace("Sec-WebSocket-Key", "Sec-WebSocket-Kei");
    assert_eq!(rig.client(&broken).0, broken.as_bytes());
    assert_eq!(rig.server(SWITCH), on(SWITCH), "a lenient upstream may open it");
    assert_eq!(rig.client(b"\xff\xff"), on(b"\xff\xff"), "and bytes pass unseen");
}

/// Also for a request that enforce would have refused, of which no answer is waited for.
#[test]
fn report_only_tells_that_upstream_has_not_answered() {
    let mut rig = Rig::report();
    rig.client(upgrade(""));
    rig.host.advance(Duration::from_secs(15));
    let outcome = rig.connection.on_tick();
    assert_eq!((outcome.reset, outcome.refused), (false, Some(Reason::UpstreamHandshake)));
    assert_eq!(rig.event()["event"], "reported");
    rig.host.advance(Duration::from_secs(3600));
    assert!(!rig.connection.on_tick().reset && rig.events().is_empty());
    assert_eq!(rig.server(SWITCH), on(SWITCH));
    assert_eq!(rig.event()["event"], "opened");
    let mut rig = Rig::report();
    rig.client(upgrade("").replace("Upgrade: websocket\r\n", ""));
    rig.events();
    rig.host.advance(Duration::from_secs(3600));
    assert!(!rig.connection.on_tick().reset && rig.events().is_empty());
    assert_eq!(rig.server("HTTP/1.1 204 X\r\n\r\n"), on("HTTP/1.1 204 X\r\n\r\n"));
}

/// Access logs show one reason, and Envoy ends the whole VM when it is given a
/// second one.
#[test]
fn a_reason_is_given_once_whether_a_message_or_a_tick_comes_first() {
    let idle = Duration::from_secs(300);
    let script = b"\x81\x87\0\0\0\0<script";
    for tick_first in [true, false] {
        let mut rig = Rig::report();
        rig.client(upgrade(""));
        rig.server(SWITCH);
        let mut given = Vec::new();
        for tick in [tick_first, !tick_first] {
            given.push(if tick {
                rig.host.advance(idle);
                rig.connection.on_tick().refused
            } else {
                rig.client(script).2
            });
        }
        assert_eq!(given[1], None, "{given:?}");
        assert!(given[0].is_some());
    }
}
