//! What the bridge needs of a Kafka client, and no more, so that tests run on memory and another client can take
//! rskafka's place.
//!
//! Implementations bound every call in time themselves: a caller never waits for ever.

mod access;
mod error;
mod rskafka_io;
mod skip;

use std::collections::BTreeMap;

use async_trait::async_trait;

pub use self::{
    access::{KafkaAccess, Sasl, SaslMechanism},
    error::KafkaError,
    rskafka_io::{RskafkaIo, RskafkaOptions},
};

/// A Kafka client as the bridge sees it.
#[async_trait]
pub trait KafkaIo: Send + Sync + 'static {
    /// How many partitions a topic has; `None` if there is no such topic.
    async fn partitions(&self, topic: &str) -> Result<Option<i32>, KafkaError>;

    /// Creates a topic with the broker's default replication. It is no error if it is there already.
    async fn create_topic(&self, topic: &str, partitions: i32) -> Result<(), KafkaError>;

    /// Writes records with `acks=all` and returns the offset of the first.
    async fn produce(&self, topic: &str, partition: i32, records: Vec<NewRecord>) -> Result<i64, KafkaError>;

    /// Reads from an offset on, waiting a moment if there is nothing yet.
    async fn fetch(&self, topic: &str, partition: i32, offset: i64) -> Result<Fetched, KafkaError>;

    /// The range of offsets that can be read now.
    async fn watermarks(&self, topic: &str, partition: i32) -> Result<Watermarks, KafkaError>;
}

/// A record to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewRecord {
    /// The record key.
    pub key: Option<Vec<u8>>,
    /// The value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// The headers.
    pub headers: BTreeMap<String, Vec<u8>>,
}

impl NewRecord {
    /// Its size before compression, roughly.
    #[must_use]
    pub fn size(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.key.as_ref().map_or(0, Vec::len) + self.value.as_ref().map_or(0, Vec::len) + headers
    }
}

/// A record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedRecord {
    /// Where it rests.
    pub offset: i64,
    /// When it was written, in milliseconds of Unix time.
    pub timestamp_ms: i64,
    /// The record itself. Of headers with the same name, the last.
    pub record: NewRecord,
}

/// What one fetch brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// In offset order.
    pub items: Vec<FetchedItem>,
    /// Where to fetch next.
    pub next_offset: i64,
}

/// One step along a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchedItem {
    /// A record.
    Record(FetchedRecord),
    /// Offsets the client can't decode: they hold transaction markers, null headers, or a damaged batch.
    Undecodable {
        /// The first of them.
        first: i64,
        /// The last of them.
        last: i64,
        /// What the client said.
        reason: String,
    },
}

/// The range of readable offsets, `earliest..latest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermarks {
    /// The oldest record retention has left.
    pub earliest: i64,
    /// The offset the next record will get (the last stable offset where there are transactions).
    pub latest: i64,
}
