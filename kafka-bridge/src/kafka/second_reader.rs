//! Reads with rdkafka what rskafka can't decode. rskafka decodes a batch as a whole, so one null header value costs the
//! records beside it. rdkafka reads those, too, and leaves out transaction markers.

use async_trait::async_trait;

use super::{
    ClientError, Fetched, FetchedItem, KafkaError, KafkaIo, KafkaSettings, NewRecord, RdkafkaIo, RskafkaIo, Watermarks,
};

/// rskafka, and rdkafka for what it can't decode.
pub(super) struct WithSecondReader {
    first: RskafkaIo,
    /// Connects only when it is needed.
    second: RdkafkaIo,
}

impl WithSecondReader {
    pub(super) fn new(first: RskafkaIo, settings: &KafkaSettings) -> Result<Self, ClientError> {
        Ok(Self { first, second: RdkafkaIo::new(settings.clone())? })
    }

    /// Replaces the first range that can't be decoded. What follows it is fetched again: the range may be longer than what
    /// is read now.
    async fn read_again(&self, topic: &str, partition: i32, fetched: Fetched) -> Result<Fetched, KafkaError> {
        let Some(at) = fetched.items.iter().position(|item| matches!(item, FetchedItem::Undecodable { .. })) else {
            return Ok(fetched);
        };
        let mut items = fetched.items;
        let rest = items.split_off(at);
        let Some(FetchedItem::Undecodable { first, last, reason }) = rest.into_iter().next() else {
            return Ok(Fetched { items, next_offset: fetched.next_offset });
        };
        match self.second.read_range(topic, partition, first, last).await {
            Ok((read, next)) => {
                tracing::debug!(topic, partition, first, last, records = read.len(), "read by rdkafka");
                items.extend(read);
                let next_offset = next.unwrap_or_else(|| last.saturating_add(1));
                Ok(Fetched { items, next_offset })
            }
            // Neither can decode it.
            Err(KafkaError::Undecodable(_)) => {
                items.push(FetchedItem::Undecodable { first, last, reason });
                Ok(Fetched { items, next_offset: last.saturating_add(1) })
            }
            Err(error) if items.is_empty() => Err(error),
            // The next fetch begins with the range.
            Err(_) => Ok(Fetched { items, next_offset: first }),
        }
    }
}

#[async_trait]
impl KafkaIo for WithSecondReader {
    async fn partitions(&self, topic: &str) -> Result<Option<i32>, KafkaError> {
        self.first.partitions(topic).await
    }

    async fn create_topic(&self, topic: &str, partitions: i32) -> Result<(), KafkaError> {
        self.first.create_topic(topic, partitions).await
    }

    async fn produce(&self, topic: &str, partition: i32, records: Vec<NewRecord>) -> Result<i64, KafkaError> {
        self.first.produce(topic, partition, records).await
    }

    async fn fetch(&self, topic: &str, partition: i32, offset: i64) -> Result<Fetched, KafkaError> {
        let fetched = self.first.fetch(topic, partition, offset).await?;
        self.read_again(topic, partition, fetched).await
    }

    async fn watermarks(&self, topic: &str, partition: i32) -> Result<Watermarks, KafkaError> {
        self.first.watermarks(topic, partition).await
    }
    async fn offset_at(&self, topic: &str, partition: i32, time_ms: i64) -> Result<Option<i64>, KafkaError> {
        self.first.offset_at(topic, partition, time_ms).await
    }
}
