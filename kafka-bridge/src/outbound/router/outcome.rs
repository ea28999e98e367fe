//! What follows from the sink's answers.

use std::{sync::Arc, time::Duration};

use causeway_protocol::{
    deliver::{Outcome, Slice},
    subject::Subject,
};
use tokio::time::Instant;

use super::{
    Effect, Entry, Kind, Meta, Request, Router, Users,
    user::{Failing, MAX_USER_ITEMS, State},
};
use crate::outbound::sink::UserSlices;

/// The reason of the dead letter of a record that the sink refuses.
pub(in super::super) const REFUSED: &str = "refused_by_edge";

/// Why a request got no answers for its users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Failure {
    /// It was refused because of its content.
    Refused,
    /// It failed, and may succeed later.
    Failed,
}

/// How users are retried.
#[derive(Clone, Copy, Debug)]
struct Retry {
    /// How many users may share the request.
    max_users: usize,
    pause: Option<Duration>,
    is_own_fault: bool,
}

impl Retry {
    /// Alone and at once, with less.
    const SMALLER: Self = Self { max_users: 1, pause: Some(Duration::ZERO), is_own_fault: false };
    /// Alone, after the user's own pause. Only if the request was the user's alone, nobody else can be at fault.
    const fn later(was_alone: bool) -> Self {
        Self { max_users: 1, pause: None, is_own_fault: was_alone }
    }
}

impl Router {
    /// Takes the answer to a request: an outcome for each user, in order.
    pub(in super::super) fn complete(&mut self, now: Instant, request: Request, answer: Result<Vec<Outcome>, Failure>) {
        let Some(sent) = self.in_flight.remove(&request.id) else { return };
        let count = request.users.len();
        let users = request.users.into_iter().zip(request.metas);
        match answer {
            Ok(outcomes) if outcomes.len() == count => {
                let later = outcomes.iter().filter(|outcome| **outcome == Outcome::Later).count();
                self.pause.reset();
                self.paused_until = None;
                let took = now.saturating_duration_since(sent.sent_at);
                for ((user, metas), outcome) in users.zip(outcomes) {
                    if outcome != Outcome::Later {
                        self.probation.on_answer(now, &user.subject, took);
                    } else if (count == 1 || later * 2 <= count)
                        && let Some(subject) = self.known(&user.subject)
                    {
                        // If there was no time for most users, it was not each one's hub.
                        self.probation.begin(now, subject);
                    }
                    self.settle(now, user, metas, outcome, count == 1);
                }
                // If there was no time for most users, the request was too large.
                if sent.of == Users::Ready && count > 1 && later * 2 > count {
                    self.limits.on_failure();
                } else if sent.of == Users::Ready && !self.ready.is_empty() {
                    self.limits.on_success();
                }
            }
            Err(Failure::Refused) if count == 1 => {
                users.for_each(|(user, metas)| self.settle(now, user, metas, Outcome::Refused, true));
            }
            Err(Failure::Refused) => {
                let retry = Retry { max_users: count.div_ceil(2), ..Retry::SMALLER };
                users.for_each(|(user, metas)| self.put_back(now, user, metas, retry));
            }
            _ => {
                if sent.of == Users::Ready {
                    self.limits.on_failure();
                    self.paused_until = Some(now + self.pause.next_wait());
                }
                let users: Vec<_> = users.collect();
                // All at the same time, so that they share requests again.
                let pause = users.iter().map(|(user, _)| self.next_pause(now, &user.subject)).max();
                let retry = Retry { max_users: count / 2, pause, is_own_fault: false };
                users.into_iter().for_each(|(user, metas)| self.put_back(now, user, metas, retry));
            }
        }
    }

    fn settle(&mut self, now: Instant, user: UserSlices, metas: Vec<Meta>, outcome: Outcome, was_alone: bool) {
        match outcome {
            Outcome::Stored => self.on_success(now, user, metas, true),
            Outcome::Held => self.on_success(now, user, metas, false),
            Outcome::Missing => self.put_back(now, user, metas, Retry::SMALLER),
            Outcome::Refused => self.on_refused(now, user, metas, was_alone),
            Outcome::Later => self.put_back(now, user, metas, Retry::later(was_alone)),
            Outcome::Stale => self.on_stale(now, user, metas),
        }
    }

    fn on_success(&mut self, now: Instant, sent: UserSlices, metas: Vec<Meta>, is_stored: bool) {
        self.successes += 1;
        self.refusals = 0;
        let UserSlices { subject, slices } = sent;
        let Some(known) = self.known(&subject) else { return };
        let Some(user) = self.users.get_mut(&known) else { return };
        user.held.extend(entries(slices, metas));
        let stored = if is_stored { std::mem::take(&mut user.held) } else { Vec::new() };
        for Entry { item, meta } in stored {
            let effect = match meta.kind {
                Kind::Probe(record) => {
                    let meta = Meta { kind: Kind::Record, ..meta };
                    Effect::Dead { subject: subject.clone(), item: *record, meta, reason: REFUSED }
                }
                Kind::Record | Kind::Gap => Effect::Stored { offset: item.offset, meta },
            };
            self.effects.push(effect);
        }
        self.parked_users -= usize::from(std::mem::take(&mut user.is_parked));
        // Those of a partition that was removed while they were in flight are dropped.
        user.held.retain(|entry| self.sources.contains_key(&entry.meta.partition));
        user.failing = None;
        // Not before they are stored: the question for them must not carry items of another partition.
        user.one_partition &= !user.held.is_empty();
        user.max_items = (user.max_items * 2).min(MAX_USER_ITEMS);
        if !user.held.is_empty() && (user.queue.is_empty() || user.must_ask()) {
            self.ask_later(now, known);
        } else {
            self.make_ready(known);
        }
    }

