//! Delivery of records from Kafka to the edge.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

#[path = "../support/mod.rs"]
mod support;

use std::{sync::Arc, time::Duration};

use causeway_protocol::deliver::{Checkpoint, MAX_RECORD_BYTES};
use kafka_bridge::{kafka::NewRecord, server::Tuning};
use support::{
    Bridge,
    edge::{Edge, EdgeState},
    memory_kafka::MemoryKafka,
    until,
};

const TOPIC: &str = "chat.outbound";

fn kafka(partitions: usize) -> Arc<MemoryKafka> {
    MemoryKafka::new(&[("chat.inbound", 1), (TOPIC, partitions)])
}

/// Epochs begin at 7.
fn tuning() -> Tuning {
    Tuning { clock: Some(|| 7), ..Tuning::default() }
}

async fn start(kafka: Arc<MemoryKafka>, edge: &str) -> Bridge {
    Bridge::start_with(kafka, edge, &[], tuning()).await
}

async fn until_edge(edge: &Edge, what: &str, condition: impl Fn(&EdgeState) -> bool) {
    until(what, || condition(&edge.state())).await;
}

fn header(record: &NewRecord, name: &str) -> String {
    String::from_utf8(record.headers.get(name).cloned().unwrap_or_default()).unwrap()
}

#[tokio::test]
async fn records_are_delivered_once_and_a_restart_resumes() {
    let (kafka, edge) = (kafka(2), Edge::start().await);
    kafka.append_text(TOPIC, 0, "github:1", "a");
    kafka.append_text(TOPIC, 0, "github:2", "b");
    let bridge = start(kafka.clone(), &edge.url).await;
    until_edge(&edge, "both are delivered", |state| state.next_offset(0) == Some(2)).await;
    kafka.append_text(TOPIC, 1, "github:1", "c");
    until_edge(&edge, "the third is delivered", |state| state.next_offset(1) == Some(1)).await;
    bridge.stop().await;

    kafka.append_text(TOPIC, 0, "github:1", "d");
    let bridge = start(kafka.clone(), &edge.url).await;
    until_edge(&edge, "the fourth is delivered", |state| state.next_offset(0) == Some(3)).await;
    assert_eq!(edge.state().delivered("github:1"), ["v1.7.0.0", "v1.7.1.0", "v1.7.0.2"]);
    assert_eq!(edge.state().delivered("github:2"), ["v1.7.0.1"]);
    assert_eq!(edge.state().records[&("github:1".to_owned(), "v1.7.0.2".to_owned())], r#"{"text":"d"}"#);
    bridge.stop().await;
}

#[tokio::test]
async fn a_bridge_killed_before_the_checkpoint_redelivers_with_the_same_cursors() {
    let (kafka, edge) = (kafka(1), Edge::start().await);
    kafka.append_text(TOPIC, 0, "github:1", "a");
    edge.state().die_before_checkpoint = true;
    let bridge = start(kafka.clone(), &edge.url).await;
    until_edge(&edge, "the record is delivered", |state| !state.deliveries.is_empty()).await;
    bridge.kill();
    assert_eq!(edge.state().next_offset(0), Some(0));

    let before = edge.state().deliveries.len();
    edge.state().die_before_checkpoint = false;
    let bridge = start(kafka.clone(), &edge.url).await;
    until_edge(&edge, "the checkpoint has moved", |state| state.next_offset(0) == Some(1)).await;
    assert!(edge.state().deliveries.len() > before, "it was delivered again");
    assert_eq!(edge.state().records.len(), 1, "with the same cursor");
    bridge.stop().await;
}

#[tokio::test]
async fn an_outage_of_the_edge_loses_no_record() {
    let (kafka, edge) = (kafka(1), Edge::start().await);
    edge.state().unavailable = true;
    let bridge = start(kafka.clone(), &edge.url).await;
    kafka.append_text(TOPIC, 0, "github:1", "a");
    until_edge(&edge, "it has retried", |state| state.requests > 2).await;
    edge.state().unavailable = false;
    until_edge(&edge, "the record is delivered", |state| state.next_offset(0) == Some(1)).await;

    edge.state().unavailable = true;
    let before = edge.state().requests;
    kafka.append_text(TOPIC, 0, "github:1", "b");
    until_edge(&edge, "it has retried", |state| state.requests > before + 2).await;
    edge.state().unavailable = false;
    until_edge(&edge, "the second is delivered", |state| state.next_offset(0) == Some(2)).await;
    assert_eq!(edge.state().delivered("github:1"), ["v1.7.0.0", "v1.7.0.1"]);
    bridge.stop().await;
}

#[tokio::test]
async fn a_failing_user_waits_alone_and_holds_back_the_checkpoint() {
    let (kafka, edge) = (kafka(1), Edge::start().await);
    edge.state().failing_users.insert("github:2".to_owned());
    kafka.append_text(TOPIC, 0, "github:1", "a");
    kafka.append_text(TOPIC, 0, "github:2", "b");
    let bridge = start(kafka.clone(), &edge.url).await;
    until_edge(&edge, "the first is delivered", |state| state.delivered("github:1").len() == 1).await;
    kafka.append_text(TOPIC, 0, "github:1", "c");
    until_edge(&edge, "the other user goes on", |state| state.delivered("github:1").len() == 2).await;
    until_edge(&edge, "the checkpoint stays behind", |state| state.next_offset(0) == Some(1)).await;

    edge.state().failing_users.clear();
    until_edge(&edge, "the checkpoint has caught up", |state| state.next_offset(0) == Some(3)).await;
    assert_eq!(edge.state().delivered("github:1"), ["v1.7.0.0", "v1.7.0.2"], "delivered records are not sent again");
    assert_eq!(edge.state().delivered("github:2"), ["v1.7.0.1"]);
    bridge.stop().await;
}

#[tokio::test]
async fn poison_records_are_dead_lettered_with_their_coordinates() {
    let (kafka, edge) = (kafka(1), Edge::start().await);
    let record = |key: Option<&[u8]>, value: &[u8]| NewRecord {
        key: key.map(<[u8]>::to_vec),
        value: Some(value.to_vec()),
        ..NewRecord::default()
    };
    kafka.append(TOPIC, 0, record(None, b"{}"));
    kafka.append(TOPIC, 0, record(Some(b"everyone"), b"{}"));
    kafka.append(TOPIC, 0, record(Some(b"github:1"), b"hello"));
    kafka.append(TOPIC, 0, record(Some(b"github:1"), b"\"\xff\""));
    kafka.append(TOPIC, 0, record(Some(b"github:1"), &vec![b'1'; MAX_RECORD_BYTES]));
    kafka.append_undecodable(TOPIC, 0, 3, "Unknown control batch record version: 8192");
    kafka.append(TOPIC, 0, NewRecord { key: Some(b"github:1".to_vec()), ..NewRecord::default() });
    kafka.append_text(TOPIC, 0, "github:1", "after");
    let bridge = start(kafka.clone(), &edge.url).await;
    until_edge(&edge, "the checkpoint has passed all", |state| state.next_offset(0) == Some(10)).await;

    assert_eq!(edge.state().delivered("github:1"), ["v1.7.0.8", "v1.7.0.9"]);
    assert_eq!(edge.state().records[&("github:1".to_owned(), "v1.7.0.8".to_owned())], "null");
    let dead_letters = kafka.records("chat.outbound.dlq");
    let coordinates: Vec<_> = dead_letters
        .iter()
        .map(|dead_letter| {
            let of = |name| header(dead_letter, name);
            (
                of("dlq_reason"),
                format!("{}/{}/{}-{}", of("dlq_topic"), of("dlq_partition"), of("dlq_offset"), of("dlq_last_offset")),
            )
        })
        .collect();
    let expected = [
        ("no_key", "chat.outbound/0/0-0"),
        ("key_not_a_subject", "chat.outbound/0/1-1"),
        ("value_not_json", "chat.outbound/0/2-2"),
        ("value_not_utf8", "chat.outbound/0/3-3"),
        ("too_large", "chat.outbound/0/4-4"),
        ("transaction_marker", "chat.outbound/0/5-7"),
    ];
    assert_eq!(coordinates, expected.map(|(reason, offsets)| (reason.to_owned(), offsets.to_owned())));
    assert_eq!(dead_letters[2].value.as_deref(), Some(b"hello".as_slice()), "the dead letter holds the record");
    bridge.stop().await;
}

#[tokio::test]
async fn an_unwritten_dead_letter_holds_back_only_the_checkpoint() {
    let (kafka, edge) = (kafka(1), Edge::start().await);
    kafka.hold();
    kafka.append_text(TOPIC, 0, "everyone", "poison");
    kafka.append_text(TOPIC, 0, "github:1", "a");
    let bridge = start(kafka.clone(), &edge.url).await;
    until_edge(&edge, "the record behind it is delivered", |state| state.delivered("github:1").len() == 1).await;
    kafka.append_text(TOPIC, 0, "github:1", "b");
    until_edge(&edge, "a later record is delivered", |state| state.delivered("github:1").len() == 2).await;
    assert_eq!(edge.state().next_offset(0), Some(0));
    kafka.release();
    until_edge(&edge, "the checkpoint has caught up", |state| state.next_offset(0) == Some(3)).await;
    assert_eq!(kafka.records("chat.outbound.dlq").len(), 1);
    assert_eq!(edge.state().delivered("github:1"), ["v1.7.0.1", "v1.7.0.2"], "delivered once");
    bridge.stop().await;
}

#[tokio::test]
async fn a_record_that_the_edge_rejects_is_isolated_and_dead_lettered() {
    let (kafka, edge) = (kafka(1), Edge::start().await);
    edge.state().rejected_text = Some("poison".to_owned());
    for text in ["a", "poison", "c"] {
        kafka.append_text(TOPIC, 0, "github:1", text);
    }
    let bridge = start(kafka.clone(), &edge.url).await;
    until_edge(&edge, "the checkpoint has passed all", |state| state.next_offset(0) == Some(3)).await;
    assert_eq!(edge.state().delivered("github:1"), ["v1.7.0.0", "v1.7.0.2"]);
    let [dead_letter] = kafka.records("chat.outbound.dlq").try_into().unwrap();
    assert_eq!(
        (header(&dead_letter, "dlq_reason"), header(&dead_letter, "dlq_offset")),
        ("refused_by_edge".into(), "1".into())
    );
    bridge.stop().await;
}

#[tokio::test]
async fn an_edge_that_rejects_everything_loses_no_record() {
    let (kafka, edge) = (kafka(1), Edge::start().await);
    kafka.append_text(TOPIC, 0, "github:1", "a");
    let bridge = start(kafka.clone(), &edge.url).await;
    until_edge(&edge, "the first is delivered", |state| state.next_offset(0) == Some(1)).await;
    edge.state().rejected_text = Some("chat.outbound".to_owned());
    let before = edge.state().requests;
    kafka.append_text(TOPIC, 0, "github:1", "b");
    until_edge(&edge, "it has retried", |state| state.requests > before + 4).await;
    edge.state().rejected_text = None;
    until_edge(&edge, "the second is delivered", |state| state.next_offset(0) == Some(2)).await;
    assert!(kafka.records("chat.outbound.dlq").is_empty());
    assert_eq!(edge.state().delivered("github:1"), ["v1.7.0.0", "v1.7.0.1"]);
    bridge.stop().await;
}

#[tokio::test]
async fn an_edge_that_rejects_every_record_is_reported_and_nothing_is_dead_lettered() {
    let (kafka, edge) = (kafka(1), Edge::start().await);
    // All requests that carry records, like an edge that does not know their form.
    edge.state().rejected_text = Some("\"records\"".to_owned());
    for n in 0..6 {
        kafka.append_text(TOPIC, 0, &format!("github:{n}"), "a");
    }
    let bridge = start(kafka.clone(), &edge.url).await;
    let get_text = async |path: &str| bridge.http.get(bridge.url(path)).send().await.unwrap().text().await.unwrap();
    let becomes = async |is_fault: bool| {
        while get_text("/readyz").await.contains("different versions") != is_fault {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(support::TEST_TIMEOUT, becomes(true)).await.unwrap();
    let figure =
        |value: u8| format!("causeway_edge_refuses_records{{partition=\"0\",topic=\"chat.outbound\"}} {value}");
    assert!(get_text("/metrics").await.contains(&figure(1)));
    let before = edge.state().requests;
    until_edge(&edge, "it has retried with more", |state| state.requests > before + 10).await;

    edge.state().rejected_text = None;
    until_edge(&edge, "all are delivered", |state| state.next_offset(0) == Some(6)).await;
    tokio::time::timeout(support::TEST_TIMEOUT, becomes(false)).await.unwrap();
    assert!(get_text("/metrics").await.contains(&figure(0)));
    assert!(kafka.records("chat.outbound.dlq").is_empty());
    assert_eq!(edge.state().deliveries.len(), 6, "each once");
    bridge.stop().await;
}

#[tokio::test]
async fn a_rejected_record_is_retried_once_after_others_are_accepted() {
    let (kafka, edge) = (kafka(1), Edge::start().await);
    edge.state().rejected_text = Some("poison".to_owned());
    kafka.append_text(TOPIC, 0, "github:1", "poison");
    kafka.append_text(TOPIC, 0, "github:1", "after");
    kafka.append_text(TOPIC, 0, "github:2", "other");
    let bridge = start(kafka.clone(), &edge.url).await;
    until_edge(&edge, "the checkpoint has passed all", |state| state.next_offset(0) == Some(3)).await;
    assert_eq!(edge.state().delivered("github:1"), ["v1.7.0.1"]);
    assert_eq!(edge.state().delivered("github:2"), ["v1.7.0.2"]);
    assert_eq!(kafka.records("chat.outbound.dlq").len(), 1);
    bridge.stop().await;
}

#[tokio::test]
async fn a_run_of_rejected_records_is_dead_lettered_once_a_later_one_is_accepted() {
    let (kafka, edge) = (kafka(1), Edge::start().await);
    edge.state().rejected_text = Some("poison".to_owned());
    for text in ["poison"; 4].into_iter().chain(["fine"]) {
        kafka.append_text(TOPIC, 0, "github:1", text);
    }
    let bridge = start(kafka.clone(), &edge.url).await;
    until_edge(&edge, "the checkpoint has passed all", |state| state.next_offset(0) == Some(5)).await;
    assert_eq!(edge.state().delivered("github:1"), ["v1.7.0.4"]);
    let offsets: Vec<_> =
        kafka.records("chat.outbound.dlq").iter().map(|dead_letter| header(dead_letter, "dlq_offset")).collect();
    assert_eq!(offsets, ["0", "1", "2", "3"]);
    bridge.stop().await;
}

#[tokio::test]
async fn many_and_large_records_are_split_over_requests_in_order() {
    let (kafka, edge) = (kafka(1), Edge::start().await);
    let large = "x".repeat(200 * 1024);
    for n in 0..40 {
        kafka.append_text(TOPIC, 0, &format!("github:{}", n % 3), &large);
    }
    for n in 0..300 {
        kafka.append_text(TOPIC, 0, &format!("github:{}", 100 + n), "small");
    }
    let bridge = start(kafka.clone(), &edge.url).await;
    // The edge asserts that no request exceeds the protocol's limit.
    until_edge(&edge, "all are delivered", |state| state.next_offset(0) == Some(340)).await;
    assert_eq!(edge.state().records.len(), 340);
    let offsets: Vec<_> = (0..40).filter(|n| n % 3 == 1).map(|n| format!("v1.7.0.{n}")).collect();
    assert_eq!(edge.state().delivered("github:1"), offsets);
    bridge.stop().await;
}

#[tokio::test]
async fn a_recreated_topic_is_read_from_its_beginning_in_a_new_epoch() {
    let (kafka, edge) = (kafka(1), Edge::start().await);
    for _ in 0..3 {
        kafka.append_text(TOPIC, 0, "github:1", "old");
    }
    let bridge = start(kafka.clone(), &edge.url).await;
    until_edge(&edge, "all are delivered", |state| state.next_offset(0) == Some(3)).await;
    kafka.recreate(TOPIC, 1);
    kafka.append_text(TOPIC, 0, "github:1", "new");
    let checkpoint = Checkpoint { epoch: 307, next_offset: 1, partitions: 1 };
    until_edge(&edge, "the new record is delivered", |state| state.checkpoints.get(&0) == Some(&checkpoint)).await;
    assert_eq!(edge.state().delivered("github:1").last().unwrap(), "v1.307.0.0");
    bridge.stop().await;
}

#[tokio::test]
async fn new_partitions_are_detected_and_read_from_their_beginning() {
    let (kafka, edge) = (kafka(1), Edge::start().await);
    kafka.append_text(TOPIC, 0, "github:1", "a");
    let tuning = Tuning { refresh: Duration::from_millis(50), ..tuning() };
    let bridge = Bridge::start_with(kafka.clone(), &edge.url, &[], tuning).await;
    until_edge(&edge, "the first is delivered", |state| state.next_offset(0) == Some(1)).await;
    kafka.grow(TOPIC, 3);
    kafka.append_text(TOPIC, 2, "github:1", "b");
    until_edge(&edge, "the second is delivered", |state| state.next_offset(2) == Some(1)).await;
    assert_eq!(edge.state().delivered("github:1"), ["v1.7.0.0", "v1.7.2.0"]);
    let checkpoint = Checkpoint { epoch: 7, next_offset: 1, partitions: 3 };
    until_edge(&edge, "the old partition's checkpoint has the new count", |state| {
        state.checkpoints.get(&0) == Some(&checkpoint)
    })
    .await;
    bridge.stop().await;
}

#[tokio::test]
async fn new_partitions_beside_a_held_back_checkpoint_repeat_no_record_under_another_id() {
    let (kafka, edge) = (kafka(1), Edge::start().await);
    edge.state().failing_users.insert("github:2".to_owned());
    for (user, text) in [("github:2", "a"), ("github:1", "b"), ("github:1", "c")] {
        kafka.append_text(TOPIC, 0, user, text);
    }
    let tuning = Tuning { refresh: Duration::from_millis(50), ..tuning() };
    let bridge = Bridge::start_with(kafka.clone(), &edge.url, &[], tuning).await;
    until_edge(&edge, "the other user's are delivered", |state| state.delivered("github:1").len() == 2).await;
    kafka.grow(TOPIC, 2);
    kafka.append_text(TOPIC, 1, "github:1", "d");
    until_edge(&edge, "the new partition's is delivered", |state| state.next_offset(1) == Some(1)).await;
    edge.state().failing_users.clear();
    until_edge(&edge, "the checkpoint has caught up", |state| state.next_offset(0) == Some(3)).await;
    let stored = |user: &str| edge.state().records.keys().filter(|(of, _)| of == user).count();
    assert_eq!((stored("github:1"), stored("github:2")), (3, 1));
    bridge.stop().await;
}

#[tokio::test]
async fn lost_checkpoints_start_a_higher_epoch() {
    let (kafka, edge) = (kafka(1), Edge::start().await);
    kafka.append_text(TOPIC, 0, "github:1", "a");
    let bridge = start(kafka.clone(), &edge.url).await;
    until_edge(&edge, "the first is delivered", |state| state.next_offset(0) == Some(1)).await;
    bridge.stop().await;

    edge.state().checkpoints.clear();
    let later = Tuning { clock: Some(|| 5000), ..tuning() };
    let bridge = Bridge::start_with(kafka.clone(), &edge.url, &[], later).await;
    until_edge(&edge, "it is delivered again", |state| state.next_offset(0) == Some(1)).await;
    assert_eq!(edge.state().delivered("github:1"), ["v1.7.0.0", "v1.5000.0.0"]);
    bridge.stop().await;
}

#[tokio::test]
async fn records_lost_to_retention_are_counted_and_later_ones_delivered() {
    let (kafka, edge) = (kafka(1), Edge::start().await);
    kafka.append_text(TOPIC, 0, "github:1", "a");
    let bridge = start(kafka.clone(), &edge.url).await;
    until_edge(&edge, "the first is delivered", |state| state.next_offset(0) == Some(1)).await;
    bridge.stop().await;
    for _ in 0..9 {
        kafka.append_text(TOPIC, 0, "github:1", "x");
    }
    kafka.retain_from(TOPIC, 0, 8);
    let bridge = start(kafka.clone(), &edge.url).await;
    until_edge(&edge, "the remaining records are delivered", |state| state.next_offset(0) == Some(10)).await;
    assert_eq!(edge.state().delivered("github:1"), ["v1.7.0.0", "v1.7.0.8", "v1.7.0.9"]);
    let text = bridge.http.get(bridge.url("/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(text.contains("causeway_lost_to_retention_total{partition=\"0\",topic=\"chat.outbound\"} 7"), "{text}");
    bridge.stop().await;
}

#[tokio::test]
async fn replicas_share_the_partitions() {
    let (kafka, edge) = (kafka(4), Edge::start().await);
    for partition in 0..4 {
        kafka.append_text(TOPIC, partition, "github:1", "a");
    }
    let share = [("BRIDGE_REPLICA", "1"), ("BRIDGE_REPLICAS", "2")];
    let second = Bridge::start_with(kafka.clone(), &edge.url, &share, tuning()).await;
    until_edge(&edge, "its partitions are delivered", |state| {
        state.next_offset(1).zip(state.next_offset(3)) == Some((1, 1))
    })
    .await;
    assert_eq!(edge.state().checkpoints.keys().copied().collect::<Vec<_>>(), [1, 3]);
    let share = [("BRIDGE_REPLICA", "0"), ("BRIDGE_REPLICAS", "2")];
    let first = Bridge::start_with(kafka.clone(), &edge.url, &share, tuning()).await;
    until_edge(&edge, "all are delivered", |state| (0..4).all(|partition| state.next_offset(partition) == Some(1)))
        .await;
    assert_eq!(edge.state().deliveries.len(), 4);
    first.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn two_bridges_on_one_partition_lose_and_duplicate_no_record() {
    let (kafka, edge) = (kafka(1), Edge::start().await);
    let bridges = [start(kafka.clone(), &edge.url).await, start(kafka.clone(), &edge.url).await];
    for n in 0..100 {
        kafka.append_text(TOPIC, 0, "github:1", &n.to_string());
        tokio::task::yield_now().await;
    }
    until_edge(&edge, "all are delivered", |state| state.next_offset(0) == Some(100)).await;
    assert_eq!(edge.state().records.len(), 100);
    for bridge in bridges {
        bridge.stop().await;
    }
}
