//! `GET /v1/stream`: what a user hears, as Server-Sent Events, read from the user's buffer in Redis.
//!
//! - [`registry`]: who listens to whom; wakes and ends streams, and counts them
//! - [`live`]: one client's stream
//!
//! A stream is pulled: the client's connection asks for the next chunk when it has room, and only then is anything
//! read. A client that is slow, or gone without a word, holds its place in a buffer that is stored anyway.

pub mod live;
pub mod registry;

use std::{sync::Arc, time::Duration};

use causeway_protocol::{
    feed::{Feed, FeedPolicy},
    stream::StreamRequest,
};
use tokio::sync::Semaphore;

pub use self::{live::Live, registry::Registry};
use crate::{
    hop::{Buffer, sink::unix_millis},
    metrics::Metrics,
    rejection::Rejection,
};

/// Reads at a time: bounds what is held between Redis and the clients when everybody is woken at once.
const CONCURRENT_READS: usize = 256;

/// Opens streams.
pub struct Streams {
    shared: Arc<live::Shared>,
    registry: Arc<Registry>,
    policy: FeedPolicy,
}

impl Streams {
    /// Reads from these buffers.
    #[must_use]
    pub fn new(buffer: Arc<Buffer>, registry: Arc<Registry>, policy: FeedPolicy, metrics: Arc<Metrics>) -> Self {
        let shared = live::Shared { buffer, reads: Semaphore::new(CONCURRENT_READS), metrics };
        Self { shared: Arc::new(shared), registry, policy }
    }

    /// Opens one: finds the client's place before anything is answered, so that an outage is an honest status.
    ///
    /// # Errors
    /// [`Rejection`] if there are too many, the session is over, or Redis does not answer.
    pub async fn open(&self, request: StreamRequest) -> Result<Live, Rejection> {
        let unavailable = |error: crate::hop::RedisError| Rejection::StreamUnavailable(error.to_string());
        // Listening begins before the place is found, and so nothing falls between.
        let ticket = self.registry.enter(&request.subject, &request.session)?;
        if self.shared.buffer.ended(&request.session).await.map_err(unavailable)?.is_some() {
            return Err(Rejection::SessionEnded);
        }
        let opened = self.shared.buffer.open(&request.subject, request.last_event_id.as_deref(), unix_millis());
        let (place, reset) = opened.await.map_err(unavailable)?;
        let ends_in = Duration::from_millis(request.session_ends_in_ms);
        let jitter = if request.jitter.is_finite() { request.jitter } else { 0.5 };
        let (feed, first) = Feed::open(self.policy, 0, ends_in, jitter);
        Ok(Live::new(Arc::clone(&self.shared), ticket, feed, first, (place, reset)))
    }
}
