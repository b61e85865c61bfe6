//! Whom a count is about.

use sha2::{Digest, Sha256};
use std::net::{IpAddr, Ipv6Addr};

/// Where a count holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope<'a> {
    /// Over all policies.
    Document,
    /// In the policy of this name, on whatever listener.
    Policy(&'a str),
}

/// What is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension<'a> {
    /// Connections that are open, for the gauge; no limit is held against it.
    Open,
    /// Message bytes that are held, for the gauge.
    Buffered,
    /// Connections under the limit of all clients together.
    Total,
    /// Those of one client address.
    Address(Network),
    /// Those of one user.
    User(&'a str),
}

/// A client address as it is counted: an IPv4 address, or an IPv6 prefix, since
/// one IPv6 client has a whole network to choose addresses from. An IPv4 address
/// that is written as an IPv6 one is the IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network {
    /// `None`: Envoy told no address; all such clients are counted as one.
    address: Option<IpAddr>,
    prefix_bits: u8,
}

impl Network {
    /// The network that an address is counted in.
    #[must_use]
    pub fn of(address: Option<IpAddr>, ipv6_prefix: u8) -> Self {
        match address.map(|address| address.to_canonical()) {
            Some(IpAddr::V6(address)) => {
                let host_bits = 128u32.saturating_sub(u32::from(ipv6_prefix));
                let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
                let network = Ipv6Addr::from_bits(address.to_bits() & mask);
                Self { address: Some(IpAddr::V6(network)), prefix_bits: ipv6_prefix }
            }
            address => Self { address, prefix_bits: 32 },
        }
    }

    /// Different for different networks.
    pub(super) fn bytes(self) -> Vec<u8> {
        let mut bytes = vec![self.prefix_bits];
        match self.address {
            Some(IpAddr::V4(address)) => bytes.extend(address.octets()),
            Some(IpAddr::V6(address)) => bytes.extend(address.octets()),
            None => {}
        }
        bytes
    }
}

/// Secret of the process under which subjects are hashed: without it nobody can
/// choose addresses or names that land in the same shard.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt(pub [u8; Self::BYTES]);

impl Salt {
    pub(super) const BYTES: usize = 16;

    /// The subject of a count. Two differ unless SHA-256 cut to 128 bits
    /// collides.
    #[must_use]
    pub fn subject(&self, scope: Scope<'_>, dimension: Dimension<'_>) -> Subject {
        let mut hash = Sha256::new();
        hash.update(self.0);
        match scope {
            Scope::Document => part(&mut hash, b"document"),
            Scope::Policy(name) => {
                part(&mut hash, b"policy");
                part(&mut hash, name.as_bytes());
            }
        }
        match dimension {
            Dimension::Open => part(&mut hash, b"open"),
            Dimension::Buffered => part(&mut hash, b"buffered"),
            Dimension::Total => part(&mut hash, b"total"),
            Dimension::User(user) => {
                part(&mut hash, b"user");
                part(&mut hash, user.as_bytes());
            }
            Dimension::Address(network) => {
                part(&mut hash, b"address");
                part(&mut hash, &[network.prefix_bits]);
                match network.address {
                    Some(IpAddr::V4(address)) => part(&mut hash, &address.octets()),
                    Some(IpAddr::V6(address)) => part(&mut hash, &address.octets()),
                    None => part(&mut hash, b""),
                }
            }
        }
        let digest: [u8; 32] = hash.finalize().into();
        let (half, _) = digest.split_at(16);
        Subject(half.iter().fold(0, |sum, byte| sum << 8 | u128::from(*byte)))
    }

    /// A secret for another purpose, which these parts name.
    #[must_use]
    pub fn secret(&self, purpose: &[&[u8]]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.0);
        part(&mut hash, b"secret");
        purpose.iter().for_each(|bytes| part(&mut hash, bytes));
        hash.finalize().into()
    }
}

impl std::fmt::Debug for Salt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salt")
    }
}

/// Each part with its length before it, so that no two lists of parts are the
/// same bytes.
fn part(hash: &mut Sha256, bytes: &[u8]) {
    hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
    hash.update(bytes);
}

/// Whom a count is about, hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(pub(super) u128);

