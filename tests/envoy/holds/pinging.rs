//! Connections that only ping, as keepalives of libraries do for hours: they were reset
//! after `idle`.

use crate::client::{Client, Request, frame, text};
use crate::frames::pair::{Server, Upstream, plain};
use crate::support::{Envoy, bootstrap_of, listener, stream_listener};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

const IDLE: Duration = Duration::from_secs(15);

/// A listener of this name, with one policy of the name.
fn named(filter: &str, name: &str, lifetime: &Value) -> Value {
    let mut lifetime = lifetime.clone();
    lifetime["idle"] = json!(format!("{}s", IDLE.as_secs()));
    let document = json!({"filter": filter, "policies": [{"name": name, "lifetime": lifetime}]});
    let mut listener =
        if filter == "http" { listener(&document) } else { stream_listener(&document) };
    listener["name"] = json!(name);
    listener
}

/// The end that pings, and whether the other one answers.
#[derive(Clone, Copy, Debug)]
enum Pings {
    OfTheServer,
    OfTheClient,
    Unanswered,
    Unsolicited,
}

/// Pings for longer than `idle`, and then says something; whether that arrives.
fn lives(pings: Pings, mut client: Client, mut server: Server) -> bool {
    let begin = Instant::now();
    let (from_client, from_server) = match pings {
        Pings::OfTheServer => (frame(0x8A, b"p"), plain(0x89, b"p")),
        Pings::OfTheClient => (frame(0x89, b"p"), plain(0x8A, b"p")),
        Pings::Unanswered => (frame(0x89, b"p"), Vec::new()),
        Pings::Unsolicited => (frame(0x8A, b"p"), plain(0x8A, b"p")),
    };
    while begin.elapsed() < IDLE * 3 / 2 {
        std::thread::sleep(Duration::from_millis(300));
        // The one that asks first; and no answer is there before its question.
        let is_sent = match pings {
            Pings::OfTheServer => {
                server.stream.write_all(&from_server).is_ok()
                    && client.frame().is_some()
                    && client.stream.write_all(&from_client).is_ok()
            }
            Pings::OfTheClient => {
                client.stream.write_all(&from_client).is_ok()
                    && came(&mut server, &from_client)
                    && server.stream.write_all(&from_server).is_ok()
            }
            _ => {
                client.stream.write_all(&from_client).is_ok()
                    && server.stream.write_all(&from_server).is_ok()
            }
        };
        if !is_sent {
            return false;
        }
    }
    if client.stream.write_all(&text("still here")).is_err()
        || server.stream.write_all(&plain(0x81, b"still here")).is_err()
    {
        return false;
    }
    std::iter::from_fn(|| client.frame()).any(|frame| frame.payload == b"still here")
}

/// Returns true if the next bytes are `bytes`, and false at the end of the stream.
fn came(server: &mut Server, bytes: &[u8]) -> bool {
    let mut seen = vec![0; bytes.len()];
    server.stream.read_exact(&mut seen).is_ok() && seen == bytes
}

#[test]
fn a_connection_that_only_pings_lives_as_long_as_it_is_answered() {
    let cases = [
        ("http", json!({}), Pings::OfTheServer, true),
        ("http", json!({}), Pings::OfTheClient, true),
        ("stream", json!({}), Pings::OfTheServer, true),
        ("http", json!({"ping_counts": false}), Pings::OfTheClient, false),
        ("http", json!({}), Pings::Unanswered, false),
        ("stream", json!({}), Pings::Unsolicited, false),
    ];
    let name = |place: usize| format!("case-{place}");
    let listeners = cases.iter().enumerate();
    let listeners: Vec<Value> = listeners.map(|(n, c)| named(c.0, &name(n), &c.1)).collect();
    let upstream = Upstream::bind();
    let envoy = Envoy::start(&bootstrap_of(&listeners, upstream.address()));
    std::thread::scope(|scope| {
        for (place, (filter, _, pings, lives_on)) in cases.iter().enumerate() {
            let address = envoy.listener(&name(place));
            let (client, server) = upstream.open(address, &Request::upgrade("/ws"));
            scope.spawn(move || {
                assert_eq!(lives(*pings, client, server), *lives_on, "{filter} {pings:?}");
            });
        }
    });
    let ended: Vec<String> = envoy
        .events()
        .iter()
        .filter(|event| event["reason"] == "idle_timeout")
        .map(|event| event["policy"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ended.len(), 3, "{ended:?}");
    assert!((3..6).all(|place| ended.contains(&name(place))), "{ended:?}");
}
