//! Records at a steady rate, by librdkafka without lingering.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use rdkafka::{
    ClientConfig, ClientContext,
    error::{KafkaError, RDKafkaErrorCode},
    message::DeliveryResult,
    producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer},
};

use crate::{PATIENCE, announce, clock, print};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Records per second.
    #[arg(long)]
    per_second: f64,
    /// For how many seconds.
    #[arg(long)]
    seconds: f64,
    /// A record's value. `"@key@"` and `"@at@"`, quotes included, are replaced by its key as a string and by the time in
    /// nanoseconds as a number.
    #[arg(long)]
    value: String,
}

/// Counts what Kafka did not take.
#[derive(Clone, Default)]
struct Failures(Arc<AtomicU64>);

impl ClientContext for Failures {}

impl ProducerContext for Failures {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

pub(crate) fn run(broker: &str, topic: &str, options: &Options) -> anyhow::Result<()> {
    let keys: Vec<String> = io::stdin().lines().collect::<Result<_, _>>()?;
    ensure!(!keys.is_empty(), "no keys on standard input");
    ensure!(options.per_second > 0.0 && options.seconds > 0.0, "rate and seconds must be more than 0");
    let failures = Failures::default();
    let producer: ThreadedProducer<Failures> = config(broker).create_with_context(failures.clone())?;
    // It connects and learns the partitions before the first record.
    producer.client().fetch_metadata(Some(topic), PATIENCE).with_context(|| format!("topic {topic}"))?;
    announce()?;

    let began = Instant::now();
    let mut written = 0_u32;
    for key in keys.iter().cycle() {
        let due = Duration::from_secs_f64(f64::from(written) / options.per_second);
        if due.as_secs_f64() >= options.seconds {
            break;
        }
        thread::sleep(due.saturating_sub(began.elapsed()));
        send(&producer, topic, key, &options.value)?;
        written += 1;
    }
    producer.flush(PATIENCE).context("records are not acknowledged")?;
    let failed = failures.0.load(Ordering::Relaxed);
    if failed > 0 {
        bail!("Kafka did not take {failed} of {written} records");
    }
    Ok(print(&written.to_string())?)
}

/// As Kafka's Java client partitions, and the bridge does.
pub(crate) fn config(broker: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", broker)
        .set("acks", "all")
        .set("linger.ms", "0")
        .set("partitioner", "murmur2_random");
    config
}

fn send(producer: &ThreadedProducer<Failures>, topic: &str, key: &str, template: &str) -> anyhow::Result<()> {
    let value = filled(template, key, clock::nanoseconds());
    let mut record = BaseRecord::to(topic).key(key).payload(&value);
    while let Err((error, rejected)) = producer.send(record) {
        if !matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) {
            return Err(error.into());
        }
        thread::sleep(Duration::from_millis(1));
        record = rejected;
    }
    Ok(())
}

fn filled(template: &str, key: &str, at: i64) -> String {
    template.replace("\"@key@\"", &format!("\"{key}\"")).replace("\"@at@\"", &at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_gets_key_and_time() {
        let template = r#"{"channel":"@key@","data":{"run":"a","at":"@at@"}}"#;
        assert_eq!(filled(template, "u1", 17), r#"{"channel":"u1","data":{"run":"a","at":17}}"#);
    }
}
