//! Delivers Kafka records to the users' buffers, at the edge or in Redis.
//!
//! - [`plan`]: decides at which offset and in which epoch each partition starts.
//! - [`worker`]: delivers one partition.
//! - [`decode`]: decodes a Kafka record into a stream's event.
//! - [`backlog`]: holds the fetched records of a partition until they are delivered.
//! - [`memory_budget`]: limits the memory of all backlogs together.
//! - [`sink`]: the trait for the edge and Redis; Redis' implementation is [`crate::redis_store::RedisSink`].
//! - [`edge_client`]: the sink that delivers to the edge.
//!
//! Ownership is static: an instance delivers the partitions with `partition % replicas == replica`. If two instances
//! deliver one partition, the sink still stores each record once.

mod backlog;
mod decode;
mod edge_client;
mod memory_budget;
mod plan;
mod sink;
mod worker;

use std::{sync::Arc, time::Duration};

use causeway_protocol::deliver::{Checkpoint, DeliverRequest};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::{task::JoinSet, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

pub use self::{
    edge_client::{EdgeClient, EdgeError},
    sink::{Sink, SinkError},
};
use self::{
    memory_budget::MemoryBudget,
    plan::{PartitionState, Start, plan},
    worker::{Shared, Worker, WorkerExit, report_lost},
};
use crate::{
    backoff::Backoff,
    clock::Clock,
    config::PartitionShare,
    dead_letter::DeadLetters,
    health::Health,
    kafka::{KafkaError, KafkaIo},
    metrics::Metrics,
    topics::{TopicError, Topics},
};

/// How many partitions are looked up at a time.
const CONCURRENT_LOOKUPS: usize = 8;

/// Why the partitions can't be planned.
#[derive(Debug, thiserror::Error)]
enum PlanError {
    #[error(transparent)]
    Topic(#[from] TopicError),
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    #[error(transparent)]
    Sink(#[from] SinkError),
    #[error("another instance began partition {0} in a later epoch")]
    LaterEpoch(i32),
}

/// Delivers this instance's partitions of one topic.
pub struct Outbound {
    shared: Arc<Shared>,
    topics: Arc<Topics>,
    share: PartitionShare,
    refresh: Duration,
    clock: Clock,
}

impl Outbound {
    /// Prepares the delivery of `topic`. Checks for new partitions every `refresh`, and takes epochs from `clock`.
    #[must_use]
    pub fn new(
        kafka: Arc<dyn KafkaIo>,
        sink: Arc<dyn Sink>,
        topics: Arc<Topics>,
        dead_letters: Arc<DeadLetters>,
        (metrics, health): (Arc<Metrics>, Arc<Health>),
        (topic, share, refresh, clock): (String, PartitionShare, Duration, Clock),
    ) -> Self {
        Self {
            shared: Arc::new(Shared { kafka, sink, dead_letters, metrics, health, topic }),
            topics,
            share,
            refresh,
            clock,
        }
    }

    /// Delivers until stopped. Retries after any failure.
    pub async fn run(self, stop: CancellationToken) {
        let mut backoff = Backoff::default();
        while !stop.is_cancelled() {
            match self.prepare().await {
                Ok((states, starts)) => {
                    backoff.reset();
                    self.work(&states, &starts, &stop).await;
                }
                Err(error) => {
                    let wait = backoff.next_wait();
                    tracing::warn!(
                        topic = self.shared.topic,
                        failures = backoff.tries(),
                        ?wait,
                        %error,
                        "delivery can't begin, trying again"
                    );
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = tokio::time::sleep(wait) => {}
                    }
                }
            }
        }
    }

    /// Looks up every partition, not only this instance's: any of them may show that the topic was recreated.
    async fn prepare(&self) -> Result<(Vec<PartitionState>, Vec<Start>), PlanError> {
        let count = self.topics.refresh(&self.shared.topic).await?;
        let mut states: Vec<PartitionState> = stream::iter(0..count)
            .map(|partition| self.load_state(partition))
            .buffered(CONCURRENT_LOOKUPS)
            .try_collect()
            .await?;
        let starts = plan(&states, u32::try_from((self.clock)()).unwrap_or(u32::MAX));
        for ((partition, start), state) in (0..count).zip(&starts).zip(&mut states) {
            if self.share.owns(partition) && state.checkpoint.is_none_or(|at| at.epoch != start.epoch) {
                self.begin_epoch(partition, *start, count, state).await?;
            }
        }
        Ok((states, starts))
    }

    /// Stores a new epoch beside the buffers at once. An instance that plans later then finds it, even if this one has
    /// delivered no record yet.
    async fn begin_epoch(
        &self,
        partition: i32,
        Start { epoch, offset, recreated, .. }: Start,
        partitions: i32,
        state: &mut PartitionState,
    ) -> Result<(), PlanError> {
        let topic = &self.shared.topic;
        let before = state.checkpoint;
        let advance_to = Some(Checkpoint { epoch, next_offset: offset, partitions });
        let request = DeliverRequest { advance_to, ..self.checkpoint_request(partition) };
        state.checkpoint = self.shared.sink.deliver(&request).await?.checkpoint;
        if state.checkpoint.is_some_and(|stored| stored.epoch > epoch) {
            return Err(PlanError::LaterEpoch(partition));
        }
        if recreated {
            tracing::warn!(
                topic,
                partition,
                epoch,
                offset,
                ?before,
                "the topic was recreated, reading from its beginning in a new epoch"
            );
        } else {
            tracing::info!(
                topic,
                partition,
                epoch,
                offset,
                "no checkpoint yet, reading the partition from its beginning"
            );
        }
        Ok(())
    }

    /// A request that only reads the checkpoint.
    fn checkpoint_request(&self, partition: i32) -> DeliverRequest {
        DeliverRequest { topic: self.shared.topic.clone(), partition, deliveries: Vec::new(), advance_to: None }
    }

    async fn load_state(&self, partition: i32) -> Result<PartitionState, PlanError> {
        let checkpoint = self.shared.sink.deliver(&self.checkpoint_request(partition)).await?.checkpoint;
        let watermarks = self.shared.kafka.watermarks(&self.shared.topic, partition).await?;
        Ok(PartitionState { checkpoint, watermarks })
    }

    /// Runs this instance's partitions until stopped, or until they must be planned again.
    async fn work(&self, states: &[PartitionState], starts: &[Start], stop: &CancellationToken) {
        let count = i32::try_from(starts.len()).unwrap_or(i32::MAX);
        let workers_stop = stop.child_token();
        let mut workers = JoinSet::new();
        let own = (0..count).filter(|partition| self.share.owns(*partition)).count();
        let budget = MemoryBudget::new(own);
        for ((partition, start), state) in (0..count).zip(starts).zip(states) {
            if self.share.owns(partition) {
                self.report_start(partition, *start);
                let shared = Arc::clone(&self.shared);
                let worker =
                    Worker::new(shared, (partition, count), *start, state.checkpoint, &budget, workers_stop.clone());
                workers.spawn(worker.run());
            }
        }
        let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + self.refresh, self.refresh);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(exit) = workers.join_next() => match exit {
                    Ok(WorkerExit::Stopped) => {}
                    Ok(WorkerExit::Replan) => break,
                    Err(error) => {
                        tracing::error!(%error, "a partition's worker failed");
                        break;
                    }
                },
                _ = tick.tick() => match self.topics.refresh(&self.shared.topic).await {
                    _ if self.shared.sink.has_lost_checkpoint().await => {
                        tracing::error!(
                            topic = self.shared.topic,
                            "a checkpoint was lost, reading from the beginning"
                        );
                        break;
                    }
                    Ok(now) if now != count => {
                        tracing::warn!(
                            topic = self.shared.topic,
                            before = count,
                            now,
                            "the number of partitions changed"
                        );
                        break;
                    }
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!(topic = self.shared.topic, %error, "the number of partitions can't be read");
                    }
                },
            }
        }
        // A worker in the middle of a delivery finishes it first.
        workers_stop.cancel();
        while workers.join_next().await.is_some() {}
    }

    fn report_start(&self, partition: i32, start: Start) {
        let Start { epoch, offset, .. } = start;
        tracing::info!(topic = self.shared.topic, partition, epoch, offset, "delivery starts");
        report_lost(&self.shared, partition, offset - start.lost, offset);
    }
}
