//! One client's stream: [`Feed`] decides what is written and when, the buffer holds what there is to write.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use causeway_protocol::{
    feed::{Feed, Step},
    hub::{HubMessage, ResetReason},
};
use futures_util::{Stream, stream};
use tokio::{sync::Semaphore, time::Instant};

use super::registry::Ticket;
use crate::{
    backoff::Backoff,
    hop::{Buffer, Place, RedisError},
    metrics::Metrics,
};

/// Longest a stream that rotates asks whether its session is over; the next one asks again.
const LAST_QUESTION: Duration = Duration::from_secs(1);

/// What all streams share.
pub(super) struct Shared {
    pub(super) buffer: Arc<Buffer>,
    pub(super) reads: Semaphore,
    pub(super) metrics: Arc<Metrics>,
}

/// See the module's text.
pub struct Live {
    shared: Arc<Shared>,
    ticket: Ticket,
    feed: Feed,
    began: Instant,
    place: Place,
    /// Written before anything is read.
    first: String,
    /// Whether the buffer may have more.
    behind: bool,
    /// Redis failed: not before then.
    retry: Option<Box<(Backoff, Instant)>>,
    over: bool,
}

impl Live {
    pub(super) fn new(
        shared: Arc<Shared>,
        ticket: Ticket,
        mut feed: Feed,
        first: Step,
        (place, reset): (Place, Option<ResetReason>),
    ) -> Self {
        let mut bytes = first.bytes;
        if let Some(reason) = reset {
            bytes.push_str(&feed.on_message(0, &HubMessage::Reset { reason }).bytes);
            count_reset(&shared.metrics, reason);
        }
        let began = Instant::now();
        Self { shared, ticket, feed, began, place, first: bytes, behind: true, retry: None, over: false }
    }

    /// The response's body.
    pub fn into_chunks(self) -> impl Stream<Item = Bytes> + Send + 'static {
        stream::unfold(self, |mut live| async move { live.next().await.map(|chunk| (chunk, live)) })
    }

    /// The next bytes for the client; `None` when the stream is over. Nothing is lost if it is dropped and called again.
    async fn next(&mut self) -> Option<Bytes> {
        if !self.first.is_empty() {
            return Some(Bytes::from(std::mem::take(&mut self.first)));
        }
        while !self.over {
            let step = self.step().await;
            self.over = step.end;
            if !step.bytes.is_empty() {
                return Some(Bytes::from(step.bytes));
            }
        }
        None
    }

    async fn step(&mut self) -> Step {
        let seat = self.ticket.seat();
        if let Some(reason) = seat.ended() {
            return self.feed.on_message(self.now_ms(), &HubMessage::End { reason });
        }
        if seat.is_draining() {
            return Step { end: true, ..Step::default() };
        }
        let now_ms = self.now_ms();
        if now_ms >= self.feed.next_timer_ms() {
            let step = self.feed.on_timer(now_ms);
            if step.end
                && let Ok(Ok(Some(reason))) =
                    tokio::time::timeout(LAST_QUESTION, self.shared.buffer.ended(seat.session())).await
            {
                return self.feed.on_message(now_ms, &HubMessage::End { reason });
            }
            return step;
        }
        let not_before = self.retry.as_ref().map(|retry| retry.1);
        if (self.behind || seat.is_doubtful()) && not_before.is_none_or(|at| at <= Instant::now()) {
            // Boxed, so that a stream that only waits does not keep room for a read.
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
        let timer = self.began + Duration::from_millis(self.feed.next_timer_ms());
        let until = not_before.map_or(timer, |at| at.min(timer));
        if tokio::time::timeout_at(until, seat.changed()).await.is_ok() {
            self.behind = true;
        }
        Step::default()
    }

    async fn read(&mut self) -> Result<Step, RedisError> {
        let seat = self.ticket.seat();
        if seat.is_doubtful() {
            // Before the question: an interruption that comes while it is asked raises new doubt.
            seat.set_doubtful(false);
            let ended = self.shared.buffer.ended(seat.session()).await.inspect_err(|_| seat.set_doubtful(true))?;
            if let Some(reason) = ended {
                seat.end(reason);
            }
            return Ok(Step::default());
        }
        // Never closed; were it, reading without a turn would do no harm.
        let _turn = self.shared.reads.acquire().await;
        let page = self.shared.buffer.page(self.ticket.subject(), &mut self.place).await?;
        self.behind = page.more;
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
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
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
