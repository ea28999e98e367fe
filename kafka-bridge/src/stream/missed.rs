//! What one stream missed and its buffer no longer has: read from Kafka, page by page, when the client has room. The
//! records that follow wait in the buffer meanwhile. What can't be read is tried again for a while, and becomes a gap then.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use causeway_protocol::{
    cursor::Cursor,
    deliver::WIRE_VERSION,
    frame::gap_frame,
    hub::ResetReason,
    replay::{MAX_REPLAY_REQUESTS, ReplayRange, ReplayRequest},
    subject::Subject,
};
use tokio::time::Instant;

use super::live_stream::{Shared, count_reset};
use crate::{backoff::Backoff, rejection::Rejection};

/// The ranges that a stream missed, in order.
#[derive(Debug, Default)]
pub(super) struct Missed {
    ranges: VecDeque<Range>,
    /// Set while they can't be read. Boxed, because most streams miss nothing.
    retry: Option<Box<Retry>>,
}

/// A range of records before those in the buffer.
#[derive(Debug)]
struct Range {
    /// `None` if all of it was sent.
    after: Option<Cursor>,
    until: Cursor,
    /// Why the client misses it.
    reason: ResetReason,
    answers: u32,
}

/// Failures in a row.
#[derive(Debug)]
struct Retry {
    backoff: Backoff,
    since: Instant,
    /// The time of the next attempt.
    at: Instant,
}

impl Missed {
    /// Adds the records after a client's position, up to and including another one.
    pub(super) fn push(&mut self, after: Cursor, until: Cursor, reason: ResetReason) {
        self.ranges.push_back(Range { after: Some(after), until, reason, answers: 0 });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The time before which [`Missed::next`] must not be called.
    pub(super) fn not_before(&self) -> Option<Instant> {
        self.retry.as_ref().map(|retry| retry.at)
    }

    /// The next events, which may be none.
    pub(super) async fn next(&mut self, shared: &Shared, subject: &Subject) -> Bytes {
        let Some(range) = self.ranges.front_mut() else { return Bytes::new() };
        let bytes = match range.next(shared, subject).await {
            Ok(bytes) => {
                self.retry = None;
                bytes
            }
            Err(error) if can_pass(&error) && Retry::wait(&mut self.retry, shared.replays.retried_for()) => {
                tracing::debug!(%error, "what a stream missed can't be read, trying again");
                return Bytes::new();
            }
            Err(error) => {
                if !matches!(error, Rejection::UnknownChannel) {
                    tracing::warn!(%error, "what a stream missed can't be read again");
                }
                range.give_up(shared, range.reason)
            }
        };
        if range.after.is_none() {
            self.ranges.pop_front();
        }
        if self.ranges.is_empty() {
            self.retry = None;
        }
        bytes
    }
}

impl Range {
    async fn next(&mut self, shared: &Shared, subject: &Subject) -> Result<Bytes, Rejection> {
        let Some(after) = self.after.clone() else { return Ok(Bytes::new()) };
        if self.answers >= MAX_REPLAY_REQUESTS {
            return Ok(self.give_up(shared, self.reason));
        }
        let request = ReplayRequest {
            version: WIRE_VERSION,
            subject: subject.clone(),
            channel: self.until.channel.clone(),
            range: ReplayRange::After { cursor: after, until: Some(self.until.clone()) },
        };
        let answer = shared.replays.answer_in_time(&request).await?;
        self.answers += 1;
        if let Some(reason) = answer.head.gone {
            let reason = if reason == ResetReason::OutOfBuffer { self.reason } else { reason };
            return Ok(self.give_up(shared, reason));
        }
        self.after.clone_from(&answer.head.next);
        Ok(answer.frames.clone())
    }

    /// Tells that the rest is missing. The client then goes on after it.
    fn give_up(&mut self, shared: &Shared, reason: ResetReason) -> Bytes {
        self.after = None;
        count_reset(&shared.metrics, reason);
        Bytes::from(gap_frame(&self.until, reason))
    }
}

impl Retry {
    /// Sets the time of the next attempt. Returns false if that would be too late.
    fn wait(retry: &mut Option<Box<Self>>, retried_for: Duration) -> bool {
        let now = Instant::now();
        let backoff = || Backoff::new(Duration::from_millis(500), Duration::from_secs(3));
        let retry = retry.get_or_insert_with(|| Box::new(Self { backoff: backoff(), since: now, at: now }));
        retry.at = now + retry.backoff.next_wait();
        retry.at < retry.since + retried_for
    }
}

/// Whether the same request may succeed later.
fn can_pass(error: &Rejection) -> bool {
    matches!(error, Rejection::ReplaysFull | Rejection::UserReplaysFull | Rejection::ReplayUnavailable(_))
}
