//! The form of a client's opening handshake (RFC 6455 §4.2.1).

use crate::reason::Reason;

use super::extensions::{Extension, ExtensionError};
use super::host::{Host, HostError};
use super::key::Key;
use super::list::{self, List, Repeated};
use super::upgrade::Protocols;
use super::{Headers, RequestHead};

/// Most subprotocols in one offer, a credential among them.
pub const MAX_SUBPROTOCOLS: usize = 32;

/// A well-formed opening handshake. Only [`check`] makes one.
#[derive(Clone, PartialEq, Eq)]
pub struct ValidHandshake {
    host: Host,
    key: Key,
    subprotocols: Vec<String>,
    extensions: Vec<Extension>,
    rewrites: Rewrites,
    http2: bool,
}

/// Which headers must not go on as they came, though they are well-formed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rewrites {
    /// `Connection` names more than `upgrade` and `keep-alive`. A next hop drops every header
    /// named there (RFC 9110 §7.6.1), so a client could have it drop what was checked or set
    /// here: send `connection: Upgrade`. Or it has empty elements.
    pub connection: bool,
    /// `Upgrade` has empty elements, which not every server reads past: send
    /// `upgrade: websocket`.
    pub upgrade: bool,
    /// `Sec-WebSocket-Protocol` has empty elements: send the offer.
    pub subprotocols: bool,
}

impl ValidHandshake {
    /// The host that it is for.
    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// `Sec-WebSocket-Key`: the client's, or one made for upstream where the
    /// client speaks HTTP/2 and so has none (RFC 8441 §5).
    #[must_use]
    pub fn key(&self) -> &str {
        self.key.as_str()
    }

    /// Whether it is an extended CONNECT (RFC 8441): the client sent no key,
    /// and expects no accept.
    #[must_use]
    pub const fn is_http2(&self) -> bool {
        self.http2
    }

    /// The `Sec-WebSocket-Accept` that opens it (RFC 6455 §4.2.2).
    #[must_use]
    pub fn expected_accept(&self) -> String {
        self.key.expected_accept()
    }

    /// What a 101 to this client must carry as `Sec-WebSocket-Accept`: nothing
    /// over HTTP/2, where it sent no key (RFC 8441 §5).
    #[must_use]
    pub fn accept_for_client(&self) -> Option<String> {
        (!self.http2).then(|| self.expected_accept())
    }

    /// The offered subprotocols in the client's order, each once. A credential
    /// may be among them: never log them.
    #[must_use]
    pub fn subprotocols(&self) -> &[String] {
        &self.subprotocols
    }

    /// The offered extensions in the client's order.
    #[must_use]
    pub fn extensions(&self) -> &[Extension] {
        &self.extensions
    }

    /// Whether any extension is offered.
    #[must_use]
    pub fn offers_extensions(&self) -> bool {
        !self.extensions.is_empty()
    }

    /// Whether one of them would compress messages.
    #[must_use]
    pub fn offers_compression(&self) -> bool {
        self.extensions.iter().any(Extension::is_compression)
    }

    /// Which headers must not go on as they came.
    #[must_use]
    pub const fn rewrites(&self) -> Rewrites {
        self.rewrites
    }
}

/// Without the subprotocols, among which a credential may stand.
impl std::fmt::Debug for ValidHandshake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ValidHandshake")
            .field("host", &self.host)
            .field("extensions", &self.extensions)
            .field("rewrites", &self.rewrites)
            .finish_non_exhaustive()
    }
}

/// Checks the form of an opening handshake.
///
/// # Errors
/// The first [`HandshakeError`].
pub fn check(head: &RequestHead) -> Result<ValidHandshake, HandshakeError> {
    if head.method != b"GET" {
        return Err(HandshakeError::Method);
    }
    let host = check_host(head)?;
    let mut rewrites = check_upgrade(&head.headers)?;
    check_body(&head.headers)?;
    // The version goes first of the WebSocket headers: another version may
    // have other rules for all of them (RFC 6455 §4.4).
    match single(&head.headers, "sec-websocket-version", HandshakeError::VersionTwice)? {
        None => return Err(HandshakeError::VersionMissing),
        Some(b"13") => {}
        Some(_) => return Err(HandshakeError::VersionUnsupported),
    }
    let key = single(&head.headers, "sec-websocket-key", HandshakeError::KeyTwice)?;
    let key = match (head.http2, key) {
        (false, Some(key)) => Key::parse(key).ok_or(HandshakeError::KeyMalformed)?,
        (false, None) => return Err(HandshakeError::KeyMissing),
        (true, None) => Key::fresh(),
        (true, Some(_)) => return Err(HandshakeError::KeyOverHttp2),
    };
    if head.headers.all("sec-websocket-accept").next().is_some() {
        return Err(HandshakeError::AcceptInRequest);
    }
    let (subprotocols, has_empty) = read_subprotocols(&head.headers)?;
    rewrites.subprotocols = has_empty;
    let extensions = Extension::parse_all(&head.headers).map_err(HandshakeError::Extensions)?;
    let http2 = head.http2;
    Ok(ValidHandshake { host, key, subprotocols, extensions, rewrites, http2 })
}

