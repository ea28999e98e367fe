//! Several instances without a memory that they share: a repeat is looked for in Kafka.

use kafka_bridge::{config::ChannelSettings, inbound::InboundLimits};

use super::{
    paused::{Instance, SlowKafka, WRITE, channels},
    *,
};

fn instances(kafka: &Arc<SlowKafka>) -> [Instance; 2] {
    [(); 2].map(|()| Instance::new(kafka))
}

fn ids(kafka: &SlowKafka) -> (Vec<String>, Vec<String>) {
    (kafka.ids("chat.inbound"), kafka.ids("chat.outbound"))
}

#[tokio::test(start_paused = true)]
async fn a_repeat_at_another_instance_gets_the_same_answer_and_no_second_write() {
    let kafka = SlowKafka::new();
    let [one, two] = instances(&kafka);
    one.answer("u1", "e0", "x").await.unwrap();
    let first = one.answer("u1", "e1", "x").await.unwrap();
    assert_eq!(kafka.searches(), 0, "a first attempt looks for nothing");
    assert_eq!(two.repeat("u1", "e1", "x", 0).await.unwrap(), first);
    assert_eq!(two.answer("u1", "e1", "x").await.unwrap(), first, "from now on it knows the event");
    assert_eq!(two.repeat("u1", "e0", "y", 0).await.unwrap_err().code(), "id_reused");
    let both = vec!["e0".to_owned(), "e1".to_owned()];
    assert_eq!(ids(&kafka), (both.clone(), both));

    assert_eq!(two.repeat("u2", "e1", "x", 0).await.unwrap().id, "e1", "another user's");
    two.repeat("u1", "e2", "x", 3).await.unwrap();
    assert_eq!(kafka.ids("chat.inbound").len(), 4, "what nobody has written is written");
    assert_eq!(two.metrics.inbound.events_unshared.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn another_instance_writes_only_what_is_missing() {
    for topic in ["chat.inbound", "chat.outbound"] {
        let kafka = SlowKafka::new();
        let [one, two] = instances(&kafka);
        kafka.fail_next(topic, KafkaError::Unavailable("no leader".to_owned()));
        assert!(one.answer("u1", "e1", "x").await.is_err());
        two.repeat("u1", "e1", "x", 1).await.unwrap();
        assert_eq!(ids(&kafka), (vec!["e1".to_owned()], vec!["e1".to_owned()]), "{topic} failed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_channel_without_an_echo_looks_for_one_record() {
    let kafka = SlowKafka::new();
    let channels: Vec<ChannelSettings> = channels(Some(r#"[{"name":"chat","inbound":"chat.inbound"}]"#));
    let [one, two] = [(); 2].map(|()| Instance::with(&kafka, &channels, InboundLimits::default(), None));
    let first = one.answer("u1", "e1", "x").await.unwrap();
    assert_eq!(two.repeat("u1", "e1", "x", 0).await.unwrap(), first);
    assert_eq!((kafka.searches(), kafka.ids("chat.inbound").len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn when_everybody_repeats_each_partition_is_read_a_few_times() {
    let kafka = SlowKafka::new();
    let [one, two] = instances(&kafka);
    for n in 0..200 {
        one.answer(&format!("u{n}"), "e1", "x").await.unwrap();
    }
    let repeat = |n| {
        let two = two.clone();
        tokio::spawn(async move { two.repeat(&format!("u{n}"), "e1", "x", 2).await })
    };
    let repeats: Vec<_> = (0..200).map(repeat).collect();
    for repeat in repeats {
        repeat.await.unwrap().unwrap();
    }
    assert_eq!(kafka.ids("chat.inbound").len(), 200);
    // Four partitions of two topics. The first repeat of each is looked for alone.
    assert!(kafka.searches() <= 16, "{}", kafka.searches());
}

#[tokio::test(start_paused = true)]
async fn one_event_is_looked_for_once_however_often_it_is_repeated() {
    let kafka = SlowKafka::new();
    let [one, two] = instances(&kafka);
    let first = one.answer("u1", "e1", "x").await.unwrap();
    let repeat = |text: &'static str| {
        let two = two.clone();
        tokio::spawn(async move { two.repeat("u1", "e1", text, 0).await })
    };
    let repeats: Vec<_> = (0..40).map(|_| repeat("x")).collect();
    for repeat in repeats {
        assert_eq!(repeat.await.unwrap().unwrap(), first);
    }
    assert_eq!(two.repeat("u1", "e1", "x", 0).await.unwrap(), first, "and what was found is remembered");
    assert_eq!(kafka.searches(), 2, "one in each topic");
}

#[tokio::test(start_paused = true)]
async fn an_id_of_another_event_is_looked_for_once() {
    let kafka = SlowKafka::new();
    let [one, two] = instances(&kafka);
    let first = one.answer("u1", "e1", "x").await.unwrap();
    for _ in 0..20 {
        assert_eq!(two.repeat("u1", "e1", "another", 0).await.unwrap_err().code(), "id_reused");
    }
    assert_eq!(two.repeat("u1", "e1", "x", 0).await.unwrap(), first, "the event that has the id is known");
    assert_eq!(two.answer("u1", "e1", "x").await.unwrap(), first);
    assert_eq!((kafka.searches(), kafka.ids("chat.inbound").len()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_user_who_repeats_many_events_is_to_come_again_and_loses_none() {
    let kafka = SlowKafka::new();
    let [one, two] = instances(&kafka);
    let ids: Vec<_> = (0..9).map(|n| format!("e{n}")).collect();
    for id in &ids {
        one.answer("u1", id, "x").await.unwrap();
    }
    let limits = InboundLimits::default();
    let at_once = usize::try_from(limits.searches_at_once).unwrap();
    let mut refused = Vec::new();
    for id in &ids {
        match two.repeat("u1", id, "x", 1).await {
            Ok(_) => {}
            Err(rejection) => refused.push((id, rejection)),
        }
    }
    assert_eq!(refused.len(), ids.len() - at_once);
    for (_, rejection) in &refused {
        assert_eq!((rejection.code(), rejection.status().as_u16()), ("too_many_repeats", 429));
    }
    let searches = kafka.searches();
    assert_eq!(two.repeat("u1", "e0", "x", 1).await.unwrap().id, "e0", "what is known needs no search");
    two.answer("u1", "new", "x").await.unwrap();
    two.repeat("u2", "other", "x", 1).await.unwrap();
    assert_eq!(kafka.searches(), searches + 2, "only the other user's repeat was looked for");

    for (id, _) in refused {
        tokio::time::sleep(limits.search_interval).await;
        two.repeat("u1", id, "x", 60).await.unwrap();
    }
    assert_eq!(kafka.ids("chat.inbound").len(), ids.len() + 2, "none was written again");
    let counted = |outcome: &str| two.metrics.inbound.repeat_searches.with_label_values(&[outcome]).get();
    assert_eq!((counted("found"), counted("not_found"), counted("refused")), (9, 1, 3));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_looked_for_is_written_and_counted() {
    let kafka = SlowKafka::new();
    let [one, two] = instances(&kafka);
    one.answer("u1", "e1", "x").await.unwrap();
    kafka.hang_reads();
    let began = tokio::time::Instant::now();
    two.repeat("u1", "e1", "x", 0).await.unwrap();
    assert!(began.elapsed() <= Duration::from_secs(2) + WRITE * 4, "{:?}", began.elapsed());
    assert_eq!((kafka.ids("chat.inbound").len(), two.metrics.inbound.events_unshared.get()), (2, 1));
}
