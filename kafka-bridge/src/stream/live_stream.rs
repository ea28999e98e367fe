//! One client's stream. [`Feed`] decides what is written and when; the records come from the user's buffer.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use causeway_protocol::{
    feed::{Feed, Step},
    hub::{HubMessage, ResetReason},
};
use futures_util::Stream;
use tokio::{sync::Semaphore, time::Instant};

use super::registry::Registration;
use crate::{
    backoff::Backoff,
    metrics::Metrics,
    redis_store::{ReadPosition, RedisError, UserBuffers},
};

/// The longest time in which a rotating stream checks whether its session has ended. The next stream checks again.
const FINAL_CHECK_TIMEOUT: Duration = Duration::from_secs(1);

/// What all streams share.
pub(super) struct Shared {
    pub(super) buffers: Arc<UserBuffers>,
    pub(super) reads: Semaphore,
    pub(super) metrics: Arc<Metrics>,
}

/// One client's stream.
pub struct LiveStream {
    shared: Arc<Shared>,
    registration: Registration,
    feed: Feed,
    opened_at: Instant,
    position: ReadPosition,
    /// Sent before the buffer is read.
    first_bytes: String,
    /// Whether the buffer may have more records.
    may_have_more: bool,
    /// Set while reads fail: the back-off, and the time of the next attempt.
    retry: Option<Box<(Backoff, Instant)>>,
    ended: bool,
}

impl LiveStream {
    pub(super) fn new(
        shared: Arc<Shared>,
        registration: Registration,
        mut feed: Feed,
        first: Step,
        (position, reset): (ReadPosition, Option<ResetReason>),
    ) -> Self {
        let mut bytes = first.bytes;
        if let Some(reason) = reset {
            bytes.push_str(&feed.on_message(0, &HubMessage::Reset { reason }).bytes);
            count_reset(&shared.metrics, reason);
        }
        let opened_at = Instant::now();
        Self {
            shared,
            registration,
            feed,
            opened_at,
            position,
            first_bytes: bytes,
            may_have_more: true,
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
            let step = self.step().await;
            self.ended = step.end;
            if !step.bytes.is_empty() {
                return Some(Bytes::from(step.bytes));
            }
        }
        None
    }

    async fn step(&mut self) -> Step {
        let subscriber = self.registration.subscriber();
        if let Some(reason) = subscriber.ended() {
            return self.feed.on_message(self.now_ms(), &HubMessage::End { reason });
        }
        if subscriber.is_draining() {
            return Step { end: true, ..Step::default() };
        }
        let now_ms = self.now_ms();
        if now_ms >= self.feed.next_timer_ms() {
            let step = self.feed.on_timer(now_ms);
            if step.end
                && let Ok(Ok(Some(reason))) =
                    tokio::time::timeout(FINAL_CHECK_TIMEOUT, self.shared.buffers.end_reason(subscriber.session()))
                        .await
            {
                return self.feed.on_message(now_ms, &HubMessage::End { reason });
            }
            return step;
        }
        let not_before = self.retry.as_ref().map(|retry| retry.1);
        if (self.may_have_more || subscriber.needs_session_check()) && not_before.is_none_or(|at| at <= Instant::now())
        {
            // Boxed, so that a waiting stream does not hold the memory that a read needs.
            return match Box::pin(self.read()).await {
                Ok(step) => {
                    self.retry = None;
                    step
                }
                Err(error) => {
                    self.wait_after(&error);
                    Step::default()
                }
            };
        }
        let timer = self.opened_at + Duration::from_millis(self.feed.next_timer_ms());
        let until = not_before.map_or(timer, |at| at.min(timer));
        if tokio::time::timeout_at(until, subscriber.changed()).await.is_ok() {
            self.may_have_more = true;
        }
        Step::default()
    }

    async fn read(&mut self) -> Result<Step, RedisError> {
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
            return Ok(Step::default());
        }
        // The semaphore is never closed. If it were, reading without a permit would be harmless.
        let _permit = self.shared.reads.acquire().await;
        let page = self.shared.buffers.page(self.registration.subject(), &mut self.position).await?;
        self.may_have_more = page.more;
        let now_ms = self.now_ms();
        let mut bytes = String::new();
        for message in &page.messages {
            if let HubMessage::Reset { reason } = message {
                count_reset(&self.shared.metrics, *reason);
            }
            bytes.push_str(&self.feed.on_message(now_ms, message).bytes);
        }
        Ok(Step { bytes, ..Step::default() })
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

fn count_reset(metrics: &Metrics, reason: ResetReason) {
    let name = match reason {
        ResetReason::BadCursor => "bad_cursor",
        ResetReason::OutOfBuffer => "out_of_buffer",
        ResetReason::TooSlow => "too_slow",
    };
    metrics.stream_resets.with_label_values(&[name]).inc();
}
