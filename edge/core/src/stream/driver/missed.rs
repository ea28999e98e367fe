//! What a stream missed and its hub no longer has: the bridge reads it from Kafka, part by part, each when the client has
//! taken the one before. What can't be read becomes a gap. The hub's messages wait meanwhile, and the hub sends no more
//! than a window of them.

use std::time::Duration;

use causeway_protocol::{
    cursor::Cursor,
    deliver::{MAX_RECORD_BYTES, WIRE_VERSION},
    frame::gap_frame,
    hub::ResetReason,
    replay::{MAX_REPLAY_BYTES, MAX_REPLAY_REQUESTS, ReplayHead, ReplayRange, ReplayRequest},
    subject::Subject,
};
use http::{Method, StatusCode};

use crate::{
    http::body::ReadBody as _,
    runtime::{
        clock::{Clock, millis, within},
        dependency::Dependency,
        platform::{BridgeAccess, HttpClient},
        unavailable::Unavailable,
    },
    stream::bridge::Bridge,
};

/// Longer than the bridge takes at most, so that the bridge's answer decides.
const TIMEOUT: Duration = Duration::from_secs(8);
/// How long the bridge may fail before the client is told that records are missing. It may be stopping, or busy with the
/// streams of everybody after an outage.
const RETRIED_FOR: Duration = Duration::from_secs(20);
/// The pause after its first failure in a row. Each further one doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(3);
/// The longest answer. Its last record may exceed what the bridge gathers.
const MAX_ANSWER_BYTES: usize = MAX_REPLAY_BYTES + MAX_RECORD_BYTES + 64 * 1024;

/// Records before those of the hub.
#[derive(Debug)]
pub(super) struct Missed {
    /// The client's position. `None` if it is not known, or all was passed on.
    after: Option<Cursor>,
    until: Cursor,
    requests: u32,
    failing: Option<Failing>,
    is_done: bool,
}

/// A bridge that fails.
#[derive(Debug)]
struct Failing {
    until_ms: u64,
    pause: Duration,
}

/// A part of them.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) text: String,
    /// Where the events begin.
    pub(super) from: usize,
    /// The client's position after them.
    pub(super) position: Cursor,
}

impl Missed {
    /// The records after a client's position, up to and including another one.
    pub(super) fn new(after: Option<Cursor>, until: Cursor) -> Self {
        Self { after, until, requests: 0, failing: None, is_done: false }
    }

    /// The next part, which may be without events, or `None` at the end.
    pub(super) async fn next<P: Clock + HttpClient>(
        &mut self,
        platform: &P,
        access: &BridgeAccess,
        subject: &Subject,
    ) -> Option<Part> {
        if self.is_done {
            return None;
        }
        let Some(after) = self.after.clone().filter(|_| self.requests < MAX_REPLAY_REQUESTS) else {
            return Some(self.give_up(ResetReason::OutOfBuffer));
        };
        if let Some(failing) = &mut self.failing {
            platform.sleep(failing.pause).await;
            failing.pause = (failing.pause * 2).min(MAX_PAUSE);
        }
        let request = ReplayRequest {
            version: WIRE_VERSION,
            subject: subject.clone(),
            channel: self.until.channel.clone(),
            range: ReplayRange::After { cursor: after.clone(), until: Some(self.until.clone()) },
        };
        let bridge = Bridge { platform, url: &access.url, keys: &access.keys, request_id: &access.request_id };
        let answer = within(platform, TIMEOUT, Dependency::Bridge, read(&bridge, &request)).await;
        let read = answer.ok().and_then(|text| {
            let (head, frames) = ReplayHead::parse(&text).ok()?;
            let from = text.len().saturating_sub(frames.len());
            Some((head, from, text))
        });
        let Some((head, from, text)) = read else {
            let now_ms = platform.now_ms();
            let new = || Failing { until_ms: now_ms.saturating_add(millis(RETRIED_FOR)), pause: FIRST_PAUSE };
            if self.failing.get_or_insert_with(new).until_ms > now_ms {
                return Some(Part { text: String::new(), from: 0, position: after });
            }
            return Some(self.give_up(ResetReason::OutOfBuffer));
        };
        self.failing = None;
        self.requests += 1;
        if let Some(reason) = head.gone {
            return Some(self.give_up(reason));
        }
        self.is_done = head.next.is_none();
        self.after = head.next;
        Some(Part { text, from, position: self.after.clone().unwrap_or_else(|| self.until.clone()) })
    }

    /// Tells that the rest is missing. The client goes on after it.
    fn give_up(&mut self, reason: ResetReason) -> Part {
        self.is_done = true;
        Part { text: gap_frame(&self.until, reason), from: 0, position: self.until.clone() }
    }
}

/// Asks the bridge.
async fn read<P: Clock + HttpClient>(bridge: &Bridge<'_, P>, request: &ReplayRequest) -> Result<String, Unavailable> {
    let outgoing = bridge.signed_request(Method::GET, &request.target(), Vec::new(), TIMEOUT)?;
    let response = bridge.platform.send(outgoing).await?;
    let failed = |detail: &dyn std::fmt::Display| Unavailable::new(Dependency::Bridge, detail);
    if response.status != StatusCode::OK {
        return Err(failed(&format_args!("answered a replay with {}", response.status)));
    }
    let body = response.body.read(MAX_ANSWER_BYTES).await.map_err(|error| failed(&error))?;
    String::from_utf8(body).map_err(|error| failed(&error))
}
