//! Turns an event into a Kafka record: a CloudEvent 1.0 in binary mode. Each attribute is a header; the value is the
//! data, byte for byte.

use std::collections::BTreeMap;

use causeway_protocol::{
    event::{InboundEvent, is_name},
    trace::is_traceparent,
};
use chrono::DateTime;
use sha2::{Digest as _, Sha256};

use crate::kafka::NewRecord;

/// The longest id, in bytes.
const MAX_ID_BYTES: usize = 256;

/// The longest source, in bytes.
const MAX_SOURCE_BYTES: usize = 2048;

/// Checks that an event's attributes may become headers.
pub(super) fn check(event: &InboundEvent) -> Result<(), &'static str> {
    let printable = |text: &str, limit: usize| {
        (1..=limit).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
    };
    if !printable(&event.id, MAX_ID_BYTES) {
        return Err("id must be 1-256 printable characters");
    }
    if !is_name(&event.kind) {
        return Err("type must be 1-64 letters, digits, dots, underscores or hyphens");
    }
    if !printable(&event.source, MAX_SOURCE_BYTES) {
        return Err("source must be 1-2048 printable characters");
    }
    if DateTime::parse_from_rfc3339(&event.time).is_err() {
        return Err("time must be of RFC 3339");
    }
    if event.traceparent.as_deref().is_some_and(|text| !is_traceparent(text)) {
        return Err("traceparent must be of W3C Trace Context");
    }
    Ok(())
}

/// A digest of the event's content. Two events with the same id are the same event only if their fingerprints are
/// equal. Time and trace are left out, because they differ between a request and its repeat.
pub(super) fn fingerprint(event: &InboundEvent) -> [u8; 32] {
    let mut digest = Sha256::new();
    // A type contains no line break, so the separator is unambiguous.
    digest.update(event.kind.as_bytes());
    digest.update(b"\n");
    digest.update(event.data.get().as_bytes());
    digest.finalize().into()
}

/// The record of a checked event. `key` is the subject in text form.
pub(super) fn from_event(key: String, event: InboundEvent) -> NewRecord {
    let attributes = [
        ("ce_specversion", Some("1.0".to_owned())),
        ("ce_id", Some(event.id)),
        ("ce_type", Some(event.kind)),
        ("ce_source", Some(event.source)),
        ("ce_subject", Some(key.clone())),
        ("ce_time", Some(event.time)),
        ("content-type", Some("application/json".to_owned())),
        ("traceparent", event.traceparent),
    ];
    let headers: BTreeMap<_, _> = attributes
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name.to_owned(), value.into_bytes())))
        .collect();
    NewRecord { key: Some(key.into_bytes()), value: Some(event.data.get().as_bytes().to_vec()), headers }
}
