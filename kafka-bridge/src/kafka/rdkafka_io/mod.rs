//! [`KafkaIo`] on rdkafka, which binds librdkafka. It is compiled in with the cargo feature `rdkafka`.
//!
//! - [`config`]: the settings, as librdkafka has them.
//! - [`context`]: what librdkafka asks for and tells.
//! - [`reader`]: reads partitions.
//! - [`group`]: joins a consumer group.
//! - [`message`]: a message as the bridge's record.
//! - [`error`]: translates its errors.
//!
//! Unlike rskafka, it decodes every record, leaves out those of aborted transactions, and writes a batch once, whatever
//! happens to the answer. It runs threads of its own. Its calls that wait for a broker run on threads for blocking work.

mod config;
mod context;
mod error;
mod group;
mod message;
mod reader;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use rdkafka::{
    config::FromClientConfigAndContext as _,
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord, future_producer::DeliveryFuture},
    types::RDKafkaErrorCode as Code,
};
use tokio::{sync::OnceCell, time::Instant};
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};

use self::{
    context::Context,
    error::translate,
    reader::{ReadLimits, Reader},
};
use super::{
    ClientError, Fetched, FetchedItem, KafkaError, KafkaIo, KafkaSettings, Membership, NewRecord, RskafkaIo,
    RskafkaOptions, Watermarks, token::TokenSource,
};

/// A Kafka client on rdkafka.
pub struct RdkafkaIo {
    settings: KafkaSettings,
    limits: ReadLimits,
    max_fetch_bytes: i32,
    tokens: Option<Arc<TokenSource>>,
    /// Creates topics, as the crate's client for that asks for no access token, and finds offsets by time.
    helper: RskafkaIo,
    clients: OnceCell<Clients>,
}

/// They connect by themselves, and again after a failure.
struct Clients {
    producer: FutureProducer<Context>,
    reader: Reader,
    /// Keeps the token fresh.
    _refresh: Option<AbortOnDropHandle<()>>,
}

impl RdkafkaIo {
    /// Connects on first use, so that the bridge can start before Kafka.
    ///
    /// # Errors
    /// [`ClientError`] if a part of it can't be built.
    pub fn new(settings: KafkaSettings) -> Result<Self, ClientError> {
        let max_fetch_bytes = 1024 * 1024;
        let limits =
            ReadLimits { timeout: Duration::from_secs(8), wait: Duration::from_millis(500), bytes: 1024 * 1024 };
        let tokens = TokenSource::of(&settings)?.map(Arc::new);
        let helper = RskafkaIo::new(RskafkaOptions::new(settings.clone()))?;
        Ok(Self { settings, limits, max_fetch_bytes, tokens, helper, clients: OnceCell::new() })
    }

    async fn clients(&self) -> Result<&Clients, KafkaError> {
        self.clients.get_or_try_init(|| self.build()).await
    }

    async fn build(&self) -> Result<Clients, KafkaError> {
        let refresh = refreshed(self.tokens.as_ref()).await?;
        let context = Context { tokens: self.tokens.clone() };
        let ReadLimits { timeout, wait, .. } = self.limits;
        let producer = config::producer(&self.settings, timeout);
        let consumer = config::consumer(&self.settings, timeout, wait, self.max_fetch_bytes);
        let failed = |error| translate("", &error);
        Ok(Clients {
            producer: FutureProducer::from_config_and_context(&producer, context.clone()).map_err(failed)?,
            reader: Reader::new(&consumer, context, self.limits).map_err(failed)?,
            _refresh: refresh,
        })
    }

    /// Reads the offsets from `first` to `last`, or as far as one fetch goes. `None` as the next offset: there is nothing
    /// more up to `last`.
    pub(super) async fn read_range(
        &self,
        topic: &str,
        partition: i32,
        first: i64,
        last: i64,
    ) -> Result<(Vec<FetchedItem>, Option<i64>), KafkaError> {
        let reader = &self.clients().await?.reader;
        let deadline = Instant::now() + self.limits.timeout;
        loop {
            let read = reader.fetch(topic, partition, first).await?;
            let next = read.fetched.next_offset;
            if next <= last && !read.is_at_end {
                if next > first {
                    return Ok((read.fetched.items, Some(next)));
                }
                // A connection is only being made.
                if Instant::now() >= deadline {
                    return Err(KafkaError::Timeout(self.limits.timeout.as_millis()));
                }
                continue;
            }
            let mut items = read.fetched.items;
            items.retain(|item| match item {
                FetchedItem::Record(record) => record.offset <= last,
                FetchedItem::Undecodable { first, .. } => *first <= last,
            });
            return Ok((items, None));
        }
    }
}

