//! The negotiation of permessage-deflate (RFC 7692 §7.1).

use crate::frame::{Deflate, Window};

use super::extensions::Extension;
use super::form::ValidHandshake;

/// Its name, which is compared as it is written.
pub const NAME: &str = "permessage-deflate";

const SERVER_NO_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_BITS: &str = "server_max_window_bits";
const CLIENT_BITS: &str = "client_max_window_bits";

/// A well-formed offer, with everything in it that upstream may agree to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer(Parameters);

/// The parameters that RFC 7692 knows, each at most once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Parameters {
    server_no_takeover: bool,
    client_no_takeover: bool,
    server_bits: Option<u8>,
    client_bits: Option<ClientBits>,
}

/// `client_max_window_bits`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientBits {
    /// Without a value: whatever the server asks for.
    Any,
    /// At most so many.
    Most(u8),
}

impl Offer {
    /// Every one that is well-formed, in the client's order of preference. A
    /// server must not take any other (§7.1), so nobody misses those.
    #[must_use]
    pub fn all(handshake: &ValidHandshake) -> Vec<Self> {
        handshake.extensions().iter().filter_map(Self::read).collect()
    }

    fn read(extension: &Extension) -> Option<Self> {
        let known = extension.name() == NAME;
        known.then(|| Parameters::read(extension))?.ok().map(Self)
    }

    /// What holds when upstream answers this offer so; `None` where it can't
    /// (§7.1.1.1, §7.1.2.1, §7.1.2.2).
    fn agree(self, answer: Parameters, client_bits: Option<u8>) -> Option<Deflate> {
        let Self(offer) = self;
        let most = |answer: Option<u8>, offer: u8| answer.is_some_and(|bits| bits <= offer);
        let agreed = (answer.server_no_takeover || !offer.server_no_takeover)
            && offer.server_bits.is_none_or(|bits| most(answer.server_bits, bits))
            && match (offer.client_bits, client_bits) {
                (_, None) | (Some(ClientBits::Any), Some(_)) => true,
                (None, Some(_)) => false,
                (Some(ClientBits::Most(bits)), Some(_)) => most(client_bits, bits),
            };
        let window = |bits: Option<u8>, no_takeover: bool| Window {
            bits: bits.unwrap_or(Window::DEFAULT.bits),
            takeover: !no_takeover,
        };
        // What a client only hints at is not agreed: it may take it back.
        agreed.then(|| Deflate {
            client: window(client_bits, answer.client_no_takeover),
            server: window(answer.server_bits, answer.server_no_takeover),
        })
    }
}

/// As it goes on to upstream.
impl std::fmt::Display for Offer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(NAME)?;
        if self.0.server_no_takeover {
            write!(f, "; {SERVER_NO_TAKEOVER}")?;
        }
        if self.0.client_no_takeover {
            write!(f, "; {CLIENT_NO_TAKEOVER}")?;
        }
        if let Some(bits) = self.0.server_bits {
            write!(f, "; {SERVER_BITS}={bits}")?;
        }
        match self.0.client_bits {
            None => Ok(()),
            Some(ClientBits::Any) => write!(f, "; {CLIENT_BITS}"),
            Some(ClientBits::Most(bits)) => write!(f, "; {CLIENT_BITS}={bits}"),
        }
    }
}

impl Parameters {
    fn read(extension: &Extension) -> Result<Self, DeflateError> {
        let mut read = Self::default();
        for (name, value) in extension.parameters() {
            let before = read;
            match (name, value) {
                (SERVER_NO_TAKEOVER, None) => read.server_no_takeover = true,
                (CLIENT_NO_TAKEOVER, None) => read.client_no_takeover = true,
                (SERVER_BITS, Some(value)) => read.server_bits = Some(bits(value)?),
                (CLIENT_BITS, None) => read.client_bits = Some(ClientBits::Any),
                (CLIENT_BITS, Some(value)) => {
                    read.client_bits = Some(ClientBits::Most(bits(value)?));
                }
                (SERVER_NO_TAKEOVER | CLIENT_NO_TAKEOVER | SERVER_BITS, _) => {
                    return Err(DeflateError::Value);
                }
                _ => return Err(DeflateError::Unknown),
            }
            let again = match name {
                SERVER_NO_TAKEOVER => before.server_no_takeover,
                CLIENT_NO_TAKEOVER => before.client_no_takeover,
                SERVER_BITS => before.server_bits.is_some(),
                _ => before.client_bits.is_some(),
            };
            if again {
                return Err(DeflateError::Twice);
            }
        }
        Ok(read)
    }
}

