//! The partitions' checkpoints, beside the users' buffers, so that both are lost together.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
};

use causeway_protocol::checkpoint::{CheckpointRequest, CheckpointResponse, Operation, PartitionState};
use redis::{Pipeline, Script};

use super::{
    connection::{Redis, RedisError},
    key,
};
use crate::outbound::SinkError;

static COMPARE_AND_SET: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("script/compare_and_set.lua")));

/// How many times a state is written if another instance changes it between the read and the write.
const MAX_ATTEMPTS: usize = 10;

/// Reads and writes the checkpoints.
pub(super) struct Checkpoints {
    redis: Arc<Redis>,
    /// The last state read or written of each partition, by its key. If a stored one is behind it, Redis has lost data.
    last_seen: Mutex<HashMap<String, PartitionState>>,
}

impl Checkpoints {
    pub(super) fn new(redis: Arc<Redis>) -> Self {
        Self { redis, last_seen: Mutex::default() }
    }

    /// Does what a request asks for, atomically.
    pub(super) async fn perform(&self, request: &CheckpointRequest) -> Result<CheckpointResponse, SinkError> {
        let key = key::checkpoint(&request.topic, request.partition);
        let known = self.last_seen().get(&key).copied();
        // A partition's reader knows what it wrote last, and so needs one round trip. Others read first.
        let (mut text, mut is_read) = match (request.operation, known) {
            (Operation::Advance { .. }, Some(known)) => (to_text(known)?, false),
            _ => (self.read(&key).await?, true),
        };
        for _ in 0..MAX_ATTEMPTS {
            let current = from_text(&text)?;
            let is_advance = matches!(request.operation, Operation::Advance { .. });
            if is_advance && known.is_some_and(|known| is_behind(current, known)) {
                return Err(SinkError::CheckpointLost);
            }
            let response = current.respond(request.operation);
            if response.state == current && is_read {
                self.last_seen().insert(key, current);
                return Ok(response);
            }
            let mut call = COMPARE_AND_SET.key(&key);
            call.arg(&text).arg(to_text(response.state)?);
            let before: String = self.redis.write_script(&call).await?;
            if before == text {
                self.last_seen().insert(key, response.state);
                return Ok(response);
            }
            (text, is_read) = (before, true);
        }
        Err(SinkError::Failed { label: "contended", message: "other instances keep moving the checkpoint".to_owned() })
    }

    /// Whether a state that was seen before is not there any more.
    pub(super) async fn are_lost(&self) -> Result<bool, RedisError> {
        let last_seen: Vec<_> = self.last_seen().iter().map(|(key, state)| (key.clone(), *state)).collect();
        let mut pipeline = Pipeline::new();
        for (key, _) in &last_seen {
            pipeline.cmd("GET").arg(key);
        }
        if last_seen.is_empty() {
            return Ok(false);
        }
        let stored = self.redis.write_pipeline::<Option<String>>(&mut pipeline).await?;
        for ((_, last_seen), stored) in last_seen.iter().zip(stored) {
            if is_behind(from_text(&stored?.unwrap_or_default())?, *last_seen) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The stored text; empty if there is none.
    async fn read(&self, key: &str) -> Result<String, RedisError> {
        let mut pipeline = Pipeline::new();
        pipeline.cmd("GET").arg(key);
        let mut results = self.redis.write_pipeline::<Option<String>>(&mut pipeline).await?;
        Ok(results.pop().ok_or(RedisError::BadValue("no answer"))??.unwrap_or_default())
    }

    fn last_seen(&self) -> MutexGuard<'_, HashMap<String, PartitionState>> {
        self.last_seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Neither the checkpoint nor the generation of a partition decreases.
fn is_behind(stored: PartitionState, last_seen: PartitionState) -> bool {
    stored.checkpoint < last_seen.checkpoint || stored.generation < last_seen.generation
}

fn to_text(state: PartitionState) -> Result<String, RedisError> {
    serde_json::to_string(&state).map_err(|_| RedisError::BadValue("a checkpoint"))
}

fn from_text(text: &str) -> Result<PartitionState, RedisError> {
    if text.is_empty() {
        return Ok(PartitionState::default());
    }
    serde_json::from_str(text).map_err(|_| RedisError::BadValue("a checkpoint"))
}
