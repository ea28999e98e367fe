//! The cases that every buffer must satisfy: each is a list of steps with the events that a stream must receive.
//!
//! A test runs each [`Case`] on an empty buffer. It performs the steps in order and compares what the stream receives,
//! which [`received_in`] reads from the frames.
//!
//! - `stream`: the cases of streams
//! - `history`: the cases of pages of earlier events
//! - `build`: what the steps are made of

use std::time::Duration;

use super::{MAX_AGE, MAX_MESSAGES, TRIM_SLACK_PERCENT};
use crate::{
    channel::Channel,
    deliver::{Outcome, Slice},
    history::{HistoryPage, HistoryRequest},
    hub::ResetReason,
};

mod build;
mod history;
mod stream;

/// One case. The buffer has the limits of [`super`].
#[derive(Debug)]
pub struct Case {
    /// The behaviour it checks.
    pub name: &'static str,
    /// Its steps, in order.
    pub steps: Vec<Step>,
}

/// One step. Times count from the start of the case.
#[derive(Debug)]
pub enum Step {
    /// Appends items of one partition.
    Append {
        /// When.
        at: Duration,
        /// In the order of delivery.
        slice: Slice,
        /// What becomes of them.
        expected: Outcome,
    },
    /// Opens a stream and reads until there is no more.
    Open {
        /// When.
        at: Duration,
        /// The client's `Last-Event-ID`.
        last_event_id: Option<String>,
        /// The channels that it hears. Empty means all.
        channels: Vec<Channel>,
        /// What the stream receives.
        expected: Vec<Received>,
    },
    /// Reads a page of history.
    History {
        /// When.
        at: Duration,
        /// Which one.
        request: HistoryRequest,
        /// The ids of what the buffer has of it, and the offset that the page before it is asked for with. `None` if it has
        /// none of it.
        expected: Option<PageIds>,
    },
    /// Reads on with the stream that was opened last, until there is no more.
    ReadOn {
        /// What the stream receives.
        expected: Vec<Received>,
    },
}

/// An event that a stream receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A record's, by its SSE id.
    Record(String),
    /// A gap.
    Reset(ResetReason),
    /// The records after the client's position, up to this one, come from elsewhere: the buffer no longer has them.
    Missing(String),
}

/// The ids of a page's records, the newest last, and the offset that it reaches down to.
pub type PageIds = (Vec<Received>, i64);

/// The ids of a page from a buffer.
///
/// # Panics
/// If it says that there is nothing before it: a buffer can't know that.
#[must_use]
pub fn ids_of(page: &HistoryPage) -> PageIds {
    assert!(page.head.next.is_some() && page.head.gone.is_none(), "{:?}", page.head);
    let from = page.head.next.as_ref().map_or(0, |next| next.position.offset);
    let ids = received_in(&page.frames);
    assert_eq!(u32::try_from(ids.len()), Ok(page.head.records), "as many as it says");
    (ids, from)
}

/// The events in frames.
///
/// # Panics
/// If the text does not consist of complete events.
#[must_use]
pub fn received_in(frames: &str) -> Vec<Received> {
    assert!(frames.is_empty() || frames.ends_with("\n\n"), "complete events: {frames:?}");
    let events = frames.split("\n\n").filter(|event| !event.is_empty());
    let field = |event: &str, name: &str| {
        event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned))
    };
    let read = |event: &str| match field(event, "event").as_deref() {
        Some("reset") => {
            let data = field(event, "data").unwrap_or_default();
            let reason = data.trim_start_matches("{\"reason\":").trim_end_matches('}');
            Received::Reset(serde_json::from_str(reason).unwrap_or(ResetReason::BadCursor))
        }
        _ => Received::Record(field(event, "id").unwrap_or_default()),
    };
    events.map(read).collect()
}

const START: Duration = Duration::ZERO;
const EXPIRED: Duration = MAX_AGE.saturating_add(Duration::from_millis(1));
const MAX: i64 = MAX_MESSAGES as i64;
/// One more than a buffer holds before it is trimmed to [`MAX`].
const OVERFLOW: i64 = MAX + MAX * TRIM_SLACK_PERCENT as i64 / 100 + 1;

/// All cases.
#[must_use]
pub fn cases() -> Vec<Case> {
    [stream::cases(), history::cases()].into_iter().flatten().collect()
}

impl Step {
    /// The stream of this step misses records up to any, then receives any, and this one last.
    fn with_missing_and_tail(self, last: &str) -> Self {
        match self {
            Self::Open { at, last_event_id, channels, .. } => Self::Open {
                at,
                last_event_id,
                channels,
                expected: vec![Received::Missing("…".to_owned()), Received::Record(format!("…{last}"))],
            },
            other => other,
        }
    }
}

/// Whether a stream received what a step expects. An expected id that begins with `…` stands for any records before it.
#[must_use]
pub fn is_expected(received: &[Received], expected: &[Received]) -> bool {
    match expected {
        [first @ .., Received::Record(last)] if last.starts_with('…') => {
            let last = Received::Record(last.trim_start_matches('…').to_owned());
            let is_same = |(received, expected): (&Received, &Received)| match (received, expected) {
                (Received::Missing(_), Received::Missing(until)) if until == "…" => true,
                _ => received == expected,
            };
            received.len() > first.len() && received.iter().zip(first).all(is_same) && received.last() == Some(&last)
        }
        _ => received == expected,
    }
}
