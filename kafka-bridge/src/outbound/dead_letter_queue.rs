//! Writes the dead letters of one partition to Kafka, those that wait together. Later records are delivered meanwhile;
//! only the watermark waits.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::partition::{Partition, UnwrittenDeadLetter};
use crate::dead_letter::DeadLetters;

/// How many are written at a time. A user who is parked has thousands, and fetching pauses until they are written.
const MAX_WRITES: usize = 512;

/// Starts the task. When the handle is dropped, it stops: the remaining records are read again from the checkpoint.
pub(super) fn start(
    partition: Arc<Partition>,
    dead_letters: Arc<DeadLetters>,
    mut queue: mpsc::UnboundedReceiver<UnwrittenDeadLetter>,
    stop: CancellationToken,
) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut unwritten = Vec::new();
        while queue.recv_many(&mut unwritten, MAX_WRITES).await > 0 {
            let letters = unwritten.iter().map(|next: &UnwrittenDeadLetter| &next.dead_letter);
            if dead_letters.send_all(&partition.topic, letters, &stop).await.is_err() {
                return;
            }
            unwritten.drain(..).for_each(|written| partition.on_written(&written));
        }
    }))
}
