use super::*;
use crate::host::memory::MemoryHost;
use crate::host::{SharedData, Timestamp};
use crate::quota::Salt;
use std::rc::Rc;

fn rules() -> BanRules {
    BanRules {
        threshold: 3,
        window: Duration::from_secs(60),
        duration: Duration::from_secs(900),
        by_ip: true,
        by_user: true,
        open: false,
        weights: vec![(Reason::CredentialsInvalid, 2), (Reason::ProtocolError, 0)],
    }
}

fn address(text: &str) -> Suspect<'static> {
    Suspect::Address(Some(text.parse().unwrap()), 64)
}

fn process() -> (Rc<MemoryHost>, [Rc<Quotas>; 2]) {
    let host = Rc::new(MemoryHost::at(Timestamp::default()));
    let worker = || Quotas::open(Rc::clone(&host) as _, Salt([1; 16]));
    let workers = [worker(), worker()];
    (host, workers)
}

fn strike(rules: &BanRules, policy: &'static str, reason: Reason) -> Strike<'static> {
    let rules = Box::leak(Box::new(rules.clone()));
    Strike { policy, rules, report: false, reason }
}

#[test]
fn strikes_on_all_workers_and_in_all_policies_add_up_to_a_ban_that_ends() {
    let (host, [one, other]) = process();
    let (rules, at) = (rules(), address("192.0.2.1"));
    assert!(!one.strike(strike(&rules, "chat", Reason::RuleMatched), at));
    assert!(!other.strike(strike(&rules, "feed", Reason::RuleMatched), at));
    assert_eq!(one.banned(at, false), None);
    assert!(other.strike(strike(&rules, "chat", Reason::RuleMatched), at));
    for worker in [&one, &other] {
        let banned = worker.banned(at, false).unwrap();
        assert_eq!(banned.remaining, Duration::from_secs(900));
        assert_eq!(
            banned.to_string(),
            "this address is banned for what it did before; try again in 900 s"
        );
        assert_eq!(worker.banned(address("192.0.2.2"), false), None);
    }
    assert!(!one.strike(strike(&rules, "chat", Reason::CredentialsInvalid), at), "is banned");
    host.advance(Duration::from_secs(900) - Duration::from_micros(1));
    assert!(one.banned(at, false).is_some());
    host.advance(Duration::from_micros(1));
    assert_eq!(one.banned(at, false), None);
    assert!(!one.strike(strike(&rules, "chat", Reason::CredentialsInvalid), at), "all anew");
}

#[test]
fn weights_are_the_policys_and_what_others_did_is_never_a_strike() {
    let (_, [one, _]) = process();
    let mut rules = rules();
    let at = address("192.0.2.1");
    rules.weights.push((Reason::UpstreamHandshake, 100));
    for reason in
        [Reason::OriginDenied, Reason::ProtocolError, Reason::UpstreamHandshake, Reason::Banned]
    {
        for _ in 0..10 {
            assert!(!one.strike(strike(&rules, "chat", reason), at), "{reason:?}");
        }
    }
    assert!(!one.strike(strike(&rules, "chat", Reason::CredentialsInvalid), at));
    assert!(one.strike(strike(&rules, "chat", Reason::CredentialsInvalid), at), "2 + 2 of 3");
}

#[test]
fn only_what_no_page_can_make_a_browser_do_is_a_strike_by_default() {
    let counted = Reason::ALL.into_iter().filter(|reason| default_weight(*reason) > 0);
    let counted: Vec<_> = counted.map(Reason::name).collect();
    assert_eq!(
        counted,
        [
            "user_agent_denied",
            "credentials_invalid",
            "handshake_rate",
            "protocol_error",
            "rule_matched",
            "message_too_complex",
            "message_rate",
            "byte_rate"
        ]
    );
    assert!(
        Reason::ALL.into_iter().all(|reason| default_weight(reason) == 0 || can_strike(reason))
    );
}

#[test]
fn strikes_that_are_far_apart_ban_nobody() {
    let (host, [one, _]) = process();
    for _ in 0..20 {
        assert!(!one.strike(strike(&rules(), "chat", Reason::RuleMatched), address("192.0.2.1")));
        host.advance(Duration::from_secs(40));
    }
}

#[test]
fn users_and_addresses_are_banned_apart_and_only_where_that_is_written() {
    let (_, [one, _]) = process();
    let (ann, at) = (Suspect::User("ann"), address("2001:db8::1"));
    let by_user = BanRules { by_ip: false, threshold: 1, ..rules() };
    assert!(!one.strike(strike(&by_user, "chat", Reason::RuleMatched), at));
    assert!(one.strike(strike(&by_user, "chat", Reason::RuleMatched), ann));
    assert!(one.banned(ann, false).is_some_and(|banned| banned.user));
    assert_eq!(one.banned(at, false), None);
    let by_ip = BanRules { by_user: false, threshold: 1, ..rules() };
    assert!(one.strike(strike(&by_ip, "chat", Reason::RuleMatched), at));
    assert!(one.banned(address("2001:db8::ffff"), false).is_some(), "of the same network");
    assert_eq!(one.banned(address("2001:db8:0:1::1"), false), None);
    assert!(!one.strike(strike(&by_ip, "chat", Reason::RuleMatched), Suspect::User("bob")));
}

#[test]
fn what_mode_report_bans_refuses_nobody_elsewhere() {
    let (_, [one, _]) = process();
    let (rules, at) = (BanRules { threshold: 1, ..rules() }, address("192.0.2.1"));
    let reported = Strike { report: true, ..strike(&rules, "watched", Reason::RuleMatched) };
    assert!(one.strike(reported, at));
    assert_eq!(one.banned(at, false), None);
    assert!(one.banned(at, true).is_some());
    assert!(one.strike(strike(&rules, "chat", Reason::RuleMatched), at), "a strike of its own");
    assert!(one.banned(at, false).is_some());
}

#[test]
fn the_end_of_a_ban_is_told_once_by_whoever_finds_it() {
    let (host, [one, other]) = process();
    let rules = BanRules { threshold: 1, ..rules() };
    assert!(one.strike(strike(&rules, "chat", Reason::RuleMatched), address("192.0.2.1")));
    assert!(other.strike(strike(&rules, "feed", Reason::RuleMatched), Suspect::User("ann")));
    for worker in [&one, &other] {
        worker.on_tick();
        assert_eq!(worker.bans_active(), 2);
        assert!(worker.banned_lately(Suspect::User("ann"), false));
        assert!(!worker.banned_lately(Suspect::User("bob"), false));
    }
    host.advance(Duration::from_secs(900));
    [&one, &other].iter().for_each(|worker| worker.on_tick());
    assert!(!other.banned_lately(Suspect::User("ann"), false));
    assert_eq!((one.bans_active(), other.bans_active()), (0, 0));
    let mut ended = [one.take_ended_bans(), other.take_ended_bans()].concat();
    ended.sort_by_key(|ended| ended.ban.policy.clone());
    assert_eq!(ended.len(), 2);
    assert_eq!(ended[0].ban.who, Who::Address(Some([192, 0, 2, 1].into())));
    assert_eq!(ended[1].ban.who, Who::User("ann".into()));
    assert!(ended.iter().all(|ended| !ended.forgotten));
    assert!(one.take_ended_bans().is_empty());
}

#[test]
fn jumps_of_the_wall_clock_neither_ban_nor_free() {
    let (host, [one, _]) = process();
    let (rules, at) = (rules(), address("192.0.2.1"));
    for hours in [2, 1, 3] {
        host.set(Timestamp::from_unix(Duration::from_secs(hours * 3600)));
        let banned = one.strike(strike(&rules, "chat", Reason::RuleMatched), at);
        assert_eq!(banned, hours == 3, "strikes stay together");
    }
    for hours in [0, 4] {
        host.set(Timestamp::from_unix(Duration::from_secs(hours * 3600)));
        one.on_tick();
        assert_eq!(one.banned(at, false).unwrap().remaining, Duration::from_secs(900));
    }
}

#[test]
fn a_full_shard_forgets_the_ban_that_ends_first_and_tells_so() {
    let (host, [one, _]) = process();
    let rules = BanRules { threshold: 1, ..rules() };
    let keys = host.shared_keys();
    let users: Vec<String> = (0..70_000).map(|user| format!("user {user:0>40}")).collect();
    let shard = |user: &str| Suspect::User(user).subject(&one, false).number() % 256;
    let same: Vec<&String> = users.iter().filter(|user| shard(user) == 7).collect();
    let mut forgotten = Vec::new();
    for (place, user) in same.iter().enumerate() {
        assert!(one.strike(strike(&rules, "chat", Reason::RuleMatched), Suspect::User(user)));
        assert!(one.banned(Suspect::User(user), false).is_some(), "{place}");
        forgotten.extend(one.take_ended_bans());
        host.advance(Duration::from_millis(1));
    }
    assert!(!forgotten.is_empty(), "{} fit", same.len());
    assert!(forgotten.iter().all(|ended| ended.forgotten));
    let told: Vec<Who> = forgotten.into_iter().map(|ended| ended.ban.who).collect();
    let first: Vec<Who> = same.iter().map(|user| Who::User((*user).clone())).collect();
    assert_eq!(told, first[..told.len()], "the oldest, in order");
    one.on_tick();
    assert!(one.fill_percent() > 95);
    assert_eq!(host.shared_keys(), keys);
    for key in keys.iter().filter(|key| key.contains("ban")) {
        assert!(host.load(key).unwrap().0.len() <= 16 << 10);
    }
}

#[test]
fn damaged_bytes_ban_nobody_and_are_mended() {
    let (host, [one, _]) = process();
    let (rules, at) = (BanRules { threshold: 1, ..rules() }, address("192.0.2.1"));
    for key in host.shared_keys().iter().filter(|key| key.contains("/ban/")) {
        host.store(key, b"somebody else's", None).unwrap();
    }
    assert_eq!(one.banned(at, false), None);
    assert!(one.strike(strike(&rules, "chat", Reason::RuleMatched), at));
    assert!(one.banned(at, false).is_some());
}
