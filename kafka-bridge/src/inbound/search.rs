//! Looks in Kafka for an event that another instance may have written, where instances share no memory.
//!
//! Only repeats are looked for: their client says how long ago it sent the event first. So a first attempt costs nothing,
//! and the partition is read from that time on. While a partition is being read, further repeats gather, and the next
//! reading is for all of them: after an outage, when everybody repeats, each partition is read a few times.
//!
//! What can't be found in time counts as not written, as if nobody had looked.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use causeway_protocol::event::ECHO_HEADER;
use prometheus::IntCounter;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::timeout,
};

use super::{
    attempt::{Attempt, Place, Progress, Target},
    record::{Destination, Said, fingerprint_of},
};
use crate::{
    clock::unix_millis,
    kafka::{FetchedItem, FetchedRecord, KafkaError, KafkaIo},
};

/// The longest search, and the longest reading of a partition.
const MAX_TIME: Duration = Duration::from_secs(2);

/// The maximum number of records in one reading, whoever they are of; a fetch may exceed it.
const MAX_RECORDS: usize = 50_000;

/// The maximum number of bytes in one reading; a fetch may exceed it.
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// The maximum number of partitions that are read at a time. Each has a fetch in memory.
const MAX_READINGS: usize = 4;

/// The maximum number of events that are looked for. Each is in memory, and not in a queue yet.
const MAX_SEARCHES: usize = 1024;

/// How long ago an event may have been sent first that is looked for before older ones.
const RECENT: Duration = Duration::from_secs(60);

/// How far the clocks of instances, edge and clients may be apart.
const CLOCK_SKEW: Duration = Duration::from_secs(10);

/// Another event has the id.
pub(super) struct Reused;

/// Looks for events in Kafka.
pub(super) struct Search {
    kafka: Arc<dyn KafkaIo>,
    /// Counts the repeats for which that failed.
    failures: IntCounter,
    searches: Arc<Semaphore>,
    readings: Semaphore,
    /// What the next reading of each partition is for. A partition is there as long as a task reads it.
    waiting: Mutex<HashMap<Partition, Vec<Wanted>>>,
}

/// A topic and one of its partitions.
type Partition = (Arc<str>, i32);

/// An event that a reading looks for.
struct Wanted {
    key: String,
    id: String,
    destination: Destination,
    /// Records before this time are not of it.
    since_ms: u64,
    found: oneshot::Sender<Option<Sighting>>,
}

impl Wanted {
    fn identity(&self) -> (&[u8], &[u8]) {
        (self.key.as_bytes(), self.id.as_bytes())
    }
}

/// A record of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sighting {
    offset: i64,
    /// `None` if the record is not one that a bridge writes.
    fingerprint: Option<u128>,
}

/// It could not be found out.
struct Unknown;

/// What the next reading is for. A reading has a limit and begins at the oldest time that it is for. So recent events are
/// looked for without the old ones, which could keep it from ever reaching them.
fn take_next(waiting: &mut Vec<Wanted>) -> Vec<Wanted> {
    let recent_ms = unix_millis().saturating_sub(millis(RECENT + CLOCK_SKEW));
    let (recent, old): (Vec<_>, Vec<_>) =
        std::mem::take(waiting).into_iter().partition(|one| one.since_ms >= recent_ms);
    if recent.is_empty() {
        return old;
    }
    *waiting = old;
    recent
}

impl Search {
    /// Reads with this client, which must not be the one that writes: a broker answers a connection's requests in order.
    pub(super) fn new(kafka: Arc<dyn KafkaIo>, failures: IntCounter) -> Self {
        Self {
            kafka,
            failures,
            searches: Arc::new(Semaphore::new(MAX_SEARCHES)),
            readings: Semaphore::new(MAX_READINGS),
            waiting: Mutex::default(),
        }
    }

    /// Room for one more search. It is held until the event is queued or rejected. Without it, the event is not looked for.
    pub(super) fn admit(&self) -> Option<OwnedSemaphorePermit> {
        let room = Arc::clone(&self.searches).try_acquire_owned().ok();
        if room.is_none() {
            self.failures.inc();
        }
        room
    }

    /// Which records of an event are written, as far as that can be found out. `ago` is when it was first sent.
    pub(super) async fn progress(self: &Arc<Self>, attempt: &Attempt, ago: Duration) -> Result<Progress, Reused> {
        let since_ms = unix_millis().saturating_sub(millis(ago.saturating_add(CLOCK_SKEW)));
        let (inbound, echo) = attempt.targets();
        let said = &attempt.said;
        let both = async {
            let of_inbound = self.find(inbound, said, Destination::Inbound, since_ms);
            let of_echo = async {
                match echo {
                    Some(echo) => self.find(echo, said, Destination::Echo, since_ms).await,
                    None => Ok(None),
                }
            };
            tokio::join!(of_inbound, of_echo)
        };
        let (of_inbound, of_echo) = timeout(MAX_TIME, both).await.unwrap_or((Err(Unknown), Err(Unknown)));
        if of_inbound.is_err() || of_echo.is_err() {
            self.failures.inc();
        }
        let (of_inbound, of_echo) = (of_inbound.unwrap_or_default(), of_echo.unwrap_or_default());
        let is_other = |sighting: &Sighting| sighting.fingerprint != Some(said.fingerprint);
        if of_inbound.iter().chain(&of_echo).any(is_other) {
            return Err(Reused);
        }
        let place = |Sighting { offset, .. }| Place { partition: inbound.partition, offset };
        let found = Progress { inbound: of_inbound.map(place), echoed: of_echo.is_some() };
        Ok(attempt.progress().or(found))
    }

