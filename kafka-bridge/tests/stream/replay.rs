//! What a buffer no longer has comes from Kafka, and only what Kafka does not have is a gap.

use super::*;

/// A small buffer: 100 messages. What can't be read becomes a gap after this time.
pub(super) fn small(retried_for: Duration) -> Tuning {
    let buffer = BufferLimits { messages: 100, ..BufferLimits::default() };
    let replay = ReplayLimits { retried_for, ..ReplayLimits::default() };
    Tuning { buffer, replay, clock: Some(|| 7), ..Tuning::default() }
}

pub(super) fn fill(kafka: &MemoryKafka, offsets: std::ops::Range<i64>) {
    for offset in offsets {
        let user = ["t:a", "t:b"][usize::try_from(offset % 2).unwrap()];
        assert_eq!(kafka.append_text(TOPIC, 0, user, &offset.to_string()), offset);
    }
}

pub(super) async fn until_delivered(redis: &RedisServer, next_offset: i64) {
    let is_delivered = async || {
        let text: Option<String> = redis.command(&["GET", "causeway:checkpoint:chat.outbound:0"]).await;
        let state: Option<PartitionState> = text.and_then(|text| serde_json::from_str(&text).ok());
        state.and_then(|state| state.checkpoint).is_some_and(|at| at.next_offset == next_offset)
    };
    until_async("all is delivered", is_delivered).await;
}

#[tokio::test]
async fn a_client_that_missed_more_than_the_buffer_holds_gets_all_of_it_once() {
    let Some(redis) = RedisServer::start().await else { return };
    let kafka = kafka(1);
    fill(&kafka, 0..6000);
    let bridge = Bridge::on_redis(kafka.clone(), &redis, &[], small(TEST_TIMEOUT)).await;
    until_delivered(&redis, 6000).await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(Sse::open(&bridge, &request(&user("a"), Some("v2.chat.7.0.10"))).await);
    }
    // While they read what they missed, records go on arriving. They are few enough to stay in the buffer.
    fill(&kafka, 6000..6100);
    for sse in &mut streams {
        let expected: Vec<_> = (12..6100).step_by(2).map(|offset| format!("0.{offset}")).collect();
        assert_eq!(positions(&sse.ids(expected.len()).await), expected);
    }
    assert!(!metric(&bridge, "causeway_stream_resets_total{reason=\"out_of_buffer\"} 1").await);
    bridge.stop().await;
}

#[tokio::test]
async fn only_what_kafka_does_not_have_is_told_as_a_gap() {
    let Some(redis) = RedisServer::start().await else { return };
    let kafka = kafka(1);
    fill(&kafka, 0..1000);
    let bridge = Bridge::on_redis(kafka.clone(), &redis, &[], small(Duration::from_secs(1))).await;
    until_delivered(&redis, 1000).await;
    kafka.retain_from(TOPIC, 0, 600);
    let mut sse = Sse::open(&bridge, &request(&user("a"), Some("v2.chat.7.0.10"))).await;
    let gap = sse.event().await.unwrap();
    assert_eq!((gap.event.as_deref(), gap.id.as_deref()), (Some("reset"), Some("v2.chat.7.0.599")));
    assert_eq!(gap.data.unwrap(), r#"{"reason":"retention"}"#);
    let expected: Vec<_> = (600..1000).step_by(2).map(|offset| format!("0.{offset}")).collect();
    assert_eq!(positions(&sse.ids(expected.len()).await), expected);

    // If Kafka can't be read at all, the client hears that, too, and goes on with the buffer.
    kafka.set_down(true);
    let mut sse = Sse::open(&bridge, &request(&user("a"), Some("v2.chat.7.0.700"))).await;
    assert_eq!(sse.reason("reset").await, "out_of_buffer");
    let first = positions(&sse.ids(1).await).remove(0);
    let first: i64 = first.trim_start_matches("0.").parse().unwrap();
    assert!(first > 700 && first < 1000, "{first}");
    kafka.set_down(false);
    bridge.stop().await;
}

#[tokio::test]
async fn a_stream_waits_for_a_kafka_that_comes_back_and_tells_no_gap() {
    let Some(redis) = RedisServer::start().await else { return };
    let kafka = kafka(1);
    fill(&kafka, 0..1000);
    let feed = FeedPolicy { keep_alive: Duration::from_millis(50), ..FeedPolicy::default() };
    let tuning = Tuning { feed, ..small(TEST_TIMEOUT) };
    let bridge = Bridge::on_redis(kafka.clone(), &redis, &[], tuning).await;
    until_delivered(&redis, 1000).await;
    kafka.set_down(true);
    let mut sse = Sse::open(&bridge, &request(&user("a"), Some("v2.chat.7.0.10"))).await;
    assert!(sse.frame().await.unwrap().retry);
    for _ in 0..20 {
        assert_eq!(sse.frame().await.unwrap().event.as_deref(), Some("ping"));
    }
    kafka.set_down(false);
    fill(&kafka, 1000..1010);
    let expected: Vec<_> = (12..1010).step_by(2).map(|offset| format!("0.{offset}")).collect();
    assert_eq!(positions(&sse.ids(expected.len()).await), expected);
    bridge.stop().await;
}
