//! How to connect to Kafka.

use secrecy::SecretString;

/// The settings of a Kafka client.
#[derive(Clone, Debug)]
pub struct KafkaSettings {
    /// Bootstrap addresses, `host:port`.
    pub brokers: Vec<String>,
    /// Whether connections use TLS and brokers are verified against the platform's trust store.
    pub tls: bool,
    /// The credentials, if SASL is on.
    pub sasl: Option<Sasl>,
}

/// SASL credentials.
#[derive(Clone, Debug)]
pub struct Sasl {
    /// How the client proves that it knows the password.
    pub mechanism: SaslMechanism,
    /// The user.
    pub username: String,
    /// The password.
    pub password: SecretString,
}

/// The supported SASL mechanisms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaslMechanism {
    /// The password is sent as plain text.
    Plain,
    /// SCRAM with SHA-256.
    ScramSha256,
    /// SCRAM with SHA-512.
    ScramSha512,
}
