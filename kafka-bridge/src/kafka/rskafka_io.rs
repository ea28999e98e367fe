//! [`KafkaIo`] on rskafka 0.6.
//!
//! Known traps of rskafka:
//!
//! - Requests have no time limit. Each call gets one here.
//! - Its back-off grows to 500 s. It is capped at one second here.
//! - It drops the answer to a throttled produce and sends the batch again, and a produce waits behind a long-poll fetch on
//!   the same `PartitionClient`. Batches are written by [`super::producer`], which also turns
//!   off Nagle's algorithm: rskafka leaves it on, and large requests then wait for a delayed acknowledgement.
//! - Its cached metadata can name a dead leader, or brokers that no longer exist, for ever. After a time-out or a lost
//!   connection, the whole client is rebuilt from the bootstrap addresses.
//! - Transaction markers and null header values fail to decode, and the whole fetch with them. See
//!   [`super::skip_undecodable`].
//! - Records of aborted transactions are not filtered out. Transactional topics need another client.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rskafka::{
    BackoffConfig,
    client::{
        Client, ClientBuilder, SaslConfig,
        error::Error as ClientError,
        partition::{OffsetAt, PartitionClient, UnknownTopicHandling},
    },
};

use super::{
    ClientError as BuildError, Fetched, KafkaError, KafkaIo, KafkaSettings, NewRecord, RebuildCounter, Watermarks,
    producer::Producer, rskafka_error::translate, sasl, skip_undecodable,
};

/// A new client is kept at least this long, even if calls fail.
const MIN_CLIENT_AGE: Duration = Duration::from_secs(3);

/// How to connect to Kafka, and the limits of a call.
#[derive(Clone, Debug)]
pub struct RskafkaOptions {
    /// The addresses and credentials.
    pub settings: KafkaSettings,
    /// The longest time for a call.
    pub timeout: Duration,
    /// The longest time that the broker waits for a first record.
    pub max_wait: Duration,
    /// The maximum number of bytes that one fetch asks for, before decompression.
    pub max_fetch_bytes: i32,
    /// Counts the clients that were discarded after a failure.
    pub rebuilds: RebuildCounter,
}

impl RskafkaOptions {
    /// The default limits.
    #[must_use]
    pub fn new(settings: KafkaSettings) -> Self {
        Self {
            settings,
            timeout: Duration::from_secs(8),
            max_wait: Duration::from_millis(500),
            max_fetch_bytes: 1024 * 1024,
            rebuilds: RebuildCounter::default(),
        }
    }

    /// The limits of a client that reads old records for someone who waits.
    #[must_use]
    pub fn for_replay(settings: KafkaSettings) -> Self {
        Self { timeout: Duration::from_secs(3), max_wait: Duration::ZERO, ..Self::new(settings) }
    }
}

/// A Kafka client on rskafka.
pub struct RskafkaIo {
    options: RskafkaOptions,
    tls: Option<Arc<rustls::ClientConfig>>,
    sasl: Option<SaslConfig>,
    producer: Producer,
    current: Mutex<Option<Arc<Connection>>>,
    /// Held while connecting, so that concurrent calls share one new connection.
    connecting: tokio::sync::Mutex<()>,
}

/// A client and the partition clients opened through it. They are discarded together.
struct Connection {
    client: Client,
    since: Instant,
    partitions: Mutex<HashMap<(String, i32), Arc<PartitionClient>>>,
}

impl RskafkaIo {
    /// Connects on first use, so that the bridge can start before Kafka.
    ///
    /// # Errors
    /// [`BuildError`] if a part of it can't be built.
    pub fn new(options: RskafkaOptions) -> Result<Self, BuildError> {
        let tls = options.settings.tls.as_ref().map(|tls| tls.rustls_config().map(Arc::new)).transpose()?;
        let sasl = sasl::rskafka_config(&options.settings)?;
        let producer = Producer::new(&options.settings, options.timeout)?;
        Ok(Self { options, tls, sasl, producer, current: Mutex::new(None), connecting: tokio::sync::Mutex::new(()) })
    }

    fn current(&self) -> Option<Arc<Connection>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn connection(&self) -> Result<Arc<Connection>, ClientError> {
        if let Some(connection) = self.current() {
            return Ok(connection);
        }
        let _guard = self.connecting.lock().await;
        if let Some(connection) = self.current() {
            return Ok(connection);
        }
        let settings = &self.options.settings;
        let mut builder = ClientBuilder::new(settings.brokers.clone())
            .client_id("causeway-kafka-bridge")
            .backoff_config(self.backoff());
        if let Some(tls) = &self.tls {
            builder = builder.tls_config(Arc::clone(tls));
        }
        if let Some(sasl) = &self.sasl {
            builder = builder.sasl_config(sasl.clone());
        }
        let client = builder.build().await?;
        let connection = Arc::new(Connection { client, since: Instant::now(), partitions: Mutex::default() });
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&connection));
        Ok(connection)
    }

    /// The deadline makes rskafka give up and report the reason before our own limit ends the call without one. It
    /// counts only the waits, but attempts take time, too. So it is well below the limit.
    fn backoff(&self) -> BackoffConfig {
        BackoffConfig {
            init_backoff: Duration::from_millis(50),
            max_backoff: Duration::from_secs(1),
            base: 2.0,
            deadline: Some(self.options.timeout.mul_f64(0.4)),
        }
    }

    async fn partition(
        &self,
        connection: &Connection,
        topic: &str,
        partition: i32,
    ) -> Result<Arc<PartitionClient>, ClientError> {
        let key = (topic.to_owned(), partition);
        if let Some(client) = connection.partitions.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(client));
        }
        let client = connection.client.partition_client(topic, partition, UnknownTopicHandling::Error).await?;
        let client = Arc::new(client);
        let mut open = connection.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(open.entry(key).or_insert(client)))
    }

    /// Runs a call within the time limit. Discards the client if the failure may be due to its cached metadata.
    async fn call<T>(
        &self,
        topic: &str,
        work: impl Future<Output = Result<T, ClientError>> + Send,
    ) -> Result<T, KafkaError> {
        let result = match tokio::time::timeout(self.options.timeout, work).await {
            Ok(result) => result.map_err(|error| translate(topic, error)),
            Err(_) => Err(KafkaError::Timeout(self.options.timeout.as_millis())),
        };
        if let Err(KafkaError::Timeout(_) | KafkaError::Unavailable(_) | KafkaError::UnknownTopic(_)) = &result {
            self.discard_client();
        }
        result
    }

    fn discard_client(&self) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|connection| connection.since.elapsed() >= MIN_CLIENT_AGE) {
            tracing::warn!("kafka client discarded after a failure, building a new one from the bootstrap addresses");
            self.options.rebuilds.add();
            *current = None;
        }
    }
}

