//! From Kafka to the client, and resuming after a cursor.

use super::*;

#[tokio::test]
async fn a_record_flows_from_kafka_to_the_client() {
    let Some(redis) = RedisServer::start().await else { return };
    let kafka = kafka(2);
    kafka.append_text(TOPIC, 0, "t:a", "first");
    let bridge = Bridge::on_redis(kafka.clone(), &redis, &[], Tuning::default()).await;
    let mut sse = Sse::open(&bridge, &request(&user("a"), None)).await;
    let header = |name: &str| sse.response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(header("content-type").as_deref(), Some("text/event-stream; charset=utf-8"));
    assert_eq!(header("cache-control").as_deref(), Some("no-store, no-transform"));
    assert_eq!(header("x-accel-buffering").as_deref(), Some("no"));
    let first = sse.frame().await.unwrap();
    assert_eq!((first.retry, first.event.as_deref()), (true, Some("ping")), "before any event");
    let event = sse.event().await.unwrap();
    assert_eq!(positions(&[event.id.unwrap()]), ["0.0"]);
    let data: serde_json::Value = serde_json::from_str(&event.data.unwrap()).unwrap();
    assert_eq!((&data["type"], &data["data"]["text"]), (&"message".into(), &"first".into()));

    kafka.append_text(TOPIC, 1, "t:b", "not for a");
    kafka.append_text(TOPIC, 1, "t:a", "second");
    let second = sse.ids(1).await;
    assert_eq!(positions(&second), ["1.1"]);

    // Another bridge resumes at the checkpoint, and the client at its last id.
    bridge.stop().await;
    assert_eq!(sse.frame().await, None, "stopping the bridge ends the stream");
    kafka.append_text(TOPIC, 1, "t:a", "third");
    let bridge = Bridge::on_redis(kafka.clone(), &redis, &[], Tuning::default()).await;
    let mut sse = Sse::open(&bridge, &request(&user("a"), Some(&second[0]))).await;
    assert_eq!(positions(&sse.ids(1).await), ["1.2"]);
    assert!(until_ready_is(&bridge, 200).await.contains(r#""redis":"ok""#));
    let is_moved = async || {
        let text: String = redis.command(&["GET", "causeway:checkpoint:chat.outbound:1"]).await;
        let state: PartitionState = serde_json::from_str(&text).unwrap();
        let checkpoint = state.checkpoint.unwrap();
        (checkpoint.next_offset, checkpoint.partitions) == (3, 2)
    };
    until_async("the checkpoint has moved", is_moved).await;
    bridge.stop().await;
}

#[tokio::test]
async fn a_client_resumes_exactly_or_is_reset() {
    let Some(redis) = RedisServer::start().await else { return };
    let bridge = idle_bridge(&redis).await;
    let (buffer, a) = (redis.buffer(BufferLimits::default()), user("a"));
    append(&buffer, &a, [slice(0..2101)], unix_millis()).await.unwrap();
    for (last_event_id, reason, received) in [
        (None, None, 101..2101),
        (Some("v2.chat.1.0.300"), None, 301..2101),
        (Some("v2.chat.1.0.100"), None, 101..2101),
        (Some("v2.chat.1.0.50"), Some("out_of_buffer"), 101..2101),
        (Some("v2.chat.7.0.300"), Some("out_of_buffer"), 101..2101),
        (Some("x"), Some("bad_cursor"), 101..2101),
    ] {
        let mut sse = Sse::open(&bridge, &request(&a, last_event_id)).await;
        if let Some(reason) = reason {
            assert_eq!(sse.reason("reset").await, reason, "{last_event_id:?}");
        }
        let count = usize::try_from(received.end - received.start).unwrap();
        assert_eq!(sse.ids(count).await, ids(1, received), "{last_event_id:?}");
    }
    assert!(metric(&bridge, "causeway_stream_resets_total{reason=\"out_of_buffer\"} 2").await);
    bridge.stop().await;
}

#[tokio::test]
async fn s131_s140_a_cursor_of_another_users_stream_reveals_none_of_its_records() {
    let Some(redis) = RedisServer::start().await else { return };
    let bridge = idle_bridge(&redis).await;
    let buffer = redis.buffer(BufferLimits::default());
    let (mine, theirs) = (user("a"), user("b"));
    // The same user name in another tenant is another user.
    let namesake = Subject::new("other", mine.user()).unwrap();
    append(&buffer, &theirs, [slice(0..10)], unix_millis()).await.unwrap();
    append(&buffer, &namesake, [slice(10..20)], unix_millis()).await.unwrap();
    append(&buffer, &mine, [slice(20..23)], unix_millis()).await.unwrap();
    for position in ["v2.chat.1.0.5", "v2.chat.1.0.15", "v2.chat.1.0.19", "v2.chat.1.0.0"] {
        let mut sse = Sse::open(&bridge, &request(&mine, Some(position))).await;
        append(&buffer, &theirs, [slice(30..31)], unix_millis()).await.unwrap();
        // The user's own stream has no such position, even if another user's has.
        assert_eq!(sse.reason("reset").await, "out_of_buffer", "from {position}");
        assert_eq!(sse.ids(3).await, ids(1, 20..23), "from {position}");
    }
    bridge.stop().await;
}

#[tokio::test]
async fn no_record_is_missed_between_snapshot_and_live_records() {
    let Some(redis) = RedisServer::start().await else { return };
    let bridge = idle_bridge(&redis).await;
    let (buffer, a) = (redis.buffer(BufferLimits::default()), user("a"));
    let writing = tokio::spawn({
        let (buffer, a) = (Arc::clone(&buffer), a.clone());
        async move {
            for offset in 0..200 {
                for partition in 0..2 {
                    let record = slice_of(&source(1, partition), [offset]);
                    append(&buffer, &a, [record], unix_millis()).await.unwrap();
                }
            }
        }
    });
    let listen = async |wait_ms: u64| {
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        Sse::open(&bridge, &request(&a, None)).await.ids(400).await
    };
    let received = futures_util::future::join_all((0..20).map(|n| listen(n * 5))).await;
    writing.await.unwrap();
    let expected: Vec<_> = (0..400).map(|n| format!("v2.chat.1.{}.{}", n % 2, n / 2)).collect();
    for (n, received) in received.iter().enumerate() {
        assert_eq!(*received, expected, "stream {n}");
    }
    bridge.stop().await;
}

#[tokio::test]
async fn two_bridges_on_one_partition_duplicate_no_record() {
    let Some(redis) = RedisServer::start().await else { return };
    let kafka = kafka(1);
    let bridges = [
        Bridge::on_redis(kafka.clone(), &redis, &[], Tuning::default()).await,
        Bridge::on_redis(kafka.clone(), &redis, &[], Tuning::default()).await,
    ];
    let mut streams = Vec::new();
    for bridge in &bridges {
        streams.push(Sse::open(bridge, &request(&user("a"), None)).await);
    }
    for n in 0..200 {
        kafka.append_text(TOPIC, 0, "t:a", &n.to_string());
        tokio::task::yield_now().await;
    }
    for sse in &mut streams {
        assert_eq!(positions(&sse.ids(200).await), in_first_partition(0..200));
    }
    for bridge in bridges {
        bridge.stop().await;
    }
}
