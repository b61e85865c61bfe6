//! One rule each. What must hold in any order of events is in
//! `tests/fleet/quotas.rs`.

use super::connections::{self, Client, Limit, QuotaExceeded, QuotaRules};
use super::*;
use crate::host::memory::MemoryHost;
use crate::host::{SharedData, Timestamp};
use std::time::Duration;

mod interrupted;

const TICK: Duration = Duration::from_millis(500);
const MEMBERS: &str = "wsguard/quota/1/members";

/// Workers of one process.
struct Process {
    first: Rc<MemoryHost>,
    hosts: Vec<Rc<MemoryHost>>,
}

impl Process {
    fn new() -> Self {
        Self { first: Rc::new(MemoryHost::at(Timestamp::default())), hosts: Vec::new() }
    }

    fn worker(&mut self) -> Rc<Quotas> {
        let host = Rc::new(self.first.beside());
        self.hosts.push(Rc::clone(&host));
        let number = u8::try_from(self.hosts.len()).unwrap_or(u8::MAX);
        Quotas::open(host, Salt([number; 16]))
    }

    /// Lets these live through rounds, which others don't.
    fn rounds(&self, count: u32, workers: &[&Rc<Quotas>]) {
        for _ in 0..count {
            self.hosts.iter().for_each(|host| host.advance(TICK));
            workers.iter().for_each(|worker| worker.on_tick());
        }
    }
}

fn subject(quotas: &Quotas) -> Subject {
    quotas.subject(Scope::Policy("chat"), Dimension::Total)
}

fn take(quotas: &Rc<Quotas>, limit: u64) -> Result<Permit, Refused> {
    let mut permit = Permit::empty(Rc::clone(quotas));
    permit.take(&[(subject(quotas), limit)]).map(|()| permit)
}

#[test]
fn a_limit_holds_over_all_workers() {
    let mut process = Process::new();
    let (one, other) = (process.worker(), process.worker());
    let first = take(&one, 2).unwrap();
    let _second = take(&other, 2).unwrap();
    assert_eq!(take(&one, 2).unwrap_err(), Refused::Limit(0));
    assert_eq!(take(&other, 2).unwrap_err(), Refused::Limit(0));
    drop(first);
    assert_eq!(take(&other, 2).unwrap_err(), Refused::Limit(0), "upstream's may be open still");
    one.settle();
    assert!(take(&other, 2).is_ok());
}

#[test]
fn a_permit_gives_back_once() {
    let mut process = Process::new();
    let one = process.worker();
    let mut permits: Vec<Permit> = (0..3).map(|_| take(&one, 3).unwrap()).collect();
    permits.pop();
    one.settle();
    one.settle();
    assert_eq!(one.held(subject(&one)), Some(2));
    permits.clear();
    process.rounds(1, &[&one]);
    assert_eq!(one.held(subject(&one)), Some(0));
}

#[test]
fn a_refused_connection_holds_nothing() {
    let mut process = Process::new();
    let one = process.worker();
    let roomy = one.subject(Scope::Document, Dimension::User("a"));
    let _holder = take(&one, 1).unwrap();
    let mut permit = Permit::empty(Rc::clone(&one));
    let refused = permit.take(&[(roomy, 5), (subject(&one), 1), (roomy, 5)]);
    assert_eq!(refused, Err(Refused::Limit(1)));
    assert_eq!(one.held(roomy), Some(0));
    permit.take(&[(roomy, 5)]).unwrap();
    assert_eq!(permit.take(&[(roomy, 5), (subject(&one), 1)]), Err(Refused::Limit(1)));
    assert_eq!(one.held(roomy), Some(1), "what it held before it still holds");
}

#[test]
fn what_a_dead_worker_held_is_free_after_the_lease_and_only_then() {
    let mut process = Process::new();
    let (dead, live) = (process.worker(), process.worker());
    let _lost = take(&dead, 1).unwrap();
    process.rounds(1, &[&dead, &live]);
    process.rounds(members::LEASE_ROUNDS - 1, &[&live]);
    assert_eq!(take(&live, 1).unwrap_err(), Refused::Limit(0));
    process.rounds(1, &[&live]);
    assert_eq!(live.held(subject(&live)), Some(0));
    let _free = take(&live, 1).unwrap();
}

