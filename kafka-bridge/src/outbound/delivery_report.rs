//! What metrics, traces, the log and `/readyz` say of deliveries.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use causeway_protocol::{deliver::Outcome, hub::ResetReason};

use super::{
    partition::Partition,
    router::{Load, Meta},
    sink::SinkError,
};
use crate::{
    health::Health,
    metrics::Metrics,
    span::{self, Received, Spans},
};

/// This many items that are refused one after another suggest that the fault is not in the items.
const SUSPICIOUS_REFUSALS: usize = 3;

/// Reports of deliveries.
pub(super) struct DeliveryReport {
    metrics: Arc<Metrics>,
    spans: Spans,
    health: Arc<Health>,
    is_refusing: AtomicBool,
}

impl DeliveryReport {
    pub(super) fn new((metrics, spans): (Arc<Metrics>, Spans), health: Arc<Health>) -> Self {
        Self { metrics, spans, health, is_refusing: AtomicBool::new(false) }
    }

    /// A record was read that a trace may have led to.
    pub(super) fn received(&self, traceparent: Option<&str>) -> Option<Box<Received>> {
        self.spans.received(traceparent)
    }

    /// The sink has answered a request, or failed.
    pub(super) fn answered(&self, took: Duration) {
        self.metrics.outbound.delivery_seconds.observe(took.as_secs_f64());
    }

    /// A request failed.
    pub(super) fn failure(&self, users: usize, error: &SinkError) {
        self.metrics.outbound.delivery_failures.with_label_values(&[error.label()]).inc();
        tracing::warn!(users, %error, "items not delivered, trying again");
    }

    /// What became of the users' parts of a request.
    pub(super) fn outcomes(&self, outcomes: &[Outcome]) {
        let names = [
            (Outcome::Stored, "stored"),
            (Outcome::Held, "held"),
            (Outcome::Missing, "missing"),
            (Outcome::Refused, "refused"),
            (Outcome::Later, "later"),
            (Outcome::Stale, "stale"),
        ];
        for (outcome, name) in names {
            let count = outcomes.iter().filter(|of| **of == outcome).count();
            if count > 0 {
                self.metrics.outbound.user_deliveries.with_label_values(&[name]).inc_by(count as u64);
            }
        }
        let later = outcomes.iter().filter(|outcome| **outcome == Outcome::Later).count();
        if later > 0 {
            tracing::warn!(users = later, "the buffers of some users failed, only their items are delivered again");
        }
    }

    /// A gap is on its way to a user's buffer.
    pub(super) fn gap(&self, reason: ResetReason) {
        self.metrics.loss.gaps.with_label_values(&[reason.as_str()]).inc();
    }

    /// A record is stored.
    pub(super) fn stored(&self, now_ms: u64, meta: &Meta) {
        let waited_ms = now_ms.saturating_sub(u64::try_from(meta.timestamp_ms).unwrap_or_default());
        self.metrics.outbound.stored_seconds.observe(Duration::from_millis(waited_ms).as_secs_f64());
    }

    /// A record's trace ends here.
    pub(super) fn trace(&self, partition: &Partition, offset: i64, meta: &Meta, outcome: Result<(), &'static str>) {
        if let Some(received) = &meta.trace {
            let from = span::Destination { topic: &partition.topic, partition: partition.source.partition };
            self.spans.settled(received, from, offset, outcome);
        }
    }

    /// Shows what waits and what is in flight.
    pub(super) fn show(&self, load: &Load) {
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let shown = &self.metrics.outbound;
        shown.waiting_users.set(number(load.users));
        shown.parked_users.set(number(load.parked_users));
        shown.deliveries_in_flight.set(number(load.requests));
        let is_refusing = load.refusals >= SUSPICIOUS_REFUSALS;
        if self.is_refusing.swap(is_refusing, Ordering::Relaxed) != is_refusing {
            shown.refusing.set(is_refusing.into());
            self.health.set_refusing(is_refusing);
        }
    }
}
