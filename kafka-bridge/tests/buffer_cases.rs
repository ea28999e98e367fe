//! The cases that the edge's buffer satisfies as well, against Redis.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

mod support;

use std::time::Duration;

use causeway_protocol::{
    buffer::cases::{Step, cases, ids_of, is_expected},
    deliver::Outcome,
};
use kafka_bridge::redis_store::{Appended, BufferLimits, ReadPosition};
use support::redis::{RedisServer, append, read_all, told, user};

/// An arbitrary time later than the longest age.
const START_MS: u64 = 1_800_000_000_000;

#[tokio::test]
async fn redis_satisfies_the_shared_cases() {
    let Some(redis) = RedisServer::start().await else { return };
    let buffer = redis.buffer(BufferLimits::default());
    let ms = |at: Duration| START_MS + u64::try_from(at.as_millis()).unwrap();
    for (n, case) in cases().into_iter().enumerate() {
        let (subject, name) = (user(&n.to_string()), case.name);
        let (mut position, mut heard) = (ReadPosition::default(), Vec::new());
        for (step_number, step) in case.steps.into_iter().enumerate() {
            match step {
                Step::Append { at, slice, expected } => {
                    let outcome = match append(&buffer, &subject, [slice], ms(at)).await.unwrap() {
                        Appended::Stored(_) => Outcome::Stored,
                        Appended::Stale => Outcome::Stale,
                        Appended::NoBuffer => Outcome::Later,
                    };
                    assert_eq!(outcome, expected, "{name}, step {step_number}");
                }
                Step::Open { at, last_event_id, channels, expected } => {
                    let opened = buffer.open(&subject, &channels, last_event_id.as_deref(), ms(at)).await;
                    let (opened, lost) = opened.unwrap();
                    (position, heard) = (opened, channels);
                    let mut received: Vec<_> = lost.into_iter().map(told).collect();
                    received.extend(read_all(&buffer, &subject, &heard, &mut position).await);
                    assert!(is_expected(&received, &expected), "{name}, step {step_number}: {received:?}");
                }
                Step::History { at, request, expected } => {
                    let page = buffer.history(&subject, &request, ms(at)).await.unwrap();
                    assert_eq!(page.as_ref().map(ids_of), expected, "{name}, step {step_number}");
                }
                Step::ReadOn { expected } => {
                    let received = read_all(&buffer, &subject, &heard, &mut position).await;
                    assert!(is_expected(&received, &expected), "{name}, step {step_number}: {received:?}");
                }
            }
        }
    }
}
