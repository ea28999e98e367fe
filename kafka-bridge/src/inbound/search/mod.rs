//! Looks in Kafka for an event that another instance may have written, where instances share no memory.
//!
//! - [`allowance`]: how many searches each user may cause.
//! - [`failing`]: which partitions can't be read.
//! - [`reading`]: one reading of a partition.
//!
//! Only repeats are looked for: their client says how long ago it sent the event first. So a first attempt costs nothing,
//! and the partition is read from that time on. While a partition is being read, further repeats gather, and the next
//! reading is for all of them: after an outage, when everybody repeats, each partition is read a few times.
//!
//! An event is looked for once at a time, and what is found is remembered in the window, so that its next repeat needs no
//! search. That nothing was found is not remembered: an instance may still be writing it.
//!
//! A partition that does not answer costs the others nothing: a reading finds its beginning before it takes one of the
//! few places, and after a failure the partition is left alone for some seconds. Until it can be read its repeats are
//! refused, and so are repeats whose turn does not come in time: their clients come again, and nothing is written twice.
//! So does a user who has no search left. Counted as not written, as if nobody had looked, is only what a reading can't
//! reach because it is too far, what can't be read for a minute, and what has been refused for minutes.

mod allowance;
mod failing;
mod reading;

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::timeout,
};

use self::{
    allowance::Allowance,
    failing::{Failing, Partition},
    reading::{Sighting, Wanted, read, start},
};
use super::{
    InboundLimits,
    attempt::{Attempt, Place, Progress, Target},
    record::{Destination, Said},
};
use crate::{
    clock::unix_millis,
    kafka::{KafkaError, KafkaIo},
    metrics::Metrics,
    rejection::Rejection,
};

/// The longest search, the wait for its turn included. An event that is found missing has time left to be written.
const MAX_TIME: Duration = Duration::from_secs(6);

/// The maximum number of partitions that are read at a time. Each has a fetch in memory.
const MAX_READINGS: usize = 4;

/// How many of these may be for old events, which take long to reach.
const MAX_OLD_READINGS: usize = 2;

/// The maximum number of readings that find their beginning at a time. They have nothing in memory.
const MAX_STARTS: usize = 64;

/// The maximum number of events that are looked for. Each is in memory, and not in a queue yet.
const MAX_SEARCHES: usize = 1024;

/// How long ago a recent event was sent first, at most. Older ones are looked for apart.
const RECENT: Duration = Duration::from_secs(60);

/// An event that was first sent so long ago is rather written than refused once more: its client soon gives up.
const LAST_CHANCE: Duration = Duration::from_secs(300);

/// How far the clocks of instances, edge and clients may be apart.
const CLOCK_SKEW: Duration = Duration::from_secs(10);

/// Another event has the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Other {
    /// `None` if no event of a client is like it.
    pub(super) fingerprint: Option<u128>,
    /// Which of its records are written.
    pub(super) progress: Progress,
}

/// Why an event is not written.
pub(super) enum Obstacle {
    /// Another event has the id.
    Other(Other),
    /// It could not be found out now. This is what is known.
    Later(Progress),
}

/// Why it is not known whether a record is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    /// It can't be found out. The event is written.
    Unknown,
    /// It can't be found out now. The event is not written.
    Later,
}

/// Looks for events in Kafka.
pub(super) struct Search {
    kafka: Arc<dyn KafkaIo>,
    metrics: Arc<Metrics>,
    allowance: Allowance,
    searches: Arc<Semaphore>,
    starts: Semaphore,
    readings: Semaphore,
    old_readings: Semaphore,
    failing: Failing,
    /// What the next readings are for. A queue is there as long as a task reads its partition.
    waiting: Mutex<HashMap<Queue, Vec<Wanted>>>,
}

/// What waits for one reading. A reading has a limit and begins at the oldest time that it is for. So recent events are
/// looked for without the old ones, which could keep it from ever reaching them.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Queue {
    partition: Partition,
    is_old: bool,
}

