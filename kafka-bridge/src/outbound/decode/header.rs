//! Reads a record's headers: attributes of the event, and the format of the value.

use std::collections::BTreeMap;

use causeway_protocol::trace::TRACEPARENT_HEADER;

use super::DecodeError;

/// The longest attribute that is read, in bytes.
pub(super) const MAX_ATTRIBUTE_BYTES: usize = 256;

/// The header of the value's media type.
pub(super) const CONTENT_TYPE: &str = "content-type";

const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";

/// With this prefix the CloudEvents Kafka binding recognises its structured mode, whatever the format.
const ANY_STRUCTURED: &str = "application/cloudevents";

pub(super) type Headers = BTreeMap<String, Vec<u8>>;

/// Where a record contains its event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// The attributes are headers, the value is the data.
    Binary,
    /// The value contains the whole event.
    Structured,
    /// The value is a list of whole events.
    Batch,
}

/// The format that the content type announces.
pub(super) fn format(headers: &Headers) -> Result<Format, DecodeError> {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| std::str::from_utf8(value).ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    let is_structured =
        media_type.get(..ANY_STRUCTURED.len()).is_some_and(|start| start.eq_ignore_ascii_case(ANY_STRUCTURED));
    if !is_structured {
        Ok(Format::Binary)
    } else if media_type.eq_ignore_ascii_case(STRUCTURED) {
        Ok(Format::Structured)
    } else if media_type.eq_ignore_ascii_case(BATCH) {
        Ok(Format::Batch)
    } else {
        Err(DecodeError::UnsupportedFormat)
    }
}

/// An attribute that must be usable if it is there.
pub(super) fn attribute<'a>(headers: &'a Headers, name: &str) -> Result<Option<&'a str>, DecodeError> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = std::str::from_utf8(value).map_err(|_| DecodeError::BadAttribute)?;
    check_attribute(text).map(Some)
}

/// Checks an attribute that an event can't do without.
pub(super) fn check_attribute(text: &str) -> Result<&str, DecodeError> {
    if (1..=MAX_ATTRIBUTE_BYTES).contains(&text.len()) { Ok(text) } else { Err(DecodeError::BadAttribute) }
}

/// An attribute that is ignored if it can't be used.
pub(super) fn optional<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    attribute(headers, name).ok().flatten()
}

/// The trace: instrumented producers write a header of its own; as an attribute of CloudEvents it has a prefix.
pub(super) fn traceparent(headers: &Headers) -> Option<&str> {
    optional(headers, TRACEPARENT_HEADER).or_else(|| optional(headers, "ce_traceparent"))
}

/// Checks the version of CloudEvents. Minor versions only add.
pub(super) fn check_version(specversion: &str) -> Result<(), DecodeError> {
    if specversion.starts_with("1.") { Ok(()) } else { Err(DecodeError::UnsupportedVersion) }
}
