//! The users' buffers in a real Redis, beyond the cases that the edge's buffer shares (`buffer_cases.rs`).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking, in its helpers too")]

mod support;

use std::time::Duration;

use causeway_protocol::{
    buffer::cases::Received,
    checkpoint::{Checkpoint, CheckpointRequest, Operation},
    deliver::{Outcome, Slice, Source, WIRE_VERSION},
    hub::ResetReason,
};
use kafka_bridge::{
    clock::unix_millis,
    outbound::{Sink as _, SinkError, UserSlices},
    redis_store::{Appended, BufferLimits, ReadPosition, UserBuffers},
};
use support::redis::{
    RedisServer, append, channel, ids, instance::Instance, item, large_slice, read_all, receive_all, received, slice,
    slice_of, source, told, user,
};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// An arbitrary time. Only the tests advance it.
const NOW: u64 = 1_800_000_000_000;

/// What a client is told that misses the records up to an offset.
fn missing(until: i64) -> Option<Received> {
    Some(Received::Missing(format!("v2.chat.1.0.{until}")))
}

#[tokio::test]
async fn a_batch_is_answered_user_by_user() {
    let Some(redis) = RedisServer::start().await else { return };
    let instance = Instance::start(&redis).await;
    redis.command::<()>(&["SET", "causeway:{t:broken}:buffer", "x"]).await;
    append(&instance.buffers, &user("taken"), [slice_of(&Source { generation: 7, ..source(1, 0) }, [0])], NOW)
        .await
        .unwrap();
    let users = ["a", "broken", "taken", "b"].map(|id| UserSlices { subject: user(id), slices: vec![slice(0..2)] });
    let expected = [Outcome::Stored, Outcome::Later, Outcome::Stale, Outcome::Stored];
    for _ in 0..2 {
        assert_eq!(instance.sink.deliver(&users).await.unwrap(), expected, "and so is a repeat");
    }
    for id in ["a", "b"] {
        assert_eq!(receive_all(&instance.buffers, &user(id), None, unix_millis()).await, (None, ids(1, 0..2)));
    }
    // Redis forgets scripts when it restarts.
    redis.command::<()>(&["SCRIPT", "FLUSH"]).await;
    assert_eq!(instance.sink.deliver(&users).await.unwrap(), expected);
}

#[tokio::test]
async fn only_new_records_are_counted() {
    let Some(redis) = RedisServer::start().await else { return };
    let (buffer, a) = (redis.buffer(BufferLimits::default()), user("a"));
    assert_eq!(append(&buffer, &a, [slice(0..3)], NOW).await, Ok(Appended::Stored(3)));
    assert_eq!(append(&buffer, &a, [slice(0..4)], NOW).await, Ok(Appended::Stored(1)));
    // Another partition has its own offsets. Another user has another buffer.
    assert_eq!(append(&buffer, &a, [slice_of(&source(1, 1), [0])], NOW).await, Ok(Appended::Stored(1)));
    assert_eq!(append(&buffer, &user("b"), [slice(0..1)], NOW).await, Ok(Appended::Stored(1)));
    // The lowest and the highest possible coordinates.
    let ends = [slice_of(&source(0, 0), [0]), slice_of(&source(u32::MAX, i32::MAX), [i64::MAX - 1, i64::MAX])];
    assert_eq!(append(&buffer, &user("c"), ends, NOW).await, Ok(Appended::Stored(3)));
    let last = format!("v2.chat.{}.{}.{}", u32::MAX, i32::MAX, i64::MAX - 1);
    let (reset, rest) = receive_all(&buffer, &user("c"), Some(&last), NOW).await;
    assert_eq!((reset, rest.len()), (None, 1), "neighbours are told apart");
}

