//! `bans` of a policy.

use super::fault::Shape;
use super::names;
use super::node::{Node, Words};
use super::relations::Relation;
use super::units::Bound;
use crate::quota::bans::{BanRules, can_strike};
use crate::reason::Reason;
use std::time::Duration;

const KEYS: &[&str] = &["threshold", "window", "duration", "by", "open", "weights"];

const THRESHOLD: Bound = Bound { most: 1_000_000, text: "1000000" };
const WEIGHT: Bound = Bound { most: 1_000_000, text: "1000000" };

/// In milliseconds: what a window of strikes can be, and how long a ban.
const WINDOW: Bound = Bound { most: 86_400_000, text: "24h" };
const DURATION: Bound = Bound { most: 30 * 86_400_000, text: "720h" };

#[derive(Clone, Copy, PartialEq)]
enum By {
    Ip,
    User,
}

const BY: &Words<By> = &[("ip", Some(By::Ip)), ("user", Some(By::User))];

/// What holds where nothing is written: the contract's example.
fn defaults() -> BanRules {
    BanRules {
        threshold: 10,
        window: Duration::from_secs(60),
        duration: Duration::from_secs(15 * 60),
        by_ip: true,
        by_user: false,
        open: false,
        weights: Vec::new(),
    }
}

/// Reads `bans`; `users`: the policy knows its users.
pub(super) fn read(node: &Node<'_>, users: bool) -> Option<BanRules> {
    let bans = node.object(KEYS)?;
    let mut rules = defaults();
    rules.by_user = users;
    if let Some(threshold) = bans.get("threshold").and_then(|node| node.count(THRESHOLD)) {
        rules.threshold = threshold;
    }
    if let Some(window) = bans.get("window").and_then(|node| node.duration(WINDOW)) {
        rules.window = window;
    }
    if let Some(duration) = bans.get("duration").and_then(|node| node.duration(DURATION)) {
        rules.duration = duration;
    }
    if let Some(node) = bans.get("by") {
        let by = node.list_of(|item| item.word(BY)).unwrap_or_default();
        (rules.by_ip, rules.by_user) = (by.contains(&By::Ip), by.contains(&By::User));
        if rules.by_user && !users {
            node.report(Relation::BanUserWithoutAuth);
        }
    }
    rules.open = bans.get("open").and_then(Node::flag).unwrap_or(false);
    rules.weights = bans.get("weights").map(weights).unwrap_or_default();
    Some(rules)
}

/// Reads weights: reasons that can be a client's fault, and whole numbers from 0.
fn weights(node: &Node<'_>) -> Vec<(Reason, u64)> {
    let known = || Reason::ALL.into_iter().filter(|reason| can_strike(*reason));
    let mut weights = Vec::new();
    for (name, node) in node.map().unwrap_or_default() {
        match known().find(|reason| reason.name() == name) {
            Some(reason) => weights.extend(node.whole(WEIGHT).map(|weight| (reason, weight))),
            None if Reason::ALL.iter().any(|reason| reason.name() == name) => {
                node.report(Relation::NoStrike);
            }
            None => {
                let names: Vec<&'static str> = known().map(Reason::name).collect();
                let near = names::nearest(name, &names);
                node.report(Shape::UnknownReason { near });
            }
        }
    }
    weights
}
