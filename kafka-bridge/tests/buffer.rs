//! Users' buffers in a real Redis: what is kept, what is refused, and where a client goes on.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod support;

use std::time::Duration;

use causeway_protocol::hub::{HubMessage, ResetReason};
use kafka_bridge::hop::{Limits, Place};
use support::redis::{RedisServer, hears, record, record_of, records, user};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// Any time will do; it only moves as the tests say.
const NOW: u64 = 1_800_000_000_000;

fn ids(offsets: std::ops::Range<i64>) -> Vec<String> {
    offsets.map(|offset| format!("v1.1.0.{offset}")).collect()
}

#[tokio::test]
async fn what_was_there_once_is_refused_by_redis_itself() {
    let Some(redis) = RedisServer::start().await else { return };
    let (buffer, a) = (redis.buffer(Limits::default()), user("a"));
    assert_eq!(buffer.append(&a, 0, &records(0..3), NOW).await, Ok(3));
    assert_eq!(buffer.append(&a, 0, &records(0..4), NOW).await, Ok(1), "only the new one");
    assert_eq!(hears(&buffer, &a, None, NOW).await, (None, ids(0..4)));
    // A new epoch begins again at 0; what comes late from the old one is refused.
    let mixed = [record(2, 0, 0), record(1, 0, 9), record(2, 0, 1)];
    assert_eq!(buffer.append(&a, 0, &mixed, NOW).await, Ok(2));
    let all = [ids(0..4), vec!["v1.2.0.0".to_owned(), "v1.2.0.1".to_owned()]].concat();
    assert_eq!(hears(&buffer, &a, None, NOW).await, (None, all));
    // Another partition of the same user has its own offsets, another user its own everything.
    assert_eq!(buffer.append(&a, 1, &[record(1, 1, 0)], NOW).await, Ok(1));
    assert_eq!(buffer.append(&user("b"), 0, &records(0..1), NOW).await, Ok(1));
    // The very first coordinates there are.
    assert_eq!(buffer.append(&user("c"), 0, &[record(0, 0, 0)], NOW).await, Ok(1));
    assert_eq!(hears(&buffer, &user("c"), None, NOW).await, (None, vec!["v1.0.0.0".to_owned()]));
}

#[tokio::test]
async fn partitions_are_heard_in_the_order_of_arrival() {
    let Some(redis) = RedisServer::start().await else { return };
    let (buffer, a) = (redis.buffer(Limits { page_records: 3, ..Limits::default() }), user("a"));
    let mut expected = Vec::new();
    for n in 0..40 {
        let partition = [0, 3, 1, 0, 12][n % 5];
        let offset = i64::try_from(n).unwrap();
        buffer.append(&a, partition, &[record(0, partition, offset)], NOW).await.unwrap();
        expected.push(format!("v1.0.{partition}.{offset}"));
    }
    assert_eq!(hears(&buffer, &a, None, NOW).await, (None, expected.clone()));
    for n in [0, 7, 39] {
        assert_eq!(hears(&buffer, &a, Some(&expected[n]), NOW).await, (None, expected[n + 1..].to_vec()));
    }
}

#[tokio::test]
async fn it_keeps_so_many_records_of_a_user_for_so_long() {
    let Some(redis) = RedisServer::start().await else { return };
    let (buffer, a) = (redis.buffer(Limits::default()), user("a"));
    for partition in 0..2 {
        let some: Vec<_> = (0..400).map(|offset| record(0, partition, offset)).collect();
        buffer.append(&a, partition, &some, NOW).await.unwrap();
    }
    let (_, heard) = hears(&buffer, &a, None, NOW).await;
    assert_eq!((heard.len(), heard[0].as_str()), (500, "v1.0.0.300"), "over all partitions together");
    assert_eq!(redis.command::<u64>(&["XLEN", "causeway:{t:a}:partition:0"]).await, 100);

    buffer.append(&a, 1, &[record(0, 1, 400)], NOW + DAY_MS / 2).await.unwrap();
    let (_, heard) = hears(&buffer, &a, None, NOW + DAY_MS + 1).await;
    assert_eq!(heard, ["v1.0.1.400"], "the rest is too old");
    assert_eq!(redis.command::<u64>(&["XLEN", "causeway:{t:a}:partition:0"]).await, 0, "and gone");
    assert_eq!(buffer.append(&a, 0, &[record(0, 0, 399)], NOW + DAY_MS + 1).await, Ok(0), "but not forgotten");

    for key in redis.command::<Vec<String>>(&["KEYS", "*"]).await {
        let expires_in: i64 = redis.command(&["PTTL", &key]).await;
        assert!((6 * 86_400_000..=7 * 86_400_000).contains(&expires_in), "{key} {expires_in}");
    }
}

