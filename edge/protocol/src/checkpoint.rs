//! Where a partition's reader continues after a restart, and who reads it. Kept beside the users' buffers: in an object
//! of the edge (`POST /internal/checkpoint`), or in Redis.
//!
//! The checkpoint is the low watermark of what has been stored, written a few times a second and at the end. A late one
//! costs repeats, which the buffers skip; never loss.
//!
//! Each reader claims its partition first, and gets a generation that is higher than any before. With it, a buffer tells
//! the items of a reader that was replaced from those of the one that replaced it.

use serde::{Deserialize, Serialize};

use crate::{
    channel::Channel,
    cursor::{Cursor, Position},
    deliver::{Item, Slice, Source},
    frame::gap_frame,
    hub::ResetReason,
};

/// Path of the edge's endpoint.
pub const CHECKPOINT_PATH: &str = "/internal/checkpoint";

/// Where a partition's reader continues. Ordered by epoch first, because a recreated topic starts at offset 0 again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Checkpoint {
    /// See [`crate::cursor::Position::epoch`].
    pub epoch: u32,
    /// The next offset to fetch.
    pub next_offset: i64,
    /// How many partitions the topic had. A different count means that the topic was repartitioned.
    pub partitions: i32,
}

/// Offsets of a partition that nobody receives, whoever they were for. Each user of the partition hears of it as a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hole {
    /// See [`crate::cursor::Position::epoch`].
    pub epoch: u32,
    /// The last of the offsets. Of an epoch that began with a truncation, the one before its first.
    pub last_offset: i64,
    /// What happened to them.
    pub reason: ResetReason,
    /// When it was noticed, in seconds of Unix time.
    pub noticed_at: u64,
}

impl Hole {
    /// The position of its end.
    #[must_use]
    pub fn position(&self) -> Position {
        Position { epoch: self.epoch, offset: self.last_offset }
    }

    /// The gap that a user of the partition gets. Appending it twice does nothing, as with a record.
    #[must_use]
    pub fn slice(&self, channel: &Channel, partition: i32, generation: u64) -> Slice {
        let source = Source { channel: channel.clone(), partition, epoch: self.epoch, generation };
        let cursor = Cursor::of_record(channel, partition, self.position());
        let frame = gap_frame(&cursor, self.reason);
        Slice { source, after: None, items: vec![Item { offset: self.last_offset, frame, ..Item::default() }] }
    }
}

/// A request about one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointRequest {
    /// [`crate::deliver::WIRE_VERSION`].
    pub version: u32,
    /// The channel.
    pub channel: Channel,
    /// The channel's outbound topic. Another topic has checkpoints of its own.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// What to do.
    pub operation: Operation,
}

/// What to do with a partition's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Only reads.
    Read,
    /// Takes the partition over: begins the next generation. Also moves the checkpoint, if one is given.
    Claim(Option<Checkpoint>),
    /// Notes a hole, before the checkpoint moves past it. Of several holes the last is kept: who hears of it need not hear
    /// of those before.
    Note(Hole),
    /// Moves the checkpoint forward, on behalf of the reader of a generation.
    Advance {
        /// The reader's generation.
        generation: u64,
        /// Where it continues after a restart.
        checkpoint: Checkpoint,
    },
}

/// What is stored of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionState {
    /// Where to continue. `None` before the first claim with one.
    pub checkpoint: Option<Checkpoint>,
    /// The generation of the last claim; 0 before the first.
    pub generation: u64,
    /// The last hole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hole: Option<Hole>,
}

/// A later reader has claimed the partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a later reader has claimed the partition")]
pub struct Stale;

/// The answer: the state after the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointResponse {
    /// The state.
    #[serde(flatten)]
    pub state: PartitionState,
    /// Whether the request was made by a reader that was replaced. Nothing was changed then.
    pub stale: bool,
}

