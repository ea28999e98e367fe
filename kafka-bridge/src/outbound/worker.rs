//! One partition: fetch, decode, deliver, and only then move the checkpoint.
//!
//! The checkpoint rests at the edge and moves in the same request as the records before it. So a bridge that dies
//! anywhere here leaves nothing behind but work that is done again, with the same cursors, which the edge ignores.

use std::{sync::Arc, time::Duration};

use causeway_protocol::{
    deliver::{Checkpoint, DeliverRequest, Delivery, Record},
    subject::Subject,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    backlog::{Backlog, Request, RequestLimits},
    decode::decode,
    edge::{EdgeClient, EdgeError},
    plan::Start,
};
use crate::{
    backoff::Backoff,
    dead_letter::{DeadLetter, DeadLetters, Stopped},
    kafka::{FetchedItem, KafkaError, KafkaIo, NewRecord},
    metrics::Metrics,
};

/// How often the figures of a quiet partition are brought up to date.
const FIGURES_EVERY: Duration = Duration::from_secs(5);

/// What all partitions share.
pub(super) struct Shared {
    pub(super) kafka: Arc<dyn KafkaIo>,
    pub(super) edge: Arc<EdgeClient>,
    pub(super) dead_letters: Arc<DeadLetters>,
    pub(super) metrics: Arc<Metrics>,
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

impl From<Stopped> for Ended {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

/// See the module's text.
pub(super) struct Worker {
    shared: Arc<Shared>,
    partition: i32,
    partitions: i32,
    epoch: u32,
    /// Everything before it is delivered, dead or in the backlog.
    next_fetch: i64,
    /// What rests at the edge, as far as known.
    stored: Option<Checkpoint>,
    backlog: Backlog,
    /// Records still to be sent one by one, to find the one the edge refuses.
    alone: usize,
    stop: CancellationToken,
}

impl Worker {
    pub(super) fn new(
        shared: Arc<Shared>,
        partition: i32,
        partitions: i32,
        start: Start,
        stored: Option<Checkpoint>,
        stop: CancellationToken,
    ) -> Self {
        let backlog = Backlog::default();
        Self {
            shared,
            partition,
            partitions,
            epoch: start.epoch,
            next_fetch: start.offset,
            stored,
            backlog,
            alone: 0,
            stop,
        }
    }

