//! What a user said, as Kafka records: CloudEvents 1.0 in binary mode. Each attribute is a header; the value is the
//! data, byte for byte.

use std::collections::BTreeMap;

use causeway_protocol::{
    channel::Channel,
    event::{ECHO_HEADER, InboundEvent, is_name},
    trace::is_traceparent,
};
use chrono::DateTime;
use sha2::{Digest as _, Sha256};

use crate::{
    kafka::NewRecord,
    outbound::{EchoKeys, SIGNATURE_HEADER},
};

/// The longest id, in bytes.
const MAX_ID_BYTES: usize = 256;

/// The longest source, in bytes.
const MAX_SOURCE_BYTES: usize = 2048;

/// The names of the headers and the values that are always the same, approximately.
const FIXED_BYTES: usize = 128;

/// Which of an event's two records is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Destination {
    /// The one in the channel's inbound topic, for backends.
    Inbound,
    /// The one in the channel's outbound topic, for the user's own streams.
    Echo,
}

/// Signs the echoes of a channel that delivers only signed records.
pub(super) struct EchoSigner {
    pub(super) channel: Channel,
    pub(super) keys: EchoKeys,
}

impl EchoSigner {
    /// Adds the signature. Without a key, which a ring always has, the echo would become a dead letter.
    pub(super) fn sign(&self, record: &mut NewRecord) {
        if let Some(signature) = self.keys.sign(&self.channel, record) {
            record.headers.insert(SIGNATURE_HEADER.to_owned(), signature.into_bytes());
        }
    }
}

/// A checked event.
pub(super) struct Said {
    pub(super) event: InboundEvent,
    /// The subject in text form, which is the key of the records.
    pub(super) key: String,
    /// Equal for an event and its repeats: a digest of channel, subject and id.
    pub(super) identity: u128,
    /// A digest of the event's content. Two events with the same identity are the same event only if their fingerprints
    /// are equal.
    pub(super) fingerprint: u128,
}

impl Said {
    /// Checks that an event's attributes may become headers.
    pub(super) fn new(event: InboundEvent) -> Result<Self, &'static str> {
        check(&event)?;
        let key = event.subject.to_string();
        // Neither channel nor subject contains a space, so the separator is unambiguous.
        let identity = digest(&[&event.channel, " ", &key, " ", &event.id]);
        // Time and trace are left out, because they differ between a request and its repeat. A type contains no line
        // break.
        let fingerprint = fingerprint(&event.kind, event.data.get());
        Ok(Self { event, key, identity, fingerprint })
    }

    /// The approximate size of one of its records. An echo has a header more.
    pub(super) fn size(&self) -> usize {
        let InboundEvent { id, kind, source, time, traceparent, data, .. } = &self.event;
        let attributes: usize = [id, kind, source, time].iter().map(|text| text.len()).sum();
        FIXED_BYTES + 2 * self.key.len() + attributes + traceparent.as_ref().map_or(0, String::len) + data.get().len()
    }

    /// Builds one of its records.
    pub(super) fn record(&self, destination: Destination) -> NewRecord {
        let event = &self.event;
        let attributes = [
            ("ce_specversion", Some("1.0")),
            ("ce_id", Some(event.id.as_str())),
            ("ce_type", Some(event.kind.as_str())),
            ("ce_source", Some(event.source.as_str())),
            ("ce_subject", Some(self.key.as_str())),
            ("ce_time", Some(event.time.as_str())),
            (ECHO_HEADER, (destination == Destination::Echo).then_some("true")),
            ("content-type", Some("application/json")),
            ("traceparent", event.traceparent.as_deref()),
        ];
        let headers: BTreeMap<_, _> = attributes
            .into_iter()
            .filter_map(|(name, value)| value.map(|value| (name.to_owned(), value.as_bytes().to_vec())))
            .collect();
        let value = event.data.get().as_bytes().to_vec();
        NewRecord { key: Some(self.key.as_bytes().to_vec()), value: Some(value), headers }
    }
}

fn check(event: &InboundEvent) -> Result<(), &'static str> {
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

fn fingerprint(kind: &str, data: &str) -> u128 {
    digest(&[kind, "\n", data])
}

/// The fingerprint of the event that a record is of.
pub(super) fn fingerprint_of(record: &NewRecord) -> Option<u128> {
    let kind = str::from_utf8(record.headers.get("ce_type")?).ok()?;
    Some(fingerprint(kind, str::from_utf8(record.value.as_deref()?).ok()?))
}

/// The first half of a SHA-256. Nobody finds two texts with the same half.
fn digest(parts: &[&str]) -> u128 {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part.as_bytes());
    }
    let bytes: [u8; 32] = digest.finalize().into();
    bytes.iter().take(16).fold(0, |number, byte| (number << 8) | u128::from(*byte))
}
