//! Held bytes belong to all clients: one address with everything that it can open fills its
//! own share, and ends no connection of another one.

use crate::client::{Client, Frame, Request, frame, text};
use crate::frames::counter;
use crate::peers::Echo;
use crate::support::{Envoy, bootstrap, bootstrap_of, stream_listener, wait_for};
use flate2::{Compress, Compression, FlushCompress};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::net::{IpAddr, SocketAddr};

/// The one address, which is not that of others.
const MANY: [u8; 4] = [127, 0, 0, 2];

const KEY: &str = "the-api-key-of-alice";

/// A worker that holds 8 MiB, of which nothing is said about single addresses.
fn document() -> Value {
    let rules = json!({"rules": [{"name": "r", "pattern": "<script", "action": "close"}]});
    json!({
        "limits": {"buffered_per_worker": "8MiB"},
        "policies": [{
            "name": "chat",
            "match": {"paths": ["/ws"]},
            "handshake": {"compression": "inspect"},
            "client": rules,
        }],
    })
}

/// Adds a policy for clients that say who they are in their first message.
fn with_first_message() -> Value {
    let mut document = document();
    let hash: String = Sha256::digest(KEY).iter().map(|byte| format!("{byte:02x}")).collect();
    let mut policy = document["policies"][0].clone();
    policy["name"] = json!("members");
    policy["match"] = json!({"paths": ["/members"]});
    policy["auth"] = json!({
        "credentials": [{"header": "x-api-key"}, {"first_message": {"pointer": "/token"}}],
        "api_keys": [{"id": "alice", "sha256": hash}],
    });
    policy["lifetime"] = json!({"push": true});
    document["policies"].as_array_mut().unwrap().push(policy);
    document
}

/// A kind of connections that hold bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// 17 messages that begin and don't end.
    Unfinished,
    /// 262 connections with a message of some 57 bytes each that leaves a window.
    Compressed,
    /// 17 messages that don't end, of clients that have not said who they are.
    Unverified,
}

impl Kind {
    fn policy(self) -> (&'static str, &'static str) {
        match self {
            Self::Unverified => ("members", "/members"),
            Self::Unfinished | Self::Compressed => ("chat", "/ws"),
        }
    }

    fn connections(self) -> usize {
        if self == Self::Compressed { 262 } else { 17 }
    }

    fn request(self) -> Request {
        let request = Request::upgrade(self.policy().1);
        match self {
            Self::Compressed => request.with("sec-websocket-extensions", "permessage-deflate"),
            Self::Unfinished | Self::Unverified => request,
        }
    }

    fn bytes(self) -> Vec<u8> {
        match self {
            Self::Compressed => {
                let mut compressed = Vec::with_capacity(1000);
                Compress::new(Compression::best(), false)
                    .compress_vec(&[b'a'; 32 << 10], &mut compressed, FlushCompress::Sync)
                    .unwrap();
                frame(0xC1, &compressed[..compressed.len() - 4])
            }
            Self::Unfinished | Self::Unverified => frame(0x01, &[b'a'; 500_000]),
        }
    }

