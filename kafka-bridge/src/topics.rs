//! Which topics exist and how many partitions each has. Refreshed regularly, because topics are created, removed and
//! grown while a bridge runs.

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
    health::{Dependency, Health},
    kafka::{KafkaError, KafkaIo},
};

/// How often metadata is refreshed while Kafka answers.
pub const REFRESH_INTERVAL: Duration = Duration::from_secs(20);

/// How many times a newly created topic is looked up before it counts as missing.
const CREATED_CHECKS: u32 = 20;

/// Wait between these lookups.
const CREATED_CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// The topics the bridge uses.
pub struct Topics {
    kafka: Arc<dyn KafkaIo>,
    /// Partitions of a topic that the bridge creates; 0 creates none.
    create_partitions: i32,
    counts: Mutex<BTreeMap<String, i32>>,
    /// Topics that have existed since the bridge started. If one of them is missing, an operator removed it, so the
    /// bridge does not create it again.
    ever_seen: Mutex<BTreeSet<String>>,
    /// Whether the last metadata request failed.
    unreachable: AtomicBool,
    /// Notified when a call to Kafka failed: [`Topics::watch`] then checks at once.
    check_requested: Notify,
}

/// Why a topic can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// It does not exist, and the bridge may not create it.
    #[error("topic {0} does not exist and BRIDGE_TOPIC_PARTITIONS is 0, so it is not created")]
    Missing(String),
    /// It existed and was removed, probably to be recreated with other settings, so it is not created here.
    #[error("topic {0} was removed; create it again, or restart the bridge if it may create topics")]
    Removed(String),
    /// It does not exist, and creating it failed.
    #[error("topic {topic} does not exist and can't be created: {error}")]
    NotCreated {
        /// The topic.
        topic: String,
        /// Kafka's error.
        error: KafkaError,
    },
    /// Kafka's metadata can't be read.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
}

impl TopicError {
    /// Whether a retry may succeed without an operator.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Missing(_) | Self::Removed(_) => false,
            Self::NotCreated { error, .. } | Self::Kafka(error) => error.is_retriable(),
        }
    }
}

impl Topics {
    /// Starts without any known topic.
    #[must_use]
    pub fn new(kafka: Arc<dyn KafkaIo>, create_partitions: i32) -> Self {
        Self {
            kafka,
            create_partitions,
            counts: Mutex::default(),
            ever_seen: Mutex::default(),
            unreachable: AtomicBool::new(false),
            check_requested: Notify::new(),
        }
    }

    /// The number of a topic's partitions. Loads it from Kafka if the topic is not known yet.
    ///
    /// # Errors
    /// [`TopicError`] if the topic is missing and can't be created, or Kafka can't be reached.
    pub async fn partitions(&self, topic: &str) -> Result<i32, TopicError> {
        self.partitions_or_create(topic, self.create_partitions).await
    }

    /// Like [`Topics::partitions`], but creates a missing topic with `create_partitions`.
    ///
    /// # Errors
    /// As [`Topics::partitions`].
    pub async fn partitions_or_create(&self, topic: &str, create_partitions: i32) -> Result<i32, TopicError> {
        let known = self.counts.lock().unwrap_or_else(PoisonError::into_inner).get(topic).copied();
        match known {
            Some(count) => Ok(count),
            None => self.load(topic, create_partitions).await,
        }
    }

    /// Loads the number of partitions again, and creates the topic if it is missing.
    ///
    /// # Errors
    /// As [`Topics::partitions`].
    pub async fn refresh(&self, topic: &str) -> Result<i32, TopicError> {
        self.load(topic, self.create_partitions).await
    }

    /// Whether Kafka did not answer at the last check. A request then fails at once instead of waiting.
    #[must_use]
    pub fn is_kafka_unreachable(&self) -> bool {
        self.unreachable.load(Ordering::Relaxed)
    }

    /// Makes [`Topics::watch`] check at once, after a call to Kafka failed.
    pub fn check_now(&self) {
        self.check_requested.notify_one();
    }

    /// Forgets a topic's partition count, after Kafka reported that the topic changed. The next lookup asks Kafka.
    pub fn invalidate(&self, topic: &str) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).remove(topic);
    }

    async fn load(&self, topic: &str, create_partitions: i32) -> Result<i32, TopicError> {
        let count = match self.kafka.partitions(topic).await? {
            Some(count) => count,
            None => self.create(topic, create_partitions).await?,
        };
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).insert(topic.to_owned(), count);
        self.ever_seen.lock().unwrap_or_else(PoisonError::into_inner).insert(topic.to_owned());
        Ok(count)
    }

    async fn create(&self, topic: &str, partitions: i32) -> Result<i32, TopicError> {
        if self.ever_seen.lock().unwrap_or_else(PoisonError::into_inner).contains(topic) {
            return Err(TopicError::Removed(topic.to_owned()));
        }
        if self.create_partitions == 0 {
            return Err(TopicError::Missing(topic.to_owned()));
        }
        let failed = |error| TopicError::NotCreated { topic: topic.to_owned(), error };
        self.kafka.create_topic(topic, partitions).await.map_err(failed)?;
        // Another instance may have created it first, with another number of partitions. A broker may learn of a new
        // topic later than the controller.
        for _ in 0..CREATED_CHECKS {
            if let Some(count) = self.kafka.partitions(topic).await? {
                tracing::info!(topic, partitions = count, "topic created");
                return Ok(count);
            }
            tokio::time::sleep(CREATED_CHECK_INTERVAL).await;
        }
        Err(failed(KafkaError::UnknownTopic(topic.to_owned())))
    }

    /// Keeps these topics' partition counts and Kafka's health up to date until stopped.
    pub async fn watch(&self, topics: Vec<String>, health: Arc<Health>, stop: CancellationToken) {
        let mut backoff = Backoff::default();
        loop {
            let mut wait = REFRESH_INTERVAL;
            let mut failure = None;
            for topic in &topics {
                if let Err(error) = self.refresh(topic).await {
                    tracing::warn!(topic, %error, "topic can't be used, trying again");
                    wait = backoff.next_wait();
                    failure = Some(error);
                    break;
                }
            }
            if failure.is_none() {
                backoff.reset();
            }
            let unreachable =
                matches!(failure, Some(TopicError::Kafka(KafkaError::Timeout(_) | KafkaError::Unavailable(_))));
            self.unreachable.store(unreachable, Ordering::Relaxed);
            health.set(Dependency::Kafka, failure.is_none());
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.check_requested.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}
