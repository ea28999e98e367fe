//! Writes the records of one partition, with at most one batch in flight. So records keep their order without relying
//! on the broker.
//!
//! A record that arrives while nothing is in flight is written at once. While a batch is in flight the next one
//! gathers, and goes when the first is acknowledged: batches grow with the load, and no record waits for others.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::mpsc::UnboundedReceiver,
    time::{Instant, timeout},
};

use super::{
    acceptance::Acceptance,
    attempt::Place,
    topic_writer::{Queued, Shared},
};
use crate::{
    kafka::{KafkaError, NewRecord},
    rejection::Rejection,
};

/// After this time a write is expected to fail.
const SLOW: Duration = Duration::from_secs(1);

/// Writes one partition's queue to Kafka.
pub(super) struct PartitionProducer {
    shared: Arc<Shared>,
    topic: Arc<str>,
    partition: i32,
    acceptance: Arc<Acceptance>,
}

impl PartitionProducer {
    pub(super) fn new(shared: Arc<Shared>, topic: Arc<str>, partition: i32, acceptance: Arc<Acceptance>) -> Self {
        Self { shared, topic, partition, acceptance }
    }

    pub(super) async fn run(self, mut queue: UnboundedReceiver<Queued>) {
        while let Some(first) = queue.recv().await {
            let batch = self.gather(first, &mut queue);
            if !batch.is_empty() {
                self.write(batch).await;
            }
        }
    }

    /// Takes what is in the queue, without waiting for more.
    fn gather(&self, first: Queued, queue: &mut UnboundedReceiver<Queued>) -> Vec<Queued> {
        let limits = &self.shared.limits;
        let mut bytes = 0;
        let mut batch = Vec::new();
        let mut next = Some(first);
        while let Some(queued) = next {
            if let Some(queued) = in_time(queued) {
                bytes += queued.size();
                batch.push(queued);
                if batch.len() >= limits.batch_events || bytes >= limits.batch_bytes {
                    break;
                }
            }
            next = queue.try_recv().ok();
        }
        batch
    }

    async fn write(&self, batch: Vec<Queued>) {
        // Built from the event again if it is needed again, which is rare. So nothing is copied for that case.
        let records = batch.iter().map(Queued::record).collect();
        match self.produce(records).await {
            Ok(first) => {
                for (offset, queued) in (first..).zip(batch) {
                    self.acceptance.took(queued.size());
                    queued.finish(Ok(Place { partition: self.partition, offset }));
                }
            }
            // Either the batch is too large or one of its records is. Writing them one by one shows which.
            Err(KafkaError::TooLarge) if batch.len() > 1 => {
                for queued in batch {
                    let Some(queued) = in_time(queued) else { continue };
                    let result = self.produce(vec![queued.record()]).await;
                    self.note(&result, queued.size());
                    queued.finish(self.outcome(result));
                }
            }
            Err(error) => {
                tracing::warn!(
                    topic = &*self.topic,
                    partition = self.partition,
                    records = batch.len(),
                    %error,
                    "records not written"
                );
                let size = batch.first().map_or(0, Queued::size);
                let result = Err(error);
                self.note(&result, size);
                let outcome = self.outcome(result);
                for queued in batch {
                    queued.finish(outcome.clone());
                }
            }
        }
    }

    async fn produce(&self, records: Vec<NewRecord>) -> Result<i64, KafkaError> {
        let (began, count, metrics) = (Instant::now(), records.len() as u64, &self.shared.metrics);
        let mut call = self.shared.kafka.produce(&self.topic, self.partition, records);
        let result = match timeout(SLOW, &mut call).await {
            Ok(result) => result,
            // It will probably fail. Those that come meanwhile need not wait to know that.
            Err(_) => {
                self.acceptance.failed();
                call.await
            }
        };
        metrics.inbound.produce_seconds.with_label_values(&[&*self.topic]).observe(began.elapsed().as_secs_f64());
        match &result {
            Ok(_) => metrics.inbound.produced.with_label_values(&[&*self.topic]).inc_by(count),
            Err(error) => metrics.inbound.produce_failures.with_label_values(&[error.label()]).inc(),
        }
        result
    }

    /// Notes what became of a record, or of a batch that failed as a whole.
    fn note(&self, result: &Result<i64, KafkaError>, bytes: usize) {
        match result {
            Ok(_) => self.acceptance.took(bytes),
            Err(KafkaError::TooLarge) => self.acceptance.refused(bytes),
            Err(_) => self.acceptance.failed(),
        }
    }

    fn outcome(&self, result: Result<i64, KafkaError>) -> Result<Place, Rejection> {
        result.map(|offset| Place { partition: self.partition, offset }).map_err(|error| match error {
            KafkaError::TooLarge => Rejection::TooLarge,
            KafkaError::UnknownTopic(topic) => {
                self.shared.topics.invalidate(&topic);
                Rejection::Unavailable(format!("topic {topic} does not exist"))
            }
            other => {
                self.shared.topics.check_now();
                Rejection::Unavailable(other.to_string())
            }
        })
    }
}

/// Withdraws a record after its deadline. Its request was answered by then.
fn in_time(queued: Queued) -> Option<Queued> {
    if queued.attempt().deadline > Instant::now() {
        return Some(queued);
    }
    queued.finish(Err(Rejection::Unavailable("it waited too long in the queue".to_owned())));
    None
}
