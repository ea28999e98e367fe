//! Tokens of a GitHub App's installations: what the app itself may do in the repositories it was given, whoever asks.
//! The app proves who it is with a short-lived JWT and asks for no more than a service lists (M21, M70).

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
        platform::Platform,
        unavailable::Unavailable,
    },
};

/// How far GitHub's clock may be behind, in seconds: it refuses what was made later than now, and what ends in more than ten
/// minutes.
const BACKDATED_SECONDS: i64 = 300;
/// Until when a JWT is good, in seconds from now: how far GitHub's clock may be ahead.
const LIFETIME_SECONDS: i64 = 300;
/// Longest token taken, in bytes. They are opaque, of about 520 characters since 2026.
const MAX_TOKEN_BYTES: usize = 4096;
/// How long the answer's head may take, and its body.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);
const EXPECTED: Expected = Expected {
    from: "GitHub",
    is_status: |status| *status == StatusCode::CREATED,
    max_bytes: 256 * 1024,
    malformed: "no installation token",
};

/// A GitHub App.
#[derive(Debug)]
pub struct App {
    /// Its client id or its number.
    pub id: String,
    /// Its private key.
    pub key: ClientKey,
    /// `https://api.github.com` or an Enterprise Server's.
    pub api: Url,
}

/// A token of an installation.
#[derive(Debug, Clone)]
pub struct InstallationToken {
    /// Opaque.
    pub token: SecretString,
    /// When it ends, in Unix milliseconds by GitHub's clock; an hour after it was made.
    pub expires_at_ms: u64,
    /// When it was asked for, in Unix milliseconds by the edge's own clock; `None` if nobody noted it.
    pub minted_at_ms: Option<u64>,
}

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InstallationError {
    /// GitHub does not know the app's key, the installation, or does not grant what was asked for: to be put right by
    /// an operator.
    #[error("GitHub refuses a token for the installation: {0}")]
    Refused(StatusCode),
    /// GitHub wants to be left alone for so many seconds.
    #[error("GitHub gives no token for the installation for {0} s")]
    Limited(u32),
    /// GitHub did not answer, or not as it should.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

#[derive(Serialize)]
struct AppClaims<'a> {
    iss: &'a str,
}

#[derive(Serialize)]
struct Wanted<'a> {
    permissions: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    repositories: &'a [String],
}

#[derive(Deserialize)]
struct Given {
    token: SecretString,
    expires_at: String,
    permissions: Option<BTreeMap<String, String>>,
}

impl App {
    /// The JWT by which the app proves who it is.
    fn jwt(&self, platform: &impl Platform) -> Result<SecretString, Unavailable> {
        let now = now_seconds(platform);
        let claims = with_times(
            AppClaims { iss: &self.id },
            now.saturating_sub(BACKDATED_SECONDS),
            now.saturating_add(LIFETIME_SECONDS),
        );
        let jwt = self.key.sign(&claims).ok_or_else(|| Unavailable::new("GitHub App", "cannot sign with its key"))?;
        Ok(jwt.into())
    }

    /// Asks for a token of an installation with these permissions, and for these repositories only, or for all the
    /// installation has if none are named.
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
        let odd = |detail: &dyn std::fmt::Display| Unavailable::new("GitHub", detail);
        // No permissions named would mean all of them.
        if permissions.is_empty() {
            return Err(odd(&"installation without permissions").into());
        }
        let text = format!("{}/app/installations/{installation}/access_tokens", without_slash(&self.api));
        let url = Url::parse(&text).map_err(|e| odd(&e))?;
        let body = serde_json::to_vec(&Wanted { permissions, repositories }).map_err(|e| odd(&e))?;
        let mut request = Outgoing::new(Method::POST, url, TIMEOUT)
            .with(header::ACCEPT, "application/vnd.github+json")
            .with(header::CONTENT_TYPE, "application/json")
            .with(header::USER_AGENT, USER_AGENT)
            .with_bearer(&self.jwt(platform)?);
        request.body = Body::Bytes(body.into());
        let asked_at_ms = platform.now_ms();
        let response = within(platform, TIMEOUT, "GitHub", platform.send(request)).await?;
        let read = async { Ok(read_json(response, &EXPECTED).await) };
        let given: Given = within(platform, TIMEOUT, "GitHub", read).await?.map_err(|error| match error {
            FetchError::Status(status, headers) if status.is_client_error() => {
                rate_limited_for_seconds(status, &headers, platform.now_ms())
                    .map_or(InstallationError::Refused(status), InstallationError::Limited)
            }
            FetchError::Status(status, _) => odd(&format_args!("installation token answered {status}")).into(),
            FetchError::Unavailable(error) => error.into(),
        })?;
        // More than was asked for is nothing a service should hold.
        let more = given.permissions.as_ref().is_some_and(|given| {
            given.iter().any(|(name, level)| name != "metadata" && permissions.get(name) != Some(level))
        });
        let text = given.token.expose_secret();
        let usable = !text.is_empty() && text.len() <= MAX_TOKEN_BYTES && text.bytes().all(|b| b.is_ascii_graphic());
        let expires_at = chrono::DateTime::parse_from_rfc3339(&given.expires_at).ok();
        let expires_at_ms = expires_at.and_then(|time| u64::try_from(time.timestamp_millis()).ok());
        match expires_at_ms {
            Some(expires_at_ms) if usable && !more && expires_at_ms > platform.now_ms() => {
                Ok(InstallationToken { token: given.token, expires_at_ms, minted_at_ms: Some(asked_at_ms) })
            }
            _ => Err(odd(&"installation token over, unusable or for more than was asked for").into()),
        }
    }
}

#[cfg(test)]
mod tests;
