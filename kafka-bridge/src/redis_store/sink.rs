//! The sink that delivers to Redis. It appends each user's records with one script, and moves the checkpoint after all
//! of them.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use async_trait::async_trait;
use causeway_protocol::deliver::{Checkpoint, DeliverRequest, DeliverResponse, Delivery};
use futures_util::{StreamExt as _, stream};
use redis::Script;

use super::{
    buffer::UserBuffers,
    connection::{Redis, RedisError},
    key,
};
use crate::{
    clock::unix_millis,
    outbound::{Sink, SinkError},
};

static COMPARE_AND_SET: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("script/compare_and_set.lua")));

/// How many users' buffers are appended to at a time.
const CONCURRENT_USERS: usize = 16;

/// How many times the checkpoint is written if another instance moves it between the read and the write.
const MAX_ATTEMPTS: usize = 10;

/// Delivers to Redis.
pub struct RedisSink {
    redis: Arc<Redis>,
    buffers: Arc<UserBuffers>,
    /// The last checkpoint read or written of each partition. If a stored one is behind it, Redis has lost data.
    last_seen: Mutex<HashMap<(String, i32), Checkpoint>>,
}

impl RedisSink {
    /// Appends to these buffers, and keeps the checkpoints in the same Redis.
    #[must_use]
    pub fn new(redis: Arc<Redis>, buffers: Arc<UserBuffers>) -> Self {
        Self { redis, buffers, last_seen: Mutex::default() }
    }

    /// The stored text, and the checkpoint it contains.
    async fn read(&self, topic: &str, partition: i32) -> Result<(String, Option<Checkpoint>), RedisError> {
        let text: Option<String> = self.redis.command(redis::cmd("GET").arg(key::checkpoint(topic, partition))).await?;
        let checkpoint = text.as_deref().map(serde_json::from_str).transpose();
        Ok((text.unwrap_or_default(), checkpoint.map_err(|_| RedisError::BadValue("a checkpoint"))?))
    }

    /// Advances a checkpoint from `current`, never backwards.
    async fn advance(
        &self,
        request: &DeliverRequest,
        (mut text, mut current): (String, Option<Checkpoint>),
    ) -> Result<Option<Checkpoint>, SinkError> {
        for _ in 0..MAX_ATTEMPTS {
            let next = Checkpoint::advance(current, request.advance_to);
            if next == current {
                return Ok(current);
            }
            let json = serde_json::to_string(&next).map_err(|_| sink_error(&RedisError::BadValue("a checkpoint")))?;
            let mut call = COMPARE_AND_SET.key(key::checkpoint(&request.topic, request.partition));
            call.arg(&text).arg(json);
            if self.redis.script(&call).await.map_err(|error| sink_error(&error))? {
                return Ok(next);
            }
            let before = current;
            (text, current) = self.read(&request.topic, request.partition).await.map_err(|error| sink_error(&error))?;
            if current < before {
                return Err(SinkError::CheckpointLost);
            }
        }
        Err(SinkError::Failed { label: "contended", message: "other instances keep moving the checkpoint".to_owned() })
    }

    fn last_seen(&self, request: &DeliverRequest) -> Option<Checkpoint> {
        let last_seen = self.last_seen.lock().unwrap_or_else(PoisonError::into_inner);
        last_seen.get(&(request.topic.clone(), request.partition)).copied()
    }

    fn set_last_seen(&self, request: &DeliverRequest, checkpoint: Option<Checkpoint>) {
        let at = (request.topic.clone(), request.partition);
        let mut last_seen = self.last_seen.lock().unwrap_or_else(PoisonError::into_inner);
        match checkpoint {
            Some(checkpoint) => last_seen.insert(at, checkpoint),
            None => last_seen.remove(&at),
        };
    }
}

#[async_trait]
impl Sink for RedisSink {
    async fn deliver(&self, request: &DeliverRequest) -> Result<DeliverResponse, SinkError> {
        let current = self.read(&request.topic, request.partition).await.map_err(|error| sink_error(&error))?;
        if request.advance_to.is_none() && request.deliveries.is_empty() {
            self.set_last_seen(request, current.1);
            return Ok(DeliverResponse { checkpoint: current.1, failed: Vec::new() });
        }
        // Checked before anything is appended: after a loss, the buffers would otherwise reject the earlier records
        // when they are delivered again.
        if current.1 < self.last_seen(request) {
            return Err(SinkError::CheckpointLost);
        }
        let now_ms = unix_millis();
        let append = async |delivery: &Delivery| {
            let appended = self.buffers.append(&delivery.subject, request.partition, &delivery.records, now_ms).await;
            (delivery.subject.clone(), appended)
        };
        let mut users = stream::iter(&request.deliveries).map(append).buffer_unordered(CONCURRENT_USERS);
        let mut failed = Vec::new();
        while let Some((subject, appended)) = users.next().await {
            match appended {
                Ok(_) => {}
                Err(error) if error.is_outage() => return Err(sink_error(&error)),
                Err(error) => {
                    tracing::warn!(partition = request.partition, %error, "a user's buffer rejects records");
                    failed.push(subject);
                }
            }
        }
        if !failed.is_empty() {
            return Ok(DeliverResponse { checkpoint: current.1, failed });
        }
        let checkpoint = self.advance(request, current).await?;
        self.set_last_seen(request, checkpoint);
        Ok(DeliverResponse { checkpoint, failed: Vec::new() })
    }

    async fn has_lost_checkpoint(&self) -> bool {
        let last_seen: Vec<_> = self
            .last_seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(|(at, last_seen)| (at.clone(), *last_seen))
            .collect();
        for ((topic, partition), last_seen) in last_seen {
            // An outage is not a loss. The next delivery reports it.
            if matches!(self.read(&topic, partition).await, Ok((_, now)) if now < Some(last_seen)) {
                return true;
            }
        }
        false
    }
}

fn sink_error(error: &RedisError) -> SinkError {
    SinkError::Failed { label: error.label(), message: error.to_string() }
}
