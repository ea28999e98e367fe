//! Reads what is known of a topic's partitions, and claims those that this instance reads.

use std::{sync::Arc, time::Duration};

use causeway_protocol::{
    channel::Channel,
    checkpoint::{Checkpoint, CheckpointRequest, CheckpointResponse, Hole, Operation},
    deliver::{Source, WIRE_VERSION},
    hub::ResetReason,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{
    Shared, hole,
    partition::PartitionStart,
    plan::{Known, Reason, Start},
    sink::SinkError,
};

/// How many partitions are looked up at a time.
pub(super) const CONCURRENT_LOOKUPS: usize = 8;

/// The longest time for Kafka to say which offsets a partition has. One that has no leader must not keep the others
/// from starting.
const WATERMARKS_TIME: Duration = Duration::from_secs(3);

/// Why a partition can't be claimed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClaimError {
    #[error(transparent)]
    Sink(#[from] SinkError),
    #[error("another instance began the partition in a later epoch")]
    LaterEpoch,
}

/// The partitions of one topic.
pub(super) struct Survey {
    pub(super) shared: Arc<Shared>,
    pub(super) channel: Channel,
    pub(super) topic: String,
}

impl Survey {
    /// Reads every partition, not only this instance's: any of them may show that the topic was recreated. Every
    /// checkpoint is needed, or a partition could start in a wrong epoch. Watermarks are left out where Kafka does not
    /// answer.
    pub(super) async fn read(&self, count: i32) -> Result<Vec<Known>, SinkError> {
        stream::iter(0..count).map(|partition| self.known(partition)).buffered(CONCURRENT_LOOKUPS).try_collect().await
    }

    async fn known(&self, partition: i32) -> Result<Known, SinkError> {
        let watermarks = async {
            let read = self.shared.kafka.watermarks(&self.topic, partition);
            match tokio::time::timeout(WATERMARKS_TIME, read).await {
                Ok(Ok(watermarks)) => Some(watermarks),
                failed => {
                    tracing::warn!(
                        topic = self.topic,
                        partition,
                        ?failed,
                        "kafka does not say which offsets the partition has, so it can't start"
                    );
                    None
                }
            }
        };
        let (state, watermarks) = tokio::join!(self.ask(partition, Operation::Read), watermarks);
        Ok(Known { checkpoint: state?.state.checkpoint, watermarks })
    }

    /// Takes a partition over and stores where it starts. An instance that plans later then finds a new epoch, even if
    /// this one has delivered no record yet. Returns the start and the stored checkpoint.
    pub(super) async fn claim(
        &self,
        partition: i32,
        partitions: i32,
        start: Start,
    ) -> Result<(PartitionStart, Checkpoint), ClaimError> {
        let epoch = start.epoch;
        let planned = Checkpoint { epoch, next_offset: start.offset, partitions };
        // Before the checkpoint moves past it.
        if let Some(hole) = hole_before(start) {
            self.ask(partition, Operation::Note(hole)).await?;
        }
        let answer = self.ask(partition, Operation::Claim(Some(planned))).await?;
        // Another instance may have moved it since it was read.
        let stored = answer.state.checkpoint.unwrap_or(planned).max(planned);
        if stored.epoch > epoch {
            return Err(ClaimError::LaterEpoch);
        }
        self.report(partition, start);
        let generation = answer.state.generation;
        tracing::info!(
            topic = self.topic,
            partition,
            epoch,
            generation,
            offset = stored.next_offset,
            reason = ?start.reason,
            "delivery starts"
        );
        let source = Source { channel: self.channel.clone(), partition, epoch, generation };
        let topic = self.topic.clone();
        let hole = answer.state.hole;
        Ok((PartitionStart { topic, partitions, source, next_offset: stored.next_offset, hole }, stored))
    }

    fn report(&self, partition: i32, start: Start) {
        let hole = |offsets, reason| hole::report(&self.shared.metrics, &self.topic, partition, offsets, reason);
        match start.reason {
            Reason::Resumed { from } => hole(from..start.offset, ResetReason::Retention),
            Reason::Truncated { from } => hole(start.offset..from, ResetReason::Truncated),
            Reason::Recreated => tracing::warn!(
                topic = self.topic,
                partition,
                epoch = start.epoch,
                "the topic was recreated, reading from its beginning in a new epoch"
            ),
            Reason::First => {}
        }
    }

    async fn ask(&self, partition: i32, operation: Operation) -> Result<CheckpointResponse, SinkError> {
        let (channel, topic) = (self.channel.clone(), self.topic.clone());
        let request = CheckpointRequest { version: WIRE_VERSION, channel, topic, partition, operation };
        self.shared.sink.checkpoint(&request).await
    }
}

/// The hole before a start. What a truncated partition lost had other offsets' meaning, so its hole is the position
/// before the first one of the new epoch.
fn hole_before(start: Start) -> Option<Hole> {
    let reason = match start.reason {
        Reason::Resumed { from } if from < start.offset => ResetReason::Retention,
        Reason::Truncated { .. } => ResetReason::Truncated,
        Reason::Resumed { .. } | Reason::Recreated | Reason::First => return None,
    };
    Some(hole::before(start.epoch, start.offset, reason))
}
