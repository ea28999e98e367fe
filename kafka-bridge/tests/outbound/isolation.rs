//! Users and partitions that fail hold up nobody else. With paused time, on a sink in memory.

use std::{collections::BTreeMap, future::Future};

use causeway_protocol::channel::Channel;
use kafka_bridge::{
    config::PartitionShare,
    dead_letter::DeadLetters,
    health::{Dependency, Health},
    kafka::KafkaIo,
    metrics::Metrics,
    outbound::{Dependencies, Outbound, OutboundChannel, Ownership, Settings},
    span::Spans,
    topics::Topics,
};
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    support::memory_sink::{MemorySink, SinkState},
    *,
};

/// The delivery alone, without sockets.
pub(super) struct Delivering {
    sink: Arc<MemorySink>,
    pub(super) metrics: Arc<Metrics>,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Delivering {
    pub(super) fn start(kafka: &Arc<MemoryKafka>, sink: &Arc<MemorySink>) -> Self {
        Self::start_channels(kafka, sink, &[("chat", TOPIC)])
    }

    fn start_channels(kafka: &Arc<MemoryKafka>, sink: &Arc<MemorySink>, channels: &[(&str, &str)]) -> Self {
        Self::start_with(kafka, kafka, sink, channels)
    }

    /// Dead letters are read with a client of their own.
    pub(super) fn start_with(
        kafka: &Arc<MemoryKafka>,
        replay_kafka: &Arc<MemoryKafka>,
        sink: &Arc<MemorySink>,
        channels: &[(&str, &str)],
    ) -> Self {
        let io: Arc<dyn KafkaIo> = Arc::clone(kafka) as _;
        let metrics = Arc::new(Metrics::new().unwrap());
        let topics = Arc::new(Topics::new(Arc::clone(&io), 1));
        let dead_letters = Arc::new(DeadLetters::new(Arc::clone(&io), Arc::clone(&topics), Arc::clone(&metrics)));
        let dependencies = Dependencies {
            kafka: io,
            replay_kafka: Arc::clone(replay_kafka) as _,
            sink: Arc::clone(sink) as _,
            topics,
            dead_letters,
            metrics: Arc::clone(&metrics),
            spans: Spans::default(),
            health: Arc::new(Health::new(Dependency::Edge)),
        };
        let channel = |(name, topic): &(&str, &str)| OutboundChannel {
            channel: Channel::parse(name).unwrap(),
            topic: (*topic).to_owned(),
            rules: Arc::default(),
        };
        let channels = channels.iter().map(channel).collect();
        let settings = Settings {
            ownership: Ownership::Static(PartitionShare { replica: 0, replicas: 1 }),
            refresh: Duration::from_secs(20),
            clock: || 7,
        };
        let stop = CancellationToken::new();
        let running = tokio::spawn(Outbound::new(dependencies, channels, settings).run(stop.clone()));
        Self { sink: Arc::clone(sink), metrics, stop, running }
    }

    pub(super) fn state(&self) -> std::sync::MutexGuard<'_, SinkState> {
        self.sink.state()
    }

    pub(super) async fn until(&self, what: &str, condition: impl Fn(&SinkState) -> bool) {
        within(Duration::from_mins(10), what, || condition(&self.state())).await;
    }

    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap();
    }
}

