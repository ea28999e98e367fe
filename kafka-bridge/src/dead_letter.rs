//! Writes records that can't be decoded or delivered to the dead-letter topic `<topic>.dlq`, with the reason and their
//! coordinates. Delivery of their partition then continues.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::future::try_join_all;
use tokio_util::sync::CancellationToken;

use crate::{
    backoff::Backoff,
    kafka::{KafkaError, KafkaIo, NewRecord},
    metrics::Metrics,
    partitioner,
    topics::{TopicError, Topics},
};

/// The maximum size of a batch of several. Kafka takes about 1 MiB by default.
const MAX_BATCH_BYTES: usize = 512 * 1024;

/// What a dead letter has beside the value, in bytes.
const AROUND_BYTES: usize = 1024;

/// A record that can't be delivered.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// The topic it was read from.
    pub topic: String,
    /// The partition it was read from.
    pub partition: i32,
    /// Its offset, or the first offset of a range that can't be read record by record.
    pub first_offset: i64,
    /// The last offset of that range, otherwise the same offset.
    pub last_offset: i64,
    /// The reason, in one word.
    pub reason: &'static str,
    /// Further detail.
    pub detail: Option<String>,
    /// The record, as far as it could be read.
    pub record: NewRecord,
}

/// The bridge was stopped before the dead letter was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stopped before the dead letter was written")]
pub struct Stopped;

type DeadLetterRef<'a> = &'a DeadLetter;

/// Where dead letters of a topic go.
struct Target<'a> {
    topic: &'a str,
    dlq_topic: String,
    stop: &'a CancellationToken,
}

/// Writes dead letters to Kafka.
pub struct DeadLetters {
    kafka: Arc<dyn KafkaIo>,
    topics: Arc<Topics>,
    metrics: Arc<Metrics>,
}

impl DeadLetters {
    /// Dead-letter topics are created when they are first needed.
    #[must_use]
    pub fn new(kafka: Arc<dyn KafkaIo>, topics: Arc<Topics>, metrics: Arc<Metrics>) -> Self {
        Self { kafka, topics, metrics }
    }

    /// Writes dead letters of a topic, and returns once Kafka has acknowledged them all. They share batches, because
    /// Kafka takes one batch after another. Retries for as long as Kafka is unreachable.
    ///
    /// If Kafka rejects one for good, only the log reports it: one record must not stop its partition, and it is still
    /// in its topic.
    ///
    /// # Errors
    /// [`Stopped`] if `stop` was cancelled first. The records are read again after the restart.
    pub async fn send_all(
        &self,
        topic: &str,
        dead_letters: impl IntoIterator<Item = &DeadLetter>,
        stop: &CancellationToken,
    ) -> Result<(), Stopped> {
        let target = Target { topic, dlq_topic: dlq_topic(topic), stop };
        // Unknown while Kafka is unreachable. Then they may share a batch that goes to the partition of the first.
        let partitions = self.topics.partitions_or_create(&target.dlq_topic, 1).await.unwrap_or(1);
        let mut batches: BTreeMap<i32, Vec<DeadLetterRef<'_>>> = BTreeMap::new();
        for dead_letter in dead_letters {
            self.report(dead_letter);
            let key = dead_letter.record.key.as_deref().unwrap_or_default();
            batches.entry(partitioner::partition(key, partitions)).or_default().push(dead_letter);
        }
        let target = &target;
        let writes = batches.into_values().map(async |dead_letters| {
            for batch in split(&dead_letters) {
                self.write_batch(target, batch).await?;
            }
            Ok(())
        });
        try_join_all(writes).await.map(drop)
    }

    fn report(&self, dead_letter: &DeadLetter) {
        let DeadLetter { topic, partition, first_offset, last_offset, reason, .. } = dead_letter;
        tracing::warn!(
            topic,
            partition,
            first_offset,
            last_offset,
            reason,
            "record not deliverable, writing it to the dead-letter topic"
        );
        self.metrics.loss.dead_letters.with_label_values(&[topic.as_str(), reason]).inc();
    }

