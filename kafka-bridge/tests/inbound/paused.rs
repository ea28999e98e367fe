//! The inbound side alone, with paused time: Kafka in memory takes a fixed time for each write, and fails where a test
//! says so.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use causeway_protocol::{
    event::{Accepted, InboundEvent},
    signature::KeyRing,
};
use kafka_bridge::{
    config::{ChannelSettings, Config},
    inbound::{Inbound, InboundLimits, NoteChange, OtherInstances, Replaced, SharedNotes},
    kafka::{Fetched, KafkaError, KafkaIo, NewRecord, Watermarks},
    metrics::Metrics,
    outbound::EchoKeys,
    partitioner,
    rejection::Rejection,
    span::Spans,
    topics::Topics,
};
use serde_json::json;
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::task::TaskTracker;

use super::{keys, support::memory_kafka::MemoryKafka};

/// How long a write takes.
pub(crate) const WRITE: Duration = Duration::from_millis(5);

/// How long a write takes that fails because nobody answers.
const TIMEOUT: Duration = Duration::from_secs(8);

/// A write that began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) records: usize,
    /// The time since the beginning of the test.
    pub(crate) at: Duration,
}

/// Kafka in memory, with time and faults.
pub(crate) struct SlowKafka {
    pub(crate) memory: Arc<MemoryKafka>,
    began: Instant,
    writes: Mutex<Vec<Write>>,
    leaderless: Mutex<BTreeSet<(String, i32)>>,
    failures: Mutex<BTreeMap<String, VecDeque<KafkaError>>>,
    hangs: AtomicBool,
    unreadable: Mutex<BTreeSet<(String, i32)>>,
    endless: Mutex<BTreeSet<(String, i32)>>,
    max_bytes: Mutex<BTreeMap<String, usize>>,
    searches: AtomicUsize,
}

impl SlowKafka {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            memory: MemoryKafka::new(&[("chat.inbound", 4), ("chat.outbound", 4)]),
            began: Instant::now(),
            writes: Mutex::default(),
            leaderless: Mutex::default(),
            failures: Mutex::default(),
            hangs: AtomicBool::new(false),
            unreadable: Mutex::default(),
            endless: Mutex::default(),
            max_bytes: Mutex::default(),
            searches: AtomicUsize::new(0),
        })
    }

    /// All writes to a topic that began.
    pub(crate) fn writes(&self, topic: &str) -> Vec<Write> {
        self.writes.lock().unwrap().iter().filter(|write| write.topic == topic).cloned().collect()
    }

    /// Writes to this partition get no answer.
    pub(crate) fn set_leaderless(&self, topic: &str, partition: i32, leaderless: bool) {
        let at = (topic.to_owned(), partition);
        let mut all = self.leaderless.lock().unwrap();
        if leaderless {
            all.insert(at)
        } else {
            all.remove(&at)
        };
    }

    /// The next write to this topic fails.
    pub(crate) fn fail_next(&self, topic: &str, error: KafkaError) {
        self.failures.lock().unwrap().entry(topic.to_owned()).or_default().push_back(error);
    }

    /// Writes never end.
    pub(crate) fn hang(&self) {
        self.hangs.store(true, Ordering::Relaxed);
    }

    /// Reads of this partition, in both topics, get no answer.
    pub(crate) fn set_unreadable(&self, partition: i32, is_unreadable: bool) {
        let mut all = self.unreadable.lock().unwrap();
        for topic in ["chat.inbound", "chat.outbound"] {
            let at = (topic.to_owned(), partition);
            if is_unreadable {
                all.insert(at)
            } else {
                all.remove(&at)
            };
        }
    }

    /// Reads of this partition, in both topics, get others' records without end.
    pub(crate) fn set_endless(&self, partition: i32) {
        let topics = ["chat.inbound", "chat.outbound"];
        self.endless.lock().unwrap().extend(topics.map(|topic| (topic.to_owned(), partition)));
    }

    /// The topic takes no record that is larger.
    pub(crate) fn set_max_bytes(&self, topic: &str, bytes: usize) {
        self.max_bytes.lock().unwrap().insert(topic.to_owned(), bytes);
    }

    fn is_endless(&self, topic: &str, partition: i32) -> bool {
        self.endless.lock().unwrap().contains(&(topic.to_owned(), partition))
    }

    /// How often a partition was searched.
    pub(crate) fn searches(&self) -> usize {
        self.searches.load(Ordering::Relaxed)
    }

    /// The ids of a topic's records.
    pub(crate) fn ids(&self, topic: &str) -> Vec<String> {
        let id = |record: NewRecord| String::from_utf8(record.headers.get("ce_id").cloned().unwrap()).unwrap();
        self.memory.records(topic).into_iter().map(id).collect()
    }
}

