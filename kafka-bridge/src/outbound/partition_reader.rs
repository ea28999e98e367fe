//! The task of one partition: it runs the fetcher and the checkpoint writer, and ends when the partition must be
//! planned again.

use std::{convert::Infallible, sync::Arc, time::Duration};

use causeway_protocol::checkpoint::Checkpoint;
use tokio_util::sync::CancellationToken;

use super::{
    Exit, Shared,
    checkpoint_writer::CheckpointWriter,
    dead_letter_queue,
    delivery::Delivery,
    fetcher::Fetcher,
    memory_budget::MemoryBudget,
    partition::{Partition, PartitionStart},
};

/// How often the lag is read.
const LAG_INTERVAL: Duration = Duration::from_secs(5);

/// Reads one partition.
pub(super) struct PartitionReader {
    pub(super) shared: Arc<Shared>,
    pub(super) delivery: Arc<Delivery>,
    pub(super) budget: Arc<MemoryBudget>,
    /// When it is cancelled, the requests in flight are still answered.
    pub(super) bridge_stop: CancellationToken,
}

impl PartitionReader {
    /// Reads until the partition must be planned again, or until `stop`. `stored` is the checkpoint of the claim.
    pub(super) async fn read(self, start: PartitionStart, stored: Checkpoint, stop: CancellationToken) -> Exit {
        let Self { shared, delivery, budget, bridge_stop } = self;
        let next_offset = start.next_offset;
        let parked = stop.run_until_cancelled(shared.parked.of(&start)).await.unwrap_or_default();
        let (partition, queue) = Partition::new(delivery.next_id(), start, budget.reserve(), &shared.metrics);
        let partition = Arc::new(partition);
        let added = Added::new(&delivery, &partition);
        delivery.push_parked(&partition, parked);
        // It ends with this task, not with the signal: what is given up meanwhile is still written.
        let _queue = dead_letter_queue::start(
            Arc::clone(&partition),
            Arc::clone(&shared.dead_letters),
            queue,
            CancellationToken::new(),
        );
        let fetcher = Fetcher {
            shared: Arc::clone(&shared),
            delivery: Arc::clone(&delivery),
            partition: Arc::clone(&partition),
            next_offset,
        };
        let mut writer = CheckpointWriter::new(Arc::clone(&shared), Arc::clone(&partition), stored);
        let exit = tokio::select! {
            () = stop.cancelled() => Exit::Stopped,
            () = partition.stale.cancelled() => Exit::Stale,
            () = partition.checkpoint_lost.cancelled() => Exit::Replan,
            exit = fetcher.run() => exit,
            exit = writer.run() => exit,
            never = report_lag(&shared, &partition) => match never {},
        };
        if bridge_stop.is_cancelled() {
            delivery.drained.cancelled().await;
        }
        drop(added);
        if exit != Exit::Stale && !partition.checkpoint_lost.is_cancelled() {
            writer.write_last().await;
        }
        exit
    }
}

/// A partition whose items are delivered. Dropped when its task ends, however that happens.
struct Added {
    delivery: Arc<Delivery>,
    partition: Arc<Partition>,
}

impl Added {
    fn new(delivery: &Arc<Delivery>, partition: &Arc<Partition>) -> Self {
        let (delivery, partition) = (Arc::clone(delivery), Arc::clone(partition));
        delivery.add(Arc::clone(&partition));
        Self { delivery, partition }
    }
}

impl Drop for Added {
    fn drop(&mut self) {
        self.delivery.remove(&self.partition);
    }
}

/// Keeps the metric of the records that are not done.
async fn report_lag(shared: &Shared, partition: &Partition) -> Infallible {
    loop {
        tokio::time::sleep(LAG_INTERVAL).await;
        // A failure is the fetcher's to report.
        if let Ok(now) = shared.kafka.watermarks(&partition.topic, partition.source.partition).await {
            partition.gauges.lag.set((now.latest - partition.checkpoint().next_offset).max(0));
        }
    }
}
