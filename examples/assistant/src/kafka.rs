//! The little of Kafka the example needs, on rskafka, each call with a limit in time because rskafka has none.
//! After a failure the client is built anew: its cached metadata could name brokers that are gone.

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

/// Partitions of a topic that has to be created.
const PARTITIONS: i32 = 4;

/// Limit of each call.
const TIMEOUT: Duration = Duration::from_secs(8);

/// How long a fetch waits for something to be said.
const MAX_WAIT_MS: i32 = 500;

/// Most bytes of one fetch.
const MAX_FETCH_BYTES: i32 = 1024 * 1024;

/// Reads and writes on one partition have a connection each, or a write would wait behind a fetch.
type Key = (String, i32, &'static str);

/// See the module's text.
pub(crate) struct Kafka {
    brokers: Vec<String>,
    open: Mutex<Option<Arc<Open>>>,
}

struct Open {
    client: Client,
    partitions: Mutex<HashMap<Key, Arc<PartitionClient>>>,
}

impl Kafka {
    /// Connects when first used.
    pub(crate) fn new(brokers: Vec<String>) -> Self {
        Self { brokers, open: Mutex::new(None) }
    }

    /// How many partitions a topic has; creates it if it is missing and the broker lets.
    pub(crate) async fn partitions(&self, topic: &str) -> anyhow::Result<i32> {
        let count = self.limited(async {
            let open = self.open().await?;
            let find = async || {
                let topics = open.client.list_topics().await?;
                anyhow::Ok(topics.into_iter().find(|found| found.name == topic).map(|found| found.partitions.len()))
            };
            if let Some(count) = find().await? {
                return Ok(count);
            }
            match open.client.controller_client()?.create_topic(topic, PARTITIONS, -1, 5_000).await {
                Ok(()) | Err(ClientError::ServerError { protocol_error: ProtocolError::TopicAlreadyExists, .. }) => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("topic {topic} is missing and can't be created"));
                }
            }
            find().await?.with_context(|| format!("topic {topic} is missing"))
        });
        Ok(i32::try_from(count.await?)?)
    }

    /// The offset the next record of a partition will get, or that of the first one there is.
    pub(crate) async fn offset(&self, topic: &str, partition: i32, at: OffsetAt) -> anyhow::Result<i64> {
        self.limited(async { Ok(self.partition(topic, partition, "read").await?.get_offset(at).await?) }).await
    }

    /// What was said from an offset on. `None`: there is nothing at this offset, and never will be.
    pub(crate) async fn fetch(
        &self,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> anyhow::Result<Option<Vec<RecordAndOffset>>> {
        let fetched = self.limited(async {
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
        let written = self.limited(async {
            let client = self.partition(topic, partition, "write").await?;
            client.produce(records, Compression::NoCompression).await?;
            Ok(())
        });
        written.await
    }

    async fn limited<T>(&self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let result = match tokio::time::timeout(TIMEOUT, work).await {
            Ok(result) => result,
            Err(_) => Err(anyhow::anyhow!("kafka did not answer within {TIMEOUT:?}")),
        };
        if result.is_err() {
            *self.open.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        result
    }

    async fn open(&self) -> anyhow::Result<Arc<Open>> {
        if let Some(open) = &*self.open.lock().unwrap_or_else(PoisonError::into_inner) {
            return Ok(Arc::clone(open));
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
        let open = Arc::new(Open { client, partitions: Mutex::default() });
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&open));
        Ok(open)
    }

    async fn partition(
        &self,
        topic: &str,
        partition: i32,
        usage: &'static str,
    ) -> anyhow::Result<Arc<PartitionClient>> {
        let open = self.open().await?;
        let key = (topic.to_owned(), partition, usage);
        if let Some(client) = open.partitions.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(client));
        }
        let client = open.client.partition_client(topic, partition, UnknownTopicHandling::Error).await?;
        let client = Arc::new(client);
        open.partitions.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&client));
        Ok(client)
    }
}