#[async_trait]
impl KafkaIo for SlowKafka {
    async fn partitions(&self, topic: &str) -> Result<Option<i32>, KafkaError> {
        self.memory.partitions(topic).await
    }

    async fn create_topic(&self, topic: &str, partitions: i32) -> Result<(), KafkaError> {
        self.memory.create_topic(topic, partitions).await
    }

    async fn produce(&self, topic: &str, partition: i32, records: Vec<NewRecord>) -> Result<i64, KafkaError> {
        let at = self.began.elapsed();
        let write = Write { topic: topic.to_owned(), partition, records: records.len(), at };
        self.writes.lock().unwrap().push(write);
        if self.hangs.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        if self.leaderless.lock().unwrap().contains(&(topic.to_owned(), partition)) {
            tokio::time::sleep(TIMEOUT).await;
            return Err(KafkaError::Timeout(TIMEOUT.as_millis()));
        }
        tokio::time::sleep(WRITE).await;
        let failure = self.failures.lock().unwrap().get_mut(topic).and_then(VecDeque::pop_front);
        failure.map_or(Ok(()), Err)?;
        let max_bytes = self.max_bytes.lock().unwrap().get(topic).copied();
        if max_bytes.is_some_and(|max| records.iter().any(|record| record.size() > max)) {
            return Err(KafkaError::TooLarge);
        }
        self.memory.produce(topic, partition, records).await
    }

    async fn offset_at(&self, topic: &str, partition: i32, time_ms: i64) -> Result<Option<i64>, KafkaError> {
        self.searches.fetch_add(1, Ordering::Relaxed);
        if self.unreadable.lock().unwrap().contains(&(topic.to_owned(), partition)) {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(WRITE).await;
        if self.is_endless(topic, partition) {
            return Ok(Some(0));
        }
        self.memory.offset_at(topic, partition, time_ms).await
    }

    async fn fetch(&self, topic: &str, partition: i32, offset: i64) -> Result<Fetched, KafkaError> {
        if self.is_endless(topic, partition) {
            tokio::time::sleep(Duration::from_millis(100)).await;
            return Ok(Fetched { items: Vec::new(), next_offset: offset + 1 });
        }
        self.memory.fetch(topic, partition, offset).await
    }

    async fn watermarks(&self, topic: &str, partition: i32) -> Result<Watermarks, KafkaError> {
        let watermarks = self.memory.watermarks(topic, partition).await?;
        let is_endless = self.is_endless(topic, partition);
        Ok(if is_endless { Watermarks { latest: i64::MAX, ..watermarks } } else { watermarks })
    }
}

/// One instance's inbound side.
#[derive(Clone)]
pub(crate) struct Instance {
    inbound: Arc<Inbound>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Instance {
    /// Serves the default channel.
    pub(crate) fn new(kafka: &Arc<SlowKafka>) -> Self {
        Self::with(kafka, &channels(None), InboundLimits::default(), None)
    }

    pub(crate) fn with(
        kafka: &Arc<SlowKafka>,
        channels: &[ChannelSettings],
        limits: InboundLimits,
        notes: Option<Box<dyn SharedNotes>>,
    ) -> Self {
        let kafka: Arc<dyn KafkaIo> = Arc::clone(kafka) as _;
        let topics = Arc::new(Topics::new(Arc::clone(&kafka), 0));
        let metrics = Arc::new(Metrics::new().unwrap());
        let tasks = TaskTracker::new();
        let echo_keys = EchoKeys::new(Arc::new(KeyRing::parse(&keys()).unwrap()));
        let counted = (Arc::clone(&metrics), Spans::default());
        let others = notes.map_or_else(|| OtherInstances::Kafka(Arc::clone(&kafka)), OtherInstances::Notes);
        let inbound = Inbound::new(kafka, topics, counted, (channels, &echo_keys), limits, others, tasks);
        Self { inbound: Arc::new(inbound), metrics }
    }

    /// Says something, and returns the answer and how long it took.
    pub(crate) fn say(&self, user: &str, id: &str, text: &str) -> JoinHandle<(Result<Accepted, Rejection>, Duration)> {
        let inbound = Arc::clone(&self.inbound);
        let event = event(user, id, text);
        tokio::spawn(async move {
            let began = Instant::now();
            let result = inbound.accept(event).await;
            (result, began.elapsed())
        })
    }

    /// Repeats what was first said so many seconds ago, maybe at another instance.
    pub(crate) async fn repeat(&self, user: &str, id: &str, text: &str, seconds: u32) -> Result<Accepted, Rejection> {
        let event = InboundEvent { repeated_after_seconds: Some(seconds), ..event(user, id, text) };
        self.inbound.accept(event).await
    }

    pub(crate) async fn answer(&self, user: &str, id: &str, text: &str) -> Result<Accepted, Rejection> {
        self.say(user, id, text).await.unwrap().0
    }
}

/// The channels of this setting.
pub(crate) fn channels(text: Option<&str>) -> Vec<ChannelSettings> {
    let keys = keys();
    let base = [("BRIDGE_KEYS", keys.as_str()), ("BRIDGE_EDGE_URL", "http://e.test"), ("KAFKA_BROKERS", "k:1")];
    let vars = base.into_iter().chain(text.map(|text| ("BRIDGE_CHANNELS", text)));
    let vars = vars.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    Config::from_vars(&vars).unwrap().channels
}

fn event(user: &str, id: &str, text: &str) -> InboundEvent {
    let event = json!({
        "version": 2,
        "channel": "chat", "id": id, "type": "message", "source": "https://edge.test", "subject": format!("t:{user}"),
        "time": "2026-01-02T03:04:05Z", "data": {"text": text},
    });
    serde_json::from_str(&event.to_string()).unwrap()
}

/// A user whose events go to this partition of four.
pub(crate) fn user_of(partition: i32) -> String {
    let matches = |user: &String| partitioner::partition(format!("t:{user}").as_bytes(), 4) == partition;
    (0..).map(|n| format!("u{n}")).find(matches).unwrap()
}

/// Notes in memory. Instances that have the same share them.
#[derive(Clone, Default)]
pub(crate) struct MemoryNotes(Arc<Mutex<NotesState>>);

#[derive(Default)]
struct NotesState {
    notes: BTreeMap<String, (String, Instant)>,
    published: Vec<usize>,
    fault: Option<NotesFault>,
}

/// What is wrong with the shared memory.
#[derive(Clone, Copy)]
pub(crate) enum NotesFault {
    Fails,
    Hangs,
}

impl MemoryNotes {
    pub(crate) fn set_fault(&self, fault: Option<NotesFault>) {
        self.0.lock().unwrap().fault = fault;
    }

