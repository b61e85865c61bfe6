//! A wall clock that NTP sets by an hour, back and forth, while Envoy runs: it
//! neither bans nor frees anybody, and ends no connection.

use super::client::{Client, Request, text};
use super::frames::counter;
use super::peers::{Echo, Maker};
use super::support::{Envoy, behind_a_proxy, bootstrap, wait_for};
use serde_json::{Value, json};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// The clock of an Envoy that is started with it.
pub struct WallClock {
    dir: TempDir,
}

impl WallClock {
    /// Builds what is preloaded, with the compiler that links Rust, too.
    pub fn build() -> Self {
        let dir = TempDir::new().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/clock.c");
        let mut cc = Command::new("cc");
        cc.args(["-O1", "-shared", "-fPIC", "-o"]).arg(dir.path().join("clock.so")).arg(source);
        assert!(cc.status().unwrap().success());
        let clock = Self { dir };
        std::fs::write(clock.file(), [0; 16]).unwrap();
        clock
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("clock")
    }

    /// Starts an Envoy that goes by it.
    pub fn start(&self, bootstrap: &Value) -> Envoy {
        let (library, file) = (self.dir.path().join("clock.so"), self.file());
        let environment = [("LD_PRELOAD", &library), ("WSGUARD_TEST_CLOCK", &file)];
        let environment = environment.map(|(name, path)| (name, path.to_str().unwrap()));
        Envoy::start_with(&bootstrap.to_string(), &environment)
    }

    /// Sets it, by so many seconds off the right time.
    pub fn set(&self, seconds: i64) {
        self.write(0, seconds);
    }

    /// Stops it at this second since 1970; 0 lets it go on.
    pub fn stop(&self, second: i64) {
        self.write(8, second);
    }

    fn write(&self, place: u64, number: i64) {
        // In place, since Envoy has the file mapped.
        let file = std::fs::OpenOptions::new().write(true).open(self.file()).unwrap();
        file.write_all_at(&number.to_ne_bytes(), place).unwrap();
    }
}

fn document() -> Value {
    let keyed = json!({
        "name": "keyed", "match": {"paths": ["/keyed"]},
        "auth": crate::by_api_key(),
        "bans": {"threshold": 3, "window": "10m", "duration": "30m", "by": ["ip"]},
    });
    let chat = json!({
        "name": "chat", "match": {"paths": ["/chat"]},
        "quotas": {"connections": {"per_ip": 2}},
        "client": {"rate": {"per_ip": "20/10m", "per_connection": "20/10m"}, "on_violation": "drop"},
        "lifetime": {"idle": "5m", "max": "30m"},
    });
    let hasty = json!({
        "name": "hasty", "match": {"paths": ["/hasty"]},
        "quotas": {"handshakes": {"per_ip": "3/10m"}},
    });
    json!({"policies": [keyed, chat, hasty]})
}

fn from(path: &str, address: &str) -> Request {
    Request::upgrade(path).with("x-forwarded-for", address)
}

const BANNED: &str = "192.0.2.66";
const STRUCK: &str = "192.0.2.67";
const FULL: &str = "192.0.2.1";
const HASTY: &str = "192.0.2.2";
const TALKER: &str = "192.0.2.3";

struct Clients<'a>(&'a Envoy);

impl Clients<'_> {
    fn reason(&self, request: &Request) -> String {
        let (_, answer) = Client::ask(self.0.address(), request);
        if answer.status == 101 { String::new() } else { answer.reason() }
    }

    fn with_key(&self, address: &str, key: &str) -> String {
        self.reason(&from("/keyed", address).with("x-api-key", key))
    }

    fn open(&self, path: &str, address: &str) -> Client {
        Client::open(self.0.address(), &from(path, address))
    }
}

fn seconds_since_1970() -> i64 {
    let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(elapsed.as_secs()).unwrap()
}

/// The newest event says a time that is so much off, but for a minute.
fn has_jumped(envoy: &Envoy, seconds: i64) {
    let events = envoy.events();
    let told = humantime::parse_rfc3339(events.last().unwrap()["ts"].as_str().unwrap()).unwrap();
    let told = told.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let off = i64::try_from(told).unwrap() - seconds_since_1970();
    assert!((off - seconds).abs() < 60, "{off} in the place of {seconds}");
}

#[test]
fn a_wall_clock_that_jumps_by_an_hour_bans_frees_and_ends_nobody() {
    let (echo, clock) = (Echo::of(Maker::Tungstenite), WallClock::build());
    let envoy = clock.start(&behind_a_proxy(bootstrap(&document(), echo.address)));
    let (clients, good) = (Clients(&envoy), super::TEST_API_KEY);
    let bad = |address| assert_eq!(clients.with_key(address, "wrong"), "credentials_invalid");
    (0..3).for_each(|_| bad(BANNED));
    (0..2).for_each(|_| bad(STRUCK));
    (0..3).for_each(|_| drop(clients.open("/hasty", HASTY)));
    let mut held = [clients.open("/chat", FULL), clients.open("/chat", FULL)];
    let mut talker = clients.open("/chat", TALKER);
    let mut says = |words: &str, count: usize, back: usize| {
        talker.send(&text(words).repeat(count));
        (0..back).for_each(|_| assert_eq!(talker.frame().unwrap().payload, words.as_bytes()));
    };
    says("before", 19, 19);
    for jump in [3600, -3600, 0, 3600] {
        clock.set(jump);
        // Longer than the lease, in which everybody would look dead.
        std::thread::sleep(Duration::from_secs(7));
        assert_eq!(clients.with_key(BANNED, good), "banned");
        has_jumped(&envoy, jump);
        assert_eq!(clients.with_key(STRUCK, good), "");
        assert_eq!(clients.with_key("192.0.2.99", good), "");
        assert_eq!(clients.reason(&from("/chat", FULL)), "connections_per_ip");
        assert_eq!(clients.reason(&from("/hasty", HASTY)), "handshake_rate");
        for client in &mut held {
            client.send(&text("still here"));
            assert_eq!(client.frame().unwrap().payload, b"still here");
        }
        envoy.metric("wsguard_bans_active{} 1");
    }
    // What was counted before counts, and no more than that.
    says("after", 5, 1);
    let dropped = r#"wsguard_violations_total{policy="chat",direction="client",reason="message_rate",action="drop"}"#;
    wait_for("the rest to be dropped", || (counter(&envoy, dropped) == 4).then_some(()));
    bad(STRUCK);
    assert_eq!(clients.with_key(STRUCK, good), "banned");
    let ended = |event: &Value| event["event"] == "closed" && event["reason"].is_string();
    assert!(!envoy.events().iter().any(ended), "{}", envoy.log());
}