/// 8 to 15, in decimal without leading zeros (§7.1.2).
fn bits(value: &str) -> Result<u8, DeflateError> {
    let bits = match value.as_bytes() {
        [digit @ b'8'..=b'9'] => digit - b'0',
        [b'1', digit @ b'0'..=b'5'] => 10 + (digit - b'0'),
        _ => return Err(DeflateError::Value),
    };
    Ok(bits)
}

/// Judges what upstream answered to these offers.
///
/// # Errors
/// [`DeflateError`] where it could be the answer to none of them.
pub fn judge(offers: &[Offer], answer: &Extension) -> Result<Deflate, DeflateError> {
    let answer = Parameters::read(answer)?;
    let client_bits = match answer.client_bits {
        None => None,
        Some(ClientBits::Most(bits)) => Some(bits),
        // In an answer it is worth nothing without its value (§7.1.2.2).
        Some(ClientBits::Any) => return Err(DeflateError::Value),
    };
    let mut agreed = offers.iter().filter_map(|offer| offer.agree(answer, client_bits));
    agreed.next().ok_or(DeflateError::NoSuchOffer)
}

/// What is wrong with upstream's permessage-deflate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeflateError {
    /// A parameter that RFC 7692 does not know.
    Unknown,
    /// A parameter that is there twice.
    Twice,
    /// A value that a parameter can't have, or none where one is needed.
    Value,
    /// Parameters that go with none of the offers.
    NoSuchOffer,
}

