//! Several instances with one memory: one answer, one write.

use super::{
    paused::{Instance, MemoryNotes, NotesFault, SlowKafka, WRITE, channels},
    support::redis::RedisServer,
    *,
};

fn instances(kafka: &Arc<SlowKafka>, notes: &MemoryNotes) -> [Instance; 2] {
    [(); 2].map(|()| Instance::with(kafka, &channels(None), InboundLimits::default(), notes.boxed()))
}

#[tokio::test(start_paused = true)]
async fn a_repeat_at_another_instance_gets_the_same_answer_and_no_second_write() {
    let kafka = SlowKafka::new();
    let [one, two] = instances(&kafka, &MemoryNotes::default());
    let together: Vec<_> = (0..4).flat_map(|_| [one.say("u1", "e1", "x"), two.say("u1", "e1", "x")]).collect();
    let mut answers = Vec::new();
    for answer in together {
        answers.push(answer.await.unwrap().0.unwrap());
    }
    answers.push(two.answer("u1", "e1", "x").await.unwrap());
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    assert_eq!((kafka.ids("chat.inbound"), kafka.ids("chat.outbound")), (vec!["e1".into()], vec!["e1".into()]));
    assert_eq!(two.answer("u1", "e1", "y").await.unwrap_err().code(), "id_reused");
    assert_eq!(two.answer("u2", "e1", "y").await.unwrap().id, "e1", "another user's");
}

