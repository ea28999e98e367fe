//! The authorization URL and the code exchange. The `oauth2` crate speaks the protocol; this module gives it the
//! platform's HTTP client and undoes what a provider does differently.

use std::{future::Future, pin::Pin, time::Duration};

use http::{Method, StatusCode, header};
use oauth2::{
    AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, HttpRequest, HttpResponse, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope, StandardErrorResponse, StandardTokenResponse,
    TokenResponse as _, TokenUrl,
    basic::{BasicErrorResponseType, BasicTokenType},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    discovery::Endpoints,
    provider::{ClientAuth, Provider},
    transaction::Transaction,
};
use crate::{
    platform::{Platform, ReadBody as _, Unavailable},
    session::record::TokenSet,
    web::{Body, Outgoing},
};

/// Largest token response taken, in bytes.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;
const TIMEOUT: Duration = Duration::from_secs(15);

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

/// What a token response may hold beside RFC 6749. Redacts itself: `oauth2` derives `Debug` for its responses.
#[derive(Clone, Deserialize, Serialize, Default)]
struct Extra {
    #[serde(default, skip_serializing)]
    id_token: Option<String>,
}

impl std::fmt::Debug for Extra {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Extra(…)")
    }
}

impl oauth2::ExtraTokenFields for Extra {}

type TokenResponse = StandardTokenResponse<Extra, BasicTokenType>;
type Client = oauth2::Client<
    StandardErrorResponse<BasicErrorResponseType>,
    TokenResponse,
    oauth2::StandardTokenIntrospectionResponse<Extra, BasicTokenType>,
    oauth2::StandardRevocableToken,
    oauth2::basic::BasicRevocationErrorResponse,
    oauth2::EndpointSet,
    oauth2::EndpointNotSet,
    oauth2::EndpointNotSet,
    oauth2::EndpointNotSet,
    oauth2::EndpointSet,
>;

fn client(provider: &Provider, endpoints: &Endpoints) -> Result<Client, Unavailable> {
    let (secret, auth_type) = match &provider.client_auth {
        ClientAuth::Basic(secret) => (secret, oauth2::AuthType::BasicAuth),
        ClientAuth::Post(secret) => (secret, oauth2::AuthType::RequestBody),
        ClientAuth::PrivateKey(_) => return Err(Unavailable::new("sign-in", "private_key_jwt is not supported yet")),
    };
    let redirect = RedirectUrl::new(provider.redirect_uri.clone()).map_err(|e| Unavailable::new("sign-in", e))?;
    Ok(oauth2::Client::new(ClientId::new(provider.client_id.clone()))
        .set_client_secret(ClientSecret::new(secret.expose_secret().to_owned()))
        .set_auth_type(auth_type)
        .set_auth_uri(AuthUrl::from_url(endpoints.authorization.clone()))
        .set_token_uri(TokenUrl::from_url(endpoints.token.clone()))
        .set_redirect_uri(redirect))
}

/// Where the browser goes to sign in.
///
/// # Errors
/// [`Unavailable`] if the redirect URI is no URL, which configuration rules out.
pub fn authorization_url(
    provider: &Provider,
    endpoints: &Endpoints,
    transaction: &Transaction,
) -> Result<Url, Unavailable> {
    let verifier = PkceCodeVerifier::new(transaction.code_verifier.clone());
    let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
    let client = client(provider, endpoints)?;
    let state = transaction.state.clone();
    let mut request = client
        .authorize_url(|| CsrfToken::new(state))
        .add_scopes(provider.scopes.iter().cloned().map(Scope::new))
        .set_pkce_challenge(challenge);
    if endpoints.jwks.is_some() {
        request = request.add_extra_param("nonce", transaction.nonce.clone());
    }
    Ok(request.url().0)
}

