//! What a runtime must provide. Implementations convert and bind; they decide nothing.
//!
//! Futures need not be `Send`: both runtimes are single-threaded.

use std::{future::Future, time::Duration};

use causeway_protocol::{
    deliver::{Checkpoint, Record},
    hub::EndReason,
    session::SessionHandle,
    subject::Subject,
};
use futures_util::future::LocalBoxFuture;

use super::{clock::Clock, machine::Machine, random::Random, telemetry::Log, unavailable::Unavailable};
use crate::http::{
    body::ReadBody,
    web::{Body, Incoming, Outgoing},
};

/// The client of the request at hand.
pub trait ClientDisconnect {
    /// Completes when the client has left without waiting for the answer. On a runtime that does not say so, never.
    fn client_disconnected(&self) -> LocalBoxFuture<'static, ()>;
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

/// A runtime: all of the above.
pub trait Platform:
    Clock
    + ClientDisconnect
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

impl<T> Platform for T where
    T: Clock
        + ClientDisconnect
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
