//! The rules of one SSE stream, without I/O: what is written first, when a keep-alive is due, when the stream rotates
//! and what ends it. The Worker and the bridge drive one [`Feed`] per client.

use std::time::Duration;

use crate::hub::{ACK_EVERY_BYTES, ACK_EVERY_RECORDS, Ack, EndReason, Head};

/// What is written at the beginning and after silence. An event, not a comment: a page can't see comments, so it could not
/// tell a quiet stream from one whose connection is lost. It has no id, so the client's position stays.
pub const KEEP_ALIVE: &str = "event: ping\ndata: {}\n\n";

/// The timing of a stream.
#[derive(Clone, Copy, Debug)]
pub struct FeedPolicy {
    /// [`KEEP_ALIVE`] is written after this much silence. It makes middleboxes keep the connection, its failure reveals a
    /// client that has disconnected, and its absence tells the client that the connection is lost.
    pub keep_alive: Duration,
    /// A stream ends after this time, give or take a fifth, and the client resumes. So connections move to new
    /// deployments and are balanced again.
    pub rotate_after: Duration,
    /// The minimum `retry:`, the time that the client waits before it resumes.
    pub retry: Duration,
}

impl Default for FeedPolicy {
    fn default() -> Self {
        Self {
            keep_alive: Duration::from_secs(15),
            rotate_after: Duration::from_secs(600),
            retry: Duration::from_millis(500),
        }
    }
}

/// What the driver must do next.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Bytes for the client; may be empty.
    pub bytes: String,
    /// Whether the stream ends after these bytes.
    pub end: bool,
}

/// The stream of one client. Times are milliseconds of any monotonic clock.
#[derive(Debug)]
pub struct Feed {
    policy: FeedPolicy,
    keep_alive_at_ms: u64,
    rotate_at_ms: u64,
    ends_at_ms: u64,
    unacked_records: i64,
    unacked_bytes: usize,
}

impl Feed {
    /// Opens a stream. The first bytes are due at once, so that the client knows that it is connected, and that signs of
    /// life will come.
    ///
    /// `jitter` is uniform in 0..=1. It spreads the rotations and reconnects of clients that connected at the same
    /// time.
    #[must_use]
    pub fn open(policy: FeedPolicy, now_ms: u64, session_ends_in: Duration, jitter: f64) -> (Self, Step) {
        let lifetime = policy.rotate_after.mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0));
        let feed = Self {
            policy,
            keep_alive_at_ms: after(now_ms, policy.keep_alive),
            rotate_at_ms: after(now_ms, lifetime),
            ends_at_ms: after(now_ms, session_ends_in),
            unacked_records: 0,
            unacked_bytes: 0,
        };
        let retry_ms = policy.retry.mul_f64(1.0 + 2.0 * jitter.clamp(0.0, 1.0)).as_millis();
        (feed, Step { bytes: format!("retry: {retry_ms}\n{KEEP_ALIVE}"), ..Step::default() })
    }

    /// The time at which [`Feed::on_timer`] is due.
    #[must_use]
    pub fn next_timer_ms(&self) -> u64 {
        self.keep_alive_at_ms.min(self.rotate_at_ms).min(self.ends_at_ms)
    }

    /// Notes events that the driver passes to the client.
    pub fn on_events(&mut self, now_ms: u64) {
        self.keep_alive_at_ms = after(now_ms, self.policy.keep_alive);
    }

    /// Notes events of a hub that the driver passes to the client. Returns what the driver must send to the hub after the
    /// client has taken them.
    pub fn on_frames(&mut self, now_ms: u64, head: &Head, bytes: usize) -> Option<Ack> {
        self.on_events(now_ms);
        self.unacked_records = self.unacked_records.saturating_add(head.records);
        self.unacked_bytes = self.unacked_bytes.saturating_add(bytes);
        let due = self.unacked_records >= ACK_EVERY_RECORDS || self.unacked_bytes >= ACK_EVERY_BYTES;
        due.then(|| {
            self.unacked_records = 0;
            self.unacked_bytes = 0;
            Ack { taken: head.seq }
        })
    }

    /// Handles the end of the session.
    pub fn on_end(&mut self, now_ms: u64, reason: EndReason) -> Step {
        self.on_events(now_ms);
        let bytes = format!("event: end\ndata: {{\"reason\":\"{}\"}}\n\n", reason.as_str());
        Step { bytes, end: true }
    }

    /// Handles the timer that is due at [`Feed::next_timer_ms`].
    pub fn on_timer(&mut self, now_ms: u64) -> Step {
        if now_ms >= self.ends_at_ms {
            return self.on_end(now_ms, EndReason::Expired);
        }
        if now_ms >= self.rotate_at_ms {
            return Step { bytes: ": rotate\n\n".to_owned(), end: true };
        }
        if now_ms >= self.keep_alive_at_ms {
            self.on_events(now_ms);
            return Step { bytes: KEEP_ALIVE.to_owned(), ..Step::default() };
        }
        Step::default()
    }
}

