//! Writing to Kafka: acknowledgements, failures, queues and batches.

use super::*;

#[tokio::test]
async fn an_event_becomes_a_cloud_event_with_unchanged_bytes() {
    let kafka = kafka();
    let bridge = start(&kafka, Tuning::default()).await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut body = event("e1", "x");
    body["traceparent"] = json!(trace);
    let body = body.to_string().replace(r#"{"text":"x"}"#, r#"{"text":"ü", "n":1.00000000000000000001}"#);

    let accepted = bridge.post(body.into_bytes()).await.unwrap().accepted();

    assert_eq!((accepted.id.as_str(), accepted.offset), ("e1", 0));
    let [record] = kafka.records("chat.inbound").try_into().unwrap();
    assert_eq!(record.key.as_deref(), Some(b"github:1".as_slice()));
    assert_eq!(record.value.as_deref(), Some(r#"{"text":"ü", "n":1.00000000000000000001}"#.as_bytes()));
    let headers: Vec<_> =
        record.headers.iter().map(|(name, value)| (name.as_str(), std::str::from_utf8(value).unwrap())).collect();
    assert_eq!(
        headers,
        [
            ("ce_id", "e1"),
            ("ce_source", "https://edge.test"),
            ("ce_specversion", "1.0"),
            ("ce_subject", "github:1"),
            ("ce_time", "2026-01-02T03:04:05Z"),
            ("ce_type", "message"),
            ("content-type", "application/json"),
            ("traceparent", trace),
        ]
    );
    bridge.stop().await;
}

#[tokio::test]
async fn an_event_is_not_answered_before_kafka_acknowledges_it() {
    let kafka = kafka();
    let bridge = start(&kafka, Tuning::default()).await;
    kafka.hold();
    let answer = bridge.post_text("e1", "x");
    until("the produce has begun", || kafka.produces() == 1).await;
    assert!(!answer.is_finished());
    assert!(kafka.records("chat.inbound").is_empty());
    kafka.release();
    answer.await.unwrap().accepted();
    assert_eq!(kafka.records("chat.inbound").len(), 1);
}

#[tokio::test]
async fn a_failed_write_is_answered_503_and_can_be_retried() {
    let kafka = kafka();
    let bridge = start(&kafka, Tuning::default()).await;
    let not_enough = KafkaError::Unavailable("NotEnoughReplicas".to_owned());
    for error in [KafkaError::Timeout(8000), not_enough, KafkaError::Rejected("TopicAuthorizationFailed".to_owned())] {
        kafka.fail_produces(&[error]);
        let answer = bridge.post_text("e1", "x").await.unwrap();
        assert_eq!((answer.status, answer.problem().as_str()), (503, "unavailable"));
        assert!((1..=3).contains(&answer.retry_after.unwrap()));
        assert!(!answer.body.contains("Authorization"), "reveals the cause: {}", answer.body);
    }
    kafka.fail_produces(&[KafkaError::TooLarge]);
    let answer = bridge.post_text("e1", "x").await.unwrap();
    assert_eq!((answer.status, answer.problem().as_str()), (413, "too_large"));

    bridge.post_text("e1", "x").await.unwrap().accepted();
    assert_eq!(kafka.records("chat.inbound").len(), 1);
}

#[tokio::test]
async fn a_full_queue_is_answered_503_at_once_and_loses_no_accepted_event() {
    let kafka = kafka();
    let inbound = InboundLimits { queue_events: 3, batch_events: 1, ..InboundLimits::default() };
    let bridge = start(&kafka, limits(inbound)).await;
    kafka.hold();
    let in_flight = bridge.post_text("first", "x");
    until("the produce has begun", || kafka.produces() == 1).await;
    let waiting: Vec<_> = (0..10).map(|n| bridge.post_text(&format!("e{n}"), "x")).collect();
    until("all but the queued events are rejected", || waiting.iter().filter(|a| a.is_finished()).count() == 8).await;
    kafka.release();
    let mut statuses = vec![in_flight.await.unwrap().status];
    for answer in waiting {
        let answer = answer.await.unwrap();
        assert!(answer.status == 202 || answer.problem() == "busy");
        assert_eq!(answer.retry_after.is_some(), answer.status == 503);
        statuses.push(answer.status);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 202).count(), 3);
    assert_eq!(kafka.records("chat.inbound").len(), 3);
}

#[tokio::test]
async fn queued_bytes_are_limited() {
    let kafka = kafka();
    let inbound = InboundLimits { queue_bytes: 40_000, ..InboundLimits::default() };
    let bridge = start(&kafka, limits(inbound)).await;
    kafka.hold();
    let first = bridge.post_text("e1", &"x".repeat(30_000));
    until("the produce has begun", || kafka.produces() == 1).await;
    assert_eq!(bridge.post_text("e2", &"x".repeat(30_000)).await.unwrap().problem(), "busy");
    kafka.release();
    first.await.unwrap().accepted();
    bridge.post_text("e2", &"x".repeat(30_000)).await.unwrap().accepted();
}

#[tokio::test]
async fn an_event_queued_beyond_the_deadline_is_withdrawn() {
    let kafka = kafka();
    let inbound = InboundLimits { deadline: Duration::from_millis(50), ..InboundLimits::default() };
    let bridge = start(&kafka, limits(inbound)).await;
    kafka.hold();
    let in_flight = bridge.post_text("e1", "x");
    until("the produce has begun", || kafka.produces() == 1).await;
    assert_eq!(bridge.post_text("e2", "x").await.unwrap().problem(), "unavailable");
    assert_eq!(in_flight.await.unwrap().problem(), "unavailable");
    kafka.release();
    // The first was in flight and may be stored. The second was never sent.
    bridge.post_text("e3", "x").await.unwrap().accepted();
    let ids: Vec<_> = kafka.records("chat.inbound").into_iter().map(|record| record.headers["ce_id"].clone()).collect();
    assert_eq!(ids, [b"e1", b"e3"]);
}

#[tokio::test]
async fn one_batch_in_flight_keeps_a_users_order() {
    let kafka = kafka();
    let bridge = start(&kafka, Tuning::default()).await;
    kafka.hold();
    let first = bridge.post_text("first", "x");
    until("the produce has begun", || kafka.produces() == 1).await;
    let rest: Vec<_> = (0..50).map(|n| bridge.post_text(&format!("e{n}"), "x")).collect();
    kafka.release();
    let first = first.await.unwrap().accepted();
    for answer in rest {
        let accepted = answer.await.unwrap().accepted();
        assert_eq!(accepted.partition, first.partition);
        let record = &kafka.records("chat.inbound")[usize::try_from(accepted.offset).unwrap()];
        assert_eq!(record.headers["ce_id"], accepted.id.as_bytes(), "the offset is the event's own");
    }
    assert_eq!(kafka.most_in_flight(), 1);
}

#[tokio::test]
async fn missing_topics_are_created_unless_disabled() {
    let kafka = MemoryKafka::new(&[]);
    let bridge = Bridge::start_with(kafka.clone(), NO_EDGE, &[("BRIDGE_TOPIC_PARTITIONS", "3")], Tuning::default());
    bridge.await.post_text("e1", "x").await.unwrap().accepted();
    assert_eq!(kafka.partition_count("chat.inbound"), Some(3));

    let kafka = MemoryKafka::new(&[]);
    let forbidden = [("BRIDGE_TOPIC_PARTITIONS", "0")];
    let bridge = Bridge::start_with(kafka.clone(), NO_EDGE, &forbidden, Tuning::default()).await;
    assert_eq!(bridge.post_text("e1", "x").await.unwrap().problem(), "unavailable");
    assert_eq!(kafka.partition_count("chat.inbound"), None);
}
