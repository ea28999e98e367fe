//! The users' buffers in a real Redis: which records are kept, which are rejected, and where a client resumes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod support;

use std::time::Duration;

use causeway_protocol::hub::{HubMessage, ResetReason};
use kafka_bridge::redis_store::{BufferLimits, ReadPosition};
use support::redis::{RedisServer, receive_all, record, record_of, records, user};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// An arbitrary time. Only the tests advance it.
const NOW: u64 = 1_800_000_000_000;

fn ids(offsets: std::ops::Range<i64>) -> Vec<String> {
    offsets.map(|offset| format!("v1.1.0.{offset}")).collect()
}

#[tokio::test]
async fn redis_rejects_records_that_a_buffer_had_before() {
    let Some(redis) = RedisServer::start().await else { return };
    let (buffer, a) = (redis.buffer(BufferLimits::default()), user("a"));
    assert_eq!(buffer.append(&a, 0, &records(0..3), NOW).await, Ok(3));
    assert_eq!(buffer.append(&a, 0, &records(0..4), NOW).await, Ok(1), "only the new one");
    assert_eq!(receive_all(&buffer, &a, None, NOW).await, (None, ids(0..4)));
    // A new epoch begins at 0 again. A late record of the old one is rejected.
    let mixed = [record(2, 0, 0), record(1, 0, 9), record(2, 0, 1)];
    assert_eq!(buffer.append(&a, 0, &mixed, NOW).await, Ok(2));
    let all = [ids(0..4), vec!["v1.2.0.0".to_owned(), "v1.2.0.1".to_owned()]].concat();
    assert_eq!(receive_all(&buffer, &a, None, NOW).await, (None, all));
    // Another partition of the same user has its own offsets. Another user has its own buffer.
    assert_eq!(buffer.append(&a, 1, &[record(1, 1, 0)], NOW).await, Ok(1));
    assert_eq!(buffer.append(&user("b"), 0, &records(0..1), NOW).await, Ok(1));
    // The lowest possible coordinates are accepted.
    assert_eq!(buffer.append(&user("c"), 0, &[record(0, 0, 0)], NOW).await, Ok(1));
    assert_eq!(receive_all(&buffer, &user("c"), None, NOW).await, (None, vec!["v1.0.0.0".to_owned()]));
}

#[tokio::test]
async fn partitions_are_merged_in_the_order_of_arrival() {
    let Some(redis) = RedisServer::start().await else { return };
    let (buffer, a) = (redis.buffer(BufferLimits { page_records: 3, ..BufferLimits::default() }), user("a"));
    let mut expected = Vec::new();
    for n in 0..40 {
        let partition = [0, 3, 1, 0, 12][n % 5];
        let offset = i64::try_from(n).unwrap();
        buffer.append(&a, partition, &[record(0, partition, offset)], NOW).await.unwrap();
        expected.push(format!("v1.0.{partition}.{offset}"));
    }
    assert_eq!(receive_all(&buffer, &a, None, NOW).await, (None, expected.clone()));
    for n in [0, 7, 39] {
        assert_eq!(receive_all(&buffer, &a, Some(&expected[n]), NOW).await, (None, expected[n + 1..].to_vec()));
    }
}

#[tokio::test]
async fn a_buffer_is_limited_in_records_and_age() {
    let Some(redis) = RedisServer::start().await else { return };
    let (buffer, a) = (redis.buffer(BufferLimits::default()), user("a"));
    for partition in 0..2 {
        let few: Vec<_> = (0..400).map(|offset| record(0, partition, offset)).collect();
        buffer.append(&a, partition, &few, NOW).await.unwrap();
    }
    let (_, received) = receive_all(&buffer, &a, None, NOW).await;
    assert_eq!((received.len(), received[0].as_str()), (500, "v1.0.0.300"), "across all partitions");
    assert_eq!(redis.command::<u64>(&["XLEN", "causeway:{t:a}:partition:0"]).await, 100);

    buffer.append(&a, 1, &[record(0, 1, 400)], NOW + DAY_MS / 2).await.unwrap();
    let (_, received) = receive_all(&buffer, &a, None, NOW + DAY_MS + 1).await;
    assert_eq!(received, ["v1.0.1.400"], "the others are too old");
    assert_eq!(redis.command::<u64>(&["XLEN", "causeway:{t:a}:partition:0"]).await, 0, "and deleted");
    assert_eq!(buffer.append(&a, 0, &[record(0, 0, 399)], NOW + DAY_MS + 1).await, Ok(0), "but still rejected");

    for key in redis.command::<Vec<String>>(&["KEYS", "*"]).await {
        let expires_in: i64 = redis.command(&["PTTL", &key]).await;
        assert!((6 * 86_400_000..=7 * 86_400_000).contains(&expires_in), "{key} {expires_in}");
    }
}