#[tokio::test(start_paused = true)]
async fn another_instance_completes_what_is_missing() {
    let kafka = SlowKafka::new();
    let [one, two] = instances(&kafka, &MemoryNotes::default());
    kafka.fail_next("chat.outbound", KafkaError::Unavailable("no leader".to_owned()));
    assert!(one.answer("u1", "e1", "x").await.is_err());
    let accepted = two.answer("u1", "e1", "x").await.unwrap();
    assert_eq!((kafka.ids("chat.inbound"), kafka.ids("chat.outbound")), (vec!["e1".into()], vec!["e1".into()]));
    assert_eq!(one.answer("u1", "e1", "x").await.unwrap(), accepted);
    assert_eq!(kafka.writes("chat.outbound").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_was_not_written_is_free_for_every_instance() {
    let kafka = SlowKafka::new();
    let [one, two] = instances(&kafka, &MemoryNotes::default());
    for topic in ["chat.inbound", "chat.outbound"] {
        kafka.fail_next(topic, KafkaError::Unavailable("no leader".to_owned()));
    }
    assert!(one.answer("u1", "e1", "x").await.is_err());
    let (answer, took) = two.say("u1", "e1", "x").await.unwrap();
    answer.unwrap();
    assert!(took < WRITE * 10, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn an_event_of_an_instance_that_died_can_be_said_again_after_a_while() {
    let (dead, kafka) = (SlowKafka::new(), SlowKafka::new());
    let notes = MemoryNotes::default();
    let ([one, _], [_, two]) = (instances(&dead, &notes), instances(&kafka, &notes));
    // Nothing more is heard of it once it has begun to write.
    dead.hang();
    let lost = one.say("u1", "e1", "x");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (answer, took) = two.say("u1", "e1", "x").await.unwrap();
    assert_eq!(answer.unwrap_err().code(), "unavailable", "it may be written there");
    assert!(took <= Duration::from_secs(9), "{took:?}");
    assert_eq!(kafka.writes("chat.inbound"), []);
    tokio::time::sleep(Duration::from_secs(12)).await;
    two.answer("u1", "e1", "x").await.unwrap();
    assert_eq!(lost.await.unwrap().0.unwrap_err().code(), "unavailable");
}

#[tokio::test(start_paused = true)]
async fn saying_goes_on_while_the_shared_memory_fails() {
    for fault in [NotesFault::Fails, NotesFault::Hangs] {
        let kafka = SlowKafka::new();
        let notes = MemoryNotes::default();
        let [one, two] = instances(&kafka, &notes);
        notes.set_fault(Some(fault));
        for n in 0..20 {
            let (answer, took) = one.say("u1", &format!("e{n}"), "x").await.unwrap();
            let limit = if n == 0 { Duration::from_millis(250) + WRITE } else { WRITE };
            assert!(answer.is_ok() && took <= limit, "event {n} took {took:?}: a failing memory is left alone a while");
        }
        one.answer("u1", "e0", "x").await.unwrap();
        assert_eq!(kafka.ids("chat.inbound").len(), 20, "each instance has its own memory, too");
        assert!(one.metrics.inbound.events_unshared.get() >= 20);

        notes.set_fault(None);
        tokio::time::sleep(Duration::from_secs(2)).await;
        let accepted = one.answer("u1", "new", "x").await.unwrap();
        assert_eq!(two.answer("u1", "new", "x").await.unwrap(), accepted);
        assert_eq!(kafka.ids("chat.inbound").len(), 21);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_written_is_noted_after_the_answers_and_many_events_at_once() {
    let kafka = SlowKafka::new();
    let notes = MemoryNotes::default();
    let [one, two] = instances(&kafka, &notes);
    let answers: Vec<_> = (0..40).map(|n| one.say(&format!("u{n}"), "e1", "x")).collect();
    let mut accepted = Vec::new();
    for answer in answers {
        let (answer, took) = answer.await.unwrap();
        accepted.push(answer.unwrap());
        assert!(took <= Duration::from_millis(1) + WRITE * 2, "{took:?}: the claim and Kafka, no note");
    }
    assert_eq!(notes.published().len(), 0, "they gather");
    // A repeat waits for the note.
    for (n, accepted) in accepted.iter().enumerate() {
        assert_eq!(two.answer(&format!("u{n}"), "e1", "x").await.unwrap(), *accepted);
    }
    assert_eq!(notes.published(), [40]);
    assert_eq!((kafka.ids("chat.inbound").len(), kafka.ids("chat.outbound").len()), (40, 40));
}

#[tokio::test(start_paused = true)]
async fn what_was_written_is_known_although_the_shared_memory_lost_the_claims() {
    for with_data in [true, false] {
        let kafka = SlowKafka::new();
        let notes = MemoryNotes::default();
        let [one, two] = instances(&kafka, &notes);
        let earlier = one.answer("u1", "earlier", "x").await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let during = one.say("u1", "during", "x");
        tokio::time::sleep(WRITE / 2).await;
        notes.restart(with_data);
        let accepted = during.await.unwrap().0.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(two.answer("u1", "during", "x").await.unwrap(), accepted);
        if with_data {
            assert_eq!(two.answer("u1", "earlier", "x").await.unwrap(), earlier);
            assert_eq!(kafka.ids("chat.inbound"), ["earlier", "during"]);
        }
    }
}

#[tokio::test]
async fn two_bridges_that_share_redis_give_one_answer_and_write_once() {
    let Some(mut redis) = RedisServer::start().await else { return };
    let kafka = kafka();
    let one = Bridge::on_redis(kafka.clone(), &redis, &[], Tuning::default()).await;
    let two = Bridge::on_redis(
        kafka.clone(),
        &redis,
        &[("BRIDGE_REPLICA", "1"), ("BRIDGE_REPLICAS", "2")],
        Tuning::default(),
    )
    .await;
    let together: Vec<_> = (0..6).map(|n| if n % 2 == 0 { &one } else { &two }.post_text("e1", "x")).collect();
    let first = one.post_text("e1", "x").await.unwrap().accepted();
    for answer in together {
        assert_eq!(answer.await.unwrap().accepted(), first);
    }
    assert_eq!(two.post_text("e1", "x").await.unwrap().accepted(), first);
    assert_eq!(two.post_text("e1", "y").await.unwrap().problem(), "id_reused");
    assert_eq!((kafka.records("chat.inbound").len(), kafka.records("chat.outbound").len()), (1, 1));
    note_with(&redis, "e1", "inbound").await;
    let ttl: i64 = redis.command(&["PTTL", "causeway:{github:1}:said:chat:e1"]).await;
    assert!((590_000..=600_000).contains(&ttl), "{ttl}");

    redis.kill();
    let said_without = one.post_text("e2", "x").await.unwrap().accepted();
    assert_eq!(one.post_text("e2", "x").await.unwrap().accepted(), said_without);
    redis.restart(true).await;
    let three = Bridge::on_redis(kafka.clone(), &redis, &[], Tuning::default()).await;
    assert_eq!(three.post_text("e1", "x").await.unwrap().accepted(), first, "a new instance knows it, too");
}

#[tokio::test]
async fn a_claim_waits_for_no_disk_and_a_note_does() {
    let Some(mut redis) = RedisServer::start().await else { return };
    let kafka = kafka();
    let bridge = Bridge::on_redis(kafka.clone(), &redis, &[], Tuning::default()).await;
    bridge.post_text("written", "x").await.unwrap().accepted();
    note_with(&redis, "written", "inbound").await;
    kafka.hold();
    let answer = bridge.post_text("claimed", "x");
    note_with(&redis, "claimed", "writer").await;
    redis.kill();
    redis.restart(true).await;
    note_with(&redis, "written", "inbound").await;
    assert_eq!(note(&redis, "claimed").await, None, "it was never on the disk");
    kafka.release();
    answer.await.unwrap().accepted();
}

async fn note(redis: &RedisServer, id: &str) -> Option<String> {
    redis.command(&["GET", &format!("causeway:{{github:1}}:said:chat:{id}")]).await
}

/// Waits until the note about an event has this member.
async fn note_with(redis: &RedisServer, id: &str, member: &str) {
    let found = tokio::time::timeout(TEST_TIMEOUT, async {
        while !note(redis, id).await.is_some_and(|note| note.contains(member)) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    found.await.unwrap();
}
