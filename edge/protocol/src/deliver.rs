//! What the bridge posts to the edge's `/internal/deliver`: records grouped by user, and the checkpoint that is stored
//! with them.
//!
//! The append is idempotent on (epoch, partition, offset), so a redelivery after a crash costs work, never correctness.
//! Each side ignores unknown fields, because edge and bridge are deployed one after the other.
//!
//! The checkpoint moves only after every delivery of the same request is durable, and never backwards.

use serde::{Deserialize, Serialize};

use crate::{cursor::Cursor, event::StreamEvent, subject::Subject};

/// Path of the edge's delivery endpoint.
pub const DELIVER_PATH: &str = "/internal/deliver";

/// The largest delivery request, in bytes. The bridge splits batches to fit.
pub const MAX_DELIVER_BYTES: usize = 4 * 1024 * 1024;

/// The largest record that a stream carries, in bytes of its JSON. A larger one becomes a dead letter.
pub const MAX_RECORD_BYTES: usize = 256 * 1024;

/// Records of one partition, in offset order, and the checkpoint that follows them.
///
/// Without deliveries and `advance_to` it only reads the checkpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeliverRequest {
    /// The outbound topic.
    pub topic: String,
    /// The partition of all records.
    pub partition: i32,
    /// The records by user. A user appears at most once.
    pub deliveries: Vec<Delivery>,
    /// The checkpoint to store once every delivery is durable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advance_to: Option<Checkpoint>,
}

/// One user's records.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Delivery {
    /// The user, from the record key.
    pub subject: Subject,
    /// In offset order.
    pub records: Vec<Record>,
}

/// One Kafka record on its way to a user's stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Its coordinates, which become its SSE id.
    pub cursor: Cursor,
    /// The event that the widget receives.
    pub event: StreamEvent,
}

/// Where a partition's reader continues after a restart. Ordered by epoch first, because a recreated topic starts at
/// offset 0 again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Checkpoint {
    /// See [`Cursor::epoch`].
    pub epoch: u32,
    /// The next offset to fetch.
    pub next_offset: i64,
    /// How many partitions the topic had. A different count means that the topic was repartitioned.
    pub partitions: i32,
}

impl Checkpoint {
    /// The checkpoint after a request to move it. It never moves backwards.
    #[must_use]
    pub fn advance(current: Option<Self>, advance_to: Option<Self>) -> Option<Self> {
        current.max(advance_to)
    }
}

/// The edge's answer to a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliverResponse {
    /// The stored checkpoint, if any. It is not moved if `failed` is not empty.
    pub checkpoint: Option<Checkpoint>,
    /// The users whose append failed. Only their records must be delivered again.
    pub failed: Vec<Subject>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_never_moves_back() {
        let at = |epoch, next_offset| Some(Checkpoint { epoch, next_offset, partitions: 4 });
        assert_eq!(Checkpoint::advance(None, None), None);
        assert_eq!(Checkpoint::advance(at(1, 5), at(1, 4)), at(1, 5));
        assert_eq!(Checkpoint::advance(at(1, 5), at(2, 0)), at(2, 0));
        assert_eq!(Checkpoint::advance(at(2, 0), at(1, 9)), at(2, 0));
    }
}