#[tokio::test]
async fn a_buffer_is_created_only_if_that_is_allowed() {
    let Some(redis) = RedisServer::start().await else { return };
    let buffer = redis.buffer(BufferLimits::default());
    let a = UserSlices { subject: user("a"), slices: vec![slice(0..1)] };
    assert_eq!(buffer.append(&[&a], false, NOW).await.unwrap(), [Ok(Appended::NoBuffer)]);
    assert!(redis.command::<Vec<String>>(&["KEYS", "*"]).await.is_empty());
    assert_eq!(buffer.append(&[&a], true, NOW).await.unwrap(), [Ok(Appended::Stored(1))]);
    assert_eq!(buffer.append(&[&a], false, NOW).await.unwrap(), [Ok(Appended::Stored(0))]);
}

#[tokio::test]
async fn a_buffer_is_limited_in_bytes() {
    let Some(redis) = RedisServer::start().await else { return };
    let limits = BufferLimits { bytes: 100_000, ..BufferLimits::default() };
    let (buffer, a) = (redis.buffer(limits), user("a"));
    let large = format!("\"{}\"", "x".repeat(10_000));
    for offset in 0..30 {
        append(&buffer, &a, [large_slice(offset..offset + 1, &large)], NOW).await.unwrap();
        let memory: u64 = redis.command(&["MEMORY", "USAGE", "causeway:{t:a}:records", "SAMPLES", "0"]).await;
        assert!(memory < 140_000, "{memory} bytes after {offset}");
    }
    let (_, received) = receive_all(&buffer, &a, None, NOW).await;
    assert_eq!(received, ids(1, 30 - i64::try_from(received.len()).unwrap()..30));
    assert!((7..=10).contains(&received.len()), "{}", received.len());
    let field: u64 = redis.command(&["HGET", "causeway:{t:a}:buffer", "bytes"]).await;
    assert!(field <= 105_000, "{field}");
}

