//! Security events: one JSON line each, after `wsguard `. Never a payload,
//! token or query.

use crate::config::Mode;
use crate::frame::Sender;
use crate::host::Timestamp;
use crate::reason::Reason;
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt::Write;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

pub mod limiter;

/// What stands before the JSON of every event line.
pub const PREFIX: &str = "wsguard ";

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Upstream accepted the upgrade; the WebSocket is open.
    Opened,
    /// It is still open, after another `events.progress`.
    Progress,
    /// An opened WebSocket has ended.
    Closed,
    /// A handshake or a message was refused.
    Refused,
    /// It would have been refused, was the mode not `report` or the action not
    /// `report`.
    Reported,
    /// A message was let vanish.
    Dropped,
    /// A message was let vanish, and the client told.
    Replied,
    /// What a rule found was cut out of a message.
    Sanitized,
    /// Messages wait for a rate.
    Slowed,
    /// An address or user is refused from now on, for what it did.
    Banned,
    /// Its ban is over.
    Unbanned,
    /// More lines than the cap in the second before; `suppressed` says how many.
    Suppressed,
}

/// What is known of a connection from its opening handshake. Values that a
/// client chose are bounded in length.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// The client's address.
    pub ip: Option<IpAddr>,
    /// Normal path, without query.
    pub path: String,
    /// `Origin`, as sent.
    pub origin: Option<String>,
    /// `User-Agent`, as sent.
    pub user_agent: Option<String>,
    /// Envoy's `connection.id`.
    pub connection: Option<u64>,
    /// Envoy's `request.id`.
    pub request_id: Option<String>,
    /// Whom the credential names.
    pub user: Option<String>,
    /// Kind of the credential.
    pub credential: Option<&'static str>,
}

/// The version of the lines: it changes when a field goes or means something else.
pub const VERSION: u8 = 1;

/// One event. Fields that don't apply are `null`; those of `opened`, `progress`,
/// `closed` and `suppressed` stand in their lines only.
#[derive(Clone, Debug, Serialize)]
pub struct Event<'a> {
    /// [`VERSION`]
    v: u8,
    /// RFC 3339, UTC, milliseconds.
    #[serde(serialize_with = "timestamp")]
    pub ts: Timestamp,
    /// What happened.
    pub event: Kind,
    /// The policy's name.
    pub policy: Option<&'a str>,
    /// Why.
    #[serde(serialize_with = "reason")]
    pub reason: Option<Reason>,
    /// Whether the policy refuses or only reports.
    #[serde(serialize_with = "mode")]
    pub mode: Mode,
    /// Who.
    #[serde(flatten, serialize_with = "about")]
    pub about: &'a About,
    /// Whose bytes it is about.
    #[serde(serialize_with = "direction")]
    pub direction: Option<Sender>,
    /// Name of the rule that matched.
    pub rule: Option<&'a str>,
    /// Where in the sender's bytes since the upgrade the frame begins.
    pub offset: Option<u64>,
    /// What was wrong, in words.
    pub detail: Option<String>,
    /// Of `opened`.
    #[serde(flatten)]
    pub opened: Option<Opened<'a>>,
    /// Of `progress`.
    #[serde(flatten)]
    pub progress: Option<Traffic>,
    /// Of `closed`.
    #[serde(flatten)]
    pub closed: Option<Closed>,
    /// Of `suppressed`: how many lines were left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<u64>,
}

/// What `opened` adds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Opened<'a> {
    /// Id of the key that verified the credential, or the beginning of its hash.
    pub key_id: Option<&'a str>,
    /// When the credential was verified.
    #[serde(serialize_with = "optional_timestamp")]
    pub authenticated_at: Option<Timestamp>,
}

/// Members that `progress` and `closed` have in addition.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Traffic {
    /// Whole messages, by sender.
    pub messages: PerDirection,
    /// Bytes of frames, by sender.
    pub bytes: PerDirection,
    /// How long it was open, in milliseconds.
    #[serde(rename = "duration_ms", serialize_with = "milliseconds")]
    pub duration: Duration,
}

/// Members that only `closed` has.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Closed {
    /// Traffic of the whole connection.
    #[serde(flatten)]
    pub traffic: Traffic,
    /// The close code that an end was really sent; `null` where none was, or it had
    /// no code.
    pub code: Option<u16>,
    /// `client`, `server` or `wsguard`, whichever ended the connection; `null` if Envoy
    /// did.
    pub by: Option<&'static str>,
}

