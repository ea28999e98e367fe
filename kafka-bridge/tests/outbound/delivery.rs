//! Delivery to the users, batching, retries and several bridges.

use super::*;

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
    assert_eq!(edge.state().delivered("github:1"), ["v2.chat.7.0.0", "v2.chat.7.1.0", "v2.chat.7.0.2"]);
    assert_eq!(edge.state().delivered("github:2"), ["v2.chat.7.0.1"]);
    assert!(edge.state().frame("github:1", "v2.chat.7.0.2").contains(r#""data":{"text":"d"}"#));
    bridge.stop().await;
}

#[tokio::test]
async fn a_bridge_killed_before_the_checkpoint_redelivers_with_the_same_cursors() {
    let (kafka, edge) = (kafka(1), Edge::start().await);
    kafka.append_text(TOPIC, 0, "github:1", "a");
    edge.state().fail_checkpoints = true;
    let bridge = start(kafka.clone(), &edge.url).await;
    until_edge(&edge, "the record is delivered", |state| !state.deliveries.is_empty() && state.failed_checkpoints > 0)
        .await;
    bridge.kill();
    assert_eq!(edge.state().next_offset(0), Some(0));

    let before = edge.state().deliveries.len();
    edge.state().fail_checkpoints = false;
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
    assert_eq!(edge.state().delivered("github:1"), ["v2.chat.7.0.0", "v2.chat.7.0.1"]);
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
    assert_eq!(
        edge.state().delivered("github:1"),
        ["v2.chat.7.0.0", "v2.chat.7.0.2"],
        "delivered records are not sent again"
    );
    assert_eq!(edge.state().delivered("github:2"), ["v2.chat.7.0.1"]);
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
    let offsets: Vec<_> = (0..40).filter(|n| n % 3 == 1).map(|n| format!("v2.chat.7.0.{n}")).collect();
    assert_eq!(edge.state().delivered("github:1"), offsets);
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
    assert_eq!([0, 2].map(|partition| edge.state().next_offset(partition)), [None, None]);
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

#[tokio::test]
async fn an_edge_of_another_version_loses_no_record_and_is_reported() {
    let (kafka, edge) = (kafka(1), Edge::start().await);
    let bridge = start(kafka.clone(), &edge.url).await;
    kafka.append_text(TOPIC, 0, "github:1", "a");
    until_edge(&edge, "the first is delivered", |state| state.next_offset(0) == Some(1)).await;
    edge.state().version = 3;
    kafka.append_text(TOPIC, 0, "github:1", "b");
    let is_ready = async || bridge.http.get(bridge.url("/readyz")).send().await.unwrap().status().is_success();
    let becomes = async |ready: bool| {
        while is_ready().await != ready {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(support::TEST_TIMEOUT, becomes(false)).await.unwrap();
    edge.state().version = causeway_protocol::deliver::WIRE_VERSION;
    until_edge(&edge, "the second is delivered", |state| state.next_offset(0) == Some(2)).await;
    tokio::time::timeout(support::TEST_TIMEOUT, becomes(true)).await.unwrap();
    assert_eq!(edge.state().delivered("github:1"), ["v2.chat.7.0.0", "v2.chat.7.0.1"]);
    assert!(kafka.records("chat.outbound.dlq").is_empty());
    bridge.stop().await;
}

#[tokio::test]
async fn a_bridge_killed_at_any_moment_loses_and_duplicates_no_record() {
    let (kafka, edge) = (kafka(2), Edge::start().await);
    for round in 0..10_usize {
        let bridge = start(kafka.clone(), &edge.url).await;
        for n in 0..20 {
            kafka.append_text(TOPIC, n % 2, &format!("github:{}", n % 3), "x");
            tokio::task::yield_now().await;
        }
        until_edge(&edge, "some are delivered", |state| state.records.len() > round * 15).await;
        bridge.kill();
    }
    let bridge = start(kafka.clone(), &edge.url).await;
    let both = |state: &EdgeState| state.next_offset(0).zip(state.next_offset(1)) == Some((100, 100));
    until_edge(&edge, "all are delivered", both).await;
    assert_eq!(edge.state().records.len(), 200);
    bridge.stop().await;
}
