//! Decodes a Kafka record into the item that its user receives. docs/events.md is the contract with the backends that
//! write the records. A record that does not conform is a dead letter.
//!
//! - [`rules`]: what a channel demands of its records
//! - [`signature`]: proves who wrote a record
//! - [`header`]: reads a record's headers, and which format they announce
//! - [`binary`]: a CloudEvent in binary mode, or plain JSON
//! - [`structured`]: a CloudEvent in structured mode, or a batch of them
//! - [`tombstone`]: a record without a value, which deletes something
//! - [`schema_registry`]: the frame before the value of a producer with a schema registry
//! - [`event`]: builds a stream's event from attributes and data
//! - [`piece`]: which message an event is a piece of, or completes
//! - [`place`]: where a record was read
//! - [`error`]: why a record is a dead letter

mod binary;
mod error;
mod event;
mod header;
mod piece;
mod place;
mod rules;
mod schema_registry;
mod signature;
mod structured;
mod tombstone;

use causeway_protocol::{
    deliver::{Item, MAX_RECORD_BYTES},
    frame::record_frame,
    subject::Subject,
};

pub(super) use self::{error::DecodeError, place::Coordinates};
use self::{event::Decoded, header::Format, place::Place};
pub use self::{
    rules::ChannelRules,
    signature::{Algorithm, EchoKeys, RecordKeys, RecordKeysError, SIGNATURE_HEADER},
};
use crate::kafka::FetchedRecord;

/// An item and its recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Addressed {
    /// The recipient.
    pub(super) subject: Subject,
    /// The item, as it is delivered.
    pub(super) item: Item,
    /// The `traceparent` of the record, or of its first event.
    pub(super) traceparent: Option<String>,
}

/// Decodes one record of a partition.
///
/// # Errors
/// [`DecodeError`] if the record can't be delivered.
pub(super) fn decode(
    fetched: &FetchedRecord,
    rules: &ChannelRules,
    at: Coordinates<'_>,
) -> Result<Addressed, DecodeError> {
    let record = &fetched.record;
    let key = record.key.as_deref().ok_or(DecodeError::NoKey)?;
    let key = std::str::from_utf8(key).map_err(|_| DecodeError::BadKey)?;
    let subject = Subject::parse(key).map_err(|_| DecodeError::BadKey)?;

    // The time that every later step takes grows with the size, so the limit is checked first.
    let max_bytes = rules.max_record_bytes.min(MAX_RECORD_BYTES);
    if record.value.as_ref().is_some_and(|value| value.len() > max_bytes) {
        return Err(DecodeError::TooLarge);
    }
    if let Some(keys) = &rules.signature {
        keys.verify(at.channel, record)?;
    }
    let place = Place { at, offset: fetched.offset, timestamp_ms: fetched.timestamp_ms };
    let events = read_events(fetched, key, rules, &place)?;
    let item = to_item(&events, max_bytes, &place)?;
    let traceparent = events.into_iter().next().and_then(|decoded| decoded.event.traceparent);
    Ok(Addressed { subject, item, traceparent })
}

fn read_events(
    fetched: &FetchedRecord,
    key: &str,
    rules: &ChannelRules,
    place: &Place<'_>,
) -> Result<Vec<Decoded>, DecodeError> {
    let headers = &fetched.record.headers;
    let Some(value) = fetched.record.value.as_deref() else {
        return Ok(vec![tombstone::read(headers, key, place)?]);
    };
    let format = header::format(headers)?;
    let value = schema_registry::payload(value, rules.schema_registry)?;
    let json = std::str::from_utf8(value).map_err(|_| DecodeError::NotUtf8)?;
    match format {
        Format::Binary => Ok(vec![binary::read(headers, json, place)?]),
        Format::Structured => Ok(vec![structured::read(headers, json, place)?]),
        Format::Batch => structured::read_batch(headers, json, place),
    }
}

fn to_item(events: &[Decoded], max_bytes: usize, place: &Place<'_>) -> Result<Item, DecodeError> {
    let mut texts = Vec::with_capacity(events.len());
    let mut bytes = 0_usize;
    for decoded in events {
        let text = serde_json::to_string(&decoded.event).map_err(|_| DecodeError::NotJson)?;
        bytes = bytes.saturating_add(text.len());
        texts.push(text);
    }
    if bytes > max_bytes {
        return Err(DecodeError::TooLarge);
    }
    let frame = record_frame(&place.cursor(), &texts);
    if frame.len() > max_bytes {
        return Err(DecodeError::TooLarge);
    }
    let (piece_of, completes) = piece::of_record(place.at.channel, events.iter().map(|decoded| &decoded.role));
    Ok(Item { offset: place.offset, frame, piece_of, completes })
}

#[cfg(test)]
mod tests;
