use std::collections::BTreeMap;

use super::{BufferStore, Config, PartitionShare};
use crate::kafka::SaslMechanism;

fn vars(changes: &[(&str, &str)]) -> BTreeMap<String, String> {
    let keys = "a:f7eAwgURGJfaAuFCah89McGSGntwB7cnPybLmr5iOcw";
    let base = [("BRIDGE_KEYS", keys), ("BRIDGE_EDGE_URL", "https://e.test"), ("KAFKA_BROKERS", "k:9092")];
    base.iter().chain(changes).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn unset_variables_take_their_defaults() {
    let config = Config::from_vars(&vars(&[])).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8790");
    assert_eq!(config.admin_listen, None);
    assert_eq!(config.channels.len(), 1);
    assert_eq!(config.share, PartitionShare { replica: 0, replicas: 1 });
    assert_eq!(config.topic_partitions, 4);
}

#[test]
fn an_error_names_its_variable_and_shows_no_secret() {
    for (key, value) in [
        ("BRIDGE_LISTEN", "nowhere"),
        ("BRIDGE_ADMIN_LISTEN", "8791"),
        ("BRIDGE_KEYS", "hunter2"),
        ("BRIDGE_KEYS", ""),
        ("BRIDGE_CHANNELS", "hunter2"),
        ("BRIDGE_EDGE_URL", "ftp://e.test"),
        ("BRIDGE_EDGE_URL", "https://user:hunter2@e.test"),
        ("BRIDGE_EDGE_URL", ""),
        ("BRIDGE_MAX_STREAMS", "many"),
        ("BRIDGE_REPLICA", "1"),
        ("BRIDGE_REPLICAS", "0"),
        ("BRIDGE_TOPIC_PARTITIONS", "-1"),
        ("KAFKA_BROKERS", "localhost"),
        ("KAFKA_BROKERS", ","),
        ("KAFKA_SECURITY_PROTOCOL", "TLS"),
        ("KAFKA_SASL_PASSWORD", "hunter2"),
        ("BRIDGE_CHANELS", "[]"),
    ] {
        let error = Config::from_vars(&vars(&[(key, value)])).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{key} ")), "{key}={value}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn the_buffer_store_is_either_edge_or_redis_and_its_url_is_never_shown() {
    let with = |edge, redis| Config::from_vars(&vars(&[("BRIDGE_EDGE_URL", edge), ("BRIDGE_REDIS_URL", redis)]));
    let config = with("", "rediss://user:hunter2@r.test:6380/1").unwrap();
    assert!(matches!(config.buffer_store, BufferStore::Redis(_)));
    assert!(!format!("{config:?}").contains("hunter2"));
    for (edge, redis) in [
        ("", ""),
        ("https://e.test", "redis://r.test"),
        ("", "https://hunter2@r.test"),
        ("", "redis://:hunter2@"),
        ("", "hunter2"),
    ] {
        let error = with(edge, redis).unwrap_err().to_string();
        assert!(error.contains("BRIDGE_REDIS_URL") && !error.contains("hunter2"), "{error}");
    }
}

#[test]
fn sasl_requires_mechanism_username_and_password() {
    let all = [
        ("KAFKA_SECURITY_PROTOCOL", "SASL_SSL"),
        ("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512"),
        ("KAFKA_SASL_USERNAME", "bridge"),
        ("KAFKA_SASL_PASSWORD", "hunter2"),
    ];
    let config = Config::from_vars(&vars(&all)).unwrap();
    assert!(config.kafka.tls);
    assert_eq!(config.kafka.sasl.as_ref().unwrap().mechanism, SaslMechanism::ScramSha512);
    assert!(!format!("{config:?}").contains("hunter2"));
    for missing in 1..4 {
        let some: Vec<_> = all.iter().enumerate().filter(|(n, _)| *n != missing).map(|(_, var)| *var).collect();
        let error = Config::from_vars(&vars(&some)).unwrap_err().to_string();
        assert_eq!(error, format!("{} is not set", all[missing].0));
    }
}

#[test]
fn every_partition_has_exactly_one_owner() {
    for partition in 0..20 {
        let owners = (0..3).filter(|replica| PartitionShare { replica: *replica, replicas: 3 }.owns(partition)).count();
        assert_eq!(owners, 1, "{partition}");
    }
}