impl PartitionState {
    /// The last hole, once everything before it is stored. A user's buffer that got the gap earlier would take what is
    /// still on its way for repeats.
    #[must_use]
    pub fn passed_hole(&self) -> Option<Hole> {
        let passed = self.checkpoint.map(|at| Position { epoch: at.epoch, offset: at.next_offset })?;
        self.hole.filter(|hole| hole.epoch == passed.epoch && hole.position() < passed)
    }

    /// The state after an operation. The checkpoint never moves backwards.
    ///
    /// # Errors
    /// [`Stale`]: the operation must not be done.
    pub fn after(self, operation: Operation) -> Result<Self, Stale> {
        match operation {
            Operation::Read => Ok(self),
            Operation::Claim(checkpoint) => Ok(Self {
                checkpoint: self.checkpoint.max(checkpoint),
                generation: self.generation.saturating_add(1),
                ..self
            }),
            Operation::Note(hole) => {
                let last = [self.hole, Some(hole)].into_iter().flatten().max_by_key(Hole::position);
                Ok(Self { hole: last, ..self })
            }
            Operation::Advance { generation, .. } if generation < self.generation => Err(Stale),
            // A generation that is not known yet: the store lost its state. The reader's is as good.
            Operation::Advance { generation, checkpoint } => {
                Ok(Self { checkpoint: self.checkpoint.max(Some(checkpoint)), generation, ..self })
            }
        }
    }

    /// The answer to a request.
    #[must_use]
    pub fn respond(self, operation: Operation) -> CheckpointResponse {
        match self.after(operation) {
            Ok(state) => CheckpointResponse { state, stale: false },
            Err(Stale) => CheckpointResponse { state: self, stale: true },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: u32, next_offset: i64) -> Checkpoint {
        Checkpoint { epoch, next_offset, partitions: 4 }
    }

    #[test]
    fn a_checkpoint_never_moves_back() {
        let mut state = PartitionState::default().after(Operation::Claim(Some(at(1, 5)))).unwrap();
        for (checkpoint, expected) in [(at(1, 4), at(1, 5)), (at(2, 0), at(2, 0)), (at(1, 9), at(2, 0))] {
            state = state.after(Operation::Advance { generation: 1, checkpoint }).unwrap();
            assert_eq!(state.checkpoint, Some(expected));
        }
    }

    #[test]
    fn the_last_hole_is_told_once_everything_before_it_is_stored() {
        let hole = |epoch, last_offset| Hole { epoch, last_offset, reason: ResetReason::Retention, noticed_at: 1 };
        let mut state = PartitionState::default().after(Operation::Claim(Some(at(1, 5)))).unwrap();
        for noted in [hole(1, 7), hole(1, 3), hole(0, 9)] {
            state = state.after(Operation::Note(noted)).unwrap();
        }
        assert_eq!((state.hole, state.passed_hole()), (Some(hole(1, 7)), None));
        let advance = |checkpoint| Operation::Advance { generation: 1, checkpoint };
        state = state.after(advance(at(1, 7))).unwrap();
        assert_eq!(state.passed_hole(), None);
        state = state.after(advance(at(1, 8))).unwrap();
        assert_eq!(state.passed_hole(), Some(hole(1, 7)));
        state = state.after(Operation::Claim(Some(at(2, 0)))).unwrap();
        assert_eq!(state.passed_hole(), None, "its offsets mean nothing any more");
    }

    #[test]
    fn a_replaced_reader_moves_nothing() {
        let first = PartitionState::default().after(Operation::Claim(Some(at(1, 5)))).unwrap();
        let second = first.after(Operation::Claim(None)).unwrap();
        assert_eq!((first.generation, second.generation), (1, 2));
        let late = Operation::Advance { generation: 1, checkpoint: at(1, 9) };
        assert_eq!(second.after(late), Err(Stale));
        assert_eq!(second.respond(late), CheckpointResponse { state: second, stale: true });
    }
}
