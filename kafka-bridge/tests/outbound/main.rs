//! Delivery of records from Kafka to the users' buffers.
//!
//! - [`delivery`]: batching, retries and several bridges.
//! - [`dead_letter`]: poison records, and records that the edge refuses.
//! - [`isolation`]: users and partitions that fail hold up nobody else. With paused time, on a sink in memory.
//! - [`parked`]: users who were parked before a partition was claimed.
//! - [`bound`]: many users in one partition.
//! - [`topic`]: topics that are recreated, grown, trimmed or truncated, and lost checkpoints.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod bound;
mod dead_letter;
mod delivery;
mod isolation;
mod parked;
#[path = "../support/mod.rs"]
mod support;
mod topic;

use std::{sync::Arc, time::Duration};

use causeway_protocol::{checkpoint::Checkpoint, deliver::MAX_RECORD_BYTES};
use kafka_bridge::{kafka::NewRecord, server::Tuning};
use support::{
    Bridge,
    edge::{Edge, EdgeState},
    memory_kafka::MemoryKafka,
    until,
};

const TOPIC: &str = "chat.outbound";

fn kafka(partitions: usize) -> Arc<MemoryKafka> {
    MemoryKafka::new(&[("chat.inbound", 1), (TOPIC, partitions)])
}

/// Epochs begin at 7.
fn tuning() -> Tuning {
    Tuning { clock: Some(|| 7), ..Tuning::default() }
}

async fn start(kafka: Arc<MemoryKafka>, edge: &str) -> Bridge {
    Bridge::start_with(kafka, edge, &[], tuning()).await
}

async fn until_edge(edge: &Edge, what: &str, condition: impl Fn(&EdgeState) -> bool) {
    until(what, || condition(&edge.state())).await;
}

fn header(record: &NewRecord, name: &str) -> String {
    String::from_utf8(record.headers.get(name).cloned().unwrap_or_default()).unwrap()
}
