//! Time as a trait, and what is computed from it.

use std::{future::Future, pin::pin, time::Duration};

use futures_util::future::{Either, LocalBoxFuture, select};

use super::unavailable::Unavailable;

/// How far the clocks of two isolates may be apart, in milliseconds: five minutes each (S117). What a machine must judge
/// is sent to it as a duration and judged by its own clock; where isolates must compare, they allow for this.
pub const MAX_SKEW_MS: u64 = 10 * 60 * 1000;

/// Time.
pub trait Clock {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> u64;
    /// Completes after `wait`.
    fn sleep(&self, wait: Duration) -> LocalBoxFuture<'static, ()>;
}

/// A duration as stores and the wire have it, in milliseconds.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Runs `work`, but no longer than `limit`.
///
/// # Errors
/// [`Unavailable`] when the time is over, or what `work` failed with.
pub async fn within<T>(
    clock: &impl Clock,
    limit: Duration,
    part: &'static str,
    work: impl Future<Output = Result<T, Unavailable>>,
) -> Result<T, Unavailable> {
    match select(pin!(work), clock.sleep(limit)).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => Err(Unavailable::new(part, "no answer in time")),
    }
}

/// Seconds since the Unix epoch, as JWTs count them.
pub fn now_seconds(platform: &impl Clock) -> i64 {
    i64::try_from(platform.now_ms() / 1000).unwrap_or(i64::MAX)
}
