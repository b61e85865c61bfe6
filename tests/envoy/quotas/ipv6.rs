//! Who is one address, where clients have many.

use super::{Gate, bootstrap, policy, status};
use crate::client::{Client, Request};
use crate::support::{Envoy, behind_a_proxy, listener, socket_address, wait_for};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

fn refused() -> (u16, String) {
    (429, "connections_per_ip".to_owned())
}

/// Envoy is told to trust one proxy before it, so that a client can be at any
/// address.
#[test]
fn ipv6_clients_count_by_prefix_and_mapped_ipv4_ones_as_ipv4() {
    let upstream = Gate::start();
    let mut coarse = policy("coarse", json!({"per_ip": 2}));
    coarse["quotas"]["ipv6_prefix"] = 48.into();
    let document = json!({"policies": [policy("chat", json!({"per_ip": 2})), coarse]});
    let envoy = Envoy::start(&behind_a_proxy(bootstrap(&document, upstream.address)));
    let address = envoy.address();
    let from = |path: &str, ip: &str| Request::upgrade(path).with("x-forwarded-for", ip);

    // Two of one network, in the policy's own prefix; then a third.
    let mut held = Vec::new();
    for (path, first, second, third, elsewhere) in [
        // 64 bits, the default.
        ("/chat", "2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:2::3", "2001:db8:1:3::1"),
        ("/coarse", "2001:db8:1:2::1", "2001:db8:1:3::1", "2001:db8:1:4::1", "2001:db8:2:2::1"),
        // What the prefix says is nothing about these.
        ("/chat", "192.0.2.7", "::ffff:192.0.2.7", "::ffff:c000:207", "192.0.2.8"),
        ("/coarse", "::ffff:192.0.2.9", "192.0.2.9", "192.0.2.9", "::ffff:192.0.2.10"),
    ] {
        held.push(Client::open(address, &from(path, first)));
        held.push(Client::open(address, &from(path, second)));
        for late in [first, second, third] {
            assert_eq!(status(address, &from(path, late)), refused(), "{path} from {late}");
        }
        held.push(Client::open(address, &from(path, elsewhere)));
    }
    // The event names the address, not the network.
    let named = |event: &Value| {
        event["ip"] == "2001:db8:1:2:ffff::9" && event["reason"] == "connections_per_ip"
    };
    wait_for("the address to be named", || envoy.events().iter().any(named).then_some(()));
    held.clear();
    upstream.wait_for(0);
    // All workers know at most one tick later.
    wait_for("a place that is free again", || {
        (status(address, &from("/chat", "2001:db8:1:2::3")).0 == 101).then_some(())
    });
}

/// A listener for both families: clients by IPv4 are the same there as at one
/// for IPv4 alone.
#[test]
fn one_client_is_one_address_at_listeners_of_either_family() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        eprintln!("not tested: this machine has no IPv6");
        return;
    }
    let upstream = Gate::start();
    let document = json!({"policies": [policy("chat", json!({"per_ip": 2}))]});
    let mut bootstrap = bootstrap(&document, upstream.address);
    let mut both = listener(&document);
    both["name"] = "both".into();
    both["address"] = socket_address("::", 0);
    both["address"]["socket_address"]["ipv4_compat"] = true.into();
    bootstrap["static_resources"]["listeners"].as_array_mut().unwrap().push(both);
    let envoy = Envoy::start(&bootstrap);
    let (ipv4, port) = (envoy.address(), envoy.listener("both").port());
    let mapped = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let ipv6 = SocketAddr::from((Ipv6Addr::LOCALHOST, port));

    let chat = Request::upgrade("/chat");
    let mut held = vec![Client::open(ipv4, &chat), Client::open(mapped, &chat)];
    for address in [ipv4, mapped] {
        assert_eq!(status(address, &chat), refused(), "{address}");
    }
    held.push(Client::open(ipv6, &chat));
    held.push(Client::open(ipv6, &chat));
    assert_eq!(status(ipv6, &chat), refused());
    upstream.wait_for(held.len());
}
