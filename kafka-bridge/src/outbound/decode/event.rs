//! Builds a stream's event from attributes and data.

use causeway_protocol::{event::StreamEvent, trace::is_traceparent};
use chrono::DateTime;
use serde_json::value::RawValue;

use super::{header::MAX_ATTRIBUTE_BYTES, piece::Role, place::Place};

/// The type of an event whose producer set none.
pub(super) const DEFAULT_KIND: &str = "message";

/// The attributes that a producer set. Id and type are checked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Attributes<'a> {
    pub(super) id: Option<&'a str>,
    pub(super) kind: Option<&'a str>,
    pub(super) time: Option<&'a str>,
    pub(super) traceparent: Option<&'a str>,
    /// Whether the event repeats what the user said.
    pub(super) is_echo: bool,
}

/// An event, and what it means for the buffer.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) event: StreamEvent,
    pub(super) role: Role,
}

impl Attributes<'_> {
    /// Builds the event. A malformed time or trace does not make it unusable: only that attribute is ignored.
    pub(super) fn into_event(self, place: &Place<'_>, data: Box<RawValue>) -> Decoded {
        let kind = self.kind.unwrap_or(DEFAULT_KIND);
        // A user chooses the content of an echo, which therefore says nothing about the backend's messages.
        let role = if self.is_echo { Role::Other } else { Role::of(kind, self.id, data.get()) };
        let is_time = |text: &&str| text.len() <= MAX_ATTRIBUTE_BYTES && DateTime::parse_from_rfc3339(text).is_ok();
        let event = StreamEvent {
            channel: place.at.channel.clone(),
            id: self.id.map_or_else(|| place.id(), str::to_owned),
            kind: kind.to_owned(),
            time: self.time.filter(is_time).map_or_else(|| place.time(), str::to_owned),
            traceparent: self.traceparent.filter(|text| is_traceparent(text)).map(str::to_owned),
            echo: self.is_echo,
            data,
        };
        Decoded { event, role }
    }
}
