//! A user's queue over all partitions and channels, and how it is taken into a request.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use causeway_protocol::deliver::{Slice, Source};
use tokio::time::Instant;

use super::{Entry, PartitionId, entry::Meta};
use crate::backoff::Backoff;

/// The maximum number of a user's items in a request, so that one user does not crowd out others.
pub(super) const MAX_USER_ITEMS: usize = 256;

/// The maximum size of a user's items in a request, unless a single one exceeds it.
const MAX_USER_BYTES: usize = 1024 * 1024;

/// The JSON around a user and around a slice in a request, in bytes.
const AROUND_USER_BYTES: usize = 320;
const AROUND_SLICE_BYTES: usize = 256;

/// The pauses between the retries of a user.
const FIRST_RETRY: Duration = Duration::from_millis(200);
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(10);

/// A user who failed for this long while others were stored is at fault, and not the sink.
const PROVEN_AFTER: Duration = Duration::from_secs(10);

/// A key in the order of retries.
pub(super) type RetryAt = (Instant, u64);

/// A user with items.
#[derive(Debug)]
pub(super) struct User {
    /// In the order of arrival. Without the items in flight.
    pub(super) queue: VecDeque<Entry>,
    /// The items before these, which the sink holds and has not stored yet. Empty while the user fails.
    pub(super) held: Vec<Entry>,
    /// The size of all items in the queue.
    pub(super) bytes: usize,
    pub(super) state: State,
    /// How many items the next request may carry. Fewer after a refusal, to find the one that is refused.
    pub(super) max_items: usize,
    /// Whether requests may carry and ask about items of one partition only, to find the one that is stale.
    pub(super) one_partition: bool,
    /// Set while the user is retried apart from others.
    pub(super) failing: Option<Failing>,
    /// Whether records were parked since the last success.
    pub(super) is_parked: bool,
}

/// Where a user is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// In the line of those who are sent next.
    Ready,
    /// In a request.
    InFlight,
    /// Has nothing that may be sent, but the sink holds items. Asked at this time whether they are stored.
    Held(RetryAt),
    /// Among those who are sent apart from the line.
    Waiting(RetryAt),
}

/// A user whose items were not stored.
#[derive(Debug)]
pub(super) struct Failing {
    /// How many users may share a request with this one, to find the one that fails the request.
    pub(super) max_users: usize,
    pub(super) backoff: Backoff,
    /// For how long the user has failed, see [`Failing::fail`].
    pub(super) failed_for: Duration,
    /// When the user failed last.
    failed_at: Instant,
    /// How many times anybody's items had been stored then.
    successes: u64,
    /// Whether the user's own hub failed: the user was alone in a request that was answered. In a request of several, the
    /// others may have left no time.
    pub(super) is_own_fault: bool,
}

/// How much more fits into a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) items: usize,
    pub(super) bytes: usize,
}

impl Failing {
    pub(super) fn new(now: Instant, successes: u64) -> Self {
        let backoff = Backoff::new(FIRST_RETRY, MAX_RETRY_PAUSE);
        Self { max_users: 1, backoff, failed_for: Duration::ZERO, failed_at: now, successes, is_own_fault: false }
    }

    /// The user failed again. Time in which nobody's items were stored does not count, because then it is the sink that
    /// fails. But once the fault is proven to be the user's, it does: users who fail may hold all the memory, so that
    /// nothing of others is read, and nothing stored.
    pub(super) fn fail(&mut self, now: Instant, successes: u64) {
        if successes > self.successes || self.failed_for >= PROVEN_AFTER {
            self.failed_for += now.saturating_duration_since(self.failed_at);
        }
        self.failed_at = now;
        self.successes = successes;
    }
}

