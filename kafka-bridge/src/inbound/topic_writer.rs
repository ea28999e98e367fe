//! The writers of one topic's partitions. Each has a queue of its own with bounds of its own.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use causeway_protocol::trace::TRACEPARENT_HEADER;
use prometheus::IntGauge;
use tokio::sync::mpsc::{self, UnboundedSender};

use super::{
    InboundLimits,
    acceptance::Acceptance,
    attempt::{Attempt, Place},
    partition_producer::PartitionProducer,
    record::Destination,
};
use crate::{
    kafka::{KafkaIo, NewRecord},
    metrics::Metrics,
    partitioner,
    rejection::Rejection,
    span::{self, SendSpan, Spans},
    topics::Topics,
};

/// What all writers share.
pub(super) struct Shared {
    pub(super) kafka: Arc<dyn KafkaIo>,
    pub(super) topics: Arc<Topics>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) spans: Spans,
    pub(super) limits: InboundLimits,
    /// The number of partitions with a queue, in all topics.
    pub(super) queues: AtomicUsize,
}

/// Writes to one topic.
pub(super) struct TopicWriter {
    topic: Arc<str>,
    shared: Arc<Shared>,
    queues: Mutex<HashMap<i32, Queue>>,
}

/// The queue of a partition.
#[derive(Clone)]
struct Queue {
    /// Not bounded by itself: there is a [`Room`] for whatever is in it.
    sender: UnboundedSender<Queued>,
    load: Arc<Load>,
    acceptance: Arc<Acceptance>,
}

/// What is in a queue or on its way to Kafka.
struct Load {
    events: AtomicUsize,
    bytes: AtomicUsize,
    /// What the metrics show of them.
    shown_events: IntGauge,
    shown_bytes: IntGauge,
}

/// Room in a queue for one record.
struct Room {
    load: Arc<Load>,
    bytes: usize,
}

/// Room in a queue, and the way into it.
pub(super) struct Slot {
    queue: Queue,
    room: Room,
    spans: Spans,
    topic: Arc<str>,
    partition: i32,
}

/// A record in a queue.
pub(super) struct Queued {
    attempt: Arc<Attempt>,
    destination: Destination,
    is_finished: bool,
    span: Option<SendSpan>,
    _room: Room,
}

impl TopicWriter {
    pub(super) fn new(topic: &str, shared: Arc<Shared>) -> Self {
        Self { topic: topic.into(), shared, queues: Mutex::default() }
    }

    /// The topic.
    pub(super) fn name(&self) -> Arc<str> {
        Arc::clone(&self.topic)
    }

    /// The partition of a key. Asks Kafka only if the topic is not known yet.
    pub(super) async fn partition_of(&self, key: &str) -> Result<i32, Rejection> {
        let count = self.shared.topics.partitions(&self.topic).await;
        let count = count.map_err(|error| Rejection::Unavailable(error.to_string()))?;
        Ok(partitioner::partition(key.as_bytes(), count))
    }

    /// Finds room for one record of a partition.
    pub(super) fn reserve(&self, partition: i32, bytes: usize) -> Option<Slot> {
        let queue = self.queue(partition);
        let limits = &self.shared.limits;
        let bytes_of_one = limits.bytes_of_one(self.shared.queues.load(Ordering::Relaxed));
        // Given back, if it is too much, when it is dropped.
        let room = Room { load: Arc::clone(&queue.load), bytes };
        let events_before = room.load.events.fetch_add(1, Ordering::Relaxed);
        let bytes_before = room.load.bytes.fetch_add(bytes, Ordering::Relaxed);
        room.load.shown_events.inc();
        room.load.shown_bytes.add(room.shown_bytes());
        let fits = events_before < limits.queue_events && (events_before == 0 || bytes_before + bytes <= bytes_of_one);
        let (spans, topic) = (self.shared.spans.clone(), Arc::clone(&self.topic));
        fits.then_some(Slot { queue, room, spans, topic, partition })
    }

    fn queue(&self, partition: i32) -> Queue {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = queues.entry(partition).or_insert_with(|| {
            self.shared.queues.fetch_add(1, Ordering::Relaxed);
            let load = Load::new(&self.shared.metrics, &self.topic, partition);
            let acceptance = Arc::default();
            Queue { sender: self.spawn(partition, &acceptance), load: Arc::new(load), acceptance }
        });
        if queue.sender.is_closed() {
            queue.sender = self.spawn(partition, &queue.acceptance);
        }
        queue.clone()
    }

    fn spawn(&self, partition: i32, acceptance: &Arc<Acceptance>) -> UnboundedSender<Queued> {
        let (sender, queue) = mpsc::unbounded_channel();
        let (shared, topic) = (Arc::clone(&self.shared), Arc::clone(&self.topic));
        let producer = PartitionProducer::new(shared, topic, partition, Arc::clone(acceptance));
        // The task ends when its last sender, in `queues`, is dropped.
        tokio::spawn(producer.run(queue));
        sender
    }
}

impl Load {
    fn new(metrics: &Metrics, topic: &str, partition: i32) -> Self {
        let partition = partition.to_string();
        let labels = [topic, partition.as_str()];
        Self {
            events: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            shown_events: metrics.inbound.produce_queue.with_label_values(&labels),
            shown_bytes: metrics.inbound.produce_queue_bytes.with_label_values(&labels),
        }
    }
}

impl Room {
    fn shown_bytes(&self) -> i64 {
        i64::try_from(self.bytes).unwrap_or(i64::MAX)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.load.events.fetch_sub(1, Ordering::Relaxed);
        self.load.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.load.shown_events.dec();
        self.load.shown_bytes.sub(self.shown_bytes());
    }
}

impl Slot {
    /// Whether the partition will probably take the record.
    pub(super) fn is_likely(&self, bytes: usize) -> bool {
        self.queue.acceptance.is_likely(bytes)
    }

    pub(super) fn push(self, attempt: Arc<Attempt>, destination: Destination) {
        let to = span::Destination { topic: &self.topic, partition: self.partition };
        let span = self.spans.send(attempt.said.event.traceparent.as_deref(), to);
        let queued = Queued { attempt, destination, is_finished: false, span, _room: self.room };
        // If the task has ended, dropping the record tells the attempt.
        let _ = self.queue.sender.send(queued);
    }
}

impl Queued {
    pub(super) fn attempt(&self) -> &Attempt {
        &self.attempt
    }

    /// The record as it is written. Its trace continues from the span of its writing, if there is one.
    pub(super) fn record(&self) -> NewRecord {
        let mut record = self.attempt.record(self.destination);
        if let Some(span) = &self.span {
            record.headers.insert(TRACEPARENT_HEADER.to_owned(), span.traceparent().into_bytes());
        }
        record
    }

    /// Its approximate size in a request.
    pub(super) fn size(&self) -> usize {
        self.attempt.size(self.destination)
    }

    pub(super) fn finish(mut self, result: Result<Place, Rejection>) {
        self.settle(result);
    }

    fn settle(&mut self, result: Result<Place, Rejection>) {
        self.is_finished = true;
        if let Some(span) = self.span.take() {
            span.end(result.as_ref().map(|place| place.offset).map_err(Rejection::code));
        }
        self.attempt.finish(self.destination, result);
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        if !self.is_finished {
            self.settle(Err(Rejection::Unavailable("the partition's writer ended".to_owned())));
        }
    }
}
