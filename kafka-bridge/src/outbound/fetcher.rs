//! Reads one partition: waits for memory, fetches, decodes, and hands the items to the delivery. It never waits for
//! sending, except by the bound on memory.

use std::{sync::Arc, time::Duration};

use causeway_protocol::{checkpoint::Hole, hub::ResetReason};

use super::{
    Exit, Shared,
    decode::{Coordinates, DecodeError, decode},
    delivery::{Arrival, Delivery},
    hole,
    partition::Partition,
    sink::SinkError,
};
use crate::{
    backoff::Backoff,
    kafka::{Fetched, FetchedItem, FetchedRecord, KafkaError, NewRecord, is_marker},
};

/// The reason of a dead letter of offsets that the client can't decode.
pub(super) const UNDECODABLE: &str = "undecodable";

/// That of a transaction marker, which is no record.
pub(super) const TRANSACTION_MARKER: &str = "transaction_marker";

/// Why removed records can't be skipped now.
#[derive(Debug, thiserror::Error)]
enum SkipError {
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    #[error(transparent)]
    Sink(#[from] SinkError),
}

/// Reads a partition.
pub(super) struct Fetcher {
    pub(super) shared: Arc<Shared>,
    pub(super) delivery: Arc<Delivery>,
    pub(super) partition: Arc<Partition>,
    pub(super) next_offset: i64,
}

impl Fetcher {
    /// Reads until the topic must be planned again. Cancelling it loses nothing: what was not handed over is read
    /// again.
    pub(super) async fn run(mut self) -> Exit {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(3));
        loop {
            self.partition.room().await;
            let number = self.partition.source.partition;
            let error = match self.shared.kafka.fetch(&self.partition.topic, number, self.next_offset).await {
                Ok(fetched) => match self.note_hole(&fetched).await {
                    Ok(()) => {
                        backoff.reset();
                        self.take(fetched);
                        continue;
                    }
                    Err(error) => error.to_string(),
                },
                Err(KafkaError::OffsetOutOfRange) => match self.skip_removed().await {
                    Ok(true) => continue,
                    Ok(false) => return Exit::Replan,
                    Err(error) => error.to_string(),
                },
                Err(KafkaError::UnknownTopic(topic)) => {
                    tracing::warn!(topic, partition = number, "the topic or its partition no longer exists");
                    return Exit::Replan;
                }
                Err(error) => error.to_string(),
            };
            let wait = backoff.next_wait();
            self.shared.metrics.outbound.fetch_failures.with_label_values(&[self.partition.topic.as_str()]).inc();
            tracing::warn!(
                topic = self.partition.topic,
                partition = number,
                next_offset = self.next_offset,
                failures = backoff.tries(),
                ?wait,
                error,
                "records not fetched, trying again"
            );
            tokio::time::sleep(wait).await;
        }
    }

    /// Notes the last hole of a fetch, before the checkpoint can move past it.
    async fn note_hole(&self, fetched: &Fetched) -> Result<(), SinkError> {
        let hole = fetched.items.iter().rev().find_map(|item| self.hole_of(item));
        match hole {
            Some(hole) => hole::note(&self.shared, &self.partition, hole).await,
            None => Ok(()),
        }
    }

    /// The hole that an item is. A marker is no record, so nobody misses it.
    fn hole_of(&self, item: &FetchedItem) -> Option<Hole> {
        match item {
            FetchedItem::Undecodable { last, reason, .. } if *last >= self.next_offset && !is_marker(reason) => {
                let end = last.saturating_add(1);
                Some(hole::before(self.partition.source.epoch, end, ResetReason::Undeliverable))
            }
            _ => None,
        }
    }

    fn take(&mut self, mut fetched: Fetched) {
        // A batch may begin before the offset that was asked for.
        fetched.items.retain(|item| match item {
            FetchedItem::Record(record) => record.offset >= self.next_offset,
            FetchedItem::Undecodable { last, .. } => *last >= self.next_offset,
        });
        let offsets = fetched.items.iter().map(|item| match item {
            FetchedItem::Record(record) => record.offset,
            FetchedItem::Undecodable { first, .. } => *first,
        });
        self.partition.begin(offsets, fetched.next_offset);
        let arrivals: Vec<_> = fetched.items.into_iter().filter_map(|item| self.read(item)).collect();
        self.next_offset = fetched.next_offset;
        if !arrivals.is_empty() {
            self.delivery.push(&self.partition, arrivals);
        }
    }

    /// An item for the delivery. What can't be decoded becomes a dead letter.
    fn read(&self, item: FetchedItem) -> Option<Arrival> {
        let hole = self.hole_of(&item);
        let (offsets, reason, record) = match item {
            FetchedItem::Record(record) => match self.decode(&record) {
                Ok(arrival) => return Some(arrival),
                Err(error) => {
                    ((record.offset, record.offset), (error.reason(), Some(error.to_string())), record.record)
                }
            },
            FetchedItem::Undecodable { first, last, reason } => {
                if hole.is_some() {
                    let (metrics, topic) = (&self.shared.metrics, self.partition.topic.as_str());
                    let number = self.partition.source.partition;
                    hole::report(metrics, topic, number, first..last.saturating_add(1), ResetReason::Undeliverable);
                }
                let code = if is_marker(&reason) { TRANSACTION_MARKER } else { UNDECODABLE };
                ((first, last), (code, Some(reason)), NewRecord::default())
            }
        };
        let bytes = record.size();
        self.partition.reservation.add(bytes);
        self.partition.send_dead_letter(self.partition.dead_letter(offsets, reason, record), bytes);
        hole.map(Arrival::Hole)
    }

    fn decode(&self, record: &FetchedRecord) -> Result<Arrival, DecodeError> {
        let source = &self.partition.source;
        let at = Coordinates { channel: &source.channel, partition: source.partition, epoch: source.epoch };
        let addressed = decode(record, &self.shared.rules, at)?;
        Ok(Arrival::Record { addressed, timestamp_ms: record.timestamp_ms })
    }

    /// The partition does not have the next offset. Goes on at the earliest one if retention removed records. Returns
    /// whether it did: otherwise the end of the partition moved back.
    async fn skip_removed(&mut self) -> Result<bool, SkipError> {
        let (topic, number) = (self.partition.topic.as_str(), self.partition.source.partition);
        let watermarks = self.shared.kafka.watermarks(topic, number).await?;
        if watermarks.latest < self.next_offset {
            tracing::warn!(
                topic,
                partition = number,
                next_offset = self.next_offset,
                latest = watermarks.latest,
                "the partition has fewer records than were read"
            );
            return Ok(false);
        }
        let earliest = watermarks.earliest.max(self.next_offset);
        if earliest > self.next_offset {
            let hole = hole::before(self.partition.source.epoch, earliest, ResetReason::Retention);
            hole::note(&self.shared, &self.partition, hole).await?;
            hole::report(&self.shared.metrics, topic, number, self.next_offset..earliest, ResetReason::Retention);
            self.partition.last_hole.set(hole);
        }
        self.partition.begin([], earliest);
        self.next_offset = earliest;
        Ok(true)
    }
}