impl std::fmt::Display for DeflateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Unknown => "a parameter is unknown",
            Self::Twice => "a parameter is there twice",
            Self::Value => "a parameter has a value that it can't have, or none",
            Self::NoSuchOffer => "its parameters go with nothing that was offered",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{form, fuzz};
    use super::*;

    fn offers(line: &str) -> Vec<Offer> {
        let head = format!(
            "GET\n/\nh\nupgrade: websocket\nconnection: upgrade\nsec-websocket-version: 13\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\nsec-websocket-extensions: {line}"
        );
        Offer::all(&form::check(&fuzz::head(head.as_bytes())).unwrap())
    }

    fn forwarded(line: &str) -> Vec<String> {
        offers(line).iter().map(Offer::to_string).collect()
    }

    /// What `answer` to `offer` means: client's bits and takeover, server's.
    fn agreed(offer: &str, answer: &str) -> Result<(u8, bool, u8, bool), DeflateError> {
        let with = |parameters: &str| format!("{NAME}{parameters}");
        let line = format!("sec-websocket-extensions: {}", with(answer));
        let answer = Extension::parse_all(&fuzz::headers(line.as_bytes())).unwrap();
        let Deflate { client, server } = judge(&offers(&with(offer)), &answer[0])?;
        Ok((client.bits, client.takeover, server.bits, server.takeover))
    }

    #[test]
    fn the_examples_of_rfc_7692_7_1_go_on() {
        for line in [
            "permessage-deflate",
            "permessage-deflate; server_no_context_takeover",
            "permessage-deflate; client_no_context_takeover; client_max_window_bits=10",
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
             server_max_window_bits=8; client_max_window_bits=15",
        ] {
            assert_eq!(forwarded(line), [line]);
        }
        assert_eq!(
            forwarded(
                "permessage-deflate;client_max_window_bits;server_max_window_bits=\"1\\0\", permessage-deflate"
            ),
            [
                "permessage-deflate; server_max_window_bits=10; client_max_window_bits",
                "permessage-deflate"
            ]
        );
    }

    #[test]
    fn what_no_server_may_take_does_not_go_on() {
        for line in [
            "mux",
            "x-webkit-deflate-frame",
            "Permessage-Deflate",
            "permessage-bzip2",
            "permessage-deflate; x",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; client_no_context_takeover=true",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "permessage-deflate; client_max_window_bits; client_max_window_bits=9",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=7",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=010",
            "permessage-deflate; server_max_window_bits=1A",
            "permessage-deflate; client_max_window_bits=7",
            "permessage-deflate; Client_Max_Window_Bits",
        ] {
            assert_eq!(forwarded(line), [""; 0], "{line}");
            assert_eq!(forwarded(&format!("{line}, permessage-deflate")), ["permessage-deflate"]);
        }
    }

    #[test]
    fn an_answer_says_what_each_direction_does() {
        for (offer, answer, means) in [
            ("", "", (15, true, 15, true)),
            ("", "; server_no_context_takeover", (15, true, 15, false)),
            ("", "; client_no_context_takeover", (15, false, 15, true)),
            ("", "; server_max_window_bits=9", (15, true, 9, true)),
            ("; client_no_context_takeover", "", (15, true, 15, true)),
            ("; client_max_window_bits", "", (15, true, 15, true)),
            ("; client_max_window_bits=10", "", (15, true, 15, true)),
            ("; client_max_window_bits", "; client_max_window_bits=15", (15, true, 15, true)),
            ("; client_max_window_bits", "; client_max_window_bits=8", (8, true, 15, true)),
            ("; client_max_window_bits=10", "; client_max_window_bits=10", (10, true, 15, true)),
            ("; server_max_window_bits=12", "; server_max_window_bits=12", (15, true, 12, true)),
            ("; server_max_window_bits=12", "; server_max_window_bits=8", (15, true, 8, true)),
            ("; server_no_context_takeover", "; server_no_context_takeover", (15, true, 15, false)),
        ] {
            assert_eq!(agreed(offer, answer), Ok(means), "{offer} → {answer}");
        }
    }

    #[test]
    fn an_answer_that_goes_with_no_offer_agrees_to_nothing() {
        for (offer, answer, error) in [
            ("; server_no_context_takeover", "", DeflateError::NoSuchOffer),
            ("; server_max_window_bits=12", "", DeflateError::NoSuchOffer),
            (
                "; server_max_window_bits=12",
                "; server_max_window_bits=13",
                DeflateError::NoSuchOffer,
            ),
            ("", "; client_max_window_bits=12", DeflateError::NoSuchOffer),
            (
                "; client_max_window_bits=9",
                "; client_max_window_bits=10",
                DeflateError::NoSuchOffer,
            ),
            ("; client_max_window_bits", "; client_max_window_bits", DeflateError::Value),
            ("", "; server_max_window_bits=7", DeflateError::Value),
            ("", "; server_no_context_takeover=1", DeflateError::Value),
            ("", "; x", DeflateError::Unknown),
            ("", "; server_no_context_takeover; server_no_context_takeover", DeflateError::Twice),
            ("", "; server_max_window_bits=9; server_max_window_bits=9", DeflateError::Twice),
        ] {
            assert_eq!(agreed(offer, answer), Err(error), "{offer} → {answer}");
        }
    }

    #[test]
    fn an_answer_may_be_to_any_of_the_offers() {
        let offer = "; server_max_window_bits=10; client_max_window_bits=9, permessage-deflate";
        assert_eq!(agreed(offer, ""), Ok((15, true, 15, true)));
        let small = "; server_max_window_bits=10; client_max_window_bits=9";
        assert_eq!(agreed(offer, small), Ok((9, true, 10, true)));
        // No one offer has both.
        let mixed = agreed(offer, "; client_max_window_bits=9");
        assert_eq!(mixed, Err(DeflateError::NoSuchOffer));
    }
}
