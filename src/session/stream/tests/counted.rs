//! What is counted of a connection that ends before there is a WebSocket.

use super::*;

impl Rig {
    /// All handshakes that were counted, however they ended.
    pub(super) fn handshakes(&self) -> i64 {
        let metrics = self.host.metrics();
        let counts = metrics.iter().filter(|m| m.name.starts_with("wsguard_handshakes_total"));
        counts.map(|metric| metric.value).sum()
    }
}

fn with_bans(mode: &str) -> Value {
    json!({"mode": mode, "policies": [{
        "name": "chat",
        "auth": {
            "credentials": [{"header": "authorization"}],
            "session": {"cluster": "auth", "host": "h", "path": "/", "send": "bearer",
                        "subject": "/sub"},
        },
        "bans": {"threshold": 1},
    }]})
}

/// The HTTP filter's client is struck for the same once its answer is there.
#[test]
fn bytes_before_the_answer_are_a_strike_while_somebody_is_asked_too() {
    for coalesced in [true, false] {
        for mode in ["enforce", "report"] {
            let mut rig = Rig::new(with_bans(mode));
            let head = upgrade("Authorization: Bearer t\r\n");
            if coalesced {
                assert!(rig.client([head.as_bytes(), HI].concat()).1);
            } else {
                assert_eq!(rig.client(&head), on(b""));
                assert!(rig.connection.is_waiting());
                assert_eq!(rig.client(HI), closed(Reason::ProtocolError));
            }
            let kinds: Vec<Value> = rig.events().iter().map(|e| e["event"].clone()).collect();
            assert_eq!(kinds, ["refused", "banned"], "{mode}");
            rig.connection.on_end();
            assert_eq!(rig.handshakes(), 1);
        }
    }
}

#[test]
fn a_wall_clock_that_jumps_ends_no_handshake_and_keeps_none() {
    for hours in [1, 1_000_000] {
        let mut rig = Rig::enforce();
        let head = upgrade("");
        rig.client(&head[..20]);
        rig.host.set(Timestamp::from_unix(Duration::from_secs(hours * 3600)));
        assert!(!rig.connection.on_tick().reset);
        assert_eq!(rig.client(&head[20..]), on(&head));
        rig.host.set(Timestamp::from_unix(Duration::from_secs(3600)));
        assert!(!rig.connection.on_tick().reset);
        assert_eq!(rig.server(SWITCH), on(SWITCH));
    }
    for hours in [1, 1_000_000] {
        let mut rig = Rig::enforce();
        rig.client(b"GET");
        rig.host.set(Timestamp::from_unix(Duration::from_secs(hours * 3600)));
        rig.host.advance(Duration::from_secs(10));
        assert!(rig.connection.on_tick().reset);
    }
}

#[test]
fn heads_count_as_held_bytes() {
    let mut rig = Rig::new(json!({"limits": {"buffered_per_worker": "1KiB"}}));
    assert_eq!(rig.client(vec![b'G'; 1000]), on(b""));
    assert_eq!(rig.client(vec![b'G'; 100]), closed(Reason::Overloaded));
    assert_eq!((rig.event()["reason"].clone(), rig.held_bytes()), (json!("overloaded"), 0));
}