/// Turns a code into tokens.
///
/// # Errors
/// [`ExchangeError`] tells a refused code from a provider that is down.
pub async fn exchange<P: Platform>(
    platform: &P,
    provider: &Provider,
    endpoints: &Endpoints,
    transaction: &Transaction,
    code: String,
) -> Result<TokenSet, ExchangeError> {
    let http = Transport { platform };
    let response = client(provider, endpoints)?
        .exchange_code(AuthorizationCode::new(code))
        .set_pkce_verifier(PkceCodeVerifier::new(transaction.code_verifier.clone()))
        .request_async(&http)
        .await
        .map_err(refusal)?;
    let lifetime = response.expires_in();
    let expires_at_ms =
        lifetime.map(|life| platform.now_ms().saturating_add(u64::try_from(life.as_millis()).unwrap_or(u64::MAX)));
    Ok(TokenSet {
        access_token: SecretString::from(response.access_token().secret().as_str()),
        refresh_token: response.refresh_token().map(|token| SecretString::from(token.secret().as_str())),
        id_token: response.extra_fields().id_token.as_deref().map(SecretString::from),
        expires_at_ms,
        scopes: response.scopes().into_iter().flatten().map(|scope| scope.to_string()).collect(),
    })
}

fn refusal(error: RequestTokenError<Unavailable, StandardErrorResponse<BasicErrorResponseType>>) -> ExchangeError {
    use BasicErrorResponseType as Type;
    match error {
        RequestTokenError::Request(unavailable) => ExchangeError::Unavailable(unavailable),
        RequestTokenError::ServerResponse(response) => match response.error() {
            Type::InvalidGrant => ExchangeError::Refused("invalid_grant"),
            // GitHub's word for it (M65).
            Type::Extension(code) if code == "bad_verification_code" => ExchangeError::Refused("bad_verification_code"),
            Type::Extension(code) if code == "unverified_user_email" => ExchangeError::Refused("unverified_user_email"),
            Type::InvalidClient | Type::UnauthorizedClient => unavailable("refuses our client credentials"),
            Type::Extension(code) if code == "incorrect_client_credentials" => {
                unavailable("refuses our client credentials")
            }
            Type::Extension(code) if matches!(code.as_str(), "temporarily_unavailable" | "server_error") => {
                unavailable("has an outage")
            }
            _ => ExchangeError::Refused("token endpoint answered an error"),
        },
        // The error would quote the body, which may hold tokens.
        RequestTokenError::Parse(..) => ExchangeError::Refused("token response malformed"),
        RequestTokenError::Other(_) => ExchangeError::Refused("token response malformed"),
    }
}

fn unavailable(detail: &'static str) -> ExchangeError {
    ExchangeError::Unavailable(Unavailable::new("identity provider", detail))
}

/// The platform's HTTP client in the shape `oauth2` asks for.
struct Transport<'a, P> {
    platform: &'a P,
}

impl<'c, P: Platform> oauth2::AsyncHttpClient<'c> for Transport<'_, P> {
    type Error = Unavailable;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Unavailable>> + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(send(self.platform, request))
    }
}

async fn send(platform: &impl Platform, request: HttpRequest) -> Result<HttpResponse, Unavailable> {
    let broken = |detail: &dyn std::fmt::Display| Unavailable::new("identity provider", detail);
    let (parts, body) = request.into_parts();
    let url = Url::parse(&parts.uri.to_string()).map_err(|e| broken(&e))?;
    let mut outgoing = Outgoing::new(Method::POST, url, TIMEOUT).with(header::ACCEPT, "application/json");
    for name in [header::CONTENT_TYPE, header::AUTHORIZATION] {
        if let Some(value) = parts.headers.get(&name) {
            outgoing.headers.insert(name, value.clone());
        }
    }
    outgoing.body = Body::Bytes(body.into());
    let response = platform.send(outgoing).await?;
    let mut status = response.status;
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Err(broken(&format_args!("token endpoint answered {status}")));
    }
    // Following it would hand the code and our secret to wherever it points (S25).
    if status.is_redirection() {
        status = StatusCode::BAD_REQUEST;
    }
    let content_type = response.headers.get(header::CONTENT_TYPE).cloned();
    let body = response.body.read(MAX_RESPONSE_BYTES).await.map_err(|e| broken(&e))?;
    // GitHub reports errors with status 200 (M65); `oauth2` looks for them under 4xx.
    if status == StatusCode::OK && serde_json::from_slice::<ErrorShape>(&body).is_ok() {
        status = StatusCode::BAD_REQUEST;
    }
    let mut answer = http::Response::builder().status(status);
    if let Some(content_type) = content_type {
        answer = answer.header(header::CONTENT_TYPE, content_type);
    }
    answer.body(body).map_err(|e| broken(&e))
}

#[derive(Deserialize)]
struct ErrorShape {
    #[serde(rename = "error")]
    _error: String,
}
