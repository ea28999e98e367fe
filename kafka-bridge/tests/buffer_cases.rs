//! The cases that the edge's buffer satisfies as well, against Redis.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

mod support;

use std::time::Duration;

use causeway_protocol::{
    buffer::cases::{Received, Step, cases},
    hub::HubMessage,
    subject::Subject,
};
use kafka_bridge::redis_store::{BufferLimits, ReadPosition, UserBuffers};
use support::redis::{RedisServer, user};

/// An arbitrary time later than the longest age.
const START_MS: u64 = 1_800_000_000_000;

async fn read_all(buffer: &UserBuffers, subject: &Subject, position: &mut ReadPosition) -> Vec<Received> {
    let mut received = Vec::new();
    loop {
        let page = buffer.page(subject, position).await.unwrap();
        received.extend(page.messages.into_iter().map(|message| match message {
            HubMessage::Record { cursor, .. } => Received::Record(cursor),
            HubMessage::Reset { reason } => Received::Reset(reason),
            HubMessage::End { .. } => panic!("the session has not ended"),
        }));
        if !page.more {
            return received;
        }
    }
}

#[tokio::test]
async fn redis_satisfies_the_shared_cases() {
    let Some(redis) = RedisServer::start().await else { return };
    let buffer = redis.buffer(BufferLimits::default());
    let ms = |at: Duration| START_MS + u64::try_from(at.as_millis()).unwrap();
    for (n, case) in cases().into_iter().enumerate() {
        let (subject, name) = (user(&n.to_string()), case.name);
        let mut position = ReadPosition::default();
        for (step_number, step) in case.steps.into_iter().enumerate() {
            match step {
                Step::Append { at, records } => {
                    let partition = records.first().unwrap().cursor.partition;
                    buffer.append(&subject, partition, &records, ms(at)).await.unwrap();
                }
                Step::Open { at, last_event_id, expected } => {
                    let (opened, reset) = buffer.open(&subject, last_event_id, ms(at)).await.unwrap();
                    position = opened;
                    let mut received: Vec<_> = reset.into_iter().map(Received::Reset).collect();
                    received.extend(read_all(&buffer, &subject, &mut position).await);
                    assert_eq!(received, expected, "{name}, step {step_number}");
                }
                Step::ReadOn { expected } => {
                    let received = read_all(&buffer, &subject, &mut position).await;
                    assert_eq!(received, expected, "{name}, step {step_number}");
                }
            }
        }
    }
}
