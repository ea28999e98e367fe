//! Who is in the next request, and when it is sent.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use causeway_protocol::{
    deliver::{MAX_DELIVER_BYTES, MAX_DELIVER_USERS, Slice},
    subject::Subject,
};
use tokio::time::Instant;

use super::{
    InFlight, Meta, Request, Router, Users,
    user::{RetryAt, Room, State},
};
use crate::outbound::sink::UserSlices;

/// How long items gather behind a request in flight.
pub(super) const MAX_GATHER: Duration = Duration::from_millis(5);

/// The least time between two requests of which the second is not full. An item that comes sooner waits for the rest of
/// it. At up to 300 evenly spaced items a second none does. At more, the cost of a request (a round trip and a write to
/// disk) is shared by a few items, and that is most of what an item costs.
pub(super) const SPACING: Duration = Duration::from_millis(3);

/// A request that is not answered after this long does not count towards the limit any more: it probably waits for a
/// hub that hangs, and must not hold up the others.
pub(super) const SLOW_AFTER: Duration = Duration::from_millis(100);

/// The maximum number of requests in flight, without retries, however slow they are.
pub(super) const MAX_BATCHES: usize = 32;

/// The maximum number of retries of a kind in flight. They don't count towards the limit of other requests, because
/// each may hang until its time-out.
pub(super) const MAX_RETRIES: usize = 32;

/// The maximum size of the users' parts of a request. The rest is for the JSON around them.
pub(super) const REQUEST_BYTES: usize = MAX_DELIVER_BYTES - 64 * 1024;

impl Router {
    /// The next request to send now. Call it until there is none.
    pub(in super::super) fn next_request(&mut self, now: Instant) -> Option<Request> {
        while let Some(entry) = self.held.first_entry().filter(|entry| entry.key().0 <= now) {
            let subject = entry.remove();
            self.put_in_line(subject);
        }
        let retry = self.next_retry(now, Users::Retried).or_else(|| self.next_retry(now, Users::AtFault));
        let Taken { users, metas, of } = retry.or_else(|| self.next_batch(now))?;
        self.last_number += 1;
        if of == Users::Ready {
            self.last_sent_at = Some(now);
        }
        self.in_flight.insert(self.last_number, InFlight { sent_at: now, of });
        Some(Request { id: self.last_number, users, metas })
    }

    fn next_retry(&mut self, now: Instant, of: Users) -> Option<Taken> {
        if self.count_in_flight(of) >= MAX_RETRIES {
            return None;
        }
        let mut taken = Taken::new(of);
        let mut room = Room { items: self.limits.items(), bytes: REQUEST_BYTES };
        let mut max_users = MAX_DELIVER_USERS;
        while let Some((at, subject)) = self.waiting(of).first_key_value().filter(|(at, _)| at.0 <= now) {
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
            self.retried.remove(&at);
            self.at_fault.remove(&at);
            taken.add(&subject, slices, metas);
        }
        (!taken.users.is_empty()).then_some(taken)
    }

    fn next_batch(&mut self, now: Instant) -> Option<Taken> {
        if self.ready.is_empty()
            || self.paused_until.is_some_and(|until| until > now)
            || self.count_in_flight(Users::Ready) >= MAX_BATCHES
            || [self.full_until(), self.gathers_until()].into_iter().flatten().any(|until| until > now)
        {
            return None;
        }
        let mut taken = Taken::new(Users::Ready);
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

    /// Until when items gather behind the last request. `None` if they need not.
    fn gathers_until(&self) -> Option<Instant> {
        let is_full = self.ready.len() >= MAX_DELIVER_USERS
            || self.ready_items >= self.limits.items()
            || self.ready_bytes >= REQUEST_BYTES;
        let last =
            self.in_flight.values().filter(|request| request.of == Users::Ready).map(|request| request.sent_at).max();
        let behind = last.map(|sent_at| sent_at + MAX_GATHER);
        behind.max(self.last_sent_at.map(|sent_at| sent_at + SPACING)).filter(|_| !is_full)
    }

    /// Until when the limit of requests in flight is reached, if none is answered.
    fn full_until(&self) -> Option<Instant> {
        let newest_first = self.in_flight.values().rev().filter(|request| request.of == Users::Ready);
        newest_first.map(|request| request.sent_at + SLOW_AFTER).nth(self.limits.requests().saturating_sub(1))
    }

    fn count_in_flight(&self, of: Users) -> usize {
        self.in_flight.values().filter(|request| request.of == of).count()
    }

    /// The users of a kind of retries.
    fn waiting(&self, of: Users) -> &BTreeMap<RetryAt, Arc<Subject>> {
        if of == Users::AtFault { &self.at_fault } else { &self.retried }
    }

    /// When [`Router::next_request`] must be called again, even if nothing arrives and no request is answered.
    #[must_use]
    pub(in super::super) fn next_due(&self) -> Option<Instant> {
        let retry = |of| {
            let first = self.waiting(of).first_key_value().map(|(at, _)| at.0);
            first.filter(|_| self.count_in_flight(of) < MAX_RETRIES)
        };
        let is_free = !self.ready.is_empty() && self.count_in_flight(Users::Ready) < MAX_BATCHES;
        let batch = self.paused_until.max(self.gathers_until()).max(self.full_until()).filter(|_| is_free);
        let held = self.held.first_key_value().map(|(at, _)| at.0);
        [retry(Users::Retried), retry(Users::AtFault), batch, held].into_iter().flatten().min()
    }
}

/// The content of a request that is being made.
struct Taken {
    users: Vec<UserSlices>,
    metas: Vec<Vec<Meta>>,
    of: Users,
}

impl Taken {
    fn new(of: Users) -> Self {
        Self { users: Vec::new(), metas: Vec::new(), of }
    }

    fn add(&mut self, subject: &Arc<Subject>, slices: Vec<Slice>, metas: Vec<Meta>) {
        self.users.push(UserSlices { subject: Subject::clone(subject), slices });
        self.metas.push(metas);
    }
}
