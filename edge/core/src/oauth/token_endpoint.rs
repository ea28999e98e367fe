//! Requests that the edge sends to a provider as its client: to get tokens, to push an authorization request, to revoke.
//! They carry the client's authentication and, if tokens are bound to a key, a DPoP proof. Failed responses are classified
//! by what callers need to know: whether the code or refresh token that was sent may have been consumed.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use oauth2::basic::BasicErrorResponseType;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::{
    assertion,
    cache::DiscoveryCache,
    discovery::Endpoints,
    dpop::DpopKey,
    provider::{ClientAuth, Provider},
};
use crate::{
    http::{
        body::ReadBody,
        media_type::is_json,
        web::{Body, Incoming, Outgoing, single},
    },
    runtime::{clock::within, dependency::Dependency, platform::Platform, reason::Reason, unavailable::Unavailable},
};

/// The largest response accepted, in bytes.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;
/// Timeout of one request, response body included.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Space reserved in a form for the client's authentication, in bytes. An assertion signed with RSA is the longest.
const AUTHENTICATION_BYTES: usize = 4096;
/// The longest `Retry-After` that is honoured, in seconds.
const MAX_RETRY_AFTER_SECONDS: u32 = 300;

/// Why there is no success response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// An OAuth error (RFC 6749 §5.2), even with status 200. The code is one of our constants, never the provider's text:
    /// nothing a provider writes may reach a log or a page.
    #[error("provider answered {0}")]
    Refused(Reason),
    /// The provider did not process the grant: it is unavailable, or it rejected the client. Nothing was consumed.
    #[error("provider answered an outage: {detail}")]
    NotProcessed {
        /// The reason, for the log.
        detail: Reason,
        /// How long the provider asks clients to wait before a retry.
        retry_after_seconds: Option<u32>,
    },
    /// A server error from the provider or from a proxy in front of it. Most likely nothing was consumed.
    #[error("provider answered a server error")]
    ServerError {
        /// How long the provider asks clients to wait before a retry.
        retry_after_seconds: Option<u32>,
    },
    /// A response that RFC 6749 does not provide for. It is unlikely that anything was consumed.
    #[error("no token endpoint answers this: {0}")]
    UnexpectedResponse(Reason),
    /// A success response that cannot be used: what was sent is consumed.
    #[error("provider's answer cannot be read: {0}")]
    InvalidSuccess(Reason),
    /// The request was not sent, because its deadline had passed. See [`Client::send_by_ms`].
    #[error("held up before it was sent")]
    NotSent,
    /// The provider's own response did not arrive, so it is unknown whether anything was consumed.
    #[error(transparent)]
    OutcomeUnknown(#[from] Unavailable),
}

/// What requests to one provider need.
#[derive(Debug)]
pub struct Client<'a, P> {
    /// The runtime.
    pub platform: &'a P,
    /// The provider data that the isolate remembers.
    pub cache: &'a DiscoveryCache,
    /// The provider.
    pub provider: &'a Provider,
    /// The provider's endpoints.
    pub endpoints: &'a Endpoints,
    /// The deadline for sending, in Unix milliseconds. A caller delayed beyond it may no longer be the only one with a
    /// token that only one may send. It is checked each time a request is sent.
    pub send_by_ms: Option<u64>,
}

/// The fields of a form.
pub(super) type Form<'a> = Vec<(&'a str, &'a str)>;

/// A success response.
struct Success {
    is_json: bool,
    body: Zeroizing<Vec<u8>>,
}

#[derive(Deserialize)]
struct ErrorBody {
    error: BasicErrorResponseType,
}

