//! Serves `GET /v1/stream`: a user's records as Server-Sent Events.
//!
//! - [`registry`]: the open streams of the process; brings them records, ends them, and limits their number.
//! - [`subscriber`]: what one stream is notified of.
//! - [`inbox`]: what one stream is to hear next, and whether it hears of records as they arrive.
//! - [`missed`]: what one stream missed and its buffer no longer has.
//! - [`live_stream`]: one client's stream.
//!
//! A stream that keeps up gets records from memory or with the wake that follows their storage. One whose client takes
//! them slowly reads from the user's buffer in Redis, and only when the client's connection has room for the next
//! chunk. So a slow or dead client costs a small queue and its read position.

mod inbox;
pub mod live_stream;
mod missed;
pub mod registry;
pub mod subscriber;

use std::{sync::Arc, time::Duration};

use causeway_protocol::{
    cursor::Cursor,
    deliver::WIRE_VERSION,
    feed::{Feed, FeedPolicy},
    stream::StreamRequest,
    subject::Subject,
};
use tokio::sync::Semaphore;

pub use self::{live_stream::LiveStream, registry::Registry};
use crate::{
    clock::unix_millis, metrics::Metrics, outbound::UserSlices, redis_store::UserBuffers, rejection::Rejection,
    replay::Replays,
};

/// The maximum number of concurrent reads. It limits the memory between Redis and the clients when all streams are
/// woken at once.
const CONCURRENT_READS: usize = 256;

/// How long it may take to know whether a client missed a hole.
const HOLE_TIME: Duration = Duration::from_secs(1);

/// Opens streams.
pub struct Streams {
    shared: Arc<live_stream::Shared>,
    registry: Arc<Registry>,
    policy: FeedPolicy,
}

impl Streams {
    /// Opens streams that read from these buffers, and before that what the buffers no longer have.
    #[must_use]
    pub fn new(
        buffers: Arc<UserBuffers>,
        registry: Arc<Registry>,
        policy: FeedPolicy,
        metrics: Arc<Metrics>,
        replays: Arc<Replays>,
    ) -> Self {
        let shared = live_stream::Shared { buffers, reads: Semaphore::new(CONCURRENT_READS), metrics, replays };
        Self { shared: Arc::new(shared), registry, policy }
    }

    /// Opens a stream. The client's position is looked up before the response begins, so that an outage gets a status.
    ///
    /// # Errors
    /// [`Rejection`] if the edge speaks another version, there are too many streams, the session has ended, or Redis
    /// does not answer.
    pub async fn open(&self, request: StreamRequest) -> Result<LiveStream, Rejection> {
        if request.version != WIRE_VERSION {
            return Err(Rejection::Version { theirs: request.version, ours: WIRE_VERSION });
        }
        let unavailable = |error: crate::redis_store::RedisError| Rejection::StreamUnavailable(error.to_string());
        // Registered before the position is looked up, so that no wake is missed in between.
        let registration = self.registry.register(&request.subject, &request.session, &request.channels)?;
        let buffers = &self.shared.buffers;
        let last_event_id = request.last_event_id.as_deref();
        let (ended, opened) = tokio::join!(
            buffers.end_reason(&request.session),
            buffers.open(&request.subject, &request.channels, last_event_id, unix_millis()),
        );
        if ended.map_err(unavailable)?.is_some() {
            return Err(Rejection::SessionEnded);
        }
        let (position, lost) = opened.map_err(unavailable)?;
        registration.subscriber().inbox().open(position);
        if let Some(cursor) = last_event_id.and_then(|id| id.parse().ok()) {
            // No stream waits for it: the gap comes last in any case.
            tokio::spawn(tell_hole(Arc::clone(&self.shared), request.subject.clone(), cursor));
        }
        let ends_in = Duration::from_millis(request.session_ends_in_ms);
        let jitter = if request.jitter.is_finite() { request.jitter } else { 0.5 };
        let (feed, first) = Feed::open(self.policy, 0, ends_in, jitter);
        Ok(LiveStream::new(Arc::clone(&self.shared), registration, feed, first, lost))
    }
}

/// Puts the gap of a hole that a client has not heard of into the user's buffer, where all streams find it. If that fails,
/// the next stream that opens tries again.
async fn tell_hole(shared: Arc<live_stream::Shared>, subject: Subject, cursor: Cursor) {
    let slice = match tokio::time::timeout(HOLE_TIME, shared.replays.hole(&cursor)).await {
        Ok(Ok(Some(slice))) => slice,
        Ok(Ok(None) | Err(Rejection::UnknownChannel)) => return,
        failed => return tracing::warn!(?failed, "whether a client missed a hole is not known"),
    };
    if slice.items.iter().all(|item| slice.source.at(item.offset) <= cursor.position) {
        return;
    }
    let user = UserSlices { subject, slices: vec![slice] };
    if let Err(error) = shared.buffers.append(&[&user], false, unix_millis()).await {
        tracing::warn!(%error, "a client can't be told of a hole");
    }
}
