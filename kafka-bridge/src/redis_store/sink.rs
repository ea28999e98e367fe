//! The sink that delivers to Redis. It shows each record to the streams of this process, then appends those of many
//! users in one round trip.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use causeway_protocol::{
    checkpoint::{CheckpointRequest, CheckpointResponse},
    deliver::{Outcome, Slice},
    subject::Subject,
};

use super::{
    append::Appended,
    buffer::UserBuffers,
    checkpoint::Checkpoints,
    connection::{Redis, RedisError},
};
use crate::{
    clock::unix_millis,
    outbound::{Sink, SinkError, UserSlices},
    stream::Registry,
};

/// Delivers to Redis.
pub struct RedisSink {
    redis: Arc<Redis>,
    buffers: Arc<UserBuffers>,
    checkpoints: Checkpoints,
    registry: Arc<Registry>,
    /// The number of outages after which the checkpoints were found as they should be.
    verified_outages: AtomicU64,
}

impl RedisSink {
    /// Shows records to these streams and appends them to these buffers. Keeps the checkpoints in the same Redis.
    #[must_use]
    pub fn new(redis: Arc<Redis>, buffers: Arc<UserBuffers>, registry: Arc<Registry>) -> Self {
        let checkpoints = Checkpoints::new(Arc::clone(&redis));
        Self { redis, buffers, checkpoints, registry, verified_outages: AtomicU64::new(0) }
    }

    /// Fails if Redis has lost data. Checked before anything is appended that could hide the loss: a buffer would
    /// reject the earlier records when they are delivered again.
    async fn check_data(&self) -> Result<(), SinkError> {
        let outages = self.redis.write_outages();
        if self.checkpoints.are_lost().await? {
            return Err(SinkError::CheckpointLost);
        }
        self.verified_outages.store(outages, Ordering::Release);
        Ok(())
    }

    async fn append(
        &self,
        users: &[&UserSlices],
        may_create: bool,
    ) -> Result<Vec<Result<Appended, RedisError>>, SinkError> {
        Ok(self.buffers.append(users, may_create, unix_millis()).await?)
    }
}

#[async_trait]
impl Sink for RedisSink {
    fn push(&self, subject: &Subject, slice: &Slice) {
        self.registry.show(subject, slice);
    }

    async fn deliver(&self, users: &[UserSlices]) -> Result<Vec<Outcome>, SinkError> {
        // Data is lost with a restart or a failover, and these break the connection.
        if self.redis.write_outages() != self.verified_outages.load(Ordering::Acquire) {
            self.check_data().await?;
        }
        let all: Vec<&UserSlices> = users.iter().collect();
        let mut results = self.append(&all, false).await?;
        let is_without_buffer = |result: &Result<Appended, RedisError>| matches!(result, Ok(Appended::NoBuffer));
        let without_buffer: Vec<_> =
            users.iter().zip(&results).filter(|(_, result)| is_without_buffer(result)).map(|(user, _)| user).collect();
        if !without_buffer.is_empty() {
            // They are new, or Redis was emptied while it ran.
            self.check_data().await?;
            let mut created = self.append(&without_buffer, true).await?.into_iter();
            for result in results.iter_mut().filter(|result| is_without_buffer(result)) {
                *result = created.next().unwrap_or(Ok(Appended::NoBuffer));
            }
        }
        Ok(results.into_iter().map(outcome).collect())
    }

    async fn checkpoint(&self, request: &CheckpointRequest) -> Result<CheckpointResponse, SinkError> {
        self.checkpoints.perform(request).await
    }

    async fn has_lost_checkpoint(&self) -> bool {
        // An outage is not a loss. The next delivery reports it.
        self.checkpoints.are_lost().await.unwrap_or(false)
    }
}

fn outcome(result: Result<Appended, RedisError>) -> Outcome {
    match result {
        Ok(Appended::Stored(_)) => Outcome::Stored,
        Ok(Appended::Stale) => Outcome::Stale,
        Ok(Appended::NoBuffer) => Outcome::Later,
        Err(error) => {
            tracing::warn!(%error, "a user's buffer rejects records, trying again");
            Outcome::Later
        }
    }
}