impl<P: Platform> Client<'_, P> {
    /// Posts a form as the client and returns the body of a success response. Posts once more if the provider requires
    /// its nonce in the proof (RFC 9449 §8).
    pub(super) async fn post(
        &self,
        url: &Url,
        form: Form<'_>,
        dpop: Option<&DpopKey>,
    ) -> Result<Zeroizing<Vec<u8>>, TokenError> {
        let success = self.post_with_nonce_retry(url, form, dpop).await?;
        if success.is_json { Ok(success.body) } else { Err(TokenError::InvalidSuccess(Reason::TokenResponseNotJson)) }
    }

    /// Posts like [`Client::post`], but ignores the body of the response (RFC 7009 §2.2).
    pub(super) async fn post_any(&self, url: &Url, form: Form<'_>, dpop: Option<&DpopKey>) -> Result<(), TokenError> {
        self.post_with_nonce_retry(url, form, dpop).await.map(drop)
    }

    async fn post_with_nonce_retry(
        &self,
        url: &Url,
        form: Form<'_>,
        dpop: Option<&DpopKey>,
    ) -> Result<Success, TokenError> {
        match self.post_once(url, &form, dpop).await {
            Err(TokenError::Refused(Reason::UseDpopNonce)) if dpop.is_some() => self.post_once(url, &form, dpop).await,
            result => result,
        }
    }

    async fn post_once(&self, url: &Url, form: &Form<'_>, dpop: Option<&DpopKey>) -> Result<Success, TokenError> {
        // A request's own timeout ends when the response headers arrive.
        let send = async { Ok(self.send(url, form, dpop).await) };
        within(self.platform, TIMEOUT, Dependency::IdentityProvider, send).await?
    }

    async fn send(&self, url: &Url, form: &Form<'_>, dpop: Option<&DpopKey>) -> Result<Success, TokenError> {
        let request = self.authenticated_request(url, form, dpop)?;
        if self.send_by_ms.is_some_and(|by_ms| self.platform.now_ms() > by_ms) {
            return Err(TokenError::NotSent);
        }
        let response = self.platform.send(request).await?;
        self.cache.nonces.store(url, &response.headers);
        self.check_status(response.status, &response.headers)?;
        self.read(response).await
    }

    /// The request, with the client's authentication and a DPoP proof if there is a key.
    fn authenticated_request(
        &self,
        url: &Url,
        form: &Form<'_>,
        dpop: Option<&DpopKey>,
    ) -> Result<Outgoing<P::Body>, Unavailable> {
        let mut request = Outgoing::new(Method::POST, url.clone(), TIMEOUT)
            .with(header::ACCEPT, "application/json")
            .with(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        // Allocate enough for the whole form: growing would move it and leave a copy in memory that is not wiped.
        let form_bytes: usize = form.iter().map(|(name, value)| 2 + 3 * (name.len() + value.len())).sum();
        let mut body = form_urlencoded::Serializer::new(String::with_capacity(form_bytes + AUTHENTICATION_BYTES));
        body.extend_pairs(form);
        match &self.provider.client_auth {
            ClientAuth::Basic(secret) => {
                let mut basic = HeaderValue::from_str(&basic_credentials(&self.provider.client_id, secret))
                    .map_err(|e| Unavailable::new(Dependency::SignIn, e))?;
                basic.set_sensitive(true);
                request.headers.insert(header::AUTHORIZATION, basic);
            }
            ClientAuth::Post(secret) => {
                body.append_pair("client_id", &self.provider.client_id);
                body.append_pair("client_secret", secret.expose_secret());
            }
            ClientAuth::PrivateKey(key) => {
                let assertion = assertion::sign(self.platform, self.provider, self.endpoints, key)?;
                body.append_pair("client_id", &self.provider.client_id);
                body.append_pair("client_assertion_type", assertion::TYPE);
                body.append_pair("client_assertion", assertion.expose_secret());
            }
        }
        if let Some(key) = dpop {
            let proof = key.proof(self.platform, &self.cache.nonces, &Method::POST, url, None)?;
            request = request.with(super::dpop::HEADER, &proof);
        }
        request.body = Body::Bytes(body.finish().into());
        Ok(request)
    }

    /// Checks that the status leaves it to the body what the response means.
    fn check_status(&self, status: StatusCode, headers: &HeaderMap) -> Result<(), TokenError> {
        let retry_after_seconds = retry_after_seconds(headers);
        let not_processed = |detail| Err(TokenError::NotProcessed { detail, retry_after_seconds });
        match status {
            // A gateway stopped waiting. The provider behind it may still have processed the request.
            StatusCode::GATEWAY_TIMEOUT => {
                Err(Unavailable::new(Dependency::IdentityProvider, "gateway timeout").into())
            }
            StatusCode::TOO_MANY_REQUESTS => not_processed(Reason::TooManyRequests),
            // A 503 with `Retry-After` is deliberate. Proxies send one without it when a connection breaks, at any point:
            // the provider behind them may have processed the request.
            StatusCode::SERVICE_UNAVAILABLE if headers.contains_key(header::RETRY_AFTER) => {
                not_processed(Reason::ServiceUnavailable)
            }
            // If a repeated refresh token revokes the whole grant, even an unlikely consumption counts.
            _ if status.is_server_error() && !self.provider.refresh.retries_lost_answer => {
                Err(Unavailable::new(Dependency::IdentityProvider, "server error").into())
            }
            _ if status.is_server_error() => Err(TokenError::ServerError { retry_after_seconds }),
            // Following it would send the grant and the client's secret to any server it points to (S25).
            _ if status.is_redirection() => Err(TokenError::UnexpectedResponse(Reason::TokenRedirect)),
            _ => Ok(()),
        }
    }

    /// Reads the body: of a success response, or an error code.
    async fn read(&self, response: Incoming<impl ReadBody>) -> Result<Success, TokenError> {
        let Incoming { status, headers, body } = response;
        let body = match body.read(MAX_RESPONSE_BYTES).await {
            Ok(body) => Zeroizing::new(body),
            Err(_) if status.is_success() => return Err(TokenError::InvalidSuccess(Reason::TokenResponseIncomplete)),
            Err(_) => return Err(TokenError::UnexpectedResponse(Reason::TokenErrorIncomplete)),
        };
        // GitHub sends errors with status 200 (M65).
        let may_be_error = !status.is_success() || self.provider.refresh.errors_with_200;
        if may_be_error && let Ok(ErrorBody { error }) = serde_json::from_slice(&body) {
            return Err(error_of_code(&error, retry_after_seconds(&headers)));
        }
        if status.is_success() {
            // A revocation response has an empty body.
            let is_json = single(&headers, &header::CONTENT_TYPE).is_some_and(is_json);
            Ok(Success { is_json, body })
        } else {
            Err(TokenError::UnexpectedResponse(Reason::TokenErrorWithoutCode))
        }
    }
}

