//! Reads and builds records: CloudEvents in binary mode, with the attributes as `ce_` headers.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use rskafka::record::{Record, RecordAndOffset};
use serde::{Deserialize, Serialize};

/// The `ce_source` of this program's records.
const SOURCE: &str = "/causeway/example-assistant";

/// A message from a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserMessage {
    /// `ce_id`, or the record's coordinates if it has none.
    pub(crate) id: String,
    /// Who wrote it: the record key. Answers carry the same key.
    pub(crate) subject: String,
    /// Its text.
    pub(crate) text: String,
    /// The trace, which every answer carries on.
    pub(crate) traceparent: Option<String>,
    /// The record's partition.
    pub(crate) partition: i32,
    /// The record's offset.
    pub(crate) offset: i64,
}

#[derive(Deserialize)]
struct Body {
    text: String,
}

impl UserMessage {
    /// Reads a message. Returns `None` for a record of another type or form, which is not for this program.
    pub(crate) fn read(found: &RecordAndOffset, partition: i32) -> Option<Self> {
        let RecordAndOffset { record, offset } = found;
        let header = |name: &str| record.headers.get(name).and_then(|value| String::from_utf8(value.clone()).ok());
        if header("ce_type").is_some_and(|kind| kind != "message") {
            return None;
        }
        let body: Body = serde_json::from_slice(record.value.as_deref()?).ok()?;
        Some(Self {
            id: header("ce_id").unwrap_or_else(|| format!("{partition}-{offset}")),
            subject: String::from_utf8(record.key.clone()?).ok()?,
            text: body.text,
            traceparent: header("traceparent"),
            partition,
            offset: *offset,
        })
    }

    /// The trace id within the traceparent.
    pub(crate) fn trace(&self) -> Option<&str> {
        self.traceparent.as_deref().and_then(|text| text.split('-').nth(1))
    }
}

/// A whole message, as the program writes it.
#[derive(Serialize)]
pub(crate) struct Message<'a> {
    /// Equal in all deltas and in the message that completes them.
    pub(crate) id: &'a str,
    /// `assistant`.
    pub(crate) role: &'a str,
    /// The whole text.
    pub(crate) text: &'a str,
}

/// A piece of a message that is not complete yet.
#[derive(Serialize)]
pub(crate) struct Delta<'a> {
    /// The message's id.
    pub(crate) id: &'a str,
    /// Counts from 0 without gaps.
    pub(crate) seq: usize,
    /// The text to append to the pieces before.
    pub(crate) text: &'a str,
}

/// Builds a record for the user who wrote `message`. `id` is its `ce_id`. It is derived from the inbound id, so that an
/// answer that is written twice is recognized as one.
pub(crate) fn record(
    message: &UserMessage,
    id: &str,
    kind: &str,
    data: &impl Serialize,
    now: DateTime<Utc>,
) -> anyhow::Result<Record> {
    let attributes = [
        ("ce_specversion", Some("1.0".to_owned())),
        ("ce_id", Some(id.to_owned())),
        ("ce_type", Some(kind.to_owned())),
        ("ce_source", Some(SOURCE.to_owned())),
        ("ce_subject", Some(message.subject.clone())),
        ("ce_time", Some(now.to_rfc3339_opts(SecondsFormat::Millis, true))),
        ("content-type", Some("application/json".to_owned())),
        ("traceparent", message.traceparent.clone()),
    ];
    let headers: BTreeMap<_, _> = attributes
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name.to_owned(), value.into_bytes())))
        .collect();
    let key = Some(message.subject.clone().into_bytes());
    Ok(Record { key, value: Some(serde_json::to_vec(data)?), headers, timestamp: now })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(kind: Option<&str>, value: &str) -> RecordAndOffset {
        let headers = kind.map(|kind| ("ce_type".to_owned(), kind.as_bytes().to_vec())).into_iter().collect();
        let record = Record {
            key: Some(b"github:1".to_vec()),
            value: Some(value.as_bytes().to_vec()),
            headers,
            timestamp: DateTime::default(),
        };
        RecordAndOffset { record, offset: 5 }
    }

    #[test]
    fn only_messages_are_answered() {
        assert_eq!(UserMessage::read(&found(Some("message"), r#"{"text":"hi"}"#), 1).unwrap().text, "hi");
        assert_eq!(UserMessage::read(&found(None, r#"{"text":"hi"}"#), 1).unwrap().id, "1-5");
        assert_eq!(UserMessage::read(&found(Some("form"), r#"{"text":"hi"}"#), 1), None);
        assert_eq!(UserMessage::read(&found(None, "hi"), 1), None);
    }

    #[test]
    fn an_answer_has_the_key_and_trace_of_its_message() {
        let mut message = UserMessage::read(&found(None, r#"{"text":"hi"}"#), 1).unwrap();
        message.traceparent = Some("00-aa-bb-01".to_owned());
        let delta = Delta { id: "m", seq: 0, text: "H" };
        let record = record(&message, "m.0", "delta", &delta, DateTime::default()).unwrap();
        assert_eq!(record.key.as_deref(), Some(b"github:1".as_slice()));
        assert_eq!(record.headers.get("traceparent").map(Vec::as_slice), Some(b"00-aa-bb-01".as_slice()));
        assert_eq!(record.value.as_deref(), Some(br#"{"id":"m","seq":0,"text":"H"}"#.as_slice()));
    }
}
