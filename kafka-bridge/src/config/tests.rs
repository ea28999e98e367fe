use std::collections::BTreeMap;

use super::{BufferStore, Config, PartitionShare};
use crate::kafka::{Sasl, SaslMechanism};

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
        ("KAFKA_SSL_KEY", "hunter2"),
        ("KAFKA_GROUP_ID", "bridges"),
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
    assert!(config.kafka.tls.is_some());
    let sasl = config.kafka.sasl.as_ref().unwrap();
    assert!(matches!(sasl, Sasl::Password { mechanism: SaslMechanism::ScramSha512, .. }));
    assert!(!format!("{config:?}").contains("hunter2"));
    for missing in 1..4 {
        let some: Vec<_> = all.iter().enumerate().filter(|(n, _)| *n != missing).map(|(_, var)| *var).collect();
        let error = Config::from_vars(&vars(&some)).unwrap_err().to_string();
        assert_eq!(error, format!("{} is not set", all[missing].0));
    }
}

#[test]
fn oauthbearer_requires_a_token_endpoint_and_no_password() {
    let all = [
        ("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT"),
        ("KAFKA_SASL_MECHANISM", "OAUTHBEARER"),
        ("KAFKA_SASL_TOKEN_URL", "https://id.test/token"),
        ("KAFKA_SASL_CLIENT_ID", "bridge"),
        ("KAFKA_SASL_CLIENT_SECRET", "hunter2"),
    ];
    let config = Config::from_vars(&vars(&all)).unwrap();
    assert!(matches!(config.kafka.sasl, Some(Sasl::OauthBearer(_))));
    assert!(!format!("{config:?}").contains("hunter2"));
    for (key, value) in [
        ("KAFKA_SASL_TOKEN_URL", "http://id.test/token"),
        ("KAFKA_SASL_TOKEN_URL", "https://u:hunter2@id.test/token"),
        ("KAFKA_SASL_CLIENT_ID", ""),
        ("KAFKA_SASL_CLIENT_SECRET", ""),
        ("KAFKA_SASL_PASSWORD", "hunter2"),
    ] {
        let mut changes = all.to_vec();
        changes.push((key, value));
        let error = Config::from_vars(&vars(&changes)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{key} ")) && !error.contains("hunter2"), "{key}={value}: {error}");
    }
}

#[test]
fn the_client_is_one_that_is_compiled_in() {
    let with = |client| Config::from_vars(&vars(&[("KAFKA_CLIENT", client)]));
    assert!(with("rskafka").is_ok());
    assert_eq!(with("kafkajs").unwrap_err().to_string(), "KAFKA_CLIENT must be rskafka or rdkafka");
    let rdkafka = with("rdkafka").map(|config| config.kafka.client).map_err(|error| error.to_string());
    #[cfg(feature = "rdkafka")]
    assert_eq!(rdkafka, Ok(crate::kafka::KafkaClient::Rdkafka));
    #[cfg(not(feature = "rdkafka"))]
    assert!(rdkafka.unwrap_err().contains("build the bridge with --features rdkafka"));
}

#[test]
fn what_is_no_pem_is_an_error_that_names_the_variable_and_shows_none_of_it() {
    let pem = |kind: &str| format!("-----BEGIN {kind}-----\naHVudGVyMg==\n-----END {kind}-----\n");
    let (certificate, key) = (pem("CERTIFICATE"), pem("PRIVATE KEY"));
    let cases: [(&str, &[(&str, &str)]); 7] = [
        ("KAFKA_SSL_CA", &[("KAFKA_SSL_CA", "/hunter2.pem")]),
        ("KAFKA_SSL_CA", &[("KAFKA_SSL_CA", &certificate)]),
        ("KAFKA_SSL_CA", &[("KAFKA_SSL_CA", &key)]),
        ("KAFKA_SSL_CERTIFICATE", &[("KAFKA_SSL_KEY", &key)]),
        ("KAFKA_SSL_CERTIFICATE", &[("KAFKA_SSL_CERTIFICATE", &key), ("KAFKA_SSL_KEY", &key)]),
        ("KAFKA_SSL_KEY", &[("KAFKA_SSL_CERTIFICATE", &certificate)]),
        ("KAFKA_SSL_KEY", &[("KAFKA_SSL_CERTIFICATE", &certificate), ("KAFKA_SSL_KEY", &certificate)]),
    ];
    for (named, changes) in cases {
        let mut changes = changes.to_vec();
        changes.push(("KAFKA_SECURITY_PROTOCOL", "SSL"));
        let error = Config::from_vars(&vars(&changes)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{named} ")), "{changes:?}: {error}");
        assert!(!error.contains("hunter2") && !error.contains("aHVudGVyMg"), "{error}");
    }
}

#[test]
fn every_partition_has_exactly_one_owner() {
    for partition in 0..20 {
        let owners = (0..3).filter(|replica| PartitionShare { replica: *replica, replicas: 3 }.owns(partition)).count();
        assert_eq!(owners, 1, "{partition}");
    }
}
