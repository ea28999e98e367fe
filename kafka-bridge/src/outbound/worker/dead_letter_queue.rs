//! Writes dead letters to Kafka in the background, one after another. Later records are delivered meanwhile; only the
//! checkpoint waits.

use std::{collections::VecDeque, sync::Arc};

use tokio::sync::{mpsc, watch};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    dead_letter::{DeadLetter, DeadLetters},
    outbound::memory_budget::Reservation,
};

/// Fetching pauses at this many unwritten dead letters.
const MAX_UNWRITTEN: usize = 1000;

/// The dead letters of one partition that are not written yet. When dropped, it stops writing: the remaining records
/// are read again from the checkpoint.
pub(super) struct DeadLetterQueue {
    /// The first offset and the size of each, in the order of writing.
    unwritten: VecDeque<(i64, usize)>,
    reservation: Reservation,
    /// Unbounded, because the worker checks [`DeadLetterQueue::is_full`] before each fetch.
    queue: mpsc::UnboundedSender<DeadLetter>,
    /// The number of dead letters ever written.
    written: watch::Receiver<u64>,
    /// The number of written dead letters that are already removed from `unwritten`.
    settled: u64,
    _writer: AbortOnDropHandle<()>,
}

impl DeadLetterQueue {
    pub(super) fn new(dead_letters: Arc<DeadLetters>, reservation: Reservation, stop: CancellationToken) -> Self {
        let (queue, mut receiver) = mpsc::unbounded_channel();
        let (count, written) = watch::channel(0);
        let writer = tokio::spawn(async move {
            while let Some(dead_letter) = receiver.recv().await {
                if dead_letters.send(&dead_letter, &stop).await.is_err() {
                    return;
                }
                count.send_modify(|count| *count += 1);
            }
        });
        let _writer = AbortOnDropHandle::new(writer);
        Self { unwritten: VecDeque::new(), reservation, queue, written, settled: 0, _writer }
    }

    pub(super) fn send(&mut self, dead_letter: DeadLetter) {
        let size = dead_letter.record.size();
        self.reservation.add(size);
        self.unwritten.push_back((dead_letter.first_offset, size));
        // Fails only after the writer was stopped. The dead letter then stays unwritten, and the checkpoint stays
        // before it.
        let _ = self.queue.send(dead_letter);
    }

    /// Whether fetching must pause.
    pub(super) fn is_full(&self) -> bool {
        self.unwritten.len() >= MAX_UNWRITTEN || self.reservation.is_exhausted()
    }

    /// The lowest offset of a dead letter that is not written yet.
    pub(super) fn first_unwritten_offset(&mut self) -> Option<i64> {
        let written = *self.written.borrow_and_update();
        while self.settled < written {
            self.settled += 1;
            if let Some((_, size)) = self.unwritten.pop_front() {
                self.reservation.release(size);
            }
        }
        self.unwritten.iter().map(|(offset, _)| *offset).min()
    }
}
