//! The monotonic clock of the machine, which Node's `process.hrtime` reads, too. So a time that one process has written
//! can be compared with what another reads.

use rustix::time::{ClockId, clock_gettime};

/// Since some point in the past, for instance the machine's start.
pub(crate) fn nanoseconds() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.saturating_mul(1_000_000_000).saturating_add(now.tv_nsec)
}
