//! The events of the last ten minutes, so that a repeat is answered without a second write.
//!
//! Of an event whose two records were not both acknowledged, it remembers which one was. A repeat writes the other.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

use super::{
    InboundLimits,
    attempt::{Attempt, Place, Progress},
    record::Said,
    search::Other,
};
use crate::metrics::Metrics;

/// The remembered events.
pub(super) struct Window {
    limits: InboundLimits,
    metrics: Arc<Metrics>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    entries: HashMap<u128, Entry>,
    /// When each entry was made, oldest first. An entry that was replaced since is there twice.
    order: VecDeque<(Instant, u128)>,
}

enum Entry {
    Writing(Arc<Attempt>),
    Remembered(Remembered),
}

struct Remembered {
    at: Instant,
    /// Without one it is no event of a client, and none is its repeat.
    fingerprint: Option<u128>,
    progress: Progress,
    is_complete: bool,
}

/// What is known of an event.
pub(super) enum Known {
    /// It is written.
    Stored(Place),
    /// Its id was used for another event.
    Reused,
    /// It is being written.
    Writing(Arc<Attempt>),
    /// The caller's attempt is the one that writes it.
    Begun(Arc<Attempt>),
}

impl Window {
    pub(super) fn new(limits: InboundLimits, metrics: Arc<Metrics>) -> Self {
        Self { limits, metrics, inner: Mutex::default() }
    }

    /// What is known of an event, if nothing is to be written.
    pub(super) fn recall(&self, said: &Said) -> Option<Known> {
        let mut inner = self.inner();
        inner.expire(self.limits);
        inner.recall(said).err()
    }

    /// Begins an attempt, unless another request has done so meanwhile. `attempt` gets what was written before.
    pub(super) fn begin(&self, said: Said, attempt: impl FnOnce(Said, Progress) -> Attempt) -> Known {
        let mut inner = self.inner();
        match inner.recall(&said) {
            Err(known) => known,
            Ok(progress) => {
                let identity = said.identity;
                let attempt = Arc::new(attempt(said, progress));
                inner.entries.insert(identity, Entry::Writing(Arc::clone(&attempt)));
                Known::Begun(attempt)
            }
        }
    }

    /// Remembers what an attempt has written. If that is nothing, the event is forgotten, and a repeat writes it.
    pub(super) fn settle(&self, attempt: &Attempt, progress: Progress, is_complete: bool) {
        let Said { identity, fingerprint, .. } = attempt.said;
        if progress.is_empty() {
            self.inner().entries.remove(&identity);
            return;
        }
        let now = Instant::now();
        self.remember(identity, Remembered { at: now, fingerprint: Some(fingerprint), progress, is_complete });
        if is_complete {
            self.metrics.inbound.ack_seconds.observe(now.duration_since(attempt.arrived).as_secs_f64());
        }
    }

    /// Remembers the event that has the id of an attempt's.
    pub(super) fn settle_as(&self, attempt: &Attempt, Other { fingerprint, progress }: Other) {
        let is_complete = progress.complete(attempt.with_echo()).is_some();
        self.remember(attempt.said.identity, Remembered { at: Instant::now(), fingerprint, progress, is_complete });
    }

    fn remember(&self, identity: u128, event: Remembered) {
        let mut inner = self.inner();
        inner.order.push_back((event.at, identity));
        inner.entries.insert(identity, Entry::Remembered(event));
        while inner.order.len() > self.limits.remembered_events {
            if inner.forget_oldest() {
                self.metrics.inbound.events_forgotten.inc();
            }
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// What is known of an event, or what is written of it so far.
    fn recall(&self, said: &Said) -> Result<Progress, Known> {
        let (fingerprint, found) = match self.entries.get(&said.identity) {
            None => return Ok(Progress::default()),
            Some(Entry::Writing(attempt)) => (Some(attempt.said.fingerprint), Err(Known::Writing(Arc::clone(attempt)))),
            Some(Entry::Remembered(Remembered { fingerprint, progress, is_complete, .. })) => {
                let place = progress.inbound.filter(|_| *is_complete);
                (*fingerprint, place.map_or(Ok(*progress), |place| Err(Known::Stored(place))))
            }
        };
        if fingerprint == Some(said.fingerprint) { found } else { Err(Known::Reused) }
    }

    fn expire(&mut self, limits: InboundLimits) {
        let now = Instant::now();
        while self.order.front().is_some_and(|(at, _)| now.duration_since(*at) >= limits.remembered_for) {
            self.forget_oldest();
        }
    }

    /// Returns whether an event was forgotten: the entry may have been replaced since.
    fn forget_oldest(&mut self) -> bool {
        let Some((oldest, identity)) = self.order.pop_front() else { return false };
        let found = self.entries.get(&identity);
        let is_current = matches!(found, Some(Entry::Remembered(Remembered { at, .. })) if *at == oldest);
        is_current && self.entries.remove(&identity).is_some()
    }
}
