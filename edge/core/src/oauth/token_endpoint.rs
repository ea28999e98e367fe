//! Requests that the edge makes of a provider as its client: for tokens, to push an authorization request, to revoke.
//! They carry the client's authentication and, where tokens are bound to a key, its proof. What a provider answers is
//! told apart here by the one thing that matters later: whether what was sent may have been used up.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderValue, Method, StatusCode, header};
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
        body::ReadBody as _,
        web::{Body, Outgoing, single},
    },
    runtime::{clock::within, platform::Platform, unavailable::Unavailable},
};

/// Largest answer taken, in bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
const TIMEOUT: Duration = Duration::from_secs(15);
/// What a client's authentication takes in a form, in bytes; an assertion signed with RSA is the longest.
const AUTHENTICATION_BYTES: usize = 4096;
/// Longest wait a provider may ask for, in seconds.
const MAX_RETRY_AFTER_SECONDS: u32 = 300;

/// Why there is no answer that says yes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// An OAuth error (RFC 6749 §5.2), also one that came with status 200. A word of ours where the code is a known
    /// one: nothing a provider writes reaches a log or a page.
    #[error("provider answered {0}")]
    Refused(&'static str),
    /// The provider answered that it cannot answer now, or refused us rather than what was sent: it used nothing up.
    #[error("provider answered an outage: {detail}")]
    Outage {
        /// For the log.
        detail: &'static str,
        /// When it wants to be asked again.
        retry_after_seconds: Option<u32>,
    },
    /// The provider, or something before it, broke down: it has most likely used nothing up.
    #[error("provider answered a server error")]
    Breakdown {
        /// When it wants to be asked again.
        retry_after_seconds: Option<u32>,
    },
    /// Something that no token endpoint answers; it hardly used anything up.
    #[error("no token endpoint answers this: {0}")]
    Unintelligible(&'static str),
    /// The provider said yes and then something that cannot be read: what was sent is used up.
    #[error("provider's answer cannot be read: {0}")]
    Unreadable(&'static str),
    /// It was not sent: it was too late for that, see [`Client::send_by_ms`].
    #[error("held up before it was sent")]
    NotSent,
    /// Nobody knows what the provider made of it.
    #[error(transparent)]
    Lost(#[from] Unavailable),
}

/// What requests of one provider need.
#[derive(Debug)]
pub struct Client<'a, P> {
    /// The runtime.
    pub platform: &'a P,
    /// What the isolate knows of providers.
    pub cache: &'a DiscoveryCache,
    /// The provider.
    pub provider: &'a Provider,
    /// Where its endpoints lie.
    pub endpoints: &'a Endpoints,
    /// When nothing is sent any more, in Unix milliseconds: whoever was held up for too long might not be alone with what
    /// may be sent by one only. Each sending is judged for itself.
    pub send_by_ms: Option<u64>,
}

/// A form's fields.
pub(super) type Form<'a> = Vec<(&'a str, &'a str)>;

/// An answer that says yes.
struct Answer {
    is_json: bool,
    body: Zeroizing<Vec<u8>>,
}

#[derive(Deserialize)]
struct ErrorBody {
    error: BasicErrorResponseType,
}

impl<P: Platform> Client<'_, P> {
    /// Posts a form as the client, once more if the provider wants its nonce in the proof (RFC 9449 §8), and returns the
    /// body of an answer that says yes.
    pub(super) async fn post(
        &self,
        url: &Url,
        form: Form<'_>,
        dpop: Option<&DpopKey>,
    ) -> Result<Zeroizing<Vec<u8>>, TokenError> {
        let answer = self.post_twice(url, form, dpop).await?;
        if answer.is_json { Ok(answer.body) } else { Err(TokenError::Unreadable("not JSON")) }
    }

    /// The same where the body of an answer says nothing (RFC 7009 §2.2).
    pub(super) async fn post_any(&self, url: &Url, form: Form<'_>, dpop: Option<&DpopKey>) -> Result<(), TokenError> {
        self.post_twice(url, form, dpop).await.map(drop)
    }

    async fn post_twice(&self, url: &Url, form: Form<'_>, dpop: Option<&DpopKey>) -> Result<Answer, TokenError> {
        match self.post_once(url, &form, dpop).await {
            Err(TokenError::Refused("use_dpop_nonce")) if dpop.is_some() => self.post_once(url, &form, dpop).await,
            result => result,
        }
    }

    async fn post_once(&self, url: &Url, form: &Form<'_>, dpop: Option<&DpopKey>) -> Result<Answer, TokenError> {
        // A request's own timeout ends with the answer's head.
        let work = async { Ok(self.ask(url, form, dpop).await) };
        within(self.platform, TIMEOUT, "identity provider", work).await?
    }

    async fn ask(&self, url: &Url, form: &Form<'_>, dpop: Option<&DpopKey>) -> Result<Answer, TokenError> {
        let mut request = Outgoing::new(Method::POST, url.clone(), TIMEOUT)
            .with(header::ACCEPT, "application/json")
            .with(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        // Large enough for all of it: whoever makes room elsewhere leaves a copy behind that nobody wipes.
        let form_bytes: usize = form.iter().map(|(name, value)| 2 + 3 * (name.len() + value.len())).sum();
        let mut body = form_urlencoded::Serializer::new(String::with_capacity(form_bytes + AUTHENTICATION_BYTES));
        body.extend_pairs(form);
        match &self.provider.client_auth {
            ClientAuth::Basic(secret) => {
                let mut basic = HeaderValue::from_str(&basic(&self.provider.client_id, secret))
                    .map_err(|e| Unavailable::new("sign-in", e))?;
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
        if self.send_by_ms.is_some_and(|by_ms| self.platform.now_ms() > by_ms) {
            return Err(TokenError::NotSent);
        }
        let response = self.platform.send(request).await?;
        self.cache.nonces.harvest(url, &response.headers);
        let (status, headers) = (response.status, response.headers);
        let retry_after_seconds = single(&headers, &header::RETRY_AFTER)
            .and_then(|text| text.parse().ok())
            .map(|seconds: u32| seconds.min(MAX_RETRY_AFTER_SECONDS));
        let outage = |detail| TokenError::Outage { detail, retry_after_seconds };
        match status {
            // A gateway gave up waiting; the provider behind it may not have.
            StatusCode::GATEWAY_TIMEOUT => return Err(Unavailable::new("identity provider", "gateway timeout").into()),
            StatusCode::TOO_MANY_REQUESTS => return Err(outage("too many requests")),
            // Who names a time means it. Without one it is what proxies answer for a connection that broke down, at whatever
            // point: the provider behind them may have done its work.
            StatusCode::SERVICE_UNAVAILABLE if headers.contains_key(header::RETRY_AFTER) => {
                return Err(outage("service unavailable"));
            }
            // Where a repeat costs the whole grant, even the unlikely counts.
            _ if status.is_server_error() && !self.provider.refresh.retries_lost_answer => {
                return Err(Unavailable::new("identity provider", "server error").into());
            }
            _ if status.is_server_error() => return Err(TokenError::Breakdown { retry_after_seconds }),
            // Following it would hand what was sent, and our secret, to wherever it points (S25).
            _ if status.is_redirection() => return Err(TokenError::Unintelligible("a redirect")),
            _ => {}
        }
        let is_json = single(&headers, &header::CONTENT_TYPE).is_some_and(is_json);
        let body = match response.body.read(MAX_ANSWER_BYTES).await {
            Ok(body) => Zeroizing::new(body),
            Err(_) if status.is_success() => return Err(TokenError::Unreadable("too long or broken off")),
            Err(_) => return Err(TokenError::Unintelligible("an error too long or broken off")),
        };
        // GitHub reports errors with status 200 (M65).
        let errors_count = !status.is_success() || self.provider.refresh.errors_with_200;
        if errors_count && let Ok(ErrorBody { error }) = serde_json::from_slice(&body) {
            return Err(refusal(&error, retry_after_seconds));
        }
        match status {
            // Revocation answers with an empty body.
            _ if status.is_success() => Ok(Answer { is_json, body }),
            _ => Err(TokenError::Unintelligible("an error without a code")),
        }
    }
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// RFC 6749 §2.3.1: both parts are form-encoded before they are joined.
fn basic(client_id: &str, secret: &SecretString) -> Zeroizing<String> {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = Zeroizing::new(format!("{}:{}", encoded(client_id), encoded(secret.expose_secret())));
    Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())))
}

/// What an error code means: a refusal of what was sent, or of us, or no answer at all.
fn refusal(code: &BasicErrorResponseType, retry_after_seconds: Option<u32>) -> TokenError {
    use BasicErrorResponseType as Type;
    let extensions = [
        "bad_verification_code",
        "bad_refresh_token",
        "unverified_user_email",
        "interaction_required",
        "login_required",
        "consent_required",
        "use_dpop_nonce",
        "invalid_target",
        "invalid_dpop_proof",
    ];
    let outage = |detail| TokenError::Outage { detail, retry_after_seconds };
    match code {
        Type::InvalidClient | Type::UnauthorizedClient => outage("refuses our credentials"),
        Type::InvalidGrant => TokenError::Refused("invalid_grant"),
        Type::InvalidRequest => TokenError::Refused("invalid_request"),
        Type::InvalidScope => TokenError::Refused("invalid_scope"),
        Type::UnsupportedGrantType => TokenError::Refused("unsupported_grant_type"),
        Type::Extension(code) => match code.as_str() {
            // GitHub's word for it (M65).
            "incorrect_client_credentials" => outage("refuses our credentials"),
            "temporarily_unavailable" | "server_error" | "slow_down" => outage("says so itself"),
            _ => TokenError::Refused(extensions.into_iter().find(|known| known == code).unwrap_or("an unknown error")),
        },
    }
}
