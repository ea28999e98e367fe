//! The writer of one partition: a bounded queue, and at most one batch in flight, so that events keep their order
//! without a broker's help.

use std::sync::Arc;

use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    time::{Instant, timeout_at},
};

use super::InboundLimits;
use crate::kafka::{KafkaError, KafkaIo, NewRecord};

/// An event on its way.
pub(super) struct Job {
    pub(super) record: NewRecord,
    /// Gets the offset. Closed when nobody waits any longer.
    pub(super) done: oneshot::Sender<Result<i64, KafkaError>>,
    /// Its part of the bytes that may wait.
    pub(super) _room: OwnedSemaphorePermit,
}

/// See the module's text.
pub(super) struct Lane {
    kafka: Arc<dyn KafkaIo>,
    topic: String,
    partition: i32,
    limits: InboundLimits,
}

impl Lane {
    pub(super) fn new(kafka: Arc<dyn KafkaIo>, topic: String, partition: i32, limits: InboundLimits) -> Self {
        Self { kafka, topic, partition, limits }
    }

    pub(super) async fn run(self, mut queue: mpsc::Receiver<Job>) {
        while let Some(first) = queue.recv().await {
            let mut batch = self.gather(first, &mut queue).await;
            batch.retain(|job| !job.done.is_closed());
            if !batch.is_empty() {
                self.write(batch).await;
            }
        }
    }

    async fn gather(&self, first: Job, queue: &mut mpsc::Receiver<Job>) -> Vec<Job> {
        let until = Instant::now() + self.limits.linger;
        let mut bytes = first.record.size();
        let mut batch = vec![first];
        while batch.len() < self.limits.batch_events && bytes < self.limits.batch_bytes {
            let Ok(Some(job)) = timeout_at(until, queue.recv()).await else { break };
            bytes += job.record.size();
            batch.push(job);
        }
        batch
    }

    async fn write(&self, batch: Vec<Job>) {
        let records = batch.iter().map(|job| job.record.clone()).collect();
        match self.kafka.produce(&self.topic, self.partition, records).await {
            Ok(first) => {
                for (offset, job) in (first..).zip(batch) {
                    // Who left meanwhile will ask again with the same id.
                    let _ = job.done.send(Ok(offset));
                }
            }
            // The batch is too large, or one of its records; only alone it shows which.
            Err(KafkaError::TooLarge) if batch.len() > 1 => {
                for job in batch {
                    let result = self.kafka.produce(&self.topic, self.partition, vec![job.record]).await;
                    let _ = job.done.send(result);
                }
            }
            Err(error) => {
                tracing::warn!(topic = self.topic, partition = self.partition, events = batch.len(), %error, "events not written");
                for job in batch {
                    let _ = job.done.send(Err(error.clone()));
                }
            }
        }
    }
}