impl Search {
    /// Reads with this client, which must not be the one that writes: a broker answers a connection's requests in order.
    pub(super) fn new(kafka: Arc<dyn KafkaIo>, limits: InboundLimits, metrics: Arc<Metrics>) -> Self {
        Self {
            kafka,
            metrics,
            allowance: Allowance::new(limits.searches_at_once, limits.search_interval),
            searches: Arc::new(Semaphore::new(MAX_SEARCHES)),
            starts: Semaphore::new(MAX_STARTS),
            readings: Semaphore::new(MAX_READINGS),
            old_readings: Semaphore::new(MAX_OLD_READINGS),
            failing: Failing::default(),
            waiting: Mutex::default(),
        }
    }

    /// Lets one more event be looked for. The permit is held until the event is queued or rejected.
    ///
    /// # Errors
    /// Why it is neither looked for nor written. Only who is let in uses up a search of the user.
    pub(super) fn admit(&self, attempt: &Attempt) -> Result<OwnedSemaphorePermit, Rejection> {
        let (inbound, echo) = attempt.targets();
        let is_failing = |target: &Target| self.failing.missing(&partition_of(target)) == Some(Missing::Later);
        if is_failing(inbound) || echo.is_some_and(is_failing) {
            self.count("later");
            return Err(unreadable());
        }
        let Ok(room) = Arc::clone(&self.searches).try_acquire_owned() else {
            self.count("later");
            return Err(Rejection::Busy);
        };
        if self.allowance.take(&attempt.said.key) {
            return Ok(room);
        }
        self.count("refused");
        Err(Rejection::TooManyRepeats)
    }

    /// Which records of an event are written, as far as that can be found out. `ago` is when it was first sent.
    pub(super) async fn progress(self: &Arc<Self>, attempt: &Attempt, ago: Duration) -> Result<Progress, Obstacle> {
        let since_ms = unix_millis().saturating_sub(millis(ago.saturating_add(CLOCK_SKEW)));
        let (inbound, echo) = attempt.targets();
        let said = &attempt.said;
        let of_inbound = self.find(inbound, said, Destination::Inbound, since_ms);
        let of_echo = async {
            match echo {
                Some(echo) => self.find(echo, said, Destination::Echo, since_ms).await,
                None => Ok(None),
            }
        };
        let (of_inbound, of_echo) = tokio::join!(of_inbound, of_echo);
        let is_known = of_inbound.is_ok() && of_echo.is_ok();
        let is_later = ago < LAST_CHANCE && [of_inbound, of_echo].contains(&Err(Missing::Later));
        let (of_inbound, of_echo) = (of_inbound.unwrap_or_default(), of_echo.unwrap_or_default());
        let progress_of = |fingerprint: Option<u128>| {
            let is_of = |sighting: &Sighting| sighting.fingerprint == fingerprint;
            let place = |Sighting { offset, .. }| Place { partition: inbound.partition, offset };
            Progress { inbound: of_inbound.filter(is_of).map(place), echoed: of_echo.as_ref().is_some_and(is_of) }
        };
        let mut sightings = of_inbound.iter().chain(&of_echo);
        if let Some(Sighting { fingerprint, .. }) = sightings.find(|one| one.fingerprint != Some(said.fingerprint)) {
            self.count("other_event");
            let progress = progress_of(*fingerprint);
            return Err(Obstacle::Other(Other { fingerprint: *fingerprint, progress }));
        }
        let found = progress_of(Some(said.fingerprint));
        if is_later {
            self.count("later");
            return Err(Obstacle::Later(found));
        }
        match (found.is_empty(), is_known) {
            (false, _) => self.count("found"),
            (true, true) => self.count("not_found"),
            (true, false) => self.count("failed"),
        }
        if !is_known {
            self.metrics.inbound.events_unshared.inc();
        }
        Ok(attempt.progress().or(found))
    }

