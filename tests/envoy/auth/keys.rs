//! Keys that an issuer publishes.

use super::service::{Hold, Reply, Service};
use super::{Rig, bearer};
use crate::client::{Client, text};
use crate::credentials::{ISSUER, jwks};
use crate::edge::first_close;
use crate::support::wait_for;
use crate::upstream::frames;
use serde_json::{Value, json};

fn document(keys: &Value) -> Value {
    let mut uri = json!({
        "cluster": "auth", "host": "issuer.example.com", "path": "/jwks?v=1", "timeout": "30s",
    });
    for (name, value) in keys.as_object().unwrap() {
        uri[name] = value.clone();
    }
    json!({"policies": [{"name": "chat", "auth": {
        "credentials": [{"header": "authorization"}],
        "jwt": [{
            "issuer": ISSUER, "algorithms": ["RS256", "EdDSA"], "audiences": ["chat"],
            "keys": {"jwks_uri": uri},
        }],
        "identity_headers": {"x-user-id": "sub"},
    }}]})
}

fn only(kid: &str) -> Reply {
    let all = jwks();
    let keys = all["keys"].as_array().unwrap().iter().filter(|key| key["kid"] == kid);
    Reply::new(200, json!({"keys": keys.collect::<Vec<_>>()}).to_string())
}

#[test]
fn tokens_are_verified_by_the_keys_that_the_issuer_publishes() {
    let service = Service::fixed(Reply::new(200, jwks().to_string()));
    let rig = Rig::start(&document(&json!({})), &service);
    for key in ["ed25519", "rsa"] {
        rig.opens(rig.http(), &bearer(key));
        rig.opens(rig.stream(), &bearer(key));
    }
    rig.refuses(&bearer("other rsa"), 401, "credentials_invalid");
    let asked = service.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    let head = asked[0].to_lowercase();
    assert!(head.starts_with("get /jwks?v=1 http/1.1\r\nhost: issuer.example.com\r\n"), "{head}");
}

#[test]
fn handshakes_that_wait_go_on_when_the_keys_land() {
    let hold = Hold::default();
    let service = Service::fixed(Reply::new(200, jwks().to_string()).held(&hold));
    let rig = Rig::start(&document(&json!({})), &service);
    let before = rig.envoy.resident_kib();
    let request = bearer("ed25519").bytes();
    let (http, stream) = (rig.http(), rig.stream());
    let ask = |place| {
        let mut client = Client::connect(if place % 2 == 0 { http } else { stream });
        client.send(&request);
        client
    };
    let mut waiting: Vec<_> = (0..500).map(ask).collect();
    rig.envoy.counter("http.edge.downstream_rq_active", 250);
    wait_for("all to be there", || {
        (rig.envoy.taken_by_workers().iter().sum::<u64>() == 500).then_some(())
    });
    assert!(rig.upstream.seen().is_empty(), "nobody goes on without the keys");
    hold.let_go();
    for client in &mut waiting {
        assert_eq!(client.answer().status, 101);
    }
    assert_eq!(service.asked().len(), 1, "one fetch for all");
    rig.envoy.metric("wsguard_buffered_bytes{} 0");
    // An open connection takes 50 KiB, two sockets' buffers beside; nothing of
    // the waiting stays.
    let grown = rig.envoy.resident_kib().saturating_sub(before);
    assert!(grown < 500 * 150, "{grown} KiB");
}

#[test]
fn a_slow_issuer_stalls_nobody_for_longer_than_the_timeout() {
    let service = Service::fixed(Reply::new(200, jwks().to_string()).never());
    let rig = Rig::start(&document(&json!({"timeout": "500ms"})), &service);
    rig.refuses(&bearer("ed25519"), 503, "auth_unavailable");
    rig.envoy.event("refused", Some("auth_unavailable"));
}

