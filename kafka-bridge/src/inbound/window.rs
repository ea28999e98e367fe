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
    Remembered { at: Instant, fingerprint: u128, progress: Progress, is_complete: bool },
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
        let now = Instant::now();
        let said = &attempt.said;
        let mut inner = self.inner();
        if progress.is_empty() {
            inner.entries.remove(&said.identity);
            return;
        }
        let entry = Entry::Remembered { at: now, fingerprint: said.fingerprint, progress, is_complete };
        inner.entries.insert(said.identity, entry);
        inner.order.push_back((now, said.identity));
        while inner.order.len() > self.limits.remembered_events {
            if inner.forget_oldest() {
                self.metrics.events_forgotten.inc();
            }
        }
        drop(inner);
        if is_complete {
            self.metrics.ack_seconds.observe(now.duration_since(attempt.arrived).as_secs_f64());
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
            Some(Entry::Writing(attempt)) => (attempt.said.fingerprint, Err(Known::Writing(Arc::clone(attempt)))),
            Some(Entry::Remembered { fingerprint, progress, is_complete, .. }) => {
                let place = progress.inbound.filter(|_| *is_complete);
                (*fingerprint, place.map_or(Ok(*progress), |place| Err(Known::Stored(place))))
            }
        };
        if fingerprint == said.fingerprint { found } else { Err(Known::Reused) }
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
        let is_current = matches!(self.entries.get(&identity), Some(Entry::Remembered { at, .. }) if *at == oldest);
        is_current && self.entries.remove(&identity).is_some()
    }
}
