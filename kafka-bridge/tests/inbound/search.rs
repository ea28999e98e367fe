//! Several instances without a memory that they share: a repeat is looked for in Kafka.

use causeway_protocol::event::Accepted;
use kafka_bridge::{config::ChannelSettings, inbound::InboundLimits, rejection::Rejection};
use tokio::{task::JoinHandle, time::Instant};

use super::{
    paused::{Instance, SlowKafka, WRITE, channels, user_of},
    *,
};

type Answer = Result<Accepted, Rejection>;

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

/// Repeats an event, and returns the answer and how long it took.
fn repeat(instance: &Instance, user: &str, id: &str, seconds: u32) -> JoinHandle<(Answer, Duration)> {
    let (instance, user, id) = (instance.clone(), user.to_owned(), id.to_owned());
    tokio::spawn(async move {
        let began = Instant::now();
        let answer = instance.repeat(&user, &id, "x", seconds).await;
        (answer, began.elapsed())
    })
}

#[tokio::test(start_paused = true)]
async fn partitions_that_cannot_be_read_hold_up_no_other_and_nothing_is_written_twice() {
    let kafka = SlowKafka::new();
    let [one, two] = instances(&kafka);
    let users = [0, 1, 2, 3].map(user_of);
    let [cut_off @ .., healthy] = &users;
    for user in &users {
        one.answer(user, "e1", "x").await.unwrap();
    }
    // Six of the eight partitions of both topics.
    for partition in 0..3 {
        kafka.set_unreadable(partition, true);
    }
    let stuck: Vec<_> = cut_off.iter().map(|user| repeat(&two, user, "e1", 0)).collect();
    tokio::time::sleep(WRITE).await;
    let (answer, took) = repeat(&two, healthy, "e1", 0).await.unwrap();
    assert!(answer.is_ok() && took <= WRITE * 2, "{answer:?} took {took:?}");
    for repeat in stuck {
        let (answer, took) = repeat.await.unwrap();
        assert_eq!((answer.unwrap_err().code(), took), ("unavailable", Duration::from_secs(2)));
    }

    let searches = kafka.searches();
    for _ in 0..20 {
        let (answer, took) = repeat(&two, &cut_off[0], "e1", 3).await.unwrap();
        assert_eq!((answer.unwrap_err().code(), took), ("unavailable", Duration::ZERO));
    }
    assert_eq!(kafka.searches(), searches, "a partition that failed is left alone");
    for partition in 0..3 {
        kafka.set_unreadable(partition, false);
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    for user in cut_off {
        two.repeat(user, "e1", "x", 10).await.unwrap();
    }
    assert_eq!((kafka.ids("chat.inbound").len(), kafka.ids("chat.outbound").len()), (4, 4));
    assert_eq!(two.metrics.inbound.events_unshared.get(), 0);
    let counted = |outcome: &str| two.metrics.inbound.repeat_searches.with_label_values(&[outcome]).get();
    assert_eq!((counted("found"), counted("later"), counted("refused")), (4, 23, 0));
}

#[tokio::test(start_paused = true)]
async fn users_who_look_far_back_in_busy_partitions_hold_up_nobody() {
    let kafka = SlowKafka::new();
    let [one, two] = instances(&kafka);
    let [greedy, other_greedy, healthy] = [0, 1, 3].map(user_of);
    for id in ["recent", "old"] {
        one.answer(&healthy, id, "x").await.unwrap();
    }
    kafka.set_endless(0);
    kafka.set_endless(1);
    let far = |n: usize| [&greedy, &other_greedy].map(|user| repeat(&two, user, &format!("e{n}"), 600));
    let far: Vec<_> = (0..6).flat_map(far).collect();
    tokio::time::sleep(WRITE * 2).await;
    let old = repeat(&two, &healthy, "old", 600);
    let (answer, took) = repeat(&two, &healthy, "recent", 1).await.unwrap();
    assert!(answer.is_ok() && took <= WRITE * 2, "{answer:?} took {took:?}");
    let (answer, took) = old.await.unwrap();
    assert!(answer.is_ok() && took < Duration::from_secs(6), "an old event has its turn: {answer:?} took {took:?}");
    for far in far {
        let (_, took) = far.await.unwrap();
        assert!(took <= Duration::from_secs(6) + WRITE * 2, "{took:?}");
    }
    let written = kafka.ids("chat.inbound");
    assert_eq!(written.iter().filter(|id| ["recent", "old"].contains(&id.as_str())).count(), 2, "once each");
}

#[tokio::test(start_paused = true)]
async fn what_is_too_far_to_be_reached_is_written_and_counted() {
    let kafka = SlowKafka::new();
    let [one, two] = instances(&kafka);
    let user = user_of(0);
    one.answer(&user, "e1", "x").await.unwrap();
    kafka.set_endless(0);
    let (answer, took) = repeat(&two, &user, "e1", 0).await.unwrap();
    answer.unwrap();
    assert!(took <= Duration::from_millis(2100), "{took:?}");
    assert_eq!((kafka.ids("chat.inbound").len(), two.metrics.inbound.events_unshared.get()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_stays_unreadable_keeps_its_users_events_out_for_a_minute() {
    let kafka = SlowKafka::new();
    let [one, two] = instances(&kafka);
    let user = user_of(0);
    one.answer(&user, "e1", "x").await.unwrap();
    kafka.set_unreadable(0, true);
    let began = Instant::now();
    while let Err(rejection) = two.repeat(&user, "e1", "x", 0).await {
        assert_eq!((rejection.code(), kafka.ids("chat.inbound").len()), ("unavailable", 1));
        tokio::time::sleep(Duration::from_secs(4)).await;
    }
    let took = began.elapsed();
    assert!((60..70).contains(&took.as_secs()), "{took:?}");
    assert_eq!((kafka.ids("chat.inbound").len(), two.metrics.inbound.events_unshared.get()), (2, 1));
}
