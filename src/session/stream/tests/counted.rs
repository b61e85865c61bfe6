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