#[tokio::test]
async fn a_clock_set_back_leaves_no_gap() {
    let Some(redis) = RedisServer::start().await else { return };
    let (buffer, a) = (redis.buffer(BufferLimits::default()), user("a"));
    for (offset, now_ms) in [(0, NOW + 1000), (1, NOW), (2, NOW + 2000)] {
        buffer.append(&a, 0, &[record(1, 0, offset)], now_ms).await.unwrap();
    }
    for passed in [500, 1500, 2500] {
        let (_, received) = receive_all(&buffer, &a, None, NOW + DAY_MS + passed).await;
        assert_eq!(received, ids(3 - i64::try_from(received.len()).unwrap()..3), "after {passed} ms");
    }
}

#[tokio::test]
async fn a_client_resumes_after_its_cursor_or_is_reset() {
    let Some(redis) = RedisServer::start().await else { return };
    let buffer = redis.buffer(BufferLimits::default());
    let (few, many, none) = (user("few"), user("many"), user("none"));
    buffer.append(&few, 0, &records(0..5), NOW).await.unwrap();
    buffer.append(&many, 0, &records(0..510), NOW).await.unwrap();
    let (lost, bad) = (Some(ResetReason::OutOfBuffer), Some(ResetReason::BadCursor));
    let later = NOW + DAY_MS + 1;
    for (subject, last_event_id, now_ms, reset, received) in [
        (&few, None, NOW, None, 0..5),
        (&few, Some(""), NOW, None, 0..5),
        (&few, Some("v1.1.0.2"), NOW, None, 3..5),
        (&few, Some("v1.1.0.4"), NOW, None, 5..5),
        (&few, Some("v1.1.0.5"), NOW, lost, 0..5),
        (&few, Some("v1.2.0.2"), NOW, lost, 0..5),
        (&few, Some("v1.1.7.2"), NOW, lost, 0..5),
        (&few, Some("v1.4294967295.2147483647.9223372036854775807"), NOW, lost, 0..5),
        (&few, Some("nonsense"), NOW, bad, 0..5),
        (&few, Some("v2.1.0.2"), NOW, bad, 0..5),
        (&none, None, NOW, None, 0..0),
        (&none, Some("v1.1.0.2"), NOW, lost, 0..0),
        (&none, Some("nonsense"), NOW, bad, 0..0),
        (&many, Some("v1.1.0.3"), NOW, lost, 10..510),
        (&many, Some("v1.1.0.10"), NOW, None, 11..510),
        // All records have expired. Only a client that had all of them can resume exactly.
        (&few, Some("v1.1.0.4"), later, None, 0..0),
        (&few, Some("v1.1.0.3"), later, lost, 0..0),
        (&few, None, later, None, 0..0),
    ] {
        let expected = (reset, ids(received));
        assert_eq!(receive_all(&buffer, subject, last_event_id, now_ms).await, expected, "{subject} {last_event_id:?}");
    }
    // A client that had the last expired record resumes after it, as long as it is the newest of its partition.
    buffer.append(&few, 1, &[record(1, 1, 0)], later).await.unwrap();
    assert_eq!(receive_all(&buffer, &few, Some("v1.1.0.4"), later).await, (None, vec!["v1.1.1.0".to_owned()]));
    buffer.append(&few, 0, &records(5..6), later).await.unwrap();
    assert_eq!(receive_all(&buffer, &few, Some("v1.1.0.4"), later).await.0, lost);
    // The newest record of a partition was dropped, and so was a later one of another partition: not exact.
    let two = user("two");
    buffer.append(&two, 0, &records(0..1), NOW).await.unwrap();
    buffer.append(&two, 1, &[record(1, 1, 0)], NOW).await.unwrap();
    assert_eq!(receive_all(&buffer, &two, Some("v1.1.0.0"), later).await.0, lost);
    assert_eq!(receive_all(&buffer, &two, Some("v1.1.1.0"), later).await.0, None);
}

async fn read_page(buffer: &kafka_bridge::redis_store::UserBuffers, position: &mut ReadPosition) -> Vec<String> {
    let page = buffer.page(&user("a"), position).await.unwrap();
    let describe = |message: HubMessage| match message {
        HubMessage::Record { cursor, .. } => cursor.to_string(),
        HubMessage::Reset { reason } => format!("{reason:?}"),
        HubMessage::End { reason } => format!("{reason:?}"),
    };
    page.messages.into_iter().map(describe).collect()
}

