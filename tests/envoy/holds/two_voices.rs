//! Pings of the filter among those of an application: a client that answers only the
//! latest (RFC 6455 §5.5.3) answered the filter's, and the application's own keepalive
//! closed with 1011.

use crate::client::{Client, Request, frame, text};
use crate::frames::pair::{Server, Upstream, plain};
use crate::peers::{Maker, Talk, peer};
use crate::support::{Envoy, bootstrap_of, listener, python, stream_listener, tied, wait_for};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Of the application: how long it waits for a Pong.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// Python `websockets`, which pings each client by itself.
struct Application {
    child: Child,
    address: SocketAddr,
    told: Receiver<Value>,
}

impl Application {
    fn start() -> Self {
        let timeout = KEEPALIVE.as_secs().to_string();
        let mut command = tied(&python());
        command.arg(peer("keepalive.py")).args(["1", &timeout]).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port: u16 = lines.next().expect("it did not start").unwrap().parse().unwrap();
        let (tell, told) = channel();
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| drop(tell.send(line.parse().unwrap())));
        });
        Self { child, address: SocketAddr::from(([127, 0, 0, 1], port)), told }
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// With a heartbeat that a client sees about as often as the application's Pings.
fn beating(upstream: SocketAddr) -> Envoy {
    let lifetime = json!({"push": true, "heartbeat": "2s"});
    let document = json!({"policies": [{"name": "chat", "lifetime": lifetime}]});
    Envoy::start(&bootstrap_of(&[listener(&document)], upstream))
}

/// Returns the payload of the last Ping among the bytes of one read.
fn latest_ping(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut latest = None;
    while let [first, length, rest @ ..] = bytes {
        let (payload, after) = rest.split_at(usize::from(*length));
        if *first == 0x89 {
            latest = Some(payload.to_vec());
        }
        assert_ne!(*first, 0x88, "closed: {:?}", String::from_utf8_lossy(payload));
        bytes = after;
    }
    latest
}

/// Reads every 2.3 s, and answers the latest Ping alone, for longer than the application
/// waits.
fn answer_the_latest(envoy: SocketAddr, offset: Duration) {
    let mut client = Client::open(envoy, &Request::upgrade("/ws"));
    std::thread::sleep(offset);
    let begin = Instant::now();
    while begin.elapsed() < KEEPALIVE * 3 / 2 {
        std::thread::sleep(Duration::from_millis(2300));
        let mut chunk = [0; 4096];
        let length = client.stream.read(&mut chunk).unwrap();
        if let Some(payload) = latest_ping(&chunk[..length]) {
            client.send(&frame(0x8A, &payload));
        }
    }
    client.send(&text("still here"));
    wait_for("its echo", || {
        let frame = client.frame().expect("the connection has ended");
        (frame.payload == b"still here").then_some(())
    });
}

/// Clients whose looks fall on the Pings in different ways, libcurl's among them, and
/// those that answer all.
#[test]
fn an_applications_keepalive_is_answered_by_all_clients() {
    let application = Application::start();
    let envoy = beating(application.address);
    let address = envoy.address();
    std::thread::scope(|scope| {
        for offset in [0, 300, 700] {
            scope.spawn(move || answer_the_latest(address, Duration::from_millis(offset)));
        }
        let curls: Vec<Child> = ["2.2", "2.7"]
            .iter()
            .map(|pause| {
                let mut command = tied(&python());
                command.arg(peer("libcurl.py")).arg(format!("ws://{address}/ws"));
                let seconds = (KEEPALIVE * 3 / 2).as_secs().to_string();
                command.args([&seconds, *pause]).stdout(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        let wait = format!("wait:{}", (KEEPALIVE * 3 / 2).as_millis());
        let others: Vec<Talk> = [Maker::Python, Maker::Node]
            .map(|maker| Talk::start(maker, address, &[wait.as_str(), "say:hello"]))
            .into();
        for curl in curls {
            let output = curl.wait_with_output().unwrap();
            let saw: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(saw, json!({"echo": "hello", "error": null}));
        }
        for other in others {
            let saw = other.saw();
            assert_eq!((saw.messages(), saw.close()), (vec!["hello"], Some((1000, "done"))));
            assert!(saw.pings() > 5);
        }
    });
    for _ in 0..7 {
        let ended = application.told.recv_timeout(crate::support::PATIENCE).unwrap();
        assert_ne!(ended["code"], 1011, "{ended}");
    }
}

fn ping(server: &mut Server, payload: &[u8]) {
    server.send(&plain(0x89, payload));
}

/// The next masked control frame that the server sees.
fn control(server: &mut Server) -> (u8, Vec<u8>) {
    let mut head = [0; 6];
    server.stream.read_exact(&mut head).unwrap();
    let mut payload = vec![0; usize::from(head[1] & 0x7F)];
    server.stream.read_exact(&mut payload).unwrap();
    payload.iter_mut().zip(head[2..].iter().cycle()).for_each(|(byte, key)| *byte ^= key);
    (head[0], payload)
}

/// The input as it was found, and every order that it can come in.
#[test]
fn the_latest_of_the_applications_pings_before_ours_has_its_pong() {
    let upstream = Upstream::bind();
    let envoy = beating(upstream.address());
    let (mut client, mut server) = upstream.open(envoy.address(), &Request::upgrade("/ws"));
    for payload in [&b""[..], b"8 bytes!", &[0xFF; 125]] {
        ping(&mut server, b"an earlier one");
        ping(&mut server, payload);
        // Reads on until ours stands behind both.
        let mut theirs = 0;
        let ours = wait_for("our Ping", || {
            let frame = client.frame().unwrap();
            let is_theirs = frame.payload == payload || frame.payload == b"an earlier one";
            theirs += usize::from(is_theirs);
            (theirs == 2 && !is_theirs).then_some(frame.payload)
        });
        client.send(&frame(0x8A, &ours));
        assert_eq!(control(&mut server), (0x8A, payload.to_vec()));
    }
    client.send(&text("on"));
    assert_eq!(control(&mut server), (0x81, b"on".to_vec()));
}

/// Both filter kinds send one to have the server say something.
#[test]
fn a_servers_pong_to_ours_is_the_clients_too() {
    let upstream = Upstream::bind();
    let document = |filter: &str| {
        let rule = json!({"name": "bad", "pattern": "<script>", "action": "reply"});
        json!({"filter": filter, "policies": [{"name": "chat", "client": {"rules": [rule]}}]})
    };
    let listeners = [listener(&document("http")), stream_listener(&document("stream"))];
    let envoy = Envoy::start(&bootstrap_of(&listeners, upstream.address()));
    for name in ["edge", "stream"] {
        let (mut client, mut server) =
            upstream.open(envoy.listener(name), &Request::upgrade("/ws"));
        client.send(&[frame(0x89, b"mine"), text("<script>")].concat());
        assert_eq!(control(&mut server), (0x89, b"mine".to_vec()));
        let (first, ours) = control(&mut server);
        assert_eq!((first, ours.len()), (0x89, 8), "{name}");
        server.send(&plain(0x8A, &ours));
        let told = client.frame().unwrap();
        assert!(told.first == 0x81 && told.payload.starts_with(b"{\"type\":\"error\""));
        let pong = client.frame().unwrap();
        assert_eq!((pong.first, pong.payload.as_slice()), (0x8A, &b"mine"[..]), "{name}");
    }
}
