//! What the bridge posts to the edge's `/internal/deliver`: records grouped by user, and the checkpoint that rests
//! beside them.
//!
//! The append is idempotent on (epoch, partition, offset), so redelivery after a crash costs work, never correctness.
//! Fields that a side does not know are ignored: edge and bridge are deployed one after the other.
//!
//! The checkpoint moves only after every delivery of the same request is durable, and never backwards.

use serde::{Deserialize, Serialize};

use crate::{cursor::Cursor, event::StreamEvent, subject::Subject};

/// Path of the edge's delivery endpoint.
pub const DELIVER_PATH: &str = "/internal/deliver";

/// Largest delivery request, in bytes; the bridge splits batches to fit.
pub const MAX_DELIVER_BYTES: usize = 4 * 1024 * 1024;

/// Largest single record a stream carries, in bytes of its JSON; a larger one is a dead letter.
pub const MAX_RECORD_BYTES: usize = 256 * 1024;

/// One delivery: records of one partition, in offset order, and where to go on afterwards.
///
/// With no deliveries and no `advance_to` it only asks where to go on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeliverRequest {
    /// The outbound topic.
    pub topic: String,
    /// The partition all records are of.
    pub partition: i32,
    /// Records by user. A user appears at most once.
    pub deliveries: Vec<Delivery>,
    /// The checkpoint to store once every delivery is durable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advance_to: Option<Checkpoint>,
}

/// One user's records.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Delivery {
    /// The record key.
    pub subject: Subject,
    /// In offset order.
    pub records: Vec<Record>,
}

/// One Kafka record on its way to a user's stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Its place, and later its SSE id.
    pub cursor: Cursor,
    /// What the widget gets.
    pub event: StreamEvent,
}

/// Where a partition's reader goes on after a restart. Ordered by epoch first: a recreated topic begins again at 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Checkpoint {
    /// See [`Cursor::epoch`].
    pub epoch: u32,
    /// The next offset to fetch.
    pub next_offset: i64,
    /// How many partitions the topic had; another count means the topic was repartitioned.
    pub partitions: i32,
}

impl Checkpoint {
    /// Where a checkpoint rests after it was asked to move: never backwards.
    #[must_use]
    pub fn advance(current: Option<Self>, advance_to: Option<Self>) -> Option<Self> {
        current.max(advance_to)
    }
}

/// The edge's answer to a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliverResponse {
    /// The checkpoint as it now rests, if any. Not moved when `failed` is not empty.
    pub checkpoint: Option<Checkpoint>,
    /// Users whose append failed for now; deliver them again, the others need not be.
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
