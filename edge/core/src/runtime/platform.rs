//! What a runtime must provide. Implementations convert and bind; they decide nothing.
//!
//! Futures need not be `Send`: both runtimes are single-threaded.

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    task::Poll,
    time::Duration,
};

use causeway_protocol::{
    deliver::{Checkpoint, Record},
    hub::EndReason,
    subject::Subject,
};
use futures_util::{
    future::{Either, LocalBoxFuture, select},
    task::AtomicWaker,
};

use crate::{
    machine::Machine,
    session::id::SessionHandle,
    telemetry::Line,
    web::{Body, Incoming, Outgoing},
};

/// Something outside did not answer, or not as it should. The detail is for the log and holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{part} is unavailable: {detail}")]
pub struct Unavailable {
    /// Which part: `kv`, `session coordinator`, `hub`, `bridge` …
    pub part: &'static str,
    /// What it said.
    pub detail: String,
}

impl Unavailable {
    /// An outage of a part.
    #[must_use]
    pub fn new(part: &'static str, detail: impl std::fmt::Display) -> Self {
        Self { part, detail: detail.to_string() }
    }
}

/// A body that can be read once.
pub trait ReadBody: Sized {
    /// Reads all of it.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`] as soon as it is known to exceed the limit; nothing beyond the limit is kept.
    fn read(self, limit_bytes: usize) -> impl Future<Output = Result<Vec<u8>, BodyError>>;

    /// The same body, which asks before each chunk and breaks off when it is refused, or when its sender breaks off: it
    /// must not end then, which would look like all there is to whoever reads it.
    ///
    /// # Errors
    /// The body as it was, where the runtime cannot promise that.
    fn limited(self, limit: ByteLimit) -> Result<Self, Self>;
}

/// How many bytes a body that streams may still have. Its copies count together: one goes with the body, one stays with
/// whoever wants to know why it broke off.
#[derive(Debug, Clone)]
pub struct ByteLimit(Rc<Counted>);

#[derive(Debug)]
struct Counted {
    left: Cell<usize>,
    failed: RefCell<Option<BodyError>>,
    waiting: AtomicWaker,
}

impl ByteLimit {
    /// A limit of so many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(Rc::new(Counted { left: Cell::new(bytes), failed: RefCell::default(), waiting: AtomicWaker::new() }))
    }

    /// Takes a chunk's bytes off it. `false` if there were not as many left: then nothing of the chunk may pass, and
    /// nothing after it.
    #[must_use]
    pub fn take(&self, bytes: usize) -> bool {
        match self.0.left.get().checked_sub(bytes) {
            Some(left) if self.failure().is_none() => {
                self.0.left.set(left);
                true
            }
            _ => {
                self.fail(BodyError::TooLarge);
                false
            }
        }
    }

    /// Notes that whoever sends the body broke off, or sent what cannot be read.
    pub fn broken(&self, detail: impl std::fmt::Display) {
        self.fail(BodyError::Broken(detail.to_string()));
    }

    /// What is wrong with the body, if anything is.
    #[must_use]
    pub fn failure(&self) -> Option<BodyError> {
        self.0.failed.borrow().clone()
    }

    /// Completes when something is; a body that is as it should be never completes it.
    pub async fn failed(&self) -> BodyError {
        poll_fn(|cx| {
            self.0.waiting.register(cx.waker());
            self.failure().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    fn fail(&self, error: BodyError) {
        self.0.failed.borrow_mut().get_or_insert(error);
        self.0.waiting.wake();
    }
}

/// Why a body could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Longer than the caller takes.
    #[error("body exceeds the limit")]
    TooLarge,
    /// The other side broke off.
    #[error("body broke off: {0}")]
    Broken(String),
}

/// How far the clocks of two isolates may be apart, in milliseconds: five minutes each (S117). What a machine must judge
/// is sent to it as a duration and judged by its own clock; where isolates must compare, they allow for this.
pub const MAX_SKEW_MS: u64 = 10 * 60 * 1000;

/// Time.
pub trait Clock {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> u64;
    /// Completes after `wait`.
    fn sleep(&self, wait: Duration) -> LocalBoxFuture<'static, ()>;
}

/// A duration as stores and the wire have it, in milliseconds.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Runs `work`, but no longer than `limit`.
///
/// # Errors
/// [`Unavailable`] when the time is over, or what `work` failed with.
pub async fn within<T>(
    clock: &impl Clock,
    limit: Duration,
    part: &'static str,
    work: impl Future<Output = Result<T, Unavailable>>,
) -> Result<T, Unavailable> {
    match select(pin!(work), clock.sleep(limit)).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => Err(Unavailable::new(part, "no answer in time")),
    }
}

/// The client of the request at hand.
pub trait Departure {
    /// Completes when the client has left without waiting for the answer. On a runtime that does not say so, never.
    fn departed(&self) -> LocalBoxFuture<'static, ()>;
}

/// Randomness fit for keys.
pub trait Random {
    /// Fills the buffer.
    ///
    /// # Errors
    /// Without randomness nothing may go on.
    fn fill(&self, buffer: &mut [u8]) -> Result<(), Unavailable>;
}

/// The edge key-value store. May be stale for a minute and more; never the truth.
pub trait KeyValueStore {
    /// Reads a value.
    ///
    /// # Errors
    /// The store did not answer.
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Vec<u8>>, Unavailable>>;
    /// Writes a value that may be forgotten after `ttl` (stores round it up to what they can).
    ///
    /// # Errors
    /// The store did not answer.
    fn put(&self, key: &str, value: &[u8], ttl: Duration) -> impl Future<Output = Result<(), Unavailable>>;
    /// Forgets a value.
    ///
    /// # Errors
    /// The store did not answer.
    fn delete(&self, key: &str) -> impl Future<Output = Result<(), Unavailable>>;
}

