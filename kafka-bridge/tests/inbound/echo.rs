//! What a user says is also written to the outbound topic, so that all streams of the user have it.

use super::{
    paused::{Instance, SlowKafka, WRITE, channels, user_of},
    *,
};

#[tokio::test(start_paused = true)]
async fn s168_what_a_user_says_is_written_to_both_topics_at_once() {
    let kafka = SlowKafka::new();
    let instance = Instance::new(&kafka);
    let (answer, took) = instance.say("u1", "e1", "hello").await.unwrap();
    let accepted = answer.unwrap();
    assert_eq!(took, WRITE, "neither waits for the other");
    let [inbound] = kafka.memory.records("chat.inbound").try_into().unwrap();
    let [mut echo] = kafka.memory.records("chat.outbound").try_into().unwrap();
    assert_eq!(echo.headers.remove("ce_causewayecho").as_deref(), Some(b"true".as_slice()));
    assert_eq!(echo, inbound, "same key, id, type and data");
    assert_eq!((accepted.id.as_str(), accepted.offset), ("e1", 0), "the coordinates are those of the inbound record");
}

#[tokio::test(start_paused = true)]
async fn a_channel_may_turn_the_echo_off() {
    let kafka = SlowKafka::new();
    let off = r#"[{"name":"chat","inbound":"chat.inbound","outbound":"chat.outbound","echo":false}]"#;
    let instance = Instance::with(&kafka, &channels(Some(off)), InboundLimits::default(), None);
    instance.answer("u1", "e1", "hello").await.unwrap();
    assert_eq!(kafka.ids("chat.inbound"), ["e1"]);
    assert_eq!(kafka.writes("chat.outbound"), []);
}

#[tokio::test(start_paused = true)]
async fn a_retry_writes_only_the_half_that_is_missing() {
    for (failing, other) in [("chat.outbound", "chat.inbound"), ("chat.inbound", "chat.outbound")] {
        let kafka = SlowKafka::new();
        let instance = Instance::new(&kafka);
        kafka.fail_next(failing, KafkaError::Unavailable("no leader".to_owned()));
        assert_eq!(instance.answer("u1", "e1", "x").await.unwrap_err().code(), "unavailable");
        assert_eq!((kafka.ids(failing).len(), kafka.ids(other).len()), (0, 1));

        assert_eq!(instance.answer("u1", "e1", "y").await.unwrap_err().code(), "id_reused", "half of it is written");
        let accepted = instance.answer("u1", "e1", "x").await.unwrap();
        assert_eq!((kafka.ids("chat.inbound"), kafka.ids("chat.outbound")), (vec!["e1".into()], vec!["e1".into()]));
        assert_eq!((kafka.writes(failing).len(), kafka.writes(other).len()), (2, 1));
        assert_eq!(instance.answer("u1", "e1", "x").await.unwrap(), accepted, "then it is complete");
        assert_eq!(kafka.writes(failing).len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_is_answered_when_both_topics_have_it() {
    let kafka = SlowKafka::new();
    let instance = Instance::new(&kafka);
    for partition in 0..4 {
        kafka.set_leaderless("chat.outbound", partition, true);
    }
    let (answer, took) = instance.say("u1", "e1", "x").await.unwrap();
    assert_eq!((answer.unwrap_err().code(), took), ("unavailable", Duration::from_secs(8)));
    for partition in 0..4 {
        kafka.set_leaderless("chat.outbound", partition, false);
    }
    instance.answer("u1", "e1", "x").await.unwrap();
    assert_eq!(kafka.ids("chat.inbound"), ["e1"], "written once");
}

#[tokio::test(start_paused = true)]
async fn both_records_are_queued_or_neither() {
    let kafka = SlowKafka::new();
    let limits = InboundLimits { queue_events: 1, ..InboundLimits::default() };
    let instance = Instance::with(&kafka, &channels(None), limits, None);
    for partition in 0..4 {
        kafka.set_leaderless("chat.outbound", partition, true);
    }
    let stuck = instance.say("u1", "e1", "x");
    tokio::time::sleep(WRITE * 2).await;
    assert_eq!(instance.answer("u1", "e2", "x").await.unwrap_err().code(), "busy");
    assert_eq!(kafka.ids("chat.inbound"), ["e1"], "a backend does not get what the user is told to repeat");
    assert!(stuck.await.unwrap().0.is_err());
}

#[tokio::test(start_paused = true)]
async fn no_echo_tells_of_an_event_that_is_too_large_for_the_inbound_topic() {
    let kafka = SlowKafka::new();
    let instance = Instance::new(&kafka);
    kafka.set_max_bytes("chat.inbound", 40_000);
    let (large, too_large) = ("x".repeat(30_000), "x".repeat(50_000));
    for id in ["e1", "e2"] {
        assert_eq!(instance.answer("u1", id, &too_large).await.unwrap_err().code(), "too_large");
    }
    assert_eq!(kafka.writes("chat.outbound"), []);

    let (answer, took) = instance.say("u1", "e3", &large).await.unwrap();
    assert!(answer.is_ok() && took == WRITE * 2, "the first of its size: the echo waits: {answer:?} took {took:?}");
    let (answer, took) = instance.say("u1", "e4", &large).await.unwrap();
    assert!(answer.is_ok() && took == WRITE, "the topic has taken such a record: {answer:?} took {took:?}");
    assert_eq!((kafka.ids("chat.inbound"), kafka.ids("chat.outbound")), (ids(&["e3", "e4"]), ids(&["e3", "e4"])));
}

#[tokio::test(start_paused = true)]
async fn while_an_inbound_partition_fails_echoes_wait_for_it() {
    let kafka = SlowKafka::new();
    let instance = Instance::new(&kafka);
    let (partition, user) = (1, user_of(1));
    kafka.set_leaderless("chat.inbound", partition, true);
    let first = instance.say(&user, "e1", "x");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let during = instance.say(&user, "e2", "x");
    for answer in [first, during] {
        assert_eq!(answer.await.unwrap().0.unwrap_err().code(), "unavailable");
    }
    assert_eq!(instance.answer(&user, "e3", "x").await.unwrap_err().code(), "unavailable");
    assert_eq!(kafka.ids("chat.outbound"), ["e1"], "only that of the event that met the failure");
    let (answer, took) = instance.say(&user_of(2), "other", "x").await.unwrap();
    assert!(answer.is_ok() && took == WRITE, "another partition notices nothing: {answer:?} took {took:?}");

    kafka.set_leaderless("chat.inbound", partition, false);
    tokio::time::sleep(Duration::from_secs(10)).await;
    for (id, expected) in [("e2", WRITE * 2), ("e1", WRITE), ("e3", WRITE), ("e4", WRITE)] {
        let (answer, took) = instance.say(&user, id, "x").await.unwrap();
        assert!(answer.is_ok() && took == expected, "{id}: {answer:?} took {took:?}");
    }
    assert_eq!((kafka.ids("chat.inbound").len(), kafka.ids("chat.outbound").len()), (5, 5));
}

fn ids(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}
