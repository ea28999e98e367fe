//! Writes the dead letters of one partition to Kafka, several at a time. Later records are delivered meanwhile; only
//! the watermark waits.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::partition::{Partition, UnwrittenDeadLetter};
use crate::dead_letter::DeadLetters;

/// How many are written at a time. A user who is parked has thousands, and fetching pauses until they are written.
const CONCURRENT_WRITES: usize = 64;

/// Starts the task. When the handle is dropped, it stops: the remaining records are read again from the checkpoint.
pub(super) fn start(
    partition: Arc<Partition>,
    dead_letters: Arc<DeadLetters>,
    mut queue: mpsc::UnboundedReceiver<UnwrittenDeadLetter>,
    stop: CancellationToken,
) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut unwritten = Vec::new();
        while queue.recv_many(&mut unwritten, CONCURRENT_WRITES).await > 0 {
            let writes = unwritten.drain(..).map(async |next| {
                dead_letters.send(&next.dead_letter, &stop).await.map(|()| partition.on_written(&next))
            });
            if join_all(writes).await.iter().any(Result::is_err) {
                return;
            }
        }
    }))
}
