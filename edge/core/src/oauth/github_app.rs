//! Installation tokens of a GitHub App. They carry the app's own permissions in its repositories, independent of the
//! user. The app authenticates with a short-lived JWT and requests no more than a service lists (M21, M70).

use std::{collections::BTreeMap, time::Duration};

use http::{Method, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    assertion::with_times,
    client_key::ClientKey,
    fetch_json::{Expected, FetchError, read_json},
    github_rate::rate_limited_for_seconds,
};
use crate::{
    http::web::{Body, Outgoing, USER_AGENT, without_slash},
    runtime::{
        clock::{now_seconds, within},
        dependency::Dependency,
        platform::Platform,
        unavailable::Unavailable,
    },
};

/// How far GitHub's clock may be behind, in seconds. GitHub rejects a JWT that was issued in the future or expires in
/// more than ten minutes.
const BACKDATED_SECONDS: i64 = 300;
/// How long a JWT is valid from now, in seconds. GitHub's clock may be ahead by that much.
const LIFETIME_SECONDS: i64 = 300;
/// Longest token accepted, in bytes. Tokens are opaque, and have about 520 characters since 2026.
const MAX_TOKEN_BYTES: usize = 4096;
/// Timeout for the response head, and again for its body.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);
const EXPECTED: Expected = Expected {
    from: Dependency::GitHub,
    is_status: |status| *status == StatusCode::CREATED,
    max_bytes: 256 * 1024,
    malformed: "no installation token",
};

/// A GitHub App.
#[derive(Debug)]
pub struct App {
    /// Client id or app id.
    pub id: String,
    /// Private key.
    pub key: ClientKey,
    /// `https://api.github.com`, or the API of an Enterprise Server.
    pub api: Url,
}

/// An installation token.
#[derive(Debug, Clone)]
pub struct InstallationToken {
    /// The opaque token.
    pub token: SecretString,
    /// Expiry in Unix milliseconds by GitHub's clock, an hour after it was issued.
    pub expires_at_ms: u64,
    /// When it was requested, in Unix milliseconds by the edge's clock. `None` if not recorded.
    pub issued_at_ms: Option<u64>,
}

/// Why there is no installation token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InstallationError {
    /// GitHub does not know the app's key or the installation, or does not grant what was requested. An operator must
    /// fix it.
    #[error("GitHub refuses a token for the installation: {0}")]
    Refused(StatusCode),
    /// GitHub limits the rate for this many seconds.
    #[error("GitHub gives no token for the installation for {0} s")]
    RateLimited(u32),
    /// GitHub did not answer, or its answer is invalid.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

#[derive(Serialize)]
struct AppClaims<'a> {
    iss: &'a str,
}

#[derive(Serialize)]
struct TokenRequest<'a> {
    permissions: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    repositories: &'a [String],
}

#[derive(Deserialize)]
struct TokenResponse {
    token: SecretString,
    expires_at: String,
    permissions: Option<BTreeMap<String, String>>,
}

impl App {
    /// The JWT with which the app authenticates.
    fn jwt(&self, platform: &impl Platform) -> Result<SecretString, Unavailable> {
        let now = now_seconds(platform);
        let claims = with_times(
            AppClaims { iss: &self.id },
            now.saturating_sub(BACKDATED_SECONDS),
            now.saturating_add(LIFETIME_SECONDS),
        );
        let jwt = self
            .key
            .sign(&claims)
            .ok_or_else(|| Unavailable::new(Dependency::GitHubApp, "cannot sign with its key"))?;
        Ok(jwt.into())
    }

    /// Requests an installation token with these permissions. It is for these repositories only, or for all
    /// repositories of the installation if the list is empty.
    ///
    /// # Errors
    /// [`InstallationError`].
    pub async fn installation_token(
        &self,
        platform: &impl Platform,
        installation: u64,
        permissions: &BTreeMap<String, String>,
        repositories: &[String],
    ) -> Result<InstallationToken, InstallationError> {
        let request = self.token_request(platform, installation, permissions, repositories)?;
        let requested_at_ms = platform.now_ms();
        let response = fetch_token(platform, request).await?;
        let token = checked_token(response, permissions, requested_at_ms, platform.now_ms());
        let rejected = || unavailable("installation token over, unusable or for more than was asked for");
        token.ok_or_else(rejected).map_err(InstallationError::from)
    }

    fn token_request<B>(
        &self,
        platform: &impl Platform,
        installation: u64,
        permissions: &BTreeMap<String, String>,
        repositories: &[String],
    ) -> Result<Outgoing<B>, Unavailable> {
        // GitHub grants all permissions if a request names none.
        if permissions.is_empty() {
            return Err(unavailable("installation without permissions"));
        }
        let text = format!("{}/app/installations/{installation}/access_tokens", without_slash(&self.api));
        let url = Url::parse(&text).map_err(unavailable)?;
        let body = serde_json::to_vec(&TokenRequest { permissions, repositories }).map_err(unavailable)?;
        let mut request = Outgoing::new(Method::POST, url, TIMEOUT)
            .with(header::ACCEPT, "application/vnd.github+json")
            .with(header::CONTENT_TYPE, "application/json")
            .with(header::USER_AGENT, USER_AGENT)
            .with_bearer(&self.jwt(platform)?);
        request.body = Body::Bytes(body.into());
        Ok(request)
    }
}

/// Sends a request for a token and reads the response.
async fn fetch_token<P: Platform>(
    platform: &P,
    request: Outgoing<P::Body>,
) -> Result<TokenResponse, InstallationError> {
    let response = within(platform, TIMEOUT, Dependency::GitHub, platform.send(request)).await?;
    let read = async { Ok(read_json(response, &EXPECTED).await) };
    within(platform, TIMEOUT, Dependency::GitHub, read).await?.map_err(|error| match error {
        FetchError::Status(status, headers) if status.is_client_error() => {
            rate_limited_for_seconds(status, &headers, platform.now_ms())
                .map_or(InstallationError::Refused(status), InstallationError::RateLimited)
        }
        FetchError::Status(status, _) => unavailable(format_args!("installation token answered {status}")).into(),
        FetchError::Unavailable(error) => error.into(),
    })
}

/// The token, if it is usable now and grants no more than was requested: a service must not get more permissions than it
/// lists.
fn checked_token(
    response: TokenResponse,
    requested: &BTreeMap<String, String>,
    requested_at_ms: u64,
    now_ms: u64,
) -> Option<InstallationToken> {
    let exceeds_request = response.permissions.as_ref().is_some_and(|granted| {
        granted.iter().any(|(name, level)| name != "metadata" && requested.get(name) != Some(level))
    });
    let text = response.token.expose_secret();
    let is_usable = !text.is_empty() && text.len() <= MAX_TOKEN_BYTES && text.bytes().all(|b| b.is_ascii_graphic());
    let expires_at = chrono::DateTime::parse_from_rfc3339(&response.expires_at).ok()?;
    let expires_at_ms = u64::try_from(expires_at.timestamp_millis()).ok()?;
    let token = InstallationToken { token: response.token, expires_at_ms, issued_at_ms: Some(requested_at_ms) };
    (is_usable && !exceeds_request && expires_at_ms > now_ms).then_some(token)
}

fn unavailable(detail: impl std::fmt::Display) -> Unavailable {
    Unavailable::new(Dependency::GitHub, detail)
}

#[cfg(test)]
mod tests;