#[async_trait]
impl KafkaIo for RdkafkaIo {
    async fn partitions(&self, topic: &str) -> Result<Option<i32>, KafkaError> {
        self.clients().await?.reader.partitions(topic).await
    }

    async fn create_topic(&self, topic: &str, partitions: i32) -> Result<(), KafkaError> {
        self.helper.create_topic(topic, partitions).await
    }

    async fn produce(&self, topic: &str, partition: i32, records: Vec<NewRecord>) -> Result<i64, KafkaError> {
        let producer = &self.clients().await?.producer;
        // All are queued before the first await, so that they go out in a row.
        let sent: Result<Vec<_>, _> = records.iter().map(|record| send(producer, topic, partition, record)).collect();
        let mut first = None;
        for delivery in sent? {
            let delivered = delivery.await.map_err(|_| KafkaError::Unavailable("the client ended".to_owned()))?;
            let delivery = delivered.map_err(|(error, _)| match error.rdkafka_error_code() {
                Some(Code::MessageTimedOut) => KafkaError::Timeout(self.limits.timeout.as_millis()),
                _ => translate(topic, &error),
            })?;
            first.get_or_insert(delivery.offset);
        }
        first.ok_or_else(|| KafkaError::Rejected("the batch is empty".to_owned()))
    }

    async fn fetch(&self, topic: &str, partition: i32, offset: i64) -> Result<Fetched, KafkaError> {
        Ok(self.clients().await?.reader.fetch(topic, partition, offset).await?.fetched)
    }

    async fn watermarks(&self, topic: &str, partition: i32) -> Result<Watermarks, KafkaError> {
        self.clients().await?.reader.watermarks(topic, partition).await
    }

    async fn offset_at(&self, topic: &str, partition: i32, time_ms: i64) -> Result<Option<i64>, KafkaError> {
        self.helper.offset_at(topic, partition, time_ms).await
    }
}

/// The clients ask for a token at once, and not again for a while if there is none. So one is at hand before they start,
/// and is kept fresh.
async fn refreshed(tokens: Option<&Arc<TokenSource>>) -> Result<Option<AbortOnDropHandle<()>>, KafkaError> {
    let Some(tokens) = tokens else { return Ok(None) };
    tokens.token().await.map_err(|error| KafkaError::Unavailable(error.to_string()))?;
    Ok(Some(AbortOnDropHandle::new(tokio::spawn(Arc::clone(tokens).keep_fresh()))))
}

/// Joins a consumer group, and leaves it after `stop`.
pub(super) async fn join_group(
    settings: &KafkaSettings,
    group: &str,
    membership: Arc<Membership>,
    topics: Vec<String>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Result<(), ClientError> {
    let tokens = TokenSource::of(settings)?.map(Arc::new);
    let refresh = refreshed(tokens.as_ref()).await.map_err(ClientError::Group)?;
    let config = config::member(settings, group);
    let thread = group::join(&config, Context { tokens }, membership, topics, stop.clone());
    let thread = thread.map_err(|error| ClientError::Group(translate("", &error)))?;
    tasks.spawn_blocking(move || {
        let _refresh = refresh;
        if thread.join().is_err() {
            tracing::error!("the member of the consumer group failed");
        }
    });
    Ok(())
}

fn send(
    producer: &FutureProducer<Context>,
    topic: &str,
    partition: i32,
    record: &NewRecord,
) -> Result<DeliveryFuture, KafkaError> {
    let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
    for (key, value) in &record.headers {
        headers = headers.insert(Header { key, value: Some(value) });
    }
    let new = FutureRecord::<[u8], [u8]> {
        topic,
        partition: Some(partition),
        payload: record.value.as_deref(),
        key: record.key.as_deref(),
        timestamp: None,
        headers: Some(headers),
    };
    producer.send_result(new).map_err(|(error, _)| translate(topic, &error))
}
