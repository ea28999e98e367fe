//! What the bridge posts to the edge's `/internal/deliver`: items by user, and what became of each user's.
//!
//! An item is made once, by the bridge, in the very bytes that a client receives. The edge passes a user's slices to the
//! user's hub as it got them. The hub stores the frames and never looks into them.
//!
//! Storing is idempotent on (channel, partition, epoch, offset), so a redelivery costs work, never correctness. The
//! checkpoint is not part of a delivery, see [`crate::checkpoint`].

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{channel::Channel, cursor::Position, subject::Subject};

/// The version of this contract. Edge and bridge refuse requests of another one, and lose nothing: the bridge keeps
/// trying.
pub const WIRE_VERSION: u32 = 2;

/// The code of the edge's problem document (409) if versions differ. Its member `version` is the edge's version.
pub const WIRE_VERSION_CODE: &str = "wire-version";

/// Path of the edge's delivery endpoint.
pub const DELIVER_PATH: &str = "/internal/deliver";

/// The largest delivery request, in bytes. The bridge splits to fit.
pub const MAX_DELIVER_BYTES: usize = 4 * 1024 * 1024;

/// The largest record that a stream carries, in bytes of its frame. A larger one becomes a dead letter.
pub const MAX_RECORD_BYTES: usize = 256 * 1024;

/// The maximum number of users in a delivery request. Each costs the edge a call to a hub.
pub const MAX_DELIVER_USERS: usize = 100;

/// Reads only the version of a request, whatever else it contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versioned {
    /// [`WIRE_VERSION`] of the sender.
    pub version: u32,
}

/// Items of several users.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeliverRequest {
    /// [`WIRE_VERSION`].
    pub version: u32,
    /// At most [`MAX_DELIVER_USERS`]. A user appears at most once.
    pub users: Vec<UserDelivery>,
}

/// One user's items.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UserDelivery {
    /// The user, from the record key.
    pub subject: Subject,
    /// A list of [`Slice`]s. The edge does not read it.
    pub slices: Box<RawValue>,
}

/// A user's items from one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// Where they come from.
    #[serde(flatten)]
    pub source: Source,
    /// The offset of the last item that the hub holds, see [`Outcome::Held`]. The items follow on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<i64>,
    /// In offset order.
    pub items: Vec<Item>,
}

/// The partition that items come from, and who reads it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Source {
    /// The channel of the topic.
    pub channel: Channel,
    /// The partition.
    pub partition: i32,
    /// See [`Position::epoch`].
    pub epoch: u32,
    /// The owner's generation, see [`crate::checkpoint`]. Items of an older generation than a hub has seen are refused.
    pub generation: u64,
}

/// What one offset, or a range of offsets, means for one user: the events of a record, or a gap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The record's offset; of a gap, its last one.
    pub offset: i64,
    /// Complete events of an SSE stream, as [`crate::frame`] writes them. The last one has the item's cursor as its id.
    pub frame: String,
    /// The message that the record is a part of, if it is one of the pieces (`delta`) in which the message is streamed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub piece_of: Option<String>,
    /// The message that is complete with this record. Its pieces are not needed any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completes: Option<String>,
}

impl Source {
    /// The position of an offset.
    #[must_use]
    pub fn at(&self, offset: i64) -> Position {
        Position { epoch: self.epoch, offset }
    }
}

/// The edge's answer to a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliverResponse {
    /// For each user of the request, in its order. Users for whom there was no time are [`Outcome::Later`].
    pub outcomes: Vec<Outcome>,
}

/// What became of one user's items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All of them are durable, and so is everything before them.
    Stored,
    /// The user's streams have them, and the hub has them in memory. A later [`Outcome::Stored`] says that they are
    /// durable. Until then each delivery to the user says what it follows on ([`Slice::after`]), of every partition with
    /// held items.
    Held,
    /// The hub has lost items that it held. Nothing was stored. They must be delivered again, in order.
    Missing,
    /// The user's hub refuses them because of their content. Sent alone, the item that it refuses is found.
    Refused,
    /// The user's hub failed or did not answer in time. They must be delivered again.
    Later,
    /// A later owner delivers the partition. Nothing was stored.
    Stale,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edge_passes_slices_on_as_it_got_them() {
        let slice = Slice {
            source: Source { channel: Channel::parse("chat").unwrap(), partition: 3, epoch: 7, generation: 2 },
            after: Some(4),
            items: vec![Item { offset: 9, frame: "data: \"ü\\n\"\n\n".to_owned(), ..Item::default() }],
        };
        let slices = serde_json::value::to_raw_value(&[&slice]).unwrap();
        let users = vec![UserDelivery { subject: Subject::new("t", "u").unwrap(), slices }];
        let body = serde_json::to_string(&DeliverRequest { version: WIRE_VERSION, users }).unwrap();
        assert_eq!(serde_json::from_str::<Versioned>(&body).unwrap().version, WIRE_VERSION);
        let received: DeliverRequest = serde_json::from_str(&body).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Slice>>(received.users[0].slices.get()).unwrap(), [slice]);
    }
}
