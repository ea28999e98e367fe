//! One client's stream. [`Feed`] decides what is written and when; the records come from the stream's
//! [`super::inbox::Inbox`] or, while it is behind, from the user's buffer.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use causeway_protocol::{
    feed::{Feed, Step},
    frame::reset_frame,
    hub::ResetReason,
};
use futures_util::Stream;
use tokio::{sync::Semaphore, time::Instant};

use super::{missed::Missed, registry::Registration};
use crate::{
    backoff::Backoff,
    metrics::Metrics,
    redis_store::{Lost, RedisError, UserBuffers},
    replay::Replays,
};

/// The longest time in which a rotating stream checks whether its session has ended. The next stream checks again.
const FINAL_CHECK_TIMEOUT: Duration = Duration::from_secs(1);

/// What all streams share.
pub(super) struct Shared {
    pub(super) buffers: Arc<UserBuffers>,
    pub(super) reads: Semaphore,
    pub(super) metrics: Arc<Metrics>,
    pub(super) replays: Arc<Replays>,
}

/// One client's stream.
pub struct LiveStream {
    shared: Arc<Shared>,
    registration: Registration,
    feed: Feed,
    opened_at: Instant,
    /// Sent before any record.
    first_bytes: String,
    /// Sent before what is in the buffer, in order.
    missed: Missed,
    /// What was read from the buffer, sent after `missed`.
    held: Bytes,
    /// Set while reads fail: the back-off, and the time of the next attempt.
    retry: Option<Box<(Backoff, Instant)>>,
    ended: bool,
}

impl LiveStream {
    pub(super) fn new(
        shared: Arc<Shared>,
        registration: Registration,
        feed: Feed,
        first: Step,
        lost: Option<Lost>,
    ) -> Self {
        let mut first_bytes = first.bytes;
        let mut missed = Missed::default();
        match lost {
            None => {}
            Some(Lost::Reset(reason)) => {
                first_bytes.push_str(&reset_frame(reason));
                count_reset(&shared.metrics, reason);
            }
            Some(Lost::Missing { after, until }) => missed.push(after, until, ResetReason::OutOfBuffer),
        }
        Self {
            shared,
            registration,
            feed,
            opened_at: Instant::now(),
            first_bytes,
            missed,
            held: Bytes::new(),
            retry: None,
            ended: false,
        }
    }

