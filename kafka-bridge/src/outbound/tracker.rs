//! The low watermark of a partition: every record before it is stored, dead-lettered or skipped. Records are done in
//! any order. No I/O.

use std::collections::BTreeSet;

/// What of a partition is done. It remembers only what is not: each such record also holds memory, which is limited, so
/// the tracker is, too.
#[derive(Debug)]
pub(super) struct Tracker {
    /// Offsets that were read and are not done.
    pending: BTreeSet<i64>,
    /// Everything before it was read.
    next_offset: i64,
}

impl Tracker {
    /// Starts at the offset that is read first.
    #[must_use]
    pub(super) fn new(next_offset: i64) -> Self {
        Self { pending: BTreeSet::new(), next_offset }
    }

    /// A record was read, or a range of offsets that begins there.
    pub(super) fn begin(&mut self, offset: i64) {
        self.pending.insert(offset);
    }

    /// Everything before an offset was read. Called after [`Tracker::begin`] for what is there to be done.
    pub(super) fn read_to(&mut self, next_offset: i64) {
        self.next_offset = self.next_offset.max(next_offset);
    }

    /// A record is stored, or its dead letter is written.
    pub(super) fn finish(&mut self, offset: i64) {
        self.pending.remove(&offset);
    }

    /// The offset to continue at after a restart.
    #[must_use]
    pub(super) fn watermark(&self) -> i64 {
        self.pending.first().copied().unwrap_or(self.next_offset)
    }

    /// How many records are not done.
    #[must_use]
    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watermark_stays_before_the_first_record_that_is_not_done() {
        let mut tracker = Tracker::new(5);
        for offset in [5, 6, 9] {
            tracker.begin(offset);
        }
        tracker.read_to(12);
        for (finished, watermark) in [(6, 5), (5, 9), (9, 12)] {
            tracker.finish(finished);
            assert_eq!(tracker.watermark(), watermark);
        }
    }

    /// The model keeps every offset with a mark.
    #[test]
    fn it_agrees_with_a_model_in_any_order() {
        for seed in 0..300 {
            let mut random = fastrand::Rng::with_seed(seed);
            let (mut tracker, mut model, mut next) = (Tracker::new(0), Vec::<(i64, bool)>::new(), 0);
            for _ in 0..200 {
                if random.bool() || model.is_empty() {
                    // Offsets may have holes: markers, and records that were compacted away.
                    next += random.i64(0..3);
                    tracker.begin(next);
                    model.push((next, false));
                    next += 1;
                    tracker.read_to(next);
                } else {
                    let at = random.usize(..model.len());
                    model[at].1 = true;
                    tracker.finish(model[at].0);
                }
                let first = model.iter().find(|(_, done)| !done).map_or(next, |(offset, _)| *offset);
                assert_eq!(tracker.watermark(), first);
                assert_eq!(tracker.pending(), model.iter().filter(|(_, done)| !done).count());
            }
        }
    }
}
