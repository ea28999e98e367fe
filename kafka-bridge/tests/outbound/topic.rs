//! Topics that are recreated, grown, trimmed or truncated, and lost checkpoints.

use super::*;

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
    until_edge(&edge, "the new record is delivered", |state| state.checkpoint(0) == Some(checkpoint)).await;
    assert_eq!(edge.state().delivered("github:1").last().unwrap(), "v2.chat.307.0.0");
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
    assert_eq!(edge.state().delivered("github:1"), ["v2.chat.7.0.0", "v2.chat.7.2.0"]);
    let checkpoint = Checkpoint { epoch: 7, next_offset: 1, partitions: 3 };
    until_edge(&edge, "the old partition's checkpoint has the new count", |state| {
        state.checkpoint(0) == Some(checkpoint)
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

    edge.state().partitions.clear();
    let later = Tuning { clock: Some(|| 5000), ..tuning() };
    let bridge = Bridge::start_with(kafka.clone(), &edge.url, &[], later).await;
    until_edge(&edge, "it is delivered again", |state| state.next_offset(0) == Some(1)).await;
    assert_eq!(edge.state().delivered("github:1"), ["v2.chat.7.0.0", "v2.chat.5000.0.0"]);
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
    assert_eq!(
        edge.state().delivered("github:1"),
        ["v2.chat.7.0.0", "v2.chat.7.0.7 retention", "v2.chat.7.0.8", "v2.chat.7.0.9"]
    );
    let text = bridge.http.get(bridge.url("/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(text.contains("causeway_lost_to_retention_total{partition=\"0\",topic=\"chat.outbound\"} 7"), "{text}");
    bridge.stop().await;
}

#[tokio::test]
async fn a_truncated_partition_goes_on_at_its_end_and_delivers_nothing_again() {
    let (kafka, edge) = (kafka(2), Edge::start().await);
    for _ in 0..9 {
        kafka.append_text(TOPIC, 0, "github:1", "a");
    }
    kafka.append_text(TOPIC, 1, "github:1", "b");
    kafka.retain_from(TOPIC, 0, 5);
    let bridge = start(kafka.clone(), &edge.url).await;
    until_edge(&edge, "all are delivered", |state| state.next_offset(0).zip(state.next_offset(1)) == Some((9, 1)))
        .await;
    let before = edge.state().records.len();
    kafka.truncate(TOPIC, 0, 8);
    let checkpoint = Checkpoint { epoch: 8, next_offset: 9, partitions: 2 };
    until_edge(&edge, "it has begun another epoch", |state| {
        state.checkpoint(0).is_some_and(|at| at.epoch == checkpoint.epoch)
    })
    .await;
    kafka.append_text(TOPIC, 0, "github:1", "c");
    until_edge(&edge, "the new record is delivered", |state| state.checkpoint(0) == Some(checkpoint)).await;
    assert_eq!(edge.state().records.len(), before + 2);
    assert!(edge.state().delivered("github:1").contains(&"v2.chat.8.0.7 truncated".to_owned()));
    assert!(edge.state().frame("github:1", "v2.chat.8.0.8").contains(r#"{"text":"c"}"#));
    let text = bridge.http.get(bridge.url("/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(text.contains("causeway_truncated_total{partition=\"0\",topic=\"chat.outbound\"} 1"), "{text}");
    bridge.stop().await;
}
