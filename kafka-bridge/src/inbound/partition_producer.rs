//! Writes the events of one partition, from a bounded queue and with at most one batch in flight. So events keep their
//! order without relying on the broker.

use std::sync::Arc;

use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    time::{Instant, timeout_at},
};

use super::InboundLimits;
use crate::kafka::{KafkaError, KafkaIo, NewRecord};

/// An event in the queue.
pub(super) struct QueuedEvent {
    pub(super) record: NewRecord,
    /// Receives the offset. Closed once the request has timed out.
    pub(super) done: oneshot::Sender<Result<i64, KafkaError>>,
    /// Its share of the bytes that may be queued.
    pub(super) _byte_permit: OwnedSemaphorePermit,
}

/// Writes one partition's queue to Kafka.
pub(super) struct PartitionProducer {
    kafka: Arc<dyn KafkaIo>,
    topic: String,
    partition: i32,
    limits: InboundLimits,
}

impl PartitionProducer {
    pub(super) fn new(kafka: Arc<dyn KafkaIo>, topic: String, partition: i32, limits: InboundLimits) -> Self {
        Self { kafka, topic, partition, limits }
    }

    pub(super) async fn run(self, mut queue: mpsc::Receiver<QueuedEvent>) {
        while let Some(first) = queue.recv().await {
            let mut batch = self.collect_batch(first, &mut queue).await;
            batch.retain(|event| !event.done.is_closed());
            if !batch.is_empty() {
                self.write(batch).await;
            }
        }
    }

    async fn collect_batch(&self, first: QueuedEvent, queue: &mut mpsc::Receiver<QueuedEvent>) -> Vec<QueuedEvent> {
        let until = Instant::now() + self.limits.linger;
        let mut bytes = first.record.size();
        let mut batch = vec![first];
        while batch.len() < self.limits.batch_events && bytes < self.limits.batch_bytes {
            let Ok(Some(event)) = timeout_at(until, queue.recv()).await else { break };
            bytes += event.record.size();
            batch.push(event);
        }
        batch
    }

    async fn write(&self, batch: Vec<QueuedEvent>) {
        let records = batch.iter().map(|event| event.record.clone()).collect();
        match self.kafka.produce(&self.topic, self.partition, records).await {
            Ok(first) => {
                for (offset, event) in (first..).zip(batch) {
                    // A client that disconnected will retry with the same id.
                    let _ = event.done.send(Ok(offset));
                }
            }
            // Either the batch is too large or one of its records is. Writing them one by one shows which.
            Err(KafkaError::TooLarge) if batch.len() > 1 => {
                for event in batch {
                    let result = self.kafka.produce(&self.topic, self.partition, vec![event.record]).await;
                    let _ = event.done.send(result);
                }
            }
            Err(error) => {
                tracing::warn!(
                    topic = self.topic,
                    partition = self.partition,
                    events = batch.len(),
                    %error,
                    "events not written"
                );
                for event in batch {
                    let _ = event.done.send(Err(error.clone()));
                }
            }
        }
    }
}
