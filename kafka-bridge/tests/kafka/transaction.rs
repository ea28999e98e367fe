//! What rskafka can't decode: null header values, and transactions.

use std::time::Duration;

use kafka_bridge::kafka::{FetchedItem, FetchedRecord, KafkaIo, NewRecord, clients};
use rdkafka::{
    ClientConfig,
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer as _},
};

use crate::{contract::new_topic, rdkafka, read, record, rskafka, support::kafka::KafkaServer, values};

const LIMIT: Duration = Duration::from_secs(10);

/// A backend that writes with librdkafka.
fn backend(server: &KafkaServer, transactional_id: Option<&str>) -> BaseProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", server.plaintext().brokers.join(",")).set("linger.ms", "20");
    if let Some(id) = transactional_id {
        config.set("transactional.id", id);
    }
    config.create().unwrap()
}

fn send(backend: &BaseProducer, topic: &str, value: &str, header: Option<Option<&str>>) {
    let mut new = BaseRecord::<str, str>::to(topic).partition(0).payload(value);
    if let Some(value) = header {
        new = new.headers(OwnedHeaders::new().insert(Header { key: "h", value }));
    }
    backend.send(new).map_err(|(error, _)| error).unwrap();
}

/// Reads all that a client finds from the beginning to `end`, and the ranges that it can't decode.
async fn read_all(kafka: &dyn KafkaIo, topic: &str, end: i64) -> (Vec<FetchedRecord>, Vec<(i64, i64)>) {
    let (mut records, mut gaps, mut next) = (Vec::new(), Vec::new(), 0);
    let all = async {
        while next < end {
            let fetched = kafka.fetch(topic, 0, next).await.unwrap();
            for item in fetched.items {
                match item {
                    FetchedItem::Record(record) => records.push(record),
                    FetchedItem::Undecodable { first, last, .. } => gaps.push((first, last)),
                }
            }
            // A client may stay before a marker that ends the partition.
            if fetched.next_offset == next {
                break;
            }
            next = fetched.next_offset;
        }
    };
    tokio::time::timeout(crate::support::TEST_TIMEOUT, all).await.unwrap();
    (records, gaps)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_null_header_value_costs_no_record_where_rdkafka_is_compiled_in() {
    let Some(server) = KafkaServer::shared().await else { return };
    let alone = rskafka(server.plaintext());
    let topic = new_topic(&server, &*alone, 1).await;
    let backend = backend(&server, None);
    // One batch, with the null in its middle.
    for n in 0..5 {
        send(&backend, &topic, &n.to_string(), Some((n != 2).then_some("value")));
    }
    backend.flush(LIMIT).unwrap();
    alone.produce(&topic, 0, vec![record("after")]).await.unwrap();

    let (records, gaps) = read_all(&*alone, &topic, 6).await;
    assert_eq!((values(&records), gaps), (vec!["after".to_owned()], vec![(0, 4)]), "rskafka learned it");

    let expected = ["0", "1", "2", "3", "4", "after"];
    for kafka in [clients(&server.plaintext()).unwrap().live, rdkafka(server.plaintext())] {
        let (records, gaps) = read_all(&*kafka, &topic, 6).await;
        assert_eq!(values(&records), expected);
        assert_eq!(gaps, []);
        assert_eq!(records[2].record.headers["h"], b"");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_was_aborted_is_not_read() {
    let Some(server) = KafkaServer::shared().await else { return };
    let kafka = rdkafka(server.plaintext());
    let topic = new_topic(&server, &*kafka, 1).await;
    let backend = backend(&server, Some(&topic));
    backend.init_transactions(LIMIT).unwrap();
    for (value, is_kept) in [("kept", true), ("aborted", false), ("kept too", true)] {
        backend.begin_transaction().unwrap();
        send(&backend, &topic, value, None);
        backend.flush(LIMIT).unwrap();
        if is_kept { backend.commit_transaction(LIMIT) } else { backend.abort_transaction(LIMIT) }.unwrap();
    }
    assert_eq!(values(&read(&*kafka, &topic, 0, 0, 2).await), ["kept", "kept too"]);

    // Markers cost nothing, either.
    let (records, gaps) = read_all(&*clients(&server.plaintext()).unwrap().live, &topic, 6).await;
    assert_eq!(gaps, []);
    assert!(values(&records).contains(&"kept too".to_owned()), "{records:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_transaction_is_read_when_it_is_committed() {
    let Some(server) = KafkaServer::shared().await else { return };
    let kafka = rdkafka(server.plaintext());
    let topic = new_topic(&server, &*kafka, 1).await;
    let backend = backend(&server, Some(&topic));
    backend.init_transactions(LIMIT).unwrap();
    backend.begin_transaction().unwrap();
    send(&backend, &topic, "a", None);
    backend.flush(LIMIT).unwrap();
    kafka.produce(&topic, 0, vec![NewRecord { value: Some(b"b".to_vec()), ..NewRecord::default() }]).await.unwrap();
    assert_eq!(kafka.watermarks(&topic, 0).await.unwrap().latest, 0);
    assert_eq!(kafka.fetch(&topic, 0, 0).await.unwrap().items, []);
    backend.commit_transaction(LIMIT).unwrap();
    assert_eq!(values(&read(&*kafka, &topic, 0, 0, 2).await), ["a", "b"]);
}
