//! The metrics behind `/metrics`, in Prometheus' text format. Labels are topics, partitions and fixed words, so the
//! number of series does not grow with the number of users.

use prometheus::{
    Encoder as _, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder, core::Collector,
};

/// All metrics of a bridge.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Responses to `POST /v1/events`, by status.
    pub events: IntCounterVec,
    /// Seconds from an event's arrival to Kafka's acknowledgement.
    pub ack_seconds: Histogram,
    /// Events that were forgotten early, because too many were remembered.
    pub events_forgotten: IntCounter,
    /// Calls to the memory of events that instances share which failed or were not made after a failure.
    pub events_unshared: IntCounter,
    /// Records delivered, by topic.
    pub delivered: IntCounterVec,
    /// Failed deliveries, by reason.
    pub delivery_failures: IntCounterVec,
    /// Records fetched and not yet delivered, by topic and partition.
    pub backlog: IntGaugeVec,
    /// Records in Kafka beyond the checkpoint, by topic and partition.
    pub lag: IntGaugeVec,
    /// 1 while delivery waits because the edge rejects one record after another, by topic and partition.
    pub rejecting: IntGaugeVec,
    /// Dead letters, by topic and reason.
    pub dead_letters: IntCounterVec,
    /// Offsets that retention removed before delivery, by topic and partition.
    pub lost_to_retention: IntCounterVec,
    /// Open streams.
    pub streams: IntGauge,
    /// Responses to `GET /v1/stream`, by status.
    pub stream_requests: IntCounterVec,
    /// Resets sent to streams, by reason.
    pub stream_resets: IntCounterVec,
    /// Interruptions of the Redis subscription.
    pub subscription_breaks: IntCounter,
}

impl Metrics {
    /// Registers all metrics.
    ///
    /// # Errors
    /// If two metrics have the same name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let by = |name: &str, help: &str, labels: &[&str]| {
            IntCounterVec::new(Opts::new(name, help), labels).and_then(|metric| register(&registry, metric))
        };
        let gauge = |name: &str, help: &str| {
            IntGaugeVec::new(Opts::new(name, help), &["topic", "partition"])
                .and_then(|metric| register(&registry, metric))
        };
        let counter =
            |name: &str, help: &str| IntCounter::new(name, help).and_then(|metric| register(&registry, metric));
        let ack_buckets = vec![0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
        Ok(Self {
            events: by("causeway_events_total", "Responses to POST /v1/events.", &["status"])?,
            ack_seconds: Histogram::with_opts(
                HistogramOpts::new("causeway_event_ack_seconds", "From an event's arrival to Kafka's acknowledgement.")
                    .buckets(ack_buckets),
            )
            .and_then(|metric| register(&registry, metric))?,
            events_forgotten: counter(
                "causeway_events_forgotten_total",
                "Events forgotten within ten minutes, because too many were remembered. Repeats are written again.",
            )?,
            events_unshared: counter(
                "causeway_events_unshared_total",
                "Failed calls to the memory of events that instances share. A repeat at another instance may be written again.",
            )?,
            delivered: by(
                "causeway_records_delivered_total",
                "Records made durable in their users' buffers.",
                &["topic"],
            )?,
            delivery_failures: by(
                "causeway_delivery_failures_total",
                "Deliveries that failed and are retried.",
                &["reason"],
            )?,
            backlog: gauge("causeway_backlog_records", "Records fetched and not yet delivered.")?,
            lag: gauge("causeway_lag_records", "Records in Kafka beyond the checkpoint.")?,
            rejecting: gauge(
                "causeway_edge_refuses_records",
                "1 while delivery waits because the edge rejects one record after another.",
            )?,
            dead_letters: by(
                "causeway_dead_letters_total",
                "Records given up instead of being delivered, and normally written to a dead-letter topic.",
                &["topic", "reason"],
            )?,
            lost_to_retention: by(
                "causeway_lost_to_retention_total",
                "Offsets that retention removed before they were delivered.",
                &["topic", "partition"],
            )?,
            streams: IntGauge::new("causeway_streams", "Streams being served.")
                .and_then(|metric| register(&registry, metric))?,
            stream_requests: by("causeway_streams_asked_total", "Responses to GET /v1/stream.", &["status"])?,
            stream_resets: by(
                "causeway_stream_resets_total",
                "Resets sent to streams, which report a possible gap.",
                &["reason"],
            )?,
            subscription_breaks: counter(
                "causeway_subscription_breaks_total",
                "Interruptions of the Redis subscription that wakes streams.",
            )?,
            registry,
        })
    }

    /// The text that Prometheus scrapes.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "metrics can't be written");
        }
        String::from_utf8(text).unwrap_or_default()
    }
}

fn register<T: Collector + Clone + 'static>(registry: &Registry, metric: T) -> Result<T, prometheus::Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}
