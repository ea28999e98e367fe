//! Where Kafka is, and how it lets the bridge in.

use secrecy::SecretString;

/// What a client needs to connect.
#[derive(Clone, Debug)]
pub struct KafkaAccess {
    /// Bootstrap addresses, `host:port`.
    pub brokers: Vec<String>,
    /// Whether connections are encrypted and brokers verified, by the platform's trust store.
    pub tls: bool,
    /// How the bridge says who it is.
    pub sasl: Option<Sasl>,
}

/// A SASL identity.
#[derive(Clone, Debug)]
pub struct Sasl {
    /// How the password is proven.
    pub mechanism: SaslMechanism,
    /// The user.
    pub username: String,
    /// The password.
    pub password: SecretString,
}

/// The SASL mechanisms there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaslMechanism {
    /// In clear within the connection.
    Plain,
    /// SCRAM with SHA-256.
    ScramSha256,
    /// SCRAM with SHA-512.
    ScramSha512,
}
