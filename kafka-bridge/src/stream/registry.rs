//! Who listens to whom. One entry per stream, gone with the stream.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use causeway_protocol::{hub::EndReason, stream::EndStreams, subject::Subject};
use prometheus::IntGauge;
use tokio::sync::Notify;

use crate::rejection::Rejection;

/// All streams of the process.
#[derive(Debug)]
pub struct Registry {
    seats: Mutex<HashMap<Subject, Vec<Arc<Seat>>>>,
    max: usize,
    max_of_user: usize,
    /// How many there are.
    open: IntGauge,
    draining: AtomicBool,
}

/// One stream, as those see it who wake it.
#[derive(Debug)]
pub struct Seat {
    session: Box<str>,
    /// Something below changed, or the buffer has more.
    changed: Notify,
    ended: OnceLock<EndReason>,
    /// The subscription was interrupted: an end may have been missed.
    doubtful: AtomicBool,
    /// The process stops.
    draining: AtomicBool,
}

/// A stream's entry; dropping it removes it.
#[derive(Debug)]
pub struct Ticket {
    registry: Arc<Registry>,
    subject: Subject,
    seat: Arc<Seat>,
}

impl Registry {
    /// Admits at most `max` streams, and `max_of_user` of any one user.
    #[must_use]
    pub fn new(max: usize, max_of_user: usize, open: IntGauge) -> Self {
        Self { seats: Mutex::default(), max, max_of_user, open, draining: AtomicBool::new(false) }
    }

    /// Admits a stream.
    ///
    /// # Errors
    /// [`Rejection::StreamsFull`] or [`Rejection::UserStreamsFull`]
    pub fn enter(self: &Arc<Self>, subject: &Subject, session: &str) -> Result<Ticket, Rejection> {
        let mut seats = self.seats();
        if self.draining.load(Ordering::Acquire) {
            return Err(Rejection::StreamsFull("the bridge stops"));
        }
        if usize::try_from(self.open.get()).unwrap_or_default() >= self.max {
            return Err(Rejection::StreamsFull("of all users"));
        }
        let of_user = seats.entry(subject.clone()).or_default();
        if of_user.len() >= self.max_of_user {
            return Err(Rejection::UserStreamsFull);
        }
        let seat = Arc::new(Seat {
            session: session.into(),
            changed: Notify::new(),
            ended: OnceLock::new(),
            doubtful: AtomicBool::new(false),
            draining: AtomicBool::new(false),
        });
        of_user.push(Arc::clone(&seat));
        self.open.inc();
        Ok(Ticket { registry: Arc::clone(self), subject: subject.clone(), seat })
    }

    /// A user's buffer has more.
    pub fn wake(&self, subject: &Subject) {
        for seat in self.seats().get(subject).into_iter().flatten() {
            seat.changed.notify_one();
        }
    }

    /// A session is over.
    pub fn end(&self, end: &EndStreams) {
        for seat in self.seats().get(&end.subject).into_iter().flatten() {
            if *seat.session == *end.session {
                seat.end(end.reason);
            }
        }
    }

    /// Messages may have been missed: everybody looks for themselves.
    pub fn wake_all(&self) {
        for seat in self.seats().values().flatten() {
            seat.set_doubtful(true);
            seat.changed.notify_one();
        }
    }

    /// Ends all streams, so that the process can; their clients resume elsewhere.
    pub fn drain(&self) {
        let seats = self.seats();
        self.draining.store(true, Ordering::Release);
        for seat in seats.values().flatten() {
            seat.draining.store(true, Ordering::Release);
            seat.changed.notify_one();
        }
    }

    fn seats(&self) -> MutexGuard<'_, HashMap<Subject, Vec<Arc<Seat>>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// The stream's session is over.
    pub fn end(&self, reason: EndReason) {
        // The first reason holds.
        let _ = self.ended.set(reason);
        self.changed.notify_one();
    }

    /// The session whose stream it is.
    #[must_use]
    pub fn session(&self) -> &str {
        &self.session
    }

    /// Waits for any change since it was last waited for.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Why the session is over, if it is.
    #[must_use]
    pub fn ended(&self) -> Option<EndReason> {
        self.ended.get().copied()
    }

    /// Whether the process stops.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Whether an end may have been missed.
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        self.doubtful.load(Ordering::Acquire)
    }

    /// Says whether an end may have been missed.
    pub fn set_doubtful(&self, doubtful: bool) {
        self.doubtful.store(doubtful, Ordering::Release);
    }
}

impl Ticket {
    /// Whose stream it is.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// What wakes the stream.
    #[must_use]
    pub fn seat(&self) -> &Seat {
        &self.seat
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut seats = self.registry.seats();
        if let Some(of_user) = seats.get_mut(&self.subject) {
            of_user.retain(|seat| !Arc::ptr_eq(seat, &self.seat));
            if of_user.is_empty() {
                seats.remove(&self.subject);
            }
        }
        self.registry.open.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry(max: usize, max_of_user: usize) -> Arc<Registry> {
        Arc::new(Registry::new(max, max_of_user, IntGauge::new("streams", "streams").unwrap()))
    }

    fn user(id: &str) -> Subject {
        Subject::new("t", id).unwrap()
    }

    #[test]
    fn streams_are_bounded_and_leave_nothing_behind() {
        let registry = registry(3, 2);
        let mut tickets: Vec<_> = ["a", "a", "b"].map(|id| registry.enter(&user(id), "s").unwrap()).into();
        assert_eq!(registry.enter(&user("c"), "s").unwrap_err(), Rejection::StreamsFull("of all users"));
        tickets.pop();
        assert_eq!(registry.enter(&user("a"), "s").unwrap_err(), Rejection::UserStreamsFull);
        drop(tickets);
        assert_eq!(registry.open.get(), 0);
        assert!(registry.seats().is_empty());
    }

    #[tokio::test]
    async fn only_the_users_streams_wake_and_only_the_sessions_end() {
        let registry = registry(9, 9);
        let [first, second] = ["s1", "s2"].map(|session| registry.enter(&user("a"), session).unwrap());
        let other = registry.enter(&user("b"), "s1").unwrap();
        registry.end(&EndStreams { subject: user("a"), session: "s1".to_owned(), reason: EndReason::Revoked });
        first.seat().changed().await;
        assert_eq!(first.seat().ended(), Some(EndReason::Revoked));
        assert_eq!((second.seat().ended(), other.seat().ended()), (None, None));
        registry.wake(&user("a"));
        second.seat().changed().await;
        let woken = tokio::time::timeout(std::time::Duration::ZERO, other.seat().changed()).await;
        assert!(woken.is_err(), "another user sleeps on");
    }
}
