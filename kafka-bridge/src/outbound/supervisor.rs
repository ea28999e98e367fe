//! Keeps this instance's partitions of one channel running. Each is planned on its own where possible: one without a
//! leader, or one that another instance has taken, keeps no other from being read.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    Exit, Settings, Shared,
    delivery::Delivery,
    memory_budget::MemoryBudget,
    partition_reader::PartitionReader,
    plan::{Start, plan},
    sink::SinkError,
    survey::{CONCURRENT_LOOKUPS, Survey},
};
use crate::{
    backoff::Backoff,
    topics::{TopicError, Topics},
};

/// How long after another instance has taken a partition it is claimed again, and how often a partition is tried that
/// could not start.
const CLAIM_PAUSE: Duration = Duration::from_secs(5);

/// Why the partitions can't be planned.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlanError {
    #[error(transparent)]
    Topic(#[from] TopicError),
    #[error(transparent)]
    Sink(#[from] SinkError),
    #[error("a partition's task failed")]
    Task(#[from] tokio::task::JoinError),
}

/// Keeps the partitions of one channel running.
pub(super) struct Supervisor {
    pub(super) shared: Arc<Shared>,
    pub(super) survey: Survey,
    pub(super) delivery: Arc<Delivery>,
    pub(super) budget: Arc<MemoryBudget>,
    pub(super) topics: Arc<Topics>,
    pub(super) settings: Settings,
    /// The bridge's. When it is cancelled, the requests in flight are still answered.
    pub(super) stop: CancellationToken,
}

/// The partitions that run, and those that wait.
#[derive(Default)]
struct Running {
    tasks: JoinSet<(i32, Exit)>,
    /// The epoch of each that runs.
    epochs: BTreeMap<i32, u32>,
    /// Stops one of them.
    stops: BTreeMap<i32, CancellationToken>,
    /// Those that another instance has taken, and when they are claimed again.
    taken: BTreeMap<i32, Instant>,
    /// When the partitions that don't run are tried again.
    retry_at: Option<Instant>,
}

impl Supervisor {
    /// Delivers until stopped. Retries after any failure.
    pub(super) async fn run(self) {
        let mut backoff = Backoff::default();
        // 0 until a partition is read. Without a series, an alert could not tell that none is.
        self.shared.metrics.ownership.partitions.with_label_values(&[self.survey.topic.as_str()]);
        while !self.stop.is_cancelled() {
            let (stop, started) = (self.stop.child_token(), Instant::now());
            let mut running = Running::default();
            let ended = self.stop.run_until_cancelled(self.keep_running(&mut running, &stop)).await;
            // All partitions stop: the bridge does, or the topic is planned anew.
            stop.cancel();
            while running.tasks.join_next().await.is_some() {}
            // Planning over and over is a failure, too: Kafka's answers contradict each other.
            if started.elapsed() > CLAIM_PAUSE {
                backoff.reset();
            }
            let Some(ended) = ended else { return };
            self.shared.metrics.ownership.replans.with_label_values(&[self.survey.topic.as_str()]).inc();
            let wait = backoff.next_wait();
            if let Err(error) = ended {
                tracing::warn!(
                    topic = self.survey.topic,
                    failures = backoff.tries(),
                    ?wait,
                    %error,
                    "delivery can't begin, trying again"
                );
            }
            self.stop.run_until_cancelled(tokio::time::sleep(wait)).await;
        }
    }

    /// Runs partitions until all of them must be planned anew.
    async fn keep_running(&self, running: &mut Running, stop: &CancellationToken) -> Result<(), PlanError> {
        let count = self.topics.refresh(&self.survey.topic).await?;
        let shown = &self.shared.metrics.ownership.topic_partitions;
        shown.with_label_values(&[self.survey.topic.as_str()]).set(count.into());
        let mut changes = self.settings.ownership.changes();
        if !self.start_missing(count, running, stop).await? {
            return Ok(());
        }
        let refresh = self.settings.refresh;
        let mut tick = tokio::time::interval_at(Instant::now() + refresh, refresh);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let retry_at = running.retry_at;
            tokio::select! {
                Some(ended) = running.tasks.join_next() => {
                    let (partition, exit) = ended?;
                    running.epochs.remove(&partition);
                    running.stops.remove(&partition);
                    match exit {
                        Exit::Replan => return Ok(()),
                        Exit::Stopped => {
                            // It may be this instance's again.
                            running.retry_at = Some(Instant::now());
                            continue;
                        }
                        Exit::Stale => {}
                    }
                    tracing::warn!(topic = self.survey.topic, partition, "another instance reads the partition");
                    self.shared.metrics.ownership.stale_partitions.inc();
                    let again = Instant::now() + CLAIM_PAUSE;
                    running.taken.insert(partition, again);
                    running.retry_at = Some(retry_at.map_or(again, |at| at.min(again)));
                }
                () = changes.changed() => {
                    for (partition, stop) in &running.stops {
                        if !self.settings.ownership.owns(&self.survey.topic, *partition) {
                            stop.cancel();
                        }
                    }
                    running.retry_at = Some(Instant::now());
                }
                () = sleep_until(retry_at.unwrap_or_else(Instant::now)), if retry_at.is_some() => {
                    match self.start_missing(count, running, stop).await {
                        Ok(true) => {}
                        Ok(false) => return Ok(()),
                        // Those that run go on.
                        Err(error) => {
                            tracing::warn!(topic = self.survey.topic, %error, "partitions can't start, trying again");
                            running.retry_at = Some(Instant::now() + CLAIM_PAUSE);
                        }
                    }
                }
                _ = tick.tick() => if self.is_outdated(count).await {
                    return Ok(());
                },
            }
        }
    }

    /// Whether the topic has another number of partitions, or the sink lost a checkpoint.
    async fn is_outdated(&self, count: i32) -> bool {
        let topic = self.survey.topic.as_str();
        if self.shared.sink.has_lost_checkpoint().await {
            tracing::error!(topic, "a checkpoint was lost, planning the topic anew");
            // Nor may they store what they have: the buffers are probably lost, too.
            self.delivery.on_lost_checkpoint();
            return true;
        }
        match self.topics.refresh(topic).await {
            Ok(now) if now != count => {
                tracing::warn!(topic, before = count, now, "the number of partitions changed");
                true
            }
            Ok(_) => false,
            Err(error) => {
                tracing::warn!(topic, %error, "the number of partitions can't be read");
                false
            }
        }
    }

    /// Starts this instance's partitions that don't run, as far as they can start. Returns false if those that run must
    /// be planned anew.
    async fn start_missing(
        &self,
        count: i32,
        running: &mut Running,
        stop: &CancellationToken,
    ) -> Result<bool, PlanError> {
        let now = Instant::now();
        running.retry_at = None;
        running.taken.retain(|_, until| *until > now);
        let known = self.survey.read(count).await?;
        let starts = plan(&known, u32::try_from((self.settings.clock)()).unwrap_or(u32::MAX));
        let mut missing = BTreeMap::new();
        let mut waits = false;
        for (partition, start) in
            (0..count).zip(starts).filter(|(partition, _)| self.settings.ownership.owns(&self.survey.topic, *partition))
        {
            match (running.epochs.get(&partition), start) {
                // While a partition runs, its stored checkpoint lags behind, so a later start is no reason to stop.
                (Some(epoch), Some(start)) if start.epoch != *epoch => return Ok(false),
                (Some(_), _) => {}
                (None, Some(start)) if !running.taken.contains_key(&partition) => {
                    missing.insert(partition, start);
                }
                (None, _) => waits = true,
            }
        }
        let failed = self.claim_all(count, missing, running, stop).await;
        if waits || !failed.is_empty() {
            let again = Instant::now() + CLAIM_PAUSE;
            running.retry_at = Some(running.taken.values().copied().fold(again, Instant::min));
        }
        Ok(true)
    }

    /// Claims partitions and starts those that it gets. Returns the others.
    async fn claim_all(
        &self,
        count: i32,
        missing: BTreeMap<i32, Start>,
        running: &mut Running,
        stop: &CancellationToken,
    ) -> BTreeSet<i32> {
        let claims = missing.into_iter().map(|(partition, start)| async move {
            // Before it is claimed, or the group could give it away meanwhile.
            let hold = self.settings.ownership.hold(&self.survey.topic, partition);
            (partition, hold, self.survey.claim(partition, count, start).await)
        });
        let mut claims = stream::iter(claims).buffer_unordered(CONCURRENT_LOOKUPS);
        let mut failed = BTreeSet::new();
        while let Some((partition, hold, claimed)) = claims.next().await {
            match claimed {
                Ok((start, stored)) => {
                    running.epochs.insert(partition, start.source.epoch);
                    let (shared, delivery) = (Arc::clone(&self.shared), Arc::clone(&self.delivery));
                    let (budget, bridge_stop) = (Arc::clone(&self.budget), self.stop.clone());
                    let reader = PartitionReader { shared, delivery, budget, bridge_stop };
                    let stop = stop.child_token();
                    running.stops.insert(partition, stop.clone());
                    running.tasks.spawn(async move {
                        let _hold = hold;
                        (partition, reader.read(start, stored, stop).await)
                    });
                }
                Err(error) => {
                    tracing::warn!(topic = self.survey.topic, partition, %error, "the partition can't be claimed");
                    failed.insert(partition);
                }
            }
        }
        failed
    }
}
