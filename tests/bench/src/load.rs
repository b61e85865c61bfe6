//! The load generator: one thread, epoll, loopback.

mod handshakes;
mod messages;

pub use handshakes::{Held, hold, shake};
pub use messages::{Fleet, Pace};

use hdrhistogram::Histogram;
use std::net::SocketAddr;
use std::time::Duration;

/// Whatever ends a benchmark before its time.
pub type Trouble = Box<dyn std::error::Error>;

/// How long nothing may happen before a run is given up.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Latencies up to a minute, in nanoseconds, to three digits.
pub fn latencies() -> Result<Histogram<u64>, Trouble> {
    Ok(Histogram::new_with_bounds(1, 60_000_000_000, 3)?)
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The head of an opening handshake (RFC 6455 §4.1), with further lines.
pub fn request_head(path: &str, host: SocketAddr, lines: &[(String, String)]) -> Vec<u8> {
    let mut head = format!(
        "GET {path} HTTP/1.1\r\nhost: {host}\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\
         user-agent: wsguard-bench\r\n"
    );
    for (name, value) in lines {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// The status of an answer, once its head is there.
pub(crate) fn status_of(answer: &[u8]) -> Option<u16> {
    crate::upstream::find_head(answer)?;
    std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok()
}
