//! Finds a user's records among those of a partition.

use std::collections::HashSet;

use causeway_protocol::{deliver::Item, hub::ResetReason, subject::Subject};
use tokio::time::Instant;

use crate::{
    kafka::{FetchedItem, FetchedRecord, KafkaError, KafkaIo, Watermarks, is_marker},
    outbound::{OutboundChannel, decode_item},
};

/// What a scan may still read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    pub(super) records: usize,
    pub(super) bytes: usize,
    pub(super) until: Instant,
}

/// Reads one partition for one user.
pub(super) struct Scan<'a> {
    kafka: &'a dyn KafkaIo,
    pub(super) channel: &'a OutboundChannel,
    pub(super) partition: i32,
    pub(super) epoch: u32,
    /// The key of the user's records.
    key: String,
    budget: Budget,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A record.
    Item(Item),
    /// Records up to an offset can't be read, whoever they were for.
    Gap { last: i64, reason: ResetReason },
}

/// What a range has, up to where it was read.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) found: Vec<Found>,
    pub(super) next_offset: i64,
}

impl Budget {
    fn is_exhausted(&self) -> bool {
        self.records == 0 || self.bytes == 0 || Instant::now() >= self.until
    }

    fn take(&mut self, bytes: usize) {
        self.records = self.records.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

impl<'a> Scan<'a> {
    pub(super) fn new(
        kafka: &'a dyn KafkaIo,
        channel: &'a OutboundChannel,
        (partition, epoch): (i32, u32),
        subject: &Subject,
        budget: Budget,
    ) -> Self {
        Self { kafka, channel, partition, epoch, key: subject.to_string(), budget }
    }

    pub(super) fn is_exhausted(&self) -> bool {
        self.budget.is_exhausted()
    }

    pub(super) async fn watermarks(&self) -> Result<Watermarks, KafkaError> {
        self.kafka.watermarks(&self.channel.topic, self.partition).await
    }

    /// The first offset of a time or later, if there is one.
    pub(super) async fn offset_at(&self, time_ms: i64) -> Result<Option<i64>, KafkaError> {
        self.kafka.offset_at(&self.channel.topic, self.partition, time_ms).await
    }

    /// Reads a range, `to` excluded, until the budget is used up or the user's records have so many bytes. Reads at least
    /// one fetch.
    pub(super) async fn read(&mut self, from: i64, to: i64, max_bytes: usize) -> Result<Part, KafkaError> {
        let mut part = Part { found: Vec::new(), next_offset: from };
        let mut bytes = 0_usize;
        while part.next_offset < to {
            let fetched = self.kafka.fetch(&self.channel.topic, self.partition, part.next_offset).await?;
            if fetched.next_offset <= part.next_offset {
                return Err(KafkaError::Unavailable("no record where there was one".to_owned()));
            }
            for item in fetched.items {
                let (first, last) = offsets_of(&item);
                // A batch may begin before the offset that was asked for.
                if last < part.next_offset {
                    continue;
                }
                if first >= to {
                    break;
                }
                part.next_offset = last.saturating_add(1).min(to);
                if let Some(found) = self.find(item, part.next_offset) {
                    bytes = bytes.saturating_add(found.bytes());
                    part.found.push(found);
                }
                if bytes >= max_bytes {
                    return Ok(part);
                }
            }
            part.next_offset = part.next_offset.max(fetched.next_offset.min(to));
            if self.is_exhausted() {
                break;
            }
        }
        Ok(part)
    }

    fn find(&mut self, item: FetchedItem, next_offset: i64) -> Option<Found> {
        match item {
            FetchedItem::Record(record) => {
                self.budget.take(record.record.size());
                self.decode(&record).map(Found::Item)
            }
            // A marker is no record, so nobody misses it.
            FetchedItem::Undecodable { reason, .. } => (!is_marker(&reason))
                .then_some(Found::Gap { last: next_offset.saturating_sub(1), reason: ResetReason::Undeliverable }),
        }
    }

    /// A record of the user. One that does not conform was a dead letter, and is left out again.
    fn decode(&self, record: &FetchedRecord) -> Option<Item> {
        let is_users = record.record.key.as_deref() == Some(self.key.as_bytes());
        is_users.then(|| decode_item(record, self.channel, self.partition, self.epoch))?
    }
}

impl Found {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Item(item) => item.frame.len(),
            Self::Gap { .. } => 0,
        }
    }
}

fn offsets_of(item: &FetchedItem) -> (i64, i64) {
    match item {
        FetchedItem::Record(record) => (record.offset, record.offset),
        FetchedItem::Undecodable { first, last, .. } => (*first, *last),
    }
}

/// The messages that are known to be complete later on. Their pieces are not needed, as in a buffer.
#[derive(Debug, Default)]
pub(super) struct Finished(HashSet<String>);

impl Finished {
    /// Whether an item is needed. Items must be passed from the newest to the oldest.
    pub(super) fn needs(&mut self, item: &Item) -> bool {
        if let Some(message) = &item.completes {
            self.0.insert(message.clone());
            return true;
        }
        item.piece_of.as_ref().is_none_or(|message| !self.0.contains(message))
    }
}
