//! Delivers one partition, in rounds: fetch records, deliver them, move the checkpoint.
//!
//! - [`fetch`]: reads and decodes records from Kafka into the backlog.
//! - [`deliver`]: sends records from the backlog to the sink.
//! - [`rejected_records`]: decides whether a record that the sink rejects is retried or dead-lettered.
//! - [`dead_letter_queue`]: writes dead letters in the background.
//!
//! The checkpoint is stored beside the records and moves in the same request as the records before it. If the bridge
//! dies at any point, work is repeated with the same cursors, and the sink skips it.

mod dead_letter_queue;
mod deliver;
mod fetch;
mod rejected_records;

use std::{sync::Arc, time::Duration};

use causeway_protocol::deliver::Checkpoint;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::{dead_letter_queue::DeadLetterQueue, rejected_records::RejectedRecords};
use super::{
    backlog::Backlog,
    memory_budget::MemoryBudget,
    plan::Start,
    sink::{Sink, SinkError},
};
use crate::{
    backoff::Backoff,
    dead_letter::{DeadLetter, DeadLetters},
    health::Health,
    kafka::{KafkaError, KafkaIo, NewRecord},
    metrics::Metrics,
};

/// How often the lag of a quiet partition is updated.
const LAG_INTERVAL: Duration = Duration::from_secs(5);

/// How often a worker checks whether a full backlog has room again.
const ROOM_CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// What the workers of all partitions share.
pub(super) struct Shared {
    pub(super) kafka: Arc<dyn KafkaIo>,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) dead_letters: Arc<DeadLetters>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) health: Arc<Health>,
    pub(super) topic: String,
}

/// Why a worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WorkerExit {
    /// It was stopped.
    Stopped,
    /// The topic or the stored checkpoint changed: all partitions must be planned again.
    Replan,
}

/// Delivers one partition.
pub(super) struct Worker {
    shared: Arc<Shared>,
    partition: i32,
    partitions: i32,
    epoch: u32,
    /// Every record before it is delivered, dead-lettered, in the backlog or in the dead-letter queue.
    next_fetch_offset: i64,
    /// The checkpoint that the sink last reported.
    stored_checkpoint: Option<Checkpoint>,
    backlog: Backlog,
    dead_letters: DeadLetterQueue,
    rejected: RejectedRecords,
    /// How many of the next records are sent one by one, to find the one that the sink rejects.
    single_sends: usize,
    stop: CancellationToken,
}

impl Worker {
    pub(super) fn new(
        shared: Arc<Shared>,
        (partition, partitions): (i32, i32),
        start: Start,
        stored_checkpoint: Option<Checkpoint>,
        budget: &Arc<MemoryBudget>,
        stop: CancellationToken,
    ) -> Self {
        let dead_letters = DeadLetterQueue::new(Arc::clone(&shared.dead_letters), budget.reserve(), stop.clone());
        Self {
            shared,
            partition,
            partitions,
            epoch: start.epoch,
            next_fetch_offset: start.offset,
            stored_checkpoint,
            backlog: Backlog::new(budget.reserve()),
            dead_letters,
            rejected: RejectedRecords::new(),
            single_sends: 0,
            stop,
        }
    }

    pub(super) async fn run(mut self) -> WorkerExit {
        let mut sink_backoff = Backoff::default();
        let mut kafka_backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(3));
        let mut lag_due_at = Instant::now();
        let exit = loop {
            if self.stop.is_cancelled() {
                break WorkerExit::Stopped;
            }
            let wait = match self.round(&mut lag_due_at).await {
                Ok(()) => {
                    sink_backoff.reset();
                    kafka_backoff.reset();
                    continue;
                }
                Err(RoundError::Exit(exit)) => break exit,
                Err(RoundError::Waiting(until)) => until.saturating_duration_since(Instant::now()),
                Err(RoundError::Sink(error)) => {
                    self.shared.metrics.delivery_failures.with_label_values(&[error.label()]).inc();
                    let wait = sink_backoff.next_wait();
                    tracing::warn!(
                        partition = self.partition,
                        waiting = self.backlog.len(),
                        failures = sink_backoff.tries(),
                        ?wait,
                        %error,
                        "records not delivered, trying again"
                    );
                    wait
                }
                Err(RoundError::Kafka(error)) => {
                    let wait = kafka_backoff.next_wait();
                    tracing::warn!(
                        partition = self.partition,
                        next_offset = self.next_fetch_offset,
                        failures = kafka_backoff.tries(),
                        ?wait,
                        %error,
                        "records not fetched, trying again"
                    );
                    wait
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
            }
        };
        self.set_backlog_metric(0);
        self.report_rejecting(false);
        exit
    }

    async fn round(&mut self, lag_due_at: &mut Instant) -> Result<(), RoundError> {
        while self.deliver().await? {}
        if *lag_due_at <= Instant::now() {
            *lag_due_at = Instant::now() + LAG_INTERVAL;
            self.update_lag_metric().await?;
        }
        if self.backlog.is_full() || self.dead_letters.is_full() {
            // Other partitions may release memory, or a dead letter may be written, before one of our users is due.
            let soon = Instant::now() + ROOM_CHECK_INTERVAL;
            return Err(RoundError::Waiting(self.backlog.next_due().map_or(soon, |due| due.min(soon))));
        }
        self.fetch().await
    }

    /// Queues a dead letter.
    fn dead_letter(
        &mut self,
        (first_offset, last_offset): (i64, i64),
        (reason, detail): (&'static str, Option<String>),
        record: NewRecord,
    ) {
        let (topic, partition) = (self.shared.topic.clone(), self.partition);
        self.dead_letters.send(DeadLetter { topic, partition, first_offset, last_offset, reason, detail, record });
    }

    fn set_backlog_metric(&self, records: usize) {
        let labels = [self.shared.topic.as_str(), &self.partition.to_string()];
        self.shared.metrics.backlog.with_label_values(&labels).set(i64::try_from(records).unwrap_or(i64::MAX));
    }

    fn report_rejecting(&self, rejecting: bool) {
        let labels = [self.shared.topic.as_str(), &self.partition.to_string()];
        self.shared.metrics.rejecting.with_label_values(&labels).set(rejecting.into());
        self.shared.health.set_rejecting(self.partition, rejecting);
    }

    async fn update_lag_metric(&self) -> Result<(), RoundError> {
        let watermarks =
            self.shared.kafka.watermarks(&self.shared.topic, self.partition).await.map_err(RoundError::Kafka)?;
        let done = self.stored_checkpoint.map_or(watermarks.earliest, |stored| stored.next_offset);
        let labels = [self.shared.topic.as_str(), &self.partition.to_string()];
        self.shared.metrics.lag.with_label_values(&labels).set((watermarks.latest - done).max(0));
        Ok(())
    }
}

/// Reports records that retention removed before they were delivered.
pub(super) fn report_lost(shared: &Shared, partition: i32, from: i64, to: i64) {
    if to > from {
        tracing::error!(
            topic = shared.topic,
            partition,
            from,
            to,
            lost = to - from,
            "retention removed records before they were delivered"
        );
        let labels = [shared.topic.as_str(), &partition.to_string()];
        shared.metrics.lost_to_retention.with_label_values(&labels).inc_by((to - from).unsigned_abs());
    }
}

/// Why a round did not complete.
enum RoundError {
    Sink(SinkError),
    Kafka(KafkaError),
    /// Nothing can be done before this time.
    Waiting(Instant),
    Exit(WorkerExit),
}
