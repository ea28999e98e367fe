//! Decides what is sent next. A state machine without I/O: `now` is passed in, and what is to be done comes back as
//! [`Effect`]s.
//!
//! - [`entry`]: an item in a queue.
//! - [`user`]: a user's queue.
//! - [`outcome`]: what follows from the sink's answers.
//! - [`park`]: when records of a user are given up, so that everybody else goes on.
//!
//! Each user has one queue over all partitions and channels, and is in at most one request at a time, so order is kept.
//! Users who are ready stand in a line. A request takes them from the front, a bounded part of each, and who has more
//! goes to the back.
//!
//! Nothing waits while nothing is in flight. While a request is, items gather until it is answered, until they fill
//! another request, or for [`MAX_GATHER`], so that a slow request holds up nobody.
//!
//! A sink may hold items for a moment before it stores them. The router keeps those until they are stored, tells with each
//! request what it follows on, and asks if there is nothing else to send. If the sink has lost them, they are sent again
//! before anything else.
//!
//! A user whose items were not stored leaves the line. They are retried with pauses in requests beside the others,
//! until they succeed once:
//!
//! - A user whose own hub failed, or was not asked in time, is retried alone.
//! - If a whole request failed or was refused, its users are retried in halves, then in quarters, down to the one who
//!   is at fault.
//! - A user whose items are refused is sent half of them, then a quarter, down to the one item that is at fault.

mod entry;
mod outcome;
mod park;
#[cfg(test)]
mod tests;
mod user;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use causeway_protocol::{
    buffer::CONFIRM_AFTER,
    deliver::{MAX_DELIVER_BYTES, MAX_DELIVER_USERS, Slice, Source},
    subject::Subject,
};
use tokio::time::Instant;

use self::user::{RetryAt, Room, State, User};
pub(super) use self::{
    entry::{Effect, Entry, Kind, Meta},
    outcome::Failure,
};
use super::{limits::Limits, sink::UserSlices};
use crate::backoff::Backoff;

/// A partition as it is read now. One that is planned again gets another number, so that its items are not confused
/// with earlier ones in flight.
pub(super) type PartitionId = u64;

/// How long items gather behind a request in flight.
const MAX_GATHER: Duration = Duration::from_millis(5);

/// A request that is not answered after this long does not count towards the limit any more: it probably waits for a
/// hub that hangs, and must not hold up the others.
const SLOW_AFTER: Duration = Duration::from_millis(100);

/// The maximum number of requests in flight, without retries, however slow they are.
const MAX_BATCHES: usize = 32;

/// The maximum number of retries in flight. They don't count towards the limit of other requests, because each may hang
/// until its time-out.
const MAX_RETRIES: usize = 32;

/// The maximum size of the users' parts of a request. The rest is for the JSON around them.
const REQUEST_BYTES: usize = MAX_DELIVER_BYTES - 64 * 1024;

/// A request that is to be sent. It must be answered by [`Router::complete`].
#[derive(Debug)]
pub(super) struct Request {
    id: u64,
    /// What the sink gets.
    pub(super) users: Vec<UserSlices>,
    /// Of each user, what is remembered of the items.
    metas: Vec<Vec<Meta>>,
}

/// A request in flight.
#[derive(Clone, Copy, Debug)]
struct InFlight {
    sent_at: Instant,
    is_retry: bool,
}

/// The queues of all users.
#[derive(Debug, Default)]
pub(super) struct Router {
    sources: HashMap<PartitionId, Source>,
    users: HashMap<Arc<Subject>, User>,
    /// The users in [`State::Ready`], in the order in which they are sent.
    ready: VecDeque<Arc<Subject>>,
    /// Their items and the size of those.
    ready_items: usize,
    ready_bytes: usize,
    /// The users in [`State::Waiting`].
    waiting: BTreeMap<RetryAt, Arc<Subject>>,
    /// The users in [`State::Held`].
    held: BTreeMap<RetryAt, Arc<Subject>>,
    in_flight: BTreeMap<u64, InFlight>,
    /// Numbers requests and retries.
    last_number: u64,
    limits: Limits,
    /// After failures in a row of requests that are no retries.
    pause: Backoff,
    paused_until: Option<Instant>,
    /// How many times a user's items were stored.
    successes: u64,
    /// Items that were refused alone, together with the gap in their place, since the last success.
    refusals: usize,
    parked_users: usize,
    effects: Vec<Effect>,
}

