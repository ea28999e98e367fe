//! The Kafka clients, and whole bridges, against a real Apache Kafka.
//!
//! - [`contract`]: what every client does.
//! - [`security`]: TLS, certificates and SASL.
//! - `handover`: instances of the bridge that take over from one another.
//! - `throttle`: quotas.
//! - `group`: consumer groups, with the cargo feature `rdkafka`.
//! - `transaction`: what only rdkafka reads, with the cargo feature.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod contract;
#[cfg(feature = "rdkafka")]
mod group;
mod handover;
mod security;
#[path = "../support/mod.rs"]
mod support;
mod throttle;
#[cfg(feature = "rdkafka")]
mod transaction;

use std::{collections::BTreeMap, sync::Arc};

use kafka_bridge::{
    config::{Config, ConfigError},
    kafka::{FetchedItem, FetchedRecord, KafkaIo, KafkaSettings, NewRecord, RskafkaIo, RskafkaOptions},
};

/// The settings that a bridge with these variables has.
fn settings(changes: &[(&'static str, String)]) -> Result<KafkaSettings, ConfigError> {
    let base = [("BRIDGE_KEYS", support::keys()), ("BRIDGE_EDGE_URL", "https://e.test".to_owned())];
    let vars: BTreeMap<_, _> = base.iter().chain(changes).map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
    Config::from_vars(&vars).map(|config| config.kafka)
}

/// Each client that is compiled in.
fn clients(settings: &KafkaSettings) -> Vec<Arc<dyn KafkaIo>> {
    vec![
        rskafka(settings.clone()),
        #[cfg(feature = "rdkafka")]
        rdkafka(settings.clone()),
    ]
}

#[cfg(feature = "rdkafka")]
fn rdkafka(settings: KafkaSettings) -> Arc<dyn KafkaIo> {
    Arc::new(kafka_bridge::kafka::RdkafkaIo::new(settings).unwrap())
}

/// The default client.
fn rskafka(settings: KafkaSettings) -> Arc<dyn KafkaIo> {
    Arc::new(RskafkaIo::new(RskafkaOptions::new(settings)).unwrap())
}

fn record(value: &str) -> NewRecord {
    NewRecord { value: Some(value.as_bytes().to_vec()), ..NewRecord::default() }
}

/// Fetches until there are `count` records, and checks that they are a row without a hole.
async fn read(kafka: &dyn KafkaIo, topic: &str, partition: i32, from: i64, count: usize) -> Vec<FetchedRecord> {
    let mut records = Vec::new();
    let mut next = from;
    let all = async {
        while records.len() < count {
            let fetched = kafka.fetch(topic, partition, next).await.unwrap();
            for item in fetched.items {
                match item {
                    FetchedItem::Record(record) => records.push(record),
                    FetchedItem::Undecodable { .. } => panic!("{item:?}"),
                }
            }
            next = fetched.next_offset;
        }
    };
    let ended = tokio::time::timeout(support::TEST_TIMEOUT, all).await;
    assert!(ended.is_ok(), "{} of {count} records", records.len());
    records
}

fn values(records: &[FetchedRecord]) -> Vec<String> {
    let text = |record: &FetchedRecord| String::from_utf8(record.record.value.clone().unwrap()).unwrap();
    records.iter().map(text).collect()
}