    fn on_refused(&mut self, now: Instant, refused: UserSlices, metas: Vec<Meta>, was_alone: bool) {
        let Some(subject) = self.known(&refused.subject) else { return };
        if metas.len() != 1 {
            if let Some(user) = self.users.get_mut(&subject) {
                user.max_items = (metas.len() / 2).max(1);
            }
            return self.put_back(now, refused, metas, Retry::SMALLER);
        }
        // The gap in the record's place is sent next. It is what the user gets if the record is at fault. If it is
        // refused as well, the fault is not in the record, and nothing may become a dead letter.
        let is_record = metas.iter().any(|meta| matches!(meta.kind, Kind::Record));
        self.refusals += usize::from(!is_record);
        self.return_items(&subject, refused.slices, metas, true);
        self.retry(now, &subject, if is_record { Retry::SMALLER } else { Retry::later(was_alone) });
    }

    fn on_stale(&mut self, now: Instant, stale: UserSlices, metas: Vec<Meta>) {
        // Those that it asks about count as well. What was sent counts: one of them may have been removed meanwhile.
        let first = stale.slices.first().map(|slice| &slice.source);
        if stale.slices.iter().all(|slice| Some(&slice.source) == first) {
            let mut sources = self.sources.iter();
            if let Some(partition) = sources.find_map(|(id, source)| (Some(source) == first).then_some(*id)) {
                self.remove_partition(partition);
                self.effects.push(Effect::Stale(partition));
            }
            return self.put_back(now, stale, metas, Retry::SMALLER);
        }
        // One of several partitions is stale: they are sent one by one.
        if let Some(user) = self.users.get_mut(&stale.subject) {
            user.one_partition = true;
        }
        self.put_back(now, stale, metas, Retry::SMALLER);
    }

    /// Returns items to the front of the user's queue, for a retry apart from other users.
    fn put_back(&mut self, now: Instant, user: UserSlices, metas: Vec<Meta>, retry: Retry) {
        let Some(subject) = self.known(&user.subject) else { return };
        self.return_items(&subject, user.slices, metas, false);
        self.retry(now, &subject, retry);
    }

    fn return_items(&mut self, subject: &Arc<Subject>, slices: Vec<Slice>, metas: Vec<Meta>, exchange: bool) {
        let Some(user) = self.users.get_mut(subject) else { return };
        // What is held came before, and the sink may have lost it.
        let held = std::mem::take(&mut user.held).into_iter().map(|entry| (entry, false));
        let returned: Vec<_> = held.chain(entries(slices, metas).map(|entry| (entry, exchange))).collect();
        for (entry, exchange) in returned.into_iter().rev() {
            // Those of a partition that is not read any more are dropped.
            let Some(source) = self.sources.get(&entry.meta.partition) else { continue };
            user.push_front(if exchange { entry.exchange_probe(source) } else { entry });
        }
    }

    fn retry(&mut self, now: Instant, subject: &Arc<Subject>, retry: Retry) {
        let pause = match retry.pause {
            Some(pause) => pause,
            None => self.next_pause(now, subject),
        };
        self.last_number += 1;
        let at = (now + pause, self.last_number);
        let successes = self.successes;
        let Some(user) = self.users.get_mut(subject) else { return };
        let failing = user.failing.get_or_insert_with(|| Failing::new(now, successes));
        failing.fail(now, successes);
        failing.max_users = retry.max_users.max(1);
        failing.is_own_fault |= retry.is_own_fault;
        user.state = State::Waiting(at);
        let waiting = if failing.is_own_fault { &mut self.at_fault } else { &mut self.retried };
        waiting.insert(at, Arc::clone(subject));
        if user.queue.is_empty() {
            self.remove_idle(subject);
        } else {
            self.park_if_due(subject);
        }
    }

    /// The next pause of a user who fails.
    fn next_pause(&mut self, now: Instant, subject: &Subject) -> Duration {
        let successes = self.successes;
        let user = self.users.get_mut(subject);
        user.map_or(Duration::ZERO, |user| {
            user.failing.get_or_insert_with(|| Failing::new(now, successes)).backoff.next_wait()
        })
    }

    /// A user as the router keeps it. It is known while items of it are in flight.
    fn known(&self, subject: &Subject) -> Option<Arc<Subject>> {
        self.users.get_key_value(subject).map(|(known, _)| Arc::clone(known))
    }

    pub(super) fn make_ready(&mut self, subject: Arc<Subject>) {
        let Some(user) = self.users.get_mut(&subject) else { return };
        if user.queue.is_empty() {
            self.users.remove(&subject);
            return;
        }
        self.put_in_line(subject);
    }
}

/// The items of a user's part of a request, in order.
fn entries(slices: Vec<Slice>, metas: Vec<Meta>) -> impl Iterator<Item = Entry> {
    slices.into_iter().flat_map(|slice| slice.items).zip(metas).map(|(item, meta)| Entry { item, meta })
}
