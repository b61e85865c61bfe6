//! Client addresses.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use crate::reason::Reason;

/// Which client addresses may connect.
#[derive(Clone, Debug, Default)]
pub struct AddressRules {
    /// Only these; `None`: all.
    pub allow: Option<Vec<IpNet>>,
    /// Never these, even where allowed.
    pub deny: Vec<IpNet>,
}

impl AddressRules {
    /// Judges the client address that Envoy trusts.
    ///
    /// An IPv4 address that came mapped into IPv6 (`::ffff:192.0.2.7`, as
    /// dual-stack listeners give it) is that IPv4 address, in the client's
    /// place and in a rule; so the ranges `::/0` and `0.0.0.0/0` have no
    /// address in common.
    ///
    /// # Errors
    /// [`AddressDenied`]; also where there is a rule and no known address.
    pub fn judge(&self, source: Option<IpAddr>) -> Result<(), AddressDenied> {
        if self.allow.is_none() && self.deny.is_empty() {
            return Ok(());
        }
        let source = source.ok_or(AddressDenied::Unknown)?.to_canonical();
        if self.deny.iter().any(|net| contains(net, source)) {
            return Err(AddressDenied::Denied);
        }
        match &self.allow {
            Some(allow) if !allow.iter().any(|net| contains(net, source)) => {
                Err(AddressDenied::NotAllowed)
            }
            _ => Ok(()),
        }
    }
}

/// Whether a range holds a (canonical) address.
fn contains(net: &IpNet, source: IpAddr) -> bool {
    match (net, source) {
        (IpNet::V4(net), IpAddr::V4(source)) => net.contains(&source),
        (IpNet::V6(net), IpAddr::V6(source)) => net.contains(&source),
        // A range of mapped addresses, 96 bits of which are the mapping.
        (IpNet::V6(net), IpAddr::V4(source)) => {
            net.prefix_len() >= 96
                && net.addr().to_ipv4_mapped().is_some()
                && net.contains(&Ipv4Addr::to_ipv6_mapped(&source))
        }
        (IpNet::V4(_), IpAddr::V6(_)) => false,
    }
}

/// Why an address may not connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressDenied {
    /// There are rules, and the address is not known.
    Unknown,
    /// In `deny`.
    Denied,
    /// Not in `allow`.
    NotAllowed,
}

impl AddressDenied {
    /// What the refusal is called.
    #[must_use]
    pub const fn reason(self) -> Reason {
        Reason::AddressDenied
    }
}

impl std::fmt::Display for AddressDenied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Which of the two lists it was is the operator's matter.
        f.write_str(match self {
            Self::Unknown => "the client's address is not known",
            Self::Denied | Self::NotAllowed => "this client's address may not connect here",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(list: &[&str]) -> Vec<IpNet> {
        list.iter().map(|net| net.parse().unwrap()).collect()
    }

    fn judge(allow: Option<&[&str]>, deny: &[&str], source: &str) -> Result<(), AddressDenied> {
        AddressRules { allow: allow.map(nets), deny: nets(deny) }.judge(source.parse().ok())
    }

    #[test]
    fn deny_wins_over_allow_and_allow_means_only_these() {
        let allow = Some(["10.0.0.0/8", "2001:db8::/32"].as_slice());
        let deny = ["10.9.0.0/16", "2001:db8:bad::/48"];
        assert_eq!(judge(allow, &deny, "10.1.2.3"), Ok(()));
        assert_eq!(judge(allow, &deny, "10.9.2.3"), Err(AddressDenied::Denied));
        assert_eq!(judge(allow, &deny, "192.0.2.7"), Err(AddressDenied::NotAllowed));
        assert_eq!(judge(allow, &deny, "2001:db8::1"), Ok(()));
        assert_eq!(judge(allow, &deny, "2001:db8:bad::1"), Err(AddressDenied::Denied));
        assert_eq!(judge(allow, &deny, "2001:db9::1"), Err(AddressDenied::NotAllowed));
        assert_eq!(judge(None, &deny, "192.0.2.7"), Ok(()));
    }

    #[test]
    fn an_unknown_address_passes_no_rule() {
        assert_eq!(judge(None, &[], "?"), Ok(()));
        assert_eq!(judge(None, &["10.0.0.0/8"], "?"), Err(AddressDenied::Unknown));
        assert_eq!(judge(Some(&["0.0.0.0/0"]), &[], "?"), Err(AddressDenied::Unknown));
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address() {
        assert_eq!(judge(None, &["10.0.0.0/8"], "::ffff:10.1.2.3"), Err(AddressDenied::Denied));
        assert_eq!(judge(Some(&["10.0.0.0/8"]), &[], "::ffff:10.1.2.3"), Ok(()));
        assert_eq!(judge(None, &["::ffff:10.0.0.0/104"], "10.1.2.3"), Err(AddressDenied::Denied));
        assert_eq!(judge(None, &["::ffff:10.0.0.0/104"], "11.1.2.3"), Ok(()));
        assert_eq!(judge(None, &["::/0"], "10.1.2.3"), Ok(()));
        assert_eq!(judge(None, &["0.0.0.0/0"], "2001:db8::1"), Ok(()));
    }
}
