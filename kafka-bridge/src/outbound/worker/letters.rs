//! Dead letters on their way to Kafka, one after the other. What lies behind them is delivered meanwhile; the checkpoint
//! alone waits for them.

use std::{collections::VecDeque, sync::Arc};

use tokio::sync::{mpsc, watch};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    dead_letter::{DeadLetter, DeadLetters},
    outbound::budget::Account,
};

/// Fetching pauses beyond this many letters.
const MAX_LETTERS: usize = 1000;

/// See the module's text. Dropped, it leaves what is not written; that is met again from the checkpoint on.
pub(super) struct Letters {
    /// First offset and size of each, in the order of writing.
    unwritten: VecDeque<(i64, usize)>,
    account: Account,
    /// Bounded by those who ask [`Letters::is_full`] before they fetch.
    queue: mpsc::UnboundedSender<DeadLetter>,
    /// How many were ever written.
    written: watch::Receiver<u64>,
    settled: u64,
    _writer: AbortOnDropHandle<()>,
}

impl Letters {
    pub(super) fn new(dead_letters: Arc<DeadLetters>, account: Account, stop: CancellationToken) -> Self {
        let (queue, mut letters) = mpsc::unbounded_channel();
        let (count, written) = watch::channel(0);
        let writer = tokio::spawn(async move {
            while let Some(letter) = letters.recv().await {
                if dead_letters.send(&letter, &stop).await.is_err() {
                    return;
                }
                count.send_modify(|count| *count += 1);
            }
        });
        let _writer = AbortOnDropHandle::new(writer);
        Self { unwritten: VecDeque::new(), account, queue, written, settled: 0, _writer }
    }

    pub(super) fn send(&mut self, letter: DeadLetter) {
        let size = letter.record.size();
        self.account.take(size);
        self.unwritten.push_back((letter.first_offset, size));
        // Fails only where the writer was told to stop; the letter then stays unwritten and the checkpoint before it.
        let _ = self.queue.send(letter);
    }

    /// Whether more must not be fetched for now.
    pub(super) fn is_full(&self) -> bool {
        self.unwritten.len() >= MAX_LETTERS || self.account.is_spent()
    }

    /// The first offset that is not written yet.
    pub(super) fn first_unwritten(&mut self) -> Option<i64> {
        let written = *self.written.borrow_and_update();
        while self.settled < written {
            self.settled += 1;
            if let Some((_, size)) = self.unwritten.pop_front() {
                self.account.give_back(size);
            }
        }
        self.unwritten.iter().map(|(offset, _)| *offset).min()
    }
}