#[async_trait]
impl KafkaIo for RskafkaIo {
    async fn partitions(&self, topic: &str) -> Result<Option<i32>, KafkaError> {
        let topics = self.call(topic, async { self.connection().await?.client.list_topics().await }).await?;
        let count = topics.into_iter().find(|found| found.name == topic).map(|found| found.partitions.len());
        Ok(count.and_then(|count| i32::try_from(count).ok()).filter(|count| *count > 0))
    }

    async fn create_topic(&self, topic: &str, partitions: i32) -> Result<(), KafkaError> {
        let limit_ms = i32::try_from(self.options.timeout.as_millis() / 2).unwrap_or(i32::MAX);
        let created = self.call(topic, async {
            // -1: the broker's default replication.
            self.connection().await?.client.controller_client()?.create_topic(topic, partitions, -1, limit_ms).await
        });
        match created.await {
            Err(KafkaError::Rejected(reason)) if reason.starts_with("TopicAlreadyExists") => Ok(()),
            other => other,
        }
    }

    async fn produce(&self, topic: &str, partition: i32, records: Vec<NewRecord>) -> Result<i64, KafkaError> {
        self.producer.produce(topic, partition, records).await
    }

    async fn fetch(&self, topic: &str, partition: i32, offset: i64) -> Result<Fetched, KafkaError> {
        let client = self.call(topic, async {
            let connection = self.connection().await?;
            self.partition(&connection, topic, partition).await
        });
        let source = Source { io: self, client: client.await? };
        skip_undecodable::fetch(&source, offset).await
    }

    async fn watermarks(&self, topic: &str, partition: i32) -> Result<Watermarks, KafkaError> {
        let offsets = self.call(topic, async {
            let connection = self.connection().await?;
            let client = self.partition(&connection, topic, partition).await?;
            let earliest = client.get_offset(OffsetAt::Earliest).await?;
            Ok(Watermarks { earliest, latest: client.get_offset(OffsetAt::Latest).await? })
        });
        offsets.await
    }

    async fn offset_at(&self, topic: &str, partition: i32, time_ms: i64) -> Result<Option<i64>, KafkaError> {
        // Negative numbers have a meaning of their own.
        let time = DateTime::from_timestamp_millis(time_ms.max(0)).unwrap_or(DateTime::<Utc>::MAX_UTC);
        let offset = self.call(topic, async {
            let connection = self.connection().await?;
            let client = self.partition(&connection, topic, partition).await?;
            client.get_offset(OffsetAt::Timestamp(time)).await
        });
        // -1: no record is as late.
        Ok(Some(offset.await?).filter(|offset| *offset >= 0))
    }
}

/// A partition, as [`skip_undecodable`] reads it.
struct Source<'a> {
    io: &'a RskafkaIo,
    client: Arc<PartitionClient>,
}

#[async_trait]
impl skip_undecodable::BatchSource for Source<'_> {
    async fn read(
        &self,
        offset: i64,
        amount: skip_undecodable::Amount,
    ) -> Result<skip_undecodable::Batches, KafkaError> {
        let (max_bytes, wait) = match amount {
            skip_undecodable::Amount::Many => (self.io.options.max_fetch_bytes, self.io.options.max_wait),
            // A broker always sends the first batch whole, whatever the limit.
            skip_undecodable::Amount::OneBatch => (1, Duration::ZERO),
        };
        let wait_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        let fetched = self.client.fetch_records(offset, 1..max_bytes.saturating_add(1), wait_ms);
        let (records, high_watermark) = self.io.call(self.client.topic(), fetched).await?;
        let records = records
            .into_iter()
            .map(|found| super::FetchedRecord {
                offset: found.offset,
                timestamp_ms: found.record.timestamp.timestamp_millis(),
                record: NewRecord { key: found.record.key, value: found.record.value, headers: found.record.headers },
            })
            .collect();
        Ok(skip_undecodable::Batches { records, high_watermark })
    }

    async fn readable_until(&self) -> Result<i64, KafkaError> {
        self.io.call(self.client.topic(), self.client.get_offset(OffsetAt::Latest)).await
    }
}