fn single<'a>(
    headers: &'a Headers,
    name: &'a str,
    error: HandshakeError,
) -> Result<Option<&'a [u8]>, HandshakeError> {
    list::single(headers, name).map_err(|Repeated| error)
}

/// A `Host` line beside the authority is the same thing told twice, or a lie.
fn check_host(head: &RequestHead) -> Result<Host, HandshakeError> {
    let host = Host::parse(&head.authority).map_err(HandshakeError::Host)?;
    match single(&head.headers, "host", HandshakeError::HostTwice)? {
        Some(line) if !line.eq_ignore_ascii_case(&head.authority) => Err(HandshakeError::HostTwice),
        _ => Ok(host),
    }
}

/// Checks `Upgrade` and `Connection`.
fn check_upgrade(headers: &Headers) -> Result<Rewrites, HandshakeError> {
    let upgrade = match Protocols::of(headers) {
        Protocols::Without => return Err(HandshakeError::UpgradeMissing),
        Protocols::WebSocketAmongOthers => return Err(HandshakeError::UpgradeAmbiguous),
        Protocols::TooManyEmpty => return Err(HandshakeError::TooManyEmpty),
        Protocols::WebSocketAndCommas => true,
        Protocols::WebSocketAlone => false,
    };
    let options = list(headers, "connection")?;
    let mut upgrades = false;
    let mut connection = options.has_empty;
    for option in options.elements {
        let option = list::token(option).ok_or(HandshakeError::ConnectionMalformed)?;
        if option.eq_ignore_ascii_case("upgrade") {
            upgrades = true;
        } else {
            connection |= !option.eq_ignore_ascii_case("keep-alive");
        }
    }
    if !upgrades {
        return Err(HandshakeError::ConnectionMissing);
    }
    Ok(Rewrites { connection, upgrade, subprotocols: false })
}

fn list<'a>(headers: &'a Headers, name: &'a str) -> Result<List<'a>, HandshakeError> {
    List::read(headers, name).map_err(|_| HandshakeError::TooManyEmpty)
}

/// A body would be read by one side as the first frames and not by the other.
fn check_body(headers: &Headers) -> Result<(), HandshakeError> {
    if headers.all("transfer-encoding").next().is_some() {
        return Err(HandshakeError::Body);
    }
    match single(headers, "content-length", HandshakeError::Body)? {
        None | Some(b"0") => Ok(()),
        Some(_) => Err(HandshakeError::Body),
    }
}

/// The offer (`1#token`, RFC 6455 §11.3.4), and whether it has empty elements, too.
fn read_subprotocols(headers: &Headers) -> Result<(Vec<String>, bool), HandshakeError> {
    let list = list(headers, "sec-websocket-protocol")?;
    if list.elements.is_empty() && !list.is_absent() {
        return Err(HandshakeError::SubprotocolMalformed);
    }
    let mut offer: Vec<String> = Vec::with_capacity(list.elements.len().min(MAX_SUBPROTOCOLS));
    for name in list.elements {
        let name = list::token(name).ok_or(HandshakeError::SubprotocolMalformed)?;
        if offer.iter().any(|offered| offered == name) {
            return Err(HandshakeError::SubprotocolTwice);
        }
        if offer.len() == MAX_SUBPROTOCOLS {
            return Err(HandshakeError::TooManySubprotocols);
        }
        offer.push(name.to_owned());
    }
    Ok((offer, list.has_empty))
}