/// Waits for a condition within a time on the paused clock.
fn within(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let what = what.to_owned();
    async move {
        let deadline = Instant::now() + limit;
        while !condition() {
            assert!(Instant::now() < deadline, "timed out waiting until {what}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_user_whose_hub_hangs_holds_up_nobody_else() {
    let (kafka, sink) = (kafka(1), MemorySink::new());
    sink.state().hanging_users.insert("github:hangs".to_owned());
    let delivering = Delivering::start(&kafka, &sink);
    delivering.until("the partition is claimed", |state| state.edge.next_offset(0).is_some()).await;
    let mut appended = BTreeMap::new();
    for n in 0..500_i64 {
        let user = if n % 10 == 0 { "github:hangs".to_owned() } else { format!("github:{}", n % 7) };
        let offset = kafka.append_text(TOPIC, 0, &user, "x");
        appended.insert(offset, Instant::now());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    delivering.until("all others are delivered", |state| state.stored_at.len() == 450).await;
    let mut waits: Vec<_> = delivering.state().stored_at.iter().map(|(_, offset, at)| *at - appended[offset]).collect();
    waits.sort();
    assert!(waits[waits.len() / 2] < Duration::from_millis(10), "{:?}", waits[waits.len() / 2]);
    // Those in the first request with the user who hangs wait for the edge's deadline, nobody afterwards.
    assert!(waits[waits.len() * 95 / 100] < Duration::from_millis(20), "{:?}", waits[waits.len() * 95 / 100]);

    delivering.state().hanging_users.clear();
    delivering.until("the checkpoint has caught up", |state| state.edge.next_offset(0) == Some(500)).await;
    let expected: Vec<_> = (0..500).filter(|n| n % 10 == 0).map(|n| format!("v2.chat.7.0.{n}")).collect();
    assert_eq!(delivering.state().edge.delivered("github:hangs"), expected);
    assert!(kafka.records("chat.outbound.dlq").is_empty());
    delivering.stop().await;
}

/// Delivers until `github:fails`, whose two records fail, is parked and the checkpoint has passed them.
async fn with_a_parked_user(kafka: &Arc<MemoryKafka>, sink: &Arc<MemorySink>) -> Delivering {
    sink.state().edge.failing_users.insert("github:fails".to_owned());
    let delivering = Delivering::start(kafka, sink);
    for text in ["a", "b"] {
        kafka.append_text(TOPIC, 0, "github:fails", text);
    }
    for _ in 0..150 {
        kafka.append_text(TOPIC, 0, "github:1", "x");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    delivering
        .until("the checkpoint has passed the parked records", |state| state.edge.next_offset(0) == Some(152))
        .await;
    delivering
}

#[tokio::test(start_paused = true)]
async fn a_user_who_fails_for_two_minutes_is_parked_and_hears_of_the_gap() {
    let (kafka, sink) = (kafka(1), MemorySink::new());
    let delivering = with_a_parked_user(&kafka, &sink).await;
    let dead_letters: Vec<_> = kafka
        .records("chat.outbound.dlq")
        .iter()
        .map(|record| (header(record, "dlq_reason"), header(record, "dlq_offset"), record.value.clone().unwrap()))
        .collect();
    let parked = |offset: &str, text: &str| {
        ("parked".to_owned(), offset.to_owned(), format!(r#"{{"text":"{text}"}}"#).into_bytes())
    };
    assert_eq!(dead_letters, [parked("0", "a"), parked("1", "b")]);
    assert!(delivering.metrics.render().contains("causeway_parked_users 1"));

    delivering.state().edge.failing_users.clear();
    kafka.append_text(TOPIC, 0, "github:fails", "c");
    delivering.until("the user hears again", |state| state.edge.delivered("github:fails").len() == 2).await;
    assert_eq!(delivering.state().edge.delivered("github:fails"), ["v2.chat.7.0.1 parked", "v2.chat.7.0.152"]);
    assert!(delivering.metrics.render().contains("causeway_parked_users 0"));
    delivering.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_user_who_was_parked_hears_of_the_gap_after_a_restart() {
    let (kafka, sink) = (kafka(1), MemorySink::new());
    let delivering = with_a_parked_user(&kafka, &sink).await;
    delivering.stop().await;

    sink.state().edge.failing_users.clear();
    let delivering = Delivering::start(&kafka, &sink);
    kafka.append_text(TOPIC, 0, "github:fails", "c");
    delivering.until("all is delivered", |state| state.edge.next_offset(0) == Some(153)).await;
    let gap = "v2.chat.7.0.1 parked";
    assert_eq!(delivering.state().edge.delivered("github:fails"), [gap, "v2.chat.7.0.152"]);
    let others = delivering.state().edge.delivered("github:1");
    assert!(others.len() == 150 && others.iter().all(|told| !told.contains("parked")), "the gap is one user's");
    delivering.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_whole_sink_parks_nobody() {
    let (kafka, sink) = (kafka(1), MemorySink::new());
    let delivering = Delivering::start(&kafka, &sink);
    delivering.until("the partition is claimed", |state| state.edge.next_offset(0).is_some()).await;
    delivering.state().is_down = true;
    for n in 0..100 {
        kafka.append_text(TOPIC, 0, &format!("github:{n}"), "x");
    }
    tokio::time::sleep(Duration::from_mins(30)).await;
    delivering.state().is_down = false;
    let recovered = Instant::now();
    delivering.until("all are delivered", |state| state.edge.next_offset(0) == Some(100)).await;
    assert!(recovered.elapsed() < Duration::from_secs(15), "{:?}", recovered.elapsed());
    assert_eq!(delivering.state().edge.records.len(), 100);
    assert!(kafka.records("chat.outbound.dlq").is_empty());
    delivering.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_whole_sink_does_not_fill_the_memory() {
    let (kafka, sink) = (kafka(1), MemorySink::new());
    let delivering = Delivering::start(&kafka, &sink);
    delivering.until("the partition is claimed", |state| state.edge.next_offset(0).is_some()).await;
    delivering.state().is_down = true;
    let large = "x".repeat(200 * 1024);
    for n in 0..150 {
        kafka.append_text(TOPIC, 0, &format!("github:{n}"), &large);
    }
    tokio::time::sleep(Duration::from_mins(5)).await;
    let text = delivering.metrics.render();
    let held = text.lines().find_map(|line| line.strip_prefix("causeway_backlog_bytes{")?.split(' ').nth(1)).unwrap();
    let held: usize = held.parse().unwrap();
    assert!((8 * 1024 * 1024..18 * 1024 * 1024).contains(&held), "{held}");
    delivering.state().is_down = false;
    delivering.until("all are delivered", |state| state.edge.next_offset(0) == Some(150)).await;
    assert_eq!(delivering.state().edge.records.len(), 150);
    delivering.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_user_with_many_records_does_not_crowd_out_others() {
    let (kafka, sink) = (kafka(1), MemorySink::new());
    for _ in 0..10_000 {
        kafka.append_text(TOPIC, 0, "github:busy", "x");
    }
    let delivering = Delivering::start(&kafka, &sink);
    delivering.until("delivery has begun", |state| !state.stored_at.is_empty()).await;
    let (offset, appended) = (kafka.append_text(TOPIC, 0, "github:1", "x"), Instant::now());
    delivering
        .until("the other's is delivered", |state| {
            state.stored_at.iter().any(|(user, of, _)| user == "github:1" && *of == offset)
        })
        .await;
    assert!(appended.elapsed() < Duration::from_millis(50), "{:?}", appended.elapsed());
    delivering.until("all are delivered", |state| state.edge.next_offset(0) == Some(10_001)).await;
    assert!(
        delivering
            .state()
            .edge
            .delivered("github:busy")
            .is_sorted_by_key(|cursor| { cursor.rsplit('.').next().unwrap().parse::<i64>().unwrap() })
    );
    delivering.stop().await;
}

#[tokio::test(start_paused = true)]
async fn users_of_all_partitions_share_requests() {
    let (kafka, sink) = (kafka(40), MemorySink::new());
    let delivering = Delivering::start(&kafka, &sink);
    delivering.until("all are claimed", |state| state.edge.partitions.len() == 40).await;
    for n in 0..4000 {
        kafka.append_text(TOPIC, n % 40, &format!("github:{n}"), "x");
    }
    delivering.until("all are delivered", |state| state.stored_at.len() == 4000).await;
    let (requests, most_in_flight) = {
        let state = delivering.state();
        (state.request_users.len(), state.most_in_flight)
    };
    assert!(requests < 200, "{requests}");
    assert!((2..=16).contains(&most_in_flight), "{most_in_flight}");
    delivering.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_partition_without_a_leader_keeps_no_other_from_starting() {
    let (kafka, sink) = (kafka(3), MemorySink::new());
    kafka.set_leaderless(TOPIC, 1, true);
    for partition in 0..3 {
        kafka.append_text(TOPIC, partition, "github:1", "x");
    }
    let delivering = Delivering::start(&kafka, &sink);
    let started = Instant::now();
    delivering.until("the others are delivered", |state| state.stored_at.len() == 2).await;
    assert!(started.elapsed() < Duration::from_secs(1));
    kafka.set_leaderless(TOPIC, 1, false);
    delivering.until("the third is delivered", |state| state.edge.next_offset(1) == Some(1)).await;
    assert_eq!(delivering.state().edge.delivered("github:1").len(), 3, "nothing is repeated");
    delivering.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_another_instance_takes_is_claimed_again_later() {
    let (kafka, sink) = (kafka(2), MemorySink::new());
    let delivering = Delivering::start(&kafka, &sink);
    delivering.until("both are claimed", |state| state.edge.partitions.len() == 2).await;
    sink.state().edge.claim(0);
    let taken = Instant::now();
    kafka.append_text(TOPIC, 0, "github:1", "a");
    kafka.append_text(TOPIC, 1, "github:1", "b");
    delivering.until("the other partition goes on", |state| state.edge.next_offset(1) == Some(1)).await;
    assert!(taken.elapsed() < Duration::from_secs(4), "{:?}", taken.elapsed());
    assert_eq!(delivering.state().edge.delivered("github:1"), ["v2.chat.7.1.0"]);
    delivering.until("it is delivered after another claim", |state| state.edge.next_offset(0) == Some(1)).await;
    assert!(taken.elapsed() >= Duration::from_secs(5));
    assert_eq!(delivering.state().edge.delivered("github:1"), ["v2.chat.7.1.0", "v2.chat.7.0.0"]);
    assert!(delivering.metrics.render().contains("causeway_stale_partitions_total 1"));
    delivering.stop().await;
}

#[tokio::test(start_paused = true)]
async fn streams_of_this_process_see_items_in_the_order_in_which_they_are_stored() {
    let kafka = MemoryKafka::new(&[(TOPIC, 1), ("news", 1)]);
    let sink = MemorySink::new();
    let delivering = Delivering::start_channels(&kafka, &sink, &[("chat", TOPIC), ("news", "news")]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    for n in 0..100 {
        kafka.append_text(if n % 3 == 0 { "news" } else { TOPIC }, 0, "github:1", "x");
        tokio::task::yield_now().await;
    }
    delivering.until("all are stored", |state| state.edge.deliveries.len() == 100).await;
    let stored: Vec<_> = delivering.state().stored_at.iter().map(|(_, offset, _)| *offset).collect();
    let pushed: Vec<_> = delivering.state().pushed.iter().map(|(_, _, offset)| *offset).collect();
    assert_eq!(pushed, stored);
    delivering.stop().await;
}

#[tokio::test(start_paused = true)]
async fn checkpoints_are_written_a_few_times_a_second_and_at_the_end() {
    let (kafka, sink) = (kafka(1), MemorySink::new());
    let delivering = Delivering::start(&kafka, &sink);
    delivering.until("the partition is claimed", |state| state.edge.next_offset(0).is_some()).await;
    for _ in 0..1000 {
        kafka.append_text(TOPIC, 0, "github:1", "x");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    let text = delivering.metrics.render();
    let written = text.lines().find_map(|line| line.strip_prefix("causeway_checkpoints_total ")).unwrap();
    assert!((5..=10).contains(&written.parse::<u32>().unwrap()), "{written}");
    delivering.stop().await;
    assert_eq!(sink.state().edge.next_offset(0), Some(1000));
}

#[tokio::test(start_paused = true)]
async fn users_whose_hubs_hang_at_the_same_time_hold_up_nobody_else() {
    let (kafka, sink) = (kafka(1), MemorySink::new());
    let delivering = Delivering::start(&kafka, &sink);
    delivering.until("the partition is claimed", |state| state.edge.next_offset(0).is_some()).await;
    // Each is alone in a request, which takes the edge five seconds.
    for n in 0..20 {
        let user = format!("github:hangs-{n}");
        sink.state().hanging_users.insert(user.clone());
        kafka.append_text(TOPIC, 0, &user, "x");
        tokio::time::sleep(Duration::from_millis(120)).await;
    }
    for n in 0..20_i64 {
        let (offset, appended) = (kafka.append_text(TOPIC, 0, "github:1", "x"), Instant::now());
        delivering.until("it is delivered", |state| state.stored_at.iter().any(|(_, of, _)| *of == offset)).await;
        assert!(appended.elapsed() < Duration::from_millis(10), "record {n}: {:?}", appended.elapsed());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    delivering.stop().await;
}
