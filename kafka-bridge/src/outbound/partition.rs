//! One partition that is read, as its fetcher, its checkpoint writer and the delivery share it.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use causeway_protocol::{
    checkpoint::{Checkpoint, Hole},
    deliver::{Item, Source},
    event::StreamEvent,
    subject::Subject,
};
use prometheus::{IntCounter, IntGauge};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::{
    decode::DecodeError,
    fetcher::{TRANSACTION_MARKER, UNDECODABLE},
    hole::LastHole,
    memory_budget::Reservation,
    router::{PARKED, PartitionId, REFUSED},
    tracker::Tracker,
};
use crate::{dead_letter::DeadLetter, kafka::NewRecord, metrics::Metrics};

/// Fetching pauses at this many unwritten dead letters.
const MAX_UNWRITTEN: usize = 1000;

/// A partition.
pub(super) struct Partition {
    pub(super) id: PartitionId,
    pub(super) topic: String,
    /// How many partitions the topic has.
    pub(super) partitions: i32,
    pub(super) source: Source,
    /// The memory of its items: waiting, in flight, and dead letters that are not written.
    pub(super) reservation: Reservation,
    pub(super) gauges: Gauges,
    /// Cancelled when another instance reads the partition.
    pub(super) stale: CancellationToken,
    /// Cancelled when the sink lost its checkpoint.
    pub(super) checkpoint_lost: CancellationToken,
    /// What its users must hear of.
    pub(super) last_hole: LastHole,
    tracker: Mutex<Tracker>,
    /// Notified when the watermark may have moved.
    finished: Notify,
    /// Unbounded: fetching pauses before there are too many, and parked records hold their memory until they are
    /// written.
    dead_letters: mpsc::UnboundedSender<UnwrittenDeadLetter>,
    unwritten: AtomicUsize,
}

/// A dead letter in the queue, and the bytes that it holds.
pub(super) struct UnwrittenDeadLetter {
    pub(super) dead_letter: DeadLetter,
    pub(super) bytes: usize,
}

/// The metrics of a partition.
pub(super) struct Gauges {
    pub(super) records: IntGauge,
    pub(super) bytes: IntGauge,
    pub(super) lag: IntGauge,
    pub(super) delivered: IntCounter,
    /// The partitions of the topic that are read.
    read: IntGauge,
}

impl Gauges {
    pub(super) fn new(metrics: &Metrics, topic: &str, partition: i32) -> Self {
        let partition = partition.to_string();
        let labels = [topic, partition.as_str()];
        // They are there before they count anything, or an alert would not see the first increase.
        for counters in [&metrics.loss.lost_to_retention, &metrics.loss.truncated, &metrics.loss.undecodable] {
            counters.with_label_values(&labels);
        }
        let decoding = DecodeError::ALL.map(DecodeError::reason);
        for reason in decoding.into_iter().chain([UNDECODABLE, TRANSACTION_MARKER, PARKED, REFUSED]) {
            metrics.loss.dead_letters.with_label_values(&[topic, reason]);
        }
        for counters in [&metrics.outbound.fetch_failures, &metrics.ownership.replans] {
            counters.with_label_values(&[topic]);
        }
        Self {
            records: metrics.outbound.backlog.with_label_values(&labels),
            bytes: metrics.outbound.backlog_bytes.with_label_values(&labels),
            lag: metrics.outbound.lag.with_label_values(&labels),
            delivered: metrics.outbound.delivered.with_label_values(&[topic]),
            read: metrics.ownership.partitions.with_label_values(&[topic]),
        }
    }
}

/// What identifies a partition, and where its reading starts.
pub(super) struct PartitionStart {
    pub(super) topic: String,
    pub(super) partitions: i32,
    pub(super) source: Source,
    pub(super) next_offset: i64,
    /// The last hole that was noted.
    pub(super) hole: Option<Hole>,
}

impl Partition {
    /// Starts without any record. The receiver is for the task that writes the dead letters.
    pub(super) fn new(
        id: PartitionId,
        start: PartitionStart,
        reservation: Reservation,
        metrics: &Metrics,
    ) -> (Self, mpsc::UnboundedReceiver<UnwrittenDeadLetter>) {
        let (dead_letters, receiver) = mpsc::unbounded_channel();
        let gauges = Gauges::new(metrics, &start.topic, start.source.partition);
        let partition = Self {
            id,
            topic: start.topic,
            partitions: start.partitions,
            source: start.source,
            reservation,
            gauges,
            stale: CancellationToken::new(),
            checkpoint_lost: CancellationToken::new(),
            last_hole: LastHole::new(start.hole),
            tracker: Mutex::new(Tracker::new(start.next_offset)),
            finished: Notify::new(),
            dead_letters,
            unwritten: AtomicUsize::new(0),
        };
        partition.gauges.read.inc();
        (partition, receiver)
    }

