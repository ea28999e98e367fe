//! The authorization request and the code exchange.

use oauth2::{AuthorizationCode, CsrfToken, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope};
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroize as _;

use super::{
    discovery::Endpoints,
    dpop::DpopKey,
    prompt::Prompt,
    protocol::{self, OAuth2Client, TokenHttpClient, TokenResult},
    provider::{ClientAuth, Kind, Provider},
    step_up::StepUp,
    token_endpoint::{Client, Form, TokenError},
};
use crate::{
    runtime::{
        dependency::Dependency,
        platform::Platform,
        random::{Random, random_text},
        reason::Reason,
        unavailable::Unavailable,
    },
    token_set::TokenSet,
};

/// The longest `request_uri` accepted, in bytes.
const MAX_REQUEST_URI_BYTES: usize = 1024;

/// The random values of one authorization request. They bind its response to the browser that started it.
#[derive(Serialize, Deserialize)]
pub struct AuthorizationSecrets {
    /// Binds the callback to this browser.
    pub state: String,
    /// Binds the ID token to this sign-in.
    pub nonce: String,
    /// Binds the code to this sign-in (PKCE, RFC 7636).
    pub code_verifier: String,
}

impl AuthorizationSecrets {
    /// Generates new random values.
    ///
    /// # Errors
    /// [`Unavailable`] if the random source fails.
    pub fn generate(random: &impl Random) -> Result<Self, Unavailable> {
        Ok(Self { state: random_text(random)?, nonce: random_text(random)?, code_verifier: random_text(random)? })
    }
}

impl Drop for AuthorizationSecrets {
    fn drop(&mut self) {
        self.code_verifier.zeroize();
    }
}

/// Why a code exchange failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeError {
    /// The provider rejected the code, or its response is not a token response.
    #[error("code exchange refused: {0}")]
    Refused(Reason),
    /// The provider did not respond, or it rejected the client rather than the code.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

#[derive(Deserialize)]
struct PushedResponse {
    request_uri: String,
    expires_in: u64,
}

/// The URL that the browser is redirected to for sign-in. If the provider supports pushed authorization requests
/// (RFC 9126), the URL carries only a reference, and each sign-in gets a new one (S138). `asked` is the page's choice of
/// a prompt, `step_up` what an upstream demands of the authentication.
///
/// # Errors
/// [`Unavailable`] if the request cannot be pushed.
pub async fn authorization_url<P: Platform>(
    client: &Client<'_, P>,
    secrets: &AuthorizationSecrets,
    asked: Option<Prompt>,
    step_up: Option<&StepUp>,
) -> Result<Url, Unavailable> {
    let url = full_authorization_url(client.provider, client.endpoints, secrets, asked, step_up)?;
    match &client.endpoints.pushed_authorization {
        Some(endpoint) => pushed_authorization_url(client, endpoint, &url).await,
        None => Ok(url),
    }
}

/// The URL with the whole authorization request.
fn full_authorization_url(
    provider: &Provider,
    endpoints: &Endpoints,
    secrets: &AuthorizationSecrets,
    asked: Option<Prompt>,
    step_up: Option<&StepUp>,
) -> Result<Url, Unavailable> {
    let oauth2_client = oauth2_client(provider, endpoints)?;
    let verifier = PkceCodeVerifier::new(secrets.code_verifier.clone());
    // The stricter of the two.
    let max_age = provider.max_age_seconds.into_iter().chain(step_up.and_then(StepUp::max_age_seconds)).min();
    let max_age = max_age.map(|seconds| seconds.to_string());
    let prompt = provider.prompt_with(asked);
    let mut request = oauth2_client
        .authorize_url(|| CsrfToken::new(secrets.state.clone()))
        .add_scopes(provider.consented_scopes().into_iter().map(|scope| Scope::new(scope.to_owned())))
        .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
    let nonce = endpoints.jwks.is_some().then_some(("nonce", secrets.nonce.as_str()));
    let max_age = max_age.as_deref().map(|seconds| ("max_age", seconds));
    let audience = provider.audience.as_deref().map(|audience| ("audience", audience));
    let prompt = prompt.as_deref().map(|prompt| ("prompt", prompt));
    let resources = provider.resources().into_iter().map(|resource| ("resource", resource));
    let step_up = step_up.into_iter().flat_map(StepUp::parameters);
    for (name, value) in [nonce, max_age, prompt, audience].into_iter().flatten().chain(resources).chain(step_up) {
        request = request.add_extra_param(name, value);
    }
    Ok(request.url().0)
}

