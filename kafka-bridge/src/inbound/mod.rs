//! `POST /v1/events` → one record in Kafka, answered once Kafka acknowledged it with `acks=all`.
//!
//! Equal ids of a user get the same answer without another write for ten minutes, and repeats that arrive meanwhile
//! wait for the first one's outcome. An equal id with another content is refused: to answer it as a repeat would lose it. After a failure the id is forgotten, and so the next try writes again: Kafka may
//! have stored the first nevertheless, which nobody can tell, so consumers dedupe on `ce_id`. Once answered 202, an
//! event is never only in memory.

mod lane;
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

use self::lane::{Job, Lane};
use crate::{
    kafka::{KafkaError, KafkaIo},
    metrics::Metrics,
    partitioner,
    rejection::Rejection,
    topics::Topics,
};

/// What bounds the inbound side.
#[derive(Clone, Copy, Debug)]
pub struct InboundLimits {
    /// Events that wait for one partition.
    pub queue_events: usize,
    /// Bytes that wait for all partitions together.
    pub queue_bytes: usize,
    /// Events of one batch.
    pub batch_events: usize,
    /// Bytes of one batch; well under a broker's usual limit of 1 MiB, because that counts the envelope too.
    pub batch_bytes: usize,
    /// How long a batch waits for company.
    pub linger: Duration,
    /// Longest wait for an acknowledgement, queueing included.
    pub deadline: Duration,
    /// How long an answer is remembered.
    pub remember: Duration,
    /// How many answers are remembered.
    pub remember_events: u64,
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
            remember: Duration::from_secs(600),
            remember_events: 100_000,
        }
    }
}

/// What is remembered of an event.
#[derive(Clone)]
struct Answer {
    accepted: Accepted,
    fingerprint: [u8; 32],
}

/// Takes events and answers when they rest in Kafka.
pub struct Inbound {
    kafka: Arc<dyn KafkaIo>,
    topics: Arc<Topics>,
    metrics: Arc<Metrics>,
    limits: InboundLimits,
    topic_of_channel: HashMap<String, String>,
    lanes: Mutex<HashMap<(String, i32), mpsc::Sender<Job>>>,
    bytes: Arc<Semaphore>,
    answers: Cache<String, Answer>,
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
            lanes: Mutex::default(),
            bytes: Arc::new(Semaphore::new(limits.queue_bytes.min(Semaphore::MAX_PERMITS))),
            answers: Cache::builder()
                .max_capacity(limits.remember_events)
                .time_to_live(limits.remember)
                // The default would rather keep what was asked for often, and refuse the newest: the likeliest repeat.
                .eviction_policy(EvictionPolicy::lru())
                .build(),
        }
    }

    /// Writes an event, or finds that it was written, and says where it rests.
    ///
    /// # Errors
    /// [`Rejection`] as the client is to see it.
    pub async fn accept(self: Arc<Self>, event: InboundEvent) -> Result<Accepted, Rejection> {
        let topic = self.topic_of_channel.get(&event.channel).ok_or(Rejection::UnknownChannel)?.clone();
        record::check(&event).map_err(|problem| Rejection::Malformed(problem.to_owned()))?;
        let identity = format!("{} {} {}", event.channel, event.subject, event.id);
        let fingerprint = record::fingerprint(&event);
        // In a task of its own: a client that hangs up must not leave the outcome unknown to those who wait with it.
        let answer = tokio::spawn(async move {
            let write = async { self.write(topic, event).await.map(|accepted| Answer { accepted, fingerprint }) };
            self.answers.try_get_with(identity, write).await
        });
        match answer.await {
            Ok(Ok(answer)) if answer.fingerprint == fingerprint => Ok(answer.accepted),
            Ok(Ok(_)) => Err(Rejection::IdReused),
            Ok(Err(rejection)) => Err((*rejection).clone()),
            Err(error) => Err(Rejection::Unavailable(error.to_string())),
        }
    }

    async fn write(&self, topic: String, event: InboundEvent) -> Result<Accepted, Rejection> {
        let arrived = Instant::now();
        if self.topics.kafka_is_away() {
            return Err(Rejection::Unavailable("it did not answer when last asked".to_owned()));
        }
        let id = event.id.clone();
        let key = event.subject.to_string();
        let count = self.topics.partitions(&topic).await.map_err(|error| Rejection::Unavailable(error.to_string()))?;
        let partition = partitioner::partition(key.as_bytes(), count);
        let record = record::from_event(key, event);

        let size = u32::try_from(record.size()).map_err(|_| Rejection::TooLarge)?;
        let room = Arc::clone(&self.bytes).try_acquire_many_owned(size).map_err(|_| Rejection::Busy)?;
        let (done, outcome) = oneshot::channel();
        self.lane(&topic, partition).try_send(Job { record, done, _room: room }).map_err(|_| Rejection::Busy)?;

        // Dropping `outcome` at the deadline withdraws the job if it is not on its way yet.
        let outcome = tokio::time::timeout_at(arrived + self.limits.deadline, outcome)
            .await
            .map_err(|_| Rejection::Unavailable("no acknowledgement in time".to_owned()))?
            .map_err(|_| Rejection::Unavailable("the partition's writer ended".to_owned()))?;
        let offset = outcome.map_err(|error| match error {
            KafkaError::TooLarge => Rejection::TooLarge,
            KafkaError::UnknownTopic(topic) => {
                self.topics.forget(&topic);
                Rejection::Unavailable(format!("topic {topic} does not exist"))
            }
            other => {
                self.topics.look_now();
                Rejection::Unavailable(other.to_string())
            }
        })?;
        self.metrics.ack_seconds.observe(arrived.elapsed().as_secs_f64());
        Ok(Accepted { id, partition, offset })
    }

    fn lane(&self, topic: &str, partition: i32) -> mpsc::Sender<Job> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let lane = lanes.entry((topic.to_owned(), partition)).or_insert_with(|| {
            let (jobs, queue) = mpsc::channel(self.limits.queue_events);
            let lane = Lane::new(Arc::clone(&self.kafka), topic.to_owned(), partition, self.limits);
            // It ends when its last sender, in `lanes`, is dropped.
            tokio::spawn(lane.run(queue));
            jobs
        });
        lane.clone()
    }
}
