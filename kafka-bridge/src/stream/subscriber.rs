//! What one stream is notified of, by the registry and by itself.

use std::sync::{
    Mutex, MutexGuard, OnceLock, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use causeway_protocol::{channel::Channel, hub::EndReason, session::SessionHandle};
use tokio::sync::Notify;

use super::inbox::Inbox;

/// What one stream is notified of.
#[derive(Debug)]
pub struct Subscriber {
    session: SessionHandle,
    /// Notified when a field below changed.
    changed: Notify,
    inbox: Mutex<Inbox>,
    ended: OnceLock<EndReason>,
    /// The Redis subscription was interrupted, so the message that ends the session may have been missed.
    needs_session_check: AtomicBool,
    /// The process is stopping.
    draining: AtomicBool,
}

impl Subscriber {
    pub(super) fn new(session: &SessionHandle, channels: &[Channel]) -> Self {
        Self {
            session: session.clone(),
            changed: Notify::new(),
            inbox: Mutex::new(Inbox::new(channels)),
            ended: OnceLock::new(),
            needs_session_check: AtomicBool::new(false),
            draining: AtomicBool::new(false),
        }
    }

    /// Tells the stream that something changed.
    pub(super) fn notify(&self) {
        self.changed.notify_one();
    }

    /// Ends the stream, so that the process can stop.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        self.notify();
    }

    /// Ends the stream with its session.
    pub fn end(&self, reason: EndReason) {
        // The first reason is kept.
        let _ = self.ended.set(reason);
        self.notify();
    }

    /// What the stream is to hear next.
    pub(super) fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
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
