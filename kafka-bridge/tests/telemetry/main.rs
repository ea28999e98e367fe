//! What the bridge tells operators about itself.
//!
//! - [`check`]: what `kafka-bridge --check` says about variables of OpenTelemetry.
//! - [`trace`]: the spans that a collector gets.
//! - [`metrics`]: `/metrics`, and docs/metrics.md that describes it.
//! - [`prometheus`]: a real Prometheus reads `/metrics` with the rules of docs/prometheus.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]

mod check;
mod metrics;
mod prometheus;
#[path = "../support/mod.rs"]
mod support;
mod trace;

use std::{path::PathBuf, sync::Arc};

use kafka_bridge::server::Tuning;
use support::{Bridge, edge::Edge, memory_kafka::MemoryKafka, until};

const TOPIC: &str = "chat.outbound";

fn kafka() -> Arc<MemoryKafka> {
    MemoryKafka::new(&[("chat.inbound", 1), (TOPIC, 1)])
}

/// Epochs begin at 7.
fn tuning() -> Tuning {
    Tuning { clock: Some(|| 7), ..Tuning::default() }
}

fn docs() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

/// A bridge that has written an event and delivered its echo.
async fn used_bridge(kafka: &Arc<MemoryKafka>, edge: &Edge) -> Bridge {
    let bridge = Bridge::start_with(kafka.clone(), &edge.url, &[], tuning()).await;
    bridge.post_text("e1", "x").await.unwrap().accepted();
    until("its echo is delivered", || edge.state().next_offset(0) == Some(1)).await;
    bridge
}

async fn scrape(bridge: &Bridge) -> String {
    bridge.http.get(bridge.url("/metrics")).send().await.unwrap().text().await.unwrap()
}