    /// The record of an event in one partition.
    async fn find(
        self: &Arc<Self>,
        target: &Target,
        said: &Said,
        destination: Destination,
        since_ms: u64,
    ) -> Result<Option<Sighting>, Unknown> {
        let (found, answer) = oneshot::channel();
        let wanted = Wanted { key: said.key.clone(), id: said.event.id.clone(), destination, since_ms, found };
        let partition = (target.topic.name(), target.partition);
        let is_read = match self.waiting().entry(partition.clone()) {
            Entry::Occupied(mut waiting) => {
                waiting.get_mut().push(wanted);
                true
            }
            Entry::Vacant(none) => {
                none.insert(vec![wanted]);
                false
            }
        };
        if !is_read {
            let this = Arc::clone(self);
            tokio::spawn(async move { this.read_while_wanted(partition).await });
        }
        answer.await.map_err(|_| Unknown)
    }

    /// Ends when nothing waits.
    async fn read_while_wanted(&self, partition: Partition) {
        while let Ok(_permit) = self.readings.acquire().await {
            let mut wanted = {
                let mut waiting = self.waiting();
                match waiting.get_mut(&partition).filter(|wanted| !wanted.is_empty()) {
                    Some(wanted) => take_next(wanted),
                    None => {
                        waiting.remove(&partition);
                        return;
                    }
                }
            };
            wanted.retain(|one| !one.found.is_closed());
            match timeout(MAX_TIME, self.read(&partition, &wanted)).await {
                Ok(Ok(found)) => {
                    for (one, found) in wanted.into_iter().zip(found) {
                        if let Some(found) = found {
                            // Fails if nobody waits any more.
                            let _ = one.found.send(found);
                        }
                    }
                }
                failed => {
                    let error = match failed {
                        Ok(Err(error)) => error.to_string(),
                        _ => "it took too long".to_owned(),
                    };
                    tracing::warn!(
                        topic = &*partition.0,
                        partition = partition.1,
                        error,
                        "repeats can't be looked for"
                    );
                }
            }
        }
    }

    /// Reads a partition. Of each event, what was found of it, or `None` if that is unknown.
    async fn read(
        &self,
        (topic, partition): &Partition,
        wanted: &[Wanted],
    ) -> Result<Vec<Option<Option<Sighting>>>, KafkaError> {
        let Some(since_ms) = wanted.iter().map(|one| one.since_ms).min() else { return Ok(Vec::new()) };
        let since_ms = i64::try_from(since_ms).unwrap_or(i64::MAX);
        let mut sightings: Vec<Option<Sighting>> = vec![None; wanted.len()];
        let mut is_complete = true;
        if let Some(mut at) = self.kafka.offset_at(topic, *partition, since_ms).await? {
            let numbers: HashMap<_, _> = wanted.iter().enumerate().map(|(n, one)| (one.identity(), n)).collect();
            let end = self.kafka.watermarks(topic, *partition).await?.latest;
            let (mut records, mut bytes) = (0, 0_usize);
            // An empty fetch says nothing: the client may have just begun with the partition.
            while at < end && sightings.iter().any(Option::is_none) {
                if records >= MAX_RECORDS || bytes >= MAX_BYTES {
                    is_complete = false;
                    break;
                }
                let fetched = self.kafka.fetch(topic, *partition, at).await?;
                at = fetched.next_offset.max(at);
                for item in fetched.items {
                    let FetchedItem::Record(record) = item else { continue };
                    records += 1;
                    bytes = bytes.saturating_add(record.record.size());
                    let number = identity(&record).and_then(|identity| numbers.get(&identity).copied());
                    let Some((one, sighting)) = number.and_then(|n| Some((wanted.get(n)?, sightings.get_mut(n)?)))
                    else {
                        continue;
                    };
                    if sighting.is_none() && is_of(&record, one.destination) {
                        let fingerprint = fingerprint_of(&record.record);
                        *sighting = Some(Sighting { offset: record.offset, fingerprint });
                    }
                }
            }
        }
        let known = |sighting: Option<Sighting>| (is_complete || sighting.is_some()).then_some(sighting);
        Ok(sightings.into_iter().map(known).collect())
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Partition, Vec<Wanted>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What names the event of a record: its key and its id.
fn identity(record: &FetchedRecord) -> Option<(&[u8], &[u8])> {
    let id = record.record.headers.get("ce_id")?;
    Some((record.record.key.as_deref()?, id))
}

/// Whether a record is of the kind that is written there. A backend may answer under the id of what it answers.
fn is_of(record: &FetchedRecord, destination: Destination) -> bool {
    let is_echo = record.record.headers.get(ECHO_HEADER).is_some_and(|value| value == b"true");
    is_echo == (destination == Destination::Echo)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
