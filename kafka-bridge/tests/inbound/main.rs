//! Events from the edge into Kafka, over HTTP.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

#[path = "../support/mod.rs"]
mod support;

use std::{sync::Arc, time::Duration};

use causeway_protocol::signature::{Direction, KeyRing, Signed};
use kafka_bridge::{
    clock::unix_seconds, inbound::InboundLimits, kafka::KafkaError, listen::ClientTimeouts, server::Tuning,
};
use serde_json::json;
use support::{Bridge, event, keys, memory_kafka::MemoryKafka, until};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// The address of no edge: these tests don't need one.
const NO_EDGE: &str = "http://127.0.0.1:9";

fn kafka() -> Arc<MemoryKafka> {
    MemoryKafka::new(&[("chat.inbound", 4), ("chat.outbound", 1)])
}

fn limits(inbound: InboundLimits) -> Tuning {
    Tuning { inbound, ..Tuning::default() }
}

#[tokio::test]
async fn an_event_becomes_a_cloud_event_with_unchanged_bytes() {
    let kafka = kafka();
    let bridge = Bridge::start(kafka.clone(), NO_EDGE).await;
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
    let bridge = Bridge::start(kafka.clone(), NO_EDGE).await;
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
async fn a_repeat_gets_the_first_response_and_no_second_write() {
    let kafka = kafka();
    let bridge = Bridge::start(kafka.clone(), NO_EDGE).await;
    kafka.hold();
    let together: Vec<_> = (0..8).map(|_| bridge.post_text("e1", "x")).collect();
    until("the produce has begun", || kafka.produces() == 1).await;
    kafka.release();
    let first = bridge.post_text("e1", "x").await.unwrap().accepted();
    for answer in together {
        assert_eq!(answer.await.unwrap().accepted(), first);
    }
    assert_eq!(kafka.records("chat.inbound").len(), 1);

    // The same id of another user is another event.
    let mut other = event("e1", "y");
    other["subject"] = json!("github:2");
    bridge.post(other.to_string().into_bytes()).await.unwrap().accepted();
    assert_eq!(kafka.records("chat.inbound").len(), 2);
}

#[tokio::test]
async fn an_id_reused_for_another_event_is_rejected() {
    let kafka = kafka();
    let bridge = Bridge::start(kafka.clone(), NO_EDGE).await;
    let first = bridge.post_text("e1", "x").await.unwrap().accepted();
    let answer = bridge.post_text("e1", "y").await.unwrap();
    assert_eq!((answer.status, answer.problem().as_str()), (422, "id_reused"));
    let mut other_type = event("e1", "x");
    other_type["type"] = json!("form");
    assert_eq!(bridge.post(other_type.to_string().into_bytes()).await.unwrap().problem(), "id_reused");
    // The edge stamps each attempt with its own time.
    let mut repeat = event("e1", "x");
    repeat["time"] = json!("2026-01-02T03:04:06Z");
    assert_eq!(bridge.post(repeat.to_string().into_bytes()).await.unwrap().accepted(), first);
    assert_eq!(kafka.records("chat.inbound").len(), 1);
}

#[tokio::test]
async fn a_full_response_cache_evicts_the_oldest() {
    let kafka = kafka();
    let tuning = limits(InboundLimits { max_cached_responses: 200, ..InboundLimits::default() });
    let bridge = Bridge::start_with(kafka.clone(), NO_EDGE, &[], tuning).await;
    let post_all = async |ids: std::ops::Range<u32>| {
        let answers: Vec<_> = ids.map(|n| bridge.post_text(&format!("e{n}"), "x")).collect();
        for answer in answers {
            answer.await.unwrap().accepted();
        }
    };
    // Frequent use is no reason to keep a response: a repeat comes soon or never.
    for _ in 0..5 {
        post_all(0..200).await;
    }
    for hundred in 2..8 {
        post_all(hundred * 100..(hundred + 1) * 100).await;
    }
    post_all(700..800).await;
    assert_eq!(kafka.records("chat.inbound").len(), 800);
}

#[tokio::test]
async fn cached_responses_expire() {
    let kafka = kafka();
    let response_ttl = Duration::from_millis(50);
    let tuning = limits(InboundLimits { response_ttl, ..InboundLimits::default() });
    let bridge = Bridge::start_with(kafka.clone(), NO_EDGE, &[], tuning).await;
    bridge.post_text("e1", "x").await.unwrap().accepted();
    tokio::time::sleep(response_ttl * 2).await;
    bridge.post_text("e1", "x").await.unwrap().accepted();
    assert_eq!(kafka.records("chat.inbound").len(), 2);
}

#[tokio::test]
async fn a_client_disconnect_does_not_cause_a_second_write() {
    let kafka = kafka();
    let bridge = Bridge::start(kafka.clone(), NO_EDGE).await;
    kafka.hold();
    let gone = bridge.post_text("e1", "x");
    until("the produce has begun", || kafka.produces() == 1).await;
    gone.abort();
    let again = bridge.post_text("e1", "x");
    kafka.release();
    again.await.unwrap().accepted();
    assert_eq!(kafka.records("chat.inbound").len(), 1);
}

#[tokio::test]
async fn a_failed_write_is_answered_503_and_can_be_retried() {
    let kafka = kafka();
    let bridge = Bridge::start(kafka.clone(), NO_EDGE).await;
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
    let inbound = InboundLimits { queue_events: 2, batch_events: 1, ..InboundLimits::default() };
    let bridge = Bridge::start_with(kafka.clone(), NO_EDGE, &[], limits(inbound)).await;
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
    let bridge = Bridge::start_with(kafka.clone(), NO_EDGE, &[], limits(inbound)).await;
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
    let bridge = Bridge::start_with(kafka.clone(), NO_EDGE, &[], limits(inbound)).await;
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
    let bridge = Bridge::start(kafka.clone(), NO_EDGE).await;
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
    assert!(kafka.largest_batch() > 1, "the queued events were sent as one batch");
}

#[tokio::test]
async fn a_batch_that_is_too_large_is_written_record_by_record() {
    let kafka = kafka();
    let inbound = InboundLimits { linger: Duration::from_millis(300), ..InboundLimits::default() };
    let bridge = Bridge::start_with(kafka.clone(), NO_EDGE, &[], limits(inbound)).await;
    kafka.fail_produces(&[KafkaError::TooLarge, KafkaError::TooLarge]);
    let answers = [bridge.post_text("e1", "x"), bridge.post_text("e2", "x"), bridge.post_text("e3", "x")];
    let mut statuses = Vec::new();
    for answer in answers {
        statuses.push(answer.await.unwrap().status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [202, 202, 413], "only the event that is too large itself is rejected");
    assert_eq!((kafka.largest_batch(), kafka.produces()), (3, 4));
}

#[tokio::test]
async fn every_rejection_is_a_problem_document() {
    let kafka = kafka();
    let bridge = Bridge::start(kafka.clone(), NO_EDGE).await;
    let changed = |key: &str, value: serde_json::Value| {
        let mut event = event("e1", "x");
        event[key] = value;
        event.to_string().into_bytes()
    };
    for (body, status, code) in [
        (b"{".to_vec(), 400, "malformed"),
        (b"".to_vec(), 400, "malformed"),
        (vec![0xff; 10], 400, "malformed"),
        (changed("subject", json!("a:b\r\nc")), 400, "malformed"),
        (changed("id", json!("a\nb")), 400, "malformed"),
        (changed("type", json!("a b")), 400, "malformed"),
        (changed("time", json!("now")), 400, "malformed"),
        (changed("traceparent", json!("00-x")), 400, "malformed"),
        (changed("channel", json!("other")), 404, "unknown_channel"),
        (changed("data", json!("x".repeat(80_000))), 413, "too_large"),
    ] {
        let answer = bridge.post(body).await.unwrap();
        assert_eq!((answer.status, answer.problem().as_str()), (status, code));
    }
    for (method, path, status, code) in
        [("GET", "/v1/events", 405, "method_not_allowed"), ("GET", "/v1/nothing", 404, "not_found")]
    {
        let request = bridge.http.request(method.parse().unwrap(), bridge.url(path));
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), status);
        assert!(response.text().await.unwrap().contains(code));
    }
    assert!(kafka.records("chat.inbound").is_empty());
}

