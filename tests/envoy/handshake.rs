//! The opening handshake, through the stock Envoy.
//!
//! | module | what it holds |
//! |---|---|
//! | `form` | RFC 6455 §4.2.1: what is an opening handshake and what is none |
//! | `access` | who may connect: addresses, origins, TLS, user agents |
//! | `offers` | subprotocols and compression |
//! | `paths` | which policy a request meets, however its path is spelled |
//! | `plain` | requests that are no upgrade, upgrades that no policy matches |
//! | `answers` | what upstream answers |
//! | `early` | bytes that come too soon, or behind a refusal |
//! | `refusals` | how a refusal is told |
//! | `identity` | identity headers that a client made up |

use super::edge::{Edge, Rig, Site};
use std::sync::LazyLock;

mod access;
mod answers;
mod early;
mod form;
mod identity;
mod offers;
mod paths;
mod plain;
mod refusals;

static RIG: LazyLock<&Rig> = LazyLock::new(|| {
    let sites: [fn() -> Vec<Site>; 9] = [
        access::sites,
        answers::sites,
        early::sites,
        form::sites,
        identity::sites,
        offers::sites,
        paths::sites,
        plain::sites,
        refusals::sites,
    ];
    Rig::keep(sites.iter().flat_map(|sites| sites()).collect())
});

fn edge(site: &str) -> Edge {
    Edge::at(&RIG, site)
}
