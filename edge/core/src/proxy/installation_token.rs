//! Tokens of GitHub App installations, shared by all users of a service.
//!
//! A token is minted once, kept sealed in the key-value store and in memory, and replaced before it expires. Of an
//! isolate's concurrent requests for a token, one mints it and the others wait.

use std::time::Duration;

use causeway_protocol::signature::KeyRing;
use secrecy::ExposeSecret as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::service::Installation;
use crate::{
    error::Error,
    oauth::{
        github_app::{App, InstallationError, InstallationToken},
        installation_cache::InstallationCache,
    },
    runtime::{
        clock::{millis, within},
        copy::CopyChange,
        dependency::Dependency,
        event_name::EventName,
        platform::Platform,
        reason::Reason,
        single_flight::Joined,
        telemetry::Event,
        unavailable::Unavailable,
    },
    seal::{Contents, Purpose, Sealed},
};

/// A token with less time left is replaced if another can be had, in milliseconds: a call may take long, and clocks differ.
const RENEWED_BEFORE_MS: u64 = 5 * 60 * 1000;
/// How long a token of GitHub's is valid, in milliseconds.
const VALID_MS: u64 = 60 * 60 * 1000;
/// How long a token counts as new, in milliseconds. An upstream that refuses a new token has another reason to.
const NEW_MS: u64 = 60 * 1000;
/// How long after it was minted a token may be unknown to some of GitHub's servers, in milliseconds.
const FRESH_MS: u64 = 10 * 1000;
/// How long the store may take before a token is minted instead.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one request may lead: look for a token in the store, and mint one.
const LEADER_LIMIT: Duration = Duration::from_secs(25);

/// Where installation tokens come from and where they are kept.
#[derive(Debug)]
pub(crate) struct InstallationTokens<'a, P> {
    pub(crate) platform: &'a P,
    pub(crate) app: &'a App,
    /// Seals the tokens in the key-value store.
    pub(crate) keys: &'a KeyRing,
    pub(crate) cache: &'a InstallationCache,
}

impl<P: Platform> InstallationTokens<'_, P> {
    /// A token of an installation, for a call that may take as long as `call_timeout`. `is_refused`: an upstream refused
    /// the last token, so another one is wanted.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if GitHub does not answer, [`Error::UpstreamRateLimited`] if it limits the rate of requests,
    /// [`Error::BadGateway`] if it refuses a token, which only an operator can change.
    pub(crate) async fn token(
        &self,
        installation: &Installation,
        call_timeout: Duration,
        is_refused: bool,
    ) -> Result<InstallationToken, Error> {
        let Self { platform, cache, .. } = self;
        let key = storage_key(self.app, installation);
        let lookup = Lookup { cache, key: &key, call_ms: millis(call_timeout), is_refused };
        let look = |now_ms| lookup.in_memory(now_ms);
        let _leader = match cache.single_flight.join(*platform, Dependency::GitHub, &key, LEADER_LIMIT, look).await? {
            Joined::Follower(found) => return found.map_err(response_error),
            Joined::Leader(leader) => leader,
        };
        if let Some(stored) = self.load(&key).await {
            let is_fit = is_fit(&stored, is_refused, platform.now_ms());
            if is_fit || cache.token(&key).is_none() {
                cache.remember(&key, stored.clone());
            }
            if is_fit {
                return Ok(stored);
            }
        }
        let token = match self.mint(&key, installation).await {
            Ok(minted) => Ok(minted),
            Err(error) => lookup.old_token_or(error, platform.now_ms()),
        };
        token.map_err(response_error)
    }

    /// Has GitHub mint a token, and keeps it or the reason why there is none.
    async fn mint(&self, key: &str, installation: &Installation) -> Result<InstallationToken, InstallationError> {
        let Installation { id, permissions, repositories } = installation;
        match self.app.installation_token(self.platform, *id, permissions, repositories).await {
            Ok(minted) => {
                self.cache.remember(key, minted.clone());
                self.store(key, &minted).await;
                Ok(minted)
            }
            Err(error) => {
                report(self.platform, &error);
                self.cache.remember_failure(key, self.platform.now_ms(), error.clone());
                Err(error)
            }
        }
    }

    async fn load(&self, key: &str) -> Option<InstallationToken> {
        let sealed =
            within(self.platform, STORE_TIMEOUT, Dependency::KeyValue, self.platform.get(key)).await.ok()??;
        Sealed::from_bytes(sealed).open(self.keys, &[key.as_bytes()]).ok()
    }

    /// Keeps a token in the store. If that fails, other isolates mint their own.
    async fn store(&self, key: &str, token: &InstallationToken) {
        let (platform, failure) = (self.platform, Event::warn(EventName::InstallationNotKept));
        let ttl = Duration::from_millis(token.expires_at_ms.saturating_sub(platform.now_ms()));
        match Sealed::seal(token, self.keys, platform, &[key.as_bytes()]) {
            Ok(sealed) => {
                CopyChange::put(key.to_owned(), sealed.as_bytes().to_vec(), ttl, failure).queue(platform).await;
            }
            Err(error) => failure.with("detail", &error).write(platform),
        }
    }
}

/// What one call looks for in the isolate's memory.
struct Lookup<'a> {
    cache: &'a InstallationCache,
    key: &'a str,
    /// How long the call may take, in milliseconds.
    call_ms: u64,
    is_refused: bool,
}

