//! The sink that is Redis: appends each user's records in one script, and moves the checkpoint after all of them.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use causeway_protocol::deliver::{Checkpoint, DeliverRequest, DeliverResponse, Delivery};
use futures_util::{StreamExt as _, stream};
use redis::Script;

use super::{
    buffer::Buffer,
    connection::{Redis, RedisError},
    key,
};
use crate::outbound::{Sink, SinkError};

static COMPARE_AND_SET: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("script/compare_and_set.lua")));

/// Users appended to at a time.
const CONCURRENT_USERS: usize = 16;

/// How often another instance may come between reading a checkpoint and moving it.
const MAX_ATTEMPTS: usize = 10;

/// See the module's text.
pub struct RedisSink {
    redis: Arc<Redis>,
    buffer: Arc<Buffer>,
    /// The checkpoints last seen: one that is gone means that Redis lost its data.
    seen: Mutex<HashMap<(String, i32), Checkpoint>>,
}

impl RedisSink {
    /// Appends to these buffers; the checkpoints rest beside them.
    #[must_use]
    pub fn new(redis: Arc<Redis>, buffer: Arc<Buffer>) -> Self {
        Self { redis, buffer, seen: Mutex::default() }
    }

    /// The stored text and its meaning.
    async fn read(&self, topic: &str, partition: i32) -> Result<(String, Option<Checkpoint>), RedisError> {
        let text: Option<String> = self.redis.command(redis::cmd("GET").arg(key::checkpoint(topic, partition))).await?;
        let checkpoint = text.as_deref().map(serde_json::from_str).transpose();
        Ok((text.unwrap_or_default(), checkpoint.map_err(|_| RedisError::BadValue("a checkpoint"))?))
    }

    /// Moves a checkpoint that rests at `current`, never backwards.
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
            let json = serde_json::to_string(&next).map_err(|_| failed(&RedisError::BadValue("a checkpoint")))?;
            let mut call = COMPARE_AND_SET.key(key::checkpoint(&request.topic, request.partition));
            call.arg(&text).arg(json);
            if self.redis.script(&call).await.map_err(|error| failed(&error))? {
                return Ok(next);
            }
            let before = current;
            (text, current) = self.read(&request.topic, request.partition).await.map_err(|error| failed(&error))?;
            if current < before {
                return Err(SinkError::Forgotten);
            }
        }
        Err(SinkError::Failed { label: "contended", what: "others move the checkpoint all the time".to_owned() })
    }

    fn seen(&self, request: &DeliverRequest) -> Option<Checkpoint> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&(request.topic.clone(), request.partition)).copied()
    }

    fn set_seen(&self, request: &DeliverRequest, checkpoint: Option<Checkpoint>) {
        let at = (request.topic.clone(), request.partition);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match checkpoint {
            Some(checkpoint) => seen.insert(at, checkpoint),
            None => seen.remove(&at),
        };
    }
}

#[async_trait]
impl Sink for RedisSink {
    async fn deliver(&self, request: &DeliverRequest) -> Result<DeliverResponse, SinkError> {
        let current = self.read(&request.topic, request.partition).await.map_err(|error| failed(&error))?;
        if request.advance_to.is_none() && request.deliveries.is_empty() {
            self.set_seen(request, current.1);
            return Ok(DeliverResponse { checkpoint: current.1, failed: Vec::new() });
        }
        // Before anything is appended, or the records before these would be refused when they come again.
        if current.1 < self.seen(request) {
            return Err(SinkError::Forgotten);
        }
        let now_ms = unix_millis();
        let append = async |delivery: &Delivery| {
            let appended = self.buffer.append(&delivery.subject, request.partition, &delivery.records, now_ms).await;
            (delivery.subject.clone(), appended)
        };
        let mut users = stream::iter(&request.deliveries).map(append).buffer_unordered(CONCURRENT_USERS);
        let mut unserved = Vec::new();
        while let Some((subject, appended)) = users.next().await {
            match appended {
                Ok(_) => {}
                Err(error) if error.is_outage() => return Err(failed(&error)),
                Err(error) => {
                    tracing::warn!(partition = request.partition, %error, "a user's buffer takes nothing");
                    unserved.push(subject);
                }
            }
        }
        if !unserved.is_empty() {
            return Ok(DeliverResponse { checkpoint: current.1, failed: unserved });
        }
        let checkpoint = self.advance(request, current).await?;
        self.set_seen(request, checkpoint);
        Ok(DeliverResponse { checkpoint, failed: Vec::new() })
    }

    async fn has_forgotten(&self) -> bool {
        let seen: Vec<_> = self
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(|(at, seen)| (at.clone(), *seen))
            .collect();
        for ((topic, partition), seen) in seen {
            // An outage is no loss; who delivers finds out.
            if matches!(self.read(&topic, partition).await, Ok((_, now)) if now < Some(seen)) {
                return true;
            }
        }
        false
    }
}

fn failed(error: &RedisError) -> SinkError {
    SinkError::Failed { label: error.label(), what: error.to_string() }
}

/// Unix time in milliseconds, as records and places are dated.
#[must_use]
pub fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
