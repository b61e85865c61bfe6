//! Connection counts of a fleet: never above a limit, whoever traps or stands
//! still, and nothing lives on.

use fleet::{Fleet, LEASE, WORKERS};
use proptest::prelude::*;

mod fleet;

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 16,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_limit_is_passed_and_all_is_given_back(seed: u64) {
        let fleet = Fleet::start(seed);
        for step in 0..600 {
            fleet.turn(fleet.random.index(WORKERS), Fleet::act);
            if step % 40 == 0 {
                fleet.round();
            }
        }
        prop_assert!(fleet.refused.get() > 10, "limits were in the way");
        fleet.settles();
    }

    #[test]
    fn traps_at_any_point_pass_no_limit_and_leave_nothing(seed: u64) {
        let fleet = Fleet::start(seed);
        fleet.traps.set(true);
        for step in 0..600 {
            fleet.turn(fleet.random.index(WORKERS), Fleet::act);
            if step % 20 == 0 {
                fleet.round();
            }
        }
        fleet.settles();
    }

    #[test]
    fn workers_that_stand_still_are_left_out_and_come_back(seed: u64) {
        let fleet = Fleet::start(seed);
        fleet.traps.set(seed.is_multiple_of(2));
        fleet.stalls.set(true);
        for step in 0..800 {
            fleet.turn(fleet.random.index(WORKERS), Fleet::act);
            if step % 12 == 0 {
                if fleet.random.below(6) == 0 {
                    let rounds = u32::try_from(fleet.random.below(u64::from(LEASE) * 2)).unwrap();
                    fleet.turn(fleet.random.index(WORKERS), |_, _, worker| worker.stalled = rounds);
                }
                fleet.round();
            }
        }
        fleet.settles();
    }
}

/// The fleet itself: were nothing in anybody's way, nothing would be shown.
#[test]
fn the_fleet_brings_limits_contention_and_stalls() {
    let fleet = Fleet::start(7);
    fleet.stalls.set(true);
    for _ in 0..4000 {
        fleet.turn(fleet.random.index(WORKERS), Fleet::act);
    }
    assert!(fleet.refused.get() > 100 && fleet.stuck.get() > 3);
    assert!(fleet.mismatches.get() > 100, "{} lost tries", fleet.mismatches.get());
    assert_eq!(fleet.contended.get(), 0, "a hundred tries are enough");
}
