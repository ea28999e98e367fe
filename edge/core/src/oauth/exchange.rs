//! The authorization request and the code exchange.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::{
    dpop::DpopKey,
    provider::{ClientAuth, Provider},
    token_endpoint::{Client, Form, TokenError},
    transaction::Transaction,
};
use crate::{
    platform::{Platform, Unavailable},
    session::record::TokenSet,
};

/// Longest `request_uri` taken, in bytes.
const MAX_REQUEST_URI_BYTES: usize = 1024;

/// Why a code did not become tokens.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeError {
    /// The provider refused the code, or answered what is no token response.
    #[error("code exchange refused: {0}")]
    Refused(&'static str),
    /// The provider did not answer, or refused us rather than the code.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

#[derive(Deserialize)]
struct Pushed {
    request_uri: String,
    expires_in: u64,
}

/// Where the browser goes to sign in. Where the provider takes pushed requests it goes there with a reference only
/// (RFC 9126), a fresh one each time (S138).
///
/// # Errors
/// [`Unavailable`] if the request cannot be pushed.
pub async fn authorization_url<P: Platform>(
    client: &Client<'_, P>,
    transaction: &Transaction,
) -> Result<Url, Unavailable> {
    let Client { provider, endpoints, .. } = client;
    let challenge = BASE64.encode(Sha256::digest(transaction.code_verifier.as_bytes()));
    let scope = provider.scopes.join(" ");
    let max_age = provider.max_age_seconds.map(|seconds| seconds.to_string());
    let mut request: Form<'_> = vec![
        ("response_type", "code"),
        ("client_id", &provider.client_id),
        ("redirect_uri", &provider.redirect_uri),
        ("scope", &scope),
        ("state", &transaction.state),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    if endpoints.jwks.is_some() {
        request.push(("nonce", &transaction.nonce));
    }
    request.extend(max_age.as_deref().map(|seconds| ("max_age", seconds)));
    request.extend(provider.prompt.map(|prompt| ("prompt", prompt)));
    request.extend(provider.audience.as_deref().map(|audience| ("audience", audience)));
    request.extend(resource(provider));
    let mut url = endpoints.authorization.clone();
    match &endpoints.pushed_authorization {
        None => {
            url.query_pairs_mut().extend_pairs(&request);
        }
        Some(endpoint) => {
            // Where the client's authentication is in the body, the client's id is already with it.
            request.retain(|(name, _)| *name != "client_id" || matches!(provider.client_auth, ClientAuth::Basic(_)));
            let request_uri = push(client, endpoint, request).await?;
            url.query_pairs_mut()
                .append_pair("client_id", &provider.client_id)
                .append_pair("request_uri", &request_uri);
        }
    };
    Ok(url)
}

async fn push<P: Platform>(client: &Client<'_, P>, endpoint: &Url, form: Form<'_>) -> Result<String, Unavailable> {
    let failed = |detail: &dyn std::fmt::Display| Unavailable::new("identity provider", detail);
    let body = client.post(endpoint, form, None).await.map_err(|error| match error {
        TokenError::Lost(unavailable) => unavailable,
        error => failed(&error),
    })?;
    let pushed: Pushed = serde_json::from_slice(&body).map_err(|_| failed(&"no answer to a pushed request"))?;
    if pushed.request_uri.is_empty() || pushed.request_uri.len() > MAX_REQUEST_URI_BYTES || pushed.expires_in == 0 {
        return Err(failed(&"useless reference to a pushed request"));
    }
    Ok(pushed.request_uri)
}

/// RFC 8707 wants an absolute URI without a fragment; other audiences have no `resource`.
pub(super) fn resource(provider: &Provider) -> Option<(&'static str, &str)> {
    let audience = provider.audience.as_deref()?;
    Url::parse(audience).ok().filter(|url| url.fragment().is_none()).map(|_| ("resource", audience))
}

/// Turns a code into tokens, bound to a key of their own where the provider is configured so.
///
/// # Errors
/// [`ExchangeError`] tells a refused code from a provider that is down.
pub async fn exchange<P: Platform>(
    client: &Client<'_, P>,
    transaction: &Transaction,
    code: &str,
) -> Result<(TokenSet, Option<DpopKey>), ExchangeError> {
    let provider = client.provider;
    let dpop = if provider.dpop { Some(DpopKey::draw(client.platform)?) } else { None };
    let mut form: Form<'_> = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &provider.redirect_uri),
        ("code_verifier", &transaction.code_verifier),
    ];
    form.extend(resource(provider));
    let tokens = client.tokens(form, dpop.as_ref(), &provider.scopes).await.map_err(|error| match error {
        TokenError::Refused(code) => ExchangeError::Refused(code),
        TokenError::Unreadable(detail) | TokenError::Unintelligible(detail) => ExchangeError::Refused(detail),
        TokenError::Outage { detail, .. } => ExchangeError::Unavailable(Unavailable::new("identity provider", detail)),
        TokenError::Lost(unavailable) => ExchangeError::Unavailable(unavailable),
    })?;
    Ok((tokens, dpop))
}

#[cfg(test)]
#[path = "exchange_tests.rs"]
mod tests;
