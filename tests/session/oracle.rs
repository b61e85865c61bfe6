//! tungstenite, which this project did not write, at the other end of the guard,
//! as the server or as the client: whatever goes on it must read as the same
//! messages, and nothing that it refuses may go on.

use super::rig::{Rig, client, hand, raw};
use proptest::prelude::*;
use serde_json::json;
use std::io::{Cursor, Read, Write};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket};
use wsguard::frame::Sender;

/// Bytes to read; what is written is nobody's business.
struct Wire(Cursor<Vec<u8>>);

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Wire {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        Ok(buffer.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What tungstenite reads of what `sender` sent, and whether it ended for a
/// violation.
fn read(sender: Sender, bytes: &[u8]) -> (Vec<Message>, Option<Error>) {
    let role = match sender {
        Sender::Client => Role::Server,
        Sender::Server => Role::Client,
    };
    let mut reader = WebSocket::from_raw_socket(Wire(Cursor::new(bytes.to_vec())), role, None);
    let mut messages = Vec::new();
    loop {
        match reader.read() {
            Ok(message) => messages.push(message),
            // Its way of saying that the bytes have run out, that a Close has been
            // answered, or that there is more behind one, which nobody reads.
            Err(
                Error::Protocol(
                    ProtocolError::ResetWithoutClosingHandshake
                    | ProtocolError::ReceivedAfterClosing,
                )
                | Error::ConnectionClosed,
            ) => return (messages, None),
            Err(error) => return (messages, Some(error)),
        }
    }
}

fn is_data(message: &&Message) -> bool {
    matches!(message, Message::Text(_) | Message::Binary(_))
}

/// Messages cut into fragments, control frames between them, some of it broken.
fn stream(sender: Sender) -> impl Strategy<Value = Vec<u8>> {
    let message = (
        any::<bool>(),
        prop_oneof![
            ".{0,60}".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..200)
        ],
        prop::collection::vec(any::<prop::sample::Index>(), 0..3),
        prop::option::of((0x88u8..0x8B, prop::collection::vec(any::<u8>(), 0..10))),
        any::<[u8; 4]>(),
    );
    let message = message.prop_map(move |(text, payload, cuts, control, key)| {
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
        places.extend([0, payload.len()]);
        places.sort_unstable();
        let last = places.len() - 2;
        let masked = |key| (sender == Sender::Client).then_some(key);
        let mut bytes = Vec::new();
        for (index, part) in places.windows(2).enumerate() {
            let opcode = if index > 0 {
                0
            } else if text {
                1
            } else {
                2
            };
            let fin = if index == last { 0x80 } else { 0 };
            bytes.extend(raw(fin | opcode, &payload[part[0]..part[1]], masked(key)));
            if let (0, Some((first, payload))) = (index, &control) {
                bytes.extend(raw(*first, payload, masked([7; 4])));
            }
        }
        bytes
    });
    prop::collection::vec(message, 0..6).prop_map(|messages| messages.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(600) })]
    #[test]
    fn what_goes_on_tungstenite_reads_as_the_same_both_ways(
        (sender, stream) in prop_oneof![Just(Sender::Client), Just(Sender::Server)]
            .prop_flat_map(|sender| (Just(sender), stream(sender))),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 0..3),
        chunk in 1usize..60,
    ) {
        let mut stream = stream;
        for (at, bit) in flips {
            if !stream.is_empty() {
                let at = at.index(stream.len());
                stream[at] ^= 1 << bit;
            }
        }
        let mut document = client(json!({"max_fragments": 1000}));
        document["policies"][0]["server"] = json!({"max_fragments": 1000});
        let mut rig = Rig::open(&document);
        let (mut gone_on, mut refused, mut reset) = (Vec::new(), None, false);
        for piece in stream.chunks(chunk) {
            let step = hand(&mut rig.session, sender, piece);
            gone_on.extend(step.bytes);
            refused = refused.or(step.refused);
            reset |= step.reset;
            if reset {
                break;
            }
        }
        let (direct, direct_error) = read(sender, &stream);
        let (behind, behind_error) = read(sender, &gone_on);
        prop_assert!(behind_error.is_none(), "it refuses what went on: {behind_error:?}");
        if let Some(error) = direct_error {
            prop_assert!(refused.is_some(), "went on, though it says {error}");
        }
        // Control frames overtake held messages, so each kind has its own order.
        for data in [true, false] {
            let of_kind = |message: &&Message| is_data(message) == data;
            let all: Vec<&Message> = direct.iter().filter(of_kind).collect();
            let mut got: Vec<&Message> = behind.iter().filter(of_kind).collect();
            if refused.is_none() {
                prop_assert_eq!(&got, &all);
            } else if !data && !reset {
                let close = got.pop();
                prop_assert!(matches!(close, Some(Message::Close(Some(_)))), "{:?}", close);
            }
            prop_assert_eq!(&got[..], &all[..got.len()]);
        }
    }
}