#[test]
fn the_vm_in_the_place_of_a_trapped_one_waits_for_the_lease_too() {
    let mut process = Process::new();
    let dead = process.worker();
    let _lost = take(&dead, 1).unwrap();
    let reborn = process.worker();
    process.rounds(members::LEASE_ROUNDS, &[&reborn]);
    assert_eq!(take(&reborn, 1).unwrap_err(), Refused::Limit(0));
    process.rounds(1, &[&reborn]);
    assert!(take(&reborn, 1).is_ok());
}

#[test]
fn nothing_of_the_dead_stays_in_the_table() {
    let mut process = Process::new();
    let (dead, live) = (process.worker(), process.worker());
    for user in 0..500 {
        let user = format!("user {user}");
        let subject = dead.subject(Scope::Document, Dimension::User(&user));
        let mut permit = Permit::empty(Rc::clone(&dead));
        permit.take(&[(subject, 1)]).unwrap();
        std::mem::forget(permit);
    }
    process.rounds(1 + members::LEASE_ROUNDS, &[&live]);
    process.rounds(10, &[&live]);
    for key in process.first.shared_keys().iter().filter(|key| *key != MEMBERS) {
        assert_eq!(process.first.load(key).unwrap().0, [1], "{key}");
    }
}

#[test]
fn a_worker_that_stood_still_too_long_publishes_again_under_a_new_number() {
    let mut process = Process::new();
    let (stalled, live) = (process.worker(), process.worker());
    let kept: Vec<Permit> = (0..3).map(|_| take(&stalled, 3).unwrap()).collect();
    process.rounds(1, &[&stalled, &live]);
    process.rounds(members::LEASE_ROUNDS, &[&live]);
    assert_eq!(live.held(subject(&live)), Some(0), "struck out");
    let others: Vec<Permit> = (0..2).map(|_| take(&live, 3).unwrap()).collect();
    // It wakes: its three are there as well, above the limit.
    process.rounds(1, &[&stalled, &live]);
    assert_eq!(live.held(subject(&live)), Some(5));
    drop(kept);
    stalled.settle();
    assert_eq!(live.held(subject(&live)), Some(2));
    assert!(take(&stalled, 3).is_ok());
    drop(others);
}

#[test]
fn a_worker_that_wakes_counts_what_it_holds_before_it_takes_more() {
    let mut process = Process::new();
    let (stalled, live) = (process.worker(), process.worker());
    let kept = take(&stalled, 1).unwrap();
    process.rounds(1, &[&stalled, &live]);
    process.rounds(members::LEASE_ROUNDS, &[&live]);
    assert_eq!(take(&stalled, 1).unwrap_err(), Refused::Limit(0), "its own one");
    assert_eq!(take(&live, 1).unwrap_err(), Refused::Limit(0), "told by that");
    drop(kept);
}

#[test]
fn what_a_worker_gives_back_while_it_is_struck_out_is_not_published_again() {
    let mut process = Process::new();
    let (stalled, live) = (process.worker(), process.worker());
    let kept = take(&stalled, 2).unwrap();
    let given_back = take(&stalled, 2).unwrap();
    process.rounds(1, &[&stalled, &live]);
    process.rounds(members::LEASE_ROUNDS, &[&live]);
    drop(given_back);
    stalled.settle();
    process.rounds(2, &[&stalled, &live]);
    assert_eq!(live.held(subject(&live)), Some(1));
    drop(kept);
}

#[test]
fn nobody_looks_dead_after_the_whole_process_stood_still() {
    let mut process = Process::new();
    let (one, other) = (process.worker(), process.worker());
    let _held = take(&one, 1).unwrap();
    process.rounds(2, &[&one, &other]);
    process.hosts.iter().for_each(|host| host.advance(Duration::from_secs(3600)));
    process.rounds(1, &[&other]);
    assert_eq!(take(&other, 1).unwrap_err(), Refused::Limit(0));
}