impl Subject {
    /// The shard in which all that is counted of it stands.
    pub(super) fn shard(self) -> u16 {
        let [high, low, ..] = self.0.to_be_bytes();
        u16::from_be_bytes([high, low]) % super::SHARDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    const SALT: Salt = Salt([7; 16]);

    fn at(address: &str, prefix: u8) -> Subject {
        let network = Network::of(Some(address.parse().unwrap()), prefix);
        SALT.subject(Scope::Document, Dimension::Address(network))
    }

    #[test]
    fn ipv6_addresses_count_by_their_prefix_and_ipv4_ones_each() {
        assert_eq!(at("2001:db8::1", 64), at("2001:db8::ffff:2", 64));
        assert_ne!(at("2001:db8::1", 64), at("2001:db8:0:1::1", 64));
        assert_ne!(at("2001:db8::1", 128), at("2001:db8::2", 128));
        assert_eq!(at("2001:db8::1", 1), at("2001:db9::1", 1));
        assert_ne!(at("192.0.2.1", 1), at("192.0.2.2", 1));
    }

    #[test]
    fn an_ipv4_address_is_the_same_however_the_socket_tells_it() {
        assert_eq!(at("192.0.2.1", 64), at("::ffff:192.0.2.1", 64));
        assert_ne!(at("::ffff:192.0.2.1", 64), at("::ffff:192.0.2.2", 64));
    }

    #[test]
    fn scopes_and_dimensions_do_not_mix() {
        let network = Network::of(Some("192.0.2.1".parse().unwrap()), 64);
        let nobody = Network::of(None, 64);
        let dimensions = [
            Dimension::Open,
            Dimension::Buffered,
            Dimension::Total,
            Dimension::User(""),
            Dimension::User("open"),
            Dimension::Address(network),
            Dimension::Address(nobody),
        ];
        let scopes =
            [Scope::Document, Scope::Policy("a"), Scope::Policy("b"), Scope::Policy("document")];
        let all: HashSet<Subject> = scopes
            .iter()
            .flat_map(|scope| dimensions.iter().map(|dimension| SALT.subject(*scope, *dimension)))
            .collect();
        assert_eq!(all.len(), scopes.len() * dimensions.len());
    }

    #[test]
    fn another_process_puts_the_same_client_elsewhere() {
        let subject =
            |salt: Salt| salt.subject(Scope::Policy("chat"), Dimension::User("key:dashboard"));
        assert_ne!(subject(Salt([1; 16])), subject(Salt([2; 16])));
    }

    /// Whoever has a whole network, or chooses names, fills all shards alike.
    #[test]
    fn subjects_in_whatever_order_spread_over_all_shards() {
        let prefix = Ipv6Addr::from(0x2001_0db8_u128 << 96).to_bits();
        let network = |number: u128| {
            let address = IpAddr::V6(Ipv6Addr::from_bits(prefix | number << 64));
            SALT.subject(Scope::Policy("chat"), Dimension::Address(Network::of(Some(address), 64)))
        };
        let user = |number: u128| {
            SALT.subject(Scope::Policy("chat"), Dimension::User(&number.to_string()))
        };
        // One after the other, and with the same lowest bits.
        let orders: [&dyn Fn(u128) -> Subject; 3] = [&network, &|n| network(n << 10), &user];
        for subjects in orders {
            let mut shards = vec![0u32; usize::from(crate::quota::SHARDS)];
            for number in 0..40_000 {
                shards[usize::from(subjects(number).shard())] += 1;
            }
            // 39 on average, and a standard deviation of 6.
            assert!(shards.iter().all(|count| (8..80).contains(count)), "{shards:?}");
        }
    }

    proptest! {
        #[test]
        fn any_prefix_keeps_its_bits_and_no_more(bits: u128, flip in 0u32..128, prefix in 0u8..=128) {
            let (one, other) = (Ipv6Addr::from_bits(bits), Ipv6Addr::from_bits(bits ^ 1 << flip));
            prop_assume!(one.to_ipv4_mapped().is_none() && other.to_ipv4_mapped().is_none());
            let network = |address| Network::of(Some(IpAddr::V6(address)), prefix);
            let same = flip < 128 - u32::from(prefix);
            prop_assert_eq!(network(one) == network(other), same);
        }
    }
}
