//! `GET /v1/stream` and the delivery behind it, with a real Redis.
//!
//! - [`resume`]: from Kafka to the client, and resuming after a cursor.
//! - [`hole`]: what nobody received.
//! - [`replay`]: what a buffer no longer has.
//! - [`history`]: pages of earlier events.
//! - [`session`]: streams end with their sessions.
//! - [`slow_reader`]: idle streams, and clients that read slowly or not at all.
//! - [`redis_outage`]: broken connections to Redis, restarts and lost data.
//! - [`limit`]: who may open streams, how many, and what an idle stream costs.
//! - [`live`]: records from memory and with wakes.
//! - [`model`]: random deliveries, failures and readers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too, and one prints its memory use"
)]

mod history;
mod hole;
mod limit;
mod live;
mod model;
mod redis_outage;
mod replay;
mod resume;
mod session;
mod slow_reader;
#[path = "../support/mod.rs"]
mod support;

use std::{sync::Arc, time::Duration};

use causeway_protocol::{
    checkpoint::PartitionState,
    cursor::Cursor,
    deliver::{Item, Outcome, Slice, Source, WIRE_VERSION},
    feed::FeedPolicy,
    frame::gap_frame,
    hub::{EndReason, ResetReason},
    problem::Problem,
    signature::SIGNATURE_HEADER,
    stream::{END_CHANNEL, EndStreams, StreamRequest, ended_key},
    subject::Subject,
};
use kafka_bridge::{
    clock::unix_millis,
    listen::ClientTimeouts,
    outbound::{Sink as _, UserSlices},
    redis_store::BufferLimits,
    rejection::Rejection,
    replay::ReplayLimits,
    server::Tuning,
};
use support::{
    Bridge, TEST_TIMEOUT,
    memory_kafka::MemoryKafka,
    redis::{RedisServer, append, ids, large_slice, slice, slice_of, source, user},
    sse::{Sse, request, session, sign},
};

const TOPIC: &str = "chat.outbound";

fn kafka(partitions: usize) -> Arc<MemoryKafka> {
    MemoryKafka::new(&[("chat.inbound", 1), (TOPIC, partitions)])
}

/// A bridge on this Redis, without records in Kafka.
async fn idle_bridge(redis: &RedisServer) -> Bridge {
    Bridge::on_redis(kafka(1), redis, &[], Tuning::default()).await
}

/// SSE ids without their epoch, which depends on the clock for records from Kafka.
fn positions(ids: &[String]) -> Vec<String> {
    let of_cursor = |cursor: Cursor| format!("{}.{}", cursor.partition, cursor.position.offset);
    ids.iter().map(|id| of_cursor(id.parse().unwrap())).collect()
}

fn in_first_partition(offsets: std::ops::Range<i64>) -> Vec<String> {
    offsets.map(|offset| format!("0.{offset}")).collect()
}

async fn until_ready_is(bridge: &Bridge, status: u16) -> String {
    let becomes = async {
        loop {
            let answer = bridge.http.get(bridge.url("/readyz")).send().await.unwrap();
            if answer.status() == status {
                return answer.text().await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(TEST_TIMEOUT, becomes).await.unwrap()
}

async fn metric(bridge: &Bridge, line: &str) -> bool {
    let text = bridge.http.get(bridge.url("/metrics")).send().await.unwrap().text().await.unwrap();
    text.lines().any(|found| found == line)
}

async fn until_async(what: &str, condition: impl AsyncFn() -> bool) {
    let holds = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(TEST_TIMEOUT, holds).await.unwrap_or_else(|_| panic!("timed out waiting until {what}"));
}
