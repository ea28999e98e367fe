//! Makes metrics and registers them. The values of a label that are known beforehand are there from the start: a counter
//! that appears with its first event has no increase that an alert could see.

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    core::Collector,
};

/// The limits of a histogram's buckets, in seconds, for what mostly takes milliseconds.
const SHORT: [f64; 13] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// For what may take minutes.
const LONG: [f64; 15] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0];

/// The labels of what each partition has.
pub(super) const PARTITION: [&str; 2] = ["topic", "partition"];

/// How long what a histogram counts may take.
#[derive(Clone, Copy)]
pub(super) enum Takes {
    Milliseconds,
    Minutes,
}

/// Registers what it makes.
pub(super) struct Families<'a>(pub(super) &'a Registry);

pub(super) type Made<T> = Result<T, prometheus::Error>;

impl Families<'_> {
    pub(super) fn counter(&self, name: &str, help: &str) -> Made<IntCounter> {
        self.register(IntCounter::new(name, help)?)
    }

    pub(super) fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Made<IntCounterVec> {
        self.register(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    /// Counters by one label, of which these values are known.
    pub(super) fn counters_of(&self, name: &str, help: &str, label: &str, values: &[&str]) -> Made<IntCounterVec> {
        let counters = self.counters(name, help, &[label])?;
        values.iter().for_each(|value| drop(counters.with_label_values(&[*value])));
        Ok(counters)
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> Made<IntGauge> {
        self.register(IntGauge::new(name, help)?)
    }

    pub(super) fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Made<IntGaugeVec> {
        self.register(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    pub(super) fn seconds(&self, name: &str, help: &str, takes: Takes) -> Made<Histogram> {
        self.register(Histogram::with_opts(options(name, help, takes))?)
    }

    pub(super) fn seconds_by(&self, name: &str, help: &str, takes: Takes, labels: &[&str]) -> Made<HistogramVec> {
        self.register(HistogramVec::new(options(name, help, takes), labels)?)
    }

    pub(super) fn register<T: Collector + Clone + 'static>(&self, metric: T) -> Made<T> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }
}

fn options(name: &str, help: &str, takes: Takes) -> HistogramOpts {
    let buckets = match takes {
        Takes::Milliseconds => SHORT.to_vec(),
        Takes::Minutes => LONG.to_vec(),
    };
    HistogramOpts::new(name, help).buckets(buckets)
}
