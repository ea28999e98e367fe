//! Limits the memory of the items of all partitions together: those that wait, those in flight, and dead letters that
//! are not written yet.
//!
//! Half of the budget is shared: any partition may use it. The other half is divided equally, so that each partition
//! can always proceed within its part, whatever the others use.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

/// The budget of all partitions together.
const TOTAL_BYTES: usize = 64 * 1024 * 1024;

/// The half that any partition may use.
const SHARED_BYTES: usize = TOTAL_BYTES / 2;

/// The maximum number of bytes of one partition.
const PARTITION_BYTES: usize = 16 * 1024 * 1024;

/// The budget of all partitions.
#[derive(Debug, Default)]
pub(super) struct MemoryBudget {
    /// How many partitions have a reservation.
    partitions: AtomicUsize,
    /// The size of all reservations together.
    held_bytes: AtomicUsize,
    /// Notified when bytes are released.
    released: Notify,
}

impl MemoryBudget {
    /// An empty reservation for one partition.
    #[must_use]
    pub(super) fn reserve(self: &Arc<Self>) -> Reservation {
        self.partitions.fetch_add(1, Ordering::Relaxed);
        Reservation { budget: Arc::clone(self), bytes: AtomicUsize::new(0) }
    }

    /// Every reservation may grow to this size.
    fn guaranteed_bytes(&self) -> usize {
        (TOTAL_BYTES - SHARED_BYTES) / self.partitions.load(Ordering::Relaxed).max(1)
    }
}

/// The bytes that a partition's items hold. Released when dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    budget: Arc<MemoryBudget>,
    bytes: AtomicUsize,
}

impl Reservation {
    /// The bytes held.
    #[must_use]
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Waits until `may_fetch` holds and there is room. Checked before a fetch, whose size is not known yet: one fetch
    /// may exceed the limit. `may_fetch` is asked again when bytes are released.
    pub(super) async fn room(&self, may_fetch: impl Fn() -> bool) {
        loop {
            let released = self.budget.released.notified();
            if !self.is_exhausted() && may_fetch() {
                return;
            }
            released.await;
        }
    }

    fn is_exhausted(&self) -> bool {
        let others_leave_room = self.budget.held_bytes.load(Ordering::Relaxed) < SHARED_BYTES;
        let bytes = self.bytes();
        bytes >= PARTITION_BYTES || (bytes >= self.budget.guaranteed_bytes() && !others_leave_room)
    }

    pub(super) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.budget.held_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Releases bytes that were added before.
    pub(super) fn release(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.budget.held_bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.budget.released.notify_waiters();
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.release(self.bytes());
        self.budget.partitions.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(reservation: &Reservation) {
        while !reservation.is_exhausted() {
            reservation.add(1024);
        }
    }

    #[test]
    fn all_partitions_together_stay_within_the_budget() {
        let budget = Arc::new(MemoryBudget::default());
        let reservations: Vec<_> = (0..100).map(|_| budget.reserve()).collect();
        reservations.iter().for_each(fill);
        assert!(reservations.iter().map(Reservation::bytes).sum::<usize>() <= TOTAL_BYTES + 100 * 1024);
        assert!(reservations.iter().all(|reservation| reservation.bytes() > 0), "each can proceed");
    }

    #[test]
    fn one_partition_may_exceed_its_part_while_others_are_idle() {
        let budget = Arc::new(MemoryBudget::default());
        let (one, others) = (budget.reserve(), (0..99).map(|_| budget.reserve()).collect::<Vec<_>>());
        fill(&one);
        assert_eq!(one.bytes(), PARTITION_BYTES);
        drop(one);
        fill(&others[0]);
        assert_eq!(budget.held_bytes.load(Ordering::Relaxed), PARTITION_BYTES, "a dropped reservation is released");
    }

    #[tokio::test]
    async fn a_full_partition_goes_on_once_bytes_are_released() {
        let budget = Arc::new(MemoryBudget::default());
        let reservation = budget.reserve();
        fill(&reservation);
        let waits = reservation.room(|| true);
        let releases = async { reservation.release(1024) };
        tokio::join!(waits, releases);
    }
}