    /// The record of an event in one partition.
    async fn find(
        self: &Arc<Self>,
        target: &Target,
        said: &Said,
        destination: Destination,
        since_ms: u64,
    ) -> Result<Option<Sighting>, Missing> {
        let partition = partition_of(target);
        if let Some(missing) = self.failing.missing(&partition) {
            return Err(missing);
        }
        let recent_ms = unix_millis().saturating_sub(millis(RECENT + CLOCK_SKEW));
        let queue = Queue { partition, is_old: since_ms < recent_ms };
        let (found, answer) = oneshot::channel();
        let wanted = Wanted { key: said.key.clone(), id: said.event.id.clone(), destination, since_ms, found };
        let is_read = match self.waiting().entry(queue.clone()) {
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
            tokio::spawn(async move { this.read_while_wanted(queue).await });
        }
        match timeout(MAX_TIME, answer).await {
            Ok(answer) => answer.unwrap_or(Err(Missing::Unknown)),
            Err(_) => Err(Missing::Later),
        }
    }

    /// Ends when nothing waits.
    async fn read_while_wanted(&self, queue: Queue) {
        loop {
            let mut wanted = {
                let mut waiting = self.waiting();
                match waiting.get_mut(&queue).filter(|wanted| !wanted.is_empty()) {
                    Some(wanted) => std::mem::take(wanted),
                    None => {
                        waiting.remove(&queue);
                        return;
                    }
                }
            };
            // They came while the reading went on that failed.
            if let Some(missing) = self.failing.missing(&queue.partition) {
                answer(wanted, std::iter::repeat(Err(missing)));
                continue;
            }
            match self.read(&queue, &mut wanted).await {
                Ok(found) => {
                    self.failing.recover(&queue.partition);
                    answer(wanted, found.into_iter().map(|found| found.ok_or(Missing::Unknown)));
                }
                Err(error) => {
                    let (topic, partition) = (&*queue.partition.0, queue.partition.1);
                    tracing::warn!(topic, partition, %error, "repeats can't be looked for");
                    // What does not help later must not keep events out.
                    let can_help = error.is_retriable();
                    let missing = if can_help { self.failing.fail(&queue.partition) } else { Missing::Unknown };
                    answer(wanted, std::iter::repeat(Err(missing)));
                }
            }
        }
    }

    /// Reads a partition once, for those who still wait when the reading's turn comes.
    async fn read(&self, queue: &Queue, wanted: &mut Vec<Wanted>) -> Result<Vec<Option<Option<Sighting>>>, KafkaError> {
        let at = (&*queue.partition.0, queue.partition.1);
        let from = {
            let _permit = self.starts.acquire().await;
            wanted.retain(|one| !one.found.is_closed());
            start(&*self.kafka, at, wanted).await?
        };
        let Some(from) = from else { return Ok(vec![Some(None); wanted.len()]) };
        let _old = if queue.is_old { self.old_readings.acquire().await.ok() } else { None };
        let _permit = self.readings.acquire().await;
        wanted.retain(|one| !one.found.is_closed());
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        read(&*self.kafka, at, from, wanted).await
    }

    fn count(&self, outcome: &str) {
        self.metrics.inbound.repeat_searches.with_label_values(&[outcome]).inc();
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Queue, Vec<Wanted>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn answer(wanted: Vec<Wanted>, answers: impl Iterator<Item = Result<Option<Sighting>, Missing>>) {
    for (one, answer) in wanted.into_iter().zip(answers) {
        // Fails if nobody waits any more.
        let _ = one.found.send(answer);
    }
}

fn partition_of(target: &Target) -> Partition {
    (target.topic.name(), target.partition)
}

/// What a client is told whose event can't be looked for now.
pub(super) fn unreadable() -> Rejection {
    Rejection::Unavailable("it can't be read, so a repeat can't be looked for".to_owned())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
