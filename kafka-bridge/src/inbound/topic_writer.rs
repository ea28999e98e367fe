//! The writers of one topic's partitions. Each has a queue of its own with bounds of its own.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::mpsc::{self, UnboundedSender};

use super::{
    InboundLimits,
    attempt::{Attempt, Place},
    partition_producer::PartitionProducer,
    record::Destination,
};
use crate::{kafka::KafkaIo, partitioner, rejection::Rejection, topics::Topics};

/// What all writers share.
pub(super) struct Shared {
    pub(super) kafka: Arc<dyn KafkaIo>,
    pub(super) topics: Arc<Topics>,
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
}

/// What is in a queue or on its way to Kafka.
#[derive(Default)]
struct Load {
    events: AtomicUsize,
    bytes: AtomicUsize,
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
}

/// A record in a queue.
pub(super) struct Queued {
    attempt: Arc<Attempt>,
    destination: Destination,
    is_finished: bool,
    _room: Room,
}

impl TopicWriter {
    pub(super) fn new(topic: &str, shared: Arc<Shared>) -> Self {
        Self { topic: topic.into(), shared, queues: Mutex::default() }
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
        let fits = events_before < limits.queue_events && (events_before == 0 || bytes_before + bytes <= bytes_of_one);
        fits.then_some(Slot { queue, room })
    }

    fn queue(&self, partition: i32) -> Queue {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = queues.entry(partition).or_insert_with(|| {
            self.shared.queues.fetch_add(1, Ordering::Relaxed);
            Queue { sender: self.spawn(partition), load: Arc::default() }
        });
        if queue.sender.is_closed() {
            queue.sender = self.spawn(partition);
        }
        queue.clone()
    }

    fn spawn(&self, partition: i32) -> UnboundedSender<Queued> {
        let (sender, queue) = mpsc::unbounded_channel();
        let producer = PartitionProducer::new(Arc::clone(&self.shared), Arc::clone(&self.topic), partition);
        // The task ends when its last sender, in `queues`, is dropped.
        tokio::spawn(producer.run(queue));
        sender
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.load.events.fetch_sub(1, Ordering::Relaxed);
        self.load.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Slot {
    pub(super) fn push(self, attempt: Arc<Attempt>, destination: Destination) {
        let queued = Queued { attempt, destination, is_finished: false, _room: self.room };
        // If the task has ended, dropping the record tells the attempt.
        let _ = self.queue.sender.send(queued);
    }
}

impl Queued {
    pub(super) fn attempt(&self) -> &Attempt {
        &self.attempt
    }

    pub(super) fn destination(&self) -> Destination {
        self.destination
    }

    /// Its approximate size in a request.
    pub(super) fn size(&self) -> usize {
        self.attempt.size(self.destination)
    }

    pub(super) fn finish(mut self, result: Result<Place, Rejection>) {
        self.is_finished = true;
        self.attempt.finish(self.destination, result);
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        if !self.is_finished {
            let ended = Rejection::Unavailable("the partition's writer ended".to_owned());
            self.attempt.finish(self.destination, Err(ended));
        }
    }
}
