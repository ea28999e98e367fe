//! One partition: [`fetch`], decode, [`deliver`] or bury with the [`letters`] (see [`suspects`] for when), and only then move the checkpoint.
//!
//! The checkpoint rests beside the records and moves in the same request as the records before it. So a bridge that dies
//! anywhere here leaves nothing behind but work that is done again, with the same cursors, which the sink ignores.

mod deliver;
mod fetch;
mod letters;
mod suspects;

use std::{sync::Arc, time::Duration};

use causeway_protocol::deliver::Checkpoint;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::{letters::Letters, suspects::Suspects};
use super::{
    backlog::Backlog,
    budget::Budget,
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

/// How often the figures of a quiet partition are brought up to date.
const FIGURES_EVERY: Duration = Duration::from_secs(5);

/// How often a full backlog looks for room.
const ROOM_EVERY: Duration = Duration::from_millis(500);

/// What all partitions share.
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
pub(super) enum Ended {
    /// It was told to.
    Stopped,
    /// The topic is not what it was: all partitions must be planned anew.
    Replan,
}

/// See the module's text.
pub(super) struct Worker {
    shared: Arc<Shared>,
    partition: i32,
    partitions: i32,
    epoch: u32,
    /// Everything before it is delivered, dead, or in the backlog or among the letters.
    next_fetch: i64,
    /// What rests at the sink, as far as known.
    stored: Option<Checkpoint>,
    backlog: Backlog,
    letters: Letters,
    suspects: Suspects,
    /// Records still to be sent one by one, to find the one the sink refuses.
    alone: usize,
    stop: CancellationToken,
}

impl Worker {
    pub(super) fn new(
        shared: Arc<Shared>,
        (partition, partitions): (i32, i32),
        start: Start,
        stored: Option<Checkpoint>,
        budget: &Arc<Budget>,
        stop: CancellationToken,
    ) -> Self {
        let letters = Letters::new(Arc::clone(&shared.dead_letters), budget.open(), stop.clone());
        Self {
            shared,
            partition,
            partitions,
            epoch: start.epoch,
            next_fetch: start.offset,
            stored,
            backlog: Backlog::new(budget.open()),
            letters,
            suspects: Suspects::new(),
            alone: 0,
            stop,
        }
    }

    pub(super) async fn run(mut self) -> Ended {
        let mut sink_backoff = Backoff::default();
        let mut kafka_backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(3));
        let mut figures_at = Instant::now();
        let ended = loop {
            if self.stop.is_cancelled() {
                break Ended::Stopped;
            }
            let wait = match self.round(&mut figures_at).await {
                Ok(()) => {
                    sink_backoff.reset();
                    kafka_backoff.reset();
                    continue;
                }
                Err(Trouble::Ended(ended)) => break ended,
                Err(Trouble::Waiting(until)) => until.saturating_duration_since(Instant::now()),
                Err(Trouble::Sink(error)) => {
                    self.shared.metrics.delivery_failures.with_label_values(&[error.label()]).inc();
                    let wait = sink_backoff.next_wait();
                    tracing::warn!(partition = self.partition, waiting = self.backlog.len(), failures = sink_backoff.tries(), ?wait, %error, "not delivered, trying again");
                    wait
                }
                Err(Trouble::Kafka(error)) => {
                    let wait = kafka_backoff.next_wait();
                    tracing::warn!(partition = self.partition, next_offset = self.next_fetch, failures = kafka_backoff.tries(), ?wait, %error, "not fetched, trying again");
                    wait
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
            }
        };
        self.show_backlog(0);
        self.show_refusing(false);
        ended
    }

    async fn round(&mut self, figures_at: &mut Instant) -> Result<(), Trouble> {
        while self.deliver().await? {}
        if *figures_at <= Instant::now() {
            *figures_at = Instant::now() + FIGURES_EVERY;
            self.show_lag().await?;
        }
        if self.backlog.is_full() || self.letters.is_full() {
            // What others hold may be given back, or a letter written, before one of the own users is due.
            let soon = Instant::now() + ROOM_EVERY;
            return Err(Trouble::Waiting(self.backlog.next_due().map_or(soon, |due| due.min(soon))));
        }
        self.fetch().await
    }

    /// Sends a dead letter on its way.
    fn bury(
        &mut self,
        (first_offset, last_offset): (i64, i64),
        (reason, detail): (&'static str, Option<String>),
        record: NewRecord,
    ) {
        let (topic, partition) = (self.shared.topic.clone(), self.partition);
        self.letters.send(DeadLetter { topic, partition, first_offset, last_offset, reason, detail, record });
    }

    fn show_backlog(&self, records: usize) {
        let labels = [self.shared.topic.as_str(), &self.partition.to_string()];
        self.shared.metrics.backlog.with_label_values(&labels).set(i64::try_from(records).unwrap_or(i64::MAX));
    }

    fn show_refusing(&self, refusing: bool) {
        let labels = [self.shared.topic.as_str(), &self.partition.to_string()];
        self.shared.metrics.refusing.with_label_values(&labels).set(refusing.into());
        self.shared.health.set_refusing(self.partition, refusing);
    }

    async fn show_lag(&self) -> Result<(), Trouble> {
        let watermarks =
            self.shared.kafka.watermarks(&self.shared.topic, self.partition).await.map_err(Trouble::Kafka)?;
        let done = self.stored.map_or(watermarks.earliest, |stored| stored.next_offset);
        let labels = [self.shared.topic.as_str(), &self.partition.to_string()];
        self.shared.metrics.lag.with_label_values(&labels).set((watermarks.latest - done).max(0));
        Ok(())
    }
}

/// Says plainly that retention was faster than delivery.
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

/// Why a round did not go through.
enum Trouble {
    Sink(SinkError),
    Kafka(KafkaError),
    /// There is no use in trying before.
    Waiting(Instant),
    Ended(Ended),
}
