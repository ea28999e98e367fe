//! The metrics behind `/metrics`, in Prometheus' text format. docs/metrics.md lists them, and a test compares the two.
//!
//! - [`inbound`]: what users say.
//! - [`outbound`]: what users hear.
//! - [`loss`]: what is lost or given up.
//! - [`ownership`]: which partitions this instance reads.
//! - [`stream`]: streams and replays.
//! - [`family`]: makes metrics and registers them.
//!
//! Labels are topics, partitions and fixed words, so the number of series does not grow with the number of users.

mod family;
mod inbound;
mod loss;
mod outbound;
mod ownership;
mod stream;

use prometheus::{Encoder as _, IntCounter, IntGauge, IntGaugeVec, Registry, TextEncoder};

use self::family::Families;
pub use self::{
    inbound::InboundMetrics, loss::LossMetrics, outbound::OutboundMetrics, ownership::OwnershipMetrics,
    stream::StreamMetrics,
};
use crate::health::{Report, State};

/// All metrics of a bridge.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    build: IntGaugeVec,
    dependencies: IntGaugeVec,
    other_version: IntGauge,
    /// Kafka clients that were discarded after a failure.
    pub kafka_rebuilds: IntCounter,
    /// What users say, on its way to Kafka.
    pub inbound: InboundMetrics,
    /// What users hear, on its way to their buffers.
    pub outbound: OutboundMetrics,
    /// What is lost or given up.
    pub loss: LossMetrics,
    /// Which partitions this instance reads.
    pub ownership: OwnershipMetrics,
    /// Streams that the bridge serves, and records that it reads again.
    pub stream: StreamMetrics,
}

impl Metrics {
    /// Registers all metrics.
    ///
    /// # Errors
    /// If two metrics have the same name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let make = Families(&registry);
        Ok(Self {
            build: make.gauges("causeway_build_info", "1; the label is the version.", &["version"])?,
            dependencies: make.gauges(
                "causeway_dependency_up",
                "1 if the last call to the dependency succeeded, 0 if it failed, as in /readyz. Absent before the first call.",
                &["dependency"],
            )?,
            other_version: make.gauge(
                "causeway_edge_other_version",
                "1 while edge and bridge speak different versions of their contract.",
            )?,
            kafka_rebuilds: make.counter(
                "causeway_kafka_rebuilds_total",
                "Kafka clients discarded after a failure. The next call builds a new one.",
            )?,
            inbound: InboundMetrics::new(&make)?,
            outbound: OutboundMetrics::new(&make)?,
            loss: LossMetrics::new(&make)?,
            ownership: OwnershipMetrics::new(&make)?,
            stream: StreamMetrics::new(&make)?,
            registry,
        })
    }

    /// Sets what is known only when it is asked for.
    pub fn observe(&self, report: &Report) {
        self.build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let states = [("kafka", Some(report.kafka)), ("edge", report.edge), ("redis", report.redis)];
        for (name, state) in states {
            // Without a sample while unknown: a dependency that is never called is not down.
            if let Some(state) = state.filter(|state| *state != State::Unknown) {
                self.dependencies.with_label_values(&[name]).set(i64::from(state == State::Ok));
            }
        }
        self.other_version.set(i64::from(report.is_other_version));
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
