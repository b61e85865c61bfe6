use super::*;
use crate::host::memory::MemoryHost;
use crate::host::{SharedData, Timestamp};
use crate::quota::rate::RateExceeded;

const SALT: Salt = Salt([3; 16]);

struct Fixture {
    host: Rc<MemoryHost>,
    table: RateTable,
    other: RateTable,
}

fn fixture() -> Fixture {
    let host = Rc::new(MemoryHost::at(Timestamp::default()));
    let table = RateTable::open(Rc::clone(&host) as _);
    let other = RateTable::open(Rc::clone(&host) as _);
    Fixture { host, table, other }
}

fn asked(limit: u64, seconds: u64, name: &str) -> Asked {
    let rate = Rate::new(limit, Duration::from_secs(seconds)).unwrap();
    let rule = RuleId::of(SALT, Scope::Policy("chat"), name, &rate, true);
    Asked { rule, rate, measure: Measure::Messages, per: Per::User }
}

fn ann() -> SubjectId {
    SubjectId::user(SALT, "ann")
}

#[test]
fn a_rate_holds_over_workers_and_is_free_after_its_period() {
    let Fixture { host, table, other } = fixture();
    let rate = asked(4, 60, "messages");
    for _ in 0..2 {
        table.take(ann(), &[rate], 1).unwrap();
        other.take(ann(), &[rate], 1).unwrap();
    }
    let Err(RateExceeded::Reached { retry_after: Some(wait), .. }) = table.take(ann(), &[rate], 1)
    else {
        panic!("a fifth");
    };
    assert!(other.take(ann(), &[rate], 1).is_err());
    assert!(table.take(SubjectId::user(SALT, "bob"), &[rate], 1).is_ok());
    assert!(table.take(ann(), &[asked(4, 60, "bytes")], 1).is_ok(), "another rate");
    assert!(table.take(ann(), &[asked(5, 60, "messages")], 1).is_ok(), "another limit for it");
    host.advance(wait - Duration::from_micros(1));
    assert!(other.take(ann(), &[rate], 1).is_err());
    host.advance(Duration::from_micros(1));
    assert!(other.take(ann(), &[rate], 1).is_ok());
}

#[test]
fn several_rates_of_a_subject_are_taken_together_or_not_at_all() {
    let Fixture { table, .. } = fixture();
    let messages = asked(5, 60, "messages");
    let bytes = Asked { measure: Measure::Bytes, ..asked(100, 60, "bytes") };
    table.take(ann(), &[messages, bytes], 60).unwrap();
    for _ in 0..10 {
        assert!(table.take(ann(), &[messages, bytes], 60).is_err());
    }
    for _ in 0..4 {
        table.take(ann(), &[messages], 0).unwrap();
    }
    assert!(table.take(ann(), &[bytes, messages], 40).is_err());
    assert!(table.take(ann(), &[bytes], 40).is_ok(), "bytes were not taken with no message");
}

#[test]
fn a_jump_of_the_wall_clock_neither_frees_nor_refuses() {
    let Fixture { host, table, .. } = fixture();
    let rate = asked(2, 60, "messages");
    for hours in [1, 3, 2, 0, 1] {
        host.set(Timestamp::from_unix(Duration::from_secs(hours * 3600)));
        let _ = table.take(ann(), &[rate], 1);
        assert!(hours == 1 || table.take(ann(), &[rate], 1).is_err());
    }
    host.advance(Duration::from_secs(64));
    assert!(table.take(ann(), &[rate], 1).is_ok());
}

#[test]
fn nothing_lives_on_and_the_keys_stay_as_many() {
    let Fixture { host, table, .. } = fixture();
    let keys = host.shared_keys();
    assert_eq!(keys.len(), usize::from(SHARDS));
    for user in 0..5000 {
        let user = SubjectId::user(SALT, &format!("user {user}"));
        table.take(user, &[asked(2, 10, "messages")], 1).unwrap();
    }
    (0..41).for_each(|_| {
        host.advance(Duration::from_millis(500));
        table.on_tick();
    });
    (0..40).for_each(|_| {
        host.advance(Duration::from_millis(500));
        table.on_tick();
    });
    assert_eq!(table.fill_percent(), 0);
    for key in &host.shared_keys() {
        assert_eq!(host.load(key).unwrap().0, RateShard::empty().bytes(), "{key}");
    }
    assert_eq!(host.shared_keys(), keys);
}

#[test]
fn damaged_and_missing_bytes_are_mended_by_the_next_taking() {
    let Fixture { host, table, .. } = fixture();
    let rate = asked(1, 60, "messages");
    table.take(ann(), &[rate], 1).unwrap();
    host.store(&shard_key(ann().shard()), b"somebody else's", None).unwrap();
    table.take(ann(), &[rate], 1).unwrap();
    assert!(table.take(ann(), &[rate], 1).is_err());
}

#[test]
fn a_million_addresses_take_no_more_room_than_the_table_has() {
    let Fixture { host, table, .. } = fixture();
    let rate = asked(30, 60, "handshakes");
    let heavy = SubjectId::user(SALT, "heavy");
    for _ in 0..30 {
        table.take(heavy, &[rate], 1).unwrap();
    }
    // One shard's part of a million, which all are alike.
    let crowd = (0..).map(|user| SubjectId::user(SALT, &format!("user {user}")));
    let beside = crowd.filter(|user| user.shard() == heavy.shard());
    let mut refused = 0;
    for user in beside.take(976) {
        refused += u32::from(table.take(user, &[rate], 1).is_err());
        assert!(table.take(heavy, &[rate], 1).is_err(), "freed by others");
    }
    assert_eq!(refused, 0, "newcomers have most of their limit");
    assert!(host.load(&shard_key(heavy.shard())).unwrap().0.len() <= MAX_SHARD_BYTES);
}
