//! Validates logout tokens (OpenID Connect Back-Channel Logout 1.0 §2.6). Does no I/O and reads no clock: the caller
//! passes the keys and `now`. The caller also makes sure that a token is used only once.

use std::collections::BTreeMap;

use jwt_compact::Claims;
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::Value;

use super::{
    claim::{Audience, SKEW_SECONDS, is_identifier},
    jws::{self, KeyIssuers, SignatureError, TokenValidationError, Typ, Verified},
    provider::{Provider, TENANT_PLACEHOLDER},
    signing_key::SigningKey,
};
use crate::runtime::reason::Reason;

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// Maximum age of a token, in seconds (ASVS 10.5.5). Clock skew is tolerated in addition.
const MAX_AGE_SECONDS: i64 = 120;

/// Why a logout token is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LogoutTokenError {
    /// Malformed, wrongly signed, or signed with an unknown key.
    #[error("logout token {0}")]
    Signature(#[from] SignatureError),
    /// The issuer or the audience is wrong.
    #[error("logout token is not from this issuer for this client")]
    WrongParty,
    /// Expired, too old, issued in the future, or without `exp` or `iat`.
    #[error("logout token outside its time")]
    Time,
    /// Not a logout token: it lacks the logout event or has a nonce.
    #[error("logout token is no logout token")]
    WrongKind,
    /// Has neither a usable `sub` nor a usable `sid`, or no usable `jti`.
    #[error("logout token does not say whom it is about")]
    MissingIdentifier,
}

impl LogoutTokenError {
    /// The error as a fixed text, by which rejections are counted.
    #[must_use]
    pub fn reason(self) -> Reason {
        match self {
            Self::Signature(SignatureError::Malformed) => Reason::LogoutTokenMalformed,
            Self::Signature(SignatureError::WrongKind) => Reason::LogoutTokenAlgorithm,
            Self::Signature(SignatureError::UnknownKey) => Reason::LogoutTokenKeyUnknown,
            Self::Signature(SignatureError::Wrong) => Reason::LogoutTokenSignature,
            Self::WrongParty => Reason::LogoutTokenParty,
            Self::Time => Reason::LogoutTokenTime,
            Self::WrongKind => Reason::LogoutTokenKind,
            Self::MissingIdentifier => Reason::LogoutTokenWithoutSubject,
        }
    }
}

/// A validated logout token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogoutToken {
    /// The issuer.
    pub issuer: String,
    /// The token's identifier.
    pub jti: String,
    /// When the token was issued (`iat`), in Unix seconds.
    pub issued_at_seconds: u64,
    /// The sessions to end.
    pub target: LogoutTarget,
}

/// The sessions that a logout token is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogoutTarget {
    /// One session at the provider.
    Session {
        /// The provider's session.
        sid: String,
        /// The user, if the token names one. That user's sessions without a known `sid` end, too.
        sub: Option<String>,
    },
    /// All sessions of a user (`sub`, M48).
    User(String),
}

impl LogoutToken {
    /// When the token becomes too old to be accepted by a correct clock, in Unix milliseconds.
    #[must_use]
    pub fn accepted_until_ms(&self) -> u64 {
        let seconds = u64::try_from(MAX_AGE_SECONDS + SKEW_SECONDS).unwrap_or_default();
        self.issued_at_seconds.saturating_add(seconds).saturating_add(1).saturating_mul(1000)
    }
}

/// How much later than a token's `iat` the sign-in of a session may be that the token still ends, in milliseconds. Both
/// times are the provider's, so no isolate's clock matters; but its machines' clocks differ. Where a provider backdates its
/// ID tokens, the time of the sign-in is an estimate.
#[must_use]
pub fn tolerance_ms(provider: &Provider) -> u64 {
    let seconds = SKEW_SECONDS.saturating_add(provider.backdates_seconds());
    u64::try_from(seconds).unwrap_or_default().saturating_mul(1000)
}

