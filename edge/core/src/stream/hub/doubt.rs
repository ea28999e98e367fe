//! Records that were sent and not stored, because the storage failed in between.
//!
//! They are delivered again. A client that has them says so when it resumes: its id is newer than what is stored, or is
//! stored by then. Usually nothing else was stored in between, and the client continues as if nothing had happened. If
//! something of another partition was, its id does not tell whether it has that, too, and it is reset.

use causeway_protocol::{channel::Channel, cursor::Position};
use serde::{Deserialize, Serialize};

/// Records of one partition that may have been sent without being stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubt {
    pub(super) channel: Channel,
    pub(super) partition: i32,
    /// The last one before them that was stored.
    pub(super) from: Option<Position>,
    /// The last of them.
    pub(super) to: Position,
    /// The last number of what was stored when they were sent.
    pub(super) seq: i64,
}

impl Doubt {
    /// Whether it is about a partition.
    pub(super) fn is_of(&self, channel: &Channel, partition: i32) -> bool {
        self.partition == partition && self.channel == *channel
    }
}

/// More are merged.
const MAX_DOUBTS: usize = 16;

/// A bounded number of doubts: each once, and one for each partition if there are too many.
pub(super) fn merged(doubts: impl Iterator<Item = Doubt>) -> Vec<Doubt> {
    let mut merged: Vec<Doubt> = Vec::new();
    for doubt in doubts {
        if merged.contains(&doubt) {
            continue;
        }
        let is_full = merged.len() >= MAX_DOUBTS;
        let is_same = |known: &&mut Doubt| known.is_of(&doubt.channel, doubt.partition);
        match merged.iter_mut().find(is_same) {
            Some(known) if is_full => {
                known.from = known.from.min(doubt.from);
                known.to = known.to.max(doubt.to);
                known.seq = known.seq.min(doubt.seq);
            }
            _ => merged.push(doubt),
        }
    }
    merged
}
