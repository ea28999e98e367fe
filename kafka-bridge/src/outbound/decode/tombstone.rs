//! A record without a value is Kafka's convention for a deletion. It becomes an event of type `delete` whose data names
//! the message that is deleted.

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::{
    DecodeError,
    event::{Attributes, Decoded},
    header::{Headers, attribute, optional, traceparent},
    piece::DELETE_KIND,
    place::Place,
};

#[derive(Serialize)]
struct Deleted<'a> {
    id: &'a str,
}

/// Reads a deletion. `ce_subject` names the message that is deleted; without it, `ce_id` does.
pub(super) fn read(headers: &Headers, key: &str, place: &Place<'_>) -> Result<Decoded, DecodeError> {
    let id = attribute(headers, "ce_id")?;
    // Many producers write the user, whom the key names, as the subject of all their events.
    let subject = attribute(headers, "ce_subject")?.filter(|subject| *subject != key);
    let (id, deleted) = match subject {
        Some(subject) => (id, Some(subject)),
        // The id is that of the message. The deletion is another event, so it gets another id.
        None => (None, id),
    };
    let data = match deleted {
        Some(id) => to_raw_value(&Deleted { id }).map_err(|_| DecodeError::NotJson)?,
        None => RawValue::NULL.to_owned(),
    };
    let attributes = Attributes {
        id,
        kind: Some(DELETE_KIND),
        time: optional(headers, "ce_time"),
        traceparent: traceparent(headers),
        is_echo: false,
    };
    Ok(attributes.into_event(place, data))
}