#[test]
fn an_issuer_that_is_down_at_the_start_is_asked_again() {
    let service = Service::fixed(Reply::new(500, ""));
    let rig = Rig::start(&document(&json!({})), &service);
    wait_for("the first fetch", || (!service.asked().is_empty()).then_some(()));
    rig.refuses(&bearer("ed25519"), 503, "auth_unavailable");
    for bad in
        [Reply::new(200, "<html>not a key set</html>"), Reply::new(200, vec![b' '; 10 << 20])]
    {
        let before = service.asked().len();
        service.answers(bad);
        wait_for("one more fetch", || (service.asked().len() > before).then_some(()));
        rig.refuses(&bearer("ed25519"), 503, "auth_unavailable");
    }
    // Each of them is let go: the next tries come after 1, 2, 4 s.
    let (before, asked) = (rig.envoy.resident_kib(), service.asked().len());
    wait_for("three more of the long answers", || {
        (service.asked().len() > asked + 2).then_some(())
    });
    let grown = rig.envoy.resident_kib().saturating_sub(before);
    assert!(grown < 25 << 10, "{grown} KiB");
    service.answers(Reply::new(200, jwks().to_string()));
    wait_for("the keys", || {
        (Client::ask(rig.http(), &bearer("ed25519")).1.status == 101).then_some(())
    });
    rig.opens(rig.stream(), &bearer("rsa"));
    let log = rig.envoy.log();
    for told in ["the answer is 500", "is no JSON object", "longer than 256KiB"] {
        assert!(log.contains(told), "{told} in {log}");
    }
}

#[test]
fn a_rotated_key_is_fetched_when_a_token_names_it_and_keys_outlive_their_issuer() {
    let service = Service::fixed(only("ed25519"));
    let rig = Rig::start(&document(&json!({})), &service);
    rig.opens(rig.http(), &bearer("ed25519"));
    let old = bearer("ed25519");
    let mut open = rig.envoy.open_on_each_worker(|| Client::open(rig.http(), &old));
    open.push(Client::open(rig.stream(), &old));
    let hold = Hold::default();
    service.answers(only("rsa").held(&hold));
    let taken = || rig.envoy.taken_by_workers().iter().sum::<u64>();
    let before = taken();
    std::thread::scope(|scope| {
        for address in [rig.http(), rig.stream(), rig.http(), rig.stream()] {
            scope.spawn(move || Client::open(address, &bearer("rsa")));
        }
        wait_for("the four", || (taken() == before + 4).then_some(()));
        hold.let_go();
    });
    assert_eq!(service.asked().len(), 2, "one fetch for the four");
    // Gone from the set: what the key opened ends as soon as its worker has seen
    // that, and the key is no longer good, and not looked for again so soon.
    assert!(open.iter_mut().all(Client::ends), "what the key opened has ended");
    rig.refuses(&old, 401, "credentials_invalid");
    rig.envoy.event("refused", Some("credentials_revoked"));
    service.answers(Reply::new(500, ""));
    rig.opens(rig.http(), &bearer("rsa"));
    assert_eq!(service.asked().len(), 2);
}

#[test]
fn clients_that_leave_while_they_wait_leave_nothing_behind() {
    let hold = Hold::default();
    let service = Service::fixed(Reply::new(200, jwks().to_string()).held(&hold));
    let rig = Rig::start(&document(&json!({})), &service);
    for address in [rig.http(), rig.stream()] {
        for _ in 0..20 {
            let mut client = Client::connect(address);
            client.send(&bearer("ed25519").bytes());
        }
    }
    // Bytes before the 101 are refused also where the head was held.
    let early = [rig.http(), rig.stream()].map(|address| {
        let mut client = Client::connect(address);
        client.send(&[bearer("ed25519").bytes(), text("early")].concat());
        (client, address)
    });
    rig.envoy.counter("http.edge.downstream_rq_active", 1);
    hold.let_go();
    for (mut client, address) in early {
        if address == rig.http() {
            let answer = client.answer();
            assert_eq!(first_close(&mut client, &answer).0, 1002);
        }
        assert!(client.ends());
    }
    rig.opens(rig.http(), &bearer("ed25519"));
    rig.opens(rig.stream(), &bearer("ed25519"));
    rig.envoy.metric("wsguard_buffered_bytes{} 0");
    let seen = rig.upstream.seen();
    assert!(seen.iter().all(|seen| !frames(&seen.bytes).iter().any(|(_, p)| p == b"early")));
}
