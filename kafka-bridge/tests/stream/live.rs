//! Streams that keep up hear of records from memory or with a wake; others read the buffer. Nobody misses one or gets
//! it twice.

use super::*;
use support::redis::{channel, instance::Instance, item, large_slice, slice, slice_of, source};

/// An instance whose user `a` has a level stream that may hear from memory: it had a record of this reader.
async fn with_level_stream(redis: &RedisServer) -> (Instance, support::redis::instance::Client) {
    let instance = Instance::start(redis).await;
    let mut client = instance.open(&request(&user("a"), None)).await;
    client.settle().await;
    instance.deliver(&user("a"), &[slice(0..1)]).await;
    assert_eq!(client.ids(1).await, ids(1, 0..1));
    client.settle().await;
    (instance, client)
}

#[tokio::test]
async fn a_level_stream_hears_from_memory_while_redis_is_stuck() {
    let Some(redis) = RedisServer::start().await else { return };
    let (instance, mut client) = with_level_stream(&redis).await;
    let other = Instance::start(&redis).await;
    let mut elsewhere = other.open(&request(&user("a"), Some("v2.chat.1.0.0"))).await;
    elsewhere.settle().await;
    redis.suspend();
    instance.push(&user("a"), &[slice(1..3)]);
    let storing = async {
        assert_eq!(client.ids(2).await, ids(1, 1..3), "before Redis answers");
        redis.resume();
    };
    let (a, records) = (user("a"), [slice(1..3)]);
    let (stored, ()) = tokio::join!(instance.store(&a, &records), storing);
    assert_eq!(stored, Outcome::Stored);
    client.settle().await;
    assert_eq!(elsewhere.ids(2).await, ids(1, 1..3));
    instance.deliver(&user("a"), &[slice(3..4)]).await;
    for client in [&mut client, &mut elsewhere] {
        assert_eq!(client.ids(1).await, ids(1, 3..4), "nothing comes twice");
    }
}

#[tokio::test]
async fn a_record_that_is_shown_but_not_stored_is_delivered_again_and_heard_once() {
    let Some(mut redis) = RedisServer::start().await else { return };
    let (instance, mut client) = with_level_stream(&redis).await;
    redis.kill();
    let users = [UserSlices { subject: user("a"), slices: vec![slice(1..2)] }];
    instance.push(&user("a"), &users[0].slices);
    assert!(instance.sink.deliver(&users).await.is_err());
    assert_eq!(client.ids(1).await, ids(1, 1..2));
    redis.restart(true).await;
    let again = async || instance.sink.deliver(&users).await == Ok(vec![Outcome::Stored]);
    until_async("redis is back", again).await;
    instance.deliver(&user("a"), &[slice(2..3)]).await;
    assert_eq!(client.ids(1).await, ids(1, 2..3));

    // A client that resumes with a record that is not stored is believed to have it.
    let opens = async || instance.try_open(&request(&user("b"), None)).await.is_ok();
    until_async("streams can be opened", opens).await;
    instance.push(&user("a"), &[slice(3..4)]);
    let mut resumed = instance.open(&request(&user("a"), Some("v2.chat.1.0.3"))).await;
    resumed.settle().await;
    instance.deliver(&user("a"), &[slice(3..5)]).await;
    assert_eq!(resumed.ids(1).await, ids(1, 4..5));
}

#[tokio::test]
async fn a_wake_brings_the_records_themselves() {
    let Some(redis) = RedisServer::start().await else { return };
    let [here, there] = [Instance::start(&redis).await, Instance::start(&redis).await];
    let mut clients = [
        here.open(&request(&user("a"), None)).await,
        there.open(&request(&user("a"), None)).await,
        there.open(&StreamRequest { channels: vec![channel("feed")], ..request(&user("a"), None) }).await,
    ];
    for client in &mut clients {
        client.settle().await;
    }
    let reads = async || {
        let stats: String = redis.command(&["INFO", "commandstats"]).await;
        let of_list = stats.lines().find_map(|line| line.strip_prefix("cmdstat_lrange:calls=")?.split(',').next());
        of_list.map_or(0, |calls| calls.parse::<u64>().unwrap())
    };
    let before = reads().await;
    let feed = Source { channel: channel("feed"), ..source(1, 3) };
    for offset in 0..20 {
        here.deliver(&user("a"), &[slice(offset..offset + 1), slice_of(&feed, [offset])]).await;
        let both = [format!("v2.chat.1.0.{offset}"), format!("v2.feed.1.3.{offset}")];
        assert_eq!(clients[0].ids(2).await, both);
        assert_eq!(clients[1].ids(2).await, both, "in the order of the buffer");
        assert_eq!(clients[2].ids(1).await, both[1..], "only its channel");
    }
    assert_eq!(reads().await, before, "nothing was read back");

    // A wake that would be too large makes only those streams read that don't have the records.
    let large = format!("\"{}\"", "x".repeat(40_000));
    here.deliver(&user("a"), &[large_slice(20..22, &large)]).await;
    assert_eq!(clients[0].ids(2).await, ids(1, 20..22));
    assert_eq!(clients[1].ids(2).await, ids(1, 20..22));
    assert!(reads().await > before);
    let reads_before = reads().await;
    here.deliver(&user("a"), &[slice(22..23)]).await;
    for client in &mut clients[..2] {
        assert_eq!(client.ids(1).await, ids(1, 22..23), "and they are level again");
    }
    assert_eq!(reads().await, reads_before);
}

