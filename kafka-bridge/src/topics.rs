//! Which topics there are and how many partitions each has: asked again from time to time, because topics are created,
//! removed and grown while a bridge runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    backoff::Backoff,
    health::{Health, Neighbour},
    kafka::{KafkaError, KafkaIo},
};

/// How often metadata is looked at anew while all is well.
pub const REFRESH: Duration = Duration::from_secs(20);

/// How often a topic just created is looked for.
const CREATED_TRIES: u32 = 20;

/// How long to wait between.
const CREATED_WAIT: Duration = Duration::from_millis(100);

/// The topics the bridge uses.
pub struct Topics {
    kafka: Arc<dyn KafkaIo>,
    /// Partitions of a topic it creates; 0 creates none.
    create_partitions: i32,
    counts: Mutex<BTreeMap<String, i32>>,
    /// Topics that were there once: who removes one while the bridge runs means it.
    seen: Mutex<BTreeSet<String>>,
    /// Whether Kafka did not answer when last asked.
    away: AtomicBool,
    /// Somebody had trouble with Kafka and wants [`Topics::watch`] to look.
    look: Notify,
}

/// Why a topic can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// It is not there, and the bridge may not create it.
    #[error("topic {0} does not exist and BRIDGE_TOPIC_PARTITIONS is 0, so it is not created")]
    Missing(String),
    /// It was there and is not any longer; another may be about to create it anew.
    #[error("topic {0} was removed; it is created by whoever removed it, or when the bridge starts again")]
    Removed(String),
    /// It is not there and creating it failed.
    #[error("topic {topic} does not exist and can't be created: {error}")]
    NotCreated {
        /// Its name.
        topic: String,
        /// What Kafka said.
        error: KafkaError,
    },
    /// Kafka can't be asked.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
}

impl TopicError {
    /// Whether the same may succeed later without anyone's doing.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Missing(_) | Self::Removed(_) => false,
            Self::NotCreated { error, .. } | Self::Kafka(error) => error.is_retriable(),
        }
    }
}

impl Topics {
    /// Knows no topic yet.
    #[must_use]
    pub fn new(kafka: Arc<dyn KafkaIo>, create_partitions: i32) -> Self {
        Self {
            kafka,
            create_partitions,
            counts: Mutex::default(),
            seen: Mutex::default(),
            away: AtomicBool::new(false),
            look: Notify::new(),
        }
    }

    /// How many partitions a topic has as far as known; asks Kafka for a topic not yet known.
    ///
    /// # Errors
    /// [`TopicError`] if the topic is missing and can't be created, or Kafka can't be asked.
    pub async fn partitions(&self, topic: &str) -> Result<i32, TopicError> {
        self.partitions_or_create(topic, self.create_partitions).await
    }

    /// As [`Topics::partitions`], with another number of partitions for a topic that must be created.
    ///
    /// # Errors
    /// As [`Topics::partitions`].
    pub async fn partitions_or_create(&self, topic: &str, create_partitions: i32) -> Result<i32, TopicError> {
        let known = self.counts.lock().unwrap_or_else(PoisonError::into_inner).get(topic).copied();
        match known {
            Some(count) => Ok(count),
            None => self.ask(topic, create_partitions).await,
        }
    }

    /// Asks Kafka again, and creates the topic if it is missing.
    ///
    /// # Errors
    /// As [`Topics::partitions`].
    pub async fn refresh(&self, topic: &str) -> Result<i32, TopicError> {
        self.ask(topic, self.create_partitions).await
    }

    /// Whether Kafka is known not to answer, so that there is no use in waiting for it.
    #[must_use]
    pub fn kafka_is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }

    /// A call to Kafka failed: [`Topics::watch`] looks at once.
    pub fn look_now(&self) {
        self.look.notify_one();
    }

    /// Kafka said that a topic is not what it was; the next question about it goes to Kafka.
    pub fn forget(&self, topic: &str) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).remove(topic);
    }

    async fn ask(&self, topic: &str, create_partitions: i32) -> Result<i32, TopicError> {
        let count = match self.kafka.partitions(topic).await? {
            Some(count) => count,
            None => self.create(topic, create_partitions).await?,
        };
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).insert(topic.to_owned(), count);
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(topic.to_owned());
        Ok(count)
    }

    async fn create(&self, topic: &str, partitions: i32) -> Result<i32, TopicError> {
        if self.seen.lock().unwrap_or_else(PoisonError::into_inner).contains(topic) {
            return Err(TopicError::Removed(topic.to_owned()));
        }
        if self.create_partitions == 0 {
            return Err(TopicError::Missing(topic.to_owned()));
        }
        let failed = |error| TopicError::NotCreated { topic: topic.to_owned(), error };
        self.kafka.create_topic(topic, partitions).await.map_err(failed)?;
        // Another may have created it first, with another count; and brokers learn of it one after the other.
        for _ in 0..CREATED_TRIES {
            if let Some(count) = self.kafka.partitions(topic).await? {
                tracing::info!(topic, partitions = count, "topic created");
                return Ok(count);
            }
            tokio::time::sleep(CREATED_WAIT).await;
        }
        Err(failed(KafkaError::UnknownTopic(topic.to_owned())))
    }

    /// Keeps the counts of these topics and Kafka's health up to date until stopped.
    pub async fn watch(&self, topics: Vec<String>, health: Arc<Health>, stop: CancellationToken) {
        let mut backoff = Backoff::default();
        loop {
            let mut wait = REFRESH;
            let mut failure = None;
            for topic in &topics {
                if let Err(error) = self.refresh(topic).await {
                    tracing::warn!(topic, %error, "topic can't be used for now");
                    wait = backoff.next_wait();
                    failure = Some(error);
                    break;
                }
            }
            if failure.is_none() {
                backoff.reset();
            }
            let away = matches!(failure, Some(TopicError::Kafka(KafkaError::Timeout(_) | KafkaError::Unavailable(_))));
            self.away.store(away, Ordering::Relaxed);
            health.set(Neighbour::Kafka, failure.is_none());
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.look.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}
