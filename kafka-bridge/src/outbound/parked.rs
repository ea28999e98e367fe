//! Users who were parked before a partition was claimed. Their gaps are in the memory of the instance that parked them,
//! but their dead letters are in Kafka, written before the checkpoint moved past the records. So whoever claims the
//! partition reads those, and queues the gaps before anything else. A buffer that has the gap skips it.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, PoisonError, Weak},
    time::Duration,
};

use causeway_protocol::subject::Subject;
use futures_util::{StreamExt as _, stream};
use prometheus::IntCounter;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, timeout_at},
};

use super::{partition::PartitionStart, router::PARKED};
use crate::{
    clock::unix_millis,
    dead_letter::dlq_topic,
    kafka::{Fetched, FetchedItem, FetchedRecord, KafkaError, KafkaIo},
};

/// How old a dead letter may be. As long are users told of a hole.
const REMEMBERED_FOR: Duration = Duration::from_hours(7 * 24);

/// The maximum number of dead letters that are read of a partition of their topic, the newest.
const MAX_RECORDS: i64 = 10_000;

/// How many are read before older ones are, so that the newest are there if time runs out.
const PART_RECORDS: i64 = 1000;

/// The longest time from a claim until the partition is read. It is delivered without the rest then.
const MAX_TIME: Duration = Duration::from_secs(5);

/// How many partitions are read at a time.
const CONCURRENT_READS: usize = 16;

/// The pause after a fetch that found nothing where something is.
const EMPTY_PAUSE: Duration = Duration::from_millis(20);

/// The parked users of one topic.
pub(super) struct ParkedUsers {
    kafka: Arc<dyn KafkaIo>,
    incomplete: IntCounter,
    /// Partitions that are claimed at the same time share what is read. It is dropped when none of them waits any more.
    shared: std::sync::Mutex<Weak<Mutex<Reading>>>,
}

/// What was read of the dead letters of a topic. The next claim goes on where the last one ended.
#[derive(Debug, Default)]
struct Reading {
    /// When the last read began that had everything.
    complete_since: Option<Instant>,
    partitions: Vec<DlqPartition>,
}

/// What was read of a partition of the dead-letter topic.
#[derive(Debug, Default)]
struct DlqPartition {
    /// The offsets that were read.
    known: Range<i64>,
    /// By partition and offset of the record.
    parked: HashMap<(i32, i64), Parked>,
}

/// A parked record.
#[derive(Debug)]
struct Parked {
    subject: Subject,
    /// In seconds of Unix time.
    written_at: i64,
}

impl ParkedUsers {
    /// Reads dead letters with this client, and counts the claims for which not all could be read.
    pub(super) fn new(kafka: Arc<dyn KafkaIo>, incomplete: IntCounter) -> Self {
        Self { kafka, incomplete, shared: std::sync::Mutex::default() }
    }

    /// The users who were parked in a partition that is claimed, with the offset of the last parked record of each.
    pub(super) async fn of(&self, start: &PartitionStart) -> HashMap<Subject, i64> {
        let claimed = Instant::now();
        let shared = self.shared_reading();
        let deadline = claimed + MAX_TIME;
        let Ok(mut reading) = timeout_at(deadline, shared.lock()).await else {
            self.report_incomplete(start);
            return HashMap::new();
        };
        // One that began earlier may lack what the partition's last reader wrote.
        if reading.complete_since.is_none_or(|since| since < claimed) {
            let read = timeout_at(deadline, reading.go_on(&*self.kafka, &start.topic)).await;
            if read != Ok(true) {
                self.report_incomplete(start);
            }
        }
        reading.of(start)
    }

    fn shared_reading(&self) -> Arc<Mutex<Reading>> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let reading = Arc::default();
            *shared = Arc::downgrade(&reading);
            reading
        })
    }

    fn report_incomplete(&self, start: &PartitionStart) {
        let (topic, partition) = (&start.topic, start.source.partition);
        self.incomplete.inc();
        tracing::warn!(topic, partition, "not all dead letters could be read: some parked users may hear of no gap");
    }
}

