//! The router as all partitions and the sender share it, and what follows from its decisions.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use causeway_protocol::{
    checkpoint::Hole,
    deliver::{Outcome, Slice},
    hub::ResetReason,
    subject::Subject,
};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    decode::Addressed,
    delivery_report::DeliveryReport,
    partition::{Partition, original_record},
    router::{Effect, Entry, Failure, Kind, PartitionId, REFUSED, Request, Router},
    sink::{Sink, SinkError, UserSlices},
};
use crate::{clock::unix_millis, health::Health, metrics::Metrics, span::Spans};

/// What was read, on its way to the router.
pub(super) enum Arrival {
    /// A decoded record.
    Record {
        addressed: Addressed,
        /// When Kafka got it, in milliseconds of Unix time.
        timestamp_ms: i64,
    },
    /// A hole, which the users of the records after it hear of.
    Hole(Hole),
}

/// What waits to be delivered, of all channels and partitions.
pub(super) struct Delivery {
    sink: Arc<dyn Sink>,
    report: DeliveryReport,
    state: Mutex<State>,
    /// Notified when there may be something to send.
    pub(super) arrived: Notify,
    /// Cancelled when the sender has ended, and with it all requests.
    pub(super) drained: CancellationToken,
}

#[derive(Default)]
struct State {
    router: Router,
    partitions: HashMap<PartitionId, Arc<Partition>>,
    last_id: PartitionId,
}

impl State {
    fn lose_checkpoints(&self) {
        self.partitions.values().for_each(|partition| partition.checkpoint_lost.cancel());
    }
}

impl Delivery {
    pub(super) fn new(sink: Arc<dyn Sink>, counted: (Arc<Metrics>, Spans), health: Arc<Health>) -> Self {
        let (state, arrived, drained) = (Mutex::default(), Notify::new(), CancellationToken::new());
        Self { sink, report: DeliveryReport::new(counted, health), state, arrived, drained }
    }

