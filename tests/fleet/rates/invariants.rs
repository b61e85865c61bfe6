//! What must hold of the fleet's rates and bans, whatever has happened.

use super::*;

impl Fleet {
    /// Everybody has given back what was taken ahead: as much as the limit passes,
    /// on whatever workers, where no VM has taken anything to its grave.
    pub(super) fn exhausts(self: &Rc<Self>) {
        self.busy.set(false);
        let tick = || {
            for _ in 0..2 {
                self.pass(Duration::from_millis(50));
                (0..WORKERS).for_each(|index| self.turn(index, |_, w| w.quotas.on_tick()));
            }
        };
        for place in 0..usize::from(ADDRESSES) {
            let mut refused = 0;
            while refused < WORKERS {
                tick();
                let before = self.refused.get();
                let index = if refused > 0 { refused } else { self.random.index(WORKERS) };
                self.turn(index % WORKERS, |fleet, worker| fleet.crowd(worker, place, 90));
                refused = if self.refused.get() > before { refused + 1 } else { 0 };
            }
            let slot = |at: Duration| at.as_secs() * 16 / PERIOD.as_secs();
            let counts = |passed: &Passed| -> u64 {
                let now = slot(self.now.get());
                passed.iter().filter(|(at, _)| now - slot(*at) <= 16).map(|(_, n)| n).sum()
            };
            let messages = counts(&self.crowds.borrow()[place]);
            let bytes = counts(&self.bytes_of_crowds.borrow()[place]);
            assert!(messages == CROWD || bytes > CROWD_BYTES - 20, "{messages}, {bytes} bytes");
        }
    }

    /// In no period was more let through than the limit.
    pub(super) fn check(&self) {
        let all: [(&RefCell<_>, u64); 4] = [
            (&self.handshakes, HANDSHAKES),
            (&self.messages, PER_IP),
            (&self.crowds, CROWD),
            (&self.bytes_of_crowds, CROWD_BYTES),
        ];
        for (passed, limit) in all {
            passed.borrow().iter().for_each(|passed: &Passed| never_above(passed, limit));
        }
        self.of_user.borrow().iter().for_each(|passed| never_above(passed, PER_USER));
        self.bytes_of_user.borrow().iter().for_each(|p| never_above(p, BYTES_PER_USER));
    }

    /// All ends: nobody is banned, and nothing is left in any key.
    pub(super) fn settles(self: &Rc<Self>) {
        self.busy.set(false);
        self.traps.set(false);
        self.pass(BAN + PERIOD * 2);
        for _ in 0..12 {
            self.pass(Duration::from_millis(500));
            (0..WORKERS).for_each(|index| self.turn(index, |_, worker| worker.quotas.on_tick()));
        }
        for _ in 0..80 {
            self.pass(Duration::from_millis(500));
            self.turn(0, |_, worker| worker.quotas.on_tick());
        }
        self.turn(0, |_, worker| {
            assert_eq!((worker.quotas.bans_active(), worker.quotas.fill_percent()), (0, 0));
        });
        let keys = self.shared.shared_keys();
        assert_eq!(keys.len(), 2305);
        for key in keys.iter().filter(|key| !key.ends_with("members")) {
            assert_eq!(self.shared.load(key).unwrap().0, [1], "an entry lives on in {key}");
        }
    }
}

fn never_above(passed: &Passed, limit: u64) {
    // Those that were interrupted are noted after those that came in between.
    let mut passed = passed.clone();
    passed.sort_unstable();
    let (mut first, mut sum) = (0, 0);
    for (at, amount) in &passed {
        sum += amount;
        while *at - passed[first].0 > PERIOD {
            sum -= passed[first].1;
            first += 1;
        }
        assert!(sum <= limit, "{sum} of {limit} in one period");
    }
}
