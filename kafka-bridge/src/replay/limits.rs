//! What one answer may cost, and all of them together.

use std::time::Duration;

/// Limits of scans.
#[derive(Clone, Copy, Debug)]
pub struct ReplayLimits {
    /// The maximum number of records that one scan reads, whoever they are for; a fetch may exceed it.
    pub records: usize,
    /// The maximum number of bytes that one scan reads; a fetch may exceed it.
    pub bytes: usize,
    /// The longest time for one answer. A scan stops earlier, at half of it, and answers what it has.
    pub time: Duration,
    /// The maximum number of scans at a time. Each has a fetch in memory. At most half of them are for history.
    pub scans: usize,
    /// The maximum number of scans of one user, running or waiting.
    pub user_scans: usize,
    /// How long a scan may wait for others to end.
    pub wait: Duration,
    /// How long a stream tries again while what it missed can't be read. After that it tells a gap.
    pub retried_for: Duration,
    /// How long an answer is kept, so that a user's tabs cost one scan.
    pub cached_for: Duration,
    /// The maximum number of bytes of kept answers.
    pub cached_bytes: usize,
}

impl Default for ReplayLimits {
    fn default() -> Self {
        Self {
            records: 100_000,
            bytes: 64 * 1024 * 1024,
            time: Duration::from_secs(4),
            scans: 8,
            user_scans: 3,
            wait: Duration::from_secs(2),
            retried_for: Duration::from_secs(20),
            cached_for: Duration::from_secs(3),
            cached_bytes: 32 * 1024 * 1024,
        }
    }
}