impl Router {
    /// Adds a partition. Its items may then be pushed.
    pub(super) fn add_partition(&mut self, partition: PartitionId, source: Source) {
        self.sources.insert(partition, source);
    }

    /// Drops a partition with its items. Those in flight are dropped when they are answered.
    pub(super) fn remove_partition(&mut self, partition: PartitionId) {
        if self.sources.remove(&partition).is_none() {
            return;
        }
        let subjects: Vec<_> = self.users.keys().cloned().collect();
        for subject in subjects {
            let Some(user) = self.users.get_mut(&subject) else { continue };
            let (items, bytes) = user.remove_partition(partition);
            if user.state == State::Ready {
                self.ready_items -= items;
                self.ready_bytes -= bytes;
            }
            if user.queue.is_empty() {
                self.remove_idle(&subject);
            }
        }
    }

    /// Forgets a user without items, unless some are in flight.
    fn remove_idle(&mut self, subject: &Arc<Subject>) {
        let Some(user) = self.users.get(subject).filter(|user| user.held.is_empty()) else { return };
        match user.state {
            State::InFlight => return,
            State::Held(at) => drop(self.held.remove(&at)),
            State::Ready => self.ready.retain(|ready| ready != subject),
            State::Waiting(at) => {
                self.waiting.remove(&at);
            }
        }
        self.parked_users -= usize::from(user.is_parked);
        self.users.remove(subject);
    }

    /// Adds an item to the end of the user's queue. Of a partition, offsets must increase.
    pub(super) fn push(&mut self, subject: Subject, entry: Entry) {
        if !self.sources.contains_key(&entry.meta.partition) {
            return;
        }
        let subject = match self.users.get_key_value(&subject) {
            Some((known, _)) => Arc::clone(known),
            None => {
                let subject = Arc::new(subject);
                self.users.insert(Arc::clone(&subject), User::new());
                self.ready.push_back(Arc::clone(&subject));
                subject
            }
        };
        let bytes = entry.meta.bytes;
        let Some(user) = self.users.get_mut(&subject) else { return };
        user.push_back(entry);
        match user.state {
            State::Ready => {
                self.ready_items += 1;
                self.ready_bytes += bytes;
            }
            State::InFlight => {}
            State::Held(_) if user.must_ask() => {}
            State::Held(at) => {
                self.held.remove(&at);
                self.make_ready(subject);
            }
            State::Waiting(_) => self.park_if_due(&subject),
        }
    }

    /// The next request to send now. Call it until there is none.
    pub(super) fn next_request(&mut self, now: Instant) -> Option<Request> {
        while let Some(entry) = self.held.first_entry().filter(|entry| entry.key().0 <= now) {
            let subject = entry.remove();
            self.put_in_line(subject);
        }
        let users = match self.next_retry(now) {
            Some(users) => users,
            None => self.next_batch(now)?,
        };
        let is_retry = users.is_retry;
        self.last_number += 1;
        self.in_flight.insert(self.last_number, InFlight { sent_at: now, is_retry });
        Some(Request { id: self.last_number, users: users.users, metas: users.metas })
    }

    fn next_retry(&mut self, now: Instant) -> Option<Taken> {
        if self.count_in_flight(true) >= MAX_RETRIES {
            return None;
        }
        let mut taken = Taken::new(true);
        let mut room = Room { items: self.limits.items(), bytes: REQUEST_BYTES };
        let mut max_users = MAX_DELIVER_USERS;
        while let Some((at, subject)) = self.waiting.first_key_value().filter(|(at, _)| at.0 <= now) {
            let (at, subject) = (*at, Arc::clone(subject));
            let Some(user) = self.users.get_mut(&subject) else { break };
            let limit = user.failing.as_ref().map_or(1, |failing| failing.max_users).min(max_users);
            if taken.users.len() >= limit {
                break;
            }
            let Some((slices, metas)) = user.take(&self.sources, &mut room, taken.users.is_empty()) else { break };
            max_users = limit;
            if slices.is_empty() {
                self.remove_idle(&subject);
                continue;
            }
            user.state = State::InFlight;
            self.waiting.remove(&at);
            taken.add(&subject, slices, metas);
        }
        (!taken.users.is_empty()).then_some(taken)
    }

