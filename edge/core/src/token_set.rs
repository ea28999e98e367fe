//! A user and their tokens as plain data. They are stored only sealed, see [`crate::seal`].

use causeway_protocol::subject::Subject;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, Serializer};

/// A signed-in user as a provider describes them. Only [`Subject`] identifies; the rest is for display.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The immutable identity: never an e-mail address or a login name, which may be reassigned.
    pub subject: Subject,
    /// For display.
    pub name: String,
    /// For display.
    pub email: Option<String>,
}

/// Tokens of one provider. Cannot be printed; serialises only into a record that is then sealed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenSet {
    /// Sent to the provider's APIs.
    #[serde(serialize_with = "exposed")]
    pub access_token: SecretString,
    /// Sent to the provider's token endpoint.
    #[serde(serialize_with = "exposed_option", default)]
    pub refresh_token: Option<SecretString>,
    /// Sent as a hint at logout.
    #[serde(serialize_with = "exposed_option", default)]
    pub id_token: Option<SecretString>,
    /// When they were issued, in Unix milliseconds.
    pub obtained_at_ms: u64,
    /// When the access token ends, in Unix milliseconds; `None` if the provider did not say.
    pub expires_at_ms: Option<u64>,
    /// The granted scopes.
    pub scopes: Vec<String>,
}

pub(crate) fn exposed<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

pub(crate) fn exposed_option<S: Serializer>(secret: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    match secret {
        Some(secret) => serializer.serialize_some(secret.expose_secret()),
        None => serializer.serialize_none(),
    }
}
