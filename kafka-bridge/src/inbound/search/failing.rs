//! Which partitions can't be read. They are left alone for a while, so that their repeats cost no reading.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::Missing;

/// How long a partition is left alone after a reading of it failed.
const PAUSE: Duration = Duration::from_secs(5);

/// For so long the repeats of a partition that can't be read are to come again. Then they are written: a partition that
/// takes records but can't be read must not keep its users' events out for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// A topic and one of its partitions.
pub(super) type Partition = (Arc<str>, i32);

/// The partitions that could not be read at the last try.
#[derive(Default)]
pub(super) struct Failing(Mutex<HashMap<Partition, Failure>>);

struct Failure {
    since: Instant,
    last: Instant,
}

impl Failure {
    fn missing(&self, now: Instant) -> Missing {
        if now.duration_since(self.since) < PATIENCE { Missing::Later } else { Missing::Unknown }
    }
}

impl Failing {
    /// What is to be said of a partition without a reading of it, or `None` if it may be read.
    pub(super) fn missing(&self, partition: &Partition) -> Option<Missing> {
        let now = Instant::now();
        let failing = self.lock();
        let failure = failing.get(partition).filter(|failure| now.duration_since(failure.last) < PAUSE)?;
        Some(failure.missing(now))
    }

    /// Takes note of a reading that failed. Returns what is to be said of those that it was for.
    pub(super) fn fail(&self, partition: &Partition) -> Missing {
        let now = Instant::now();
        let mut failing = self.lock();
        let failure = failing.entry(partition.clone()).or_insert(Failure { since: now, last: now });
        // Nobody knows what was in between.
        if now.duration_since(failure.last) >= PATIENCE {
            failure.since = now;
        }
        failure.last = now;
        failure.missing(now)
    }

    /// Takes note of a reading that succeeded.
    pub(super) fn recover(&self, partition: &Partition) {
        self.lock().remove(partition);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Partition, Failure>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