impl Lookup<'_> {
    /// A fit token, or a recent failure to mint one. `None`: a token is to be fetched, or another request fetches it and
    /// no old one bridges the wait.
    fn in_memory(&self, now_ms: u64) -> Option<Result<InstallationToken, InstallationError>> {
        let Self { cache, key, .. } = self;
        match cache.token(key).filter(|token| is_fit(token, self.is_refused, now_ms)) {
            Some(token) => Some(Ok(token)),
            None if cache.single_flight.is_under_way(key, now_ms) => self.old_token(now_ms).map(Ok),
            None => cache.failure(key, now_ms).map(|error| self.old_token_or(error, now_ms)),
        }
    }

    /// A token that is due to be replaced but outlasts the call.
    fn old_token(&self, now_ms: u64) -> Option<InstallationToken> {
        self.cache.token(self.key).filter(|token| !self.is_refused && remaining_ms(token, now_ms) >= self.call_ms)
    }

    /// An old token bridges an outage, but not a refusal.
    fn old_token_or(&self, error: InstallationError, now_ms: u64) -> Result<InstallationToken, InstallationError> {
        match error {
            InstallationError::Refused(_) => Err(error),
            InstallationError::RateLimited(_) | InstallationError::Unavailable(_) => {
                self.old_token(now_ms).ok_or(error)
            }
        }
    }
}

/// How long a token is still valid, in milliseconds. By the edge's own clock where possible: GitHub's may be minutes off.
fn remaining_ms(token: &InstallationToken, now_ms: u64) -> u64 {
    let expires_at_ms = match token.issued_at_ms {
        Some(issued_at_ms) => token.expires_at_ms.min(issued_at_ms.saturating_add(VALID_MS)),
        None => token.expires_at_ms,
    };
    expires_at_ms.saturating_sub(now_ms)
}

/// Whether a token serves a call, so that no other needs to be minted.
fn is_fit(token: &InstallationToken, is_refused: bool, now_ms: u64) -> bool {
    // An upstream that refuses everything must not cause a new token at each refusal (S117). The difference is absolute:
    // the isolate that minted the token may have another clock.
    let is_new = token.issued_at_ms.is_some_and(|issued_at_ms| now_ms.abs_diff(issued_at_ms) < NEW_MS);
    remaining_ms(token, now_ms) > if is_new { 0 } else { RENEWED_BEFORE_MS } && (!is_refused || is_new)
}

/// Whether a token was minted only seconds ago, so that a server that refuses it may not know it yet. The difference is
/// absolute, as above.
pub(crate) fn is_fresh(token: &InstallationToken, now_ms: u64) -> bool {
    token.issued_at_ms.is_some_and(|issued_at_ms| now_ms.abs_diff(issued_at_ms) < FRESH_MS)
}

fn report(platform: &impl Platform, error: &InstallationError) {
    match error {
        InstallationError::Refused(status) => {
            Event::error(EventName::InstallationRefused).with("status", *status).write(platform);
        }
        InstallationError::RateLimited(seconds) => {
            Event::warn(EventName::InstallationLimited).with("seconds", *seconds).write(platform);
        }
        // A warning only: an old token may serve the call.
        InstallationError::Unavailable(unavailable) => {
            Event::warn(EventName::InstallationUnavailable).with("detail", unavailable).write(platform);
        }
    }
}

fn response_error(error: InstallationError) -> Error {
    match error {
        InstallationError::Refused(_) => Error::BadGateway { reason: Reason::InstallationTokenRefused },
        InstallationError::RateLimited(retry_after_seconds) => Error::UpstreamRateLimited {
            unavailable: Unavailable::new(Dependency::GitHub, "limits how often it is asked for tokens"),
            retry_after_seconds,
        },
        InstallationError::Unavailable(unavailable) => unavailable.into(),
    }
}

/// The key of a token in the store. It covers who issued the token and what the token permits, so no service finds
/// another's token, nor a token of another GitHub.
fn storage_key(app: &App, installation: &Installation) -> String {
    let Installation { id, permissions, repositories } = installation;
    // JSON is unambiguous: no two combinations have the same text.
    let text = json!([app.api.origin().ascii_serialization(), app.id, id, permissions, repositories]).to_string();
    format!("installation:{}", hex::encode(Sha256::digest(text)))
}

/// The layout is `expires_at_ms (8) ‖ issued_at_ms (8), if known ‖ token`. The seal is bound to no session's secret: all
/// sessions of a service use the same token.
impl Contents for InstallationToken {
    const PURPOSE: Purpose = Purpose::InstallationToken;

    fn encode(&self) -> Result<Zeroizing<Vec<u8>>, Unavailable> {
        let mut plaintext = Zeroizing::new(self.expires_at_ms.to_be_bytes().to_vec());
        plaintext.extend(self.issued_at_ms.iter().flat_map(|at_ms| at_ms.to_be_bytes()));
        plaintext.extend_from_slice(self.token.expose_secret().as_bytes());
        Ok(plaintext)
    }

    fn decode(plaintext: &[u8]) -> Option<Self> {
        let (expires_at_ms, rest) = plaintext.split_first_chunk()?;
        // An older version stored no `issued_at_ms`. A time begins with a zero byte, and a token never does.
        let (issued_at_ms, token) = match rest.split_first_chunk::<8>() {
            Some((issued_at_ms @ [0, ..], token)) => (Some(u64::from_be_bytes(*issued_at_ms)), token),
            _ => (None, rest),
        };
        Some(Self {
            token: std::str::from_utf8(token).ok()?.to_owned().into(),
            expires_at_ms: u64::from_be_bytes(*expires_at_ms),
            issued_at_ms,
        })
    }
}

#[cfg(test)]
mod tests;
