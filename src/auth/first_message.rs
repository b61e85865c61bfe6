//! The credential that comes in the first message: the upgrade is accepted, and
//! nothing of the client goes up before what it sends has been verified.
//!
//! Everything here only reads; the session holds what has to wait.

use super::error::AuthError;
use super::pointer::{self, Found, Outline, Pointer, document};
use super::query;
use serde_json::Value;
use serde_json::value::RawValue;
use std::time::Duration;

mod graphql;
mod socketio;
mod when;

pub(super) use socketio::{Packet, packet as socketio_packet};
pub(super) use when::Met;
pub use when::When;

/// `first_message`, `deadline`, and what becomes of the credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstMessageRules {
    /// How a message says that it is the credential.
    pub form: Form,
    /// How long after the upgrade a valid credential must have come.
    pub deadline: Duration,
    /// Whether upstream sees the credential where the message goes on.
    pub forward: bool,
}

/// How a message says that it is the credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// A JSON message that has it at a place. It is swallowed, unless
    /// [`FirstMessageRules::forward`] is set.
    Pointer {
        /// Where the credential stands.
        pointer: Pointer,
        /// What else the message must say.
        when: When,
        /// The text message that the client gets once it is verified.
        ack: Option<String>,
        /// Number of server messages that pass before the credential has been verified.
        greeting: u32,
    },
    /// Socket.IO 5 over Engine.IO 4: the CONNECT packet, which goes on.
    SocketIo,
    /// graphql-transport-ws and subscriptions-transport-ws: `connection_init`,
    /// which goes on.
    GraphQl,
}

/// What a message of a client is that has not been verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// It carries the credential.
    Credential {
        /// To be verified.
        credential: Vec<u8>,
        /// What becomes of the message then.
        forward: Forwarding,
        /// The text message that the client gets in return.
        ack: Option<Vec<u8>>,
    },
    /// What the protocol needs at any time: it passes at once.
    Heartbeat,
    /// Anything else: it is held until the credential has been verified.
    Other,
    /// It says that it is the credential and holds none, or none that all
    /// readers would read alike.
    Malformed(AuthError),
}

/// What becomes of the message that carried the credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forwarding {
    /// It goes nowhere.
    Swallow,
    /// It goes on as it is.
    AsItIs,
    /// This goes on in its place: the credential is cut out.
    Instead(Vec<u8>),
}

/// Why an upgrade can't be waited for a first message on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotFromTheStart {
    /// It goes on with a session that began by long polling.
    Upgraded,
    /// It speaks another version of Engine.IO than 4.
    Version,
}

impl std::fmt::Display for NotFromTheStart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Upgraded => {
                "a session that began by long polling (`sid`) is not taken here; connect with \
                 transports: [\"websocket\"]"
            }
            Self::Version => {
                "this path speaks version 4 of Engine.IO (`EIO=4`, once): Socket.IO clients from \
                 version 3 on"
            }
        })
    }
}

impl FirstMessageRules {
    /// Whether the WebSocket begins with the upgrade, so that the client's first
    /// message will be the first thing it says. `query` is what follows the `?`.
    ///
    /// # Errors
    /// For Socket.IO, where the session has begun before, or is of a version in
    /// which the client's credential stands elsewhere.
    pub fn begins_here(&self, query: Option<&[u8]>) -> Result<(), NotFromTheStart> {
        let query = query.unwrap_or_default();
        if self.form != Form::SocketIo {
            return Ok(());
        }
        if query::values(query, "sid").next().is_some() {
            return Err(NotFromTheStart::Upgraded);
        }
        let mut versions = query::values(query, "EIO");
        let four = versions.next().is_some_and(|version| *query::decode(version) == *b"4");
        if four && versions.next().is_none() { Ok(()) } else { Err(NotFromTheStart::Version) }
    }

    /// Reads a whole message of a client that has not been verified. While one
    /// [`Reading::Credential`] is being verified, later ones are to be held, too,
    /// and go up as [`Self::cut_out`] leaves them.
    #[must_use]
    pub fn read(&self, kind_is_text: bool, message: &[u8]) -> Reading {
        if !kind_is_text {
            return Reading::Other;
        }
        match &self.form {
            Form::Pointer { pointer, when, ack, .. } => {
                let reading = read_pointer(pointer, when, message, || self.forwarding());
                reading.with_ack(ack.as_deref())
            }
            Form::SocketIo => socketio::read(message, self.forward),
            Form::GraphQl => graphql::read(message, self.forward),
        }
    }

    /// A later message of a client that has been verified, in the handshake or by
    /// its first message, without the credential that it carries again; `None`:
    /// it goes on as it is. Some readers take binary messages for text, but none of
    /// Socket.IO, which has attachments in them.
    #[must_use]
    pub fn cut_out(&self, kind_is_text: bool, message: &[u8]) -> Option<Vec<u8>> {
        if self.forward {
            return None;
        }
        match &self.form {
            Form::Pointer { pointer, when, .. } => {
                if !may_hold(message, pointer.name()) {
                    return None;
                }
                // What readers don't agree on may be meant as well.
                let meant = when.0.is_empty()
                    || when.is_met_by(&Outline::of(message, when.pointers())?) != Met::No;
                if !meant {
                    return None;
                }
                pointer.without(document(message)?).map(String::into_bytes)
            }
            Form::SocketIo if kind_is_text => socketio::cut_out(message),
            Form::SocketIo => None,
            Form::GraphQl => graphql::cut_out(message),
        }
    }

    /// Returns true if this client message carries the credential and is not forwarded.
    #[must_use]
    pub fn swallows(&self, kind_is_text: bool, message: &[u8]) -> bool {
        matches!(self.form, Form::Pointer { .. })
            && !self.forward
            && matches!(self.read(kind_is_text, message), Reading::Credential { .. })
    }

