//! Events from the edge to Kafka, over HTTP.
//!
//! - [`write`]: acknowledgements, failures, queues and batches.
//! - [`idempotency`]: repeated ids.
//! - [`http`]: signatures, rejections, readiness, drain and metrics.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod http;
mod idempotency;
#[path = "../support/mod.rs"]
mod support;
mod write;

use std::{sync::Arc, time::Duration};

use causeway_protocol::signature::{Direction, KeyRing, Signed};
use kafka_bridge::{
    clock::unix_seconds, inbound::InboundLimits, kafka::KafkaError, listen::ClientTimeouts, server::Tuning,
};
use serde_json::json;
use support::{Bridge, event, keys, memory_kafka::MemoryKafka, until};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// An address without an edge, which these tests do not need.
const NO_EDGE: &str = "http://127.0.0.1:9";

fn kafka() -> Arc<MemoryKafka> {
    MemoryKafka::new(&[("chat.inbound", 4), ("chat.outbound", 1)])
}

fn limits(inbound: InboundLimits) -> Tuning {
    Tuning { inbound, ..Tuning::default() }
}
