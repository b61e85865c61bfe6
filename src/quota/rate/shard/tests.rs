use super::*;
use proptest::prelude::*;

const SLOT_US: u64 = 1_000_000;

fn record(rule: u64, subject: u64, used: u64, slot: u64) -> Record {
    let mut counts = [0; COUNTERS];
    counts[0] = used;
    let window = RateWindow::of(slot, counts);
    let share = u8::try_from(used).unwrap_or(255);
    Record { tag: Tag { rule, subject }, slot_us: SLOT_US, share, window }
}

fn used(shard: &RateShard, rule: u64, subject: u64) -> u64 {
    shard.window(Tag { rule, subject }).used()
}

/// Puts windows of one use each, until some are forgotten.
fn fill(shard: &mut RateShard, rule: u64) -> u64 {
    let mut subject = 1000;
    loop {
        let before = shard.records().count();
        shard.put(&record(rule, subject, 1, 50), 0).unwrap();
        if shard.records().count() <= before {
            return subject;
        }
        subject += 1;
    }
}

#[test]
fn windows_stand_beside_one_another() {
    let mut shard = RateShard::empty();
    for (subject, uses) in [(1, 3), (2, 200), (1, 4), (3, u64::MAX)] {
        shard.put(&record(1, subject, uses, 9), 0).unwrap();
    }
    assert_eq!([1, 2, 3, 4].map(|subject| used(&shard, 1, subject)), [4, 200, u64::MAX, 0]);
    assert_eq!(used(&shard, 3, 1), 0, "another rule");
    assert_eq!(RateShard::of(shard.bytes().to_vec()), Ok(shard));
}

#[test]
fn what_has_run_out_makes_room() {
    let mut shard = RateShard::empty();
    fill(&mut shard, 1);
    let later = 67 * SLOT_US;
    let before = shard.records().count();
    for subject in 0..100 {
        shard.put(&record(1, subject, 1, 67), later).unwrap();
    }
    assert!(before > 500 && shard.records().count() <= 100, "floors run out too");
    assert!(!shard.sweep(later));
    assert!(shard.sweep(later + 17 * SLOT_US) && shard.is_empty());
}

#[test]
fn whoever_is_the_farthest_below_its_limit_is_forgotten_first() {
    let mut shard = RateShard::empty();
    shard.put(&record(1, 1, 200, 50), 0).unwrap();
    shard.put(&record(1, 2, 5, 50), 0).unwrap();
    fill(&mut shard, 1);
    for subject in 10_000..11_000 {
        shard.put(&record(1, subject, 2, 50), 0).unwrap();
    }
    assert_eq!(used(&shard, 1, 1), 200);
    assert_eq!(used(&shard, 1, 2), 5);
    assert!(shard.bytes().len() <= MAX_SHARD_BYTES);
}

#[test]
fn nobody_who_was_forgotten_has_more_than_before() {
    let mut shard = RateShard::empty();
    fill(&mut shard, 1);
    assert_eq!(used(&shard, 1, 1000), 1, "its own, or the floor's");
    let newcomer = shard.window(Tag { rule: 1, subject: 77 });
    assert_eq!(newcomer.used(), 1, "as many as the most that anybody had");
}

#[test]
fn strikes_are_forgotten_without_a_floor() {
    let mut shard = RateShard::empty();
    fill(&mut shard, 2);
    assert_eq!(used(&shard, 2, 77), 0, "nobody is punished for others");
}

#[test]
fn a_shard_of_floors_takes_no_more() {
    let mut shard = RateShard::empty();
    let floors = (0..).map(|rule| record(rule * 2 + 1, 0, 9, 50));
    let full = floors.map(|floor| shard.put(&floor, 0)).find(Result::is_err);
    assert_eq!(full, Some(Err(Full)));
}

#[test]
fn bytes_that_nobody_of_us_wrote_are_damaged() {
    assert_eq!(RateShard::of(Vec::new()), Err(Damaged));
    assert_eq!(RateShard::of(vec![2]), Err(Damaged), "another version");
    assert_eq!(RateShard::of(vec![VERSION, 0]), Err(Damaged), "a record without end");
    assert_eq!(RateShard::of(vec![VERSION; MAX_SHARD_BYTES + 1]), Err(Damaged));
    let mut shard = RateShard::empty();
    shard.put(&record(1, 1, 3, 9), 0).unwrap();
    let good = shard.bytes().to_vec();
    for length in 2..good.len() {
        assert_eq!(RateShard::of(good[..length].to_vec()), Err(Damaged), "{length} bytes");
    }
}

#[test]
fn a_record_that_can_not_be_read_counts_for_nothing_and_is_swept() {
    let mut shard = RateShard::empty();
    shard.put(&record(1, 1, 3, 9), 0).unwrap();
    *shard.bytes.last_mut().unwrap() = 0;
    assert_eq!(used(&shard, 1, 1), 0);
    assert!(shard.sweep(0) && shard.is_empty());
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        rule: u64, subject: u64, slot_us in 1u64.., newest: u64, share: u8,
        counts in proptest::array::uniform17(prop_oneof![Just(0u64), any::<u64>()]),
    ) {
        let window = RateWindow::of(newest, counts);
        let record = Record { tag: Tag { rule, subject }, slot_us, share, window };
        let bytes = record.encode();
        prop_assert_eq!(bytes.is_empty(), counts == [0; COUNTERS]);
        prop_assert!(bytes.len() <= 225);
        prop_assert!(bytes.is_empty() || Record::decode(&bytes) == Some(record));
    }

    #[test]
    fn any_bytes_are_a_shard_or_damaged(bytes in proptest::collection::vec(0u8..40, 0..200)) {
        fuzz_rate_shard(&[&[VERSION], bytes.as_slice()].concat());
        fuzz_rate_shard(&bytes);
    }

    #[test]
    fn any_change_of_a_byte_is_seen_or_another_shard(at: prop::sample::Index, byte: u8) {
        let mut shard = RateShard::empty();
        for subject in 0..4 {
            shard.put(&record(1, subject, subject + 1, 9), 0).unwrap();
        }
        let mut bytes = shard.bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        fuzz_rate_shard(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// The reason for floors: whatever comes and is forgotten, nobody is
    /// ever counted below what was taken.
    #[test]
    fn nobody_is_counted_below_what_it_has(
        uses in proptest::collection::vec((1u64..1200, 0u64..40), 800..2400)
    ) {
        let mut shard = RateShard::empty();
        let mut truth = std::collections::HashMap::<u64, RateWindow>::new();
        let mut slot = 100;
        for (subject, pause) in uses {
            slot += u64::from(pause == 0);
            let tag = Tag { rule: 1, subject };
            let mut window = shard.window(tag);
            window.advance_to(slot);
            let of = truth.entry(subject).or_default();
            of.advance_to(slot);
            prop_assert!(window.used() >= of.used(), "{} of {}", window.used(), of.used());
            window.add(1);
            of.add(1);
            let share = u8::try_from(window.used()).unwrap_or(255);
            let record = Record { tag, slot_us: SLOT_US, share, window };
            shard.put(&record, slot * SLOT_US).unwrap();
        }
    }
}