#[tokio::test]
async fn unknown_fields_of_a_newer_edge_are_ignored() {
    let kafka = kafka();
    let bridge = Bridge::start(kafka.clone(), NO_EDGE).await;
    let expected = bridge.post_text("e1", "x").await.unwrap().accepted().partition;
    let mut event = event("e2", "x");
    event["partition"] = json!(expected + 1);
    let accepted = bridge.post(event.to_string().into_bytes()).await.unwrap().accepted();
    assert_eq!(accepted.partition, expected, "the key decides");
}

#[tokio::test]
async fn events_without_the_edges_signature_are_rejected() {
    let kafka = kafka();
    let bridge = Bridge::start(kafka.clone(), NO_EDGE).await;
    let ring = KeyRing::parse(&keys()).unwrap();
    let body = event("e1", "x").to_string().into_bytes();
    let signed = |direction, target, body| Signed { direction, method: "POST", target, body };
    let good = signed(Direction::EdgeToBridge, "/v1/events", body.as_slice());
    for signature in [
        String::new(),
        "v1,k1,0,AAAA".to_owned(),
        ring.sign(Signed { direction: Direction::BridgeToEdge, ..good }, unix_seconds()),
        ring.sign(Signed { target: "/v1/other", ..good }, unix_seconds()),
        ring.sign(Signed { body: b"{}", ..good }, unix_seconds()),
        ring.sign(good, unix_seconds() - 120),
    ] {
        let answer = bridge.post_signed(body.clone(), &signature).await.unwrap();
        assert_eq!((answer.status, answer.problem().as_str()), (401, "unauthorized"));
    }
    assert!(kafka.records("chat.inbound").is_empty());
}

