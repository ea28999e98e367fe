//! Reads partitions with one consumer. Each partition has a queue of its own, so it waits for no other, and an error says
//! which partition it belongs to.
//!
//! librdkafka keeps a position by itself and fetches ahead. A fetch from another offset than the next one assigns the
//! partition anew.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::FutureExt as _;
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    config::FromClientConfigAndContext as _,
    consumer::{Consumer as _, StreamConsumer, stream_consumer::StreamPartitionQueue},
    error::KafkaError as ClientError,
};
use tokio::{
    sync::OwnedMutexGuard,
    task::AbortHandle,
    time::{Instant, timeout_at},
};

use super::{context::Context, error::translate, message};
use crate::kafka::{Fetched, FetchedItem, KafkaError, Watermarks};

/// The largest number of records that one fetch returns.
const MAX_RECORDS: usize = 1000;

type PartitionCell = Arc<tokio::sync::Mutex<Position>>;

/// Reads partitions.
pub(super) struct Reader {
    consumer: Arc<StreamConsumer<Context>>,
    partitions: Mutex<HashMap<(String, i32), PartitionCell>>,
    /// Serves the consumer's events that concern no partition.
    events: AbortHandle,
    limits: ReadLimits,
}

/// The limits of a read.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadLimits {
    /// Of a request to a broker.
    pub(super) timeout: Duration,
    /// How long a fetch waits for a first record.
    pub(super) wait: Duration,
    /// How many bytes of records a fetch returns, but for the last record.
    pub(super) bytes: usize,
}

/// Where a partition is read.
#[derive(Default)]
struct Position {
    /// `None` until it is assigned, and after an error.
    queue: Option<StreamPartitionQueue<Context>>,
    /// The offset that the next message is expected at, or after.
    next: i64,
}

/// What a fetch returned, and why it ended.
pub(super) struct Read {
    pub(super) fetched: Fetched,
    /// Whether there was nothing more.
    pub(super) is_at_end: bool,
}

impl Reader {
    pub(super) fn new(config: &ClientConfig, context: Context, limits: ReadLimits) -> Result<Self, ClientError> {
        let consumer = Arc::new(StreamConsumer::from_config_and_context(config, context)?);
        let served = Arc::clone(&consumer);
        let events = tokio::spawn(async move {
            loop {
                if let Err(error) = served.recv().await {
                    tracing::debug!(%error, "librdkafka");
                }
            }
        });
        Ok(Self { consumer, partitions: Mutex::default(), events: events.abort_handle(), limits })
    }

    /// Reads from an offset. Waits briefly if there is no record yet.
    pub(super) async fn fetch(&self, topic: &str, partition: i32, offset: i64) -> Result<Read, KafkaError> {
        let mut position = self.cell(topic, partition).lock_owned().await;
        if position.queue.is_none() || position.next != offset {
            position = self.assign(position, topic, partition, offset).await?;
        }
        let Position { queue, next } = &mut *position;
        let Some(messages) = queue.as_ref() else {
            return Err(KafkaError::Unavailable("the partition is not assigned".to_owned()));
        };
        let deadline = Instant::now() + self.limits.wait;
        let (mut items, mut bytes, mut is_at_end) = (Vec::new(), 0, false);
        let failure = loop {
            if items.len() >= MAX_RECORDS || bytes >= self.limits.bytes {
                break None;
            }
            let received = if items.is_empty() {
                timeout_at(deadline, messages.recv()).await.ok()
            } else {
                messages.recv().now_or_never()
            };
            match received {
                None => break None,
                // Left over from before the partition was assigned.
                Some(Ok(message)) if message.offset() < *next => {}
                Some(Ok(message)) => {
                    // At once: whoever drops the fetch drops what it has, so the next one must assign anew.
                    *next = message.offset().saturating_add(1);
                    let item = message::item(&message);
                    if let FetchedItem::Record(record) = &item {
                        bytes += record.record.size();
                    }
                    items.push(item);
                }
                Some(Err(ClientError::PartitionEOF(_))) => is_at_end = true,
                Some(Err(error)) => break Some(error),
            }
        };
        let next_offset = *next;
        if let Some(error) = failure {
            *queue = None;
            // Otherwise the next fetch meets it again.
            if items.is_empty() {
                return Err(translate(topic, &error));
            }
        }
        Ok(Read { fetched: Fetched { items, next_offset }, is_at_end })
    }

    /// The range of offsets that can be read now.
    pub(super) async fn watermarks(&self, topic: &str, partition: i32) -> Result<Watermarks, KafkaError> {
        let (consumer, timeout, name) = (Arc::clone(&self.consumer), self.limits.timeout, topic.to_owned());
        let read = tokio::task::spawn_blocking(move || consumer.fetch_watermarks(&name, partition, timeout));
        let (earliest, latest) = joined(read.await)?.map_err(|error| translate(topic, &error))?;
        Ok(Watermarks { earliest, latest })
    }

    /// The number of a topic's partitions, or `None` if the topic does not exist.
    pub(super) async fn partitions(&self, topic: &str) -> Result<Option<i32>, KafkaError> {
        let (consumer, timeout, name) = (Arc::clone(&self.consumer), self.limits.timeout, topic.to_owned());
        let read = tokio::task::spawn_blocking(move || consumer.fetch_metadata(Some(&name), timeout));
        let metadata = joined(read.await)?.map_err(|error| translate(topic, &error))?;
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else { return Ok(None) };
        match found.error().map(|code| super::error::translate_code(topic, code.into())) {
            Some(KafkaError::UnknownTopic(_)) => Ok(None),
            Some(error) => Err(error),
            None => Ok(i32::try_from(found.partitions().len()).ok().filter(|count| *count > 0)),
        }
    }

    fn cell(&self, topic: &str, partition: i32) -> PartitionCell {
        let mut partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(partitions.entry((topic.to_owned(), partition)).or_default())
    }

    /// Assigns a partition at an offset. It goes on if the caller is dropped: half an assignment would leave the next
    /// fetch at an unknown offset.
    async fn assign(
        &self,
        mut position: OwnedMutexGuard<Position>,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> Result<OwnedMutexGuard<Position>, KafkaError> {
        let watermarks = self.watermarks(topic, partition).await?;
        if offset < watermarks.earliest || offset > watermarks.latest {
            return Err(KafkaError::OffsetOutOfRange);
        }
        let (consumer, name) = (Arc::clone(&self.consumer), topic.to_owned());
        let assigned = tokio::task::spawn_blocking(move || {
            position.queue = None;
            let mut list = TopicPartitionList::new();
            list.add_partition(&name, partition);
            // Fails unless it was assigned before.
            let _ = consumer.incremental_unassign(&list);
            list.set_all_offsets(Offset::Offset(offset))?;
            // Before it is assigned, or its first messages go to the common queue.
            position.queue = consumer.split_partition_queue(&name, partition);
            position.next = offset;
            consumer.incremental_assign(&list)?;
            Ok(position)
        });
        joined(assigned.await)?.map_err(|error: ClientError| translate(topic, &error))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.events.abort();
    }
}

fn joined<T>(result: Result<T, tokio::task::JoinError>) -> Result<T, KafkaError> {
    result.map_err(|error| KafkaError::Unavailable(error.to_string()))
}
