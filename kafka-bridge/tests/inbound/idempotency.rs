//! Repeated ids: one write, one response.

use super::*;

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
