//! The few Kafka calls that the example needs, on rskafka. Each call has a time limit, because rskafka has none. After
//! a failure the client is rebuilt: its cached metadata may name brokers that no longer exist.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, bail};
use rskafka::{
    BackoffConfig,
    client::{
        Client, ClientBuilder,
        error::{Error as ClientError, ProtocolError},
        partition::{Compression, OffsetAt, PartitionClient, UnknownTopicHandling},
    },
    record::{Record, RecordAndOffset},
};

/// Partitions of a topic that must be created.
const PARTITIONS: i32 = 4;

/// The longest time for a call.
const TIMEOUT: Duration = Duration::from_secs(8);

/// How long the broker waits for a first record.
const MAX_WAIT_MS: i32 = 500;

/// The maximum number of bytes in one fetch.
const MAX_FETCH_BYTES: i32 = 1024 * 1024;

/// A partition, and whether it is read or written. Each use has its own client: a write would wait behind a fetch.
type Key = (String, i32, &'static str);

/// A Kafka client.
pub(crate) struct Kafka {
    brokers: Vec<String>,
    current: Mutex<Option<Arc<Connection>>>,
}

struct Connection {
    client: Client,
    partitions: Mutex<HashMap<Key, Arc<PartitionClient>>>,
}

impl Kafka {
    /// Connects on first use.
    pub(crate) fn new(brokers: Vec<String>) -> Self {
        Self { brokers, current: Mutex::new(None) }
    }

    /// The number of a topic's partitions. Creates the topic if it is missing and the broker allows it.
    pub(crate) async fn partitions(&self, topic: &str) -> anyhow::Result<i32> {
        let count = self.with_timeout(async {
            let connection = self.connection().await?;
            let find = async || {
                let topics = connection.client.list_topics().await?;
                anyhow::Ok(topics.into_iter().find(|found| found.name == topic).map(|found| found.partitions.len()))
            };
            if let Some(count) = find().await? {
                return Ok(count);
            }
            match connection.client.controller_client()?.create_topic(topic, PARTITIONS, -1, 5_000).await {
                Ok(()) | Err(ClientError::ServerError { protocol_error: ProtocolError::TopicAlreadyExists, .. }) => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("topic {topic} is missing and can't be created"));
                }
            }
            find().await?.with_context(|| format!("topic {topic} is missing"))
        });
        Ok(i32::try_from(count.await?)?)
    }

    /// The offset of a partition's next record, or of its earliest.
    pub(crate) async fn offset(&self, topic: &str, partition: i32, at: OffsetAt) -> anyhow::Result<i64> {
        self.with_timeout(async { Ok(self.partition(topic, partition, "read").await?.get_offset(at).await?) }).await
    }

    /// Reads records from an offset. Returns `None` if the partition does not hold the offset.
    pub(crate) async fn fetch(
        &self,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> anyhow::Result<Option<Vec<RecordAndOffset>>> {
        let fetched = self.with_timeout(async {
            let client = self.partition(topic, partition, "read").await?;
            match client.fetch_records(offset, 1..MAX_FETCH_BYTES, MAX_WAIT_MS).await {
                Ok((records, _)) => Ok(Some(records)),
                Err(ClientError::ServerError { protocol_error: ProtocolError::OffsetOutOfRange, .. }) => Ok(None),
                Err(error) => Err(error.into()),
            }
        });
        fetched.await
    }

    /// Writes records to a partition, in order.
    pub(crate) async fn produce(&self, topic: &str, partition: i32, records: Vec<Record>) -> anyhow::Result<()> {
        let written = self.with_timeout(async {
            let client = self.partition(topic, partition, "write").await?;
            client.produce(records, Compression::NoCompression).await?;
            Ok(())
        });
        written.await
    }

    async fn with_timeout<T>(&self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let result = match tokio::time::timeout(TIMEOUT, work).await {
            Ok(result) => result,
            Err(_) => Err(anyhow::anyhow!("kafka did not answer within {TIMEOUT:?}")),
        };
        if result.is_err() {
            *self.current.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        result
    }

    async fn connection(&self) -> anyhow::Result<Arc<Connection>> {
        if let Some(connection) = &*self.current.lock().unwrap_or_else(PoisonError::into_inner) {
            return Ok(Arc::clone(connection));
        }
        if self.brokers.is_empty() {
            bail!("KAFKA_BROKERS names no broker");
        }
        let backoff = BackoffConfig {
            max_backoff: Duration::from_secs(1),
            deadline: Some(Duration::from_secs(5)),
            ..BackoffConfig::default()
        };
        let client = ClientBuilder::new(self.brokers.clone()).backoff_config(backoff).build().await?;
        let connection = Arc::new(Connection { client, partitions: Mutex::default() });
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&connection));
        Ok(connection)
    }

    async fn partition(
        &self,
        topic: &str,
        partition: i32,
        usage: &'static str,
    ) -> anyhow::Result<Arc<PartitionClient>> {
        let connection = self.connection().await?;
        let key = (topic.to_owned(), partition, usage);
        if let Some(client) = connection.partitions.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(client));
        }
        let client = connection.client.partition_client(topic, partition, UnknownTopicHandling::Error).await?;
        let client = Arc::new(client);
        connection.partitions.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&client));
        Ok(client)
    }
}