/// A count for each direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PerDirection {
    /// Sent by the client.
    pub client: u64,
    /// Sent by the server.
    pub server: u64,
}

impl PerDirection {
    /// Adds to one of them.
    pub const fn add(&mut self, sender: Sender, count: u64) {
        let slot = match sender {
            Sender::Client => &mut self.client,
            Sender::Server => &mut self.server,
        };
        *slot = slot.saturating_add(count);
    }
}

impl<'a> Event<'a> {
    /// An event of this kind with nothing but the connection filled in.
    #[must_use]
    pub const fn new(ts: Timestamp, event: Kind, mode: Mode, about: &'a About) -> Self {
        Self {
            v: VERSION,
            ts,
            event,
            policy: None,
            reason: None,
            mode,
            about,
            direction: None,
            rule: None,
            offset: None,
            detail: None,
            opened: None,
            progress: None,
            closed: None,
            suppressed: None,
        }
    }

    /// The line, with its prefix. All of it is printable ASCII, so that every format
    /// of Envoy's log leaves it as it is, or escapes nothing but quotes and
    /// backslashes.
    #[must_use]
    pub fn line(&self) -> String {
        // Serializing these fields cannot fail; were it to, the line says so.
        let json = serde_json::to_string(self).unwrap_or_else(|e| format!("{{\"error\":\"{e}\"}}"));
        format!("{PREFIX}{}", ascii(&json))
    }
}

/// A client's value for an event: cut to `limit` bytes at a character, bytes
/// that are not UTF-8 replaced.
#[must_use]
pub fn bounded(value: &[u8], limit: usize) -> String {
    let mut text = String::from_utf8_lossy(value.get(..limit).unwrap_or(value)).into_owned();
    if value.len() > limit {
        text.push('…');
    }
    text
}

/// Returns the JSON text with `\u` escapes for every character that is not printable ASCII.
/// Such characters occur only inside JSON strings. Without the escapes, a log collector
/// might decode the bytes in another encoding, and a terminal might obey them.
fn ascii(json: &str) -> Cow<'_, str> {
    if json.bytes().all(|b| matches!(b, b' '..=b'~')) {
        return Cow::Borrowed(json);
    }
    let mut text = String::with_capacity(json.len() + 64);
    let mut units = [0; 2];
    for c in json.chars() {
        if matches!(c, ' '..='~') {
            text.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut units) {
            // Writing to a String cannot fail.
            let _ = write!(text, "\\u{unit:04x}");
        }
    }
    Cow::Owned(text)
}

fn timestamp<S: Serializer>(ts: &Timestamp, s: S) -> Result<S::Ok, S::Error> {
    let time = SystemTime::UNIX_EPOCH + ts.since_epoch();
    s.collect_str(&humantime::format_rfc3339_millis(time))
}

fn optional_timestamp<S: Serializer>(ts: &Option<Timestamp>, s: S) -> Result<S::Ok, S::Error> {
    match ts {
        Some(ts) => timestamp(ts, s),
        None => s.serialize_none(),
    }
}

fn reason<S: Serializer>(reason: &Option<Reason>, s: S) -> Result<S::Ok, S::Error> {
    reason.map(Reason::name).serialize(s)
}

fn mode<S: Serializer>(mode: &Mode, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(match mode {
        Mode::Enforce => "enforce",
        Mode::Report => "report",
    })
}

fn direction<S: Serializer>(direction: &Option<Sender>, s: S) -> Result<S::Ok, S::Error> {
    direction.map(Sender::name).serialize(s)
}

