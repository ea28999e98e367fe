//! Poison records, and records that the edge rejects.

use std::collections::BTreeSet;

use kafka_bridge::kafka::KafkaError;

use super::*;

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
    kafka.append_text(TOPIC, 0, "github:1", "before");
    kafka.append_text(TOPIC, 0, "github:1", "after");
    let bridge = start(kafka.clone(), &edge.url).await;
    until_edge(&edge, "the checkpoint has passed all", |state| state.next_offset(0) == Some(10)).await;

    assert_eq!(edge.state().delivered("github:1"), ["v2.chat.7.0.8", "v2.chat.7.0.9"]);
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

/// The example of docs/events.md.
#[tokio::test]
async fn s167_records_that_are_not_signed_as_the_channel_demands_are_counted_dead_letters_and_never_delivered() {
    let (kafka, edge) = (kafka(1), Edge::start().await);
    let signature = "k1.Zvt5rPED77eShwhqIV1rsgDjnaGAfaa9XDU4E_zbt-s";
    let record = |key: &str, signature: &[&str], changed: &[(&str, &str)]| {
        let headers =
            [("content-type", "application/json"), ("ce_id", "a1"), ("ce_specversion", "1.0"), ("ce_type", "message")];
        let signature = signature.iter().map(|text| ("causeway-signature", *text));
        let all = headers.into_iter().chain(signature).chain(changed.iter().copied());
        NewRecord {
            key: Some(key.as_bytes().to_vec()),
            value: Some(r#"{"id":"m1","text":"Grüße"}"#.as_bytes().to_vec()),
            headers: all.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).collect(),
        }
    };
    let user = "github:583231";
    for forged in [
        record(user, &[], &[]),
        record("github:583232", &[signature], &[]),
        record(user, &[signature], &[("ce_id", "a2")]),
        record(user, &[signature], &[("ce_causewayecho", "true")]),
        record(user, &["k2.Zvt5rPED77eShwhqIV1rsgDjnaGAfaa9XDU4E_zbt-s"], &[]),
    ] {
        kafka.append(TOPIC, 0, forged);
    }
    let valid = kafka.append(TOPIC, 0, record(user, &[signature], &[("traceparent", "not signed")]));
    let channels = r#"[{"name":"chat","outbound":"chat.outbound","signature":{"algorithm":"hmac-sha256",
        "keys":{"k1":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}}}]"#;
    let bridge = Bridge::start_with(kafka.clone(), &edge.url, &[("BRIDGE_CHANNELS", channels)], tuning()).await;
    until_edge(&edge, "the checkpoint has passed all", |state| state.next_offset(0) == Some(valid + 1)).await;
    assert_eq!(edge.state().deliveries, [(user.to_owned(), format!("v2.chat.7.0.{valid}"))]);
    let reasons: Vec<_> =
        kafka.records("chat.outbound.dlq").iter().map(|dead_letter| header(dead_letter, "dlq_reason")).collect();
    assert_eq!(reasons, ["unsigned", "bad_signature", "bad_signature", "bad_signature", "bad_signature"]);
    let metrics = bridge.http.get(bridge.url("/metrics")).send().await.unwrap().text().await.unwrap();
    for (reason, count) in [("unsigned", 1), ("bad_signature", 4)] {
        let line = format!("causeway_dead_letters_total{{reason=\"{reason}\",topic=\"chat.outbound\"}} {count}");
        assert!(metrics.contains(&line), "{line}");
    }
    bridge.stop().await;
}

#[tokio::test]
async fn many_dead_letters_share_batches() {
    let (kafka, edge) = (kafka(1), Edge::start().await);
    kafka.hold();
    for _ in 0..900 {
        kafka.append_text(TOPIC, 0, "everyone", &"x".repeat(2000));
    }
    let bridge = start(kafka.clone(), &edge.url).await;
    kafka.append_text(TOPIC, 0, "github:1", "a");
    until_edge(&edge, "a record behind them is delivered", |state| state.delivered("github:1").len() == 1).await;
    // One of the batches is rejected as a whole.
    kafka.fail_produces(&[KafkaError::TooLarge]);
    kafka.release();
    until_edge(&edge, "the checkpoint has passed all", |state| state.next_offset(0) == Some(901)).await;
    let offsets: BTreeSet<_> =
        kafka.records("chat.outbound.dlq").iter().map(|dead_letter| header(dead_letter, "dlq_offset")).collect();
    assert_eq!(offsets.len(), 900);
    assert!(kafka.produces() < 300, "each of a rejected batch alone, but no others: {}", kafka.produces());
    assert!((2..=512).contains(&kafka.largest_batch()), "a batch has a limit: {}", kafka.largest_batch());
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
    assert_eq!(edge.state().delivered("github:1"), ["v2.chat.7.0.1", "v2.chat.7.0.2"], "delivered once");
    bridge.stop().await;
}

