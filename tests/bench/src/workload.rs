//! What is sent through the proxies.

use crate::frames::{self, BINARY, COMPRESSED_TEXT, TEXT};
use crate::load::{Pace, Trouble};
use crate::tokens::Use;
use flate2::{Compress, Compression, FlushCompress};

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
    /// What the messages say, where that is text.
    pub texts: Vec<Vec<u8>>,
    /// The messages that are sent in turn: different ones of one size.
    pub requests: Vec<Vec<u8>>,
    /// Their answers, of one size as well.
    pub responses: Vec<Vec<u8>>,
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
    /// How many at a time.
    pub parallel: usize,
}

/// Connections at a time, for messages of a size that a browser sends.
const CONNECTIONS: usize = 8;

impl Workload {
    fn messages(name: &'static str, title: &'static str, quick: bool, messages: Messages) -> Self {
        Self { name, title, quick, traffic: Traffic::Messages(messages) }
    }

    fn handshakes(name: &'static str, title: &'static str, token: Use, status: u16) -> Self {
        let quick = matches!(
            name,
            "open" | "rs256-fresh" | "rs256-again" | "refused-missing" | "refused-signature"
        );
        let parallel = if name == "refused-flood" { 64 } else { 4 };
        let handshakes = Handshakes { token, status, foreign: name == "refused-origin", parallel };
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

/// Different messages of one size, one after the other.
const TURN: u32 = 8;

/// Messages that come back as they went.
fn echo(first: u8, payloads: &[Vec<u8>]) -> Messages {
    Messages {
        path: "/echo",
        texts: payloads.to_vec(),
        requests: payloads.iter().map(|payload| frames::of_client(first, payload)).collect(),
        responses: payloads.iter().map(|payload| frames::of_server(first, payload)).collect(),
        connections: CONNECTIONS,
        pace: Pace::Closed(1),
        compressed: first == COMPRESSED_TEXT,
    }
}

fn json(bytes: usize) -> Vec<Vec<u8>> {
    (0..TURN).map(|seed| frames::json(bytes, seed)).collect()
}

/// One alone: others of its size would not be compressed to one size.
fn deflate(bytes: usize) -> Result<Messages, Trouble> {
    Ok(echo(COMPRESSED_TEXT, &[deflated(&frames::json(bytes, 0))?]))
}

fn messages() -> Result<Vec<Workload>, Trouble> {
    let text = |bytes| echo(TEXT, &json(bytes));
    // The upstream answers all with the same.
    let answered = |path, payloads: Vec<Vec<u8>>, bytes| {
        let response = frames::of_server(TEXT, &frames::json(bytes, 0));
        let responses = vec![response; payloads.len()];
        Messages { path, responses, ..echo(TEXT, &payloads) }
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
        // JSON, since the example policy reads what messages ask for.
        new("binary-1k", "1 KiB binary", false, echo(BINARY, &json(1 << 10))),
        new(
            "up-16k",
            "16 KiB from the client only",
            false,
            answered("/answer/32", json(16 << 10), 32),
        ),
        new(
            "down-16k",
            "16 KiB from the server only",
            false,
            answered("/answer/16384", json(32), 16 << 10),
        ),
        new("deflate-1k", "1 KiB compressed", true, deflate(1 << 10)?),
        new("deflate-16k", "16 KiB compressed", false, deflate(16 << 10)?),
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
        new("refused-flood", "refused: bad signature, 64 at a time", Use::Forged, 401),
        new("refused-banned", "refused: banned", Use::Forged, 429),
        new("refused-origin", "refused: origin", Use::Again("RS256"), 403),
    ]
}

/// A message as permessage-deflate sends it, without context takeover
/// (RFC 7692 §7.2.1).
fn deflated(plain: &[u8]) -> Result<Vec<u8>, Trouble> {
    let mut packed = Vec::with_capacity(plain.len() + 64);
    Compress::new(Compression::default(), false).compress_vec(
        plain,
        &mut packed,
        FlushCompress::Sync,
    )?;
    let kept = packed.strip_suffix(&[0, 0, 0xFF, 0xFF]).ok_or("a flush ends with 00 00 FF FF")?;
    Ok(kept.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Decompress;

    #[test]
    fn compressed_messages_end_with_a_block() {
        for bytes in [1 << 10, 16 << 10] {
            let plain = frames::json(bytes, 0);
            let mut sent = deflated(&plain).unwrap();
            sent.extend_from_slice(&[0, 0, 0xFF, 0xFF]);
            let mut back = Vec::with_capacity(bytes + 1);
            let mut inflate = Decompress::new(false);
            inflate.decompress_vec(&sent, &mut back, flate2::FlushDecompress::Sync).unwrap();
            assert_eq!((back, inflate.total_in()), (plain, sent.len() as u64));
        }
    }
}
