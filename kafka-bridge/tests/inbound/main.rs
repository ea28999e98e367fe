//! Events from the edge to Kafka, over HTTP.
//!
//! - [`write`]: acknowledgements, failures, queues and batches.
//! - [`pace`]: when events are written, and what one partition's trouble costs the others.
//! - [`echo`]: the user's own words on the user's streams.
//! - [`idempotency`]: repeated ids.
//! - [`sharing`]: repeated ids at several instances.
//! - [`search`]: repeated ids at several instances that share no memory.
//! - [`http`]: signatures, rejections, readiness, drain and metrics.
//! - [`paused`]: the inbound side alone, with paused time.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod echo;
mod http;
mod idempotency;
mod pace;
mod paused;
mod search;
mod sharing;
#[path = "../support/mod.rs"]
mod support;
mod write;

use std::{sync::Arc, time::Duration};

use causeway_protocol::{
    deliver::WIRE_VERSION,
    signature::{Direction, KeyRing, Signed},
};
use kafka_bridge::{
    clock::unix_seconds, inbound::InboundLimits, kafka::KafkaError, listen::ClientTimeouts, server::Tuning,
};
use serde_json::json;
use support::{Bridge, TEST_TIMEOUT, event, keys, memory_kafka::MemoryKafka, until};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// An address without an edge, which these tests do not need.
const NO_EDGE: &str = "http://127.0.0.1:9";

fn kafka() -> Arc<MemoryKafka> {
    MemoryKafka::new(&[("chat.inbound", 4), ("chat.outbound", 1)])
}

/// A bridge without an echo, so that a test counts one record an event.
async fn start(kafka: &Arc<MemoryKafka>, tuning: Tuning) -> Bridge {
    let channels = r#"[{"name":"chat","inbound":"chat.inbound"},{"name":"answers","outbound":"chat.outbound"}]"#;
    Bridge::start_with(kafka.clone(), NO_EDGE, &[("BRIDGE_CHANNELS", channels)], tuning).await
}

fn limits(inbound: InboundLimits) -> Tuning {
    Tuning { inbound, ..Tuning::default() }
}
