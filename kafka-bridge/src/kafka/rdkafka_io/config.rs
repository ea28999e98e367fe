//! The settings, as librdkafka has them.

use std::time::Duration;

use rdkafka::ClientConfig;
use secrecy::ExposeSecret as _;

use crate::kafka::{KafkaSettings, Sasl, SaslMechanism};

/// What all of the bridge's clients have in common.
fn common(settings: &KafkaSettings, timeout: Duration) -> ClientConfig {
    let mut config = ClientConfig::new();
    let protocol = match (&settings.tls, &settings.sasl) {
        (None, None) => "plaintext",
        (Some(_), None) => "ssl",
        (None, Some(_)) => "sasl_plaintext",
        (Some(_), Some(_)) => "sasl_ssl",
    };
    config
        .set("bootstrap.servers", settings.brokers.join(","))
        .set("client.id", "causeway-kafka-bridge")
        .set("security.protocol", protocol)
        .set("socket.timeout.ms", timeout.as_millis().to_string())
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "1000")
        .set("topic.metadata.propagation.max.ms", "500")
        .set("log.connection.close", "false");
    if let Some(tls) = &settings.tls {
        if let Some(ca) = tls.ca_pem() {
            config.set("ssl.ca.pem", ca);
        }
        if let Some(identity) = tls.identity() {
            config
                .set("ssl.certificate.pem", &identity.certificate_pem)
                .set("ssl.key.pem", identity.key_pem.expose_secret());
        }
    }
    match &settings.sasl {
        None => {}
        Some(Sasl::Password { mechanism, username, password }) => {
            let mechanism = match mechanism {
                SaslMechanism::Plain => "PLAIN",
                SaslMechanism::ScramSha256 => "SCRAM-SHA-256",
                SaslMechanism::ScramSha512 => "SCRAM-SHA-512",
            };
            config
                .set("sasl.mechanism", mechanism)
                .set("sasl.username", username)
                .set("sasl.password", password.expose_secret());
        }
        Some(Sasl::OauthBearer(_)) => {
            config.set("sasl.mechanism", "OAUTHBEARER");
        }
    }
    config
}

/// A batch that is sent again is written once. Nothing waits for more records.
pub(super) fn producer(settings: &KafkaSettings, timeout: Duration) -> ClientConfig {
    let mut config = common(settings, timeout);
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "0")
        .set("message.timeout.ms", timeout.as_millis().to_string())
        // The broker says what is too large.
        .set("message.max.bytes", "104857600")
        .set("queue.buffering.max.kbytes", "65536");
    config
}

/// Reads what was committed, never moves by itself, and prefetches at most a fetch per partition.
pub(super) fn consumer(settings: &KafkaSettings, timeout: Duration, wait: Duration, fetch_bytes: i32) -> ClientConfig {
    let mut config = common(settings, timeout);
    config
        // It joins no group, but librdkafka assigns nothing without one.
        .set("group.id", "causeway-kafka-bridge")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed")
        .set("allow.auto.create.topics", "false")
        .set("enable.partition.eof", "true")
        .set("check.crcs", "true")
        .set("fetch.wait.max.ms", wait.as_millis().to_string())
        .set("fetch.error.backoff.ms", "100")
        .set("max.partition.fetch.bytes", fetch_bytes.to_string())
        .set("queued.min.messages", "1000")
        .set("queued.max.messages.kbytes", (fetch_bytes / 1024).max(1).to_string())
        // How long it takes to notice that there is room again.
        .set("fetch.queue.backoff.ms", "10");
    config
}

/// A member of a consumer group, which reads and commits nothing.
pub(super) fn member(settings: &KafkaSettings, group: &str) -> ClientConfig {
    let mut config = common(settings, Duration::from_secs(8));
    config
        .set("group.id", group)
        // One partition after the other changes hands, and the others go on.
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", "10000")
        .set("heartbeat.interval.ms", "2000")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "latest")
        .set("allow.auto.create.topics", "false")
        // A topic that is created later is found soon.
        .set("topic.metadata.refresh.interval.ms", "30000");
    config
}
