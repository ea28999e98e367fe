//! Users who were parked before a partition was claimed hear of their gaps, as far as their dead letters can be read.
//! With paused time, on a sink in memory.

use kafka_bridge::kafka::KafkaIo as _;
use tokio::time::Instant;

use super::{
    isolation::Delivering,
    support::memory_sink::{MemorySink, SinkState},
    *,
};

const DLQ: &str = "chat.outbound.dlq";
const USER: &str = "github:parked";
const CHANNELS: [(&str, &str); 1] = [("chat", TOPIC)];

/// A dead letter of a parked user.
fn dead_letter(user: &str, partition: i32, offset: i64, value_bytes: usize) -> NewRecord {
    let (partition, offset) = (partition.to_string(), offset.to_string());
    let headers = [
        ("dlq_reason", "parked"),
        ("dlq_topic", TOPIC),
        ("dlq_partition", partition.as_str()),
        ("dlq_offset", offset.as_str()),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).into();
    NewRecord { key: Some(user.as_bytes().to_vec()), value: Some(vec![b'x'; value_bytes]), headers }
}

/// Kafka with a topic of dead letters, and a sink that has got the first ten records of each partition.
async fn delivered(partitions: i32, dlq_partitions: usize) -> (Arc<MemoryKafka>, Arc<MemorySink>) {
    let count = usize::try_from(partitions).unwrap();
    let (kafka, sink) = (MemoryKafka::new(&[(TOPIC, count), (DLQ, dlq_partitions)]), MemorySink::new());
    let delivering = Delivering::start(&kafka, &sink);
    for _ in 0..10 {
        for partition in 0..count {
            kafka.append_text(TOPIC, partition, "github:1", "x");
        }
    }
    let is_done = |state: &SinkState| (0..partitions).all(|partition| state.edge.next_offset(partition) == Some(10));
    delivering.until("all is delivered", is_done).await;
    delivering.stop().await;
    (kafka, sink)
}

#[tokio::test(start_paused = true)]
async fn a_partition_of_dead_letters_without_a_leader_hides_no_other_and_is_counted() {
    let (kafka, sink) = delivered(1, 3).await;
    kafka.produce(DLQ, 2, vec![dead_letter(USER, 0, 4, 1)]).await.unwrap();
    for partition in [0, 1] {
        kafka.set_leaderless(DLQ, partition, true);
    }
    let delivering = Delivering::start(&kafka, &sink);
    delivering.until("the user hears", |state| state.edge.delivered(USER) == ["v2.chat.7.0.4 parked"]).await;
    assert!(delivering.metrics.render().contains("causeway_incomplete_parked_reads_total 1"));
    delivering.stop().await;
}

#[tokio::test(start_paused = true)]
async fn fetches_that_find_nothing_yet_hide_no_dead_letter() {
    let (kafka, sink) = delivered(1, 1).await;
    kafka.produce(DLQ, 0, vec![dead_letter(USER, 0, 4, 1)]).await.unwrap();
    kafka.empty_fetches(DLQ, 3);
    let delivering = Delivering::start(&kafka, &sink);
    delivering.until("the user hears", |state| state.edge.delivered(USER) == ["v2.chat.7.0.4 parked"]).await;
    assert!(delivering.metrics.render().contains("causeway_incomplete_parked_reads_total 0"));
    delivering.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_topic_of_dead_letters_hides_the_oldest_only_and_holds_no_partition_up_for_longer_than_5_seconds() {
    let (kafka, sink) = delivered(2, 1).await;
    kafka.produce(DLQ, 0, vec![dead_letter("github:old", 0, 3, 1)]).await.unwrap();
    // More than can be read in time, at 1 MiB a second.
    for _ in 0..8 {
        kafka.produce(DLQ, 0, vec![dead_letter("github:2", 9, 0, 1024); 1000]).await.unwrap();
    }
    let newest = [0, 1].map(|partition| dead_letter(USER, partition, 4, 1));
    kafka.produce(DLQ, 0, newest.to_vec()).await.unwrap();
    kafka.slow_down(DLQ, Duration::from_secs(1));
    for partition in [0, 1] {
        kafka.append_text(TOPIC, partition, "github:1", "after the restart");
    }
    let began = Instant::now();
    let delivering = Delivering::start(&kafka, &sink);
    let is_done = |partition| move |state: &SinkState| state.edge.next_offset(partition) == Some(11);
    delivering.until("partition 0 goes on", is_done(0)).await;
    delivering.until("partition 1 goes on", is_done(1)).await;
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    let mut told = delivering.state().edge.delivered(USER);
    told.sort();
    assert_eq!(told, ["v2.chat.7.0.4 parked", "v2.chat.7.1.4 parked"]);
    assert!(delivering.state().edge.delivered("github:old").is_empty());
    assert!(delivering.metrics.render().contains("causeway_incomplete_parked_reads_total 2"));
    delivering.stop().await;
}

#[tokio::test(start_paused = true)]
async fn dead_letters_are_read_by_the_client_of_old_records() {
    let (kafka, sink) = delivered(1, 1).await;
    let replay_kafka = MemoryKafka::new(&[(DLQ, 1)]);
    replay_kafka.produce(DLQ, 0, vec![dead_letter(USER, 0, 4, 1)]).await.unwrap();
    // The client of live delivery never hears of it.
    kafka.set_leaderless(DLQ, 0, true);
    let delivering = Delivering::start_with(&kafka, &replay_kafka, &sink, &CHANNELS);
    delivering.until("the user hears", |state| state.edge.delivered(USER) == ["v2.chat.7.0.4 parked"]).await;
    delivering.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_user_who_was_parked_before_counts_as_parked_until_they_receive_something() {
    let (kafka, sink) = delivered(1, 1).await;
    kafka.produce(DLQ, 0, vec![dead_letter(USER, 0, 4, 1)]).await.unwrap();
    sink.state().edge.failing_users.insert(USER.to_owned());
    let delivering = Delivering::start(&kafka, &sink);
    let parked = |count: u8| delivering.metrics.render().contains(&format!("causeway_parked_users {count}"));
    delivering.until("the user counts", |_| parked(1)).await;
    delivering.state().edge.failing_users.clear();
    delivering.until("the user hears", |state| state.edge.delivered(USER) == ["v2.chat.7.0.4 parked"]).await;
    delivering.until("the user counts no more", |_| parked(0)).await;
    assert!(delivering.metrics.render().contains("causeway_gaps_total{reason=\"parked\"} 0"), "counted before");
    delivering.stop().await;
}