fn milliseconds<S: Serializer>(duration: &Duration, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// The fields of [`About`], in the order of the contract.
fn about<S: Serializer>(about: &About, s: S) -> Result<S::Ok, S::Error> {
    use serde::ser::SerializeMap;
    let mut map = s.serialize_map(None)?;
    map.serialize_entry("ip", &about.ip)?;
    map.serialize_entry("user", &about.user)?;
    map.serialize_entry("credential", &about.credential)?;
    map.serialize_entry("path", &about.path)?;
    map.serialize_entry("origin", &about.origin)?;
    map.serialize_entry("user_agent", &about.user_agent)?;
    map.serialize_entry("connection", &about.connection.map(|id| id.to_string()))?;
    map.serialize_entry("request_id", &about.request_id)?;
    map.end()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The example of the contract, field for field.
    #[test]
    fn a_line_reads_as_the_contract_says() {
        let about = About {
            ip: Some(IpAddr::from([192, 0, 2, 7])),
            path: "/ws".into(),
            origin: Some("https://evil.example".into()),
            user_agent: Some("curl/8".into()),
            connection: Some(42),
            request_id: Some("r-1".into()),
            ..About::default()
        };
        let ts = Timestamp::from_unix(Duration::from_millis(1_795_341_600_123));
        let mut event = Event::new(ts, Kind::Refused, Mode::Enforce, &about);
        event.policy = Some("chat");
        event.reason = Some(Reason::OriginDenied);
        event.direction = Some(Sender::Client);
        event.detail = Some("not listed".into());
        assert_eq!(
            event.line(),
            r#"wsguard {"v":1,"ts":"2026-11-22T10:00:00.123Z","event":"refused","policy":"chat","reason":"origin_denied","mode":"enforce","ip":"192.0.2.7","user":null,"credential":null,"path":"/ws","origin":"https://evil.example","user_agent":"curl/8","connection":"42","request_id":"r-1","direction":"client","rule":null,"offset":null,"detail":"not listed"}"#
        );
    }

    #[test]
    fn a_clients_words_can_not_break_out_of_the_line() {
        let about =
            About { user_agent: Some(bounded(b"a\"\n\xff wsguard {", 256)), ..About::default() };
        let event = Event::new(Timestamp::default(), Kind::Refused, Mode::Report, &about);
        let line = event.line();
        assert!(!line.contains('\n'));
        let json: serde_json::Value = serde_json::from_str(&line[PREFIX.len()..]).unwrap();
        assert_eq!(json["user_agent"], "a\"\n\u{fffd} wsguard {");
    }

    #[test]
    fn long_values_are_cut() {
        assert_eq!(bounded("aé".as_bytes(), 2), "a\u{fffd}…");
        assert_eq!(bounded(b"abc", 3), "abc");
    }

    #[test]
    fn closed_adds_its_figures() {
        let about = About::default();
        let mut event = Event::new(Timestamp::default(), Kind::Closed, Mode::Enforce, &about);
        let traffic = Traffic {
            messages: PerDirection { client: 1, server: 2 },
            bytes: PerDirection { client: 30, server: 40 },
            duration: Duration::from_millis(1500),
        };
        event.closed = Some(Closed { traffic, code: Some(1000), by: Some("client") });
        let figures = r#""messages":{"client":1,"server":2},"bytes":{"client":30,"server":40},"duration_ms":1500"#;
        let line = event.line();
        assert!(line.ends_with(&format!(r#"{figures},"code":1000,"by":"client"}}"#)), "{line}");
        let mut event = Event::new(Timestamp::default(), Kind::Progress, Mode::Enforce, &about);
        event.progress = Some(traffic);
        assert!(event.line().ends_with(&format!("{figures}}}")), "{}", event.line());
    }

    proptest! {
        /// Whatever a client calls itself, the line is printable ASCII and says it.
        #[test]
        fn a_line_is_printable_ascii_and_says_the_same(agent in any::<Vec<u8>>()) {
            let about = About { user_agent: Some(bounded(&agent, 256)), ..About::default() };
            let line = Event::new(Timestamp::default(), Kind::Refused, Mode::Enforce, &about).line();
            prop_assert!(line.bytes().all(|b| matches!(b, b' '..=b'~')), "{line}");
            let json: serde_json::Value = serde_json::from_str(&line[PREFIX.len()..]).unwrap();
            prop_assert_eq!(json["user_agent"].as_str(), about.user_agent.as_deref());
        }
    }

    /// Those that terminals obey, or that change the order of what they show.
    #[test]
    fn control_characters_beyond_ascii_are_escaped_too() {
        let agent = "\u{7f}\u{9b}31m\u{202e}\u{2028}\u{1f600}";
        let about = About { user_agent: Some(agent.to_owned()), ..About::default() };
        let line = Event::new(Timestamp::default(), Kind::Refused, Mode::Enforce, &about).line();
        let escaped = r#""user_agent":"\u007f\u009b31m\u202e\u2028\ud83d\ude00""#;
        assert!(line.contains(escaped), "{line}");
    }
}
