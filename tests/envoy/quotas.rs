//! Connection quotas, in the shared data of two workers.

use super::client::{Client, Request};
use super::support::{Envoy, bootstrap, wait_for};
use super::upstream::{Recorder, Script};
use serde_json::json;

fn connections(envoy: &Envoy) -> String {
    let page = envoy.get("/stats?filter=wsguard_connections.policy.chat");
    page.trim().rsplit(' ').next().unwrap_or_default().to_owned()
}

#[test]
fn an_address_holds_as_many_connections_as_it_may_over_all_workers() {
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let document = json!({"policies": [{
        "name": "chat", "quotas": {"connections": {"per_ip": 3, "total": 100}},
    }]});
    let envoy = Envoy::start(&bootstrap(&document, upstream.address));
    let upgrade = Request::upgrade("/ws");
    let mut open: Vec<_> = (0..3).map(|_| Client::open(envoy.address(), &upgrade)).collect();
    // Whichever of the two workers gets it.
    for _ in 0..6 {
        let (_, answer) = Client::ask(envoy.address(), &upgrade);
        assert_eq!((answer.status, answer.reason().as_str()), (429, "connections_per_ip"));
        assert!(answer.header("retry-after").is_some());
    }
    assert_eq!(upstream.seen().len(), 3);
    wait_for("the gauge", || (connections(&envoy) == "3").then_some(()));

    // Its place is free as soon as one has ended; a reset is an end too.
    open.pop();
    let again = wait_for("a free place", || {
        let (client, answer) = Client::ask(envoy.address(), &upgrade);
        (answer.status == 101).then_some(client)
    });
    drop((open, again));
    wait_for("everything to be given back", || (connections(&envoy) == "0").then_some(()));
}