/// How long the provider asks clients to wait before a retry, up to a limit.
fn retry_after_seconds(headers: &HeaderMap) -> Option<u32> {
    let seconds: u32 = single(headers, &header::RETRY_AFTER)?.parse().ok()?;
    Some(seconds.min(MAX_RETRY_AFTER_SECONDS))
}

/// The value of `Authorization`. Both parts are form-encoded before they are joined (RFC 6749 §2.3.1).
fn basic_credentials(client_id: &str, secret: &SecretString) -> Zeroizing<String> {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = Zeroizing::new(format!("{}:{}", encoded(client_id), encoded(secret.expose_secret())));
    Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())))
}

/// What an error code means: the provider rejected the grant, rejected the client, or is unavailable.
fn error_of_code(code: &BasicErrorResponseType, retry_after_seconds: Option<u32>) -> TokenError {
    use BasicErrorResponseType as Type;
    const EXTENSIONS: [Reason; 9] = [
        Reason::BadVerificationCode,
        Reason::BadRefreshToken,
        Reason::UnverifiedUserEmail,
        Reason::InteractionRequired,
        Reason::LoginRequired,
        Reason::ConsentRequired,
        Reason::UseDpopNonce,
        Reason::InvalidTarget,
        Reason::InvalidDpopProof,
    ];
    let not_processed = |detail| TokenError::NotProcessed { detail, retry_after_seconds };
    match code {
        Type::InvalidClient | Type::UnauthorizedClient => not_processed(Reason::ClientCredentialsRefused),
        Type::InvalidGrant => TokenError::Refused(Reason::InvalidGrant),
        Type::InvalidRequest => TokenError::Refused(Reason::InvalidRequest),
        Type::InvalidScope => TokenError::Refused(Reason::InvalidScope),
        Type::UnsupportedGrantType => TokenError::Refused(Reason::UnsupportedGrantType),
        Type::Extension(code) => match code.as_str() {
            // GitHub's name for `invalid_client` (M65).
            "incorrect_client_credentials" => not_processed(Reason::ClientCredentialsRefused),
            "temporarily_unavailable" | "server_error" | "slow_down" => not_processed(Reason::ProviderUnavailable),
            code => TokenError::Refused(
                EXTENSIONS.into_iter().find(|known| known.as_str() == code).unwrap_or(Reason::UnknownErrorCode),
            ),
        },
    }
}
