//! The router as all partitions and the sender share it, and what follows from its decisions.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
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
    partition::{Partition, original_record},
    router::{Effect, Entry, Failure, Kind, Meta, PartitionId, REFUSED, Request, Router},
    sink::{Sink, SinkError, UserSlices},
};
use crate::{
    clock::unix_millis,
    health::Health,
    metrics::Metrics,
    span::{self, Spans},
};

/// This many items that are refused one after another suggest that the fault is not in the items.
const SUSPICIOUS_REFUSALS: usize = 3;

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
    metrics: Arc<Metrics>,
    spans: Spans,
    health: Arc<Health>,
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
    is_refusing: bool,
}

impl State {
    fn lose_checkpoints(&self) {
        self.partitions.values().for_each(|partition| partition.checkpoint_lost.cancel());
    }
}

impl Delivery {
    pub(super) fn new(sink: Arc<dyn Sink>, (metrics, spans): (Arc<Metrics>, Spans), health: Arc<Health>) -> Self {
        let (state, arrived, drained) = (Mutex::default(), Notify::new(), CancellationToken::new());
        Self { sink, metrics, spans, health, state, arrived, drained }
    }

    /// Sends a request to the sink.
    pub(super) async fn send(&self, users: &[UserSlices]) -> Result<Vec<Outcome>, SinkError> {
        let began = Instant::now();
        let answer = self.sink.deliver(users).await;
        self.metrics.outbound.delivery_seconds.observe(began.elapsed().as_secs_f64());
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
        self.report(&mut state);
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
                self.count_gap(hole.reason);
                Entry::gap(partition.id, source, hole.last_offset, hole.reason)
            });
            let mut record = Entry::record(partition.id, item, timestamp_ms);
            record.meta.trace = self.spans.received(traceparent.as_deref());
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
                self.count_gap(hole.reason);
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
                self.count(&outcomes);
                Ok(outcomes)
            }
            Ok(outcomes) => {
                let message = format!("the answer is about {} users, not {users}", outcomes.len());
                Err(SinkError::Failed { label: "bad_answer", message })
            }
            Err(error) => Err(error),
        };
        if let Err(error) = &answer {
            self.metrics.outbound.delivery_failures.with_label_values(&[error.label()]).inc();
            tracing::warn!(users, %error, "items not delivered, trying again");
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

    fn count(&self, outcomes: &[Outcome]) {
        let names = [
            (Outcome::Stored, "stored"),
            (Outcome::Held, "held"),
            (Outcome::Missing, "missing"),
            (Outcome::Refused, "refused"),
            (Outcome::Later, "later"),
            (Outcome::Stale, "stale"),
        ];
        for (outcome, name) in names {
            let count = outcomes.iter().filter(|of| **of == outcome).count();
            if count > 0 {
                self.metrics.outbound.user_deliveries.with_label_values(&[name]).inc_by(count as u64);
            }
        }
        let later = outcomes.iter().filter(|outcome| **outcome == Outcome::Later).count();
        if later > 0 {
            tracing::warn!(users = later, "the buffers of some users failed, only their items are delivered again");
        }
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
                        self.observe(now_ms, &meta);
                        self.trace(partition, offset, &meta, Ok(()));
                    }
                }
                Effect::Dead { subject, item, meta, reason } => {
                    let Some(partition) = state.partitions.get(&meta.partition) else { continue };
                    self.trace(partition, item.offset, &meta, Err(reason));
                    // Those that are parked share gaps, which are counted below.
                    if reason == REFUSED {
                        self.count_gap(ResetReason::Undeliverable);
                    }
                    let record = original_record(&subject, &item);
                    let dead_letter = partition.dead_letter((item.offset, item.offset), (reason, None), record);
                    partition.send_dead_letter(dead_letter, meta.bytes);
                }
                Effect::GapQueued { partition, bytes } => {
                    self.count_gap(ResetReason::Parked);
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
        self.report(state);
    }

    fn count_gap(&self, reason: ResetReason) {
        self.metrics.loss.gaps.with_label_values(&[reason.as_str()]).inc();
    }

    fn trace(&self, partition: &Partition, offset: i64, meta: &Meta, outcome: Result<(), &'static str>) {
        if let Some(received) = &meta.trace {
            let from = span::Destination { topic: &partition.topic, partition: partition.source.partition };
            self.spans.settled(received, from, offset, outcome);
        }
    }

    fn observe(&self, now_ms: u64, meta: &Meta) {
        let waited_ms = now_ms.saturating_sub(u64::try_from(meta.timestamp_ms).unwrap_or_default());
        self.metrics.outbound.stored_seconds.observe(Duration::from_millis(waited_ms).as_secs_f64());
    }

    fn report(&self, state: &mut State) {
        let load = state.router.load();
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.metrics.outbound.waiting_users.set(number(load.users));
        self.metrics.outbound.parked_users.set(number(load.parked_users));
        self.metrics.outbound.deliveries_in_flight.set(number(load.requests));
        let is_refusing = load.refusals >= SUSPICIOUS_REFUSALS;
        if state.is_refusing != is_refusing {
            state.is_refusing = is_refusing;
            self.metrics.outbound.refusing.set(is_refusing.into());
            self.health.set_refusing(is_refusing);
        }
    }
}