    /// Opens all of them from the one address, and waits until Envoy has read what
    /// they send.
    fn open(self, envoy: &Envoy, address: SocketAddr) -> Vec<Client> {
        let came =
            format!(r#"wsguard_bytes_total{{policy="{}",direction="client"}}"#, self.policy().0);
        let before = counter(envoy, &came);
        let (request, bytes) = (self.request(), self.bytes());
        let open = |_| {
            let mut client = Client::connect_from(IpAddr::from(MANY), address);
            client.send(&request.bytes());
            assert_eq!(client.answer().status, 101);
            // It may be ended meanwhile.
            let _ = client.stream.write_all(&bytes);
            client
        };
        let clients: Vec<_> = (0..self.connections()).map(open).collect();
        wait_for("all bytes of the one address to come", || {
            (counter(envoy, &came) - before >= clients.len() * bytes.len()).then_some(())
        });
        clients
    }
}

/// A client of another address sends a message in two segments and large ones, and is
/// answered.
fn is_served(client: &mut Client) {
    let hello = text("hello world");
    client.send_apart(&[&hello[..9], &hello[9..]]);
    assert_eq!(client.frame(), Some(Frame { first: 0x81, payload: b"hello world".to_vec() }));
    for size in [100_000, 900_000] {
        client.send(&frame(0x81, &vec![b'a'; size]));
        let mut echoed = 0;
        while echoed < size {
            let frame = client.frame().unwrap();
            assert!(matches!(frame.first & 0x0F, 0..=1), "{:?}", frame.close());
            echoed += frame.payload.len();
        }
    }
}

fn one_address_ends_no_other(kinds: &[Kind], envoy: &Envoy, others: &[Request]) {
    let address = envoy.address();
    let held = || counter(envoy, "wsguard_buffered_bytes");
    let mut open: Vec<_> = others.iter().map(|request| Client::open(address, request)).collect();
    for round in 0..2 {
        let many: Vec<_> = kinds.iter().flat_map(|kind| kind.open(envoy, address)).collect();
        open.extend(others.iter().map(|request| Client::open(address, request)));
        for client in &mut open {
            is_served(client);
        }
        let bytes = held();
        assert!(bytes <= 8 << 20, "{bytes} in round {round}");
        drop(many);
        wait_for("its share to be given back", || (held() == 0).then_some(()));
    }
    open.iter_mut().for_each(is_served);
}

fn through_http(kinds: &[Kind]) {
    let echo = Echo::start();
    let envoy = Envoy::start_on(1, &bootstrap(&with_first_message(), echo.address));
    let others = [Request::upgrade("/ws"), Request::upgrade("/members").with("x-api-key", KEY)];
    one_address_ends_no_other(kinds, &envoy, &others);
}

#[test]
fn unfinished_messages_of_one_address_end_no_other_connection() {
    through_http(&[Kind::Unfinished]);
}

#[test]
fn windows_of_one_address_end_no_other_connection() {
    through_http(&[Kind::Compressed]);
}

#[test]
fn clients_of_one_address_that_say_not_who_they_are_end_no_other_connection() {
    through_http(&[Kind::Unverified]);
}

#[test]
fn everything_that_one_address_can_open_ends_no_other_connection() {
    through_http(&[Kind::Compressed, Kind::Unfinished, Kind::Unverified]);
}

#[test]
fn before_tcp_proxy_one_address_ends_no_other_connection_either() {
    let echo = Echo::start();
    let mut document = document();
    document["filter"] = json!("stream");
    let envoy = Envoy::start_on(1, &bootstrap_of(&[stream_listener(&document)], echo.address));
    let kinds = [Kind::Compressed, Kind::Unfinished];
    one_address_ends_no_other(&kinds, &envoy, &[Request::upgrade("/ws")]);
}

/// Those that gave way are told so where they can be, and the log says why.
#[test]
fn who_gives_way_is_told_so() {
    let echo = Echo::start();
    let mut document = document();
    document["limits"]["buffered_per_ip"] = json!("2MiB");
    for push in [true, false] {
        document["policies"][0]["lifetime"] = json!({"push": push});
        let envoy = Envoy::start_on(1, &bootstrap(&document, echo.address));
        let request = Request::upgrade("/ws");
        let open = || Client::open(envoy.address(), &request);
        let (mut large, mut other) = (open(), open());
        large.send(&frame(0x01, &[b'a'; 1_000_000]));
        wait_for("it to be held", || {
            (counter(&envoy, "wsguard_buffered_bytes") > 900_000).then_some(())
        });
        other.send(&frame(0x01, &[b'a'; 900_000]));
        let mut third = open();
        third.send(&frame(0x01, &[b'a'; 900_000]));
        let told = large.frame().map(|frame| frame.close());
        assert_eq!(told, push.then(|| (1013, "overloaded".to_owned())));
        for client in [&mut other, &mut third] {
            client.send(&frame(0x80, b"!"));
            let mut last = client.frame().unwrap();
            while !last.payload.ends_with(b"!") {
                last = client.frame().unwrap();
            }
        }
        let log = wait_for("the event", || {
            let log = envoy.log();
            log.contains("limits.buffered_per_ip").then_some(log)
        });
        assert!(log.contains(r#""reason":"overloaded""#), "{log}");
    }
}
