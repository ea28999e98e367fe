//! Writes the dead letters of one partition to Kafka, one after another. Later records are delivered meanwhile; only the
//! watermark waits.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::partition::{Partition, UnwrittenDeadLetter};
use crate::dead_letter::DeadLetters;

/// Starts the task. When the handle is dropped, it stops: the remaining records are read again from the checkpoint.
pub(super) fn start(
    partition: Arc<Partition>,
    dead_letters: Arc<DeadLetters>,
    mut queue: mpsc::UnboundedReceiver<UnwrittenDeadLetter>,
    stop: CancellationToken,
) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        while let Some(unwritten) = queue.recv().await {
            if dead_letters.send(&unwritten.dead_letter, &stop).await.is_err() {
                return;
            }
            partition.on_written(&unwritten);
        }
    }))
}
