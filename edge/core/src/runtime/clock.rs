//! Time as a trait, and what is computed from it.

use std::{future::Future, pin::pin, time::Duration};

use chrono::{DateTime, SecondsFormat};
use futures_util::future::{Either, LocalBoxFuture, select};

use super::{dependency::Dependency, unavailable::Unavailable};

/// The largest difference between the clocks of two isolates, in milliseconds: five minutes each (S117). Machines are sent
/// durations and use their own clock; isolates that compare times allow for this.
pub const MAX_SKEW_MS: u64 = 10 * 60 * 1000;

/// Time.
pub trait Clock {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> u64;
    /// Completes after `wait`.
    fn sleep(&self, wait: Duration) -> LocalBoxFuture<'static, ()>;
}

/// A duration in milliseconds, as stores and the wire use it.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Runs `work`, but no longer than `limit`.
///
/// # Errors
/// [`Unavailable`] after the limit, or the error of `work`.
pub async fn within<T>(
    clock: &impl Clock,
    limit: Duration,
    dependency: Dependency,
    work: impl Future<Output = Result<T, Unavailable>>,
) -> Result<T, Unavailable> {
    match select(pin!(work), clock.sleep(limit)).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => Err(Unavailable::new(dependency, "no answer in time")),
    }
}

/// A time in milliseconds since the Unix epoch as RFC 3339 text with milliseconds, in UTC.
#[must_use]
pub fn rfc3339(unix_ms: u64) -> String {
    let time = i64::try_from(unix_ms).ok().and_then(DateTime::from_timestamp_millis);
    time.unwrap_or_default().to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Seconds since the Unix epoch, as JWTs count them.
pub fn now_seconds(platform: &impl Clock) -> i64 {
    i64::try_from(platform.now_ms() / 1000).unwrap_or(i64::MAX)
}
