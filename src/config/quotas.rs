//! `quotas`, of the document and of a policy.

use super::node::Node;
use super::object::Object;
use super::rates;
use super::relations::Relation;
use super::units::Bound;
use crate::quota::connections::QuotaRules;

/// More than any Envoy has connections.
const CONNECTIONS: Bound = Bound { most: 100_000_000, text: "100000000" };

const PREFIX: Bound = Bound { most: 128, text: "128" };

/// Reads `quotas` of the document; `users`: some policy knows its users. Held bytes are
/// summed by the document's prefix in any case.
pub(super) fn read_document(node: Option<&Node<'_>>, users: bool) -> QuotaRules {
    let quotas = node.and_then(|node| node.object(&["connections", "ipv6_prefix"]));
    quotas.map(|quotas| read(&quotas, users, true)).unwrap_or_default()
}

/// Reads `quotas` of a policy; `users`: it knows its users, `elsewhere`: another
/// of its sections counts by address.
pub(super) fn read_policy(node: Option<&Node<'_>>, users: bool, elsewhere: bool) -> QuotaRules {
    let keys = &["connections", "handshakes", "ipv6_prefix"];
    let Some(quotas) = node.and_then(|node| node.object(keys)) else {
        return QuotaRules::default();
    };
    let mut rules = read(&quotas, users, elsewhere);
    rules.handshakes_per_ip = quotas.get("handshakes").and_then(rates::handshakes);
    rules
}

fn read(quotas: &Object<'_>, users: bool, elsewhere: bool) -> QuotaRules {
    let mut rules = QuotaRules::default();
    let connections =
        quotas.get("connections").and_then(|node| node.object(&["per_ip", "per_user", "total"]));
    let per_ip = connections.as_ref().is_some_and(|limits| limits.is_meant("per_ip"));
    if let Some(limits) = connections {
        let limit = |key| limits.get(key).and_then(|node| node.count(CONNECTIONS));
        rules.per_ip = limit("per_ip");
        rules.per_user = limit("per_user");
        rules.total = limit("total");
        if let (Some(node), false) = (limits.get("per_user"), users) {
            node.report(Relation::PerUserWithoutAuth);
        }
    }
    if let Some(node) = quotas.get("ipv6_prefix") {
        let prefix = node.count(PREFIX).and_then(|bits| u8::try_from(bits).ok());
        rules.ipv6_prefix = prefix.unwrap_or(rules.ipv6_prefix);
        if !per_ip && !quotas.is_meant("handshakes") && !elsewhere {
            node.report(Relation::Ipv6PrefixAlone);
        }
    }
    rules
}
