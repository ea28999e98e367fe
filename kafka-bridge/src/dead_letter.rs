//! Writes records that can't be decoded or delivered to the dead-letter topic `<topic>.dlq`, with the reason and their
//! coordinates. Delivery of their partition then continues.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::{
    backoff::Backoff,
    kafka::{KafkaError, KafkaIo, NewRecord},
    metrics::Metrics,
    partitioner,
    topics::{TopicError, Topics},
};

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

    /// Writes a dead letter and returns once Kafka has acknowledged it. Retries for as long as Kafka is unreachable.
    ///
    /// If Kafka rejects it for good, only the log reports it: one record must not stop its partition, and it is still
    /// in its topic.
    ///
    /// # Errors
    /// [`Stopped`] if `stop` was cancelled first. The record is read again after the restart.
    pub async fn send(&self, dead_letter: &DeadLetter, stop: &CancellationToken) -> Result<(), Stopped> {
        let DeadLetter { topic, partition, first_offset, last_offset, reason, .. } = dead_letter;
        tracing::warn!(
            topic,
            partition,
            first_offset,
            last_offset,
            reason,
            "record not deliverable, writing it to the dead-letter topic"
        );
        self.metrics.dead_letters.with_label_values(&[topic.as_str(), reason]).inc();
        let mut backoff = Backoff::default();
        let mut record = to_record(dead_letter);
        loop {
            match self.write(topic, record.clone()).await {
                Ok(()) => return Ok(()),
                Err(TopicError::Kafka(KafkaError::TooLarge)) if record.value.is_some() => {
                    record.value = None;
                    record.headers.insert("dlq_value".to_owned(), b"left out, too large".to_vec());
                    continue;
                }
                Err(error) if error.is_retriable() => {
                    tracing::warn!(topic, partition, first_offset, %error, "dead letter not written, trying again");
                }
                Err(error) => {
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
            tokio::select! {
                () = stop.cancelled() => return Err(Stopped),
                () = tokio::time::sleep(backoff.next_wait()) => {}
            }
        }
    }

    async fn write(&self, topic: &str, record: NewRecord) -> Result<(), TopicError> {
        let topic = format!("{topic}.dlq");
        let count = self.topics.partitions_or_create(&topic, 1).await?;
        let partition = partitioner::partition(record.key.as_deref().unwrap_or_default(), count);
        let written = self.kafka.produce(&topic, partition, vec![record]).await;
        if matches!(written, Err(KafkaError::UnknownTopic(_))) {
            self.topics.invalidate(&topic);
        }
        written.map(drop).map_err(TopicError::Kafka)
    }
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
