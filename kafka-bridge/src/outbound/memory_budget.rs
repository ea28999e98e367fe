//! Limits the memory that all partitions use together, for backlogs and dead letters. Many partitions with waiting
//! users then need no more memory than a few.
//!
//! Half of the budget is shared: any partition may use it. The other half is divided equally, so that each partition
//! can always proceed within its part, whatever the others use.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// The budget of all partitions together.
const TOTAL_BYTES: usize = 64 * 1024 * 1024;

/// Reservations of a partition: one for its backlog, one for its dead letters.
const RESERVATIONS_PER_PARTITION: usize = 2;

/// The maximum number of bytes of one reservation.
const RESERVATION_BYTES: usize = 16 * 1024 * 1024;

/// The budget of all partitions.
#[derive(Debug)]
pub(super) struct MemoryBudget {
    /// Any reservation may grow until all reservations together reach this size.
    shared_bytes: usize,
    /// Every reservation may grow to this size.
    guaranteed_bytes: usize,
    /// The size of all reservations together.
    held_bytes: AtomicUsize,
}

impl MemoryBudget {
    /// A budget for this many partitions.
    #[must_use]
    pub(super) fn new(partitions: usize) -> Arc<Self> {
        let half = TOTAL_BYTES / 2;
        let guaranteed_bytes = half / RESERVATIONS_PER_PARTITION / partitions.max(1);
        Arc::new(Self { shared_bytes: half, guaranteed_bytes, held_bytes: AtomicUsize::new(0) })
    }

    /// An empty reservation.
    #[must_use]
    pub(super) fn reserve(self: &Arc<Self>) -> Reservation {
        Reservation { budget: Arc::clone(self), bytes: 0 }
    }
}

/// The bytes that a backlog or a dead-letter queue holds. Released when dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    budget: Arc<MemoryBudget>,
    bytes: usize,
}

impl Reservation {
    /// Whether fetching must pause. Checked before a fetch, whose size is not known yet: one fetch may exceed the
    /// limit.
    #[must_use]
    pub(super) fn is_exhausted(&self) -> bool {
        let others_leave_room = self.budget.held_bytes.load(Ordering::Relaxed) < self.budget.shared_bytes;
        self.bytes >= RESERVATION_BYTES || (self.bytes >= self.budget.guaranteed_bytes && !others_leave_room)
    }

    pub(super) fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.budget.held_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn release(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.budget.held_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.release(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(reservation: &mut Reservation) {
        while !reservation.is_exhausted() {
            reservation.add(1024);
        }
    }

    #[test]
    fn all_partitions_together_stay_within_the_budget() {
        let budget = MemoryBudget::new(100);
        let mut reservations: Vec<_> = (0..100).map(|_| budget.reserve()).collect();
        reservations.iter_mut().for_each(fill);
        assert!(reservations.iter().map(|reservation| reservation.bytes).sum::<usize>() <= TOTAL_BYTES + 100 * 1024);
        assert!(reservations.iter().all(|reservation| reservation.bytes > 0), "each can proceed");
    }

    #[test]
    fn one_partition_may_exceed_its_part_while_others_are_idle() {
        let budget = MemoryBudget::new(100);
        let (mut one, mut other) = (budget.reserve(), budget.reserve());
        fill(&mut one);
        assert_eq!(one.bytes, RESERVATION_BYTES);
        drop(one);
        fill(&mut other);
        assert_eq!(budget.held_bytes.load(Ordering::Relaxed), RESERVATION_BYTES, "a dropped reservation is released");
    }
}