#[tokio::test]
async fn a_record_that_the_users_hub_refuses_is_a_dead_letter_and_a_gap() {
    let (kafka, edge) = (kafka(1), Edge::start().await);
    edge.state().refused_text = Some("poison".to_owned());
    for text in ["a", "poison", "c"] {
        kafka.append_text(TOPIC, 0, "github:1", text);
    }
    kafka.append_text(TOPIC, 0, "github:2", "other");
    let bridge = start(kafka.clone(), &edge.url).await;
    until_edge(&edge, "the checkpoint has passed all", |state| state.next_offset(0) == Some(4)).await;
    let expected = ["v2.chat.7.0.0", "v2.chat.7.0.1 undeliverable", "v2.chat.7.0.2"];
    assert_eq!(edge.state().delivered("github:1"), expected);
    assert_eq!(edge.state().delivered("github:2"), ["v2.chat.7.0.3"]);
    let [dead_letter] = kafka.records("chat.outbound.dlq").try_into().unwrap();
    assert_eq!(
        (header(&dead_letter, "dlq_reason"), header(&dead_letter, "dlq_offset")),
        ("refused_by_edge".into(), "1".into())
    );
    assert_eq!(dead_letter.value.as_deref(), Some(br#"{"text":"poison"}"#.as_slice()));
    bridge.stop().await;
}

#[tokio::test]
async fn a_record_that_makes_the_edge_reject_requests_is_isolated() {
    let (kafka, edge) = (kafka(1), Edge::start().await);
    edge.state().rejected_text = Some("poison".to_owned());
    for n in 0..30 {
        kafka.append_text(TOPIC, 0, &format!("github:{}", n % 8), if n == 13 { "poison" } else { "fine" });
    }
    let bridge = start(kafka.clone(), &edge.url).await;
    until_edge(&edge, "the checkpoint has passed all", |state| state.next_offset(0) == Some(30)).await;
    let delivered = edge.state().delivered("github:5");
    let expected = ["5", "13 undeliverable", "21", "29"].map(|offset| format!("v2.chat.7.0.{offset}"));
    assert_eq!(delivered, expected);
    assert_eq!(edge.state().records.len(), 30);
    assert_eq!(kafka.records("chat.outbound.dlq").len(), 1);
    bridge.stop().await;
}

#[tokio::test]
async fn an_edge_that_rejects_every_record_is_reported_and_loses_none() {
    let (kafka, edge) = (kafka(1), Edge::start().await);
    // All requests that carry items, like an edge that does not know their form.
    edge.state().rejected_text = Some("\"frame\"".to_owned());
    for n in 0..6 {
        kafka.append_text(TOPIC, 0, &format!("github:{n}"), "a");
    }
    let bridge = start(kafka.clone(), &edge.url).await;
    let get_text = async |path: &str| bridge.http.get(bridge.url(path)).send().await.unwrap().text().await.unwrap();
    let becomes = async |is_fault: bool| {
        while get_text("/readyz").await.contains("refuses one record after another") != is_fault {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(support::TEST_TIMEOUT, becomes(true)).await.unwrap();
    assert!(get_text("/metrics").await.contains("causeway_edge_refuses_records 1"));

    edge.state().rejected_text = None;
    until_edge(&edge, "all are delivered", |state| state.next_offset(0) == Some(6)).await;
    tokio::time::timeout(support::TEST_TIMEOUT, becomes(false)).await.unwrap();
    assert!(get_text("/metrics").await.contains("causeway_edge_refuses_records 0"));
    bridge.stop().await;
}
