//! Where records go that can't be decoded or delivered: `<topic>.dlq`, with the reason and where they were, so that
//! their partition moves on.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::{
    backoff::Backoff,
    kafka::{KafkaError, KafkaIo, NewRecord},
    metrics::Metrics,
    partitioner,
    topics::{TopicError, Topics},
};

/// A record that is passed over.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// The topic it is in.
    pub topic: String,
    /// The partition it is in.
    pub partition: i32,
    /// Its offset, or the first of several that can't be told apart.
    pub first_offset: i64,
    /// The last of them.
    pub last_offset: i64,
    /// One word: why.
    pub reason: &'static str,
    /// What else is known of it.
    pub detail: Option<String>,
    /// The record as far as it is known.
    pub record: NewRecord,
}

/// The bridge was told to stop before the letter was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stopped before the dead letter was written")]
pub struct Stopped;

/// Writes dead letters.
pub struct DeadLetters {
    kafka: Arc<dyn KafkaIo>,
    topics: Arc<Topics>,
    metrics: Arc<Metrics>,
}

impl DeadLetters {
    /// Creates dead-letter topics as they are needed.
    #[must_use]
    pub fn new(kafka: Arc<dyn KafkaIo>, topics: Arc<Topics>, metrics: Arc<Metrics>) -> Self {
        Self { kafka, topics, metrics }
    }

    /// Returns once the letter rests in Kafka, however long Kafka is away.
    ///
    /// If Kafka refuses it for good, the log alone has it: the record itself still is where it was, and a partition
    /// must not stop for it.
    ///
    /// # Errors
    /// [`Stopped`] if `stop` came first; the record is then met again after the restart.
    pub async fn send(&self, letter: &DeadLetter, stop: &CancellationToken) -> Result<(), Stopped> {
        let DeadLetter { topic, partition, first_offset, last_offset, reason, .. } = letter;
        tracing::warn!(
            topic,
            partition,
            first_offset,
            last_offset,
            reason,
            "passed over, goes to the dead-letter topic"
        );
        self.metrics.dead_letters.with_label_values(&[topic.as_str(), reason]).inc();
        let mut backoff = Backoff::default();
        let mut record = to_record(letter);
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
                    tracing::error!(topic, partition, first_offset, last_offset, reason, %error, "dead letter can't be written, only this line has it");
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
            self.topics.forget(&topic);
        }
        written.map(drop).map_err(TopicError::Kafka)
    }
}

fn to_record(letter: &DeadLetter) -> NewRecord {
    let mut record = letter.record.clone();
    let notes = [
        ("dlq_reason", Some(letter.reason.to_owned())),
        ("dlq_detail", letter.detail.clone()),
        ("dlq_topic", Some(letter.topic.clone())),
        ("dlq_partition", Some(letter.partition.to_string())),
        ("dlq_offset", Some(letter.first_offset.to_string())),
        ("dlq_last_offset", Some(letter.last_offset.to_string())),
    ];
    let notes = notes.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into_bytes())));
    record.headers.extend(notes);
    record
}
