//! Reads and builds records: CloudEvents in binary mode, with the attributes as `ce_` headers.

use std::{borrow::Cow, collections::BTreeMap};

use chrono::{DateTime, SecondsFormat, Utc};
use rskafka::record::{Record, RecordAndOffset};
use serde::{Deserialize, Serialize};

/// The `ce_source` of this program's records.
const SOURCE: &str = "/causeway/example-assistant";

/// What a user says or asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserMessage {
    /// `ce_id`, or the record's coordinates if it has none.
    pub(crate) id: String,
    /// Who wrote it: the record key. Answers carry the same key.
    pub(crate) subject: String,
    /// What it is.
    pub(crate) content: Content,
    /// The trace, which every answer carries on.
    pub(crate) traceparent: Option<String>,
    /// The record's partition.
    pub(crate) partition: i32,
    /// The record's offset.
    pub(crate) offset: i64,
}

/// What this program understands of what users say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Words.
    Text(String),
    /// A wish that the message with this id be deleted.
    Deletion(String),
}

#[derive(Deserialize)]
struct Words {
    text: String,
}

/// The data of an event of type `delete`, in both directions.
#[derive(Deserialize, Serialize)]
pub(crate) struct Deletion<'a> {
    /// Which message.
    pub(crate) id: Cow<'a, str>,
}

impl UserMessage {
    /// Reads a record. Returns `None` for one of another type or form, which is not for this program.
    pub(crate) fn read(found: &RecordAndOffset, partition: i32) -> Option<Self> {
        let RecordAndOffset { record, offset } = found;
        let header = |name: &str| record.headers.get(name).and_then(|value| String::from_utf8(value.clone()).ok());
        let value = record.value.as_deref()?;
        let content = match header("ce_type").as_deref().unwrap_or("message") {
            "message" => Content::Text(serde_json::from_slice::<Words>(value).ok()?.text),
            "delete" => Content::Deletion(serde_json::from_slice::<Deletion<'_>>(value).ok()?.id.into_owned()),
            _ => return None,
        };
        Some(Self {
            id: header("ce_id").unwrap_or_else(|| format!("{partition}-{offset}")),
            subject: String::from_utf8(record.key.clone()?).ok()?,
            content,
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
    fn only_messages_and_deletions_are_read() {
        let read = |kind, value| UserMessage::read(&found(kind, value), 1);
        let content = |kind, value| read(kind, value).unwrap().content;
        assert_eq!(content(Some("message"), r#"{"text":"hi"}"#), Content::Text("hi".to_owned()));
        assert_eq!(content(Some("delete"), r#"{"id":"m\u0031"}"#), Content::Deletion("m1".to_owned()));
        assert_eq!(read(None, r#"{"text":"hi"}"#).unwrap().id, "1-5");
        for (kind, value) in [
            (Some("form"), r#"{"text":"hi"}"#),
            (Some("delete"), r#"{"text":"hi"}"#),
            (Some("delete"), r#"{"id":1}"#),
            (None, "hi"),
        ] {
            assert_eq!(read(kind, value), None);
        }
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
