//! A Kafka record as a stream's event: a CloudEvent in binary mode, or plain JSON from a backend that knows no
//! CloudEvents. Whatever is neither is poison.

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

/// Longest id or type, in bytes.
const MAX_ATTRIBUTE_BYTES: usize = 256;

/// Type of an event without `ce_type`.
const DEFAULT_KIND: &str = "message";

/// Type of a record without a value: Kafka's own sign for a deletion.
const DELETE_KIND: &str = "delete";

/// A record that can be delivered.
#[derive(Clone, Debug)]
pub(super) struct Addressed {
    /// To whom.
    pub(super) subject: Subject,
    /// What.
    pub(super) record: Record,
    /// Its size within a request, roughly, in bytes.
    pub(super) size: usize,
}

/// Why a record can't be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Poison {
    /// There is no record key.
    #[error("there is no key, so nobody is addressed")]
    NoKey,
    /// The record key is no `tenant:user`.
    #[error("the key is no tenant:user")]
    BadKey,
    /// An attribute can't be used.
    #[error("an attribute is empty, too long or no text")]
    BadAttribute,
    /// The value is no UTF-8.
    #[error("the value is no UTF-8")]
    NotUtf8,
    /// The value is no JSON.
    #[error("the value is no JSON")]
    NotJson,
    /// The event is larger than a stream carries.
    #[error("the event is larger than a stream carries")]
    TooLarge,
}

impl Poison {
    /// The dead letter's word for it.
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
/// [`Poison`] if it can't be delivered to anyone.
pub(super) fn decode(fetched: &FetchedRecord, epoch: u32, partition: i32) -> Result<Addressed, Poison> {
    let record = &fetched.record;
    let key = std::str::from_utf8(record.key.as_deref().ok_or(Poison::NoKey)?).map_err(|_| Poison::BadKey)?;
    let subject = Subject::parse(key).map_err(|_| Poison::BadKey)?;
    let text =
        |name: &str| record.headers.get(name).map(|value| std::str::from_utf8(value).map_err(|_| Poison::BadAttribute));
    let attribute = |name: &str| match text(name).transpose()? {
        Some(value) if value.is_empty() || value.len() > MAX_ATTRIBUTE_BYTES => Err(Poison::BadAttribute),
        other => Ok(other),
    };

    let id = attribute("ce_id")?.map_or_else(|| format!("{partition}-{}", fetched.offset), str::to_owned);
    let (kind, json) = match record.value.as_deref() {
        Some(value) => {
            (attribute("ce_type")?.unwrap_or(DEFAULT_KIND), std::str::from_utf8(value).map_err(|_| Poison::NotUtf8)?)
        }
        None => (DELETE_KIND, "null"),
    };
    // Parsing costs in proportion to the size; what is too large anyway need not be parsed.
    if json.len() > MAX_RECORD_BYTES {
        return Err(Poison::TooLarge);
    }
    let data: Box<RawValue> = serde_json::from_str(json).map_err(|_| Poison::NotJson)?;
    // A bad time or trace says nothing about the message, so it is left out rather than the message.
    let time = attribute("ce_time").ok().flatten().filter(|time| DateTime::parse_from_rfc3339(time).is_ok());
    let time = time.map_or_else(|| rfc3339(fetched.timestamp_ms), str::to_owned);
    let traceparent = attribute("traceparent").ok().flatten().filter(|text| is_traceparent(text)).map(str::to_owned);

    let cursor = Cursor { epoch, partition, offset: fetched.offset };
    let event = StreamEvent { id, kind: kind.to_owned(), time, traceparent, data };
    let size = serde_json::to_string(&event).map_or(usize::MAX, |json| json.len());
    if size > MAX_RECORD_BYTES {
        return Err(Poison::TooLarge);
    }
    Ok(Addressed { subject, record: Record { cursor, event }, size: size + 64 })
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
    fn a_cloud_event_keeps_its_attributes_and_its_bytes() {
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
    fn plain_json_is_a_message_of_the_records_time() {
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
    fn poison_is_told_apart() {
        let long = vec![b'"'; MAX_RECORD_BYTES + 1];
        let limit = format!("\"{}\"", "x".repeat(MAX_RECORD_BYTES - 2));
        for (key, value, headers, reason) in [
            (None, b"{}".as_slice(), vec![], Poison::NoKey),
            (Some(b"nokey".as_slice()), b"{}", vec![], Poison::BadKey),
            (Some(b"a:\xff"), b"{}", vec![], Poison::BadKey),
            (Some(b"a:b"), b"{\"text\":\"\xff\"}", vec![], Poison::NotUtf8),
            (Some(b"a:b"), b"{} {}", vec![], Poison::NotJson),
            (Some(b"a:b"), b"", vec![], Poison::NotJson),
            (Some(b"a:b"), &long, vec![], Poison::TooLarge),
            (Some(b"a:b"), limit.as_bytes(), vec![], Poison::TooLarge),
            (Some(b"a:b"), b"{}", vec![("ce_id", b"".as_slice())], Poison::BadAttribute),
            (Some(b"a:b"), b"{}", vec![("ce_type", b"\xff")], Poison::BadAttribute),
        ] {
            assert_eq!(decode(&record(key, Some(value), &headers), 0, 0).unwrap_err(), reason);
        }
    }
}