    fn tracker(&self) -> MutexGuard<'_, Tracker> {
        self.tracker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records were read, up to an offset. Called before any of them is finished.
    pub(super) fn begin(&self, offsets: impl IntoIterator<Item = i64>, next_offset: i64) {
        let mut tracker = self.tracker();
        offsets.into_iter().for_each(|offset| tracker.begin(offset));
        tracker.read_to(next_offset);
        drop(tracker);
        self.update_metrics();
        // A range without records moves the watermark, too.
        self.finished.notify_one();
    }

    /// Records are stored, or their dead letters are written.
    pub(super) fn finish(&self, offsets: impl IntoIterator<Item = i64>) {
        let mut tracker = self.tracker();
        offsets.into_iter().for_each(|offset| tracker.finish(offset));
        drop(tracker);
        self.update_metrics();
        self.finished.notify_one();
    }

    /// Where to continue after a restart.
    pub(super) fn checkpoint(&self) -> Checkpoint {
        let next_offset = self.tracker().watermark();
        Checkpoint { epoch: self.source.epoch, next_offset, partitions: self.partitions }
    }

    /// Waits until the checkpoint is after another one. For one task only.
    pub(super) async fn checkpoint_after(&self, before: Checkpoint) -> Checkpoint {
        loop {
            let checkpoint = self.checkpoint();
            if checkpoint > before {
                return checkpoint;
            }
            self.finished.notified().await;
        }
    }

    /// Waits until there is memory for another fetch.
    pub(super) async fn room(&self) {
        self.reservation.room(|| self.unwritten.load(Ordering::Relaxed) < MAX_UNWRITTEN).await;
    }

    /// Queues a dead letter, whose bytes are part of the reservation.
    pub(super) fn send_dead_letter(&self, dead_letter: DeadLetter, bytes: usize) {
        self.unwritten.fetch_add(1, Ordering::Relaxed);
        // Fails only after the writer was stopped. The record then stays unfinished, and is read again.
        let _ = self.dead_letters.send(UnwrittenDeadLetter { dead_letter, bytes });
    }

    /// A dead letter was written.
    pub(super) fn on_written(&self, written: &UnwrittenDeadLetter) {
        self.unwritten.fetch_sub(1, Ordering::Relaxed);
        self.finish([written.dead_letter.first_offset]);
        self.reservation.release(written.bytes);
    }

    /// A dead letter of offsets of this partition.
    pub(super) fn dead_letter(
        &self,
        (first_offset, last_offset): (i64, i64),
        (reason, detail): (&'static str, Option<String>),
        record: NewRecord,
    ) -> DeadLetter {
        let (topic, partition) = (self.topic.clone(), self.source.partition);
        DeadLetter { topic, partition, first_offset, last_offset, reason, detail, record }
    }

    fn update_metrics(&self) {
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.gauges.records.set(number(self.tracker().pending()));
        self.gauges.bytes.set(number(self.reservation.bytes()));
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        self.gauges.records.set(0);
        self.gauges.bytes.set(0);
        // It is another instance's from here on, or is read again in a moment.
        self.gauges.lag.set(0);
        self.gauges.read.dec();
    }
}

/// The Kafka record of an item, as far as decoding kept it: an event as a CloudEvent, several as a list of what streams
/// carry.
pub(super) fn original_record(subject: &Subject, item: &Item) -> NewRecord {
    let events: Vec<&str> = item.frame.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    let key = Some(subject.to_string().into_bytes());
    if let [event] = events.as_slice()
        && let Ok(event) = serde_json::from_str::<StreamEvent>(event)
    {
        let attributes = [("ce_id", event.id), ("ce_type", event.kind), ("ce_time", event.time)];
        return NewRecord {
            key,
            value: Some(event.data.get().as_bytes().to_vec()),
            headers: attributes.map(|(name, value)| (name.to_owned(), value.into_bytes())).into(),
        };
    }
    NewRecord { key, value: Some(format!("[{}]", events.join(",")).into_bytes()), ..NewRecord::default() }
}
