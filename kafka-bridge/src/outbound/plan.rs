//! Decides at which offset and in which epoch each partition starts, from the stored checkpoints, Kafka's watermarks
//! and the time. No I/O.
//!
//! An epoch is the Unix time in seconds at which an incarnation of the topic was first seen. Buffers accept a
//! partition's records only in increasing order of (epoch, offset). So a topic with another name, on another cluster,
//! or with lost checkpoints must start above every earlier epoch.
//!
//! A new epoch begins when offsets change their meaning:
//!
//! - The topic was recreated: a partition has fewer records than were delivered, or the topic has fewer partitions. All
//!   partitions start from the beginning.
//! - A partition was truncated: its end moved back a little, as after an unclean election of a leader. Its offsets come
//!   again with other records. Only this partition begins a new epoch, at its end: what is before was delivered.
//!
//! Kafka's protocol tells the two apart by the topic's id, which the bridge's Kafka clients don't report. A recreated
//! topic starts at offset 0. So a partition that retention has trimmed, and that lost only a few records, was truncated
//! and not recreated.
//!
//! What can't be told apart: a young partition that was truncated before retention trimmed it counts as recreated, and
//! its records are delivered again. A recreated topic that retention has trimmed already, and that ends just before the
//! checkpoint, counts as truncated, and its records up to there are not delivered.
//!
//! A topic with more partitions keeps its epoch. Its offsets are still valid, and records that were delivered beyond a
//! held-back checkpoint are recognized when they are delivered again.
//!
//! Several instances may see an incarnation first at the same time, each by its own clock. That is harmless: epochs are
//! compared within a partition only, and epochs close to each other count as one incarnation.

use causeway_protocol::checkpoint::Checkpoint;

use crate::kafka::Watermarks;

/// What is known of one partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// The stored checkpoint, if there is one.
    pub(super) checkpoint: Option<Checkpoint>,
    /// The range of offsets that Kafka has. `None` if Kafka does not say, because the partition has no leader.
    pub(super) watermarks: Option<Watermarks>,
}

/// Where the delivery of one partition starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    /// The epoch of all cursors from here on.
    pub(super) epoch: u32,
    /// The first offset to fetch.
    pub(super) offset: i64,
    pub(super) reason: Reason,
}

/// Why a partition starts where it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// It has no checkpoint.
    First,
    /// It has a checkpoint. Retention removed the records from there to the start.
    Resumed {
        /// Where the checkpoint was.
        from: i64,
    },
    /// The topic was recreated, so the checkpoint is meaningless.
    Recreated,
    /// The end moved back, from the checkpoint to the start.
    Truncated {
        /// Where the checkpoint was.
        from: i64,
    },
}

/// Epochs that differ by less than this, in seconds, belong to one incarnation. It exceeds the difference between
/// clocks (signatures allow a minute) plus the time until a planned epoch is stored beside the buffers.
const SAME_INCARNATION_SECONDS: u32 = 300;

/// A partition whose end moved back by more than this was not truncated.
const MAX_TRUNCATED: i64 = 10_000;

