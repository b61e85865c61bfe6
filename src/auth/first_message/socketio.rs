//! Socket.IO 5 over Engine.IO 4, whose packets are texts: `4` (a message) and
//! `0` (CONNECT), the namespace unless it is `/`, and a payload.
//!
//! A CONNECT is read as the most careless reader would: what begins like one
//! and is not exactly of this form is none that could be verified.

use super::{Forwarding, Reading, credential};
use crate::auth::error::AuthError;
use crate::auth::pointer::{self, Case, Found, document};

/// The member of a CONNECT's payload that holds the credential.
const TOKEN: &[&str] = &["token"];

/// A CONNECT packet.
struct Connect<'a> {
    /// Everything before the payload.
    head: &'a str,
    /// JSON, or nothing.
    payload: &'a str,
}

/// What begins like a CONNECT.
enum Beginning<'a> {
    Connect(Connect<'a>),
    /// A CONNECT to some: JavaScript reads white space as the number 0; Python reads
    /// digits of other scripts, and JSON texts in the place of a packet.
    Odd,
    /// Another packet.
    None,
}

fn begin(message: &[u8]) -> Beginning<'_> {
    let Ok(whole) = simdutf8::basic::from_utf8(message) else { return Beginning::None };
    let other_digit = |first: char| !first.is_ascii() && first.is_numeric();
    let Some(packet) = whole.strip_prefix('4') else {
        return if whole.starts_with(other_digit) { Beginning::Odd } else { Beginning::None };
    };
    let Some(body) = packet.strip_prefix('0') else {
        let odd = |first: char| {
            first.is_whitespace() || matches!(first, '\u{feff}' | '"') || other_digit(first)
        };
        let odd = packet.is_empty() || packet.starts_with(odd);
        return if odd { Beginning::Odd } else { Beginning::None };
    };
    let namespace = if body.starts_with('/') {
        body.find(',').map_or(body.len(), |comma| comma.saturating_add(1))
    } else {
        0
    };
    let (_, payload) = body.split_at_checked(namespace).unwrap_or((body, ""));
    let head = whole.strip_suffix(payload).unwrap_or_default();
    Beginning::Connect(Connect { head, payload })
}

pub(super) fn read(message: &[u8], forward: bool) -> Reading {
    if matches!(message, b"2" | b"3") {
        return Reading::Heartbeat;
    }
    let malformed = Reading::Malformed(AuthError::MessageForm);
    let connect = match begin(message) {
        Beginning::Connect(connect) => connect,
        Beginning::Odd => return malformed,
        Beginning::None => return Reading::Other,
    };
    if connect.payload.is_empty() {
        // One of several namespaces, each of which has a payload of its own.
        return Reading::Other;
    }
    // A number before the payload would be an acknowledgement's.
    let object = connect.payload.starts_with('{');
    let Some(payload) = document(connect.payload.as_bytes()).filter(|_| object) else {
        return malformed;
    };
    match pointer::find(payload, TOKEN, Case::Exact) {
        Found::Nothing | Found::OtherKind => Reading::Other,
        Found::Ambiguous => Reading::Malformed(AuthError::MessageTwice),
        Found::One(value) => credential(value, || match cut_out(message) {
            Some(instead) if !forward => Forwarding::Instead(instead),
            _ => Forwarding::AsItIs,
        }),
    }
}

/// A CONNECT without its token. One whose payload can't be read goes on without
/// it.
pub(super) fn cut_out(message: &[u8]) -> Option<Vec<u8>> {
    let connect = match begin(message) {
        Beginning::Connect(connect) if !connect.payload.is_empty() => connect,
        Beginning::Odd if message.len() > 1 => return Some(b"40".to_vec()),
        _ => return None,
    };
    let object = connect.payload.starts_with('{');
    let Some(payload) = document(connect.payload.as_bytes()).filter(|_| object) else {
        return Some(connect.head.as_bytes().to_vec());
    };
    let left = pointer::without(payload, TOKEN)?;
    Some([connect.head, &left].concat().into_bytes())
}

/// The server's OPEN, without which no client sends a CONNECT, and its ping.
pub(super) fn passes_before(server_message: &[u8]) -> bool {
    server_message == b"2" || server_message.starts_with(b"0{")
}

/// A client's packet, by the payload that `authorize` reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::auth) enum Packet<'a> {
    /// Nothing that an application acts on: of Engine.IO a heartbeat or the end, of
    /// Socket.IO a CONNECT or DISCONNECT without a payload, or an acknowledgement.
    Silent,
    /// A CONNECT's payload, an object.
    Connect(&'a [u8]),
    /// The payload of an event, a list.
    Event(&'a [u8]),
}

/// Reads a packet; `None` for what is none that a client sends, and where parsers
/// may read another one.
pub(in crate::auth) fn packet(message: &[u8]) -> Option<Packet<'_>> {
    if matches!(message, b"1" | b"2" | b"3") {
        return Some(Packet::Silent);
    }
    let [b'4', kind, ..] = message else { return None };
    let payload = payload_of(message);
    let begins = |with: u8| payload.trim_ascii_start().first() == Some(&with);
    match kind {
        b'0' => match begin(message) {
            Beginning::Connect(connect) if connect.payload.is_empty() => Some(Packet::Silent),
            Beginning::Connect(connect) if connect.payload.starts_with('{') => {
                let payload = connect.payload.as_bytes();
                document(payload).map(|_| Packet::Connect(payload))
            }
            _ => None,
        },
        b'1' => payload.is_empty().then_some(Packet::Silent),
        b'2' | b'5' => begins(b'[').then_some(Packet::Event(payload)),
        b'3' | b'6' => (begins(b'[') && document(payload).is_some()).then_some(Packet::Silent),
        _ => None,
    }
}

/// The payload of a packet, as text: `42["join","a"]` has `["join","a"]`.
fn payload_of(message: &[u8]) -> &[u8] {
    let Some([_, rest @ ..]) = message.strip_prefix(b"4") else { return message };
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut rest = rest;
    // Binary attachments: `51-[…]`.
    let count = digits(rest);
    if let (true, Some(b'-')) = (count > 0, rest.get(count)) {
        rest = rest.get(count.saturating_add(1)..).unwrap_or_default();
    }
    if rest.first() == Some(&b'/') {
        let comma = memchr::memchr(b',', rest).map_or(rest.len(), |at| at.saturating_add(1));
        rest = rest.get(comma..).unwrap_or_default();
    }
    rest.get(digits(rest)..).unwrap_or_default()
}
