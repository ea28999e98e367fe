//! What a partition has shown that it takes. An echo tells the user's pages that backends get the event, so it is not
//! written beside an inbound record that will probably be refused.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Any topic takes records of this size, in all likelihood.
const SMALL_BYTES: usize = 16 * 1024;

/// What a partition takes, by what became of earlier records.
pub(super) struct Acceptance {
    /// The largest record that was taken, or may be assumed to be.
    bytes: AtomicUsize,
    /// Whether the last write failed for another reason than a record's size, or takes long.
    is_failing: AtomicBool,
}

impl Default for Acceptance {
    fn default() -> Self {
        Self { bytes: AtomicUsize::new(SMALL_BYTES), is_failing: AtomicBool::new(false) }
    }
}

impl Acceptance {
    /// Whether a record of this size is probably taken.
    pub(super) fn is_likely(&self, bytes: usize) -> bool {
        !self.is_failing.load(Ordering::Relaxed) && bytes <= self.bytes.load(Ordering::Relaxed)
    }

    /// Takes note that a record was taken.
    pub(super) fn took(&self, bytes: usize) {
        self.is_failing.store(false, Ordering::Relaxed);
        self.bytes.fetch_max(bytes, Ordering::Relaxed);
    }

    /// Takes note that a record was too large.
    pub(super) fn refused(&self, bytes: usize) {
        self.is_failing.store(false, Ordering::Relaxed);
        self.bytes.fetch_min(bytes.saturating_sub(1), Ordering::Relaxed);
    }

    /// Takes note that a write failed or takes long, whatever is in it.
    pub(super) fn failed(&self) {
        self.is_failing.store(true, Ordering::Relaxed);
    }
}