#[derive(Debug, Deserialize)]
struct LogoutClaims {
    iss: String,
    aud: Audience,
    sub: Option<String>,
    sid: Option<String>,
    jti: Option<String>,
    #[serde(default)]
    events: BTreeMap<String, Value>,
    #[serde(default, deserialize_with = "present")]
    nonce: bool,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// Validates a logout token.
///
/// # Errors
/// [`LogoutTokenError`]. After [`SignatureError::UnknownKey`], retry once with freshly fetched keys.
pub fn validate(
    token: &str,
    keys: &[SigningKey],
    provider: &Provider,
    now_seconds: i64,
) -> Result<LogoutToken, LogoutTokenError> {
    let Verified { claims, key_issuers } = verify(token, keys, provider)?;
    let issued_at_seconds = check_time(&claims, now_seconds)?;
    let claims = claims.custom;
    check_party(&claims, provider, &key_issuers)?;
    check_is_logout_token(&claims)?;
    let target = target(claims.sid, claims.sub)?;
    let jti = claims.jti.filter(|jti| is_identifier(jti)).ok_or(LogoutTokenError::MissingIdentifier)?;
    Ok(LogoutToken { issuer: claims.iss, jti, issued_at_seconds, target })
}

/// Verifies type and signature. Some providers set the same `typ` as for ID tokens. The event distinguishes the two as
/// well, so both types are accepted unless the provider is configured otherwise.
fn verify(token: &str, keys: &[SigningKey], provider: &Provider) -> Result<Verified<LogoutClaims>, SignatureError> {
    if provider.strict_logout_typ {
        return jws::verify(token, keys, Typ::Required("logout+jwt"));
    }
    match jws::verify(token, keys, Typ::Optional("logout+jwt")) {
        Err(SignatureError::WrongKind) => jws::verify(token, keys, Typ::Required("JWT")),
        verified => verified,
    }
}

/// Checks `exp` and `iat`, and returns `iat` in Unix seconds.
fn check_time<T>(claims: &Claims<T>, now_seconds: i64) -> Result<u64, LogoutTokenError> {
    let expires = claims.expiration.ok_or(LogoutTokenError::Time)?.timestamp();
    let issued = claims.issued_at.ok_or(LogoutTokenError::Time)?.timestamp();
    let is_expired = now_seconds.saturating_sub(SKEW_SECONDS) >= expires;
    let is_too_old = issued < now_seconds.saturating_sub(MAX_AGE_SECONDS + SKEW_SECONDS);
    let is_from_the_future = issued > now_seconds.saturating_add(SKEW_SECONDS);
    if is_expired || is_too_old || is_from_the_future {
        return Err(LogoutTokenError::Time);
    }
    u64::try_from(issued).map_err(|_| LogoutTokenError::Time)
}

/// Checks that the provider issued the token for this client, with a key that may sign for that issuer.
fn check_party(claims: &LogoutClaims, provider: &Provider, key_issuers: &KeyIssuers) -> Result<(), LogoutTokenError> {
    let is_key_of_issuer = key_issuers.include(|key_issuer| is_issuer_of_key(key_issuer, &claims.iss));
    if provider.is_issuer(&claims.iss) && claims.aud.is_only(&provider.client_id) && is_key_of_issuer {
        Ok(())
    } else {
        Err(LogoutTokenError::WrongParty)
    }
}

/// Checks that the token has the logout event and no nonce, which only ID tokens have.
fn check_is_logout_token(claims: &LogoutClaims) -> Result<(), LogoutTokenError> {
    let has_event = claims.events.get(EVENT).is_some_and(Value::is_object);
    if has_event && !claims.nonce { Ok(()) } else { Err(LogoutTokenError::WrongKind) }
}

/// The sessions that the token is about: one if it has a `sid`, otherwise all of the user.
fn target(sid: Option<String>, sub: Option<String>) -> Result<LogoutTarget, LogoutTokenError> {
    match (sid, sub) {
        (Some(sid), sub) if is_identifier(&sid) => {
            Ok(LogoutTarget::Session { sid, sub: sub.filter(|sub| is_identifier(sub)) })
        }
        (None, Some(sub)) if is_identifier(&sub) => Ok(LogoutTarget::User(sub)),
        _ => Err(LogoutTokenError::MissingIdentifier),
    }
}

/// Whether a key that is restricted to `key_issuer` may sign for `issuer`. Entra restricts a key to one issuer, or to
/// those of all tenants by a placeholder (M73). The caller checks the tenant itself.
fn is_issuer_of_key(key_issuer: &str, issuer: &str) -> bool {
    match key_issuer.split_once(TENANT_PLACEHOLDER) {
        Some((before, after)) => issuer.starts_with(before) && issuer.ends_with(after),
        None => key_issuer == issuer,
    }
}

impl TokenValidationError for LogoutTokenError {
    fn signature_error(&self) -> Option<SignatureError> {
        if let Self::Signature(error) = self { Some(*error) } else { None }
    }
}

#[cfg(test)]
mod tests;