/// The start of every partition, in order. `None` for one whose watermarks are not known. `known` holds every partition
/// of the topic: any of them may show that the topic was recreated.
#[must_use]
pub(super) fn plan(known: &[Known], now_seconds: u32) -> Vec<Option<Start>> {
    let count = i32::try_from(known.len()).unwrap_or(i32::MAX);
    let newest = known.iter().filter_map(|known| known.checkpoint).map(|at| at.epoch).max();
    let is_current =
        |at: Checkpoint| newest.is_some_and(|newest| newest.saturating_sub(at.epoch) < SAME_INCARNATION_SECONDS);
    let is_recreated = known.iter().any(|known| {
        let shows = |at: Checkpoint| {
            let is_shorter = known.watermarks.is_some_and(|now| now.latest < at.next_offset && !is_truncated(at, now));
            is_shorter || at.partitions > count
        };
        known.checkpoint.is_some_and(|at| is_current(at) && shows(at))
    });
    let epoch = match newest {
        None => now_seconds,
        Some(newest) if is_recreated => newest.saturating_add(SAME_INCARNATION_SECONDS).max(now_seconds),
        Some(newest) => newest,
    };
    let start = |known: &Known| {
        let now = known.watermarks?;
        Some(match known.checkpoint {
            Some(at) if is_current(at) && !is_recreated && is_truncated(at, now) => Start {
                // The next one, so that the other partitions' epochs still count as the same incarnation.
                epoch: at.epoch.saturating_add(1),
                offset: now.latest,
                reason: Reason::Truncated { from: at.next_offset },
            },
            Some(at) if is_current(at) && !is_recreated => Start {
                epoch: at.epoch,
                offset: at.next_offset.max(now.earliest),
                reason: Reason::Resumed { from: at.next_offset },
            },
            // The topic was recreated. If only this checkpoint is from an older epoch, another instance noticed first
            // and has already moved its own checkpoints.
            Some(_) => Start { epoch, offset: now.earliest, reason: Reason::Recreated },
            None => Start { epoch, offset: now.earliest, reason: Reason::First },
        })
    };
    known.iter().map(start).collect()
}

fn is_truncated(at: Checkpoint, now: Watermarks) -> bool {
    now.earliest > 0 && now.latest < at.next_offset && at.next_offset.saturating_sub(now.latest) <= MAX_TRUNCATED
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u32 = 1_800_000_000;

    fn known(checkpoint: Option<(u32, i64, i32)>, earliest: i64, latest: i64) -> Known {
        Known { watermarks: Some(Watermarks { earliest, latest }), ..leaderless(checkpoint) }
    }

    fn leaderless(checkpoint: Option<(u32, i64, i32)>) -> Known {
        let checkpoint =
            checkpoint.map(|(epoch, next_offset, partitions)| Checkpoint { epoch, next_offset, partitions });
        Known { checkpoint, watermarks: None }
    }

    fn starts(known: &[Known], now_seconds: u32) -> Vec<(u32, i64)> {
        plan(known, now_seconds).iter().flatten().map(|start| (start.epoch, start.offset)).collect()
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
    fn a_truncated_partition_goes_on_at_its_end_and_the_others_stay_as_they_are() {
        let truncated = [known(Some((NOW, 50, 2)), 20, 48), known(Some((NOW, 60, 2)), 0, 60)];
        assert_eq!(starts(&truncated, NOW + 1000), [(NOW + 1, 48), (NOW, 60)]);
        assert_eq!(plan(&truncated, NOW)[0].unwrap().reason, Reason::Truncated { from: 50 });
        // Again, after the first partition's checkpoint moved.
        let moved = [known(Some((NOW + 1, 48, 2)), 20, 49), known(Some((NOW, 60, 2)), 0, 60)];
        assert_eq!(starts(&moved, NOW + 1000), [(NOW + 1, 48), (NOW, 60)]);
        // Too many records are gone.
        let recreated = [known(Some((NOW, 50_000, 1)), 20, 48)];
        assert_eq!(starts(&recreated, NOW + 1000), [(NOW + 1000, 20)]);
    }

    #[test]
    fn a_partition_without_a_leader_keeps_no_other_from_starting_and_keeps_the_epoch() {
        let partly = [leaderless(Some((NOW, 5, 2))), known(None, 0, 4)];
        assert_eq!(plan(&partly, NOW + 1000)[0], None);
        assert_eq!(starts(&partly, NOW + 1000), [(NOW, 0)]);
    }

    #[test]
    fn records_lost_to_retention_are_told() {
        let start = plan(&[known(Some((0, 5, 1)), 20, 30)], NOW)[0];
        assert_eq!(start, Some(Start { epoch: 0, offset: 20, reason: Reason::Resumed { from: 5 } }));
    }
}