#[test]
fn the_wall_clock_neither_frees_nor_kills_anybody() {
    let mut process = Process::new();
    let (one, other) = (process.worker(), process.worker());
    let _held = take(&one, 1).unwrap();
    for jump in [7200, 3600, 0, 7200] {
        for host in &process.hosts {
            host.set(Timestamp::from_unix(Duration::from_secs(jump)));
        }
        process.rounds(3, &[&one, &other]);
        assert_eq!(take(&other, 1).unwrap_err(), Refused::Limit(0));
    }
}

#[test]
fn ticks_of_many_listeners_do_not_shorten_the_lease() {
    let mut process = Process::new();
    let (quiet, live) = (process.worker(), process.worker());
    let _held = take(&quiet, 1).unwrap();
    for _ in 0..10 * members::LEASE_ROUNDS {
        process.hosts.iter().for_each(|host| host.advance(Duration::from_millis(1)));
        live.on_tick();
    }
    assert_eq!(take(&live, 1).unwrap_err(), Refused::Limit(0));
}

#[test]
fn the_keys_are_made_once_and_stay_as_many() {
    let mut process = Process::new();
    let one = process.worker();
    let keys = process.first.shared_keys();
    assert_eq!(keys.len(), 2 * usize::from(SHARDS) + 256 + 1);
    let held = take(&one, 1).unwrap();
    // Another document, or another worker: nothing is made anew.
    let other = process.worker();
    assert_eq!(take(&other, 1).unwrap_err(), Refused::Limit(0));
    process.rounds(12, &[&one, &other]);
    assert_eq!(process.first.shared_keys(), keys);
    drop(held);
}

#[test]
fn a_full_shard_refuses_what_is_new_in_it_and_nothing_else() {
    let mut process = Process::new();
    let one = process.worker();
    let mut same_shard = Vec::new();
    for user in 0.. {
        let user = format!("user {user}");
        let subject = one.subject(Scope::Document, Dimension::User(&user));
        if subject.shard() == 7 {
            let mut permit = Permit::empty(Rc::clone(&one));
            match permit.take(&[(subject, 2)]) {
                Ok(()) => same_shard.push((subject, permit)),
                Err(refused) => {
                    assert_eq!(refused, Refused::Unavailable(Unavailable::Full));
                    break;
                }
            }
        }
    }
    assert_eq!(same_shard.len(), 303);
    process.rounds(10, &[&one]);
    assert_eq!(one.fill_percent(), 100);
    let (known, _) = same_shard[0];
    let mut again = Permit::empty(Rc::clone(&one));
    again.take(&[(known, 2)]).unwrap();
    assert!(take(&one, 1).is_ok(), "in another shard");
    same_shard.clear();
    process.rounds(11, &[&one]);
    assert_eq!(one.fill_percent(), 1, "one subject is left: {again:?}");
}

#[test]
fn more_workers_than_places_are_refused_until_one_is_free() {
    let mut process = Process::new();
    let mut workers: Vec<Rc<Quotas>> = (0..members::MAX_OWNERS).map(|_| process.worker()).collect();
    let permits: Vec<Permit> = workers.iter().map(|worker| take(worker, 1000).unwrap()).collect();
    let late = process.worker();
    let no_place = Refused::Unavailable(Unavailable::NoPlace);
    assert_eq!(take(&late, 1000).unwrap_err(), no_place);
    let dead = workers.pop();
    let live: Vec<&Rc<Quotas>> = workers.iter().collect();
    process.rounds(members::LEASE_ROUNDS + 1, &live);
    assert!(take(&late, 1000).is_ok());
    drop((permits, dead));
}