    /// Sends a request to the sink.
    pub(super) async fn send(&self, users: &[UserSlices]) -> Result<Vec<Outcome>, SinkError> {
        let began = Instant::now();
        let answer = self.sink.deliver(users).await;
        self.report.answered(began.elapsed());
        answer
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of a partition that will be added.
    pub(super) fn next_id(&self) -> PartitionId {
        let mut state = self.state();
        state.last_id += 1;
        state.last_id
    }

    /// Adds a partition, whose items are then delivered.
    pub(super) fn add(&self, partition: Arc<Partition>) {
        let mut state = self.state();
        state.router.add_partition(partition.id, partition.source.clone());
        state.partitions.insert(partition.id, partition);
    }

    /// Drops a partition with all its items.
    pub(super) fn remove(&self, partition: &Partition) {
        let mut state = self.state();
        state.router.remove_partition(partition.id);
        state.partitions.remove(&partition.id);
        self.report.show(&state.router.load());
    }

    /// The sink lost a checkpoint: all partitions end, and store no checkpoint any more.
    pub(super) fn on_lost_checkpoint(&self) {
        self.state().lose_checkpoints();
    }

    /// Shows items to the streams of this process, and queues them. Both under one lock, so that a stream and the
    /// user's buffer get items of several partitions in the same order.
    pub(super) fn push(&self, partition: &Partition, arrivals: Vec<Arrival>) {
        let mut slice = Slice { source: partition.source.clone(), after: None, items: Vec::with_capacity(1) };
        let mut state = self.state();
        for arrival in arrivals {
            let (Addressed { subject, item, traceparent }, timestamp_ms) = match arrival {
                Arrival::Record { addressed, timestamp_ms } => (addressed, timestamp_ms),
                Arrival::Hole(hole) => {
                    partition.last_hole.set(hole);
                    continue;
                }
            };
            let source = &partition.source;
            let hole = partition.last_hole.before(&subject, source.epoch, item.offset);
            let gap = hole.map(|hole| {
                self.report.gap(hole.reason);
                Entry::gap(partition.id, source, hole.last_offset, hole.reason)
            });
            let mut record = Entry::record(partition.id, item, timestamp_ms);
            record.meta.trace = self.report.received(traceparent.as_deref());
            for Entry { item, meta } in gap.into_iter().chain([record]) {
                slice.items.push(item);
                self.sink.push(&subject, &slice);
                let Some(item) = slice.items.pop() else { continue };
                partition.reservation.add(meta.bytes);
                state.router.push(subject.clone(), Entry { item, meta });
            }
        }
        self.apply(&mut state);
        drop(state);
        self.arrived.notify_one();
    }

    /// Queues the gaps of users who were parked, up to these offsets. Called before anything else of the partition is
    /// pushed.
    pub(super) fn push_parked(&self, partition: &Partition, parked: impl IntoIterator<Item = (Subject, i64)>) {
        let mut state = self.state();
        let source = &partition.source;
        for (subject, last_offset) in parked {
            let hole = partition.last_hole.before(&subject, source.epoch, last_offset);
            let hole = hole.map(|hole| {
                self.report.gap(hole.reason);
                (hole.last_offset, hole.reason)
            });
            // The gap itself was counted by the instance that parked the user.
            for (offset, reason) in hole.into_iter().chain([(last_offset, ResetReason::Parked)]) {
                let gap = Entry::gap(partition.id, source, offset, reason);
                partition.reservation.add(gap.meta.bytes);
                state.router.push(subject.clone(), gap);
            }
            state.router.set_parked(&subject);
        }
        self.apply(&mut state);
        drop(state);
        self.arrived.notify_one();
    }

    /// The requests to send now, and when to ask again at the latest.
    pub(super) fn next_requests(&self, now: Instant) -> (Vec<Request>, Option<Instant>) {
        let mut state = self.state();
        let requests = std::iter::from_fn(|| state.router.next_request(now)).collect();
        let due = state.router.next_due();
        self.apply(&mut state);
        (requests, due)
    }

    /// Takes the sink's answer to a request.
    pub(super) fn complete(&self, request: Request, answer: Result<Vec<Outcome>, SinkError>) {
        let users = request.users.len();
        let mut state = self.state();
        let answer = match answer {
            Ok(outcomes) if outcomes.len() == users => {
                self.report.outcomes(&outcomes);
                Ok(outcomes)
            }
            Ok(outcomes) => {
                let message = format!("the answer is about {} users, not {users}", outcomes.len());
                Err(SinkError::Failed { label: "bad_answer", message })
            }
            Err(error) => Err(error),
        };
        if let Err(error) = &answer {
            self.report.failure(users, error);
        }
        if matches!(answer, Err(SinkError::CheckpointLost)) {
            state.lose_checkpoints();
        }
        let answer = answer.map_err(|error| match error {
            SinkError::Refused(_) => Failure::Refused,
            _ => Failure::Failed,
        });
        state.router.complete(Instant::now(), request, answer);
        self.apply(&mut state);
    }

    fn apply(&self, state: &mut State) {
        let mut stored: HashMap<PartitionId, Vec<i64>> = HashMap::new();
        let now_ms = unix_millis();
        for effect in state.router.take_effects() {
            match effect {
                Effect::Stored { offset, meta } => {
                    let Some(partition) = state.partitions.get(&meta.partition) else { continue };
                    partition.reservation.release(meta.bytes);
                    if matches!(meta.kind, Kind::Record) {
                        stored.entry(meta.partition).or_default().push(offset);
                        self.report.stored(now_ms, &meta);
                        self.report.trace(partition, offset, &meta, Ok(()));
                    }
                }
                Effect::Dead { subject, item, meta, reason } => {
                    let Some(partition) = state.partitions.get(&meta.partition) else { continue };
                    self.report.trace(partition, item.offset, &meta, Err(reason));
                    // Those that are parked share gaps, which are counted below.
                    if reason == REFUSED {
                        self.report.gap(ResetReason::Undeliverable);
                    }
                    let record = original_record(&subject, &item);
                    let dead_letter = partition.dead_letter((item.offset, item.offset), (reason, None), record);
                    partition.send_dead_letter(dead_letter, meta.bytes);
                }
                Effect::GapQueued { partition, bytes } => {
                    self.report.gap(ResetReason::Parked);
                    if let Some(partition) = state.partitions.get(&partition) {
                        partition.reservation.add(bytes);
                    }
                }
                Effect::Stale(partition) => {
                    if let Some(partition) = state.partitions.remove(&partition) {
                        partition.stale.cancel();
                    }
                }
            }
        }
        for (partition, offsets) in stored {
            if let Some(partition) = state.partitions.get(&partition) {
                partition.gauges.delivered.inc_by(offsets.len() as u64);
                partition.finish(offsets);
            }
        }
        self.report.show(&state.router.load());
    }
}
