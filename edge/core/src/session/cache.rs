//! Sealed session records that an isolate remembers for as long as the revocation bound allows.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, VecDeque},
    time::Duration,
};

use causeway_protocol::session::SessionHandle;

/// Most sessions an isolate remembers, and most bytes of their records: an isolate has 128 MB for all it does.
const MAX_CACHED_SESSIONS: usize = 1000;

const MAX_CACHED_BYTES: usize = 8 << 20;

/// Sealed session records and when the coordinator last vouched for them. Without the browser's cookie they stay sealed.
#[derive(Debug, Default)]
pub struct SessionCache {
    entries: RefCell<HashMap<SessionHandle, CachedRecord>>,
    /// Handles by age of their entry, the oldest first.
    order: RefCell<VecDeque<SessionHandle>>,
    /// Length of all records.
    bytes: Cell<usize>,
}

#[derive(Debug)]
struct CachedRecord {
    at_ms: u64,
    generation: u64,
    sealed: Vec<u8>,
}

impl SessionCache {
    /// A record the coordinator vouched for less than `bound` ago, and its generation.
    #[must_use]
    pub fn fresh(&self, handle: &SessionHandle, now_ms: u64, bound: Duration) -> Option<(u64, Vec<u8>)> {
        let entries = self.entries.borrow();
        let entry = entries.get(handle)?;
        (u128::from(now_ms.checked_sub(entry.at_ms)?) < bound.as_millis())
            .then(|| (entry.generation, entry.sealed.clone()))
    }

    /// Remembers a record just vouched for.
    pub fn put(&self, handle: &SessionHandle, now_ms: u64, generation: u64, sealed: Vec<u8>) {
        let (mut entries, mut order) = (self.entries.borrow_mut(), self.order.borrow_mut());
        // An answer that was long under way must not hide what was written meanwhile.
        if entries.get(handle).is_some_and(|known| known.generation > generation) {
            return;
        }
        let added = sealed.len();
        let removed = match entries.insert(handle.clone(), CachedRecord { at_ms: now_ms, generation, sealed }) {
            Some(known) => known.sealed.len(),
            None => {
                order.push_back(handle.clone());
                0
            }
        };
        let mut bytes = self.bytes.get().saturating_add(added).saturating_sub(removed);
        while order.len() > MAX_CACHED_SESSIONS || bytes > MAX_CACHED_BYTES {
            let Some(oldest) = order.pop_front() else { break };
            bytes = bytes.saturating_sub(entries.remove(&oldest).map_or(0, |entry| entry.sealed.len()));
        }
        self.bytes.set(bytes);
    }

    /// Forgets a session that ended here.
    pub fn forget(&self, handle: &SessionHandle) {
        if let Some(entry) = self.entries.borrow_mut().remove(handle) {
            self.bytes.set(self.bytes.get().saturating_sub(entry.sealed.len()));
            self.order.borrow_mut().retain(|known| known != handle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::id::SessionId;

    #[test]
    fn an_isolate_remembers_no_more_sessions_than_it_has_room_for() {
        let cache = SessionCache::default();
        let handles: Vec<_> = (0..12).map(|n| SessionId::from_bytes(&[n; 32]).unwrap().handle()).collect();
        let is_known = |n: usize| cache.fresh(&handles[n], 0, Duration::from_secs(1)).is_some();
        for handle in &handles {
            cache.put(handle, 0, 1, vec![0; MAX_CACHED_BYTES / 8]);
        }
        assert_eq!(std::array::from_fn::<_, 12, _>(is_known).iter().filter(|known| **known).count(), 8);
        assert!(!is_known(3) && is_known(4) && is_known(11));
        cache.put(&handles[11], 0, 2, vec![0; 1]);
        cache.forget(&handles[10]);
        for handle in &handles[..2] {
            cache.put(handle, 0, 1, vec![0; MAX_CACHED_BYTES / 8 - 1]);
        }
        assert!(is_known(4) && is_known(11) && is_known(0) && is_known(1), "what is gone takes no room");
    }
}
