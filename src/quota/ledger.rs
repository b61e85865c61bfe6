//! What this VM holds: the truth of which its entries in the table are a copy.

use super::subject::Subject;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// By shard, so that what belongs into one is found together. No count is 0.
    counts: BTreeMap<(u16, Subject), u32>,
    /// Shards in which the table does not say yet what stands here.
    unpublished: BTreeSet<u16>,
}

impl Ledger {
    /// What is held of the subjects of one shard.
    pub(super) fn of_shard(&self, shard: u16) -> impl Iterator<Item = (Subject, u32)> {
        let range = (shard, Subject(0))..=(shard, Subject(u128::MAX));
        self.counts.range(range).map(|((_, subject), count)| (*subject, *count))
    }

    /// One more; the caller has published it already, or does with
    /// [`Self::unpublished`].
    pub(super) fn add(&mut self, subject: Subject) {
        let count = self.counts.entry((subject.shard(), subject)).or_insert(0);
        *count = count.saturating_add(1);
    }

    /// One less, to be published.
    pub(super) fn remove(&mut self, subject: Subject) {
        let key = (subject.shard(), subject);
        if let Some(count) = self.counts.get_mut(&key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.counts.remove(&key);
            }
        }
        self.unpublished.insert(subject.shard());
    }

    /// `now` in the place of `before`, to be published.
    pub(super) fn change_by(&mut self, subject: Subject, before: u64, now: u64) {
        let key = (subject.shard(), subject);
        let count = u64::from(self.counts.get(&key).copied().unwrap_or(0));
        let count = count.saturating_sub(before).saturating_add(now);
        match u32::try_from(count).unwrap_or(u32::MAX) {
            0 => self.counts.remove(&key),
            count => self.counts.insert(key, count),
        };
        self.unpublished.insert(subject.shard());
    }

    /// The table has to be told about this shard.
    pub(super) fn touch(&mut self, shard: u16) {
        self.unpublished.insert(shard);
    }

    /// The table has to be told about everything.
    pub(super) fn touch_all(&mut self) {
        let shards = self.counts.keys().map(|(shard, _)| *shard);
        self.unpublished.extend(shards);
    }

    /// The table says of this shard what stands here.
    pub(super) fn published(&mut self, shard: u16) {
        self.unpublished.remove(&shard);
    }

    pub(super) fn unpublished(&self) -> Vec<u16> {
        self.unpublished.iter().copied().collect()
    }

    pub(super) fn holds_any_of(&self, shard: u16) -> bool {
        self.of_shard(shard).next().is_some()
    }
}
