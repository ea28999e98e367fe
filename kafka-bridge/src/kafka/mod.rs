//! The trait for a Kafka client, with only what the bridge needs, and the clients that implement it. Tests implement it in
//! memory.
//!
//! - [`settings`]: how to connect.
//! - [`client`]: builds the client that the settings choose.
//! - [`membership`]: what a consumer group has assigned to this instance.
//! - [`tls`]: how connections are encrypted.
//! - [`error`]: the errors of a client.
//! - [`token`]: access tokens for SASL.
//! - [`rskafka_io`]: the implementation on rskafka.
//! - [`producer`]: writes on rskafka's protocol.
//! - [`sasl`]: rskafka's credentials.
//! - [`rskafka_error`]: translates rskafka's errors.
//! - [`skip_undecodable`]: reads past batches that rskafka can't decode.
//! - `rdkafka_io`: the implementation on rdkafka, with the cargo feature of that name.
//! - `second_reader`: reads with rdkafka what rskafka can't decode.
//!
//! Implementations limit the time of every call, so that no caller waits for ever.

mod client;
mod error;
mod membership;
mod producer;
#[cfg(feature = "rdkafka")]
mod rdkafka_io;
mod rskafka_error;
mod rskafka_io;
mod sasl;
#[cfg(feature = "rdkafka")]
mod second_reader;
mod settings;
mod skip_undecodable;
mod tls;
mod token;

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use async_trait::async_trait;
use prometheus::IntCounter;

#[cfg(feature = "rdkafka")]
pub use self::rdkafka_io::RdkafkaIo;
pub use self::{
    client::{ClientError, clients, join_group},
    error::KafkaError,
    membership::{Hold, Membership, TopicPartition},
    rskafka_io::{RskafkaIo, RskafkaOptions},
    settings::{KafkaClient, KafkaSettings, Sasl, SaslMechanism, TokenEndpoint},
    tls::{ClientIdentity, TlsError, TlsSettings},
    token::TokenSourceError,
};

/// The clients of a bridge.
#[derive(Clone)]
pub struct KafkaClients {
    /// Writes, and reads records as they arrive.
    pub live: Arc<dyn KafkaIo>,
    /// Reads old records. On connections of its own: a broker answers a connection's requests in order, and those of
    /// live delivery wait for new records.
    pub replay: Arc<dyn KafkaIo>,
    /// Looks for repeats. A client of its own: a partition that can't be read makes it discard its connections, and no
    /// replay is to notice.
    pub search: Arc<dyn KafkaIo>,
    /// Counts the clients that any of them discarded after a failure.
    pub rebuilds: RebuildCounter,
}

/// Counts discarded clients, as soon as it knows where. Clients are built before the metrics are.
#[derive(Clone, Debug, Default)]
pub struct RebuildCounter(Arc<OnceLock<IntCounter>>);

impl RebuildCounter {
    /// From now on counts here. Only the first call has an effect.
    pub fn count_in(&self, counter: IntCounter) {
        // Fails only if it counts already.
        let _ = self.0.set(counter);
    }

    fn add(&self) {
        if let Some(counter) = self.0.get() {
            counter.inc();
        }
    }
}

/// A Kafka client.
#[async_trait]
pub trait KafkaIo: Send + Sync + 'static {
    /// The number of a topic's partitions, or `None` if the topic does not exist.
    async fn partitions(&self, topic: &str) -> Result<Option<i32>, KafkaError>;

    /// Creates a topic with the broker's default replication. Succeeds if it exists already.
    async fn create_topic(&self, topic: &str, partitions: i32) -> Result<(), KafkaError>;

    /// Writes records with `acks=all` and returns the offset of the first.
    async fn produce(&self, topic: &str, partition: i32, records: Vec<NewRecord>) -> Result<i64, KafkaError>;

    /// Reads from an offset. Waits briefly if there is no record yet.
    async fn fetch(&self, topic: &str, partition: i32, offset: i64) -> Result<Fetched, KafkaError>;

    /// The range of offsets that can be read now.
    async fn watermarks(&self, topic: &str, partition: i32) -> Result<Watermarks, KafkaError>;

    /// The first offset whose record was written at a time or later, in milliseconds of Unix time, by Kafka's index of
    /// timestamps. `None` if there is no such record.
    async fn offset_at(&self, topic: &str, partition: i32, time_ms: i64) -> Result<Option<i64>, KafkaError>;
}

/// A record to write.
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
    /// Its approximate size before compression.
    #[must_use]
    pub fn size(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.key.as_ref().map_or(0, Vec::len) + self.value.as_ref().map_or(0, Vec::len) + headers
    }
}

/// A record that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedRecord {
    /// Its offset.
    pub offset: i64,
    /// When it was written, in milliseconds of Unix time.
    pub timestamp_ms: i64,
    /// The record itself. If several headers have the same name, it contains the last one.
    pub record: NewRecord,
}

/// The result of one fetch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// In offset order.
    pub items: Vec<FetchedItem>,
    /// The offset to fetch next.
    pub next_offset: i64,
}

/// A record, or a range of offsets without readable records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchedItem {
    /// A record.
    Record(FetchedRecord),
    /// Offsets that the client can't decode: transaction markers, null header values, or a damaged batch.
    Undecodable {
        /// The first offset.
        first: i64,
        /// The last offset.
        last: i64,
        /// The client's error.
        reason: String,
    },
}

/// The range of readable offsets, `earliest..latest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermarks {
    /// The offset of the oldest record that retention has left.
    pub earliest: i64,
    /// The offset of the next record, or the last stable offset if there are transactions.
    pub latest: i64,
}

/// Whether what can't be decoded is a transaction marker. rskafka decodes it as a record and fails on its version or
/// its length.
pub(crate) fn is_marker(reason: &str) -> bool {
    reason.contains("control batch") || reason.contains("control record")
}
