//! How a refused handshake is told: a problem document (RFC 9457), or a
//! WebSocket that opens and closes at once.

use crate::auth::Scheme;
use crate::frame::close;
use crate::quota::rate::whole_seconds;
use crate::reason::Reason;
use serde::Serialize;
use std::time::Duration;

/// An answer in upstream's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// HTTP status.
    pub status: u16,
    /// Header lines, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

/// RFC 9457, with `reason` as extension member.
#[derive(Serialize)]
struct Problem<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    reason: &'a str,
}

/// Seconds after which trying again may help (RFC 9110 §10.2.3).
const RETRY_AFTER: &str = "5";

impl Refusal {
    /// Told with an HTTP status.
    #[must_use]
    pub fn http(reason: Reason, detail: &str) -> Self {
        // Every reason that can come before the upgrade has a status; were one
        // without, the request is refused all the same.
        let status = reason.http_status().unwrap_or(403);
        let mut headers = vec![
            line("content-type", "application/problem+json"),
            line("cache-control", "no-store"),
        ];
        match status {
            401 => headers.push(line("www-authenticate", &challenges(reason, [Scheme::Bearer]))),
            // RFC 9110 §15.5.22 and RFC 6455 §4.4.
            426 => {
                headers.push(line("upgrade", "websocket"));
                headers.push(line("connection", "Upgrade"));
                headers.push(line("sec-websocket-version", "13"));
            }
            429 | 503 => headers.push(line("retry-after", RETRY_AFTER)),
            _ => {}
        }
        let kind = format!("urn:wsguard:reason:{}", reason.name());
        let problem =
            Problem { kind, title: reason.title(), status, detail, reason: reason.name() };
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        Self { reason, status, headers, body }
    }

    /// Says when trying again may help, where that is known better than by its
    /// status (RFC 9110 §10.2.3).
    #[must_use]
    pub fn retry_after(mut self, wait: Option<Duration>) -> Self {
        let line = self.headers.iter_mut().find(|(name, _)| name == "retry-after");
        if let (Some((_, value)), Some(wait)) = (line, wait) {
            *value = whole_seconds(wait).to_string();
        }
        self
    }

    /// Names these schemes where its status asks for a challenge; a 401 must have one (RFC
    /// 9110 §15.5.2), so without any of them Bearer stays.
    #[must_use]
    pub fn challenge(mut self, schemes: impl Iterator<Item = Scheme>) -> Self {
        let line = self.headers.iter_mut().find(|(name, _)| name == "www-authenticate");
        let named = challenges(self.reason, schemes);
        if let (Some((_, value)), false) = (line, named.is_empty()) {
            *value = named;
        }
        self
    }

    /// Told by opening the WebSocket and closing it at once: `accept` is what
    /// the client's key asks for, if it sent one, `subprotocol` one that it offered (a browser
    /// fails the handshake when it offered some and none is named).
    #[must_use]
    pub fn close(reason: Reason, accept: Option<String>, subprotocol: Option<&str>) -> Self {
        let mut headers = vec![line("upgrade", "websocket"), line("connection", "Upgrade")];
        headers.extend(accept.map(|accept| ("sec-websocket-accept".to_owned(), accept)));
        headers.extend(subprotocol.map(|name| line("sec-websocket-protocol", name)));
        let mut body = Vec::new();
        close::write(reason.close_code().unwrap_or(1008), reason.name(), None, &mut body);
        Self { reason, status: 101, headers, body }
    }

    /// Told by sending the client to the same place by https (RFC 9110 §15.4.9).
    #[must_use]
    pub fn redirect(reason: Reason, location: String) -> Self {
        let headers = vec![("location".to_owned(), location), line("cache-control", "no-store")];
        Self { reason, status: 308, headers, body: Vec::new() }
    }
}

fn line(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// The challenges of a 401, as a list (RFC 9110 §11.6.1). A request without credentials is
/// told no error code (RFC 6750 §3).
fn challenges(reason: Reason, schemes: impl IntoIterator<Item = Scheme>) -> String {
    let invalid = reason != Reason::CredentialsMissing;
    let named: Vec<_> = schemes.into_iter().map(|scheme| scheme.challenge(invalid)).collect();
    named.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{FrameHeader, Sender};

    fn header<'a>(refusal: &'a Refusal, name: &str) -> Option<&'a str> {
        refusal.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    #[test]
    fn each_status_carries_the_header_it_asks_for() {
        for reason in Reason::ALL.into_iter().filter(|r| r.http_status().is_some()) {
            let refusal = Refusal::http(reason, "because");
            assert_eq!(header(&refusal, "content-type"), Some("application/problem+json"));
            assert_eq!(header(&refusal, "cache-control"), Some("no-store"));
            let expected = match refusal.status {
                401 => "www-authenticate",
                426 => "sec-websocket-version",
                429 | 503 => "retry-after",
                _ => continue,
            };
            assert!(header(&refusal, expected).is_some(), "{expected} for {}", reason.name());
        }
    }

    #[test]
    fn the_real_time_to_wait_is_told_where_it_is_known() {
        let after = |reason, wait| {
            let refusal = Refusal::http(reason, "because").retry_after(wait);
            header(&refusal, "retry-after").map(str::to_owned)
        };
        let wait = Some(Duration::from_millis(61_001));
        assert_eq!(after(Reason::HandshakeRate, wait).as_deref(), Some("62"));
        assert_eq!(after(Reason::HandshakeRate, None).as_deref(), Some(RETRY_AFTER));
        assert_eq!(after(Reason::OriginDenied, wait), None);
    }

    #[test]
    fn a_401_names_every_scheme() {
        let named = |reason, schemes: &[Scheme]| {
            let refusal = Refusal::http(reason, "because").challenge(schemes.iter().copied());
            header(&refusal, "www-authenticate").map(str::to_owned)
        };
        let (missing, invalid) = (Reason::CredentialsMissing, Reason::CredentialsInvalid);
        assert_eq!(named(missing, &[]).unwrap(), r#"Bearer realm="wsguard""#);
        let both = [Scheme::Basic, Scheme::Bearer];
        let basic = r#"Basic realm="wsguard", charset="UTF-8""#;
        assert_eq!(named(missing, &both).unwrap(), format!(r#"{basic}, Bearer realm="wsguard""#));
        assert_eq!(named(invalid, &both[..1]).unwrap(), basic);
        let bearer = r#"Bearer realm="wsguard", error="invalid_token""#;
        assert_eq!(named(invalid, &both[1..]).unwrap(), bearer);
        assert_eq!(named(Reason::OriginDenied, &both), None);
    }

    #[test]
    fn the_body_is_a_problem_document() {
        let refusal = Refusal::http(Reason::OriginDenied, "this origin is not listed");
        let body: serde_json::Value = serde_json::from_slice(&refusal.body).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "type": "urn:wsguard:reason:origin_denied",
                "title": "Origin not allowed",
                "status": 403,
                "detail": "this origin is not listed",
                "reason": "origin_denied",
            })
        );
    }

    #[test]
    fn a_browser_is_told_by_a_close_frame() {
        let refusal =
            Refusal::close(Reason::CredentialsExpired, Some("accept".into()), Some("bearer"));
        assert_eq!(refusal.status, 101);
        assert_eq!(header(&refusal, "sec-websocket-protocol"), Some("bearer"));
        let (head, length) =
            FrameHeader::parse(&refusal.body, Sender::Server, false).unwrap().unwrap();
        assert!(head.opcode.is_control());
        assert_eq!(&refusal.body[length..], b"\x03\xf0credentials_expired");
    }
}