    /// The memory forgets everything, or only what need not outlive a restart.
    pub(crate) fn restart(&self, with_data: bool) {
        let notes = &mut self.0.lock().unwrap().notes;
        notes.retain(|_, (note, _)| with_data && !note.contains("writer"));
    }

    /// How many notes each call published.
    pub(crate) fn published(&self) -> Vec<usize> {
        self.0.lock().unwrap().published.clone()
    }

    async fn call(&self, keep: Duration, changes: &[NoteChange]) -> Result<Vec<Replaced>, String> {
        let fault = self.0.lock().unwrap().fault;
        match fault {
            Some(NotesFault::Fails) => return Err("a fault".to_owned()),
            Some(NotesFault::Hangs) => std::future::pending().await,
            None => {}
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        let notes = &mut self.0.lock().unwrap().notes;
        notes.retain(|_, (_, until)| *until > Instant::now());
        let replace = |NoteChange { key, expected, new }: &NoteChange| {
            let key = format!("{} {} {}", key.subject, key.channel, key.id);
            let found = notes.get(&key).map(|(note, _)| note.clone());
            if found != *expected {
                return Replaced::Found(found);
            }
            match new {
                Some(new) => drop(notes.insert(key, (new.clone(), Instant::now() + keep))),
                None => drop(notes.remove(&key)),
            }
            Replaced::Done
        };
        Ok(changes.iter().map(replace).collect())
    }

    pub(crate) fn boxed(&self) -> Option<Box<dyn SharedNotes>> {
        Some(Box::new(self.clone()))
    }
}

#[async_trait]
impl SharedNotes for MemoryNotes {
    async fn claim(&self, change: &NoteChange, keep: Duration) -> Result<Replaced, String> {
        self.call(keep, std::slice::from_ref(change)).await.map(|mut replaced| replaced.remove(0))
    }

    async fn publish(&self, changes: &[NoteChange], keep: Duration) -> Result<Vec<Replaced>, String> {
        self.0.lock().unwrap().published.push(changes.len());
        self.call(keep, changes).await
    }
}
