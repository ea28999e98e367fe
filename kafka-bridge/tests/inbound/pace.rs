//! When events are written: at once, or with the next batch; and what one partition's trouble costs the others.

use super::{
    paused::{Instance, SlowKafka, WRITE, channels, user_of},
    *,
};

/// Without an echo, so that a test counts one write an event.
const QUIET: &str = r#"[{"name":"chat","inbound":"chat.inbound"}]"#;

fn quiet(kafka: &Arc<SlowKafka>, limits: InboundLimits) -> Instance {
    Instance::with(kafka, &channels(Some(QUIET)), limits, None)
}

#[tokio::test(start_paused = true)]
async fn an_event_at_an_idle_partition_is_written_at_once() {
    let kafka = SlowKafka::new();
    let instance = quiet(&kafka, InboundLimits::default());
    for n in 0..3 {
        let (answer, took) = instance.say("u1", &format!("e{n}"), "x").await.unwrap();
        assert_eq!((answer.unwrap().offset, took), (n, WRITE), "nothing but Kafka is waited for");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn while_a_batch_is_in_flight_the_next_one_gathers() {
    let kafka = SlowKafka::new();
    let instance = quiet(&kafka, InboundLimits { batch_events: 40, ..InboundLimits::default() });
    let first = instance.say("u1", "first", "x");
    tokio::time::sleep(WRITE / 5).await;
    let rest: Vec<_> = (0..60).map(|n| instance.say("u1", &format!("e{n}"), "x")).collect();
    assert_eq!(first.await.unwrap().1, WRITE);
    for answer in rest {
        answer.await.unwrap().0.unwrap();
    }
    let writes: Vec<_> = kafka.writes("chat.inbound").iter().map(|write| (write.records, write.at)).collect();
    let expected = [(1, Duration::ZERO), (40, WRITE), (20, WRITE * 2)];
    assert_eq!(writes, expected, "each batch goes when the one before is acknowledged");
    let ids: Vec<_> = (0..60).map(|n| format!("e{n}")).collect();
    assert_eq!(kafka.ids("chat.inbound")[1..], ids, "in the order in which they arrived");
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_too_large_is_written_record_by_record() {
    let kafka = SlowKafka::new();
    let instance = quiet(&kafka, InboundLimits::default());
    let first = instance.say("u1", "first", "x");
    tokio::time::sleep(WRITE / 5).await;
    let answers: Vec<_> = (0..3).map(|n| instance.say("u1", &format!("e{n}"), "x")).collect();
    first.await.unwrap().0.unwrap();
    // The batch is rejected, and then its first record.
    kafka.fail_next("chat.inbound", KafkaError::TooLarge);
    kafka.fail_next("chat.inbound", KafkaError::TooLarge);
    let mut codes = Vec::new();
    for answer in answers {
        codes.push(answer.await.unwrap().0.map_err(|rejection| rejection.code()).err());
    }
    assert_eq!(codes, [Some("too_large"), None, None], "only the event that is too large itself is rejected");
    assert_eq!(kafka.ids("chat.inbound"), ["first", "e1", "e2"]);
}

#[tokio::test(start_paused = true)]
async fn a_partition_without_a_leader_fills_its_own_queue_only() {
    let kafka = SlowKafka::new();
    let limits = InboundLimits { queue_events: 20, ..InboundLimits::default() };
    let instance = quiet(&kafka, limits);
    kafka.set_leaderless("chat.inbound", 1, true);
    let (cut_off, other) = (user_of(1), user_of(2));
    let stuck: Vec<_> = (0..20).map(|n| instance.say(&cut_off, &format!("e{n}"), "x")).collect();
    tokio::time::sleep(WRITE).await;
    let (answer, took) = instance.say(&cut_off, "more", "x").await.unwrap();
    assert_eq!((answer.unwrap_err().code(), took), ("busy", Duration::ZERO), "its queue is full");
    for n in 0..100 {
        let (answer, took) = instance.say(&other, &format!("e{n}"), "x").await.unwrap();
        assert_eq!((answer.unwrap().partition, took), (2, WRITE), "the others notice nothing");
    }
    for answer in stuck {
        assert_eq!(answer.await.unwrap().0.unwrap_err().code(), "unavailable");
    }
    // It recovers, and what was answered with a failure can be said again.
    kafka.set_leaderless("chat.inbound", 1, false);
    tokio::time::sleep(Duration::from_secs(10)).await;
    instance.answer(&cut_off, "e0", "x").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn large_events_for_a_partition_without_a_leader_take_no_room_from_the_others() {
    let kafka = SlowKafka::new();
    let limits = InboundLimits { total_bytes: 1024 * 1024, ..InboundLimits::default() };
    let instance = quiet(&kafka, limits);
    kafka.set_leaderless("chat.inbound", 1, true);
    let large = "x".repeat(60_000);
    let (cut_off, other) = (user_of(1), user_of(2));
    instance.answer(&other, "first", "x").await.unwrap();
    let stuck: Vec<_> = (0..100).map(|n| instance.say(&cut_off, &format!("e{n}"), &large)).collect();
    tokio::time::sleep(WRITE).await;
    let waiting = stuck.iter().filter(|answer| !answer.is_finished()).count();
    assert!((4..10).contains(&waiting), "{waiting} events have half of the room");
    let answers: Vec<_> = (0..8).map(|n| instance.say(&other, &format!("e{n}"), &large)).collect();
    for answer in answers {
        answer.await.unwrap().0.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_too_large_for_its_channel_is_rejected() {
    let kafka = SlowKafka::new();
    let small = r#"[{"name":"chat","inbound":"chat.inbound","max_record_bytes":2048}]"#;
    let instance = Instance::with(&kafka, &channels(Some(small)), InboundLimits::default(), None);
    instance.answer("u1", "e1", &"x".repeat(1500)).await.unwrap();
    assert_eq!(instance.answer("u1", "e2", &"x".repeat(2048)).await.unwrap_err().code(), "too_large");
}

#[tokio::test(start_paused = true)]
async fn a_channel_without_an_inbound_topic_accepts_nothing() {
    let kafka = SlowKafka::new();
    let deaf = r#"[{"name":"chat","outbound":"chat.outbound"}]"#;
    let instance = Instance::with(&kafka, &channels(Some(deaf)), InboundLimits::default(), None);
    assert_eq!(instance.answer("u1", "e1", "x").await.unwrap_err().code(), "unknown_channel");
}
