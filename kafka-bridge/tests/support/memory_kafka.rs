//! Kafka in memory, with the faults that a test asks for.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use kafka_bridge::{
    clock::unix_millis,
    kafka::{Fetched, FetchedItem, FetchedRecord, KafkaError, KafkaIo, NewRecord, Watermarks},
};
use tokio::sync::{Notify, watch};

#[derive(Default)]
struct State {
    topics: BTreeMap<String, Vec<Partition>>,
    produce_failures: VecDeque<KafkaError>,
    /// Partitions without a leader.
    leaderless: BTreeSet<(String, i32)>,
    /// How long a fetch of a topic takes.
    slow: BTreeMap<String, Duration>,
    /// How many more fetches of a topic find nothing.
    empty_fetches: BTreeMap<String, usize>,
    down: bool,
    produces: usize,
    in_flight: BTreeMap<(String, i32), usize>,
    most_in_flight: usize,
    largest_batch: usize,
}

#[derive(Clone, Default)]
struct Partition {
    earliest: i64,
    items: Vec<FetchedItem>,
    next: i64,
}

/// An in-memory cluster.
pub struct MemoryKafka {
    state: Mutex<State>,
    appended: Notify,
    /// Produces complete only while it is true.
    open: watch::Sender<bool>,
}

impl MemoryKafka {
    pub fn new(topics: &[(&str, usize)]) -> Arc<Self> {
        let topics = topics.iter().map(|(name, n)| ((*name).to_owned(), vec![Partition::default(); *n])).collect();
        let state = Mutex::new(State { topics, ..State::default() });
        Arc::new(Self { state, appended: Notify::new(), open: watch::Sender::new(true) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Produces are neither stored nor acknowledged until [`MemoryKafka::release`].
    pub fn hold(&self) {
        self.open.send_replace(false);
    }

    pub fn release(&self) {
        self.open.send_replace(true);
    }

    /// The next produces fail with these errors.
    pub fn fail_produces(&self, errors: &[KafkaError]) {
        self.state().produce_failures.extend(errors.iter().cloned());
    }

    /// Makes every call fail, or work again.
    pub fn set_down(&self, down: bool) {
        self.state().down = down;
        self.appended.notify_waiters();
    }

    /// The number of produces that began.
    pub fn produces(&self) -> usize {
        self.state().produces
    }

    pub fn most_in_flight(&self) -> usize {
        self.state().most_in_flight
    }

    pub fn largest_batch(&self) -> usize {
        self.state().largest_batch
    }

    pub fn partition_count(&self, topic: &str) -> Option<usize> {
        self.state().topics.get(topic).map(Vec::len)
    }

    /// All records of a topic.
    pub fn records(&self, topic: &str) -> Vec<NewRecord> {
        let state = self.state();
        let partitions = state.topics.get(topic).into_iter().flatten();
        let record = |item: &FetchedItem| match item {
            FetchedItem::Record(found) => Some(found.record.clone()),
            FetchedItem::Undecodable { .. } => None,
        };
        partitions.flat_map(|partition| partition.items.iter().filter_map(record)).collect()
    }

    pub fn append(&self, topic: &str, partition: usize, record: NewRecord) -> i64 {
        self.append_at(topic, partition, record, 1_767_323_045_000)
    }

    fn append_at(&self, topic: &str, partition: usize, record: NewRecord, timestamp_ms: i64) -> i64 {
        let mut state = self.state();
        let partition = &mut state.topics.get_mut(topic).unwrap()[partition];
        let offset = partition.next;
        partition.items.push(FetchedItem::Record(FetchedRecord { offset, timestamp_ms, record }));
        partition.next += 1;
        drop(state);
        self.appended.notify_waiters();
        offset
    }

    /// Appends a plain message for a user.
    pub fn append_text(&self, topic: &str, partition: usize, user: &str, text: &str) -> i64 {
        let value = serde_json::json!({ "text": text }).to_string().into_bytes();
        let record = NewRecord { key: Some(user.as_bytes().to_vec()), value: Some(value), ..NewRecord::default() };
        self.append(topic, partition, record)
    }

    /// Appends offsets that the client can't decode.
    pub fn append_undecodable(&self, topic: &str, partition: usize, count: i64, reason: &str) {
        let mut state = self.state();
        let partition = &mut state.topics.get_mut(topic).unwrap()[partition];
        let (first, reason) = (partition.next, reason.to_owned());
        partition.items.push(FetchedItem::Undecodable { first, last: first + count - 1, reason });
        partition.next += count;
    }

    /// Removes records before an offset, as retention does.
    pub fn retain_from(&self, topic: &str, partition: usize, earliest: i64) {
        let mut state = self.state();
        let partition = &mut state.topics.get_mut(topic).unwrap()[partition];
        partition.earliest = earliest;
        partition.items.retain(|item| first_offset(item) >= earliest);
    }

    /// Removes the last records, as the election of a leader that does not have them does.
    pub fn truncate(&self, topic: &str, partition: usize, next: i64) {
        let mut state = self.state();
        let partition = &mut state.topics.get_mut(topic).unwrap()[partition];
        partition.next = next;
        partition.items.retain(|item| last_offset(item) < next);
    }

    /// Takes a partition's leader away, or gives it one.
    pub fn set_leaderless(&self, topic: &str, partition: i32, is_leaderless: bool) {
        let key = (topic.to_owned(), partition);
        let mut state = self.state();
        if is_leaderless {
            state.leaderless.insert(key);
        } else {
            state.leaderless.remove(&key);
        }
    }

    /// From now on every fetch of a topic takes so long.
    pub fn slow_down(&self, topic: &str, by: Duration) {
        self.state().slow.insert(topic.to_owned(), by);
    }

    /// The next fetches of a topic find nothing, as those of a client do that has just begun with it.
    pub fn empty_fetches(&self, topic: &str, count: usize) {
        self.state().empty_fetches.insert(topic.to_owned(), count);
    }

    pub fn recreate(&self, topic: &str, partitions: usize) {
        self.state().topics.insert(topic.to_owned(), vec![Partition::default(); partitions]);
        self.appended.notify_waiters();
    }

    pub fn grow(&self, topic: &str, partitions: usize) {
        self.state().topics.get_mut(topic).unwrap().resize(partitions, Partition::default());
    }
}

/// A fetch returns no more than this, but always one item.
const MAX_FETCH_BYTES: usize = 1024 * 1024;

fn size(item: &FetchedItem) -> usize {
    match item {
        FetchedItem::Record(found) => found.record.size() + 64,
        FetchedItem::Undecodable { .. } => 64,
    }
}

fn first_offset(item: &FetchedItem) -> i64 {
    match item {
        FetchedItem::Record(found) => found.offset,
        FetchedItem::Undecodable { first, .. } => *first,
    }
}

fn last_offset(item: &FetchedItem) -> i64 {
    match item {
        FetchedItem::Record(found) => found.offset,
        FetchedItem::Undecodable { last, .. } => *last,
    }
}

impl State {
    fn partition(&self, topic: &str, partition: i32) -> Result<&Partition, KafkaError> {
        if self.down {
            return Err(KafkaError::Unavailable("down".to_owned()));
        }
        if self.leaderless.contains(&(topic.to_owned(), partition)) {
            return Err(KafkaError::Unavailable("LeaderNotAvailable".to_owned()));
        }
        let found = self.topics.get(topic).and_then(|found| found.get(usize::try_from(partition).unwrap()));
        found.ok_or_else(|| KafkaError::UnknownTopic(topic.to_owned()))
    }

    fn fetch(&self, topic: &str, partition: i32, offset: i64) -> Result<Fetched, KafkaError> {
        let partition = self.partition(topic, partition)?;
        if offset < partition.earliest || offset > partition.next {
            return Err(KafkaError::OffsetOutOfRange);
        }
        let mut bytes = 0;
        let fits = |item: &&FetchedItem| {
            let is_first = bytes == 0;
            bytes += size(item);
            is_first || bytes <= MAX_FETCH_BYTES
        };
        let items = partition.items.iter().skip_while(|item| last_offset(item) < offset);
        let items: Vec<_> = items.take_while(fits).cloned().collect();
        Ok(Fetched { next_offset: items.last().map_or(offset, |last| last_offset(last) + 1), items })
    }
}

#[async_trait]
impl KafkaIo for MemoryKafka {
    async fn partitions(&self, topic: &str) -> Result<Option<i32>, KafkaError> {
        let state = self.state();
        if state.down {
            return Err(KafkaError::Unavailable("down".to_owned()));
        }
        Ok(state.topics.get(topic).map(|found| i32::try_from(found.len()).unwrap()))
    }

    async fn create_topic(&self, topic: &str, partitions: i32) -> Result<(), KafkaError> {
        let partitions = vec![Partition::default(); usize::try_from(partitions).unwrap()];
        self.state().topics.entry(topic.to_owned()).or_insert(partitions);
        Ok(())
    }

    async fn produce(&self, topic: &str, partition: i32, records: Vec<NewRecord>) -> Result<i64, KafkaError> {
        let key = (topic.to_owned(), partition);
        {
            let mut state = self.state();
            state.produces += 1;
            state.largest_batch = state.largest_batch.max(records.len());
            let in_flight = state.in_flight.entry(key.clone()).or_default();
            *in_flight += 1;
            let in_flight = *in_flight;
            state.most_in_flight = state.most_in_flight.max(in_flight);
        }
        self.open.subscribe().wait_for(|open| *open).await.unwrap();
        let failure = {
            let mut state = self.state();
            *state.in_flight.get_mut(&key).unwrap() -= 1;
            state.produce_failures.pop_front()
        };
        failure.map_or(Ok(()), Err)?;
        let first = self.state().partition(topic, partition)?.next;
        for record in records {
            let now_ms = i64::try_from(unix_millis()).unwrap();
            self.append_at(topic, usize::try_from(partition).unwrap(), record, now_ms);
        }
        Ok(first)
    }

    async fn fetch(&self, topic: &str, partition: i32, offset: i64) -> Result<Fetched, KafkaError> {
        let slow = self.state().slow.get(topic).copied();
        if let Some(slow) = slow {
            tokio::time::sleep(slow).await;
        }
        if let Some(left @ 1..) = self.state().empty_fetches.get_mut(topic) {
            *left -= 1;
            return Ok(Fetched { items: Vec::new(), next_offset: offset });
        }
        let appended = self.appended.notified();
        let fetched = self.state().fetch(topic, partition, offset)?;
        if !fetched.items.is_empty() {
            return Ok(fetched);
        }
        let _ = tokio::time::timeout(Duration::from_millis(100), appended).await;
        self.state().fetch(topic, partition, offset)
    }

    async fn watermarks(&self, topic: &str, partition: i32) -> Result<Watermarks, KafkaError> {
        let state = self.state();
        let partition = state.partition(topic, partition)?;
        Ok(Watermarks { earliest: partition.earliest, latest: partition.next })
    }

    async fn offset_at(&self, topic: &str, partition: i32, time_ms: i64) -> Result<Option<i64>, KafkaError> {
        let state = self.state();
        let items = &state.partition(topic, partition)?.items;
        Ok(items.iter().find_map(|item| match item {
            FetchedItem::Record(found) => (found.timestamp_ms >= time_ms).then_some(found.offset),
            FetchedItem::Undecodable { .. } => None,
        }))
    }
}
