//! Repeated ids: one write, one response.

use super::{
    paused::{Instance, SlowKafka, WRITE, channels},
    *,
};

#[tokio::test]
async fn a_repeat_gets_the_first_response_and_no_second_write() {
    let kafka = kafka();
    let bridge = start(&kafka, Tuning::default()).await;
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
    let bridge = start(&kafka, Tuning::default()).await;
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

#[tokio::test(start_paused = true)]
async fn an_event_is_remembered_for_ten_minutes() {
    let kafka = SlowKafka::new();
    let instance = Instance::new(&kafka);
    let first = instance.answer("u1", "e1", "x").await.unwrap();
    tokio::time::sleep(Duration::from_secs(599)).await;
    assert_eq!(instance.answer("u1", "e1", "x").await.unwrap(), first);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(instance.answer("u1", "e1", "x").await.unwrap().offset, 1);
    assert_eq!(instance.metrics.inbound.events_forgotten.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn beyond_the_bound_the_oldest_events_are_forgotten_which_is_counted() {
    let kafka = SlowKafka::new();
    let limits = InboundLimits { remembered_events: 100, ..InboundLimits::default() };
    let instance = Instance::with(&kafka, &channels(None), limits, None);
    for n in 0..100 {
        instance.answer("u1", &format!("e{n}"), "x").await.unwrap();
    }
    // A repeat is no reason to remember an event longer: the next one comes soon or never.
    instance.answer("u1", "e0", "x").await.unwrap();
    assert_eq!((kafka.ids("chat.inbound").len(), instance.metrics.inbound.events_forgotten.get()), (100, 0));
    instance.answer("u1", "e100", "x").await.unwrap();
    assert_eq!(instance.metrics.inbound.events_forgotten.get(), 1);
    instance.answer("u1", "e1", "x").await.unwrap();
    assert_eq!(kafka.ids("chat.inbound").len(), 101);
    instance.answer("u1", "e0", "x").await.unwrap();
    assert_eq!(kafka.ids("chat.inbound").len(), 102);
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_after_the_deadline_is_remembered() {
    let kafka = SlowKafka::new();
    let limits = InboundLimits { deadline: WRITE / 2, ..InboundLimits::default() };
    let instance = Instance::with(&kafka, &channels(None), limits, None);
    assert_eq!(instance.answer("u1", "e1", "x").await.unwrap_err().code(), "unavailable");
    tokio::time::sleep(WRITE).await;
    instance.answer("u1", "e1", "x").await.unwrap();
    assert_eq!(kafka.ids("chat.inbound"), ["e1"]);
}

#[tokio::test]
async fn a_client_disconnect_does_not_cause_a_second_write() {
    let kafka = kafka();
    let bridge = start(&kafka, Tuning::default()).await;
    kafka.hold();
    let gone = bridge.post_text("e1", "x");
    until("the produce has begun", || kafka.produces() == 1).await;
    gone.abort();
    let again = bridge.post_text("e1", "x");
    kafka.release();
    again.await.unwrap().accepted();
    assert_eq!(kafka.records("chat.inbound").len(), 1);
}