    fn next_batch(&mut self, now: Instant) -> Option<Taken> {
        if self.ready.is_empty()
            || self.paused_until.is_some_and(|until| until > now)
            || self.count_in_flight(false) >= MAX_BATCHES
            || [self.full_until(), self.gathers_until()].into_iter().flatten().any(|until| until > now)
        {
            return None;
        }
        let mut taken = Taken::new(false);
        let mut room = Room { items: self.limits.items(), bytes: REQUEST_BYTES };
        while let Some(subject) = self.ready.front().filter(|_| taken.users.len() < MAX_DELIVER_USERS) {
            let subject = Arc::clone(subject);
            let Some(user) = self.users.get_mut(&subject) else { break };
            let (items, bytes) = (user.queue.len(), user.bytes);
            let Some((slices, metas)) = user.take(&self.sources, &mut room, taken.users.is_empty()) else { break };
            self.ready_items -= items;
            self.ready_bytes -= bytes;
            if slices.is_empty() {
                self.remove_idle(&subject);
                continue;
            }
            user.state = State::InFlight;
            self.ready.pop_front();
            taken.add(&subject, slices, metas);
        }
        (!taken.users.is_empty()).then_some(taken)
    }

    /// Until when items gather behind the last request in flight. `None` if they need not.
    fn gathers_until(&self) -> Option<Instant> {
        let is_full = self.ready.len() >= MAX_DELIVER_USERS
            || self.ready_items >= self.limits.items()
            || self.ready_bytes >= REQUEST_BYTES;
        let last = self.in_flight.values().filter(|request| !request.is_retry).map(|request| request.sent_at).max();
        last.filter(|_| !is_full).map(|sent_at| sent_at + MAX_GATHER)
    }

    /// Until when the limit of requests in flight is reached, if none is answered.
    fn full_until(&self) -> Option<Instant> {
        let newest_first = self.in_flight.values().rev().filter(|request| !request.is_retry);
        newest_first.map(|request| request.sent_at + SLOW_AFTER).nth(self.limits.requests().saturating_sub(1))
    }

    fn count_in_flight(&self, is_retry: bool) -> usize {
        self.in_flight.values().filter(|request| request.is_retry == is_retry).count()
    }

    /// Puts a user at the end of the line of those who are sent next.
    fn put_in_line(&mut self, subject: Arc<Subject>) {
        let Some(user) = self.users.get_mut(&subject) else { return };
        user.state = State::Ready;
        self.ready_items += user.queue.len();
        self.ready_bytes += user.bytes;
        self.ready.push_back(subject);
    }

    /// Has the sink asked later whether it has stored what it holds of a user.
    fn ask_later(&mut self, now: Instant, subject: Arc<Subject>) {
        self.last_number += 1;
        let at = (now + CONFIRM_AFTER, self.last_number);
        if let Some(user) = self.users.get_mut(&subject) {
            user.state = State::Held(at);
            self.held.insert(at, subject);
        }
    }

    /// When [`Router::next_request`] must be called again, even if nothing arrives and no request is answered.
    #[must_use]
    pub(super) fn next_due(&self) -> Option<Instant> {
        let retry = self.waiting.first_key_value().map(|(at, _)| at.0);
        let retry = retry.filter(|_| self.count_in_flight(true) < MAX_RETRIES);
        let is_free = !self.ready.is_empty() && self.count_in_flight(false) < MAX_BATCHES;
        let batch = self.paused_until.max(self.gathers_until()).max(self.full_until()).filter(|_| is_free);
        let held = self.held.first_key_value().map(|(at, _)| at.0);
        [retry, batch, held].into_iter().flatten().min()
    }

    /// What is to be done since the last call.
    pub(super) fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// The numbers for the metrics.
    #[must_use]
    pub(super) fn load(&self) -> Load {
        Load {
            users: self.users.len(),
            parked_users: self.parked_users,
            requests: self.in_flight.len(),
            refusals: self.refusals,
        }
    }
}

/// How much there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Load {
    /// Users with items that wait or are in flight.
    pub(super) users: usize,
    /// Users whose records were parked since their last success.
    pub(super) parked_users: usize,
    /// Requests in flight.
    pub(super) requests: usize,
    /// Items that were refused since the last success, although each was sent alone and then with a gap in its place.
    pub(super) refusals: usize,
}

/// The content of a request that is being made.
struct Taken {
    users: Vec<UserSlices>,
    metas: Vec<Vec<Meta>>,
    is_retry: bool,
}

impl Taken {
    fn new(is_retry: bool) -> Self {
        Self { users: Vec::new(), metas: Vec::new(), is_retry }
    }

    fn add(&mut self, subject: &Arc<Subject>, slices: Vec<Slice>, metas: Vec<Meta>) {
        self.users.push(UserSlices { subject: Subject::clone(subject), slices });
        self.metas.push(metas);
    }
}