    pub(super) async fn run(mut self) -> Ended {
        let mut edge_backoff = Backoff::default();
        let mut kafka_backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(3));
        let mut figures_at = Instant::now();
        let ended = loop {
            if self.stop.is_cancelled() {
                break Ended::Stopped;
            }
            let wait = match self.round(&mut figures_at).await {
                Ok(()) => {
                    edge_backoff.reset();
                    kafka_backoff.reset();
                    continue;
                }
                Err(Trouble::Ended(ended)) => break ended,
                Err(Trouble::Waiting(until)) => until.saturating_duration_since(Instant::now()),
                Err(Trouble::Edge(error)) => {
                    self.shared.metrics.edge_failures.with_label_values(&[error.label()]).inc();
                    let wait = edge_backoff.next_wait();
                    tracing::warn!(partition = self.partition, waiting = self.backlog.len(), failures = edge_backoff.tries(), ?wait, %error, "not delivered, trying again");
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
        ended
    }

    async fn round(&mut self, figures_at: &mut Instant) -> Result<(), Trouble> {
        while self.deliver().await? {}
        if *figures_at <= Instant::now() {
            *figures_at = Instant::now() + FIGURES_EVERY;
            self.show_lag().await?;
        }
        if self.backlog.is_full() {
            return Err(Trouble::Waiting(self.backlog.next_due().unwrap_or_else(Instant::now)));
        }
        self.fetch().await
    }

    /// Sends what is due; whether there may be more to send at once.
    async fn deliver(&mut self) -> Result<bool, Trouble> {
        let now = Instant::now();
        let limits = if self.alone > 0 {
            RequestLimits { users: 1, records: 1, ..RequestLimits::default() }
        } else {
            RequestLimits::default()
        };
        let request = self.backlog.request(now, self.next_fetch, limits);
        let advance_to = Checkpoint { epoch: self.epoch, next_offset: request.advance_to, partitions: self.partitions };
        if request.deliveries.is_empty() && self.stored.is_some_and(|stored| stored >= advance_to) {
            return Ok(false);
        }
        let Request { deliveries, records, .. } = request;
        let post = self.request(deliveries, Some(advance_to));
        let answer = match self.shared.edge.deliver(&post).await {
            Ok(answer) => answer,
            Err(EdgeError::Refused(status)) if records > 0 => return self.refused(status, post, records).await,
            Err(error) => return Err(Trouble::Edge(error)),
        };
        self.alone = self.alone.saturating_sub(records);
        self.backlog.settle(Instant::now(), &post.deliveries, &answer.failed);
        self.show_backlog(self.backlog.len());
        let failed: usize = post
            .deliveries
            .iter()
            .filter(|delivery| answer.failed.contains(&delivery.subject))
            .map(|delivery| delivery.records.len())
            .sum();
        self.shared.metrics.delivered.with_label_values(&[&self.shared.topic]).inc_by((records - failed) as u64);
        if !answer.failed.is_empty() {
            tracing::warn!(
                partition = self.partition,
                users = answer.failed.len(),
                records = failed,
                "some hubs failed, only theirs are delivered again"
            );
            self.shared.metrics.edge_failures.with_label_values(&["hub"]).inc();
            return Ok(true);
        }
        self.stored_is(advance_to, answer.checkpoint)?;
        Ok(true)
    }

    fn stored_is(&mut self, asked: Checkpoint, rests: Option<Checkpoint>) -> Result<(), Trouble> {
        self.stored = rests;
        match rests {
            Some(rests) if rests.epoch > self.epoch => {
                tracing::warn!(
                    partition = self.partition,
                    ours = self.epoch,
                    theirs = rests.epoch,
                    "another instance is in a later epoch"
                );
                Err(Trouble::Ended(Ended::Replan))
            }
            Some(rests) if rests >= asked => {
                if rests.next_offset > self.next_fetch {
                    tracing::info!(
                        partition = self.partition,
                        from = self.next_fetch,
                        to = rests.next_offset,
                        "another instance delivered further"
                    );
                    self.next_fetch = rests.next_offset;
                }
                self.backlog.forget_before(rests.next_offset);
                Ok(())
            }
            _ => Err(Trouble::Edge(EdgeError::BadAnswer("the checkpoint did not move".to_owned()))),
        }
    }

    /// The edge finds fault with a request: its records go one by one, and the one that is refused alone is dead,
    /// provided that the edge still takes a request without records. Otherwise the fault is not in the record.
    async fn refused(&mut self, status: u16, request: DeliverRequest, records: usize) -> Result<bool, Trouble> {
        if records > 1 {
            tracing::warn!(
                partition = self.partition,
                status,
                records,
                "the edge refuses a request, sending its records one by one"
            );
            self.alone = self.alone.max(records);
            return Ok(true);
        }
        self.shared.edge.deliver(&self.request(Vec::new(), None)).await.map_err(Trouble::Edge)?;
        for delivery in &request.deliveries {
            for record in &delivery.records {
                let at = record.cursor.offset;
                let why = ("refused_by_edge", Some(format!("status {status}")));
                self.bury((at, at), why, as_written(&delivery.subject, record)).await?;
            }
        }
        self.alone = self.alone.saturating_sub(records);
        self.backlog.settle(Instant::now(), &request.deliveries, &[]);
        Ok(true)
    }

    async fn fetch(&mut self) -> Result<(), Trouble> {
        let fetch = self.shared.kafka.fetch(&self.shared.topic, self.partition, self.next_fetch);
        // Nothing is lost by breaking off a fetch.
        let fetched = tokio::select! {
            () = self.stop.cancelled() => return Err(Trouble::Ended(Ended::Stopped)),
            fetched = fetch => fetched,
        };
        let fetched = match fetched {
            Ok(fetched) => fetched,
            Err(KafkaError::OffsetOutOfRange) => return self.out_of_range().await,
            Err(KafkaError::UnknownTopic(topic)) => {
                tracing::warn!(partition = self.partition, topic, "the topic is gone");
                return Err(Trouble::Ended(Ended::Replan));
            }
            Err(error) => return Err(Trouble::Kafka(error)),
        };
        for item in fetched.items {
            match item {
                FetchedItem::Record(found) => match decode(&found, self.epoch, self.partition) {
                    Ok(addressed) => self.backlog.push(addressed),
                    Err(poison) => {
                        self.bury((found.offset, found.offset), (poison.reason(), None), found.record).await?;
                    }
                },
                FetchedItem::Undecodable { first, last, reason } => {
                    let why = undecodable(&reason);
                    tracing::error!(
                        topic = self.shared.topic,
                        partition = self.partition,
                        first,
                        last,
                        why,
                        reason,
                        "offsets can't be decoded. Topics written in transactions need another kafka client: with this \
                         one, records of aborted transactions are delivered too"
                    );
                    self.bury((first, last), (why, Some(reason)), NewRecord::default()).await?;
                }
            }
        }
        self.next_fetch = fetched.next_offset;
        self.show_backlog(self.backlog.len());
        Ok(())
    }

    async fn bury(
        &self,
        (first_offset, last_offset): (i64, i64),
        (reason, detail): (&'static str, Option<String>),
        record: NewRecord,
    ) -> Result<(), Trouble> {
        let (topic, partition) = (self.shared.topic.clone(), self.partition);
        let letter = DeadLetter { topic, partition, first_offset, last_offset, reason, detail, record };
        self.shared.dead_letters.send(&letter, &self.stop).await.map_err(|stopped| Trouble::Ended(stopped.into()))
    }

    async fn out_of_range(&mut self) -> Result<(), Trouble> {
        let watermarks =
            self.shared.kafka.watermarks(&self.shared.topic, self.partition).await.map_err(Trouble::Kafka)?;
        if watermarks.latest < self.next_fetch {
            tracing::warn!(
                partition = self.partition,
                next_offset = self.next_fetch,
                latest = watermarks.latest,
                "the partition has fewer records than were delivered: the topic was recreated"
            );
            return Err(Trouble::Ended(Ended::Replan));
        }
        report_lost(&self.shared, self.partition, self.next_fetch, watermarks.earliest);
        self.next_fetch = self.next_fetch.max(watermarks.earliest);
        Ok(())
    }

    fn request(&self, deliveries: Vec<Delivery>, advance_to: Option<Checkpoint>) -> DeliverRequest {
        DeliverRequest { topic: self.shared.topic.clone(), partition: self.partition, deliveries, advance_to }
    }

    fn show_backlog(&self, records: usize) {
        let labels = [self.shared.topic.as_str(), &self.partition.to_string()];
        self.shared.metrics.backlog.with_label_values(&labels).set(i64::try_from(records).unwrap_or(i64::MAX));
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

/// One word for what the client can't decode.
fn undecodable(reason: &str) -> &'static str {
    // rskafka takes a marker's bytes for a record's and stumbles over their version or their length.
    if reason.contains("control batch") || reason.contains("control record") {
        "transaction_marker"
    } else {
        "undecodable"
    }
}

/// The record of a decoded event, as far as decoding kept it.
fn as_written(subject: &Subject, record: &Record) -> NewRecord {
    let event = &record.event;
    let attributes = [("ce_id", &event.id), ("ce_type", &event.kind), ("ce_time", &event.time)];
    NewRecord {
        key: Some(subject.to_string().into_bytes()),
        value: Some(event.data.get().as_bytes().to_vec()),
        headers: attributes.map(|(name, value)| (name.to_owned(), value.clone().into_bytes())).into(),
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
    Edge(EdgeError),
    Kafka(KafkaError),
    /// The backlog is full and its users are not due yet.
    Waiting(Instant),
    Ended(Ended),
}
