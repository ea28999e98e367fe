//! Answers that are kept for a moment, and scans that several requests wait for together: the tabs and devices of a user
//! come back at the same time, after an outage, and ask for the same.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use causeway_protocol::replay::ReplayRequest;
use tokio::{sync::OnceCell, time::Instant};

use super::{ReplayAnswer, ReplayLimits};

/// What an answer is for: the request's text, which begins with the user.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key(String);

/// An answer, or the scan that will give it.
pub(super) type Cell = Arc<OnceCell<Arc<ReplayAnswer>>>;

/// The answers of the last moment.
pub(super) struct Cache {
    entries: Mutex<HashMap<Key, Entry>>,
    limits: ReplayLimits,
}

struct Entry {
    cell: Cell,
    asked_at: Instant,
}

impl Key {
    pub(super) fn of(request: &ReplayRequest) -> Self {
        let range = serde_json::to_string(&request.range).unwrap_or_default();
        Self(format!("{} {} {range}", request.subject, request.channel))
    }
}

impl Cache {
    pub(super) fn new(limits: ReplayLimits) -> Self {
        Self { entries: Mutex::default(), limits }
    }

    /// The cell of a request. One that failed is empty, and the next request tries again.
    pub(super) fn cell(&self, key: Key) -> Cell {
        let now = Instant::now();
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|_, entry| now.duration_since(entry.asked_at) < self.limits.cached_for);
        let entry = entries.entry(key).or_insert_with(|| Entry { cell: Cell::default(), asked_at: now });
        Arc::clone(&entry.cell)
    }

    /// Forgets the oldest answers if all of them are too large.
    pub(super) fn trim(&self) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes: usize = entries.values().map(Entry::bytes).sum();
        while bytes > self.limits.cached_bytes {
            let oldest = entries.iter().filter(|(_, entry)| entry.bytes() > 0).min_by_key(|(_, entry)| entry.asked_at);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else { return };
            bytes = bytes.saturating_sub(entries.remove(&oldest).map_or(0, |entry| entry.bytes()));
        }
    }
}

impl Entry {
    fn bytes(&self) -> usize {
        self.cell.get().map_or(0, |answer| answer.frames.len())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;

    fn key(name: &str) -> Key {
        Key(name.to_owned())
    }

    fn answer(bytes: usize) -> Arc<ReplayAnswer> {
        Arc::new(ReplayAnswer { frames: Bytes::from(vec![b'x'; bytes]), ..ReplayAnswer::default() })
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_kept_for_a_moment_and_a_failure_is_not() {
        let cache = Cache::new(ReplayLimits::default());
        assert!(cache.cell(key("a")).get_or_try_init(async || Err(())).await.is_err());
        assert!(cache.cell(key("a")).get().is_none());
        cache.cell(key("a")).set(answer(1)).unwrap();
        assert!(cache.cell(key("a")).get().is_some());
        tokio::time::advance(Duration::from_secs(4)).await;
        assert!(cache.cell(key("a")).get().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_answers_go_first() {
        let cache = Cache::new(ReplayLimits { cached_bytes: 10, ..ReplayLimits::default() });
        for name in ["a", "b", "c"] {
            cache.cell(key(name)).set(answer(5)).unwrap();
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        cache.trim();
        assert!(cache.cell(key("a")).get().is_none());
        assert!(cache.cell(key("b")).get().is_some() && cache.cell(key("c")).get().is_some());
    }
}
