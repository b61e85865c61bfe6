//! Handshakes of legal clients that were turned away, and of pages that got their visitors
//! banned.
//!
//! | module | what it holds |
//! |---|---|
//! | `claims` | claims by JSON pointer, and of other kinds than texts |
//! | `lists` | empty elements in lists |
//! | `origins` | origins that are no web origin |
//! | `places` | tokens behind a prefix of a subprotocol, Basic, and where the marker stands |
//! | `strikes` | cookies and places that hold two |

use crate::edge::{Edge, Rig, Site};
use std::sync::LazyLock;

mod claims;
mod lists;
mod origins;
mod places;
mod strikes;

/// Documents that loaded before, too.
static RIG: LazyLock<&Rig> = LazyLock::new(|| {
    let sites: [fn() -> Vec<Site>; 4] =
        [claims::sites, lists::sites, origins::sites, places::sites];
    Rig::keep(sites.iter().flat_map(|sites| sites()).collect())
});

/// Documents that were errors before.
static NEW: LazyLock<&Rig> = LazyLock::new(|| {
    let sites: [fn() -> Vec<Site>; 3] = [claims::new_sites, origins::new_sites, places::new_sites];
    Rig::keep(sites.iter().flat_map(|sites| sites()).collect())
});

fn edge(site: &str) -> Edge {
    Edge::at(&RIG, site)
}

fn new_edge(site: &str) -> Edge {
    Edge::at(&NEW, site)
}
