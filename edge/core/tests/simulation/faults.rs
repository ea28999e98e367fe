//! What goes wrong, and how often.

use std::time::Duration;

use crate::scheduler::{Scheduler, StepFault};

/// Probabilities in a thousand. The default is no faults.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    /// A request crashes in the middle of its work.
    pub(crate) crash: u64,
    /// A request gets no processor for up to 100 seconds.
    pub(crate) stall: u64,
    /// A command never reaches the coordinator.
    pub(crate) command_lost: u64,
    /// The coordinator runs a command, and its reply is lost.
    pub(crate) reply_lost: u64,
    /// A command or its reply takes seconds.
    pub(crate) coordinator_slow: u64,
    /// A read of the key-value store returns some earlier value, or none.
    pub(crate) stale_read: u64,
    /// A write to the key-value store takes effect late, possibly after a later write.
    pub(crate) late_write: u64,
    /// The key-value store fails.
    pub(crate) key_value_down: u64,
    /// A request to a provider or an upstream is lost on its way.
    pub(crate) request_lost: u64,
    /// The answer of a provider or an upstream is lost on its way.
    pub(crate) answer_lost: u64,
    /// A request or its answer takes seconds, possibly longer than the sender waits.
    pub(crate) network_slow: u64,
    /// A provider is overloaded: it answers 429, or 503 with `Retry-After`, and does nothing.
    pub(crate) provider_busy: u64,
    /// A gateway truncates or replaces an answer, whether or not the provider did its work.
    pub(crate) answer_mangled: u64,
    /// A provider does not issue a restricted token.
    pub(crate) restriction_denied: u64,
    /// The hub fails.
    pub(crate) hub_down: u64,
}

impl Faults {
    /// Draws whether each kind of fault occurs at all, and how often.
    pub(crate) fn draw(scheduler: &Scheduler) -> Self {
        let some = |max: u64| if scheduler.chance(500) { scheduler.draw(1..max + 1) } else { 0 };
        Self {
            crash: some(10),
            stall: some(15),
            command_lost: some(40),
            reply_lost: some(40),
            coordinator_slow: some(60),
            stale_read: some(600),
            late_write: some(600),
            key_value_down: some(200),
            request_lost: some(100),
            answer_lost: some(200),
            network_slow: some(200),
            provider_busy: some(200),
            answer_mangled: some(100),
            restriction_denied: some(400),
            hub_down: some(200),
        }
    }

    /// The fault that a task meets when it is about to run. A lease holder is hit more often: there a fault does most
    /// harm.
    pub(crate) fn draw_step_fault(&self, scheduler: &Scheduler, has_lease: bool) -> StepFault {
        let factor = if has_lease { 8 } else { 1 };
        if scheduler.chance(self.crash * factor) {
            StepFault::Crash
        } else if scheduler.chance(self.stall * factor) {
            // Mostly long enough for a lease to expire.
            let range_ms = if has_lease { 30_000..100_000 } else { 1_000..60_000 };
            StepFault::Stall(Duration::from_millis(scheduler.draw(range_ms)))
        } else {
            StepFault::None
        }
    }

    /// How long a message between edge and coordinator takes one way, in milliseconds.
    pub(crate) fn draw_coordinator_ms(&self, scheduler: &Scheduler) -> u64 {
        if scheduler.chance(self.coordinator_slow) { scheduler.draw(500..9_000) } else { scheduler.draw(1..20) }
    }

    /// How long a message between edge and provider or upstream takes one way, in milliseconds.
    pub(crate) fn draw_network_ms(&self, scheduler: &Scheduler) -> u64 {
        if scheduler.chance(self.network_slow) { scheduler.draw(1_000..45_000) } else { scheduler.draw(1..80) }
    }
}