    /// Returns the number of server messages, of any content, that pass before the client has
    /// been verified.
    #[must_use]
    pub const fn greeting(&self) -> u32 {
        match self.form {
            Form::Pointer { greeting, .. } => greeting,
            Form::SocketIo | Form::GraphQl => 0,
        }
    }

    /// Says whether a message that carried the credential by [`Form::Pointer`] is
    /// forwarded.
    const fn forwarding(&self) -> Forwarding {
        if self.forward { Forwarding::AsItIs } else { Forwarding::Swallow }
    }

    /// Whether a text message of the server passes to a client that has not been
    /// verified, since the client waits for it with its credential.
    #[must_use]
    pub fn passes_before(&self, server_message: &[u8]) -> bool {
        self.form == Form::SocketIo && socketio::passes_before(server_message)
    }
}

impl Reading {
    /// Adds the text that the client is sent once the credential has been verified.
    fn with_ack(self, text: Option<&str>) -> Self {
        match self {
            Self::Credential { credential, forward, .. } => {
                let ack = text.map(|text| text.as_bytes().to_vec());
                Self::Credential { credential, forward, ack }
            }
            other => other,
        }
    }
}

fn read_pointer(
    pointer: &Pointer,
    when: &When,
    message: &[u8],
    forward: impl FnOnce() -> Forwarding,
) -> Reading {
    let outline = Outline::of(message, when.pointers().chain([pointer]));
    let Some(outline) = outline else { return Reading::Other };
    match when.is_met_by(&outline) {
        Met::Yes => {}
        Met::ByDefault | Met::No => return Reading::Other,
        Met::OtherKind | Met::Unclear => return Reading::Malformed(AuthError::MessageForm),
    }
    match outline.find(pointer) {
        Found::One(value) => credential(value, forward),
        Found::Ambiguous => Reading::Malformed(AuthError::MessageTwice),
        Found::Nothing | Found::OtherKind if when.0.is_empty() => Reading::Other,
        Found::Nothing | Found::OtherKind => Reading::Malformed(AuthError::MessageMissing),
    }
}

/// A text, with or without `Bearer` before it.
fn credential(value: &RawValue, forward: impl FnOnce() -> Forwarding) -> Reading {
    let Some(text) = pointer::text(value) else {
        return Reading::Malformed(AuthError::MessageForm);
    };
    let text = match text.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer ") => token.trim_ascii(),
        _ => &text,
    };
    Reading::Credential { credential: text.as_bytes().to_vec(), forward: forward(), ack: None }
}

/// Whether a JSON text may hold this word. An escape may stand for any of its
/// letters.
fn may_hold(message: &[u8], word: &str) -> bool {
    memchr::memchr(b'\\', message).is_some() || holds_word(message, word)
}

/// The same for the word as it is, in any letter case.
fn holds_word(message: &[u8], word: &str) -> bool {
    // Two signs beyond ASCII fold to ASCII letters.
    if memchr::memmem::find(message, "ſ".as_bytes()).is_some()
        || memchr::memmem::find(message, "\u{212a}".as_bytes()).is_some()
    {
        return true;
    }
    let word = word.as_bytes();
    let Some(first) = word.first().filter(|_| word.is_ascii()) else { return true };
    memchr::memchr2_iter(first.to_ascii_lowercase(), first.to_ascii_uppercase(), message).any(
        |at| {
            let rest = message.get(at..).unwrap_or_default();
            rest.get(..word.len()).is_some_and(|found| found.eq_ignore_ascii_case(word))
        },
    )
}

/// Entry for the fuzzer: whatever a client sends, every form reads it without a
/// panic; what goes on instead of a message holds no credential any more and is
/// read the same again; heartbeats are exactly the protocol's; and one look for all
/// pointers finds what a look for each finds.
pub fn fuzz_first_message(data: &[u8]) {
    pointer::fuzz_outline(data);
    let pointer = |text| Pointer::parse(text).unwrap_or_default();
    let when = When(vec![(pointer("/type"), Value::from("auth"))]);
    let by = |text, when, ack| Form::Pointer { pointer: pointer(text), when, ack, greeting: 0 };
    let ack = Some("{}".to_owned());
    let forms = [
        by("/token", When::default(), None),
        by("/token/0", When::default(), None),
        by("/0", When::default(), None),
        by("/a/0/token", when, ack),
        Form::SocketIo,
        Form::GraphQl,
    ];
    for form in forms {
        let rules = FirstMessageRules { form, deadline: Duration::ZERO, forward: false };
        assert_eq!(rules.read(false, data), Reading::Other);
        let reading = rules.read(true, data);
        assert_eq!(reading == Reading::Heartbeat, {
            rules.form == Form::SocketIo && (data == b"2" || data == b"3")
        });
        let left = rules.cut_out(true, data);
        if let Reading::Credential { forward, .. } = &reading {
            // What carries a credential never goes on as it is.
            match forward {
                Forwarding::Swallow => assert!(matches!(rules.form, Form::Pointer { .. })),
                Forwarding::AsItIs => assert_ne!(*forward, Forwarding::AsItIs, "goes up"),
                Forwarding::Instead(instead) => assert_eq!(Some(instead), left.as_ref()),
            }
            assert!(left.is_some());
        }
        if let Some(left) = left {
            assert_eq!(rules.cut_out(true, &left), None, "something is left of it");
            assert!(!matches!(rules.read(true, &left), Reading::Credential { .. }));
        }
        let open = FirstMessageRules { forward: true, ..rules };
        assert_eq!(open.cut_out(true, data), None);
    }
}

#[cfg(test)]
mod tests;
