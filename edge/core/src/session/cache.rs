//! Sealed session records that an isolate remembers. The revocation bound limits how long one is used before the coordinator
//! is asked again.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, VecDeque},
    rc::Rc,
    time::Duration,
};

use causeway_protocol::session::SessionHandle;

use super::record::SealedRecord;
use crate::runtime::single_flight::SingleFlight;

/// Most sessions that an isolate remembers.
const MAX_CACHED_SESSIONS: usize = 1000;
/// Most bytes of their records: an isolate has 128 MB for everything. What a record says beside its tokens, which is remembered
/// with it, is shorter than the record.
const MAX_CACHED_BYTES: usize = 8 << 20;
/// Most sessions whose end an isolate remembers. An answer that was asked for before the oldest of these ends is not
/// remembered, whichever session it is about.
const MAX_FORGOTTEN: usize = 1000;

/// A question to the coordinator. Its answer may be older than its arrival, but not older than the question.
#[derive(Debug, Clone, Copy)]
pub struct Question {
    asked_ms: u64,
    /// How many sessions this isolate had forgotten by then.
    forgotten: u64,
}

/// Sealed session records and when the coordinator last confirmed them. Only the browser's cookie opens them. What an opened
/// record says beside its secrets is remembered with it, see [`super::summary::Summary`].
#[derive(Debug, Default)]
pub struct SessionCache {
    entries: RefCell<HashMap<SessionHandle, CachedRecord>>,
    /// Handles, the oldest entry first.
    order: RefCell<VecDeque<SessionHandle>>,
    /// Total length of the records.
    bytes: Cell<usize>,
    /// How many sessions were forgotten.
    forgotten: Cell<u64>,
    /// The last of them, each with its number.
    forgotten_last: RefCell<VecDeque<(u64, SessionHandle)>>,
    /// The questions to the coordinator in progress, by handle.
    pub(super) single_flight: SingleFlight,
}

#[derive(Debug)]
struct CachedRecord {
    confirmed_at_ms: u64,
    stored: Rc<SealedRecord>,
}

impl CachedRecord {
    fn len(&self) -> usize {
        self.stored.sealed.as_bytes().len()
    }
}

impl SessionCache {
    /// A record that the coordinator confirmed less than `bound` ago.
    #[must_use]
    pub fn fresh(&self, handle: &SessionHandle, now_ms: u64, bound: Duration) -> Option<Rc<SealedRecord>> {
        let entries = self.entries.borrow();
        let entry = entries.get(handle)?;
        let age_ms = now_ms.checked_sub(entry.confirmed_at_ms)?;
        (u128::from(age_ms) < bound.as_millis()).then(|| Rc::clone(&entry.stored))
    }

    /// The last record that the coordinator confirmed, whenever that was.
    pub(super) fn last(&self, handle: &SessionHandle) -> Option<Rc<SealedRecord>> {
        self.entries.borrow().get(handle).map(|entry| Rc::clone(&entry.stored))
    }

    /// A question that is about to be asked.
    #[must_use]
    pub fn question(&self, asked_ms: u64) -> Question {
        Question { asked_ms, forgotten: self.forgotten.get() }
    }

    /// Remembers a record that the coordinator confirmed when it answered `question`, unless the session was forgotten
    /// since: the answer may be from before its end.
    pub fn put(&self, handle: &SessionHandle, question: Question, stored: Rc<SealedRecord>) {
        if self.was_forgotten_since(handle, question) {
            return;
        }
        let now_ms = question.asked_ms;
        let (mut entries, mut order) = (self.entries.borrow_mut(), self.order.borrow_mut());
        // A slow answer must not replace a record that was written in the meantime.
        if entries.get(handle).is_some_and(|known| known.stored.generation > stored.generation) {
            return;
        }
        let entry = CachedRecord { confirmed_at_ms: now_ms, stored };
        let added = entry.len();
        let removed = match entries.insert(handle.clone(), entry) {
            Some(known) => known.len(),
            None => {
                order.push_back(handle.clone());
                0
            }
        };
        let mut bytes = self.bytes.get().saturating_add(added).saturating_sub(removed);
        while order.len() > MAX_CACHED_SESSIONS || bytes > MAX_CACHED_BYTES {
            let Some(oldest) = order.pop_front() else { break };
            bytes = bytes.saturating_sub(entries.remove(&oldest).map_or(0, |entry| entry.len()));
        }
        self.bytes.set(bytes);
    }

