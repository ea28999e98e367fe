//! Streams end with their sessions.

use super::*;

#[tokio::test]
async fn s130_an_ended_session_ends_its_streams_and_no_others() {
    let Some(redis) = RedisServer::start().await else { return };
    let bridge = idle_bridge(&redis).await;
    let of = |name: &str| StreamRequest { session: session(name), ..request(&user("a"), None) };
    let [mut first, mut second, mut other] = [
        Sse::open(&bridge, &of("one")).await,
        Sse::open(&bridge, &of("one")).await,
        Sse::open(&bridge, &of("other")).await,
    ];
    until_ready_is(&bridge, 200).await;
    let end = EndStreams { subject: user("a"), session: session("one"), reason: EndReason::SignedOut };
    redis.command::<()>(&["PUBLISH", END_CHANNEL, &serde_json::to_string(&end).unwrap()]).await;
    for sse in [&mut first, &mut second] {
        assert_eq!(sse.reason("end").await, "signed_out");
        assert_eq!(sse.frame().await, None);
    }
    // Malformed messages on the channels disturb no stream.
    redis.command::<()>(&["PUBLISH", END_CHANNEL, "{"]).await;
    redis.command::<()>(&["PUBLISH", "causeway:wake", "\u{1}"]).await;
    append(&redis.buffer(BufferLimits::default()), &user("a"), [slice(0..1)], unix_millis()).await.unwrap();
    assert_eq!(other.ids(1).await, ids(1, 0..1));

    // Ended before the stream is opened.
    redis.command::<()>(&["SET", &ended_key(&session("late")), "revoked"]).await;
    assert_eq!(Sse::request(&bridge, &of("late")).await.status(), 410);
    drop(other);
    until_async("all streams are closed", async || metric(&bridge, "causeway_streams 0").await).await;
    bridge.stop().await;
}

#[tokio::test]
async fn s130_a_stream_ends_when_its_session_expires() {
    let Some(redis) = RedisServer::start().await else { return };
    let bridge = idle_bridge(&redis).await;
    let started_at = tokio::time::Instant::now();
    let (brief, long) =
        (StreamRequest { session_ends_in_ms: 300, ..request(&user("a"), None) }, request(&user("a"), None));
    let mut ending = Sse::open(&bridge, &brief).await;
    let mut other = Sse::open(&bridge, &long).await;
    assert_eq!(ending.reason("end").await, "expired");
    assert_eq!(ending.frame().await, None, "and nothing after it");
    assert!(started_at.elapsed() >= Duration::from_millis(300));
    append(&redis.buffer(BufferLimits::default()), &user("a"), [slice(0..1)], unix_millis()).await.unwrap();
    assert_eq!(other.ids(1).await, ids(1, 0..1), "the user's other session is not ended");
    bridge.stop().await;
}

#[tokio::test]
async fn a_missed_session_end_is_found_after_reconnecting_and_at_rotation() {
    let Some(redis) = RedisServer::start().await else { return };
    let feed = FeedPolicy { rotate_after: Duration::from_secs(2), ..FeedPolicy::default() };
    let bridge = Bridge::on_redis(kafka(1), &redis, &[], Tuning { feed, ..Tuning::default() }).await;
    let of = |name: &str| StreamRequest { session: session(name), ..request(&user("a"), None) };
    until_ready_is(&bridge, 200).await;
    let mut first = Sse::open(&bridge, &of("one")).await;
    redis.command::<()>(&["SET", &ended_key(&session("one")), "expired"]).await;
    redis.command::<u64>(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    assert_eq!(first.reason("end").await, "expired");

    let mut second = Sse::open(&bridge, &of("two")).await;
    let mut third = Sse::open(&bridge, &of("three")).await;
    redis.command::<()>(&["SET", &ended_key(&session("two")), "revoked"]).await;
    assert_eq!(second.reason("end").await, "revoked");
    let mut last = None;
    while let Some(frame) = third.frame().await {
        last = Some(frame);
    }
    assert_eq!(last.unwrap().comment.as_deref(), Some("rotate"), "other streams rotate as usual");
    bridge.stop().await;
}
