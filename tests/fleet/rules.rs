//! What is counted, as a document would say it.

use std::net::IpAddr;
use std::time::Duration;
use wsguard::frame::Sender;
use wsguard::quota::bans::BanRules;
use wsguard::quota::rate::{MessageRates, RateClient, Rates};

/// So many bad credentials within a window ban their address.
pub fn bans(threshold: u64, window: Duration, duration: Duration) -> BanRules {
    BanRules {
        threshold,
        window,
        duration,
        by_ip: true,
        by_user: false,
        open: false,
        weights: Vec::new(),
    }
}

/// The rates of what clients send.
pub const fn of_clients<'a>(messages: &'a Rates, bytes: &'a Rates) -> MessageRates<'a> {
    MessageRates { policy: "chat", direction: Sender::Client, messages, bytes }
}

/// A client that is known.
pub const fn client(address: IpAddr, user: &str) -> RateClient<'_> {
    RateClient { address: Some(address), ipv6_prefix: 64, user: Some(user) }
}
