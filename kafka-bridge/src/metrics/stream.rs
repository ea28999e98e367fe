//! Streams that the bridge serves, and records that it reads again.

use causeway_protocol::hub::ResetReason;
use prometheus::{IntCounter, IntCounterVec, IntGauge};

use super::family::{Families, Made};

/// The reasons of resets that a stream of the bridge is told.
const RESETS: [ResetReason; 7] = [
    ResetReason::BadCursor,
    ResetReason::OutOfBuffer,
    ResetReason::TooSlow,
    ResetReason::Retention,
    ResetReason::Truncated,
    ResetReason::Undeliverable,
    ResetReason::Parked,
];

/// Streams that the bridge serves, and records that it reads again.
#[derive(Debug)]
pub struct StreamMetrics {
    /// Open streams.
    pub streams: IntGauge,
    /// Responses to `GET /v1/stream`, by status.
    pub stream_requests: IntCounterVec,
    /// Responses to `GET /v1/replay`, by status.
    pub replay_requests: IntCounterVec,
    /// Resets sent to streams, by reason.
    pub stream_resets: IntCounterVec,
    /// Interruptions of the Redis subscription.
    pub subscription_breaks: IntCounter,
}

impl StreamMetrics {
    pub(super) fn new(make: &Families<'_>) -> Made<Self> {
        Ok(Self {
            streams: make.gauge("causeway_streams", "Streams being served.")?,
            stream_requests: make.counters_of(
                "causeway_streams_asked_total",
                "Responses to GET /v1/stream.",
                "status",
                &["200", "503"],
            )?,
            replay_requests: make.counters_of(
                "causeway_replays_asked_total",
                "Responses to GET /v1/replay.",
                "status",
                &["200", "503"],
            )?,
            stream_resets: make.counters_of(
                "causeway_stream_resets_total",
                "Resets sent to streams, which report a possible gap.",
                "reason",
                &RESETS.map(ResetReason::as_str),
            )?,
            subscription_breaks: make.counter(
                "causeway_subscription_breaks_total",
                "Interruptions of the Redis subscription that wakes streams.",
            )?,
        })
    }
}
