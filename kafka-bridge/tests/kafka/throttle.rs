//! A quota: Kafka stores the batch, and answers that the client must send no more for a while.

use std::{sync::Arc, time::Instant};

use kafka_bridge::kafka::KafkaIo;

use crate::{clients, record, settings, support::kafka::KafkaServer};

const USERS: [&str; 2] = ["throttled", "throttled-too"];

/// Kafka averages over 10 s. So this is exceeded by a batch of more than 200 kB, and by 230 kB for 1.5 s.
const BYTES_PER_SECOND: &str = "producer_byte_rate=20000";

async fn a_throttled_batch_is_written_once(server: &KafkaServer, user: &str, kafka: Arc<dyn KafkaIo>) {
    server.configure(&["--add-config", BYTES_PER_SECOND, "--entity-type", "users", "--entity-name", user]);
    let topic = server.topic_name();
    kafka.create_topic(&topic, 1).await.unwrap();
    let started = Instant::now();
    for (expected, value) in [(0, "x".repeat(230_000)), (1, "small".to_owned()), (2, "small".to_owned())] {
        assert_eq!(kafka.produce(&topic, 0, vec![record(&value)]).await, Ok(expected), "after {:?}", started.elapsed());
    }
    let watermarks = kafka.watermarks(&topic, 0).await.unwrap();
    assert_eq!((watermarks.earliest, watermarks.latest), (0, 3));
    assert!(started.elapsed().as_millis() > 1000, "nothing was throttled");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_before_a_throttle_is_written_once() {
    let Some(server) = KafkaServer::shared().await else { return };
    // A quota counts for all clients of a user, so each has its own.
    for (user, kafka) in USERS.into_iter().zip(0..) {
        let settings = settings(&server.sasl_vars("PLAIN", user)).unwrap();
        let Some(kafka) = clients(&settings).into_iter().nth(kafka) else { break };
        a_throttled_batch_is_written_once(&server, user, kafka).await;
    }
}