fn after(now_ms: u64, wait: Duration) -> u64 {
    now_ms.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn on_record(feed: &mut Feed, now_ms: u64, seq: i64, frame: &str) -> Option<Ack> {
        feed.on_frames(now_ms, &Head { seq, records: 1, id: None }, frame.len())
    }

    #[test]
    fn first_bytes_are_due_before_any_event() {
        let (_, step) = Feed::open(FeedPolicy::default(), 0, HOUR, 0.5);
        assert_eq!(step.bytes, "retry: 1000\nevent: ping\ndata: {}\n\n");
    }

    #[test]
    fn keep_alive_follows_silence_and_is_postponed_by_a_record() {
        let (mut feed, _) = Feed::open(FeedPolicy::default(), 0, HOUR, 0.0);
        assert_eq!(feed.next_timer_ms(), 15_000);
        on_record(&mut feed, 10_000, 1, "data: 1\n\n");
        assert_eq!(feed.on_timer(15_000), Step::default());
        assert_eq!(feed.on_timer(25_000).bytes, "event: ping\ndata: {}\n\n");
    }

    #[test]
    fn rotation_varies_by_a_fifth() {
        let end = |jitter, session| Feed::open(FeedPolicy::default(), 0, session, jitter).0.rotate_at_ms;
        assert_eq!(end(0.0, HOUR), 480_000);
        assert_eq!(end(1.0, HOUR), 720_000);
        let (mut feed, _) = Feed::open(FeedPolicy::default(), 0, HOUR, 0.0);
        assert!(feed.on_timer(480_000).end);
    }

    #[test]
    fn s130_an_expired_session_ends_its_stream_for_good() {
        let (mut feed, _) = Feed::open(FeedPolicy::default(), 0, Duration::from_secs(10), 0.0);
        assert_eq!(feed.next_timer_ms(), 10_000);
        let step = feed.on_timer(10_000);
        assert!(step.end && step.bytes == "event: end\ndata: {\"reason\":\"expired\"}\n\n");
    }

    #[test]
    fn acknowledges_every_32_records() {
        let (mut feed, _) = Feed::open(FeedPolicy::default(), 0, HOUR, 0.0);
        let acks: Vec<_> = (1..=64).filter_map(|n| on_record(&mut feed, 0, n, "data: 1\n\n")).collect();
        assert_eq!(acks.iter().map(|ack| ack.taken).collect::<Vec<_>>(), [32, 64]);
    }

    #[test]
    fn large_records_are_acknowledged_before_they_fill_the_hubs_window() {
        let (mut feed, _) = Feed::open(FeedPolicy::default(), 0, HOUR, 0.0);
        let large = "x".repeat(ACK_EVERY_BYTES / 2);
        assert_eq!(on_record(&mut feed, 0, 1, &large), None);
        assert_eq!(on_record(&mut feed, 0, 2, &large), Some(Ack { taken: 2 }));
    }

    #[test]
    fn the_end_of_the_session_ends_the_stream() {
        let (mut feed, _) = Feed::open(FeedPolicy::default(), 0, HOUR, 0.0);
        let step = feed.on_end(0, EndReason::SignedOut);
        assert_eq!(step.bytes, "event: end\ndata: {\"reason\":\"signed_out\"}\n\n");
        assert!(step.end);
    }
}