#[tokio::test]
async fn a_clock_that_goes_back_leaves_no_hole() {
    let Some(redis) = RedisServer::start().await else { return };
    let (buffer, a) = (redis.buffer(Limits::default()), user("a"));
    for (offset, now_ms) in [(0, NOW + 1000), (1, NOW), (2, NOW + 2000)] {
        buffer.append(&a, 0, &[record(1, 0, offset)], now_ms).await.unwrap();
    }
    for passed in [500, 1500, 2500] {
        let (_, heard) = hears(&buffer, &a, None, NOW + DAY_MS + passed).await;
        assert_eq!(heard, ids(3 - i64::try_from(heard.len()).unwrap()..3), "after {passed} ms");
    }
}

#[tokio::test]
async fn a_client_goes_on_where_it_left_or_is_told() {
    let Some(redis) = RedisServer::start().await else { return };
    let buffer = redis.buffer(Limits::default());
    let (some, many, none) = (user("some"), user("many"), user("none"));
    buffer.append(&some, 0, &records(0..5), NOW).await.unwrap();
    buffer.append(&many, 0, &records(0..510), NOW).await.unwrap();
    let (lost, bad) = (Some(ResetReason::OutOfBuffer), Some(ResetReason::BadCursor));
    let later = NOW + DAY_MS + 1;
    for (subject, last_event_id, now_ms, reset, heard) in [
        (&some, None, NOW, None, 0..5),
        (&some, Some(""), NOW, None, 0..5),
        (&some, Some("v1.1.0.2"), NOW, None, 3..5),
        (&some, Some("v1.1.0.4"), NOW, None, 5..5),
        (&some, Some("v1.1.0.5"), NOW, lost, 0..5),
        (&some, Some("v1.2.0.2"), NOW, lost, 0..5),
        (&some, Some("v1.1.7.2"), NOW, lost, 0..5),
        (&some, Some("v1.4294967295.2147483647.9223372036854775807"), NOW, lost, 0..5),
        (&some, Some("nonsense"), NOW, bad, 0..5),
        (&some, Some("v2.1.0.2"), NOW, bad, 0..5),
        (&none, None, NOW, None, 0..0),
        (&none, Some("v1.1.0.2"), NOW, lost, 0..0),
        (&none, Some("nonsense"), NOW, bad, 0..0),
        (&many, Some("v1.1.0.3"), NOW, lost, 10..510),
        (&many, Some("v1.1.0.10"), NOW, None, 11..510),
        // All grown old: exact for who had everything, and for nobody else.
        (&some, Some("v1.1.0.4"), later, None, 0..0),
        (&some, Some("v1.1.0.3"), later, lost, 0..0),
        (&some, None, later, None, 0..0),
    ] {
        let expected = (reset, ids(heard));
        assert_eq!(hears(&buffer, subject, last_event_id, now_ms).await, expected, "{subject} {last_event_id:?}");
    }
    // What comes after the last that grew old is heard by who had it, as long as that is its partition's newest.
    buffer.append(&some, 1, &[record(1, 1, 0)], later).await.unwrap();
    assert_eq!(hears(&buffer, &some, Some("v1.1.0.4"), later).await, (None, vec!["v1.1.1.0".to_owned()]));
    buffer.append(&some, 0, &records(5..6), later).await.unwrap();
    assert_eq!(hears(&buffer, &some, Some("v1.1.0.4"), later).await.0, lost);
    // The newest of a partition, dropped, with something dropped after it in another: no longer exact.
    let two = user("two");
    buffer.append(&two, 0, &records(0..1), NOW).await.unwrap();
    buffer.append(&two, 1, &[record(1, 1, 0)], NOW).await.unwrap();
    assert_eq!(hears(&buffer, &two, Some("v1.1.0.0"), later).await.0, lost);
    assert_eq!(hears(&buffer, &two, Some("v1.1.1.0"), later).await.0, None);
}

async fn next(buffer: &kafka_bridge::hop::Buffer, place: &mut Place) -> Vec<String> {
    let page = buffer.page(&user("a"), place).await.unwrap();
    let tell = |message: HubMessage| match message {
        HubMessage::Record { cursor, .. } => cursor.to_string(),
        HubMessage::Reset { reason } => format!("{reason:?}"),
        HubMessage::End { reason } => format!("{reason:?}"),
    };
    page.messages.into_iter().map(tell).collect()
}

