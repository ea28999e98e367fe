//! Broken connections to Redis, restarts and lost data.

use super::*;

#[tokio::test]
async fn broken_redis_connections_lose_and_duplicate_no_record() {
    let Some(redis) = RedisServer::start().await else { return };
    let kafka = kafka(1);
    let bridge = Bridge::on_redis(kafka.clone(), &redis, &[], Tuning::default()).await;
    let mut streams = Vec::new();
    for _ in 0..5 {
        streams.push(Sse::open(&bridge, &request(&user("a"), None)).await);
    }
    let writing = tokio::spawn(async move {
        for n in 0..400 {
            kafka.append_text(TOPIC, 0, "t:a", &n.to_string());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    for n in 0..8 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let kind = ["normal", "pubsub"][n % 2];
        redis.command::<u64>(&["CLIENT", "KILL", "TYPE", kind]).await;
    }
    for sse in &mut streams {
        assert_eq!(positions(&sse.ids(400).await), in_first_partition(0..400));
    }
    writing.await.unwrap();
    bridge.stop().await;
}

#[tokio::test]
async fn streams_survive_a_redis_restart_with_data() {
    let Some(mut redis) = RedisServer::start().await else { return };
    let kafka = kafka(1);
    let bridge = Bridge::on_redis(kafka.clone(), &redis, &[], Tuning::default()).await;
    let mut sse = Sse::open(&bridge, &request(&user("a"), None)).await;
    kafka.append_text(TOPIC, 0, "t:a", "before");
    assert_eq!(positions(&sse.ids(1).await), in_first_partition(0..1));
    redis.kill();
    kafka.append_text(TOPIC, 0, "t:a", "meanwhile");
    until_ready_is(&bridge, 503).await;
    let rejected = Sse::request(&bridge, &request(&user("a"), None)).await;
    assert_eq!(rejected.status(), 503);
    assert!(rejected.headers().contains_key("retry-after"));
    redis.restart(true).await;
    assert_eq!(positions(&sse.ids(1).await), in_first_partition(1..2));
    kafka.append_text(TOPIC, 0, "t:a", "after");
    assert_eq!(positions(&sse.ids(1).await), in_first_partition(2..3));
    until_ready_is(&bridge, 200).await;
    bridge.stop().await;
}

#[tokio::test]
async fn lost_redis_data_is_reported_and_delivered_again() {
    data_is_lost(async |redis| redis.restart(false).await).await;
}

#[tokio::test]
async fn buffers_lost_as_redis_starts_are_reported_and_delivered_again() {
    data_is_lost(async |redis| redis.restart_without_transactions().await).await;
}

/// `restart` starts Redis again, without the users' buffers.
async fn data_is_lost(restart: impl AsyncFnOnce(&mut RedisServer)) {
    let Some(mut redis) = RedisServer::start().await else { return };
    let kafka = kafka(2);
    for n in 0..5 {
        kafka.append_text(TOPIC, 0, "t:a", &n.to_string());
    }
    kafka.append_text(TOPIC, 1, "t:quiet", "hello");
    let tuning = Tuning { refresh: Duration::from_millis(100), ..Tuning::default() };
    let bridge = Bridge::on_redis(kafka.clone(), &redis, &[], tuning).await;
    let mut sse = Sse::open(&bridge, &request(&user("a"), None)).await;
    assert_eq!(positions(&sse.ids(5).await), in_first_partition(0..5));
    redis.kill();
    restart(&mut redis).await;
    assert_eq!(sse.reason("reset").await, "out_of_buffer");
    assert_eq!(positions(&sse.ids(5).await), in_first_partition(0..5), "from the beginning, without a new record");
    kafka.append_text(TOPIC, 0, "t:a", "5");
    assert_eq!(positions(&sse.ids(1).await), in_first_partition(5..6));
    let mut quiet = Sse::open(&bridge, &request(&user("quiet"), None)).await;
    assert_eq!(positions(&quiet.ids(1).await), ["1.0"], "users without new records, too");
    bridge.stop().await;
}
