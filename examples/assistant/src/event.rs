//! Records in and out: CloudEvents in binary mode, the attributes as `ce_` headers.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use rskafka::record::{Record, RecordAndOffset};
use serde::{Deserialize, Serialize};

/// `ce_source` of what this program writes.
const SOURCE: &str = "/causeway/example-assistant";

/// What a person said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// `ce_id`, or the record's place where there is none.
    pub(crate) id: String,
    /// The record key, who said it; answers carry it back.
    pub(crate) subject: String,
    /// The words.
    pub(crate) text: String,
    /// The trace, passed on with every answer.
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

impl Said {
    /// Reads a message; `None` for records of another type or form, which are somebody else's business.
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

/// A whole message.
#[derive(Serialize)]
pub(crate) struct Message<'a> {
    /// Equal in all deltas and in the message that ends them.
    pub(crate) id: &'a str,
    /// `user` or `assistant`.
    pub(crate) role: &'a str,
    /// All of it.
    pub(crate) text: &'a str,
}

/// A piece of a message that is still being said.
#[derive(Serialize)]
pub(crate) struct Delta<'a> {
    /// The message's id.
    pub(crate) id: &'a str,
    /// From 0, without gaps.
    pub(crate) seq: usize,
    /// Appended to what came before.
    pub(crate) text: &'a str,
}

/// A record for the person who said something. `id` is its `ce_id`, made from the inbound one, so that an answer given
/// twice is recognised as one.
pub(crate) fn record(
    said: &Said,
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
        ("ce_subject", Some(said.subject.clone())),
        ("ce_time", Some(now.to_rfc3339_opts(SecondsFormat::Millis, true))),
        ("content-type", Some("application/json".to_owned())),
        ("traceparent", said.traceparent.clone()),
    ];
    let headers: BTreeMap<_, _> = attributes
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name.to_owned(), value.into_bytes())))
        .collect();
    let key = Some(said.subject.clone().into_bytes());
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
        assert_eq!(Said::read(&found(Some("message"), r#"{"text":"hi"}"#), 1).unwrap().text, "hi");
        assert_eq!(Said::read(&found(None, r#"{"text":"hi"}"#), 1).unwrap().id, "1-5");
        assert_eq!(Said::read(&found(Some("form"), r#"{"text":"hi"}"#), 1), None);
        assert_eq!(Said::read(&found(None, "hi"), 1), None);
    }

    #[test]
    fn answers_are_addressed_and_traced_like_the_question() {
        let mut said = Said::read(&found(None, r#"{"text":"hi"}"#), 1).unwrap();
        said.traceparent = Some("00-aa-bb-01".to_owned());
        let delta = Delta { id: "m", seq: 0, text: "H" };
        let record = record(&said, "m.0", "delta", &delta, DateTime::default()).unwrap();
        assert_eq!(record.key.as_deref(), Some(b"github:1".as_slice()));
        assert_eq!(record.headers.get("traceparent").map(Vec::as_slice), Some(b"00-aa-bb-01".as_slice()));
        assert_eq!(record.value.as_deref(), Some(br#"{"id":"m","seq":0,"text":"H"}"#.as_slice()));
    }
}
