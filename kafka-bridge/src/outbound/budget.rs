//! The bytes that all partitions hold in memory together, as backlog and as dead letters, so that many partitions whose users wait are no more to the
//! machine than a few.
//!
//! Half of it is anybody's. The other half is divided: a partition can always go on within its part, whatever others
//! hold.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Bytes of all partitions together.
const TOTAL_BYTES: usize = 64 * 1024 * 1024;

/// Accounts of each partition.
const ACCOUNTS: usize = 2;

/// Bytes of one account.
const ACCOUNT_BYTES: usize = 16 * 1024 * 1024;

/// See the module's text.
#[derive(Debug)]
pub(super) struct Budget {
    anybodys: usize,
    part: usize,
    held: AtomicUsize,
}

impl Budget {
    /// For this many partitions, each with a backlog and letters.
    #[must_use]
    pub(super) fn new(partitions: usize) -> Arc<Self> {
        let half = TOTAL_BYTES / 2;
        Arc::new(Self { anybodys: half, part: half / ACCOUNTS / partitions.max(1), held: AtomicUsize::new(0) })
    }

    /// An account; it holds nothing yet.
    #[must_use]
    pub(super) fn open(self: &Arc<Self>) -> Account {
        Account { budget: Arc::clone(self), bytes: 0 }
    }
}

/// What one part of a partition holds; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Account {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Account {
    /// Whether no more must be taken for now. Checked before a fetch, whose size nobody knows: one fetch may go beyond.
    #[must_use]
    pub(super) fn is_spent(&self) -> bool {
        let others_leave_room = self.budget.held.load(Ordering::Relaxed) < self.budget.anybodys;
        self.bytes >= ACCOUNT_BYTES || (self.bytes >= self.budget.part && !others_leave_room)
    }

    pub(super) fn take(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.budget.held.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn give_back(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.budget.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(account: &mut Account) {
        while !account.is_spent() {
            account.take(1024);
        }
    }

    #[test]
    fn partitions_whose_users_wait_hold_no_more_than_the_budget_together() {
        let budget = Budget::new(100);
        let mut accounts: Vec<_> = (0..100).map(|_| budget.open()).collect();
        accounts.iter_mut().for_each(fill);
        assert!(accounts.iter().map(|account| account.bytes).sum::<usize>() <= TOTAL_BYTES + 100 * 1024);
        assert!(accounts.iter().all(|account| account.bytes > 0), "each can go on");
    }

    #[test]
    fn one_partition_may_hold_more_than_its_part_while_others_need_none() {
        let budget = Budget::new(100);
        let (mut one, mut other) = (budget.open(), budget.open());
        fill(&mut one);
        assert_eq!(one.bytes, ACCOUNT_BYTES);
        drop(one);
        fill(&mut other);
        assert_eq!(budget.held.load(Ordering::Relaxed), ACCOUNT_BYTES, "what is dropped is given back");
    }
}
