//! `KAFKA_BROKERS`, `KAFKA_SECURITY_PROTOCOL` and `KAFKA_SASL_*`.

use super::vars::{ConfigError, Vars};
use crate::kafka::{KafkaSettings, Sasl, SaslMechanism};

pub(super) fn kafka_settings(vars: &Vars<'_>) -> Result<KafkaSettings, ConfigError> {
    const PROTOCOL: &str = "KAFKA_SECURITY_PROTOCOL";
    const MECHANISM: &str = "KAFKA_SASL_MECHANISM";
    let brokers = brokers(vars.required("KAFKA_BROKERS")?)?;
    let (tls, with_sasl) = match vars.get(PROTOCOL).unwrap_or("PLAINTEXT") {
        "PLAINTEXT" => (false, false),
        "SSL" => (true, false),
        "SASL_PLAINTEXT" => (false, true),
        "SASL_SSL" => (true, true),
        _ => return Err(ConfigError::new(PROTOCOL, "must be PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL")),
    };
    let sasl_keys = [MECHANISM, "KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"];
    if !with_sasl {
        // An operator who sets credentials expects SASL, so they are not ignored.
        return match sasl_keys.into_iter().find(|key| vars.get(key).is_some()) {
            Some(key) => Err(ConfigError::new(key, "is set but KAFKA_SECURITY_PROTOCOL is without SASL")),
            None => Ok(KafkaSettings { brokers, tls, sasl: None }),
        };
    }
    let mechanism = match vars.required(MECHANISM)? {
        "PLAIN" => SaslMechanism::Plain,
        "SCRAM-SHA-256" => SaslMechanism::ScramSha256,
        "SCRAM-SHA-512" => SaslMechanism::ScramSha512,
        _ => return Err(ConfigError::new(MECHANISM, "must be PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")),
    };
    let username = vars.required("KAFKA_SASL_USERNAME")?.to_owned();
    let password = vars.required("KAFKA_SASL_PASSWORD")?.into();
    Ok(KafkaSettings { brokers, tls, sasl: Some(Sasl { mechanism, username, password }) })
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