/// Sends bytes and returns everything the bridge sends before it closes the connection.
async fn send_raw(bridge: &Bridge, bytes: &str) -> String {
    let mut connection = TcpStream::connect(bridge.address).await.unwrap();
    connection.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(support::TEST_TIMEOUT, connection.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

#[tokio::test]
async fn an_unsigned_request_is_rejected_before_its_body_arrives() {
    let bridge = Bridge::start(kafka(), NO_EDGE).await;
    let answer = send_raw(&bridge, "POST /v1/events HTTP/1.1\r\nhost: b\r\ncontent-length: 50000\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}

#[tokio::test]
async fn a_connection_with_unfinished_headers_is_closed() {
    let client_timeouts = ClientTimeouts { headers: Duration::from_millis(50), ..ClientTimeouts::default() };
    let tuning = Tuning { client_timeouts, ..Tuning::default() };
    let bridge = Bridge::start_with(kafka(), NO_EDGE, &[], tuning).await;
    assert!(!send_raw(&bridge, "POST /v1/events HTTP/1.1\r\nhost: b\r\n").await.contains(" 20"));
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

#[tokio::test]
async fn readiness_follows_kafka_and_an_outage_is_answered_at_once() {
    let kafka = kafka();
    let bridge = Bridge::start(kafka.clone(), NO_EDGE).await;
    let ready = async || bridge.http.get(bridge.url("/readyz")).send().await.unwrap().status().as_u16();
    let becomes = async |status: u16| {
        while ready().await != status {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(support::TEST_TIMEOUT, becomes(200)).await.unwrap();

    kafka.set_down(true);
    assert_eq!(bridge.post_text("e1", "x").await.unwrap().status, 503);
    tokio::time::timeout(support::TEST_TIMEOUT, becomes(503)).await.unwrap();
    let produces = kafka.produces();
    assert_eq!(bridge.post_text("e2", "x").await.unwrap().status, 503);
    assert_eq!(kafka.produces(), produces, "an unreachable Kafka is not waited for");
    assert_eq!(bridge.http.get(bridge.url("/healthz")).send().await.unwrap().status().as_u16(), 200);

    kafka.set_down(false);
    tokio::time::timeout(support::TEST_TIMEOUT, becomes(200)).await.unwrap();
    bridge.post_text("e1", "x").await.unwrap().accepted();
}

#[tokio::test]
async fn a_drain_answers_accepted_requests() {
    let kafka = kafka();
    let mut bridge = Bridge::start(kafka.clone(), NO_EDGE).await;
    kafka.hold();
    let answer = bridge.post_text("e1", "x");
    until("the produce has begun", || kafka.produces() == 1).await;
    bridge.signal_stop();
    kafka.release();
    answer.await.unwrap().accepted();
    bridge.ended().await.unwrap();
}

#[tokio::test]
async fn metrics_are_served_to_operators_only_and_name_no_user() {
    let kafka = kafka();
    let bridge = Bridge::start(kafka.clone(), NO_EDGE).await;
    bridge.post_text("e1", "x").await.unwrap().accepted();
    let text = bridge.http.get(bridge.url("/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(text.contains("causeway_events_total{status=\"202\"} 1"), "{text}");
    assert!(!text.contains("github"), "{text}");
    let status = async |address, path: &str| {
        let response = bridge.http.get(format!("http://{address}{path}")).send().await.unwrap();
        response.status().as_u16()
    };
    assert_eq!(status(bridge.address, "/metrics").await, 404);
    assert_ne!(status(bridge.admin, "/readyz").await, 404);
    assert_eq!(status(bridge.admin, "/healthz").await, 200);
    assert_eq!(status(bridge.admin, "/v1/events").await, 404);
}
