//! Decides at which offset and in which epoch each partition starts, from the stored checkpoints, Kafka's watermarks
//! and the time. No I/O.
//!
//! An epoch is the Unix time in seconds at which an incarnation of the topic was first seen. Buffers accept a
//! partition's records only in increasing order of (epoch, offset). So a topic with another name, on another cluster,
//! or with lost checkpoints must start above every earlier epoch.
//!
//! A new epoch begins when offsets change their meaning, because the topic was recreated: a partition has fewer records
//! than were delivered, or the topic has fewer partitions. A topic with more partitions keeps its epoch. Its offsets
//! are still valid, and records that were delivered beyond a held-back checkpoint are recognized when they are
//! delivered again.
//!
//! Several instances may see an incarnation first at the same time, each by its own clock. That is harmless: epochs are
//! compared within a partition only, and epochs close to each other count as one incarnation.

use causeway_protocol::deliver::Checkpoint;

use crate::kafka::Watermarks;

/// The state of one partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct PartitionState {
    /// The stored checkpoint, if there is one.
    pub(super) checkpoint: Option<Checkpoint>,
    /// The range of offsets that Kafka has.
    pub(super) watermarks: Watermarks,
}

/// Where the delivery of one partition starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    /// The epoch of all cursors from here on.
    pub(super) epoch: u32,
    /// The first offset to fetch.
    pub(super) offset: i64,
    /// How many records retention removed before they were delivered.
    pub(super) lost: i64,
    /// Whether the checkpoint is from an older epoch, so that its offset is meaningless.
    pub(super) recreated: bool,
}

/// Epochs that differ by less than this, in seconds, belong to one incarnation. It exceeds the difference between
/// clocks (signatures allow a minute) plus the time until a planned epoch is stored beside the buffers.
const SAME_INCARNATION_SECONDS: u32 = 300;

/// The start of every partition, in order. `states` holds every partition of the topic.
#[must_use]
pub(super) fn plan(states: &[PartitionState], now_seconds: u32) -> Vec<Start> {
    let count = i32::try_from(states.len()).unwrap_or(i32::MAX);
    let newest = states.iter().filter_map(|state| state.checkpoint).map(|at| at.epoch).max();
    let is_current = |at: Checkpoint| newest.is_some_and(|newest| newest - at.epoch < SAME_INCARNATION_SECONDS);
    let recreated = states.iter().any(|state| {
        let shrunk = |at: Checkpoint| state.watermarks.latest < at.next_offset || at.partitions > count;
        state.checkpoint.is_some_and(|at| is_current(at) && shrunk(at))
    });
    let epoch = match newest {
        None => now_seconds,
        Some(newest) if recreated => newest.saturating_add(SAME_INCARNATION_SECONDS).max(now_seconds),
        Some(newest) => newest,
    };
    let start = |state: &PartitionState| {
        let earliest = state.watermarks.earliest;
        match state.checkpoint {
            Some(at) if is_current(at) && !recreated => {
                let offset = at.next_offset.max(earliest);
                Start { epoch: at.epoch, offset, lost: offset - at.next_offset, recreated: false }
            }
            // The topic was recreated. If only this checkpoint is from an older epoch, another instance noticed first
            // and has already moved its own checkpoints.
            Some(_) => Start { epoch, offset: earliest, lost: 0, recreated: true },
            None => Start { epoch, offset: earliest, lost: 0, recreated: false },
        }
    };
    states.iter().map(start).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u32 = 1_800_000_000;

    fn known(checkpoint: Option<(u32, i64, i32)>, earliest: i64, latest: i64) -> PartitionState {
        let checkpoint =
            checkpoint.map(|(epoch, next_offset, partitions)| Checkpoint { epoch, next_offset, partitions });
        PartitionState { checkpoint, watermarks: Watermarks { earliest, latest } }
    }

    fn starts(known: &[PartitionState], now_seconds: u32) -> Vec<(u32, i64)> {
        plan(known, now_seconds).iter().map(|start| (start.epoch, start.offset)).collect()
    }

    #[test]
    fn a_first_start_reads_from_the_earliest_offset_in_a_new_epoch() {
        assert_eq!(starts(&[known(None, 3, 9), known(None, 0, 0)], NOW), [(NOW, 3), (NOW, 0)]);
    }

    #[test]
    fn a_restart_resumes_in_the_same_epoch() {
        let same = [known(Some((NOW, 5, 2)), 0, 9), known(None, 0, 4)];
        assert_eq!(starts(&same, NOW + 1000), [(NOW, 5), (NOW, 0)]);
    }

    #[test]
    fn instances_that_started_together_keep_their_own_epochs() {
        let together = [known(Some((NOW, 5, 3)), 0, 9), known(Some((NOW + 3, 7, 3)), 0, 9), known(None, 0, 4)];
        assert_eq!(starts(&together, NOW + 1000), [(NOW, 5), (NOW + 3, 7), (NOW + 3, 0)]);
    }

    #[test]
    fn new_partitions_keep_the_epoch_and_the_offsets() {
        let grown = [known(Some((NOW, 5, 2)), 0, 9), known(Some((NOW, 7, 2)), 0, 7), known(None, 0, 3)];
        assert_eq!(starts(&grown, NOW + 1000), [(NOW, 5), (NOW, 7), (NOW, 0)]);
        // Again, after only the first partition's checkpoint moved: nothing changes.
        let half = [known(Some((NOW, 6, 3)), 0, 9), known(Some((NOW, 7, 2)), 0, 7), known(None, 0, 3)];
        assert_eq!(starts(&half, NOW + 1000), [(NOW, 6), (NOW, 7), (NOW, 0)]);
    }

    #[test]
    fn a_recreated_topic_restarts_all_partitions() {
        let later = NOW + 1000;
        let recreated = [known(Some((NOW, 50, 2)), 0, 2), known(Some((NOW, 1, 2)), 0, 3)];
        assert_eq!(starts(&recreated, later), [(later, 0), (later, 0)]);
        // Again, after the first partition's checkpoint moved.
        let half = [known(Some((later, 2, 2)), 0, 2), known(Some((NOW, 50, 2)), 0, 3)];
        assert_eq!(starts(&half, later + 1000), [(later, 2), (later, 0)]);
        // Recreated with more partitions. The second already has more records than the old one had.
        let grown = [known(Some((later, 2, 3)), 0, 2), known(Some((NOW, 1, 2)), 0, 3), known(None, 0, 1)];
        assert_eq!(starts(&grown, later + 1000), [(later, 2), (later, 0), (later, 0)]);
    }

    #[test]
    fn the_epoch_increases_even_with_a_clock_set_back() {
        for now in [NOW + 1, NOW - 5000] {
            assert_eq!(starts(&[known(Some((NOW, 50, 1)), 0, 2)], now), [(NOW + SAME_INCARNATION_SECONDS, 0)]);
        }
    }

    #[test]
    fn fewer_partitions_mean_a_recreated_topic() {
        assert_eq!(starts(&[known(Some((4, 1, 8)), 0, 3)], NOW), [(NOW, 0)]);
    }

    #[test]
    fn records_lost_to_retention_are_counted() {
        let start = plan(&[known(Some((0, 5, 1)), 20, 30)], NOW)[0];
        assert_eq!((start.epoch, start.offset, start.lost), (0, 20, 15));
    }
}
