//! An item in a user's queue, and what is remembered of it while it is in a request.

use causeway_protocol::{
    cursor::Cursor,
    deliver::{Item, Source},
    frame::gap_frame,
    hub::ResetReason,
    subject::Subject,
};

use super::PartitionId;
use crate::span::Received;

/// The JSON around an item in a request, and what the queue needs for it, in bytes.
const AROUND_ITEM_BYTES: usize = 128;

/// An item that waits.
#[derive(Clone, Debug)]
pub(in super::super) struct Entry {
    pub(in super::super) item: Item,
    pub(in super::super) meta: Meta,
}

/// What a request does not carry.
#[derive(Clone, Debug)]
pub(in super::super) struct Meta {
    /// The partition that it comes from.
    pub(in super::super) partition: PartitionId,
    /// Its size in a request, and about its size in memory.
    pub(in super::super) bytes: usize,
    /// When Kafka got the record, in milliseconds of Unix time.
    pub(in super::super) timestamp_ms: i64,
    /// The trace that the record belongs to, if it is recorded.
    pub(in super::super) trace: Option<Box<Received>>,
    pub(in super::super) kind: Kind,
}

/// What an item stands for.
#[derive(Clone, Debug)]
pub(in super::super) enum Kind {
    /// A record.
    Record,
    /// The gap in place of a record that was refused alone. Once the gap is stored, the record is known to be at fault
    /// and becomes a dead letter. If the gap is refused, too, the fault is the sink's.
    Probe(Box<Item>),
    /// The gap in place of records that were parked, whose dead letters are on their way, or of a hole of the partition.
    Gap,
}

impl Entry {
    /// A record that was read.
    #[must_use]
    pub(in super::super) fn record(partition: PartitionId, item: Item, timestamp_ms: i64) -> Self {
        let bytes = request_bytes(&item);
        Self { item, meta: Meta { partition, bytes, timestamp_ms, trace: None, kind: Kind::Record } }
    }

    /// The gap after records that nobody gets. The last of them is `offset`.
    pub(in super::super) fn gap(partition: PartitionId, source: &Source, offset: i64, reason: ResetReason) -> Self {
        let item = gap_item(source, offset, reason);
        let bytes = request_bytes(&item);
        Self { item, meta: Meta { partition, bytes, timestamp_ms: 0, trace: None, kind: Kind::Gap } }
    }

    /// Puts a gap in place of a record that was refused, or the record back in place of the gap.
    pub(super) fn exchange_probe(self, source: &Source) -> Self {
        let Self { item, meta } = self;
        match meta.kind {
            Kind::Record => {
                let gap = gap_item(source, item.offset, ResetReason::Undeliverable);
                Self { item: gap, meta: Meta { kind: Kind::Probe(Box::new(item)), ..meta } }
            }
            Kind::Probe(record) => Self { item: *record, meta: Meta { kind: Kind::Record, ..meta } },
            Kind::Gap => Self { item, meta },
        }
    }
}

fn gap_item(source: &Source, offset: i64, reason: ResetReason) -> Item {
    let cursor = Cursor::of_record(&source.channel, source.partition, source.at(offset));
    Item { offset, frame: gap_frame(&cursor, reason), ..Item::default() }
}

/// What the router reports: it has no I/O of its own.
#[derive(Debug)]
pub(in super::super) enum Effect {
    /// An item is stored. Of a gap, nothing but its bytes is of interest.
    Stored { offset: i64, meta: Meta },
    /// A record was given up: it must become a dead letter, which holds its bytes until it is written.
    Dead { subject: Subject, item: Item, meta: Meta, reason: &'static str },
    /// A gap was queued, which holds these bytes.
    GapQueued { partition: PartitionId, bytes: usize },
    /// Another instance reads the partition. Its items were dropped.
    Stale(PartitionId),
}

/// The size of an item as JSON.
fn request_bytes(item: &Item) -> usize {
    let name = |name: &Option<String>| name.as_deref().map_or(0, json_bytes);
    AROUND_ITEM_BYTES + json_bytes(&item.frame) + name(&item.piece_of) + name(&item.completes)
}

/// The size of a text as a JSON string.
fn json_bytes(text: &str) -> usize {
    let escapes = text.bytes().map(|byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 8 | 12 => 1,
        0..32 => 5,
        _ => 0,
    });
    text.len() + escapes.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_covers_the_json_of_an_item() {
        let frame: String = (0..=255_u8).map(char::from).collect();
        let name = Some("\"\\".repeat(64));
        for item in [
            Item { offset: i64::MAX, frame, piece_of: name.clone(), completes: name },
            Item { offset: i64::MIN, ..Item::default() },
        ] {
            let json = serde_json::to_string(&item).unwrap();
            assert!((json.len()..=json.len() + AROUND_ITEM_BYTES).contains(&request_bytes(&item)));
        }
    }
}