#[tokio::test]
async fn a_place_that_was_trimmed_meanwhile_is_told() {
    let Some(redis) = RedisServer::start().await else { return };
    let (buffer, a) = (redis.buffer(Limits { records: 5, page_records: 2, ..Limits::default() }), user("a"));
    buffer.append(&a, 0, &records(0..4), NOW).await.unwrap();
    let (mut place, _) = buffer.open(&a, None, NOW).await.unwrap();
    assert_eq!(next(&buffer, &mut place).await, ids(0..2));
    buffer.append(&a, 0, &records(4..20), NOW).await.unwrap();
    assert_eq!(next(&buffer, &mut place).await, [vec!["TooSlow".to_owned()], ids(15..17)].concat());
    assert_eq!(next(&buffer, &mut place).await, ids(17..19));
}

#[tokio::test]
async fn a_buffer_that_was_lost_is_told_and_begins_again() {
    let Some(redis) = RedisServer::start().await else { return };
    let (buffer, a) = (redis.buffer(Limits::default()), user("a"));
    // Nothing there yet is no loss.
    let (mut early, _) = buffer.open(&a, None, NOW).await.unwrap();
    buffer.append(&a, 0, &records(0..3), NOW).await.unwrap();
    assert_eq!(next(&buffer, &mut early).await, ids(0..3));
    let mut other = early.clone();

    redis.command::<()>(&["FLUSHALL"]).await;
    assert_eq!(next(&buffer, &mut early).await, ["OutOfBuffer"]);
    assert!(next(&buffer, &mut early).await.is_empty());
    buffer.append(&a, 0, &records(1..9), NOW).await.unwrap();
    assert_eq!(next(&buffer, &mut early).await, ids(1..9));
    // Who slept through it: its number means another record now.
    assert_eq!(next(&buffer, &mut other).await, ["OutOfBuffer"]);
    assert_eq!(next(&buffer, &mut other).await, ids(1..9));

    // Only half of it lost.
    redis.command::<()>(&["DEL", "causeway:{t:a}:buffer"]).await;
    buffer.append(&a, 0, &records(3..5), NOW).await.unwrap();
    assert_eq!(next(&buffer, &mut other).await, ["OutOfBuffer"]);
    assert_eq!(next(&buffer, &mut other).await, ids(3..5));
}

#[tokio::test]
async fn pages_are_bounded_by_bytes_and_any_json_survives() {
    let Some(redis) = RedisServer::start().await else { return };
    let (buffer, a) = (redis.buffer(Limits::default()), user("a"));
    let large = format!("\"{}\"", "ü\\u0000".repeat(20_000));
    let big: Vec<_> = (0..4).map(|offset| record_of(1, 0, offset, &large)).collect();
    buffer.append(&a, 0, &big, NOW).await.unwrap();
    let (mut place, _) = buffer.open(&a, None, NOW).await.unwrap();
    let page = buffer.page(&a, &mut place).await.unwrap();
    assert!(page.more);
    let [HubMessage::Record { event, .. }] = page.messages.as_slice() else {
        panic!("{} records", page.messages.len())
    };
    assert_eq!(event.get(), serde_json::to_string(&big[0].event).unwrap());
    assert_eq!(hears(&buffer, &a, None, NOW).await, (None, ids(0..4)));
}

#[tokio::test]
async fn a_user_whose_keys_are_not_ours_fails_alone() {
    let Some(redis) = RedisServer::start().await else { return };
    let buffer = redis.buffer(Limits::default());
    redis.command::<()>(&["SET", "causeway:{t:a}:partition:0", "x"]).await;
    redis.command::<()>(&["SET", "causeway:{t:b}:buffer", "x"]).await;
    // Not even created: what is no stream makes way for one.
    assert_eq!(buffer.append(&user("a"), 0, &records(0..1), NOW).await, Ok(1));
    let error = buffer.append(&user("b"), 0, &records(0..1), NOW).await.unwrap_err();
    assert!(!error.is_outage(), "{error}");
}

#[tokio::test]
async fn a_redis_that_is_away_is_an_outage_and_comes_back() {
    let Some(mut redis) = RedisServer::start().await else { return };
    let (buffer, a) = (redis.buffer(Limits::default()), user("a"));
    buffer.append(&a, 0, &records(0..1), NOW).await.unwrap();
    redis.kill();
    let error = buffer.append(&a, 0, &records(1..2), NOW).await.unwrap_err();
    assert!(error.is_outage(), "{error}");
    redis.start_again(true).await;
    let again = async {
        while buffer.append(&a, 0, &records(1..2), NOW).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(support::PATIENCE, again).await.unwrap();
    assert_eq!(hears(&buffer, &a, None, NOW).await, (None, ids(0..2)));
}
