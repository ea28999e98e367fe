//! Which epoch a partition is in. Whoever reads it has stored that beside the checkpoint.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use causeway_protocol::{
    channel::Channel,
    checkpoint::{CheckpointRequest, Operation},
    deliver::WIRE_VERSION,
};
use tokio::time::Instant;

use crate::outbound::{OutboundChannel, Sink, SinkError};

/// How long an epoch is believed. One that has just ended costs a gap too few or too many in an answer, no more: ids of
/// both are compared with what the buffers know.
const BELIEVED_FOR: Duration = Duration::from_secs(3);

/// Why an epoch is not known.
#[derive(Debug, thiserror::Error)]
pub(super) enum EpochError {
    #[error(transparent)]
    Sink(#[from] SinkError),
    #[error("nobody has read the partition yet")]
    Unread,
}

/// The partitions' epochs.
pub(super) struct Epochs {
    sink: Arc<dyn Sink>,
    known: Mutex<HashMap<(Channel, i32), (u32, Instant)>>,
}

impl Epochs {
    pub(super) fn new(sink: Arc<dyn Sink>) -> Self {
        Self { sink, known: Mutex::default() }
    }

    /// The epoch of a partition. Partitions are few, so all of them are remembered.
    pub(super) async fn of(&self, source: &OutboundChannel, partition: i32) -> Result<u32, EpochError> {
        let key = (source.channel.clone(), partition);
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        if let Some((epoch, since)) = known
            && since.elapsed() < BELIEVED_FOR
        {
            return Ok(epoch);
        }
        let request = CheckpointRequest {
            version: WIRE_VERSION,
            channel: source.channel.clone(),
            topic: source.topic.clone(),
            partition,
            operation: Operation::Read,
        };
        let checkpoint = self.sink.checkpoint(&request).await?.state.checkpoint.ok_or(EpochError::Unread)?;
        let entry = (checkpoint.epoch, Instant::now());
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(key, entry);
        Ok(checkpoint.epoch)
    }
}
