//! How to connect to Kafka.

use secrecy::SecretString;
use url::Url;

use super::TlsSettings;

/// The settings of a Kafka client.
#[derive(Clone, Debug)]
pub struct KafkaSettings {
    /// Which client connects.
    pub client: KafkaClient,
    /// Bootstrap addresses, `host:port`.
    pub brokers: Vec<String>,
    /// How connections are encrypted, if they are.
    pub tls: Option<TlsSettings>,
    /// The credentials, if SASL is on.
    pub sasl: Option<Sasl>,
    /// The consumer group that decides which partitions this instance delivers. Only rdkafka can join one.
    pub group: Option<String>,
}

/// The clients that the bridge can use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KafkaClient {
    /// rskafka, written in Rust.
    #[default]
    Rskafka,
    /// rdkafka, which binds librdkafka.
    #[cfg(feature = "rdkafka")]
    Rdkafka,
}

/// SASL credentials.
#[derive(Clone, Debug)]
pub enum Sasl {
    /// A user's password.
    Password {
        /// How the client proves that it knows the password.
        mechanism: SaslMechanism,
        /// The user.
        username: String,
        /// The password.
        password: SecretString,
    },
    /// `OAUTHBEARER`: an access token.
    OauthBearer(TokenEndpoint),
}

/// The mechanisms for a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaslMechanism {
    /// The password is sent as plain text.
    Plain,
    /// SCRAM with SHA-256.
    ScramSha256,
    /// SCRAM with SHA-512.
    ScramSha512,
}

/// Where access tokens come from.
#[derive(Clone, Debug)]
pub struct TokenEndpoint {
    /// The address of the token endpoint.
    pub url: Url,
    /// The client's id there.
    pub client_id: String,
    /// The client's secret there.
    pub client_secret: SecretString,
    /// The scope that is asked for, if any.
    pub scope: Option<String>,
}
