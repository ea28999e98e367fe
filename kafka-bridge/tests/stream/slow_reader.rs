//! Idle streams, and clients that read slowly or not at all.

use super::*;

#[tokio::test]
async fn an_idle_stream_gets_keep_alives() {
    let Some(redis) = RedisServer::start().await else { return };
    let feed = FeedPolicy { keep_alive: Duration::from_millis(50), ..FeedPolicy::default() };
    let bridge = Bridge::on_redis(kafka(1), &redis, &[], Tuning { feed, ..Tuning::default() }).await;
    let mut sse = Sse::open(&bridge, &request(&user("a"), None)).await;
    sse.frame().await.unwrap();
    for _ in 0..3 {
        assert_eq!(sse.frame().await.unwrap().event.as_deref(), Some("ping"));
    }
    bridge.stop().await;
}

#[tokio::test]
async fn every_gap_of_a_slow_reader_is_reported() {
    let Some(redis) = RedisServer::start().await else { return };
    let bridge = idle_bridge(&redis).await;
    let (buffer, a) = (redis.buffer(BufferLimits::default()), user("a"));
    let mut slow = Sse::open(&bridge, &request(&a, None)).await;
    let large = format!("\"{}\"", "x".repeat(100_000));
    for first in (0..800).step_by(20) {
        append(&buffer, &a, [large_slice(first..first + 20, &large)], unix_millis()).await.unwrap();
    }
    let (mut received, mut resets) = (Vec::new(), Vec::new());
    while received.last() != Some(&799) {
        let frame = slow.event().await.unwrap();
        match frame.event {
            None => received.push(frame.id.unwrap().rsplit('.').next().unwrap().parse::<i64>().unwrap()),
            Some(event) => resets.push((event, frame.data.unwrap(), received.len())),
        }
    }
    let positions: Vec<_> = resets.iter().map(|(_, _, before)| *before).collect();
    for (event, data, _) in &resets {
        assert_eq!((event.as_str(), data.as_str()), ("reset", r#"{"reason":"too_slow"}"#));
    }
    assert!(!resets.is_empty(), "more was written than a buffer and a connection hold");
    let gaps = (1..received.len()).filter(|n| received[*n] != received[n - 1] + 1);
    assert_eq!(gaps.collect::<Vec<_>>(), positions, "each gap is reported, and nothing else");
    assert!(received.is_sorted() && received[0] == 0);
    bridge.stop().await;
}

#[tokio::test]
async fn a_reader_that_stalls_is_disconnected() {
    let Some(redis) = RedisServer::start().await else { return };
    let client_timeouts = ClientTimeouts { writes: Duration::from_millis(200), ..ClientTimeouts::default() };
    let bridge = Bridge::on_redis(kafka(1), &redis, &[], Tuning { client_timeouts, ..Tuning::default() }).await;
    let (buffer, a) = (redis.buffer(BufferLimits::default()), user("a"));
    let idle = Sse::open(&bridge, &request(&a, None)).await;
    // More than the operating system buffers for a connection.
    let large = format!("\"{}\"", "x".repeat(100_000));
    for first in (0..400).step_by(20) {
        append(&buffer, &a, [large_slice(first..first + 20, &large)], unix_millis()).await.unwrap();
    }
    until_async("the stream is closed", async || metric(&bridge, "causeway_streams 0").await).await;
    drop(idle);
    bridge.stop().await;
}
