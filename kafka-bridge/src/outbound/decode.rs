//! Decodes a Kafka record into a stream's event: a CloudEvent in binary mode, or plain JSON from a backend that does
//! not use CloudEvents. Any other record is a poison record.

use causeway_protocol::{
    cursor::Cursor,
    deliver::{MAX_RECORD_BYTES, Record},
    event::StreamEvent,
    subject::Subject,
    trace::is_traceparent,
};
use chrono::{DateTime, SecondsFormat};
use serde_json::value::RawValue;

use crate::kafka::FetchedRecord;

/// The longest id or type, in bytes.
const MAX_ATTRIBUTE_BYTES: usize = 256;

/// Type of an event without `ce_type`.
const DEFAULT_KIND: &str = "message";

/// Type of a record without a value, which is Kafka's convention for a deletion.
const DELETE_KIND: &str = "delete";

/// A record and its recipient.
#[derive(Clone, Debug)]
pub(super) struct AddressedRecord {
    /// The recipient.
    pub(super) subject: Subject,
    /// The record, as it is delivered.
    pub(super) record: Record,
    /// Its approximate size within a request, in bytes.
    pub(super) size: usize,
}

/// Why a poison record can't be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum DecodeError {
    /// The record has no key.
    #[error("the record has no key")]
    NoKey,
    /// The key is not of the form `tenant:user`.
    #[error("the key is not of the form tenant:user")]
    BadKey,
    /// An attribute can't be used.
    #[error("an attribute is empty, too long or not UTF-8")]
    BadAttribute,
    /// The value is not UTF-8.
    #[error("the value is not UTF-8")]
    NotUtf8,
    /// The value is not JSON.
    #[error("the value is not JSON")]
    NotJson,
    /// The event is larger than a stream carries.
    #[error("the event is larger than a stream carries")]
    TooLarge,
}

impl DecodeError {
    /// The dead letter's reason.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::NoKey => "no_key",
            Self::BadKey => "key_not_a_subject",
            Self::BadAttribute => "bad_attribute",
            Self::NotUtf8 => "value_not_utf8",
            Self::NotJson => "value_not_json",
            Self::TooLarge => "too_large",
        }
    }
}

/// Decodes one record of a partition.
///
/// # Errors
/// [`DecodeError`] if the record can't be delivered.
pub(super) fn decode(fetched: &FetchedRecord, epoch: u32, partition: i32) -> Result<AddressedRecord, DecodeError> {
    let record = &fetched.record;
    let key = std::str::from_utf8(record.key.as_deref().ok_or(DecodeError::NoKey)?).map_err(|_| DecodeError::BadKey)?;
    let subject = Subject::parse(key).map_err(|_| DecodeError::BadKey)?;
    let text = |name: &str| {
        record.headers.get(name).map(|value| std::str::from_utf8(value).map_err(|_| DecodeError::BadAttribute))
    };
    let attribute = |name: &str| match text(name).transpose()? {
        Some(value) if value.is_empty() || value.len() > MAX_ATTRIBUTE_BYTES => Err(DecodeError::BadAttribute),
        other => Ok(other),
    };

    let id = attribute("ce_id")?.map_or_else(|| format!("{partition}-{}", fetched.offset), str::to_owned);
    let (kind, json) = match record.value.as_deref() {
        Some(value) => (
            attribute("ce_type")?.unwrap_or(DEFAULT_KIND),
            std::str::from_utf8(value).map_err(|_| DecodeError::NotUtf8)?,
        ),
        None => (DELETE_KIND, "null"),
    };
    // Parsing time grows with the size, so the limit is checked first.
    if json.len() > MAX_RECORD_BYTES {
        return Err(DecodeError::TooLarge);
    }
    let data: Box<RawValue> = serde_json::from_str(json).map_err(|_| DecodeError::NotJson)?;
    // A malformed time or trace does not make the event unusable: only that attribute is ignored.
    let time = attribute("ce_time").ok().flatten().filter(|time| DateTime::parse_from_rfc3339(time).is_ok());
    let time = time.map_or_else(|| rfc3339(fetched.timestamp_ms), str::to_owned);
    let traceparent = attribute("traceparent").ok().flatten().filter(|text| is_traceparent(text)).map(str::to_owned);

    let cursor = Cursor { epoch, partition, offset: fetched.offset };
    let event = StreamEvent { id, kind: kind.to_owned(), time, traceparent, data };
    let size = serde_json::to_string(&event).map_or(usize::MAX, |json| json.len());
    if size > MAX_RECORD_BYTES {
        return Err(DecodeError::TooLarge);
    }
    Ok(AddressedRecord { subject, record: Record { cursor, event }, size: size + 64 })
}

