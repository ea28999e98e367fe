//! What librdkafka asks for and tells.

use std::{error::Error, sync::Arc};

use rdkafka::{
    ClientContext, client::OAuthToken, config::RDKafkaLogLevel, consumer::ConsumerContext,
    error::KafkaError as ClientError,
};
use secrecy::ExposeSecret as _;

use crate::kafka::token::TokenSource;

/// The context of all clients.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) tokens: Option<Arc<TokenSource>>,
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    // librdkafka logs every connection and retry. The bridge itself logs those that matter.
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(?level, facility, message, "librdkafka");
    }

    fn error(&self, error: ClientError, reason: &str) {
        tracing::debug!(%error, reason, "librdkafka");
    }

    // Called on a thread that must not wait. Another task keeps the token fresh.
    fn generate_oauth_token(&self, _config: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        let token = self.tokens.as_ref().and_then(|tokens| tokens.current()).ok_or("there is no valid token")?;
        Ok(OAuthToken {
            token: token.value.expose_secret().to_owned(),
            principal_name: String::new(),
            lifetime_ms: token.expires_at_ms,
        })
    }
}

impl ConsumerContext for Context {}
