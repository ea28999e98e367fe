//! Signatures, rejections, readiness, drain and metrics.

use super::*;

#[tokio::test]
async fn every_rejection_is_a_problem_document() {
    let kafka = kafka();
    let bridge = start(&kafka, Tuning::default()).await;
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
        (changed("version", json!(WIRE_VERSION + 1)), 409, "wire_version"),
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
async fn an_event_of_another_version_is_refused_with_both_versions_and_not_written() {
    let kafka = kafka();
    let bridge = start(&kafka, Tuning::default()).await;
    for version in [WIRE_VERSION - 1, WIRE_VERSION + 1, u32::MAX] {
        // The rest of another version is unknown, too.
        let answer = bridge.post(json!({"version": version, "more": 1}).to_string().into_bytes()).await.unwrap();
        assert_eq!((answer.status, answer.problem().as_str()), (409, "wire_version"));
        let both = format!("version {version} of the contract, this bridge {WIRE_VERSION}");
        assert!(answer.body.contains(&both), "{answer:?}");
    }
    assert!(kafka.records("chat.inbound").is_empty());
}

#[tokio::test]
async fn unknown_fields_of_a_newer_edge_are_ignored() {
    let kafka = kafka();
    let bridge = start(&kafka, Tuning::default()).await;
    let expected = bridge.post_text("e1", "x").await.unwrap().accepted().partition;
    let mut event = event("e2", "x");
    event["partition"] = json!(expected + 1);
    let accepted = bridge.post(event.to_string().into_bytes()).await.unwrap().accepted();
    assert_eq!(accepted.partition, expected, "the key decides");
}

#[tokio::test]
async fn events_without_the_edges_signature_are_rejected() {
    let kafka = kafka();
    let bridge = start(&kafka, Tuning::default()).await;
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
    let bridge = start(&kafka(), Tuning::default()).await;
    let answer = send_raw(&bridge, "POST /v1/events HTTP/1.1\r\nhost: b\r\ncontent-length: 50000\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}

#[tokio::test]
async fn a_connection_with_unfinished_headers_is_closed() {
    let client_timeouts = ClientTimeouts { headers: Duration::from_millis(50), ..ClientTimeouts::default() };
    let tuning = Tuning { client_timeouts, ..Tuning::default() };
    let bridge = start(&kafka(), tuning).await;
    assert!(!send_raw(&bridge, "POST /v1/events HTTP/1.1\r\nhost: b\r\n").await.contains(" 20"));
}

#[tokio::test]
async fn readiness_follows_kafka_and_an_outage_is_answered_at_once() {
    let kafka = kafka();
    let bridge = start(&kafka, Tuning::default()).await;
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
    let mut bridge = start(&kafka, Tuning::default()).await;
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
    let bridge = start(&kafka, Tuning::default()).await;
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