/// Pushes the authorization request in a URL, and returns the URL with a reference to it.
async fn pushed_authorization_url<P: Platform>(
    client: &Client<'_, P>,
    endpoint: &Url,
    url: &Url,
) -> Result<Url, Unavailable> {
    let Client { provider, endpoints, .. } = client;
    // The endpoint's URL may have its own query (RFC 6749 §3.1). It comes first and is not part of the request.
    // If the client authenticates in the body, the body already has the `client_id`.
    let request: Vec<_> = url
        .query_pairs()
        .skip(endpoints.authorization.query_pairs().count())
        .filter(|(name, _)| name != "client_id" || matches!(provider.client_auth, ClientAuth::Basic(_)))
        .collect();
    let request = request.iter().map(|(name, value)| (&**name, &**value)).collect();
    let request_uri = push(client, endpoint, request).await?;
    let mut url = endpoints.authorization.clone();
    url.query_pairs_mut().append_pair("client_id", &provider.client_id).append_pair("request_uri", &request_uri);
    Ok(url)
}

/// The provider's `oauth2` client with our redirect URI.
fn oauth2_client(provider: &Provider, endpoints: &Endpoints) -> Result<OAuth2Client, Unavailable> {
    let redirect =
        RedirectUrl::new(provider.redirect_uri.clone()).map_err(|e| Unavailable::new(Dependency::SignIn, e))?;
    Ok(protocol::oauth2_client(provider, endpoints).set_redirect_uri(redirect))
}

/// Sends a pushed authorization request. Returns the `request_uri` that stands for it.
async fn push<P: Platform>(client: &Client<'_, P>, endpoint: &Url, form: Form<'_>) -> Result<String, Unavailable> {
    let unavailable = |detail: &dyn std::fmt::Display| Unavailable::new(Dependency::IdentityProvider, detail);
    let body = client.post(endpoint, form, None).await.map_err(|error| match error {
        TokenError::OutcomeUnknown(error) => error,
        error => unavailable(&error),
    })?;
    let pushed: PushedResponse =
        serde_json::from_slice(&body).map_err(|_| unavailable(&"no answer to a pushed request"))?;
    if pushed.request_uri.is_empty() || pushed.request_uri.len() > MAX_REQUEST_URI_BYTES || pushed.expires_in == 0 {
        return Err(unavailable(&"useless reference to a pushed request"));
    }
    Ok(pushed.request_uri)
}

/// Exchanges a code for tokens. They are bound to a new DPoP key if the provider is configured for it.
///
/// # Errors
/// [`ExchangeError`] distinguishes a rejected code from an unavailable provider.
pub async fn exchange<P: Platform>(
    client: &Client<'_, P>,
    secrets: &AuthorizationSecrets,
    code: &str,
) -> Result<(TokenSet, Option<DpopKey>), ExchangeError> {
    let provider = client.provider;
    let dpop = if provider.dpop { Some(DpopKey::generate(client.platform)?) } else { None };
    let result = request_tokens(client, secrets, code, dpop.as_ref()).await?;
    let tokens = protocol::tokens(client.platform, result, dpop.is_some(), &provider.scopes).map_err(classify)?;
    Ok((tokens, dpop))
}

/// Sends the code and its code_verifier to the token endpoint.
async fn request_tokens<P: Platform>(
    client: &Client<'_, P>,
    secrets: &AuthorizationSecrets,
    code: &str,
    dpop: Option<&DpopKey>,
) -> Result<TokenResult, Unavailable> {
    let provider = client.provider;
    let oauth2_client = oauth2_client(provider, client.endpoints)?;
    let mut request = oauth2_client
        .exchange_code(AuthorizationCode::new(code.to_owned()))
        .set_pkce_verifier(PkceCodeVerifier::new(secrets.code_verifier.clone()));
    // Entra requires `scope` here, with the scopes of one resource. Elsewhere the request has no such parameter.
    let scopes = provider.scopes_of(None).join(" ");
    let scopes = Some(scopes.as_str()).filter(|it| !it.is_empty() && matches!(provider.kind, Kind::Entra { .. }));
    let resource = provider.resource_of(None);
    for (name, value) in [("scope", scopes), ("resource", resource)] {
        if let Some(value) = value {
            request = request.add_extra_param(name, value);
        }
    }
    Ok(request.request_async(&TokenHttpClient { client, dpop }).await)
}

/// Whether an error rejects the code or means that the provider is unavailable.
fn classify(error: TokenError) -> ExchangeError {
    let unavailable = |detail: &dyn std::fmt::Display| Unavailable::new(Dependency::IdentityProvider, detail).into();
    match error {
        TokenError::Refused(code) => ExchangeError::Refused(code),
        TokenError::InvalidSuccess(detail) | TokenError::UnexpectedResponse(detail) => ExchangeError::Refused(detail),
        TokenError::NotProcessed { detail, .. } => unavailable(&detail),
        TokenError::NotSent => unavailable(&error),
        TokenError::ServerError { .. } => unavailable(&"server error"),
        TokenError::OutcomeUnknown(error) => error.into(),
    }
}

#[cfg(test)]
mod tests;
