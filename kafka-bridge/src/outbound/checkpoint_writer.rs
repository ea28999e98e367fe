//! Writes the checkpoint of one partition, a few times a second while the watermark moves, and at the end. Deliveries
//! don't wait for it.

use std::{sync::Arc, time::Duration};

use causeway_protocol::{
    checkpoint::{Checkpoint, CheckpointRequest, Operation},
    deliver::WIRE_VERSION,
};

use super::{Exit, Shared, partition::Partition, sink::SinkError};
use crate::backoff::Backoff;

/// The minimum time between two writes.
const INTERVAL: Duration = Duration::from_millis(250);

/// The longest time for the last write. The drain has a limit, too.
const LAST_WRITE: Duration = Duration::from_secs(3);

/// Writes the checkpoint of a partition.
pub(super) struct CheckpointWriter {
    shared: Arc<Shared>,
    partition: Arc<Partition>,
    stored: Checkpoint,
}

impl CheckpointWriter {
    /// `stored` is the checkpoint of the claim.
    pub(super) fn new(shared: Arc<Shared>, partition: Arc<Partition>, stored: Checkpoint) -> Self {
        Self { shared, partition, stored }
    }

    /// Writes until the partition must be planned again.
    pub(super) async fn run(&mut self) -> Exit {
        let mut backoff = Backoff::new(INTERVAL, Duration::from_secs(10));
        loop {
            let checkpoint = self.partition.checkpoint_after(self.stored).await;
            let wait = match self.write(checkpoint).await {
                Ok(None) => {
                    backoff.reset();
                    INTERVAL
                }
                Ok(Some(exit)) => return exit,
                Err(error) => {
                    let wait = backoff.next_wait();
                    tracing::warn!(
                        topic = self.partition.topic,
                        partition = self.partition.source.partition,
                        failures = backoff.tries(),
                        ?wait,
                        %error,
                        "checkpoint not written, trying again"
                    );
                    wait
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Writes what is done, once. A restart repeats what is not.
    pub(super) async fn write_last(&mut self) {
        let checkpoint = self.partition.checkpoint();
        if checkpoint <= self.stored {
            return;
        }
        match tokio::time::timeout(LAST_WRITE, self.write(checkpoint)).await {
            Ok(Ok(_)) => {}
            failed => tracing::warn!(
                topic = self.partition.topic,
                partition = self.partition.source.partition,
                ?failed,
                "the last checkpoint was not written, so some records will be delivered again"
            ),
        }
    }

    async fn write(&mut self, checkpoint: Checkpoint) -> Result<Option<Exit>, SinkError> {
        let source = &self.partition.source;
        let request = CheckpointRequest {
            version: WIRE_VERSION,
            channel: source.channel.clone(),
            topic: self.partition.topic.clone(),
            partition: source.partition,
            operation: Operation::Advance { generation: source.generation, checkpoint },
        };
        let answer = match self.shared.sink.checkpoint(&request).await {
            Err(SinkError::CheckpointLost) => return Ok(Some(Exit::Replan)),
            answer => answer?,
        };
        if answer.stale {
            return Ok(Some(Exit::Stale));
        }
        match answer.state.checkpoint {
            Some(stored) if stored.epoch > checkpoint.epoch => Ok(Some(Exit::Replan)),
            Some(stored) if stored >= checkpoint => {
                self.stored = stored;
                self.shared.metrics.outbound.checkpoints.inc();
                Ok(None)
            }
            _ => Err(SinkError::Failed { label: "bad_answer", message: "the checkpoint did not move".to_owned() }),
        }
    }
}
