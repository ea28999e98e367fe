//! What goes wrong, and how often.

use std::time::Duration;

use super::scheduler::{Scheduler, Turn};

/// Chances in a thousand. All zero is fair faults.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    /// A request ends in the middle of anything.
    pub(crate) crash: u64,
    /// An isolate gets no processor for up to a minute and a half.
    pub(crate) stall: u64,
    /// A command never reaches the coordinator.
    pub(crate) command_lost: u64,
    /// A command is run, and its answer is lost.
    pub(crate) reply_lost: u64,
    /// A command or its answer takes seconds.
    pub(crate) coordinator_slow: u64,
    /// A read of the key-value store returns some earlier value, or none.
    pub(crate) stale: u64,
    /// A write to the key-value store lands late, and after what was written later.
    pub(crate) write_late: u64,
    /// The key-value store does not answer.
    pub(crate) store_down: u64,
    /// A request to a provider or an upstream is lost on the way there.
    pub(crate) request_lost: u64,
    /// The same on the way back.
    pub(crate) answer_lost: u64,
    /// An answer takes seconds, perhaps longer than anyone waits; or the request takes them.
    pub(crate) network_slow: u64,
    /// A provider is overloaded: 429, or 503 with when to come back; nothing done.
    pub(crate) provider_busy: u64,
    /// A gateway cuts an answer off, garbles it, or says that there is none, whatever was done.
    pub(crate) answer_cut: u64,
    /// A provider will not restrict a token.
    pub(crate) restriction_denied: u64,
    /// The hub does not answer.
    pub(crate) hub_down: u64,
}

impl Faults {
    /// Each kind of trouble is there or not, and more or less of it.
    pub(crate) fn draw(scheduler: &Scheduler) -> Self {
        let some = |max: u64| if scheduler.chance(500) { scheduler.draw(1..max + 1) } else { 0 };
        Self {
            crash: some(10),
            stall: some(15),
            command_lost: some(40),
            reply_lost: some(40),
            coordinator_slow: some(60),
            stale: some(600),
            write_late: some(600),
            store_down: some(200),
            request_lost: some(100),
            answer_lost: some(200),
            network_slow: some(200),
            provider_busy: some(200),
            answer_cut: some(100),
            restriction_denied: some(400),
            hub_down: some(200),
        }
    }

    /// What a task meets when its turn comes. Lightning strikes where it does most harm: at who holds a lease.
    pub(crate) fn turn(&self, scheduler: &Scheduler, has_lease: bool) -> Turn {
        let times = if has_lease { 8 } else { 1 };
        if scheduler.chance(self.crash * times) {
            Turn::Crashes
        } else if scheduler.chance(self.stall * times) {
            // Long enough for a lease to be over.
            let range = if has_lease { 30_000..100_000 } else { 1_000..60_000 };
            Turn::Stalls(Duration::from_millis(scheduler.draw(range)))
        } else {
            Turn::Runs
        }
    }

    /// How long a step between edge and coordinator takes, in milliseconds.
    pub(crate) fn coordinator_ms(&self, scheduler: &Scheduler) -> u64 {
        if scheduler.chance(self.coordinator_slow) { scheduler.draw(500..9_000) } else { scheduler.draw(1..20) }
    }

    /// How long a step between edge and provider or upstream takes, in milliseconds.
    pub(crate) fn network_ms(&self, scheduler: &Scheduler) -> u64 {
        if scheduler.chance(self.network_slow) { scheduler.draw(1_000..45_000) } else { scheduler.draw(1..80) }
    }
}
