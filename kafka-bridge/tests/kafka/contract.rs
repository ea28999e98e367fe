//! What every client does. Each case runs on each client.

use std::{sync::Arc, time::Duration};

use kafka_bridge::kafka::{Fetched, KafkaError, KafkaIo, NewRecord};

use crate::{read, record, support::kafka::KafkaServer, values};

macro_rules! cases {
    ($($case:ident),* $(,)?) => {
        mod rskafka {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                let Some(server) = crate::support::kafka::KafkaServer::shared().await else { return };
                super::$case(&server, crate::rskafka(server.plaintext())).await;
            })*
        }

        #[cfg(feature = "rdkafka")]
        mod rdkafka {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                let Some(server) = crate::support::kafka::KafkaServer::shared().await else { return };
                super::$case(&server, crate::rdkafka(server.plaintext())).await;
            })*
        }
    };
}

cases!(
    a_topic_is_created_once,
    a_missing_topic_is_an_error,
    records_come_back_as_they_were_written,
    a_batch_is_a_row_of_offsets,
    fetching_again_from_another_offset_returns_what_is_there,
    a_fetch_at_the_end_waits_for_the_next_record,
    an_offset_that_the_partition_does_not_have_is_out_of_range,
    partitions_are_independent,
    a_record_that_is_too_large_is_an_error,
    a_cancelled_fetch_loses_nothing,
);

pub(crate) async fn new_topic(server: &KafkaServer, kafka: &dyn KafkaIo, partitions: i32) -> String {
    let topic = server.topic_name();
    kafka.create_topic(&topic, partitions).await.unwrap();
    let known = async {
        while kafka.partitions(&topic).await.unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(crate::support::TEST_TIMEOUT, known).await.unwrap();
    topic
}

async fn a_topic_is_created_once(server: &KafkaServer, kafka: Arc<dyn KafkaIo>) {
    assert_eq!(kafka.partitions(&server.topic_name()).await, Ok(None));
    // A broker learns of a topic later than the controller that creates it.
    let topic = new_topic(server, &*kafka, 3).await;
    kafka.create_topic(&topic, 5).await.unwrap();
    assert_eq!(kafka.partitions(&topic).await, Ok(Some(3)));
}

async fn a_missing_topic_is_an_error(server: &KafkaServer, kafka: Arc<dyn KafkaIo>) {
    let topic = server.topic_name();
    let missing = KafkaError::UnknownTopic(topic.clone());
    assert_eq!(kafka.produce(&topic, 0, vec![record("a")]).await, Err(missing.clone()));
    assert_eq!(kafka.fetch(&topic, 0, 0).await, Err(missing.clone()));
    assert_eq!(kafka.watermarks(&topic, 0).await, Err(missing));
    assert_eq!(kafka.partitions(&topic).await, Ok(None), "asking for it created it");
}

async fn records_come_back_as_they_were_written(server: &KafkaServer, kafka: Arc<dyn KafkaIo>) {
    let topic = new_topic(server, &*kafka, 1).await;
    let headers = [("ce_id".to_owned(), b"1".to_vec()), ("empty".to_owned(), Vec::new())];
    let written = vec![
        NewRecord { key: Some(b"k".to_vec()), value: Some(b"v".to_vec()), headers: headers.into_iter().collect() },
        NewRecord { key: Some(b"k".to_vec()), ..NewRecord::default() },
        NewRecord { value: Some(Vec::new()), ..NewRecord::default() },
    ];
    assert_eq!(kafka.produce(&topic, 0, written.clone()).await, Ok(0));
    let found = read(&*kafka, &topic, 0, 0, 3).await;
    assert_eq!(found.iter().map(|found| found.record.clone()).collect::<Vec<_>>(), written);
    let now = chrono::Utc::now().timestamp_millis();
    assert!(found.iter().all(|found| (now - found.timestamp_ms).abs() < 60_000), "{found:?}");
}

async fn a_batch_is_a_row_of_offsets(server: &KafkaServer, kafka: Arc<dyn KafkaIo>) {
    let topic = new_topic(server, &*kafka, 1).await;
    let mut expected = Vec::new();
    for batch in 0..20 {
        let written: Vec<_> = (0..50).map(|n| format!("{batch}.{n}")).collect();
        let first = kafka.produce(&topic, 0, written.iter().map(|value| record(value)).collect()).await.unwrap();
        assert_eq!(first, batch * 50);
        expected.extend(written);
    }
    let watermarks = kafka.watermarks(&topic, 0).await.unwrap();
    assert_eq!((watermarks.earliest, watermarks.latest), (0, 1000));
    let found = read(&*kafka, &topic, 0, 0, 1000).await;
    assert_eq!(found.iter().map(|found| found.offset).collect::<Vec<_>>(), (0..1000).collect::<Vec<_>>());
    assert_eq!(values(&found), expected);
}

async fn fetching_again_from_another_offset_returns_what_is_there(server: &KafkaServer, kafka: Arc<dyn KafkaIo>) {
    let topic = new_topic(server, &*kafka, 1).await;
    for value in ["a", "b", "c", "d"] {
        kafka.produce(&topic, 0, vec![record(value)]).await.unwrap();
    }
    for (from, expected) in [(0, "a"), (3, "d"), (1, "b"), (1, "b"), (0, "a"), (2, "c")] {
        let found = read(&*kafka, &topic, 0, from, 1).await;
        assert_eq!((found[0].offset, values(&found)[0].as_str()), (from, expected));
    }
}

async fn a_fetch_at_the_end_waits_for_the_next_record(server: &KafkaServer, kafka: Arc<dyn KafkaIo>) {
    let topic = new_topic(server, &*kafka, 1).await;
    assert_eq!(kafka.fetch(&topic, 0, 0).await, Ok(Fetched::default()));
    kafka.produce(&topic, 0, vec![record("a")]).await.unwrap();
    assert_eq!(values(&read(&*kafka, &topic, 0, 0, 1).await), ["a"]);
    let nothing = Fetched { items: Vec::new(), next_offset: 1 };
    assert_eq!(kafka.fetch(&topic, 0, 1).await, Ok(nothing));
    kafka.produce(&topic, 0, vec![record("b")]).await.unwrap();
    assert_eq!(values(&read(&*kafka, &topic, 0, 1, 1).await), ["b"]);
}

async fn an_offset_that_the_partition_does_not_have_is_out_of_range(server: &KafkaServer, kafka: Arc<dyn KafkaIo>) {
    let topic = new_topic(server, &*kafka, 1).await;
    kafka.produce(&topic, 0, vec![record("a"), record("b"), record("c")]).await.unwrap();
    assert_eq!(kafka.fetch(&topic, 0, 7).await, Err(KafkaError::OffsetOutOfRange));
    assert_eq!(values(&read(&*kafka, &topic, 0, 0, 3).await), ["a", "b", "c"]);

    server.delete_before(&topic, 2).await;
    assert_eq!(kafka.watermarks(&topic, 0).await.unwrap().earliest, 2);
    assert_eq!(kafka.fetch(&topic, 0, 0).await, Err(KafkaError::OffsetOutOfRange));
    assert_eq!(values(&read(&*kafka, &topic, 0, 2, 1).await), ["c"]);
}

async fn partitions_are_independent(server: &KafkaServer, kafka: Arc<dyn KafkaIo>) {
    const PARTITIONS: i32 = 6;
    let topic = new_topic(server, &*kafka, PARTITIONS).await;
    let one = |partition: i32| {
        let (kafka, topic) = (Arc::clone(&kafka), topic.clone());
        async move {
            for n in 0..20 {
                kafka.produce(&topic, partition, vec![record(&format!("{partition}.{n}"))]).await.unwrap();
            }
            values(&read(&*kafka, &topic, partition, 0, 20).await)
        }
    };
    let tasks: Vec<_> = (0..PARTITIONS).map(|partition| tokio::spawn(one(partition))).collect();
    for (partition, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.await.unwrap(), (0..20).map(|n| format!("{partition}.{n}")).collect::<Vec<_>>());
    }
}

