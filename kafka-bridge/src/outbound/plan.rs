//! Where each partition's reader begins, and in which epoch: decided from the checkpoints at the edge and what Kafka
//! has now. No I/O.
//!
//! The epoch is the topic's, not a partition's. It grows when offsets stop meaning what they meant: the topic has
//! fewer records than were delivered (it was recreated), or another number of partitions (users moved between them).
//! Every instance reads all checkpoints and so comes to the same epoch, and a second run changes nothing.

use causeway_protocol::deliver::Checkpoint;

use crate::kafka::Watermarks;

/// What is known of one partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// The partition's checkpoint at the edge, if it was ever delivered.
    pub(super) checkpoint: Option<Checkpoint>,
    /// What Kafka has.
    pub(super) watermarks: Watermarks,
}

/// Where one partition's reader begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    /// The epoch of all cursors made from here on.
    pub(super) epoch: u32,
    /// The offset to fetch first.
    pub(super) offset: i64,
    /// How many records retention removed before they could be delivered.
    pub(super) lost: i64,
    /// Whether the checkpoint is of an older epoch and its offset means nothing any longer.
    pub(super) recreated: bool,
}

/// The starts of all partitions, in their order; `known` holds every partition of the topic.
#[must_use]
pub(super) fn plan(known: &[Known]) -> Vec<Start> {
    let count = i32::try_from(known.len()).unwrap_or(i32::MAX);
    let shrunk = |known: &Known| {
        known.checkpoint.is_some_and(|at| known.watermarks.latest < at.next_offset || at.partitions > count)
    };
    let needs = |known: &Known| {
        known.checkpoint.map(|at| at.epoch.saturating_add(u32::from(shrunk(known) || at.partitions != count)))
    };
    let epoch = known.iter().filter_map(needs).max().unwrap_or(0);
    let recreated = known.iter().any(|known| shrunk(known) && known.checkpoint.is_some_and(|at| at.epoch < epoch));
    known.iter().map(|known| start(known, epoch, count, recreated)).collect()
}

fn start(known: &Known, epoch: u32, count: i32, recreated: bool) -> Start {
    let earliest = known.watermarks.earliest;
    match known.checkpoint {
        // Of an older epoch: offsets still hold if the topic only grew. An equal count with an older epoch means that
        // another instance saw the topic recreated and moved its own checkpoints already.
        Some(at) if at.epoch < epoch && (recreated || at.partitions >= count) => {
            Start { epoch, offset: earliest, lost: 0, recreated: true }
        }
        Some(at) => {
            let offset = at.next_offset.max(earliest);
            Start { epoch, offset, lost: offset - at.next_offset, recreated: false }
        }
        None => Start { epoch, offset: earliest, lost: 0, recreated: false },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(checkpoint: Option<(u32, i64, i32)>, earliest: i64, latest: i64) -> Known {
        let checkpoint =
            checkpoint.map(|(epoch, next_offset, partitions)| Checkpoint { epoch, next_offset, partitions });
        Known { checkpoint, watermarks: Watermarks { earliest, latest } }
    }

    fn starts(known: &[Known]) -> Vec<(u32, i64)> {
        plan(known).iter().map(|start| (start.epoch, start.offset)).collect()
    }

    #[test]
    fn a_first_start_reads_what_there_is() {
        assert_eq!(starts(&[known(None, 3, 9), known(None, 0, 0)]), [(0, 3), (0, 0)]);
    }

    #[test]
    fn a_restart_goes_on_in_the_same_epoch() {
        assert_eq!(starts(&[known(Some((2, 5, 2)), 0, 9), known(None, 0, 4)]), [(2, 5), (2, 0)]);
    }

    #[test]
    fn new_partitions_raise_the_epoch_and_keep_the_offsets() {
        let grown = [known(Some((0, 5, 2)), 0, 9), known(Some((0, 7, 2)), 0, 7), known(None, 0, 3)];
        assert_eq!(starts(&grown), [(1, 5), (1, 7), (1, 0)]);
        // Again, after only the first partition's checkpoint moved: nothing changes.
        let half = [known(Some((1, 6, 3)), 0, 9), known(Some((0, 7, 2)), 0, 7), known(None, 0, 3)];
        assert_eq!(starts(&half), [(1, 6), (1, 7), (1, 0)]);
    }

    #[test]
    fn a_recreated_topic_starts_over_in_all_partitions() {
        let recreated = [known(Some((0, 50, 2)), 0, 2), known(Some((0, 1, 2)), 0, 3)];
        assert_eq!(starts(&recreated), [(1, 0), (1, 0)]);
        // Again, after the first partition's checkpoint moved.
        let half = [known(Some((1, 2, 2)), 0, 2), known(Some((0, 1, 2)), 0, 3)];
        assert_eq!(starts(&half), [(1, 2), (1, 0)]);
    }

    #[test]
    fn fewer_partitions_mean_a_recreated_topic() {
        assert_eq!(starts(&[known(Some((4, 1, 8)), 0, 3)]), [(5, 0)]);
    }

    #[test]
    fn what_retention_removed_is_counted() {
        let start = plan(&[known(Some((0, 5, 1)), 20, 30)])[0];
        assert_eq!((start.epoch, start.offset, start.lost), (0, 20, 15));
    }
}
