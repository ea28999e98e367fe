//! The credentials, as rskafka wants them.

use std::sync::Arc;

use rskafka::client::{Credentials, OauthBearerCredentials, SaslConfig};
use secrecy::ExposeSecret as _;

use super::{
    KafkaSettings, Sasl, SaslMechanism,
    token::{TokenSource, TokenSourceError},
};

/// Returns `None` without SASL.
pub(super) fn rskafka_config(settings: &KafkaSettings) -> Result<Option<SaslConfig>, TokenSourceError> {
    let tokens = TokenSource::of(settings)?.map(Arc::new);
    Ok(settings.sasl.as_ref().and_then(|sasl| match sasl {
        Sasl::Password { mechanism, username, password } => {
            let credentials = Credentials::new(username.clone(), password.expose_secret().to_owned());
            Some(match mechanism {
                SaslMechanism::Plain => SaslConfig::Plain(credentials),
                SaslMechanism::ScramSha256 => SaslConfig::ScramSha256(credentials),
                SaslMechanism::ScramSha512 => SaslConfig::ScramSha512(credentials),
            })
        }
        Sasl::OauthBearer(_) => tokens.map(oauth_bearer),
    }))
}

fn oauth_bearer(tokens: Arc<TokenSource>) -> SaslConfig {
    SaslConfig::Oauthbearer(OauthBearerCredentials {
        callback: Arc::new(move || {
            let tokens = Arc::clone(&tokens);
            Box::pin(async move { Ok(tokens.token().await?.value.expose_secret().to_owned()) })
        }),
        authz_id: None,
        bearer_kvs: Vec::new(),
    })
}
