//! Decides what is sent next. A state machine without I/O: `now` is passed in, and what is to be done comes back as
//! [`Effect`]s.
//!
//! - [`entry`]: an item in a queue.
//! - [`user`]: a user's queue.
//! - [`outcome`]: what follows from the sink's answers.
//! - [`park`]: when records of a user are given up, so that everybody else goes on.
//! - [`probation`]: users who held up others lately.
//! - [`schedule`]: who is in the next request, and when it is sent.
//!
//! Each user has one queue over all partitions and channels, and is in at most one request at a time, so order is kept.
//! Users who are ready stand in a line. A request takes them from the front, a bounded part of each, and who has more
//! goes to the back.
//!
//! Nothing waits while nothing is in flight and the last request is [`SPACING`] ago. While a request is in flight, items
//! gather until it is answered, until they fill another request, or for [`MAX_GATHER`], so that a slow request holds up
//! nobody.
//!
//! A sink may hold items for a moment before it stores them. The router keeps those until they are stored, tells with each
//! request what it follows on, and asks if there is nothing else to send. If the sink has lost them, they are sent again
//! before anything else.
//!
//! A user whose items were not stored leaves the line. They are retried with pauses in requests beside the others,
//! until they succeed once:
//!
//! - A user whose own hub failed, or was not asked in time, is retried alone. Who has not failed alone yet does not wait
//!   for those who have. Afterwards the user is sent alone for a while, see [`probation`].
//! - If a whole request failed or was refused, its users are retried in halves, then in quarters, down to the one who
//!   is at fault.
//! - A user whose items are refused is sent half of them, then a quarter, down to the one item that is at fault.

mod entry;
mod outcome;
mod park;
mod probation;
mod schedule;
#[cfg(test)]
mod tests;
mod user;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use causeway_protocol::{buffer::CONFIRM_AFTER, deliver::Source, subject::Subject};
use tokio::time::Instant;

pub(super) use self::{
    entry::{Effect, Entry, Kind, Meta},
    outcome::{Failure, REFUSED},
    park::PARKED,
};
use self::{
    probation::Probation,
    user::{RetryAt, State, User},
};
use super::{limits::Limits, sink::UserSlices};
use crate::backoff::Backoff;

/// A partition as it is read now. One that is planned again gets another number, so that its items are not confused
/// with earlier ones in flight.
pub(super) type PartitionId = u64;

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
    of: Users,
}

/// Whom a request is for. Each kind has a limit of requests in flight of its own, so that none waits for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Users {
    /// Those in the line.
    Ready,
    /// Those who failed, but not alone, and those on probation.
    Retried,
    /// Those whose own hub failed.
    AtFault,
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
    /// The users in [`State::Waiting`]: those who have not failed alone, and those who have.
    retried: BTreeMap<RetryAt, Arc<Subject>>,
    at_fault: BTreeMap<RetryAt, Arc<Subject>>,
    probation: Probation,
    /// The users in [`State::Held`].
    held: BTreeMap<RetryAt, Arc<Subject>>,
    in_flight: BTreeMap<u64, InFlight>,
    /// When the last request to users in the line was sent.
    last_sent_at: Option<Instant>,
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
                self.retried.remove(&at);
                self.at_fault.remove(&at);
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
                self.put_in_line(Arc::clone(&subject));
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

    /// Puts a user at the end of the line of those who are sent next, or has them sent alone.
    fn put_in_line(&mut self, subject: Arc<Subject>) {
        let Some(user) = self.users.get_mut(&subject) else { return };
        if let Some(since) = self.probation.since(&subject) {
            self.last_number += 1;
            let at = (since, self.last_number);
            user.state = State::Waiting(at);
            self.retried.insert(at, subject);
            return;
        }
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
