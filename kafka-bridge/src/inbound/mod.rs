//! Writes each `POST /v1/events` to Kafka as one record, and answers once Kafka has acknowledged it with `acks=all`.
//!
//! - [`record`]: turns an event into a Kafka record.
//! - [`partition_producer`]: writes the events of one partition in batches.
//!
//! For ten minutes, a repeated id of a user gets the first response and no second write. A repeat that arrives while
//! the first is in progress waits for its outcome. A repeated id with other content is rejected: answering it like a
//! repeat would lose it.
//!
//! After a failure the id is forgotten, so that a retry writes again. Kafka may have stored the first attempt
//! nevertheless. The bridge cannot know that, so consumers deduplicate by `ce_id`. An event that was answered with 202
//! is stored in Kafka.

mod partition_producer;
mod record;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use causeway_protocol::event::{Accepted, InboundEvent};
use moka::{future::Cache, policy::EvictionPolicy};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::Instant,
};

use self::partition_producer::{PartitionProducer, QueuedEvent};
use crate::{
    kafka::{KafkaError, KafkaIo},
    metrics::Metrics,
    partitioner,
    rejection::Rejection,
    topics::Topics,
};

/// Limits of the inbound side.
#[derive(Clone, Copy, Debug)]
pub struct InboundLimits {
    /// The maximum number of events queued for one partition.
    pub queue_events: usize,
    /// The maximum number of bytes queued for all partitions together.
    pub queue_bytes: usize,
    /// The maximum number of events in one batch.
    pub batch_events: usize,
    /// A batch with this many bytes takes no more events. Well below a broker's usual limit of 1 MiB, which also counts
    /// the envelope.
    pub batch_bytes: usize,
    /// How long a batch waits for more events.
    pub linger: Duration,
    /// The longest wait for an acknowledgement, including the time in the queue.
    pub deadline: Duration,
    /// How long a response is cached.
    pub response_ttl: Duration,
    /// The maximum number of cached responses.
    pub max_cached_responses: u64,
}

impl Default for InboundLimits {
    fn default() -> Self {
        Self {
            queue_events: 1000,
            queue_bytes: 32 * 1024 * 1024,
            batch_events: 500,
            batch_bytes: 512 * 1024,
            linger: Duration::from_millis(2),
            deadline: Duration::from_secs(9),
            response_ttl: Duration::from_secs(600),
            max_cached_responses: 100_000,
        }
    }
}

/// The response to an event, and what it must have in common with its repeats.
#[derive(Clone)]
struct CachedResponse {
    accepted: Accepted,
    fingerprint: [u8; 32],
}

/// Accepts events, and responds once they are stored in Kafka.
pub struct Inbound {
    kafka: Arc<dyn KafkaIo>,
    topics: Arc<Topics>,
    metrics: Arc<Metrics>,
    limits: InboundLimits,
    topic_of_channel: HashMap<String, String>,
    producers: Mutex<HashMap<(String, i32), mpsc::Sender<QueuedEvent>>>,
    queue_bytes: Arc<Semaphore>,
    responses: Cache<String, CachedResponse>,
}

impl Inbound {
    /// Serves these channels, each with its topic.
    #[must_use]
    pub fn new(
        kafka: Arc<dyn KafkaIo>,
        topics: Arc<Topics>,
        metrics: Arc<Metrics>,
        channels: impl IntoIterator<Item = (String, String)>,
        limits: InboundLimits,
    ) -> Self {
        Self {
            kafka,
            topics,
            metrics,
            limits,
            topic_of_channel: channels.into_iter().collect(),
            producers: Mutex::default(),
            queue_bytes: Arc::new(Semaphore::new(limits.queue_bytes.min(Semaphore::MAX_PERMITS))),
            responses: Cache::builder()
                .max_capacity(limits.max_cached_responses)
                .time_to_live(limits.response_ttl)
                // The default policy keeps frequently used keys and rejects new ones. But the newest event is the most
                // likely to be repeated.
                .eviction_policy(EvictionPolicy::lru())
                .build(),
        }
    }