/// Which rule of RFC 6455 §4.2.1 an opening handshake breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HandshakeError {
    /// `Sec-WebSocket-Key` in an extended CONNECT (RFC 8441 §5).
    KeyOverHttp2,
    /// Another method than GET.
    Method,
    /// No host, or none that could be.
    Host(HostError),
    /// Two hosts.
    HostTwice,
    /// `Upgrade` does not name `websocket`.
    UpgradeMissing,
    /// `Upgrade` names `websocket` twice, or something else too.
    UpgradeAmbiguous,
    /// `Connection` does not name `upgrade`.
    ConnectionMissing,
    /// `Connection` is no list of tokens.
    ConnectionMalformed,
    /// A body, or the announcement of one.
    Body,
    /// No `Sec-WebSocket-Version`.
    VersionMissing,
    /// Several `Sec-WebSocket-Version`.
    VersionTwice,
    /// `Sec-WebSocket-Version` is not 13.
    VersionUnsupported,
    /// No `Sec-WebSocket-Key`.
    KeyMissing,
    /// Several `Sec-WebSocket-Key`.
    KeyTwice,
    /// `Sec-WebSocket-Key` is not the base64 of 16 bytes.
    KeyMalformed,
    /// `Sec-WebSocket-Accept`, which is the server's to send.
    AcceptInRequest,
    /// `Sec-WebSocket-Protocol` is no list of tokens.
    SubprotocolMalformed,
    /// A subprotocol is offered twice.
    SubprotocolTwice,
    /// More subprotocols than [`MAX_SUBPROTOCOLS`].
    TooManySubprotocols,
    /// A list with more empty elements than anybody has to read past.
    TooManyEmpty,
    /// `Sec-WebSocket-Extensions` breaks its grammar.
    Extensions(ExtensionError),
}

impl HandshakeError {
    /// What the refusal is called.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::VersionUnsupported => Reason::VersionUnsupported,
            _ => Reason::HandshakeMalformed,
        }
    }
}

impl std::fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::KeyOverHttp2 => "over HTTP/2 there is no Sec-WebSocket-Key header: leave it out",
            Self::Method => "the method of an opening handshake is GET",
            Self::Host(error) => return error.fmt(f),
            Self::HostTwice => "the request names two hosts",
            Self::UpgradeMissing => "the Upgrade header does not name websocket",
            Self::UpgradeAmbiguous => "the Upgrade header must name websocket, once and alone",
            Self::ConnectionMissing => "the Connection header does not name Upgrade",
            Self::ConnectionMalformed => "the Connection header is not a list of tokens",
            Self::Body => {
                "an opening handshake has no body: leave Content-Length and Transfer-Encoding out"
            }
            Self::VersionMissing => "the Sec-WebSocket-Version header is missing",
            Self::VersionTwice => {
                "the Sec-WebSocket-Version header must be there once, with one value"
            }
            Self::VersionUnsupported => "the only supported Sec-WebSocket-Version is 13",
            Self::KeyMissing => "the Sec-WebSocket-Key header is missing",
            Self::KeyTwice => "the Sec-WebSocket-Key header must be there once, with one value",
            Self::KeyMalformed => "the Sec-WebSocket-Key header is not the base64 of 16 bytes",
            Self::AcceptInRequest => "the Sec-WebSocket-Accept header is the server's to send",
            Self::SubprotocolMalformed => {
                "the Sec-WebSocket-Protocol header is not a comma-separated list of tokens"
            }
            Self::SubprotocolTwice => "the Sec-WebSocket-Protocol header names a subprotocol twice",
            Self::TooManySubprotocols => {
                "the Sec-WebSocket-Protocol header names more than 32 subprotocols"
            }
            Self::TooManyEmpty => {
                "a header that is a list has too many commas with nothing between them"
            }
            Self::Extensions(error) => {
                return write!(f, "the Sec-WebSocket-Extensions header is malformed: {error}");
            }
        })
    }
}

/// Entry for the fuzzer: holds that what is well-formed was told apart from
/// plain HTTP, is within every bound, and stays what it is when each list is
/// joined on one line, as proxies do.
///
/// # Panics
/// Where one of these does not hold.
pub fn fuzz_form(data: &[u8]) {
    let mut head = super::fuzz::head(data);
    let Ok(valid) = check(&head) else { return };
    assert_eq!(super::upgrade::Upgrade::of(&head), super::upgrade::Upgrade::WebSocket);
    assert_eq!(valid.key().len(), 24);
    assert_eq!(valid.expected_accept().len(), 28);
    assert!(valid.subprotocols().len() <= MAX_SUBPROTOCOLS);
    assert!(valid.subprotocols().iter().all(|name| list::token(name.as_bytes()).is_some()));
    assert!(valid.offers_extensions() || !valid.offers_compression());
    let mut joined: std::collections::BTreeMap<String, Vec<u8>> = Default::default();
    for (name, value) in head.headers.iter() {
        joined
            .entry(name.to_owned())
            .and_modify(|line| line.extend([b", ", value].concat()))
            .or_insert_with(|| value.to_vec());
    }
    head.headers = Headers::new(joined.into_iter().collect());
    assert_eq!(check(&head).as_ref(), Ok(&valid));
}

#[cfg(test)]
mod tests;
