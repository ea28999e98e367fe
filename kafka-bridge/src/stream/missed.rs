//! What one stream missed and its buffer no longer has: read from Kafka, page by page, when the client has room. What
//! can't be read becomes a gap. The records that follow wait in the buffer meanwhile.

use bytes::Bytes;
use causeway_protocol::{
    cursor::Cursor,
    deliver::WIRE_VERSION,
    frame::gap_frame,
    hub::ResetReason,
    replay::{MAX_REPLAY_REQUESTS, ReplayRange, ReplayRequest},
    subject::Subject,
};

use super::live_stream::{Shared, count_reset};
use crate::rejection::Rejection;

/// A range of records before those in the buffer.
#[derive(Debug)]
pub(super) struct Missed {
    /// `None` if all of it was sent.
    after: Option<Cursor>,
    until: Cursor,
    /// Why the client misses it.
    reason: ResetReason,
    requests: u32,
}

impl Missed {
    /// The records after a client's position, up to and including another one.
    pub(super) fn new(after: Cursor, until: Cursor, reason: ResetReason) -> Self {
        Self { after: Some(after), until, reason, requests: 0 }
    }

    /// The next events, which may be none, or `None` at the end.
    pub(super) async fn next(&mut self, shared: &Shared, subject: &Subject) -> Option<Bytes> {
        let after = self.after.clone()?;
        if self.requests >= MAX_REPLAY_REQUESTS {
            return Some(self.give_up(shared, self.reason));
        }
        self.requests += 1;
        let request = ReplayRequest {
            version: WIRE_VERSION,
            subject: subject.clone(),
            channel: self.until.channel.clone(),
            range: ReplayRange::After { cursor: after, until: Some(self.until.clone()) },
        };
        match shared.replays.answer(&request).await {
            Ok(answer) => {
                if let Some(reason) = answer.head.gone {
                    let reason = if reason == ResetReason::OutOfBuffer { self.reason } else { reason };
                    return Some(self.give_up(shared, reason));
                }
                self.after.clone_from(&answer.head.next);
                Some(answer.frames.clone())
            }
            Err(error) => {
                if !matches!(error, Rejection::UnknownChannel) {
                    tracing::warn!(%error, "what a stream missed can't be read again");
                }
                Some(self.give_up(shared, self.reason))
            }
        }
    }

    /// Tells that the rest is missing. The client then goes on after it.
    fn give_up(&mut self, shared: &Shared, reason: ResetReason) -> Bytes {
        self.after = None;
        count_reset(&shared.metrics, reason);
        Bytes::from(gap_frame(&self.until, reason))
    }
}
