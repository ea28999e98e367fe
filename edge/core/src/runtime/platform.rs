//! What a runtime must provide. Implementations convert and bind; they decide nothing.
//!
//! Futures need not be `Send`: both runtimes are single-threaded.

use std::{
    fmt,
    future::{Future, ready},
    rc::Rc,
    time::Duration,
};

use causeway_protocol::{
    channel::Channel,
    checkpoint::{CheckpointRequest, CheckpointResponse},
    deliver::Outcome,
    history::{HistoryPage, HistoryRequest},
    hub::EndReason,
    session::SessionHandle,
    signature::KeyRing,
    subject::Subject,
};
use futures_util::future::LocalBoxFuture;
use url::Url;

use super::{
    clock::Clock, copy_queue::CopyQueue, dependency::Dependency, machine::Machine, random::Random, telemetry::Log,
    unavailable::Unavailable,
};
use crate::http::{
    body::ReadBody,
    web::{Body, Incoming, Outgoing},
};

/// The client of the current request.
pub trait ClientDisconnect {
    /// Completes when the client disconnects before the response. Never completes on a runtime that does not report it.
    fn client_disconnected(&self) -> LocalBoxFuture<'static, ()>;
}

/// The edge key-value store. It may be stale for a minute or more, so it is never the truth.
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
    /// Deletes a value.
    ///
    /// # Errors
    /// The store did not answer.
    fn delete(&self, key: &str) -> impl Future<Output = Result<(), Unavailable>>;
    /// Where a request leaves what it changes in the store until it is answered. A runtime's own platform has no queue.
    fn copy_queue(&self) -> Option<&CopyQueue> {
        None
    }
}

/// The HTTP client. Never follows a redirect by itself.
pub trait HttpClient {
    /// The runtime's body type.
    type Body: ReadBody + 'static;
    /// Sends a request. A streaming body with a `Content-Length` header is sent with that length, any other
    /// streaming body in chunks.
    ///
    /// # Errors
    /// No response within the request's timeout, or its body broke off. If the request's body breaks off or exceeds its
    /// limit, or if the request or its response is dropped, the request is aborted so that the receiver notices: it never
    /// looks complete.
    fn send(&self, request: Outgoing<Self::Body>) -> impl Future<Output = Result<Incoming<Self::Body>, Unavailable>>;
    /// The body of an HTML document, with more at the beginning of some elements. It is changed while it streams.
    ///
    /// # Errors
    /// The runtime cannot change documents, or not this one.
    fn insert(&self, _document: Self::Body, _insertion: Insertion) -> Result<Self::Body, Unavailable> {
        Err(Unavailable::new(Dependency::Upstream, "HTML is not changed here"))
    }
}

/// Makes HTML from an element's name and the values of its attributes.
pub type ElementHtml = Box<dyn Fn(&str, &[Option<String>]) -> String>;

/// HTML that is put at the beginning of each element of some names.
pub struct Insertion {
    /// The elements' names.
    pub elements: &'static [&'static str],
    /// The attributes that the HTML depends on.
    pub attributes: &'static [&'static str],
    /// Makes the HTML of an element from its name and the values of these attributes. Called in the document's order.
    pub html: ElementHtml,
}

impl fmt::Debug for Insertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Insertion").field("elements", &self.elements).finish_non_exhaustive()
    }
}

/// The coordinator: it holds the truth about sessions and serialises the commands on each.
pub trait Machines {
    /// Runs a command on the named machine: atomically, one at a time, and durable before the reply.
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
    const HUB_AT_EDGE: bool;
    /// Appends items to a user's buffer, durably and idempotently, and sends them to the user's streams. `slices` is the
    /// JSON of a list of [`causeway_protocol::deliver::Slice`]s, as it was received.
    ///
    /// # Errors
    /// The hub did not answer; append all of it again.
    fn append(&self, subject: &Subject, slices: &str) -> impl Future<Output = Result<Outcome, Unavailable>>;
    /// What the user's buffer has of a page of history, if it has any of it. A hub elsewhere has no buffer here.
    ///
    /// # Errors
    /// The hub did not answer.
    fn history(
        &self,
        _subject: &Subject,
        _request: &HistoryRequest,
    ) -> impl Future<Output = Result<Option<HistoryPage>, Unavailable>> {
        ready(Ok(None))
    }
    /// Opens a stream as an SSE body.
    ///
    /// # Errors
    /// The hub did not answer.
    fn open(&self, request: OpenStream) -> impl Future<Output = Result<Opened<Body<Self::Body>>, Unavailable>>;
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

/// A hub's reply to a request for a stream.
#[derive(Debug)]
pub enum Opened<S> {
    /// The stream.
    Stream(S),
    /// The session ended; the hub knew before this isolate did.
    SessionEnded,
    /// The user has the maximum number of streams.
    TooManyStreams,
}

impl<S> Opened<S> {
    /// The same reply with what a function makes of the stream.
    pub fn map<T>(self, make: impl FnOnce(S) -> T) -> Opened<T> {
        match self {
            Self::Stream(stream) => Opened::Stream(make(stream)),
            Self::SessionEnded => Opened::SessionEnded,
            Self::TooManyStreams => Opened::TooManyStreams,
        }
    }
}

/// How a stream reaches the bridge after its request was answered.
#[derive(Debug, Clone)]
pub struct BridgeAccess {
    /// The base URL.
    pub url: Url,
    /// The keys that sign.
    pub keys: Rc<KeyRing>,
    /// The id of the request that opened the stream.
    pub request_id: String,
}

/// A request for a stream.
#[derive(Debug, Clone)]
pub struct OpenStream {
    /// The session's user, never one named by the request.
    pub subject: Subject,
    /// The session that reads; its end ends the stream.
    pub session: SessionHandle,
    /// The channels to hear. Empty means all.
    pub channels: Vec<Channel>,
    /// The client's `Last-Event-ID`, unchecked.
    pub last_event_id: Option<String>,
    /// When the session ends at the latest.
    pub session_ends_in: Duration,
    /// Where records are read that the hub no longer has.
    pub bridge: BridgeAccess,
    /// Uniform in 0..=1; spreads events that would otherwise hit all clients at once.
    pub jitter: f64,
}

/// What is stored of each partition whose records are delivered, see [`causeway_protocol::checkpoint`].
pub trait CheckpointStore {
    /// Carries out a request, by [`causeway_protocol::checkpoint::PartitionState::respond`]. Requests about a partition
    /// are carried out one at a time.
    ///
    /// # Errors
    /// The store did not answer; whether the request was carried out is unknown.
    fn checkpoint(&self, request: &CheckpointRequest) -> impl Future<Output = Result<CheckpointResponse, Unavailable>>;
}

/// A rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// The name of the counter.
    pub name: &'static str,
    /// The limit per period.
    pub limit: u32,
    /// The limit unless an operator sets another.
    pub default_limit: u32,
    /// The period, in seconds. Workers' bindings know 10 and 60.
    pub period_seconds: u32,
}

/// Counts requests per key. Approximate: a runtime may count per location.
pub trait RateLimiter {
    /// Counts one more and returns whether it is within the rate.
    ///
    /// # Errors
    /// The request was not counted.
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
