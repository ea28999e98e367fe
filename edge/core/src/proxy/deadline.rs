//! The time limit of a task of several steps.

use std::time::Duration;

use crate::runtime::clock::{Clock, millis};

/// The least time worth starting a step with. A receiver carries out what it is sent, even if the sender has stopped
/// waiting.
const MIN_REMAINING: Duration = Duration::from_secs(1);

/// A point in time by which a task must be done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    at_ms: u64,
    limit: Duration,
}

impl Deadline {
    /// A deadline `limit` from now.
    pub(crate) fn after(clock: &impl Clock, limit: Duration) -> Self {
        Self { at_ms: clock.now_ms().saturating_add(millis(limit)), limit }
    }

    /// The time left; zero once the deadline has passed.
    pub(super) fn remaining(self, clock: &impl Clock) -> Duration {
        // Never more than the whole limit: the clock may have been set back.
        Duration::from_millis(self.at_ms.saturating_sub(clock.now_ms())).min(self.limit)
    }

    /// The time left, if it is enough to start a step: at least a second, or half of a limit below two seconds.
    pub(super) fn remaining_if_enough(self, clock: &impl Clock) -> Option<Duration> {
        Some(self.remaining(clock)).filter(|remaining| *remaining >= MIN_REMAINING.min(self.limit / 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::platform::InMemoryPlatform;

    #[test]
    fn no_step_starts_with_too_little_time_left() {
        for (limit_ms, elapsed_ms, left_ms) in [
            (30_000, 0, Some(30_000)),
            (30_000, 29_000, Some(1000)),
            (30_000, 29_001, None),
            (1000, 500, Some(500)),
            (1000, 501, None),
            (1000, 9000, None),
        ] {
            let clock = InMemoryPlatform::new(|_| None);
            let deadline = Deadline::after(&clock, Duration::from_millis(limit_ms));
            clock.now_ms.set(clock.now_ms() + elapsed_ms);
            assert_eq!(
                deadline.remaining_if_enough(&clock),
                left_ms.map(Duration::from_millis),
                "{limit_ms} {elapsed_ms}"
            );
            clock.now_ms.set(0);
            assert_eq!(
                deadline.remaining(&clock),
                Duration::from_millis(limit_ms),
                "setting the clock back adds no time"
            );
        }
    }
}
