//! Whether a request wants to become something else (RFC 9110 §7.8).

use super::RequestHead;
use super::list::List;

/// What a request wants to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Upgrade {
    /// Nothing: plain HTTP.
    None,
    /// A WebSocket, well-formed or not: [`super::form::check`] tells.
    WebSocket,
    /// Another protocol, or a tunnel (`CONNECT`).
    Other,
}

impl Upgrade {
    /// Tells by the `Upgrade` header alone: who sends one without the rest
    /// attempts an upgrade and must not pass for plain HTTP. So does every
    /// spelling that has `websocket` in it, since a lenient server may take it.
    #[must_use]
    pub fn of(head: &RequestHead) -> Self {
        const WEBSOCKET: &[u8] = b"websocket";
        let mut lines = head.headers.all("upgrade").peekable();
        if lines.peek().is_none() {
            return if head.method == b"CONNECT" { Self::Other } else { Self::None };
        }
        let names_it = |line: &[u8]| {
            line.windows(WEBSOCKET.len()).any(|text| text.eq_ignore_ascii_case(WEBSOCKET))
        };
        if lines.any(names_it) { Self::WebSocket } else { Self::Other }
    }
}

/// How the protocols of an `Upgrade` header stand to `websocket`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocols {
    /// `websocket` is not among them.
    Without,
    /// `websocket`, once, and nothing else.
    WebSocketAlone,
    /// `websocket`, and empty list elements.
    WebSocketAndCommas,
    /// `websocket` and something else, or again.
    WebSocketAmongOthers,
    /// More empty elements than anybody has to read past.
    TooManyEmpty,
}

impl Protocols {
    /// Reads every `Upgrade` line.
    pub(super) fn of(headers: &super::Headers) -> Self {
        let Ok(list) = List::read(headers, "upgrade") else { return Self::TooManyEmpty };
        let is_websocket = |element: &&&[u8]| element.eq_ignore_ascii_case(b"websocket");
        match (list.elements.iter().filter(is_websocket).count(), list.elements.len()) {
            (0, _) => Self::Without,
            (1, 1) if list.has_empty => Self::WebSocketAndCommas,
            (1, 1) => Self::WebSocketAlone,
            _ => Self::WebSocketAmongOthers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fuzz::head;
    use super::*;

    #[test]
    fn every_upgrade_header_is_an_attempt() {
        for (lines, upgrade) in [
            ("", Upgrade::None),
            ("connection: upgrade", Upgrade::None),
            ("upgrade: websocket", Upgrade::WebSocket),
            ("Upgrade: WebSocket", Upgrade::WebSocket),
            ("upgrade: h2c\nupgrade: websocket", Upgrade::WebSocket),
            ("upgrade: h2c, WEBSOCKET", Upgrade::WebSocket),
            ("upgrade: websocket/13", Upgrade::WebSocket),
            ("upgrade: h2c", Upgrade::Other),
            ("upgrade:", Upgrade::Other),
            ("upgrade: \u{e4}", Upgrade::Other),
        ] {
            let head = head(format!("GET\n/ws\nh\n{lines}").as_bytes());
            assert_eq!(Upgrade::of(&head), upgrade, "{lines}");
        }
        assert_eq!(Upgrade::of(&head(b"CONNECT\nh:443\nh")), Upgrade::Other);
    }

    #[test]
    fn lines_and_commas_name_the_same_protocols() {
        for (lines, protocols) in [
            ("", Protocols::Without),
            ("upgrade: h2c", Protocols::Without),
            ("upgrade: WebSocket", Protocols::WebSocketAlone),
            ("upgrade: websocket,", Protocols::WebSocketAndCommas),
            ("upgrade: ,\nupgrade: websocket", Protocols::WebSocketAndCommas),
            ("upgrade: ,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,websocket", Protocols::TooManyEmpty),
            ("upgrade: websocket, h2c", Protocols::WebSocketAmongOthers),
            ("upgrade: h2c\nupgrade: websocket", Protocols::WebSocketAmongOthers),
            ("upgrade: websocket, websocket", Protocols::WebSocketAmongOthers),
            ("upgrade: websocket\nupgrade: websocket", Protocols::WebSocketAmongOthers),
        ] {
            let head = head(format!("GET\n/ws\nh\n{lines}").as_bytes());
            assert_eq!(Protocols::of(&head.headers), protocols, "{lines}");
        }
    }
}
