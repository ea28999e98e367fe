//! What whoever reads a partition has stored beside its checkpoint: its epoch, and its last hole.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use causeway_protocol::{
    channel::Channel,
    checkpoint::{CheckpointRequest, Operation, PartitionState},
    deliver::WIRE_VERSION,
};
use tokio::time::Instant;

use crate::outbound::{OutboundChannel, Sink, SinkError};

/// How long a state is believed. It may name an epoch that has just ended: its offsets are then not found in Kafka, or
/// belong to records that the buffers know by other ids.
const BELIEVED_FOR: Duration = Duration::from_secs(2);

/// The states of the partitions.
pub(super) struct PartitionStates {
    sink: Arc<dyn Sink>,
    known: Mutex<HashMap<(Channel, i32), (PartitionState, Instant)>>,
}

impl PartitionStates {
    pub(super) fn new(sink: Arc<dyn Sink>) -> Self {
        Self { sink, known: Mutex::default() }
    }

    /// The state of a partition that exists. Partitions are few, so all of them are remembered.
    pub(super) async fn of(&self, source: &OutboundChannel, partition: i32) -> Result<PartitionState, SinkError> {
        let key = (source.channel.clone(), partition);
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        if let Some((state, since)) = known
            && since.elapsed() < BELIEVED_FOR
        {
            return Ok(state);
        }
        let request = CheckpointRequest {
            version: WIRE_VERSION,
            channel: source.channel.clone(),
            topic: source.topic.clone(),
            partition,
            operation: Operation::Read,
        };
        let state = self.sink.checkpoint(&request).await?.state;
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(key, (state, Instant::now()));
        Ok(state)
    }
}
