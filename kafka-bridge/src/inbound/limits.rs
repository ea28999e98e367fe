//! Limits of the inbound side.

use std::time::Duration;

/// Limits of the inbound side.
#[derive(Clone, Copy, Debug)]
pub struct InboundLimits {
    /// The maximum number of events queued for one partition, those in flight included.
    pub queue_events: usize,
    /// The maximum number of bytes queued for one partition.
    pub queue_bytes: usize,
    /// The maximum number of bytes queued for all partitions together. Each has an equal part of it, so that those
    /// whose leader is gone take nothing from the others.
    pub total_bytes: usize,
    /// The maximum number of events in one batch.
    pub batch_events: usize,
    /// A batch with this many bytes takes no more events. Well below a broker's usual limit of 1 MiB, which also counts
    /// the envelope.
    pub batch_bytes: usize,
    /// The longest wait for an acknowledgement, including the time in the queue.
    pub deadline: Duration,
    /// How long a written event is remembered.
    pub remembered_for: Duration,
    /// The maximum number of remembered events. Beyond it, the oldest are forgotten early.
    pub remembered_events: usize,
    /// The longest wait for the memory that instances share.
    pub sharing_timeout: Duration,
    /// The maximum number of searches for repeats that a user may cause at once.
    pub searches_at_once: u32,
    /// After this time a user may cause one more.
    pub search_interval: Duration,
}

impl InboundLimits {
    /// What a partition may always queue, however many there are: a few of the largest events.
    const MIN_QUEUE_BYTES: usize = 256 * 1024;

    /// The bytes that one of so many partitions may queue.
    pub(super) fn bytes_of_one(&self, partitions: usize) -> usize {
        let part = self.total_bytes / partitions.max(1);
        part.max(Self::MIN_QUEUE_BYTES).min(self.queue_bytes)
    }

    /// How long an instance has an event for itself. Other instances then take it for lost with its writer. Longer than
    /// a wait in the queue and the call to Kafka after it.
    pub(super) fn lease(&self) -> Duration {
        self.deadline * 2 + Duration::from_secs(2)
    }
}

impl Default for InboundLimits {
    fn default() -> Self {
        Self {
            queue_events: 1000,
            queue_bytes: 4 * 1024 * 1024,
            total_bytes: 64 * 1024 * 1024,
            batch_events: 500,
            batch_bytes: 512 * 1024,
            deadline: Duration::from_secs(9),
            remembered_for: Duration::from_secs(600),
            remembered_events: 200_000,
            sharing_timeout: Duration::from_millis(250),
            searches_at_once: 6,
            search_interval: Duration::from_secs(10),
        }
    }
}
