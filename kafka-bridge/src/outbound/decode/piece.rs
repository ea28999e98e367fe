//! Which message an event is a piece of, or completes. A buffer keeps no pieces of a message that is complete.
//!
//! A message's id is the member `id` of an event's data; without it, the event's own id. That is how the widget reads
//! it, too.

use std::borrow::Cow;

use causeway_protocol::channel::Channel;
use serde::Deserialize;

use super::header::MAX_ATTRIBUTE_BYTES;

/// The type of an event that says what was deleted.
pub(super) const DELETE_KIND: &str = "delete";

/// What an event means for the pieces in a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It is a piece of a message.
    PieceOf(String),
    /// After it, the message's pieces are not needed any more: it is the whole message, or deletes it.
    Completes(String),
    /// Neither.
    Other,
}

/// The part of an event's data that is read.
#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

impl Role {
    /// The role of an event with this type, the id that its producer set, and data.
    pub(super) fn of(kind: &str, id: Option<&str>, data: &str) -> Self {
        match kind {
            // A piece has an event id of its own, which names no message.
            "delta" => message_id(data).map_or(Self::Other, Self::PieceOf),
            "message" | DELETE_KIND => {
                message_id(data).or_else(|| id.map(str::to_owned)).map_or(Self::Other, Self::Completes)
            }
            _ => Self::Other,
        }
    }
}

/// What a record's events mean together: the message that all of them are pieces of, and the message that one of them
/// completes. Each is qualified by the channel, because backends of different channels choose ids independently.
///
/// A record that completes several messages names the last. The pieces of the others stay until the buffer is trimmed.
pub(super) fn of_record<'a>(
    channel: &Channel,
    roles: impl DoubleEndedIterator<Item = &'a Role> + Clone,
) -> (Option<String>, Option<String>) {
    let qualified = |id: &String| format!("{channel}/{id}");
    let completes = roles.clone().rev().find_map(|role| match role {
        Role::Completes(id) => Some(id),
        _ => None,
    });
    let first = roles.clone().next();
    let piece_of = match first {
        Some(Role::PieceOf(id)) if roles.clone().all(|role| Some(role) == first) => Some(id),
        _ => None,
    };
    (piece_of.map(qualified), completes.map(qualified))
}

fn message_id(data: &str) -> Option<String> {
    // serde would also read the member from a list.
    let Data { id } = data.starts_with('{').then(|| serde_json::from_str(data).ok())??;
    (1..=MAX_ATTRIBUTE_BYTES).contains(&id.len()).then(|| id.into_owned())
}
