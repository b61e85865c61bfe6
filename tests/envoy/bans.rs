//! Bans over the workers of an Envoy.

use super::client::{Client, Request};
use super::support::{Envoy, bootstrap, wait_for};
use super::upstream::{Recorder, Script};
use serde_json::json;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

fn status(address: SocketAddr, path: &str, key: &str) -> (u16, String, Option<u64>) {
    let (_, answer) = Client::ask(address, &Request::upgrade(path).with("x-api-key", key));
    let after = answer.header("retry-after").map(|value| value.parse().unwrap());
    (answer.status, if answer.status == 101 { String::new() } else { answer.reason() }, after)
}

#[test]
fn bad_credentials_ban_an_address_on_all_workers_until_the_ban_ends() {
    const DURATION: Duration = Duration::from_secs(4);
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let users = json!({
        "credentials": [{"header": "x-api-key"}],
        "api_keys": [{"id": "robot", "key": {"env": "TEST_API_KEY"}}],
    });
    let document = json!({"policies": [
        {
            "name": "chat", "match": {"paths": ["/chat"]}, "auth": users,
            "bans": {"threshold": 6, "window": "1m", "duration": "4s", "by": ["ip"],
                     "weights": {"credentials_invalid": 2}},
        },
        {"name": "feed", "match": {"paths": ["/feed"]}},
    ]});
    let envoy = Envoy::start_on(4, &bootstrap(&document, upstream.address));
    let (address, good) = (envoy.address(), super::TEST_API_KEY);
    for _ in 0..2 {
        assert_eq!(status(address, "/chat", "wrong").1, "credentials_invalid");
        assert_eq!(status(address, "/chat", good).0, 101, "strikes alone refuse nothing");
    }
    let begin = Instant::now();
    assert_eq!(status(address, "/chat", "wrong").1, "credentials_invalid");
    // Connections of their own, so that each worker is asked.
    for _ in 0..12 {
        let (code, reason, after) = status(address, "/chat", good);
        assert_eq!((code, reason.as_str()), (429, "banned"));
        assert!((1..=4).contains(&after.unwrap()));
    }
    assert_eq!(status(address, "/feed", "").1, "banned", "bans span policies");
    let told = envoy.event("banned", Some("credentials_invalid"));
    assert_eq!((&told["ip"], &told["policy"]), (&json!("127.0.0.1"), &json!("chat")));
    envoy.metric("wsguard_bans_active{} 1");
    wait_for("the ban to end", || (status(address, "/chat", good).0 == 101).then_some(()));
    assert!(begin.elapsed() >= DURATION, "{:?}", begin.elapsed());
    assert_eq!(status(address, "/feed", "").0, 101);
    let told = envoy.event("unbanned", None);
    assert_eq!(told["detail"], "the ban of this address has ended");
    envoy.metric("wsguard_bans_active{} 0");
    std::thread::sleep(Duration::from_secs(1));
    let unbanned = envoy.events().iter().filter(|event| event["event"] == "unbanned").count();
    assert_eq!(unbanned, 1, "of four workers one tells");
    assert_eq!(status(address, "/chat", "wrong").1, "credentials_invalid");
    assert_eq!(status(address, "/chat", good).0, 101, "strikes have begun anew");
}
