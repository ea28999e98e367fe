//! By when something must be done that is done in several steps.

use std::time::Duration;

use crate::runtime::clock::{Clock, millis};

/// The least that is worth beginning with: who is sent something carries it out, whether or not anybody still waits.
const MIN_LEFT: Duration = Duration::from_secs(1);

/// A point in time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    at_ms: u64,
    limit: Duration,
}

impl Deadline {
    /// In so much time from now.
    pub(super) fn after(clock: &impl Clock, limit: Duration) -> Self {
        Self { at_ms: clock.now_ms().saturating_add(millis(limit)), limit }
    }

    /// What is left; nothing, once it has passed.
    pub(super) fn left(self, clock: &impl Clock) -> Duration {
        // Never more than there was: the clock may have been set back.
        Duration::from_millis(self.at_ms.saturating_sub(clock.now_ms())).min(self.limit)
    }

    /// What is left, if it is worth beginning something: a second, or half of what was less than two.
    pub(super) fn worthwhile(self, clock: &impl Clock) -> Option<Duration> {
        Some(self.left(clock)).filter(|left| *left >= MIN_LEFT.min(self.limit / 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::platform::InMemoryPlatform;

    #[test]
    fn nothing_is_begun_with_too_little_left() {
        for (limit_ms, passes_ms, left_ms) in [
            (30_000, 0, Some(30_000)),
            (30_000, 29_000, Some(1000)),
            (30_000, 29_001, None),
            (1000, 500, Some(500)),
            (1000, 501, None),
            (1000, 9000, None),
        ] {
            let clock = InMemoryPlatform::new(|_| None);
            let deadline = Deadline::after(&clock, Duration::from_millis(limit_ms));
            clock.now_ms.set(clock.now_ms() + passes_ms);
            assert_eq!(deadline.worthwhile(&clock), left_ms.map(Duration::from_millis), "{limit_ms} {passes_ms}");
            clock.now_ms.set(0);
            assert_eq!(
                deadline.left(&clock),
                Duration::from_millis(limit_ms),
                "a clock that was set back gives no more"
            );
        }
    }
}