    /// Writes an event unless it was written before, and returns its coordinates.
    ///
    /// # Errors
    /// [`Rejection`], as it is sent to the client.
    pub async fn accept(self: Arc<Self>, event: InboundEvent) -> Result<Accepted, Rejection> {
        let topic = self.topic_of_channel.get(&event.channel).ok_or(Rejection::UnknownChannel)?.clone();
        record::check(&event).map_err(|problem| Rejection::Malformed(problem.to_owned()))?;
        let identity = format!("{} {} {}", event.channel, event.subject, event.id);
        let fingerprint = record::fingerprint(&event);
        // In a task of its own: a client that disconnects must not cancel the write that repeats wait for.
        let response = tokio::spawn(async move {
            let write =
                async { self.write(topic, event).await.map(|accepted| CachedResponse { accepted, fingerprint }) };
            self.responses.try_get_with(identity, write).await
        });
        match response.await {
            Ok(Ok(response)) if response.fingerprint == fingerprint => Ok(response.accepted),
            Ok(Ok(_)) => Err(Rejection::IdReused),
            Ok(Err(rejection)) => Err((*rejection).clone()),
            Err(error) => Err(Rejection::Unavailable(error.to_string())),
        }
    }

    async fn write(&self, topic: String, event: InboundEvent) -> Result<Accepted, Rejection> {
        let arrived = Instant::now();
        if self.topics.is_kafka_unreachable() {
            return Err(Rejection::Unavailable("it did not answer at the last check".to_owned()));
        }
        let id = event.id.clone();
        let key = event.subject.to_string();
        let count = self.topics.partitions(&topic).await.map_err(|error| Rejection::Unavailable(error.to_string()))?;
        let partition = partitioner::partition(key.as_bytes(), count);
        let record = record::from_event(key, event);

        let size = u32::try_from(record.size()).map_err(|_| Rejection::TooLarge)?;
        let room = Arc::clone(&self.queue_bytes).try_acquire_many_owned(size).map_err(|_| Rejection::Busy)?;
        let (done, outcome) = oneshot::channel();
        self.producer(&topic, partition)
            .try_send(QueuedEvent { record, done, _byte_permit: room })
            .map_err(|_| Rejection::Busy)?;

        // Dropping `outcome` at the deadline withdraws the event if its batch has not been sent yet.
        let outcome = tokio::time::timeout_at(arrived + self.limits.deadline, outcome)
            .await
            .map_err(|_| Rejection::Unavailable("no acknowledgement in time".to_owned()))?
            .map_err(|_| Rejection::Unavailable("the partition's writer ended".to_owned()))?;
        let offset = outcome.map_err(|error| match error {
            KafkaError::TooLarge => Rejection::TooLarge,
            KafkaError::UnknownTopic(topic) => {
                self.topics.invalidate(&topic);
                Rejection::Unavailable(format!("topic {topic} does not exist"))
            }
            other => {
                self.topics.check_now();
                Rejection::Unavailable(other.to_string())
            }
        })?;
        self.metrics.ack_seconds.observe(arrived.elapsed().as_secs_f64());
        Ok(Accepted { id, partition, offset })
    }

    fn producer(&self, topic: &str, partition: i32) -> mpsc::Sender<QueuedEvent> {
        let mut producers = self.producers.lock().unwrap_or_else(PoisonError::into_inner);
        let producer = producers.entry((topic.to_owned(), partition)).or_insert_with(|| {
            let (sender, queue) = mpsc::channel(self.limits.queue_events);
            let producer = PartitionProducer::new(Arc::clone(&self.kafka), topic.to_owned(), partition, self.limits);
            // The task ends when its last sender, in `producers`, is dropped.
            tokio::spawn(producer.run(queue));
            sender
        });
        producer.clone()
    }
}
