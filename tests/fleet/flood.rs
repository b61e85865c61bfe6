//! Floods of clients that nobody has seen before: the tables take no more room
//! than they have, and whoever has used up what it may is not freed by them.

use super::rules;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;
use wsguard::host::SharedData;
use wsguard::host::Timestamp;
use wsguard::host::memory::MemoryHost;
use wsguard::quota::bans::{Strike, Suspect};
use wsguard::quota::rate::Rate;
use wsguard::quota::{Dimension, Network, Permit, Quotas, Salt, Scope};
use wsguard::reason::Reason;

/// Connections counted, rates, and bans: 1,024 shards of 8 KiB, as many of 16
/// KiB, 256 of 16 KiB, and the members.
const KEYS: usize = 1024 + 1024 + 256 + 1;
const MOST_BYTES: usize = (8 << 20) + (16 << 20) + (4 << 20) + (4 << 10);

fn shared_bytes(host: &MemoryHost) -> usize {
    let keys = host.shared_keys();
    assert_eq!(keys.len(), KEYS);
    keys.iter().map(|key| host.load(key).unwrap().0.len()).sum()
}

/// Each address opens a connection, ends it, and strikes twice, which bans; so
/// many of them in a minute.
fn flood(addresses: u32) {
    let host = Rc::new(MemoryHost::at(Timestamp::default()));
    let quotas = Quotas::open(Rc::clone(&host) as _, Salt([9; 16]));
    let rate = Rate::new(5, Duration::from_secs(60)).unwrap();
    let rules = rules::bans(2, Duration::from_secs(60), Duration::from_secs(900));
    let reason = Reason::CredentialsInvalid;
    let strike = Strike { policy: "chat", rules: &rules, report: false, reason };
    let network = |address| Network::of(Some(address), 64);
    let heavy = network(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
    (0..5).for_each(|_| quotas.take_handshake("chat", rate, heavy).unwrap());
    let between = Duration::from_secs(60) / addresses;
    let mut most_bytes = 0;
    for number in 0..addresses {
        let address = IpAddr::V4(Ipv4Addr::from(0x2000_0000 + number));
        let own = network(address);
        quotas.take_handshake("chat", rate, own).unwrap();
        let mut permit = Permit::empty(Rc::clone(&quotas));
        let subject = quotas.subject(Scope::Policy("chat"), Dimension::Address(own));
        permit.take(&[(subject, 1)]).unwrap();
        drop(permit);
        let suspect = Suspect::Address(Some(address), 64);
        assert!(!quotas.strike(strike, suspect));
        assert!(quotas.strike(strike, suspect));
        assert!(quotas.banned(suspect, false).is_some());
        host.advance(between);
        if number % (addresses / 100) == 0 {
            quotas.on_tick();
            drop(quotas.take_ended_bans());
            most_bytes = most_bytes.max(shared_bytes(&host));
        }
    }
    assert!(quotas.take_handshake("chat", rate, heavy).is_err(), "freed by others");
    assert!(most_bytes <= MOST_BYTES);
    eprintln!("{addresses} addresses: {KEYS} keys, {most_bytes} bytes at most");
}

#[test]
fn twenty_thousand_addresses_make_no_key() {
    flood(20_000);
}

#[test]
#[ignore = "takes minutes: make soak"]
fn soak_a_million_addresses_make_no_key() {
    flood(1_000_000);
}