    async fn write_batch(&self, target: &Target<'_>, batch: &[DeadLetterRef<'_>]) -> Result<(), Stopped> {
        let records = || batch.iter().map(|dead_letter| to_record(dead_letter)).collect();
        if batch.len() > 1 && self.write_until(target, records).await?.is_ok() {
            return Ok(());
        }
        // One of them may be at fault.
        for dead_letter in batch {
            self.write_one(target, dead_letter).await?;
        }
        Ok(())
    }

    async fn write_one(&self, target: &Target<'_>, dead_letter: &DeadLetter) -> Result<(), Stopped> {
        let mut record = to_record(dead_letter);
        loop {
            match self.write_until(target, || vec![record.clone()]).await? {
                Ok(()) => return Ok(()),
                Err(TopicError::Kafka(KafkaError::TooLarge)) if record.value.is_some() => {
                    record.value = None;
                    record.headers.insert("dlq_value".to_owned(), b"left out, too large".to_vec());
                }
                Err(error) => {
                    let DeadLetter { topic, partition, first_offset, last_offset, reason, .. } = dead_letter;
                    tracing::error!(
                        topic,
                        partition,
                        first_offset,
                        last_offset,
                        reason,
                        %error,
                        "dead letter can't be written: only this line names these records"
                    );
                    return Ok(());
                }
            }
        }
    }

    /// Writes a batch over and over until Kafka takes it, or rejects it for good.
    async fn write_until(
        &self,
        target: &Target<'_>,
        records: impl Fn() -> Vec<NewRecord>,
    ) -> Result<Result<(), TopicError>, Stopped> {
        let mut backoff = Backoff::default();
        loop {
            match self.write(&target.dlq_topic, records()).await {
                Err(error) if error.is_retriable() => {
                    tracing::warn!(topic = target.topic, %error, "dead letters not written, trying again");
                }
                done => return Ok(done),
            }
            tokio::select! {
                () = target.stop.cancelled() => return Err(Stopped),
                () = tokio::time::sleep(backoff.next_wait()) => {}
            }
        }
    }

    async fn write(&self, topic: &str, records: Vec<NewRecord>) -> Result<(), TopicError> {
        let count = self.topics.partitions_or_create(topic, 1).await?;
        let key = records.first().and_then(|record| record.key.as_deref()).unwrap_or_default();
        let partition = partitioner::partition(key, count);
        let written = self.kafka.produce(topic, partition, records).await;
        if matches!(written, Err(KafkaError::UnknownTopic(_))) {
            self.topics.invalidate(topic);
        }
        written.map(drop).map_err(TopicError::Kafka)
    }
}

/// The topic of a topic's dead letters.
pub(crate) fn dlq_topic(topic: &str) -> String {
    format!("{topic}.dlq")
}

/// Splits dead letters into batches of a limited size, in order.
fn split<'a>(dead_letters: &'a [DeadLetterRef<'a>]) -> impl Iterator<Item = &'a [DeadLetterRef<'a>]> {
    let mut rest = dead_letters;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fitting = rest.iter().take_while(|dead_letter| {
            bytes += AROUND_BYTES + dead_letter.record.value.as_ref().map_or(0, Vec::len);
            bytes <= MAX_BATCH_BYTES
        });
        let (batch, others) = rest.split_at_checked(fitting.count().max(1))?;
        rest = others;
        Some(batch)
    })
}

fn to_record(dead_letter: &DeadLetter) -> NewRecord {
    let mut record = dead_letter.record.clone();
    let notes = [
        ("dlq_reason", Some(dead_letter.reason.to_owned())),
        ("dlq_detail", dead_letter.detail.clone()),
        ("dlq_topic", Some(dead_letter.topic.clone())),
        ("dlq_partition", Some(dead_letter.partition.to_string())),
        ("dlq_offset", Some(dead_letter.first_offset.to_string())),
        ("dlq_last_offset", Some(dead_letter.last_offset.to_string())),
    ];
    let notes = notes.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into_bytes())));
    record.headers.extend(notes);
    record
}