fn rfc3339(timestamp_ms: i64) -> String {
    DateTime::from_timestamp_millis(timestamp_ms).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::NewRecord;

    fn record(key: Option<&[u8]>, value: Option<&[u8]>, headers: &[(&str, &[u8])]) -> FetchedRecord {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect();
        let record = NewRecord { key: key.map(<[u8]>::to_vec), value: value.map(<[u8]>::to_vec), headers };
        FetchedRecord { offset: 7, timestamp_ms: 1_700_000_000_123, record }
    }

    fn event_json(fetched: &FetchedRecord) -> String {
        serde_json::to_string(&decode(fetched, 0, 3).unwrap().record.event).unwrap()
    }

    #[test]
    fn a_cloud_event_keeps_its_attributes_and_bytes() {
        let trace = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".as_slice();
        let headers = [
            ("ce_id", b"e1".as_slice()),
            ("ce_type", b"delta"),
            ("ce_time", b"2026-01-02T03:04:05Z"),
            ("traceparent", trace),
        ];
        let fetched = record(Some(b"github:1"), Some(br#"{"n":1.0000000000000000001}"#), &headers);
        assert_eq!(
            event_json(&fetched),
            r#"{"id":"e1","type":"delta","time":"2026-01-02T03:04:05Z","traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","data":{"n":1.0000000000000000001}}"#
        );
        assert_eq!(decode(&fetched, 2, 3).unwrap().record.cursor.to_string(), "v1.2.3.7");
    }

    #[test]
    fn plain_json_is_a_message_with_the_records_time() {
        assert_eq!(
            event_json(&record(Some(b"github:1"), Some(br#"{"text":"hi"}"#), &[("ce_time", b"yesterday")])),
            r#"{"id":"3-7","type":"message","time":"2023-11-14T22:13:20.123Z","data":{"text":"hi"}}"#
        );
    }

    #[test]
    fn a_null_value_is_a_deletion() {
        let json = event_json(&record(Some(b"github:1"), None, &[("ce_id", b"e1"), ("ce_type", b"message")]));
        assert_eq!(json, r#"{"id":"e1","type":"delete","time":"2023-11-14T22:13:20.123Z","data":null}"#);
    }

    #[test]
    fn each_kind_of_poison_record_has_its_reason() {
        let long = vec![b'"'; MAX_RECORD_BYTES + 1];
        let limit = format!("\"{}\"", "x".repeat(MAX_RECORD_BYTES - 2));
        for (key, value, headers, reason) in [
            (None, b"{}".as_slice(), vec![], DecodeError::NoKey),
            (Some(b"nokey".as_slice()), b"{}", vec![], DecodeError::BadKey),
            (Some(b"a:\xff"), b"{}", vec![], DecodeError::BadKey),
            (Some(b"a:b"), b"{\"text\":\"\xff\"}", vec![], DecodeError::NotUtf8),
            (Some(b"a:b"), b"{} {}", vec![], DecodeError::NotJson),
            (Some(b"a:b"), b"", vec![], DecodeError::NotJson),
            (Some(b"a:b"), &long, vec![], DecodeError::TooLarge),
            (Some(b"a:b"), limit.as_bytes(), vec![], DecodeError::TooLarge),
            (Some(b"a:b"), b"{}", vec![("ce_id", b"".as_slice())], DecodeError::BadAttribute),
            (Some(b"a:b"), b"{}", vec![("ce_type", b"\xff")], DecodeError::BadAttribute),
        ] {
            assert_eq!(decode(&record(key, Some(value), &headers), 0, 0).unwrap_err(), reason);
        }
    }
}