async fn a_record_that_is_too_large_is_an_error(server: &KafkaServer, kafka: Arc<dyn KafkaIo>) {
    let topic = new_topic(server, &*kafka, 1).await;
    let large = record(&"x".repeat(2 * 1024 * 1024));
    assert_eq!(kafka.produce(&topic, 0, vec![large]).await, Err(KafkaError::TooLarge));
    assert_eq!(kafka.produce(&topic, 0, vec![record("a")]).await, Ok(0));
}

async fn a_cancelled_fetch_loses_nothing(server: &KafkaServer, kafka: Arc<dyn KafkaIo>) {
    let topic = new_topic(server, &*kafka, 1).await;
    let writer = {
        let (kafka, topic) = (Arc::clone(&kafka), topic.clone());
        tokio::spawn(async move {
            for n in 0..200 {
                kafka.produce(&topic, 0, vec![record(&n.to_string())]).await.unwrap();
            }
        })
    };
    let (mut found, mut next) = (Vec::new(), 0);
    let all = async {
        for millis in (0..7).cycle() {
            let fetch = kafka.fetch(&topic, 0, next);
            let limit = if millis == 6 { Duration::from_secs(5) } else { Duration::from_millis(millis) };
            let Ok(fetched) = tokio::time::timeout(limit, fetch).await else { continue };
            let fetched = fetched.unwrap();
            next = fetched.next_offset;
            found.extend(fetched.items);
            if found.len() >= 200 {
                return;
            }
        }
    };
    tokio::time::timeout(crate::support::TEST_TIMEOUT, all).await.unwrap();
    writer.await.unwrap();
    let offsets: Vec<_> = found
        .iter()
        .map(|item| match item {
            kafka_bridge::kafka::FetchedItem::Record(record) => record.offset,
            item => panic!("{item:?}"),
        })
        .collect();
    assert_eq!(offsets, (0..200).collect::<Vec<_>>());
}
