//! Looks in Kafka for an event that another instance may have written, where instances share no memory.
//!
//! - [`allowance`]: how many searches each user may cause.
//! - [`reading`]: one reading of a partition.
//!
//! Only repeats are looked for: their client says how long ago it sent the event first. So a first attempt costs nothing,
//! and the partition is read from that time on. While a partition is being read, further repeats gather, and the next
//! reading is for all of them: after an outage, when everybody repeats, each partition is read a few times.
//!
//! An event is looked for once at a time, and what is found is remembered in the window, so that its next repeat needs no
//! search. That nothing was found is not remembered: an instance may still be writing it.
//!
//! What can't be found in time counts as not written, as if nobody had looked. A user who has no search left is told to
//! come again.

mod allowance;
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
    reading::{Sighting, Wanted, read},
};
use super::{
    InboundLimits,
    attempt::{Attempt, Place, Progress, Target},
    record::{Destination, Said},
};
use crate::{clock::unix_millis, kafka::KafkaIo, metrics::Metrics};

/// The longest search, and the longest reading of a partition.
const MAX_TIME: Duration = Duration::from_secs(2);

/// The maximum number of partitions that are read at a time. Each has a fetch in memory.
const MAX_READINGS: usize = 4;

/// The maximum number of events that are looked for. Each is in memory, and not in a queue yet.
const MAX_SEARCHES: usize = 1024;

/// How long ago an event may have been sent first that is looked for before older ones.
const RECENT: Duration = Duration::from_secs(60);

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

/// Whether an event is looked for.
pub(super) enum Admission {
    /// It is. The permit is held until the event is queued or rejected.
    Admitted(OwnedSemaphorePermit),
    /// It is not, because too many others are. It is written.
    Full,
    /// It is not, because its user has no search left. It is not written.
    TooMany,
}

/// Looks for events in Kafka.
pub(super) struct Search {
    kafka: Arc<dyn KafkaIo>,
    metrics: Arc<Metrics>,
    allowance: Allowance,
    searches: Arc<Semaphore>,
    readings: Semaphore,
    /// What the next reading of each partition is for. A partition is there as long as a task reads it.
    waiting: Mutex<HashMap<Partition, Vec<Wanted>>>,
}

/// A topic and one of its partitions.
type Partition = (Arc<str>, i32);

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
    pub(super) fn new(kafka: Arc<dyn KafkaIo>, limits: InboundLimits, metrics: Arc<Metrics>) -> Self {
        Self {
            kafka,
            metrics,
            allowance: Allowance::new(limits.searches_at_once, limits.search_interval),
            searches: Arc::new(Semaphore::new(MAX_SEARCHES)),
            readings: Semaphore::new(MAX_READINGS),
            waiting: Mutex::default(),
        }
    }

    /// Whether one more event is looked for, of this user.
    pub(super) fn admit(&self, user: &str) -> Admission {
        let Ok(room) = Arc::clone(&self.searches).try_acquire_owned() else {
            self.fail();
            return Admission::Full;
        };
        if self.allowance.take(user) {
            return Admission::Admitted(room);
        }
        self.count("refused");
        Admission::TooMany
    }

    /// Which records of an event are written, as far as that can be found out. `ago` is when it was first sent.
    pub(super) async fn progress(self: &Arc<Self>, attempt: &Attempt, ago: Duration) -> Result<Progress, Other> {
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
        let is_known = of_inbound.is_ok() && of_echo.is_ok();
        let (of_inbound, of_echo) = (of_inbound.unwrap_or_default(), of_echo.unwrap_or_default());
        let progress_of = |fingerprint: Option<u128>| {
            let is_of = |sighting: &Sighting| sighting.fingerprint == fingerprint;
            let place = |Sighting { offset, .. }| Place { partition: inbound.partition, offset };
            Progress { inbound: of_inbound.filter(is_of).map(place), echoed: of_echo.as_ref().is_some_and(is_of) }
        };
        let mut sightings = of_inbound.iter().chain(&of_echo);
        if let Some(Sighting { fingerprint, .. }) = sightings.find(|one| one.fingerprint != Some(said.fingerprint)) {
            self.count("other_event");
            return Err(Other { fingerprint: *fingerprint, progress: progress_of(*fingerprint) });
        }
        let found = progress_of(Some(said.fingerprint));
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
            let reading = read(&*self.kafka, (&*partition.0, partition.1), &wanted);
            match timeout(MAX_TIME, reading).await {
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

    /// Counts an event that could not be looked for.
    fn fail(&self) {
        self.count("failed");
        self.metrics.inbound.events_unshared.inc();
    }

    fn count(&self, outcome: &str) {
        self.metrics.inbound.repeat_searches.with_label_values(&[outcome]).inc();
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Partition, Vec<Wanted>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
