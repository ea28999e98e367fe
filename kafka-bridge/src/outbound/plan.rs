//! Where each partition's reader begins, and in which epoch: decided from the checkpoints beside the buffers, what Kafka
//! has now, and the time. No I/O.
//!
//! An epoch is the Unix time in seconds at which an incarnation of the topic was first seen. Buffers take a partition's
//! records only in growing order of (epoch, offset), so a topic under another name, on another cluster or with its
//! checkpoints lost begins above whatever they had.
//!
//! The epoch grows when offsets stop meaning what they meant: the topic has fewer records than were delivered, or fewer
//! partitions (it was recreated). A topic that got more partitions keeps it: the offsets hold, and so what was delivered
//! beyond a held-back checkpoint is still known when it is delivered again.
//!
//! Several instances may see an incarnation first at the same time, each by its own clock. That does no harm: epochs
//! compare within a partition only, and those close to each other are taken for one incarnation's.

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

/// Epochs less than this apart, in seconds, are of one incarnation. More than clocks differ (signatures hold for a
/// minute) and a plan takes until its epoch rests beside the buffers.
const ONE_INCARNATION_S: u32 = 300;

/// The starts of all partitions, in their order; `known` holds every partition of the topic.
#[must_use]
pub(super) fn plan(known: &[Known], now_s: u32) -> Vec<Start> {
    let count = i32::try_from(known.len()).unwrap_or(i32::MAX);
    let newest = known.iter().filter_map(|known| known.checkpoint).map(|at| at.epoch).max();
    let is_current = |at: Checkpoint| newest.is_some_and(|newest| newest - at.epoch < ONE_INCARNATION_S);
    let recreated = known.iter().any(|known| {
        let shrunk = |at: Checkpoint| known.watermarks.latest < at.next_offset || at.partitions > count;
        known.checkpoint.is_some_and(|at| is_current(at) && shrunk(at))
    });
    let epoch = match newest {
        None => now_s,
        Some(newest) if recreated => newest.saturating_add(ONE_INCARNATION_S).max(now_s),
        Some(newest) => newest,
    };
    let start = |known: &Known| {
        let earliest = known.watermarks.earliest;
        match known.checkpoint {
            Some(at) if is_current(at) && !recreated => {
                let offset = at.next_offset.max(earliest);
                Start { epoch: at.epoch, offset, lost: offset - at.next_offset, recreated: false }
            }
            // Also where only this checkpoint is of an older epoch: another instance saw the topic recreated, and moved
            // its own checkpoints already.
            Some(_) => Start { epoch, offset: earliest, lost: 0, recreated: true },
            None => Start { epoch, offset: earliest, lost: 0, recreated: false },
        }
    };
    known.iter().map(start).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u32 = 1_800_000_000;

    fn known(checkpoint: Option<(u32, i64, i32)>, earliest: i64, latest: i64) -> Known {
        let checkpoint =
            checkpoint.map(|(epoch, next_offset, partitions)| Checkpoint { epoch, next_offset, partitions });
        Known { checkpoint, watermarks: Watermarks { earliest, latest } }
    }

    fn starts(known: &[Known], now_s: u32) -> Vec<(u32, i64)> {
        plan(known, now_s).iter().map(|start| (start.epoch, start.offset)).collect()
    }

    #[test]
    fn a_first_start_reads_what_there_is_above_all_former_epochs() {
        assert_eq!(starts(&[known(None, 3, 9), known(None, 0, 0)], NOW), [(NOW, 3), (NOW, 0)]);
    }

    #[test]
    fn a_restart_goes_on_in_the_same_epoch() {
        let same = [known(Some((NOW, 5, 2)), 0, 9), known(None, 0, 4)];
        assert_eq!(starts(&same, NOW + 1000), [(NOW, 5), (NOW, 0)]);
    }

    #[test]
    fn instances_that_began_together_each_keep_their_epoch() {
        let together = [known(Some((NOW, 5, 3)), 0, 9), known(Some((NOW + 3, 7, 3)), 0, 9), known(None, 0, 4)];
        assert_eq!(starts(&together, NOW + 1000), [(NOW, 5), (NOW + 3, 7), (NOW + 3, 0)]);
    }

    #[test]
    fn new_partitions_keep_epoch_and_offsets() {
        let grown = [known(Some((NOW, 5, 2)), 0, 9), known(Some((NOW, 7, 2)), 0, 7), known(None, 0, 3)];
        assert_eq!(starts(&grown, NOW + 1000), [(NOW, 5), (NOW, 7), (NOW, 0)]);
        // Again, after only the first partition's checkpoint moved: nothing changes.
        let half = [known(Some((NOW, 6, 3)), 0, 9), known(Some((NOW, 7, 2)), 0, 7), known(None, 0, 3)];
        assert_eq!(starts(&half, NOW + 1000), [(NOW, 6), (NOW, 7), (NOW, 0)]);
    }

    #[test]
    fn a_recreated_topic_starts_over_in_all_partitions() {
        let later = NOW + 1000;
        let recreated = [known(Some((NOW, 50, 2)), 0, 2), known(Some((NOW, 1, 2)), 0, 3)];
        assert_eq!(starts(&recreated, later), [(later, 0), (later, 0)]);
        // Again, after the first partition's checkpoint moved.
        let half = [known(Some((later, 2, 2)), 0, 2), known(Some((NOW, 50, 2)), 0, 3)];
        assert_eq!(starts(&half, later + 1000), [(later, 2), (later, 0)]);
        // Recreated with more partitions, of which the second already has more records than the old one had.
        let grown = [known(Some((later, 2, 3)), 0, 2), known(Some((NOW, 1, 2)), 0, 3), known(None, 0, 1)];
        assert_eq!(starts(&grown, later + 1000), [(later, 2), (later, 0), (later, 0)]);
    }

    #[test]
    fn a_topic_recreated_at_once_or_under_a_clock_set_back_still_rises() {
        for now in [NOW + 1, NOW - 5000] {
            assert_eq!(starts(&[known(Some((NOW, 50, 1)), 0, 2)], now), [(NOW + ONE_INCARNATION_S, 0)]);
        }
    }

    #[test]
    fn fewer_partitions_mean_a_recreated_topic() {
        assert_eq!(starts(&[known(Some((4, 1, 8)), 0, 3)], NOW), [(NOW, 0)]);
    }

    #[test]
    fn what_retention_removed_is_counted() {
        let start = plan(&[known(Some((0, 5, 1)), 20, 30)], NOW)[0];
        assert_eq!((start.epoch, start.offset, start.lost), (0, 20, 15));
    }
}