    fn was_forgotten_since(&self, handle: &SessionHandle, question: Question) -> bool {
        let last = self.forgotten_last.borrow();
        let all_since = self.forgotten.get().saturating_sub(question.forgotten);
        let is_since = |(number, _): &&(u64, SessionHandle)| *number > question.forgotten;
        all_since > last.len() as u64 || last.iter().rev().take_while(is_since).any(|(_, other)| other == handle)
    }

    /// Forgets a session. An answer of the coordinator that is on its way will not be remembered: it may be from before the
    /// session's end. The code that ends a session forgets it before and after, because a question may come in between.
    pub fn forget(&self, handle: &SessionHandle) {
        self.single_flight.cancel(handle.as_str());
        self.forgotten.set(self.forgotten.get().saturating_add(1));
        let mut last = self.forgotten_last.borrow_mut();
        if last.len() >= MAX_FORGOTTEN {
            last.pop_front();
        }
        last.push_back((self.forgotten.get(), handle.clone()));
        if let Some(entry) = self.entries.borrow_mut().remove(handle) {
            self.bytes.set(self.bytes.get().saturating_sub(entry.len()));
            self.order.borrow_mut().retain(|known| known != handle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{seal::Sealed, session::id::SessionId};

    #[test]
    fn the_oldest_records_make_room_for_new_ones() {
        let cache = SessionCache::default();
        let handles: Vec<_> = (0..12).map(|n| SessionId::from_bytes(&[n; 32]).unwrap().handle()).collect();
        let is_known = |n: usize| cache.fresh(&handles[n], 0, Duration::from_secs(1)).is_some();
        let put = |handle, generation, sealed| {
            let stored = SealedRecord::new(generation, Sealed::from_bytes(sealed));
            cache.put(handle, cache.question(0), stored.into());
        };
        for handle in &handles {
            put(handle, 1, vec![0; MAX_CACHED_BYTES / 8]);
        }
        assert_eq!(std::array::from_fn::<_, 12, _>(is_known).iter().filter(|known| **known).count(), 8);
        assert!(!is_known(3) && is_known(4) && is_known(11));
        put(&handles[11], 2, vec![0; 1]);
        cache.forget(&handles[10]);
        for handle in &handles[..2] {
            put(handle, 1, vec![0; MAX_CACHED_BYTES / 8 - 1]);
        }
        assert!(is_known(4) && is_known(11) && is_known(0) && is_known(1), "a forgotten record takes no room");
    }

    #[test]
    fn an_answer_from_before_the_session_was_forgotten_is_not_remembered() {
        let cache = SessionCache::default();
        let [ended, other] = [1, 2].map(|n| SessionId::from_bytes(&[n; 32]).unwrap().handle());
        let is_known = |handle| cache.fresh(handle, 0, Duration::from_secs(1)).is_some();
        let put = |handle, question| {
            cache.put(handle, question, SealedRecord::new(1, Sealed::from_bytes(vec![0])).into());
        };
        let before = cache.question(0);
        cache.forget(&ended);
        let between = cache.question(0);
        put(&ended, before);
        put(&other, before);
        assert!(!is_known(&ended) && is_known(&other));
        put(&ended, between);
        assert!(is_known(&ended));
        cache.forget(&ended);
        put(&ended, between);
        assert!(!is_known(&ended), "the end was confirmed after the question");
        for _ in 0..MAX_FORGOTTEN {
            cache.forget(&other);
        }
        put(&ended, between);
        assert!(!is_known(&ended), "what is too old to be remembered counts as forgotten");
        put(&ended, cache.question(0));
        assert!(is_known(&ended));
    }
}
