//! Events as the edge posts them to the bridge (`POST /v1/events`) and as a stream delivers them.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{channel::Channel, subject::Subject};

/// Path of the bridge's inbound endpoint.
pub const EVENTS_PATH: &str = "/v1/events";

/// The record header of the extension attribute that marks an echo: what a user said, in the outbound topic. Its value is
/// `true`. Backends that read the outbound topic can skip it.
pub const ECHO_HEADER: &str = "ce_causewayecho";

/// The largest body that the edge accepts from a widget, in bytes. The bridge also allows for the envelope.
pub const MAX_EVENT_BYTES: usize = 64 * 1024;

/// An event that the edge posts to the bridge. The bridge writes it to the channel's inbound topic as a CloudEvent 1.0
/// in binary mode: each attribute a `ce_` header, the value the bytes of `data`, the key the subject.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InboundEvent {
    /// [`crate::deliver::WIRE_VERSION`].
    pub version: u32,
    /// The channel of `POST /events/{channel}`. The bridge's configuration maps it to a topic.
    pub channel: String,
    /// `ce_id`. Equal ids mean the same event: the bridge answers a repeat without writing again, and consumers
    /// deduplicate by it.
    pub id: String,
    /// `ce_type`, chosen by the widget (for example `message`).
    #[serde(rename = "type")]
    pub kind: String,
    /// `ce_source`, the edge's public origin.
    pub source: String,
    /// `ce_subject` and record key, from the session.
    pub subject: Subject,
    /// `ce_time` in RFC 3339, by the edge's clock.
    pub time: String,
    /// The `traceparent` header (W3C Trace Context), carried end to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// In a repeat: how many seconds ago the event was first sent. A bridge that does not know it looks for it in Kafka.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeated_after_seconds: Option<u32>,
    /// The record's value, byte for byte as the widget sent it.
    pub data: Box<RawValue>,
}

/// The bridge's answer after Kafka has acknowledged with `acks=all`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The event's `ce_id`.
    pub id: String,
    /// The partition it was written to.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
}

/// A CloudEvent as a stream's `data:` line carries it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StreamEvent {
    /// The channel.
    pub channel: Channel,
    /// `ce_id`, or `epoch-partition-offset` where the producer set none. Unique within the channel.
    pub id: String,
    /// `ce_type`, or `message` where the producer set none.
    #[serde(rename = "type")]
    pub kind: String,
    /// `ce_time`, or the record's timestamp, in RFC 3339.
    pub time: String,
    /// The record's `traceparent` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Whether it repeats what the user said ([`ECHO_HEADER`]).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub echo: bool,
    /// The record's value as JSON.
    pub data: Box<RawValue>,
}

/// Whether a text may be an event type or a channel name: 1–64 of `A-Z a-z 0-9 . _ -`.
#[must_use]
pub fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_beyond_floating_point_survive_the_envelope() {
        let text = r#"{"channel":"chat","id":"1","type":"message","time":"2026-01-01T00:00:00Z","echo":true,"data":{"n":123456789012345678901234567890}}"#;
        let event: StreamEvent = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&event).unwrap(), text);
    }

    #[test]
    fn names_contain_no_separator() {
        assert!(is_name("chat.v2_a-b"));
        for bad in ["", "a b", "a/b", "ä", "a\n", &"x".repeat(65)] {
            assert!(!is_name(bad), "{bad:?}");
        }
    }
}
