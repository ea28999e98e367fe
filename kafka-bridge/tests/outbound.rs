//! Records from Kafka to the edge.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod support;

use std::{sync::Arc, time::Duration};

use causeway_protocol::deliver::{Checkpoint, MAX_RECORD_BYTES};
use kafka_bridge::{kafka::NewRecord, server::Tuning};
use support::{
    Bridge,
    edge::{Edge, Kept},
    memory::MemoryKafka,
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

async fn kept(edge: &Edge, what: &str, condition: impl Fn(&Kept) -> bool) {
    until(what, || condition(&edge.kept())).await;
}

fn header(record: &NewRecord, name: &str) -> String {
    String::from_utf8(record.headers.get(name).cloned().unwrap_or_default()).unwrap()
}

#[tokio::test]
async fn records_reach_their_users_once_and_a_restart_goes_on() {
    let (kafka, edge) = (kafka(2), Edge::start().await);
    kafka.append_text(TOPIC, 0, "github:1", "a");
    kafka.append_text(TOPIC, 0, "github:2", "b");
    let bridge = start(kafka.clone(), &edge.url).await;
    kept(&edge, "both are there", |kept| kept.next_offset(0) == Some(2)).await;
    kafka.append_text(TOPIC, 1, "github:1", "c");
    kept(&edge, "the third is there", |kept| kept.next_offset(1) == Some(1)).await;
    bridge.stop().await;

    kafka.append_text(TOPIC, 0, "github:1", "d");
    let bridge = start(kafka.clone(), &edge.url).await;
    kept(&edge, "the fourth is there", |kept| kept.next_offset(0) == Some(3)).await;
    assert_eq!(edge.kept().arrived("github:1"), ["v1.7.0.0", "v1.7.1.0", "v1.7.0.2"]);
    assert_eq!(edge.kept().arrived("github:2"), ["v1.7.0.1"]);
    assert_eq!(edge.kept().records[&("github:1".to_owned(), "v1.7.0.2".to_owned())], r#"{"text":"d"}"#);
    bridge.stop().await;
}

#[tokio::test]
async fn killed_before_the_checkpoint_it_delivers_again_with_the_same_cursors() {
    let (kafka, edge) = (kafka(1), Edge::start().await);
    kafka.append_text(TOPIC, 0, "github:1", "a");
    edge.kept().die_before_checkpoint = true;
    let bridge = start(kafka.clone(), &edge.url).await;
    kept(&edge, "the record is there", |kept| !kept.arrivals.is_empty()).await;
    bridge.kill();
    assert_eq!(edge.kept().next_offset(0), Some(0));

    let before = edge.kept().arrivals.len();
    edge.kept().die_before_checkpoint = false;
    let bridge = start(kafka.clone(), &edge.url).await;
    kept(&edge, "the checkpoint moved", |kept| kept.next_offset(0) == Some(1)).await;
    assert!(edge.kept().arrivals.len() > before, "it was delivered again");
    assert_eq!(edge.kept().records.len(), 1, "with the same cursor");
    bridge.stop().await;
}

#[tokio::test]
async fn an_edge_that_is_away_loses_nothing() {
    let (kafka, edge) = (kafka(1), Edge::start().await);
    edge.kept().unavailable = true;
    let bridge = start(kafka.clone(), &edge.url).await;
    kafka.append_text(TOPIC, 0, "github:1", "a");
    kept(&edge, "it tried again", |kept| kept.requests > 2).await;
    edge.kept().unavailable = false;
    kept(&edge, "the record is there", |kept| kept.next_offset(0) == Some(1)).await;

    edge.kept().unavailable = true;
    let before = edge.kept().requests;
    kafka.append_text(TOPIC, 0, "github:1", "b");
    kept(&edge, "it tried again", |kept| kept.requests > before + 2).await;
    edge.kept().unavailable = false;
    kept(&edge, "the second is there", |kept| kept.next_offset(0) == Some(2)).await;
    assert_eq!(edge.kept().arrived("github:1"), ["v1.7.0.0", "v1.7.0.1"]);
    bridge.stop().await;
}

#[tokio::test]
async fn a_failing_user_waits_alone_and_holds_the_checkpoint() {
    let (kafka, edge) = (kafka(1), Edge::start().await);
    edge.kept().failing_users.insert("github:2".to_owned());
    kafka.append_text(TOPIC, 0, "github:1", "a");
    kafka.append_text(TOPIC, 0, "github:2", "b");
    let bridge = start(kafka.clone(), &edge.url).await;
    kept(&edge, "the first is there", |kept| kept.arrived("github:1").len() == 1).await;
    kafka.append_text(TOPIC, 0, "github:1", "c");
    kept(&edge, "others go on", |kept| kept.arrived("github:1").len() == 2).await;
    kept(&edge, "the checkpoint stays behind", |kept| kept.next_offset(0) == Some(1)).await;

    edge.kept().failing_users.clear();
    kept(&edge, "the checkpoint caught up", |kept| kept.next_offset(0) == Some(3)).await;
    assert_eq!(edge.kept().arrived("github:1"), ["v1.7.0.0", "v1.7.0.2"], "delivered users are not asked again");
    assert_eq!(edge.kept().arrived("github:2"), ["v1.7.0.1"]);
    bridge.stop().await;
}

#[tokio::test]
async fn poison_is_put_aside_with_its_coordinates_and_the_partition_moves_on() {
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
    kept(&edge, "all are passed", |kept| kept.next_offset(0) == Some(10)).await;

    assert_eq!(edge.kept().arrived("github:1"), ["v1.7.0.8", "v1.7.0.9"]);
    assert_eq!(edge.kept().records[&("github:1".to_owned(), "v1.7.0.8".to_owned())], "null");
    let letters = kafka.records("chat.outbound.dlq");
    let told: Vec<_> = letters
        .iter()
        .map(|letter| {
            let of = |name| header(letter, name);
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
    assert_eq!(told, expected.map(|(reason, place)| (reason.to_owned(), place.to_owned())));
    assert_eq!(letters[2].value.as_deref(), Some(b"hello".as_slice()), "the letter holds the record");
    bridge.stop().await;
}

#[tokio::test]
async fn while_a_dead_letter_cannot_be_written_the_records_behind_it_go_on_and_only_the_checkpoint_waits() {
    let (kafka, edge) = (kafka(1), Edge::start().await);
    kafka.hold();
    kafka.append_text(TOPIC, 0, "everyone", "poison");
    kafka.append_text(TOPIC, 0, "github:1", "a");
    let bridge = start(kafka.clone(), &edge.url).await;
    kept(&edge, "the record behind it is there", |kept| kept.arrived("github:1").len() == 1).await;
    kafka.append_text(TOPIC, 0, "github:1", "b");
    kept(&edge, "and what comes later", |kept| kept.arrived("github:1").len() == 2).await;
    assert_eq!(edge.kept().next_offset(0), Some(0));
    kafka.release();
    kept(&edge, "the checkpoint caught up", |kept| kept.next_offset(0) == Some(3)).await;
    assert_eq!(kafka.records("chat.outbound.dlq").len(), 1);
    assert_eq!(edge.kept().arrived("github:1"), ["v1.7.0.1", "v1.7.0.2"], "delivered once");
    bridge.stop().await;
}

#[tokio::test]
async fn a_record_the_edge_refuses_is_found_and_put_aside() {
    let (kafka, edge) = (kafka(1), Edge::start().await);
    edge.kept().refused_text = Some("unspeakable".to_owned());
    for text in ["a", "unspeakable", "c"] {
        kafka.append_text(TOPIC, 0, "github:1", text);
    }
    let bridge = start(kafka.clone(), &edge.url).await;
    kept(&edge, "all are passed", |kept| kept.next_offset(0) == Some(3)).await;
    assert_eq!(edge.kept().arrived("github:1"), ["v1.7.0.0", "v1.7.0.2"]);
    let [letter] = kafka.records("chat.outbound.dlq").try_into().unwrap();
    assert_eq!((header(&letter, "dlq_reason"), header(&letter, "dlq_offset")), ("refused_by_edge".into(), "1".into()));
    bridge.stop().await;
}

#[tokio::test]
async fn an_edge_that_refuses_everything_costs_no_record() {
    let (kafka, edge) = (kafka(1), Edge::start().await);
    kafka.append_text(TOPIC, 0, "github:1", "a");
    let bridge = start(kafka.clone(), &edge.url).await;
    kept(&edge, "the first is there", |kept| kept.next_offset(0) == Some(1)).await;
    edge.kept().refused_text = Some("chat.outbound".to_owned());
    let before = edge.kept().requests;
    kafka.append_text(TOPIC, 0, "github:1", "b");
    kept(&edge, "it tried again", |kept| kept.requests > before + 4).await;
    edge.kept().refused_text = None;
    kept(&edge, "the second is there", |kept| kept.next_offset(0) == Some(2)).await;
    assert!(kafka.records("chat.outbound.dlq").is_empty());
    assert_eq!(edge.kept().arrived("github:1"), ["v1.7.0.0", "v1.7.0.1"]);
    bridge.stop().await;
}

#[tokio::test]
async fn an_edge_that_refuses_one_record_after_another_is_a_fault_and_no_record_is_put_aside() {
    let (kafka, edge) = (kafka(1), Edge::start().await);
    // All requests that carry records, as an edge that does not know their form would.
    edge.kept().refused_text = Some("\"records\"".to_owned());
    for n in 0..6 {
        kafka.append_text(TOPIC, 0, &format!("github:{n}"), "a");
    }
    let bridge = start(kafka.clone(), &edge.url).await;
    let told = async |path: &str| bridge.http.get(bridge.url(path)).send().await.unwrap().text().await.unwrap();
    let becomes = async |is_fault: bool| {
        while told("/readyz").await.contains("different versions") != is_fault {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(support::PATIENCE, becomes(true)).await.unwrap();
    let figure =
        |value: u8| format!("causeway_edge_refuses_records{{partition=\"0\",topic=\"chat.outbound\"}} {value}");
    assert!(told("/metrics").await.contains(&figure(1)));
    let before = edge.kept().requests;
    kept(&edge, "it tried again, with more", |kept| kept.requests > before + 10).await;

    edge.kept().refused_text = None;
    kept(&edge, "all are there", |kept| kept.next_offset(0) == Some(6)).await;
    tokio::time::timeout(support::PATIENCE, becomes(false)).await.unwrap();
    assert!(told("/metrics").await.contains(&figure(0)));
    assert!(kafka.records("chat.outbound.dlq").is_empty());
    assert_eq!(edge.kept().arrivals.len(), 6, "each once");
    bridge.stop().await;
}

#[tokio::test]
async fn a_refused_record_is_tried_once_more_after_others_were_taken_and_then_put_aside() {
    let (kafka, edge) = (kafka(1), Edge::start().await);
    edge.kept().refused_text = Some("unspeakable".to_owned());
    kafka.append_text(TOPIC, 0, "github:1", "unspeakable");
    kafka.append_text(TOPIC, 0, "github:1", "after");
    kafka.append_text(TOPIC, 0, "github:2", "other");
    let bridge = start(kafka.clone(), &edge.url).await;
    kept(&edge, "all are passed", |kept| kept.next_offset(0) == Some(3)).await;
    assert_eq!(edge.kept().arrived("github:1"), ["v1.7.0.1"]);
    assert_eq!(edge.kept().arrived("github:2"), ["v1.7.0.2"]);
    assert_eq!(kafka.records("chat.outbound.dlq").len(), 1);
    bridge.stop().await;
}

#[tokio::test]
async fn a_run_of_refused_records_is_put_aside_once_a_later_one_is_taken() {
    let (kafka, edge) = (kafka(1), Edge::start().await);
    edge.kept().refused_text = Some("unspeakable".to_owned());
    for text in ["unspeakable"; 4].into_iter().chain(["fine"]) {
        kafka.append_text(TOPIC, 0, "github:1", text);
    }
    let bridge = start(kafka.clone(), &edge.url).await;
    kept(&edge, "all are passed", |kept| kept.next_offset(0) == Some(5)).await;
    assert_eq!(edge.kept().arrived("github:1"), ["v1.7.0.4"]);
    let offsets: Vec<_> =
        kafka.records("chat.outbound.dlq").iter().map(|letter| header(letter, "dlq_offset")).collect();
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
    // The edge itself asserts that no request is larger than the contract allows.
    kept(&edge, "all are there", |kept| kept.next_offset(0) == Some(340)).await;
    assert_eq!(edge.kept().records.len(), 340);
    let offsets: Vec<_> = (0..40).filter(|n| n % 3 == 1).map(|n| format!("v1.7.0.{n}")).collect();
    assert_eq!(edge.kept().arrived("github:1"), offsets);
    bridge.stop().await;
}

#[tokio::test]
async fn a_topic_recreated_meanwhile_is_read_from_its_beginning_in_a_new_epoch() {
    let (kafka, edge) = (kafka(1), Edge::start().await);
    for _ in 0..3 {
        kafka.append_text(TOPIC, 0, "github:1", "old");
    }
    let bridge = start(kafka.clone(), &edge.url).await;
    kept(&edge, "all are there", |kept| kept.next_offset(0) == Some(3)).await;
    kafka.recreate(TOPIC, 1);
    kafka.append_text(TOPIC, 0, "github:1", "new");
    let checkpoint = Checkpoint { epoch: 307, next_offset: 1, partitions: 1 };
    kept(&edge, "the new one is there", |kept| kept.checkpoints.get(&0) == Some(&checkpoint)).await;
    assert_eq!(edge.kept().arrived("github:1").last().unwrap(), "v1.307.0.0");
    bridge.stop().await;
}

#[tokio::test]
async fn new_partitions_are_noticed_and_read_from_their_beginning() {
    let (kafka, edge) = (kafka(1), Edge::start().await);
    kafka.append_text(TOPIC, 0, "github:1", "a");
    let tuning = Tuning { refresh: Duration::from_millis(50), ..tuning() };
    let bridge = Bridge::start_with(kafka.clone(), &edge.url, &[], tuning).await;
    kept(&edge, "the first is there", |kept| kept.next_offset(0) == Some(1)).await;
    kafka.grow(TOPIC, 3);
    kafka.append_text(TOPIC, 2, "github:1", "b");
    kept(&edge, "the second is there", |kept| kept.next_offset(2) == Some(1)).await;
    assert_eq!(edge.kept().arrived("github:1"), ["v1.7.0.0", "v1.7.2.0"]);
    let checkpoint = Checkpoint { epoch: 7, next_offset: 1, partitions: 3 };
    kept(&edge, "the old one knows of the others", |kept| kept.checkpoints.get(&0) == Some(&checkpoint)).await;
    bridge.stop().await;
}

#[tokio::test]
async fn new_partitions_while_a_user_is_held_back_repeat_nothing_under_another_id() {
    let (kafka, edge) = (kafka(1), Edge::start().await);
    edge.kept().failing_users.insert("github:2".to_owned());
    for (user, text) in [("github:2", "a"), ("github:1", "b"), ("github:1", "c")] {
        kafka.append_text(TOPIC, 0, user, text);
    }
    let tuning = Tuning { refresh: Duration::from_millis(50), ..tuning() };
    let bridge = Bridge::start_with(kafka.clone(), &edge.url, &[], tuning).await;
    kept(&edge, "the others' are there", |kept| kept.arrived("github:1").len() == 2).await;
    kafka.grow(TOPIC, 2);
    kafka.append_text(TOPIC, 1, "github:1", "d");
    kept(&edge, "the new partition's is there", |kept| kept.next_offset(1) == Some(1)).await;
    edge.kept().failing_users.clear();
    kept(&edge, "the checkpoint caught up", |kept| kept.next_offset(0) == Some(3)).await;
    let stored = |user: &str| edge.kept().records.keys().filter(|(of, _)| of == user).count();
    assert_eq!((stored("github:1"), stored("github:2")), (3, 1));
    bridge.stop().await;
}

#[tokio::test]
async fn lost_checkpoints_and_another_topic_begin_above_what_the_users_had() {
    let (kafka, edge) = (kafka(1), Edge::start().await);
    kafka.append_text(TOPIC, 0, "github:1", "a");
    let bridge = start(kafka.clone(), &edge.url).await;
    kept(&edge, "the first is there", |kept| kept.next_offset(0) == Some(1)).await;
    bridge.stop().await;

    edge.kept().checkpoints.clear();
    let later = Tuning { clock: Some(|| 5000), ..tuning() };
    let bridge = Bridge::start_with(kafka.clone(), &edge.url, &[], later).await;
    kept(&edge, "it is there again", |kept| kept.next_offset(0) == Some(1)).await;
    assert_eq!(edge.kept().arrived("github:1"), ["v1.7.0.0", "v1.5000.0.0"]);
    bridge.stop().await;
}

#[tokio::test]
async fn what_retention_removed_is_counted_and_the_rest_delivered() {
    let (kafka, edge) = (kafka(1), Edge::start().await);
    kafka.append_text(TOPIC, 0, "github:1", "a");
    let bridge = start(kafka.clone(), &edge.url).await;
    kept(&edge, "the first is there", |kept| kept.next_offset(0) == Some(1)).await;
    bridge.stop().await;
    for _ in 0..9 {
        kafka.append_text(TOPIC, 0, "github:1", "x");
    }
    kafka.retain_from(TOPIC, 0, 8);
    let bridge = start(kafka.clone(), &edge.url).await;
    kept(&edge, "the rest is there", |kept| kept.next_offset(0) == Some(10)).await;
    assert_eq!(edge.kept().arrived("github:1"), ["v1.7.0.0", "v1.7.0.8", "v1.7.0.9"]);
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
    kept(&edge, "its half is there", |kept| kept.next_offset(1).zip(kept.next_offset(3)) == Some((1, 1))).await;
    assert_eq!(edge.kept().checkpoints.keys().copied().collect::<Vec<_>>(), [1, 3]);
    let share = [("BRIDGE_REPLICA", "0"), ("BRIDGE_REPLICAS", "2")];
    let first = Bridge::start_with(kafka.clone(), &edge.url, &share, tuning()).await;
    kept(&edge, "all is there", |kept| (0..4).all(|partition| kept.next_offset(partition) == Some(1))).await;
    assert_eq!(edge.kept().arrivals.len(), 4);
    first.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn two_bridges_on_one_partition_lose_nothing_and_store_nothing_twice() {
    let (kafka, edge) = (kafka(1), Edge::start().await);
    let bridges = [start(kafka.clone(), &edge.url).await, start(kafka.clone(), &edge.url).await];
    for n in 0..100 {
        kafka.append_text(TOPIC, 0, "github:1", &n.to_string());
        tokio::task::yield_now().await;
    }
    kept(&edge, "all are there", |kept| kept.next_offset(0) == Some(100)).await;
    assert_eq!(edge.kept().records.len(), 100);
    for bridge in bridges {
        bridge.stop().await;
    }
}
