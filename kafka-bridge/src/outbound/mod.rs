//! Kafka → the users' buffers, at the edge or in Redis.
//!
//! - [`plan`]: where each partition begins, and in which epoch
//! - [`worker`]: one partition: fetch → [`decode`] → [`backlog`] → [`sink`], then the checkpoint
//! - [`budget`]: what all backlogs may hold together
//! - [`edge`]: the sink that is the edge; the one that is Redis is [`crate::hop`]
//!
//! Ownership is static, `partition % replicas == replica`. Two instances on one partition deliver twice what the edge
//! stores once.

mod backlog;
mod budget;
mod decode;
mod edge;
mod plan;
mod sink;
mod worker;

use std::{sync::Arc, time::Duration};

use causeway_protocol::deliver::{Checkpoint, DeliverRequest};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::{task::JoinSet, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use self::{
    budget::Budget,
    plan::{Known, Start, plan},
    worker::{Ended, Shared, Worker, report_lost},
};
pub use self::{
    edge::{EdgeClient, EdgeError},
    sink::{Sink, SinkError},
};
use crate::{
    backoff::Backoff,
    config::Share,
    dead_letter::DeadLetters,
    health::Health,
    kafka::{KafkaError, KafkaIo},
    metrics::Metrics,
    topics::{TopicError, Topics},
};

/// How many partitions are asked about at a time.
const CONCURRENT_QUESTIONS: usize = 8;

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
    Overtaken(i32),
}

/// Delivers the partitions of one topic that are this instance's.
pub struct Outbound {
    shared: Arc<Shared>,
    topics: Arc<Topics>,
    share: Share,
    refresh: Duration,
    clock: Clock,
}

/// Unix time in seconds.
pub type Clock = fn() -> u64;

impl Outbound {
    /// Prepares delivery of `topic`; looks for new partitions every `refresh`. Epochs are taken from `clock`.
    #[must_use]
    pub fn new(
        kafka: Arc<dyn KafkaIo>,
        sink: Arc<dyn Sink>,
        topics: Arc<Topics>,
        dead_letters: Arc<DeadLetters>,
        (metrics, health): (Arc<Metrics>, Arc<Health>),
        (topic, share, refresh, clock): (String, Share, Duration, Clock),
    ) -> Self {
        Self {
            shared: Arc::new(Shared { kafka, sink, dead_letters, metrics, health, topic }),
            topics,
            share,
            refresh,
            clock,
        }
    }

    /// Delivers until stopped, whatever fails meanwhile.
    pub async fn run(self, stop: CancellationToken) {
        let mut backoff = Backoff::default();
        while !stop.is_cancelled() {
            match self.prepare().await {
                Ok((known, starts)) => {
                    backoff.reset();
                    self.work(&known, &starts, &stop).await;
                }
                Err(error) => {
                    let wait = backoff.next_wait();
                    tracing::warn!(topic = self.shared.topic, failures = backoff.tries(), ?wait, %error, "delivery can't begin, trying again");
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = tokio::time::sleep(wait) => {}
                    }
                }
            }
        }
    }

    /// Asks sink and Kafka about every partition, not only the own ones: whether the topic was recreated shows in any.
    async fn prepare(&self) -> Result<(Vec<Known>, Vec<Start>), PlanError> {
        let count = self.topics.refresh(&self.shared.topic).await?;
        let mut known: Vec<Known> = stream::iter(0..count)
            .map(|partition| self.ask(partition))
            .buffered(CONCURRENT_QUESTIONS)
            .try_collect()
            .await?;
        let starts = plan(&known, u32::try_from((self.clock)()).unwrap_or(u32::MAX));
        for ((partition, start), known) in (0..count).zip(&starts).zip(&mut known) {
            if self.share.owns(partition) && known.checkpoint.is_none_or(|at| at.epoch != start.epoch) {
                self.begin_epoch(partition, *start, count, known).await?;
            }
        }
        Ok((known, starts))
    }

    /// Lets a new epoch rest beside the buffers at once: an instance that plans later then finds it, whatever keeps this
    /// one from delivering meanwhile.
    async fn begin_epoch(
        &self,
        partition: i32,
        Start { epoch, offset, recreated, .. }: Start,
        partitions: i32,
        known: &mut Known,
    ) -> Result<(), PlanError> {
        let topic = &self.shared.topic;
        let before = known.checkpoint;
        let advance_to = Some(Checkpoint { epoch, next_offset: offset, partitions });
        let question = DeliverRequest { advance_to, ..self.question(partition) };
        known.checkpoint = self.shared.sink.deliver(&question).await?.checkpoint;
        if known.checkpoint.is_some_and(|rests| rests.epoch > epoch) {
            return Err(PlanError::Overtaken(partition));
        }
        if recreated {
            tracing::warn!(
                topic,
                partition,
                epoch,
                offset,
                ?before,
                "the topic was recreated: reading from its beginning in a new epoch"
            );
        } else {
            tracing::info!(topic, partition, epoch, offset, "the partition is new here");
        }
        Ok(())
    }

    fn question(&self, partition: i32) -> DeliverRequest {
        DeliverRequest { topic: self.shared.topic.clone(), partition, deliveries: Vec::new(), advance_to: None }
    }

    async fn ask(&self, partition: i32) -> Result<Known, PlanError> {
        let checkpoint = self.shared.sink.deliver(&self.question(partition)).await?.checkpoint;
        let watermarks = self.shared.kafka.watermarks(&self.shared.topic, partition).await?;
        Ok(Known { checkpoint, watermarks })
    }

    /// Runs the own partitions until stopped or until they must be planned anew.
    async fn work(&self, known: &[Known], starts: &[Start], stop: &CancellationToken) {
        let count = i32::try_from(starts.len()).unwrap_or(i32::MAX);
        let workers_stop = stop.child_token();
        let mut workers = JoinSet::new();
        let own = (0..count).filter(|partition| self.share.owns(*partition)).count();
        let budget = Budget::new(own);
        for ((partition, start), known) in (0..count).zip(starts).zip(known) {
            if self.share.owns(partition) {
                self.announce(partition, *start);
                let shared = Arc::clone(&self.shared);
                let worker =
                    Worker::new(shared, (partition, count), *start, known.checkpoint, &budget, workers_stop.clone());
                workers.spawn(worker.run());
            }
        }
        let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + self.refresh, self.refresh);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = workers.join_next() => match ended {
                    Ok(Ended::Stopped) => {}
                    Ok(Ended::Replan) => break,
                    Err(error) => {
                        tracing::error!(%error, "a partition's worker failed");
                        break;
                    }
                },
                _ = tick.tick() => match self.topics.refresh(&self.shared.topic).await {
                    _ if self.shared.sink.has_forgotten().await => {
                        tracing::error!(topic = self.shared.topic, "the checkpoints are gone: reading from the beginning");
                        break;
                    }
                    Ok(now) if now != count => {
                        tracing::warn!(topic = self.shared.topic, before = count, now, "the number of partitions changed");
                        break;
                    }
                    Ok(_) => {}
                    Err(error) => tracing::warn!(topic = self.shared.topic, %error, "partitions can't be counted"),
                },
            }
        }
        // A worker that is amid a delivery finishes it first.
        workers_stop.cancel();
        while workers.join_next().await.is_some() {}
    }

    fn announce(&self, partition: i32, start: Start) {
        let Start { epoch, offset, .. } = start;
        tracing::info!(topic = self.shared.topic, partition, epoch, offset, "delivering");
        report_lost(&self.shared, partition, offset - start.lost, offset);
    }
}
