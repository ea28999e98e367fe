//! The open streams of the process, by user. Each stream is registered for as long as it lives.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use causeway_protocol::{
    channel::Channel,
    cursor::Position,
    deliver::{Slice, Source},
    session::SessionHandle,
    stream::EndStreams,
    subject::Subject,
};
use prometheus::IntGauge;
use tokio::time::Instant;

use super::{inbox::Shown, subscriber::Subscriber};
use crate::{redis_store::Wake, rejection::Rejection};

/// All open streams of the process.
#[derive(Debug)]
pub struct Registry {
    /// By the subject's text, which a wake begins with.
    users: Mutex<HashMap<Box<str>, User>>,
    max: usize,
    max_per_user: usize,
    /// The number of open streams.
    open: IntGauge,
    draining: AtomicBool,
}

/// A user with open streams.
#[derive(Debug, Default)]
struct User {
    streams: Vec<Arc<Subscriber>>,
    /// The last record of each partition that this process delivers, since the user has had streams.
    last_shown: Vec<(Source, Position)>,
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
        Self { users: Mutex::default(), max, max_per_user, open, draining: AtomicBool::new(false) }
    }

    /// Registers a stream that hears these channels. Without any it hears all.
    ///
    /// # Errors
    /// [`Rejection::StreamsFull`] or [`Rejection::UserStreamsFull`]
    pub fn register(
        self: &Arc<Self>,
        subject: &Subject,
        session: &SessionHandle,
        channels: &[Channel],
    ) -> Result<Registration, Rejection> {
        let mut users = self.users();
        if self.draining.load(Ordering::Acquire) {
            return Err(Rejection::StreamsFull("the bridge is stopping"));
        }
        if usize::try_from(self.open.get()).unwrap_or_default() >= self.max {
            return Err(Rejection::StreamsFull("of all users"));
        }
        let user = users.entry(subject.to_string().into()).or_default();
        if user.streams.len() >= self.max_per_user {
            return Err(Rejection::UserStreamsFull);
        }
        let subscriber = Arc::new(Subscriber::new(session, channels));
        user.streams.push(Arc::clone(&subscriber));
        self.open.inc();
        Ok(Registration { registry: Arc::clone(self), subject: subject.clone(), subscriber })
    }

    /// Shows items to a user's streams before they are stored. Called in the order in which they will be stored.
    pub fn show(&self, subject: &Subject, slice: &Slice) {
        // Not made under the lock, which all users share.
        let name = subject.to_string();
        let mut users = self.users();
        let Some(user) = users.get_mut(name.as_str()) else { return };
        let now = Instant::now();
        for item in &slice.items {
            let position = slice.source.at(item.offset);
            let before = user.last_shown(&slice.source, position);
            let (channel, partition) = (slice.source.channel.as_str(), slice.source.partition);
            // Copied once, however many streams there are.
            let mut frame = None;
            for stream in &user.streams {
                let mut inbox = stream.inbox();
                inbox.expect(channel, partition, now);
                // Without one before it since the partition was claimed, others may be on their way to the buffer.
                let Some(before) = before else { continue };
                let record = Shown { channel, partition, position, before };
                let copy = || frame.get_or_insert_with(|| Bytes::copy_from_slice(item.frame.as_bytes())).clone();
                if inbox.show(record, now, copy) {
                    stream.notify();
                }
            }
        }
    }

    /// Whether a user has streams here, by the subject's text.
    #[must_use]
    pub fn has_streams(&self, subject: &str) -> bool {
        self.users().contains_key(subject)
    }

    /// Tells a user's streams of records that are in the buffer.
    pub fn wake(&self, subject: &str, wake: &Wake<'_>) {
        let now = Instant::now();
        for stream in self.users().get(subject).into_iter().flat_map(|user| &user.streams) {
            if stream.inbox().wake(wake, now) {
                stream.notify();
            }
        }
    }

    /// Ends the streams of a session.
    pub fn end(&self, end: &EndStreams) {
        let subject = end.subject.to_string();
        for stream in self.users().get(subject.as_str()).into_iter().flat_map(|user| &user.streams) {
            if *stream.session() == end.session {
                stream.end(end.reason);
            }
        }
    }

    /// Wakes all streams after messages may have been missed. Each then checks its buffer and its session.
    pub fn wake_all(&self) {
        for stream in self.users().values().flat_map(|user| &user.streams) {
            stream.set_needs_session_check(true);
            stream.inbox().fall_behind();
            stream.notify();
        }
    }

    /// Ends all streams, so that the process can stop. Their clients resume at another instance.
    pub fn drain(&self) {
        let users = self.users();
        self.draining.store(true, Ordering::Release);
        for stream in users.values().flat_map(|user| &user.streams) {
            stream.drain();
        }
    }

    fn users(&self) -> MutexGuard<'_, HashMap<Box<str>, User>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl User {
    /// Notes the last record of a partition, and returns the one before it.
    fn last_shown(&mut self, source: &Source, position: Position) -> Option<Position> {
        let is_same = |known: &Source| known.channel == source.channel && known.partition == source.partition;
        match self.last_shown.iter_mut().find(|(known, _)| is_same(known)) {
            Some((known, last)) if known == source => Some(std::mem::replace(last, position)),
            Some(entry) => {
                *entry = (source.clone(), position);
                None
            }
            None => {
                self.last_shown.push((source.clone(), position));
                None
            }
        }
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
        let mut users = self.registry.users();
        let subject = self.subject.to_string();
        if let Some(user) = users.get_mut(subject.as_str()) {
            user.streams.retain(|stream| !Arc::ptr_eq(stream, &self.subscriber));
            if user.streams.is_empty() {
                users.remove(subject.as_str());
            }
        }
        self.registry.open.dec();
    }
}

#[cfg(test)]
mod tests {
    use causeway_protocol::hub::EndReason;

    use super::*;
    use crate::redis_store::News;

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
            ["a", "a", "b"].map(|id| registry.register(&user(id), &session(1), &[]).unwrap()).into();
        assert_eq!(
            registry.register(&user("c"), &session(1), &[]).unwrap_err(),
            Rejection::StreamsFull("of all users")
        );
        registrations.pop();
        assert_eq!(registry.register(&user("a"), &session(1), &[]).unwrap_err(), Rejection::UserStreamsFull);
        drop(registrations);
        assert_eq!(registry.open.get(), 0);
        assert!(registry.users().is_empty());
    }

    #[tokio::test]
    async fn a_wake_reaches_one_user_and_an_end_one_session() {
        let registry = registry(9, 9);
        let [first, second] = [1, 2].map(|n| registry.register(&user("a"), &session(n), &[]).unwrap());
        let other = registry.register(&user("b"), &session(1), &[]).unwrap();
        registry.end(&EndStreams { subject: user("a"), session: session(1), reason: EndReason::Revoked });
        first.subscriber().changed().await;
        assert_eq!(first.subscriber().ended(), Some(EndReason::Revoked));
        assert_eq!((second.subscriber().ended(), other.subscriber().ended()), (None, None));
        let news = News::Records(Vec::new());
        registry.wake("t:a", &Wake { buffer_id: "b", before: 0, last: 0, news });
        second.subscriber().changed().await;
        let woken = tokio::time::timeout(std::time::Duration::ZERO, other.subscriber().changed()).await;
        assert!(woken.is_err(), "another user is not woken");
    }
}