impl Reading {
    /// Reads what it does not have yet, all partitions side by side. Returns whether it then has everything.
    async fn go_on(&mut self, kafka: &dyn KafkaIo, topic: &str) -> bool {
        let (began, dlq) = (Instant::now(), dlq_topic(topic));
        let count = match kafka.partitions(&dlq).await {
            Ok(Some(count)) => count,
            Ok(None) => {
                tracing::warn!(
                    topic = dlq,
                    "the topic of dead letters can't be seen. That is right if there never was one; otherwise the bridge needs the right to describe it"
                );
                0
            }
            Err(error) => {
                tracing::warn!(topic = dlq, %error, "kafka does not say how many partitions the topic has");
                return false;
            }
        };
        self.partitions.resize_with(usize::try_from(count).unwrap_or_default(), DlqPartition::default);
        let reads: Vec<_> = (0..count)
            .zip(&mut self.partitions)
            .map(|(number, partition)| partition.go_on(kafka, (&dlq, number), topic))
            .collect();
        let reads: Vec<bool> = stream::iter(reads).buffer_unordered(CONCURRENT_READS).collect().await;
        let is_complete = !reads.contains(&false);
        self.complete_since = is_complete.then_some(began);
        is_complete
    }

    fn of(&self, start: &PartitionStart) -> HashMap<Subject, i64> {
        let mut users: HashMap<Subject, i64> = HashMap::new();
        for ((partition, offset), parked) in self.partitions.iter().flat_map(|read| &read.parked) {
            // A record after the checkpoint is delivered again. One of an earlier epoch is of another topic.
            let is_of = *partition == start.source.partition
                && *offset < start.next_offset
                && parked.written_at >= i64::from(start.source.epoch);
            if is_of {
                let last = users.entry(parked.subject.clone()).or_insert(*offset);
                *last = (*offset).max(*last);
            }
        }
        users
    }
}

impl DlqPartition {
    /// Reads what it does not have yet. Returns whether it then has everything.
    async fn go_on(&mut self, kafka: &dyn KafkaIo, (dlq, partition): (&str, i32), topic: &str) -> bool {
        let read = self.read(kafka, (dlq, partition), topic).await;
        if let Err(error) = &read {
            tracing::warn!(topic = dlq, partition, %error, "dead letters can't be read");
        }
        read.is_ok()
    }

    /// Reads what is new, and then what is older, part by part. Kafka reads forwards only.
    async fn read(
        &mut self,
        kafka: &dyn KafkaIo,
        (dlq, partition): (&str, i32),
        topic: &str,
    ) -> Result<(), KafkaError> {
        let remembered_ms = i64::try_from(REMEMBERED_FOR.as_millis()).unwrap_or(i64::MAX);
        let since_ms = i64::try_from(unix_millis()).unwrap_or(i64::MAX).saturating_sub(remembered_ms);
        let Some(first) = kafka.offset_at(dlq, partition, since_ms).await? else { return Ok(()) };
        let end = kafka.watermarks(dlq, partition).await?.latest;
        let first = first.max(end.saturating_sub(MAX_RECORDS));
        if self.known.is_empty() || self.known.end < first || self.known.end > end {
            self.known = end..end;
        }
        while self.known.end < end || self.known.start > first {
            let older = first.max(self.known.start.saturating_sub(PART_RECORDS))..self.known.start;
            let part = if self.known.end < end { self.known.end..end } else { older };
            let mut at = part.start;
            while at < part.end {
                let Fetched { items, next_offset } = kafka.fetch(dlq, partition, at).await?;
                if next_offset <= at {
                    // A client that has just begun with the partition may need longer than it waits.
                    sleep(EMPTY_PAUSE).await;
                }
                at = next_offset.max(at);
                for item in &items {
                    if let FetchedItem::Record(record) = item
                        && let Some((of, parked)) = Parked::read(record, topic)
                        // Older ones are read later.
                        && self.parked.get(&of).is_none_or(|known| known.written_at <= parked.written_at)
                    {
                        self.parked.insert(of, parked);
                    }
                }
            }
            self.known = self.known.start.min(part.start)..self.known.end.max(part.end);
        }
        Ok(())
    }
}

impl Parked {
    /// A dead letter of the topic, if it is of a parked user, with the partition and offset of its record.
    fn read(FetchedRecord { timestamp_ms, record, .. }: &FetchedRecord, topic: &str) -> Option<((i32, i64), Self)> {
        let header = |name: &str| std::str::from_utf8(record.headers.get(name)?).ok();
        if header("dlq_reason")? != PARKED || header("dlq_topic")? != topic {
            return None;
        }
        let at = (header("dlq_partition")?.parse().ok()?, header("dlq_offset")?.parse().ok()?);
        let subject = Subject::parse(std::str::from_utf8(record.key.as_ref()?).ok()?).ok()?;
        Some((at, Self { subject, written_at: timestamp_ms / 1000 }))
    }
}
