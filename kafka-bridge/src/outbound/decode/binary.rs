//! A CloudEvent in binary mode: each attribute is a `ce_` header, the value is the data. Without any of them the value
//! is plain JSON, from a backend that does not use CloudEvents.

use causeway_protocol::event::ECHO_HEADER;
use serde_json::value::RawValue;

use super::{
    DecodeError,
    event::{Attributes, Decoded},
    header::{Headers, attribute, check_version, optional, traceparent},
    place::Place,
};

/// Reads an event. Attributes that are left out get defaults.
pub(super) fn read(headers: &Headers, json: &str, place: &Place<'_>) -> Result<Decoded, DecodeError> {
    if let Some(specversion) = attribute(headers, "ce_specversion")? {
        check_version(specversion)?;
    }
    let attributes = Attributes {
        id: attribute(headers, "ce_id")?,
        kind: attribute(headers, "ce_type")?,
        time: optional(headers, "ce_time"),
        traceparent: traceparent(headers),
        is_echo: optional(headers, ECHO_HEADER) == Some("true"),
    };
    let data: Box<RawValue> = serde_json::from_str(json).map_err(|_| DecodeError::NotJson)?;
    Ok(attributes.into_event(place, data))
}