/// The HTTP client. Never follows a redirect by itself.
pub trait HttpClient {
    /// The runtime's body type.
    type Body: ReadBody + 'static;
    /// Sends a request. A body that streams and has a `Content-Length` among the headers is sent with that length,
    /// another one in chunks.
    ///
    /// # Errors
    /// No answer within the request's timeout, or none at all; or its body broke off. A request whose body breaks off or
    /// exceeds its limit, before its answer's head or after it, that is dropped, or whose answer is, is abandoned in a way
    /// that its receiver notices: it never looks like all there is.
    fn send(&self, request: Outgoing<Self::Body>) -> impl Future<Output = Result<Incoming<Self::Body>, Unavailable>>;
}

/// The coordinator: the truth about sessions, and the place where commands on one queue up.
pub trait Machines {
    /// Runs a command on the machine of a name: atomically, durably before it is answered, one after the other.
    ///
    /// # Errors
    /// The coordinator did not answer; whether the command ran is unknown.
    fn run<M: Machine>(&self, name: &str, command: M::Command) -> impl Future<Output = Result<M::Reply, Unavailable>>;
}

/// The users' hubs.
pub trait StreamHub: HttpClient {
    /// Whether the users' hubs live at the edge. Then the bridge delivers through `POST /internal/deliver`, and the edge
    /// feeds the streams. Otherwise the bridge keeps the hubs and serves the streams, the edge passes them through, and
    /// [`StreamHub::append`] and [`StreamHub::open`] are never called.
    const AT_EDGE: bool;
    /// Appends records to a user's buffer, durably and idempotently, and wakes the user's streams.
    ///
    /// # Errors
    /// Not everything is durable; append all of it again.
    fn append(&self, subject: &Subject, records: &[Record]) -> impl Future<Output = Result<(), Unavailable>>;
    /// Opens a stream as an SSE body.
    ///
    /// # Errors
    /// The hub did not answer.
    fn open(&self, request: OpenStream) -> impl Future<Output = Result<Opened<Self::Body>, Unavailable>>;
    /// Ends all streams of a session.
    ///
    /// # Errors
    /// The hub did not answer.
    fn end_session(
        &self,
        subject: &Subject,
        session: &SessionHandle,
        reason: EndReason,
    ) -> impl Future<Output = Result<(), Unavailable>>;
}

/// A hub's answer to a stream that wants in.
#[derive(Debug)]
pub enum Opened<B> {
    /// The SSE body.
    Stream(Body<B>),
    /// The session ended; the hub heard of it before we did.
    SessionEnded,
    /// The user has as many streams as a user may.
    TooMany,
}

/// What opens a stream.
#[derive(Debug, Clone)]
pub struct OpenStream {
    /// Whose: from the session, never from the request.
    pub subject: Subject,
    /// The session that reads; its end ends the stream.
    pub session: SessionHandle,
    /// The client's `Last-Event-ID`, unchecked.
    pub last_event_id: Option<String>,
    /// When the session ends at the latest.
    pub session_ends_in: Duration,
    /// Uniform in 0..=1, spreads what would otherwise happen to all clients at once.
    pub jitter: f64,
}

/// Checkpoints of the outbound topic's readers, stored beside the buffers they speak of.
pub trait CheckpointStore {
    /// Moves a partition's checkpoint to `advance_to` if that is ahead, and returns where it then is.
    ///
    /// # Errors
    /// The store did not answer.
    fn checkpoint(
        &self,
        topic: &str,
        partition: i32,
        advance_to: Option<Checkpoint>,
    ) -> impl Future<Output = Result<Option<Checkpoint>, Unavailable>>;
}

/// How often something may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Names what is counted; on Workers the name of the binding that counts it.
    pub name: &'static str,
    /// How often within a period.
    pub limit: u32,
    /// The period, in seconds. Workers' bindings know 10 and 60.
    pub period_seconds: u32,
}

/// Counts what one user does. Approximate: a runtime may count per location.
pub trait RateLimiter {
    /// Counts one more and tells whether that is still within the rate.
    ///
    /// # Errors
    /// Nobody counted.
    fn allow(&self, rate: Rate, key: &str) -> impl Future<Output = Result<bool, Unavailable>>;
}

/// The log: one JSON line an event.
pub trait Log {
    /// Writes a line. It holds only what is safe to print.
    fn log(&self, line: &Line);
}

/// A runtime: all of the above.
pub trait Platform:
    Clock + Departure + Random + KeyValueStore + HttpClient + Machines + StreamHub + CheckpointStore + RateLimiter + Log
{
}

impl<T> Platform for T where
    T: Clock
        + Departure
        + Random
        + KeyValueStore
        + HttpClient
        + Machines
        + StreamHub
        + CheckpointStore
        + RateLimiter
        + Log
{
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn s96_a_body_that_broke_off_is_told_from_one_that_was_too_long() {
        let limit = ByteLimit::new(5);
        assert!(limit.take(5) && limit.failed().now_or_never().is_none());
        assert!(!limit.take(1) && !limit.take(0), "nothing after it");
        limit.broken("late");
        assert_eq!(limit.failed().now_or_never(), Some(BodyError::TooLarge), "what came first counts");
        let limit = ByteLimit::new(5);
        limit.broken("bad chunk");
        assert_eq!(limit.clone().failure(), Some(BodyError::Broken("bad chunk".to_owned())));
        assert!(!limit.take(1));
    }
}