impl User {
    pub(super) fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            held: Vec::new(),
            bytes: 0,
            state: State::Ready,
            max_items: MAX_USER_ITEMS,
            one_partition: false,
            failing: None,
            is_parked: false,
        }
    }

    pub(super) fn push_back(&mut self, entry: Entry) {
        self.bytes += entry.meta.bytes;
        self.queue.push_back(entry);
    }

    pub(super) fn push_front(&mut self, entry: Entry) {
        self.bytes += entry.meta.bytes;
        self.queue.push_front(entry);
    }

    fn pop_front(&mut self) -> Option<Entry> {
        let entry = self.queue.pop_front()?;
        self.bytes -= entry.meta.bytes;
        Some(entry)
    }

    /// Removes all items of a partition. Returns how many there were, and their size.
    pub(super) fn remove_partition(&mut self, partition: PartitionId) -> (usize, usize) {
        let before = (self.queue.len(), self.bytes);
        self.queue.retain(|entry| entry.meta.partition != partition);
        self.held.retain(|entry| entry.meta.partition != partition);
        self.bytes = self.queue.iter().map(|entry| entry.meta.bytes).sum();
        (before.0 - self.queue.len(), before.1 - self.bytes)
    }

    /// Whether what the sink holds must be stored before the next item is sent.
    pub(super) fn must_ask(&self) -> bool {
        let of_held = self.held.first().map(|entry| entry.meta.partition);
        self.one_partition
            && of_held.is_some()
            && self.queue.front().is_some_and(|next| Some(next.meta.partition) != of_held)
    }

    /// Of each partition with held items, the last one's offset.
    fn held_offsets(&self) -> Vec<(PartitionId, i64)> {
        let mut offsets: Vec<(PartitionId, i64)> = Vec::new();
        for Entry { item, meta } in &self.held {
            match offsets.iter_mut().find(|(partition, _)| *partition == meta.partition) {
                Some((_, last)) => *last = item.offset,
                None => offsets.push((meta.partition, item.offset)),
            }
        }
        offsets
    }

    /// Takes items for a request, in the order of arrival: a slice ends where an item of another partition follows. So
    /// the buffer has the order in which streams of this process saw them. Slices say which held items they follow on;
    /// without any items, that is a question whether those are stored.
    ///
    /// `None` if the first item does not fit, unless the request `is_empty`. Without slices, the user has nothing to send.
    pub(super) fn take(
        &mut self,
        sources: &HashMap<PartitionId, Source>,
        room: &mut Room,
        is_empty: bool,
    ) -> Option<(Vec<Slice>, Vec<Meta>)> {
        // None of these is expected here, but one at the front would hold up the user for ever.
        self.held.retain(|entry| sources.contains_key(&entry.meta.partition));
        while self.queue.front().is_some_and(|next| !sources.contains_key(&next.meta.partition)) {
            self.pop_front();
        }
        let (mut slices, mut metas) = (Vec::<Slice>::new(), Vec::<Meta>::new());
        let mut held = self.held_offsets();
        let must_ask = self.must_ask();
        let mut bytes = AROUND_USER_BYTES;
        let max_items = self.max_items.min(room.items);
        while let Some(next) = self.queue.front().filter(|_| !must_ask) {
            let continues = metas.last().map(|last| last.partition) == Some(next.meta.partition);
            let size = next.meta.bytes + if continues { 0 } else { AROUND_SLICE_BYTES };
            let fits = metas.len() < max_items
                && bytes + size <= room.bytes.min(MAX_USER_BYTES)
                && (continues || metas.is_empty() || !self.one_partition);
            let is_first = metas.is_empty();
            // One that is larger than a user's part is sent alone of that user, if the request has room.
            let fits = fits || (is_first && max_items > 0 && (is_empty || bytes + size <= room.bytes));
            let Some(source) = sources.get(&next.meta.partition) else { break };
            if !fits {
                break;
            }
            let Some(Entry { item, meta }) = self.pop_front() else { break };
            bytes += size;
            let of_partition = Some(meta.partition);
            metas.push(meta);
            match slices.last_mut() {
                Some(slice) if continues => slice.items.push(item),
                _ => {
                    let after = held.extract_if(.., |(partition, _)| Some(*partition) == of_partition).next();
                    let after = after.map(|(_, offset)| offset);
                    slices.push(Slice { source: source.clone(), after, items: vec![item] });
                }
            }
        }
        if !metas.is_empty() {
            room.items = room.items.saturating_sub(metas.len());
            room.bytes = room.bytes.saturating_sub(bytes);
        }
        if metas.is_empty() && !self.queue.is_empty() && !must_ask {
            return None;
        }
        for (partition, offset) in held {
            if let Some(source) = sources.get(&partition) {
                slices.push(Slice { source: source.clone(), after: Some(offset), items: Vec::new() });
            }
        }
        Some((slices, metas))
    }
}
