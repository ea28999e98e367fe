//! Users who were parked before a partition was claimed. Their gaps are in the memory of the instance that parked them,
//! but their dead letters are in Kafka, written before the checkpoint moved past the records. So whoever claims the
//! partition reads those, and queues the gaps before anything else. A buffer that has the gap skips it.

use std::{collections::HashMap, time::Duration};

use causeway_protocol::subject::Subject;
use tokio::{sync::Mutex, time::Instant};

use super::{partition::PartitionStart, router::PARKED};
use crate::{
    clock::unix_millis,
    dead_letter::dlq_topic,
    kafka::{FetchedItem, FetchedRecord, KafkaError, KafkaIo},
};

/// How old a dead letter may be. As long are users told of a hole.
const REMEMBERED_FOR: Duration = Duration::from_hours(7 * 24);

/// The maximum number of dead letters that are read of a partition of their topic, the newest.
const MAX_RECORDS: i64 = 10_000;

/// The longest time for reading. The partition is delivered without the rest then.
const MAX_TIME: Duration = Duration::from_secs(5);

/// The parked users of one topic.
#[derive(Debug, Default)]
pub(super) struct ParkedUsers(Mutex<Option<Reading>>);

/// What was read last. Partitions that are claimed at the same time share it.
#[derive(Debug)]
struct Reading {
    began: Instant,
    parked: Vec<Parked>,
}

/// A parked record.
#[derive(Debug)]
struct Parked {
    subject: Subject,
    partition: i32,
    offset: i64,
    /// In seconds of Unix time.
    written_at: i64,
}

impl ParkedUsers {
    /// The users who were parked in a partition that is claimed, with the offset of the last parked record of each.
    pub(super) async fn of(&self, kafka: &dyn KafkaIo, start: &PartitionStart) -> HashMap<Subject, i64> {
        let claimed = Instant::now();
        let mut last = self.0.lock().await;
        let reading = match last.take().filter(|reading| reading.began >= claimed) {
            Some(reading) => reading,
            None => Reading::new(kafka, &start.topic).await,
        };
        let mut users: HashMap<Subject, i64> = HashMap::new();
        // A record after the checkpoint is delivered again. One of an earlier epoch is of another topic.
        let is_of = |parked: &&Parked| {
            parked.partition == start.source.partition
                && parked.offset < start.next_offset
                && parked.written_at >= i64::from(start.source.epoch)
        };
        for parked in reading.parked.iter().filter(is_of) {
            let offset = users.entry(parked.subject.clone()).or_insert(parked.offset);
            *offset = parked.offset.max(*offset);
        }
        *last = Some(reading);
        users
    }
}

impl Reading {
    async fn new(kafka: &dyn KafkaIo, topic: &str) -> Self {
        let (began, mut parked) = (Instant::now(), Vec::new());
        let read = tokio::time::timeout(MAX_TIME, read(kafka, topic, &mut parked)).await;
        if !matches!(read, Ok(Ok(()))) {
            tracing::warn!(topic, ?read, "dead letters can't be read: some parked users hear of no gap");
        }
        Self { began, parked }
    }
}

async fn read(kafka: &dyn KafkaIo, topic: &str, parked: &mut Vec<Parked>) -> Result<(), KafkaError> {
    let dlq = dlq_topic(topic);
    let remembered_ms = i64::try_from(REMEMBERED_FOR.as_millis()).unwrap_or(i64::MAX);
    let since_ms = i64::try_from(unix_millis()).unwrap_or(i64::MAX).saturating_sub(remembered_ms);
    for partition in 0..kafka.partitions(&dlq).await?.unwrap_or(0) {
        let Some(first) = kafka.offset_at(&dlq, partition, since_ms).await? else { continue };
        let end = kafka.watermarks(&dlq, partition).await?.latest;
        let mut at = first.max(end.saturating_sub(MAX_RECORDS));
        while at < end {
            let fetched = kafka.fetch(&dlq, partition, at).await?;
            if fetched.next_offset <= at {
                break;
            }
            at = fetched.next_offset;
            parked.extend(fetched.items.iter().filter_map(|item| match item {
                FetchedItem::Record(record) => Parked::read(record, topic),
                FetchedItem::Undecodable { .. } => None,
            }));
        }
    }
    Ok(())
}

impl Parked {
    /// A dead letter of the topic, if it is of a parked user.
    fn read(FetchedRecord { timestamp_ms, record, .. }: &FetchedRecord, topic: &str) -> Option<Self> {
        let header = |name: &str| std::str::from_utf8(record.headers.get(name)?).ok();
        if header("dlq_reason")? != PARKED || header("dlq_topic")? != topic {
            return None;
        }
        Some(Self {
            subject: Subject::parse(std::str::from_utf8(record.key.as_ref()?).ok()?).ok()?,
            partition: header("dlq_partition")?.parse().ok()?,
            offset: header("dlq_offset")?.parse().ok()?,
            written_at: timestamp_ms / 1000,
        })
    }
}
