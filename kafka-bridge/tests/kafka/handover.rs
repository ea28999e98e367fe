//! Instances of the bridge that hand their partitions over, by their ordinals: whole processes, and a real Kafka.

use std::{
    process::{Child, Command, Stdio},
    sync::Arc,
};

use causeway_protocol::cursor::Cursor;
use kafka_bridge::kafka::{KafkaIo, NewRecord};

use crate::{
    contract::new_topic,
    rskafka,
    support::{TEST_TIMEOUT, edge::Edge, kafka::KafkaServer, keys, until},
};

const PARTITIONS: i32 = 4;

/// A running bridge. Killed if the test fails.
struct Process(Child);

impl Process {
    fn start(server: &KafkaServer, edge: &Edge, topic: &str, replica: u32, replicas: u32) -> Self {
        let channels = serde_json::json!([{ "name": "chat", "outbound": topic }]).to_string();
        let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-bridge"));
        command
            .env_clear()
            .env("BRIDGE_LISTEN", free().to_string())
            .env("BRIDGE_KEYS", keys())
            .env("BRIDGE_EDGE_URL", &edge.url)
            .env("BRIDGE_CHANNELS", channels)
            .env("BRIDGE_REPLICA", replica.to_string())
            .env("BRIDGE_REPLICAS", replicas.to_string())
            .env("KAFKA_BROKERS", server.plaintext().brokers.join(","))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }

    /// Ends it as an orchestrator does, and waits until it has ended.
    async fn drain(mut self) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let ended = async {
            loop {
                if let Some(status) = self.0.try_wait().unwrap() {
                    return status;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        assert!(tokio::time::timeout(TEST_TIMEOUT, ended).await.unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn user(partition: i32) -> String {
    format!("github:{partition}")
}

/// Writes records to all partitions, one after another.
async fn write(kafka: Arc<dyn KafkaIo>, topic: String, records: i64) {
    for n in 0..records {
        for partition in 0..PARTITIONS {
            let (key, value) = (user(partition).into_bytes(), format!("{{\"n\":{n}}}").into_bytes());
            let record = NewRecord { key: Some(key), value: Some(value), ..NewRecord::default() };
            kafka.produce(&topic, partition, vec![record]).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_drained_instance_delivered_goes_on_at_the_next_and_nothing_is_lost_or_repeated() {
    const RECORDS: i64 = 200;
    let Some(server) = KafkaServer::shared().await else { return };
    let kafka = rskafka(server.plaintext());
    let topic = new_topic(&server, &*kafka, PARTITIONS).await;
    let edge = Edge::start().await;
    let start = |replica, replicas| Process::start(&server, &edge, &topic, replica, replicas);
    let heard = async |least: i64| {
        let all = || (0..PARTITIONS).map(|partition| edge.state().delivered(&user(partition)).len());
        until("more is delivered", || all().all(|count| count >= usize::try_from(least).unwrap())).await;
    };

    let alone = start(0, 1);
    let writing = tokio::spawn(write(Arc::clone(&kafka), topic.clone(), RECORDS));
    heard(RECORDS / 4).await;
    alone.drain().await;
    // From one instance to two, while records arrive.
    let (first, second) = (start(0, 2), start(1, 2));
    heard(RECORDS / 2).await;
    // A new version of one of them.
    second.drain().await;
    let renewed = start(1, 2);
    heard(RECORDS * 3 / 4).await;
    // And back to one.
    first.drain().await;
    renewed.drain().await;
    let alone = start(0, 1);
    writing.await.unwrap();
    heard(RECORDS).await;
    alone.drain().await;
    for partition in 0..PARTITIONS {
        let delivered = edge.state().delivered(&user(partition));
        let offset = |id: &String| id.parse::<Cursor>().unwrap().position.offset;
        assert_eq!(delivered.iter().map(offset).collect::<Vec<_>>(), (0..RECORDS).collect::<Vec<_>>());
    }
}