#[tokio::test]
async fn a_reader_whose_position_was_trimmed_is_reset() {
    let Some(redis) = RedisServer::start().await else { return };
    let (buffer, a) =
        (redis.buffer(BufferLimits { records: 5, page_records: 2, ..BufferLimits::default() }), user("a"));
    buffer.append(&a, 0, &records(0..4), NOW).await.unwrap();
    let (mut position, _) = buffer.open(&a, None, NOW).await.unwrap();
    assert_eq!(read_page(&buffer, &mut position).await, ids(0..2));
    buffer.append(&a, 0, &records(4..20), NOW).await.unwrap();
    assert_eq!(read_page(&buffer, &mut position).await, [vec!["TooSlow".to_owned()], ids(15..17)].concat());
    assert_eq!(read_page(&buffer, &mut position).await, ids(17..19));
}

#[tokio::test]
async fn readers_of_a_lost_buffer_are_reset_and_start_again() {
    let Some(redis) = RedisServer::start().await else { return };
    let (buffer, a) = (redis.buffer(BufferLimits::default()), user("a"));
    // A buffer that does not exist yet is not a lost one.
    let (mut early, _) = buffer.open(&a, None, NOW).await.unwrap();
    buffer.append(&a, 0, &records(0..3), NOW).await.unwrap();
    assert_eq!(read_page(&buffer, &mut early).await, ids(0..3));
    let mut other = early.clone();

    redis.command::<()>(&["FLUSHALL"]).await;
    assert_eq!(read_page(&buffer, &mut early).await, ["OutOfBuffer"]);
    assert!(read_page(&buffer, &mut early).await.is_empty());
    buffer.append(&a, 0, &records(1..9), NOW).await.unwrap();
    assert_eq!(read_page(&buffer, &mut early).await, ids(1..9));
    // A reader that did not notice: its sequence number belongs to another record now.
    assert_eq!(read_page(&buffer, &mut other).await, ["OutOfBuffer"]);
    assert_eq!(read_page(&buffer, &mut other).await, ids(1..9));

    // Only the hash is lost.
    redis.command::<()>(&["DEL", "causeway:{t:a}:buffer"]).await;
    buffer.append(&a, 0, &records(3..5), NOW).await.unwrap();
    assert_eq!(read_page(&buffer, &mut other).await, ["OutOfBuffer"]);
    assert_eq!(read_page(&buffer, &mut other).await, ids(3..5));
}

#[tokio::test]
async fn pages_are_limited_in_bytes_and_keep_any_json_unchanged() {
    let Some(redis) = RedisServer::start().await else { return };
    let (buffer, a) = (redis.buffer(BufferLimits::default()), user("a"));
    let large = format!("\"{}\"", "ü\\u0000".repeat(20_000));
    let big: Vec<_> = (0..4).map(|offset| record_of(1, 0, offset, &large)).collect();
    buffer.append(&a, 0, &big, NOW).await.unwrap();
    let (mut position, _) = buffer.open(&a, None, NOW).await.unwrap();
    let page = buffer.page(&a, &mut position).await.unwrap();
    assert!(page.more);
    let [HubMessage::Record { event, .. }] = page.messages.as_slice() else {
        panic!("{} records", page.messages.len())
    };
    assert_eq!(event.get(), serde_json::to_string(&big[0].event).unwrap());
    assert_eq!(receive_all(&buffer, &a, None, NOW).await, (None, ids(0..4)));
}

#[tokio::test]
async fn a_key_of_the_wrong_type_fails_only_its_user() {
    let Some(redis) = RedisServer::start().await else { return };
    let buffer = redis.buffer(BufferLimits::default());
    redis.command::<()>(&["SET", "causeway:{t:a}:partition:0", "x"]).await;
    redis.command::<()>(&["SET", "causeway:{t:b}:buffer", "x"]).await;
    // A key that is not a stream is replaced, because the user has no hash yet.
    assert_eq!(buffer.append(&user("a"), 0, &records(0..1), NOW).await, Ok(1));
    let error = buffer.append(&user("b"), 0, &records(0..1), NOW).await.unwrap_err();
    assert!(!error.is_outage(), "{error}");
}

#[tokio::test]
async fn a_stopped_redis_is_an_outage_until_it_restarts() {
    let Some(mut redis) = RedisServer::start().await else { return };
    let (buffer, a) = (redis.buffer(BufferLimits::default()), user("a"));
    buffer.append(&a, 0, &records(0..1), NOW).await.unwrap();
    redis.kill();
    let error = buffer.append(&a, 0, &records(1..2), NOW).await.unwrap_err();
    assert!(error.is_outage(), "{error}");
    redis.restart(true).await;
    let again = async {
        while buffer.append(&a, 0, &records(1..2), NOW).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(support::TEST_TIMEOUT, again).await.unwrap();
    assert_eq!(receive_all(&buffer, &a, None, NOW).await, (None, ids(0..2)));
}
