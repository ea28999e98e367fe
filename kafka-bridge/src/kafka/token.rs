//! Access tokens for `OAUTHBEARER`, from a token endpoint by the client credentials grant.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use reqwest::{Client, header, redirect};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::form_urlencoded;

use super::{KafkaSettings, Sasl, TokenEndpoint};
use crate::{backoff::Backoff, clock::unix_millis};

/// The longest time for a request.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The largest answer.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// The lifetime of a token whose answer does not say it.
const DEFAULT_LIFETIME_SECONDS: u64 = 300;

/// A token is not used so shortly before its end, if it lives longer.
const MARGIN_MS: i64 = 10_000;

/// An access token.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) value: SecretString,
    pub(super) expires_at_ms: i64,
    /// From when on a new one is asked for.
    refresh_at_ms: i64,
}

/// Why there is no token. Shows nothing of it, nor of the client's secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TokenError {
    #[error("the token endpoint can't be reached: {0}")]
    Unreachable(String),
    #[error("the token endpoint answered with status {0}")]
    Status(u16),
    #[error("the token endpoint's answer has no token")]
    Invalid,
}

/// The HTTP client for the token endpoint can't be built.
#[derive(Debug, thiserror::Error)]
#[error("the client for the token endpoint can't be built: {0}")]
pub struct TokenSourceError(#[from] reqwest::Error);

/// Has a valid token.
pub(super) struct TokenSource {
    endpoint: TokenEndpoint,
    http: Client,
    current: Mutex<Option<Token>>,
    /// Held while asking, so that concurrent callers ask once.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Deserialize)]
struct Answer {
    access_token: SecretString,
    expires_in: Option<u64>,
}

impl TokenSource {
    /// The source that the settings name, if they name one.
    pub(super) fn of(settings: &KafkaSettings) -> Result<Option<Self>, TokenSourceError> {
        let Some(Sasl::OauthBearer(endpoint)) = &settings.sasl else { return Ok(None) };
        // Fails only if a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder()
            .timeout(TIMEOUT)
            // A redirect would carry the secret elsewhere.
            .redirect(redirect::Policy::none())
            .user_agent("causeway-kafka-bridge")
            .build()?;
        Ok(Some(Self {
            endpoint: endpoint.clone(),
            http,
            current: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        }))
    }

    /// The token at hand, if it is still valid.
    pub(super) fn current(&self) -> Option<Token> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        current.filter(|token| token.expires_at_ms > now_ms())
    }

    /// A token that is valid for a while.
    pub(super) async fn token(&self) -> Result<Token, TokenError> {
        if let Some(token) = self.fresh() {
            return Ok(token);
        }
        let _asking = self.asking.lock().await;
        if let Some(token) = self.fresh() {
            return Ok(token);
        }
        match self.ask().await {
            Ok(token) => {
                *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
                Ok(token)
            }
            // The old one may last until the endpoint is back.
            Err(error) => self.current().ok_or(error),
        }
    }

    /// Asks for a new token whenever the last is due, for a client that can't wait for one.
    #[cfg_attr(not(feature = "rdkafka"), expect(dead_code, reason = "rskafka waits for a token"))]
    pub(super) async fn keep_fresh(self: Arc<Self>) {
        let mut backoff = Backoff::default();
        loop {
            let wait = match self.token().await {
                Ok(token) if token.refresh_at_ms > now_ms() => {
                    backoff.reset();
                    Duration::from_millis((token.refresh_at_ms - now_ms()).max(0).unsigned_abs())
                }
                outcome => {
                    if let Err(error) = outcome {
                        tracing::warn!(%error, "kafka's access token can't be renewed, trying again");
                    }
                    backoff.next_wait()
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    fn fresh(&self) -> Option<Token> {
        self.current().filter(|token| token.refresh_at_ms > now_ms())
    }

    fn form(&self) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if let Some(scope) = &self.endpoint.scope {
            form.append_pair("scope", scope);
        }
        form.finish()
    }

    async fn ask(&self) -> Result<Token, TokenError> {
        // RFC 6749, section 2.3.1: both are encoded as in a form.
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let request = self
            .http
            .post(self.endpoint.url.clone())
            .basic_auth(encoded(&self.endpoint.client_id), Some(encoded(self.endpoint.client_secret.expose_secret())))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json")
            .body(self.form());
        let asked_at_ms = now_ms();
        let mut response = request.send().await.map_err(unreachable)?;
        if !response.status().is_success() {
            return Err(TokenError::Status(response.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > MAX_RESPONSE_BYTES {
                return Err(TokenError::Invalid);
            }
            body.extend_from_slice(&chunk);
        }
        let answer: Answer = serde_json::from_slice(&body).map_err(|_| TokenError::Invalid)?;
        let lifetime_ms = answer.expires_in.unwrap_or(DEFAULT_LIFETIME_SECONDS).saturating_mul(1000);
        let lifetime_ms = i64::try_from(lifetime_ms).unwrap_or(i64::MAX).clamp(1000, 86_400_000);
        Ok(Token {
            value: answer.access_token,
            expires_at_ms: asked_at_ms + lifetime_ms - MARGIN_MS.min(lifetime_ms / 4),
            refresh_at_ms: asked_at_ms + lifetime_ms / 2,
        })
    }
}

fn now_ms() -> i64 {
    i64::try_from(unix_millis()).unwrap_or(i64::MAX)
}

fn unreachable(error: reqwest::Error) -> TokenError {
    TokenError::Unreachable(error.without_url().to_string())
}
