//! Unix time from the system's clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Returns Unix time in seconds. It is the source of epochs, and tests pass their own.
pub type Clock = fn() -> u64;

/// Unix time in seconds.
#[must_use]
pub fn unix_seconds() -> u64 {
    since_epoch().as_secs()
}

/// Unix time in milliseconds.
#[must_use]
pub fn unix_millis() -> u64 {
    u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX)
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