#[test]
fn bytes_of_somebody_else_refuse_and_are_mended() {
    let mut process = Process::new();
    let (one, other) = (process.worker(), process.worker());
    let held = [take(&one, 3).unwrap(), take(&other, 3).unwrap()];
    let key = format!("wsguard/quota/1/{:04}", subject(&one).shard());
    process.first.store(&key, b"somebody else's", None).unwrap();
    let damaged = Refused::Unavailable(Unavailable::Damaged);
    assert_eq!(take(&one, 3).unwrap_err(), damaged);
    assert_eq!(one.held(subject(&one)), None);
    process.rounds(10, &[&one, &other]);
    assert_eq!(one.held(subject(&one)), Some(2));
    process.first.store(MEMBERS, b"", None).unwrap();
    assert_eq!(take(&one, 3).unwrap_err(), damaged);
    process.rounds(1, &[&one, &other]);
    assert_eq!(one.held(subject(&one)), Some(2), "under new numbers");
    drop(held);
}

#[test]
fn a_worker_accepts_the_secret_that_stands_in_the_place_of_its_own() {
    let mut process = Process::new();
    let one = process.worker();
    let before = subject(&one);
    let held = take(&one, 1).unwrap();
    let other = MemoryHost::at(Timestamp::default());
    let elsewhere = Quotas::open(Rc::new(other.beside()), Salt([99; 16]));
    elsewhere.on_tick();
    process.first.store(MEMBERS, &other.load(MEMBERS).unwrap().0, None).unwrap();
    process.rounds(1, &[&one]);
    assert_eq!(subject(&one), subject(&elsewhere));
    assert_ne!(subject(&one), before);
    drop(held);
    process.rounds(10, &[&one]);
    assert_eq!(one.held(before), Some(0), "what was taken before is given back");
}

#[test]
fn connections_are_counted_by_each_limit_of_policy_and_document() {
    let mut process = Process::new();
    let one = process.worker();
    let document = QuotaRules { per_ip: Some(3), total: Some(4), ..QuotaRules::default() };
    let chat = QuotaRules { per_ip: Some(2), per_user: Some(1), ..QuotaRules::default() };
    let open = |policy: &str, rules: &QuotaRules, address: &str, user| {
        let client = Client { address: Some(address.parse().unwrap()), user };
        connections::take(&one, (policy, rules), &document, client)
    };
    let reached = |limit, most, document| QuotaExceeded::Reached { limit, most, document };
    let mut held = Vec::new();
    held.push(open("chat", &chat, "192.0.2.1", Some("ann")).unwrap());
    let per_user = open("chat", &chat, "192.0.2.2", Some("ann")).unwrap_err();
    assert_eq!(per_user, reached(Limit::PerUser, 1, false));
    held.push(open("chat", &chat, "192.0.2.1", None).unwrap());
    let per_ip = open("chat", &chat, "192.0.2.1", Some("bob")).unwrap_err();
    assert_eq!(per_ip, reached(Limit::PerIp, 2, false));
    let free = QuotaRules::default();
    held.push(open("feed", &free, "192.0.2.1", None).unwrap());
    let over_all = open("feed", &free, "192.0.2.1", None).unwrap_err();
    assert_eq!(over_all, reached(Limit::PerIp, 3, true));
    held.push(open("feed", &free, "192.0.2.9", None).unwrap());
    let total = open("feed", &free, "192.0.2.8", None).unwrap_err();
    assert_eq!(total, reached(Limit::Total, 4, true));
    held.clear();
    one.settle();
    let bob = open("chat", &chat, "192.0.2.1", Some("bob"));
    assert!(bob.is_ok(), "bob, refused before, held nothing: {bob:?}");
}

#[test]
fn each_limit_has_its_reason_and_says_what_to_do() {
    let reached = |limit| QuotaExceeded::Reached { limit, most: 10, document: false };
    let told = |exceeded: QuotaExceeded| (exceeded.reason().name(), exceeded.to_string());
    assert_eq!(
        told(reached(Limit::PerIp)),
        (
            "connections_per_ip",
            "this address has the 10 connections open that it may have here; close one of them \
             first"
                .to_owned()
        )
    );
    assert_eq!(told(reached(Limit::PerUser)).0, "connections_per_user");
    assert_eq!(
        told(reached(Limit::Total)),
        ("connections_total", "all 10 connections here are taken; try again later".to_owned())
    );
    assert_eq!(told(QuotaExceeded::Unavailable(Unavailable::Full)).0, "overloaded");
}
