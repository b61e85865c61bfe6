//! Bans over the workers of an Envoy.

use super::client::{Client, Request};
use super::frames::counter;
use super::push::allocated;
use super::support::{Envoy, behind_a_proxy, bootstrap, wait_for};
use super::upstream::{Recorder, Script};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

mod open;

/// What becomes of a request from this address: status, reason, and what
/// `retry-after` says.
fn status(envoy: &Envoy, path: &str, ip: &str, key: &str) -> (u16, String, Option<u64>) {
    let request = Request::upgrade(path).with("x-forwarded-for", ip).with("x-api-key", key);
    let (_, answer) = Client::ask(envoy.address(), &request);
    let after = answer.header("retry-after").map(|value| value.parse().unwrap());
    (answer.status, if answer.status == 101 { String::new() } else { answer.reason() }, after)
}

/// Bans an address after six points, for so long; a bad key has two.
fn keyed(duration: &str) -> Value {
    json!({"policies": [
        {
            "name": "chat", "match": {"paths": ["/chat"]}, "auth": crate::by_api_key(),
            "bans": {"threshold": 6, "window": "1h", "duration": duration, "by": ["ip"],
                     "weights": {"credentials_invalid": 2}},
        },
        {"name": "feed", "match": {"paths": ["/feed"]}},
    ]})
}

const BANNED: &str = "192.0.2.66";
const GOOD: &str = super::TEST_API_KEY;

#[test]
fn bad_credentials_ban_an_address_on_all_workers() {
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let bootstrap = behind_a_proxy(bootstrap(&keyed("1h"), upstream.address));
    let envoy = Envoy::start_on(4, &bootstrap);
    for _ in 0..2 {
        assert_eq!(status(&envoy, "/chat", BANNED, "wrong").1, "credentials_invalid");
        assert_eq!(status(&envoy, "/chat", BANNED, GOOD).0, 101, "strikes alone refuse nothing");
    }
    assert_eq!(status(&envoy, "/chat", BANNED, "wrong").1, "credentials_invalid");
    envoy.open_on_each_worker(|| {
        let (code, reason, after) = status(&envoy, "/chat", BANNED, GOOD);
        assert_eq!((code, reason.as_str()), (429, "banned"));
        assert!((1..=3600).contains(&after.unwrap()));
    });
    assert_eq!(status(&envoy, "/feed", BANNED, "").1, "banned", "bans span policies");
    let told = envoy.event("banned", Some("credentials_invalid"));
    assert_eq!((&told["ip"], &told["policy"]), (&json!(BANNED), &json!("chat")));
    envoy.metric("wsguard_bans_active{} 1");
}

#[test]
fn a_ban_ends_on_all_workers_and_is_told_once() {
    const DURATION: Duration = Duration::from_secs(4);
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let bootstrap = behind_a_proxy(bootstrap(&keyed("4s"), upstream.address));
    let envoy = Envoy::start_on(4, &bootstrap);
    let ban = |ip| {
        for _ in 0..3 {
            assert_eq!(status(&envoy, "/chat", ip, "wrong").1, "credentials_invalid");
        }
    };
    let unbanned = || {
        let events = envoy.events().into_iter();
        events.filter(|event| event["event"] == "unbanned").collect::<Vec<_>>()
    };
    let begin = Instant::now();
    ban(BANNED);
    let may_come = || status(&envoy, "/chat", BANNED, GOOD).0 == 101;
    wait_for("the ban to end", || may_come().then_some(()));
    assert!(begin.elapsed() >= DURATION, "{:?}", begin.elapsed());
    envoy.open_on_each_worker(|| assert_eq!(status(&envoy, "/feed", BANNED, "").0, 101));
    let told = envoy.event("unbanned", None);
    assert_eq!(told["detail"], "the ban of this address has ended");
    envoy.metric("wsguard_bans_active{} 0");
    assert_eq!(status(&envoy, "/chat", BANNED, "wrong").1, "credentials_invalid");
    assert_eq!(status(&envoy, "/chat", BANNED, GOOD).0, 101, "strikes have begun anew");
    // By the end of another's ban, all workers have long seen the end of this one.
    ban("192.0.2.67");
    wait_for("the other's end", || (unbanned().len() > 1).then_some(()));
    let addresses: Vec<_> = unbanned().iter().map(|event| event["ip"].clone()).collect();
    assert_eq!(addresses, [BANNED, "192.0.2.67"], "of four workers one tells");
}

