//! What is sent through the proxies.

use crate::frames::{self, BINARY, COMPRESSED_TEXT, TEXT};
use crate::load::{Pace, Trouble};
use crate::tokens::Use;

/// What client and upstream agree on where messages are compressed.
pub const DEFLATE: &str = "permessage-deflate; server_no_context_takeover; \
                           client_no_context_takeover";

/// One kind of traffic.
pub struct Workload {
    pub name: &'static str,
    pub title: &'static str,
    pub traffic: Traffic,
    /// Part of a quick run.
    pub quick: bool,
}

pub enum Traffic {
    Messages(Messages),
    Handshakes(Handshakes),
}

/// One message after the other, each answered.
pub struct Messages {
    pub path: &'static str,
    pub request: Vec<u8>,
    pub response: Vec<u8>,
    pub connections: usize,
    pub pace: Pace,
    pub compressed: bool,
}

/// One connection after the other, with this answer.
pub struct Handshakes {
    pub token: Use,
    pub status: u16,
    /// With an origin that is not allowed, where any are named.
    pub foreign: bool,
}

/// Connections at a time, for messages of a size that a browser sends.
const CONNECTIONS: usize = 8;

impl Workload {
    fn messages(name: &'static str, title: &'static str, quick: bool, messages: Messages) -> Self {
        Self { name, title, quick, traffic: Traffic::Messages(messages) }
    }

    fn handshakes(name: &'static str, title: &'static str, token: Use, status: u16) -> Self {
        let quick = matches!(name, "open" | "rs256-fresh" | "rs256-again" | "refused-signature");
        let handshakes = Handshakes { token, status, foreign: name == "refused-origin" };
        Self { name, title, quick, traffic: Traffic::Handshakes(handshakes) }
    }

    /// All of them, in the order of the table.
    pub fn all() -> Result<Vec<Self>, Trouble> {
        let mut all = messages()?;
        all.extend(handshakes());
        Ok(all)
    }

    pub fn is_handshake(&self) -> bool {
        matches!(self.traffic, Traffic::Handshakes(_))
    }
}

/// A message that comes back as it went.
fn echo(first: u8, payload: &[u8]) -> Messages {
    Messages {
        path: "/echo",
        request: frames::of_client(first, payload),
        response: frames::of_server(first, payload),
        connections: CONNECTIONS,
        pace: Pace::Closed(1),
        compressed: first == COMPRESSED_TEXT,
    }
}

fn messages() -> Result<Vec<Workload>, Trouble> {
    let text = |bytes| echo(TEXT, &frames::json(bytes));
    let small = frames::json(24);
    let large = frames::json(16 << 10);
    let up = Messages {
        path: "/answer/24",
        response: frames::of_server(TEXT, &small),
        ..echo(TEXT, &large)
    };
    let down = Messages {
        path: "/answer/16384",
        response: frames::of_server(TEXT, &large),
        ..echo(TEXT, &small)
    };
    let new = Workload::messages;
    Ok(vec![
        new("text-64", "64 B", true, text(64)),
        new(
            "text-64x16",
            "64 B, 16 in flight",
            true,
            Messages { pace: Pace::Closed(16), ..text(64) },
        ),
        new("text-1k", "1 KiB", true, text(1 << 10)),
        new("text-16k", "16 KiB", true, text(16 << 10)),
        new("text-256k", "256 KiB", false, Messages { connections: 4, ..text(256 << 10) }),
        new("binary-1k", "1 KiB binary", false, echo(BINARY, &frames::binary(1 << 10))),
        new("up-16k", "16 KiB from the client only", false, up),
        new("down-16k", "16 KiB from the server only", false, down),
        new(
            "deflate-1k",
            "1 KiB compressed",
            true,
            echo(COMPRESSED_TEXT, &frames::deflated(&frames::json(1 << 10))?),
        ),
        new(
            "deflate-16k",
            "16 KiB compressed",
            false,
            echo(COMPRESSED_TEXT, &frames::deflated(&frames::json(16 << 10))?),
        ),
        new(
            "paced-1k",
            "1 KiB, 1,000 a second",
            true,
            Messages { connections: 50, pace: Pace::Open(1000.0), ..text(1 << 10) },
        ),
    ])
}

fn handshakes() -> Vec<Workload> {
    let new = Workload::handshakes;
    vec![
        new("open", "no token", Use::None, 101),
        new("rs256-fresh", "RS256, fresh token", Use::Fresh("RS256"), 101),
        new("rs256-again", "RS256, repeated token", Use::Again("RS256"), 101),
        new("es256-fresh", "ES256, fresh token", Use::Fresh("ES256"), 101),
        new("es256-again", "ES256, repeated token", Use::Again("ES256"), 101),
        new("eddsa-fresh", "EdDSA, fresh token", Use::Fresh("EdDSA"), 101),
        new("eddsa-again", "EdDSA, repeated token", Use::Again("EdDSA"), 101),
        new("hs256-fresh", "HS256, fresh token", Use::Fresh("HS256"), 101),
        new("hs256-again", "HS256, repeated token", Use::Again("HS256"), 101),
        new("refused-missing", "refused: no token", Use::None, 401),
        new("refused-signature", "refused: bad signature", Use::Forged, 401),
        new("refused-origin", "refused: origin", Use::Again("RS256"), 403),
    ]
}