#[tokio::test]
async fn records_of_several_partitions_are_heard_in_the_order_of_the_buffer() {
    let Some(redis) = RedisServer::start().await else { return };
    let [here, there] = [Instance::start(&redis).await, Instance::start(&redis).await];
    let partition = |n| source(1, n);
    here.deliver(&user("a"), &[slice_of(&partition(0), [0])]).await;
    there.deliver(&user("a"), &[slice_of(&partition(1), [0])]).await;
    let mut client = here.open(&request(&user("a"), Some("v2.chat.1.1.0"))).await;
    client.settle().await;
    here.deliver(&user("a"), &[slice_of(&partition(0), [1])]).await;
    client.ids(1).await;
    // Shown here at once, it would come before the one that is stored first. A client that is cut off then would never
    // get that one.
    here.push(&user("a"), &[slice_of(&partition(0), [2])]);
    there.deliver(&user("a"), &[slice_of(&partition(1), [1])]).await;
    here.deliver(&user("a"), &[slice_of(&partition(0), [2])]).await;
    assert_eq!(client.ids(2).await, ["v2.chat.1.1.1", "v2.chat.1.0.2"]);
}

#[tokio::test]
async fn a_burst_that_does_not_fit_is_read_from_the_buffer() {
    let Some(redis) = RedisServer::start().await else { return };
    let (instance, mut client) = with_level_stream(&redis).await;
    for first in (1..1501).step_by(100) {
        instance.deliver(&user("a"), &[slice(first..first + 100)]).await;
    }
    assert_eq!(client.ids(1500).await, ids(1, 1..1501));
    client.settle().await;
    redis.suspend();
    instance.push(&user("a"), &[slice(1501..1502)]);
    assert_eq!(client.ids(1).await, ids(1, 1501..1502), "it is level again");
    redis.resume();
}

#[tokio::test]
async fn messages_missed_while_the_subscription_is_interrupted_are_read() {
    let Some(redis) = RedisServer::start().await else { return };
    let [here, there] = [Instance::start(&redis).await, Instance::start(&redis).await];
    let mut client = there.open(&request(&user("a"), None)).await;
    client.settle().await;
    for offset in 0..200 {
        if offset % 20 == 10 {
            redis.command::<u64>(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
        }
        here.deliver(&user("a"), &[slice(offset..offset + 1)]).await;
    }
    assert_eq!(client.ids(200).await, ids(1, 0..200));
}

#[tokio::test]
async fn a_stream_that_opens_hears_nothing_before_it_has_what_is_on_its_way() {
    let Some(redis) = RedisServer::start().await else { return };
    let instance = Instance::start(&redis).await;
    instance.push(&user("a"), &[slice(0..1)]);
    let mut client = instance.open(&request(&user("a"), None)).await;
    client.settle().await;
    // The stream does not know of the first one. The second one must not overtake it.
    instance.push(&user("a"), &[slice(1..2)]);
    client.settle().await;
    instance.push(&user("a"), &[slice(2..3)]);
    client.settle().await;
    assert_eq!(instance.store(&user("a"), &[slice(0..3)]).await, Outcome::Stored);
    assert_eq!(client.ids(3).await, ids(1, 0..3));
}

#[tokio::test]
async fn a_stream_of_another_version_is_refused_with_both_versions() {
    let Some(redis) = RedisServer::start().await else { return };
    let instance = Instance::start(&redis).await;
    let other = StreamRequest { version: WIRE_VERSION + 1, ..request(&user("a"), None) };
    let rejection = instance.try_open(&other).await.err().unwrap();
    assert_eq!(rejection, Rejection::Version { theirs: WIRE_VERSION + 1, ours: WIRE_VERSION });
    let response = rejection.into_response("id");
    assert_eq!(response.status(), 409);
    let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
    let problem: Problem = serde_json::from_slice(&body).unwrap();
    let versions = [WIRE_VERSION, WIRE_VERSION + 1].map(|version| format!("version {version}"));
    assert_eq!(problem.code, "wire_version");
    assert!(problem.title.contains(&versions[1]) && problem.title.contains(&WIRE_VERSION.to_string()), "{problem:?}");
}

#[tokio::test]
async fn a_gap_is_heard_like_a_record() {
    let Some(redis) = RedisServer::start().await else { return };
    let (instance, mut client) = with_level_stream(&redis).await;
    let cursor = "v2.chat.1.0.9".parse().unwrap();
    let gap = Item { frame: gap_frame(&cursor, ResetReason::Parked), ..item(&source(1, 0), 9, "") };
    instance.deliver(&user("a"), &[Slice { source: source(1, 0), after: None, items: vec![gap] }]).await;
    let frame = client.frame().await.unwrap();
    assert_eq!((frame.event.as_deref(), frame.id.as_deref()), (Some("reset"), Some("v2.chat.1.0.9")));
    let mut resumed = instance.open(&request(&user("a"), Some("v2.chat.1.0.9"))).await;
    resumed.settle().await;
}