/// A document whose every refusal is counted and bans, behind a hop that says by
/// `x-forwarded-for` who the client is.
fn flooded(upstream: SocketAddr) -> Value {
    let document = json!({"policies": [{
        "name": "chat",
        "auth": crate::by_api_key(),
        "quotas": {"handshakes": {"per_ip": "5/1m"}, "connections": {"per_ip": 5}},
        "bans": {"threshold": 1, "duration": "1h"},
    }]});
    let mut bootstrap = behind_a_proxy(bootstrap(&document, upstream));
    let listener = &mut bootstrap["static_resources"]["listeners"][0];
    listener["address"]["socket_address"]["address"] = "0.0.0.0".into();
    bootstrap
}

/// Has each of these addresses try a wrong key, which bans it.
fn flood(address: SocketAddr, addresses: std::ops::Range<u32>) {
    std::thread::scope(|scope| {
        for part in 0..4u8 {
            let addresses = addresses.clone();
            scope.spawn(move || {
                for number in addresses.filter(|number| number % 4 == u32::from(part)) {
                    let source = std::net::Ipv4Addr::from(0x2000_0000 + number).to_string();
                    let request = Request::upgrade("/ws")
                        .with("x-api-key", "wrong")
                        .with("x-forwarded-for", source);
                    // Envoy closes after each; an address has so many ports only.
                    let [_, low, ..] = number.to_le_bytes();
                    let to = SocketAddr::from(([127, 1, part, low], address.port()));
                    let (_, answer) = Client::ask(to, &request);
                    assert_eq!(answer.status, 401, "it was not banned before");
                }
            });
        }
    });
}

/// What a flood of so many addresses leaves behind, of which the first `warm`
/// may have filled what there is to fill.
fn memory_stays_flat(warm: u32, addresses: u32, most_kib: u64) {
    let begin = Instant::now();
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let envoy = Envoy::start(&flooded(upstream.address));
    flood(envoy.address(), 0..warm);
    let (before, held) = (envoy.resident_kib(), allocated(&envoy));
    flood(envoy.address(), warm..addresses);
    let grown = envoy.resident_kib().saturating_sub(before);
    let held_more = allocated(&envoy).saturating_sub(held) >> 10;
    // The gauges are a second behind.
    let what = "every ban, or as many as there is room for";
    let bans = wait_for(what, || {
        let bans = counter(&envoy, "wsguard_bans_active");
        (bans >= 100_000.min(addresses as usize)).then_some(bans)
    });
    let fill = counter(&envoy, "wsguard_table_fill");
    let (lines, seconds) =
        (envoy.events().len(), usize::try_from(begin.elapsed().as_secs()).unwrap());
    eprintln!(
        "{addresses} addresses in {seconds} s: {before} KiB resident after {warm}, and {grown} \
         KiB more, of which Envoy's allocator holds {held_more}; {bans} bans, tables {fill}% full, \
         {lines} event lines"
    );
    assert!(grown < most_kib, "{grown} KiB more than {before}");
    assert!(bans <= 150_000 && (1..=100).contains(&fill), "{bans} bans, {fill}%");
    // At most a hundred in a second, and of each of two workers one that says how
    // many were left out.
    assert!(lines <= (seconds + 2) * 102, "{lines} lines in {seconds} s");
    // Who came last is banned, whoever came after.
    let last = std::net::Ipv4Addr::from(0x2000_0000 + addresses - 1).to_string();
    let request = Request::upgrade("/ws").with("x-forwarded-for", last);
    assert_eq!(Client::ask(envoy.address(), &request).1.reason(), "banned");
}

#[test]
fn ten_thousand_addresses_take_little_memory() {
    memory_stays_flat(3_000, 10_000, 12 << 10);
}

/// The tables are full long before.
#[test]
#[ignore = "takes minutes: make soak"]
fn soak_a_million_addresses_take_no_more_memory_than_the_tables() {
    memory_stays_flat(700_000, 1_000_000, 12 << 10);
}
