//! The open streams of the process, by user. Each stream is registered for as long as it lives.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use causeway_protocol::{hub::EndReason, session::SessionHandle, stream::EndStreams, subject::Subject};
use prometheus::IntGauge;
use tokio::sync::Notify;

use crate::rejection::Rejection;

/// All open streams of the process.
#[derive(Debug)]
pub struct Registry {
    subscribers: Mutex<HashMap<Subject, Vec<Arc<Subscriber>>>>,
    max: usize,
    max_per_user: usize,
    /// The number of open streams.
    open: IntGauge,
    draining: AtomicBool,
}

/// What one stream is notified of.
#[derive(Debug)]
pub struct Subscriber {
    session: SessionHandle,
    /// Notified when a field below changed or the buffer has more records.
    changed: Notify,
    ended: OnceLock<EndReason>,
    /// The Redis subscription was interrupted, so the message that ends the session may have been missed.
    needs_session_check: AtomicBool,
    /// The process is stopping.
    draining: AtomicBool,
}

/// A stream's entry in the registry. Removed when dropped.
#[derive(Debug)]
pub struct Registration {
    registry: Arc<Registry>,
    subject: Subject,
    subscriber: Arc<Subscriber>,
}

impl Registry {
    /// Allows at most `max` streams, and `max_per_user` of one user.
    #[must_use]
    pub fn new(max: usize, max_per_user: usize, open: IntGauge) -> Self {
        Self { subscribers: Mutex::default(), max, max_per_user, open, draining: AtomicBool::new(false) }
    }

    /// Registers a stream.
    ///
    /// # Errors
    /// [`Rejection::StreamsFull`] or [`Rejection::UserStreamsFull`]
    pub fn register(self: &Arc<Self>, subject: &Subject, session: &SessionHandle) -> Result<Registration, Rejection> {
        let mut subscribers = self.subscribers();
        if self.draining.load(Ordering::Acquire) {
            return Err(Rejection::StreamsFull("the bridge is stopping"));
        }
        if usize::try_from(self.open.get()).unwrap_or_default() >= self.max {
            return Err(Rejection::StreamsFull("of all users"));
        }
        let of_user = subscribers.entry(subject.clone()).or_default();
        if of_user.len() >= self.max_per_user {
            return Err(Rejection::UserStreamsFull);
        }
        let subscriber = Arc::new(Subscriber {
            session: session.clone(),
            changed: Notify::new(),
            ended: OnceLock::new(),
            needs_session_check: AtomicBool::new(false),
            draining: AtomicBool::new(false),
        });
        of_user.push(Arc::clone(&subscriber));
        self.open.inc();
        Ok(Registration { registry: Arc::clone(self), subject: subject.clone(), subscriber })
    }

    /// Wakes a user's streams, because the buffer has more records.
    pub fn wake(&self, subject: &Subject) {
        for subscriber in self.subscribers().get(subject).into_iter().flatten() {
            subscriber.changed.notify_one();
        }
    }

    /// Ends the streams of a session.
    pub fn end(&self, end: &EndStreams) {
        for subscriber in self.subscribers().get(&end.subject).into_iter().flatten() {
            if subscriber.session == end.session {
                subscriber.end(end.reason);
            }
        }
    }

    /// Wakes all streams after messages may have been missed. Each then checks its buffer and its session.
    pub fn wake_all(&self) {
        for subscriber in self.subscribers().values().flatten() {
            subscriber.set_needs_session_check(true);
            subscriber.changed.notify_one();
        }
    }

    /// Ends all streams, so that the process can stop. Their clients resume at another instance.
    pub fn drain(&self) {
        let subscribers = self.subscribers();
        self.draining.store(true, Ordering::Release);
        for subscriber in subscribers.values().flatten() {
            subscriber.draining.store(true, Ordering::Release);
            subscriber.changed.notify_one();
        }
    }

    fn subscribers(&self) -> MutexGuard<'_, HashMap<Subject, Vec<Arc<Subscriber>>>> {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber {
    /// Ends the stream with its session.
    pub fn end(&self, reason: EndReason) {
        // The first reason is kept.
        let _ = self.ended.set(reason);
        self.changed.notify_one();
    }

    /// The session that opened the stream.
    #[must_use]
    pub fn session(&self) -> &SessionHandle {
        &self.session
    }

    /// Waits for a notification since the last call.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Why the session ended, if it has.
    #[must_use]
    pub fn ended(&self) -> Option<EndReason> {
        self.ended.get().copied()
    }

    /// Whether the process is stopping.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Whether the stream must check if its session has ended.
    #[must_use]
    pub fn needs_session_check(&self) -> bool {
        self.needs_session_check.load(Ordering::Acquire)
    }

    /// Sets whether the stream must check if its session has ended.
    pub fn set_needs_session_check(&self, needs_session_check: bool) {
        self.needs_session_check.store(needs_session_check, Ordering::Release);
    }
}

impl Registration {
    /// The user whose stream it is.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The stream's notifications.
    #[must_use]
    pub fn subscriber(&self) -> &Subscriber {
        &self.subscriber
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut subscribers = self.registry.subscribers();
        if let Some(of_user) = subscribers.get_mut(&self.subject) {
            of_user.retain(|subscriber| !Arc::ptr_eq(subscriber, &self.subscriber));
            if of_user.is_empty() {
                subscribers.remove(&self.subject);
            }
        }
        self.registry.open.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry(max: usize, max_per_user: usize) -> Arc<Registry> {
        Arc::new(Registry::new(max, max_per_user, IntGauge::new("streams", "streams").unwrap()))
    }

    fn user(id: &str) -> Subject {
        Subject::new("t", id).unwrap()
    }

    fn session(n: u8) -> SessionHandle {
        SessionHandle::from_digest(&[n; 32])
    }

    #[test]
    fn streams_are_limited_and_unregister_themselves() {
        let registry = registry(3, 2);
        let mut registrations: Vec<_> =
            ["a", "a", "b"].map(|id| registry.register(&user(id), &session(1)).unwrap()).into();
        assert_eq!(registry.register(&user("c"), &session(1)).unwrap_err(), Rejection::StreamsFull("of all users"));
        registrations.pop();
        assert_eq!(registry.register(&user("a"), &session(1)).unwrap_err(), Rejection::UserStreamsFull);
        drop(registrations);
        assert_eq!(registry.open.get(), 0);
        assert!(registry.subscribers().is_empty());
    }

    #[tokio::test]
    async fn a_wake_reaches_one_user_and_an_end_one_session() {
        let registry = registry(9, 9);
        let [first, second] = [1, 2].map(|n| registry.register(&user("a"), &session(n)).unwrap());
        let other = registry.register(&user("b"), &session(1)).unwrap();
        registry.end(&EndStreams { subject: user("a"), session: session(1), reason: EndReason::Revoked });
        first.subscriber().changed().await;
        assert_eq!(first.subscriber().ended(), Some(EndReason::Revoked));
        assert_eq!((second.subscriber().ended(), other.subscriber().ended()), (None, None));
        registry.wake(&user("a"));
        second.subscriber().changed().await;
        let woken = tokio::time::timeout(std::time::Duration::ZERO, other.subscriber().changed()).await;
        assert!(woken.is_err(), "another user is not woken");
    }
}