    /// The response's body.
    pub fn into_chunks(self) -> impl Stream<Item = Bytes> + Send + 'static {
        futures_util::stream::unfold(self, |mut stream| async move { stream.next().await.map(|chunk| (chunk, stream)) })
    }

    /// The next bytes for the client, or `None` at the end of the stream. May be cancelled and called again without
    /// loss.
    async fn next(&mut self) -> Option<Bytes> {
        if !self.first_bytes.is_empty() {
            return Some(Bytes::from(std::mem::take(&mut self.first_bytes)));
        }
        while !self.ended {
            let bytes = self.step().await;
            if !bytes.is_empty() {
                return Some(bytes);
            }
        }
        None
    }

    async fn step(&mut self) -> Bytes {
        let subscriber = self.registration.subscriber();
        let now_ms = self.now_ms();
        if let Some(reason) = subscriber.ended() {
            let step = self.feed.on_end(now_ms, reason);
            return self.perform(step);
        }
        if subscriber.is_draining() {
            return self.perform(Step { end: true, ..Step::default() });
        }
        if now_ms >= self.feed.next_timer_ms() {
            // Boxed, so that a waiting stream does not hold the memory that the last check of its session needs.
            return Box::pin(self.on_timer(now_ms)).await;
        }
        let timer = self.opened_at + Duration::from_millis(self.feed.next_timer_ms());
        if !self.missed.is_empty() {
            if let Some(at) = self.missed.not_before().filter(|at| *at > Instant::now()) {
                let _ = tokio::time::timeout_at(at.min(timer), subscriber.changed()).await;
                return Bytes::new();
            }
            // Boxed, so that a waiting stream does not hold the memory that a replay needs.
            let page = Box::pin(self.missed.next(&self.shared, self.registration.subject())).await;
            return if page.is_empty() { page } else { self.records(page) };
        }
        if !self.held.is_empty() {
            let held = std::mem::take(&mut self.held);
            return self.records(held);
        }
        let waiting = subscriber.inbox().take();
        if let Some(chunk) = waiting {
            return self.records(chunk);
        }
        let is_behind = subscriber.inbox().is_behind() || subscriber.needs_session_check();
        let not_before = self.retry.as_ref().map(|retry| retry.1);
        if is_behind && not_before.is_none_or(|at| at <= Instant::now()) {
            // Boxed, so that a waiting stream does not hold the memory that a read needs.
            return match Box::pin(self.read()).await {
                Ok(bytes) => {
                    self.retry = None;
                    bytes
                }
                Err(error) => {
                    self.wait_after(&error);
                    Bytes::new()
                }
            };
        }
        let until = not_before.filter(|_| is_behind).map_or(timer, |at| at.min(timer));
        // Whether or not something happened in time, the next step finds out.
        let _ = tokio::time::timeout_at(until, subscriber.changed()).await;
        Bytes::new()
    }

    async fn on_timer(&mut self, now_ms: u64) -> Bytes {
        let step = self.feed.on_timer(now_ms);
        let session = self.registration.subscriber().session();
        if step.end
            && let Ok(Ok(Some(reason))) =
                tokio::time::timeout(FINAL_CHECK_TIMEOUT, self.shared.buffers.end_reason(session)).await
        {
            let step = self.feed.on_end(now_ms, reason);
            return self.perform(step);
        }
        self.perform(step)
    }

    async fn read(&mut self) -> Result<Bytes, RedisError> {
        let subscriber = self.registration.subscriber();
        if subscriber.needs_session_check() {
            // Cleared before the check: an interruption during the check must set it again.
            subscriber.set_needs_session_check(false);
            let ended = self
                .shared
                .buffers
                .end_reason(subscriber.session())
                .await
                .inspect_err(|_| subscriber.set_needs_session_check(true))?;
            if let Some(reason) = ended {
                subscriber.end(reason);
            }
            return Ok(Bytes::new());
        }
        // The semaphore is never closed. If it were, reading without a permit would be harmless.
        let permit = self.shared.reads.acquire().await;
        let begun = subscriber.inbox().begin_read();
        let Some((mut position, channels)) = begun else { return Ok(Bytes::new()) };
        let page = self.shared.buffers.page(self.registration.subject(), &channels, &mut position).await?;
        subscriber.inbox().end_read(position, page.more);
        let mut bytes = BytesMut::new();
        if let Some(reason) = page.reset {
            bytes.extend_from_slice(reset_frame(reason).as_bytes());
            count_reset(&self.shared.metrics, reason);
        }
        bytes.reserve(page.frames.iter().map(Bytes::len).sum());
        for frame in page.frames {
            bytes.extend_from_slice(&frame);
        }
        drop(permit);
        for (after, until) in page.missing {
            self.missed.push(after, until, ResetReason::TooSlow);
        }
        if !self.missed.is_empty() {
            self.held = bytes.freeze();
            return Ok(Bytes::new());
        }
        if bytes.is_empty() { Ok(Bytes::new()) } else { Ok(self.records(bytes.freeze())) }
    }

    /// Postpones the keep-alive. The records themselves need not pass through the feed, which would copy them.
    fn records(&mut self, chunk: Bytes) -> Bytes {
        self.feed.on_events(self.now_ms());
        chunk
    }

    fn perform(&mut self, step: Step) -> Bytes {
        self.ended = step.end;
        Bytes::from(step.bytes)
    }

    fn wait_after(&mut self, error: &RedisError) {
        let first = || Box::new((Backoff::new(Duration::from_millis(100), Duration::from_secs(3)), Instant::now()));
        let retry = self.retry.get_or_insert_with(first);
        let wait = retry.0.next_wait();
        retry.1 = Instant::now() + wait;
        tracing::debug!(?wait, %error, "a stream can't read its buffer, trying again");
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.opened_at.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

pub(super) fn count_reset(metrics: &Metrics, reason: ResetReason) {
    metrics.stream.stream_resets.with_label_values(&[reason.as_str()]).inc();
}
