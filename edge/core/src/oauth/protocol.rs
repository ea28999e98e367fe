//! The boundary to the crate `oauth2`: its client for one provider, token responses in its types, and the HTTP client
//! it sends through. [`token_endpoint`](super::token_endpoint) does what `oauth2` does not: client assertions, DPoP
//! proofs, and whether what was sent may be consumed. The HTTP client calls it.

use std::{borrow::Cow, future::Future, pin::Pin, time::Duration};

use http::HeaderValue;
use oauth2::{
    AccessToken, AsyncHttpClient, AuthUrl, ClientId, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse,
    RefreshToken, RequestTokenError, Scope, StandardRevocableToken, TokenUrl,
    basic::{BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse, BasicTokenType},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize, de::IgnoredAny};
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::{
    discovery::Endpoints,
    dpop::DpopKey,
    provider::Provider,
    token_endpoint::{Client, TokenError},
};
use crate::{
    runtime::{clock::millis, platform::Platform, reason::Reason},
    token_set::TokenSet,
};

/// The `oauth2` client for a provider.
pub(super) type OAuth2Client = oauth2::Client<
    BasicErrorResponse,
    TokenResponse,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// Builds that client. It holds no secret: client authentication is added anew each time a request is sent.
pub(super) fn oauth2_client(provider: &Provider, endpoints: &Endpoints) -> OAuth2Client {
    oauth2::Client::new(ClientId::new(provider.client_id.clone()))
        .set_auth_uri(AuthUrl::from_url(endpoints.authorization.clone()))
        .set_token_uri(TokenUrl::from_url(endpoints.token.clone()))
}

/// A token response (RFC 6749 §5.1). The type of `oauth2` is too strict for some providers: it rejects a lifetime
/// written as text. Secrets are neither printed nor serialized.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct TokenResponse {
    #[serde(skip_serializing)]
    access_token: AccessToken,
    #[serde(deserialize_with = "oauth2::helpers::deserialize_untagged_enum_case_insensitive")]
    token_type: BasicTokenType,
    #[serde(default, rename = "expires_in", deserialize_with = "lifetime")]
    lifetime: Option<Duration>,
    #[serde(default, skip_serializing)]
    refresh_token: Option<RefreshToken>,
    #[serde(default, skip_serializing)]
    id_token: Option<SecretString>,
    #[serde(default, rename = "scope", deserialize_with = "scopes")]
    scopes: Option<Vec<Scope>>,
}

impl oauth2::TokenResponse for TokenResponse {
    type TokenType = BasicTokenType;

    fn access_token(&self) -> &AccessToken {
        &self.access_token
    }

    fn token_type(&self) -> &BasicTokenType {
        &self.token_type
    }

    fn expires_in(&self) -> Option<Duration> {
        self.lifetime
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        self.refresh_token.as_ref()
    }

    fn scopes(&self) -> Option<&Vec<Scope>> {
        self.scopes.as_ref()
    }
}

/// Reads a lifetime in seconds. Some providers write the number as text.
fn lifetime<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    let seconds = value.as_u64().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
    Ok(seconds.map(Duration::from_secs))
}

/// Reads scopes. GitHub separates them by commas.
fn scopes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Scope>>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.filter(|text| !text.trim().is_empty());
    let scope = |scope: &str| Scope::new(scope.to_owned());
    Ok(text.map(|text| text.split([' ', ',']).filter(|scope| !scope.is_empty()).map(scope).collect()))
}

/// The result of a token request.
pub(super) type TokenResult = Result<TokenResponse, RequestTokenError<TokenError, BasicErrorResponse>>;

/// Checks a token response and returns its tokens. If `bound`, they must be bound to a key. `granted` are the scopes if
/// the response names none (RFC 6749 §5.1, §6).
pub(super) fn tokens(
    platform: &impl Platform,
    result: TokenResult,
    bound: bool,
    granted: &[String],
) -> Result<TokenSet, TokenError> {
    let response = result.map_err(|error| match error {
        RequestTokenError::Request(error) => error,
        RequestTokenError::Parse(_, body) => {
            drop(Zeroizing::new(body));
            TokenError::InvalidSuccess(Reason::TokenResponseMalformed)
        }
        RequestTokenError::ServerResponse(_) => TokenError::InvalidSuccess(Reason::TokenResponseMalformed),
        // `TokenHttpClient` passes on complete JSON only, so the request could not be built.
        RequestTokenError::Other(_) => {
            TokenError::NotProcessed { detail: Reason::NotAskable, retry_after_seconds: None }
        }
    })?;
    // A token bound to a key must be used with that key. If we asked for a bound token, a bearer token is rejected.
    let expected = if bound { BasicTokenType::Extension("dpop".to_owned()) } else { BasicTokenType::Bearer };
    if response.token_type != expected {
        return Err(TokenError::InvalidSuccess(Reason::TokenTypeMismatch));
    }
    let access_token = SecretString::from(response.access_token.into_secret());
    let text = access_token.expose_secret();
    if text.is_empty() || HeaderValue::from_str(text).is_err() {
        return Err(TokenError::InvalidSuccess(Reason::TokenNotHeaderValue));
    }
    let refresh_token = response.refresh_token.map(|token| SecretString::from(token.into_secret()));
    let lifetime_ms = response.lifetime.map(millis);
    let scopes = response.scopes.map(|scopes| scopes.iter().map(|scope| scope.as_str().to_owned()).collect());
    Ok(TokenSet {
        obtained_at_ms: platform.now_ms(),
        access_token,
        refresh_token: refresh_token.filter(|token| !token.expose_secret().is_empty()),
        id_token: response.id_token,
        expires_at_ms: lifetime_ms.map(|life_ms| platform.now_ms().saturating_add(life_ms)),
        scopes: scopes.unwrap_or_else(|| granted.to_vec()),
    })
}

/// Sends the requests that `oauth2` builds to the token endpoint, with client authentication and the DPoP proof, if
/// any.
pub(super) struct TokenHttpClient<'a, P> {
    pub(super) client: &'a Client<'a, P>,
    pub(super) dpop: Option<&'a DpopKey>,
}

impl<'c, P: Platform> AsyncHttpClient<'c> for TokenHttpClient<'_, P> {
    type Error = TokenError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, TokenError>> + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            // The client authentication identifies the client.
            let fields: Vec<(Cow<'_, str>, Cow<'_, str>)> =
                form_urlencoded::parse(request.body()).filter(|(name, _)| name != "client_id").collect();
            let form = fields.iter().map(|(name, value)| (&**name, &**value)).collect();
            let mut body = self.client.post(&self.client.endpoints.token, form, self.dpop).await?;
            // `oauth2` reads the first JSON value and ignores anything after it.
            if serde_json::from_slice::<IgnoredAny>(&body).is_err() {
                return Err(TokenError::InvalidSuccess(Reason::TokenResponseMalformed));
            }
            // `oauth2` accepts status 200 only; `post` has already accepted any success status.
            Ok(HttpResponse::new(std::mem::take(&mut *body)))
        })
    }
}

#[cfg(test)]
mod tests;
