//! What the steps of the cases are made of.

use std::{ops::Range, time::Duration};

use super::{Received, START, Step};
use crate::{
    channel::Channel,
    cursor::{Cursor, Position},
    deliver::{Item, Outcome, Slice, Source},
    frame::{gap_frame, record_frame},
    hub::ResetReason,
};

pub(super) fn append(at: Duration, slice: Slice) -> Step {
    Step::Append { at, slice, expected: Outcome::Stored }
}

pub(super) fn open(at: Duration, last_event_id: Option<&str>, expected: Vec<Received>) -> Step {
    Step::Open { at, last_event_id: last_event_id.map(str::to_owned), channels: Vec::new(), expected }
}

pub(super) fn open_channels(channel: &str, last_event_id: Option<&str>, expected: Vec<Received>) -> Step {
    let channels = Channel::parse(channel).into_iter().collect();
    Step::Open { at: START, last_event_id: last_event_id.map(str::to_owned), channels, expected }
}

pub(super) fn read_on(expected: Vec<Received>) -> Step {
    Step::ReadOn { expected }
}

/// Records of one partition of the channel `chat`, in epoch 1, whose data is the offset.
pub(super) fn slice(partition: i32, offsets: Range<i64>) -> Slice {
    with_frames(partition, offsets, |cursor| record_frame(cursor, &[cursor.position.offset.to_string()]))
}

/// The least size of a large record's frame, in bytes.
pub(super) const LARGE_BYTES: usize = 60_000;

/// Records that are larger than a page together, and whose characters take several bytes.
pub(super) fn large_records(offsets: Range<i64>) -> Slice {
    let event = format!("\"{}\"", "ü\\u0000".repeat(LARGE_BYTES / 8));
    with_frames(0, offsets, |cursor| record_frame(cursor, std::slice::from_ref(&event)))
}

pub(super) fn gap(partition: i32, offset: i64, reason: ResetReason) -> Slice {
    with_frames(partition, offset..offset + 1, |cursor| gap_frame(cursor, reason))
}

pub(super) fn with_frames(partition: i32, offsets: Range<i64>, frame: impl Fn(&Cursor) -> String) -> Slice {
    let source = source(partition);
    let item = |offset| {
        let cursor = Cursor::of_record(&source.channel, partition, source.at(offset));
        Item { offset, frame: frame(&cursor), ..Item::default() }
    };
    Slice { items: offsets.map(item).collect(), after: None, source }
}

pub(super) fn source(partition: i32) -> Source {
    Source { channel: chat(), partition, epoch: 1, generation: 1 }
}

#[expect(clippy::expect_used, reason = "a constant that is a name")]
pub(super) fn chat() -> Channel {
    Channel::parse("chat").expect("a name")
}

pub(super) fn in_epoch(epoch: u32, slice: Slice) -> Slice {
    of_source(Source { epoch, ..slice.source.clone() }, slice)
}

pub(super) fn of_generation(generation: u64, slice: Slice) -> Slice {
    of_source(Source { generation, ..slice.source.clone() }, slice)
}

pub(super) fn of_channel(channel: &str, slice: Slice) -> Slice {
    let channel = Channel::parse(channel).unwrap_or_else(|_| chat());
    of_source(Source { channel, ..slice.source.clone() }, slice)
}

/// The same records, from elsewhere.
pub(super) fn of_source(source: Source, slice: Slice) -> Slice {
    let frame = |offset: i64| {
        let cursor = Cursor::of_record(&source.channel, source.partition, source.at(offset));
        record_frame(&cursor, &[offset.to_string()])
    };
    let items = slice.items.into_iter().map(|item| Item { frame: frame(item.offset), ..item }).collect();
    Slice { source, after: None, items }
}

pub(super) fn pieces_of(message: &str, mut slice: Slice) -> Slice {
    slice.items.iter_mut().for_each(|item| item.piece_of = Some(message.to_owned()));
    slice
}

pub(super) fn completing(message: &str, mut slice: Slice) -> Slice {
    slice.items.iter_mut().for_each(|item| item.completes = Some(message.to_owned()));
    slice
}

/// Records of the channel `chat`, in epoch 1, as a stream receives them.
pub(super) fn received(partition: i32, offsets: Range<i64>) -> Vec<Received> {
    offsets.map(|offset| record_at(partition, offset)).collect()
}

/// Records are missing up to this one.
pub(super) fn missing(partition: i32, until: i64) -> Vec<Received> {
    vec![Received::Missing(record_id(partition, until))]
}

pub(super) fn record_at(partition: i32, offset: i64) -> Received {
    Received::Record(record_id(partition, offset))
}

pub(super) fn record_id(partition: i32, offset: i64) -> String {
    Cursor::of_record(&chat(), partition, Position { epoch: 1, offset }).to_string()
}