#[tokio::test]
async fn an_idle_users_records_go_by_their_age() {
    let Some(redis) = RedisServer::start().await else { return };
    let limits = BufferLimits { age: Duration::from_secs(1), ..BufferLimits::default() };
    let (buffer, a) = (redis.buffer(limits), user("a"));
    append(&buffer, &a, [slice(0..3)], NOW).await.unwrap();
    let (mut position, _) = buffer.open(&a, &[], Some("v2.chat.1.0.1"), NOW).await.unwrap();
    let gone = async || redis.command::<u64>(&["EXISTS", "causeway:{t:a}:records"]).await == 0;
    let waiting = async {
        while !gone().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(support::TEST_TIMEOUT, waiting).await.unwrap();
    // Nobody looked, and they are gone. What the buffer knew of them is not.
    assert_eq!(receive_all(&buffer, &a, Some("v2.chat.1.0.2"), NOW).await, (None, vec![]));
    assert_eq!(receive_all(&buffer, &a, Some("v2.chat.1.0.1"), NOW).await, (missing(2), vec![]));
    let read = read_all(&buffer, &a, &[], &mut position).await;
    assert_eq!(read, Vec::from_iter(missing(2)), "an open stream that missed one hears of it");
    assert_eq!(append(&buffer, &a, [slice(0..4)], NOW + 1000).await, Ok(Appended::Stored(1)), "repeats are known");
    assert_eq!(receive_all(&buffer, &a, Some("v2.chat.1.0.2"), NOW + 1000).await, (None, ids(1, 3..4)));
    assert_eq!(read_all(&buffer, &a, &[], &mut position).await.len(), 1);
}

#[tokio::test]
async fn a_buffer_expires_after_a_week() {
    let Some(redis) = RedisServer::start().await else { return };
    let buffer = redis.buffer(BufferLimits::default());
    let mut piece = slice(0..1);
    piece.items[0].piece_of = Some("m".to_owned());
    append(&buffer, &user("a"), [piece], NOW).await.unwrap();
    for (key, days) in [("buffer", 7), ("records", 1), ("pieces", 1)] {
        let expires_in: u64 = redis.command(&["PTTL", &format!("causeway:{{t:a}}:{key}")]).await;
        assert!(((days * DAY_MS - 60_000)..=days * DAY_MS).contains(&expires_in), "{key} {expires_in}");
    }
}

#[tokio::test]
async fn a_clock_set_back_leaves_no_gap() {
    let Some(redis) = RedisServer::start().await else { return };
    let (buffer, a) = (redis.buffer(BufferLimits::default()), user("a"));
    for (offset, now_ms) in [(0, NOW + 1000), (1, NOW), (2, NOW + 2000)] {
        append(&buffer, &a, [slice(offset..offset + 1)], now_ms).await.unwrap();
    }
    for passed in [500, 1500, 2500] {
        let (_, received) = receive_all(&buffer, &a, None, NOW + DAY_MS + passed).await;
        assert_eq!(received, ids(1, 3 - i64::try_from(received.len()).unwrap()..3), "after {passed} ms");
    }
}

#[tokio::test]
async fn pieces_leave_nothing_behind() {
    let Some(redis) = RedisServer::start().await else { return };
    let limits = BufferLimits { messages: 4, slack_percent: 0, ..BufferLimits::default() };
    let (buffer, a) = (redis.buffer(limits), user("a"));
    let of = |message: &str, mut slice: Slice| {
        slice.items.iter_mut().for_each(|item| item.piece_of = Some(message.to_owned()));
        slice
    };
    // Two messages whose pieces alternate. Only one of them is completed. Ids may contain anything.
    let (first, second) = ("one\n ü", "two");
    for offset in 0..6 {
        let message = if offset % 2 == 0 { first } else { second };
        append(&buffer, &a, [of(message, slice(offset..offset + 1))], NOW).await.unwrap();
    }
    let mut whole = slice(6..7);
    whole.items[0].completes = Some(first.to_owned());
    append(&buffer, &a, [whole], NOW).await.unwrap();
    let expected: Vec<_> = [1, 3, 5, 6].iter().map(|offset| format!("v2.chat.1.0.{offset}")).collect();
    assert_eq!(receive_all(&buffer, &a, None, NOW).await, (None, expected));
    assert_eq!(redis.command::<Vec<String>>(&["HKEYS", "causeway:{t:a}:pieces"]).await, ["chat:two"]);
    // Other messages push the unfinished one out.
    append(&buffer, &a, [slice(7..11)], NOW).await.unwrap();
    assert_eq!(receive_all(&buffer, &a, None, NOW).await, (None, ids(1, 7..11)));
    assert_eq!(redis.command::<u64>(&["EXISTS", "causeway:{t:a}:pieces"]).await, 0);
    let bytes: usize = redis.command(&["HGET", "causeway:{t:a}:buffer", "bytes"]).await;
    assert_eq!(bytes, slice(7..11).items.iter().map(|item| item.frame.len()).sum::<usize>());
}

async fn read_page(buffer: &UserBuffers, position: &mut ReadPosition) -> Vec<Received> {
    received(&buffer.page(&user("a"), &[], position).await.unwrap())
}

fn records(offsets: std::ops::Range<i64>) -> Vec<Received> {
    ids(1, offsets).into_iter().map(Received::Record).collect()
}

#[tokio::test]
async fn a_reader_whose_position_was_trimmed_is_reset() {
    let Some(redis) = RedisServer::start().await else { return };
    let limits = BufferLimits { messages: 5, slack_percent: 0, page_records: 2, ..BufferLimits::default() };
    let (buffer, a) = (redis.buffer(limits), user("a"));
    append(&buffer, &a, [slice(0..4)], NOW).await.unwrap();
    let (mut position, _) = buffer.open(&a, &[], None, NOW).await.unwrap();
    assert_eq!(read_page(&buffer, &mut position).await, records(0..2));
    append(&buffer, &a, [slice(4..20)], NOW).await.unwrap();
    let missing = missing(14).into_iter().collect();
    assert_eq!(read_page(&buffer, &mut position).await, [missing, records(15..17)].concat());
    assert_eq!(read_page(&buffer, &mut position).await, records(17..19));
}

#[tokio::test]
async fn a_client_that_is_cut_off_between_what_it_missed_of_several_channels_is_told() {
    let Some(redis) = RedisServer::start().await else { return };
    let limits = BufferLimits { messages: 1, slack_percent: 0, ..BufferLimits::default() };
    let (buffer, names) = (redis.buffer(limits), ["chat", "feed", "news", "jobs"]);
    let of = |name: &str| Source { channel: channel(name), ..source(1, 0) };
    // Each channel's last gone record is the latest once.
    for last in 0..names.len() {
        let a = user(&last.to_string());
        let order: Vec<_> = (0..names.len()).map(|n| of(names[(last + 1 + n) % names.len()])).collect();
        let mut position = ReadPosition::default();
        for source in &order {
            append(&buffer, &a, [slice_of(source, [0])], NOW).await.unwrap();
            read_all(&buffer, &a, &[], &mut position).await;
        }
        for offset in 1..=2 {
            for source in &order {
                append(&buffer, &a, [slice_of(source, [offset])], NOW).await.unwrap();
            }
        }
        append(&buffer, &a, [slice_of(&of("end"), [0])], NOW).await.unwrap();
        let page = buffer.page(&a, &[], &mut position).await.unwrap();
        assert_eq!((page.reset, page.missing.len()), (None, names.len()));
        // The client gets these ranges one after another. It comes back with the id of the last record that it got.
        for (n, (_, until)) in page.missing.iter().enumerate() {
            let got_half = format!("v2.{}.1.0.1", until.channel);
            assert!(receive_all(&buffer, &a, Some(&got_half), NOW).await.0.is_some(), "{got_half} of {page:?}");
            let told = receive_all(&buffer, &a, Some(&until.to_string()), NOW).await.0;
            assert_eq!(told.is_none(), n + 1 == names.len(), "{until} of {page:?}");
        }
    }
}

#[tokio::test]
async fn records_of_other_channels_that_were_trimmed_concern_no_reader() {
    let Some(redis) = RedisServer::start().await else { return };
    let limits = BufferLimits { messages: 5, slack_percent: 0, ..BufferLimits::default() };
    let (buffer, a, feed) = (redis.buffer(limits), user("a"), [channel("feed")]);
    let of_feed = Source { channel: channel("feed"), ..source(1, 0) };
    append(&buffer, &a, [slice_of(&of_feed, [0])], NOW).await.unwrap();
    let (mut position, _) = buffer.open(&a, &feed, None, NOW).await.unwrap();
    assert_eq!(read_all(&buffer, &a, &feed, &mut position).await.len(), 1);
    append(&buffer, &a, [slice(0..20), slice_of(&of_feed, [1])], NOW).await.unwrap();
    let next = Received::Record("v2.feed.1.0.1".to_owned());
    assert_eq!(read_all(&buffer, &a, &feed, &mut position).await, [next]);
    let (_, lost) = buffer.open(&a, &feed, Some("v2.feed.1.0.0"), NOW).await.unwrap();
    assert_eq!(lost, None, "nor a client that resumes");
}

#[tokio::test]
async fn a_client_that_no_longer_hears_its_last_channel_gets_nothing_of_it() {
    let Some(redis) = RedisServer::start().await else { return };
    let limits = BufferLimits { messages: 3, slack_percent: 0, ..BufferLimits::default() };
    let (buffer, a, feed) = (redis.buffer(limits), user("a"), [channel("feed")]);
    let of_feed = Source { channel: channel("feed"), ..source(1, 0) };
    let record = |offset: i64| Received::Record(format!("v2.feed.1.0.{offset}"));
    let resume = async |id: &str| {
        let (mut position, lost) = buffer.open(&a, &feed, Some(id), NOW).await.unwrap();
        let read = read_all(&buffer, &a, &feed, &mut position).await;
        (lost.map(told), read)
    };
    append(&buffer, &a, [slice(0..5), slice_of(&of_feed, [0, 1])], NOW).await.unwrap();
    // The records 0 to 3 of `chat` are gone.
    for id in ["v2.chat.1.0.1", "v2.chat.1.0.3", "v2.chat.1.0.3-0", "v2.chat.1.0.4", "v2.chat.1.0.4-0"] {
        assert_eq!(resume(id).await, (None, vec![record(0), record(1)]), "{id}");
    }
    append(&buffer, &a, [slice_of(&of_feed, [2, 3])], NOW).await.unwrap();
    // Now the first one of `feed` is, and which of both came first is not known.
    let reset = Some(Received::Reset(ResetReason::OutOfBuffer));
    assert_eq!(resume("v2.chat.1.0.1").await, (reset, vec![record(1), record(2), record(3)]));
}

#[tokio::test]
async fn readers_of_a_lost_buffer_are_reset_and_start_again() {
    let Some(redis) = RedisServer::start().await else { return };
    let (buffer, a) = (redis.buffer(BufferLimits::default()), user("a"));
    let out_of_buffer = || vec![Received::Reset(ResetReason::OutOfBuffer)];
    // A buffer that does not exist yet is not a lost one.
    let (mut early, _) = buffer.open(&a, &[], None, NOW).await.unwrap();
    append(&buffer, &a, [slice(0..3)], NOW).await.unwrap();
    assert_eq!(read_page(&buffer, &mut early).await, records(0..3));
    let mut other = early.clone();

    redis.command::<()>(&["FLUSHALL"]).await;
    assert_eq!(read_page(&buffer, &mut early).await, out_of_buffer());
    assert!(read_page(&buffer, &mut early).await.is_empty());
    append(&buffer, &a, [slice(1..9)], NOW).await.unwrap();
    assert_eq!(read_page(&buffer, &mut early).await, records(1..9));
    // A reader that did not notice: its number belongs to another record now.
    assert_eq!(read_page(&buffer, &mut other).await, out_of_buffer());
    assert_eq!(read_page(&buffer, &mut other).await, records(1..9));

    // Only the state is lost.
    redis.command::<()>(&["DEL", "causeway:{t:a}:buffer"]).await;
    append(&buffer, &a, [slice(3..5)], NOW).await.unwrap();
    assert_eq!(read_page(&buffer, &mut other).await, out_of_buffer());
    assert_eq!(read_page(&buffer, &mut other).await, records(3..5));

    // Only the records are lost.
    redis.command::<()>(&["DEL", "causeway:{t:a}:records"]).await;
    append(&buffer, &a, [slice(3..6)], NOW).await.unwrap();
    assert_eq!(receive_all(&buffer, &a, None, NOW).await, (None, ids(1, 5..6)));
    assert_eq!(receive_all(&buffer, &a, Some("v2.chat.1.0.3"), NOW).await.0, missing(4));

    // The last writes are lost.
    redis.command::<()>(&["HSET", "causeway:{t:a}:buffer", "last", "1"]).await;
    assert_eq!(read_page(&buffer, &mut other).await, out_of_buffer());
}

#[tokio::test]
async fn pages_are_limited_in_bytes_and_keep_frames_as_they_are() {
    let Some(redis) = RedisServer::start().await else { return };
    let (buffer, a) = (redis.buffer(BufferLimits::default()), user("a"));
    let large = format!("\"{}\"", "ü\\u0000".repeat(20_000));
    append(&buffer, &a, [large_slice(0..4, &large)], NOW).await.unwrap();
    let (mut position, _) = buffer.open(&a, &[], None, NOW).await.unwrap();
    let page = buffer.page(&a, &[], &mut position).await.unwrap();
    assert!(page.more);
    assert_eq!(page.frames, [item(&source(1, 0), 0, &large).frame]);
    assert_eq!(receive_all(&buffer, &a, None, NOW).await, (None, ids(1, 0..4)));
}

fn request(operation: Operation) -> CheckpointRequest {
    let (channel, topic) = (channel("chat"), "chat.outbound".to_owned());
    CheckpointRequest { version: WIRE_VERSION, channel, topic, partition: 0, operation }
}

fn at(next_offset: i64) -> Checkpoint {
    Checkpoint { epoch: 1, next_offset, partitions: 1 }
}

#[tokio::test]
async fn emptied_redis_is_noticed_before_anything_is_stored() {
    let Some(redis) = RedisServer::start().await else { return };
    let instance = Instance::start(&redis).await;
    let claimed = instance.sink.checkpoint(&request(Operation::Claim(Some(at(0))))).await.unwrap();
    assert_eq!((claimed.state.generation, claimed.state.checkpoint), (1, Some(at(0))));
    let users = [UserSlices { subject: user("a"), slices: vec![slice(0..1)] }];
    assert_eq!(instance.sink.deliver(&users).await, Ok(vec![Outcome::Stored]));
    let advance = request(Operation::Advance { generation: 1, checkpoint: at(1) });
    assert_eq!(instance.sink.checkpoint(&advance).await.unwrap().state.checkpoint, Some(at(1)));
    assert!(!instance.sink.has_lost_checkpoint().await);

    redis.command::<()>(&["FLUSHALL"]).await;
    assert!(instance.sink.has_lost_checkpoint().await);
    let later = [UserSlices { subject: user("a"), slices: vec![slice(1..2)] }];
    assert_eq!(instance.sink.deliver(&later).await, Err(SinkError::CheckpointLost));
    assert_eq!(instance.sink.checkpoint(&advance).await, Err(SinkError::CheckpointLost));
    assert!(redis.command::<Vec<String>>(&["KEYS", "*"]).await.is_empty(), "it would hide the loss");
    // The partitions are planned again.
    assert_eq!(instance.sink.checkpoint(&request(Operation::Read)).await.unwrap().state.checkpoint, None);
    let claimed = instance.sink.checkpoint(&request(Operation::Claim(Some(at(0))))).await.unwrap();
    assert_eq!(claimed.state.generation, 1);
    assert_eq!(instance.sink.deliver(&users).await, Ok(vec![Outcome::Stored]));
}

#[tokio::test]
async fn a_replaced_reader_moves_no_checkpoint() {
    let Some(redis) = RedisServer::start().await else { return };
    let instances = [Instance::start(&redis).await, Instance::start(&redis).await];
    let perform = async |n: usize, operation| instances[n].sink.checkpoint(&request(operation)).await.unwrap();
    for n in 0..2 {
        let claimed = perform(n, Operation::Claim(None)).await;
        assert_eq!((claimed.state.generation, claimed.stale), (n as u64 + 1, false));
    }
    let stale = perform(0, Operation::Advance { generation: 1, checkpoint: at(9) }).await;
    assert_eq!((stale.stale, stale.state.checkpoint), (true, None));
    for (next_offset, expected) in [(5, 5), (3, 5), (6, 6)] {
        let moved = perform(1, Operation::Advance { generation: 2, checkpoint: at(next_offset) }).await;
        assert_eq!((moved.stale, moved.state.checkpoint), (false, Some(at(expected))));
    }
    assert_eq!(perform(0, Operation::Read).await.state.checkpoint, Some(at(6)));
}

#[tokio::test]
async fn a_stopped_redis_is_an_outage_until_it_restarts() {
    let Some(mut redis) = RedisServer::start().await else { return };
    let (buffer, a) = (redis.buffer(BufferLimits::default()), user("a"));
    append(&buffer, &a, [slice(0..1)], NOW).await.unwrap();
    redis.kill();
    let error = append(&buffer, &a, [slice(1..2)], NOW).await.unwrap_err();
    assert!(error.is_outage(), "{error}");
    redis.restart(true).await;
    let again = async {
        while append(&buffer, &a, [slice(1..2)], NOW).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(support::TEST_TIMEOUT, again).await.unwrap();
    assert_eq!(receive_all(&buffer, &a, None, NOW).await, (None, ids(1, 0..2)));
}
