//! Hostile servers and clients, with `push`: whatever an upstream answers and
//! whatever a client sends along, upstream sees one request at most and no byte
//! of a tunnel that was not agreed. (The same without `push` is in `handshake`
//! and `stream`.)

use super::client::{ACCEPT, Client, Request, text};
use super::support::{Envoy, bootstrap_of, cluster, listener, wait_for};
use super::upstream::{Recorder, Script};
use serde_json::{Value, json};
use std::io::Write;

fn raw(head: &str) -> Script {
    // Upstreams live as long as the process.
    Script::Raw(head.to_owned().into_bytes().leak())
}

fn switching(lines: &str) -> Script {
    raw(&format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
         {lines}\r\n\r\n\x01\x05hello"
    ))
}

/// Answers that open nothing; behind most of them stand bytes that could be taken
/// for frames, or for the answer to a second request.
fn answers() -> Vec<(&'static str, Script)> {
    let right = format!("sec-websocket-accept: {ACCEPT}");
    let second = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecond";
    vec![
        (
            "upgrade-required",
            raw(&format!(
                "HTTP/1.1 426 Upgrade Required\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
             content-length: 0\r\n\r\n{second}"
            )),
        ),
        ("ok", raw(&format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok{second}"))),
        ("ok-without-length", raw("HTTP/1.1 200 OK\r\n\r\n\x01\x05hello")),
        (
            "forbidden",
            raw(&format!("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno{second}")),
        ),
        ("no-accept", switching("x: y")),
        ("wrong-accept", switching("sec-websocket-accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=")),
        ("extension", switching(&format!("{right}\r\nsec-websocket-extensions: x-own"))),
        ("subprotocol", switching(&format!("{right}\r\nsec-websocket-protocol: other"))),
        (
            "other-upgrade",
            raw(&format!(
                "HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: Upgrade\r\n{right}\
             \r\n\r\n"
            )),
        ),
    ]
}

fn site(name: &str, upstream: &Recorder) -> (Value, Value) {
    let document = json!({"policies": [{
        "name": "chat", "lifetime": {"push": true, "heartbeat": "1s"},
    }]});
    let (mut listener, mut cluster) = (listener(&document), cluster(upstream.address));
    listener["name"] = json!(name);
    let manager = &mut listener["filter_chains"][0]["filters"][0]["typed_config"];
    manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"]["cluster"] = json!(name);
    cluster["name"] = json!(name);
    cluster["load_assignment"]["cluster_name"] = json!(name);
    (listener, cluster)
}

fn start(sites: &[(&str, &Recorder)]) -> Envoy {
    let (listeners, clusters): (Vec<_>, Vec<_>) =
        sites.iter().map(|(name, upstream)| site(name, upstream)).unzip();
    let mut bootstrap = bootstrap_of(&listeners, sites[0].1.address);
    bootstrap["static_resources"]["clusters"] = json!(clusters);
    Envoy::start(&bootstrap)
}

#[test]
fn no_tunnel_opens_that_was_not_agreed() {
    let upstreams: Vec<_> =
        answers().into_iter().map(|(name, script)| (name, Recorder::start(script))).collect();
    let sites: Vec<_> = upstreams.iter().map(|(name, upstream)| (*name, upstream)).collect();
    let envoy = start(&sites);
    let mut clients = Vec::new();
    for (name, upstream) in &upstreams {
        let mut client = Client::connect(envoy.listener(name));
        client.send(&Request::upgrade("/ws").bytes());
        let answer = client.answer();
        assert_ne!(answer.status, 101, "{name}");
        // Into a tunnel that is not there, and what would be a second request.
        let _ = client.stream.write_all(&text("secret"));
        let _ = client.stream.write_all(&Request::plain("/second").bytes());
        clients.push((name, upstream, client, answer));
    }
    // To the end of each: no heartbeat of a tunnel comes, and no other answer.
    for (name, upstream, mut client, _) in clients {
        let mut rest = Vec::new();
        if let Err(error) = std::io::Read::read_to_end(&mut client.stream, &mut rest) {
            assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "{name} does not end");
        }
        let rest = String::from_utf8_lossy(&rest).into_owned();
        assert!(!rest.contains("second"), "{name}: {rest}");
        let seen = upstream.seen();
        assert_eq!(seen.len(), 1, "{name}: {seen:?}");
        assert_eq!(seen[0].bytes, b"", "{name}");
    }
}

#[test]
fn what_comes_along_with_an_upgrade_is_no_second_request() {
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let envoy = start(&[("edge", &upstream)]);
    let upgrade = Request::upgrade("/ws");
    let second = Request::plain("/second").bytes();
    let lengthy = upgrade.clone().with("content-length", second.len().to_string());
    for (name, bytes) in [
        ("pipelined", [upgrade.bytes(), second.clone()].concat()),
        ("a body", [lengthy.bytes(), second.clone()].concat()),
        ("h2c", upgrade.clone().set("upgrade", "h2c").bytes()),
        ("two", upgrade.clone().set("upgrade", "websocket, h2c").bytes()),
        ("tls", upgrade.clone().set("upgrade", "TLS/1.0").bytes()),
        (
            "settings",
            upgrade
                .clone()
                .set("connection", "Upgrade, HTTP2-Settings")
                .with("http2-settings", "AAMAAABkAARAAAAAAAIAAAAA")
                .set("upgrade", "h2c")
                .bytes(),
        ),
    ] {
        let before = upstream.seen().len();
        let mut client = Client::connect(envoy.listener("edge"));
        client.send(&bytes);
        let answer = client.answer();
        drop(client);
        let seen = wait_for("upstream's connections to end", || {
            let seen = upstream.seen();
            seen.iter().all(|seen| seen.ended).then_some(seen)
        });
        assert!(seen.len() <= before + 1, "{name}: {answer:?}");
        for seen in &seen[before..] {
            assert!(seen.head.starts_with("GET /ws ") && seen.bytes.is_empty(), "{name}: {seen:?}");
        }
        assert!(!seen.iter().any(|seen| seen.head.contains("/second")), "{name}");
    }
}
