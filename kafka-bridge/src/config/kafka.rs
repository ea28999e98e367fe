//! `KAFKA_CLIENT`, `KAFKA_BROKERS` and `KAFKA_SECURITY_PROTOCOL`.

use super::{
    kafka_sasl::sasl,
    kafka_tls::tls_settings,
    vars::{ConfigError, Vars},
};
use crate::kafka::{KafkaClient, KafkaSettings};

pub(super) fn kafka_settings(vars: &Vars<'_>) -> Result<KafkaSettings, ConfigError> {
    const PROTOCOL: &str = "KAFKA_SECURITY_PROTOCOL";
    let (uses_tls, uses_sasl) = match vars.get(PROTOCOL).unwrap_or("PLAINTEXT") {
        "PLAINTEXT" => (false, false),
        "SSL" => (true, false),
        "SASL_PLAINTEXT" => (false, true),
        "SASL_SSL" => (true, true),
        _ => return Err(ConfigError::new(PROTOCOL, "must be PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL")),
    };
    let client = client(vars)?;
    Ok(KafkaSettings {
        client,
        group: group(vars, client)?,
        brokers: brokers(vars.required("KAFKA_BROKERS")?)?,
        tls: tls_settings(vars, uses_tls)?,
        sasl: sasl(vars, uses_sasl)?,
    })
}

fn client(vars: &Vars<'_>) -> Result<KafkaClient, ConfigError> {
    const KEY: &str = "KAFKA_CLIENT";
    match vars.get(KEY).unwrap_or("rskafka") {
        "rskafka" => Ok(KafkaClient::Rskafka),
        #[cfg(feature = "rdkafka")]
        "rdkafka" => Ok(KafkaClient::Rdkafka),
        #[cfg(not(feature = "rdkafka"))]
        "rdkafka" => {
            Err(ConfigError::new(KEY, "is rdkafka, which is not compiled in: build the bridge with --features rdkafka"))
        }
        _ => Err(ConfigError::new(KEY, "must be rskafka or rdkafka")),
    }
}

fn group(vars: &Vars<'_>, client: KafkaClient) -> Result<Option<String>, ConfigError> {
    const KEY: &str = "KAFKA_GROUP_ID";
    let Some(group) = vars.get(KEY) else { return Ok(None) };
    if client == KafkaClient::Rskafka {
        return Err(ConfigError::new(KEY, "is set but KAFKA_CLIENT is not rdkafka, which alone can join a group"));
    }
    if let Some(key) = ["BRIDGE_REPLICA", "BRIDGE_REPLICAS"].into_iter().find(|key| vars.get(key).is_some()) {
        return Err(ConfigError::new(key, "is set but KAFKA_GROUP_ID leaves the choice of partitions to Kafka"));
    }
    Ok(Some(group.to_owned()))
}

fn brokers(text: &str) -> Result<Vec<String>, ConfigError> {
    let brokers: Vec<_> = text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(str::to_owned).collect();
    let legal = |broker: &String| {
        let port = broker.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
        matches!(port, Some(Ok(_))) && !broker.contains("://")
    };
    if brokers.is_empty() || !brokers.iter().all(legal) {
        return Err(ConfigError::new("KAFKA_BROKERS", "must be written host:port, several separated by commas"));
    }
    Ok(brokers)
}
